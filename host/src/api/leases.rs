//! `/v1/devices/{id}/lease`: who needs a device that informs every few seconds.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, Optional, Path, time};
use super::scope::Scope;
use crate::Acs;
use crate::device::{DeviceKey, Mode, Summary};
use crate::nat::short_inform::{Need, told};

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new().routes(routes!(lease, release))
}

/// The longest lease.
const SECONDS_MAX: i64 = 86_400;
/// Characters of its reason.
const WHY_CHARS_MAX: usize = 100;

/// Who needs it, and for how long.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LeaseRequest {
    seconds: i64,
    /// For the operator.
    why: String,
}

impl Default for LeaseRequest {
    fn default() -> LeaseRequest {
        LeaseRequest {
            seconds: 300,
            why: "asked for at the API".to_owned(),
        }
    }
}

#[utoipa::path(
    post, path = "/devices/{id}/lease", operation_id = "lease_device",
    request_body = Option<LeaseRequest>, tag = "Devices",
    security(("token" = ["tasks:write"]))
)]
pub(super) async fn lease(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    Optional(request): Optional<LeaseRequest>,
) -> Result<Json<Value>, ApiError> {
    let LeaseRequest { seconds, why } = request;
    if !(1..=SECONDS_MAX).contains(&seconds) {
        return Err(ApiError::bad(format!(
            "expected seconds of 1 to {SECONDS_MAX}, got {seconds}"
        )));
    }
    if why.chars().count() > WHY_CHARS_MAX || why.chars().any(char::is_control) {
        return Err(ApiError::bad(format!(
            "expected why of at most {WHY_CHARS_MAX} characters, got {why:?}"
        )));
    }
    let cell = scope.cell(&acs, &id)?;
    acs.lease(cell.key(), acs.clock.unix() + seconds, &why);
    let summary = cell.lock().shared_summary();
    Ok(Json(view(&acs, cell.key(), &summary)))
}

#[utoipa::path(
    delete, path = "/devices/{id}/lease", operation_id = "release_device", tag = "Devices",
    security(("token" = ["tasks:write"]))
)]
pub(super) async fn release(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    acs.short_informs.release(scope.cell(&acs, &id)?.key());
    Ok(StatusCode::NO_CONTENT)
}

/// How often a device that cannot be woken informs, and why; null: it can be.
pub(super) fn view(acs: &Acs, key: &DeviceKey, summary: &Summary) -> Value {
    if summary.nat.as_ref().map(|nat| nat.mode) != Some(Mode::ShortInform) {
        return Value::Null;
    }
    let now = acs.clock.unix();
    let wanted = acs.short_interval(key, now);
    let need = acs.need(key, now);
    let why = match &need {
        _ if !acs.instance.settings.short_inform.lease => {
            "it cannot be woken, and leases are off".to_owned()
        }
        Some(Need::Task) => "a task waits for it".to_owned(),
        Some(Need::Lease(lease)) => lease.why.clone(),
        None => "nobody needs it".to_owned(),
    };
    let leased_until = match need {
        Some(Need::Lease(lease)) => Some(time(lease.until)),
        Some(Need::Task) | None => None,
    };
    json!({
        // As it was told, and as it will be in its next session.
        "seconds": told(summary), "wanted_seconds": wanted,
        "why": why, "leased_until": leased_until,
    })
}
