//! All that is wrong with a file, at once, each with its line: a setting that is wrong is told, and the rest is read
//! as if it were not there. What is wrong because a setting is missing has the line of its table.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Config, ConfigError};

/// Mistakes that are told of one file.
const MISTAKES_MAX: usize = 20;

/// Reads a configuration, lays the environment over it and checks it; or says what is wrong.
pub(super) fn read(text: &str) -> Result<Config, String> {
    let mut text = text.to_owned();
    let mut mistakes: Vec<(usize, String)> = Vec::new();
    loop {
        let mistake = match attempt(&text) {
            Ok(config) if mistakes.is_empty() => return Ok(config),
            Ok(_) => break,
            Err(mistake) => mistake,
        };
        mistakes.push((mistake.line.unwrap_or(usize::MAX), mistake.what));
        match mistake.entry {
            Some(entry) if mistakes.len() < MISTAKES_MAX => blank(&mut text, entry),
            _ => break,
        }
    }
    mistakes.sort_by_key(|(line, _)| *line);
    let texts: Vec<String> = mistakes.into_iter().map(|(_, text)| text).collect();
    Err(texts.join("\n"))
}

/// One thing that is wrong.
struct Mistake {
    what: String,
    line: Option<usize>,
    /// The setting that is wrong, if it stands in the file.
    entry: Option<Range<usize>>,
}

/// The settings that the environment goes before.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("api.token", "PATCHBAY_API_TOKEN"),
    ("api.oidc.client_secret", "PATCHBAY_OIDC_CLIENT_SECRET"),
    ("xmpp.secret", "PATCHBAY_XMPP_SECRET"),
    (
        "instance.http_proxy.password",
        "PATCHBAY_HTTP_PROXY_PASSWORD",
    ),
];

fn attempt(text: &str) -> Result<Config, Mistake> {
    let mut config: Config = toml::from_str(text).map_err(|error| {
        let at = error.span().map(|span| span.start);
        let entries = Places::of(text).entries.into_iter();
        let entry = at.and_then(|at| entries.map(|(_, entry)| entry).find(|e| e.contains(&at)));
        Mistake {
            what: error.to_string().trim_end().to_owned(),
            line: at.map(|at| line(text, at)),
            entry,
        }
    })?;
    config.read_environment();
    config.check().map_err(|error| mistake(text, &error))?;
    Ok(config)
}

fn mistake(text: &str, error: &ConfigError) -> Mistake {
    let nowhere = |what: String| Mistake {
        what,
        line: None,
        entry: None,
    };
    let Some(name) = error.setting() else {
        return nowhere(error.to_string());
    };
    let variable = ENVIRONMENT.iter().find(|(setting, _)| *setting == name);
    if let Some((_, variable)) = variable
        && std::env::var_os(variable).is_some()
    {
        return nowhere(format!("{variable} in the environment: {error}"));
    }
    let places = Places::of(text);
    let entry = places.entry(name);
    let at = entry.as_ref().map(|entry| entry.start);
    let Some(at) = at.or_else(|| places.table(name)) else {
        return nowhere(error.to_string());
    };
    let line = line(text, at);
    Mistake {
        what: format!("line {line}: {error}"),
        line: Some(line),
        entry,
    }
}

/// What stands where in a file, by full names.
#[derive(Default)]
struct Places {
    /// Settings, each from its key to the end of its value.
    entries: Vec<(String, Range<usize>)>,
    /// Where the name of a table stands first.
    tables: Vec<(String, usize)>,
}

impl Places {
    fn of(text: &str) -> Places {
        let mut places = Places::default();
        if let Ok(table) = DeTable::parse(text) {
            places.gather(text, table.get_ref(), "");
        }
        places
    }

    fn gather(&mut self, text: &str, table: &DeTable<'_>, before: &str) {
        for (key, value) in table.iter() {
            let name = format!("{before}{}", key.get_ref());
            match value.get_ref() {
                DeValue::Table(inner) if !begins(text, value, "{") => {
                    self.gather(text, inner, &format!("{name}."));
                    self.tables.push((name, key.span().start));
                }
                // Tables of their own, of which there are several.
                DeValue::Array(_) if begins(text, value, "[[") => {
                    self.tables.push((name, key.span().start));
                }
                _ => {
                    let start = entry_start(text, key.span().start);
                    self.entries.push((name, start..value.span().end));
                }
            }
        }
    }

    /// The setting of this name, or the one that it stands in (`waking = { at_once = 0 }`).
    fn entry(&self, name: &str) -> Option<Range<usize>> {
        let around = |known: &str| stands_in(name, known);
        let mut entries = self.entries.iter();
        let found = entries.find(|(known, _)| around(known));
        found.map(|(_, entry)| entry.clone())
    }

    /// The table that the setting belongs into, as far as that is there.
    fn table(&self, name: &str) -> Option<usize> {
        let tables = self.tables.iter();
        let around = tables.filter(|(known, _)| stands_in(name, known));
        let innermost = around.max_by_key(|(known, _)| known.len());
        innermost.map(|(_, at)| *at)
    }
}

fn stands_in(name: &str, place: &str) -> bool {
    let rest = name.strip_prefix(place);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Where an entry begins whose last key is there: it may be a dotted one, `waking.waiting_max = 0`.
fn entry_start(text: &str, key: usize) -> usize {
    let before = text.get(..key).unwrap_or_default();
    if !before.trim_end_matches([' ', '\t']).ends_with('.') {
        return key;
    }
    let start = before.rfind(['\n', '{', ',']).map_or(0, |at| at + 1);
    let outer = before.get(start..).unwrap_or_default();
    start + outer.len() - outer.trim_start().len()
}

fn begins(text: &str, value: &Spanned<DeValue<'_>>, with: &str) -> bool {
    text.get(value.span())
        .is_some_and(|value| value.starts_with(with))
}

fn line(text: &str, at: usize) -> usize {
    1 + text.get(..at).unwrap_or_default().matches('\n').count()
}

/// The lines after it keep their numbers.
fn blank(text: &mut String, entry: Range<usize>) {
    let blank: String = text
        .get(entry.clone())
        .unwrap_or_default()
        .bytes()
        .map(|byte| if byte == b'\n' { '\n' } else { ' ' })
        .collect();
    text.replace_range(entry, &blank);
}
