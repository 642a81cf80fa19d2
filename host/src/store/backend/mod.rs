//! The storage engine behind few operations. Nothing else of the host sees sled.

mod guard;
mod memory;
mod sled;

use std::collections::BTreeMap;
use std::path::Path;

use super::StoreError;

pub(crate) use memory::MemoryBackend;
pub(crate) use sled::SledBackend;

/// A value must stay below this: sixteen of them share a page of sled's, and a page over a
/// quarter of a segment would become a file in `blobs/`, which no power cut spares.
pub(crate) const VALUE_BYTES_MAX: usize = 32 * 1024 - 1;

/// A key and its value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// Where a scan begins, and which way it goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start<'a> {
    /// The first key of the prefix, upwards.
    First,
    /// The key after this one, upwards.
    After(&'a [u8]),
    /// The last key of the prefix, downwards.
    Last,
    /// The key before this one, downwards.
    Before(&'a [u8]),
}

/// Writes that happen together or not at all. The last write to a key counts.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: usize,
}

impl Batch {
    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.bytes += key.len() + value.len();
        self.writes.insert(key, Some(value));
    }

    pub(crate) fn remove(&mut self, key: Vec<u8>) {
        self.bytes += key.len();
        self.writes.insert(key, None);
    }

    /// Adds the writes of `later`, which win.
    pub(crate) fn extend(&mut self, later: Batch) {
        self.bytes += later.bytes;
        if self.writes.is_empty() {
            self.writes = later.writes;
        } else {
            self.writes.extend(later.writes);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Of keys and values, those overwritten since counted too.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The same writes in batches of a bounded size, for what need not happen together.
    pub(crate) fn into_pieces(self) -> impl Iterator<Item = Batch> {
        const PIECE_BYTES: usize = 256 * 1024;
        let mut writes = self.writes.into_iter();
        std::iter::from_fn(move || {
            let mut piece = Batch::default();
            while piece.bytes < PIECE_BYTES
                && let Some((key, value)) = writes.next()
            {
                match value {
                    Some(value) => piece.put(key, value),
                    None => piece.remove(key),
                }
            }
            (!piece.is_empty()).then_some(piece)
        })
    }

    /// Refuses what the engine must not be given.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match self.writes.values().flatten().map(Vec::len).max() {
            Some(found) if found > VALUE_BYTES_MAX => Err(StoreError::TooMuch {
                what: "bytes of a stored value",
                found: found as u64,
                max: VALUE_BYTES_MAX as u64,
            }),
            _ => Ok(()),
        }
    }
}

/// An engine.
#[derive(Debug)]
pub(crate) enum Backend {
    Sled(SledBackend),
    Memory(MemoryBackend),
}

impl Backend {
    pub(crate) fn open(directory: &Path, cache_bytes: u64) -> Result<Backend, StoreError> {
        SledBackend::open(directory, cache_bytes).map(Backend::Sled)
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Backend::Sled(engine) => engine.get(key),
            Backend::Memory(engine) => Ok(engine.get(key)),
        }
    }

    /// Up to `limit` pairs whose key begins with `prefix`, in the direction of `from`.
    pub(crate) fn scan(
        &self,
        prefix: &[u8],
        from: Start<'_>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        match self {
            Backend::Sled(engine) => engine.scan(prefix, from, limit),
            Backend::Memory(engine) => Ok(engine.scan(prefix, from, limit)),
        }
    }

    /// All pairs of a prefix, a bounded number in memory at a time.
    pub(crate) fn each(
        &self,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        const PAGE_PAIRS: usize = 4096;
        let mut page = self.scan(prefix, Start::First, PAGE_PAIRS)?;
        loop {
            for (key, value) in &page {
                visit(key, value)?;
            }
            let full = page.len() == PAGE_PAIRS;
            match page.pop() {
                Some((last, _)) if full => {
                    page = self.scan(prefix, Start::After(&last), PAGE_PAIRS)?;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Applies a batch: all of it or nothing. Not yet durable.
    pub(crate) fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        batch.check()?;
        match self {
            Backend::Sled(engine) => engine.apply(batch),
            Backend::Memory(engine) => {
                engine.apply(batch);
                Ok(())
            }
        }
    }

    /// Makes all that was applied durable.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        match self {
            Backend::Sled(engine) => engine.sync(),
            Backend::Memory(engine) => engine.sync(),
        }
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        match self {
            Backend::Sled(engine) => engine.disk_bytes(),
            Backend::Memory(_) => 0,
        }
    }

    /// Must be 0.
    pub(crate) fn blob_files(&self) -> u64 {
        match self {
            Backend::Sled(engine) => engine.blob_files(),
            Backend::Memory(_) => 0,
        }
    }
}

/// The first key that does not begin with `prefix` any more; `None` if there is none.
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix.get(..=kept)?.to_vec();
    *end.last_mut()? += 1;
    Some(end)
}

/// The range of keys that a scan walks.
fn bounds(prefix: &[u8], from: Start<'_>) -> (std::ops::Bound<Vec<u8>>, std::ops::Bound<Vec<u8>>) {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let start = match from {
        Start::After(key) if key >= prefix => Excluded(key.to_vec()),
        _ => Included(prefix.to_vec()),
    };
    let end = match (from, prefix_end(prefix)) {
        (Start::Before(key), Some(end)) if key <= end.as_slice() => Excluded(key.to_vec()),
        (Start::Before(key), None) => Excluded(key.to_vec()),
        (_, Some(end)) => Excluded(end),
        (_, None) => Unbounded,
    };
    (start, end)
}

fn is_backwards(from: Start<'_>) -> bool {
    matches!(from, Start::Last | Start::Before(_))
}

/// Both engines' ranges panic when they end before they begin.
fn is_empty_range(range: &(std::ops::Bound<Vec<u8>>, std::ops::Bound<Vec<u8>>)) -> bool {
    use std::ops::Bound::{Excluded, Included};
    match range {
        (Included(start), Excluded(end)) => start >= end,
        (Excluded(start), Excluded(end)) => start >= end,
        _ => false,
    }
}
