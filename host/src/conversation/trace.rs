//! The trace of a session: its messages as they were, with their times, and what was decided.
//! Kept as one record when the session ends, if its kind is kept at all.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use crate::clock::Now;
use crate::config::KeepTraces;
use crate::plugins::HookCall;
use crate::store::DeviceCell;

/// More of one session is not kept.
const BYTES_MAX: usize = 512 << 10;
/// More notes of one session are not kept.
const ENTRIES_MAX: usize = 2_000;

/// What has happened in a session so far.
pub(super) struct Trace {
    started: Now,
    entries: Vec<Entry>,
    bytes: usize,
    eventful: bool,
    rpcs: u32,
}

struct Entry {
    milliseconds: u64,
    what: What,
}

enum What {
    Received(Bytes),
    Sent(Bytes),
    AskedBy(Arc<str>),
    Note(String),
}

impl Trace {
    pub(super) fn begin(now: Now) -> Trace {
        Trace {
            started: now,
            entries: Vec::with_capacity(8),
            bytes: 0,
            eventful: false,
            rpcs: 0,
        }
    }

    /// Something happened that is worth keeping.
    pub(super) fn eventful(&mut self) {
        self.eventful = true;
    }

    pub(super) fn is_eventful(&self) -> bool {
        self.eventful
    }

    /// An RPC leaves.
    pub(super) fn rpc(&mut self) {
        self.rpcs += 1;
    }

    pub(super) fn rpcs(&self) -> u32 {
        self.rpcs
    }

    pub(super) fn received(&mut self, now: Now, body: &Bytes) {
        self.push(now, body.len(), What::Received(body.clone()));
    }

    pub(super) fn sent(&mut self, now: Now, body: &Bytes) {
        self.push(now, body.len(), What::Sent(body.clone()));
    }

    pub(super) fn asked_by(&mut self, now: Now, plugin: &Arc<str>) {
        self.push(now, 0, What::AskedBy(Arc::clone(plugin)));
    }

    pub(super) fn note(&mut self, now: Now, text: String) {
        self.push(now, text.len(), What::Note(text));
    }

    /// What hooks of profiles did.
    pub(super) fn hooks(&mut self, now: Now, calls: Vec<HookCall>) {
        for call in calls {
            self.note(now, call.to_string());
        }
    }

    pub(super) fn ended(&mut self, now: Now, how: &str) {
        self.push(now, how.len(), What::Note(format!("ended: {how}")));
    }

    fn push(&mut self, now: Now, bytes: usize, what: What) {
        if self.entries.len() >= ENTRIES_MAX || self.bytes + bytes > BYTES_MAX {
            return;
        }
        self.bytes += bytes;
        let since = now
            .instant
            .saturating_duration_since(self.started.instant)
            .as_millis();
        self.entries.push(Entry {
            milliseconds: u64::try_from(since).unwrap_or(u64::MAX),
            what,
        });
    }

    /// The record, if sessions such as this one are kept.
    pub(super) fn finished(
        &mut self,
        keep: KeepTraces,
        cell: &DeviceCell,
        events: &[cwmp::Event],
    ) -> Option<Vec<u8>> {
        let entries = std::mem::take(&mut self.entries);
        let kept = match keep {
            KeepTraces::None => false,
            KeepTraces::Eventful => self.eventful,
            KeepTraces::All => true,
        };
        if !kept {
            return None;
        }
        let entries: Vec<serde_json::Value> = entries
            .into_iter()
            .map(|entry| {
                let (kind, text) = match entry.what {
                    What::Received(body) => {
                        ("received", String::from_utf8_lossy(&body).into_owned())
                    }
                    What::Sent(body) => ("sent", String::from_utf8_lossy(&body).into_owned()),
                    What::AskedBy(plugin) => ("asked-by", plugin.to_string()),
                    What::Note(text) => ("note", text),
                };
                json!({ "ms": entry.milliseconds, "kind": kind, "text": text })
            })
            .collect();
        let events: Vec<&str> = events.iter().map(|event| event.code.as_str()).collect();
        let record = json!({
            "instance": &*cell.key().instance,
            "device": &*cell.key().id,
            "started": self.started.unix,
            "events": events,
            "entries": entries,
        });
        serde_json::to_vec(&record).ok()
    }
}
