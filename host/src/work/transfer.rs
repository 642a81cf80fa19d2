//! A transfer from its request to its end: Download and Upload are not done when the device
//! has answered, but when the file has moved and, for a firmware, when it runs.
//!
//! Devices tell the end by TransferComplete, most of them. Some never do, some tell a fault
//! although the firmware runs. What counts, in this order: the version that the device reports,
//! its TransferComplete, the bytes that moved. Whatever comes first that is certain ends the
//! task; a task ends once.

use cwmp::{Event, EventKind, TransferComplete};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::operation;
use super::task::{Operation, Task, TaskError, TaskId, TaskState};
use crate::Acs;
use crate::device::DeviceKey;
use crate::device::{Summary, UnixTime};
use crate::files::{File, FileId, is_firmware};

/// How long a device that fetched its firmware and then told a fault has to come up with it.
pub const CONFIRM_SECONDS_MAX: i64 = 900;
/// How long after its file an upload waits for the TransferComplete.
pub const COMPLETE_SECONDS_MAX: i64 = 300;
/// Faults that say that a transfer did not end well, not that the file was refused: some
/// devices tell them and flash all the same.
const VAGUE_FAULTS: [u32; 3] = [9002, 9010, 9017];

/// What happened so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// The SoftwareVersion of the device when its RPC left.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version_before: String,
    /// The SoftwareVersion that the file brings; empty = not known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Bytes of the file, where it is one of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The first bytes moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun: Option<UnixTime>,
    /// All bytes had moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved: Option<UnixTime>,
    /// That is the end: the device sends no TransferComplete.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ends_when_moved: bool,
    /// The file that an upload became.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileId>,
    /// TransferComplete came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<UnixTime>,
    /// What it told, as long as the device may yet prove it wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<TaskError>,
    /// The device reported the version of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<UnixTime>,
    /// The device was woken to tell its end: of diagnostics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub woken: Option<UnixTime>,
}

/// How a transfer ends.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// A final one.
    pub state: TaskState,
    /// For the task.
    pub result: Option<Value>,
    /// For the task.
    pub error: Option<TaskError>,
}

impl End {
    fn done(result: Value) -> Option<End> {
        Some(End {
            state: TaskState::Done,
            result: Some(result),
            error: None,
        })
    }

    fn failed(error: TaskError) -> Option<End> {
        Some(End {
            state: TaskState::Failed,
            result: None,
            error: Some(error),
        })
    }
}

impl Progress {
    /// Whether this is the version that the file brings.
    pub fn is_confirmed_by(&self, running: &str) -> bool {
        let version = self.version.trim();
        !version.is_empty() && version == running.trim()
    }

    /// Whether the device runs the firmware that this transfer brought: it reports its version,
    /// and did not before or has booted since it had the whole file.
    fn runs(&self, running: &str, has_moved: bool, booted: bool) -> bool {
        self.is_confirmed_by(running)
            && (self.version.trim() != self.version_before.trim() || (has_moved && booted))
    }
}

/// What happened so far to the transfer of a task.
pub fn progress(task: &Task) -> Progress {
    task.progress.clone().unwrap_or_default()
}

/// TransferComplete came. `None`: the end is not certain yet; the fault is to be remembered.
pub fn completed(
    task: &Task,
    complete: &TransferComplete,
    running: &str,
    has_moved: bool,
) -> Option<End> {
    let progress = progress(task);
    let mut times = json!({
        "start_time": complete.start_time.0, "complete_time": complete.complete_time.0,
    });
    if complete.fault.code == 0 {
        let wants_file = task.operation.uses_files() && task.operation.is_upload();
        return match progress.file {
            None if wants_file => End::failed(TaskError::new(
                "the device tells that it has sent its file, but none came",
            )),
            file => {
                if let (Some(file), Some(object)) = (file, times.as_object_mut()) {
                    object.insert("file".into(), json!(file));
                }
                End::done(times)
            }
        };
    }
    let fault = operation::error(&cwmp::Fault {
        code: complete.fault.code,
        text: complete.fault.text.clone(),
        parameters: Vec::new(),
    });
    if progress.runs(running, has_moved, true) {
        return End::done(runs_in_spite_of(&fault));
    }
    let may_yet_run = has_moved
        && task.operation.brings_firmware()
        && !progress.version.is_empty()
        && VAGUE_FAULTS.contains(&complete.fault.code);
    if may_yet_run {
        None
    } else {
        End::failed(fault)
    }
}

