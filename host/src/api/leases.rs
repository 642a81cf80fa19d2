//! `/v1/devices/{id}/lease`: who needs a device that informs every few seconds.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::Trail;
use super::error::{ApiError, Optional, Path, Time};
use super::scope::Scope;
use crate::Acs;
use crate::device::{DeviceKey, Mode, Summary};
use crate::nat::short_inform::{Lease, Need, told};

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
    /// So long from now on.
    #[schema(minimum = 1, maximum = 86_400)]
    seconds: i64,
    /// For the operator.
    #[schema(max_length = 100)]
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

/// Has a device that cannot be woken inform every few seconds for a while.
#[utoipa::path(
    post, path = "/devices/{id}/lease", operation_id = "lease_device",
    params(("id" = String, Path, description = "Of the device")),
    responses((status = 200, description = "How often it informs; null: it can be woken", body = Option<PeriodicInformView>)),
    request_body = Option<LeaseRequest>, tag = "Devices",
    security(("token" = ["tasks:write"]))
)]
pub(super) async fn lease(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
    Optional(request): Optional<LeaseRequest>,
) -> Result<Json<Option<PeriodicInformView>>, ApiError> {
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
    let now = acs.clock.unix();
    let before = acs.short_informs.leased(cell.key(), now);
    acs.lease(cell.key(), now + seconds, &why);
    let after = acs.short_informs.leased(cell.key(), now);
    trail.between(
        before.as_ref().map(told_lease),
        after.as_ref().map(told_lease),
    );
    let summary = cell.lock().shared_summary();
    Ok(Json(view(&acs, cell.key(), &summary)))
}

/// Gives a lease back before its time.
#[utoipa::path(
    delete, path = "/devices/{id}/lease", operation_id = "release_device",
    params(("id" = String, Path, description = "Of the device")),
    responses((status = 204, description = "Released")), tag = "Devices",
    security(("token" = ["tasks:write"]))
)]
pub(super) async fn release(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
) -> Result<StatusCode, ApiError> {
    let cell = scope.cell(&acs, &id)?;
    let before = acs.short_informs.leased(cell.key(), acs.clock.unix());
    trail.removed(before.as_ref().map(told_lease));
    acs.short_informs.release(cell.key());
    Ok(StatusCode::NO_CONTENT)
}

/// For the audit log.
fn told_lease(lease: &Lease) -> Value {
    json!({ "until": Time(lease.until), "why": lease.why })
}

/// How often a device that cannot be woken informs, and why.
#[derive(Serialize, ToSchema)]
pub(super) struct PeriodicInformView {
    /// As it was told.
    seconds: Option<u32>,
    /// As it will be told in its next session.
    wanted_seconds: u32,
    /// Who needs it.
    why: String,
    /// Until when somebody has leased it.
    leased_until: Option<Time>,
}

/// How often a device that cannot be woken informs, and why; `None`: it can be.
pub(super) fn view(acs: &Acs, key: &DeviceKey, summary: &Summary) -> Option<PeriodicInformView> {
    if summary.nat.as_ref().map(|nat| nat.mode) != Some(Mode::ShortInform) {
        return None;
    }
    let now = acs.clock.unix();
    let need = acs.need(key, now);
    let why = match &need {
        _ if !acs.instances.of(key).settings.short_inform.lease => {
            "it cannot be woken, and leases are off".to_owned()
        }
        Some(Need::Task) => "a task waits for it".to_owned(),
        Some(Need::Lease(lease)) => lease.why.clone(),
        None => "nobody needs it".to_owned(),
    };
    let leased_until = match need {
        Some(Need::Lease(lease)) => Some(Time(lease.until)),
        Some(Need::Task) | None => None,
    };
    Some(PeriodicInformView {
        seconds: told(summary),
        wanted_seconds: acs.short_interval(key, now),
        why,
        leased_until,
    })
}
