//! A loaded plugin: its code, what it says of itself, the operator's part, its instances and its
//! counters.

use std::sync::Arc;

use super::guest::Identity;
use super::limits::Limits;
use super::load::{Code, Description};
use super::operator::Operator;
use super::pool::Pool;
use super::status::Counters;
use crate::device::UnixTime;

/// One version of one plugin with one version of its `<plugin>.toml`.
pub(super) struct LoadedPlugin {
    pub(super) identity: Arc<Identity>,
    pub(super) code: Arc<Code>,
    /// SHA-256 of the file that makes it what it is: the component, or the written profile.
    pub(super) hash: Arc<str>,
    pub(super) description: Description,
    pub(super) operator: Operator,
    pub(super) pool: Pool,
    pub(super) counters: Arc<Counters>,
    pub(super) fresh_instances: bool,
    /// Counts the loads under this name.
    pub(super) generation: u64,
    pub(super) loaded_at: UnixTime,
}

impl LoadedPlugin {
    pub(super) fn name(&self) -> &Arc<str> {
        &self.identity.name
    }

    pub(super) fn version(&self) -> &Arc<str> {
        &self.identity.version
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.identity.limits
    }

    /// `name version`.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.identity.name, self.identity.version)
    }
}

impl std::fmt::Debug for LoadedPlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} #{}", self.title(), self.generation)
    }
}
