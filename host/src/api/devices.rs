//! `/v1/devices`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::Trail;
use super::credentials::LoginView;
use super::error::{ApiError, Optional, Path, Query, Time};
use super::reachability::{ReachabilityView, WakeView, wake_view};
use super::scope::Scope;
use crate::device::{Contacts, DataModel, DeviceKey, Summary, is_secret};
use crate::events::{DeviceDeleted, Event, What};
use crate::nat::udp::UdpAddress;
use crate::nat::wake::WakeReport;
use crate::store::DeviceCell;
use crate::{Acs, spent};

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(one, forget))
        .routes(routes!(tag, untag))
        .routes(routes!(wake))
}

/// Tags of one device.
pub(super) const TAGS_MAX: usize = 100;
/// Characters of one tag.
pub(super) const TAG_CHARS_MAX: usize = 64;

/// A device.
#[derive(Serialize, ToSchema)]
pub(super) struct DeviceView {
    #[schema(examples("00AABB-HG1-123"))]
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
    /// What people call it.
    label: String,
    /// It is unknown, and nothing is done with it until somebody releases it.
    quarantined: bool,
    /// Null: it is expected, and has not come yet.
    first_contact: Option<Time>,
    last_contact: Option<Time>,
    /// When all logic last ran: behind `last_contact` for a device that informs every few seconds.
    last_full_refresh: Option<Time>,
    peer_address: String,
    login: LoginView,
    connection_request: ConnectionRequestView,
    reachability: ReachabilityView,
    /// What the device last told or asked by itself, the newest first.
    device_requests: Vec<DeviceRequestView>,
    /// All sessions are traced until then.
    trace_until: Option<Time>,
    /// Null: XMPP is off.
    xmpp: Option<XmppView>,
    /// By their names; absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    parameters: Option<BTreeMap<String, ParameterView>>,
}

/// A parameter: without a value if it was never read, or is a secret.
#[derive(Serialize, ToSchema)]
pub(super) struct ParameterView {
    value: Option<String>,
    /// The XML Schema type.
    #[serde(rename = "type")]
    xsd_type: String,
    /// When it was last read or confirmed.
    read_at: Option<Time>,
    /// Absent: GetParameterNames has not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    writable: Option<bool>,
}

/// Where and how a device takes connection requests.
#[derive(Serialize, ToSchema)]
struct ConnectionRequestView {
    url: String,
    username: Option<String>,
    has_credentials: bool,
}

/// Something that a device told or asked by itself.
#[derive(Serialize, ToSchema)]
struct DeviceRequestView {
    at: Time,
    /// The RPC.
    method: String,
    /// What it said, for people.
    text: String,
}

/// A device's XMPP stream. Whether it is online is not known where another server has it.
#[derive(Serialize, ToSchema)]
struct XmppView {
    username: String,
    has_account: bool,
    /// The device has taken the settings.
    configured: bool,
    /// Why it has not.
    refused: Option<String>,
    online: Option<bool>,
    since: Option<Time>,
    resource: Option<String>,
}

pub(super) fn view(
    acs: &Acs,
    key: &DeviceKey,
    summary: &Summary,
    contacts: Contacts,
    udp: Option<UdpAddress>,
) -> DeviceView {
    let request = &summary.connection_request;
    let requests = summary.own_requests.iter().map(|own| DeviceRequestView {
        at: Time(own.at),
        method: own.method.clone(),
        text: own.text.clone(),
    });
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
        label: summary.label.clone(),
        quarantined: summary.quarantined,
        first_contact: Time::maybe(summary.first_contact),
        last_contact: Time::maybe(contacts.last_contact),
        last_full_refresh: Time::maybe(contacts.last_full),
        peer_address: summary.peer_address.clone(),
        login: super::credentials::view(&summary.login),
        connection_request: ConnectionRequestView {
            url: request.url.clone(),
            username: request.credentials.as_ref().map(|c| c.username.clone()),
            has_credentials: request.credentials.is_some(),
        },
        reachability: super::reachability::view(acs, key, summary, contacts, udp),
        device_requests: requests.collect(),
        trace_until: Time::maybe(summary.trace_until),
        xmpp: xmpp_view(acs, key, summary),
        parameters: None,
    }
}

fn xmpp_view(acs: &Acs, key: &DeviceKey, summary: &Summary) -> Option<XmppView> {
    let xmpp = acs.xmpp.as_ref()?;
    let account = &summary.xmpp;
    let presence = xmpp.presence(key);
    let since = presence.as_ref().map(|presence| presence.since);
    let seen = xmpp.sees_presence();
    let last_change = (account.online_since != 0).then_some(account.online_since);
    Some(XmppView {
        username: crate::nat::xmpp::account::username(&key.account()),
        has_account: account.keys.is_some(),
        configured: account.told.is_some() && account.refused.is_none(),
        refused: account.refused.clone(),
        online: seen.then_some(presence.is_some()),
        since: since.or(last_change).filter(|_| seen).map(Time),
        resource: presence.map(|presence| presence.resource),
    })
}

/// Which parameters to show.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OneQuery {
    /// A name, a partial path, or with `*` for any instance; all if absent.
    parameters: Option<String>,
}

