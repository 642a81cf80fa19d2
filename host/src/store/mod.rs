//! WHAT IS REMEMBERED.
//!
//! Two kinds of data, never mixed up: *promises* (tasks, settings, credentials, audit) are
//! durable when their function returns; *readings* (summaries, parameters, contacts, faults,
//! plugin memory, traces) are changed in memory and written behind within seconds.
//! What it does not do: decide anything, read a clock for what it stores, speak to devices.
//!
//! A store's directory has `records/` (the engine's; keys: `keys.rs`), `audit/` and `traces/`
//! (`segments.rs`), and `lock`. Two threads write: one commits what it is given and syncs
//! (`commit.rs`), one gathers readings and gives them to the first (`write_behind.rs`).
//! Instances cannot see each other: every function names its instance, every key begins with it.

mod audit;
mod backend;
mod campaigns;
mod cell;
mod chunks;
mod commit;
mod contacts;
mod devices;
mod error;
mod export;
mod faults;
mod files;
mod keys;
mod lessons;
mod outbox;
mod parts;
mod paths;
mod plugin_memory;
mod recent;
mod registry;
mod search;
mod segment_file;
mod segment_read;
mod segments;
mod settings;
mod start;
mod stats;
mod task_index;
mod task_list;
mod task_records;
mod tasks;
mod tree;
mod write_behind;

#[cfg(test)]
mod conformance;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use audit::{AuditHead, Hash, Unverified, Verified, hex, unhex, verify};
pub use campaigns::{CampaignDeviceFilter, DevicesPage, Told};
pub use cell::{Device, DeviceCell};
pub use devices::Listed;
pub use error::StoreError;
pub use faults::FaultRecord;
pub use outbox::Letter;
pub use plugin_memory::{MEMORY_KEYS_MAX, MEMORY_VALUE_BYTES_MAX};
pub use recent::{CONTACTS_MAX, Contact};
pub use search::{Cancel, Fields, Found, Search, SearchPage, Sort};
pub use segment_read::Head;
pub use segments::{HEAD_BYTES_MAX, RECORD_BYTES_MAX, Record, Segments, SegmentsConfig};
pub use stats::Stats;
pub use task_index::TaskObserver;
pub use task_list::{Order, TaskFilter};
pub use tree::{
    Changed, PARAMETERS_PER_DEVICE_MAX, PATH_BYTES_MAX, Tree, VALUE_BYTES_MAX,
    matches as path_matches,
};

/// Of the log of the storage engine: below this level it writes down the records themselves, secrets and all.
pub const ENGINE_QUIET: &str = "sled=warn";

/// How the store is opened.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreConfig {
    /// Where everything is kept; made if missing.
    pub directory: PathBuf,
    /// Page cache of the storage engine.
    pub cache_bytes: u64,
    /// Devices kept in memory with their trees, unless more are in use.
    pub devices_cached_max: usize,
    /// Readings are written at least this often: what a crash may cost.
    pub readings_flush_interval: Duration,
    /// Unfinished tasks that one device may have.
    pub tasks_pending_per_device_max: usize,
    /// Ended tasks that are kept of one device.
    pub tasks_finished_per_device_max: usize,
    /// How long ended tasks are kept.
    pub tasks_finished_age_seconds_max: i64,
    /// Faults that are kept of one device.
    pub faults_per_device_max: usize,
    /// `audit/`.
    pub audit: SegmentsConfig,
    /// `traces/`.
    pub traces: SegmentsConfig,
}

impl StoreConfig {
    /// The defaults, in this directory.
    pub fn new(directory: impl Into<PathBuf>) -> StoreConfig {
        StoreConfig {
            directory: directory.into(),
            cache_bytes: 256 << 20,
            devices_cached_max: 50_000,
            readings_flush_interval: Duration::from_secs(5),
            tasks_pending_per_device_max: 1_000,
            tasks_finished_per_device_max: 1_000,
            tasks_finished_age_seconds_max: 30 * 86_400,
            faults_per_device_max: 50,
            audit: SegmentsConfig {
                segment_bytes_max: 16 << 20,
                total_bytes_max: 1 << 30,
                age_seconds_max: 365 * 86_400,
            },
            traces: SegmentsConfig {
                segment_bytes_max: 16 << 20,
                total_bytes_max: 512 << 20,
                age_seconds_max: 7 * 86_400,
            },
        }
    }
}

/// The store: a cheap handle, cloned freely. When the last one goes without
/// [`Store::close`], readings of the last seconds go with it; promises never do.
#[derive(Debug, Clone)]
pub struct Store {
    running: Arc<start::Running>,
}

/// What the store's functions and its threads share.
#[derive(Debug)]
struct Core {
    config: StoreConfig,
    backend: Arc<backend::Backend>,
    committer: commit::Committer,
    devices: registry::Registry,
    built: search::Built,
    tasks: task_index::Tasks,
    sweep: task_list::Sweep,
    faults: Arc<faults::Faults>,
    memory: Arc<plugin_memory::Memory>,
    dirty: write_behind::Dirty,
    audit: Arc<Segments>,
    chain: audit::Chain,
    traces: Segments,
    /// Keep the directory ours while anything of this is alive.
    _claim: start::Claim,
}

impl Store {
    /// Opens the store in its directory. Blocks: reads the indexes (half a second for 100 000 devices)
    /// and all unfinished tasks.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::Damaged`] with the way to restore,
    /// [`StoreError::Format`] or [`StoreError::Io`].
    pub fn open(config: StoreConfig) -> Result<Store, StoreError> {
        start::open(config)
    }

    /// A store that forgets everything at its end, for tests and demonstrations.
    ///
    /// # Errors
    /// When no temporary directory can be made (for `audit/` and `traces/`).
    pub fn memory() -> Result<Store, StoreError> {
        start::memory(
            backend::MemoryBackend::default(),
            StoreConfig::new(PathBuf::new()),
        )
    }

    /// Writes all readings and makes them durable.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.core().dirty.flush().await
    }

    /// [`Store::flush`], then takes no more writes. The directory is free when the last handle
    /// is gone.
    ///
    /// # Errors
    /// As [`Store::flush`].
    pub async fn close(&self) -> Result<(), StoreError> {
        let flushed = self.flush().await;
        self.core().dirty.close();
        self.core().committer.close();
        flushed.and(self.note_audit_end())
    }

    /// Whether promises can be kept: no write has failed, and the store is not closed.
    pub fn takes_writes(&self) -> bool {
        self.core().committer.takes_writes()
    }

    fn core(&self) -> &Arc<Core> {
        self.running.core()
    }
}
