//! The end of diagnostics: what the device has found out.

use cwmp::ParameterValue;

use super::Conversation;
use crate::clock::Now;
use crate::work::diagnostics::Outcome;
use crate::work::task::{Task, TaskError, TaskState};

impl Conversation {
    /// Takes the answer to the look at diagnostics that were asked for in a session before.
    pub(super) async fn end_diagnostics(
        &mut self,
        task: &Task,
        values: &[ParameterValue],
        now: Now,
    ) {
        let Some(diagnostics) = task.operation.diagnostics() else {
            return;
        };
        match diagnostics.outcome(self.summary.data_model, values) {
            Outcome::Running => {
                let text = format!("task {}: the diagnostics are not at their end", task.id);
                self.trace.note(now, text);
            }
            Outcome::Done(result) => {
                self.close_task(task.id, TaskState::Done, Some(result), None, now)
                    .await;
            }
            Outcome::Failed(text) => {
                let error = Some(TaskError::new(text));
                self.close_task(task.id, TaskState::Failed, None, error, now)
                    .await;
            }
        }
    }
}
