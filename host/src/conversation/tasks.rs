//! A task in a session: which is next, its RPC, and what the device's answer makes of it.

use std::sync::Arc;

use cwmp::{GetParameterNames, Request, Response};

use super::Conversation;
use super::jobs::Job;
use crate::clock::Now;
use crate::work::exchange::{Outcome, own_fault};
use crate::work::operation;
use crate::work::task::{Operation, Task, TaskError, TaskId, TaskState};

/// A task whose answer never comes is not sent for ever.
const ATTEMPTS_MAX: u32 = 5;

impl Conversation {
    pub(super) fn next_task(&self) -> Option<Arc<Task>> {
        if !self.acs.store.has_pending(self.device()) {
            return None;
        }
        let pending = self.acs.store.pending(self.device());
        let running: Vec<&str> = pending
            .iter()
            .filter(|task| task.accepted.is_some())
            .filter_map(|task| Some(task.operation.diagnostics()?.kind()))
            .collect();
        // The results of two of a kind lie at the same place.
        let waits = |task: &Task| {
            let diagnostics = task.operation.diagnostics();
            diagnostics.is_some_and(|diagnostics| running.contains(&diagnostics.kind()))
        };
        let is_next = |task: &&Arc<Task>| match task.state {
            TaskState::Queued => !waits(task),
            // Diagnostics of a session before: are they at their end?
            TaskState::Sent if task.accepted.is_some() => task.operation.diagnostics().is_some(),
            // Sent in a session that broke before the answer, and safe to send again.
            TaskState::Sent => task.operation.is_repeatable(),
            _ => false,
        };
        let mut untried = pending
            .iter()
            .filter(|task| !self.jobs.tried.contains(&task.id));
        untried.find(is_next).map(Arc::clone)
    }

    /// Marks the task sent, durably, before its RPC leaves.
    pub(super) async fn begin_task(&mut self, task: Arc<Task>, now: Now) -> Option<(Job, Request)> {
        self.jobs.tried.push(task.id);
        if self.comes_too_early(&task) {
            return None;
        }
        let version = &self.summary.software_version;
        if !self.acs.campaigns.admits(&task, version, now.unix) {
            return None;
        }
        self.trace.eventful();
        self.trace.note(now, format!("task {} begins", task.id));
        if task.accepted.is_some()
            && let Some(diagnostics) = task.operation.diagnostics()
        {
            let request = diagnostics.read(self.summary.data_model);
            return Some((Job::Task(task), request));
        }
        if task.expires.is_some_and(|expires| expires <= now.unix) {
            self.close_task(task.id, TaskState::Expired, None, None, now)
                .await;
            return None;
        }
        if task.attempts >= ATTEMPTS_MAX {
            let fault = own_fault(format!("no answer in {ATTEMPTS_MAX} sessions"));
            self.close_task(
                task.id,
                TaskState::Failed,
                None,
                Some(operation::error(&fault)),
                now,
            )
            .await;
            return None;
        }
        if task.state == TaskState::Sent
            && let Err(error) = self.acs.store.requeue(task.id).await
        {
            self.store_failed("requeue a task", &error);
            return None;
        }
        match self.acs.store.mark_sent(task.id, now.unix).await {
            Ok(task) => {
                let request = match self.task_request(&task) {
                    Ok(Some(request)) => request,
                    Ok(None) => return self.begin_flow(task, now).await,
                    Err(unknown) => {
                        let names = GetParameterNames {
                            path: unknown.below,
                            next_level: false,
                        };
                        return Some((Job::TaskNames(task), Request::GetParameterNames(names)));
                    }
                };
                match self.address_transfer(&task, request, now).await {
                    Ok(request) => Some((Job::Task(task), request)),
                    Err(text) => {
                        let error = Some(TaskError::new(text));
                        self.close_task(task.id, TaskState::Failed, None, error, now)
                            .await;
                        None
                    }
                }
            }
            // Cancelled or expired a moment ago: not an error.
            Err(error) if error.is_callers() => None,
            Err(error) => {
                self.store_failed("mark a task as sent", &error);
                None
            }
        }
    }

    pub(super) async fn end_task(&mut self, task: &Task, outcome: Outcome, now: Now) {
        match outcome {
            Ok(Response::Download(started) | Response::Upload(started))
                if started.applied == cwmp::Applied::Later && self.awaits_end(task) =>
            {
                // The end comes with TransferComplete.
                if let Err(error) = self.acs.store.mark_accepted(task.id, now.unix).await {
                    self.store_failed("mark a transfer as accepted", &error);
                }
            }
            // So does that of a scheduled one, and with DUStateChangeComplete that of modules.
            Ok(Response::ScheduleDownload | Response::ChangeDuState)
                if !self.matched.overrides.no_transfer_complete =>
            {
                if let Err(error) = self.acs.store.mark_accepted(task.id, now.unix).await {
                    self.store_failed("mark a task as accepted", &error);
                }
            }
            // They are run after this session.
            Ok(Response::SetParameterValues(_)) if task.operation.diagnostics().is_some() => {
                if let Err(error) = self.acs.store.mark_accepted(task.id, now.unix).await {
                    self.store_failed("mark diagnostics as accepted", &error);
                }
            }
            Ok(Response::GetParameterValues(values)) if task.operation.diagnostics().is_some() => {
                self.end_diagnostics(task, &values, now).await;
            }
            Ok(response) => {
                if let Operation::CancelTransfer { command_key } = &task.operation {
                    self.transfer_cancelled(command_key, task.id, now).await;
                }
                let missing: Vec<String> = std::mem::take(&mut self.jobs.missing)
                    .into_iter()
                    .map(|own| self.jobs.names.asked(&own).unwrap_or(own))
                    .collect();
                let result = operation::result(&task.operation, &response);
                let result = operation::with_missing(result, &missing);
                self.close_task(task.id, TaskState::Done, Some(result), None, now)
                    .await;
            }
            Err(fault) => {
                let error = operation::error(&fault);
                self.close_task(task.id, TaskState::Failed, None, Some(error), now)
                    .await;
            }
        }
    }

    /// Ends a task, durably, before the device gets its next answer.
    pub(super) async fn close_task(
        &mut self,
        id: TaskId,
        state: TaskState,
        result: Option<serde_json::Value>,
        error: Option<TaskError>,
        now: Now,
    ) {
        tracing::info!(device = %self.device(), task = %id, ?state, "task ended");
        self.trace.note(now, format!("task {id} {state:?}"));
        let store = &self.acs.store;
        let mut ended = store.finish(id, state, result, error, now.unix).await;
        if let Err(error @ crate::store::StoreError::TooMuch { .. }) = &ended {
            let note = serde_json::json!({ "note": format!("the answer was not kept: {error}") });
            ended = store.finish(id, state, Some(note), None, now.unix).await;
        }
        if let Err(error) = ended {
            self.store_failed("end a task", &error);
        }
    }
}
