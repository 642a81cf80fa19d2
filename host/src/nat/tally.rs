//! What is counted of wake-ups.

use std::collections::BTreeMap;

use serde::Serialize;

use super::outcome::Outcome;
use crate::device::Mode;
use crate::metrics::Counter;

/// Since the host started.
#[derive(Debug, Serialize)]
pub struct Tally {
    /// Wake-ups begun.
    pub begun: Counter,
    /// Requests that joined one under way.
    pub joined: Counter,
    /// Requests refused because too many waited.
    pub refused: Counter,
    /// Wake-ups after which a session was open.
    pub opened: Counter,
    /// Those after which none was.
    pub failed: Counter,
    /// Quiet probes.
    pub probes: Counter,
    /// Those that opened a session.
    pub probes_opened: Counter,
    /// Attempts by mode and outcome, probes included.
    #[serde(serialize_with = "nonzero")]
    outcomes: Vec<(Mode, Outcome, Counter)>,
}

impl Default for Tally {
    fn default() -> Tally {
        let outcomes = Mode::ALL
            .into_iter()
            .flat_map(|mode| Outcome::ALL.map(|outcome| (mode, outcome, Counter::default())))
            .collect();
        Tally {
            begun: Counter::default(),
            joined: Counter::default(),
            refused: Counter::default(),
            opened: Counter::default(),
            failed: Counter::default(),
            probes: Counter::default(),
            probes_opened: Counter::default(),
            outcomes,
        }
    }
}

impl Tally {
    /// The attempts that there were, by mode and outcome.
    pub fn attempts(&self) -> impl Iterator<Item = (Mode, Outcome, u64)> {
        let counts = self
            .outcomes
            .iter()
            .map(|(mode, outcome, counter)| (*mode, *outcome, counter.get()));
        counts.filter(|(_, _, count)| *count > 0)
    }

    /// Counts an attempt.
    pub fn attempt(&self, mode: Mode, outcome: Outcome) {
        let counted = self
            .outcomes
            .iter()
            .find(|(of, with, _)| (*of, *with) == (mode, outcome));
        if let Some((_, _, counter)) = counted {
            counter.add(1);
        }
    }
}

/// `{"stun": {"session-opened": 12}}`, without what never happened.
fn nonzero<S: serde::Serializer>(
    outcomes: &[(Mode, Outcome, Counter)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut by_mode: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for (mode, outcome, counter) in outcomes {
        if counter.get() > 0 {
            let of_mode = by_mode.entry(mode.name()).or_default();
            of_mode.insert(outcome.name(), counter.get());
        }
    }
    by_mode.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happened_is_shown() {
        let tally = Tally::default();
        tally.attempt(Mode::Stun, Outcome::BindingExpired);
        tally.attempt(Mode::Stun, Outcome::BindingExpired);
        tally.attempt(Mode::Xmpp, Outcome::SessionOpened);
        let shown = serde_json::to_value(&tally).unwrap();
        assert_eq!(
            shown["outcomes"],
            serde_json::json!({"stun": {"binding-expired": 2}, "xmpp": {"session-opened": 1}})
        );
    }
}
