//! What goes to the audit log of a request: the middleware that writes it down, and what handlers
//! tell it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::RequestExt;
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Method, StatusCode, header};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::OpenApi;

use crate::Acs;
use crate::api::error::ApiError;
use crate::api::openapi::{Needs, needs, operations};
use crate::api::request_id::RequestId;
use crate::audit::{Entry, Sides, kept};
use crate::device::DeviceKey;
use crate::door::{Ends, Peer, Trust};

/// Where the id of a device stands in a path.
const DEVICE_PATH: &str = "/v1/devices/{id}";
/// Instead of a result.
const HUNG_UP: &str = "the caller hung up before the end";

/// What a handler tells the audit log beyond the request. An extractor:
/// `trail.between(Some(&before), Some(&after))`.
#[derive(Debug, Clone, Default)]
pub(in crate::api) struct Trail(Arc<Mutex<Told>>);

/// What was told.
#[derive(Debug, Default)]
struct Told {
    actor: Option<Arc<str>>,
    instance: Option<Arc<str>>,
    device: Option<Arc<str>>,
    sides: Sides,
    is_act: bool,
}

impl Trail {
    /// A request that only looks is written down too: it is a login, or takes secrets away.
    pub(in crate::api) fn act(&self) {
        self.0.lock().is_act = true;
    }

    /// Who asks. Told for every request that was let in; a login tells it itself.
    pub(in crate::api) fn by(&self, actor: &str) {
        self.0.lock().actor = Some(actor.into());
    }

    /// In which instance. Told for every request that was let in.
    pub(in crate::api) fn within(&self, instance: &Arc<str>) {
        self.0.lock().instance = Some(Arc::clone(instance));
    }

    /// Of which device; not needed where its id is in the path.
    pub(in crate::api) fn of(&self, device: &DeviceKey) {
        self.0.lock().device = Some(Arc::clone(&device.id));
    }

    /// From what to what, as JSON: `None` where there was or is nothing. Secrets may be in it
    /// under names that tell so: they are not written.
    pub(in crate::api) fn between(
        &self,
        before: Option<impl Serialize>,
        after: Option<impl Serialize>,
    ) {
        let before = before.and_then(|side| serde_json::to_value(side).ok());
        let after = after.and_then(|side| serde_json::to_value(side).ok());
        self.0.lock().sides = Sides::of(before, after);
    }

    /// Something was made, or asked for.
    pub(in crate::api) fn made(&self, after: impl Serialize) {
        self.between(None::<Value>, Some(after));
    }

