//! `/v1/plugins`: what is loaded, how it does, and why something is not.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, Page, Path, time};
use crate::Acs;
use crate::plugins::PluginStatus;

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(reload))
        .routes(routes!(one))
        .routes(routes!(rollback))
}

#[utoipa::path(
    get, path = "/plugins", operation_id = "list_plugins", tag = "Plugins",
    security(("token" = ["plugins:read"]))
)]
pub(super) async fn list(State(acs): State<Arc<Acs>>) -> Json<Page<Value>> {
    let items = acs.plugins.statuses().iter().map(view).collect();
    Json(Page { items, next: None })
}

#[utoipa::path(
    get, path = "/plugins/{name}", operation_id = "get_plugin", tag = "Plugins",
    security(("token" = ["plugins:read"]))
)]
pub(super) async fn one(
    State(acs): State<Arc<Acs>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let statuses = acs.plugins.statuses();
    let found = statuses.iter().find(|status| status.name == name);
    found
        .map(|status| Json(view(status)))
        .ok_or_else(|| no_plugin(&name))
}

/// Looks at the directory now, where the file system gives no news of itself.
#[utoipa::path(
    post, path = "/plugins/reload", operation_id = "reload_plugins", tag = "Plugins",
    security(("token" = ["plugins:write"]))
)]
pub(super) async fn reload(State(acs): State<Arc<Acs>>) -> Json<Page<Value>> {
    acs.plugins.reload().await;
    list(State(acs)).await
}

/// Back to the version that ran before.
#[utoipa::path(
    post, path = "/plugins/{name}/rollback", operation_id = "roll_back_plugin", tag = "Plugins",
    security(("token" = ["plugins:write"]))
)]
pub(super) async fn rollback(
    State(acs): State<Arc<Acs>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
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

fn view(status: &PluginStatus) -> Value {
    let mut view = json!(status);
    if let Some(object) = view.as_object_mut() {
        object.insert("loaded_at".into(), json!(status.loaded_at.map(time)));
    }
    view
}
