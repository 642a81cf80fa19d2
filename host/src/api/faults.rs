//! `/v1/devices/{id}/faults`: what went wrong with devices.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::Trail;
use super::error::{ApiError, Page, PageQuery, Path, Query, Time};
use super::scope::Scope;
use crate::Acs;
use crate::store::FaultRecord;
use crate::work::task::{TaskId, TaskParameterError};

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(of_device, clear))
        .routes(routes!(list))
}

/// A fault of a device, or what else went wrong with it.
#[derive(Serialize, ToSchema)]
pub(super) struct FaultView {
    at: Time,
    /// Which RPC the device refused, or what else failed (`session`, `plugin`).
    rpc: String,
    /// The CWMP fault code, where it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    code: Option<u32>,
    /// The name of the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    name: Option<&'static str>,
    /// What was expected and what came.
    text: String,
    /// What can be done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    advice: Option<&'static str>,
    /// Which parameters were at fault; the first 20.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    parameters: Vec<TaskParameterError>,
    /// The task that asked, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    task: Option<TaskId>,
    /// The plugin that asked or failed, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    plugin: Option<String>,
}

impl From<FaultRecord> for FaultView {
    fn from(fault: FaultRecord) -> FaultView {
        FaultView {
            at: Time(fault.at),
            rpc: fault.rpc,
            code: fault.code,
            name: fault.code.and_then(cwmp::rpc::fault::name),
            text: fault.text,
            advice: fault.code.and_then(cwmp::rpc::fault::advice),
            parameters: fault.parameters,
            task: fault.task,
            plugin: fault.plugin,
        }
    }
}

/// A device, and what went wrong with it.
#[derive(Serialize, ToSchema)]
pub(super) struct FaultyDevice {
    device: String,
    /// The newest first.
    faults: Vec<FaultView>,
}

/// The devices of the instance with faults.
///
/// To have the task of a fault done again: `POST /tasks/{task}/retry`.
#[utoipa::path(
    get, path = "/faults", operation_id = "list_faults", tag = "Faults",
    params(PageQuery),
    responses((status = 200, description = "A page of them", body = Page<FaultyDevice>)),
    security(("token" = ["faults:read"]))
)]
pub(super) async fn list(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<FaultyDevice>>, ApiError> {
    let limit = page.limit()?;
    let instance = &scope.instance.name;
    let keys = acs
        .store
        .devices_with_faults(instance, page.after.as_deref(), limit)?;
    let next = keys.last().filter(|_| keys.len() == limit);
    let next = next.map(|key| key.id.to_string());
    let mut items = Vec::with_capacity(keys.len());
    for key in keys {
        let faults = acs.store.faults(&key)?;
        items.push(FaultyDevice {
            device: key.id.to_string(),
            faults: faults.into_iter().map(FaultView::from).collect(),
        });
    }
    Ok(Json(Page { items, next }))
}

/// The last faults of a device, the newest first.
#[utoipa::path(
    get, path = "/devices/{id}/faults", operation_id = "list_device_faults", tag = "Faults",
    params(("id" = String, Path, description = "Of the device")),
    responses((status = 200, description = "All that are kept", body = Page<FaultView>)),
    security(("token" = ["faults:read"]))
)]
pub(super) async fn of_device(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
) -> Result<Json<Page<FaultView>>, ApiError> {
    let cell = scope.cell(&acs, &id)?;
    let faults = acs.store.faults(cell.key())?;
    Ok(Json(Page::whole(
        faults.into_iter().map(FaultView::from).collect(),
    )))
}

/// Forgets the faults of a device.
#[utoipa::path(
    delete, path = "/devices/{id}/faults", operation_id = "clear_device_faults", tag = "Faults",
    params(("id" = String, Path, description = "Of the device")),
    responses((status = 204, description = "It has none")),
    security(("token" = ["faults:write"]))
)]
pub(super) async fn clear(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
) -> Result<StatusCode, ApiError> {
    let cell = scope.cell(&acs, &id)?;
    let faults = acs.store.faults(cell.key())?;
    trail.removed(serde_json::json!({ "faults": faults.len() }));
    acs.store.clear_faults(cell.key());
    Ok(StatusCode::NO_CONTENT)
}
