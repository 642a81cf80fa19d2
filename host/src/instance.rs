//! An instance (tenant): its name and its settings. There is one, `default`; everything is
//! keyed by instance all the same, so that a second one changes no key and no path.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::config;
use crate::nat::pace::Limits;
use crate::nat::probe::Schedule;
use crate::plugins::glob;

/// The name of the one instance.
pub const DEFAULT_NAME: &str = "default";

/// An instance and what its operator decided.
#[derive(Debug)]
pub struct Instance {
    /// Its name, the first part of every key.
    pub name: Arc<str>,
    /// Its settings.
    pub settings: config::Instance,
}

impl Instance {
    /// The instance `default`.
    pub fn new(settings: config::Instance) -> Instance {
        Instance {
            name: DEFAULT_NAME.into(),
            settings,
        }
    }

    /// The tags of devices with this provisioning code.
    pub fn tags_of_code(&self, code: &str) -> BTreeSet<String> {
        let codes = self.settings.provisioning_codes.iter();
        codes
            .filter(|(pattern, _)| glob(pattern, code))
            .flat_map(|(_, tags)| tags.iter().cloned())
            .collect()
    }

    /// How long a device may take to answer a connection request.
    pub fn connection_request_time(&self) -> Duration {
        Duration::from_secs(self.settings.connection_request_seconds_max)
    }

    /// How much is woken at once.
    pub fn wake_limits(&self) -> Limits {
        let waking = &self.settings.waking;
        Limits {
            per_second: waking.calls_per_second_max,
            at_once: waking.calls_at_once_max,
            at_once_per_network: waking.calls_at_once_per_network_max,
            waiting: waking.waiting_max,
        }
    }

    /// When ways that were given up are tried again.
    pub fn probes(&self) -> Schedule {
        let waking = &self.settings.waking;
        Schedule {
            shortest: waking.probe_seconds_min,
            longest: waking.probe_seconds_max,
        }
    }

    /// How long to wait for the session after a connection request was accepted.
    pub fn session_wait(&self) -> Duration {
        Duration::from_secs(self.settings.session_after_wake_seconds_max)
    }
}
