//! One HTTP request of a device: is it a POST of a sane size, which session is it of, and
//! what does that session answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use cwmp::Message;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::{Connection, Found, Open, Peer, Token, cookie};
use crate::Acs;
use crate::clock::Now;
use crate::conversation::{Conversation, Opened, Refused, Reply, is_inform};
use crate::plugins::HttpMeta;

/// What a person who opens the address in a browser reads.
const NOT_FOR_BROWSERS: &str = "Bad Request\n\nThis address speaks TR-069 (CWMP) only: it is for \
    the routers that this server manages, not for browsers.\n";
/// When to come again after a 503, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("30");
const TEXT_XML: HeaderValue = HeaderValue::from_static("text/xml; charset=\"utf-8\"");
const TEXT_PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const KEEP_ALIVE: HeaderValue = HeaderValue::from_static("keep-alive");

/// A refusal on its way to the answer.
struct Refusal {
    status: StatusCode,
    reason: String,
    device: Option<String>,
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        Refusal {
            status: StatusCode::BAD_REQUEST,
            reason: refused.reason,
            device: None,
        }
    }
}

fn bad(reason: impl Into<String>) -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        reason: reason.into(),
        device: None,
    }
}

/// Answers one request.
pub(super) async fn receive(acs: &Arc<Acs>, connection: &Connection, request: Request) -> Response {
    match *request.method() {
        Method::POST => {}
        Method::GET | Method::HEAD => {
            acs.counters.requests_refused.add(1);
            return text(StatusCode::BAD_REQUEST, NOT_FOR_BROWSERS);
        }
        _ => {
            acs.counters.requests_refused.add(1);
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "expected POST\n");
            answer
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("POST"));
            return answer;
        }
    }
    let (head, body) = request.into_parts();
    let peer = Peer::of(
        connection.peer.ip(),
        &head.headers,
        &acs.config.cwmp.trusted_proxies,
    );
    match post(acs, connection, peer, &head.headers, body).await {
        Ok(answer) => answer,
        Err(refusal) => {
            acs.counters.requests_refused.add(1);
            tracing::info!(
                peer = %peer.address, device = refusal.device.as_deref().unwrap_or("unknown"),
                status = refusal.status.as_u16(), reason = %refusal.reason, "request refused"
            );
            let mut answer = text(refusal.status, format!("{}\n", refusal.reason));
            // What is left of a body that was too large or too slow is not read.
            if refusal.status != StatusCode::BAD_REQUEST {
                answer
                    .headers_mut()
                    .insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            answer
        }
    }
}

async fn post(
    acs: &Arc<Acs>,
    connection: &Connection,
    peer: Peer,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let raw = read(acs, headers, body).await?;
    let now = acs.clock.now();
    let session = find(acs, connection, peer, headers);
    let is_empty = raw.iter().all(u8::is_ascii_whitespace);
    let message = if is_empty {
        None
    } else {
        match Message::parse_with_charset(&raw, charset(headers)) {
            Ok(message) => Some(message),
            Err(error) => {
                let repaired = repaired(acs, &session, headers, peer, &raw, now, error);
                Some(Box::pin(repaired).await?)
            }
        }
    };
    // Boxed, because the server moves the whole future of a request about, with room for the
    // largest of these.
    match message {
        Some(mut message) if is_inform(&message) => {
            Box::pin(begin(acs, connection, peer, &mut message, &raw, now)).await
        }
        message => Box::pin(go_on(acs, session, message.as_ref(), &raw, now)).await,
    }
}

/// Reads the body within its limits.
async fn read(acs: &Acs, headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    let config = &acs.config.cwmp;
    let max = config.body_bytes_max;
    let too_large = |got: String| Refusal {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        reason: format!("expected a message of at most {max} bytes, got {got}"),
        device: None,
    };
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && encoding.as_bytes() != b"identity"
    {
        return Err(bad(format!(
            "expected a plain message, got content-encoding {encoding:?}"
        )));
    }
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok());
    if let Some(length) = length.and_then(|v| v.trim().parse::<usize>().ok())
        && length > max
    {
        return Err(too_large(length.to_string()));
    }
    let time = Duration::from_secs(config.request_seconds_max);
    match tokio::time::timeout(time, Limited::new(body, max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large("more".into())),
        Ok(Err(error)) => Err(bad(format!("the message broke off: {error}"))),
        Err(_) => Err(Refusal {
            status: StatusCode::REQUEST_TIMEOUT,
            reason: format!("expected the whole message within {} s", time.as_secs()),
            device: None,
        }),
    }
}

/// Which session a request belongs to.
enum Whose {
    Open(Token, Arc<Open>),
    Ended,
    /// It has a cookie of ours that stands for nothing.
    Stranger,
    /// It has no cookie, and its connection no session.
    Nobody,
}

/// By cookie; by connection only when the request carries none and the connection is the
/// device's own (a proxy's may carry several devices).
fn find(acs: &Acs, connection: &Connection, peer: Peer, headers: &HeaderMap) -> Whose {
    let mut whose = Whose::Nobody;
    for token in cookie::tokens(headers) {
        match acs.sessions.find(token) {
            Found::Open(open) => return Whose::Open(token, open),
            Found::Ended => whose = Whose::Ended,
            Found::Unknown if matches!(whose, Whose::Nobody) => whose = Whose::Stranger,
            Found::Unknown => {}
        }
    }
    if matches!(whose, Whose::Nobody)
        && !peer.through_proxy
        && let Some(token) = *connection.session.lock()
    {
        return match acs.sessions.find(token) {
            Found::Open(open) => Whose::Open(token, open),
            Found::Ended => Whose::Ended,
            Found::Unknown => Whose::Nobody,
        };
    }
    whose
}

