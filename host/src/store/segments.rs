//! Append-only files of records: audit, traces, time series. Not store records, because
//! appends mixed with documents make the store's file grow.
//!
//! A series is a directory of files named after the number of their first record (20 digits,
//! `.seg`). A file begins with [`MAGIC`]; a record is its length and the CRC-32 of what
//! follows (4 bytes each), the time (8), then the packed bytes (`chunks.rs`), before which a head
//! may stand (a byte 2, its length in 4 bytes, the head as it is): what an index is made of,
//! without unpacking. All numbers are little-endian. The length counts all but itself and the CRC.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::device::UnixTime;

use super::StoreError;
use super::segment_file::{MAGIC, Records, encode, file_name, first_number, read_header};

/// Bytes of one record.
pub const RECORD_BYTES_MAX: usize = 8 << 20;
/// Bytes of a record's head.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// A file is closed when its first record is as old as this part of the age.
const AGE_PARTS: i64 = 8;
/// Appended bytes that are kept before they are given to the file.
const BUFFER_BYTES: usize = 256 * 1024;

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
    /// Its number in the series: grows, without gaps but where files or a torn tail went.
    pub number: u64,
    /// The time it was appended with.
    pub at: UnixTime,
    /// What stands before its bytes; may be empty.
    pub head: Vec<u8>,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A series of segment files.
#[derive(Debug)]
pub struct Segments {
    directory: PathBuf,
    config: SegmentsConfig,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Oldest first; the last is the one that is appended to.
    files: VecDeque<Segment>,
    active: Arc<File>,
    buffer: Vec<u8>,
    next: u64,
    /// Written to since the last sync.
    unsynced: Vec<Arc<File>>,
    /// The directory has a file that it had not at the last sync.
    new_file: bool,
    failed: Option<StoreError>,
}

#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) first: u64,
    bytes: u64,
    /// The first record's, while it is the last file; 0 = it has none.
    oldest_at: UnixTime,
    /// The newest record's; of the file before, roughly, until it has one.
    newest_at: UnixTime,
}

impl Segments {
    /// Opens the series in `directory` (made if missing). A torn tail, as a power cut leaves
    /// it, is cut off.
    ///
    /// # Errors
    /// When the directory or a file cannot be used.
    pub fn open(directory: PathBuf, config: SegmentsConfig) -> Result<Segments, StoreError> {
        std::fs::create_dir_all(&directory).map_err(io("create", &directory))?;
        let mut files = list(&directory)?;
        let mut next = 1;
        let mut opened = None;
        if let Some(last) = files.back_mut() {
            let bytes = std::fs::read(&last.path).map_err(io("read", &last.path))?;
            let mut records = Records::new(&bytes, last.first);
            for (_, at, _) in records.by_ref() {
                if last.oldest_at == 0 {
                    last.oldest_at = at;
                }
                last.newest_at = at;
            }
            next = records.next_number();
            let file = OpenOptions::new().append(true).open(&last.path);
            let file = file.map_err(io("open", &last.path))?;
            if records.good_bytes() < bytes.len() {
                tracing::warn!(
                    file = %last.path.display(),
                    bytes = bytes.len() - records.good_bytes(),
                    "cut off the torn tail of a segment file"
                );
                file.set_len(records.good_bytes() as u64)
                    .map_err(io("cut", &last.path))?;
            }
            last.bytes = records.good_bytes() as u64;
            // A file without its magic is begun anew below.
            opened = (last.bytes > 0).then_some(file);
        }
        let new_file = opened.is_none();
        let active = match opened {
            Some(file) => file,
            None => {
                let known = files.back().is_some_and(|last| last.bytes == 0);
                if known && let Some(empty) = files.pop_back() {
                    next = empty.first;
                }
                let (segment, file) = begin(&directory, next, files.back())?;
                files.push_back(segment);
                file
            }
        };
        let active = Arc::new(active);
        let state = State {
            files,
            unsynced: vec![Arc::clone(&active)],
            active,
            buffer: Vec::new(),
            next,
            new_file,
            failed: None,
        };
        Ok(Segments {
            directory,
            config,
            state: Mutex::new(state),
        })
    }

