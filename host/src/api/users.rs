//! `/v1/users`: people with a password here.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::Trail;
use super::error::{ApiError, Body, Page, PageQuery, Path, Query, time};
use super::scope::Scope;
use crate::Acs;
use crate::access::{Given, Grant, User};

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(one, change, remove))
        .routes(routes!(reset_password))
}

/// A user.
#[derive(Serialize, ToSchema)]
pub(super) struct UserView {
    /// What is typed at the login.
    name: String,
    /// Roles, each in one instance or in all; only those that you may see.
    grants: Vec<Grant>,
    /// Cannot log in.
    is_disabled: bool,
    /// Has a password that somebody else knows.
    must_change_password: bool,
    #[schema(format = DateTime)]
    created: String,
    created_by: String,
    #[schema(format = DateTime)]
    password_set: String,
    /// To be told to the user; it is shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    one_time_password: Option<String>,
}

fn view(user: &User, grants: Vec<Grant>) -> UserView {
    UserView {
        name: user.name.to_string(),
        grants,
        is_disabled: user.is_disabled,
        must_change_password: user.must_change_password,
        created: time(user.created),
        created_by: user.created_by.clone(),
        password_set: time(user.password_set),
        one_time_password: None,
    }
}

fn given(given: Given) -> UserView {
    UserView {
        one_time_password: given.one_time_password,
        ..view(&given.user, given.user.grants.clone())
    }
}

/// The users that you may see, by their names.
#[utoipa::path(
    get, path = "/users", operation_id = "list_users", tag = "Access",
    security(("token" = ["users:read"])), params(PageQuery),
    responses((status = 200, description = "A page", body = Page<UserView>))
)]
pub(super) async fn list(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<UserView>>, ApiError> {
    let limit = page.limit()?;
    let users = acs.gate.users(&scope.principal);
    let after = |name: &str| page.after.as_deref().is_none_or(|after| name > after);
    let mut rest = users.into_iter().filter(|seen| after(&seen.user.name));
    let items: Vec<UserView> = rest
        .by_ref()
        .take(limit)
        .map(|seen| view(&seen.user, seen.grants))
        .collect();
    let last = items.last().map(|user| user.name.clone());
    let next = last.filter(|_| rest.next().is_some());
    Ok(Json(Page { items, next }))
}

/// A user to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    /// 1 to 64 letters, digits or `.-_@+`; kept in lower case.
    #[schema(example = "anna")]
    name: String,
    /// At least one; not more than you have.
    grants: Vec<Grant>,
    /// Without one you are told one; either is changed at the first login.
    #[schema(format = Password)]
    password: Option<String>,
}

/// Makes a user.
#[utoipa::path(
    post, path = "/users", operation_id = "create_user", tag = "Access",
    security(("token" = ["users:write"])), request_body = NewUser,
    responses(
        (status = 201, description = "Made", body = UserView),
        (status = 409, description = "There is one of this name"),
    )
)]
pub(super) async fn create(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    trail: Trail,
    Body(new): Body<NewUser>,
) -> Result<(StatusCode, Json<UserView>), ApiError> {
    let now = acs.clock.unix();
    let made = acs
        .gate
        .create_user(&scope.principal, &new.name, new.grants, new.password, now)
        .await?;
    let made = given(made);
    trail.made(&made);
    Ok((StatusCode::CREATED, Json(made)))
}

/// A user.
#[utoipa::path(
    get, path = "/users/{name}", operation_id = "get_user", tag = "Access",
    security(("token" = ["users:read"])),
    params(("name" = String, Path, description = "Of the user")),
    responses(
        (status = 200, description = "The user", body = UserView),
        (status = 404, description = "There is none that you may see"),
    )
)]
pub(super) async fn one(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(name): Path<String>,
) -> Result<Json<UserView>, ApiError> {
    let seen = acs.gate.user(&scope.principal, &name)?;
    Ok(Json(view(&seen.user, seen.grants)))
}

/// What to change of a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserChange {
    /// Instead of those before; not more than you have.
    grants: Option<Vec<Grant>>,
    /// True ends the sessions of the user too.
    is_disabled: Option<bool>,
}

/// Changes what a user may do. It acts with the user's next request.
#[utoipa::path(
    patch, path = "/users/{name}", operation_id = "change_user", tag = "Access",
    security(("token" = ["users:write"])), request_body = UserChange,
    params(("name" = String, Path, description = "Of the user")),
    responses(
        (status = 200, description = "The user as it is now", body = UserView),
        (status = 404, description = "There is none that you may see"),
        (status = 409, description = "Nobody would be left who may do everything"),
    )
)]
pub(super) async fn change(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(name): Path<String>,
    trail: Trail,
    Body(change): Body<UserChange>,
) -> Result<Json<UserView>, ApiError> {
    let before = acs.gate.user(&scope.principal, &name)?;
    let before = view(&before.user, before.user.grants.clone());
    let user = acs
        .gate
        .change_user(&scope.principal, &name, change.grants, change.is_disabled)
        .await?;
    let after = view(&user, user.grants.clone());
    trail.between(Some(&before), Some(&after));
    Ok(Json(after))
}

/// Removes a user and ends its sessions.
#[utoipa::path(
    delete, path = "/users/{name}", operation_id = "remove_user", tag = "Access",
    security(("token" = ["users:write"])),
    params(("name" = String, Path, description = "Of the user")),
    responses(
        (status = 204, description = "Removed"),
        (status = 404, description = "There is none that you may see"),
        (status = 409, description = "Nobody would be left who may do everything"),
    )
)]
pub(super) async fn remove(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(name): Path<String>,
    trail: Trail,
) -> Result<StatusCode, ApiError> {
    let before = acs.gate.user(&scope.principal, &name)?;
    acs.gate.remove_user(&scope.principal, &name).await?;
    trail.removed(view(&before.user, before.grants));
    Ok(StatusCode::NO_CONTENT)
}

/// Another password for a user.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PasswordReset {
    /// Without one you are told one; either is changed at the next login.
    #[schema(format = Password)]
    password: Option<String>,
}

/// Gives a user another password, and ends its sessions.
#[utoipa::path(
    post, path = "/users/{name}/password", operation_id = "reset_password", tag = "Access",
    security(("token" = ["users:write"])), request_body = PasswordReset,
    params(("name" = String, Path, description = "Of the user")),
    responses(
        (status = 200, description = "The user, with the password to be told", body = UserView),
        (status = 404, description = "There is none that you may see"),
    )
)]
pub(super) async fn reset_password(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(name): Path<String>,
    trail: Trail,
    Body(reset): Body<PasswordReset>,
) -> Result<Json<UserView>, ApiError> {
    let now = acs.clock.unix();
    let user = acs
        .gate
        .reset_password(&scope.principal, &name, reset.password, now)
        .await?;
    // That it is another one is told, and neither of them.
    let side = |which: &str| json!({ "password": which });
    trail.between(Some(side("before")), Some(side("after")));
    Ok(Json(given(user)))
}
