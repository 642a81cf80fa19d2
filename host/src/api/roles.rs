//! `/v1/roles`: what grants name. Roles are the host's: whoever has users in one instance only sees
//! them and writes none.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::Trail;
use super::error::{ApiError, Body, Page, Path};
use super::scope::Scope;
use crate::Acs;
use crate::access::{Instances, Role, RoleText};

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one, write, remove))
}

/// A role.
#[derive(Serialize, ToSchema)]
pub(super) struct RoleView {
    name: String,
    /// It cannot be changed.
    is_built_in: bool,
    /// For people.
    description: String,
    /// `devices:read`, `files:*`, `*:read`.
    permissions: Vec<String>,
    /// Only these devices, as a query; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    devices: Option<String>,
    /// Of `tasks:write` only these operations; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    operations: Option<Vec<String>>,
}

fn view(role: &Role) -> RoleView {
    let text = role.text.clone();
    RoleView {
        name: role.name.to_string(),
        is_built_in: role.is_built_in,
        description: text.description,
        permissions: text.permissions,
        devices: text.devices,
        operations: text.operations,
    }
}

/// All roles, by their names.
#[utoipa::path(
    get, path = "/roles", operation_id = "list_roles", tag = "Access",
    security(("token" = ["users:read"])),
    responses((status = 200, description = "All of them", body = Page<RoleView>))
)]
pub(super) async fn list(State(acs): State<Arc<Acs>>, _scope: Scope) -> Json<Page<RoleView>> {
    let roles = acs.gate.roles();
    let items = roles.iter().map(|role| view(role)).collect();
    Json(Page { items, next: None })
}

/// A role.
#[utoipa::path(
    get, path = "/roles/{name}", operation_id = "get_role", tag = "Access",
    security(("token" = ["users:read"])),
    params(("name" = String, Path, description = "Of the role")),
    responses(
        (status = 200, description = "The role", body = RoleView),
        (status = 404, description = "There is none"),
    )
)]
pub(super) async fn one(
    State(acs): State<Arc<Acs>>,
    _scope: Scope,
    Path(name): Path<String>,
) -> Result<Json<RoleView>, ApiError> {
    let role = acs.gate.role(&name);
    let role = role.ok_or_else(|| ApiError::not_found(format!("there is no role {name:?}")))?;
    Ok(Json(view(&role)))
}

/// Writes a role of your own. Who has it may do what it says from their next request on.
#[utoipa::path(
    put, path = "/roles/{name}", operation_id = "write_role", tag = "Access",
    security(("token" = ["users:write"])), request_body = RoleText,
    params(("name" = String, Path, description = "Of the role")),
    responses(
        (status = 200, description = "Changed", body = RoleView),
        (status = 201, description = "Made", body = RoleView),
        (status = 409, description = "It is built in"),
    )
)]
pub(super) async fn write(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(name): Path<String>,
    trail: Trail,
    body: Result<Body<RoleText>, ApiError>,
) -> Result<(StatusCode, Json<RoleView>), ApiError> {
    for_the_host(&scope)?;
    let Body(text) = body?;
    let before = acs.gate.role(&name);
    let (role, is_new) = acs.gate.put_role(&scope.principal, &name, text).await?;
    let status = match is_new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    trail.between(before.as_deref().map(view), Some(view(&role)));
    Ok((status, Json(view(&role))))
}

/// Removes a role that nobody has.
#[utoipa::path(
    delete, path = "/roles/{name}", operation_id = "remove_role", tag = "Access",
    security(("token" = ["users:write"])),
    params(("name" = String, Path, description = "Of the role")),
    responses(
        (status = 204, description = "Removed"),
        (status = 404, description = "There is none"),
        (status = 409, description = "It is built in, or somebody has it"),
    )
)]
pub(super) async fn remove(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(name): Path<String>,
    trail: Trail,
) -> Result<StatusCode, ApiError> {
    for_the_host(&scope)?;
    let before = acs.gate.role(&name);
    acs.gate.remove_role(&name).await?;
    trail.removed(before.as_deref().map(view));
    Ok(StatusCode::NO_CONTENT)
}

/// A role is the same in all instances.
fn for_the_host(scope: &Scope) -> Result<(), ApiError> {
    let principal = &scope.principal;
    if principal.instances_with(crate::access::USERS_WRITE) == Instances::All {
        return Ok(());
    }
    Err(ApiError::forbidden(format!(
        "{} may not write roles: it needs users:write in all instances",
        principal.name
    )))
}
