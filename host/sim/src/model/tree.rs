//! The data model of one device: its template seen through its overlay.

use std::borrow::Cow;

use super::leaf::Leaf;
use super::live::{self, Facts};
use super::overlay::{Attributes, Overlay};
use super::template::{Entry, Features, Place, Template};

/// How many rows AddObject makes per table before fault 9004.
const ROWS_PER_TABLE_MAX: usize = 64;

/// The parameters of one device.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    template: &'static Template,
    overlay: Overlay,
}

/// An object or a parameter, as [`Tree::walk`] meets it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Node {
    /// `writable`: rows can be added to it, or it can be deleted.
    Object {
        writable: bool,
    },
    Parameter(Parameter),
}

/// A parameter's part in the template.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    pub(crate) leaf: &'static Leaf,
    /// Of a row that AddObject made.
    added: bool,
}

/// Where a path leads.
enum Spot<'t> {
    Entry {
        base: &'t str,
        template: &'static Template,
        at: usize,
        entry: &'static Entry,
    },
    AddedRow(&'t str, &'static Template),
}

impl Tree {
    pub(crate) fn new(features: Features) -> Tree {
        Tree {
            template: Template::of(features),
            overlay: Overlay::default(),
        }
    }

    /// Back to the template.
    pub(crate) fn reset(&mut self) {
        self.overlay = Overlay::default();
    }

    /// The parameter of this name.
    pub(crate) fn parameter(&self, path: &str) -> Option<Parameter> {
        match self.spot(path)? {
            Spot::Entry { base, entry, .. } => match &entry.what {
                Place::Leaf(leaf) => Some(Parameter {
                    leaf,
                    added: !base.is_empty(),
                }),
                _ => None,
            },
            Spot::AddedRow(..) => None,
        }
    }

    /// The value of a parameter, as the device itself knows it.
    pub(crate) fn value(&self, path: &str, parameter: Parameter, facts: &Facts<'_>) -> String {
        if let Some(value) = self.overlay.values.get(path) {
            return value.to_string();
        }
        let leaf = parameter.leaf;
        let text = if parameter.added {
            leaf.of_new_row()
        } else {
            leaf.initial(live::instances(path).0)
        };
        live::render(text, path, facts, &|table| self.rows(table))
    }

    /// The value of a parameter, if it is there.
    pub(crate) fn get(&self, path: &str, facts: &Facts<'_>) -> Option<String> {
        Some(self.value(path, self.parameter(path)?, facts))
    }

    /// Stores a value without a question.
    pub(crate) fn set(&mut self, path: &str, value: Box<str>) {
        self.overlay.values.insert(path.into(), value);
    }

