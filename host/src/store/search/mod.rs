//! Devices found by queries: by rows in memory (`row.rs`, `rows.rs`, made at the start by `build.rs`),
//! and, for conditions on parameters, by their trees (`trees.rs`).
//!
//! Everything here blocks, for milliseconds by rows, up to seconds by trees: not for a thread that
//! serves others. No lock is held for longer than a few thousand rows take.

mod build;
mod order;
mod row;
mod rows;
mod trees;

#[cfg(test)]
mod tests;

use std::collections::BinaryHeap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::device::{DeviceKey, Mode, UnixTime};
use crate::query::Query;

use super::registry::Instance;
use super::{Core, Device, DeviceCell, Listed, Store, StoreError};
use order::Place;
use row::{At, Own, Row, Traits};
use rows::Candidates;

pub(super) use build::{Built, run as build};
pub use order::Sort;
pub use row::Fields;
pub(super) use rows::Rows;
pub use trees::Found;

/// Rows that are judged under one lock.
const STEP_ROWS: usize = 4_096;
/// Of devices whose parameters matter so many are looked at before it is all of them.
const FIRST_TREES: usize = 2_048;
/// Threads of one search.
const THREADS_MAX: usize = 8;

/// Ends a search from outside: who waited for it is gone.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// The search ends with [`StoreError::Cancelled`].
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.0.load(Ordering::Relaxed) {
            return Err(StoreError::Cancelled);
        }
        Ok(())
    }
}

/// What is searched for.
#[derive(Debug)]
pub struct Search<'s> {
    /// Among the devices of this instance.
    pub instance: &'s str,
    /// Those that match.
    pub query: &'s Query,
    /// In which order.
    pub sort: &'s Sort,
    /// The `next` of the page before.
    pub after: Option<&'s str>,
    /// At most so many.
    pub limit: usize,
    /// Ages are counted from here.
    pub now: UnixTime,
    /// Ends it.
    pub cancel: &'s Cancel,
}

/// A page of what was found.
#[derive(Debug, Clone, Default)]
pub struct SearchPage {
    /// The devices.
    pub items: Vec<Listed>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<String>,
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |threads| threads.get().min(THREADS_MAX))
}

