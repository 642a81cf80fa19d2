//! `[instance.waking]`: how much is woken at once, and when ways that were given up are tried again.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ConfigError, within};

/// `[instance.waking]`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Waking {
    /// Calls to devices begun in a second.
    pub calls_per_second_max: u32,
    /// Calls under way. What waits for a session is none any more.
    pub calls_at_once_max: usize,
    /// Of those, into one network: a /24 of IPv4, a /48 of IPv6.
    pub calls_at_once_per_network_max: usize,
    /// Wake-ups that wait for their turn; more are refused (503 with Retry-After).
    pub waiting_max: usize,
    /// The time before a way that was given up is tried again; it doubles with each failure.
    pub probe_seconds_min: u32,
    /// The longest such time.
    pub probe_seconds_max: u32,
}

impl Default for Waking {
    fn default() -> Waking {
        Waking {
            calls_per_second_max: 50,
            calls_at_once_max: 200,
            calls_at_once_per_network_max: 8,
            waiting_max: 10_000,
            probe_seconds_min: 900,
            probe_seconds_max: 86_400,
        }
    }
}

impl Waking {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        within(
            "instance.waking.calls_per_second_max",
            self.calls_per_second_max,
            1..=10_000,
            "1 to 10000",
        )?;
        within(
            "instance.waking.calls_at_once_max",
            self.calls_at_once_max,
            1..=10_000,
            "1 to 10000",
        )?;
        within(
            "instance.waking.calls_at_once_per_network_max",
            self.calls_at_once_per_network_max,
            1..=self.calls_at_once_max,
            "1 to calls_at_once_max",
        )?;
        within(
            "instance.waking.waiting_max",
            self.waiting_max,
            1..=1_000_000,
            "1 to 1000000",
        )?;
        within(
            "instance.waking.probe_seconds_max",
            self.probe_seconds_max,
            1..=31_536_000,
            "1 second to a year",
        )?;
        within(
            "instance.waking.probe_seconds_min",
            self.probe_seconds_min,
            1..=self.probe_seconds_max,
            "1 second to probe_seconds_max",
        )
    }
}
