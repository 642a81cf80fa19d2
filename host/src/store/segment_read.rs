//! Reading a series of segment files.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::Path;

use super::StoreError;
use super::segment_file::{Records, split_head};
use super::segments::{Record, Segments, list};
use crate::device::UnixTime;

/// What an index needs of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// Its number in the series.
    pub number: u64,
    /// The time it was appended with.
    pub at: UnixTime,
    /// As it was appended.
    pub head: &'a [u8],
    /// Packed bytes in the file.
    pub bytes: usize,
    pub(super) packed: &'a [u8],
}

impl Segments {
    /// Goes through the heads of all records that have one, oldest first. Files that cannot be
    /// read are left out and told of in the log.
    ///
    /// # Errors
    /// When what was appended cannot be written.
    pub fn heads(&self, mut visit: impl FnMut(Head<'_>)) -> Result<(), StoreError> {
        for file in self.files()? {
            let bytes = match read_file(&file.path) {
                Ok(bytes) => bytes.unwrap_or_default(),
                Err(error) => {
                    tracing::error!(%error, "a segment file is left out");
                    continue;
                }
            };
            for (number, at, packed) in Records::new(&bytes, file.first) {
                let (head, packed) = split_head(packed);
                if !head.is_empty() {
                    visit(Head {
                        number,
                        at,
                        head,
                        bytes: packed.len(),
                        packed,
                    });
                }
            }
        }
        Ok(())
    }

    /// The heads of records after `after` (of all, if `None`), oldest first, until `visit` has
    /// seen enough.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) fn forwards(
        &self,
        after: Option<u64>,
        mut visit: impl FnMut(Head<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let from = after.map_or(0, |after| after.saturating_add(1));
        let files = self.files()?;
        let ends = files
            .iter()
            .skip(1)
            .map(|file| file.first)
            .chain([u64::MAX]);
        for (file, end) in files.iter().zip(ends) {
            if end <= from {
                continue;
            }
            let bytes = read_file(&file.path)?.unwrap_or_default();
            let records =
                Records::new(&bytes, file.first).skip_while(|(number, ..)| *number < from);
            for record in records {
                if visit(head_of(record)).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The heads of records before `before` (of all, if `None`), newest first, until `visit` has
    /// seen enough.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) fn backwards(
        &self,
        before: Option<u64>,
        mut visit: impl FnMut(Head<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let before = before.unwrap_or(u64::MAX);
        for file in self.files()?.iter().rev() {
            if file.first >= before {
                continue;
            }
            let bytes = read_file(&file.path)?.unwrap_or_default();
            let records = Records::new(&bytes, file.first);
            let records: Vec<_> = records
                .take_while(|(number, ..)| *number < before)
                .collect();
            for record in records.into_iter().rev() {
                if visit(head_of(record)).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The record of this number; `None` if it is gone or damaged.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn get(&self, number: u64) -> Result<Option<Record>, StoreError> {
        let files = self.files()?;
        let Some(file) = files.iter().rev().find(|file| file.first <= number) else {
            return Ok(None);
        };
        let bytes = read_file(&file.path)?.unwrap_or_default();
        Records::new(&bytes, file.first).next_record(|found| found == number)
    }

    /// Records with a number of `from` and above, oldest first.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(&self, from: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        let mut found = Vec::new();
        let files = self.files()?;
        let ends = files
            .iter()
            .skip(1)
            .map(|file| file.first)
            .chain([u64::MAX]);
        for (file, end) in files.iter().zip(ends) {
            if end <= from {
                continue;
            }
            let Some(bytes) = read_file(&file.path)? else {
                continue;
            };
            let mut records = Records::new(&bytes, file.first);
            while found.len() < limit
                && let Some(record) = records.next_record(|number| number >= from)?
            {
                found.push(record);
            }
        }
        Ok(found)
    }

    /// The newest records with a number below `before` (all if `None`) that `wanted` wants,
    /// newest first.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn tail(
        &self,
        before: Option<u64>,
        limit: usize,
        mut wanted: impl FnMut(&Record) -> bool,
    ) -> Result<Vec<Record>, StoreError> {
        let before = before.unwrap_or(u64::MAX);
        let mut found = Vec::new();
        for file in self.files()?.iter().rev() {
            if found.len() >= limit {
                break;
            }
            if file.first >= before {
                continue;
            }
            let Some(bytes) = read_file(&file.path)? else {
                continue;
            };
            let mut records = Records::new(&bytes, file.first);
            // The last ones of this file, as many as are still missing.
            let missing = limit - found.len();
            let mut last = VecDeque::new();
            while let Some(record) = records.next_record(|number| number < before)? {
                if wanted(&record) {
                    last.push_front(record);
                    last.truncate(missing);
                }
            }
            found.extend(last);
        }
        Ok(found)
    }
}

fn head_of((number, at, packed): (u64, UnixTime, &[u8])) -> Head<'_> {
    let (head, packed) = split_head(packed);
    Head {
        number,
        at,
        head,
        bytes: packed.len(),
        packed,
    }
}

/// The records of a series in this directory, oldest first, until `visit` has seen enough. Only
/// reads: the series may be in use. What is damaged is left out, a torn tail too.
pub(super) fn each_record(
    directory: &Path,
    mut visit: impl FnMut(Record) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    for file in list(directory)? {
        let bytes = read_file(&file.path)?.unwrap_or_default();
        let mut records = Records::new(&bytes, file.first);
        while let Some(record) = records.next_record(|_| true)? {
            if visit(record).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// `None`: removed by the retention meanwhile.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(StoreError::io("read", path, &cause)),
    }
}
