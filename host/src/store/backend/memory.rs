//! An engine that forgets: a sorted map.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::super::StoreError;
use super::{Batch, Pair, Start, bounds, is_backwards, is_empty_range};

/// A clone is the same memory: what a test reopens.
#[derive(Debug, Default, Clone)]
pub(crate) struct MemoryBackend {
    records: Arc<RwLock<BTreeMap<Vec<u8>, Vec<u8>>>>,
    /// A disk that fails, for tests.
    #[cfg(test)]
    pub(crate) broken: Arc<std::sync::atomic::AtomicBool>,
}

impl MemoryBackend {
    pub(super) fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.records.read().get(key).cloned()
    }

    pub(super) fn scan(&self, prefix: &[u8], from: Start<'_>, limit: usize) -> Vec<Pair> {
        let range = bounds(prefix, from);
        if is_empty_range(&range) {
            return Vec::new();
        }
        let records = self.records.read();
        let pairs = records
            .range(range)
            .map(|(key, value)| (key.clone(), value.clone()));
        if is_backwards(from) {
            pairs.rev().take(limit).collect()
        } else {
            pairs.take(limit).collect()
        }
    }

    pub(super) fn sync(&self) -> Result<(), StoreError> {
        #[cfg(test)]
        if self.broken.load(std::sync::atomic::Ordering::Relaxed) {
            let cause = std::io::Error::other("the disk is full");
            return Err(StoreError::io(
                "sync",
                std::path::Path::new("memory"),
                &cause,
            ));
        }
        Ok(())
    }

    pub(super) fn apply(&self, batch: Batch) {
        let mut records = self.records.write();
        for (key, value) in batch.writes {
            match value {
                Some(value) => records.insert(key, value),
                None => records.remove(&key),
            };
        }
    }
}
