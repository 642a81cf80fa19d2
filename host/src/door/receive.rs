//! One HTTP request of a device: is it a POST of a sane size, which session is it of, and
//! what does that session answer.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use cwmp::Message;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use tracing::Instrument;

use super::answer::{self, Refusal, envelope};
use super::authentication;
use super::by_url::{self, Step};
use super::refusals::{Refused, Why};
use super::whose::{self, Whose};
use super::{Connection, Found, Peer, Trust, body};
use crate::Acs;
use crate::clock::Now;
use crate::conversation::{Caller, Conversation, Opened, ReachedAt, Reply, guess, is_inform};
use crate::device::device_id;
use crate::files;
use crate::instance::Instance;
use crate::instances::Unclaimed;
use crate::plugins::HttpMeta;
use crate::spent;
use crate::traces::{Recording, RequestHead};

/// What a person who opens the address in a browser reads.
const NOT_FOR_BROWSERS: &str = "Bad Request\n\nThis address speaks TR-069 (CWMP) only: it is for \
    the routers that this server manages, not for browsers.";
/// When to come again after a 503, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("30");

/// A POST, apart from its body.
pub(super) struct Post<'r> {
    pub(super) acs: &'r Arc<Acs>,
    pub(super) instance: &'r Arc<Instance>,
    pub(super) connection: &'r Connection,
    pub(super) peer: Peer,
    pub(super) head: &'r RequestHead,
    pub(super) uri: &'r Uri,
    pub(super) headers: &'r HeaderMap,
    pub(super) now: Now,
}

impl Post<'_> {
    fn header(&self, name: http::HeaderName) -> String {
        text_of(self.headers, name)
    }
}

/// Answers one request.
pub(super) async fn receive(acs: &Arc<Acs>, connection: &Connection, request: Request) -> Response {
    if connection.only_files || request.uri().path().starts_with(files::PATH) {
        let too_slow = Arc::clone(&connection.too_slow);
        let peer = peer(acs, connection, None, request.headers());
        return Box::pin(files::serve(acs, peer, too_slow, request)).await;
    }
    let instance = instance(acs, connection, request.uri(), request.headers());
    let whose = instance.as_deref().ok();
    let peer = peer(acs, connection, whose, request.headers());
    let (head, body) = request.into_parts();
    let head: RequestHead = Arc::new(head);
    let answered = match head.method {
        Method::POST => match &instance {
            Ok(instance) => post(acs, instance, connection, peer, &head, body).await,
            Err(unclaimed) => {
                let status = StatusCode::NOT_FOUND;
                Err(Refusal::new(status, Why::NoInstance, unclaimed.to_string()))
            }
        },
        Method::GET | Method::HEAD => Err(Refusal::bad(Why::NoPost, NOT_FOR_BROWSERS)),
        _ => {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            let refusal = Refusal::new(status, Why::NoPost, "expected POST");
            Err(refusal.with(header::ALLOW, HeaderValue::from_static("POST")))
        }
    };
    let mut answer = match answered {
        Ok(answer) => answer,
        Err(refusal) => {
            let answer = refusal.to_answer();
            let whose = instance.ok().map(|instance| Arc::clone(&instance.name));
            refused(acs, whose, peer, &head, refusal);
            answer
        }
    };
    // Who wants it closed is not told that it is kept.
    if head.headers.contains_key(header::CONNECTION)
        && text_of(&head.headers, header::CONNECTION).eq_ignore_ascii_case("close")
    {
        answer.headers_mut().remove(header::CONNECTION);
    }
    answer
}

fn peer(
    acs: &Acs,
    connection: &Connection,
    instance: Option<&Instance>,
    headers: &HeaderMap,
) -> Peer {
    let trust = Trust::new(&acs.config.cwmp, instance);
    Peer::of(connection.ends, headers, trust)
}

/// Whose ACS URL it is.
fn instance(
    acs: &Acs,
    connection: &Connection,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Arc<Instance>, Unclaimed> {
    if let Some(name) = &connection.instance {
        let found = acs.instances.get(name);
        return found.ok_or_else(|| Unclaimed::Name(name.to_string()));
    }
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(http::uri::Authority::as_str));
    acs.instances.at(uri.path(), host.map(without_port))
}

