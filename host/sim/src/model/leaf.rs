//! A parameter of the template: its type, what may be written, what it is at first.

use cwmp::XsdType;

/// What the standard says of one parameter, and its values before anybody wrote it.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub(crate) kind: Kind,
    pub(crate) writable: bool,
    /// Reads as an empty string, whatever was written.
    pub(crate) hidden: bool,
    /// In every Inform.
    pub(crate) forced_inform: bool,
    /// Active notification, always.
    pub(crate) forced_active: bool,
    pub(crate) limit: Limit,
    /// In a row that AddObject makes.
    pub(crate) fresh: Box<str>,
    /// In the rows that are there at first, by instance number; the last stands for all further ones.
    pub(crate) rows: Box<[Box<str>]>,
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Boolean,
    Int,
    UnsignedInt,
    UnsignedLong,
    DateTime,
    Hex,
}

/// Which values of its type a parameter takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Limit {
    None,
    /// At most as many characters.
    Chars(usize),
    Range(i64, i64),
    OneOf(Box<[Box<str>]>),
}

impl Kind {
    pub(crate) fn xsd_type(self) -> XsdType {
        match self {
            Kind::Text => XsdType::STRING,
            Kind::Boolean => XsdType::BOOLEAN,
            Kind::Int => XsdType::INT,
            Kind::UnsignedInt => XsdType::UNSIGNED_INT,
            Kind::UnsignedLong => XsdType::UNSIGNED_LONG,
            Kind::DateTime => XsdType::DATE_TIME,
            Kind::Hex => XsdType::HEX_BINARY,
        }
    }

    fn zero(self) -> &'static str {
        match self {
            Kind::Text | Kind::Hex => "",
            Kind::Boolean | Kind::Int | Kind::UnsignedInt | Kind::UnsignedLong => "0",
            Kind::DateTime => "0001-01-01T00:00:00Z",
        }
    }
}

impl Leaf {
    /// The value in row `instance` of those that are there at first.
    pub(crate) fn initial(&self, instance: u32) -> &str {
        let at = usize::try_from(instance).unwrap_or(usize::MAX).max(1) - 1;
        let value = self.rows.get(at).or(self.rows.last());
        value.map_or(self.kind.zero(), |value| value)
    }

    /// The value in a row that AddObject made.
    pub(crate) fn of_new_row(&self) -> &str {
        if self.fresh.is_empty() {
            self.kind.zero()
        } else {
            &self.fresh
        }
    }

    /// The value as it is stored, or the fault code for it (A.3.2.1).
    pub(crate) fn accept(
        &self,
        value: &str,
        xsd_type: &XsdType,
        digits_only: bool,
    ) -> Result<Box<str>, u32> {
        if *xsd_type != self.kind.xsd_type() {
            return Err(9006);
        }
        let stored = match self.kind {
            Kind::Boolean => match (value, digits_only) {
                ("1", _) | ("true", false) => "1",
                ("0", _) | ("false", false) => "0",
                _ => return Err(9007),
            },
            Kind::Int if value.parse::<i32>().is_err() => return Err(9007),
            Kind::UnsignedInt if value.parse::<u32>().is_err() => return Err(9007),
            Kind::UnsignedLong if value.parse::<u64>().is_err() => return Err(9007),
            Kind::Hex if !value.bytes().all(|byte| byte.is_ascii_hexdigit()) => return Err(9007),
            Kind::DateTime if !looks_like_date_time(value) => return Err(9007),
            _ => value,
        };
        if self.limit.allows(stored) {
            Ok(stored.into())
        } else {
            Err(9007)
        }
    }
}

impl Limit {
    pub(crate) fn allows(&self, value: &str) -> bool {
        match self {
            Limit::None => true,
            Limit::Chars(max) => value.chars().count() <= *max,
            Limit::Range(low, high) => value
                .parse::<i64>()
                .is_ok_and(|number| (*low..=*high).contains(&number)),
            Limit::OneOf(values) => values.iter().any(|allowed| **allowed == *value),
        }
    }
}

/// `2024-03-01T08:00:00` and anything behind it.
fn looks_like_date_time(value: &str) -> bool {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    value.len() >= SHAPE.len()
        && value.bytes().zip(SHAPE).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            literal => byte == *literal,
        })
}
