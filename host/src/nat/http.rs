//! The connection request over HTTP (TR-069 §3.2.2): GET, digest authentication, 200 or 204.
//!
//! Both rounds of the digest use one connection; a device that hangs up after its challenge
//! gets the second round on a fresh one, once. Redirects are not followed, and Basic is not
//! answered unless the device's profile asks for it: whoever sits on the path could ask for it too.

use std::time::Duration;

use bytes::Bytes;
use cwmp::authentication::{Challenge, parse_challenges};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::guard::Target;
use crate::device::Credentials;

/// More of an answer's body is not read; the connection is given up instead.
const ANSWER_BYTES_MAX: usize = 16 << 10;
/// How long to wait for the rest of a 401 whose length the device did not say.
const ANSWER_BODY_WAIT: Duration = Duration::from_secs(2);

/// How a connection request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// No TCP connection.
    #[error("cannot connect to {address}: {text}")]
    Connect {
        /// Where.
        address: String,
        /// Why.
        text: String,
    },
    /// The device took too long.
    #[error("no answer within {0} s")]
    Timeout(u64),
    /// The device hung up. (What speaks no HTTP at all counts as accepted, as HTTP/0.9 does,
    /// and then opens no session.)
    #[error("the device's answer broke off: {0}")]
    Broken(String),
    /// The credentials are wrong.
    #[error("the device refused the connection-request credentials (401)")]
    Unauthorized,
    /// The ACS has none.
    #[error("the device asks for credentials and the ACS has none for it yet")]
    NoCredentials,
    /// No challenge that the ACS answers.
    #[error("the device asks for {0} authentication, expected Digest")]
    Challenge(String),
    /// In a session, or asked too often.
    #[error("the device is busy (503)")]
    Busy,
    /// Anything else.
    #[error("the device answered {0}, expected 200 or 204")]
    Status(u16),
}

/// What the device's profile changes about connection requests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Leniency {
    /// Answer a Basic challenge when there is no Digest.
    pub basic_auth: bool,
}

/// Sends a connection request; `Ok` means that the device accepted it, not that a session came.
/// The credentials are tried in their order.
pub async fn request(
    target: &Target,
    credentials: &[Credentials],
    leniency: Leniency,
    time: Duration,
) -> Result<(), HttpError> {
    match tokio::time::timeout(time, attempt(target, credentials, leniency)).await {
        Ok(result) => result,
        Err(_) => Err(HttpError::Timeout(time.as_secs())),
    }
}

async fn attempt(
    target: &Target,
    credentials: &[Credentials],
    leniency: Leniency,
) -> Result<(), HttpError> {
    let mut link = Link::open(target).await?;
    let mut answer = link.get(target, None).await?;
    for credentials in credentials {
        if answer.status != StatusCode::UNAUTHORIZED {
            break;
        }
        let authorization = authorize(&answer.challenges, credentials, target, leniency)?;
        if !answer.reusable {
            link = Link::open(target).await?;
        }
        answer = match link.get(target, Some(&authorization)).await {
            // The device hung up after its challenge although it had not said so.
            Err(HttpError::Broken(_)) => {
                link = Link::open(target).await?;
                link.get(target, Some(&authorization)).await?
            }
            other => other?,
        };
    }
    match answer.status {
        StatusCode::OK | StatusCode::NO_CONTENT => Ok(()),
        StatusCode::UNAUTHORIZED if credentials.is_empty() => Err(HttpError::NoCredentials),
        StatusCode::UNAUTHORIZED => Err(HttpError::Unauthorized),
        StatusCode::SERVICE_UNAVAILABLE => Err(HttpError::Busy),
        status => Err(HttpError::Status(status.as_u16())),
    }
}

/// The first challenge that the ACS answers, answered: a device lists the best first (RFC 7616).
fn authorize(
    challenges: &[Challenge],
    credentials: &Credentials,
    target: &Target,
    leniency: Leniency,
) -> Result<String, HttpError> {
    let Credentials { username, password } = credentials;
    let digest = Challenge::first_digest(challenges);
    if let Some(digest) = digest {
        let cnonce = format!("{:016x}", rand::random::<u64>());
        return Ok(digest.respond("GET", &target.path, username, password, &cnonce, 1));
    }
    if leniency.basic_auth
        && challenges
            .iter()
            .any(|c| matches!(c, Challenge::Basic { .. }))
    {
        use base64::Engine;
        let pair = format!("{username}:{password}");
        return Ok(format!(
            "Basic {}",
            base64::prelude::BASE64_STANDARD.encode(pair)
        ));
    }
    let asked: Vec<&str> = challenges
        .iter()
        .map(|challenge| match challenge {
            Challenge::Basic { .. } => "Basic",
            Challenge::Digest(_) => "Digest",
            Challenge::Other(scheme) => scheme,
        })
        .collect();
    Err(HttpError::Challenge(if asked.is_empty() {
        "no".into()
    } else {
        asked.join(", ")
    }))
}

/// What matters of the device's answer.
struct Answer {
    status: StatusCode,
    challenges: Vec<Challenge>,
    /// The connection can take the next request.
    reusable: bool,
}

/// One connection to the device.
struct Link {
    sender: http1::SendRequest<Empty<Bytes>>,
    driver: tokio::task::JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Link {
    async fn open(target: &Target) -> Result<Link, HttpError> {
        let stream =
            TcpStream::connect(target.address)
                .await
                .map_err(|error| HttpError::Connect {
                    address: target.address.to_string(),
                    text: error.to_string(),
                })?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) = http1::Builder::new()
            .title_case_headers(true)
            .http09_responses(true)
            .ignore_invalid_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .max_buf_size(ANSWER_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let driver = tokio::spawn(async move {
            // How the connection ends is told to the sender.
            let _ = connection.await;
        });
        Ok(Link { sender, driver })
    }

    async fn get(
        &mut self,
        target: &Target,
        authorization: Option<&str>,
    ) -> Result<Answer, HttpError> {
        let mut request = Request::get(&target.path)
            .header(header::HOST, &target.authority)
            .header(
                header::USER_AGENT,
                concat!("patchbay/", env!("CARGO_PKG_VERSION")),
            )
            .header(header::CACHE_CONTROL, "no-cache")
            .header(header::ACCEPT, "*/*");
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::new()).map_err(broken)?;
        self.sender.ready().await.map_err(broken)?;
        let response = self.sender.send_request(request).await.map_err(broken)?;
        Ok(read(response).await)
    }
}

async fn read(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let challenges = parse_challenges(
        head.headers
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok()),
    );
    let closes = head
        .headers
        .get(header::CONNECTION)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.to_ascii_lowercase().contains("close"));
    // Some devices leave a 401 without length on an open connection: its end never comes.
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect();
    let ended = matches!(
        tokio::time::timeout(ANSWER_BODY_WAIT, body).await,
        Ok(Ok(_))
    );
    Answer {
        status: head.status,
        challenges,
        reusable: ended && !closes,
    }
}

fn broken(error: impl std::error::Error) -> HttpError {
    HttpError::Broken(error.to_string())
}
