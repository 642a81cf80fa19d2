//! Where devices fetch and send files: below `/files/` of the address that they have their
//! ACS at, or on a listener of its own.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, Method, StatusCode, header};
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::access::{Denied, Shown, Ticket};
use super::multipart::boundary;
use super::{FilesError, FromDevice, NewFile, TakeError, To, WriteError, answer, refuse, take};
use crate::Acs;
use crate::device::DeviceKey;
use crate::door::{Peer, Refused, Why};
use crate::instance::Instance;
use crate::work::task::{Operation, Task};

/// What every path of the endpoint begins with; any other path is the ACS.
pub const PATH: &str = "/files/";
/// When to come again after a 503, seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("30");

/// Answers one request of a device. `too_slow` is notified when its connection is to be dropped.
pub async fn serve(
    acs: &Arc<Acs>,
    peer: Peer,
    too_slow: Arc<Notify>,
    request: Request,
) -> Response {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let refused = |device: Option<&DeviceKey>, refusal| refused(acs, peer, &path, device, refusal);
    let task = match allowed(acs, &request) {
        Ok(task) => task,
        Err(refusal) => return refused(None, refusal),
    };
    let Some(place) = acs.files.place() else {
        acs.counters.requests_turned_away.add(1);
        let mut answer = refuse(StatusCode::SERVICE_UNAVAILABLE, "too many transfers\n");
        answer
            .headers_mut()
            .insert(header::RETRY_AFTER, RETRY_AFTER);
        return answer;
    };
    let served = match (&task.operation, method) {
        (Operation::Download { .. }, Method::GET | Method::HEAD) => {
            download(acs, &task, too_slow, place, request).await
        }
        (Operation::Upload { .. }, Method::PUT | Method::POST) => upload(acs, &task, request).await,
        (Operation::Download { .. }, _) => Err(refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            "expected GET: this URL is for a download",
        )),
        _ => Err(refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            "expected PUT or POST: this URL is for an upload",
        )),
    };
    served.unwrap_or_else(|refusal| refused(Some(&task.device_key()), refusal))
}

/// Why a request is refused.
struct Refusal {
    status: StatusCode,
    reason: String,
    challenge: Option<String>,
}

fn refusal(status: StatusCode, reason: impl Into<String>) -> Refusal {
    Refusal {
        status,
        reason: reason.into(),
        challenge: None,
    }
}

