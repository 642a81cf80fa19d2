//! `/v1/tokens`: what programs show.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::Trail;
use super::error::{ApiError, Body, Page, PageQuery, Path, Query, time};
use super::scope::Scope;
use crate::Acs;
use crate::access::{Grant, NewToken, Permission, Token, TokenSeen};

/// The longest life of a token that has an end: ten years.
const EXPIRES_SECONDS_MAX: i64 = 315_360_000;

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(one, revoke))
}

/// A token without its text.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenView {
    id: String,
    /// For people, and in the audit log.
    name: String,
    /// Roles, each in one instance or in all; only those that you may see.
    grants: Vec<Grant>,
    /// Of what they give only these; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Vec<String>>)]
    only: Option<Vec<Permission>>,
    #[schema(format = DateTime)]
    created: String,
    created_by: String,
    /// It is worth nothing from then on; absent: it has no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    expires: Option<String>,
    is_expired: bool,
    /// When it was last used, to the minute; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    used: Option<String>,
    /// The text to be sent as `Authorization: Bearer`; it is shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token: Option<String>,
}

fn view(acs: &Acs, seen: TokenSeen) -> TokenView {
    let token = &seen.token;
    let now = acs.clock.unix();
    TokenView {
        id: token.id.to_string(),
        name: token.name.clone(),
        grants: seen.grants,
        only: token.only.clone(),
        created: time(token.created),
        created_by: token.created_by.clone(),
        expires: token.expires.map(time),
        is_expired: token.expires.is_some_and(|end| now >= end),
        used: seen.used.map(time),
        token: None,
    }
}

fn unused(token: Arc<Token>) -> TokenSeen {
    TokenSeen {
        grants: token.grants.clone(),
        token,
        used: None,
    }
}

/// The tokens that you may see, the last made first.
#[utoipa::path(
    get, path = "/tokens", operation_id = "list_tokens", tag = "Access",
    security(("token" = ["users:read"])), params(PageQuery),
    responses((status = 200, description = "A page", body = Page<TokenView>))
)]
pub(super) async fn list(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<TokenView>>, ApiError> {
    let limit = page.limit()?;
    let tokens = acs.gate.tokens(&scope.principal);
    let skip = match &page.after {
        None => 0,
        Some(after) => match tokens.iter().position(|seen| *seen.token.id == **after) {
            Some(place) => place + 1,
            None => {
                return Err(ApiError::bad(format!(
                    "expected after to be the next of a page, got {after:?}"
                )));
            }
        },
    };
    let mut rest = tokens.into_iter().skip(skip);
    let items: Vec<TokenView> = rest
        .by_ref()
        .take(limit)
        .map(|seen| view(&acs, seen))
        .collect();
    let last = items.last().map(|token| token.id.clone());
    let next = last.filter(|_| rest.next().is_some());
    Ok(Json(Page { items, next }))
}

/// A token to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateToken {
    /// For people, and in the audit log.
    #[schema(example = "ci")]
    name: String,
    /// At least one; not more than you have.
    grants: Vec<Grant>,
    /// Of what they give only these (`devices:read`); absent: all.
    #[schema(value_type = Option<Vec<String>>, example = json!(["devices:read"]))]
    only: Option<Vec<Permission>>,
    /// It is worth nothing from then on; absent: it has no end.
    #[schema(minimum = 1, maximum = 315_360_000)]
    expires_seconds: Option<i64>,
}

/// Makes a token. Its text is in the answer, and nowhere else.
#[utoipa::path(
    post, path = "/tokens", operation_id = "create_token", tag = "Access",
    security(("token" = ["users:write"])), request_body = CreateToken,
    responses((status = 201, description = "Made", body = TokenView))
)]
pub(super) async fn create(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    trail: Trail,
    Body(request): Body<CreateToken>,
) -> Result<(StatusCode, Json<TokenView>), ApiError> {
    let now = acs.clock.unix();
    let expires = match request.expires_seconds {
        None => None,
        Some(seconds) if (1..=EXPIRES_SECONDS_MAX).contains(&seconds) => Some(now + seconds),
        Some(seconds) => {
            return Err(ApiError::bad(format!(
                "expected expires_seconds of 1 to {EXPIRES_SECONDS_MAX}, got {seconds}"
            )));
        }
    };
    let new = NewToken {
        name: request.name,
        grants: request.grants,
        only: request.only,
        expires,
    };
    let (token, text) = acs.gate.create_token(&scope.principal, new, now).await?;
    let made = TokenView {
        token: Some(text),
        ..view(&acs, unused(token))
    };
    trail.made(&made);
    Ok((StatusCode::CREATED, Json(made)))
}

/// A token without its text.
#[utoipa::path(
    get, path = "/tokens/{id}", operation_id = "get_token", tag = "Access",
    security(("token" = ["users:read"])),
    params(("id" = String, Path, description = "Of the token")),
    responses(
        (status = 200, description = "The token", body = TokenView),
        (status = 404, description = "There is none that you may see"),
    )
)]
pub(super) async fn one(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
) -> Result<Json<TokenView>, ApiError> {
    let seen = acs.gate.token(&scope.principal, &id)?;
    Ok(Json(view(&acs, seen)))
}

/// Revokes a token: it is worth nothing with the next request.
#[utoipa::path(
    delete, path = "/tokens/{id}", operation_id = "revoke_token", tag = "Access",
    security(("token" = ["users:write"])),
    params(("id" = String, Path, description = "Of the token")),
    responses(
        (status = 204, description = "Revoked"),
        (status = 404, description = "There is none that you may see"),
    )
)]
pub(super) async fn revoke(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
) -> Result<StatusCode, ApiError> {
    let before = acs.gate.token(&scope.principal, &id)?;
    acs.gate.revoke_token(&scope.principal, &id).await?;
    trail.removed(view(&acs, before));
    Ok(StatusCode::NO_CONTENT)
}
