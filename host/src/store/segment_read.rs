//! Reading a series of segment files.

use std::collections::VecDeque;
use std::path::Path;

use super::StoreError;
use super::segment_file::Records;
use super::segments::{Record, Segments};

impl Segments {
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

/// `None`: removed by the retention meanwhile.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(StoreError::io("read", path, &cause)),
    }
}
