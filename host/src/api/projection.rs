//! Some fields of devices: the ones that were asked for, as JSON and as cells of a table.

use std::collections::BTreeMap;

use serde_json::Value;

use super::error::{ApiError, time};
use crate::device::UnixTime;
use crate::export::FORMULA;
use crate::query::{Datum, DeviceField};
use crate::store::{Fields, Found, Listed};

/// Fields of one request.
const COLUMNS_MAX: usize = 50;
/// What a table has if nobody says what: what the import takes, and who it is for people.
const USUAL: [&str; 13] = [
    "id",
    "oui",
    "product_class",
    "serial_number",
    "tags",
    "label",
    "username",
    "manufacturer",
    "software_version",
    "provisioning_code",
    "mode",
    "first_contact",
    "last_contact",
];
/// Between the tags of a cell.
const BETWEEN_TAGS: char = ';';

/// What is shown of each device.
pub(super) struct Columns(Vec<Column>);

struct Column {
    name: String,
    shows: Shows,
}

enum Shows {
    Field(DeviceField),
    Instance,
    /// With what it is expected to log in.
    Username,
    Password,
    /// A parameter, or those of a pattern.
    Parameters(String),
}

impl Columns {
    /// `id,tags,Device.DeviceInfo.UpTime`
    pub(super) fn parse(fields: &str) -> Result<Columns, ApiError> {
        let names = fields.split(',').map(str::trim);
        let columns: Result<Vec<Column>, ApiError> = names.map(column).collect();
        let columns = columns?;
        match columns.len() {
            1..=COLUMNS_MAX => Ok(Columns(columns)),
            found => Err(ApiError::bad(format!(
                "expected at most {COLUMNS_MAX} fields, got {found}"
            ))),
        }
    }

    /// What a table shows.
    pub(super) fn of_table(fields: Option<&str>) -> Result<Columns, ApiError> {
        let columns = match fields {
            Some(fields) => Columns::parse(fields)?,
            None => Columns::parse(&USUAL.join(","))?,
        };
        for column in &columns.0 {
            if let Shows::Parameters(path) = &column.shows
                && (path.contains('*') || path.ends_with('.'))
            {
                return Err(ApiError::bad(format!(
                    "expected whole names of parameters as columns of a table, got {path}"
                )));
            }
        }
        Ok(columns)
    }

    /// Whether passwords are asked for.
    pub(super) fn has_passwords(&self) -> bool {
        let mut columns = self.0.iter();
        columns.any(|column| matches!(column.shows, Shows::Password))
    }

    /// The parameters that are asked for.
    pub(super) fn paths(&self) -> Vec<&str> {
        let paths = self.0.iter().filter_map(|column| match &column.shows {
            Shows::Parameters(path) => Some(path.as_str()),
            _ => None,
        });
        paths.collect()
    }

    /// The names of the columns.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|column| column.name.as_str())
    }

    /// A device with these fields.
    pub(super) fn object(
        &self,
        listed: &Listed,
        parameters: &[Found],
        now: UnixTime,
    ) -> BTreeMap<String, Value> {
        let fields = Fields::of(listed, now);
        let columns = self.0.iter();
        columns
            .map(|column| {
                let value = match &column.shows {
                    Shows::Parameters(path) => of_parameters(path, parameters),
                    shows => shows.value(listed, &fields),
                };
                (column.name.clone(), value)
            })
            .collect()
    }

    /// A device as a row of a table.
    pub(super) fn row(&self, listed: &Listed, parameters: &[Found], now: UnixTime) -> Vec<String> {
        let fields = Fields::of(listed, now);
        let cells = self.0.iter().map(|column| match &column.shows {
            Shows::Parameters(path) => cell(of_parameters(path, parameters)),
            shows => cell(shows.value(listed, &fields)),
        });
        cells.collect()
    }
}

fn column(name: &str) -> Result<Column, ApiError> {
    let shows = match name {
        "instance" => Some(Shows::Instance),
        "tags" => Some(Shows::Field(DeviceField::Tag)),
        "username" => Some(Shows::Username),
        "password" => Some(Shows::Password),
        name => DeviceField::named(name).map(Shows::Field),
    };
    let is_path = name.contains('.') && cwmp::Path::parse(name).is_ok();
    let shows = shows.or_else(|| is_path.then(|| Shows::Parameters(name.to_owned())));
    match shows {
        Some(shows) => Ok(Column {
            name: name.to_owned(),
            shows,
        }),
        None => {
            let names = DeviceField::ALL.map(DeviceField::name).join(", ");
            Err(ApiError::bad(format!(
                "expected fields of devices ({names}, tags, instance, username) and paths of \
                 parameters, with commas between, got {name:?}"
            )))
        }
    }
}

