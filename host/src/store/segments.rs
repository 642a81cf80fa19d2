//! Append-only files of records: audit, traces, time series. Not store records, because
//! appends mixed with documents make the store's file grow.

use std::path::PathBuf;

use crate::device::UnixTime;

use super::{Store, StoreError};

/// How a series of segment files is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentsConfig {
    /// A new file is begun at this size.
    pub segment_bytes_max: u64,
    /// The oldest files go when all together are larger.
    pub total_bytes_max: u64,
    /// Files whose newest record is older go.
    pub age_seconds_max: i64,
}

/// A record as it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number in the series: grows, without gaps but where files went.
    pub number: u64,
    /// The time it was appended with.
    pub at: UnixTime,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A series of segment files.
#[derive(Debug)]
pub struct Segments {}

impl Segments {
    /// Opens the series in `directory` (made if missing). A torn tail, as a power cut leaves
    /// it, is cut off.
    ///
    /// # Errors
    /// When the directory or a file cannot be used.
    pub fn open(directory: PathBuf, config: SegmentsConfig) -> Result<Segments, StoreError> {
        let _ = (directory, config);
        Ok(Segments {})
    }

    /// Appends a record and returns its number. Buffered: durable after [`Segments::sync`].
    ///
    /// # Errors
    /// [`StoreError::TooMuch`] for a record over 1 MiB, or when the file cannot be written.
    pub fn append(&self, at: UnixTime, bytes: &[u8]) -> Result<u64, StoreError> {
        let _ = (at, bytes);
        Ok(0)
    }

    /// Makes all that was appended durable. Blocks.
    ///
    /// # Errors
    /// When it cannot; it then never can again.
    pub fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Records with a number of `from` and above, oldest first.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(&self, from: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        let _ = (from, limit);
        Ok(Vec::new())
    }

    /// The newest records with a number below `before` (all if `None`), newest first.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn tail(&self, before: Option<u64>, limit: usize) -> Result<Vec<Record>, StoreError> {
        let _ = (before, limit);
        Ok(Vec::new())
    }

    /// Removes whole files over age. How many went. (Over size they go by themselves.)
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn sweep(&self, now: UnixTime) -> Result<usize, StoreError> {
        let _ = now;
        Ok(0)
    }
}

impl Store {
    /// Appends to the audit log (`audit/`): durable on return, with the group commit.
    ///
    /// # Errors
    /// When it cannot be made durable.
    pub async fn audit(&self, at: UnixTime, record: &[u8]) -> Result<u64, StoreError> {
        let _ = (at, record);
        Ok(0)
    }
}
