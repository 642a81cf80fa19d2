//! `/v1/devices/{id}/credentials`: with what a device logs in. Passwords are taken, never shown.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::Trail;
use super::error::{ApiError, Body, Path};
use super::scope::Scope;
use crate::Acs;
use crate::device::{Credentials, Login, Summary, parse_device_id};

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new().routes(routes!(one, expect, forget))
}

/// Characters of a user name or a password (TR-098 and TR-181: `string(256)`).
pub(super) const CHARS_MAX: usize = 256;

/// What the device is expected to show.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CredentialsRequest {
    /// Without one: the device's own name (TR-069 §3.4.4).
    #[schema(min_length = 1, max_length = 256)]
    username: Option<String>,
    #[schema(min_length = 1, max_length = 256)]
    password: String,
}

/// With what a device logs in.
#[derive(Serialize, ToSchema)]
pub(super) struct LoginView {
    state: LoginState,
    username: Option<String>,
    /// Credentials that the device was asked to take and whose answer was lost.
    pending: usize,
}

/// How far a device has credentials of its own.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum LoginState {
    /// It has shown them.
    Shown,
    /// It has not come with them yet.
    Expected,
    /// It was asked to take some.
    Pending,
    /// It has none of its own.
    None,
}

pub(super) fn view(login: &Login) -> LoginView {
    let state = match (&login.credentials, login.pending_credentials.is_empty()) {
        (Some(_), _) if login.has_shown_own => LoginState::Shown,
        (Some(_), _) => LoginState::Expected,
        (None, false) => LoginState::Pending,
        (None, true) => LoginState::None,
    };
    let known = login.credentials.as_ref();
    let known = known.or(login.pending_credentials.last());
    LoginView {
        state,
        username: known.map(|credentials| credentials.username.clone()),
        pending: login.pending_credentials.len(),
    }
}

/// With what a device logs in.
#[utoipa::path(
    get, path = "/devices/{id}/credentials", operation_id = "get_credentials",
    params(("id" = String, Path, description = "Of the device")),
    responses((status = 200, description = "As far as it is known", body = LoginView)), tag = "Devices",
    security(("token" = ["devices:read"]))
)]
pub(super) async fn one(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
) -> Result<Json<LoginView>, ApiError> {
    let cell = scope.cell(&acs, &id)?;
    let device = cell.lock();
    Ok(Json(view(&device.summary().login)))
}

/// Expects credentials of a device.
///
/// These and no others from now on. The device may be one that has never come.
#[utoipa::path(
    put, path = "/devices/{id}/credentials", operation_id = "expect_credentials",
    request_body = CredentialsRequest,
    params(("id" = String, Path, description = "Of the device")),
    responses((status = 204, description = "Done")), tag = "Devices",
    security(("token" = ["devices:write"]))
)]
pub(super) async fn expect(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
    Body(request): Body<CredentialsRequest>,
) -> Result<StatusCode, ApiError> {
    let Some(told) = parse_device_id(&id) else {
        return Err(ApiError::bad(format!(
            "expected the id of a device, OUI-ProductClass-SerialNumber or OUI-SerialNumber, got {id:?}"
        )));
    };
    let username = request.username;
    let username = username.unwrap_or_else(|| cwmp::authentication::user_name(&told));
    for (name, text) in [("username", &username), ("password", &request.password)] {
        let length = text.chars().count();
        if !(1..=CHARS_MAX).contains(&length) || text.chars().any(char::is_control) {
            return Err(ApiError::bad(format!(
                "expected a {name} of 1 to {CHARS_MAX} characters, got {length}"
            )));
        }
    }
    let summary = Summary {
        oui: told.oui,
        product_class: told.product_class,
        serial_number: told.serial_number,
        ..Summary::default()
    };
    let (cell, _) = acs.store.register(&scope.key(&acs, &id)?, summary)?;
    let credentials = Credentials {
        username,
        password: request.password,
    };
    cell.lock().summary_mut(|summary| {
        let before = summary.login.credentials.as_ref();
        trail.between(before, Some(&credentials));
        summary.login = Login {
            credentials: Some(credentials),
            pending_credentials: Vec::new(),
            // Factory credentials are not what was asked for.
            has_shown_own: true,
        };
    });
    acs.store.persist(&cell).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets the credentials of a device.
///
/// After a factory reset the device has those of the factory again.
#[utoipa::path(
    delete, path = "/devices/{id}/credentials", operation_id = "forget_credentials",
    params(("id" = String, Path, description = "Of the device")),
    responses((status = 204, description = "Done")), tag = "Devices",
    security(("token" = ["devices:write"]))
)]
pub(super) async fn forget(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
) -> Result<StatusCode, ApiError> {
    let cell = scope.cell(&acs, &id)?;
    cell.lock().summary_mut(|summary| {
        trail.removed(&summary.login.credentials);
        summary.login = Login::default();
    });
    acs.store.persist(&cell).await?;
    Ok(StatusCode::NO_CONTENT)
}
