//! The bytes of a segment file; see `segments.rs` for their form.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;

use crate::device::UnixTime;

use super::segments::{RECORD_BYTES_MAX, Record};
use super::{StoreError, chunks};

/// The first bytes of a file.
pub(super) const MAGIC: &[u8; 8] = b"patchlog";
const HEADER_BYTES: usize = 8;
const TIME_BYTES: usize = 8;
const SUFFIX: &str = ".seg";
/// The first byte of a record that has a head; the others are those of `chunks.rs`.
const WITH_HEAD: u8 = 2;

pub(super) fn file_name(first: u64) -> String {
    format!("{first:020}{SUFFIX}")
}

/// The number of the first record of a file of this name; `None` for other files.
pub(super) fn first_number(name: &OsStr) -> Option<u64> {
    name.to_str()?.strip_suffix(SUFFIX)?.parse().ok()
}

/// A record; an empty head is none.
pub(super) fn encode(at: UnixTime, head: &[u8], bytes: &[u8]) -> Vec<u8> {
    let packed = chunks::pack(bytes);
    let mut body = Vec::with_capacity(TIME_BYTES + 5 + head.len() + packed.len());
    body.extend(at.to_le_bytes());
    if !head.is_empty() {
        body.push(WITH_HEAD);
        body.extend(u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes());
        body.extend(head);
    }
    body.extend(packed);
    let mut record = Vec::with_capacity(HEADER_BYTES + body.len());
    record.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    record.extend(crc32fast::hash(&body).to_le_bytes());
    record.extend(body);
    record
}

/// The head of a record, and its packed bytes.
pub(super) fn split_head(packed: &[u8]) -> (&[u8], &[u8]) {
    let split = || {
        let (&WITH_HEAD, rest) = packed.split_first()? else {
            return None;
        };
        let (length, rest) = rest.split_first_chunk()?;
        rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
    };
    split().unwrap_or((&[], packed))
}

/// The time of a file's first record.
pub(super) fn read_header(path: &Path) -> std::io::Result<Option<UnixTime>> {
    let mut bytes = Vec::new();
    let head = MAGIC.len() + HEADER_BYTES + TIME_BYTES;
    std::fs::File::open(path)?
        .take(head as u64)
        .read_to_end(&mut bytes)?;
    let time = bytes.get(MAGIC.len() + HEADER_BYTES..head);
    Ok(time
        .and_then(|time| time.try_into().ok())
        .map(i64::from_le_bytes))
}

/// The time of a record, and its packed bytes.
type Stored<'a> = (UnixTime, &'a [u8]);

/// The good records of a file, in order. One that is damaged is left out if a good one follows;
/// otherwise the file ends there.
#[derive(Debug)]
pub(super) struct Records<'a> {
    bytes: &'a [u8],
    good: usize,
    number: u64,
}

impl<'a> Records<'a> {
    pub(super) fn new(bytes: &'a [u8], first: u64) -> Records<'a> {
        let good = if bytes.starts_with(MAGIC) {
            MAGIC.len()
        } else {
            0
        };
        Records {
            bytes,
            good,
            number: first,
        }
    }

    /// The number of the record after the last one that was read.
    pub(super) fn next_number(&self) -> u64 {
        self.number
    }

    /// Bytes up to the end of the last record that was read; 0 without the magic.
    pub(super) fn good_bytes(&self) -> usize {
        self.good
    }

    /// The next record whose number is `wanted`, whole.
    pub(super) fn next_record(
        &mut self,
        wanted: impl Fn(u64) -> bool,
    ) -> Result<Option<Record>, StoreError> {
        for (number, at, packed) in self.by_ref() {
            if wanted(number) {
                let (head, packed) = split_head(packed);
                let bytes = chunks::unpack("appended record", packed, RECORD_BYTES_MAX)?;
                let head = head.to_vec();
                return Ok(Some(Record {
                    number,
                    at,
                    head,
                    bytes,
                }));
            }
        }
        Ok(None)
    }

    /// What stands at an offset: where it would end, and what it holds if that is undamaged.
    fn at(&self, offset: usize) -> Option<(usize, Option<Stored<'a>>)> {
        let rest = self.bytes.get(offset..)?;
        let (length, rest) = rest.split_first_chunk()?;
        let (crc, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let body = rest.get(..length)?;
        let (at, packed) = body.split_first_chunk()?;
        let good = crc32fast::hash(body) == u32::from_le_bytes(*crc);
        let record = good.then_some((i64::from_le_bytes(*at), packed));
        Some((offset + HEADER_BYTES + length, record))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (u64, UnixTime, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.good == 0 {
            return None;
        }
        let (mut end, mut record) = self.at(self.good)?;
        let mut number = self.number;
        if record.is_none() {
            (end, record) = self.at(end)?;
            number += 1;
        }
        let (at, packed) = record?;
        self.good = end;
        self.number = number + 1;
        Some((number, at, packed))
    }
}
