//! Why somebody is not let in.

use std::time::Duration;

use http::StatusCode;

use crate::store::StoreError;

/// Why somebody is not let in, or may not do this.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// No credentials, or none that are known; nobody is told which.
    #[error("{0}")]
    Unknown(&'static str),
    /// The credentials are right and not enough.
    #[error("{0}")]
    Forbidden(String),
    /// It is known who this is, and they are not to come in.
    #[error("{0}")]
    NotWelcome(String),
    /// The password has to be changed first.
    #[error("expected a change of the password first: POST /v1/me/password")]
    PasswordChange,
    /// A page of somebody else has sent this with a cookie of ours.
    #[error("{0}")]
    OtherSite(String),
    /// Too many failures, or too many at once.
    #[error("too many logins: expected none for {} s", .0.as_secs().max(1))]
    TooMany(Duration),
    /// What was asked for is not as it should be.
    #[error("{0}")]
    Bad(String),
    /// It is not there, or not to be seen.
    #[error("{0}")]
    NotFound(String),
    /// It cannot be so as things are.
    #[error("{0}")]
    Conflict(String),
    /// Another server has failed us.
    #[error("{0}")]
    Elsewhere(String),
    /// The host has.
    #[error("{0}")]
    Internal(String),
}

impl Refusal {
    /// As HTTP has it.
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::Unknown(_) => StatusCode::UNAUTHORIZED,
            Refusal::Forbidden(_)
            | Refusal::NotWelcome(_)
            | Refusal::PasswordChange
            | Refusal::OtherSite(_) => StatusCode::FORBIDDEN,
            Refusal::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Bad(_) => StatusCode::BAD_REQUEST,
            Refusal::NotFound(_) => StatusCode::NOT_FOUND,
            Refusal::Conflict(_) => StatusCode::CONFLICT,
            Refusal::Elsewhere(_) => StatusCode::BAD_GATEWAY,
            Refusal::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// For programs.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Unknown(_) => "unauthorized",
            Refusal::Forbidden(_) | Refusal::NotWelcome(_) => "forbidden",
            Refusal::PasswordChange => "password-change-required",
            Refusal::OtherSite(_) => "other-site",
            Refusal::TooMany(_) => "too-many-requests",
            Refusal::Bad(_) => "bad-request",
            Refusal::NotFound(_) => "not-found",
            Refusal::Conflict(_) => "conflict",
            Refusal::Elsewhere(_) => "bad-gateway",
            Refusal::Internal(_) => "internal",
        }
    }

    /// When it is worth trying again, seconds.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Refusal::TooMany(wait) => Some(wait.as_secs().max(1)),
            _ => None,
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        if error.is_callers() {
            return Refusal::Bad(error.to_string());
        }
        tracing::error!(%error, "the store failed a request about users");
        Refusal::Internal(error.to_string())
    }
}
