//! `/v1/devices/{id}/credentials`: with what a device logs in. Passwords are taken, never shown.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, Path};
use super::scope::Scope;
use crate::Acs;
use crate::device::{Credentials, Login, Summary, parse_device_id};

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new().routes(routes!(one, expect, forget))
}

/// Characters of a user name or a password (TR-098 and TR-181: `string(256)`).
const CHARS_MAX: usize = 256;

/// What the device is expected to show.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CredentialsRequest {
    /// Without one: the device's own name (TR-069 §3.4.4).
    username: Option<String>,
    password: String,
}

pub(super) fn view(login: &Login) -> Value {
    let state = match (&login.credentials, login.pending_credentials.is_empty()) {
        (Some(_), _) if login.has_shown_own => "shown",
        (Some(_), _) => "expected",
        (None, false) => "pending",
        (None, true) => "none",
    };
    let known = login.credentials.as_ref();
    let known = known.or(login.pending_credentials.last());
    json!({
        "state": state,
        "username": known.map(|credentials| &credentials.username),
        "pending": login.pending_credentials.len(),
    })
}

#[utoipa::path(
    get, path = "/devices/{id}/credentials", operation_id = "get_credentials", tag = "Devices",
    security(("token" = ["devices:read"]))
)]
pub(super) async fn one(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let cell = scope.cell(&acs, &id)?;
    let device = cell.lock();
    Ok(Json(view(&device.summary().login)))
}

/// Expects these and no others from now on. The device may be one that has never come.
#[utoipa::path(
    put, path = "/devices/{id}/credentials", operation_id = "expect_credentials", tag = "Devices",
    security(("token" = ["devices:write"]))
)]
pub(super) async fn expect(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    body: Result<Json<CredentialsRequest>, JsonRejection>,
) -> Result<StatusCode, ApiError> {
    let Json(request) = body?;
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
    cell.lock().summary_mut(|summary| {
        summary.login = Login {
            credentials: Some(Credentials {
                username,
                password: request.password,
            }),
            pending_credentials: Vec::new(),
            // Factory credentials are not what was asked for.
            has_shown_own: true,
        };
    });
    acs.store.persist(&cell).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets them: after a factory reset the device has those of the factory again.
#[utoipa::path(
    delete, path = "/devices/{id}/credentials", operation_id = "forget_credentials", tag = "Devices",
    security(("token" = ["devices:write"]))
)]
pub(super) async fn forget(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let cell = scope.cell(&acs, &id)?;
    cell.lock().summary_mut(|summary| {
        summary.login = Login::default();
    });
    acs.store.persist(&cell).await?;
    Ok(StatusCode::NO_CONTENT)
}
