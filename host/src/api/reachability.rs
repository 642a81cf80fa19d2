//! How a device is reached, and how well: on its page, and of each wake-up.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::error::{maybe_time, time};
use crate::Acs;
use crate::device::{Contacts, DeviceKey, Mode, ModeHistory, Summary, UnixTime};
use crate::nat::health::Record;
use crate::nat::history::Attempted;
use crate::nat::outcome::Outcome;
use crate::nat::plan;
use crate::nat::probe::given_up;
use crate::nat::short_inform;
use crate::nat::udp::UdpAddress;
use crate::nat::wake::WakeReport;

/// The device's mode, why it is that, how well it works, and what was tried last.
pub(super) fn view(
    acs: &Acs,
    key: &DeviceKey,
    summary: &Summary,
    contacts: Contacts,
    udp: Option<UdpAddress>,
) -> Value {
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
    let history: BTreeMap<&str, Value> = summary
        .nat_history
        .iter()
        .map(|(mode, history)| (mode.name(), history_view(history, given_up.contains(mode))))
        .collect();
    let attempts: Vec<Value> = summary.wake_attempts.iter().map(attempted_view).collect();
    json!({
        "mode": nat.map(|nat| nat.mode),
        "behind_nat": nat.map(|nat| nat.behind_nat),
        "fallbacks": nat.map(|nat| &nat.fallbacks),
        "reason": nat.map(|nat| &nat.reason),
        "decided_by": nat.map(|nat| &nat.decided_by),
        "decided_at": nat.map(|nat| time(nat.decided_at)),
        "facts": nat.map(|nat| nat.decided_from.view(summary)),
        "score": health.score,
        "words": health.words,
        "history": history,
        "attempts": attempts,
        "next_probe": acs.probes.planned(key).map(time),
        "configuration_error": summary.configured.as_ref().and_then(|c| c.error.as_ref()),
        "udp": udp.map(|udp| udp_view(&udp, now)),
        "periodic_inform": super::leases::view(acs, key, summary),
        "last_wake": acs.wakes.last(key).as_ref().map(|report| wake_view(acs, key, report)),
    })
}

fn history_view(history: &ModeHistory, given_up: bool) -> Value {
    let (recent_opened, recent) = history.recent_counts();
    json!({
        "attempts": history.attempts,
        "opened": history.opened,
        "failed_in_a_row": history.failed_in_a_row,
        "recent_attempts": recent,
        "recent_opened": recent_opened,
        "typical_milliseconds": history.typical_milliseconds,
        "last_opened": history.last_opened.map(time),
        "last_failed": history.last_failed.map(time),
        "last_outcome": history.last_outcome,
        "given_up": given_up,
        "probes_failed": history.probes_failed,
    })
}

/// An attempt of the device's record.
fn attempted_view(attempt: &Attempted) -> Value {
    json!({
        "at": maybe_time(attempt.at),
        "mode": attempt.mode,
        "probe": attempt.probe,
        "outcome": attempt.outcome,
        "words": attempt.outcome.words(),
        "advice": advice(attempt.outcome),
        "error": attempt.text,
    })
}

/// A wake-up: each attempt, and what it came to.
pub(super) fn wake_view(acs: &Acs, key: &DeviceKey, report: &WakeReport) -> Value {
    let attempts: Vec<Value> = report
        .attempts
        .iter()
        .map(|attempt| {
            json!({
                "mode": attempt.mode,
                "started": time(attempt.started),
                "accepted": attempt.accepted.map(time),
                "session_opened": attempt.opened.map(time),
                "milliseconds": attempt.took.map(|took| u64::try_from(took.as_millis()).ok()),
                "outcome": attempt.outcome,
                "words": attempt.outcome.map(Outcome::words),
                "advice": attempt.outcome.and_then(advice),
                "error": attempt.error,
            })
        })
        .collect();
    let outcome = report.telling().and_then(|attempt| attempt.outcome);
    let outcome = outcome.filter(|_| report.state.is_end());
    json!({
        "state": report.state,
        "started": time(report.started),
        "position": acs.wakes.position(key),
        "outcome": outcome,
        "words": outcome.map(Outcome::words),
        "advice": outcome.and_then(advice),
        "next_inform": report.next_inform.map(time),
        "attempts": attempts,
    })
}

fn advice(outcome: Outcome) -> Option<&'static str> {
    Some(outcome.advice()).filter(|advice| !advice.is_empty())
}

/// Where connection requests by UDP go.
fn udp_view(udp: &UdpAddress, now: UnixTime) -> Value {
    json!({
        "address": udp.address, "source": udp.source, "seen": time(udp.seen),
        "age_seconds": (now - udp.seen).max(0), "usable": udp.usable,
    })
}
