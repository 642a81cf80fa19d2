//! `/v1/instances`: the instances of the host and their settings.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::Trail;
use super::error::{ApiError, Body, ErrorBody, Page, Path};
use super::scope::Scope;
use crate::Acs;
use crate::access::{Access, Action, Permission, Resource};
use crate::config;
use crate::instances::{ChangeError, Entry, of_host};

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(one, change, remove))
}

/// An instance: a tenant of the host, with devices, files, users and settings of its own.
#[derive(Serialize, ToSchema)]
pub(super) struct InstanceView {
    /// Its name: in paths, and in the accounts of its devices.
    name: String,
    /// Devices that it knows.
    devices: usize,
    /// Whether `patchbay.toml` names it: then it cannot be removed here.
    in_file: bool,
    /// The settings that were changed here and go before those of `patchbay.toml`.
    #[schema(example = json!(["hosts"]))]
    changed: Vec<String>,
    /// The ACS URLs of its devices, as far as the settings tell.
    acs_urls: Vec<String>,
    /// All its settings. Passwords are not shown.
    settings: config::Instance,
}

/// An instance to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateInstance {
    /// 1 to 32 of `a-z`, `0-9` and `-`, a letter first.
    #[schema(
        min_length = 1,
        max_length = 32,
        pattern = "^[a-z][a-z0-9-]*$",
        example = "acme"
    )]
    name: String,
    /// Its settings as far as they are not the defaults.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({ "hosts": ["acs.acme.example"] }))]
    settings: Map<String, Value>,
}

fn view(acs: &Acs, entry: &Entry) -> InstanceView {
    let instance = &entry.instance;
    let (_, links) = acs.links(instance);
    InstanceView {
        name: instance.name.to_string(),
        devices: acs.store.count(&instance.name),
        in_file: entry.in_file,
        changed: entry.changed.keys().cloned().collect(),
        acs_urls: links.cwmp.into_iter().chain(links.cwmp_tls).collect(),
        settings: instance.settings.without_secrets(),
    }
}

/// Whether the principal may see the settings of an instance.
fn may_see(scope: &Scope, name: &str) -> bool {
    let permission = Permission {
        resource: Resource::Instances,
        action: Action::Read,
    };
    let access = scope.principal.on(Some(name), permission);
    scope.principal.instances().has(name) && !matches!(access, Access::Denied)
}

/// The instances that the caller may see.
#[utoipa::path(
    get, path = "/instances", operation_id = "list_instances", tag = "Instances",
    security(("token" = ["instances:read"])),
    responses((status = 200, body = Page<InstanceView>)),
)]
pub(super) async fn list(State(acs): State<Arc<Acs>>, scope: Scope) -> Json<Page<InstanceView>> {
    let entries = acs.instances.entries().into_iter();
    let seen = entries.filter(|entry| may_see(&scope, &entry.instance.name));
    Json(Page {
        items: seen.map(|entry| view(&acs, &entry)).collect(),
        next: None,
    })
}

/// Makes an instance. It is served at once: at its host names, at the path `/i/NAME` of any
/// other address of the host, and at its own listeners.
#[utoipa::path(
    post, path = "/instances", operation_id = "create_instance", tag = "Instances",
    request_body = CreateInstance,
    security(("token" = ["instances:write"])),
    responses(
        (status = 201, body = InstanceView),
        (status = 409, description = "There is one of this name, or it would take what is another's"),
    ),
)]
pub(super) async fn create(
    State(acs): State<Arc<Acs>>,
    trail: Trail,
    Body(CreateInstance { name, settings }): Body<CreateInstance>,
) -> Result<Response, ApiError> {
    let entry = acs.instances.create(&name, settings).await?;
    trail.made(json!({ "name": name, "settings": entry.changed }));
    tracing::info!(instance = name, "an instance was made");
    let mut response = (StatusCode::CREATED, Json(view(&acs, &entry))).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/instances/{name}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// The settings that a patch names, for the audit log.
fn named(entry: &Entry, patch: &Map<String, Value>) -> Value {
    let mut settings = json!(entry.instance.settings);
    if let Value::Object(settings) = &mut settings {
        settings.retain(|name, _| patch.contains_key(name));
    }
    settings
}

/// One instance with its settings.
#[utoipa::path(
    get, path = "/instances/{name}", operation_id = "get_instance", tag = "Instances",
    params(("name" = String, Path, description = "Of the instance")),
    security(("token" = ["instances:read"])),
    responses((status = 200, body = InstanceView), (status = 404, description = "There is none")),
)]
pub(super) async fn one(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(name): Path<String>,
) -> Result<Json<InstanceView>, ApiError> {
    let entry = acs.instances.entry(&name);
    let entry = entry.filter(|_| may_see(&scope, &name));
    let entry = entry.ok_or(ChangeError::Unknown(name))?;
    Ok(Json(view(&acs, &entry)))
}

