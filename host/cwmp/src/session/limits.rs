//! What a session may cost.

use std::time::Duration;

use crate::Error;

/// What a session may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long a device may take from one message to the next, if its Inform does not say.
    pub message_timeout: Duration,
    /// The most that the SessionTimeout of an Inform can make of it.
    pub message_timeout_max: Duration,
    /// How long a session may last.
    pub session_timeout: Duration,
    /// How many requests the ACS may make.
    pub requests_max: u32,
    /// How many requests (with the Informs) the device may make.
    pub device_requests_max: u32,
}

impl Default for Limits {
    /// Twice the 30 s that devices wait, because some need long to list their whole tree.
    fn default() -> Limits {
        Limits {
            message_timeout: Duration::from_secs(60),
            message_timeout_max: Duration::from_secs(600),
            session_timeout: Duration::from_secs(3600),
            requests_max: 10_000,
            device_requests_max: 1_000,
        }
    }
}

/// Counts one more, or says that it is one too many.
pub(super) fn count(counter: &mut u32, max: u32, unit: &'static str) -> Result<(), Error> {
    if *counter >= max {
        return Err(Error::Limit {
            unit,
            max: max.into(),
        });
    }
    *counter += 1;
    Ok(())
}
