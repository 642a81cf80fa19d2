//! Sessions whose identities are replaced: to be given to somebody who may know how a device
//! behaves, but not whose it is.
//!
//! What identifies is found by the names of parameters and elements, then replaced wherever it
//! stands; MAC and IP addresses and hosts in URLs are replaced by their form. Manufacturer, OUI,
//! product class and versions stay: they are what a vendor needs.

use aho_corasick::{AhoCorasick, MatchKind};
use hashbrown::HashSet;

use crate::device::{device_id, escaped_part, parse_device_id};

use super::lex::{self, tokens, unescaped};
use super::session::{Body, Entry, Head, Session, Told};
use super::stand_in::{Kind, StandIns};

/// Shorter identities are replaced only where they are all of a text.
const QUOTED_CHARS_MIN: usize = 4;

/// Replaces the identities of sessions, the same by the same in all of them.
pub fn anonymous(sessions: Vec<Session>) -> Vec<Session> {
    let mut export = Export::default();
    for session in &sessions {
        export.learn(session);
    }
    let known = export.known();
    sessions
        .into_iter()
        .map(|session| export.session(session, &known))
        .collect()
}

/// The identities that were learned, as a search for all of them at once.
struct Known {
    search: Option<AhoCorasick>,
    stand_ins: Vec<String>,
}

#[derive(Default)]
struct Export {
    stand_ins: StandIns,
    /// Texts that look like addresses and are versions.
    versions: HashSet<String>,
}

impl Export {
    fn learn(&mut self, session: &Session) {
        if let Some(id) = parse_device_id(&session.head.device) {
            self.identity(Kind::Number, &id.serial_number);
        }
        for entry in &session.entries {
            let (Told::Request { headers, body, .. } | Told::Answer { headers, body, .. }) =
                &entry.what
            else {
                continue;
            };
            for (name, value) in headers {
                match name.as_str() {
                    "host" => {
                        let host = value.split(':').next().unwrap_or_default();
                        self.identity(Kind::Host, host);
                    }
                    "authorization" => {
                        let user = value.split_once("username=\"");
                        let user = user.and_then(|(_, rest)| rest.split('"').next());
                        self.identity(Kind::User, user.unwrap_or_default());
                    }
                    _ => {}
                }
            }
            self.learn_body(&body.shown());
        }
    }

    fn learn_body(&mut self, text: &str) {
        let mut name = String::new();
        let mut element: &[u8] = b"";
        for token in tokens(text.as_bytes()) {
            match token.kind {
                lex::Kind::Open => element = token.name,
                lex::Kind::Text => {
                    let text = text.get(token.range).unwrap_or_default().trim();
                    let text = unescaped(text.as_bytes());
                    match element {
                        _ if text.is_empty() => {}
                        b"Name" | b"ParameterName" => name = text.into_owned(),
                        b"Value" => self.parameter(&name, &text),
                        element => self.parameter(&String::from_utf8_lossy(element), &text),
                    }
                }
                lex::Kind::Close | lex::Kind::Empty | lex::Kind::Mark => element = b"",
            }
        }
    }

    fn parameter(&mut self, name: &str, value: &str) {
        let last = name
            .rsplit('.')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        if last.ends_with("version") {
            self.versions.insert(value.to_owned());
        }
        if let Some(kind) = kind(&last) {
            self.identity(kind, value);
        }
        for host in hosts(value) {
            self.identity(Kind::Host, host);
        }
    }

    fn identity(&mut self, kind: Kind, text: &str) {
        let text = text.trim();
        if !text.is_empty() && !text.contains("***") {
            self.stand_ins.of(kind, text);
        }
    }

