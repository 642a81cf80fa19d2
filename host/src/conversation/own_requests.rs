//! What devices tell and ask by themselves, kept for the people who look for what happened;
//! and transfers that were cancelled, of which devices tell nothing.

use std::sync::Arc;

use cwmp::{Event, EventKind, Request};

use super::Conversation;
use crate::clock::Now;
use crate::device::OwnRequest;
use crate::work::exchange::own_fault;
use crate::work::operation;
use crate::work::task::{TaskId, TaskState};

/// Kept of one device.
const OWN_REQUESTS_MAX: usize = 16;
/// Of what is kept of one.
const TEXT_CHARS_MAX: usize = 500;

impl Conversation {
    /// Keeps what a request says that no task waits for.
    pub(super) fn note_own_request(&mut self, request: &Request, now: Now) {
        let Some(text) = described(request) else {
            return;
        };
        let text = crate::traces::mask::text(&text);
        tracing::info!(device = %self.device(), method = request.method(), text, "the device says");
        let own = OwnRequest {
            at: now.unix,
            method: request.method().to_owned(),
            text: text.chars().take(TEXT_CHARS_MAX).collect(),
        };
        self.cell.lock().summary_mut(|summary| {
            summary.own_requests.insert(0, own);
            summary.own_requests.truncate(OWN_REQUESTS_MAX);
        });
        self.acs.store.touched(&self.cell);
        if let Request::RequestDownload(asked) = request {
            Arc::make_mut(&mut self.summary).requested_download = Some(asked.clone());
            // A flow waits for the event, which some devices do not announce.
            let announced = |event: &Event| event.kind() == EventKind::RequestDownload;
            if !self.events.iter().any(announced) {
                self.events.push(Event {
                    code: EventKind::RequestDownload.to_string(),
                    command_key: String::new(),
                });
            }
        }
    }

    /// The device has taken a transfer out of its queue: no TransferComplete will come.
    pub(super) async fn transfer_cancelled(&mut self, command_key: &str, by: TaskId, now: Now) {
        let Ok(id) = command_key.trim().parse::<TaskId>() else {
            return;
        };
        let pending = self.acs.store.pending(self.device());
        let waits = |task: &std::sync::Arc<crate::work::task::Task>| {
            task.id == id && task.operation.is_transfer() && task.state == TaskState::Sent
        };
        if pending.iter().any(waits) {
            let error =
                operation::error(&own_fault(format!("cancelled on the device by task {by}")));
            self.close_task(id, TaskState::Failed, None, Some(error), now)
                .await;
        }
    }
}

/// One line for people. `None`: nothing that somebody would look for.
fn described(request: &Request) -> Option<String> {
    match request {
        Request::AutonomousTransferComplete(complete) => {
            let direction = if complete.is_download { "from" } else { "to" };
            Some(format!(
                "transferred {:?} {direction} {}: {}",
                complete.file_type,
                complete.transfer_url,
                ended(complete.fault.code, &complete.fault.text)
            ))
        }
        Request::AutonomousDuStateChangeComplete(results) => {
            let lines = results.iter().map(|one| {
                format!(
                    "{} of {} {}: {}, {}",
                    one.operation,
                    one.result.uuid,
                    one.result.version,
                    one.result.state,
                    ended(one.result.fault.code, &one.result.fault.text)
                )
            });
            Some(lines.collect::<Vec<_>>().join("; "))
        }
        Request::RequestDownload(asked) => {
            let arguments = asked.arguments.iter();
            let arguments: String = arguments
                .map(|(name, value)| format!(", {name} = {value:?}"))
                .collect();
            Some(format!("asks for {:?}{arguments}", asked.file_type))
        }
        Request::Kicked(kicked) => Some(format!(
            "a browser came from {} with {:?} {:?}, sent on to {}",
            kicked.referer, kicked.command, kicked.arg, kicked.next
        )),
        _ => None,
    }
}

fn ended(code: u32, text: &str) -> String {
    match code {
        0 => "well".to_owned(),
        code => format!("fault {code} {text}"),
    }
}
