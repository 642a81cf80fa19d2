//! What all answers share: errors, times, pages.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::error::Category;
use utoipa::{IntoParams, ToSchema};

use super::audit::Refused;
use crate::access::Refusal;
use crate::device::{DeviceKey, UnixTime};
use crate::nat::pace::Full;
use crate::secrets::is_secret;
use crate::store::StoreError;

/// An error of the API: its status, a code for programs and a sentence for people.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// When it is worth trying again, seconds.
    retry_after: Option<u64>,
    /// The methods that there are instead, with blanks and commas between.
    allow: Option<String>,
}

impl ApiError {
    pub(super) fn bad(message: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::BAD_REQUEST,
            code: "bad-request",
            message: message.into(),
            retry_after: None,
            allow: None,
        }
    }

    pub(super) fn not_found(message: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::NOT_FOUND,
            code: "not-found",
            message: message.into(),
            retry_after: None,
            allow: None,
        }
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    pub(super) fn no_device(key: &DeviceKey) -> ApiError {
        ApiError::not_found(format!(
            "there is no device {:?} in instance {:?}",
            key.id, key.instance
        ))
    }

    pub(super) fn method(message: impl Into<String>) -> ApiError {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        ApiError {
            status,
            code: "method-not-allowed",
            message: message.into(),
            retry_after: None,
            allow: None,
        }
    }

    pub(super) fn conflict(message: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::CONFLICT,
            code: "conflict",
            message: message.into(),
            retry_after: None,
            allow: None,
        }
    }

    pub(super) fn internal(message: impl Into<String>) -> ApiError {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        ApiError {
            status,
            code: "internal",
            message: message.into(),
            retry_after: None,
            allow: None,
        }
    }

    /// An error whose status says what kind it is.
    pub(super) fn with_status(status: StatusCode, message: impl Into<String>) -> ApiError {
        let code = match status {
            StatusCode::NOT_FOUND => "not-found",
            StatusCode::CONFLICT => "conflict",
            StatusCode::PAYLOAD_TOO_LARGE => "too-large",
            StatusCode::UNPROCESSABLE_ENTITY => "wrong-checksum",
            StatusCode::INSUFFICIENT_STORAGE => "disk-full",
            status if status.is_server_error() => "internal",
            _ => "bad-request",
        };
        let message = message.into();
        ApiError {
            status,
            code,
            message,
            retry_after: None,
            allow: None,
        }
    }

    /// Too many do this at once.
    pub(super) fn busy() -> ApiError {
        ApiError {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "busy",
            retry_after: Some(5),
            ..ApiError::bad("too many exports or streams are under way: try again")
        }
    }

    pub(super) fn forbidden(message: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::FORBIDDEN,
            code: "forbidden",
            ..ApiError::bad(message)
        }
    }

    /// With the methods that are allowed.
    pub(super) fn allowing(self, methods: &[String]) -> ApiError {
        ApiError {
            allow: Some(methods.join(", ")),
            ..self
        }
    }
}