impl Shows {
    fn value(&self, listed: &Listed, fields: &Fields) -> Value {
        let credentials = || listed.summary.login.credentials.as_ref();
        match self {
            Shows::Field(field) => of_field(*field, fields),
            Shows::Instance => (*listed.key.instance).into(),
            Shows::Username => credentials().map(|c| c.username.clone()).into(),
            Shows::Password => credentials().map(|c| c.password.clone()).into(),
            Shows::Parameters(_) => Value::Null,
        }
    }
}

fn of_field(field: DeviceField, fields: &Fields) -> Value {
    let mut values = Vec::new();
    fields.values(field, |datum| {
        values.push(match datum {
            Datum::Text(text) | Datum::Parameter { value: text, .. } => text.into(),
            Datum::Number(number) => number.into(),
            Datum::Time(at) => time(at).into(),
            Datum::Flag(flag) => flag.into(),
            Datum::Hidden => Value::Null,
        });
    });
    match field {
        DeviceField::Tag => values.into(),
        _ => values.pop().unwrap_or_default(),
    }
}

/// A value, or, of several parameters, those by their names.
fn of_parameters(pattern: &str, parameters: &[Found]) -> Value {
    let value = |found: &Found| found.value.as_deref().into();
    if !pattern.contains('*') && !pattern.ends_with('.') {
        let mut found = parameters.iter().filter(|found| *found.path == *pattern);
        return found.next().map(value).unwrap_or_default();
    }
    let below = parameters
        .iter()
        .filter(|found| crate::store::path_matches(pattern, &found.path));
    Value::Object(
        below
            .map(|found| (found.path.to_string(), value(found)))
            .collect(),
    )
}

/// A value as a cell that no program takes for a formula.
fn cell(value: Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        Value::Array(tags) => {
            let tags: Vec<String> = tags
                .iter()
                .filter_map(Value::as_str)
                .map(|tag| tag.replace('\\', "\\\\").replace(BETWEEN_TAGS, "\\;"))
                .collect();
            tags.join(&BETWEEN_TAGS.to_string())
        }
        other => other.to_string(),
    };
    match text.starts_with(FORMULA) || text.starts_with('\'') {
        true => format!("'{text}"),
        false => text,
    }
}

/// What [`Columns::row`] made a cell of.
pub(super) fn of_cell(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if text.starts_with(FORMULA) || text.starts_with('\'') => text,
        _ => cell,
    }
}

/// The tags in a cell.
pub(super) fn tags_of_cell(cell: &str) -> Vec<String> {
    let mut tags = vec![String::new()];
    let mut characters = cell.chars();
    while let Some(c) = characters.next() {
        let c = match c {
            BETWEEN_TAGS => {
                tags.push(String::new());
                continue;
            }
            '\\' => characters.next().unwrap_or('\\'),
            c => c,
        };
        if let Some(tag) = tags.last_mut() {
            tag.push(c);
        }
    }
    let tags = tags.iter().map(|tag| tag.trim().to_owned());
    tags.filter(|tag| !tag.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_no_formulas_and_are_read_back() {
        for (text, expected) in [
            ("plain", "plain"),
            ("=1+1", "'=1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-5", "'-5"),
            ("+49 30", "'+49 30"),
            ("\tx", "'\tx"),
            ("'quoted", "''quoted"),
            ("a=b", "a=b"),
        ] {
            let made = cell(text.into());
            assert_eq!(made, expected);
            assert_eq!(of_cell(&made), text);
        }
        assert_eq!(of_cell("'s-Hertogenbosch"), "'s-Hertogenbosch");
    }

    #[test]
    fn tags_are_read_back() {
        for tags in [vec![], vec!["vip"], vec!["north sea", "a;b", "c\\d", "=x"]] {
            let made = cell(tags.clone().into());
            assert_eq!(tags_of_cell(of_cell(&made)), tags, "{made}");
        }
        assert_eq!(tags_of_cell(" a ;; b\\"), ["a", "b\\"]);
    }

    #[test]
    fn columns_are_checked() {
        let error = |fields: &str| Columns::of_table(Some(fields)).err();
        assert!(error("id,tags,Device.DeviceInfo.UpTime").is_none());
        for wrong in ["", "id,", "colour", "Device.WiFi.", "Device.X.*.Y"] {
            assert!(error(wrong).is_some(), "{wrong}");
        }
        assert!(Columns::parse("Device.WiFi.").is_ok());
        assert!(Columns::parse(&"id,".repeat(60)).is_err());
        assert!(!Columns::of_table(None).unwrap().has_passwords());
    }
}
