//! The two series the store itself keeps: `audit/` (promises) and `traces/` (readings).
//!
//! Each record of the audit log begins with the SHA-256 of the one before, so that one that was
//! changed or cut out is noticed ([`verify`]). That its end was cut off is noticed by the file
//! `end`, which has the number and the hash of a record that was there, and is written every
//! minute and at the end. Whoever can write all of these files can make a log that holds: keep
//! a number and its hash elsewhere, if it has to stand against that.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::device::UnixTime;
use crate::metrics::Counter;

use super::commit::Work;
use super::segment_read::each_record;
use super::segments::{RECORD_BYTES_MAX, Record, Segments};
use super::{Head, Store, StoreError, chunks};

/// The SHA-256 of a record.
pub type Hash = [u8; 32];

/// Beside the files of the series.
const END: &str = "end";

/// The end of the log.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// The hash of the last record, for the next one; held while it is appended.
    last: Mutex<Hash>,
    /// The last record that is durable: its number and hash.
    durable: Mutex<(u64, Hash)>,
    written: Counter,
}

/// A record of the audit log, without its body.
#[derive(Debug, Clone, Copy)]
pub struct AuditHead<'a> {
    /// Grows by one with each record.
    pub number: u64,
    /// When it was written.
    pub at: UnixTime,
    /// As it was given.
    pub head: &'a [u8],
    packed: &'a [u8],
}

/// A log whose chain holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many records.
    pub records: u64,
    /// The number of the first one; those before went by age or size.
    pub first: u64,
    /// The number of the last one.
    pub last: u64,
    /// The hash of the last one.
    pub hash: Hash,
}

/// Why a log cannot be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// A record does not follow from the one before.
    #[error("record {number}: expected {expected}, got {got}")]
    Broken {
        /// Where the chain is broken.
        number: u64,
        /// What the one before tells.
        expected: String,
        /// What is there.
        got: String,
    },
    /// There was more.
    #[error("the log ends with record {last}, and there was a record {known}: its end was cut off")]
    Cut {
        /// The last one that is there.
        last: u64,
        /// One that was there.
        known: u64,
    },
    /// It cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Chain {
    /// Goes on where the log ends.
    pub(super) fn open(log: &Segments) -> Result<Chain, StoreError> {
        let last = log.tail(None, 1, |_| true)?;
        let end = last.first().map_or((0, Hash::default()), |record| {
            (record.number, hash_of(record))
        });
        Ok(Chain {
            last: Mutex::new(end.1),
            durable: Mutex::new(end),
            written: Counter::default(),
        })
    }

    fn durable(&self, number: u64, hash: Hash) {
        self.written.add(1);
        let mut durable = self.durable.lock();
        if number > durable.0 {
            *durable = (number, hash);
        }
    }
}

impl Store {
    /// Appends to the audit log (`audit/`): durable on return, with the group commit. The head is
    /// what lists look at, the body is only read with the record.
    ///
    /// # Errors
    /// [`StoreError::TooMuch`] for a head over 63 KiB; when it cannot be made durable.
    pub async fn audit(&self, at: UnixTime, head: &[u8], body: &[u8]) -> Result<u64, StoreError> {
        let core = self.core();
        let place = core.committer.reserve().await?;
        let (number, hash) = {
            let mut last = core.chain.last.lock();
            let mut chained = Vec::with_capacity(last.len() + head.len());
            chained.extend(&*last);
            chained.extend(head);
            let number = core.audit.append_with_head(at, &chained, body)?;
            *last = hash(at, &chained, body);
            (number, *last)
        };
        place
            .submit(Work::Segments(Arc::clone(&core.audit)), None)
            .done()
            .await?;
        core.chain.durable(number, hash);
        Ok(number)
    }

    /// Records of the audit log that were written since the store was opened.
    pub fn audit_written(&self) -> u64 {
        self.core().chain.written.get()
    }

    /// Goes through the audit log, the newest record first, beginning before `before`; stops when
    /// `visit` says so. Reads files: call it where it may take its time.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn audit_backwards(
        &self,
        before: Option<u64>,
        mut visit: impl FnMut(AuditHead<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let visit = |head: Head<'_>| visit(AuditHead::of(head));
        self.core().audit.backwards(before, visit)
    }

    /// As [`Store::audit_backwards`], the oldest first, beginning after `after`.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn audit_forwards(
        &self,
        after: Option<u64>,
        mut visit: impl FnMut(AuditHead<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let visit = |head: Head<'_>| visit(AuditHead::of(head));
        self.core().audit.forwards(after, visit)
    }

    /// Removes what of the audit log is too old, and notes its end.
    ///
    /// # Errors
    /// When a file cannot be written or removed.
    pub fn sweep_audit(&self, now: UnixTime) -> Result<usize, StoreError> {
        self.note_audit_end()?;
        self.core().audit.sweep(now)
    }

