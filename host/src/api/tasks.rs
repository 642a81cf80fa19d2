//! `/v1/tasks` and `/v1/devices/{id}/tasks`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Digest as _;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::Trail;
use super::devices::wait;
use super::error::{ApiError, Body, Optional, Page, PageQuery, Path, Query, limit};
use super::scope::Scope;
use super::task_view::TaskView;
use crate::store::{DeviceCell, TaskFilter};
use crate::work::asked::Asked;
use crate::work::operation;
use crate::work::task::{NewTask, Once, PRIORITY_MAX, Task, TaskId, TaskState};
use crate::{Acs, spent};

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(of_device, create))
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(cancel))
        .routes(routes!(retry))
}

/// The longest a task may wait for its device, seconds: a year.
const EXPIRES_SECONDS_MAX: i64 = 31_536_000;

/// A task to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateTask {
    operation: Asked,
    /// Wake the device now instead of waiting for its next Inform.
    #[serde(default)]
    wake: bool,
    /// Wait so long for the end; 0 = do not wait. At most `api.wait_seconds_max` of the configuration.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 3600)]
    wait_seconds: u64,
    /// Give the task up if the device has not come by then.
    #[schema(minimum = 1, maximum = 31_536_000)]
    expires_seconds: Option<i64>,
    /// A device's tasks with a higher one are done first.
    #[serde(default)]
    #[schema(minimum = -100, maximum = 100)]
    priority: i8,
    /// The caller's own name for what it asks: asked again under the same name, it is not done
    /// again, and the task that was made is answered. The header `Idempotency-Key` says the same.
    #[schema(min_length = 1, max_length = 128)]
    idempotency_key: Option<String>,
}

/// Characters of an idempotency key.
const KEY_CHARS_MAX: usize = 128;
const IDEMPOTENCY_KEY: &str = "idempotency-key";

impl CreateTask {
    fn check(&self) -> Result<(), ApiError> {
        if !(-PRIORITY_MAX..=PRIORITY_MAX).contains(&self.priority) {
            return Err(ApiError::bad(format!(
                "expected a priority of -{PRIORITY_MAX} to {PRIORITY_MAX}, got {}",
                self.priority
            )));
        }
        match self.expires_seconds {
            Some(seconds) if !(1..=EXPIRES_SECONDS_MAX).contains(&seconds) => Err(ApiError::bad(
                format!("expected expires_seconds of 1 to {EXPIRES_SECONDS_MAX}, got {seconds}"),
            )),
            _ => Ok(()),
        }
    }

    /// The caller's name for this, and what "this" is: neither waking nor waiting is of it.
    fn once(&self, headers: &HeaderMap) -> Result<Option<Once>, ApiError> {
        let header = headers.get(IDEMPOTENCY_KEY);
        let header = header.map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned());
        let key = match (header, self.idempotency_key.clone()) {
            (Some(header), Some(field)) if header != field => {
                return Err(ApiError::bad(
                    "expected one idempotency key, got another one in the header",
                ));
            }
            (header, field) => header.or(field),
        };
        let Some(key) = key else { return Ok(None) };
        let plain = key.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        if !(1..=KEY_CHARS_MAX).contains(&key.len()) || !plain {
            return Err(ApiError::bad(format!(
                "expected an idempotency key of 1 to {KEY_CHARS_MAX} ASCII characters, got {key:?}"
            )));
        }
        let asked = (&self.operation, self.priority, self.expires_seconds);
        let asked = serde_json::to_vec(&asked).map_err(|e| ApiError::internal(e.to_string()))?;
        let asked = sha2::Sha256::digest(&asked).into();
        Ok(Some(Once { key, asked }))
    }
}

