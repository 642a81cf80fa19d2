//! The link to an XMPP server of somebody else: whether it is up, and since when.

use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

use crate::clock::Clock;
use crate::device::UnixTime;

/// The first wait before the next try; it doubles with each.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// The state of a link.
#[derive(Debug)]
pub(super) struct Link {
    clock: Clock,
    state: Mutex<LinkState>,
}

/// How a link is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct LinkState {
    /// Logged in.
    pub(super) up: bool,
    /// Since when it is so.
    pub(super) since: UnixTime,
    /// Why it is not up, as far as anybody said.
    pub(super) error: Option<String>,
}

impl Link {
    /// A link that was not tried yet.
    pub(super) fn new(clock: Clock) -> Link {
        let state = LinkState {
            up: false,
            since: clock.unix(),
            error: None,
        };
        Link {
            clock,
            state: Mutex::new(state),
        }
    }

    /// How it is.
    pub(super) fn state(&self) -> LinkState {
        self.state.lock().clone()
    }

    /// Logged in.
    pub(super) fn up(&self) {
        *self.state.lock() = LinkState {
            up: true,
            since: self.clock.unix(),
            error: None,
        };
        tracing::info!("the link to the XMPP server is up");
    }

    /// Lost, or not come to be.
    pub(super) fn down(&self, error: String) {
        let mut state = self.state.lock();
        // The same again is no news.
        if state.up || state.error.as_ref() != Some(&error) {
            tracing::warn!(error, "no link to the XMPP server");
        }
        if state.up {
            state.since = self.clock.unix();
        }
        state.up = false;
        state.error = Some(error);
    }

    /// Why nothing can be sent now; `None`: something can.
    pub(super) fn trouble(&self) -> Option<String> {
        let state = self.state.lock();
        (!state.up).then(|| {
            let error = state.error.as_deref();
            error.unwrap_or("it has not come to be yet").to_owned()
        })
    }
}

/// Waits between tries.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff(RETRY_MIN)
    }
}

impl Backoff {
    /// The next wait.
    pub(super) fn next_wait(&mut self) -> Duration {
        let wait = self.0;
        self.0 = (wait * 2).min(RETRY_MAX);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_says_why_it_is_down() {
        let link = Link::new(Clock);
        assert_eq!(link.trouble().unwrap(), "it has not come to be yet");
        link.up();
        assert_eq!(link.trouble(), None);
        link.down("refused".into());
        assert_eq!(link.trouble().unwrap(), "refused");
        assert!(!link.state().up);
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..8).map(|_| backoff.next_wait().as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
