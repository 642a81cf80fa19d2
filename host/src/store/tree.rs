//! The parameters of one device in memory.
//!
//! Paths are the same from device to device, so each text is kept once in the process.
//! A hash index finds a parameter; the sorted order is made when somebody asks for it and
//! kept until a parameter comes or goes. How a tree is cut into stored parts: `parts.rs`.

use std::cell::{Cell, OnceCell};
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;

use crate::device::{Reading, UnixTime};

use super::StoreError;
use super::parts::Parts;
use super::paths::{self, HASHER};

/// Parameters that one device may have.
pub const PARAMETERS_PER_DEVICE_MAX: usize = 200_000;
/// Bytes of one parameter's path (TR-106 allows 256).
pub const PATH_BYTES_MAX: usize = 1024;
/// Bytes of one parameter's value.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// What [`Tree::set`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// Same value and type: only the time of reading moved, in memory.
    No,
    /// The value or the type is another one.
    Value,
    /// The parameter was not known.
    New,
}

/// The parameters of one device.
#[derive(Debug, Default)]
pub struct Tree {
    entries: Vec<Entry>,
    /// Positions in `entries` by the hash of the path.
    index: HashTable<u32>,
    /// Positions in `entries` by path.
    sorted: OnceCell<Vec<u32>>,
    /// The position found last: devices report their parameters in the same order each time.
    last: Cell<usize>,
    pub(super) parts: Parts,
}

#[derive(Debug)]
struct Entry {
    path: Arc<str>,
    reading: Reading,
}

impl Tree {
    /// Takes in what the device reported.
    ///
    /// When the value is the known one, only `read_at` moves, and only in memory: after a
    /// restart it is the time of the last change in its part of the tree.
    ///
    /// # Errors
    /// [`StoreError::TooMuch`] when a limit of this module would be passed; the tree is as before.
    pub fn set(
        &mut self,
        path: &str,
        value: &str,
        xsd_type: &cwmp::XsdType,
        now: UnixTime,
    ) -> Result<Changed, StoreError> {
        check("bytes of a parameter's value", value.len(), VALUE_BYTES_MAX)?;
        if let Some(position) = self.position(path)
            && let Some(entry) = self.entries.get_mut(position)
        {
            let reading = &mut entry.reading;
            reading.read_at = now;
            if *reading.value == *value && reading.xsd_type == *xsd_type {
                return Ok(Changed::No);
            }
            reading.value = value.into();
            reading.xsd_type = xsd_type.clone();
            self.parts.changed(path);
            return Ok(Changed::Value);
        }
        let reading = Reading {
            value: value.into(),
            xsd_type: xsd_type.clone(),
            read_at: now,
            writable: None,
        };
        self.insert_new(path, reading)
    }

    /// Takes in a name from GetParameterNames. A parameter that was not known is kept with
    /// an empty value and `read_at` 0 (never read). `path` may be an object (ends in a dot):
    /// those are not kept and answer [`Changed::No`].
    ///
    /// # Errors
    /// As [`Tree::set`].
    pub fn set_writable(&mut self, path: &str, writable: bool) -> Result<Changed, StoreError> {
        if path.is_empty() || path.ends_with('.') {
            return Ok(Changed::No);
        }
        if let Some(position) = self.position(path)
            && let Some(entry) = self.entries.get_mut(position)
        {
            if entry.reading.writable == Some(writable) {
                return Ok(Changed::No);
            }
            entry.reading.writable = Some(writable);
            self.parts.changed(path);
            return Ok(Changed::Value);
        }
        let reading = Reading {
            value: Box::default(),
            xsd_type: cwmp::XsdType::STRING,
            read_at: 0,
            writable: Some(writable),
        };
        self.insert_new(path, reading)
    }

    /// One parameter by its full name.
    pub fn get(&self, path: &str) -> Option<&Reading> {
        self.entries
            .get(self.position(path)?)
            .map(|entry| &entry.reading)
    }

