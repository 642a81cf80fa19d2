//! `/v1/plugins`: what is loaded, how it does, and why something is not.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::Trail;
use super::error::{ApiError, Body, Page, Path, Time};
use crate::Acs;
use crate::plugins::{COMPONENT_BYTES_MAX, ManageError, PluginStatus, SETTINGS_BYTES_MAX};

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(reload))
        .routes(routes!(one, put, change, delete))
        .routes(routes!(settings, set_settings))
        .routes(routes!(rollback))
}

/// The plugins, and why something is none.
#[utoipa::path(
    get, path = "/plugins", operation_id = "list_plugins",
    responses((status = 200, description = "All of them", body = Page<PluginView>)), tag = "Plugins",
    security(("token" = ["plugins:read"]))
)]
pub(super) async fn list(State(acs): State<Arc<Acs>>) -> Json<Page<PluginView>> {
    let items = acs.plugins.statuses().into_iter().map(view);
    Json(Page::whole(items.collect()))
}

/// How a plugin does.
#[utoipa::path(
    get, path = "/plugins/{name}", operation_id = "get_plugin",
    params(("name" = String, Path, description = "The name of its file, without the ending")),
    responses((status = 200, description = "How it does", body = PluginView)), tag = "Plugins",
    security(("token" = ["plugins:read"]))
)]
pub(super) async fn one(
    State(acs): State<Arc<Acs>>,
    Path(name): Path<String>,
) -> Result<Json<PluginView>, ApiError> {
    let statuses = acs.plugins.statuses();
    let found = statuses.into_iter().find(|status| status.name == name);
    found
        .map(|status| Json(view(status)))
        .ok_or_else(|| no_plugin(&name))
}

/// Looks at the directory of plugins now.
///
/// Where the file system gives no news of itself.
#[utoipa::path(
    post, path = "/plugins/reload", operation_id = "reload_plugins",
    responses((status = 200, description = "All of them", body = Page<PluginView>)), tag = "Plugins",
    security(("token" = ["plugins:write"]))
)]
pub(super) async fn reload(State(acs): State<Arc<Acs>>) -> Json<Page<PluginView>> {
    acs.plugins.reload().await;
    list(State(acs)).await
}

/// Back to the version of a plugin that ran before.
#[utoipa::path(
    post, path = "/plugins/{name}/rollback", operation_id = "roll_back_plugin",
    params(("name" = String, Path, description = "The name of its file, without the ending")),
    responses((status = 200, description = "The version before runs", body = PluginView)), tag = "Plugins",
    security(("token" = ["plugins:write"]))
)]
pub(super) async fn rollback(
    State(acs): State<Arc<Acs>>,
    Path(name): Path<String>,
    trail: Trail,
) -> Result<Json<PluginView>, ApiError> {
    if !acs
        .plugins
        .statuses()
        .iter()
        .any(|status| status.name == name)
    {
        return Err(no_plugin(&name));
    }
    let before = running(&acs, &name);
    acs.plugins
        .rollback(&name)
        .await
        .map_err(ApiError::conflict)?;
    trail.between(before, running(&acs, &name));
    one(State(acs), Path(name)).await
}

/// What runs of a plugin, for the audit log.
fn running(acs: &Acs, name: &str) -> Option<Value> {
    let statuses = acs.plugins.statuses();
    let status = statuses.into_iter().find(|status| status.name == name)?;
    Some(json!({
        "file": status.file,
        "version": status.version,
        "sha256": status.hash,
        "state": status.state,
    }))
}

/// The operator's file of a plugin, for the audit log: secrets are told by their names.
async fn told_settings(acs: &Acs, name: &str) -> Option<Value> {
    let text = acs.plugins.settings(name).await.ok()?;
    match toml::from_str::<toml::Table>(&text) {
        Ok(table) => serde_json::to_value(table).ok(),
        Err(_) => Some(json!({ "unreadable_bytes": text.len() })),
    }
}

fn no_plugin(name: &str) -> ApiError {
    ApiError::not_found(format!("there is no plugin {name:?}"))
}

/// The operator's file of a plugin.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PluginSettings {
    /// TOML; empty = there is none.
    #[schema(max_length = 1_048_576)]
    text: String,
}

/// Whether a plugin is to run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangePlugin {
    enabled: bool,
}

