//! Devices before they first come: announced by a table, let in from quarantine, and called a name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::credentials::CHARS_MAX;
use super::devices::{TAG_CHARS_MAX, TAGS_MAX};
use super::error::{ApiError, Body, Path, Query};
use super::projection::{of_cell, tags_of_cell};
use super::scope::Scope;
use crate::Acs;
use crate::device::{Credentials, DeviceKey, Login, Summary, device_id, parse_device_id};
use crate::query::DeviceField;

/// Bytes of a table.
const TABLE_BYTES_MAX: usize = 32 << 20;
/// Its lines.
const LINES_MAX: usize = 100_000;
/// Wrong lines that an answer names.
const ERRORS_MAX: usize = 100;
/// Of these so many in the sentence that refuses a table.
const ERRORS_TOLD_MAX: usize = 10;
/// Characters of a label.
const LABEL_CHARS_MAX: usize = 128;
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

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    let import = OpenApiRouter::new()
        .routes(routes!(import))
        .layer(DefaultBodyLimit::max(TABLE_BYTES_MAX));
    OpenApiRouter::new()
        .routes(routes!(label))
        .routes(routes!(release))
        .merge(import)
}

/// How to import.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImportQuery {
    /// Only look: nothing is changed, and all wrong lines are told.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
}

/// What came of an import.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
struct ImportView {
    dry_run: bool,
    /// Devices that were not known.
    created: usize,
    /// Devices that were known, and are changed.
    changed: usize,
    /// Devices of which everything was known.
    unchanged: usize,
    /// Lines that are wrong, of a dry run; at most 100.
    errors: Vec<LineError>,
    /// How many lines are wrong.
    errors_total: usize,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct LineError {
    /// Counted from 1, the head included.
    line: u64,
    reason: String,
}

/// Announces devices by a table.
///
/// CSV with a head: `id`, or `oui`, `product_class` and `serial_number`; `tags` with semicolons between,
/// `label`, `username` and `password`. If a line is wrong, nothing is changed. An empty cell changes
/// nothing, tags are added, a device in quarantine is released. What an export has besides is passed over.
#[utoipa::path(
    post, path = "/devices/import", operation_id = "import_devices", params(ImportQuery),
    request_body(content = String, content_type = "text/csv"),
    responses((status = 200, description = "What came of it", body = ImportView)),
    tag = "Devices", security(("token" = ["devices:write"]))
)]
async fn import(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Query(asked): Query<ImportQuery>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ImportView>, ApiError> {
    let body = body.map_err(|error| ApiError::with_status(error.status(), error.body_text()))?;
    let (lines, mut errors) = read(&body)?;
    let mut report = ImportView {
        dry_run: asked.dry_run,
        ..ImportView::default()
    };
    let mut cells = Vec::new();
    for line in &lines {
        let key = DeviceKey {
            instance: Arc::clone(&scope.instance.name),
            id: line.id.as_str().into(),
        };
        let known = acs.store.look(&key, &[])?.map(|(listed, _)| listed.summary);
        let is_new = known.is_none();
        let before = known.unwrap_or_default();
        let mut after = before.clone();
        match line.put_into(&mut after) {
            Err(reason) => errors.push(LineError {
                line: line.number,
                reason,
            }),
            Ok(()) if is_new => report.created += 1,
            Ok(()) if after == before => {
                report.unchanged += 1;
                continue;
            }
            Ok(()) => report.changed += 1,
        }
        cells.push((key, line));
    }
    errors.sort_by_key(|error| error.line);
    report.errors_total = errors.len();
    errors.truncate(ERRORS_MAX);
    if asked.dry_run {
        report.errors = errors;
        return Ok(Json(report));
    }
    if !errors.is_empty() {
        return Err(refused(&errors, report.errors_total));
    }
    for (key, line) in cells {
        let (cell, _) = acs.store.register(&key, line.summary())?;
        let mut refused = Ok(());
        cell.lock()
            .summary_mut(|summary| refused = line.put_into(summary));
        // It was looked at a moment ago: somebody has given it tags meanwhile.
        refused.map_err(|reason| ApiError::conflict(format!("line {}: {reason}", line.number)))?;
        acs.store.touched(&cell);
    }
    // All of them are durable with one sync.
    acs.store.flush().await?;
    Ok(Json(report))
}

fn refused(errors: &[LineError], total: usize) -> ApiError {
    let told: Vec<String> = errors
        .iter()
        .take(ERRORS_TOLD_MAX)
        .map(|error| format!("line {}: {}", error.line, error.reason))
        .collect();
    let more = match total.saturating_sub(told.len()) {
        0 => String::new(),
        more => format!("; and {more} more (dry_run=true tells them)"),
    };
    ApiError::bad(format!("nothing was imported. {}{more}", told.join("; ")))
}

/// A line that says something that can be.
#[derive(Debug, PartialEq)]
struct Line {
    number: u64,
    id: String,
    told: cwmp::DeviceId,
    tags: BTreeSet<String>,
    label: String,
    credentials: Option<Credentials>,
}

impl Line {
    /// The device as long as nothing else is known of it.
    fn summary(&self) -> Summary {
        Summary {
            oui: self.told.oui.clone(),
            product_class: self.told.product_class.clone(),
            serial_number: self.told.serial_number.clone(),
            ..Summary::default()
        }
    }

    fn put_into(&self, summary: &mut Summary) -> Result<(), String> {
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
fn read(table: &[u8]) -> Result<(Vec<Line>, Vec<LineError>), ApiError> {
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

fn text(what: &str, text: &str, max: usize) -> Result<(), String> {
    let length = text.chars().count();
    if (1..=max).contains(&length) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(format!(
        "expected {what} of 1 to {max} characters, none of them a control character, got {length}"
    ))
}

/// What to change of a device.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DeviceChange {
    /// What people call it; empty: nothing.
    #[schema(max_length = 128)]
    label: String,
}

/// Changes what people call a device.
#[utoipa::path(
    patch, path = "/devices/{id}", operation_id = "change_device",
    request_body = DeviceChange,
    params(("id" = String, Path, description = "Of the device")),
    responses((status = 204, description = "Done")), tag = "Devices",
    security(("token" = ["devices:annotate"]))
)]
async fn label(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    Body(change): Body<DeviceChange>,
) -> Result<StatusCode, ApiError> {
    if !change.label.is_empty() {
        text("a label", &change.label, LABEL_CHARS_MAX).map_err(ApiError::bad)?;
    }
    let cell = scope.cell(&acs, &id)?;
    cell.lock().set(|summary| &mut summary.label, change.label);
    acs.store.persist(&cell).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a device in that is in quarantine.
///
/// Its next session is its first contact. Nothing happens to a device that is not in quarantine.
#[utoipa::path(
    post, path = "/devices/{id}/release", operation_id = "release_from_quarantine",
    params(("id" = String, Path, description = "Of the device")),
    responses((status = 204, description = "It is let in")), tag = "Devices",
    security(("token" = ["devices:write"]))
)]
async fn release(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let cell = scope.cell(&acs, &id)?;
    cell.lock().summary_mut(|summary| {
        if std::mem::take(&mut summary.quarantined) {
            summary.first_contact = 0;
        }
    });
    acs.store.persist(&cell).await?;
    Ok(StatusCode::NO_CONTENT)
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
