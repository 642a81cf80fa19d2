//! What is kept of a campaign: how far it is, and how far each of its devices is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::device::UnixTime;
use crate::work::task::TaskId;

/// Bits of a [`CampaignId`] that chance fills; above them stands the time.
const CHANCE_BITS: u32 = 24;
/// Characters of a device's reason; more are cut.
const REASON_CHARS_MAX: usize = 300;

/// The number of a campaign: the second it was made in, then chance, so that numbers sort by
/// age. As text `c-` and hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CampaignId(pub u64);

impl CampaignId {
    /// A number for a campaign that is made at `now`.
    pub fn new(now: UnixTime, chance: u32) -> CampaignId {
        let seconds = u64::try_from(now).unwrap_or(0);
        let chance = u64::from(chance) & ((1 << CHANCE_BITS) - 1);
        CampaignId((seconds << CHANCE_BITS) | chance)
    }
}

impl std::fmt::Display for CampaignId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "c-{:x}", self.0)
    }
}

impl std::str::FromStr for CampaignId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("c-")
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .map(CampaignId)
            .ok_or_else(|| format!("a campaign id is c- and hexadecimal digits, not {text:?}"))
    }
}

impl Serialize for CampaignId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CampaignId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// What somebody has decided of a campaign, or what has come of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It may be changed, and does nothing.
    #[default]
    Draft,
    /// It begins devices, or waits for the time to.
    Active,
    /// It begins no device until somebody resumes it.
    Paused,
    /// It begins no device any more; what is under way goes on.
    Aborting,
    /// Devices get back what they had.
    RollingBack,
    /// Ended before all devices had come to their end.
    Aborted,
    /// Ended.
    Done,
}

impl Phase {
    /// Whether nothing more will come of it by itself.
    pub fn is_end(self) -> bool {
        matches!(self, Phase::Aborted | Phase::Done)
    }

    /// Whether it may touch devices.
    pub fn is_live(self) -> bool {
        !matches!(self, Phase::Draft | Phase::Aborted | Phase::Done)
    }
}

/// Where a campaign stands, as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CampaignState {
    /// It may be changed, and does nothing.
    Draft,
    /// Its start is to come.
    Scheduled,
    /// It begins devices.
    Running,
    /// It begins none: for its window, a pause between waves, an approval, or devices.
    Waiting,
    /// It begins none until somebody resumes it.
    Paused,
    /// It begins none any more; what is under way goes on.
    Aborting,
    /// Devices get back what they had.
    RollingBack,
    /// Ended before all devices had come to their end.
    Aborted,
    /// Ended.
    Done,
}

impl CampaignState {
    /// All of them.
    pub const ALL: [CampaignState; 9] = [
        CampaignState::Draft,
        CampaignState::Scheduled,
        CampaignState::Running,
        CampaignState::Waiting,
        CampaignState::Paused,
        CampaignState::Aborting,
        CampaignState::RollingBack,
        CampaignState::Aborted,
        CampaignState::Done,
    ];
}

/// What a campaign waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Waits {
    /// Its start.
    Start,
    /// The next service window.
    Window,
    /// The time between two waves.
    Wave,
    /// Somebody who approves the next wave.
    Approval,
    /// Devices that match its query.
    Devices,
}

/// How far a campaign is. What can be counted of its devices is not in it, but at its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Head {
    /// What was decided of it.
    pub phase: Phase,
    /// When it was made.
    pub created: UnixTime,
    /// By whom.
    pub created_by: String,
    /// When it was started.
    pub started: Option<UnixTime>,
    /// When it ended.
    pub ended: Option<UnixTime>,
    /// The wave that is on.
    pub wave: u16,
    /// Of so many.
    pub waves: u16,
    /// When that began.
    pub wave_began: Option<UnixTime>,
    /// When it was over.
    pub wave_ended: Option<UnixTime>,
    /// Waves up to this one were approved.
    pub approved: u16,
    /// Why it is paused, aborted or rolls back.
    pub why: Option<String>,
    /// The wave that failed and is to be rolled back once nothing of it is under way.
    pub failing: Option<String>,
    /// The version that a device has afterwards, where the operation is a firmware of the store.
    pub target_version: Option<String>,
    /// Of each wave, what had come to its end when somebody resumed it in spite of a stop rule.
    pub forgiven: Vec<Counts>,
    /// The number of the next line of its log.
    pub log_next: u64,
    /// Of each wave, as it was when this was written.
    pub counts: Vec<Counts>,
}

