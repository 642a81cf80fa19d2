//! A task as the API shows it.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::error::Time;
use super::reachability::{WakeView, wake_view};
use crate::Acs;
use crate::nat::pace::Full;
use crate::work::campaign::CampaignId;
use crate::work::task::{Operation, Task, TaskError, TaskId, TaskParameterError, TaskState};
use crate::work::transfer::{self, Stage};

/// A task. Secrets that it sets or uses are not shown.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskView {
    pub(super) id: TaskId,
    instance: String,
    device: String,
    operation: Operation,
    state: StateOfTask,
    /// A device's tasks with a higher one are done first.
    priority: i8,
    /// The caller's own name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    idempotency_key: Option<String>,
    /// The campaign that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    campaign: Option<CampaignId>,
    /// How often its RPC left.
    attempts: u32,
    created: Time,
    /// When it is given up if not begun.
    expires: Option<Time>,
    /// When its RPC last left.
    sent: Option<Time>,
    ended: Option<Time>,
    /// The device's answer; its form is that of the operation.
    #[schema(value_type = Option<Value>)]
    result: Option<Value>,
    /// Why it failed.
    error: Option<TaskErrorView>,
    /// How far a transfer is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    progress: Option<ProgressView>,
    /// How its device is being woken, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    wake: Option<WakeOfTask>,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum StateOfTask {
    /// It waits for the device's next session.
    Queued,
    /// It waits, and its device is being woken.
    Waking,
    /// Its RPC has left; no answer yet (for transfers: no TransferComplete yet).
    Sent,
    /// Ended well.
    Done,
    /// Ended by a fault or an unknown outcome.
    Failed,
    /// Not begun before its time was over.
    Expired,
    /// Taken back before it was sent.
    Cancelled,
}

impl StateOfTask {
    fn of(state: TaskState, is_waking: bool) -> StateOfTask {
        match state {
            TaskState::Queued if is_waking => StateOfTask::Waking,
            TaskState::Queued => StateOfTask::Queued,
            TaskState::Sent => StateOfTask::Sent,
            TaskState::Done => StateOfTask::Done,
            TaskState::Failed => StateOfTask::Failed,
            TaskState::Expired => StateOfTask::Expired,
            TaskState::Cancelled => StateOfTask::Cancelled,
        }
    }
}

/// How the device of a task is being woken, or why it is not.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum WakeOfTask {
    Under(Box<WakeView>),
    Refused(RefusedWake),
}

/// Too much is being woken: the task waits for the device's next Inform.
#[derive(Serialize, ToSchema)]
struct RefusedWake {
    state: RefusedState,
    error: String,
    retry_after_seconds: u64,
}

/// That a wake-up was refused.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum RefusedState {
    Refused,
}

/// Why a task failed, and what can be done about it.
#[derive(Serialize, ToSchema)]
struct TaskErrorView {
    /// The CWMP fault code, where it was a fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    code: Option<u32>,
    /// For people: what was expected and what came.
    text: String,
    /// Which parameters were at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    parameters: Vec<TaskParameterError>,
    /// What can be done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    advice: Option<&'static str>,
}

impl From<TaskError> for TaskErrorView {
    fn from(error: TaskError) -> TaskErrorView {
        TaskErrorView {
            advice: error.code.and_then(cwmp::rpc::fault::advice),
            code: error.code,
            text: error.text,
            parameters: error.parameters,
        }
    }
}

/// A transfer's way.
#[derive(Serialize, ToSchema)]
struct ProgressView {
    stage: Stage,
    requested: Time,
    /// The device answered that it begins.
    accepted: Option<Time>,
    /// The first bytes moved.
    begun: Option<Time>,
    /// That have moved.
    bytes: Option<u64>,
    bytes_total: Option<u64>,
    /// All bytes had moved.
    moved: Option<Time>,
    /// TransferComplete came.
    transfer_complete: Option<Time>,
    /// What it told, as long as the device may yet prove it wrong.
    fault: Option<String>,
    /// The device runs the firmware.
    confirmed: Option<Time>,
}

fn progress(acs: &Acs, task: &Task) -> ProgressView {
    let progress = transfer::progress(task);
    ProgressView {
        stage: transfer::stage(task),
        requested: Time(task.created),
        accepted: task.accepted.map(Time),
        begun: progress.begun.map(Time),
        bytes: transfer::bytes(task, acs.files.moving.bytes(task.id)),
        bytes_total: progress.size,
        moved: progress.moved.map(Time),
        transfer_complete: progress.complete.map(Time),
        fault: progress.fault.as_ref().map(|fault| fault.text.clone()),
        confirmed: progress.confirmed.map(Time),
    }
}

impl TaskView {
    /// A task as it is.
    pub(super) fn of(acs: &Acs, task: &Task) -> TaskView {
        let wake = (task.state == TaskState::Queued)
            .then(|| acs.wakes.last(&task.device_key()))
            .flatten()
            .filter(|report| report.started >= task.created || !report.state.is_end());
        let is_waking = wake.as_ref().is_some_and(|report| !report.state.is_end());
        let wake = wake.map(|report| wake_view(acs, &task.device_key(), &report));
        TaskView {
            id: task.id,
            instance: task.instance.clone(),
            device: task.device.clone(),
            operation: task.operation.without_secrets(),
            state: StateOfTask::of(task.state, is_waking),
            priority: task.priority,
            idempotency_key: task.idempotency_key.clone(),
            campaign: task.campaign,
            attempts: task.attempts,
            created: Time(task.created),
            expires: task.expires.map(Time),
            sent: task.sent.map(Time),
            ended: task.ended.map(Time),
            result: task.result.clone(),
            error: task.error.clone().map(TaskErrorView::from),
            progress: (task.operation.is_transfer()).then(|| progress(acs, task)),
            wake: wake.map(|wake| WakeOfTask::Under(Box::new(wake))),
        }
    }

    /// Its device could not be woken. The task waits all the same: for the next Inform.
    pub(super) fn not_woken(self, full: &Full) -> TaskView {
        TaskView {
            wake: Some(WakeOfTask::Refused(RefusedWake {
                state: RefusedState::Refused,
                error: full.to_string(),
                retry_after_seconds: full.retry_after.as_secs(),
            })),
            ..self
        }
    }
}
