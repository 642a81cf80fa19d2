//! All that is wrong with a file, at once, each with its line: a setting that is wrong is told, and the rest is read
//! as if it were not there.

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
        let (what, entry) = match attempt(&text) {
            Ok(config) if mistakes.is_empty() => return Ok(config),
            Ok(_) => break,
            Err(mistake) => mistake,
        };
        let line = entry.as_ref().map(|entry| line(&text, entry.start));
        mistakes.push((line.unwrap_or(usize::MAX), what));
        match entry {
            Some(entry) if mistakes.len() < MISTAKES_MAX => blank(&mut text, entry),
            _ => break,
        }
    }
    mistakes.sort_by_key(|(line, _)| *line);
    let texts: Vec<String> = mistakes.into_iter().map(|(_, text)| text).collect();
    Err(texts.join("\n"))
}

/// What is wrong, and the setting that is, if there is one in the file.
type Mistake = (String, Option<Range<usize>>);

fn attempt(text: &str) -> Result<Config, Mistake> {
    let mut config: Config = toml::from_str(text).map_err(|error| {
        let at = error.span().map(|span| span.start);
        let entries = entries(text).into_iter();
        let entry = at.and_then(|at| entries.map(|(_, entry)| entry).find(|e| e.contains(&at)));
        (error.to_string().trim_end().to_owned(), entry)
    })?;
    config.read_environment();
    config.check().map_err(|error| {
        let named = match &error {
            ConfigError::Value { name, .. } => Some(*name),
            _ => None,
        };
        let mut entries = entries(text).into_iter();
        let entry = entries.find(|(name, _)| Some(name.as_str()) == named);
        match entry {
            Some((_, entry)) => (
                format!("line {}: {error}", line(text, entry.start)),
                Some(entry),
            ),
            None => (error.to_string(), None),
        }
    })?;
    Ok(config)
}

/// The settings of a file, by their full name, and where each stands, from its key to the end of its value.
fn entries(text: &str) -> Vec<(String, Range<usize>)> {
    let mut found = Vec::new();
    if let Ok(table) = DeTable::parse(text) {
        gather(text, table.get_ref(), "", &mut found);
    }
    found
}

fn gather(text: &str, table: &DeTable<'_>, before: &str, found: &mut Vec<(String, Range<usize>)>) {
    for (key, value) in table.iter() {
        let name = format!("{before}{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) if !begins(text, value, "{") => {
                gather(text, inner, &format!("{name}."), found);
            }
            // Tables of their own, of which there are several.
            DeValue::Array(_) if begins(text, value, "[[") => {}
            _ => found.push((name, key.span().start..value.span().end)),
        }
    }
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
