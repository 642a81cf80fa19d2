//! Devices before they first come: announced by a table, let in from quarantine, and called a name.

mod table;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::Digest as _;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::Trail;
use super::devices::settings;
use super::error::{ApiError, Body, Path, Query};
use super::scope::Scope;
use crate::Acs;
use crate::device::{DeviceKey, Summary};
use crate::events::Imported;
use table::read;

/// Bytes of a table.
const TABLE_BYTES_MAX: usize = 32 << 20;
/// Wrong lines that an answer names.
const ERRORS_MAX: usize = 100;
/// Of these so many in the sentence that refuses a table.
const ERRORS_TOLD_MAX: usize = 10;
/// Devices that the audit log shows as they were and are; of the others it has the number.
const TOLD_MAX: usize = 50;
/// Characters of a label.
const LABEL_CHARS_MAX: usize = 128;
pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    let import = OpenApiRouter::new()
        .routes(routes!(import))
        .layer(DefaultBodyLimit::max(TABLE_BYTES_MAX));
    OpenApiRouter::new()
        .routes(routes!(label))
        .routes(routes!(release))
        .merge(import)
}

/// How to import.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImportQuery {
    /// Only look: nothing is changed, and all wrong lines are told.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
}

/// What came of an import.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
struct ImportView {
    dry_run: bool,
    /// Devices that were not known.
    created: usize,
    /// Devices that were known, and are changed.
    changed: usize,
    /// Devices of which everything was known.
    unchanged: usize,
    /// Lines that are wrong, of a dry run; at most 100.
    errors: Vec<LineError>,
    /// How many lines are wrong.
    errors_total: usize,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct LineError {
    /// Counted from 1, the head included.
    line: u64,
    reason: String,
}

/// Announces devices by a table.
///
/// CSV with a head: `id`, or `oui`, `product_class` and `serial_number`; `tags` with semicolons between,
/// `label`, `username` and `password`. If a line is wrong, nothing is changed. An empty cell changes
/// nothing, tags are added, a device in quarantine is released. What an export has besides is passed over.
#[utoipa::path(
    post, path = "/devices/import", operation_id = "import_devices", params(ImportQuery),
    request_body(content = String, content_type = "text/csv"),
    responses((status = 200, description = "What came of it", body = ImportView)),
    tag = "Devices", security(("token" = ["devices:write"]))
)]
async fn import(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    trail: Trail,
    Query(asked): Query<ImportQuery>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ImportView>, ApiError> {
    let body = body.map_err(|error| ApiError::with_status(error.status(), error.body_text()))?;
    let (lines, mut errors) = read(&body)?;
    let mut report = ImportView {
        dry_run: asked.dry_run,
        ..ImportView::default()
    };
    let (mut cells, mut created) = (Vec::new(), Vec::new());
    let mut told = ToldImport::default();
    for line in &lines {
        let key = DeviceKey {
            instance: Arc::clone(&scope.instance.name),
            id: line.id.as_str().into(),
        };
        let known = acs.store.look(&key, &[])?.map(|(listed, _)| listed.summary);
        let is_new = known.is_none();
        let before = known.unwrap_or_default();
        let mut after = before.clone();
        match line.put_into(&mut after) {
            Err(reason) => errors.push(LineError {
                line: line.number,
                reason,
            }),
            Ok(()) if is_new => report.created += 1,
            Ok(()) if after == before => {
                report.unchanged += 1;
                continue;
            }
            Ok(()) => report.changed += 1,
        }
        told.device(&key, (!is_new).then_some(&before), &after);
        if is_new {
            created.push(Arc::clone(&key.id));
        }
        cells.push((key, line));
    }
    errors.sort_by_key(|error| error.line);
    report.errors_total = errors.len();
    errors.truncate(ERRORS_MAX);
    if asked.dry_run {
        report.errors = errors;
        return Ok(Json(report));
    }
    if !errors.is_empty() {
        return Err(refused(&errors, report.errors_total));
    }
    told.end(&trail, &report, &body);
    for (key, line) in cells {
        let (cell, _) = acs.store.register(&key, line.summary())?;
        let mut refused = Ok(());
        cell.lock()
            .summary_mut(|summary| refused = line.put_into(summary));
        // It was looked at a moment ago: somebody has given it tags meanwhile.
        refused.map_err(|reason| ApiError::conflict(format!("line {}: {reason}", line.number)))?;
        acs.store.touched(&cell);
    }
    // All of them are durable with one sync.
    acs.store.flush().await?;
    let imported = Imported {
        created: &created,
        changed: report.changed,
    };
    let (at, instance) = (acs.clock.unix(), &scope.instance.name);
    acs.events.imported(at, instance, imported);
    Ok(Json(report))
}

/// What an import does, for the audit log.
#[derive(Default)]
struct ToldImport {
    before: Map<String, Value>,
    after: Map<String, Value>,
}

impl ToldImport {
    fn device(&mut self, key: &DeviceKey, before: Option<&Summary>, after: &Summary) {
        if self.after.len() >= TOLD_MAX {
            return;
        }
        let side = before.map_or(Value::Null, settings);
        self.before.insert(key.id.to_string(), side);
        self.after.insert(key.id.to_string(), settings(after));
    }

    /// The hash shows later that a table was this one, with all its devices.
    fn end(self, trail: &Trail, report: &ImportView, table: &[u8]) {
        let sum = crate::store::hex(&sha2::Sha256::digest(table));
        let after = json!({
            "created": report.created,
            "changed": report.changed,
            "table_sha256": sum,
            "devices": self.after,
        });
        trail.between(Some(json!({ "devices": self.before })), Some(after));
    }
}

fn refused(errors: &[LineError], total: usize) -> ApiError {
    let told: Vec<String> = errors
        .iter()
        .take(ERRORS_TOLD_MAX)
        .map(|error| format!("line {}: {}", error.line, error.reason))
        .collect();
    let more = match total.saturating_sub(told.len()) {
        0 => String::new(),
        more => format!("; and {more} more (dry_run=true tells them)"),
    };
    ApiError::bad(format!("nothing was imported. {}{more}", told.join("; ")))
}

fn text(what: &str, text: &str, max: usize) -> Result<(), String> {
    let length = text.chars().count();
    if (1..=max).contains(&length) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(format!(
        "expected {what} of 1 to {max} characters, none of them a control character, got {length}"
    ))
}

/// What to change of a device.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DeviceChange {
    /// What people call it; empty: nothing.
    #[schema(max_length = 128)]
    label: String,
}

