//! A task: something asked of one device. It is a *promise*: durable before anybody is
//! told that it exists, and its end is durable before anybody is told of that.

mod new;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::campaign::CampaignId;
use super::diagnostics::{DIAGNOSTICS_SECONDS_MAX, Diagnostics};
use super::transfer::Progress;
use crate::device::{DeviceKey, UnixTime, is_secret};
use crate::files::FileId;
use crate::traces::mask;
pub use new::{NewTask, Once};

/// A device that has accepted a transfer and has not told the end by then is not waited for
/// any longer.
pub const END_SECONDS_MAX: i64 = 86_400;

/// Highest and lowest priority are as far from the usual one, 0.
pub const PRIORITY_MAX: i8 = 100;

/// How the error of a task begins of which nobody knows whether it was done.
pub const OUTCOME_UNKNOWN: &str = "outcome unknown";

/// The number of a task, unique in the host, never reused. As text (`t-` and hexadecimal
/// digits) it is the CommandKey of what the task sends, so that a late `M Reboot` or
/// TransferComplete finds its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, pattern = "^t-[0-9a-f]{1,16}$", examples("t-1f"))]
pub struct TaskId(pub u64);

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "t-{:x}", self.0)
    }
}

impl std::str::FromStr for TaskId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("t-")
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .map(TaskId)
            .ok_or_else(|| format!("a task id is t- and hexadecimal digits, not {text:?}"))
    }
}

