//! A name for each request: the caller's `X-Request-Id`, or one of ours. It is in the answer and
//! in every line of the log that the request causes.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use tracing::Instrument;

use crate::telemetry;

/// The header with a request's id.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of an id that is taken from the caller.
const CHARS_MAX: usize = 64;

/// The id of a request, for whoever writes it down.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) String);

/// Gives the request an id, and its answer the same.
pub(super) async fn identify(mut request: Request, next: Next) -> Response {
    let given = request.headers().get(REQUEST_ID);
    let given = given.and_then(|id| id.to_str().ok()).filter(|id| is_id(id));
    let id = match given {
        Some(id) => id.to_owned(),
        None => format!("{:016x}", rand::random::<u64>()),
    };
    // Whatever the log shows, its lines are to be found.
    let span = tracing::error_span!(
        "request", request_id = %id, method = %request.method(), path = request.uri().path()
    );
    telemetry::continue_trace(&span, request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).instrument(span).await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// What goes into logs is short and on one line.
fn is_id(id: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"-_.:/+=".contains(&c);
    (1..=CHARS_MAX).contains(&id.len()) && id.bytes().all(plain)
}