/// Asks something of a device.
///
/// The task is durable when this is answered. It is done in the device's next session; `wake` has it open one now.
#[utoipa::path(
    post, path = "/devices/{id}/tasks", operation_id = "create_task",
    request_body = CreateTask,
    params(("Idempotency-Key" = Option<String>, Header, description = "As the field `idempotency_key`", min_length = 1, max_length = 128), ("id" = String, Path, description = "Of the device")),
    responses((status = 200, description = "The task that was made under the same idempotency key", body = TaskView), (status = 201, description = "The task, durable; if the request waited, as it then is", body = TaskView, headers(("Location" = String, description = "Of the task")))), tag = "Tasks",
    security(("token" = ["tasks:write"]))
)]
pub(super) async fn create(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(device): Path<String>,
    headers: HeaderMap,
    trail: Trail,
    Body(request): Body<CreateTask>,
) -> Result<Response, ApiError> {
    let wait = wait(&acs, request.wait_seconds)?;
    request.check()?;
    let once = request.once(&headers)?;
    let cell = scope.cell(&acs, &device)?;
    let known = match &once {
        Some(once) => acs.store.task_of_key(cell.key(), once)?,
        None => None,
    };
    if let Some(task) = known {
        // Nothing was made.
        trail.between(Some(told(&task)), Some(told(&task)));
        let task = ended(&acs, task, wait).await?;
        return Ok(Json(TaskView::of(&acs, &task)).into_response());
    }
    let operation = request.operation.operation();
    let expires = request.expires_seconds;
    let new = NewTask {
        expires: expires.map(|seconds| acs.clock.unix() + seconds),
        priority: request.priority,
        once,
        ..NewTask::new(cell.key().clone(), operation)
    };
    made(&acs, &scope, (&cell, &trail), new, request.wake, wait).await
}

/// Makes a task, and answers with it.
async fn made(
    acs: &Arc<Acs>,
    scope: &Scope,
    (cell, trail): (&DeviceCell, &Trail),
    mut new: NewTask,
    wake: bool,
    wait: std::time::Duration,
) -> Result<Response, ApiError> {
    scope.check_operation(acs, cell, &new.operation)?;
    // No file goes between the look at it and the task that needs it.
    let files = acs.files.hold().await;
    let summary = cell.lock().summary().clone();
    let fits = acs.fit(&mut new.operation, cell.key(), &summary);
    fits.map_err(ApiError::bad)?;
    operation::check(&new.operation).map_err(ApiError::bad)?;
    let mut task = acs.store.enqueue(new, acs.clock.unix()).await?;
    trail.of(cell.key());
    trail.made(told(&task));
    drop(files);
    // If it is refused, the task waits all the same: for the device's next Inform.
    let refused = match wake {
        true => acs.wake(cell.key()).err(),
        false => None,
    };
    if !wait.is_zero() {
        task = ended(acs, task, wait).await?;
    }
    let location = HeaderValue::from_str(&format!("/v1/tasks/{}", task.id));
    let mut view = TaskView::of(acs, &task);
    if let Some(full) = refused {
        view = view.not_woken(&full);
    }
    let mut response = (StatusCode::CREATED, Json(view)).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// How to ask again.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RetryTask {
    /// Wake the device now instead of waiting for its next Inform.
    wake: bool,
    /// Wait so long for the end; 0 = do not wait. At most `api.wait_seconds_max` of the configuration.
    #[schema(minimum = 0, maximum = 3600)]
    wait_seconds: u64,
}

/// Asks the same of the device again, after a task has ended: a new task.
#[utoipa::path(
    post, path = "/tasks/{id}/retry", operation_id = "retry_task", tag = "Tasks",
    params(("id" = TaskId, Path, description = "Of the task that has ended")),
    request_body = Option<RetryTask>,
    responses((status = 201, description = "The new task", body = TaskView, headers(("Location" = String, description = "Of the task")))),
    security(("token" = ["tasks:write"]))
)]
pub(super) async fn retry(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
    Optional(request): Optional<RetryTask>,
) -> Result<Response, ApiError> {
    let wait = wait(&acs, request.wait_seconds)?;
    let task = find(&acs, &scope, &id)?;
    if !task.state.is_final() {
        return Err(ApiError::conflict(format!(
            "{} has not ended: cancel it first",
            task.id
        )));
    }
    let cell = scope.cell(&acs, &task.device)?;
    let new = NewTask {
        priority: task.priority,
        ..NewTask::new(cell.key().clone(), task.operation.clone())
    };
    made(&acs, &scope, (&cell, &trail), new, request.wake, wait).await
}

/// For the audit log. What becomes of it, the task says.
fn told(task: &Task) -> Value {
    json!({ "task": task.id, "operation": task.operation.without_secrets(), "state": task.state })
}

/// The task as it is at its end, or when the time is over.
async fn ended(
    acs: &Acs,
    task: Arc<Task>,
    wait: std::time::Duration,
) -> Result<Arc<Task>, ApiError> {
    let end = acs.store.wait(&task.instance, task.id);
    match spent::on_devices(tokio::time::timeout(wait, end)).await {
        Ok(ended) => Ok(ended?.unwrap_or(task)),
        Err(_) => Ok(acs.store.task(&task.instance, task.id)?.unwrap_or(task)),
    }
}

