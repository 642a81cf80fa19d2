//! `/v1/models`: what was learned of products by asking their devices.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::Trail;
use super::error::{ApiError, Page, PageQuery, Path, Query, Time};
use super::scope::Scope;
use crate::Acs;
use crate::work::lessons::{Habit, Lesson, Size};

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(forget))
}

/// What was learned of products.
#[utoipa::path(
    get, path = "/models", operation_id = "list_models",
    params(PageQuery),
    responses((status = 200, description = "A page of them, by id", body = Page<ModelView>)), tag = "Models",
    security(("token" = ["devices:read"]))
)]
pub(super) async fn list(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<ModelView>>, ApiError> {
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

/// Forgets what was learned of a product.
///
/// Its devices are asked as the standard has it, and may teach it again.
#[utoipa::path(
    delete, path = "/models/{id}", operation_id = "forget_model",
    params(("id" = String, Path, description = "Of the list")),
    responses((status = 204, description = "Forgotten")), tag = "Models",
    security(("token" = ["devices:write"]))
)]
pub(super) async fn forget(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
) -> Result<StatusCode, ApiError> {
    let lessons = acs.lessons.list(&scope.instance.name);
    let known = lessons.iter().find(|(known, _)| **known == *id);
    trail.removed(known.map(|(id, lesson)| view(&scope, id, lesson)));
    if acs.lessons.forget(&scope.instance.name, &id)? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::not_found(format!(
        "nothing was learned of a model {id:?}"
    )))
}

/// What was learned of a product and its firmware.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelView {
    id: String,
    instance: String,
    manufacturer: String,
    oui: String,
    product_class: String,
    software_version: String,
    /// Names in one GetParameterValues; null: nothing was learned.
    names_per_get: Option<SizeView>,
    /// Values in one SetParameterValues; null: nothing was learned.
    parameters_per_set: Option<SizeView>,
    habits: Vec<HabitView>,
    /// Methods that it does not have.
    unsupported: Vec<UnsupportedView>,
}

/// How many a model takes at once.
#[derive(Serialize, ToSchema)]
struct SizeView {
    /// So many are asked for.
    most: u32,
    /// So many were too many.
    too_many: u32,
    learned_at: Time,
    /// A device.
    learned_from: String,
}

/// What a model does otherwise than the standard has it.
#[derive(Serialize, ToSchema)]
struct HabitView {
    habit: Habit,
    learned_at: Time,
    /// A device.
    learned_from: String,
}

/// A method that a model does not have.
#[derive(Serialize, ToSchema)]
struct UnsupportedView {
    method: String,
    learned_at: Time,
    /// A device.
    learned_from: String,
}

fn view(scope: &Scope, id: &str, lesson: &Lesson) -> ModelView {
    let size = |size: &Size| SizeView {
        most: size.most,
        too_many: size.too_many,
        learned_at: Time(size.learned),
        learned_from: size.device.clone(),
    };
    let habits = lesson.habits.iter().map(|(habit, from)| HabitView {
        habit: *habit,
        learned_at: Time(from.learned),
        learned_from: from.device.clone(),
    });
    let unsupported = lesson.unsupported.iter();
    let unsupported = unsupported.map(|(method, from)| UnsupportedView {
        method: method.clone(),
        learned_at: Time(from.learned),
        learned_from: from.device.clone(),
    });
    let model = lesson.model.clone();
    ModelView {
        id: id.to_owned(),
        instance: scope.instance.name.to_string(),
        manufacturer: model.manufacturer,
        oui: model.oui,
        product_class: model.product_class,
        software_version: model.software_version,
        names_per_get: lesson.names_per_get.as_ref().map(size),
        parameters_per_set: lesson.parameters_per_set.as_ref().map(size),
        habits: habits.collect(),
        unsupported: unsupported.collect(),
    }
}
