//! `/v1/devices/{id}/contacts`: when a device came, why, from where, and what was done.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, Page, Path, Time};
use super::scope::Scope;
use super::sessions::{milliseconds, moment};
use crate::Acs;
use crate::store::{Contact, TaskFilter};
use crate::traces::SessionId;
use crate::work::task::{Task, TaskId};

/// Contacts that are told.
const CONTACTS_MAX: usize = 50;
/// Tasks that are looked through for those of these contacts.
const TASKS_MAX: usize = 200;

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new().routes(routes!(of_device))
}

/// A contact of a device.
#[derive(Serialize, ToSchema)]
struct ContactView {
    /// When the Inform came.
    #[schema(format = DateTime)]
    at: String,
    /// Why: the codes of the Inform's events.
    events: Vec<String>,
    /// Where the Inform came from.
    peer_address: String,
    /// From the Inform to the end, or until now.
    duration_ms: f64,
    /// RPCs sent to the device.
    rpcs: u32,
    /// Faults that it answered with.
    faults: u32,
    /// `done`, or why it ended before its time; null: it is under way.
    ended: Option<String>,
    /// How many of the kind came one after the other: a device that informs every few seconds says mostly only that it
    /// is there.
    times: u32,
    /// When the last of them ended; null: it is under way.
    last: Option<Time>,
    /// All that happened in it: `/sessions/{id}`; null: no trace is kept.
    session: Option<SessionId>,
    /// Tasks that it was sent then.
    tasks: Vec<TaskOfContact>,
}

/// A task that a device was sent.
#[derive(Serialize, ToSchema)]
struct TaskOfContact {
    id: TaskId,
    /// `reboot`, `set`, `download`, …
    operation: String,
    /// What has become of it.
    state: String,
    /// Why it failed.
    error: Option<String>,
}

/// Shows the last contacts of a device: when it came, why, from where, how it went, which tasks it was sent.
///
/// The newest first. Those whose session is kept as a trace, and the last ones since the host began, whatever happened in
/// them.
#[utoipa::path(
    get, path = "/devices/{id}/contacts", operation_id = "list_contacts",
    params(("id" = String, Path, description = "Of the device")),
    responses((status = 200, description = "All that are known, 50 at most", body = Page<ContactView>)), tag = "Sessions",
    security(("token" = ["sessions:read"]))
)]
async fn of_device(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
) -> Result<Json<Page<ContactView>>, ApiError> {
    let cell = scope.cell(&acs, &id)?;
    let key = cell.key();
    let kept = acs.traces.list(key);
    let is_kept = |session: SessionId| kept.iter().any(|head| head.id == session);
    let mut contacts: Vec<(Contact, Option<SessionId>)> = cell
        .recent_contacts()
        .into_iter()
        .filter(|contact| contact.times > 1 || !is_kept(contact.session))
        .map(|contact| (contact, None))
        .collect();
    for head in &kept {
        let took = i64::try_from(head.duration / 1_000).unwrap_or_default();
        let last = (head.started + took) / 1_000;
        contacts.push((Contact::of(head.clone(), last), Some(head.id)));
    }
    contacts.sort_by_key(|(contact, _)| std::cmp::Reverse((contact.started, contact.session)));
    contacts.truncate(CONTACTS_MAX);
    let filter = TaskFilter {
        device: Some(key.id.to_string()),
        ..TaskFilter::default()
    };
    let tasks = acs.store.tasks(&key.instance, &filter, None, TASKS_MAX)?;
    let views = contacts
        .into_iter()
        .map(|(contact, session)| view(contact, session, &tasks));
    Ok(Json(Page::whole(views.collect())))
}

fn view(contact: Contact, session: Option<SessionId>, tasks: &[Arc<Task>]) -> ContactView {
    let from = contact.started / 1_000;
    let is_of_it = |task: &&Arc<Task>| {
        // Times are told to the second: a session that asked nothing has sent none.
        let sent = task.sent.filter(|sent| contact.rpcs > 0 && *sent >= from);
        sent.is_some_and(|sent| contact.ended.is_none() || sent <= contact.last)
    };
    let tasks = tasks.iter().filter(is_of_it).map(|task| TaskOfContact {
        id: task.id,
        operation: task.operation.name().to_owned(),
        state: serde_json::json!(task.state)
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        error: task.error.as_ref().map(|error| error.text.clone()),
    });
    ContactView {
        at: moment(contact.started),
        duration_ms: milliseconds(contact.duration),
        tasks: tasks.collect(),
        peer_address: contact.peer.into(),
        events: contact.events.into_vec(),
        rpcs: contact.rpcs,
        faults: contact.faults,
        times: contact.times,
        last: contact.ended.is_some().then_some(Time(contact.last)),
        ended: contact.ended.map(Into::into),
        session,
    }
}
