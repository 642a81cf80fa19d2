//! `/v1/sessions` and `/v1/devices/{id}/sessions`: what happened in the sessions that are kept,
//! and happens in those under way.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, Page, PageQuery, Path, Query, maybe_time, time};
use super::scope::Scope;
use crate::Acs;
use crate::traces::{self, Head, Session, SessionId};

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(of_device))
        .routes(routes!(export_last))
        .routes(routes!(keep))
        .routes(routes!(one))
        .routes(routes!(export))
}

/// How long all sessions of a device may be traced, hours: 30 days.
const HOURS_MAX: i64 = 720;
/// Sessions of an export if the request names no number, and at most.
const EXPORTED: usize = 5;
const EXPORTED_MAX: usize = 100;
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const TEXT_PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

#[utoipa::path(
    get, path = "/devices/{id}/sessions", operation_id = "list_device_sessions", tag = "Sessions",
    security(("token" = ["sessions:read"]))
)]
pub(super) async fn of_device(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(device): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Value>>, ApiError> {
    let limit = page.limit()?;
    let after: Option<SessionId> = page
        .after
        .map(|id| id.parse())
        .transpose()
        .map_err(ApiError::bad)?;
    let heads = acs.traces.list(&scope.key(&acs, &device)?);
    if heads.is_empty() {
        scope.cell(&acs, &device)?;
    }
    let mut heads = heads
        .into_iter()
        .filter(|head| after.is_none_or(|after| head.id < after));
    let items: Vec<Head> = heads.by_ref().take(limit).collect();
    let more = heads.next().is_some();
    let next = items
        .last()
        .filter(|_| more)
        .map(|head| head.id.to_string());
    Ok(Json(Page {
        items: items.iter().map(view).collect(),
        next,
    }))
}

/// `{id}` as JSON, `{id}.txt` (or `Accept: text/plain`) as a conversation.
#[utoipa::path(
    get, path = "/sessions/{id}", operation_id = "get_session", tag = "Sessions",
    security(("token" = ["sessions:read"]))
)]
pub(super) async fn one(
    State(acs): State<Arc<Acs>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (id, plain) = match id.strip_suffix(".txt") {
        Some(id) => (id, true),
        None => (&*id, wants_text(&headers)),
    };
    let session = read(&acs, id.parse().map_err(ApiError::bad)?).await?;
    Ok(answer(&session, plain))
}

/// One session for somebody else: as [`one`], with its identities replaced.
#[utoipa::path(
    get, path = "/sessions/{id}/export", operation_id = "export_session", tag = "Sessions",
    security(("token" = ["sessions:read"]))
)]
pub(super) async fn export(
    State(acs): State<Arc<Acs>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let session = read(&acs, id.parse().map_err(ApiError::bad)?).await?;
    exported(vec![session], wants_text(&headers)).await
}

/// How many sessions to export.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportQuery {
    last: Option<usize>,
}