/// `acs.example`, `192.0.2.1`, `2001:db8::1` of a Host header.
fn without_port(host: &str) -> &str {
    if let Some((v6, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return v6;
    }
    host.split_once(':').map_or(host, |(host, _)| host)
}

/// Takes a refusal down.
fn refused(
    acs: &Acs,
    instance: Option<Arc<str>>,
    peer: Peer,
    head: &RequestHead,
    refusal: Refusal,
) {
    let counter = match refusal.why {
        Why::TooManySessions => &acs.counters.requests_turned_away,
        Why::NoCredentials => &acs.counters.requests_challenged,
        _ => &acs.counters.requests_refused,
    };
    counter.add(1);
    let refused = Refused {
        instance,
        address: peer.address,
        why: refusal.why,
        status: refusal.status.as_u16(),
        reason: refusal.reason,
        device: refusal.device,
        username: refusal.username,
        path: head.uri.path().to_owned(),
        user_agent: text_of(&head.headers, header::USER_AGENT),
    };
    acs.refusals.note(refused, acs.clock.unix());
}

async fn post(
    acs: &Arc<Acs>,
    instance: &Arc<Instance>,
    connection: &Connection,
    peer: Peer,
    head: &RequestHead,
    body: Body,
) -> Result<Response, Refusal> {
    let headers = &head.headers;
    let raw = body::read(&acs.config.cwmp, headers, body).await?;
    let post = Post {
        acs,
        instance,
        connection,
        peer,
        head,
        uri: &head.uri,
        headers,
        now: acs.clock.now(),
    };
    let session = whose::find(&post);
    let is_empty = raw.iter().all(u8::is_ascii_whitespace);
    let message = if is_empty {
        None
    } else {
        match Message::parse_with_charset(&raw, body::charset(headers)) {
            Ok(message) => Some(message),
            Err(error) => Some(Box::pin(repaired(&post, &session, &raw, error)).await?),
        }
    };
    // Boxed, because the server moves the whole future of a request about, with room for the
    // largest of these.
    match message {
        Some(mut message) if is_inform(&message) => {
            Box::pin(spent::scope(begin(&post, &mut message, &raw))).await
        }
        message => Box::pin(spent::scope(go_on(&post, session, message.as_ref(), &raw))).await,
    }
}

async fn begin(post: &Post<'_>, message: &mut Message, raw: &Bytes) -> Result<Response, Refusal> {
    let (acs, now) = (post.acs, post.now);
    if acs.sessions.count() >= acs.config.cwmp.sessions_max {
        let refusal = Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Why::TooManySessions,
            "too many sessions, try again later",
        );
        return Err(refusal.with(header::RETRY_AFTER, RETRY_AFTER));
    }
    if let cwmp::Body::Request(cwmp::Request::Inform(inform)) = &message.body {
        authentication::glance(post, &inform.device_id)?;
    }
    let caller = Caller::identify(acs, post.instance, message, post.head, raw, now).await?;
    let device = caller.device().clone();
    let span = caller.span().clone();
    let let_in = authentication::let_in(post, &caller);
    let proof = let_in.instrument(span.clone()).await?;
    if caller.is_refused() {
        let reason = "expected a device that was announced: the instance refuses others \
                      (unknown_devices)";
        let refusal = Refusal::new(StatusCode::FORBIDDEN, Why::UnknownDevice, reason);
        let refusal = refusal.told("this device is not known here");
        return Err(refusal.of(device.id.to_string()));
    }
    let step = acs
        .by_url
        .step(acs, &device, caller.known(), post.uri, now.instant);
    let token = match step {
        Step::Begin(token) => token,
        Step::Redirect(token) => {
            let location = by_url::location(token, post.uri, post.headers, post.peer);
            return Ok(answer::redirect(&location));
        }
    };
    let reached_at = ReachedAt::of(post.headers, post.peer);
    let begun = Conversation::begin(acs, post.peer, reached_at, caller, proof, message, now);
    let Opened {
        mut conversation,
        reply,
    } = begun
        .instrument(span)
        .await
        .map_err(|refused| Refusal::from(refused).of(device.id.to_string()))?;
    let answered = acs.clock.now();
    conversation.replied(now.instant, answered.instant);
    let took = answered.instant.saturating_duration_since(now.instant);
    acs.counters.protocol.inform_seconds.observe(took);
    let recording = Arc::clone(conversation.recording());
    let (_, superseded) = acs.sessions.insert(token, conversation, post.peer);
    post.connection.began(token, device);
    if let Some(before) = superseded {
        // Not waited for: a message of the old session may be in the middle of a long call.
        tokio::spawn(async move {
            let mut before = before.conversation.lock().await;
            before.lost("the device began another session", now).await;
        });
    }
    let body = reply.body();
    let mut answer = envelope(reply);
    if let Ok(cookie) = HeaderValue::from_str(&token.to_set_cookie()) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    note(answered, &recording, &answer, &body);
    Ok(answer)
}

