//! The clock: read in the door and in the background work only; everything below is told the time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::device::UnixTime;

/// A moment, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For what must not jump: deadlines.
    pub instant: Instant,
    /// For what people read.
    pub unix: UnixTime,
    /// Of that second: 0 to 999.
    pub milliseconds: u16,
}

/// Where the time comes from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// This moment.
    pub fn now(&self) -> Now {
        let since = since_epoch();
        Now {
            instant: Instant::now(),
            unix: seconds(since),
            milliseconds: u16::try_from(since.subsec_millis()).unwrap_or(999),
        }
    }

    /// Seconds since the epoch.
    pub fn unix(&self) -> UnixTime {
        seconds(since_epoch())
    }
}

fn since_epoch() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}

fn seconds(since: Duration) -> UnixTime {
    UnixTime::try_from(since.as_secs()).unwrap_or(UnixTime::MAX)
}
