//! The clock: read in the door and in the background work only; everything below is told the time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::device::UnixTime;

/// A moment, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For what must not jump: deadlines.
    pub instant: Instant,
    /// For what people read.
    pub unix: UnixTime,
}

/// Where the time comes from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// This moment.
    pub fn now(&self) -> Now {
        Now {
            instant: Instant::now(),
            unix: self.unix(),
        }
    }

    /// Seconds since the epoch.
    pub fn unix(&self) -> UnixTime {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        UnixTime::try_from(since.as_secs()).unwrap_or(UnixTime::MAX)
    }
}