/// An Inform came, before anything else of its session: what it tells of a transfer.
pub fn informed(task: &Task, events: &[Event], running: &str, has_moved: bool) -> Option<End> {
    let has = |kind: EventKind<'_>| events.iter().any(|event| event.kind() == kind);
    let progress = progress(task);
    let booted = has(EventKind::Boot);
    let runs = progress.runs(running, has_moved, booted);
    if let Some(fault) = progress.fault {
        return match (runs, booted) {
            (true, _) => End::done(runs_in_spite_of(&fault)),
            (false, true) => End::failed(fault),
            (false, false) => None,
        };
    }
    // Its TransferComplete follows in this session, and tells more.
    if has(EventKind::TransferComplete) || !(runs && has_moved) {
        return None;
    }
    End::done(
        json!({ "note": "no TransferComplete came, but the device runs the version of the file" }),
    )
}

/// The time that is left may be over. `moved`: when the file had moved.
pub fn overdue(task: &Task, now: UnixTime) -> Option<End> {
    let (method, seconds_max) = task.operation.ends_with()?;
    if task.state != TaskState::Sent {
        return None;
    }
    let progress = progress(task);
    let is_over = |from: UnixTime, seconds: i64| now.saturating_sub(from) > seconds;
    if let (Some(fault), Some(at)) = (&progress.fault, progress.complete)
        && is_over(at, CONFIRM_SECONDS_MAX)
    {
        return End::failed(fault.clone());
    }
    if let (Some(file), Some(at)) = (progress.file, progress.moved)
        && (progress.ends_when_moved || is_over(at, COMPLETE_SECONDS_MAX))
    {
        return End::done(
            json!({ "file": file, "note": "no TransferComplete came, but the file did" }),
        );
    }
    if progress.ends_when_moved && progress.moved.is_some() {
        return End::done(fetched());
    }
    if is_over(task.accepted?, seconds_max) {
        return End::failed(TaskError::new(format!(
            "no {method} within {seconds_max} s"
        )));
    }
    None
}

fn runs_in_spite_of(fault: &TaskError) -> Value {
    json!({
        "note": "TransferComplete told a fault, but the device runs the version of the file",
        "fault": { "code": fault.code, "text": fault.text },
    })
}

fn fetched() -> Value {
    json!({ "note": "the device fetched the whole file; it sends no TransferComplete" })
}

/// Completes a transfer that names a file of the store with what is known of that file.
///
/// # Errors
/// Why it cannot be asked for, for people.
pub fn prepare(
    acs: &Acs,
    operation: &mut Operation,
    device: &DeviceKey,
    summary: &Summary,
) -> Result<(), String> {
    let Operation::Download {
        file: Some(id),
        force,
        file_type,
        url,
        file_size,
        target_file_name,
        ..
    } = operation
    else {
        return Ok(());
    };
    if !url.is_empty() {
        return Err("expected a file or a url, got both".into());
    }
    let file = acs
        .files
        .get(&device.instance, *id)
        .map_err(|error| error.to_string())?;
    if !*force {
        let for_it = match &file.from {
            Some(from) if *from.device != *device.id => {
                Err(format!("another device sent it, {:?}", from.device))
            }
            _ => file.devices.check(summary),
        };
        for_it.map_err(|why| {
            format!("{id} is not for this device ({why}); \"force\": true sends it all the same")
        })?;
    }
    if file_type.is_empty() {
        *file_type = download_type(&file);
    }
    // A size that does not fit is told as "not known".
    *file_size = u32::try_from(file.size).unwrap_or(0);
    if target_file_name.is_empty() {
        target_file_name.clone_from(&file.name);
    }
    Ok(())
}

/// What Download calls a file: Upload numbers the same kinds otherwise.
fn download_type(file: &File) -> String {
    if file.from.is_some() && file.file_type.contains("Vendor Configuration File") {
        return "3 Vendor Configuration File".to_owned();
    }
    file.file_type.clone()
}

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It waits for the device's next session.
    Requested,
    /// Its RPC has left.
    Sent,
    /// The device has answered that it begins.
    Accepted,
    /// The device fetches the file.
    Fetching,
    /// The device has fetched all of it.
    Fetched,
    /// The device sends the file.
    Sending,
    /// All of it has come.
    Received,
    /// The device has told the end.
    Complete,
    /// The device runs the firmware.
    Confirmed,
}

