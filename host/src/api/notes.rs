//! `/v1/devices/{id}/notes`: what people want others to know of a device.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::Trail;
use super::error::{ApiError, Body, Page, Path, Time};
use super::scope::Scope;
use crate::Acs;
use crate::device::Note;
use crate::events::Noted;

/// Notes of one device.
const NOTES_MAX: usize = 50;
/// Characters of one.
const TEXT_CHARS_MAX: usize = 2_000;

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(list, write))
        .routes(routes!(remove))
}

/// A note on a device.
#[derive(Serialize, ToSchema)]
pub(super) struct NoteView {
    number: u32,
    at: Time,
    /// Who wrote it.
    by: String,
    text: String,
}

fn view(note: &Note) -> NoteView {
    NoteView {
        number: note.number,
        at: Time(note.at),
        by: note.by.clone(),
        text: note.text.clone(),
    }
}

/// A note to write.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WriteNote {
    #[schema(min_length = 1, max_length = 2000)]
    text: String,
}

/// The notes on a device, the oldest first.
#[utoipa::path(
    get, path = "/devices/{id}/notes", operation_id = "list_notes", tag = "Devices",
    params(("id" = String, Path, description = "Of the device")),
    responses((status = 200, description = "All of them", body = Page<NoteView>)),
    security(("token" = ["devices:read"]))
)]
pub(super) async fn list(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
) -> Result<Json<Page<NoteView>>, ApiError> {
    let cell = scope.cell(&acs, &id)?;
    let device = cell.lock();
    let notes = device.summary().notes.iter();
    Ok(Json(Page::whole(notes.map(view).collect())))
}

/// Writes a note on a device.
#[utoipa::path(
    post, path = "/devices/{id}/notes", operation_id = "write_note", tag = "Devices",
    params(("id" = String, Path, description = "Of the device")),
    request_body = WriteNote,
    responses((status = 201, description = "The note", body = NoteView)),
    security(("token" = ["devices:annotate"]))
)]
pub(super) async fn write(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
    Body(request): Body<WriteNote>,
) -> Result<(StatusCode, Json<NoteView>), ApiError> {
    let text = request.text;
    let odd = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !(1..=TEXT_CHARS_MAX).contains(&text.chars().count()) || text.chars().any(odd) {
        return Err(ApiError::bad(format!(
            "expected a text of 1 to {TEXT_CHARS_MAX} characters, got {}",
            text.chars().count()
        )));
    }
    let cell = scope.cell(&acs, &id)?;
    let (at, by) = (acs.clock.unix(), scope.principal.name.to_string());
    let mut written = None;
    cell.lock().summary_mut(|summary| {
        if summary.notes.len() >= NOTES_MAX {
            return;
        }
        let number = summary.notes.last().map_or(0, |last| last.number) + 1;
        let note = Note {
            number,
            at,
            by,
            text,
        };
        written = Some(note.clone());
        summary.notes.push(note);
    });
    let Some(written) = written else {
        return Err(ApiError::conflict(format!(
            "the device has {NOTES_MAX} notes already"
        )));
    };
    trail.made(&written);
    acs.store.persist(&cell).await?;
    acs.events.notes(at, cell.key(), Noted::Written(&written));
    Ok((StatusCode::CREATED, Json(view(&written))))
}

/// Takes a note from a device.
#[utoipa::path(
    delete, path = "/devices/{id}/notes/{number}", operation_id = "remove_note", tag = "Devices",
    params(
        ("id" = String, Path, description = "Of the device"),
        ("number" = u32, Path, description = "Of the note"),
    ),
    responses((status = 204, description = "It is gone")),
    security(("token" = ["devices:annotate"]))
)]
pub(super) async fn remove(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path((id, number)): Path<(String, u32)>,
    trail: Trail,
) -> Result<StatusCode, ApiError> {
    let cell = scope.cell(&acs, &id)?;
    let mut removed = None;
    cell.lock().summary_mut(|summary| {
        let mut notes = summary.notes.iter();
        let place = notes.position(|note| note.number == number);
        removed = place.map(|place| summary.notes.remove(place));
    });
    let none = || ApiError::not_found(format!("the device has no note {number}"));
    let removed = removed.ok_or_else(none)?;
    trail.removed(&removed);
    acs.store.persist(&cell).await?;
    let at = acs.clock.unix();
    acs.events.notes(at, cell.key(), Noted::Removed(&removed));
    Ok(StatusCode::NO_CONTENT)
}