    /// In each way that they may be written.
    fn known(&self) -> Known {
        let mut patterns = Vec::new();
        let mut stand_ins = Vec::new();
        let mut texts: Vec<(&str, &str)> = self.stand_ins.texts().collect();
        texts.sort_unstable();
        for (text, stand_in) in texts {
            if text.chars().count() < QUOTED_CHARS_MIN {
                continue;
            }
            for pattern in [text.to_owned(), escape(text), escaped_part(text)] {
                if !patterns.contains(&pattern) {
                    patterns.push(pattern);
                    stand_ins.push(stand_in.to_owned());
                }
            }
        }
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&patterns)
            .ok();
        Known { search, stand_ins }
    }

    fn session(&mut self, session: Session, known: &Known) -> Session {
        let head = session.head;
        let device = match parse_device_id(&head.device) {
            Some(id) => {
                let serial_number = self.stand_ins.of(Kind::Number, id.serial_number.trim());
                device_id(&cwmp::DeviceId {
                    serial_number,
                    ..id
                })
            }
            None => self.text(&head.device, known),
        };
        let head = Head {
            device,
            peer: self.text(&head.peer, known),
            ended: head.ended.map(|how| self.text(&how, known)),
            ..head
        };
        let entries = session.entries.into_iter().map(|entry| Entry {
            at: entry.at,
            what: self.told(entry.what, known),
        });
        Session {
            entries: entries.collect(),
            head,
        }
    }

    fn told(&mut self, what: Told, known: &Known) -> Told {
        match what {
            Told::Request {
                method,
                target,
                version,
                headers,
                message,
                body,
            } => Told::Request {
                method,
                target: self.text(&target, known),
                version,
                headers: self.headers(headers, known),
                message,
                body: self.body(body, known),
            },
            Told::Answer {
                status,
                headers,
                message,
                body,
            } => Told::Answer {
                status,
                headers: self.headers(headers, known),
                message,
                body: self.body(body, known),
            },
            Told::Plugin {
                hook,
                plugin,
                changes,
                failure,
                took,
            } => Told::Plugin {
                hook,
                plugin,
                changes: changes.iter().map(|line| self.text(line, known)).collect(),
                failure: failure.map(|text| self.text(&text, known)),
                took,
            },
            Told::Note { text } => Told::Note {
                text: self.text(&text, known),
            },
        }
    }

    fn headers(&mut self, headers: Vec<(String, String)>, known: &Known) -> Vec<(String, String)> {
        let headers = headers.into_iter();
        headers
            .map(|(name, value)| {
                let value = self.text(&value, known);
                (name, value)
            })
            .collect()
    }

    /// Text between tags only: what a tag says is the same in every trace.
    fn body(&mut self, body: Body, known: &Known) -> Body {
        let shown = body.shown();
        let mut text = String::with_capacity(shown.len());
        for token in tokens(shown.as_bytes()) {
            let piece = shown.get(token.range.clone()).unwrap_or_default();
            match (token.kind, token.broken) {
                (lex::Kind::Text, _) | (_, Some(_)) if !is_path(piece.trim()) => {
                    text.push_str(&self.text(piece, known));
                }
                _ => text.push_str(piece),
            }
        }
        Body {
            text,
            base64: String::new(),
            ..body
        }
    }

    /// A text without identities.
    fn text(&mut self, text: &str, known: &Known) -> String {
        let whole = text.trim();
        let all = self
            .stand_ins
            .texts()
            .find(|(known, _)| *known == whole && !whole.is_empty());
        if let Some((_, stand_in)) = all {
            return text.replace(whole, &escape(stand_in));
        }
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        if let Some(search) = &known.search {
            for found in search.find_iter(text) {
                if !stands_alone(text, found.start(), found.end()) {
                    continue;
                }
                out.push_str(&self.addresses(text.get(done..found.start()).unwrap_or_default()));
                let stand_in = known.stand_ins.get(found.pattern().as_usize());
                out.push_str(stand_in.map_or("", String::as_str));
                done = found.end();
            }
        }
        out.push_str(&self.addresses(text.get(done..).unwrap_or_default()));
        out
    }

    /// Replaces what has the form of an address.
    fn addresses(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let in_address = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.' | '-');
        let mut rest = text;
        while let Some(start) = rest.find(|c: char| c.is_ascii_hexdigit() || c == ':') {
            let (before, found) = rest.split_at(start);
            out.push_str(before);
            let end = found.find(|c| !in_address(c)).unwrap_or(found.len());
            let (word, after) = found.split_at(end);
            let begins_inside = before.ends_with(char::is_alphanumeric);
            let goes_on = after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
            if begins_inside || goes_on {
                out.push_str(word);
            } else {
                self.address(word, &mut out);
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// An address, perhaps with a port or a full stop behind it.
    fn address(&mut self, word: &str, out: &mut String) {
        let core = word.trim_end_matches(['.', ':', '-']);
        let port = core.rsplit_once(':').filter(|(host, _)| host.contains('.'));
        let (host, port) = match port {
            Some((host, _)) => core.split_at(host.len()),
            None => (core, ""),
        };
        let stand_in = match self.versions.contains(core) {
            true => None,
            false => self.stand_ins.address(host),
        };
        match stand_in {
            Some(stand_in) => {
                out.push_str(&stand_in);
                out.push_str(port);
                out.push_str(word.get(core.len()..).unwrap_or_default());
            }
            None => out.push_str(word),
        }
    }
}

/// What a parameter or an element identifies, by the last part of its name in lower case.
fn kind(name: &str) -> Option<Kind> {
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if name == "ssid" || ends(&["networkname"]) {
        Some(Kind::Ssid)
    } else if ends(&[
        "username",
        "userid",
        "login",
        "jabberid",
        "callername",
        "contactname",
    ]) {
        Some(Kind::User)
    } else if ends(&[
        "hostname",
        "domainname",
        "ntpserver1",
        "ntpserver2",
        "realm",
    ]) {
        Some(Kind::Host)
    } else if ends(&[
        "serialnumber",
        "imei",
        "imsi",
        "iccid",
        "msisdn",
        "directorynumber",
        "phonenumber",
        "callingnumber",
        "callednumber",
        "provisioningcode",
        "latitude",
        "longitude",
    ]) {
        Some(Kind::Number)
    } else {
        None
    }
}

/// The hosts of the URLs and mail-like names in a text.
fn hosts(text: &str) -> impl Iterator<Item = &str> {
    let in_host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let of_urls = text.split("://").skip(1).map(|url| {
        let end = url
            .find(['/', '?', '#', '"', '<', ' '])
            .unwrap_or(url.len());
        let authority = url.get(..end).unwrap_or_default();
        authority.rsplit('@').next().unwrap_or_default()
    });
    let of_names = text.split('@').skip(1);
    of_urls.chain(of_names).filter_map(move |text| {
        let end = text.find(|c| !in_host(c)).unwrap_or(text.len());
        let host = text.get(..end)?.trim_matches('.');
        host.contains('.').then_some(host)
    })
}

fn is_path(text: &str) -> bool {
    let rooted = text.starts_with("Device.") || text.starts_with("InternetGatewayDevice.");
    rooted && !text.contains(char::is_whitespace)
}

/// Whether what is found is not a part of a longer word.
fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let before = text.get(..start).and_then(|text| text.chars().next_back());
    let after = text.get(end..).and_then(|text| text.chars().next());
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !is_word(before) && !is_word(after)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