impl Store {
    /// A page of the devices that match. Pages follow the order: a device whose place in it does
    /// not change between two pages is found once, whatever others do. By the id, no place changes.
    ///
    /// # Errors
    /// [`StoreError::Cursor`], [`StoreError::Cancelled`], or when records cannot be read.
    pub fn search(&self, search: &Search<'_>) -> Result<SearchPage, StoreError> {
        let core = self.core();
        core.built.wait(search.cancel)?;
        let after = search.after.map(|after| search.sort.after(after));
        let after = after.transpose().map_err(StoreError::Cursor)?;
        let Some(instance) = core.devices.instance(search.instance) else {
            return Ok(SearchPage::default());
        };
        let (rows, next) = Run {
            core,
            instance: &instance,
            query: search.query,
            now: search.now,
            cancel: search.cancel,
        }
        .page(search.sort, after, search.limit)?;
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            if let Some(summary) = core.summary(&row.key, row.number)? {
                items.push(Listed {
                    key: row.key.clone(),
                    summary,
                    contacts: row.contacts(),
                });
            }
        }
        Ok(SearchPage { items, next })
    }

    /// All devices that match, in this order.
    ///
    /// # Errors
    /// As [`Store::matching`].
    pub fn sorted(
        &self,
        instance: &str,
        query: &Query,
        sort: &Sort,
        now: UnixTime,
        cancel: &Cancel,
    ) -> Result<Vec<DeviceKey>, StoreError> {
        if sort.is_by_id() {
            return self.matching(instance, query, now, cancel);
        }
        let core = self.core();
        core.built.wait(cancel)?;
        let Some(instance) = core.devices.instance(instance) else {
            return Ok(Vec::new());
        };
        let run = Run {
            core,
            instance: &instance,
            query,
            now,
            cancel,
        };
        let placed = run.all()?.into_iter().map(|row| Placed {
            place: sort.place(&row.at(now), &row.key.id),
            row,
            sort,
        });
        let mut placed: Vec<Placed<'_>> = placed.collect();
        placed.sort_unstable();
        Ok(placed
            .into_iter()
            .map(|placed| placed.row.key.clone())
            .collect())
    }

    /// All devices that match, in the order of their ids.
    ///
    /// # Errors
    /// [`StoreError::Cancelled`], or when records cannot be read.
    pub fn matching(
        &self,
        instance: &str,
        query: &Query,
        now: UnixTime,
        cancel: &Cancel,
    ) -> Result<Vec<DeviceKey>, StoreError> {
        let core = self.core();
        core.built.wait(cancel)?;
        let Some(instance) = core.devices.instance(instance) else {
            return Ok(Vec::new());
        };
        let run = Run {
            core,
            instance: &instance,
            query,
            now,
            cancel,
        };
        let rows = run.all()?;
        let mut keys: Vec<DeviceKey> = rows.iter().map(|row| row.key.clone()).collect();
        keys.sort_unstable();
        Ok(keys)
    }

    /// How many devices match.
    ///
    /// # Errors
    /// As [`Store::matching`].
    pub fn count_matching(
        &self,
        instance: &str,
        query: &Query,
        now: UnixTime,
        cancel: &Cancel,
    ) -> Result<usize, StoreError> {
        let core = self.core();
        core.built.wait(cancel)?;
        let Some(instance) = core.devices.instance(instance) else {
            return Ok(0);
        };
        let run = Run {
            core,
            instance: &instance,
            query,
            now,
            cancel,
        };
        run.count()
    }

    /// How many devices of all instances have each mode. While the rows of a store that was just
    /// opened are made, those that there are.
    pub fn devices_by_mode(&self) -> [(Mode, usize); Mode::ALL.len()] {
        let instances = self.core().devices.instances();
        Mode::ALL.map(|mode| {
            let with = |instance: &Arc<Instance>| instance.rows.read().with_mode(mode);
            (mode, instances.iter().map(with).sum())
        })
    }

    /// Devices whose parameters searches have looked at.
    pub fn trees_searched(&self) -> u64 {
        self.core().built.trees_searched.get()
    }

    /// Whether a device matches.
    pub fn matches(&self, cell: &DeviceCell, query: &Query, now: UnixTime) -> bool {
        self.matches_locked(cell, &cell.lock(), query, now)
    }

    /// Whether a device matches that the caller has locked.
    pub fn matches_locked(
        &self,
        cell: &DeviceCell,
        device: &Device,
        query: &Query,
        now: UnixTime,
    ) -> bool {
        let (traits, own) = (Traits::of(device.summary()), Own::of(device.summary()));
        let row = At {
            id: &cell.key().id,
            traits: &traits,
            own: &own,
            contacts: cell.contacts(),
            now,
        };
        trees::matches(query, row, &trees::of_tree(device.tree(), &query.paths()))
    }

    /// A device as lists show it, with the parameters that any of the patterns asks for
    /// (as [`super::Tree::prefix`] takes them), without keeping it in memory.
    ///
    /// # Errors
    /// When records cannot be read.
    pub fn look(
        &self,
        key: &DeviceKey,
        patterns: &[&str],
    ) -> Result<Option<(Listed, Vec<Found>)>, StoreError> {
        let core = self.core();
        let Some((key, number, contacts)) = core.devices.find(key) else {
            return Ok(None);
        };
        let Some(summary) = core.summary(&key, number)? else {
            return Ok(None);
        };
        let parameters = match patterns {
            [] => Vec::new(),
            patterns => core.parameters(&key, number, patterns)?,
        };
        let contacts = contacts.get(number);
        let listed = Listed {
            key,
            summary,
            contacts,
        };
        Ok(Some((listed, parameters)))
    }
}

