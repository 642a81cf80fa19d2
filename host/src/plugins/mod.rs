//! THE WASM SIDE: plugins from a directory, loaded and replaced while the host runs.
//!
//! Nothing outside this module sees wasmtime. A session holds a [`Matched`] of the [`Table`]
//! it began with; what a plugin does wrong stays here and is recorded under its name.

mod asked;
mod call;
mod copy;
mod diff;
mod directory;
mod engine;
mod error;
mod flow;
mod guest;
mod hooks;
mod inspect;
mod limits;
mod listing;
mod load;
mod lookup;
mod manage;
mod matching;
mod operator;
mod overrides;
mod plugin;
mod policy;
mod pool;
mod sendable;
mod status;
mod table;
mod v0_1;
mod watch;
mod written;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::AbortHandle;

use directory::{Directory, EntryStatus, Loader, Scan};
use load::Linkers;

pub use asked::NoFlow;
pub use error::{PluginError, PluginErrorKind, PluginsError};
pub use flow::{AskError, DeviceRecord, FlowRef, FlowRun, FlowStep, KnownFuture, Occasion};
pub use hooks::{AfterFault, HookCall, HttpMeta};
pub use inspect::{Inspection, inspect};
pub use limits::{DefaultLimits, Limits, TICK};
pub(crate) use listing::is_of_plugins;
pub use manage::{COMPONENT_BYTES_MAX, ManageError, SETTINGS_BYTES_MAX};
pub(crate) use matching::glob;
pub use overrides::{BooleanWords, Overrides};
pub use policy::{Decision, Facts, Policy};
pub use status::{CountersSnapshot, PluginState, PluginStatus};
pub use table::{Matched, Table};

use crate::clock::Clock;
use crate::device::{DeviceKey, Summary, UnixTime};
use crate::events::Events;

/// Which device a call is about, and when. One per session.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The device's key.
    pub key: &'a DeviceKey,
    /// What is known of it.
    pub device: &'a Summary,
    /// What the plugin sees as the time, constant during a session.
    pub now: UnixTime,
}

/// Where plugins keep what outlives a session. Quotas are checked before it is called.
pub trait PluginMemory: Send + Sync {
    /// The value of a key.
    fn get(&self, plugin: &str, device: &DeviceKey, key: &str) -> Option<Vec<u8>>;
    /// Fails with a sentence for the plugin.
    fn set(
        &self,
        plugin: &str,
        device: &DeviceKey,
        key: &str,
        value: Vec<u8>,
    ) -> Result<(), String>;
    /// Forgets a key.
    fn remove(&self, plugin: &str, device: &DeviceKey, key: &str);
    /// How many keys the plugin has for the device, and whether `key` is one of them.
    fn keys(&self, plugin: &str, device: &DeviceKey, key: &str) -> (usize, bool);
}

/// Where plugins are and what they may use.
#[derive(Debug, Clone)]
pub struct PluginsConfig {
    /// `NAME.wasm` and `NAME.profile.toml`, each with the operator's `NAME.toml`.
    pub directory: PathBuf,
    /// Compiled code, kept over restarts.
    pub cache_directory: Option<PathBuf>,
    /// Look at the directory this often, for file systems that report no changes.
    pub poll_interval: Option<Duration>,
    /// A change is acted on after this much quiet, …
    pub debounce_quiet: Duration,
    /// … but at the latest after this.
    pub debounce_max: Duration,
    /// Of each plugin.
    pub limits: DefaultLimits,
    /// Where it is told what becomes of them.
    pub events: Arc<Events>,
}

/// All plugins. One cheap handle.
pub struct Plugins {
    table: ArcSwap<Table>,
    statuses: ArcSwap<Vec<EntryStatus>>,
    directory: tokio::sync::Mutex<Directory>,
    time_spent: Arc<AtomicU64>,
    watching: OnceLock<AbortHandle>,
}

impl PluginsConfig {
    /// The defaults, for this directory.
    pub fn new(directory: impl Into<PathBuf>) -> PluginsConfig {
        PluginsConfig {
            directory: directory.into(),
            cache_directory: None,
            poll_interval: None,
            debounce_quiet: Duration::from_millis(150),
            debounce_max: Duration::from_secs(2),
            limits: DefaultLimits::default(),
            events: Arc::new(Events::new(Clock.unix())),
        }
    }
}

impl Plugins {
    /// Loads the directory before it returns, then watches it.
    pub async fn start(
        config: PluginsConfig,
        memory: Arc<dyn PluginMemory>,
    ) -> Result<Arc<Plugins>, PluginsError> {
        let engine = engine::start(
            config.cache_directory.as_deref(),
            config.limits.table_elements_max,
        )?;
        let time_spent = Arc::new(AtomicU64::new(0));
        let loader = Loader {
            linkers: Arc::new(Linkers::new(engine).map_err(PluginsError::Engine)?),
            limits: config.limits.clone(),
            memory,
            time_spent: Arc::clone(&time_spent),
            events: Arc::clone(&config.events),
        };
        let plugins = Arc::new(Plugins {
            table: ArcSwap::default(),
            statuses: ArcSwap::default(),
            directory: tokio::sync::Mutex::new(Directory::new(config.directory.clone(), loader)),
            time_spent,
            watching: OnceLock::new(),
        });
        plugins.look().await;
        let watching = tokio::spawn(watch::run(Arc::downgrade(&plugins), config));
        let _ = plugins.watching.set(watching.abort_handle());
        Ok(plugins)
    }

    /// What runs now.
    pub fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// One entry per plugin, by name.
    pub fn statuses(&self) -> Vec<PluginStatus> {
        let table = self.table.load();
        self.statuses
            .load()
            .iter()
            .map(|entry| PluginStatus::new(entry, table.policy()))
            .collect()
    }

    /// Looks at the directory now; returns when all that changed is loaded or refused.
    pub async fn reload(&self) {
        self.look().await;
    }

    async fn look(&self) -> Scan {
        let mut directory = self.directory.lock().await;
        let scan = directory.scan().await;
        if scan.changed {
            self.publish(&mut directory);
        }
        scan
    }

    fn publish(&self, directory: &mut Directory) {
        self.table.store(Arc::new(directory.table()));
        self.statuses.store(Arc::new(directory.statuses()));
    }

    /// Puts the version before the present one back, until its file changes again. Fails with a
    /// sentence for the operator.
    pub async fn rollback(&self, name: &str) -> Result<(), String> {
        let mut directory = self.directory.lock().await;
        directory.rollback(name)?;
        self.publish(&mut directory);
        Ok(())
    }

    /// All time spent inside plugins since the start.
    pub fn time_spent(&self) -> Duration {
        Duration::from_nanos(self.time_spent.load(Relaxed))
    }

    /// Stops watching. What runs stays usable.
    pub fn shutdown(&self) {
        if let Some(watching) = self.watching.get() {
            watching.abort();
        }
    }

    /// Frees instances that nobody used for a while.
    fn trim(&self) {
        for entry in self.statuses.load().iter() {
            if let Some(plugin) = &entry.running {
                plugin.pool.trim(plugin.limits());
            }
        }
    }
}

impl Drop for Plugins {
    fn drop(&mut self) {
        self.shutdown();
    }
}