    /// Parameters below `pattern`, by path. The pattern is a full name or a partial path
    /// (ends in a dot, or empty for all); `*` stands for one whole name between dots:
    /// `Device.WiFi.SSID.*.SSID`.
    pub fn prefix<'t>(
        &'t self,
        pattern: &'t str,
    ) -> impl Iterator<Item = (&'t str, &'t Reading)> + 't {
        let literal = literal(pattern);
        self.from(literal)
            .map(|entry| (&*entry.path, &entry.reading))
            .take_while(move |(path, _)| path.starts_with(literal))
            .filter(move |(path, _)| matches(pattern, path))
    }

    /// Calls `visit` with what [`Tree::prefix`] gives, in no order: without making one.
    pub(super) fn each(&self, pattern: &str, mut visit: impl FnMut(&str, &Reading)) {
        if !pattern.is_empty() && !pattern.ends_with('.') && !pattern.contains('*') {
            if let Some(reading) = self.get(pattern) {
                visit(pattern, reading);
            }
            return;
        }
        let literal = literal(pattern);
        for entry in &self.entries {
            if entry.path.starts_with(literal) && matches(pattern, &entry.path) {
                visit(&entry.path, &entry.reading);
            }
        }
    }

    /// The numbers of the rows of a table (its name ends in a dot) in which a value is known.
    pub fn rows(&self, table: &str) -> Vec<u32> {
        let mut rows: Vec<u32> = self
            .prefix_read(table)
            .filter_map(|path| path.strip_prefix(table)?.split('.').next()?.parse().ok())
            .collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    fn prefix_read<'t>(&'t self, table: &'t str) -> impl Iterator<Item = &'t str> + 't {
        let all = self.prefix(table);
        all.filter(|(_, reading)| reading.read_at != 0)
            .map(|(path, _)| path)
    }

    /// Forgets a parameter, or an object with all below it (`path` ends in a dot, `*` as in
    /// [`Tree::prefix`]). How many went.
    pub fn remove_prefix(&mut self, path: &str) -> usize {
        let gone: Vec<String> = self.prefix(path).map(|(path, _)| path.to_owned()).collect();
        for path in &gone {
            self.remove(path);
        }
        gone.len()
    }

    /// How many parameters are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Parameters in order, from this path on.
    pub(super) fn range<'t>(
        &'t self,
        from: &str,
        to: Option<&'t str>,
    ) -> impl Iterator<Item = (&'t Arc<str>, &'t Reading)> + 't {
        self.from(from)
            .take_while(move |entry| to.is_none_or(|to| &*entry.path < to))
            .map(|entry| (&entry.path, &entry.reading))
    }

    /// Puts in what was stored: marks nothing as changed.
    pub(super) fn restore(&mut self, path: &str, reading: Reading) {
        if self.position(path).is_none() {
            self.push(paths::shared(path), reading);
        }
    }

    /// Gives back memory that growth has taken in advance.
    pub(super) fn shrink(&mut self) {
        if self.entries.capacity() > self.entries.len() + self.entries.len() / 8 {
            self.entries.shrink_to_fit();
        }
    }

    fn insert_new(&mut self, path: &str, reading: Reading) -> Result<Changed, StoreError> {
        check("bytes of a parameter's path", path.len(), PATH_BYTES_MAX)?;
        check(
            "parameters of a device",
            self.len() + 1,
            PARAMETERS_PER_DEVICE_MAX,
        )?;
        self.push(paths::shared(path), reading);
        self.parts.changed(path);
        Ok(Changed::New)
    }

    fn push(&mut self, path: Arc<str>, reading: Reading) {
        let Ok(position) = u32::try_from(self.entries.len()) else {
            return;
        };
        let hash = HASHER.hash_one(&*path);
        self.entries.push(Entry { path, reading });
        let entries = &self.entries;
        self.index
            .insert_unique(hash, position, |known| hash_at(entries, *known));
        self.sorted.take();
    }

    fn remove(&mut self, path: &str) {
        let Some(position) = self.position(path) else {
            return;
        };
        let last = self.entries.len() - 1;
        self.forget_position(path, position);
        if let Some(moved) = self.entries.get(last).map(|entry| Arc::clone(&entry.path))
            && last != position
            && let Ok(to) = u32::try_from(position)
        {
            self.forget_position(&moved, last);
            let entries = &self.entries;
            self.index
                .insert_unique(HASHER.hash_one(&*moved), to, |known| {
                    // The moved entry is still at its old place.
                    hash_at(entries, if *known == to { last as u32 } else { *known })
                });
        }
        self.entries.swap_remove(position);
        self.sorted.take();
        self.parts.changed(path);
    }

    fn forget_position(&mut self, path: &str, position: usize) {
        let found = self.index.find_entry(HASHER.hash_one(path), |known| {
            usize::try_from(*known) == Ok(position)
        });
        if let Ok(found) = found {
            found.remove();
        }
    }

    fn position(&self, path: &str) -> Option<usize> {
        let is_at = |position: usize| {
            let entry = self.entries.get(position);
            entry.is_some_and(|entry| *entry.path == *path)
        };
        let next = self.last.get() + 1;
        let found = if is_at(next) {
            next
        } else {
            let hash = HASHER.hash_one(path);
            *self.index.find(hash, |known| is_at(*known as usize))? as usize
        };
        self.last.set(found);
        Some(found)
    }

    fn from<'t>(&'t self, path: &str) -> impl Iterator<Item = &'t Entry> + 't {
        let sorted = self.sorted.get_or_init(|| {
            let mut sorted: Vec<u32> = (0..).take(self.entries.len()).collect();
            sorted.sort_unstable_by_key(|position| self.path_at(*position));
            sorted
        });
        let start = sorted.partition_point(|position| self.path_at(*position) < path);
        sorted
            .get(start..)
            .unwrap_or_default()
            .iter()
            .filter_map(|position| self.entries.get(*position as usize))
    }

    fn path_at(&self, position: u32) -> &str {
        self.entries
            .get(position as usize)
            .map_or("", |entry| &entry.path)
    }
}

fn hash_at(entries: &[Entry], position: u32) -> u64 {
    entries
        .get(position as usize)
        .map_or(0, |entry| HASHER.hash_one(&*entry.path))
}