/// Changes what people call a device.
#[utoipa::path(
    patch, path = "/devices/{id}", operation_id = "change_device",
    request_body = DeviceChange,
    params(("id" = String, Path, description = "Of the device")),
    responses((status = 204, description = "Done")), tag = "Devices",
    security(("token" = ["devices:annotate"]))
)]
async fn label(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
    Body(change): Body<DeviceChange>,
) -> Result<StatusCode, ApiError> {
    if !change.label.is_empty() {
        text("a label", &change.label, LABEL_CHARS_MAX).map_err(ApiError::bad)?;
    }
    let cell = scope.cell(&acs, &id)?;
    let side = |label: &str| json!({ "label": label });
    let mut before = String::new();
    cell.lock().summary_mut(|summary| {
        before = std::mem::replace(&mut summary.label, change.label.clone());
    });
    trail.between(Some(side(&before)), Some(side(&change.label)));
    acs.store.persist(&cell).await?;
    let at = acs.clock.unix();
    acs.events.label(at, cell.key(), before, change.label);
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a device in that is in quarantine.
///
/// Its next session is its first contact. Nothing happens to a device that is not in quarantine.
#[utoipa::path(
    post, path = "/devices/{id}/release", operation_id = "release_from_quarantine",
    params(("id" = String, Path, description = "Of the device")),
    responses((status = 204, description = "It is let in")), tag = "Devices",
    security(("token" = ["devices:write"]))
)]
async fn release(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
) -> Result<StatusCode, ApiError> {
    let cell = scope.cell(&acs, &id)?;
    let side = |quarantined| json!({ "quarantined": quarantined });
    cell.lock().summary_mut(|summary| {
        trail.between(Some(side(summary.quarantined)), Some(side(false)));
        if std::mem::take(&mut summary.quarantined) {
            summary.first_contact = 0;
        }
    });
    acs.store.persist(&cell).await?;
    Ok(StatusCode::NO_CONTENT)
}