/// A device, with its parameters.
#[utoipa::path(
    get, path = "/devices/{id}", operation_id = "get_device",
    params(("id" = String, Path, description = "Of the device"), OneQuery),
    responses((status = 200, description = "The device with its parameters", body = DeviceView)), tag = "Devices",
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
            read_at: Time::maybe(reading.read_at),
            writable: reading.writable,
        };
        (path.to_owned(), parameter)
    });
    view.parameters = Some(parameters.collect());
    Ok(Json(view))
}

/// Deletes all that is known of a device; it is a new one when it comes again.
#[utoipa::path(
    delete, path = "/devices/{id}", operation_id = "forget_device",
    params(("id" = String, Path, description = "Of the device")),
    responses((status = 204, description = "Forgotten")), tag = "Devices",
    security(("token" = ["devices:write"]))
)]
pub(super) async fn forget(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
) -> Result<StatusCode, ApiError> {
    let key = scope.key(&acs, &id)?;
    let cell = acs.store.device(&key)?;
    if acs.store.delete(&key).await? {
        trail.removed(cell.map(|cell| settings(cell.lock().summary())));
        acs.short_informs.note(&key, None);
        acs.short_informs.release(&key);
        acs.events.unreachable.came(&key);
        let what = What::DeviceDeleted(DeviceDeleted {});
        let event = Event::of_device(acs.clock.unix(), &key, what);
        acs.events.emit(event);
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::no_device(&key))
}

/// Gives a device a tag.
#[utoipa::path(
    put, path = "/devices/{id}/tags/{tag}", operation_id = "tag_device",
    params(("id" = String, Path, description = "Of the device"), ("tag" = String, Path, description = "1 to 64 characters", min_length = 1, max_length = 64)),
    responses((status = 204, description = "It has the tag")), tag = "Devices",
    security(("token" = ["devices:annotate"]))
)]
pub(super) async fn tag(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path((id, tag)): Path<(String, String)>,
    trail: Trail,
) -> Result<StatusCode, ApiError> {
    if tag.is_empty() || tag.chars().count() > TAG_CHARS_MAX || tag.chars().any(char::is_control) {
        return Err(ApiError::bad(format!(
            "expected a tag of 1 to {TAG_CHARS_MAX} characters, got {tag:?}"
        )));
    }
    let cell = scope.cell(&acs, &id)?;
    let mut full = false;
    retag(&acs, &cell, &trail, |tags| {
        full = tags.len() >= TAGS_MAX && !tags.contains(&tag);
        if !full {
            tags.insert(tag);
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

/// Takes a tag from a device.
#[utoipa::path(
    delete, path = "/devices/{id}/tags/{tag}", operation_id = "untag_device",
    params(("id" = String, Path, description = "Of the device"), ("tag" = String, Path, description = "Of the device")),
    responses((status = 204, description = "It does not have the tag")), tag = "Devices",
    security(("token" = ["devices:annotate"]))
)]
pub(super) async fn untag(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path((id, tag)): Path<(String, String)>,
    trail: Trail,
) -> Result<StatusCode, ApiError> {
    let cell = scope.cell(&acs, &id)?;
    retag(&acs, &cell, &trail, |tags| {
        tags.remove(&tag);
    });
    acs.store.persist(&cell).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What people have said of a device, for the audit log.
pub(super) fn settings(summary: &Summary) -> Value {
    json!({
        "manufacturer": summary.manufacturer,
        "oui": summary.oui,
        "product_class": summary.product_class,
        "serial_number": summary.serial_number,
        "software_version": summary.software_version,
        "tags": summary.tags,
        "label": summary.label,
        "notes": summary.notes,
        "quarantined": summary.quarantined,
        "credentials": summary.login.credentials,
    })
}

/// Changes tags, and tells so.
fn retag(acs: &Acs, cell: &DeviceCell, trail: &Trail, change: impl FnOnce(&mut BTreeSet<String>)) {
    let mut device = cell.lock();
    let before = device.summary().tags.clone();
    device.summary_mut(|summary| change(&mut summary.tags));
    let after = &device.summary().tags;
    acs.events
        .tags(acs.clock.unix(), cell.key(), &before, after);
    trail.between(Some(&before), Some(after));
}

/// How to wake.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WakeRequest {
    /// Wait so long for the end; 0 = do not wait. At most `api.wait_seconds_max` of the configuration.
    #[schema(minimum = 0, maximum = 3600)]
    wait_seconds: u64,
}

/// Wakes a device: has it open a session now.
#[utoipa::path(
    post, path = "/devices/{id}/wake", operation_id = "wake_device",
    params(("id" = String, Path, description = "Of the device")),
    responses((status = 200, description = "The wake-up as it goes, or its end", body = WakeView)),
    request_body = Option<WakeRequest>, tag = "Devices",
    security(("token" = ["tasks:write"]))
)]
pub(super) async fn wake(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    Optional(request): Optional<WakeRequest>,
) -> Result<Json<WakeView>, ApiError> {
    let wait = wait(&acs, request.wait_seconds)?;
    let cell = scope.cell(&acs, &id)?;
    let mut report = acs.wake(cell.key())?;
    let ended = |report: &WakeReport| report.state.is_end();
    let waiting = tokio::time::timeout(wait, report.wait_for(ended));
    let _ = spent::on_devices(waiting).await;
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
