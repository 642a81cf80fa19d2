//! THE QUERY LANGUAGE: which devices, which events.
//!
//! ```text
//! SIM0001                                              what a person types: any part of what tells a device
//! tag = vip and not mode = short-inform
//! software_version < 3.5 and serial_number = "AB*"
//! Device.DeviceInfo.UpTime > 86400 or age(last_contact) > 2h
//! Device.WiFi.SSID.*.SSID in (office, "guest net") has(label)
//! ```
//!
//! A field may have several values (tags, `*` in a path): a condition holds if it holds for any of
//! them. Of a field without a value no comparison holds; `a != b` is `not a = b`.
//! What it does not do: know where its subjects are kept, read a clock.

mod devices;
mod error;
mod field;
mod lex;
mod parse;
mod print;
mod value;

#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use crate::device::UnixTime;

pub use devices::{DEVICES, DeviceField};
pub use error::QueryError;
pub use field::{Field, Kind, Named, Vocabulary};
pub use parse::{CONDITIONS_MAX, DEPTH_MAX, QUERY_CHARS_MAX, VALUES_MAX};
pub use value::{Age, Number, Pattern, Value, natural};

/// A query. Its text (`to_string`) is parsed to the same query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    root: Node,
}

/// A condition, or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// Everything matches.
    All,
    /// Two or more.
    And(Vec<Node>),
    /// Two or more.
    Or(Vec<Node>),
    Not(Box<Node>),
    /// In any of the texts that tell the subject from others.
    Word(Pattern),
    /// There is a value, or at least a name.
    Has(Field),
    Is {
        field: Field,
        operator: Operator,
        value: Value,
    },
    Contains {
        field: Field,
        pattern: Pattern,
    },
    In {
        field: Field,
        values: Vec<Value>,
    },
    Age {
        field: Field,
        operator: Operator,
        age: Age,
    },
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Is,
    IsNot,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// A value of a subject.
#[derive(Debug, Clone, Copy)]
pub enum Datum<'a> {
    /// A text, or one of the words of a field.
    Text(&'a str),
    /// A number.
    Number(i64),
    /// A time.
    Time(UnixTime),
    /// True or false.
    Flag(bool),
    /// A parameter's value, and when it was read.
    Parameter {
        /// Its text.
        value: &'a str,
        /// When it was last read or confirmed.
        read_at: UnixTime,
    },
    /// It is there, but its value is not known, or nobody's business.
    Hidden,
}

