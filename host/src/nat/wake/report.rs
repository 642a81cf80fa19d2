//! How a wake-up goes, as the API shows it.

use std::time::Duration;

use serde::Serialize;

use crate::device::{Mode, UnixTime};
use crate::nat::outcome::Outcome;

/// How far a wake-up has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WakeState {
    /// It waits for its turn.
    Waiting,
    /// A mode is being tried.
    Calling,
    /// The device took the request; its session has not come yet.
    Accepted,
    /// The device opened a session.
    SessionOpened,
    /// No mode opened a session.
    Failed,
}

impl WakeState {
    /// Nothing comes after it.
    pub fn is_end(self) -> bool {
        matches!(self, WakeState::SessionOpened | WakeState::Failed)
    }
}

/// A wake-up.
#[derive(Debug, Clone, PartialEq)]
pub struct WakeReport {
    /// How far it has come.
    pub state: WakeState,
    /// When it began.
    pub started: UnixTime,
    /// What was tried, in order.
    pub attempts: Vec<WakeAttempt>,
    /// It failed: when the device should inform by itself next, if that is known.
    pub next_inform: Option<UnixTime>,
}

/// One mode, tried.
#[derive(Debug, Clone, PartialEq)]
pub struct WakeAttempt {
    /// Which.
    pub mode: Mode,
    /// When it began.
    pub started: UnixTime,
    /// When the device took the request.
    pub accepted: Option<UnixTime>,
    /// When its session began.
    pub opened: Option<UnixTime>,
    /// What came of it, once that is known.
    pub outcome: Option<Outcome>,
    /// What exactly was seen when it did not work.
    pub error: Option<String>,
    /// How long it took.
    pub took: Option<Duration>,
}

impl WakeAttempt {
    pub(super) fn new(mode: Mode, started: UnixTime) -> WakeAttempt {
        WakeAttempt {
            mode,
            started,
            accepted: None,
            opened: None,
            outcome: None,
            error: None,
            took: None,
        }
    }
}

impl WakeReport {
    pub(super) fn new(started: UnixTime, waits: bool) -> WakeReport {
        WakeReport {
            state: if waits {
                WakeState::Waiting
            } else {
                WakeState::Calling
            },
            started,
            attempts: Vec::new(),
            next_inform: None,
        }
    }

    /// The attempt that says most: the one that opened a session, or else that of the device's
    /// own mode, which is the first.
    pub fn telling(&self) -> Option<&WakeAttempt> {
        let opened = |attempt: &&WakeAttempt| attempt.opened.is_some();
        let opened = self.attempts.iter().find(opened);
        opened.or(self.attempts.first())
    }

    /// `stun: binding-expired, short-inform: no-answer`.
    pub fn tried(&self) -> String {
        let attempts: Vec<String> = self
            .attempts
            .iter()
            .map(|attempt| {
                let outcome = attempt.outcome.map_or("under way", Outcome::name);
                format!("{}: {outcome}", attempt.mode.name())
            })
            .collect();
        attempts.join(", ")
    }

    /// The device took the request of the last attempt.
    pub(super) fn accepted(&mut self, at: UnixTime) {
        self.state = WakeState::Accepted;
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.accepted = Some(at);
        }
    }

    /// The last attempt has come to its end.
    pub(super) fn ended(
        &mut self,
        outcome: Outcome,
        error: Option<String>,
        opened: Option<UnixTime>,
        took: Duration,
    ) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.outcome = Some(outcome);
            attempt.error = error;
            attempt.opened = opened;
            attempt.took = Some(took);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attempt_that_says_most() {
        let mut report = WakeReport::new(0, false);
        assert_eq!((report.telling(), report.tried().as_str()), (None, ""));
        for (mode, outcome) in [
            (Mode::Stun, Outcome::BindingExpired),
            (Mode::Xmpp, Outcome::Offline),
        ] {
            report.attempts.push(WakeAttempt::new(mode, 1));
            report.ended(outcome, None, None, Duration::ZERO);
        }
        assert_eq!(report.telling().unwrap().mode, Mode::Stun);
        assert_eq!(report.tried(), "stun: binding-expired, xmpp: offline");
        report.attempts.push(WakeAttempt::new(Mode::DirectHttp, 2));
        assert!(report.tried().ends_with("direct-http: under way"));
        report.accepted(3);
        report.ended(Outcome::SessionOpened, None, Some(4), Duration::ZERO);
        assert_eq!(report.telling().unwrap().mode, Mode::DirectHttp);
    }
}