async fn go_on(
    post: &Post<'_>,
    session: Whose,
    message: Option<&Message>,
    raw: &Bytes,
) -> Result<Response, Refusal> {
    let (acs, now) = (post.acs, post.now);
    let came = message.map_or("an empty message", |message| message.body.name());
    let bad = |reason: String| Refusal::bad(Why::NoSession, reason);
    if message.is_none() && matches!(session, Whose::Stranger | Whose::Nobody) {
        authentication::asked_for_challenge(post)?;
    }
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
        Whose::Nobody => {
            acs.by_url.stray(acs, post.peer, now.instant);
            return Err(bad(format!("expected an Inform first, got {came}")));
        }
    };
    authentication::goes_on(post, &open)?;
    let mut conversation = open.conversation.lock().await;
    // Ended while this message waited for the one before it.
    if !matches!(acs.sessions.find(token), Found::Open(_)) {
        let reason = "expected an Inform: the session has ended meanwhile";
        return Err(bad(reason.into()).of(open.device().id.to_string()));
    }
    let span = conversation.span().clone();
    let posted = conversation.post(message, post.head, raw, now);
    let posted = posted.instrument(span.clone()).await;
    let answered = acs.clock.now();
    match posted {
        Ok(reply) => {
            span.in_scope(|| conversation.replied(now.instant, answered.instant));
            if reply == Reply::End {
                acs.sessions.end(token, now.instant);
            } else {
                acs.sessions.heard(&open, conversation.deadline());
            }
            let body = reply.body();
            let answer = envelope(reply);
            note(answered, conversation.recording(), &answer, &body);
            Ok(answer)
        }
        Err(refused) => {
            acs.sessions.fail(token);
            let abandon = conversation.abandon(&refused.reason, now);
            abandon.instrument(span).await;
            let refusal = Refusal::from(refused).of(open.device().id.to_string());
            note_refusal(answered, conversation.recording(), &refusal);
            Err(refusal)
        }
    }
}

/// Asks the profile of the device whether it can make a message of these bytes. Of an Inform,
/// which nobody can read yet, the device is guessed from what stands there.
async fn repaired(
    post: &Post<'_>,
    session: &Whose,
    raw: &Bytes,
    error: cwmp::Error,
) -> Result<Message, Refusal> {
    let (acs, now) = (post.acs, post.now);
    let meta = HttpMeta {
        content_type: post.header(header::CONTENT_TYPE),
        user_agent: post.header(header::USER_AGENT),
        peer: post.peer.address.to_string(),
    };
    let (repaired, device) = match session {
        Whose::Open(_, open) => {
            let mut conversation = open.conversation.lock().await;
            let span = conversation.span().clone();
            let repair = conversation.repair(raw, &meta, now);
            let repaired = repair.instrument(span).await;
            (repaired, Some(open.device().id.to_string()))
        }
        _ => {
            let repaired =
                crate::conversation::repair_unknown(acs, post.instance, raw, &meta, now).await;
            (repaired, guess(raw).map(|id| device_id(&id)))
        }
    };
    let again = repaired.map(|bytes| Message::parse(&bytes));
    if let Some(Ok(message)) = again {
        return Ok(message);
    }
    // What the device sent is what its owner has to mend, not what the plugin made of it.
    let refusal = if error.is_too_large() {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        Refusal::new(status, Why::TooLarge, error.to_string()).of(device)
    } else {
        Refusal::bad(Why::Unreadable, error.to_string()).of(device)
    };
    if let Whose::Open(_, open) = session {
        let conversation = open.conversation.lock().await;
        conversation.unreadable(post.head, raw, now);
        note_refusal(acs.clock.now(), conversation.recording(), &refusal);
    }
    Err(refusal)
}

/// Notes in the session's trace what the device is answered.
fn note(at: Now, recording: &Recording, answer: &Response, body: &Bytes) {
    recording.answer(at, answer.status(), answer.headers(), body);
}

fn note_refusal(at: Now, recording: &Recording, refusal: &Refusal) {
    let body = Bytes::from(refusal.reason.clone());
    note(at, recording, &refusal.to_answer(), &body);
}

fn text_of(headers: &HeaderMap, name: http::HeaderName) -> String {
    let value = headers.get(name).map(HeaderValue::as_bytes);
    String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
}