    pub(super) fn note_audit_end(&self) -> Result<(), StoreError> {
        let core = self.core();
        let (number, hash) = *core.chain.durable.lock();
        if number == 0 {
            return Ok(());
        }
        let directory = core.audit.directory();
        let (path, unfinished) = (directory.join(END), directory.join(".end"));
        let text = format!("{number} {}\n", hex(&hash));
        std::fs::write(&unfinished, text)
            .and_then(|()| std::fs::rename(&unfinished, &path))
            .map_err(|cause| StoreError::io("write", &path, &cause))
    }

    /// The files of the audit log, to copy them. To append, use [`Store::audit`].
    pub fn audit_log(&self) -> &Segments {
        &self.core().audit
    }

    /// The traces of sessions (`traces/`): readings.
    pub fn traces(&self) -> &Segments {
        &self.core().traces
    }
}

impl<'a> AuditHead<'a> {
    fn of(head: Head<'a>) -> AuditHead<'a> {
        AuditHead {
            number: head.number,
            at: head.at,
            head: unchained(head.head),
            packed: head.packed,
        }
    }

    /// The body, as it was given.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn body(&self) -> Result<Vec<u8>, StoreError> {
        chunks::unpack("audit record", self.packed, RECORD_BYTES_MAX)
    }
}

/// Goes through the audit log of a store in this directory, which may be in use, and looks at
/// the hash of each record. `known` are numbers with the hashes that they had.
///
/// # Errors
/// [`Unverified`] says where the log is not what it was.
pub fn verify(store: &Path, known: &[(u64, Hash)]) -> Result<Verified, Unverified> {
    let directory = store.join("audit");
    let mut known = known.to_vec();
    known.extend(noted_end(&directory)?);
    let mut verified = Verified {
        records: 0,
        first: 0,
        last: 0,
        hash: Hash::default(),
    };
    let mut broken = None;
    each_record(&directory, |record| {
        let found = check(&verified, &record, &known);
        verified.hash = hash_of(&record);
        verified.last = record.number;
        if verified.records == 0 {
            verified.first = record.number;
        }
        verified.records += 1;
        match found {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                broken = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(broken) = broken {
        return Err(broken);
    }
    let last = verified.last;
    match known.iter().find(|(number, _)| *number > last) {
        Some((known, _)) => Err(Unverified::Cut {
            last,
            known: *known,
        }),
        None => Ok(verified),
    }
}

fn check(before: &Verified, record: &Record, known: &[(u64, Hash)]) -> Result<(), Unverified> {
    let broken = |expected: String, got: String| Unverified::Broken {
        number: record.number,
        expected,
        got,
    };
    if before.records > 0 {
        if record.number != before.last + 1 {
            return Err(broken(
                format!("record {} before it", record.number - 1),
                format!("record {}", before.last),
            ));
        }
        let says = record.head.get(..before.hash.len()).unwrap_or_default();
        if says != before.hash {
            let expected = format!("the hash {} of the record before", hex(&before.hash));
            return Err(broken(expected, hex(says)));
        }
    }
    let is = hash_of(record);
    match known.iter().find(|(number, _)| *number == record.number) {
        Some((_, was)) if *was != is => Err(broken(format!("the hash {}", hex(was)), hex(&is))),
        _ => Ok(()),
    }
}

fn noted_end(directory: &Path) -> Result<Option<(u64, Hash)>, StoreError> {
    let path = directory.join(END);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(StoreError::io("read", &path, &cause)),
    };
    let end = text.trim().split_once(' ');
    let end = end.and_then(|(number, hash)| Some((number.parse().ok()?, unhex(hash)?)));
    end.map(Some).ok_or_else(|| StoreError::Unreadable {
        what: "the file `end` of the audit log",
        cause: format!("expected a number and a hash, got {:?}", text.trim()),
    })
}

/// Without the hash of the record before.
fn unchained(head: &[u8]) -> &[u8] {
    head.get(size_of::<Hash>()..).unwrap_or_default()
}

fn hash_of(record: &Record) -> Hash {
    hash(record.at, &record.head, &record.bytes)
}

/// `chained` begins with the hash of the record before.
fn hash(at: UnixTime, chained: &[u8], body: &[u8]) -> Hash {
    let mut sum = Sha256::new();
    sum.update(at.to_le_bytes());
    sum.update((chained.len() as u64).to_le_bytes());
    sum.update(chained);
    sum.update(body);
    sum.finalize().into()
}

/// In hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What [`hex`] has written.
pub fn unhex(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    if text.len() != 2 * hash.len() || !text.is_ascii() {
        return None;
    }
    for (position, byte) in hash.iter_mut().enumerate() {
        let digits = text.get(2 * position..2 * position + 2)?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