impl Serialize for TaskId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TaskId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// What a task does, in the words of the northbound API: `{"op": "set", …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Operation {
    /// GetParameterValues: full names, or partial paths that end in a dot.
    Get {
        /// At least one; an empty one is the whole tree.
        paths: Vec<String>,
    },
    /// SetParameterValues, in this order.
    Set {
        /// At least one.
        parameters: Vec<SetParameter>,
    },
    /// GetParameterNames.
    Names {
        /// Empty = the whole tree.
        path: String,
        /// Only the level below.
        #[serde(default)]
        next_level: bool,
    },
    /// GetParameterAttributes.
    Attributes {
        /// At least one.
        paths: Vec<String>,
    },
    /// SetParameterAttributes.
    SetAttributes {
        /// At least one.
        attributes: Vec<SetAttribute>,
    },
    /// AddObject, then SetParameterValues of its parameters if there are any.
    AddObject {
        /// Ends in a dot.
        object: String,
    },
    /// DeleteObject.
    DeleteObject {
        /// Ends in a dot, with the instance number.
        object: String,
    },
    /// GetRPCMethods.
    RpcMethods,
    /// Reboot; done when the device has answered.
    Reboot,
    /// FactoryReset; done when the device has answered.
    FactoryReset,
    /// Download; done at TransferComplete.
    Download {
        /// A file of the store; what is not told below is filled in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<FileId>,
        /// Although the file is for other devices.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force: bool,
        /// `1 Firmware Upgrade Image`, ….
        #[serde(default)]
        file_type: String,
        /// http or https; empty with `file`.
        #[serde(default)]
        url: String,
        /// Of the file server.
        #[serde(default)]
        username: String,
        /// Of the file server.
        #[serde(default)]
        password: String,
        /// Bytes; 0 = not known.
        #[serde(default)]
        file_size: u32,
        /// May be empty.
        #[serde(default)]
        target_file_name: String,
        /// The device is to wait so long; some refuse 0.
        #[serde(default, skip_serializing_if = "is_zero")]
        delay_seconds: u32,
    },
    /// Upload; done at TransferComplete.
    Upload {
        /// `3 Vendor Configuration File 1`, ….
        file_type: String,
        /// http or https; empty = into the file store.
        #[serde(default)]
        url: String,
        /// Of the file server.
        #[serde(default)]
        username: String,
        /// Of the file server.
        #[serde(default)]
        password: String,
        /// The device is to wait so long; some refuse 0.
        #[serde(default, skip_serializing_if = "is_zero")]
        delay_seconds: u32,
    },
    /// What the device is to find out between two sessions; done when it has been read.
    Diagnostics(Diagnostics),
    /// ScheduleInform.
    ScheduleInform {
        /// At least 1.
        delay_seconds: u32,
    },
    /// GetAllQueuedTransfers, or GetQueuedTransfers of a device that knows only that.
    QueuedTransfers,
    /// ScheduleDownload; done at TransferComplete.
    ScheduleDownload {
        /// `1 Firmware Upgrade Image`, ….
        file_type: String,
        /// http or https.
        url: String,
        /// Of the file server.
        #[serde(default)]
        username: String,
        /// Of the file server.
        #[serde(default)]
        password: String,
        /// Bytes; 0 = not known.
        #[serde(default)]
        file_size: u32,
        /// May be empty.
        #[serde(default)]
        target_file_name: String,
        /// One or two, one after the other.
        windows: Vec<Window>,
    },
    /// CancelTransfer.
    CancelTransfer {
        /// Of the transfer: the id of the task that asked for it.
        command_key: String,
    },
    /// ChangeDUState; done at DUStateChangeComplete.
    ChangeDuState {
        /// At least one.
        changes: Vec<DuChange>,
    },
    /// SetVouchers.
    SetVouchers {
        /// At least one, each in base64.
        vouchers: Vec<String>,
    },
    /// GetOptions.
    GetOptions {
        /// The name of one; empty = all.
        #[serde(default)]
        option: String,
    },
    /// A plugin's flow, as if one of its triggers had fitted; done when it has returned.
    Flow {
        /// The plugin: the name of its file, without the ending.
        flow: String,
    },
    /// Any other RPC.
    Raw {
        /// The method's name.
        method: String,
        /// The XML inside the method element.
        xml: String,
    },
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Operation {
    /// A Download of a file of the store; the rest is filled in when the task is made.
    pub fn download(file: FileId) -> Operation {
        Operation::Download {
            file: Some(file),
            force: false,
            file_type: String::new(),
            url: String::new(),
            username: String::new(),
            password: String::new(),
            file_size: 0,
            target_file_name: String::new(),
            delay_seconds: 0,
        }
    }

    /// An Upload into the file store.
    pub fn upload(file_type: &str) -> Operation {
        Operation::Upload {
            file_type: file_type.to_owned(),
            url: String::new(),
            username: String::new(),
            password: String::new(),
            delay_seconds: 0,
        }
    }

    /// Whether doing it twice is the same as doing it once. What is not repeatable is not
    /// sent again when the host died between request and answer: the task then waits for
    /// the device's word (`M Reboot`, TransferComplete) or fails as "outcome unknown". A flow is
    /// repeatable by its contract: the host runs it again after whatever went wrong.
    pub fn is_repeatable(&self) -> bool {
        !matches!(
            self,
            Operation::AddObject { .. }
                | Operation::DeleteObject { .. }
                | Operation::Reboot
                | Operation::FactoryReset
                | Operation::Download { .. }
                | Operation::Upload { .. }
                | Operation::ScheduleDownload { .. }
                | Operation::ChangeDuState { .. }
                | Operation::Raw { .. }
        )
    }

    /// A transfer, whose end TransferComplete tells.
    pub fn is_transfer(&self) -> bool {
        matches!(
            self,
            Operation::Download { .. }
                | Operation::Upload { .. }
                | Operation::ScheduleDownload { .. }
        )
    }

    /// By which request the device tells the end of what it has accepted, and how many seconds
    /// after that it is not waited for any longer. `None`: the answer is the end.
    pub fn ends_with(&self) -> Option<(&'static str, i64)> {
        match self {
            Operation::Download { delay_seconds, .. } | Operation::Upload { delay_seconds, .. } => {
                let delay = i64::from(*delay_seconds);
                Some(("TransferComplete", delay + END_SECONDS_MAX))
            }
            Operation::ScheduleDownload { windows, .. } => {
                let last = windows.iter().map(|window| window.end_seconds).max();
                let last = i64::from(last.unwrap_or_default());
                Some(("TransferComplete", last + END_SECONDS_MAX))
            }
            Operation::ChangeDuState { .. } => Some(("DUStateChangeComplete", END_SECONDS_MAX)),
            Operation::Diagnostics(_) => Some(("end of the diagnostics", DIAGNOSTICS_SECONDS_MAX)),
            _ => None,
        }
    }

    /// As it may be shown: secrets that it sets or uses are empty.
    pub fn without_secrets(&self) -> Operation {
        let mut shown = self.clone();
        match &mut shown {
            Operation::Set { parameters } => {
                for parameter in parameters.iter_mut().filter(|p| is_secret(&p.path)) {
                    parameter.value.clear();
                }
            }
            Operation::Download { password, url, .. }
            | Operation::Upload { password, url, .. }
            | Operation::ScheduleDownload { password, url, .. } => {
                password.clear();
                *url = mask::url(url);
            }
            Operation::ChangeDuState { changes } => {
                for change in changes {
                    match change {
                        DuChange::Install { password, url, .. }
                        | DuChange::Update { password, url, .. } => {
                            password.clear();
                            *url = mask::url(url);
                        }
                        DuChange::Uninstall { .. } => {}
                    }
                }
            }
            Operation::SetVouchers { vouchers } => vouchers.iter_mut().for_each(String::clear),
            Operation::Raw { xml, .. } => *xml = mask::xml(xml),
            _ => {}
        }
        shown
    }
}

/// A value to set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetParameter {
    /// The full parameter name.
    pub path: String,
    /// Its text.
    pub value: String,
    /// The XML Schema type; if absent, that of the last reading, else `string`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub xsd_type: Option<String>,
}

/// Attributes to set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetAttribute {
    /// A full name or a partial path.
    pub path: String,
    /// 0 off, 1 passive, 2 active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification: Option<u8>,
    /// `Subscriber` or nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_list: Option<Vec<String>>,
}

