//! `/v1/plugins`: what is loaded, how it does, and why something is not.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, Page, Path, Time};
use crate::Acs;
use crate::plugins::PluginStatus;

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(reload))
        .routes(routes!(one))
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
) -> Result<Json<PluginView>, ApiError> {
    if !acs
        .plugins
        .statuses()
        .iter()
        .any(|status| status.name == name)
    {
        return Err(no_plugin(&name));
    }
    acs.plugins
        .rollback(&name)
        .await
        .map_err(ApiError::conflict)?;
    one(State(acs), Path(name)).await
}

fn no_plugin(name: &str) -> ApiError {
    ApiError::not_found(format!("there is no plugin {name:?}"))
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