    /// Appends a record and returns its number. Buffered: in the file after the next round of
    /// write-behind, durable after [`Segments::sync`].
    ///
    /// # Errors
    /// [`StoreError::TooMuch`] for a record over 8 MiB, or when the file cannot be written.
    pub fn append(&self, at: UnixTime, bytes: &[u8]) -> Result<u64, StoreError> {
        self.append_with_head(at, &[], bytes)
    }

    /// [`Segments::append`] of a record that [`Segments::heads`] tells of.
    ///
    /// # Errors
    /// As [`Segments::append`]; a head has at most 64 KiB.
    pub fn append_with_head(
        &self,
        at: UnixTime,
        head: &[u8],
        bytes: &[u8],
    ) -> Result<u64, StoreError> {
        for (part, max) in [(bytes, RECORD_BYTES_MAX), (head, HEAD_BYTES_MAX)] {
            if part.len() > max {
                return Err(StoreError::TooMuch {
                    what: "bytes of an appended record",
                    found: part.len() as u64,
                    max: max as u64,
                });
            }
        }
        let record = encode(at, head, bytes);
        let mut state = self.state.lock();
        state.check()?;
        let number = state.next;
        state.next += 1;
        state.buffer.extend_from_slice(&record);
        let mut full = false;
        if let Some(last) = state.files.back_mut() {
            last.bytes += record.len() as u64;
            last.newest_at = last.newest_at.max(at);
            if last.oldest_at == 0 {
                last.oldest_at = at;
            }
            full = last.bytes >= self.config.segment_bytes_max;
        }
        if full || state.buffer.len() >= BUFFER_BYTES {
            let result = state.write_buffer();
            state.keep(result)?;
        }
        if full {
            let result = self.rotate(&mut state);
            state.keep(result)?;
        }
        Ok(number)
    }

    /// Gives what was appended to the operating system.
    pub(super) fn write_buffered(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        state.check()?;
        let result = state.write_buffer();
        state.keep(result)
    }

    /// Makes all that was appended durable. Blocks; appends go on meanwhile.
    ///
    /// # Errors
    /// When it cannot; it then never can again.
    pub fn sync(&self) -> Result<(), StoreError> {
        let (files, new_file) = {
            let mut state = self.state.lock();
            state.check()?;
            let result = state.write_buffer();
            state.keep(result)?;
            (
                std::mem::take(&mut state.unsynced),
                std::mem::take(&mut state.new_file),
            )
        };
        let mut result = Ok(());
        for file in files {
            result = result.and(
                file.sync_data()
                    .map_err(io("sync a file of", &self.directory)),
            );
        }
        if new_file {
            let directory = File::open(&self.directory).and_then(|directory| directory.sync_all());
            result = result.and(directory.map_err(io("sync", &self.directory)));
        }
        self.state.lock().keep(result)
    }

    /// Removes whole files over age. How many went. (Over size they go by themselves.)
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn sweep(&self, now: UnixTime) -> Result<usize, StoreError> {
        let age = self.config.age_seconds_max;
        let too_old = now.saturating_sub(age);
        let mut state = self.state.lock();
        state.check()?;
        // Where little is appended, the last file would grow old without getting full.
        let stale = now.saturating_sub(age / AGE_PARTS);
        if let Some(last) = state.files.back()
            && last.oldest_at != 0
            && last.oldest_at < stale
        {
            let result = state.write_buffer().and_then(|()| self.rotate(&mut state));
            state.keep(result)?;
        }
        let mut removed = 0;
        while state.files.len() > 1
            && let Some(oldest) = state.files.front()
            && oldest.newest_at < too_old
        {
            std::fs::remove_file(&oldest.path).map_err(io("remove", &oldest.path))?;
            state.files.pop_front();
            removed += 1;
        }
        Ok(removed)
    }

