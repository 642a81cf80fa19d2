//! The table that announces devices: what its lines say, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{LABEL_CHARS_MAX, LineError, text};
use crate::api::credentials::CHARS_MAX;
use crate::api::devices::{TAG_CHARS_MAX, TAGS_MAX};
use crate::api::error::ApiError;
use crate::api::projection::{of_cell, tags_of_cell};
use crate::device::{Credentials, Login, Summary, device_id, parse_device_id};
use crate::query::DeviceField;

/// Its lines.
const LINES_MAX: usize = 100_000;
/// The columns that say something.
const COLUMNS: [&str; 8] = [
    "id",
    "oui",
    "product_class",
    "serial_number",
    "tags",
    "label",
    "username",
    "password",
];

/// A line that says something that can be.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) id: String,
    told: cwmp::DeviceId,
    tags: BTreeSet<String>,
    label: String,
    credentials: Option<Credentials>,
}

impl Line {
    /// The device as long as nothing else is known of it.
    pub(super) fn summary(&self) -> Summary {
        Summary {
            oui: self.told.oui.clone(),
            product_class: self.told.product_class.clone(),
            serial_number: self.told.serial_number.clone(),
            ..Summary::default()
        }
    }

    pub(super) fn put_into(&self, summary: &mut Summary) -> Result<(), String> {
        let tags = summary.tags.union(&self.tags).count();
        if tags > TAGS_MAX {
            return Err(format!(
                "expected at most {TAGS_MAX} tags of a device, got {tags}"
            ));
        }
        summary.tags.extend(self.tags.iter().cloned());
        if !self.label.is_empty() {
            summary.label.clone_from(&self.label);
        }
        if std::mem::take(&mut summary.quarantined) {
            summary.first_contact = 0;
        }
        if let Some(credentials) = &self.credentials
            && summary.login.credentials.as_ref() != Some(credentials)
        {
            summary.login = Login {
                credentials: Some(credentials.clone()),
                pending_credentials: Vec::new(),
                // Factory credentials are not what was asked for.
                has_shown_own: true,
            };
        }
        Ok(())
    }
}

/// The lines that can be, and what is wrong with the others.
pub(super) fn read(table: &[u8]) -> Result<(Vec<Line>, Vec<LineError>), ApiError> {
    let table = table.strip_prefix(b"\xef\xbb\xbf").unwrap_or(table);
    // Lines that end in CRLF are counted wrong by the reader.
    let is_end = |at: usize| table.get(at..at + 2) == Some(b"\r\n");
    let bytes = table.iter().enumerate();
    let table: Vec<u8> = bytes
        .filter_map(|(at, byte)| (!is_end(at)).then_some(*byte))
        .collect();
    let head = table
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    // What spreadsheets write where a comma is for fractions.
    let delimiter = match head.contains(&b';') && !head.contains(&b',') {
        true => b';',
        false => b',',
    };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(table.as_slice());
    let head = reader.headers();
    let head = head.map_err(|error| ApiError::bad(format!("expected CSV in UTF-8: {error}")))?;
    let names = columns(head)?;
    let (mut lines, mut errors) = (Vec::new(), Vec::new());
    let mut seen: HashMap<String, u64> = HashMap::new();
    for record in reader.records() {
        if lines.len() + errors.len() >= LINES_MAX {
            return Err(ApiError::bad(format!(
                "expected a table of at most {LINES_MAX} lines"
            )));
        }
        let (number, line) = match record {
            Ok(record) => {
                let number = record.position().map_or(0, csv::Position::line);
                (number, line(number, &names, &record))
            }
            Err(error) => {
                let number = error.position().map_or(0, csv::Position::line);
                (number, Err(format!("expected CSV in UTF-8: {error}")))
            }
        };
        let line = line.and_then(|line| match seen.insert(line.id.clone(), number) {
            None => Ok(line),
            Some(before) => Err(format!("line {before} has the same device")),
        });
        match line {
            Ok(line) => lines.push(line),
            Err(reason) => errors.push(LineError {
                line: number,
                reason,
            }),
        }
    }
    Ok((lines, errors))
}

fn columns(head: &csv::StringRecord) -> Result<Vec<String>, ApiError> {
    let names: Vec<String> = head.iter().map(str::to_ascii_lowercase).collect();
    for name in &names {
        let is_export = name == "instance" || DeviceField::named(name).is_some();
        if !COLUMNS.contains(&name.as_str()) && !is_export && !name.contains('.') {
            return Err(ApiError::bad(format!(
                "expected in the first line columns of {}, got {name:?}",
                COLUMNS.join(", ")
            )));
        }
        if names.iter().filter(|other| *other == name).count() > 1 {
            return Err(ApiError::bad(format!("the column {name:?} is there twice")));
        }
    }
    let has = |name: &str| names.iter().any(|known| known == name);
    let is_told = has("id") || has("oui") && has("serial_number");
    if !is_told {
        return Err(ApiError::bad(
            "expected a column id, or the columns oui and serial_number (and product_class)",
        ));
    }
    Ok(names)
}

