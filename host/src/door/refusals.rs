//! What was refused at the door, kept so that "why does my device not appear?" has an answer.
//!
//! In memory only, and bounded: the same client refused for the same reason is one entry with a
//! count, and the entries that came up longest ago go first.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;
use serde::Serialize;

use crate::device::UnixTime;
use crate::metrics::Counter;

/// Entries kept.
const ENTRIES_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999);
/// Characters kept of what a client says of itself.
const TEXT_CHARS_MAX: usize = 200;

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It is no POST: a browser, a scanner.
    NoPost,
    /// It is no HTTP that can be read.
    NoHttp,
    /// The TLS handshake came to nothing.
    Tls,
    /// No header of the PROXY protocol, or a broken one, or of a proxy that is not trusted.
    ProxyHeader,
    /// The message is larger than the limit.
    TooLarge,
    /// The message took too long.
    TooSlow,
    /// The connection broke off in the message.
    BrokenOff,
    /// The message is compressed in an unknown way, or not in the way that it says.
    Coding,
    /// The message is no TR-069.
    Unreadable,
    /// A message of no session: it has ended, or never was, or its cookie was lost.
    NoSession,
    /// A message that is not in its turn, or breaks a rule of the protocol.
    OutOfTurn,
    /// It was asked for credentials or a certificate, and has not come with them since.
    NoCredentials,
    /// The password is wrong, or cannot be read.
    WrongCredentials,
    /// What it shows is another device's.
    WrongDevice,
    /// It shows factory credentials, and has had its own.
    FactorySpent,
    /// Nobody has announced it, and the instance takes no others.
    UnknownDevice,
    /// It has failed too often.
    TooManyFailures,
    /// Too many sessions are open.
    TooManySessions,
    /// A file that it has no right to, or one that could not be taken from it.
    File,
    /// The ACS URL is of no instance.
    NoInstance,
}

/// All of them, to be counted.
const WHYS: [Why; 20] = [
    Why::NoPost,
    Why::NoHttp,
    Why::Tls,
    Why::ProxyHeader,
    Why::TooLarge,
    Why::TooSlow,
    Why::BrokenOff,
    Why::Coding,
    Why::Unreadable,
    Why::NoSession,
    Why::OutOfTurn,
    Why::NoCredentials,
    Why::WrongCredentials,
    Why::WrongDevice,
    Why::FactorySpent,
    Why::UnknownDevice,
    Why::TooManyFailures,
    Why::TooManySessions,
    Why::File,
    Why::NoInstance,
];

impl Why {
    /// Its name, as the API and the metrics show it.
    pub fn name(self) -> &'static str {
        match self {
            Why::NoPost => "no-post",
            Why::NoHttp => "no-http",
            Why::Tls => "tls",
            Why::ProxyHeader => "proxy-header",
            Why::TooLarge => "too-large",
            Why::TooSlow => "too-slow",
            Why::BrokenOff => "broken-off",
            Why::Coding => "coding",
            Why::Unreadable => "unreadable",
            Why::NoSession => "no-session",
            Why::NoInstance => "no-instance",
            Why::OutOfTurn => "out-of-turn",
            Why::NoCredentials => "no-credentials",
            Why::WrongCredentials => "wrong-credentials",
            Why::WrongDevice => "wrong-device",
            Why::FactorySpent => "factory-spent",
            Why::UnknownDevice => "unknown-device",
            Why::TooManyFailures => "too-many-failures",
            Why::TooManySessions => "too-many-sessions",
            Why::File => "file",
        }
    }
}

/// A client that was refused, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Whose ACS URL it came to; `None`: nobody's, or it did not get that far.
    pub instance: Option<Arc<str>>,
    /// The client.
    pub address: IpAddr,
    /// Why.
    pub why: Why,
    /// The status that it got; 0: it did not get as far as HTTP.
    pub status: u16,
    /// The last time's reason in words.
    pub reason: String,
    /// The device that it is or says it is, if that is known.
    pub device: Option<String>,
    /// The user name that it showed.
    pub username: Option<String>,
    /// The request's target.
    pub path: String,
    /// What it says it is.
    pub user_agent: String,
}

/// A line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What happened.
    pub refused: Refused,
    /// When it first happened.
    pub first: UnixTime,
    /// When it last happened.
    pub last: UnixTime,
    /// How often.
    pub times: u64,
}

type Key = (Option<Arc<str>>, IpAddr, Why, Option<String>);

/// All that is remembered of refusals.
#[derive(Debug)]
pub struct Refusals {
    entries: Mutex<LruCache<Key, Entry>>,
    counts: [Counter; WHYS.len()],
}

