//! What one device has changed of its template: the only part of a data model that costs
//! memory per device.

use std::collections::{BTreeMap, BTreeSet};

use super::template::Template;

/// Written values, attributes, added and deleted rows, all by full path.
#[derive(Debug, Clone, Default)]
pub(super) struct Overlay {
    pub(super) values: BTreeMap<Box<str>, Box<str>>,
    pub(super) attributes: BTreeMap<Box<str>, Attributes>,
    deleted: BTreeSet<Box<str>>,
    added: Vec<AddedRow>,
    /// By table, once AddObject was called on it: numbers are never used again.
    next_instance: BTreeMap<Box<str>, u32>,
}

/// What SetParameterAttributes changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// 0 off, 1 passive, 2 active.
    pub(crate) notification: u8,
    /// The AccessList is `Subscriber`, not empty.
    pub(crate) subscriber: bool,
}

/// A row that AddObject made.
#[derive(Debug, Clone)]
pub(super) struct AddedRow {
    pub(super) path: Box<str>,
    /// Length of the table's part of `path`.
    table_len: usize,
    pub(super) row: &'static Template,
}

impl AddedRow {
    fn table(&self) -> &str {
        self.path.get(..self.table_len).unwrap_or_default()
    }
}

impl Overlay {
    /// Whether the row itself, one of those there at first, was deleted.
    pub(super) fn is_deleted(&self, row: &str) -> bool {
        !self.deleted.is_empty() && self.deleted.contains(row)
    }

    /// Whether `path` is a deleted row or below one.
    pub(super) fn is_gone(&self, path: &str) -> bool {
        self.deleted.iter().any(|row| path.starts_with(&**row))
    }

    /// The rows added to a table, by instance number.
    pub(super) fn rows_of(&self, table: &str) -> impl Iterator<Item = &AddedRow> {
        self.added.iter().filter(move |row| row.table() == table)
    }

    /// The added row that `path` is or is below of; the innermost.
    pub(super) fn row_above(&self, path: &str) -> Option<&AddedRow> {
        let rows = self.added.iter().filter(|row| path.starts_with(&*row.path));
        rows.max_by_key(|row| row.path.len())
    }

    pub(super) fn add_row(
        &mut self,
        table: &str,
        initial_rows: u32,
        row: &'static Template,
    ) -> u32 {
        let next = self
            .next_instance
            .entry(table.into())
            .or_insert(initial_rows + 1);
        let instance = *next;
        *next += 1;
        self.added.push(AddedRow {
            path: format!("{table}{instance}.").into(),
            table_len: table.len(),
            row,
        });
        instance
    }

    /// Forgets the added rows of a table; the next one has number 1 again.
    pub(super) fn clear_rows(&mut self, table: &str) {
        self.added.retain(|added| !added.path.starts_with(table));
        self.values.retain(|path, _| !path.starts_with(table));
        self.attributes.retain(|path, _| !path.starts_with(table));
        self.next_instance
            .retain(|known, _| !known.starts_with(table));
    }

    /// Forgets a row and everything below it.
    pub(super) fn delete_row(&mut self, row: &str) {
        let was_added = self.added.iter().any(|added| *added.path == *row);
        self.added.retain(|added| !added.path.starts_with(row));
        self.values.retain(|path, _| !path.starts_with(row));
        self.attributes.retain(|path, _| !path.starts_with(row));
        self.next_instance
            .retain(|table, _| !table.starts_with(row));
        self.deleted.retain(|deleted| !deleted.starts_with(row));
        if !was_added {
            // One of the template's: its absence has to be remembered.
            self.deleted.insert(row.into());
        }
    }
}