/// What a query is asked about.
pub trait Subject {
    /// Whether `test` holds for any value of the field: stops at the first. `None`: these values are
    /// not at hand.
    fn any(&self, field: &Field, test: &mut dyn FnMut(Datum<'_>) -> bool) -> Option<bool>;

    /// Whether `test` holds for any of the texts that tell it from others. `None`: for none of those
    /// at hand, and there are more.
    fn any_identifying(&self, test: &mut dyn FnMut(&str) -> bool) -> Option<bool>;
}

impl Query {
    /// A query for devices. Blank: all of them.
    ///
    /// # Errors
    /// [`QueryError`] says where and why.
    pub fn parse(text: &str) -> Result<Query, QueryError> {
        Query::parse_for(&DEVICES, text)
    }

    /// A query for what has these fields. Blank: everything.
    ///
    /// # Errors
    /// [`QueryError`] says where and why.
    pub fn parse_for(vocabulary: &'static Vocabulary, text: &str) -> Result<Query, QueryError> {
        let root = parse::parse(text, vocabulary)?;
        Ok(Query { root })
    }

    /// The query that everything matches.
    pub fn all() -> Query {
        Query { root: Node::All }
    }

    /// Whether everything matches.
    pub fn is_all(&self) -> bool {
        self.root == Node::All
    }

    /// What matches both.
    #[must_use]
    pub fn and(self, other: Query) -> Query {
        let root = match (self.root, other.root) {
            (Node::All, root) | (root, Node::All) => root,
            (one, other) => Node::And(vec![one, other]),
        };
        Query { root }
    }

    /// What matches one of both.
    #[must_use]
    pub fn or(self, other: Query) -> Query {
        let root = match (self.root, other.root) {
            (Node::All, _) | (_, Node::All) => Node::All,
            (one, other) => Node::Or(vec![one, other]),
        };
        Query { root }
    }

    /// Whether the subject matches; one whose values are not at hand does not.
    pub fn matches(&self, subject: &impl Subject, now: UnixTime) -> bool {
        self.judge(subject, now) == Some(true)
    }

    /// Whether the subject matches; `None`: what is at hand does not tell.
    pub fn judge(&self, subject: &impl Subject, now: UnixTime) -> Option<bool> {
        self.root.judge(subject, now)
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    /// The paths of the parameters that it asks for.
    pub fn paths(&self) -> Vec<&str> {
        let mut paths = Vec::new();
        self.root
            .each_field(&mut |field| paths.extend(field.path()));
        paths
    }
}

impl std::str::FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Query, QueryError> {
        Query::parse(text)
    }
}

impl Node {
    fn judge(&self, subject: &impl Subject, now: UnixTime) -> Option<bool> {
        match self {
            Node::All => Some(true),
            Node::And(nodes) => decided(nodes, false, |node| node.judge(subject, now)),
            Node::Or(nodes) => decided(nodes, true, |node| node.judge(subject, now)),
            Node::Not(node) => node.judge(subject, now).map(|is| !is),
            Node::Word(pattern) => subject.any_identifying(&mut |text| pattern.is_in(text)),
            Node::Has(field) => subject.any(field, &mut |_| true),
            Node::Is {
                field,
                operator,
                value,
            } => match operator {
                Operator::Is => subject.any(field, &mut |datum| value.is(datum)),
                Operator::IsNot => subject
                    .any(field, &mut |datum| value.is(datum))
                    .map(|is| !is),
                order => subject.any(field, &mut |datum| order.holds(value.compare(datum))),
            },
            Node::Contains { field, pattern } => subject.any(field, &mut |datum| {
                datum.text().is_some_and(|text| pattern.is_in(text))
            }),
            Node::In { field, values } => subject.any(field, &mut |datum| {
                values.iter().any(|value| value.is(datum))
            }),
            Node::Age {
                field,
                operator,
                age,
            } => subject.any(field, &mut |datum| {
                let since = datum.time().map(|time| now.saturating_sub(time));
                operator.holds(since.map(|since| since.cmp(&i64::from(age.0))))
            }),
        }
    }

    fn each_field<'n>(&'n self, visit: &mut impl FnMut(&'n Field)) {
        match self {
            Node::All | Node::Word(_) => {}
            Node::And(nodes) | Node::Or(nodes) => {
                for node in nodes {
                    node.each_field(visit);
                }
            }
            Node::Not(node) => node.each_field(visit),
            Node::Has(field)
            | Node::Is { field, .. }
            | Node::Contains { field, .. }
            | Node::In { field, .. }
            | Node::Age { field, .. } => visit(field),
        }
    }
}

/// `decisive` as soon as one of them is that; otherwise what is left open stays open.
fn decided(
    nodes: &[Node],
    decisive: bool,
    mut judge: impl FnMut(&Node) -> Option<bool>,
) -> Option<bool> {
    let mut result = Some(!decisive);
    for node in nodes {
        match judge(node) {
            Some(is) if is == decisive => return Some(decisive),
            Some(_) => {}
            None => result = None,
        }
    }
    result
}

impl Operator {
    fn is_order(self) -> bool {
        !matches!(self, Operator::Is | Operator::IsNot)
    }

    /// Whether it holds for a value that stands so to the one compared with.
    fn holds(self, order: Option<Ordering>) -> bool {
        order.is_some_and(|order| match self {
            Operator::Is => order.is_eq(),
            Operator::IsNot => order.is_ne(),
            Operator::Less => order.is_lt(),
            Operator::AtMost => order.is_le(),
            Operator::Greater => order.is_gt(),
            Operator::AtLeast => order.is_ge(),
        })
    }
}

impl<'a> Datum<'a> {
    fn text(self) -> Option<&'a str> {
        match self {
            Datum::Text(text) | Datum::Parameter { value: text, .. } => Some(text),
            Datum::Number(_) | Datum::Time(_) | Datum::Flag(_) | Datum::Hidden => None,
        }
    }

    fn time(self) -> Option<UnixTime> {
        match self {
            Datum::Time(time) | Datum::Parameter { read_at: time, .. } => Some(time),
            Datum::Text(_) | Datum::Number(_) | Datum::Flag(_) | Datum::Hidden => None,
        }
    }
}
