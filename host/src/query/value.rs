//! What fields are compared with, and how.

use std::cmp::Ordering;
use std::fmt;

use super::Datum;
use crate::device::UnixTime;

/// A text in which `*` stood for any text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    /// What stands between the wildcards: one piece if there is none.
    pieces: Box<[Box<str>]>,
}

impl Pattern {
    /// Without a wildcard.
    pub fn literal(text: &str) -> Pattern {
        Pattern {
            pieces: [text.into()].into(),
        }
    }

    /// What stands between its wildcards.
    pub(super) fn of(pieces: Vec<String>) -> Pattern {
        Pattern {
            pieces: pieces.into_iter().map(String::into_boxed_str).collect(),
        }
    }

    /// The text, if it has no wildcard.
    pub fn as_literal(&self) -> Option<&str> {
        match &*self.pieces {
            [text] => Some(text),
            _ => None,
        }
    }

    /// What every text that matches begins with.
    pub fn prefix(&self) -> &str {
        self.pieces.first().map_or("", |piece| piece)
    }

    /// Whether any text with this prefix matches: there is one wildcard, at the end.
    pub fn is_prefix(&self) -> bool {
        matches!(&*self.pieces, [_, end] if end.is_empty())
    }

    /// Whether the whole text is this.
    pub fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else {
            return false;
        };
        let Some(mut left) = text.strip_prefix(&**first) else {
            return false;
        };
        let Some((last, between)) = rest.split_last() else {
            return left.is_empty();
        };
        for piece in between {
            let Some(at) = left.find(&**piece) else {
                return false;
            };
            left = left.get(at + piece.len()..).unwrap_or_default();
        }
        left.ends_with(&**last)
    }

    /// Whether the text has this in it, whatever the case of ASCII letters.
    pub fn is_in(&self, text: &str) -> bool {
        let mut left = text.as_bytes();
        for piece in &self.pieces {
            let piece = piece.as_bytes();
            let Some(at) = find_ignoring_case(left, piece) else {
                return false;
            };
            left = left.get(at + piece.len()..).unwrap_or_default();
        }
        true
    }
}

fn find_ignoring_case(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let Some(first) = wanted.first() else {
        return Some(0);
    };
    let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    let last = text.len().checked_sub(wanted.len())?;
    let starts = text.get(..=last)?;
    memchr::memchr2_iter(lower, upper, starts).find(|at| {
        text.get(*at..*at + wanted.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(wanted))
    })
}

impl fmt::Display for Pattern {
    /// In quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        f.write_char('"')?;
        for (number, piece) in self.pieces.iter().enumerate() {
            if number > 0 {
                f.write_char('*')?;
            }
            for c in piece.chars() {
                if matches!(c, '"' | '\\' | '*') {
                    f.write_char('\\')?;
                }
                f.write_char(c)?;
            }
        }
        f.write_char('"')
    }
}

/// A decimal number, as it was written: of any length, compared exactly.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Number(Box<str>);

/// A decimal number taken apart.
#[derive(PartialEq, Eq)]
struct Decimal<'t> {
    negative: bool,
    /// Without zeros before it.
    whole: &'t str,
    /// Without zeros after it.
    fraction: &'t str,
}

impl Number {
    /// `-12.5`
    pub fn parse(text: &str) -> Option<Number> {
        Decimal::parse(text).map(|_| Number(text.into()))
    }

    fn compare(&self, text: &str) -> Option<Ordering> {
        Some(Decimal::parse(text)?.cmp(&Decimal::parse(&self.0)?))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'t> Decimal<'t> {
    fn parse(text: &'t str) -> Option<Decimal<'t>> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let are_digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !are_digits(whole) || !are_digits(fraction) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        let is_zero = whole.is_empty() && fraction.is_empty();
        Some(Decimal {
            negative: negative && !is_zero,
            whole,
            fraction,
        })
    }

    fn cmp(&self, other: &Decimal<'_>) -> Ordering {
        let magnitude = |one: &Decimal<'_>, other: &Decimal<'_>| {
            let whole = one.whole.len().cmp(&other.whole.len());
            let whole = whole.then_with(|| one.whole.cmp(other.whole));
            whole.then_with(|| one.fraction.cmp(other.fraction))
        };
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => magnitude(self, other),
            (true, true) => magnitude(other, self),
        }
    }
}

/// What a field is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// A text; with wildcards only for `=`, `!=`, `contains` and `in`.
    Text(Pattern),
    /// A number.
    Number(Number),
    /// A time.
    Time(UnixTime),
    /// `true` or `false`.
    Flag(bool),
}

impl Value {
    /// Whether a value of the subject is this one.
    pub(super) fn is(&self, datum: Datum<'_>) -> bool {
        match (self, datum.text()) {
            (Value::Text(pattern), Some(text)) => pattern.matches(text),
            _ => self.compare(datum) == Some(Ordering::Equal),
        }
    }

    /// How a value of the subject stands to this one; `None`: they cannot be compared.
    pub(super) fn compare(&self, datum: Datum<'_>) -> Option<Ordering> {
        match (self, datum) {
            (Value::Text(pattern), _) => Some(natural(datum.text()?, pattern.as_literal()?)),
            (Value::Number(number), Datum::Number(other)) => number.compare(&other.to_string()),
            (Value::Number(number), _) => number.compare(datum.text()?.trim()),
            (Value::Time(time), Datum::Time(other)) => Some(other.cmp(time)),
            (Value::Flag(flag), Datum::Flag(other)) => Some(other.cmp(flag)),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(pattern) => pattern.fmt(f),
            Value::Number(number) => number.fmt(f),
            Value::Time(time) => match jiff::Timestamp::from_second(*time) {
                Ok(time) => time.fmt(f),
                Err(_) => time.fmt(f),
            },
            Value::Flag(flag) => flag.fmt(f),
        }
    }
}