/// What every path begins with that a pattern matches.
pub(super) fn literal(pattern: &str) -> &str {
    pattern
        .split_once('*')
        .map_or(pattern, |(literal, _)| literal)
}

/// Whether `path` is the parameter of this name, or below this partial path; `*` stands for one whole
/// name between dots.
pub fn matches(pattern: &str, path: &str) -> bool {
    if pattern.is_empty() {
        return true;
    }
    let mut names = path.split('.');
    let mut wanted = pattern.split('.').peekable();
    while let Some(want) = wanted.next() {
        if want.is_empty() && wanted.peek().is_none() {
            return names.next().is_some(); // the dot at the end of a partial path
        }
        match names.next() {
            Some(name) if want == "*" || want == name => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

fn check(what: &'static str, found: usize, max: usize) -> Result<(), StoreError> {
    if found <= max {
        return Ok(());
    }
    Err(StoreError::TooMuch {
        what,
        found: found as u64,
        max: max as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn tree(paths: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for path in paths {
            tree.set(path, "v", &cwmp::XsdType::STRING, 1).unwrap();
        }
        tree
    }

    fn found<'t>(tree: &'t Tree, pattern: &'t str) -> Vec<&'t str> {
        tree.prefix(pattern).map(|(path, _)| path).collect()
    }

    #[test]
    fn patterns() {
        let tree = tree(&[
            "D.W.S.1.N",
            "D.W.S.2.N",
            "D.W.S.10.N",
            "D.W.S.2.E",
            "D.W.Sx",
            "D.X",
        ]);
        assert_eq!(found(&tree, "").len(), 6);
        assert_eq!(
            found(&tree, "D.W.S."),
            ["D.W.S.1.N", "D.W.S.10.N", "D.W.S.2.E", "D.W.S.2.N"]
        );
        assert_eq!(
            found(&tree, "D.W.S.*.N"),
            ["D.W.S.1.N", "D.W.S.10.N", "D.W.S.2.N"]
        );
        assert_eq!(found(&tree, "D.*.S.2."), ["D.W.S.2.E", "D.W.S.2.N"]);
        assert_eq!(found(&tree, "D.X"), ["D.X"]);
        assert_eq!(found(&tree, "D.W.S"), [""; 0]);
        assert_eq!(found(&tree, "*.X"), ["D.X"]);
        assert_eq!(found(&tree, "D.*"), ["D.X"]);
    }

    #[test]
    fn an_equal_value_changes_only_the_time() {
        let mut tree = tree(&["D.A"]);
        let string = cwmp::XsdType::STRING;
        assert_eq!(tree.set("D.A", "v", &string, 9), Ok(Changed::No));
        assert_eq!(tree.get("D.A").unwrap().read_at, 9);
        assert_eq!(tree.set("D.A", "w", &string, 9), Ok(Changed::Value));
        assert_eq!(
            tree.set("D.A", "w", &cwmp::XsdType::INT, 9),
            Ok(Changed::Value)
        );
        assert_eq!(tree.set_writable("D.A", true), Ok(Changed::Value));
        assert_eq!(tree.set_writable("D.A", true), Ok(Changed::No));
        assert_eq!(tree.set_writable("D.B", false), Ok(Changed::New));
        assert_eq!(tree.get("D.B").unwrap().read_at, 0);
        assert_eq!(tree.set_writable("D.O.", true), Ok(Changed::No));
        assert_eq!(tree.len(), 2);
    }

    #[test]
    fn limits_refuse_and_keep() {
        let mut tree = tree(&["D.A"]);
        let long = "x".repeat(VALUE_BYTES_MAX + 1);
        assert!(tree.set("D.A", &long, &cwmp::XsdType::STRING, 9).is_err());
        assert!(tree.set(&long, "", &cwmp::XsdType::STRING, 9).is_err());
        assert_eq!(&*tree.get("D.A").unwrap().value, "v");
        assert_eq!(tree.len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn behaves_like_a_sorted_map(steps in proptest::collection::vec((0..3_u8, 0..40_u8), 0..300)) {
            let mut model = BTreeMap::new();
            let mut tree = Tree::default();
            for (step, n) in steps {
                let path = format!("D.{}.{}", n % 5, n);
                match step {
                    0 | 1 => {
                        tree.set(&path, &step.to_string(), &cwmp::XsdType::INT, 1).unwrap();
                        model.insert(path, step.to_string());
                    }
                    _ => {
                        let gone = tree.remove_prefix(&path);
                        assert_eq!(gone, usize::from(model.remove(&path).is_some()));
                    }
                }
                assert_eq!(tree.len(), model.len());
            }
            let all: Vec<(String, String)> =
                tree.prefix("").map(|(p, r)| (p.to_owned(), r.value.to_string())).collect();
            let expected: Vec<(String, String)> =
                model.iter().map(|(p, v)| (p.clone(), v.clone())).collect();
            assert_eq!(all, expected);
            for (path, value) in &model {
                assert_eq!(*tree.get(path).unwrap().value, **value);
            }
        }
    }
}
