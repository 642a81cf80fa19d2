//! An instance (tenant): its name and its settings.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::config;
use crate::nat::pace::Limits;
use crate::nat::probe::Schedule;
use crate::plugins::glob;

/// The name of the instance that is always there.
pub const DEFAULT_NAME: &str = "default";
/// An ACS URL whose path begins with this and an instance's name is one of that instance.
pub const PATH: &str = "/i/";

/// An instance and what its operator decided. Immutable: when a setting changes, another one
/// takes its place ([`crate::instances::Instances`]), and sessions under way keep theirs.
#[derive(Debug)]
pub struct Instance {
    /// Its name, the first part of every key.
    pub name: Arc<str>,
    /// Its settings.
    pub settings: config::Instance,
}

impl Instance {
    /// With these settings.
    pub fn new(name: &str, settings: config::Instance) -> Instance {
        Instance {
            name: name.into(),
            settings,
        }
    }

    /// Whether it is the one that is always there.
    pub fn is_default(&self) -> bool {
        *self.name == *DEFAULT_NAME
    }

    /// What the path of its ACS URLs is after the host: nothing where host names tell it, or it
    /// is the only instance.
    pub fn path(&self, is_only: bool) -> String {
        match is_only || !self.settings.hosts.is_empty() {
            true => String::new(),
            false => format!("{}{}/", PATH.trim_start_matches('/'), self.name),
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
