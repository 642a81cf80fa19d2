//! Looking at the parameters of many devices: those in memory as they are there, of others only
//! the records that can have what is asked for, without keeping any of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

use crate::device::{DeviceKey, Reading, UnixTime, is_secret};
use crate::query::{Datum, Field, Query, Subject};

use super::row::{At, Row};
use super::{Cancel, threads};
use crate::store::backend::{Pair, Start};
use crate::store::cell::tree_key;
use crate::store::tree::{self, Tree};
use crate::store::{Core, StoreError, parts};

/// Devices that a thread looks at before it takes more.
const JOB_DEVICES: usize = 512;
/// Where at least one of so many neighbours is asked for, all records are read in their order.
const DENSE: u64 = 4;
/// Records read at a time.
const PAGE_PAIRS: usize = 4_096;

/// A parameter as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its path.
    pub path: Box<str>,
    /// Its value; `None`: it is a secret, or was never read.
    pub value: Option<Box<str>>,
    /// When it was last read or confirmed; 0: never.
    pub read_at: UnixTime,
}

impl Found {
    fn new(path: &str, value: &str, read_at: UnixTime) -> Found {
        let shown = read_at != 0 && !is_secret(path);
        Found {
            path: path.into(),
            value: shown.then(|| value.into()),
            read_at,
        }
    }

    fn datum(&self) -> Datum<'_> {
        self.value
            .as_ref()
            .map_or(Datum::Hidden, |value| Datum::Parameter {
                value,
                read_at: self.read_at,
            })
    }
}

/// A device with those of its parameters that were asked for.
struct Whole<'a> {
    row: At<'a>,
    parameters: &'a [Found],
}

impl Subject for Whole<'_> {
    fn any(&self, field: &Field, test: &mut dyn FnMut(Datum<'_>) -> bool) -> Option<bool> {
        let Some(pattern) = field.path() else {
            return self.row.any(field, test);
        };
        let mut known = self.parameters.iter();
        Some(known.any(|found| tree::matches(pattern, &found.path) && test(found.datum())))
    }

    fn any_identifying(&self, test: &mut dyn FnMut(&str) -> bool) -> Option<bool> {
        self.row.any_identifying(test)
    }
}

/// Whether the device in this row matches, with these parameters.
pub(super) fn matches(query: &Query, row: At<'_>, parameters: &[Found]) -> bool {
    let now = row.now;
    query.matches(&Whole { row, parameters }, now)
}

/// The parameters of a tree in memory that any of the patterns asks for.
pub(super) fn of_tree(tree: &Tree, patterns: &[&str]) -> Vec<Found> {
    let mut found = Vec::new();
    for pattern in patterns {
        tree.each(pattern, |path, reading: &Reading| {
            found.push(Found::new(path, &reading.value, reading.read_at));
        });
    }
    found
}

fn of_records(
    records: &[Pair],
    key_bytes: usize,
    patterns: &[&str],
) -> Result<Vec<Found>, StoreError> {
    let mut found = Vec::new();
    for pattern in patterns {
        parts::visit(records, key_bytes, pattern, |path, value, read_at| {
            found.push(Found::new(path, value, read_at));
        })?;
    }
    Ok(found)
}

/// Those of the rows whose devices match, in their order.
pub(super) fn matching(
    core: &Core,
    query: &Query,
    rows: Vec<Arc<Row>>,
    now: UnixTime,
    cancel: &Cancel,
) -> Result<Vec<Arc<Row>>, StoreError> {
    let patterns = query.paths();
    let mut by_number: Vec<(usize, &Arc<Row>)> = rows.iter().enumerate().collect();
    by_number.sort_unstable_by_key(|(_, row)| row.number);
    let jobs: Vec<&[(usize, &Arc<Row>)]> = by_number.chunks(JOB_DEVICES).collect();
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let work = || -> Result<(), StoreError> {
        let mut mine = Vec::new();
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            cancel.check()?;
            core.built.trees_searched.add(job.len() as u64);
            each(core, job, &patterns, |place, row, parameters| {
                if matches(query, row.at(now), parameters) {
                    mine.push(place);
                }
            })?;
        }
        done.lock().extend(mine);
        Ok(())
    };
    thread::scope(|scope| {
        let helpers = threads().min(jobs.len()).saturating_sub(1);
        let others: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
        let mut result = work();
        for other in others {
            let other = other.join().unwrap_or(Err(StoreError::Closed));
            result = result.and(other);
        }
        result
    })?;
    let mut places = done.into_inner();
    places.sort_unstable();
    let matching = places.into_iter().filter_map(|place| rows.get(place));
    Ok(matching.cloned().collect())
}

