//! `/v1/sessions` and `/v1/devices/{id}/sessions`: what happened in the sessions that are kept,
//! and happens in those under way.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::Trail;
use super::error::{ApiError, Body, Page, PageQuery, Path, Query, Time, time};
use super::scope::Scope;
use crate::Acs;
use crate::traces::{self, Head, Session, SessionId, Told};

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

/// The sessions of a device that are kept, and one under way, the newest first.
#[utoipa::path(
    get, path = "/devices/{id}/sessions", operation_id = "list_device_sessions",
    params(("id" = String, Path, description = "Of the device"), PageQuery),
    responses((status = 200, description = "A page of them", body = Page<SessionView>)), tag = "Sessions",
    security(("token" = ["sessions:read"]))
)]
pub(super) async fn of_device(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(device): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<SessionView>>, ApiError> {
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

/// A session with all that happened in it.
///
/// `{id}` as JSON, `{id}.txt` (or `Accept: text/plain`) as a conversation.
#[utoipa::path(
    get, path = "/sessions/{id}", operation_id = "get_session",
    params(("id" = String, Path, description = "Of the session, `s-…`, or `s-….txt` for plain text", pattern = r"^s-[0-9a-f]{1,16}(\.txt)?$")),
    responses((status = 200, description = "The session, or its conversation in plain text (`Accept: text/plain`)", content((WholeSessionView = "application/json"), (String = "text/plain")))), tag = "Sessions",
    security(("token" = ["sessions:read"]))
)]
pub(super) async fn one(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (id, plain) = match id.strip_suffix(".txt") {
        Some(id) => (id, true),
        None => (&*id, wants_text(&headers)),
    };
    let session = find(&acs, &scope, id).await?;
    Ok(answer(session, plain))
}

/// A session for somebody else, with its identities replaced.
#[utoipa::path(
    get, path = "/sessions/{id}/export", operation_id = "export_session",
    params(("id" = String, Path, description = "Of the session, `s-…`", pattern = r"^s-[0-9a-f]{1,16}$")),
    responses((status = 200, description = "A line of JSON, or a conversation in plain text (`Accept: text/plain`)", content((String = "application/x-ndjson"), (String = "text/plain")))), tag = "Sessions",
    security(("token" = ["sessions:read"]))
)]
pub(super) async fn export(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let session = find(&acs, &scope, &id).await?;
    exported(vec![session], wants_text(&headers)).await
}

/// How many sessions to export.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportQuery {
    /// So many; 5 if absent.
    #[param(minimum = 1, maximum = 100)]
    last: Option<usize>,
}

/// The last sessions of a device for somebody else, the oldest first, with identities replaced.
#[utoipa::path(
    get, path = "/devices/{id}/sessions/export", operation_id = "export_device_sessions",
    params(("id" = String, Path, description = "Of the device"), ExportQuery),
    responses((status = 200, description = "A line of JSON for each, or conversations in plain text (`Accept: text/plain`)", content((String = "application/x-ndjson"), (String = "text/plain")))), tag = "Sessions",
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
        let mut lines = String::new();
        for session in sessions {
            match serde_json::to_string(&whole(session)) {
                Ok(line) => lines.extend([line.as_str(), "\n"]),
                Err(error) => return ApiError::internal(error.to_string()).into_response(),
            }
        }
        ([(header::CONTENT_TYPE, NDJSON)], lines).into_response()
    })
    .await
    .map_err(|error| ApiError::internal(error.to_string()))
}

/// How long to trace all sessions of a device.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TraceRequest {
    /// 0 = no longer.
    #[schema(minimum = 0, maximum = 720)]
    hours: i64,
}

/// Until when all sessions of a device are traced.
#[derive(Serialize, ToSchema)]
pub(super) struct TraceView {
    /// Null: they are not.
    until: Option<Time>,
}

/// Keeps all sessions of a device for some hours, whatever the configuration says.
#[utoipa::path(
    put, path = "/devices/{id}/trace", operation_id = "trace_device",
    request_body = TraceRequest,
    params(("id" = String, Path, description = "Of the device")),
    responses((status = 200, description = "Until when", body = TraceView)), tag = "Sessions",
    security(("token" = ["sessions:write"]))
)]
pub(super) async fn keep(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(device): Path<String>,
    trail: Trail,
    Body(TraceRequest { hours }): Body<TraceRequest>,
) -> Result<Json<TraceView>, ApiError> {
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
    let side = |until| TraceView {
        until: Time::maybe(until),
    };
    cell.lock().summary_mut(|summary| {
        let before = std::mem::replace(&mut summary.trace_until, until);
        trail.between(Some(side(before)), Some(side(until)));
    });
    acs.store.persist(&cell).await?;
    Ok(Json(side(until)))
}

pub(super) fn wants_text(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.trim_start().starts_with("text/plain"))
}