/// How far the transfer of a task is.
pub fn stage(task: &Task) -> Stage {
    let progress = progress(task);
    let upload = task.operation.is_upload();
    match (task, &progress) {
        (_, p) if p.confirmed.is_some() => Stage::Confirmed,
        (_, p) if p.complete.is_some() => Stage::Complete,
        (_, p) if p.moved.is_some() && upload => Stage::Received,
        (_, p) if p.moved.is_some() => Stage::Fetched,
        (_, p) if p.begun.is_some() && upload => Stage::Sending,
        (_, p) if p.begun.is_some() => Stage::Fetching,
        (t, _) if t.accepted.is_some() => Stage::Accepted,
        (t, _) if t.sent.is_some() => Stage::Sent,
        _ => Stage::Requested,
    }
}

/// How many bytes have moved; `moving`: so many in the transfer that runs.
pub fn bytes(task: &Task, moving: Option<u64>) -> Option<u64> {
    let progress = progress(task);
    progress.moved.and(progress.size).or(moving)
}

impl Acs {
    /// The device has begun to fetch or to send: so it has taken the RPC, whether or not its
    /// answer came.
    pub async fn transfer_begun(&self, task: &Task) {
        if progress(task).begun.is_some() {
            return;
        }
        let now = self.clock.unix();
        let mut noted = self
            .store
            .note_progress(task.id, |progress| progress.begun = Some(now))
            .await
            .map(|_| ());
        if noted.is_ok() && task.accepted.is_none() {
            noted = self.store.mark_accepted(task.id, now).await.map(|_| ());
        }
        self.noted(task.id, noted);
    }

    /// The whole file has moved. `file`: what an upload became.
    pub async fn transfer_moved(&self, task: TaskId, file: Option<&File>) {
        let now = self.clock.unix();
        let noted = self
            .store
            .note_progress(task, |progress| {
                progress.moved.get_or_insert(now);
                if let Some(file) = file {
                    progress.size = Some(file.size);
                    progress.file = Some(file.id);
                }
            })
            .await;
        let ended = noted.as_ref().ok().and_then(|task| {
            let ends = progress(task).ends_when_moved;
            ends.then(|| overdue(task, now)).flatten()
        });
        self.noted(task, noted.map(|_| ()));
        if let Some(end) = ended {
            self.end_transfer(task, end, now).await;
        }
    }

    fn noted(&self, task: TaskId, noted: Result<(), crate::store::StoreError>) {
        match noted {
            Ok(()) => {}
            // It has ended meanwhile.
            Err(error) if error.is_callers() => {}
            Err(error) => tracing::error!(%task, %error, "cannot note how far a transfer is"),
        }
    }

    /// Ends the transfers whose time is over.
    pub async fn end_overdue_transfers(&self, now: UnixTime) {
        let overdue_at = |task: &Task| overdue(task, now).is_some();
        for task in self.store.unfinished(overdue_at) {
            if let Some(end) = overdue(&task, now) {
                self.end_transfer(task.id, end, now).await;
            }
        }
        self.files
            .moving
            .retain(|task| self.store.unfinished_task(task).is_some());
    }

    async fn end_transfer(&self, task: TaskId, end: End, now: UnixTime) {
        let End {
            state,
            result,
            error,
        } = end;
        tracing::info!(%task, ?state, "transfer ended");
        match self.store.finish(task, state, result, error, now).await {
            Ok(_) => self.files.moving.forget(task),
            Err(error) if error.is_callers() => {}
            Err(error) => tracing::error!(%task, %error, "cannot end a transfer"),
        }
    }
}

impl Operation {
    /// Whether the device sends a file.
    pub fn is_upload(&self) -> bool {
        matches!(self, Operation::Upload { .. })
    }

    /// Whether the file comes from the file store, or goes there.
    pub fn uses_files(&self) -> bool {
        match self {
            Operation::Download { file, .. } => file.is_some(),
            Operation::Upload { url, .. } => url.is_empty(),
            _ => false,
        }
    }

    /// Whether the device boots with another image afterwards.
    pub fn brings_firmware(&self) -> bool {
        matches!(self, Operation::Download { file_type, .. } if is_firmware(file_type))
    }
}

#[cfg(test)]
#[path = "transfer/tests.rs"]
mod tests;