/// What every error answers.
#[derive(Serialize, ToSchema)]
#[schema(title = "Error")]
pub(super) struct ErrorBody {
    /// What went wrong.
    error: ErrorDetail,
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
pub(super) struct ErrorDetail {
    /// For programs.
    #[schema(value_type = String, examples("not-found"))]
    code: &'static str,
    /// For people: what was expected, and what came.
    message: String,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let refused = Refused(format!("{}: {}", self.code, self.message));
        let body = ErrorBody {
            error: ErrorDetail {
                code: self.code,
                message: self.message,
            },
        };
        let mut response = (self.status, Json(body)).into_response();
        response.extensions_mut().insert(refused);
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(allow) = self
            .allow
            .and_then(|allow| HeaderValue::from_str(&allow).ok())
        {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        response
    }
}

impl From<Full> for ApiError {
    fn from(full: Full) -> ApiError {
        ApiError {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "too-many-wakes",
            message: full.to_string(),
            retry_after: Some(full.retry_after.as_secs()),
            allow: None,
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> ApiError {
        ApiError {
            status: refusal.status(),
            code: refusal.code(),
            message: refusal.to_string(),
            retry_after: refusal.retry_after(),
            allow: None,
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        match &error {
            StoreError::NoSuchDevice(key) => ApiError::no_device(key),
            StoreError::NoSuchTask(_) => ApiError::not_found(error.to_string()),
            StoreError::TaskState { .. } | StoreError::KeyTaken { .. } | StoreError::KeyBusy(_) => {
                ApiError::conflict(error.to_string())
            }
            error if error.is_callers() => ApiError::bad(error.to_string()),
            error => {
                tracing::error!(%error, "the store failed a request of the API");
                ApiError::internal(error.to_string())
            }
        }
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> ApiError {
        ApiError::bad(rejection.body_text())
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> ApiError {
        ApiError::bad(rejection.body_text())
    }
}

/// Query parameters whose errors are errors of the API.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub(super) struct Query<T>(pub(super) T);

/// Path parameters whose errors are errors of the API.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub(super) struct Path<T>(pub(super) T);

/// A body of JSON: an object, whose errors are errors of the API and name the field.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, ApiError> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(ApiError::with_status(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!("expected the header Content-Type: application/json, got {kind:?}"),
            ));
        }
        object(&bytes(request, state).await?).map(Body)
    }
}

/// A body of JSON that need not be there.
pub(super) struct Optional<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for Optional<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Optional<T>, ApiError> {
        let body = bytes(request, state).await?;
        if body.is_empty() || &*body == b"null" {
            return Ok(Optional(T::default()));
        }
        object(&body).map(Optional)
    }
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    let body = Bytes::from_request(request, state).await;
    body.map_err(|error| ApiError::with_status(error.status(), error.body_text()))
}

/// serde takes a list for a structure, too: the text says that there is none.
fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let wrong = |message: String| ApiError {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        ..ApiError::bad(message)
    };
    if let Some(first) = body.iter().find(|byte| !byte.is_ascii_whitespace())
        && *first != b'{'
    {
        return match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
            Ok(_) => Err(wrong("expected an object of JSON".to_owned())),
            Err(error) => Err(ApiError::bad(format!("expected JSON: {error}"))),
        };
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut json);
    let read = read.map_err(|error| match error.inner().classify() {
        // The text quotes the value, and goes into the audit log.
        Category::Data if is_secret(&error.path().to_string()) => wrong(format!(
            "{}: expected a value of another type",
            error.path()
        )),
        Category::Data => wrong(error.to_string()),
        _ => ApiError::bad(format!("expected JSON: {}", error.inner())),
    })?;
    match json.end() {
        Ok(()) => Ok(read),
        Err(error) => Err(ApiError::bad(format!("expected JSON: {error}"))),
    }
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// In order.
    pub(super) items: Vec<T>,
    /// To be given back as `after`; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) next: Option<String>,
}

impl<T> Page<T> {
    /// All there is.
    pub(super) fn whole(items: Vec<T>) -> Page<T> {
        Page { items, next: None }
    }
}

/// Which page of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// The `next` of the page before.
    pub(super) after: Option<String>,
    /// Items of the page; 100 if absent.
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<usize>,
}

impl PageQuery {
    /// The number of items of the page.
    pub(super) fn limit(&self) -> Result<usize, ApiError> {
        limit(self.limit)
    }
}

pub(super) fn limit(limit: Option<usize>) -> Result<usize, ApiError> {
    let (usual, most) = super::PAGE;
    match limit {
        None => Ok(usual),
        Some(n) if (1..=most).contains(&n) => Ok(n),
        Some(n) => Err(ApiError::bad(format!(
            "expected a limit of 1 to {most}, got {n}"
        ))),
    }
}

/// A time as RFC 3339 text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = DateTime, examples("2026-11-23T06:30:00Z"))]
pub(crate) struct Time(pub(crate) UnixTime);

impl Time {
    /// A time that may not have been yet (0).
    pub(super) fn maybe(at: UnixTime) -> Option<Time> {
        (at != 0).then_some(Time(at))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&time(self.0))
    }
}

/// A time as RFC 3339 text.
pub(crate) fn time(at: UnixTime) -> String {
    jiff::Timestamp::from_second(at)
        .map(|t| t.to_string())
        .unwrap_or_default()
}

/// A time that may not have been yet.
pub(super) fn maybe_time(at: UnixTime) -> Option<String> {
    (at != 0).then(|| time(at))
}
