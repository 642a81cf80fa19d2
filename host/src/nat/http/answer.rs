//! What matters of an answer to a connection request.

use std::time::Duration;

use cwmp::authentication::{Challenge, parse_challenges};
use http::response::Parts;
use http::{HeaderMap, HeaderName, StatusCode, Version, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use super::HttpError;

/// More of an answer's body is not read; the connection is given up instead.
const BODY_BYTES_MAX: usize = 16 << 10;
/// How long to wait for the rest of an answer whose length was not said.
const BODY_WAIT: Duration = Duration::from_secs(2);
/// Bytes of what is no HTTP that are shown.
const SHOWN_BYTES: usize = 60;

/// An answer, of the device or of the proxy.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Those of the device.
    pub(super) challenges: Vec<Challenge>,
    /// Those of the proxy.
    pub(super) proxy_challenges: Vec<Challenge>,
    pub(super) headers: HeaderMap,
    /// The connection can take the next request.
    pub(super) is_reusable: bool,
    /// There was more of it than is read.
    pub(super) was_cut: bool,
}

impl Answer {
    pub(super) async fn read(head: Parts, body: Incoming) -> Result<Answer, HttpError> {
        if head.version == Version::HTTP_09 {
            return Err(HttpError::Nonsense(beginning(body).await));
        }
        let challenges = |name: HeaderName| {
            let values = head.headers.get_all(name);
            parse_challenges(values.iter().filter_map(|value| value.to_str().ok()))
        };
        let closes = text(&head.headers, header::CONNECTION).to_ascii_lowercase();
        // Some devices leave a 401 without length on an open connection: its end never comes.
        let body = Limited::new(body, BODY_BYTES_MAX).collect();
        let body = tokio::time::timeout(BODY_WAIT, body).await;
        Ok(Answer {
            status: head.status,
            challenges: challenges(header::WWW_AUTHENTICATE),
            proxy_challenges: challenges(header::PROXY_AUTHENTICATE),
            is_reusable: matches!(body, Ok(Ok(_))) && !closes.contains("close"),
            was_cut: matches!(&body, Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>()),
            headers: head.headers,
        })
    }

    /// A header as text; empty if there is none.
    pub(super) fn header(&self, name: HeaderName) -> &str {
        text(&self.headers, name)
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

/// What the device said instead of HTTP, for people.
async fn beginning(mut body: Incoming) -> String {
    let frame = tokio::time::timeout(BODY_WAIT, body.frame()).await;
    let data = match frame {
        Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        _ => bytes::Bytes::new(),
    };
    let shown = data.get(..SHOWN_BYTES).unwrap_or(&data);
    format!("{:?}", String::from_utf8_lossy(shown))
}