    /// The parameters of each Inform.
    pub(crate) fn forced_inform(&self) -> impl Iterator<Item = &'static str> {
        let entries = self.template.forced_inform.iter();
        let paths = entries.filter_map(|at| self.template.entries.get(*at));
        paths
            .map(|entry| &*entry.path)
            .filter(|path| !self.overlay.is_gone(path))
    }

    /// The attributes of a parameter.
    pub(crate) fn attributes(&self, path: &str, leaf: &Leaf) -> Attributes {
        let mut attributes = self.overlay.attributes.get(path).copied();
        let attributes = attributes.get_or_insert(Attributes {
            notification: 0,
            subscriber: false,
        });
        if leaf.forced_active {
            attributes.notification = 2;
        }
        *attributes
    }

    pub(crate) fn set_attributes(&mut self, path: &str, attributes: Attributes) {
        self.overlay.attributes.insert(path.into(), attributes);
    }

    /// Calls `visit` for the object `path` (empty = the root's parent) and all below it, in
    /// the order of the model. False: there is no such object.
    pub(crate) fn walk(&self, path: &str, visit: &mut dyn FnMut(&str, Node)) -> bool {
        if path.is_empty() {
            self.walk_entries("", self.template, 0, self.template.entries.len(), visit);
            return true;
        }
        match self.spot(path) {
            Some(Spot::Entry {
                base,
                template,
                at,
                entry,
            }) => {
                if matches!(entry.what, Place::Leaf(_)) {
                    return false;
                }
                self.walk_entries(base, template, at, entry.end, visit);
            }
            Some(Spot::AddedRow(path, row)) => self.walk_row(path, row, visit),
            None => return false,
        }
        true
    }

    fn walk_row(&self, path: &str, row: &'static Template, visit: &mut dyn FnMut(&str, Node)) {
        let writable = self.is_writable(table_of(path));
        visit(path, Node::Object { writable });
        self.walk_entries(path, row, 0, row.entries.len(), visit);
    }

    fn walk_entries(
        &self,
        base: &str,
        template: &'static Template,
        from: usize,
        to: usize,
        visit: &mut dyn FnMut(&str, Node),
    ) {
        let mut at = from;
        while at < to {
            let Some(entry) = template.entries.get(at) else {
                return;
            };
            let path: Cow<'_, str> = if base.is_empty() {
                Cow::Borrowed(&entry.path)
            } else {
                Cow::Owned(format!("{base}{}", entry.path))
            };
            match &entry.what {
                Place::Object => visit(&path, Node::Object { writable: false }),
                Place::Leaf(leaf) => {
                    let added = !base.is_empty();
                    visit(&path, Node::Parameter(Parameter { leaf, added }));
                }
                Place::Row { .. } if self.overlay.is_deleted(&path) => {
                    at = entry.end;
                    continue;
                }
                Place::Row { deletable } => visit(
                    &path,
                    Node::Object {
                        writable: *deletable,
                    },
                ),
                Place::Table { writable, .. } => {
                    visit(
                        &path,
                        Node::Object {
                            writable: *writable,
                        },
                    );
                    self.walk_entries(base, template, at + 1, entry.end, visit);
                    for row in self.overlay.rows_of(&path) {
                        self.walk_row(&row.path, row.row, visit);
                    }
                    at = entry.end;
                    continue;
                }
            }
            at += 1;
        }
    }

    /// Adds a row to a table for the ACS; its instance number, or the fault code.
    pub(crate) fn add_row(&mut self, table: &str) -> Result<u32, u32> {
        if !self.is_writable(table) {
            return Err(9005);
        }
        self.grow(table)
    }

    /// Whether rows of this table come and go as the ACS likes.
    fn is_writable(&self, table: &str) -> bool {
        matches!(
            self.spot(table),
            Some(Spot::Entry {
                entry: Entry {
                    what: Place::Table { writable: true, .. },
                    ..
                },
                ..
            })
        )
    }

    /// Adds a row to a table, as the device itself does.
    pub(crate) fn grow(&mut self, table: &str) -> Result<u32, u32> {
        let (initial, row) = match self.spot(table) {
            Some(Spot::Entry { entry, .. }) => match &entry.what {
                Place::Table { rows, row, .. } => (*rows, row),
                _ => return Err(9005),
            },
            _ => return Err(9005),
        };
        if self.rows(table) >= ROWS_PER_TABLE_MAX {
            return Err(9004);
        }
        Ok(self.overlay.add_row(table, initial, row))
    }

    /// Takes a row that [`Tree::grow`] has made away again.
    pub(crate) fn shrink(&mut self, row: &str) {
        self.overlay.delete_row(row);
    }

    /// Gives a table that only the device itself writes these rows, numbered from 1, instead of
    /// those it had.
    pub(crate) fn replace_rows(&mut self, table: &str, rows: &[Vec<(&str, String)>]) {
        let row = match self.spot(table) {
            Some(Spot::Entry { entry, .. }) => match &entry.what {
                Place::Table { row, .. } => row,
                _ => return,
            },
            _ => return,
        };
        self.overlay.clear_rows(table);
        for values in rows {
            let instance = self.overlay.add_row(table, 0, row);
            for (name, value) in values {
                self.set(&format!("{table}{instance}.{name}"), value.as_str().into());
            }
        }
    }

    /// Deletes a row for the ACS, or returns the fault code.
    pub(crate) fn delete_row(&mut self, path: &str) -> Result<(), u32> {
        match self.spot(path) {
            Some(Spot::AddedRow(..)) if self.is_writable(table_of(path)) => {}
            Some(Spot::Entry { entry, .. })
                if matches!(entry.what, Place::Row { deletable: true }) => {}
            _ => return Err(9005),
        }
        self.overlay.delete_row(path);
        Ok(())
    }

    /// How many rows a table has.
    fn rows(&self, table: &str) -> usize {
        let Some(Spot::Entry { base, entry, .. }) = self.spot(table) else {
            return 0;
        };
        let Place::Table { rows, .. } = &entry.what else {
            return 0;
        };
        let initial = if base.is_empty() { *rows } else { 0 };
        let there = (1..=initial)
            .filter(|instance| !self.overlay.is_deleted(&format!("{table}{instance}.")))
            .count();
        there + self.overlay.rows_of(table).count()
    }

    fn spot<'t>(&'t self, path: &'t str) -> Option<Spot<'t>> {
        let template = self.template;
        if let Some((at, entry)) = template.find(path) {
            if self.overlay.is_gone(path) {
                return None;
            }
            return Some(Spot::Entry {
                base: "",
                template,
                at,
                entry,
            });
        }
        let row = self.overlay.row_above(path)?;
        let below = path.strip_prefix(&*row.path)?;
        if below.is_empty() {
            return Some(Spot::AddedRow(&row.path, row.row));
        }
        let (at, entry) = row.row.find(below)?;
        Some(Spot::Entry {
            base: &row.path,
            template: row.row,
            at,
            entry,
        })
    }
}

/// The table of a row.
fn table_of(row: &str) -> &str {
    let row = row.trim_end_matches('.');
    row.rfind('.')
        .and_then(|dot| row.get(..=dot))
        .unwrap_or_default()
}