fn refused(
    acs: &Acs,
    peer: Peer,
    path: &str,
    device: Option<&DeviceKey>,
    refusal: Refusal,
) -> Response {
    let Refusal {
        status,
        reason,
        challenge,
    } = refusal;
    let mut answer = refuse(status, format!("{reason}\n"));
    let headers = answer.headers_mut();
    match challenge.as_deref().map(HeaderValue::from_str) {
        // Without credentials at first: that is how HTTP asks for them.
        Some(Ok(challenge)) => {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        _ => {
            // What is left of a body is not read.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            acs.counters.requests_refused.add(1);
            let refused = Refused {
                instance: device.map(|device| Arc::clone(&device.instance)),
                address: peer.address,
                why: Why::File,
                status: status.as_u16(),
                reason,
                device: device.map(|device| device.id.to_string()),
                username: None,
                path: path.to_owned(),
                user_agent: String::new(),
            };
            acs.refusals.note(refused, acs.clock.unix());
        }
    }
    answer
}

/// The task whose file the request may have.
fn allowed(acs: &Acs, request: &Request) -> Result<Arc<Task>, Refusal> {
    let forbidden = |reason: &str| refusal(StatusCode::FORBIDDEN, reason);
    let path = request.uri().path();
    let ticket =
        Ticket::parse(path).ok_or_else(|| forbidden("expected a URL that this ACS has made"))?;
    // Its number is the only one of all instances.
    let of_instance =
        |instance: &Arc<Instance>| acs.store.task(&instance.name, ticket.task()).ok()?;
    let task = acs.instances.all().iter().find_map(of_instance);
    let task = task
        .filter(|task| task.sent.is_some() && task.operation.uses_files())
        .ok_or_else(|| forbidden("there is no transfer of this URL any more"))?;
    let authorization = request.headers().get(header::AUTHORIZATION);
    let shown = Shown {
        method: request.method().as_str(),
        path,
        authorization: authorization.and_then(|value| value.to_str().ok()),
    };
    let (secret, how) = (&acs.files.secret, acs.files.settings().access);
    match secret.check(how, ticket, &task, &shown, acs.clock.unix()) {
        Ok(()) => Ok(task),
        Err(Denied::Forbidden(reason)) => Err(forbidden(reason)),
        Err(Denied::LoginNeeded(challenge)) => Err(Refusal {
            challenge: Some(challenge),
            ..refusal(
                StatusCode::UNAUTHORIZED,
                "expected the user name and the password of the Download or Upload",
            )
        }),
    }
}

async fn download(
    acs: &Arc<Acs>,
    task: &Task,
    too_slow: Arc<Notify>,
    place: OwnedSemaphorePermit,
    request: Request,
) -> Result<Response, Refusal> {
    let Operation::Download { file: Some(id), .. } = task.operation else {
        return Err(refusal(StatusCode::NOT_FOUND, "the task names no file"));
    };
    let file = acs
        .files
        .get(&task.instance, id)
        .map_err(|error| refusal(StatusCode::NOT_FOUND, error.to_string()))?;
    let fetches = request.method() == Method::GET && !task.state.is_final();
    if fetches {
        acs.transfer_begun(task).await;
    }
    let to = To {
        task: fetches.then_some(task.id),
        too_slow: Some(too_slow),
        place: Some(place),
    };
    Ok(answer(acs, &file, request.method(), request.headers(), to).await)
}

async fn upload(acs: &Arc<Acs>, task: &Task, request: Request) -> Result<Response, Refusal> {
    if task.state.is_final() {
        let reason = "the transfer of this URL has ended";
        return Err(refusal(StatusCode::FORBIDDEN, reason));
    }
    if acs.files.has_moved(task) {
        let reason = "the file of this upload has come already";
        return Err(refusal(StatusCode::CONFLICT, reason));
    }
    let Operation::Upload { file_type, .. } = &task.operation else {
        return Err(refusal(StatusCode::NOT_FOUND, "the task wants no file"));
    };
    acs.transfer_begun(task).await;
    let (head, body) = request.into_parts();
    let content_type = head.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let boundary = content_type.and_then(boundary);
    let most = acs.files.settings().upload_bytes_max;
    let name = head.uri.path().rsplit('/').next().unwrap_or_default();
    let new = NewFile {
        name: name.to_owned(),
        file_type: file_type.clone(),
        uploaded_by: "device".into(),
        from: Some(FromDevice {
            device: task.device.clone(),
            task: task.id,
        }),
        ..NewFile::default()
    };
    let taken = take(&acs.files, body, most, boundary).await;
    let written = taken.map_err(not_taken)?;
    let kept = acs
        .files
        .keep(&task.instance, written, new, acs.clock.unix())
        .await;
    let file = kept.map_err(|error| not_taken(error.into()))?;
    acs.transfer_moved(task.id, Some(&file)).await;
    acs.files.sweep_device(&task.device_key()).await;
    // Not 201, which some devices take for a failure.
    Ok(Response::new(Body::empty()))
}

fn not_taken(error: TakeError) -> Refusal {
    refusal(status(&error), error.to_string())
}

/// The status that tells why a body was not taken.
pub fn status(error: &TakeError) -> StatusCode {
    match error {
        TakeError::BrokeOff(_) | TakeError::Multipart(_) => StatusCode::BAD_REQUEST,
        TakeError::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
        TakeError::Files(error) => match error {
            FilesError::NoSuchFile(_) => StatusCode::NOT_FOUND,
            FilesError::InUse { .. } => StatusCode::CONFLICT,
            FilesError::Checksum { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            FilesError::Write(WriteError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            FilesError::Write(WriteError::Io(error))
                if error.kind() == std::io::ErrorKind::StorageFull =>
            {
                StatusCode::INSUFFICIENT_STORAGE
            }
            FilesError::Write(_) | FilesError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        },
    }
}