    /// The number of the oldest record that may still be there.
    pub fn first(&self) -> u64 {
        self.state.lock().files.front().map_or(0, |file| file.first)
    }

    /// Where it is.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.state.lock().files.iter().map(|file| file.bytes).sum()
    }

    fn rotate(&self, state: &mut State) -> Result<(), StoreError> {
        let (segment, file) = begin(&self.directory, state.next, state.files.back())?;
        state.files.push_back(segment);
        state.active = Arc::new(file);
        state.unsynced.push(Arc::clone(&state.active));
        state.new_file = true;
        let mut total: u64 = state.files.iter().map(|file| file.bytes).sum();
        while state.files.len() > 1
            && total > self.config.total_bytes_max
            && let Some(oldest) = state.files.pop_front()
        {
            total -= oldest.bytes;
            std::fs::remove_file(&oldest.path).map_err(io("remove", &oldest.path))?;
        }
        Ok(())
    }

    /// The paths of the files, the oldest first. They may go by their age while they are read.
    pub fn paths(&self) -> Vec<PathBuf> {
        let state = self.state.lock();
        state.files.iter().map(|file| file.path.clone()).collect()
    }

    /// The files as they are, with all that was appended in them.
    pub(super) fn files(&self) -> Result<VecDeque<Segment>, StoreError> {
        self.write_buffered()?;
        Ok(self.state.lock().files.clone())
    }
}

impl State {
    fn check(&self) -> Result<(), StoreError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn write_buffer(&mut self) -> Result<(), StoreError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let path = self
            .files
            .back()
            .map(|file| file.path.clone())
            .unwrap_or_default();
        (&*self.active)
            .write_all(&self.buffer)
            .map_err(io("write", &path))?;
        self.buffer.clear();
        if !self
            .unsynced
            .iter()
            .any(|file| Arc::ptr_eq(file, &self.active))
        {
            self.unsynced.push(Arc::clone(&self.active));
        }
        Ok(())
    }

    /// After a failed write or sync nobody knows what the file has.
    fn keep(&mut self, result: Result<(), StoreError>) -> Result<(), StoreError> {
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        result
    }
}

pub(super) fn list(directory: &Path) -> Result<VecDeque<Segment>, StoreError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(io("list", directory))? {
        let entry = entry.map_err(io("list", directory))?;
        let Some(first) = first_number(&entry.file_name()) else {
            continue;
        };
        let bytes = entry
            .metadata()
            .map_err(io("look at", &entry.path()))?
            .len();
        files.push(Segment {
            path: entry.path(),
            first,
            bytes,
            oldest_at: 0,
            newest_at: 0,
        });
    }
    files.sort_by_key(|file| file.first);
    // A file's newest record is not much older than the next file's first.
    let firsts = files
        .iter()
        .skip(1)
        .map(|file| read_header(&file.path))
        .collect::<Vec<_>>();
    for (file, first) in files.iter_mut().zip(firsts) {
        file.newest_at = first.map_err(io("read", &file.path))?.unwrap_or(0);
    }
    Ok(files.into())
}

fn begin(
    directory: &Path,
    first: u64,
    before: Option<&Segment>,
) -> Result<(Segment, File), StoreError> {
    let path = directory.join(file_name(first));
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .map_err(io("create", &path))?;
    file.write_all(MAGIC).map_err(io("write", &path))?;
    let newest_at = before.map_or(0, |before| before.newest_at);
    Ok((
        Segment {
            path,
            first,
            bytes: MAGIC.len() as u64,
            oldest_at: 0,
            newest_at,
        },
        file,
    ))
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_owned();
    move |cause| StoreError::io(action, &path, &cause)
}

#[cfg(test)]
#[path = "segments_tests.rs"]
mod tests;
