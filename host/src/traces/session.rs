//! The trace of a session as it is kept and told: masked, in the form of the API's JSON.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::SessionId;
use super::lex::message_name;
use super::mask::{self, Masks};
use super::recording::{self, Recording, What};

/// Bytes of all headers of one message.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// What a body becomes in which secrets cannot be looked for.
const NOT_KEPT: &str = "[not kept: no text that secrets could be looked for in]";

/// What a list says of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Unique in the host.
    pub id: SessionId,
    /// The instance (tenant) of the device.
    pub instance: String,
    /// The device's id.
    pub device: String,
    /// When the Inform came, milliseconds since the epoch.
    pub started: i64,
    /// From the Inform to the end, or until now, microseconds.
    pub duration: u64,
    /// Where the Inform came from.
    pub peer: String,
    /// The codes of the Inform's events.
    pub events: Vec<String>,
    /// RPCs sent to the device.
    pub rpcs: u32,
    /// Faults of the device.
    pub faults: u32,
    /// `done`, or why it ended before its time; `None`: it is under way.
    pub ended: Option<String>,
    /// Entries for which there was no room.
    pub left_out: u32,
}

/// A session with all that happened in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// What a list says of it.
    pub head: Head,
    /// In order.
    pub entries: Vec<Entry>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Microseconds since the Inform.
    pub at: u64,
    /// What it was.
    #[serde(flatten)]
    pub what: Told,
}

/// A message, a call or a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Told {
    /// A POST of the device.
    Request {
        /// `POST`.
        method: String,
        /// Path and query.
        target: String,
        /// `HTTP/1.1`.
        version: String,
        /// In the order they came; names in lower case.
        headers: Vec<(String, String)>,
        /// The element in the SOAP body; `None`: there is none.
        message: Option<String>,
        /// As it came.
        body: Body,
    },
    /// What it was answered.
    Answer {
        /// 200, 204, ….
        status: u16,
        /// Names in lower case.
        headers: Vec<(String, String)>,
        /// The element in the SOAP body.
        message: Option<String>,
        /// As it went.
        body: Body,
    },
    /// A call of a plugin.
    Plugin {
        /// `on-inform`, ….
        hook: String,
        /// `name version`.
        plugin: String,
        /// What it changed, a line each.
        changes: Vec<String>,
        /// Why it failed.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        failure: Option<String>,
        /// Microseconds.
        took: u64,
    },
    /// Something that was decided.
    Note {
        /// For people.
        text: String,
    },
}

/// A body: its text, or its bytes in base64 where they are no UTF-8.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Body {
    /// If it is UTF-8.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub text: String,
    /// If it is not.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub base64: String,
    /// Its length as it came, unmasked and uncut.
    pub bytes: usize,
    /// Only the beginning is here.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub cut: bool,
}

impl Body {
    /// For reading: what is no UTF-8 is taken as Latin-1.
    pub fn shown(&self) -> Cow<'_, str> {
        if self.base64.is_empty() {
            return Cow::Borrowed(&self.text);
        }
        let bytes = BASE64.decode(&self.base64).unwrap_or_default();
        Cow::Owned(bytes.into_iter().map(char::from).collect())
    }

    fn of(body: &recording::Body, masks: &Masks) -> Body {
        let masked = masks.body(&body.bytes);
        let mut out = Body {
            bytes: body.whole,
            cut: body.whole > body.bytes.len(),
            ..Body::default()
        };
        match masked.map(String::from_utf8) {
            Some(Ok(text)) => out.text = text,
            Some(Err(error)) => out.base64 = BASE64.encode(error.as_bytes()),
            None => out.text = NOT_KEPT.to_owned(),
        }
        out
    }
}

impl Head {
    /// What is known of a session so far.
    pub(crate) fn of(recording: &Recording) -> Head {
        let whose = recording.whose();
        let device = whose.map(|whose| &whose.device);
        let state = recording.state();
        let last = state.entries.last().map_or(0, |entry| entry.at);
        let (ended, duration) = match &state.ended {
            Some((how, at)) => (Some(Masks::default().text(how)), last.max(*at)),
            None => (None, last),
        };
        Head {
            id: recording.id,
            instance: device
                .map(|key| key.instance.to_string())
                .unwrap_or_default(),
            device: device.map(|key| key.id.to_string()).unwrap_or_default(),
            started: recording.started.unix * 1000 + i64::from(recording.started.milliseconds),
            duration,
            peer: whose.map(|whose| whose.peer.clone()).unwrap_or_default(),
            events: whose.map(|whose| whose.events.clone()).unwrap_or_default(),
            rpcs: state.rpcs,
            faults: state.faults,
            ended,
            left_out: state.left_out,
        }
    }
}

impl Session {
    /// What was recorded so far, masked.
    pub(super) fn of(recording: &Recording) -> Session {
        let head = Head::of(recording);
        let entries = recording.state().entries.clone();
        let mut masks = Masks::default();
        for entry in &entries {
            match &entry.what {
                What::Request(_, body) | What::Answer(_, _, body) => masks.learn(&body.bytes),
                What::Plugin(_) | What::Note(_) => {}
            }
        }
        let entries = entries
            .into_iter()
            .map(|entry| Entry {
                at: entry.at,
                what: told(entry.what, &masks),
            })
            .collect();
        Session { head, entries }
    }

    /// The bodies cut to so many bytes, for a session that would be too large to keep.
    pub(super) fn cut(&mut self, bytes_max: usize) {
        for entry in &mut self.entries {
            let (Told::Request { body, .. } | Told::Answer { body, .. }) = &mut entry.what else {
                continue;
            };
            for part in [&mut body.text, &mut body.base64] {
                // Base64 comes in fours.
                let end = part.floor_char_boundary(bytes_max - bytes_max % 4);
                body.cut |= end < part.len();
                part.truncate(end);
            }
        }
    }
}

fn told(what: What, masks: &Masks) -> Told {
    match what {
        What::Request(head, body) => {
            let target = head
                .uri
                .path_and_query()
                .map_or("", |target| target.as_str());
            Told::Request {
                method: head.method.to_string(),
                target: masks.quoted(&mask::target(target)),
                version: format!("{:?}", head.version),
                headers: headers(head.headers.iter(), masks),
                message: message_name(&body.bytes),
                body: Body::of(&body, masks),
            }
        }
        What::Answer(status, list, body) => Told::Answer {
            status: status.as_u16(),
            headers: headers(list.iter().map(|(name, value)| (name, value)), masks),
            message: message_name(&body.bytes),
            body: Body::of(&body, masks),
        },
        What::Plugin(call) => Told::Plugin {
            hook: call.hook.to_owned(),
            plugin: call.plugin,
            changes: call.changes.iter().map(|line| masks.text(line)).collect(),
            failure: call.failed.map(|text| masks.text(&text)),
            took: u64::try_from(call.took.as_micros()).unwrap_or(u64::MAX),
        },
        What::Note(text) => Told::Note {
            text: masks.text(&text),
        },
    }
}

fn headers<'h>(
    headers: impl Iterator<Item = (&'h http::HeaderName, &'h http::HeaderValue)>,
    masks: &Masks,
) -> Vec<(String, String)> {
    let mut bytes = 0;
    headers
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (
                name.to_string(),
                masks.quoted(&mask::header(name.as_str(), &value)),
            )
        })
        .take_while(|(name, value)| {
            bytes += name.len() + value.len();
            bytes <= HEADER_BYTES_MAX
        })
        .collect()
}