/// The last sessions of a device for somebody else, the oldest first: a line of JSON each, or
/// conversations in plain text.
#[utoipa::path(
    get, path = "/devices/{id}/sessions/export", operation_id = "export_device_sessions", tag = "Sessions",
    security(("token" = ["sessions:read"]))
)]
pub(super) async fn export_last(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(device): Path<String>,
    Query(query): Query<ExportQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let last = query.last.unwrap_or(EXPORTED);
    if !(1..=EXPORTED_MAX).contains(&last) {
        return Err(ApiError::bad(format!(
            "expected last of 1 to {EXPORTED_MAX}, got {last}"
        )));
    }
    let heads = acs.traces.list(&scope.key(&acs, &device)?);
    if heads.is_empty() {
        scope.cell(&acs, &device)?;
    }
    let mut sessions = Vec::new();
    for head in heads.iter().take(last).rev() {
        match read(&acs, head.id).await {
            Ok(session) => sessions.push(session),
            // Gone or not kept since it was listed.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    exported(sessions, wants_text(&headers)).await
}

async fn exported(sessions: Vec<Session>, plain: bool) -> Result<Response, ApiError> {
    tokio::task::spawn_blocking(move || {
        let sessions = traces::anonymous(sessions);
        if plain {
            let texts: Vec<String> = sessions.iter().map(traces::text).collect();
            return ([(header::CONTENT_TYPE, TEXT_PLAIN)], texts.join("\n")).into_response();
        }
        let lines = sessions
            .iter()
            .map(|session| format!("{}\n", whole(session)));
        ([(header::CONTENT_TYPE, NDJSON)], lines.collect::<String>()).into_response()
    })
    .await
    .map_err(|error| ApiError::internal(error.to_string()))
}

/// How long to trace all sessions of a device.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TraceRequest {
    hours: i64,
}

/// Keeps all sessions of a device for some hours, whatever `[traces]` says; 0 = no longer.
#[utoipa::path(
    put, path = "/devices/{id}/trace", operation_id = "trace_device", tag = "Sessions",
    security(("token" = ["sessions:write"]))
)]
pub(super) async fn keep(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(device): Path<String>,
    body: Result<Json<TraceRequest>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    let Json(TraceRequest { hours }) = body?;
    if !(0..=HOURS_MAX).contains(&hours) {
        return Err(ApiError::bad(format!(
            "expected hours of 0 to {HOURS_MAX}, got {hours}"
        )));
    }
    let until = match hours {
        0 => 0,
        hours => acs.clock.unix() + hours * 3_600,
    };
    let cell = scope.cell(&acs, &device)?;
    cell.lock()
        .summary_mut(|summary| summary.trace_until = until);
    acs.store.persist(&cell).await?;
    Ok(Json(json!({ "until": maybe_time(until) })))
}

pub(super) fn wants_text(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.trim_start().starts_with("text/plain"))
}

async fn read(acs: &Arc<Acs>, id: SessionId) -> Result<Session, ApiError> {
    let reading = Arc::clone(acs);
    let session = tokio::task::spawn_blocking(move || reading.traces.session(id))
        .await
        .map_err(|error| ApiError::internal(error.to_string()))??;
    session.ok_or_else(|| ApiError::not_found(format!("there is no trace of a session {id}")))
}

fn answer(session: &Session, plain: bool) -> Response {
    if plain {
        return ([(header::CONTENT_TYPE, TEXT_PLAIN)], traces::text(session)).into_response();
    }
    Json(whole(session)).into_response()
}

/// A session with all that happened in it.
fn whole(session: &Session) -> Value {
    let entries: Vec<Value> = session
        .entries
        .iter()
        .map(|entry| {
            let mut view = json!(entry.what);
            if let Some(object) = view.as_object_mut() {
                object.insert("at_ms".into(), milliseconds(entry.at));
                if let Some(took) = object.remove("took") {
                    object.insert("took_us".into(), took);
                }
            }
            view
        })
        .collect();
    let mut view = view(&session.head);
    if let Some(object) = view.as_object_mut() {
        object.insert("entries".into(), entries.into());
    }
    view
}

fn view(head: &Head) -> Value {
    json!({
        "id": head.id,
        "instance": head.instance,
        "device": head.device,
        "started": started(head),
        "duration_ms": milliseconds(head.duration),
        "peer_address": head.peer,
        "events": head.events,
        "rpcs": head.rpcs,
        "faults": head.faults,
        "open": head.ended.is_none(),
        "ended": head.ended,
        "entries_left_out": head.left_out,
    })
}

fn started(head: &Head) -> String {
    jiff::Timestamp::from_millisecond(head.started)
        .map_or_else(|_| time(head.started / 1_000), |at| at.to_string())
}

/// Microseconds as milliseconds.
#[allow(
    clippy::cast_precision_loss,
    reason = "sessions take less than 285 years"
)]
fn milliseconds(microseconds: u64) -> Value {
    json!(microseconds as f64 / 1_000.0)
}