/// A search under way.
struct Run<'r> {
    core: &'r Core,
    instance: &'r Instance,
    query: &'r Query,
    now: UnixTime,
    cancel: &'r Cancel,
}

/// A row that matches, or `None` in the second place: that depends on the device's parameters.
type Judged = (Arc<Row>, Option<bool>);

impl Run<'_> {
    fn page(
        &self,
        sort: &Sort,
        after: Option<Place>,
        limit: usize,
    ) -> Result<(Vec<Arc<Row>>, Option<String>), StoreError> {
        if sort.is_by_id() && !self.is_few(limit) {
            return self.walk(after, limit, sort);
        }
        // The last of them tells whether there is another page.
        let mut best: BinaryHeap<Placed<'_>> = BinaryHeap::with_capacity(limit + 2);
        for row in self.all()? {
            let place = sort.place(&row.at(self.now), &row.key.id);
            let is_after = |after: &Place| sort.compare(&place, after).is_gt();
            if after.as_ref().is_some_and(|after| !is_after(after)) {
                continue;
            }
            best.push(Placed { place, row, sort });
            if best.len() > limit + 1 {
                best.pop();
            }
        }
        let mut best = best.into_sorted_vec();
        let more = best.len() > limit;
        best.truncate(limit);
        let next = best.last().filter(|_| more);
        let next = next.map(|last| sort.cursor(&last.place));
        Ok((best.into_iter().map(|placed| placed.row).collect(), next))
    }

    /// Whether it is less work to look at all devices that can match than to go through the ids
    /// until a page is full.
    fn is_few(&self, limit: usize) -> bool {
        let rows = self.instance.rows.read();
        let index = self.instance.index.read();
        let verdicts = rows.verdicts(self.query, self.now);
        let all = index.numbers.len();
        match rows.candidates(self.query, &verdicts, &index.numbers) {
            Candidates::These(_) => true,
            // Through the ids, a page is full after about `limit · all / possible`.
            Candidates::Groups(possible) => {
                possible.saturating_mul(possible) < limit.saturating_mul(all)
            }
        }
    }

    /// Through the ids, until there is a page of matching devices.
    fn walk(
        &self,
        after: Option<Place>,
        limit: usize,
        sort: &Sort,
    ) -> Result<(Vec<Arc<Row>>, Option<String>), StoreError> {
        let mut found = Vec::new();
        let mut after = after.map(|place| Arc::from(place.id.as_str()));
        let mut trees_max = FIRST_TREES;
        while found.len() <= limit {
            self.cancel.check()?;
            let mut step = Vec::new();
            let mut open = 0;
            let mut ended = false;
            // Enough of those that are sure, or as many of the others as are looked at together.
            while !ended && open < trees_max && found.len() + step.len() - open <= limit {
                let wanted = limit + 1 - (found.len() + step.len() - open);
                let (judged, last) = self.step(after.as_ref(), wanted, trees_max - open);
                open += judged.iter().filter(|(_, is)| is.is_none()).count();
                step.extend(judged);
                ended = last.is_none();
                after = last.or(after);
                self.cancel.check()?;
            }
            trees_max = usize::MAX;
            found.extend(self.decide(step)?);
            if ended {
                break;
            }
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|last| {
            let place = sort.place(&last.at(self.now), &last.key.id);
            sort.cursor(&place)
        });
        Ok((found, next))
    }

    /// Judges the next rows in the order of ids, until there are `sure` that match or `open` that
    /// depend on parameters; where to go on (`None`: nowhere).
    fn step(
        &self,
        after: Option<&Arc<str>>,
        mut sure: usize,
        mut open: usize,
    ) -> (Vec<Judged>, Option<Arc<str>>) {
        let rows = self.instance.rows.read();
        let index = self.instance.index.read();
        let verdicts = rows.verdicts_for(STEP_ROWS, self.query, self.now);
        let from = after.map_or(Bound::Unbounded, |id| Bound::Excluded(&**id));
        let ids = index.numbers.range::<str, _>((from, Bound::Unbounded));
        let mut judged = Vec::new();
        for (seen, (id, number)) in ids.enumerate() {
            if let Some(row) = rows.get(*number) {
                let verdict = verdicts.of(row);
                match verdict.or_else(|| self.query.judge(&row.at(self.now), self.now)) {
                    Some(false) => {}
                    Some(true) => {
                        sure -= 1;
                        judged.push((Arc::clone(row), Some(true)));
                    }
                    None => {
                        open -= 1;
                        judged.push((Arc::clone(row), None));
                    }
                }
            }
            if seen + 1 >= STEP_ROWS || sure == 0 || open == 0 {
                return (judged, Some(Arc::clone(id)));
            }
        }
        (judged, None)
    }

    /// All that match, in no order.
    fn all(&self) -> Result<Vec<Arc<Row>>, StoreError> {
        let numbers = {
            let rows = self.instance.rows.read();
            let verdicts = rows.verdicts(self.query, self.now);
            let index = self.instance.index.read();
            match rows.candidates(self.query, &verdicts, &index.numbers) {
                Candidates::These(numbers) => numbers,
                Candidates::Groups(_) => rows.members(&verdicts),
            }
        };
        self.of(&numbers)
    }

    fn count(&self) -> Result<usize, StoreError> {
        let (count, open) = {
            let rows = self.instance.rows.read();
            let verdicts = rows.verdicts(self.query, self.now);
            let index = self.instance.index.read();
            match rows.candidates(self.query, &verdicts, &index.numbers) {
                Candidates::These(numbers) => (0, numbers),
                Candidates::Groups(_) => rows.counted(&verdicts),
            }
        };
        Ok(count + self.of(&open)?.len())
    }

    /// Those of these devices that match.
    fn of(&self, numbers: &[u32]) -> Result<Vec<Arc<Row>>, StoreError> {
        let mut judged = Vec::new();
        for step in numbers.chunks(STEP_ROWS) {
            self.cancel.check()?;
            let rows = self.instance.rows.read();
            let verdicts = rows.verdicts_for(step.len(), self.query, self.now);
            for row in step
                .iter()
                .filter_map(|number| rows.get(u64::from(*number)))
            {
                let verdict = verdicts.of(row);
                match verdict.or_else(|| self.query.judge(&row.at(self.now), self.now)) {
                    Some(false) => {}
                    is => judged.push((Arc::clone(row), is)),
                }
            }
        }
        self.decide(judged)
    }

    /// Looks at the parameters of those devices on which it depends.
    fn decide(&self, judged: Vec<Judged>) -> Result<Vec<Arc<Row>>, StoreError> {
        let open = judged.iter().filter(|(_, is)| is.is_none());
        let open: Vec<Arc<Row>> = open.map(|(row, _)| Arc::clone(row)).collect();
        if open.is_empty() {
            return Ok(judged.into_iter().map(|(row, _)| row).collect());
        }
        let mut matching =
            trees::matching(self.core, self.query, open, self.now, self.cancel)?.into_iter();
        let mut next = matching.next();
        let mut found = Vec::new();
        for (row, is) in judged {
            if is == Some(true) {
                found.push(row);
            } else if next.as_ref().is_some_and(|next| Arc::ptr_eq(next, &row)) {
                found.push(row);
                next = matching.next();
            }
        }
        Ok(found)
    }
}

/// A row at its place: the last one is the greatest.
struct Placed<'s> {
    place: Place,
    row: Arc<Row>,
    sort: &'s Sort,
}

impl Ord for Placed<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.sort.compare(&self.place, &other.place)
    }
}

impl PartialOrd for Placed<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Placed<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Placed<'_> {}
