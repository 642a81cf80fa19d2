//! The notation of `tr181.model` and `tr098.model`, line by line.
//!
//! One blank of indentation per level. An object ends in a dot: `Name.`; `Name*2.` is a table
//! with two rows that AddObject and DeleteObject work on, `Name#2.` one they do not.
//! A parameter is `Name access value`. The access is a letter for the type
//! (s string, b boolean, i int, u unsignedInt, U unsignedLong, d dateTime, h hexBinary), `r` or
//! `w`, then `^` (in every Inform), `+` (active notification always), `-` (reads empty).
//! The value is `row 1 | row 2 | …`, or `new row ;; row 1 | row 2 | …`, then perhaps what may be
//! written: `<64>` characters, `<1:30>` a range, `<a,b>` one of these. `{…}` are live
//! values (live.rs). `?stun` and `?xmpp` in front: only in devices that have it.

use super::leaf::{Kind, Leaf, Limit};

/// One line that says something.
pub(super) struct Line<'t> {
    pub(super) depth: usize,
    /// Only in devices with this feature.
    pub(super) feature: Option<&'t str>,
    pub(super) name: &'t str,
    pub(super) what: What,
}

pub(super) enum What {
    Object,
    Table { writable: bool, rows: u32 },
    Leaf(Leaf),
}

/// The lines of a model; `Err` holds one that cannot be read.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Result<Line<'_>, &str>> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| read(line).ok_or(line))
}

fn read(line: &str) -> Option<Line<'_>> {
    let content = line.trim_start_matches(' ');
    let depth = line.len() - content.len();
    let (feature, content) = match content.strip_prefix('?') {
        Some(rest) => {
            let (feature, content) = rest.split_once(' ')?;
            (Some(feature), content)
        }
        None => (None, content),
    };
    let (name, what) = match content.strip_suffix('.') {
        Some(object) if !object.contains(' ') => object_line(object)?,
        _ => leaf_line(content)?,
    };
    Some(Line {
        depth,
        feature,
        name,
        what,
    })
}

fn object_line(object: &str) -> Option<(&str, What)> {
    if let Some((name, rows)) = object.split_once('*') {
        let rows = rows.parse().ok()?;
        return Some((
            name,
            What::Table {
                writable: true,
                rows,
            },
        ));
    }
    if let Some((name, rows)) = object.split_once('#') {
        let rows = rows.parse().ok()?;
        return Some((
            name,
            What::Table {
                writable: false,
                rows,
            },
        ));
    }
    Some((object, What::Object))
}

fn leaf_line(content: &str) -> Option<(&str, What)> {
    let (name, rest) = content.split_once(' ')?;
    let (access, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let mut access = access.chars();
    let kind = match access.next()? {
        's' => Kind::Text,
        'b' => Kind::Boolean,
        'i' => Kind::Int,
        'u' => Kind::UnsignedInt,
        'U' => Kind::UnsignedLong,
        'd' => Kind::DateTime,
        'h' => Kind::Hex,
        _ => return None,
    };
    let writable = match access.next()? {
        'w' => true,
        'r' => false,
        _ => return None,
    };
    let flags = access.as_str();
    if flags.chars().any(|flag| !matches!(flag, '^' | '+' | '-')) {
        return None;
    }
    let (value, limit) = limited(rest.trim())?;
    let (fresh, rows) = match value.split_once(";;") {
        Some((fresh, rows)) => (fresh.trim(), rows),
        None if value.contains(" | ") => ("", value),
        None => (value.trim(), value),
    };
    let leaf = Leaf {
        kind,
        writable,
        hidden: flags.contains('-'),
        forced_inform: flags.contains('^'),
        forced_active: flags.contains('+'),
        limit,
        fresh: fresh.into(),
        rows: rows.split('|').map(|row| row.trim().into()).collect(),
    };
    Some((name, What::Leaf(leaf)))
}

fn limited(value: &str) -> Option<(&str, Limit)> {
    let Some((before, limit)) = value
        .strip_suffix('>')
        .and_then(|value| value.rsplit_once('<'))
    else {
        return Some((value, Limit::None));
    };
    let limit = if let Ok(chars) = limit.parse() {
        Limit::Chars(chars)
    } else if let Some((low, high)) = limit.split_once(':') {
        Limit::Range(low.parse().ok()?, high.parse().ok()?)
    } else {
        Limit::OneOf(limit.split(',').map(Into::into).collect())
    };
    Some((before, limit))
}
