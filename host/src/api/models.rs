//! `/v1/models`: what was learned of products by asking their devices.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, Page, PageQuery, Path, Query, time};
use super::scope::Scope;
use crate::Acs;
use crate::work::lessons::{Learned, Lesson, Size};

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(forget))
}

#[utoipa::path(
    get, path = "/models", operation_id = "list_models", tag = "Models",
    security(("token" = ["devices:read"]))
)]
pub(super) async fn list(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Value>>, ApiError> {
    let limit = page.limit()?;
    let mut lessons = acs.lessons.list(&scope.instance.name);
    if let Some(after) = &page.after {
        lessons.retain(|(id, _)| **id > **after);
    }
    let more = lessons.len() > limit;
    lessons.truncate(limit);
    let next = lessons
        .last()
        .filter(|_| more)
        .map(|(id, _)| id.to_string());
    let items = lessons
        .iter()
        .map(|(id, lesson)| view(&scope, id, lesson))
        .collect();
    Ok(Json(Page { items, next }))
}

/// Forgets it all: its devices are asked as the standard has it, and may teach it again.
#[utoipa::path(
    delete, path = "/models/{id}", operation_id = "forget_model", tag = "Models",
    security(("token" = ["devices:write"]))
)]
pub(super) async fn forget(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    if acs.lessons.forget(&scope.instance.name, &id)? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::not_found(format!(
        "nothing was learned of a model {id:?}"
    )))
}

fn view(scope: &Scope, id: &str, lesson: &Lesson) -> Value {
    let size = |size: &Size| {
        json!({
            "most": size.most, "too_many": size.too_many, "learned_at": time(size.learned),
            "learned_from": size.device,
        })
    };
    let habits = lesson
        .habits
        .iter()
        .map(|(habit, learned)| with_source(json!({ "habit": habit }), learned));
    let unsupported = lesson
        .unsupported
        .iter()
        .map(|(method, learned)| with_source(json!({ "method": method }), learned));
    let model = &lesson.model;
    json!({
        "id": id,
        "instance": &*scope.instance.name,
        "manufacturer": model.manufacturer,
        "oui": model.oui,
        "product_class": model.product_class,
        "software_version": model.software_version,
        "names_per_get": lesson.names_per_get.as_ref().map(size),
        "parameters_per_set": lesson.parameters_per_set.as_ref().map(size),
        "habits": habits.collect::<Vec<_>>(),
        "unsupported": unsupported.collect::<Vec<_>>(),
    })
}

fn with_source(mut view: Value, learned: &Learned) -> Value {
    if let Some(object) = view.as_object_mut() {
        object.insert("learned_at".to_owned(), time(learned.learned).into());
        object.insert("learned_from".to_owned(), learned.device.clone().into());
    }
    view
}