/// When a scheduled download may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// After the task was sent.
    pub start_seconds: u32,
    /// After the task was sent.
    pub end_seconds: u32,
    /// `1 At Any Time`, `2 Immediately`, `3 When Idle`, `4 Confirmation Needed`, or a vendor's.
    #[serde(default = "at_any_time")]
    pub mode: String,
    /// For the user who has to confirm.
    #[serde(default)]
    pub user_message: String,
    /// In this window; -1 = as often as the device likes.
    #[serde(default)]
    pub max_retries: i32,
}

fn at_any_time() -> String {
    "1 At Any Time".to_owned()
}

/// What is to happen to a software module (a deployment unit). An empty text is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "change", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DuChange {
    /// A new one.
    Install {
        /// http or https.
        url: String,
        /// The device makes one if it is empty.
        #[serde(default)]
        uuid: String,
        /// Of the file server.
        #[serde(default)]
        username: String,
        /// Of the file server.
        #[serde(default)]
        password: String,
        /// The path of an execution environment; the device chooses if it is empty.
        #[serde(default)]
        execution_env: String,
    },
    /// One to its next version; all, if neither `uuid` nor `url` is given.
    Update {
        /// Which one.
        #[serde(default)]
        uuid: String,
        /// Which version of it, where there are several.
        #[serde(default)]
        version: String,
        /// Where its new version is; where it came from if empty.
        #[serde(default)]
        url: String,
        /// Of the file server.
        #[serde(default)]
        username: String,
        /// Of the file server.
        #[serde(default)]
        password: String,
    },
    /// One away.
    Uninstall {
        /// Which one.
        uuid: String,
        /// Which version; all if empty.
        #[serde(default)]
        version: String,
        /// From which execution environment; from all if empty.
        #[serde(default)]
        execution_env: String,
    },
}

/// Where a task stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// Durable, and waiting for the device's next session.
    Queued,
    /// Marked durable before its RPC left; no answer yet (for transfers: no TransferComplete yet).
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

impl TaskState {
    /// Whether the task will never change again.
    pub fn is_final(self) -> bool {
        !matches!(self, TaskState::Queued | TaskState::Sent)
    }
}

/// A task as it is stored and shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its number.
    pub id: TaskId,
    /// The device's id in its instance.
    pub device: String,
    /// The instance of the device.
    pub instance: String,
    /// What it does.
    pub operation: Operation,
    /// Where it stands.
    pub state: TaskState,
    /// How often its RPC left.
    pub attempts: u32,
    /// When it was asked for.
    pub created: UnixTime,
    /// When it is given up if not begun.
    pub expires: Option<UnixTime>,
    /// A device's tasks with a higher one are done first.
    #[serde(default)]
    pub priority: i8,
    /// The caller's own name for what was asked, so that it is done once.
    #[serde(default)]
    pub idempotency_key: Option<String>,
    /// When its RPC last left.
    pub sent: Option<UnixTime>,
    /// When the device answered that the transfer runs: what is missing is its TransferComplete.
    #[serde(default)]
    pub accepted: Option<UnixTime>,
    /// How far a transfer is.
    #[serde(default)]
    pub progress: Option<Progress>,
    /// When it ended.
    pub ended: Option<UnixTime>,
    /// The device's answer, in the API's words.
    pub result: Option<serde_json::Value>,
    /// Why it failed.
    pub error: Option<TaskError>,
    /// The campaign that it belongs to.
    #[serde(default)]
    pub campaign: Option<CampaignId>,
}

impl Task {
    /// A task that nothing has happened to yet.
    pub fn queued(id: TaskId, device: &DeviceKey, operation: Operation, now: UnixTime) -> Task {
        Task {
            id,
            device: device.id.to_string(),
            instance: device.instance.to_string(),
            operation,
            state: TaskState::Queued,
            attempts: 0,
            created: now,
            expires: None,
            priority: 0,
            idempotency_key: None,
            sent: None,
            accepted: None,
            progress: None,
            ended: None,
            result: None,
            error: None,
            campaign: None,
        }
    }

    /// The key of its device.
    pub fn device_key(&self) -> DeviceKey {
        DeviceKey {
            instance: self.instance.as_str().into(),
            id: self.device.as_str().into(),
        }
    }
}

/// Why a task failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskError {
    /// The CWMP fault code, where it was a fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
    /// For people: what was expected and what came.
    pub text: String,
    /// Which parameters were at fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<TaskParameterError>,
}

impl TaskError {
    /// One that is no fault of the device's.
    pub fn new(text: impl Into<String>) -> TaskError {
        TaskError {
            code: None,
            text: text.into(),
            parameters: Vec::new(),
        }
    }
}

/// A parameter at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskParameterError {
    /// The full parameter name.
    pub path: String,
    /// 9000–9899.
    pub code: u32,
    /// For people.
    pub text: String,
}
