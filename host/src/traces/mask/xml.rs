//! Where the secrets of a message stand, in the bytes as they came.
//!
//! Three shapes: the Value of a parameter whose Name is secret (before or after it), the content
//! of an element whose own name is secret (`Password` of a Download), and a list of vouchers.
//! What is broken is masked rather too much than too little: after a secret name all text is
//! hidden until something says that another parameter begins.

use std::ops::Range;

use crate::secrets::is_secret;

use super::super::lex::{Kind, Token, tokens, tokens_from, unescaped};

/// Elements that begin or end the reach of a name.
const BOUNDARIES: [&[u8]; 14] = [
    b"ParameterValueStruct",
    b"ParameterInfoStruct",
    b"ParameterAttributeStruct",
    b"SetParameterAttributesStruct",
    b"SetParameterValuesFault",
    b"ArgStruct",
    b"ParameterList",
    b"ParameterNames",
    b"FileTypeArg",
    b"DeviceId",
    b"Event",
    b"Header",
    b"Body",
    b"Envelope",
];
const VALUE: &[u8] = b"Value";
/// Elements whose text is a name.
const NAMES: [&[u8]; 3] = [b"Name", b"ParameterName", b"OptionName"];
/// Elements whose text is never the value of a parameter, and which end a secret whose own end
/// is missing.
const KNOWN: [&[u8]; 42] = [
    b"Name",
    b"ParameterName",
    b"string",
    b"Writable",
    b"NextLevel",
    b"ParameterPath",
    b"ObjectName",
    b"ParameterKey",
    b"CommandKey",
    b"Notification",
    b"NotificationChange",
    b"AccessList",
    b"AccessListChange",
    b"FaultCode",
    b"FaultString",
    b"faultcode",
    b"faultstring",
    b"Status",
    b"InstanceNumber",
    b"FileType",
    b"URL",
    b"Username",
    b"FileSize",
    b"TargetFileName",
    b"DelaySeconds",
    b"SuccessURL",
    b"FailureURL",
    b"TimeWindowList",
    b"TimeWindowStruct",
    b"Operations",
    b"InstallOpStruct",
    b"UpdateOpStruct",
    b"UninstallOpStruct",
    b"UUID",
    b"Version",
    b"ExecutionEnvRef",
    b"MaxEnvelopes",
    b"CurrentTime",
    b"RetryCount",
    b"EventCode",
    b"Manufacturer",
    b"SerialNumber",
];
/// The marks of a CDATA section are kept where all of a value is in one.
const CDATA: (&[u8], &[u8]) = (b"<![CDATA[", b"]]>");

/// The ranges of secrets, in order, none empty.
pub(super) fn secrets(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut scan = Scan {
        bytes,
        found: Vec::new(),
        reach: Reach::Unknown,
        value: None,
        element: b"",
    };
    let mut at = 0;
    while let Some(token) = tokens_from(bytes, at).next() {
        at = scan.take(&token);
    }
    let mut found = scan.found;
    found.sort_unstable_by_key(|range| (range.start, range.end));
    merged(found)
}

/// What the name before says of the values after it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// There was none yet.
    Unknown,
    Plain,
    Secret,
}

struct Scan<'a> {
    bytes: &'a [u8],
    found: Vec<Range<usize>>,
    reach: Reach,
    /// The last value: some devices write it before its name.
    value: Option<Range<usize>>,
    /// The element that was opened last.
    element: &'a [u8],
}

impl<'a> Scan<'a> {
    /// Takes a token; where to go on.
    fn take(&mut self, token: &Token<'a>) -> usize {
        match token.kind {
            Kind::Open => return self.open(token),
            Kind::Close => {
                if is_one_of(&BOUNDARIES, token.name) {
                    self.begin();
                }
                self.element = b"";
            }
            Kind::Empty if is_one_of(&BOUNDARIES, token.name) => self.begin(),
            Kind::Text => {
                self.text(token.range.clone());
                return token.range.end;
            }
            Kind::Empty | Kind::Mark => {}
        }
        if let Some(inside) = token.broken {
            self.text(inside..token.range.end);
        }
        token.range.end
    }

    fn begin(&mut self) {
        self.reach = Reach::Unknown;
        self.value = None;
    }

