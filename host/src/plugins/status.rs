//! How the plugins are doing, for the API, the portal and the metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;

use super::directory::EntryStatus;
use super::{PluginError, PluginErrorKind};
use crate::spent;

/// One plugin: a file in the directory, or what was one.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct PluginStatus {
    /// The file's name without `.wasm` or `.profile.toml`.
    pub name: String,
    /// `quirks`, `flow`, `nat-policy`.
    pub kinds: Vec<String>,
    /// As the plugin describes itself.
    pub version: String,
    /// The file's name.
    pub file: String,
    /// SHA-256 of the file that what runs was loaded from.
    pub hash: String,
    /// Grows with each load of this plugin.
    pub generation: u64,
    /// How often it was put back to the version before, since the host started.
    pub rollbacks: u64,
    /// See [`PluginState`].
    pub state: PluginState,
    /// The last refusal of the file, or the last error of a call.
    pub last_error: Option<String>,
    /// Seconds since the epoch.
    #[serde(skip)]
    pub loaded_at: Option<i64>,
    /// For people: which devices and events it is for.
    pub matches: Vec<String>,
    /// Of several policies: this one decides.
    pub policy_in_force: bool,
    /// Since this version was loaded.
    pub counters: CountersSnapshot,
}

/// Whether a plugin runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PluginState {
    /// The file as it is runs.
    Running,
    /// The file was refused; the version loaded before still runs.
    Outdated,
    /// `enabled = false`.
    Disabled,
    /// The file was refused and nothing runs.
    Failed,
}

impl PluginState {
    /// Whether the file as it is runs.
    pub fn is_running(self) -> bool {
        self == PluginState::Running
    }

    /// Whether the file as it is was refused.
    pub fn is_refused(self) -> bool {
        matches!(self, PluginState::Outdated | PluginState::Failed)
    }
}

/// The counters of a plugin at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct CountersSnapshot {
    /// Hooks, decisions and flows begun.
    pub calls: u64,
    /// Of them failed in any way, errors that flows returned included.
    pub errors: u64,
    /// Crashes.
    pub traps: u64,
    /// Computing or waiting for too long.
    pub timeouts: u64,
    /// All time spent, microseconds.
    pub time_total_us: u64,
    /// The longest call, microseconds.
    pub time_max_us: u64,
    /// Instances in use now.
    pub in_flight: u64,
    /// Instances that wait for a call.
    pub warm: u64,
}

impl PluginStatus {
    pub(super) fn new(entry: &EntryStatus, policy: Option<&str>) -> PluginStatus {
        let running = entry.running.as_deref();
        let of_a_call = || running.and_then(|plugin| plugin.counters.last_error());
        PluginStatus {
            name: entry.name.clone(),
            kinds: running
                .map(|plugin| plugin.code.kinds.names())
                .unwrap_or_default(),
            version: running
                .map(|plugin| plugin.version().to_string())
                .unwrap_or_default(),
            file: entry.file.clone(),
            hash: running
                .map(|plugin| plugin.hash.to_string())
                .unwrap_or_default(),
            generation: entry.generation,
            rollbacks: entry.rollbacks,
            state: entry.state,
            last_error: entry.refused.clone().or_else(of_a_call),
            loaded_at: running.map(|plugin| plugin.loaded_at),
            matches: running
                .map(|plugin| plugin.description.matches())
                .unwrap_or_default(),
            policy_in_force: policy == Some(entry.name.as_str()),
            counters: running
                .map(|plugin| plugin.counters.snapshot(plugin.pool.warm()))
                .unwrap_or_default(),
        }
    }
}

/// At most one warning in this time for a plugin, however often it fails.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// The counters of a version of a plugin.
pub(super) struct Counters {
    begun: Instant,
    calls: AtomicU64,
    errors: AtomicU64,
    traps: AtomicU64,
    timeouts: AtomicU64,
    time_ns: AtomicU64,
    time_max_ns: AtomicU64,
    in_flight: AtomicU64,
    last_error: Mutex<Option<String>>,
    /// Milliseconds since `begun`, plus one; 0 = never.
    warned_at: AtomicU64,
    not_warned: AtomicU64,
    /// Of all plugins.
    all_ns: Arc<AtomicU64>,
}

impl Counters {
    pub(super) fn new(all_ns: Arc<AtomicU64>) -> Counters {
        let zero = || AtomicU64::new(0);
        Counters {
            begun: Instant::now(),
            calls: zero(),
            errors: zero(),
            traps: zero(),
            timeouts: zero(),
            time_ns: zero(),
            time_max_ns: zero(),
            in_flight: zero(),
            last_error: Mutex::default(),
            warned_at: zero(),
            not_warned: zero(),
            all_ns,
        }
    }

    pub(super) fn begin(&self) {
        self.calls.fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub(super) fn end(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// Time inside the plugin.
    pub(super) fn spent(&self, nanoseconds: u64) {
        self.time_ns.fetch_add(nanoseconds, Relaxed);
        self.all_ns.fetch_add(nanoseconds, Relaxed);
        spent::on_plugins(nanoseconds);
    }

    /// A call has ended that took this long in all.
    pub(super) fn ended(&self, nanoseconds: u64) {
        if nanoseconds > self.time_max_ns.load(Relaxed) {
            self.time_max_ns.fetch_max(nanoseconds, Relaxed);
        }
    }

    /// `Some`: worth a warning; so many before were not.
    pub(super) fn failed(&self, error: &PluginError) -> Option<u64> {
        match error.kind {
            PluginErrorKind::Trap(_)
            | PluginErrorKind::Memory { .. }
            | PluginErrorKind::HostCalls(_) => {
                self.traps.fetch_add(1, Relaxed);
            }
            PluginErrorKind::Deadline { .. }
            | PluginErrorKind::Stuck { .. }
            | PluginErrorKind::Busy => {
                self.timeouts.fetch_add(1, Relaxed);
            }
            PluginErrorKind::Answer(_) => {}
        }
        self.returned_error(error.kind.to_string());
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let before = self.warned_at.load(Relaxed);
        let every = u64::try_from(WARN_EVERY.as_millis()).unwrap_or(u64::MAX);
        if (before == 0 || now.saturating_sub(before) >= every)
            && self
                .warned_at
                .compare_exchange(before, now, Relaxed, Relaxed)
                .is_ok()
        {
            Some(self.not_warned.swap(0, Relaxed))
        } else {
            self.not_warned.fetch_add(1, Relaxed);
            None
        }
    }

    /// A flow returned an error: not the plugin's fault, but worth showing.
    pub(super) fn returned_error(&self, text: String) {
        self.errors.fetch_add(1, Relaxed);
        *self.last_error.lock() = Some(text);
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.last_error.lock().clone()
    }

    pub(super) fn snapshot(&self, warm: usize) -> CountersSnapshot {
        CountersSnapshot {
            calls: self.calls.load(Relaxed),
            errors: self.errors.load(Relaxed),
            traps: self.traps.load(Relaxed),
            timeouts: self.timeouts.load(Relaxed),
            time_total_us: self.time_ns.load(Relaxed) / 1000,
            time_max_us: self.time_max_ns.load(Relaxed) / 1000,
            in_flight: self.in_flight.load(Relaxed),
            warm: u64::try_from(warm).unwrap_or(u64::MAX),
        }
    }
}
