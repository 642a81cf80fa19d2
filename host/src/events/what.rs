//! The kinds of events, and what each tells.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::device::{DeviceKey, Mode, Note, UnixTime};
use crate::nat::outcome::Outcome;
use crate::nat::wake::WakeReport;
use crate::store::FaultRecord;
use crate::traces::SessionId;
use crate::work::task::{Task, TaskId, TaskState};

use super::{Event, Events};

/// Characters of a text that a device, a plugin or a person has written.
const TEXT_CHARS_MAX: usize = 1_000;
/// Names or texts of one list.
const LIST_MAX: usize = 50;

/// All kinds, in the order of `docs/events.md`.
pub const KINDS: &[&str] = &[
    "device.registered",
    "device.changed",
    "device.imported",
    "device.deleted",
    "device.unreachable",
    "device.reachable",
    "session.ended",
    "task.queued",
    "task.sent",
    "task.done",
    "task.failed",
    "task.expired",
    "task.cancelled",
    "fault.raised",
    "campaign.started",
    "campaign.wave-started",
    "campaign.wave-ended",
    "campaign.paused",
    "campaign.resumed",
    "campaign.aborted",
    "campaign.finished",
    "plugin.loaded",
    "plugin.failed",
    "plugin.trapped",
    "plugin.rolled-back",
    "plugin.removed",
    "webhook.test",
];

/// What kinds begin with.
pub(super) const FAMILIES: &[&str] = &[
    "device", "session", "task", "fault", "campaign", "plugin", "webhook",
];

/// What happened. Each kind has a shape of its own.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum What {
    /// `device.registered`
    DeviceRegistered(DeviceRegistered),
    /// `device.changed`
    DeviceChanged(DeviceChanged),
    /// `device.imported`
    DeviceImported(DeviceImported),
    /// `device.deleted`
    DeviceDeleted(DeviceDeleted),
    /// `device.unreachable`
    DeviceUnreachable(DeviceUnreachable),
    /// `device.reachable`
    DeviceReachable(DeviceReachable),
    /// `session.ended`
    SessionEnded(SessionEnded),
    /// `task.…`
    Task(TaskEvent),
    /// `fault.raised`
    Fault(FaultRaised),
    /// `campaign.…`
    Campaign(CampaignEvent),
    /// `plugin.…`
    Plugin(PluginEvent),
    /// `webhook.test`: somebody pressed the button.
    WebhookTest {
        /// The name of the webhook.
        webhook: String,
    },
}

/// A device came for the first time.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DeviceRegistered {
    /// As it names itself.
    pub manufacturer: String,
    /// Six hexadecimal digits.
    pub oui: String,
    /// May be empty.
    pub product_class: String,
    /// As sent.
    pub serial_number: String,
    /// May be empty.
    pub software_version: String,
}

/// Something about a device is not as it was. What is absent has not changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct DeviceChanged {
    /// `DeviceInfo.SoftwareVersion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_version: Option<Between>,
    /// Where its sessions come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Between>,
    /// The way to reach it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Between>,
    /// Its tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<TagsChanged>,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Between>,
    /// The notes on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<NotesChanged>,
}

/// From what to what.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Between {
    /// Empty: there was none.
    pub before: String,
    /// Empty: there is none.
    pub after: String,
}

/// Which tags came and went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct TagsChanged {
    /// It has them now.
    pub added: Vec<String>,
    /// It had them.
    pub removed: Vec<String>,
}

/// Which notes came and went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct NotesChanged {
    /// It has them now.
    pub added: Vec<NoteTold>,
    /// It had them.
    pub removed: Vec<NoteTold>,
}

/// A note on a device.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct NoteTold {
    /// Among those of the device.
    pub number: u32,
    /// Who wrote it.
    pub by: String,
    /// What it says.
    pub text: String,
}

/// A table announced devices; told once for all of them.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DeviceImported {
    /// Devices that were not known.
    pub created: usize,
    /// Devices that were known, and were changed.
    pub changed: usize,
    /// The first 50 of those that were not known.
    pub devices: Vec<String>,
}

/// A device was deleted, with all that was known of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DeviceDeleted {}

/// No way led to a device that was to be woken. Told once, until it comes.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DeviceUnreachable {
    /// In the order in which they were tried.
    pub tried: Vec<TriedWay>,
    /// When it should inform by itself, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub next_inform: Option<String>,
}

/// A way that was tried, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TriedWay {
    /// `direct-http`, `http-proxy`, `xmpp`, `stun` or `short-inform`.
    #[schema(value_type = String)]
    pub mode: Mode,
    /// One word, as in the device's reachability.
    #[schema(value_type = String)]
    pub outcome: Outcome,
}

/// A device that could not be woken has come.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DeviceReachable {
    /// When it was told as unreachable.
    #[schema(format = DateTime)]
    pub unreachable_since: String,
}

