//! What goes back: envelopes, the end of a session, refusals.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::refusals::Why;
use crate::conversation::{self, Reply};

const TEXT_XML: HeaderValue = HeaderValue::from_static("text/xml; charset=\"utf-8\"");
const TEXT_PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const KEEP_ALIVE: HeaderValue = HeaderValue::from_static("keep-alive");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// A refusal on its way to the answer.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) why: Why,
    /// For the operator, and for whoever reads the answer unless that is `told` something else.
    pub(super) reason: String,
    pub(super) told: Option<&'static str>,
    /// The device that it is or says it is.
    pub(super) device: Option<String>,
    /// The user name that it showed.
    pub(super) username: Option<String>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, why: Why, reason: impl Into<String>) -> Refusal {
        Refusal {
            status,
            why,
            reason: reason.into(),
            told: None,
            device: None,
            username: None,
            headers: Vec::new(),
        }
    }

    /// 400.
    pub(super) fn bad(why: Why, reason: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, why, reason)
    }

    /// What the client reads.
    pub(super) fn told(mut self, text: &'static str) -> Refusal {
        self.told = Some(text);
        self
    }

    pub(super) fn by(mut self, username: &str) -> Refusal {
        self.username = Some(username.to_owned());
        self
    }

    pub(super) fn of(mut self, device: impl Into<Option<String>>) -> Refusal {
        self.device = device.into();
        self
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Refusal {
        self.headers.push((name, value));
        self
    }

    pub(super) fn to_answer(&self) -> Response {
        let reason = self.told.unwrap_or(&self.reason);
        let mut answer = text(self.status, format!("{reason}\n"));
        let headers = answer.headers_mut();
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        // What is left of a body that was too large, too slow or unasked for is not read.
        let is_unread = matches!(self.why, Why::TooLarge | Why::TooSlow | Why::BrokenOff)
            || self.status == StatusCode::METHOD_NOT_ALLOWED
            || self.status == StatusCode::UNSUPPORTED_MEDIA_TYPE;
        headers.insert(
            header::CONNECTION,
            if is_unread { CLOSE } else { KEEP_ALIVE },
        );
        answer
    }
}

impl From<conversation::Refused> for Refusal {
    fn from(refused: conversation::Refused) -> Refusal {
        Refusal::bad(Why::OutOfTurn, refused.reason)
    }
}

/// What a conversation answers.
pub(super) fn envelope(reply: Reply) -> Response {
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

/// 307: the same again, there.
pub(super) fn redirect(location: &str) -> Response {
    let mut answer = text(StatusCode::TEMPORARY_REDIRECT, "");
    if let Ok(location) = HeaderValue::from_str(location) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer.headers_mut().insert(header::CONNECTION, KEEP_ALIVE);
    answer
}

fn text(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut answer = Response::new(text.into());
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, TEXT_PLAIN);
    answer
}