    /// Something is gone.
    pub(in crate::api) fn removed(&self, before: impl Serialize) {
        self.between(Some(before), None::<Value>);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Trail {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Trail, ApiError> {
        Ok(parts.extensions.get::<Trail>().cloned().unwrap_or_default())
    }
}

/// Why a request was refused, as an extension of the answer.
#[derive(Debug, Clone)]
pub(in crate::api) struct Refused(pub(in crate::api) String);

/// Writes down what passes.
#[derive(Clone)]
pub(in crate::api) struct Recorder {
    acs: Arc<Acs>,
    /// By path as it is routed, and method.
    operations: Arc<BTreeMap<(String, String), Operation>>,
}

/// What is told of an operation.
#[derive(Debug, Clone)]
struct Operation {
    id: String,
    needs: Option<Needs>,
}

impl Recorder {
    /// The paths of the text are below `prefix`.
    pub(in crate::api) fn new(acs: Arc<Acs>, openapi: &OpenApi, prefix: &str) -> Recorder {
        let paths = openapi.paths.paths.iter();
        let all = paths.flat_map(|(path, item)| {
            operations(item).map(move |(method, operation)| {
                let told = Operation {
                    id: operation.operation_id.clone().unwrap_or_default(),
                    needs: needs(operation),
                };
                ((format!("{prefix}{path}"), method.to_string()), told)
            })
        });
        Recorder {
            acs,
            operations: Arc::new(all.collect()),
        }
    }

    fn operation(&self, path: Option<&str>, method: &Method) -> Option<&Operation> {
        self.operations.get(&(path?.to_owned(), method.to_string()))
    }
}

/// Every request that changes something goes to the audit log, with its result, before the
/// caller hears of it. Requests of nobody who is known do not, except logins: strangers must
/// not be able to fill the disk.
pub(in crate::api) async fn record(
    State(recorder): State<Recorder>,
    mut request: Request,
    next: Next,
) -> Response {
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let matched = matched.as_ref().map(MatchedPath::as_str);
    let operation = recorder.operation(matched, request.method());
    let mut entry = asked(&recorder.acs, &request);
    entry.action = operation.map_or_else(String::new, |known| known.id.clone());
    if matched.is_some_and(|path| path.starts_with(DEVICE_PATH))
        && let Ok(parameters) = request.extract_parts::<RawPathParams>().await
    {
        let id = parameters.iter().find(|(name, _)| *name == "id");
        entry.device = id.map(|(_, id)| kept(id));
    }
    let trail = Trail::default();
    let mut record = Record {
        needs: operation.and_then(|operation| operation.needs),
        only_looks: request.method().is_safe(),
        trail: trail.clone(),
        entry: Some(entry),
        acs: Arc::clone(&recorder.acs),
    };
    request.extensions_mut().insert(trail);
    let mut response = next.run(request).await;
    let Some((entry, sides)) = record.end(Some(&mut response)) else {
        return response;
    };
    let at = recorder.acs.clock.unix();
    match recorder.acs.audit(at, &entry, &sides).await {
        Ok(_) => response,
        Err(error) => {
            tracing::error!(%error, action = entry.action, "cannot write the audit log");
            ApiError::internal(format!(
                "done, but the audit log cannot be written: {error}"
            ))
            .into_response()
        }
    }
}

/// A request under way.
struct Record {
    acs: Arc<Acs>,
    needs: Option<Needs>,
    only_looks: bool,
    trail: Trail,
    /// None: it has ended.
    entry: Option<Entry>,
}

impl Record {
    /// What is to be written, if anything is. `None` for a response: nobody waits for it any more.
    fn end(&mut self, response: Option<&mut Response>) -> Option<(Entry, Sides)> {
        let mut entry = self.entry.take()?;
        let told = std::mem::take(&mut *self.trail.0.lock());
        let status = response.as_ref().map(|response| response.status());
        let is_stranger = told.actor.is_none() && self.needs != Some(Needs::Nothing);
        if is_stranger
            || status == Some(StatusCode::TOO_MANY_REQUESTS)
            || self.only_looks && !told.is_act
        {
            return None;
        }
        let text = |text: Arc<str>| text.to_string();
        entry.actor = told.actor.map_or_else(String::new, text);
        let instance = told.instance.as_deref();
        let instance = instance.and_then(|instance| place(self.needs, instance));
        entry.instance = instance.map(str::to_owned);
        entry.device = told.device.map(text).or(entry.device);
        entry.status = status.map(|status| status.as_u16());
        entry.error = match response {
            None => Some(HUNG_UP.to_owned()),
            Some(response) => {
                let refused = response.extensions_mut().remove::<Refused>();
                refused.map(|refused| kept(&refused.0))
            }
        };
        let sides = match status {
            // What was refused has changed nothing.
            Some(status) if status.is_client_error() => Sides::default(),
            _ => told.sides,
        };
        Some((entry, sides))
    }
}

impl Drop for Record {
    /// The caller has hung up: what was done until then is done.
    fn drop(&mut self) {
        let Some((entry, sides)) = self.end(None) else {
            return;
        };
        let acs = Arc::clone(&self.acs);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            if let Err(error) = acs.audit(acs.clock.unix(), &entry, &sides).await {
                tracing::error!(%error, action = entry.action, "cannot write the audit log");
            }
        });
    }
}

/// The instance that it is about, if it is about one.
fn place(needs: Option<Needs>, instance: &str) -> Option<&str> {
    match needs {
        Some(Needs::Permission(permission)) => permission.place(instance),
        // A login is for all instances.
        _ => None,
    }
}

/// What the request itself tells.
fn asked(acs: &Acs, request: &Request) -> Entry {
    let text = |name| {
        let value = request.headers().get(name)?;
        value.to_str().ok().map(kept)
    };
    let id = request.extensions().get::<RequestId>();
    Entry {
        address: Some(client(acs, request).to_string()),
        user_agent: text(header::USER_AGENT),
        request: id.map(|id| id.0.clone()),
        method: Some(request.method().to_string()),
        path: Some(kept(request.uri().path())),
        ..Entry::default()
    }
}

fn client(acs: &Acs, request: &Request) -> IpAddr {
    let connected = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let tcp = connected.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
    let ends = Ends {
        tcp,
        stated: None,
        tls: false,
    };
    Peer::of(ends, request.headers(), Trust::new(&acs.config.cwmp, None)).address
}
