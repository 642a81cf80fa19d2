//! Ends of tasks that come later than their RPC's answer: TransferComplete, `M Reboot`, and
//! tasks whose answer never came.

use std::sync::Arc;

use cwmp::{EventKind, Fault, Request, TransferComplete};
use serde_json::json;

use super::Conversation;
use crate::clock::Now;
use crate::work::exchange::own_fault;
use crate::work::operation;
use crate::work::task::{Operation, Task, TaskId, TaskState};

impl Conversation {
    /// Takes a request of the device. An error is the fault it is answered with: 8005, so that
    /// the device tells again and nothing is lost.
    pub(super) async fn device_request(
        &mut self,
        request: &Request,
        now: Now,
    ) -> Result<(), Fault> {
        self.trace.eventful();
        match request {
            Request::TransferComplete(complete) => self.transfer_complete(complete, now).await,
            Request::DuStateChangeComplete(complete) => self.modules_changed(complete, now).await,
            request => {
                self.note_own_request(request, now);
                Ok(())
            }
        }
    }

    async fn transfer_complete(
        &mut self,
        complete: &TransferComplete,
        now: Now,
    ) -> Result<(), Fault> {
        let Some(task) = self.transfer_of(&complete.command_key) else {
            tracing::info!(
                device = %self.device(), command_key = %complete.command_key, code = complete.fault.code,
                "TransferComplete of a transfer that nobody waits for"
            );
            return Ok(());
        };
        let (state, result, error) = if complete.fault.code == 0 {
            let times = json!({
                "start_time": complete.start_time.0, "complete_time": complete.complete_time.0,
            });
            (TaskState::Done, Some(times), None)
        } else {
            let fault = Fault {
                code: complete.fault.code,
                text: complete.fault.text.clone(),
                parameters: Vec::new(),
            };
            (TaskState::Failed, None, Some(operation::error(&fault)))
        };
        tracing::info!(device = %self.device(), task = %task.id, ?state, "transfer ended");
        self.trace.note(now, format!("task {} {state:?}", task.id));
        match self
            .acs
            .store
            .finish(task.id, state, result, error, now.unix)
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if error.is_callers() => Ok(()),
            Err(error) => {
                self.store_failed("end a transfer", &error);
                Err(Fault::new(cwmp::rpc::fault::RETRY_REQUEST))
            }
        }
    }

    /// The task of a TransferComplete: by its CommandKey, or, as some devices send none, the
    /// only transfer under way.
    fn transfer_of(&self, command_key: &str) -> Option<Arc<Task>> {
        let is_transfer =
            |task: &Task| task.operation.is_transfer() && task.state == TaskState::Sent;
        let mut transfers = self.acs.store.pending(self.device());
        transfers.retain(|task| is_transfer(task));
        if let Ok(id) = command_key.trim().parse() {
            return transfers.into_iter().find(|task| task.id == id);
        }
        match (command_key.trim().is_empty(), transfers.as_slice()) {
            (true, [only]) => Some(Arc::clone(only)),
            _ => None,
        }
    }

    /// A Reboot whose answer did not come was done all the same if the device says so.
    pub(super) async fn resolve_rebooted(&mut self, now: Now) {
        if !self.acs.store.has_pending(self.device()) {
            return;
        }
        let events = self.events.clone();
        for task in self.unanswered() {
            let key = task.id.to_string();
            let has = |kind| events.iter().any(|e| e.kind() == kind);
            let rebooted = |e: &&cwmp::Event| e.kind() == EventKind::Method("Reboot");
            let keyed = events.iter().filter(rebooted).any(|e| e.command_key == key);
            // A boot that another task's reboot explains says nothing of this one.
            let others = events
                .iter()
                .filter(rebooted)
                .any(|e| e.command_key.parse::<TaskId>().is_ok());
            let happened = match task.operation {
                Operation::Reboot => keyed || (has(EventKind::Boot) && !others),
                Operation::FactoryReset => has(EventKind::Bootstrap),
                _ => false,
            };
            if happened {
                let result = json!({ "note": "the answer was lost; the device's events tell that it was done" });
                self.close_task(task.id, TaskState::Done, Some(result), None, now)
                    .await;
            }
        }
    }

    /// What was sent in a session that broke before its answer, and must not be sent twice;
    /// and transfers whose end has not been told for too long.
    pub(super) async fn fail_interrupted(&mut self, now: Now) {
        if !self.acs.store.has_pending(self.device()) {
            return;
        }
        let mut silent = self.acs.store.pending(self.device());
        silent.retain(|task| {
            let seconds_max = task.operation.ends_with().map_or(0, |(_, seconds)| seconds);
            task.accepted.is_some_and(|at| now.unix - at > seconds_max)
        });
        for task in silent {
            let Some((method, seconds)) = task.operation.ends_with() else {
                continue;
            };
            let fault = own_fault(format!("no {method} within {seconds} s"));
            let error = Some(operation::error(&fault));
            self.close_task(task.id, TaskState::Failed, None, error, now)
                .await;
        }
        for task in self.unanswered() {
            let fault = own_fault(
                "outcome unknown: the session ended between request and answer, and doing it \
                 twice is not the same as doing it once"
                    .to_owned(),
            );
            let error = Some(operation::error(&fault));
            self.close_task(task.id, TaskState::Failed, None, error, now)
                .await;
        }
    }

    fn unanswered(&self) -> Vec<Arc<Task>> {
        let mut tasks = self.acs.store.pending(self.device());
        tasks.retain(|task| {
            task.state == TaskState::Sent
                && task.accepted.is_none()
                && !task.operation.is_repeatable()
                // The one that this very session has sent is not unanswered, it is under way.
                && self.jobs.task_id() != Some(task.id)
        });
        tasks
    }
}
