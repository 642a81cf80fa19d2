//! The part of a data model that all devices of a kind share.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::leaf::Leaf;
use super::notation::{self, What};
use crate::DataModel;

/// What a template has beside the basics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) data_model: DataModel,
    pub(crate) xmpp: bool,
    pub(crate) stun: bool,
}

/// A tree in depth-first order: the descendants of entry `i` are `i + 1 .. end`.
#[derive(Debug, Default)]
pub(crate) struct Template {
    pub(super) entries: Vec<Entry>,
    index: HashMap<Box<str>, usize>,
    /// Where the parameters of each Inform stand.
    pub(super) forced_inform: Vec<usize>,
}

/// An object or a parameter.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Below the template's own root; objects end in a dot.
    pub(super) path: Box<str>,
    pub(super) end: usize,
    pub(super) what: Place,
}

#[derive(Debug)]
pub(super) enum Place {
    Object,
    /// Rows can be added where `writable`; each looks like `row`.
    Table {
        writable: bool,
        rows: u32,
        row: Template,
    },
    /// A row that is there at first.
    Row {
        deletable: bool,
    },
    Leaf(Leaf),
}

impl Template {
    /// The template of a kind of device; made once per process.
    pub(crate) fn of(features: Features) -> &'static Template {
        static TEMPLATES: [OnceLock<Template>; 8] = [const { OnceLock::new() }; 8];
        let number = usize::from(features.data_model == DataModel::Tr181)
            | usize::from(features.xmpp) << 1
            | usize::from(features.stun) << 2;
        match TEMPLATES.get(number) {
            Some(template) => template.get_or_init(|| Template::build(features)),
            None => {
                static NOTHING: OnceLock<Template> = OnceLock::new();
                NOTHING.get_or_init(Template::default)
            }
        }
    }

    fn build(features: Features) -> Template {
        let text = match features.data_model {
            DataModel::Tr181 => include_str!("tr181.model"),
            DataModel::Tr098 => include_str!("tr098.model"),
        };
        let mut lines = Vec::new();
        let mut left_out_below = usize::MAX;
        for line in notation::lines(text).flatten() {
            if line.depth > left_out_below {
                continue;
            }
            left_out_below = match line.feature {
                Some("xmpp") if !features.xmpp => line.depth,
                Some("stun") if !features.stun => line.depth,
                _ => usize::MAX,
            };
            if left_out_below == usize::MAX {
                lines.push(line);
            }
        }
        let mut template = Template::default();
        template.add(&lines, "");
        template.finish()
    }

    /// Adds siblings, with all below them, under `base`.
    fn add(&mut self, mut lines: &[notation::Line<'_>], base: &str) {
        while let Some((line, rest)) = lines.split_first() {
            let below = rest
                .iter()
                .take_while(|next| next.depth > line.depth)
                .count();
            let (inside, siblings) = rest.split_at(below);
            lines = siblings;
            match &line.what {
                What::Leaf(leaf) => {
                    self.push(format!("{base}{}", line.name), Place::Leaf(leaf.clone()));
                }
                What::Object => {
                    let path = format!("{base}{}.", line.name);
                    let at = self.push(path.clone(), Place::Object);
                    self.add(inside, &path);
                    self.close(at);
                }
                What::Table { writable, rows } => {
                    let path = format!("{base}{}.", line.name);
                    let row = Template::row(inside);
                    let table = Place::Table {
                        writable: *writable,
                        rows: *rows,
                        row,
                    };
                    let at = self.push(path.clone(), table);
                    for instance in 1..=*rows {
                        let row_path = format!("{path}{instance}.");
                        let row_at = self.push(
                            row_path.clone(),
                            Place::Row {
                                deletable: *writable,
                            },
                        );
                        self.add(inside, &row_path);
                        self.close(row_at);
                    }
                    self.close(at);
                }
            }
        }
    }

    /// What a new row of a table has: its tables are empty.
    fn row(lines: &[notation::Line<'_>]) -> Template {
        let mut row = Template::default();
        row.add_empty(lines, "");
        row.finish()
    }

    fn add_empty(&mut self, mut lines: &[notation::Line<'_>], base: &str) {
        while let Some((line, rest)) = lines.split_first() {
            let below = rest
                .iter()
                .take_while(|next| next.depth > line.depth)
                .count();
            let (inside, siblings) = rest.split_at(below);
            lines = siblings;
            match &line.what {
                What::Leaf(leaf) => {
                    self.push(format!("{base}{}", line.name), Place::Leaf(leaf.clone()));
                }
                What::Object => {
                    let path = format!("{base}{}.", line.name);
                    let at = self.push(path.clone(), Place::Object);
                    self.add_empty(inside, &path);
                    self.close(at);
                }
                What::Table { writable, .. } => {
                    let row = Template::row(inside);
                    let table = Place::Table {
                        writable: *writable,
                        rows: 0,
                        row,
                    };
                    let at = self.push(format!("{base}{}.", line.name), table);
                    self.close(at);
                }
            }
        }
    }

    fn push(&mut self, path: String, what: Place) -> usize {
        let at = self.entries.len();
        let path = path.into_boxed_str();
        self.entries.push(Entry {
            path,
            end: at + 1,
            what,
        });
        at
    }

    fn close(&mut self, at: usize) {
        let end = self.entries.len();
        if let Some(entry) = self.entries.get_mut(at) {
            entry.end = end;
        }
    }

    fn finish(mut self) -> Template {
        let places = self.entries.iter().enumerate();
        self.index = places.map(|(at, entry)| (entry.path.clone(), at)).collect();
        let places = self.entries.iter().enumerate();
        self.forced_inform = places
            .filter(|(_, entry)| matches!(&entry.what, Place::Leaf(leaf) if leaf.forced_inform))
            .map(|(at, _)| at)
            .collect();
        self
    }

    /// The entry with this path, and where it stands.
    pub(super) fn find(&self, path: &str) -> Option<(usize, &Entry)> {
        let at = *self.index.get(path)?;
        Some((at, self.entries.get(at)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(data_model: DataModel, xmpp: bool, stun: bool) -> usize {
        let template = Template::of(Features {
            data_model,
            xmpp,
            stun,
        });
        let places = template.entries.iter();
        places
            .filter(|entry| matches!(entry.what, Place::Leaf(_)))
            .count()
    }

    #[test]
    fn every_line_of_the_models_is_read() {
        for text in [include_str!("tr181.model"), include_str!("tr098.model")] {
            let bad: Vec<&str> = notation::lines(text).filter_map(Result::err).collect();
            assert_eq!(bad, Vec::<&str>::new());
        }
    }

    #[test]
    fn both_models_have_at_least_300_parameters() {
        for data_model in [DataModel::Tr098, DataModel::Tr181] {
            let plain = leaves(data_model, false, false);
            assert!(plain >= 300, "{data_model:?}: {plain}");
            assert!(leaves(data_model, true, false) > plain);
            assert!(leaves(data_model, false, true) > plain);
        }
    }

    #[test]
    fn no_path_comes_twice() {
        for data_model in [DataModel::Tr098, DataModel::Tr181] {
            let template = Template::of(Features {
                data_model,
                xmpp: true,
                stun: true,
            });
            assert_eq!(template.index.len(), template.entries.len());
        }
    }
}