/// How to look at one task.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OneQuery {
    /// Wait so long for the end; 0 = do not wait. At most `api.wait_seconds_max` of the configuration.
    #[serde(default)]
    #[param(minimum = 0, maximum = 3600)]
    wait_seconds: u64,
}

/// A task, waiting for its end if that is wanted.
#[utoipa::path(
    get, path = "/tasks/{id}", operation_id = "get_task",
    params(("id" = TaskId, Path, description = "Of the task"), OneQuery),
    responses((status = 200, description = "The task as it is", body = TaskView)), tag = "Tasks",
    security(("token" = ["tasks:read"]))
)]
pub(super) async fn one(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    Query(query): Query<OneQuery>,
) -> Result<Json<TaskView>, ApiError> {
    let wait = wait(&acs, query.wait_seconds)?;
    let mut task = find(&acs, &scope, &id)?;
    if !wait.is_zero() && !task.state.is_final() {
        task = ended(&acs, task, wait).await?;
    }
    Ok(Json(TaskView::of(&acs, &task)))
}

/// Takes a task back that was not sent yet.
#[utoipa::path(
    post, path = "/tasks/{id}/cancel", operation_id = "cancel_task",
    params(("id" = TaskId, Path, description = "Of the task")),
    responses((status = 200, description = "The task, cancelled", body = TaskView)), tag = "Tasks",
    security(("token" = ["tasks:write"]))
)]
pub(super) async fn cancel(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
) -> Result<Json<TaskView>, ApiError> {
    let task = find(&acs, &scope, &id)?;
    trail.of(&task.device_key());
    let before = told(&task);
    let task = acs.store.cancel(task.id, acs.clock.unix()).await?;
    trail.between(Some(before), Some(told(&task)));
    Ok(Json(TaskView::of(&acs, &task)))
}

fn find(acs: &Acs, scope: &Scope, id: &str) -> Result<Arc<Task>, ApiError> {
    let id: TaskId = id.parse().map_err(ApiError::bad)?;
    let task = acs.store.task(&scope.instance.name, id)?;
    let task = match task {
        Some(task) if scope.sees(acs, &task.device)? => Some(task),
        _ => None,
    };
    task.ok_or_else(|| ApiError::not_found(format!("there is no task {id}")))
}

/// Which tasks to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only those of this device.
    device: Option<String>,
    /// Only those in this state.
    #[param(inline)]
    state: Option<TaskState>,
    /// The `next` of the page before.
    #[param(pattern = "^t-[0-9a-f]{1,16}$")]
    after: Option<String>,
    /// Tasks of the page; 100 if absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// The tasks of the instance.
#[utoipa::path(
    get, path = "/tasks", operation_id = "list_tasks",
    params(ListQuery),
    responses((status = 200, description = "A page of them", body = Page<TaskView>)), tag = "Tasks",
    security(("token" = ["tasks:read"]))
)]
pub(super) async fn list(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<TaskView>>, ApiError> {
    page(&acs, &scope, query)
}

/// The tasks of a device.
#[utoipa::path(
    get, path = "/devices/{id}/tasks", operation_id = "list_device_tasks",
    params(("id" = String, Path, description = "Of the device"), PageQuery),
    responses((status = 200, description = "A page of them", body = Page<TaskView>)), tag = "Tasks",
    security(("token" = ["tasks:read"]))
)]
pub(super) async fn of_device(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(device): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<TaskView>>, ApiError> {
    scope.cell(&acs, &device)?;
    let PageQuery { after, limit } = query;
    page(
        &acs,
        &scope,
        ListQuery {
            device: Some(device),
            state: None,
            after,
            limit,
        },
    )
}

fn page(acs: &Acs, scope: &Scope, query: ListQuery) -> Result<Json<Page<TaskView>>, ApiError> {
    let limit = limit(query.limit)?;
    let after = query
        .after
        .map(|id| id.parse())
        .transpose()
        .map_err(ApiError::bad)?;
    let filter = TaskFilter {
        device: query.device,
        state: query.state,
        ..TaskFilter::default()
    };
    let tasks = acs
        .store
        .tasks(&scope.instance.name, &filter, after, limit)?;
    let next = (tasks.len() == limit)
        .then(|| tasks.last().map(|task| task.id.to_string()))
        .flatten();
    let mut items = Vec::new();
    for task in &tasks {
        // A page of somebody who may see some devices only has fewer items.
        if scope.sees(acs, &task.device)? {
            items.push(TaskView::of(acs, task));
        }
    }
    Ok(Json(Page { items, next }))
}