/// A session of a device that the principal may see.
async fn find(acs: &Arc<Acs>, scope: &Scope, id: &str) -> Result<Session, ApiError> {
    let id: SessionId = id.parse().map_err(ApiError::bad)?;
    let session = read(acs, id).await?;
    let is_here = *session.head.instance == *scope.instance.name;
    if is_here && scope.sees(acs, &session.head.device)? {
        return Ok(session);
    }
    Err(no_session(id))
}

async fn read(acs: &Arc<Acs>, id: SessionId) -> Result<Session, ApiError> {
    let reading = Arc::clone(acs);
    let session = tokio::task::spawn_blocking(move || reading.traces.session(id))
        .await
        .map_err(|error| ApiError::internal(error.to_string()))??;
    session.ok_or_else(|| no_session(id))
}

fn no_session(id: SessionId) -> ApiError {
    ApiError::not_found(format!("there is no trace of a session {id}"))
}

fn answer(session: Session, plain: bool) -> Response {
    if plain {
        return ([(header::CONTENT_TYPE, TEXT_PLAIN)], traces::text(&session)).into_response();
    }
    Json(whole(session)).into_response()
}

/// A session, kept or under way.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionView {
    id: SessionId,
    instance: String,
    device: String,
    /// When the Inform came.
    #[schema(format = DateTime)]
    started: String,
    /// From the Inform to the end, or until now.
    duration_ms: f64,
    /// Where the Inform came from.
    peer_address: String,
    /// The codes of the Inform's events.
    events: Vec<String>,
    /// Sent to the device.
    rpcs: u32,
    /// Of the device.
    faults: u32,
    /// It is under way.
    open: bool,
    /// `done`, or why it ended before its time; null: it is under way.
    ended: Option<String>,
    /// For which there was no room.
    entries_left_out: u32,
}

/// A session with all that happened in it.
#[derive(Serialize, ToSchema)]
pub(super) struct WholeSessionView {
    #[serde(flatten)]
    session: SessionView,
    /// In order.
    entries: Vec<EntryView>,
}

/// Something that happened in a session, by its `kind`.
#[derive(Serialize, ToSchema)]
struct EntryView {
    /// Since the Inform.
    at_ms: f64,
    #[serde(flatten)]
    what: EntryKind,
}

/// A message, a call or a decision.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum EntryKind {
    /// A POST of the device.
    Request {
        /// `POST`.
        method: String,
        /// Path and query.
        target: String,
        /// `HTTP/1.1`.
        version: String,
        /// Names and values, in the order they came; names in lower case.
        #[schema(value_type = Vec<Vec<String>>)]
        headers: Vec<(String, String)>,
        /// The element in the SOAP body.
        message: Option<String>,
        body: traces::Body,
    },
    /// What it was answered.
    Answer {
        /// 200, 204, ….
        status: u16,
        /// Names and values; names in lower case.
        #[schema(value_type = Vec<Vec<String>>)]
        headers: Vec<(String, String)>,
        /// The element in the SOAP body.
        message: Option<String>,
        body: traces::Body,
    },
    /// A call of a plugin.
    Plugin {
        /// `on-inform`, ….
        hook: String,
        /// `name version`.
        plugin: String,
        /// What it changed, a line each.
        changes: Vec<String>,
        /// Why it failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        failure: Option<String>,
        took_us: u64,
    },
    /// Something that was decided.
    Note {
        /// For people.
        text: String,
    },
}

impl From<Told> for EntryKind {
    fn from(told: Told) -> EntryKind {
        match told {
            Told::Request {
                method,
                target,
                version,
                headers,
                message,
                body,
            } => EntryKind::Request {
                method,
                target,
                version,
                headers,
                message,
                body,
            },
            Told::Answer {
                status,
                headers,
                message,
                body,
            } => EntryKind::Answer {
                status,
                headers,
                message,
                body,
            },
            Told::Plugin {
                hook,
                plugin,
                changes,
                failure,
                took,
            } => EntryKind::Plugin {
                hook,
                plugin,
                changes,
                failure,
                took_us: took,
            },
            Told::Note { text } => EntryKind::Note { text },
        }
    }
}

fn whole(session: Session) -> WholeSessionView {
    let entries = session.entries.into_iter().map(|entry| EntryView {
        at_ms: milliseconds(entry.at),
        what: entry.what.into(),
    });
    WholeSessionView {
        session: view(&session.head),
        entries: entries.collect(),
    }
}

fn view(head: &Head) -> SessionView {
    SessionView {
        id: head.id,
        instance: head.instance.clone(),
        device: head.device.clone(),
        started: moment(head.started),
        duration_ms: milliseconds(head.duration),
        peer_address: head.peer.clone(),
        events: head.events.clone(),
        rpcs: head.rpcs,
        faults: head.faults,
        open: head.ended.is_none(),
        ended: head.ended.clone(),
        entries_left_out: head.left_out,
    }
}

/// Milliseconds since the epoch as people read them.
pub(super) fn moment(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| time(at / 1_000), |at| at.to_string())
}

/// Microseconds as milliseconds.
#[allow(
    clippy::cast_precision_loss,
    reason = "sessions take less than 285 years"
)]
pub(super) fn milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1_000.0
}