/// Where a device of a campaign stands.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceState {
    /// Its turn is to come.
    #[default]
    Pending,
    /// It came to match the query while another campaign is in its way: its turn is after that.
    Conflict,
    /// Its task waits for it.
    Queued,
    /// It is being called.
    Waking,
    /// It has the task.
    Sent,
    /// The task is done; the device has to come back.
    Verifying,
    /// It has what it should have.
    Done,
    /// The operation failed.
    Failed,
    /// It did not come.
    Unreachable,
    /// It went and did not come back in time.
    NotBack,
    /// Nothing was done to it.
    Skipped,
    /// It has back what it had.
    RolledBack,
}

impl DeviceState {
    /// Whether its turn is to come.
    pub fn is_before(self) -> bool {
        matches!(self, DeviceState::Pending | DeviceState::Conflict)
    }

    /// All of them.
    pub const ALL: [DeviceState; 12] = [
        DeviceState::Pending,
        DeviceState::Conflict,
        DeviceState::Queued,
        DeviceState::Waking,
        DeviceState::Sent,
        DeviceState::Verifying,
        DeviceState::Done,
        DeviceState::Failed,
        DeviceState::Unreachable,
        DeviceState::NotBack,
        DeviceState::Skipped,
        DeviceState::RolledBack,
    ];

    /// Whether it has come to its end.
    pub fn is_end(self) -> bool {
        self >= DeviceState::Done
    }
}

/// A device of a campaign, as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Its wave, from 0.
    #[serde(rename = "w", skip_serializing_if = "is_zero")]
    pub wave: u16,
    /// Where it stands. What is kept of `waking` and `sent` is `queued`: the task tells the rest.
    #[serde(rename = "s")]
    pub state: DeviceState,
    /// Tasks that it was given.
    #[serde(rename = "n", skip_serializing_if = "is_zero")]
    pub attempts: u16,
    /// The last of them.
    #[serde(rename = "t", skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// It has come to match the query after the start.
    #[serde(rename = "l", skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// It is to get back what it had.
    #[serde(rename = "b", skip_serializing_if = "std::ops::Not::not")]
    pub back: bool,
    /// Its version before.
    #[serde(rename = "v", skip_serializing_if = "Option::is_none")]
    pub version_before: Option<String>,
    /// Its time zone, where that counts.
    #[serde(rename = "z", skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// When it was first given a task, of this attempt.
    #[serde(rename = "q", skip_serializing_if = "Option::is_none")]
    pub queued: Option<UnixTime>,
    /// When it had the task.
    #[serde(rename = "b0", skip_serializing_if = "Option::is_none")]
    pub begun: Option<UnixTime>,
    /// When the task was done, and the device had to come back.
    #[serde(rename = "d", skip_serializing_if = "Option::is_none")]
    pub done: Option<UnixTime>,
    /// When it came to its end.
    #[serde(rename = "e", skip_serializing_if = "Option::is_none")]
    pub ended: Option<UnixTime>,
    /// Not to be tried again before.
    #[serde(rename = "r", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<UnixTime>,
    /// Why it stands there.
    #[serde(rename = "y", skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u16) -> bool {
    *number == 0
}

impl Record {
    /// As it is kept: what only a running host knows is left out.
    pub fn kept(&self) -> Record {
        let state = match self.state {
            DeviceState::Waking | DeviceState::Sent => DeviceState::Queued,
            state => state,
        };
        Record {
            state,
            ..self.clone()
        }
    }

