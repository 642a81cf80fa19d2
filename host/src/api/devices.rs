//! `/v1/devices`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, Optional, Page, PageQuery, Path, Query, maybe_time, time};
use super::reachability::wake_view;
use super::scope::Scope;
use crate::Acs;
use crate::device::{Contacts, DataModel, DeviceKey, Summary, is_secret};
use crate::nat::udp::UdpAddress;
use crate::nat::wake::WakeReport;

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one, forget))
        .routes(routes!(faults, clear_faults))
        .routes(routes!(tag, untag))
        .routes(routes!(wake))
}

/// Tags of one device.
const TAGS_MAX: usize = 100;
/// Characters of one tag.
const TAG_CHARS_MAX: usize = 64;

/// A device as the API shows it.
#[derive(Serialize)]
pub(super) struct DeviceView {
    id: String,
    instance: String,
    manufacturer: String,
    oui: String,
    product_class: String,
    serial_number: String,
    software_version: String,
    hardware_version: String,
    provisioning_code: String,
    data_model: DataModel,
    cwmp_version: String,
    tags: Vec<String>,
    /// Absent: it is expected, and has not come yet.
    first_contact: Option<String>,
    last_contact: Option<String>,
    /// When all logic last ran: behind `last_contact` for a device that informs every few seconds.
    last_full_refresh: Option<String>,
    peer_address: String,
    login: Value,
    connection_request: Value,
    reachability: Value,
    /// What the device last told or asked by itself, the newest first.
    device_requests: Vec<Value>,
    /// All sessions are traced until then.
    trace_until: Option<String>,
    /// Null: XMPP is off.
    xmpp: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BTreeMap<String, ParameterView>>,
}

/// A parameter as the API shows it: without a value if it was never read, or is a secret.
#[derive(Serialize)]
pub(super) struct ParameterView {
    value: Option<String>,
    #[serde(rename = "type")]
    xsd_type: String,
    read_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    writable: Option<bool>,
}

fn view(
    acs: &Acs,
    key: &DeviceKey,
    summary: &Summary,
    contacts: Contacts,
    udp: Option<UdpAddress>,
) -> DeviceView {
    let request = &summary.connection_request;
    DeviceView {
        id: key.id.to_string(),
        instance: key.instance.to_string(),
        manufacturer: summary.manufacturer.clone(),
        oui: summary.oui.clone(),
        product_class: summary.product_class.clone(),
        serial_number: summary.serial_number.clone(),
        software_version: summary.software_version.clone(),
        hardware_version: summary.hardware_version.clone(),
        provisioning_code: summary.provisioning_code.clone(),
        data_model: summary.data_model,
        cwmp_version: summary.cwmp_version.clone(),
        tags: summary.tags.iter().cloned().collect(),
        first_contact: maybe_time(summary.first_contact),
        last_contact: maybe_time(contacts.last_contact),
        last_full_refresh: maybe_time(contacts.last_full),
        peer_address: summary.peer_address.clone(),
        login: super::credentials::view(&summary.login),
        connection_request: json!({
            "url": request.url,
            "username": request.credentials.as_ref().map(|c| &c.username),
            "has_credentials": request.credentials.is_some(),
        }),
        reachability: super::reachability::view(acs, key, summary, contacts, udp),
        device_requests: summary
            .own_requests
            .iter()
            .map(|own| json!({ "at": time(own.at), "method": own.method, "text": own.text }))
            .collect(),
        trace_until: maybe_time(summary.trace_until),
        xmpp: xmpp_view(acs, key, summary),
        parameters: None,
    }
}

/// The device's XMPP stream. Whether it is online is not known where another server has it.
fn xmpp_view(acs: &Acs, key: &DeviceKey, summary: &Summary) -> Value {
    let Some(xmpp) = &acs.xmpp else {
        return Value::Null;
    };
    let account = &summary.xmpp;
    let presence = xmpp.presence(key);
    let since = presence.as_ref().map(|presence| presence.since);
    let seen = xmpp.sees_presence();
    let last_change = (account.online_since != 0).then_some(account.online_since);
    json!({
        "username": crate::nat::xmpp::account::username(&key.id),
        "has_account": account.keys.is_some(),
        "configured": account.told.is_some() && account.refused.is_none(),
        "refused": account.refused,
        "online": seen.then_some(presence.is_some()),
        "since": if seen { since.or(last_change).map(time) } else { None },
        "resource": presence.map(|presence| presence.resource),
    })
}

#[utoipa::path(
    get, path = "/devices", operation_id = "list_devices", tag = "Devices",
    security(("token" = ["devices:read"]))
)]
pub(super) async fn list(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<DeviceView>>, ApiError> {
    let limit = page.limit()?;
    let listed = acs
        .store
        .devices(&scope.instance.name, page.after.as_deref(), limit)?;
    let now = acs.clock.unix();
    let next = (listed.len() == limit)
        .then(|| listed.last().map(|l| l.key.id.to_string()))
        .flatten();
    let items = listed
        .iter()
        .map(|l| {
            let udp = acs.udp_address(&l.key, None, now);
            view(&acs, &l.key, &l.summary, l.contacts, udp)
        })
        .collect();
    Ok(Json(Page { items, next }))
}

/// Which parameters to show.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneQuery {
    /// A name, a partial path, or with `*` for any instance; all if absent.
    parameters: Option<String>,
}

