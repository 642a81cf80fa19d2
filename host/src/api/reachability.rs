//! How a device is reached, and how well: on its page, and of each wake-up.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::error::Time;
use super::leases::PeriodicInformView;
use crate::Acs;
use crate::device::{Contacts, DeviceKey, Mode, ModeHistory, Summary};
use crate::nat::health::Record;
use crate::nat::history::Attempted;
use crate::nat::outcome::Outcome;
use crate::nat::plan;
use crate::nat::probe::given_up;
use crate::nat::short_inform;
use crate::nat::udp::{Source, UdpAddress};
use crate::nat::wake::{WakeAttempt, WakeReport, WakeState};

/// A device's mode, why it is that, how well it works, and what was tried last.
#[derive(Serialize, ToSchema)]
pub(super) struct ReachabilityView {
    /// Null: no policy has decided yet.
    mode: Option<Mode>,
    /// The device cannot be called directly.
    behind_nat: Option<bool>,
    /// Tried in this order when the mode opens no session.
    fallbacks: Option<Vec<Mode>>,
    /// Why this mode, for people.
    reason: Option<String>,
    /// The plugin that decided.
    decided_by: Option<String>,
    decided_at: Option<Time>,
    /// What it was decided from.
    #[schema(value_type = Option<BTreeMap<String, Value>>)]
    facts: Option<Value>,
    /// How surely the device can be reached: 0 to 100.
    #[schema(minimum = 0, maximum = 100)]
    score: u8,
    /// The score in words.
    words: String,
    /// How each mode has done, by its name.
    history: BTreeMap<&'static str, ModeHistoryView>,
    /// The last attempts to wake it, the newest first.
    attempts: Vec<AttemptedView>,
    /// When a mode that was given up is tried again.
    next_probe: Option<Time>,
    /// Why the device did not take what its mode wants of it.
    configuration_error: Option<String>,
    /// Where connection requests by UDP go.
    udp: Option<UdpView>,
    /// How often a device that cannot be woken informs; null: it can be.
    periodic_inform: Option<PeriodicInformView>,
    last_wake: Option<WakeView>,
}

/// How a mode has done with a device.
#[derive(Serialize, ToSchema)]
struct ModeHistoryView {
    attempts: u32,
    /// Of these opened a session.
    opened: u32,
    failed_in_a_row: u32,
    /// Of the last sixteen at most.
    recent_attempts: u32,
    recent_opened: u32,
    /// From the request to the session.
    typical_milliseconds: Option<u32>,
    last_opened: Option<Time>,
    last_failed: Option<Time>,
    last_outcome: Option<Outcome>,
    /// It is only probed.
    given_up: bool,
    probes_failed: u32,
}

/// An attempt of the device's record.
#[derive(Serialize, ToSchema)]
struct AttemptedView {
    at: Option<Time>,
    mode: Mode,
    /// Nobody waited for it.
    probe: bool,
    outcome: Outcome,
    /// The outcome for people.
    #[schema(value_type = String)]
    words: &'static str,
    /// What can be done about it.
    #[schema(value_type = Option<String>)]
    advice: Option<&'static str>,
    /// What exactly was seen.
    error: Option<String>,
}

/// Where connection requests by UDP go.
#[derive(Serialize, ToSchema)]
struct UdpView {
    /// Address and port.
    address: String,
    source: Source,
    seen: Time,
    age_seconds: i64,
    /// It can still be in force.
    usable: bool,
}

/// A wake-up: each attempt, and what it came to.
#[derive(Serialize, ToSchema)]
pub(super) struct WakeView {
    state: WakeState,
    started: Time,
    /// How many are before it; null: it does not wait.
    position: Option<usize>,
    /// Of the attempt that tells most; null: it has not ended.
    outcome: Option<Outcome>,
    /// The outcome for people.
    #[schema(value_type = Option<String>)]
    words: Option<&'static str>,
    /// What can be done about it.
    #[schema(value_type = Option<String>)]
    advice: Option<&'static str>,
    /// It failed: when the device should inform by itself.
    next_inform: Option<Time>,
    attempts: Vec<WakeAttemptView>,
}

/// One mode, tried.
#[derive(Serialize, ToSchema)]
struct WakeAttemptView {
    mode: Mode,
    started: Time,
    /// When the device took the request.
    accepted: Option<Time>,
    session_opened: Option<Time>,
    milliseconds: Option<u64>,
    outcome: Option<Outcome>,
    /// The outcome for people.
    #[schema(value_type = Option<String>)]
    words: Option<&'static str>,
    /// What can be done about it.
    #[schema(value_type = Option<String>)]
    advice: Option<&'static str>,
    /// What exactly was seen.
    error: Option<String>,
}

