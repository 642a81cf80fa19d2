//! `/v1/links` and `/v1/snippets`: the addresses of the instance, and configuration made of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::{HeaderName, header};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, Page, Path, Query};
use super::scope::Scope;
use crate::Acs;
use crate::config::Config;
use crate::links::Links;
use crate::snippets::{Choices, Kind, SnippetError};

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(links))
        .routes(routes!(list))
        .routes(routes!(one))
}

#[utoipa::path(
    get, path = "/links", operation_id = "get_links", tag = "Instances",
    security(("token" = ["instances:read"]))
)]
pub(super) async fn links(State(acs): State<Arc<Acs>>, scope: Scope) -> Json<Value> {
    let mut view = json!(Links::of(&serving(&acs)));
    if let Some(object) = view.as_object_mut() {
        object.insert("instance".into(), json!(&*scope.instance.name));
        let snippets: Vec<Value> = Kind::ALL.iter().map(|kind| about(*kind)).collect();
        object.insert("snippets".into(), snippets.into());
    }
    Json(view)
}

#[utoipa::path(
    get, path = "/snippets", operation_id = "list_snippets", tag = "Instances",
    security(("token" = ["instances:read"]))
)]
pub(super) async fn list() -> Json<Page<Value>> {
    let items = Kind::ALL.iter().map(|kind| {
        let choices = kind.choices().iter();
        let choices = choices.map(|choice| json!({ "name": choice.name, "about": choice.about }));
        let mut view = about(*kind);
        if let Some(object) = view.as_object_mut() {
            object.insert("options".into(), choices.collect::<Vec<_>>().into());
        }
        view
    });
    Json(Page {
        items: items.collect(),
        next: None,
    })
}

/// As text; the query has the options.
#[utoipa::path(
    get, path = "/snippets/{kind}", operation_id = "get_snippet", tag = "Instances",
    security(("token" = ["instances:read"]))
)]
pub(super) async fn one(
    State(acs): State<Arc<Acs>>,
    Path(kind): Path<String>,
    Query(choices): Query<Choices>,
) -> Result<([(HeaderName, &'static str); 1], String), ApiError> {
    let kind = Kind::named(&kind).map_err(|error| ApiError::not_found(error.to_string()))?;
    let text = kind
        .print(&serving(&acs), &choices)
        .map_err(|error| match error {
            SnippetError::Unknown { .. } => ApiError::conflict(error.to_string()),
            error => ApiError::bad(error.to_string()),
        })?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text))
}

/// The configuration, with the ports that the system chose where it was left the choice.
fn serving(acs: &Acs) -> Config {
    let mut config = acs.config.clone();
    if let Some(stun) = config.stun.listen.first_mut() {
        stun.set_port(acs.stun.port());
    }
    if let Some(xmpp) = &acs.xmpp {
        config.xmpp.port = xmpp.port();
    }
    config
}

fn about(kind: Kind) -> Value {
    json!({
        "kind": kind.name(), "about": kind.about(), "path": format!("/v1/snippets/{}", kind.name()),
    })
}
