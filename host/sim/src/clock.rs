//! Time as the simulator counts it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Time since the Unix epoch. The device state never asks for it: it is told.
pub type UnixTime = Duration;

/// Tells the time to what does I/O: tokio's clock, anchored once to the epoch, so that a
/// paused or jumped tokio clock moves the devices' time too.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    anchor: Instant,
    at_anchor: UnixTime,
}

impl Clock {
    /// Anchored to the computer's clock, now.
    pub fn system() -> Clock {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Clock::starting_at(unix)
    }

    /// Says `at` now, and goes on from there.
    pub fn starting_at(at: UnixTime) -> Clock {
        Clock {
            anchor: Instant::now(),
            at_anchor: at,
        }
    }

    /// The time now.
    pub fn now(&self) -> UnixTime {
        self.at_anchor + self.anchor.elapsed()
    }

    /// When tokio's clock shows `at`; a moment in the past becomes the anchor.
    pub fn instant(&self, at: UnixTime) -> Instant {
        self.anchor + at.saturating_sub(self.at_anchor)
    }
}