pub(super) fn view(
    acs: &Acs,
    key: &DeviceKey,
    summary: &Summary,
    contacts: Contacts,
    udp: Option<UdpAddress>,
) -> ReachabilityView {
    let now = acs.clock.unix();
    let nat = summary.nat.as_ref();
    let open = acs.open_ways(key, now);
    let closed = acs.closed_ways(open, udp.as_ref());
    let record = Record {
        modes: &plan::modes(summary, open, &closed),
        closed: &closed,
        history: &summary.nat_history,
        last_contact: contacts.last_contact,
        short_inform_seconds: short_inform::told(summary)
            .unwrap_or(acs.instances.of(key).settings.short_periodic_inform_seconds),
        now,
    };
    let health = record.health();
    let given_up: Vec<Mode> = given_up(summary).collect();
    let history = summary.nat_history.iter();
    let history =
        history.map(|(mode, history)| (mode.name(), of_mode(history, given_up.contains(mode))));
    ReachabilityView {
        mode: nat.map(|nat| nat.mode),
        behind_nat: nat.map(|nat| nat.behind_nat),
        fallbacks: nat.map(|nat| nat.fallbacks.clone()),
        reason: nat.map(|nat| nat.reason.clone()),
        decided_by: nat.map(|nat| nat.decided_by.clone()),
        decided_at: nat.map(|nat| Time(nat.decided_at)),
        facts: nat.map(|nat| nat.decided_from.view(summary)),
        score: health.score,
        words: health.words,
        history: history.collect(),
        attempts: summary.wake_attempts.iter().map(attempted).collect(),
        next_probe: acs.probes.planned(key).map(Time),
        configuration_error: summary.configured.as_ref().and_then(|c| c.error.clone()),
        udp: udp.map(|udp| UdpView {
            address: udp.address.to_string(),
            source: udp.source,
            seen: Time(udp.seen),
            age_seconds: (now - udp.seen).max(0),
            usable: udp.usable,
        }),
        periodic_inform: super::leases::view(acs, key, summary),
        last_wake: acs
            .wakes
            .last(key)
            .map(|report| wake_view(acs, key, &report)),
    }
}

fn of_mode(history: &ModeHistory, given_up: bool) -> ModeHistoryView {
    let (recent_opened, recent_attempts) = history.recent_counts();
    ModeHistoryView {
        attempts: history.attempts,
        opened: history.opened,
        failed_in_a_row: history.failed_in_a_row,
        recent_attempts,
        recent_opened,
        typical_milliseconds: history.typical_milliseconds,
        last_opened: history.last_opened.map(Time),
        last_failed: history.last_failed.map(Time),
        last_outcome: history.last_outcome,
        given_up,
        probes_failed: history.probes_failed,
    }
}

fn attempted(attempt: &Attempted) -> AttemptedView {
    AttemptedView {
        at: Time::maybe(attempt.at),
        mode: attempt.mode,
        probe: attempt.probe,
        outcome: attempt.outcome,
        words: attempt.outcome.words(),
        advice: advice(attempt.outcome),
        error: attempt.text.clone(),
    }
}

/// A wake-up as it goes.
pub(super) fn wake_view(acs: &Acs, key: &DeviceKey, report: &WakeReport) -> WakeView {
    let outcome = report.telling().and_then(|attempt| attempt.outcome);
    let outcome = outcome.filter(|_| report.state.is_end());
    WakeView {
        state: report.state,
        started: Time(report.started),
        position: acs.wakes.position(key),
        outcome,
        words: outcome.map(Outcome::words),
        advice: outcome.and_then(advice),
        next_inform: report.next_inform.map(Time),
        attempts: report.attempts.iter().map(attempt).collect(),
    }
}

fn attempt(attempt: &WakeAttempt) -> WakeAttemptView {
    let milliseconds = |took: std::time::Duration| u64::try_from(took.as_millis()).ok();
    WakeAttemptView {
        mode: attempt.mode,
        started: Time(attempt.started),
        accepted: attempt.accepted.map(Time),
        session_opened: attempt.opened.map(Time),
        milliseconds: attempt.took.and_then(milliseconds),
        outcome: attempt.outcome,
        words: attempt.outcome.map(Outcome::words),
        advice: attempt.outcome.and_then(advice),
        error: attempt.error.clone(),
    }
}

fn advice(outcome: Outcome) -> Option<&'static str> {
    Some(outcome.advice()).filter(|advice| !advice.is_empty())
}