    pub(super) fn because(&mut self, reason: impl Into<String>) {
        let mut reason = reason.into();
        if let Some((place, _)) = reason.char_indices().nth(REASON_CHARS_MAX) {
            reason.truncate(place);
        }
        self.reason = Some(reason);
    }
}

/// How many devices stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Counts {
    /// Their turn is to come.
    pub pending: u32,
    /// Another campaign is in their way.
    pub conflict: u32,
    /// Their task waits for them.
    pub queued: u32,
    /// They are being called.
    pub waking: u32,
    /// They have the task.
    pub sent: u32,
    /// They have to come back.
    pub verifying: u32,
    /// They have what they should have.
    pub done: u32,
    /// The operation failed.
    pub failed: u32,
    /// They did not come.
    pub unreachable: u32,
    /// They went and did not come back in time.
    pub not_back: u32,
    /// Nothing was done to them.
    pub skipped: u32,
    /// They have back what they had.
    pub rolled_back: u32,
}

impl Counts {
    /// The number of one state.
    pub fn of(&self, state: DeviceState) -> u32 {
        let mut counts = *self;
        *counts.of_mut(state)
    }

    pub(super) fn of_mut(&mut self, state: DeviceState) -> &mut u32 {
        match state {
            DeviceState::Pending => &mut self.pending,
            DeviceState::Conflict => &mut self.conflict,
            DeviceState::Queued => &mut self.queued,
            DeviceState::Waking => &mut self.waking,
            DeviceState::Sent => &mut self.sent,
            DeviceState::Verifying => &mut self.verifying,
            DeviceState::Done => &mut self.done,
            DeviceState::Failed => &mut self.failed,
            DeviceState::Unreachable => &mut self.unreachable,
            DeviceState::NotBack => &mut self.not_back,
            DeviceState::Skipped => &mut self.skipped,
            DeviceState::RolledBack => &mut self.rolled_back,
        }
    }

    /// All of them.
    pub fn total(&self) -> u32 {
        let numbers = DeviceState::ALL.map(|state| self.of(state));
        numbers.iter().sum()
    }

    /// Those that have come to their end.
    pub fn ended(&self) -> u32 {
        let ends = DeviceState::ALL.into_iter().filter(|state| state.is_end());
        ends.map(|state| self.of(state)).sum()
    }

    /// Those that are waited for: not at their end, and no other campaign is in their way.
    pub fn to_come(&self) -> u32 {
        self.total() - self.ended() - self.conflict
    }

    /// Of two.
    pub fn plus(&self, other: &Counts) -> Counts {
        let mut sum = *self;
        for state in DeviceState::ALL {
            *sum.of_mut(state) += other.of(state);
        }
        sum
    }
}

/// Something that a campaign did, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When.
    pub at: UnixTime,
    /// For people.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        let id = CampaignId::new(1_700_000_000, 7);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("t-1".parse::<CampaignId>().is_err());
        assert!(id < CampaignId::new(1_700_000_001, 0));
    }

    #[test]
    fn a_record_is_small_and_keeps_what_outlives_the_host() {
        let mut record = Record {
            wave: 3,
            state: DeviceState::Sent,
            attempts: 1,
            task: Some(TaskId(0x1234)),
            version_before: Some("3.4.1".to_owned()),
            queued: Some(1_700_000_000),
            ..Record::default()
        };
        let json = serde_json::to_string(&record.kept()).unwrap();
        assert!(json.len() < 100, "{json}");
        let back: Record = serde_json::from_str(&json).unwrap();
        assert_eq!(back.state, DeviceState::Queued);
        record.because("ä".repeat(1000));
        assert_eq!(record.reason.unwrap().chars().count(), REASON_CHARS_MAX);
    }

    #[test]
    fn counts_know_all_states() {
        let mut counts = Counts::default();
        for state in DeviceState::ALL {
            *counts.of_mut(state) += 1;
        }
        assert_eq!((counts.total(), counts.ended()), (12, 6));
        assert_eq!(counts.plus(&counts).total(), 24);
        assert_eq!(counts.to_come(), 5);
    }
}
