//! Campaigns: one operation for many devices, in waves, inside service windows, at a pace, and
//! stopped when it goes wrong.
//!
//! [`Engine`] decides, from what it is told and the time; it does no I/O and reads no clock.
//! [`Campaigns`] has the engines of the campaigns that are under way, tells them what happens, and
//! does what they say, one thing after the other.
//!
//! What makes a device have its operation once: the task is made in one batch with the record that
//! says so ([`crate::store::Store::begin_for_campaign`]), and whatever happens to the host, that
//! record is what the engine goes on from.

mod census;
mod conflicts;
mod definition;
mod driver;
mod engine;
mod facts;
mod newcomers;
mod plan;
mod record;
mod schedule;
mod verbs;
mod waves;

pub use census::Census;
pub use conflicts::{Conflict, conflict};
pub use definition::{
    BetweenWaves, Definition, OnFailedWave, Pace, Retries, Share, StopRules, Wave, What,
};
pub use driver::{Campaigns, Command};
pub use engine::{
    Called, Candidate, Changes, Engine, Informed, LOG_LINES_MAX, Look, Start, Withdrawal,
};
pub use facts::Change;
pub use plan::{Plan, PlannedConflict, PlannedDevice, Wanted};
pub use record::{
    CampaignId, CampaignState, Counts, DeviceState, Head, LogLine, Phase, Record, Waits,
};
pub use schedule::{Schedule, ServiceWindow};
pub use verbs::{CampaignError, NewCampaign, Shown};