/// A session is over. Sessions in which a device that informs every few seconds only said that
/// it is there are not told.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SessionEnded {
    /// Which; its trace has this id, if it is kept.
    #[schema(value_type = String)]
    pub session: SessionId,
    /// How.
    pub outcome: SessionOutcome,
    /// Why it ended before its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The event codes of the Inform.
    pub events: Vec<String>,
    /// RPCs that the device was sent.
    pub rpcs: u32,
    /// Faults that it answered with.
    pub faults: u32,
    /// From the Inform to the end.
    pub duration_ms: u64,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SessionOutcome {
    /// As it should.
    Done,
    /// The device was lost, broke the rules, or the host stopped.
    Abandoned,
}

/// A step of a task, told when it is durable.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TaskEvent {
    /// Which.
    #[schema(value_type = String)]
    pub task: TaskId,
    /// What it does: `reboot`, `set`, `download`, …
    pub operation: &'static str,
    /// How often it was sent.
    pub attempts: u32,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The code of the fault that it failed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<u32>,
    /// In the kind.
    #[serde(skip)]
    pub step: TaskStep,
}

/// Where a task stands.
pub type TaskStep = TaskState;

/// A device answered with a fault, or a plugin failed in its session.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FaultRaised {
    /// The RPC, or `flow` or `nat-policy`.
    pub rpc: String,
    /// The fault's code, if a device answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
    /// As the device or the plugin says it.
    pub text: String,
    /// The parameters that a SetParameterValues failed at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<String>,
    /// During this task.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub task: Option<TaskId>,
    /// In this plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
}

/// A step of a campaign.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CampaignEvent {
    /// Its id.
    pub campaign: String,
    /// Which wave, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wave: Option<u32>,
    /// Why: who asked for it, which rule stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// In the kind.
    #[serde(skip)]
    pub step: CampaignStep,
}

/// What became of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CampaignStep {
    /// Its time has come.
    Started,
    /// The devices of a wave get their tasks.
    WaveStarted,
    /// All of a wave are done or given up.
    WaveEnded,
    /// By somebody, or by a rule.
    Paused,
    /// By somebody.
    Resumed,
    /// By somebody, or by a rule.
    Aborted,
    /// All waves are over.
    Finished,
}

/// Something about a plugin.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PluginEvent {
    /// Its name.
    pub plugin: String,
    /// As it describes itself; empty: nothing of it runs.
    pub version: String,
    /// Why it was refused, or what its call did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Failures since the last such event that were not told one by one.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// In the kind.
    #[serde(skip)]
    pub step: PluginStep,
}

/// What became of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginStep {
    /// It runs, with the file as it is.
    Loaded,
    /// Its file was refused.
    Failed,
    /// A call failed: a crash, or over a limit.
    Trapped,
    /// The version before runs again.
    RolledBack,
    /// Its file is gone.
    Removed,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl What {
    /// `device.registered`, …: one of [`KINDS`].
    pub fn kind(&self) -> &'static str {
        match self {
            What::DeviceRegistered(_) => "device.registered",
            What::DeviceChanged(_) => "device.changed",
            What::DeviceImported(_) => "device.imported",
            What::DeviceDeleted(_) => "device.deleted",
            What::DeviceUnreachable(_) => "device.unreachable",
            What::DeviceReachable(_) => "device.reachable",
            What::SessionEnded(_) => "session.ended",
            What::Task(task) => match task.step {
                TaskState::Queued => "task.queued",
                TaskState::Sent => "task.sent",
                TaskState::Done => "task.done",
                TaskState::Failed => "task.failed",
                TaskState::Expired => "task.expired",
                TaskState::Cancelled => "task.cancelled",
            },
            What::Fault(_) => "fault.raised",
            What::Campaign(campaign) => match campaign.step {
                CampaignStep::Started => "campaign.started",
                CampaignStep::WaveStarted => "campaign.wave-started",
                CampaignStep::WaveEnded => "campaign.wave-ended",
                CampaignStep::Paused => "campaign.paused",
                CampaignStep::Resumed => "campaign.resumed",
                CampaignStep::Aborted => "campaign.aborted",
                CampaignStep::Finished => "campaign.finished",
            },
            What::Plugin(plugin) => match plugin.step {
                PluginStep::Loaded => "plugin.loaded",
                PluginStep::Failed => "plugin.failed",
                PluginStep::Trapped => "plugin.trapped",
                PluginStep::RolledBack => "plugin.rolled-back",
                PluginStep::Removed => "plugin.removed",
            },
            What::WebhookTest { .. } => "webhook.test",
        }
    }
}

impl What {
    /// What its kind begins with: `device`, `task`, …
    pub fn family(&self) -> &'static str {
        let kind = self.kind();
        kind.split_once('.').map_or(kind, |(family, _)| family)
    }
}

