//! How each way to a device has done so far: what the policy decides from, what the score is made
//! of, and when a way that was given up is tried again. Of bounded size, whatever happens.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use crate::device::{Mode, UnixTime};

/// A way that never opened a session keeps failing after so many failures in a row. The SDK's
/// `FAILURES_UNPROVEN`.
pub const FAILING_UNPROVEN: u32 = 3;
/// One that has opened some, after so many: the device may just have been off. The SDK's
/// `FAILURES_PROVEN`.
pub const FAILING_PROVEN: u32 = 10;
/// Attempts whose end is remembered one by one.
const RECENT_MAX: u32 = u16::BITS;
/// What an attempt weighs beside the one after it.
const WEIGHT_OF_OLDER: f64 = 0.8;
/// The typical time moves by this part of the difference.
const TYPICAL_STEP: u32 = 4;
/// Attempts of all ways that a device shows.
const ATTEMPTS_SHOWN_MAX: usize = 5;

/// How a mode has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModeHistory {
    /// Attempts that said something of this way to this device.
    pub attempts: u32,
    /// Those after which the device opened a session.
    pub opened: u32,
    /// Since the last that opened one.
    pub failed_in_a_row: u32,
    /// When a session was last opened this way.
    pub last_opened: Option<UnixTime>,
    /// When an attempt last failed.
    pub last_failed: Option<UnixTime>,
    /// What came of the last attempt.
    pub last_outcome: Option<Outcome>,
    /// The last attempts, the newest in the lowest bit: whether each opened a session.
    pub recent: u16,
    /// Milliseconds from the request to the session, typically.
    pub typical_milliseconds: Option<u32>,
    /// Quiet probes that came to nothing since this way last opened a session.
    pub probes_failed: u32,
}

/// An attempt, as the device's record keeps the last few of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempted {
    /// When it began.
    pub at: UnixTime,
    /// Which way.
    pub mode: Mode,
    /// What came of it.
    pub outcome: Outcome,
    /// What exactly was seen, if it failed.
    pub text: Option<String>,
    /// Nobody waited for it: a quiet probe.
    pub probe: bool,
}

impl ModeHistory {
    /// Takes an attempt in. `took`: from the request to the session.
    pub fn note(&mut self, outcome: Outcome, now: UnixTime, took: Option<Duration>) {
        self.last_outcome = Some(outcome);
        if !outcome.tells_of_the_device() {
            return;
        }
        let opened = outcome == Outcome::SessionOpened;
        self.attempts = self.attempts.saturating_add(1);
        self.recent = self.recent << 1 | u16::from(opened);
        if !opened {
            self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
            self.last_failed = Some(now);
            return;
        }
        self.opened = self.opened.saturating_add(1);
        self.failed_in_a_row = 0;
        self.probes_failed = 0;
        self.last_opened = Some(now);
        if let Some(took) = took {
            let took = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
            self.typical_milliseconds = Some(match self.typical_milliseconds {
                Some(typical) if took >= typical => typical + (took - typical) / TYPICAL_STEP,
                Some(typical) => typical - (typical - took) / TYPICAL_STEP,
                None => took,
            });
        }
    }

    /// Of the last attempts, at most 16: how many opened a session, and how many there were.
    pub fn recent_counts(&self) -> (u32, u32) {
        (self.recent.count_ones(), self.attempts.min(RECENT_MAX))
    }

    /// The weights of the recent attempts that opened a session, and of all recent attempts: the
    /// newest weighs 1, each older one 0.8 of the one after it.
    pub fn recent_weights(&self) -> (f64, f64) {
        let (_, of) = self.recent_counts();
        let mut weights = (0.0, 0.0);
        let mut weight = 1.0;
        for age in 0..of {
            if self.recent >> age & 1 == 1 {
                weights.0 += weight;
            }
            weights.1 += weight;
            weight *= WEIGHT_OF_OLDER;
        }
        weights
    }