/// Puts a plugin in the place of the one of that name: a component, or the text of a profile.
///
/// It is tried before it takes effect; if it is refused, the one before still runs.
#[utoipa::path(
    put, path = "/plugins/{name}", operation_id = "put_plugin", tag = "Plugins",
    params(("name" = String, Path, description = "1 to 64 letters, digits, `-`, `_` and `.`")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "A component of WebAssembly, or a profile in TOML; at most 32 MiB"),
    responses((status = 200, description = "It runs, unless its settings disable it", body = PluginView)),
    security(("token" = ["plugins:write"]))
)]
pub(super) async fn put(
    State(acs): State<Arc<Acs>>,
    Path(name): Path<String>,
    trail: Trail,
    request: Request,
) -> Result<Json<PluginView>, ApiError> {
    let body = axum::body::to_bytes(request.into_body(), COMPONENT_BYTES_MAX).await;
    let body = body.map_err(|_| {
        ApiError::with_status(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("expected at most {COMPONENT_BYTES_MAX} bytes"),
        )
    })?;
    let before = running(&acs, &name);
    acs.plugins.put(&name, body.into()).await?;
    trail.between(before, running(&acs, &name));
    one(State(acs), Path(name)).await
}

/// Has a plugin run, or not.
#[utoipa::path(
    patch, path = "/plugins/{name}", operation_id = "change_plugin", tag = "Plugins",
    params(("name" = String, Path, description = "The name of its file, without the ending")),
    request_body = ChangePlugin,
    responses((status = 200, description = "How it does from then on", body = PluginView)),
    security(("token" = ["plugins:write"]))
)]
pub(super) async fn change(
    State(acs): State<Arc<Acs>>,
    Path(name): Path<String>,
    trail: Trail,
    Body(request): Body<ChangePlugin>,
) -> Result<Json<PluginView>, ApiError> {
    let before = running(&acs, &name);
    acs.plugins.set_enabled(&name, request.enabled).await?;
    trail.between(before, running(&acs, &name));
    one(State(acs), Path(name)).await
}

/// Takes a plugin and its settings away.
#[utoipa::path(
    delete, path = "/plugins/{name}", operation_id = "delete_plugin", tag = "Plugins",
    params(("name" = String, Path, description = "The name of its file, without the ending")),
    responses((status = 204, description = "It is gone")),
    security(("token" = ["plugins:write"]))
)]
pub(super) async fn delete(
    State(acs): State<Arc<Acs>>,
    Path(name): Path<String>,
    trail: Trail,
) -> Result<StatusCode, ApiError> {
    let settings = told_settings(&acs, &name).await;
    let before = json!({ "plugin": running(&acs, &name), "settings": settings });
    acs.plugins.delete(&name).await?;
    trail.removed(before);
    Ok(StatusCode::NO_CONTENT)
}

/// The operator's file of a plugin. There may be secrets in it.
#[utoipa::path(
    get, path = "/plugins/{name}/settings", operation_id = "get_plugin_settings", tag = "Plugins",
    params(("name" = String, Path, description = "The name of its file, without the ending")),
    responses((status = 200, description = "The file", body = PluginSettings)),
    security(("token" = ["plugins:write"]))
)]
pub(super) async fn settings(
    State(acs): State<Arc<Acs>>,
    Path(name): Path<String>,
) -> Result<Json<PluginSettings>, ApiError> {
    let text = acs.plugins.settings(&name).await?;
    Ok(Json(PluginSettings { text }))
}

/// Replaces the operator's file of a plugin.
///
/// It is checked before it takes effect; what is wrong with it is told with its line.
#[utoipa::path(
    put, path = "/plugins/{name}/settings", operation_id = "set_plugin_settings", tag = "Plugins",
    params(("name" = String, Path, description = "The name of its file, without the ending")),
    request_body = PluginSettings,
    responses((status = 200, description = "How it does from then on", body = PluginView)),
    security(("token" = ["plugins:write"]))
)]
pub(super) async fn set_settings(
    State(acs): State<Arc<Acs>>,
    Path(name): Path<String>,
    trail: Trail,
    Body(request): Body<PluginSettings>,
) -> Result<Json<PluginView>, ApiError> {
    if request.text.len() > SETTINGS_BYTES_MAX {
        return Err(ApiError::bad(format!(
            "expected a text of at most {SETTINGS_BYTES_MAX} bytes, got {}",
            request.text.len()
        )));
    }
    let before = told_settings(&acs, &name).await;
    acs.plugins.set_settings(&name, &request.text).await?;
    trail.between(before, told_settings(&acs, &name).await);
    one(State(acs), Path(name)).await
}

impl From<ManageError> for ApiError {
    fn from(error: ManageError) -> ApiError {
        match error {
            ManageError::NoSuchPlugin(_) => ApiError::not_found(error.to_string()),
            ManageError::Refused(_) => ApiError::bad(error.to_string()),
            ManageError::Conflict(_) => ApiError::conflict(error.to_string()),
            ManageError::Io(_) => {
                tracing::error!(%error, "the plugins' directory");
                ApiError::internal(error.to_string())
            }
        }
    }
}

/// A plugin: a file in the directory, or what was one.
#[derive(Serialize, ToSchema)]
pub(super) struct PluginView {
    #[serde(flatten)]
    status: PluginStatus,
    loaded_at: Option<Time>,
}

fn view(status: PluginStatus) -> PluginView {
    PluginView {
        loaded_at: status.loaded_at.map(Time),
        status,
    }
}
