//! What a query can ask for: fields with names, and parameters by their paths.

use std::fmt;

/// What the values of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text. In order, its digits count as numbers: `1.9.2` is before `1.10`.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A decimal number.
    Number,
    /// A time; may be asked for as it is, or for its age.
    Time,
    /// `true` or `false`.
    Flag,
}

/// A field with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// As in the API.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
}

/// The fields that queries of one sort of thing know.
#[derive(Debug, Clone, Copy)]
pub struct Vocabulary {
    /// What there is one of, for people: `device`.
    pub of: &'static str,
    /// Its fields.
    pub fields: &'static [Named],
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// A field with a name.
    Named {
        /// Which.
        named: &'static Named,
        /// Its place in [`Vocabulary::fields`].
        position: usize,
    },
    /// A parameter, or those below a partial path; `*` stands for any one segment.
    Path(Box<str>),
}

impl Vocabulary {
    /// The field of this name, or the parameter at this path.
    pub(super) fn field(&self, text: &str) -> Option<Field> {
        let known = self.fields.iter().enumerate();
        let mut known = known.filter(|(_, named)| named.name == text);
        if let Some((position, named)) = known.next() {
            return Some(Field::Named { named, position });
        }
        let is_path = text.contains('.') && cwmp::Path::parse(text).is_ok();
        is_path.then(|| Field::Path(text.into()))
    }

    /// For the error: what could have been meant.
    pub(super) fn expected(&self) -> String {
        let names: Vec<&str> = self.fields.iter().map(|named| named.name).collect();
        format!(
            "a field of a {} ({}) or a parameter's path",
            self.of,
            names.join(", ")
        )
    }
}

impl Field {
    /// What its values are; those of parameters are texts, and numbers if they are compared
    /// with one.
    pub fn kind(&self) -> Kind {
        match self {
            Field::Named { named, .. } => named.kind,
            Field::Path(_) => Kind::Text,
        }
    }

    /// The parameter's path.
    pub fn path(&self) -> Option<&str> {
        match self {
            Field::Named { .. } => None,
            Field::Path(path) => Some(path),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::Named { named, .. } => named.name,
            Field::Path(path) => path,
        })
    }
}
