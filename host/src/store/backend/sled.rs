//! sled 0.34.7, protected from itself.
//!
//! What was measured, and what follows from it here:
//!
//! - `flush()` does not reach the disk (it uses `sync_file_range`): acknowledged writes were
//!   lost in every simulated power cut. [`SledBackend::sync`] calls `sync_data` on a
//!   descriptor of its own afterwards. `flush_async` is never used (it can deadlock).
//! - Pages over a quarter of a segment become files in `blobs/` that nobody syncs: a store
//!   with such files did not open after a power cut. Segments are 4 MiB, values below 32 KiB.
//! - With the default settings the file grows without end; segments of 4 MiB and a flush
//!   every 100 ms kept it within three times the live data.
//! - Batches are atomic only within one tree: there is one tree.
//! - Its threads may hold its lock for a moment after it was dropped. The store's own lock says
//!   whether the directory is anybody else's; with that, sled's is waited for.
//! - A damaged store panics, in `open` or later: every call is guarded.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::guard::guarded;
use super::{Batch, Pair, Start, bounds, is_backwards, is_empty_range};
use crate::store::StoreError;

/// Fixed when the store is made: another value does not open it.
const SEGMENT_BYTES: usize = 4 << 20;
/// sled's directory in the store's.
const RECORDS: &str = "records";
const FLUSH_EVERY_MILLISECONDS: u64 = 100;
/// How long sled's lock is waited for.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often it is tried meanwhile.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// An open store of sled's.
#[derive(Debug)]
pub(crate) struct SledBackend {
    directory: PathBuf,
    db: ::sled::Db,
    /// sled's only file, opened once more to sync it.
    file: File,
}

impl SledBackend {
    /// Opens or makes the records of the store in `directory`. On a thread of its own, whose stack and panic are nobody else's.
    pub(super) fn open(directory: &Path, cache_bytes: u64) -> Result<SledBackend, StoreError> {
        let records = directory.join(RECORDS);
        let config = ::sled::Config::new()
            .path(&records)
            .cache_capacity(cache_bytes)
            .segment_size(SEGMENT_BYTES)
            .flush_every_ms(Some(FLUSH_EVERY_MILLISECONDS));
        let opened = std::thread::Builder::new()
            .name("store-open".to_owned())
            .spawn(move || guarded(|| open_waiting(&config)))
            .map_err(|cause| StoreError::io("start a thread for", directory, &cause))?
            .join();
        let db = match opened {
            Ok(Ok(result)) => result.map_err(|error| engine_error(directory, &error))?,
            Ok(Err(panic)) => return Err(damaged(directory, panic)),
            Err(_) => {
                return Err(damaged(
                    directory,
                    "the engine panicked while closing".to_owned(),
                ));
            }
        };
        let path = records.join("db");
        let file = OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(|cause| StoreError::io("open", &path, &cause))?;
        let backend = SledBackend {
            directory: directory.to_owned(),
            db,
            file,
        };
        match backend.blob_files() {
            0 => Ok(backend),
            files => Err(damaged(
                directory,
                format!(
                    "blobs/ has {files} files, this version writes none: it is no store of patchbay's"
                ),
            )),
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.call(|| {
            self.db
                .get(key)
                .map(|value| value.map(|bytes| bytes.to_vec()))
        })
    }

    pub(super) fn scan(
        &self,
        prefix: &[u8],
        from: Start<'_>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        let range = bounds(prefix, from);
        if is_empty_range(&range) {
            return Ok(Vec::new());
        }
        self.call(|| {
            let pairs = self.db.range(range);
            let owned = |pair: Result<(::sled::IVec, ::sled::IVec), ::sled::Error>| {
                pair.map(|(key, value)| (key.to_vec(), value.to_vec()))
            };
            if is_backwards(from) {
                pairs.rev().take(limit).map(owned).collect()
            } else {
                pairs.take(limit).map(owned).collect()
            }
        })
    }

    pub(super) fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        let mut writes = ::sled::Batch::default();
        for (key, value) in batch.writes {
            match value {
                Some(value) => writes.insert(key, value),
                None => writes.remove(key),
            }
        }
        self.call(|| self.db.apply_batch(writes))
    }

    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.call(|| self.db.flush())?;
        self.file.sync_data().map_err(|cause| {
            StoreError::io("sync", &self.directory.join(RECORDS).join("db"), &cause)
        })
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| {
            use std::os::unix::fs::MetadataExt;
            metadata.blocks() * 512
        })
    }

    pub(super) fn blob_files(&self) -> u64 {
        std::fs::read_dir(self.directory.join(RECORDS).join("blobs"))
            .map_or(0, |files| files.count() as u64)
    }

    fn call<T>(&self, call: impl FnOnce() -> Result<T, ::sled::Error>) -> Result<T, StoreError> {
        match guarded(call) {
            Ok(result) => result.map_err(|error| engine_error(&self.directory, &error)),
            Err(panic) => Err(damaged(&self.directory, panic)),
        }
    }
}

/// A store that was dropped a moment ago may still be in the hands of sled's threads.
fn open_waiting(config: &::sled::Config) -> Result<::sled::Db, ::sled::Error> {
    let deadline = Instant::now() + LOCK_WAIT_MAX;
    loop {
        match config.open() {
            Err(error) if is_locked(&error) && Instant::now() < deadline => {
                std::thread::sleep(LOCK_RETRY);
            }
            opened => return opened,
        }
    }
}

fn is_locked(error: &::sled::Error) -> bool {
    matches!(error, ::sled::Error::Io(cause) if cause.to_string().contains("could not acquire lock"))
}

fn engine_error(directory: &Path, error: &::sled::Error) -> StoreError {
    match error {
        // Our own lock file is taken first, so this is a process that is not patchbay.
        locked if is_locked(locked) => StoreError::InUse {
            directory: directory.to_owned(),
        },
        ::sled::Error::Io(cause) => StoreError::io("use", directory, cause),
        other => damaged(directory, other.to_string()),
    }
}

fn damaged(directory: &Path, cause: String) -> StoreError {
    StoreError::Damaged {
        directory: directory.to_owned(),
        cause,
    }
}
