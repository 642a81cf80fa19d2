//! The message in a request: read within its limits, unpacked, its charset told.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::answer::Refusal;
use super::coding::{self, CodingError};
use super::refusals::Why;
use crate::config::Cwmp;

/// Reads the body. Limits count what it is when it is unpacked.
pub(super) async fn read(config: &Cwmp, headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    let max = config.body_bytes_max;
    let too_large = |got: String| {
        let reason = format!("expected a message of at most {max} bytes, got {got}");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Why::TooLarge, reason)
    };
    let codings = coding::of(headers)?;
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok());
    if let Some(length) = length.and_then(|v| v.trim().parse::<usize>().ok())
        && length > max
    {
        return Err(too_large(length.to_string()));
    }
    let time = Duration::from_secs(config.request_seconds_max);
    let body = match tokio::time::timeout(time, Limited::new(body, max).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large("more".into())),
        Ok(Err(error)) => {
            let reason = format!("the message broke off: {error}");
            return Err(Refusal::bad(Why::BrokenOff, reason));
        }
        Err(_) => {
            let reason = format!("expected the whole message within {} s", time.as_secs());
            return Err(Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                Why::TooSlow,
                reason,
            ));
        }
    };
    if codings.is_empty() {
        return Ok(body);
    }
    Ok(Box::pin(coding::undo(codings, body, max)).await?)
}

impl From<CodingError> for Refusal {
    fn from(error: CodingError) -> Refusal {
        let reason = error.to_string();
        match error {
            CodingError::Unknown(_) => {
                Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Why::Coding, reason).with(
                    header::ACCEPT_ENCODING,
                    HeaderValue::from_static(coding::UNDERSTOOD),
                )
            }
            CodingError::TooLarge(_) | CodingError::Bomb { .. } => {
                Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Why::TooLarge, reason)
            }
            CodingError::Broken(..) => Refusal::bad(Why::Coding, reason),
        }
    }
}

/// The charset that the Content-Type names.
pub(super) fn charset(headers: &HeaderMap) -> Option<&str> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| value.trim().trim_matches(['"', '\'']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charsets() {
        let found = |content_type: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
            charset(&headers).map(str::to_owned)
        };
        assert_eq!(found("text/xml"), None);
        assert_eq!(found("text/xml; charset=utf-8").unwrap(), "utf-8");
        assert_eq!(
            found("text/xml;CharSet = \"ISO-8859-1\"").unwrap(),
            "ISO-8859-1"
        );
        assert_eq!(
            found("text/xml; action=\"x\"; charset='GBK'").unwrap(),
            "GBK"
        );
    }
}