impl Default for Refusals {
    fn default() -> Refusals {
        Refusals {
            entries: Mutex::new(LruCache::new(ENTRIES_MAX)),
            counts: std::array::from_fn(|_| Counter::default()),
        }
    }
}

impl Refusals {
    /// Takes one down, and says so in the log. Whether it is the first of its kind in the list.
    pub(crate) fn note(&self, mut refused: Refused, now: UnixTime) -> bool {
        for text in [&mut refused.path, &mut refused.user_agent] {
            shorten(text);
        }
        refused.device.as_mut().map(shorten);
        refused.username.as_mut().map(shorten);
        // Each session begins like that: it is no refusal unless nothing follows.
        let is_asked = refused.status == 401 && refused.why == Why::NoCredentials;
        let place = WHYS.iter().position(|why| *why == refused.why);
        if !is_asked && let Some(count) = place.and_then(|place| self.counts.get(place)) {
            count.add(1);
        }
        let key = (
            refused.instance.clone(),
            refused.address,
            refused.why,
            refused.device.clone(),
        );
        let mut entries = self.entries.lock();
        match entries.get_mut(&key) {
            Some(entry) => {
                tracing::debug!(
                    peer = %refused.address, device = refused.device, status = refused.status,
                    reason = refused.reason, "request refused, again"
                );
                entry.refused = refused;
                entry.last = now;
                entry.times += 1;
                false
            }
            None => {
                if !is_asked {
                    tracing::info!(
                        peer = %refused.address, device = refused.device, username = refused.username,
                        status = refused.status, reason = refused.reason, "request refused"
                    );
                }
                let entry = Entry {
                    refused,
                    first: now,
                    last: now,
                    times: 1,
                };
                entries.push(key, entry);
                true
            }
        }
    }

    /// A client that was asked for the credentials of this device came back with them.
    pub(super) fn came_back(&self, instance: &Arc<str>, address: IpAddr, device: &str) {
        let mut entries = self.entries.lock();
        for device in [Some(device.to_owned()), None] {
            let instance = Some(Arc::clone(instance));
            entries.pop(&(instance, address, Why::NoCredentials, device));
        }
    }

    /// The last ones, the latest first.
    pub fn last(&self, limit: usize) -> Vec<Entry> {
        self.last_where(limit, |_| true)
    }

    /// The last ones that are so.
    pub fn last_where(&self, limit: usize, is_so: impl Fn(&Refused) -> bool) -> Vec<Entry> {
        let entries = self.entries.lock();
        entries
            .iter()
            .map(|(_, entry)| entry)
            .filter(|entry| is_so(&entry.refused))
            .take(limit)
            .cloned()
            .collect()
    }

    /// How many there were since the start, by reason.
    pub fn counts(&self) -> impl Iterator<Item = (Why, u64)> {
        WHYS.iter()
            .zip(&self.counts)
            .map(|(why, count)| (*why, count.get()))
    }
}

fn shorten(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
        text.truncate(end);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(last_byte: u8, why: Why) -> Refused {
        Refused {
            instance: None,
            address: IpAddr::from([192, 0, 2, last_byte]),
            why,
            status: 400,
            reason: "r".into(),
            device: None,
            username: None,
            path: "/".into(),
            user_agent: "x".repeat(1_000),
        }
    }

    #[test]
    fn the_same_again_is_counted_and_the_latest_is_first() {
        let refusals = Refusals::default();
        assert!(refusals.note(refused(1, Why::NoPost), 10));
        assert!(refusals.note(refused(2, Why::NoPost), 11));
        assert!(!refusals.note(refused(1, Why::NoPost), 12));
        assert!(refusals.note(refused(1, Why::TooLarge), 12));
        let last = refusals.last(10);
        let lines: Vec<_> = last.iter().map(|e| (e.first, e.last, e.times)).collect();
        assert_eq!(lines, [(12, 12, 1), (10, 12, 2), (11, 11, 1)]);
        assert_eq!(last[0].refused.user_agent.chars().count(), 201);
        let counts: Vec<_> = refusals.counts().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counts, [(Why::NoPost, 3), (Why::TooLarge, 1)]);
    }

    #[test]
    fn names_are_those_of_the_api() {
        for why in WHYS {
            assert_eq!(serde_json::to_value(why).unwrap(), why.name());
        }
    }

    #[test]
    fn there_are_only_so_many() {
        let refusals = Refusals::default();
        for device in 0..2_000 {
            let mut refused = refused(1, Why::NoSession);
            refused.device = Some(device.to_string());
            refusals.note(refused, device);
        }
        let last = refusals.last(usize::MAX);
        assert_eq!(last.len(), 1_000);
        assert_eq!(last[0].last, 1_999);
    }
}