/// The order of texts with numbers in them: runs of digits count as numbers.
pub fn natural(one: &str, other: &str) -> Ordering {
    let (mut left, mut right) = (one.as_bytes(), other.as_bytes());
    while let (Some(a), Some(b)) = (left.first(), right.first()) {
        if a.is_ascii_digit() && b.is_ascii_digit() {
            let ((a, left_rest), (b, right_rest)) = (digits(left), digits(right));
            let order = a.len().cmp(&b.len()).then_with(|| a.cmp(b));
            if order.is_ne() {
                return order;
            }
            (left, right) = (left_rest, right_rest);
        } else if a == b {
            left = left.get(1..).unwrap_or_default();
            right = right.get(1..).unwrap_or_default();
        } else {
            return a.cmp(b);
        }
    }
    left.len().cmp(&right.len())
}

/// The digits that a text begins with, without zeros before them, and what comes after.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    (digits.get(zeros..).unwrap_or_default(), rest)
}

/// Units of an age, the largest first.
const UNITS: [(char, u32); 5] = [
    ('w', 604_800),
    ('d', 86_400),
    ('h', 3_600),
    ('m', 60),
    ('s', 1),
];

/// Seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Age(pub u32);

impl Age {
    /// `90s`, `30m`, `2h`, `1d12h`, `2w`
    pub(super) fn parse(text: &str) -> Option<Age> {
        let mut seconds = 0_u32;
        let mut rest = text;
        while !rest.is_empty() {
            let unit_at = rest.find(|c: char| !c.is_ascii_digit())?;
            let (number, after) = rest.split_at(unit_at);
            let unit = after.chars().next()?;
            let (_, of_unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
            let count: u32 = number.parse().ok()?;
            seconds = seconds.checked_add(count.checked_mul(*of_unit)?)?;
            rest = after.get(1..).unwrap_or_default();
        }
        (!text.is_empty()).then_some(Age(seconds))
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, seconds): &&(char, u32)| self.0.is_multiple_of(*seconds) && self.0 > 0;
        match UNITS.iter().find(fits) {
            Some((unit, seconds)) => write!(f, "{}{unit}", self.0 / seconds),
            None => write!(f, "{}s", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::of(text.split('*').map(str::to_owned).collect())
    }

    #[test]
    fn patterns() {
        for (wanted, text, matches) in [
            ("AB", "AB", true),
            ("AB", "ABC", false),
            ("AB*", "ABC", true),
            ("AB*", "XAB", false),
            ("*AB", "XAB", true),
            ("A*B", "AB", true),
            ("A*A", "A", false),
            ("A*B*C", "AxBxC", true),
            ("A*B*C", "AxCxB", false),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
            ("*é*", "café au lait", true),
        ] {
            assert_eq!(pattern(wanted).matches(text), matches, "{wanted} {text}");
        }
        assert!(pattern("home6").is_in("NL-Home6"));
        assert!(pattern("nl*6").is_in("x NL-Home6 x"));
        assert!(!pattern("nl*7").is_in("NL-Home6"));
        assert!(pattern("").is_in(""));
    }

    #[test]
    fn numbers_of_any_length() {
        let compare = |one: &str, other: &str| Number::parse(other).unwrap().compare(one);
        for (one, other, order) in [
            ("1", "1.0", Ordering::Equal),
            ("007", "7", Ordering::Equal),
            ("-0", "0", Ordering::Equal),
            ("9", "10", Ordering::Less),
            ("-9", "-10", Ordering::Greater),
            ("-1", "1", Ordering::Less),
            ("1.25", "1.3", Ordering::Less),
            (
                "18446744073709551616",
                "18446744073709551615",
                Ordering::Greater,
            ),
        ] {
            assert_eq!(compare(one, other), Some(order), "{one} {other}");
        }
        for none in ["", "-", "1.", ".5", "1e3", "0x1", "1.2.3", "٣"] {
            assert_eq!(Number::parse(none), None, "{none}");
        }
    }

    #[test]
    fn versions_are_in_their_order() {
        let sorted = [
            "1.2", "1.2.1", "1.2.9", "1.2.10", "1.10", "2.0-rc1", "2.0-rc02", "V1",
        ];
        for pair in sorted.windows(2) {
            assert_eq!(natural(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
        assert_eq!(natural("1.02", "1.2"), Ordering::Equal);
    }

    #[test]
    fn ages() {
        for (text, seconds) in [("90s", 90), ("2h", 7_200), ("1d12h", 129_600), ("0s", 0)] {
            assert_eq!(Age::parse(text), Some(Age(seconds)), "{text}");
            assert_eq!(Age::parse(&Age(seconds).to_string()), Some(Age(seconds)));
        }
        for none in ["", "2", "h", "2 h", "2y", "99999999999w", "7102w", "2hé"] {
            assert_eq!(Age::parse(none), None, "{none}");
        }
        assert_eq!(Age(5_400).to_string(), "90m");
    }
}