#[utoipa::path(
    get, path = "/devices/{id}", operation_id = "get_device", tag = "Devices",
    security(("token" = ["devices:read"]))
)]
pub(super) async fn one(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    Query(query): Query<OneQuery>,
) -> Result<Json<DeviceView>, ApiError> {
    let cell = scope.cell(&acs, &id)?;
    let mut device = cell.lock();
    let udp = acs.udp_address(cell.key(), Some(&device), acs.clock.unix());
    let mut view = view(&acs, cell.key(), device.summary(), cell.contacts(), udp);
    let wanted = query.parameters.unwrap_or_default();
    let parameters = device.tree_mut().prefix(&wanted).map(|(path, reading)| {
        // Of some only the name is known, from GetParameterNames.
        let shown = reading.read_at != 0 && !is_secret(path);
        let value = shown.then(|| reading.value.to_string());
        let parameter = ParameterView {
            value,
            xsd_type: reading.xsd_type.to_string(),
            read_at: maybe_time(reading.read_at),
            writable: reading.writable,
        };
        (path.to_owned(), parameter)
    });
    view.parameters = Some(parameters.collect());
    Ok(Json(view))
}

#[utoipa::path(
    delete, path = "/devices/{id}", operation_id = "forget_device", tag = "Devices",
    security(("token" = ["devices:write"]))
)]
pub(super) async fn forget(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let key = scope.key(&acs, &id)?;
    if acs.store.delete(&key).await? {
        acs.short_informs.note(&key, None);
        acs.short_informs.release(&key);
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::no_device(&key))
}

#[utoipa::path(
    get, path = "/devices/{id}/faults", operation_id = "list_device_faults", tag = "Faults",
    security(("token" = ["faults:read"]))
)]
pub(super) async fn faults(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
) -> Result<Json<Page<Value>>, ApiError> {
    let cell = scope.cell(&acs, &id)?;
    let faults = acs.store.faults(cell.key())?;
    let items = faults
        .iter()
        .map(|fault| {
            let mut view = json!(fault);
            if let Some(object) = view.as_object_mut() {
                object.insert("at".into(), time(fault.at).into());
                if let Some(name) = fault.code.and_then(cwmp::rpc::fault::name) {
                    object.insert("name".into(), name.into());
                }
                if let Some(advice) = fault.code.and_then(cwmp::rpc::fault::advice) {
                    object.insert("advice".into(), advice.into());
                }
            }
            view
        })
        .collect();
    Ok(Json(Page { items, next: None }))
}

#[utoipa::path(
    delete, path = "/devices/{id}/faults", operation_id = "clear_device_faults", tag = "Faults",
    security(("token" = ["faults:write"]))
)]
pub(super) async fn clear_faults(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    acs.store.clear_faults(scope.cell(&acs, &id)?.key());
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(
    put, path = "/devices/{id}/tags/{tag}", operation_id = "tag_device", tag = "Devices",
    security(("token" = ["devices:annotate"]))
)]
pub(super) async fn tag(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path((id, tag)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    if tag.is_empty() || tag.chars().count() > TAG_CHARS_MAX || tag.chars().any(char::is_control) {
        return Err(ApiError::bad(format!(
            "expected a tag of 1 to {TAG_CHARS_MAX} characters, got {tag:?}"
        )));
    }
    let cell = scope.cell(&acs, &id)?;
    let mut full = false;
    cell.lock().summary_mut(|summary| {
        full = summary.tags.len() >= TAGS_MAX && !summary.tags.contains(&tag);
        if !full {
            summary.tags.insert(tag);
        }
    });
    if full {
        return Err(ApiError::conflict(format!(
            "the device has {TAGS_MAX} tags already"
        )));
    }
    acs.store.persist(&cell).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(
    delete, path = "/devices/{id}/tags/{tag}", operation_id = "untag_device", tag = "Devices",
    security(("token" = ["devices:annotate"]))
)]
pub(super) async fn untag(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path((id, tag)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let cell = scope.cell(&acs, &id)?;
    cell.lock().summary_mut(|summary| {
        summary.tags.remove(&tag);
    });
    acs.store.persist(&cell).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How to wake.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WakeRequest {
    /// Wait so long for the end; 0 = do not wait.
    wait_seconds: u64,
}

#[utoipa::path(
    post, path = "/devices/{id}/wake", operation_id = "wake_device",
    request_body = Option<WakeRequest>, tag = "Devices",
    security(("token" = ["tasks:write"]))
)]
pub(super) async fn wake(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    Optional(request): Optional<WakeRequest>,
) -> Result<Json<Value>, ApiError> {
    let wait = wait(&acs, request.wait_seconds)?;
    let cell = scope.cell(&acs, &id)?;
    let mut report = acs.wake(cell.key())?;
    let ended = |report: &WakeReport| report.state.is_end();
    let _ = tokio::time::timeout(wait, report.wait_for(ended)).await;
    let view = wake_view(&acs, cell.key(), &report.borrow());
    Ok(Json(view))
}

/// How long a request may wait.
pub(super) fn wait(acs: &Acs, seconds: u64) -> Result<Duration, ApiError> {
    let most = acs.config.api.wait_seconds_max;
    if seconds <= most {
        return Ok(Duration::from_secs(seconds));
    }
    Err(ApiError::bad(format!(
        "expected wait_seconds of 0 to {most}, got {seconds}"
    )))
}
