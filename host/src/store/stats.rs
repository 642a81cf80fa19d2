//! What the store says of itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Serialize, Serializer};

use super::{Store, StoreError};
use crate::metrics::Histogram;
use crate::work::task::TaskState;

/// Counters and sizes, for metrics and the portal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Stats {
    /// Devices of all instances.
    pub devices: u64,
    /// Of these, in memory.
    pub devices_cached: u64,
    /// Of these, waiting to be written.
    pub devices_dirty: u64,
    /// Unfinished tasks.
    pub tasks_pending: u64,
    /// Writes that wait for the thread that commits.
    pub commits_waiting: u64,
    /// Batches applied since the start.
    pub batches: u64,
    /// Times the disk was asked to make things durable since the start.
    pub syncs: u64,
    /// All of that time together.
    pub sync_microseconds: u64,
    /// The longest.
    pub sync_microseconds_max: u64,
    /// Rounds of write-behind that wrote something.
    pub write_behind_rounds: u64,
    /// Summaries that could not be written because they were over their limit.
    pub readings_refused: u64,
    /// Bytes of the records on disk (0 in memory).
    pub disk_bytes: u64,
    /// Bytes of `audit/` and `traces/`.
    pub segment_bytes: u64,
    /// Files in sled's `blobs/`: must be 0, they are not safe against a power cut.
    pub blob_files: u64,
    /// Why no writes are taken any more; as text where it is shown.
    #[serde(serialize_with = "text")]
    #[schema(value_type = Option<String>)]
    pub failed: Option<StoreError>,
}

impl Store {
    /// How the store does. Looks at the disk: not for every session.
    pub fn stats(&self) -> Stats {
        let core = self.core();
        let counters = core.committer.counters();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            devices: core.devices.count_all() as u64,
            devices_cached: core.devices.count_cells() as u64,
            devices_dirty: core.dirty.len() as u64,
            tasks_pending: core.tasks.len() as u64,
            commits_waiting: core.committer.waiting() as u64,
            batches: read(&counters.batches),
            syncs: read(&counters.syncs),
            sync_microseconds: read(&counters.sync_microseconds),
            sync_microseconds_max: read(&counters.sync_microseconds_max),
            write_behind_rounds: read(&core.dirty.rounds),
            readings_refused: read(&core.dirty.refused),
            disk_bytes: core.backend.disk_bytes(),
            segment_bytes: core.audit.bytes() + core.traces.bytes(),
            blob_files: core.backend.blob_files(),
            failed: core.committer.failed(),
        }
    }
}

impl Store {
    /// How long the disk took to make batches durable.
    pub fn sync_seconds(&self) -> &Histogram {
        &self.core().committer.counters().sync_seconds
    }

    /// Unfinished tasks by state. Looks at all of them: not for every session.
    pub fn unfinished_tasks(&self) -> BTreeMap<TaskState, usize> {
        let mut counts = BTreeMap::from([(TaskState::Queued, 0), (TaskState::Sent, 0)]);
        for task in self.core().tasks.state.lock().all() {
            *counts.entry(task.state).or_default() += 1;
        }
        counts
    }

    /// Why no writes are taken any more.
    pub fn failed(&self) -> Option<StoreError> {
        self.core().committer.failed()
    }
}

fn text<S: Serializer>(error: &Option<StoreError>, serializer: S) -> Result<S::Ok, S::Error> {
    match error {
        Some(error) => serializer.collect_str(error),
        None => serializer.serialize_none(),
    }
}
