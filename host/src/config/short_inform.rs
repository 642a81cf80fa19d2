//! `[instance.short_inform]`: devices that cannot be woken and inform every few seconds instead.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ConfigError, Instance, within};

/// `[instance.short_inform]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShortInform {
    /// The short interval only while somebody needs the device: a task is queued, or it is leased.
    pub lease: bool,
    /// With `lease`: the interval while nobody does.
    pub idle_seconds: u32,
    /// From so many devices on that cannot be woken, the operator is told that a proxy would save
    /// their load; 0 = never.
    pub advice_devices: usize,
}

impl Default for ShortInform {
    fn default() -> ShortInform {
        ShortInform {
            lease: false,
            idle_seconds: 900,
            advice_devices: 1_000,
        }
    }
}

impl ShortInform {
    pub(super) fn check(&self, instance: &Instance) -> Result<(), ConfigError> {
        if !self.lease {
            return Ok(());
        }
        within(
            "instance.short_inform.idle_seconds",
            self.idle_seconds,
            instance.short_periodic_inform_seconds..=instance.standard_periodic_inform_seconds,
            "between the short interval and the standard one",
        )
    }
}