async fn begin(
    acs: &Arc<Acs>,
    connection: &Connection,
    peer: Peer,
    message: &mut Message,
    raw: &Bytes,
    now: Now,
) -> Result<Response, Refusal> {
    if acs.sessions.count() >= acs.config.cwmp.sessions_max {
        acs.counters.requests_turned_away.add(1);
        let mut answer = text(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many sessions, try again later\n",
        );
        answer
            .headers_mut()
            .insert(header::RETRY_AFTER, RETRY_AFTER);
        return Ok(answer);
    }
    let Opened {
        conversation,
        reply,
    } = Conversation::begin(acs, peer, message, raw, now).await?;
    let token = Token::random();
    let (_, superseded) = acs.sessions.insert(token, conversation);
    *connection.session.lock() = Some(token);
    if let Some(before) = superseded {
        // Not waited for: a message of the old session may be in the middle of a long call.
        tokio::spawn(async move {
            before
                .conversation
                .lock()
                .await
                .abandon("the device began another session", now)
                .await;
        });
    }
    let mut answer = envelope(reply);
    if let Ok(cookie) = HeaderValue::from_str(&token.to_set_cookie()) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(answer)
}

async fn go_on(
    acs: &Arc<Acs>,
    session: Whose,
    message: Option<&Message>,
    raw: &Bytes,
    now: Now,
) -> Result<Response, Refusal> {
    let came = message.map_or("an empty message", |message| message.body.name());
    let (token, open) = match session {
        Whose::Open(token, open) => (token, open),
        // Some devices post once more after the 204: it is answered with another.
        Whose::Ended if message.is_none() => return Ok(envelope(Reply::End)),
        Whose::Ended => {
            return Err(bad(format!(
                "expected an Inform: the session has ended; got {came}"
            )));
        }
        Whose::Stranger => {
            return Err(bad(format!(
                "expected an Inform or a known session cookie, got {came}"
            )));
        }
        Whose::Nobody => return Err(bad(format!("expected an Inform first, got {came}"))),
    };
    let mut conversation = open.conversation.lock().await;
    // Ended while this message waited for the one before it.
    if !matches!(acs.sessions.find(token), Found::Open(_)) {
        return Err(bad("expected an Inform: the session has ended meanwhile"));
    }
    match conversation.post(message, raw, now).await {
        Ok(reply) => {
            if reply == Reply::End {
                acs.sessions.end(token, now.instant);
            } else {
                acs.sessions.heard(&open, conversation.deadline());
            }
            Ok(envelope(reply))
        }
        Err(refused) => {
            let device = conversation.device().to_string();
            acs.sessions.fail(token);
            conversation.abandon(&refused.reason, now).await;
            Err(Refusal {
                device: Some(device),
                ..refused.into()
            })
        }
    }
}

/// Asks the profile of the device whether it can make a message of these bytes. Of an Inform,
/// which nobody can read yet, the device is guessed from what stands there.
async fn repaired(
    acs: &Arc<Acs>,
    session: &Whose,
    headers: &HeaderMap,
    peer: Peer,
    raw: &Bytes,
    now: Now,
    error: cwmp::Error,
) -> Result<Message, Refusal> {
    let value = |name| {
        let value = headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let meta = HttpMeta {
        content_type: value(header::CONTENT_TYPE),
        user_agent: value(header::USER_AGENT),
        peer: peer.address.to_string(),
    };
    let mut device = None;
    let repaired = match session {
        Whose::Open(_, open) => {
            let mut conversation = open.conversation.lock().await;
            device = Some(conversation.device().to_string());
            conversation.repair(raw, &meta, now).await
        }
        _ => crate::conversation::repair_unknown(acs, raw, &meta, now).await,
    };
    let again = repaired.map(|bytes| Message::parse(&bytes));
    match again {
        Some(Ok(message)) => Ok(message),
        // What the device sent is what its owner has to mend, not what the plugin made of it.
        _ => Err(Refusal {
            status: if error.is_too_large() {
                StatusCode::PAYLOAD_TOO_LARGE
            } else {
                StatusCode::BAD_REQUEST
            },
            reason: error.to_string(),
            device,
        }),
    }
}

fn charset(headers: &HeaderMap) -> Option<&str> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let (_, charset) = content_type.split_once("charset=")?;
    Some(charset.split(';').next()?.trim().trim_matches('"'))
}

fn envelope(reply: Reply) -> Response {
    match reply {
        Reply::Envelope(envelope) => {
            let mut answer = Response::new(Body::from(envelope));
            answer.headers_mut().insert(header::CONTENT_TYPE, TEXT_XML);
            answer.headers_mut().insert(header::CONNECTION, KEEP_ALIVE);
            answer
        }
        Reply::End => {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::NO_CONTENT;
            answer.headers_mut().insert(header::CONNECTION, KEEP_ALIVE);
            answer
        }
    }
}

fn text(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut answer = Response::new(text.into());
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, TEXT_PLAIN);
    answer
}