    /// When it was last tried.
    pub fn last_tried(&self) -> Option<UnixTime> {
        self.last_opened.max(self.last_failed)
    }

    /// Whether a policy may give it up: it keeps failing.
    pub fn keeps_failing(&self) -> bool {
        let allowed = if self.opened == 0 {
            FAILING_UNPROVEN
        } else {
            FAILING_PROVEN
        };
        self.failed_in_a_row >= allowed
    }
}

/// Puts an attempt before the others; the oldest goes.
pub fn remember(attempts: &mut Vec<Attempted>, attempt: Attempted) {
    attempts.truncate(ATTEMPTS_SHOWN_MAX - 1);
    attempts.insert(0, attempt);
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{NoAnswer, NotServed, SessionOpened};

    fn of(outcomes: &[Outcome]) -> ModeHistory {
        let mut history = ModeHistory::default();
        for (at, outcome) in outcomes.iter().enumerate() {
            history.note(*outcome, at as UnixTime, Some(Duration::from_millis(800)));
        }
        history
    }

    #[test]
    fn what_is_counted() {
        let history = of(&[SessionOpened, NoAnswer, NoAnswer]);
        assert_eq!(
            (history.attempts, history.opened, history.failed_in_a_row),
            (3, 1, 2)
        );
        assert_eq!(
            (history.last_opened, history.last_failed),
            (Some(0), Some(2))
        );
        assert_eq!(history.recent_counts(), (1, 3));
        assert_eq!(history.last_tried(), Some(2));
        let (opened, all) = history.recent_weights();
        assert!((opened - 0.64).abs() < 1e-9 && (all - 2.44).abs() < 1e-9);
        // What the host itself cannot do is shown, and counts for nothing.
        let mut same = history.clone();
        same.note(NotServed, 9, None);
        assert_eq!(same.last_outcome, Some(NotServed));
        let last_outcome = history.last_outcome;
        assert_eq!(
            ModeHistory {
                last_outcome,
                ..same
            },
            history
        );
        // Only sixteen are remembered one by one.
        let long = of(&[SessionOpened; 40]);
        assert_eq!((long.attempts, long.recent_counts()), (40, (16, 16)));
    }

    #[test]
    fn when_a_way_keeps_failing() {
        assert!(!of(&[NoAnswer; 2]).keeps_failing());
        assert!(of(&[NoAnswer; 3]).keeps_failing());
        let mut proven = of(&[SessionOpened]);
        for _ in 0..9 {
            proven.note(NoAnswer, 1, None);
        }
        assert!(!proven.keeps_failing());
        proven.note(NoAnswer, 1, None);
        assert!(proven.keeps_failing());
        proven.note(SessionOpened, 2, None);
        assert!(!proven.keeps_failing());
    }

    #[test]
    fn the_typical_time_follows_slowly() {
        let mut history = of(&[SessionOpened]);
        assert_eq!(history.typical_milliseconds, Some(800));
        history.note(SessionOpened, 1, Some(Duration::from_millis(1_600)));
        assert_eq!(history.typical_milliseconds, Some(1_000));
        history.note(SessionOpened, 1, Some(Duration::from_millis(200)));
        assert_eq!(history.typical_milliseconds, Some(800));
    }

    #[test]
    fn the_last_few_attempts() {
        let mut attempts = Vec::new();
        for at in 0..9 {
            let attempt = Attempted {
                at,
                mode: Mode::Stun,
                outcome: NoAnswer,
                text: None,
                probe: false,
            };
            remember(&mut attempts, attempt);
        }
        let times: Vec<UnixTime> = attempts.iter().map(|attempt| attempt.at).collect();
        assert_eq!(times, [8, 7, 6, 5, 4]);
    }

    #[test]
    fn records_from_before_there_was_more_to_know() {
        let old = r#"{"attempts":3,"opened":1,"failed_in_a_row":2,"last_opened":7}"#;
        let history: ModeHistory = serde_json::from_str(old).unwrap();
        assert_eq!((history.attempts, history.last_opened), (3, Some(7)));
    }
}
