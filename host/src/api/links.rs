//! `/v1/links` and `/v1/snippets`: the addresses of the instance, and configuration made of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::{HeaderName, header};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, ErrorBody, Page, Path, Query};
use super::scope::Scope;
use crate::Acs;
use crate::links::Links;
use crate::snippets::{Choices, Kind, SnippetError};

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(links))
        .routes(routes!(list))
        .routes(routes!(one))
}

/// Every address that a person needs. An empty list or null is not known: `missing` says why.
#[derive(Serialize, ToSchema)]
pub(super) struct LinksView {
    #[serde(flatten)]
    links: Links,
    instance: String,
    /// Configuration made of these addresses.
    snippets: Vec<SnippetView>,
}

/// Configuration for a system around, as text.
#[derive(Serialize, ToSchema)]
pub(super) struct SnippetView {
    #[schema(value_type = String)]
    kind: &'static str,
    /// For people.
    #[schema(value_type = String)]
    about: &'static str,
    /// Where its text is.
    path: String,
    /// What the query of that path may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    options: Option<Vec<OptionView>>,
}

/// An option of a snippet.
#[derive(Serialize, ToSchema)]
struct OptionView {
    #[schema(value_type = String)]
    name: &'static str,
    /// For people.
    #[schema(value_type = String)]
    about: &'static str,
}

#[utoipa::path(
    get, path = "/links", operation_id = "get_links",
    responses((status = 200, description = "The addresses", body = LinksView)), tag = "Instances",
    security(("token" = ["instances:read"]))
)]
pub(super) async fn links(State(acs): State<Arc<Acs>>, scope: Scope) -> Json<LinksView> {
    Json(LinksView {
        links: acs.links(&scope.instance).1,
        instance: scope.instance.name.to_string(),
        snippets: Kind::ALL.iter().map(|kind| about(*kind)).collect(),
    })
}

#[utoipa::path(
    get, path = "/snippets", operation_id = "list_snippets",
    responses((status = 200, description = "All kinds", body = Page<SnippetView>)), tag = "Instances",
    security(("token" = ["instances:read"]))
)]
pub(super) async fn list() -> Json<Page<SnippetView>> {
    let items = Kind::ALL.iter().map(|kind| {
        let options = kind.choices().iter().map(|choice| OptionView {
            name: choice.name,
            about: choice.about,
        });
        SnippetView {
            options: Some(options.collect()),
            ..about(*kind)
        }
    });
    Json(Page::whole(items.collect()))
}

/// A snippet as text; the query has its options.
#[utoipa::path(
    get, path = "/snippets/{kind}", operation_id = "get_snippet",
    params(("kind" = String, Path, description = "One of those of the list")),
    responses((status = 200, description = "The text", body = String, content_type = "text/plain"), (status = 409, description = "An address that it needs is not known", body = ErrorBody)), tag = "Instances",
    security(("token" = ["instances:read"]))
)]
pub(super) async fn one(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(kind): Path<String>,
    Query(choices): Query<Choices>,
) -> Result<([(HeaderName, &'static str); 1], String), ApiError> {
    let kind = Kind::named(&kind).map_err(|error| ApiError::not_found(error.to_string()))?;
    let (config, links) = acs.links(&scope.instance);
    let text = kind
        .print(&config, links, &choices)
        .map_err(|error| match error {
            SnippetError::Unknown { .. } => ApiError::conflict(error.to_string()),
            error => ApiError::bad(error.to_string()),
        })?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text))
}

fn about(kind: Kind) -> SnippetView {
    SnippetView {
        kind: kind.name(),
        about: kind.about(),
        path: format!("/v1/snippets/{}", kind.name()),
        options: None,
    }
}
