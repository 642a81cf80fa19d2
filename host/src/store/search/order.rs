//! In which order devices are found, and where a page begins.

use std::cmp::Ordering;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::query::{DEVICES, Datum, DeviceField, Field, Subject, natural};

/// Fields that devices are sorted by.
const KEYS_MAX: usize = 4;

/// The order: by some fields, then by the id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sort(Vec<SortKey>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct SortKey {
    field: Field,
    descending: bool,
}

impl Sort {
    /// `-last_contact,serial_number`: fields, the last ones first with a `-`. Blank: by the id.
    ///
    /// # Errors
    /// A sentence with what was expected and what came.
    pub fn parse(text: &str) -> Result<Sort, String> {
        let mut keys = Vec::new();
        for name in text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            let (descending, name) = match name.strip_prefix('-') {
                Some(name) => (true, name),
                None => (false, name),
            };
            let known = DEVICES.fields.iter().enumerate();
            let mut known = known.filter(|(_, named)| named.name == name);
            let (position, named) = known.next().ok_or_else(|| {
                let names: Vec<&str> = DEVICES.fields.iter().map(|named| named.name).collect();
                let names = names.join(", ");
                format!("expected fields to sort by (of {names}), got {name:?}")
            })?;
            keys.push(SortKey {
                field: Field::Named { named, position },
                descending,
            });
        }
        if keys.len() > KEYS_MAX {
            let found = keys.len();
            return Err(format!(
                "expected at most {KEYS_MAX} fields to sort by, got {found}"
            ));
        }
        Ok(Sort(keys))
    }

    /// Whether it is by the id alone.
    pub(super) fn is_by_id(&self) -> bool {
        match self.0.as_slice() {
            [] => true,
            [key] => !key.descending && key.is(DeviceField::Id),
            _ => false,
        }
    }

    /// Where a subject is.
    pub(super) fn place(&self, subject: &impl Subject, id: &str) -> Place {
        let values = self.0.iter().map(|key| Part::of(subject, &key.field));
        Place {
            parts: values.collect(),
            id: id.to_owned(),
        }
    }

    pub(super) fn compare(&self, one: &Place, other: &Place) -> Ordering {
        let parts = one.parts.iter().zip(&other.parts);
        for ((one, other), key) in parts.zip(&self.0) {
            let order = one.compare(other);
            if order.is_ne() {
                return if key.descending {
                    order.reverse()
                } else {
                    order
                };
            }
        }
        one.id.cmp(&other.id)
    }

    /// What to ask for to get the page after this place.
    pub(super) fn cursor(&self, place: &Place) -> String {
        if self.is_by_id() {
            return place.id.clone();
        }
        let cursor = Cursor {
            sort: self.to_string(),
            place: place.clone(),
        };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).unwrap_or_default())
    }

    /// The place that [`Sort::cursor`] wrote.
    ///
    /// # Errors
    /// A sentence with what was expected.
    pub(super) fn after(&self, cursor: &str) -> Result<Place, String> {
        if self.is_by_id() {
            return Ok(Place {
                parts: Vec::new(),
                id: cursor.to_owned(),
            });
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
        let read: Option<Cursor> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        read.filter(|read| read.sort == self.to_string() && read.place.parts.len() == self.0.len())
            .map(|read| read.place)
            .ok_or_else(|| "expected as `after` the `next` of a page with the same `sort`".into())
    }
}

impl SortKey {
    fn is(&self, field: DeviceField) -> bool {
        matches!(self.field, Field::Named { position, .. } if DeviceField::at(position) == Some(field))
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, key) in self.0.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            let minus = if key.descending { "-" } else { "" };
            write!(f, "{comma}{minus}{}", key.field)?;
        }
        Ok(())
    }
}

/// The place of a device in an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    parts: Vec<Part>,
    pub(super) id: String,
}

#[derive(Serialize, Deserialize)]
struct Cursor {
    sort: String,
    place: Place,
}

/// One value of a place; devices without one come first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Part {
    Nothing(()),
    Number(i64),
    Text(String),
}

impl Part {
    fn of(subject: &impl Subject, field: &Field) -> Part {
        let mut part = Part::Nothing(());
        subject.any(field, &mut |datum| {
            part = match datum {
                Datum::Text(text) | Datum::Parameter { value: text, .. } => {
                    Part::Text(text.to_owned())
                }
                Datum::Number(number) | Datum::Time(number) => Part::Number(number),
                Datum::Flag(flag) => Part::Number(i64::from(flag)),
                Datum::Hidden => return false,
            };
            true
        });
        part
    }

    fn compare(&self, other: &Part) -> Ordering {
        let rank = |part: &Part| match part {
            Part::Nothing(()) => 0,
            Part::Number(_) => 1,
            Part::Text(_) => 2,
        };
        match (self, other) {
            (Part::Number(one), Part::Number(other)) => one.cmp(other),
            (Part::Text(one), Part::Text(other)) => {
                natural(one, other).then_with(|| one.cmp(other))
            }
            _ => rank(self).cmp(&rank(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_cursors() {
        let sort = Sort::parse(" -last_contact, serial_number").unwrap();
        assert_eq!(sort.to_string(), "-last_contact,serial_number");
        let place = |at: i64, serial: &str, id: &str| Place {
            parts: vec![Part::Number(at), Part::Text(serial.into())],
            id: id.into(),
        };
        let places = [
            place(9, "S9", "b"),
            place(9, "S10", "a"),
            place(9, "S10", "b"),
            place(8, "S1", "a"),
        ];
        for pair in places.windows(2) {
            assert_eq!(sort.compare(&pair[0], &pair[1]), Ordering::Less, "{pair:?}");
        }
        let cursor = sort.cursor(&places[0]);
        assert_eq!(sort.after(&cursor), Ok(places[0].clone()));
        let other = Sort::parse("last_contact,serial_number").unwrap();
        assert!(other.after(&cursor).is_err());
        assert!(sort.after("not one").is_err());
        for by_id in ["", "id"] {
            let sort = Sort::parse(by_id).unwrap();
            assert_eq!(sort.cursor(&places[0]), "b");
            assert_eq!(sort.after("b").unwrap().id, "b");
        }
        for none in ["colour", "--id", "Device.X", "id,id,id,id,id"] {
            assert!(Sort::parse(none).is_err(), "{none}");
        }
    }
}