fn line(number: u64, names: &[String], record: &csv::StringRecord) -> Result<Line, String> {
    if record.len() != names.len() {
        return Err(format!(
            "expected {} cells, got {}",
            names.len(),
            record.len()
        ));
    }
    let cells: BTreeMap<&str, &str> = names
        .iter()
        .map(String::as_str)
        .zip(record.iter().map(of_cell))
        .collect();
    let cell = |name: &str| cells.get(name).copied().unwrap_or_default();
    let (id, told) = device(&cell)?;
    let tags = tags_of_cell(cell("tags"));
    for tag in &tags {
        text("a tag", tag, TAG_CHARS_MAX)?;
    }
    let label = cell("label");
    if !label.is_empty() {
        text("a label", label, LABEL_CHARS_MAX)?;
    }
    let credentials = match (cell("username"), cell("password")) {
        // Of the user name alone, as an export has it, nothing follows.
        (_, "") => None,
        (username, password) => {
            let username = match username {
                "" => cwmp::authentication::user_name(&told),
                username => username.to_owned(),
            };
            text("a username", &username, CHARS_MAX)?;
            text("a password", password, CHARS_MAX)?;
            Some(Credentials {
                username,
                password: password.to_owned(),
            })
        }
    };
    Ok(Line {
        number,
        id,
        told,
        tags: tags.into_iter().collect(),
        label: label.to_owned(),
        credentials,
    })
}

fn device<'c>(cell: &impl Fn(&str) -> &'c str) -> Result<(String, cwmp::DeviceId), String> {
    let by_parts = cwmp::DeviceId {
        manufacturer: String::new(),
        oui: cell("oui").to_ascii_uppercase(),
        product_class: cell("product_class").to_owned(),
        serial_number: cell("serial_number").to_owned(),
    };
    let id = match cell("id") {
        "" if by_parts.oui.is_empty() || by_parts.serial_number.is_empty() => {
            return Err("expected an id, or an oui and a serial_number, got neither".into());
        }
        "" => device_id(&by_parts),
        id => id.to_owned(),
    };
    let told = parse_device_id(&id).filter(|told| {
        told.oui.len() == 6 && told.oui.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    let Some(told) = told else {
        return Err(format!(
            "expected a device, OUI-ProductClass-SerialNumber with an OUI of six hexadecimal \
             digits, got {id:?}"
        ));
    };
    for (name, said, is) in [
        ("oui", &by_parts.oui, &told.oui),
        (
            "product_class",
            &by_parts.product_class,
            &told.product_class,
        ),
        (
            "serial_number",
            &by_parts.serial_number,
            &told.serial_number,
        ),
    ] {
        if !said.is_empty() && said != is {
            return Err(format!("expected the {name} of {id}, {is:?}, got {said:?}"));
        }
    }
    Ok((id, told))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(table: &str, expected: Expect) {
        let told = match read(table.as_bytes()) {
            Ok((lines, errors)) => {
                let lines = lines.iter().map(|line| {
                    let credentials = line.credentials.as_ref();
                    let credentials = credentials.map(|c| (&c.username, &c.password));
                    format!(
                        "{}: {} {:?} {:?} {credentials:?}\n",
                        line.number, line.id, line.tags, line.label
                    )
                });
                let errors = errors
                    .iter()
                    .map(|error| format!("{}! {}\n", error.line, error.reason));
                lines.chain(errors).collect()
            }
            Err(error) => format!("{error:?}\n"),
        };
        expected.assert_eq(&told);
    }

    #[test]
    fn lines() {
        check(
            "oui,product_class,serial_number,tags,label,username,password\r\n\
             02a1b2,Box,1,vip;'north sea',Gate,,\r\n\
             02A1B2,,\"a b\",,,me,'=pw\r\n\
             02A1B2,Box,2,,,,secret\r\n",
            expect![[r#"
                2: 02A1B2-Box-1 {"'north sea'", "vip"} "Gate" None
                3: 02A1B2-a~20b {} "" Some(("me", "=pw"))
                4: 02A1B2-Box-2 {} "" Some(("02A1B2-Box-2", "secret"))
            "#]],
        );
        check(
            "\u{feff}id;label;mode\n02A1B2-Box-1;'Gate';xmpp\n",
            expect![[r#"
                2: 02A1B2-Box-1 {} "'Gate'" None
            "#]],
        );
    }

    #[test]
    fn wrong_lines_are_named() {
        check(
            "id,serial_number,tags\n\
             02A1B2-Box-1,,\n\
             ,,\n\
             nonsense,,\n\
             02A1B2-Box-2,3,\n\
             02A1B2-Box-1,,x\n\
             02A1B2-Box-4,\n\
             02A1B2-Box-5,,aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
            expect![[r#"
                2: 02A1B2-Box-1 {} "" None
                3! expected an id, or an oui and a serial_number, got neither
                4! expected a device, OUI-ProductClass-SerialNumber with an OUI of six hexadecimal digits, got "nonsense"
                5! expected the serial_number of 02A1B2-Box-2, "2", got "3"
                6! line 2 has the same device
                7! expected 3 cells, got 2
                8! expected a tag of 1 to 64 characters, none of them a control character, got 65
            "#]],
        );
    }

    #[test]
    fn wrong_heads_are_refused() {
        for head in ["", "label", "id,colour", "id,id", "oui,product_class"] {
            assert!(read(format!("{head}\nx\n").as_bytes()).is_err(), "{head}");
        }
        assert!(read(b"id\n\xff\xfe\n").is_ok_and(|(_, errors)| errors.len() == 1));
    }
}