/// What became of a note.
#[derive(Debug, Clone, Copy)]
pub enum Noted<'a> {
    /// Somebody wrote it.
    Written(&'a Note),
    /// Somebody took it away.
    Removed(&'a Note),
}

/// What came of an import.
#[derive(Debug, Clone, Copy)]
pub struct Imported<'a> {
    /// The ids of the devices that were not known.
    pub created: &'a [Arc<str>],
    /// How many were known, and are changed.
    pub changed: usize,
}

impl Events {
    /// A step of a task is durable.
    pub fn task(&self, task: &Task) {
        let (at, error) = match task.state {
            TaskState::Queued => (Some(task.created), None),
            TaskState::Sent => (task.sent, None),
            _ => (task.ended, task.error.as_ref()),
        };
        let what = What::Task(TaskEvent {
            task: task.id,
            operation: task.operation.name(),
            attempts: task.attempts,
            error: error.map(|error| short(&error.text)),
            fault: error.and_then(|error| error.code),
            step: task.state,
        });
        let at = at.unwrap_or(task.created);
        self.emit(Event::of_device(at, &task.device_key(), what));
    }

    /// A fault was recorded.
    pub fn fault(&self, device: &DeviceKey, fault: &FaultRecord) {
        let parameters = fault.parameters.iter().take(LIST_MAX);
        let what = What::Fault(FaultRaised {
            rpc: short(&fault.rpc),
            code: fault.code,
            text: short(&fault.text),
            parameters: parameters.map(|parameter| short(&parameter.path)).collect(),
            task: fault.task,
            plugin: fault.plugin.clone(),
        });
        self.emit(Event::of_device(fault.at, device, what));
    }

    /// A device is not as it was.
    pub fn changed(&self, at: UnixTime, device: &DeviceKey, change: DeviceChanged) {
        self.emit(Event::of_device(at, device, What::DeviceChanged(change)));
    }

    /// A device has these tags, and had those. Nothing, if they are the same.
    pub fn tags<'a>(
        &self,
        at: UnixTime,
        device: &DeviceKey,
        before: &'a std::collections::BTreeSet<String>,
        after: &'a std::collections::BTreeSet<String>,
    ) {
        let tags = TagsChanged {
            added: after.difference(before).cloned().collect(),
            removed: before.difference(after).cloned().collect(),
        };
        if tags != TagsChanged::default() {
            let change = DeviceChanged {
                tags: Some(tags),
                ..DeviceChanged::default()
            };
            self.changed(at, device, change);
        }
    }

    /// People call a device otherwise. Nothing, if it is the same.
    pub fn label(&self, at: UnixTime, device: &DeviceKey, before: String, after: String) {
        if before != after {
            let change = DeviceChanged {
                label: Some(Between { before, after }),
                ..DeviceChanged::default()
            };
            self.changed(at, device, change);
        }
    }

    /// A note on a device came or went.
    pub fn notes(&self, at: UnixTime, device: &DeviceKey, noted: Noted<'_>) {
        let told = |note: &Note| {
            vec![NoteTold {
                number: note.number,
                by: note.by.clone(),
                text: short(&note.text),
            }]
        };
        let mut notes = NotesChanged::default();
        match noted {
            Noted::Written(note) => notes.added = told(note),
            Noted::Removed(note) => notes.removed = told(note),
        }
        let change = DeviceChanged {
            notes: Some(notes),
            ..DeviceChanged::default()
        };
        self.changed(at, device, change);
    }

    /// A table announced devices. Nothing, if all of it was known.
    pub fn imported(&self, at: UnixTime, instance: &Arc<str>, imported: Imported<'_>) {
        let (created, changed) = (imported.created.len(), imported.changed);
        if created + changed > 0 {
            let devices = imported.created.iter().take(LIST_MAX);
            let what = What::DeviceImported(DeviceImported {
                created,
                changed,
                devices: devices.map(|id| id.to_string()).collect(),
            });
            self.emit(Event::of_instance(at, instance, what));
        }
    }

    /// A wake-up has failed in every way.
    pub fn not_woken(&self, at: UnixTime, device: &DeviceKey, report: &WakeReport) {
        if !self.unreachable.lost(device, at) {
            return;
        }
        let tried = report.attempts.iter().take(LIST_MAX);
        let what = What::DeviceUnreachable(DeviceUnreachable {
            tried: tried
                .map(|attempt| TriedWay {
                    mode: attempt.mode,
                    outcome: attempt.outcome.unwrap_or(Outcome::NotServed),
                })
                .collect(),
            next_inform: report.next_inform.map(crate::api::time),
        });
        self.emit(Event::of_device(at, device, what));
    }

    /// A session of the device has begun.
    pub fn came(&self, at: UnixTime, device: &DeviceKey) {
        if let Some(since) = self.unreachable.came(device) {
            let what = What::DeviceReachable(DeviceReachable {
                unreachable_since: crate::api::time(since),
            });
            self.emit(Event::of_device(at, device, what));
        }
    }
}

/// As much of a text as an event tells.
pub fn short(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