    fn open(&mut self, token: &Token<'a>) -> usize {
        let name = token.name;
        if is_one_of(&BOUNDARIES, name) {
            self.begin();
        }
        self.element = name;
        let begin = token.broken.unwrap_or(token.range.end);
        if is_one_of(&[VALUE], name) {
            let (content, end) = self.content(begin, name);
            if self.reach == Reach::Secret {
                self.found.extend(content);
                return end;
            }
            self.value = content;
        } else if is_secret(&String::from_utf8_lossy(name)) && !is_one_of(&BOUNDARIES, name) {
            let (content, end) = self.content(begin, name);
            self.found.extend(content);
            return end;
        }
        if token.broken.is_some() {
            self.text(begin..token.range.end);
        }
        token.range.end
    }

    /// The content of an element that begins at `from`, and where it ends: at its end tag, or
    /// where it must have ended.
    fn content(&self, from: usize, name: &[u8]) -> (Option<Range<usize>>, usize) {
        let end = tokens_from(self.bytes, from)
            .find(|token| {
                let own = token.kind == Kind::Close && token.name.eq_ignore_ascii_case(name);
                // `string` also stands in the attribute that tells a value's type.
                let beyond = token.kind != Kind::Text
                    && !is_one_of(&[b"string"], token.name)
                    && (is_one_of(&BOUNDARIES, token.name) || is_one_of(&KNOWN, token.name));
                own || beyond
            })
            .map_or(self.bytes.len(), |token| token.range.start);
        (trimmed(self.bytes, from..end), end)
    }

    fn text(&mut self, range: Range<usize>) {
        let Some(trimmed) = trimmed(self.bytes, range) else {
            return;
        };
        if self.reach != Reach::Secret && self.value.as_ref().is_some_and(|v| within(v, &trimmed)) {
            // Of a value, whatever it looks like.
            return;
        }
        let text = unescaped(self.bytes.get(trimmed.clone()).unwrap_or_default());
        let named = is_one_of(&NAMES, self.element);
        match judge(&text, named) {
            Some(true) => {
                self.reach = Reach::Secret;
                self.found.extend(self.value.take());
            }
            Some(false) => self.reach = Reach::Plain,
            None if self.reach == Reach::Secret && !is_one_of(&KNOWN, self.element) => {
                self.found.push(trimmed);
            }
            None => {}
        }
    }
}

/// Whether a text is, or has, the name of a parameter; and if so, whether a secret one.
fn judge(text: &str, named: bool) -> Option<bool> {
    // What belongs into a tag: the end of a name may be hidden in it.
    let torn = text.contains(['<', '>', '"', '=']);
    if named && !torn {
        return Some(is_secret(text.trim()));
    }
    let mut plain = None;
    for word in text.split(|c: char| !(c.is_alphanumeric() || "._-{}*[]".contains(c))) {
        let rooted = word.contains("Device.");
        if !(rooted || (torn || named) && word.contains('.')) {
            continue;
        }
        if is_secret(word) || (torn && sounds_secret(word)) {
            return Some(true);
        }
        plain = (rooted && !torn).then_some(false).or(plain);
    }
    plain
}

/// A name with something glued to its end.
fn sounds_secret(word: &str) -> bool {
    let last = word.rsplit('.').next().unwrap_or_default();
    (1..=last.len()).any(|end| last.get(..end).is_some_and(is_secret))
}

fn is_one_of(names: &[&[u8]], name: &[u8]) -> bool {
    names.iter().any(|one| one.eq_ignore_ascii_case(name))
}

fn within(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// Without white space around it, nor the marks of the CDATA section that it is all in; `None`
/// if nothing is left.
fn trimmed(bytes: &[u8], range: Range<usize>) -> Option<Range<usize>> {
    let text = bytes.get(range.clone())?;
    let front = text.iter().take_while(|b| b.is_ascii_whitespace()).count();
    let inner = text.trim_ascii();
    let mut start = range.start + front;
    let mut end = start + inner.len();
    let inner = inner.strip_prefix(CDATA.0).map_or(inner, |inner| {
        start += CDATA.0.len();
        inner
    });
    if inner.ends_with(CDATA.1) && memchr::memmem::find(inner, CDATA.0).is_none() {
        end -= CDATA.1.len();
    }
    (start < end).then_some(start..end)
}

fn merged(ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match out.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => out.push(range),
        }
    }
    out
}

/// The ranges of text, between tags: where a secret that is known may stand once more.
pub(super) fn texts(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    tokens(bytes).filter_map(|token| match (token.kind, token.broken) {
        (Kind::Text, _) => Some(token.range),
        (_, Some(inside)) => Some(inside..token.range.end),
        _ => None,
    })
}
