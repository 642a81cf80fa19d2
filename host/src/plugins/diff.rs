//! What a hook changed, as lines for people: `- before`, `+ after`. Secrets are not shown, and
//! a message that was turned over wholly does not fill the trace.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;

use crate::device::is_secret;

/// Lines of one call.
const LINES_MAX: usize = 40;
/// Characters of one value.
const VALUE_CHARS_MAX: usize = 120;
/// What stands for a secret.
const HIDDEN: &str = "(hidden)";

/// One thing of a message: what it is, and what it says. Things of one `key` are compared
/// with each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item<'a> {
    key: Cow<'a, str>,
    value: Cow<'a, str>,
    /// The XML Schema type of a parameter; else empty.
    xsd_type: &'a str,
}

impl<'a> Item<'a> {
    pub(super) fn new(key: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> Item<'a> {
        Item {
            key: key.into(),
            value: value.into(),
            xsd_type: "",
        }
    }

    pub(super) fn parameter(path: &'a str, value: &'a str, xsd_type: &'a str) -> Item<'a> {
        Item {
            key: path.into(),
            value: value.into(),
            xsd_type,
        }
    }

    fn line(&self, sign: char, with_type: bool) -> String {
        let mut line = format!("{sign} {}", shortened(&self.key));
        if self.value.is_empty() && self.xsd_type.is_empty() {
            return line;
        }
        let shown = if is_secret(&self.key) {
            HIDDEN.into()
        } else {
            shortened(&self.value)
        };
        let _ = write!(line, " = {shown}");
        if with_type {
            let _ = write!(line, " ({})", self.xsd_type);
        }
        line
    }
}

/// The lines of what was added, changed and left out.
pub(super) fn lines(before: &[Item<'_>], after: &[Item<'_>]) -> Vec<String> {
    let mut left: HashMap<&str, VecDeque<&Item<'_>>> = HashMap::with_capacity(before.len());
    for item in before {
        left.entry(&*item.key).or_default().push_back(item);
    }
    let mut lines = Lines::default();
    for item in after {
        match left.get_mut(&*item.key).and_then(VecDeque::pop_front) {
            Some(old) if old == item => {}
            Some(old) => {
                let with_type = old.xsd_type != item.xsd_type;
                lines.push(|| old.line('-', with_type));
                lines.push(|| item.line('+', with_type));
            }
            None => lines.push(|| item.line('+', false)),
        }
    }
    for item in before {
        let is_left = left
            .get_mut(&*item.key)
            .is_some_and(|items| items.pop_front().is_some());
        if is_left {
            lines.push(|| item.line('-', false));
        }
    }
    if lines.count == 0 && before != after {
        lines.push(|| "the same in another order".to_owned());
    }
    lines.done()
}

/// The lines of a repair: the tags that it changed, each with the text after it.
pub(super) fn repaired(before: &[u8], after: &[u8]) -> Vec<String> {
    let tags = |body: &[u8]| -> Vec<String> {
        let parts = body.split(|byte| *byte == b'<');
        parts.map(|part| part.escape_ascii().to_string()).collect()
    };
    let sizes = || {
        vec![
            format!("- {} bytes", before.len()),
            format!("+ {} bytes", after.len()),
        ]
    };
    let (old, new) = (tags(before), tags(after));
    if old.len() != new.len() {
        return sizes();
    }
    let mut lines = Lines::default();
    let mut is_hidden = false;
    for (old, new) in std::iter::zip(&old, &new) {
        let (tag, text) = new.split_once('>').unwrap_or((new, ""));
        match tag {
            "Name" => is_hidden = is_secret(text.trim()),
            _ if tag.starts_with("Value") => {}
            _ if !tag.starts_with('/') => is_hidden = is_secret(tag),
            _ => {}
        }
        if old != new {
            let shown = |tag: &str| match is_hidden {
                true => HIDDEN.to_owned(),
                false => format!("<{}", shortened_text(tag)),
            };
            lines.push(|| format!("- {}", shown(old)));
            lines.push(|| format!("+ {}", shown(new)));
        }
    }
    if lines.count == 0 {
        sizes()
    } else {
        lines.done()
    }
}

/// A URL without what gives access: user name, password, and the query with its signature.
pub(super) fn open_url(url: &str) -> String {
    let (url, query) = url.split_once('?').unwrap_or((url, ""));
    let mark = if query.is_empty() { "" } else { "?…" };
    let Some((scheme, rest)) = url.split_once("://") else {
        return format!("{url}{mark}");
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}{mark}")
}

fn shortened(text: &str) -> String {
    let debug = text.chars().any(char::is_control) || text.is_empty();
    let quoted = if debug {
        Cow::Owned(format!("{text:?}"))
    } else {
        Cow::Borrowed(text)
    };
    shortened_text(&quoted)
}

fn shortened_text(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    count: usize,
}

impl Lines {
    fn push(&mut self, line: impl FnOnce() -> String) {
        self.count += 1;
        if self.count <= LINES_MAX {
            self.lines.push(line());
        }
    }