/// Changes settings of an instance by a JSON merge patch (RFC 7396), in which null goes back to
/// the setting of `patchbay.toml`, or to the default. They hold for sessions that begin from then on.
///
/// Whoever may write instances may change all of them. An instance's own administrator may not change
/// `hosts`, `listen`, `listen_tls`, `trusted_proxies`, `connection_request_allow`, `connection_request_from`,
/// `http_proxy`, `waking.calls_at_once_max` and `waking.waiting_max`: these are the host's.
#[utoipa::path(
    patch, path = "/instances/{name}", operation_id = "change_instance", tag = "Instances",
    params(("name" = String, Path, description = "Of the instance")),
    request_body(content = Object, example = json!({ "standard_periodic_inform_seconds": 7200 })),
    security(("token" = ["instances:configure"])),
    responses(
        (status = 200, body = InstanceView),
        (status = 403, description = "Settings are among them that are the host's; it names them", body = ErrorBody),
        (status = 404, description = "There is none"),
        (status = 409, description = "It would take what is another's"),
    ),
)]
pub(super) async fn change(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(name): Path<String>,
    trail: Trail,
    Body(patch): Body<Map<String, Value>>,
) -> Result<Json<InstanceView>, ApiError> {
    if name != *scope.instance.name {
        return Err(ChangeError::Unknown(name).into());
    }
    let write = Permission::new(Resource::Instances, Action::Write);
    let of_host = of_host(&patch);
    if !of_host.is_empty() && !matches!(scope.principal.on(None, write), Access::All) {
        return Err(ApiError::forbidden(format!(
            "{} may not change {}: these are settings of the host, and need {write} in all instances",
            scope.principal.name,
            of_host.join(", ")
        )));
    }
    let (before, entry) = acs.instances.change(&name, &patch).await?;
    trail.between(Some(named(&before, &patch)), Some(named(&entry, &patch)));
    let settings: Vec<&String> = patch.keys().collect();
    tracing::info!(
        instance = name,
        ?settings,
        "settings of an instance were changed"
    );
    Ok(Json(view(&acs, &entry)))
}

/// Removes an instance that has no devices and no files any more. Its name is not used again.
#[utoipa::path(
    delete, path = "/instances/{name}", operation_id = "delete_instance", tag = "Instances",
    params(("name" = String, Path, description = "Of the instance")),
    security(("token" = ["instances:write"])),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is none"),
        (status = 409, description = "It has devices or files, or stands in `patchbay.toml`"),
    ),
)]
pub(super) async fn remove(
    State(acs): State<Arc<Acs>>,
    Path(name): Path<String>,
    trail: Trail,
) -> Result<StatusCode, ApiError> {
    let before = acs.instances.entry(&name);
    acs.instances.remove(&name).await?;
    trail.removed(before.map(|before| json!({ "name": name, "settings": before.changed })));
    acs.gate.forget_instance(&name).await?;
    tracing::info!(instance = name, "an instance was removed");
    Ok(StatusCode::NO_CONTENT)
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> ApiError {
        match error {
            ChangeError::Wrong(_) => ApiError::bad(error.to_string()),
            ChangeError::Unknown(_) => ApiError::not_found(error.to_string()),
            ChangeError::Exists(_) | ChangeError::Conflict(_) => {
                ApiError::conflict(error.to_string())
            }
            ChangeError::Store(error) => error.into(),
        }
    }
}