/// Calls `visit` with the parameters of each device of a job.
fn each(
    core: &Core,
    job: &[(usize, &Arc<Row>)],
    patterns: &[&str],
    mut visit: impl FnMut(usize, &Row, &[Found]),
) -> Result<(), StoreError> {
    let (Some((_, first)), Some((_, last))) = (job.first(), job.last()) else {
        return Ok(());
    };
    let span = last.number.saturating_sub(first.number);
    let dense = span / DENSE < job.len() as u64;
    let mut in_order = Records::new(core, &first.key.instance);
    for (place, row) in job {
        let cell = core.devices.peek(&row.key);
        let parameters = match cell {
            Some(cell) => of_tree(cell.lock().tree(), patterns),
            None => {
                let key = tree_key(&row.key.instance, row.number);
                let records = if dense {
                    in_order.of(key.as_ref())?
                } else {
                    core.backend.scan(key.as_ref(), Start::First, usize::MAX)?
                };
                readable(of_records(&records, key.as_ref().len(), patterns), &row.key)
            }
        };
        visit(*place, row, &parameters);
    }
    Ok(())
}

/// A part that cannot be read is a reading that is not there.
fn readable(found: Result<Vec<Found>, StoreError>, device: &DeviceKey) -> Vec<Found> {
    found.unwrap_or_else(|error| {
        tracing::warn!(%device, %error, "left out a device's parameters in a search");
        Vec::new()
    })
}

/// The records of trees of an instance, read in the order of their keys.
struct Records<'c> {
    core: &'c Core,
    prefix: Vec<u8>,
    page: std::vec::IntoIter<Pair>,
    waiting: Option<Pair>,
    at: Option<Vec<u8>>,
}

impl<'c> Records<'c> {
    fn new(core: &'c Core, instance: &str) -> Records<'c> {
        let whole = tree_key(instance, 0).bytes();
        let prefix = whole
            .get(..whole.len().saturating_sub(8))
            .unwrap_or_default();
        Records {
            core,
            prefix: prefix.to_vec(),
            page: Vec::new().into_iter(),
            waiting: None,
            at: None,
        }
    }

    /// The records below a key; keys are asked for in their order.
    fn of(&mut self, key: &[u8]) -> Result<Vec<Pair>, StoreError> {
        if self.at.is_none() {
            self.at = Some(key.to_vec());
        }
        let mut records = Vec::new();
        while let Some(pair) = self.next()? {
            if pair.0.starts_with(key) {
                records.push(pair);
            } else if pair.0.as_slice() > key {
                self.waiting = Some(pair);
                break;
            }
        }
        Ok(records)
    }

    fn next(&mut self) -> Result<Option<Pair>, StoreError> {
        if let Some(pair) = self.waiting.take().or_else(|| self.page.next()) {
            return Ok(Some(pair));
        }
        let Some(at) = &self.at else {
            return Ok(None);
        };
        let page = self
            .core
            .backend
            .scan(&self.prefix, Start::After(at), PAGE_PAIRS)?;
        match page.last() {
            Some((last, _)) => self.at = Some(last.clone()),
            None => return Ok(None),
        }
        self.page = page.into_iter();
        Ok(self.page.next())
    }
}

impl Core {
    /// The parameters of a device that any of the patterns asks for, without keeping the device in
    /// memory.
    pub(super) fn parameters(
        &self,
        key: &DeviceKey,
        number: u64,
        patterns: &[&str],
    ) -> Result<Vec<Found>, StoreError> {
        if let Some(cell) = self.devices.peek(key) {
            return Ok(of_tree(cell.lock().tree(), patterns));
        }
        let tree = tree_key(&key.instance, number);
        let records = self.backend.scan(tree.as_ref(), Start::First, usize::MAX)?;
        Ok(readable(
            of_records(&records, tree.as_ref().len(), patterns),
            key,
        ))
    }
}