    fn done(mut self) -> Vec<String> {
        if self.count > LINES_MAX {
            self.lines
                .push(format!("and {} lines more", self.count - LINES_MAX));
        }
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<'a>(path: &'a str, value: &'a str) -> Item<'a> {
        Item::parameter(path, value, "string")
    }

    #[test]
    fn what_is_added_changed_and_left_out() {
        let before = [value("A", "1"), value("B", "2"), value("C", "3")];
        let after = [
            value("A", "1"),
            value("D", ""),
            Item::parameter("C", "3", "int"),
        ];
        let lines = lines(&before, &after);
        assert_eq!(
            lines,
            ["+ D = \"\"", "- C = 3 (string)", "+ C = 3 (int)", "- B = 2"]
        );
    }

    #[test]
    fn the_same_path_twice_and_another_order() {
        let (a, b) = (value("A", "1"), value("B", "2"));
        let twice = [a.clone(), a.clone()];
        assert_eq!(lines(&twice, std::slice::from_ref(&a)), ["- A = 1"]);
        assert!(lines(&twice, &twice).is_empty());
        let turned = lines(&[a.clone(), b.clone()], &[b, a]);
        assert_eq!(turned, ["the same in another order"]);
    }

    #[test]
    fn secrets_stay_hidden() {
        let path = "Device.ManagementServer.ConnectionRequestPassword";
        let lines = lines(&[value(path, "old-secret")], &[value(path, "new-secret")]);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.ends_with(" = (hidden)")));
        let xml = |key: &str| format!("<Name>Device.X.KeyPassphrase</Name><Value>{key}</Value>");
        let lines = repaired(xml("a\u{1}b").as_bytes(), xml("ab").as_bytes());
        assert_eq!(lines, ["- (hidden)", "+ (hidden)"]);
        assert_eq!(
            open_url("http://user:pw@files:8080/x.bin?sig=abc"),
            "http://files:8080/x.bin?…"
        );
        assert_eq!(open_url("http://files/x@y"), "http://files/x@y");
    }

    #[test]
    fn a_repair_shows_the_tags_it_changed() {
        let lines = repaired(b"<A>1\x01</A><Name>x</Name>", b"<A>1</A><Name>x</Name>");
        assert_eq!(lines, ["- <A>1\\x01", "+ <A>1"]);
        assert_eq!(
            repaired(b"<A><</A>", b"<A>&lt;</A>"),
            ["- 8 bytes", "+ 11 bytes"]
        );
    }

    #[test]
    fn bounded() {
        let paths: Vec<String> = (0..100).map(|number| format!("P{number}")).collect();
        let long = "x".repeat(1000);
        let items: Vec<Item<'_>> = paths.iter().map(|path| value(path, &long)).collect();
        let lines = lines(&[], &items);
        assert_eq!(lines.len(), LINES_MAX + 1);
        assert_eq!(lines.last().unwrap(), "and 60 lines more");
        assert!(lines.iter().all(|line| line.chars().count() < 140));
    }
}
