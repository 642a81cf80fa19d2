//! The end of a ChangeDUState: its DUStateChangeComplete.

use std::sync::Arc;

use cwmp::{DuStateChangeComplete, Fault};

use super::Conversation;
use crate::clock::Now;
use crate::work::operation;
use crate::work::task::{Operation, Task, TaskState};

impl Conversation {
    /// An error is the fault it is answered with: the device then tells again.
    pub(super) async fn modules_changed(
        &mut self,
        complete: &DuStateChangeComplete,
        now: Now,
    ) -> Result<(), Fault> {
        let (result, error) = operation::modules_changed(complete);
        let Some(task) = self.change_of(&complete.command_key) else {
            tracing::info!(
                device = %self.device(), command_key = %complete.command_key,
                "DUStateChangeComplete of a change that nobody waits for"
            );
            return Ok(());
        };
        let state = match error {
            None => TaskState::Done,
            Some(_) => TaskState::Failed,
        };
        tracing::info!(device = %self.device(), task = %task.id, ?state, "software modules changed");
        self.trace.note(now, format!("task {} {state:?}", task.id));
        let ended = self
            .acs
            .store
            .finish(task.id, state, Some(result), error, now.unix)
            .await;
        match ended {
            Ok(_) => Ok(()),
            Err(error) if error.is_callers() => Ok(()),
            Err(error) => {
                self.store_failed("end a change of software modules", &error);
                Err(Fault::new(cwmp::rpc::fault::RETRY_REQUEST))
            }
        }
    }

    /// The task of a DUStateChangeComplete: by its CommandKey, or, as some devices send none,
    /// the only change under way.
    fn change_of(&self, command_key: &str) -> Option<Arc<Task>> {
        let mut changes = self.acs.store.pending(self.device());
        changes.retain(|task| {
            matches!(task.operation, Operation::ChangeDuState { .. })
                && task.state == TaskState::Sent
        });
        if let Ok(id) = command_key.trim().parse() {
            return changes.into_iter().find(|task| task.id == id);
        }
        match (command_key.trim().is_empty(), changes.as_slice()) {
            (true, [only]) => Some(Arc::clone(only)),
            _ => None,
        }
    }
}
