//! Ends of tasks that come later than their RPC's answer: TransferComplete, `M Reboot`, and
//! tasks whose answer never came.

use std::sync::Arc;

use cwmp::{EventKind, Fault, Request, TransferComplete};
use serde_json::json;

use super::Conversation;
use crate::clock::Now;
use crate::files::URL_CHARS_MAX;
use crate::store::{StoreError, TaskFilter};
use crate::work::exchange::own_fault;
use crate::work::operation;
use crate::work::task::{OUTCOME_UNKNOWN, Operation, Task, TaskId, TaskState};
use crate::work::transfer::{self, Progress};

/// Of a device's ended tasks, how many are looked at for the firmware that it boots with.
const LOOKED_AT_FOR_FIRMWARE: usize = 10;

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
        let running = self.summary.software_version.clone();
        let has_moved = self.acs.files.has_moved(&task);
        let end = transfer::completed(&task, complete, &running, has_moved);
        let fault = operation::error(&Fault {
            code: complete.fault.code,
            text: complete.fault.text.clone(),
            parameters: Vec::new(),
        });
        let is_certain = end.is_some();
        let noted = self.acs.store.note_progress(task.id, |progress| {
            progress.complete.get_or_insert(now.unix);
            if !is_certain {
                progress.fault = Some(fault);
            }
            if end.as_ref().is_some_and(|end| end.state == TaskState::Done)
                && progress.is_confirmed_by(&running)
            {
                progress.confirmed = Some(now.unix);
            }
        });
        let mut told = noted.await.map(|_| ());
        if told.is_ok() {
            told = match end {
                Some(end) => self.end_transfer(task.id, end, now).await,
                None => {
                    let text =
                        format!("task {} has fetched its firmware and told a fault", task.id);
                    self.trace.note(now, format!("{text}: it may run it yet"));
                    Ok(())
                }
            };
        }
        match told {
            Ok(()) => Ok(()),
            Err(error) if error.is_callers() => Ok(()),
            Err(error) => {
                self.store_failed("end a transfer", &error);
                Err(Fault::new(cwmp::rpc::fault::RETRY_REQUEST))
            }
        }
    }

    async fn end_transfer(
        &mut self,
        task: TaskId,
        end: transfer::End,
        now: Now,
    ) -> Result<(), StoreError> {
        let transfer::End {
            state,
            result,
            error,
        } = end;
        tracing::info!(device = %self.device(), %task, ?state, "transfer ended");
        self.trace.note(now, format!("task {task} {state:?}"));
        self.acs.files.moving.forget(task);
        let store = &self.acs.store;
        store.finish(task, state, result, error, now.unix).await?;
        Ok(())
    }

    /// Ends the transfers whose end this Inform tells, and confirms the firmware that the
    /// device has come up with.
    pub(super) async fn resolve_transfers(&mut self, now: Now) {
        let running = self.summary.software_version.clone();
        if self.acs.store.has_pending(self.device()) {
            for task in self.acs.store.pending(self.device()) {
                if task.operation.ends_with().is_none() || task.state != TaskState::Sent {
                    continue;
                }
                let has_moved = self.acs.files.has_moved(&task);
                let end = transfer::informed(&task, &self.events, &running, has_moved);
                let end = end.or_else(|| transfer::overdue(&task, now.unix));
                let Some(end) = end else { continue };
                let confirmed = end.state == TaskState::Done;
                let noted = self.acs.store.note_progress(task.id, |progress| {
                    if confirmed && progress.is_confirmed_by(&running) {
                        progress.confirmed = Some(now.unix);
                    }
                });
                let mut ended = noted.await.map(|_| ());
                if ended.is_ok() {
                    ended = self.end_transfer(task.id, end, now).await;
                }
                if let Err(error) = ended
                    && !error.is_callers()
                {
                    self.store_failed("end a transfer", &error);
                }
            }
        }
        if self
            .events
            .iter()
            .any(|event| event.kind() == EventKind::Boot)
        {
            self.confirm_firmware(&running, now).await;
        }
    }

    /// A firmware whose TransferComplete came before the reboot is confirmed after it.
    async fn confirm_firmware(&mut self, running: &str, now: Now) {
        let key = self.device().clone();
        let filter = TaskFilter {
            device: Some(key.id.to_string()),
            state: Some(TaskState::Done),
            ..TaskFilter::default()
        };
        let store = &self.acs.store;
        let done = store.tasks(&key.instance, &filter, None, LOOKED_AT_FOR_FIRMWARE);
        let found = done.unwrap_or_default().into_iter().find(|task| {
            let progress = task.progress.as_ref();
            task.operation.is_transfer() && progress.is_some_and(|p| p.is_confirmed_by(running))
        });
        let Some(task) = found else { return };
        if task
            .progress
            .as_ref()
            .is_some_and(|p| p.confirmed.is_some())
        {
            return;
        }
        let at = now.unix;
        let noted = store.note_after_end(&key.instance, task.id, move |progress| {
            progress.confirmed = Some(at);
        });
        match noted.await {
            Ok(()) => self.trace.note(now, format!("task {} confirmed", task.id)),
            Err(error) => self.store_failed("confirm a firmware", &error),
        }
    }

    /// Whether a transfer that the device has accepted has its end yet to come.
    pub(super) fn awaits_end(&self, task: &Task) -> bool {
        task.operation.uses_files() || !self.matched.overrides.no_transfer_complete
    }

    /// Fills in what only the session knows: where this device reaches its file.
    pub(super) async fn address_transfer(
        &mut self,
        task: &Task,
        mut request: Request,
        now: Now,
    ) -> Result<Request, String> {
        if !task.operation.uses_files() {
            return Ok(request);
        }
        let mut progress = Progress {
            version_before: self.summary.software_version.clone(),
            ends_when_moved: self.matched.overrides.no_transfer_complete,
            ..Progress::default()
        };
        let name = match &task.operation {
            Operation::Download { file: Some(id), .. } => {
                let file = self.acs.files.get(&task.instance, *id);
                let file = file.map_err(|error| error.to_string())?;
                progress.size = Some(file.size);
                if file.is_firmware() {
                    progress.version = file.version;
                }
                file.name
            }
            Operation::Upload { file_type, .. } if file_type.contains("Log") => {
                format!("{}-{}.log", task.device, task.id)
            }
            _ => format!("{}-{}.cfg", task.device, task.id),
        };
        let base = self.file_base_url()?;
        let files = &self.acs.files;
        let access = files
            .secret
            .access(files.settings().access, task, &base, &name, now.unix)
            .ok_or_else(|| {
                format!("expected a URL of at most {URL_CHARS_MAX} characters below {base:?}")
            })?;
        let (url, username, password) = match &mut request {
            Request::Download(rpc) => (&mut rpc.url, &mut rpc.username, &mut rpc.password),
            Request::Upload(rpc) => (&mut rpc.url, &mut rpc.username, &mut rpc.password),
            _ => return Ok(request),
        };
        (*url, *username, *password) = (access.url, access.username, access.password);
        let noted = self
            .acs
            .store
            .note_progress(task.id, |noted| *noted = progress);
        noted.await.map_err(|error| error.to_string())?;
        Ok(request)
    }

    /// Where the device reaches the files: what the operator says, else where it has its ACS.
    fn file_base_url(&self) -> Result<String, String> {
        if let Some(url) = &self.instance.settings.file_base_url {
            return Ok(url.clone());
        }
        let listen = self.acs.files.settings().listen;
        self.reached_at
            .url(listen.map(|listen| listen.port()))
            .ok_or_else(|| {
                "the device's Inform has no usable Host header to make the file's URL from: \
             set instance.file_base_url"
                    .to_owned()
            })
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

    /// What was sent in a session that broke before its answer, and must not be sent twice.
    pub(super) async fn fail_interrupted(&mut self, now: Now) {
        if !self.acs.store.has_pending(self.device()) {
            return;
        }
        for task in self.unanswered() {
            let fault = own_fault(format!(
                "{OUTCOME_UNKNOWN}: the session ended between request and answer, and doing it \
                 twice is not the same as doing it once"
            ));
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
