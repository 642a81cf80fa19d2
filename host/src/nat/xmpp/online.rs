//! Which devices have a stream open, and how to write to it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::device::UnixTime;

/// Streams of one device at once: some come back with another resource each time.
const STREAMS_PER_DEVICE_MAX: usize = 4;
/// Stanzas that wait to be written to one device. More: it does not read any more.
const OUTBOX_STANZAS_MAX: usize = 8;

/// All streams that are open, by the name of the account.
#[derive(Debug, Default)]
pub(super) struct Online {
    accounts: Mutex<HashMap<Box<str>, Vec<Entry>>>,
    numbers: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    resource: Box<str>,
    since: UnixTime,
    outbox: mpsc::Sender<Outgoing>,
}

/// What is to be written to a device.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// A stanza.
    Stanza(String),
    /// Another stream has taken the place of this one.
    Replaced,
}

/// An open stream, as [`Online`] knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// The resource of the stream.
    pub resource: String,
    /// Since when it is open.
    pub since: UnixTime,
}

impl Online {
    /// A stream has bound its resource. It takes the place of one with the same, and of the
    /// oldest where there are too many. Its number, and what is to be written to it: `None`
    /// from there means that the server stops.
    pub(super) fn insert(
        &self,
        username: &str,
        resource: &str,
        now: UnixTime,
    ) -> (u64, mpsc::Receiver<Outgoing>) {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (outbox, inbox) = mpsc::channel(OUTBOX_STANZAS_MAX);
        let mut accounts = self.accounts.lock();
        let entries = accounts.entry(username.into()).or_default();
        let full = entries.len() >= STREAMS_PER_DEVICE_MAX;
        let replaced = entries
            .iter()
            .position(|entry| *entry.resource == *resource)
            .or(full.then_some(0));
        if let Some(replaced) = replaced {
            let _ = entries.remove(replaced).outbox.try_send(Outgoing::Replaced);
        }
        entries.push(Entry {
            number,
            resource: resource.into(),
            since: now,
            outbox,
        });
        (number, inbox)
    }

    /// A stream has ended. True: it was the last one of its account.
    pub(super) fn remove(&self, username: &str, number: u64) -> bool {
        let mut accounts = self.accounts.lock();
        let Some(entries) = accounts.get_mut(username) else {
            return false;
        };
        let before = entries.len();
        entries.retain(|entry| entry.number != number);
        let last = entries.is_empty() && before > 0;
        if entries.is_empty() {
            accounts.remove(username);
        }
        last
    }

    /// The stream of an account: that of the resource, or else the youngest.
    pub(super) fn find(&self, username: &str, resource: &str) -> Option<Presence> {
        let accounts = self.accounts.lock();
        let entry = pick(accounts.get(username)?, resource)?;
        Some(Presence {
            resource: entry.resource.to_string(),
            since: entry.since,
        })
    }

    /// Writes to the stream that [`Online::find`] found. False: it is gone, or does not read.
    pub(super) fn send(&self, username: &str, resource: &str, stanza: String) -> bool {
        let accounts = self.accounts.lock();
        let entry = accounts
            .get(username)
            .and_then(|entries| pick(entries, resource));
        entry.is_some_and(|entry| entry.outbox.try_send(Outgoing::Stanza(stanza)).is_ok())
    }

    /// Accounts with a stream.
    pub(super) fn count(&self) -> usize {
        self.accounts.lock().len()
    }

    /// Ends all streams.
    pub(super) fn clear(&self) {
        self.accounts.lock().clear();
    }
}

fn pick<'e>(entries: &'e [Entry], resource: &str) -> Option<&'e Entry> {
    entries
        .iter()
        .find(|entry| *entry.resource == *resource)
        .or(entries.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_login_takes_the_place_of_the_first() {
        let online = Online::default();
        let (first, mut first_inbox) = online.insert("a", "wan", 1);
        let (second, mut second_inbox) = online.insert("a", "wan", 2);
        assert!(matches!(first_inbox.try_recv(), Ok(Outgoing::Replaced)));
        assert!(!online.remove("a", first), "the second is there");
        assert_eq!(online.find("a", "").unwrap().since, 2);
        assert!(online.send("a", "wan", "x".into()));
        assert!(matches!(second_inbox.try_recv(), Ok(Outgoing::Stanza(x)) if x == "x"));
        let (_, _lan) = online.insert("a", "lan", 3);
        assert_eq!(online.find("a", "wan").unwrap().since, 2);
        assert_eq!(online.find("a", "other").unwrap().since, 3);
        let mut more: Vec<_> = (4..7)
            .map(|n| online.insert("a", &n.to_string(), n))
            .collect();
        assert!(matches!(second_inbox.try_recv(), Ok(Outgoing::Replaced)));
        assert_eq!(online.count(), 1);
        let (last, _) = more.pop().unwrap();
        assert!(!online.remove("a", last));
        online.remove("a", second);
        online.clear();
        assert!(online.find("a", "").is_none());
        assert!(!online.send("a", "wan", String::new()));
    }

    #[test]
    fn who_does_not_read_is_not_written_to() {
        let online = Online::default();
        let (_, _inbox) = online.insert("a", "wan", 1);
        for _ in 0..OUTBOX_STANZAS_MAX {
            assert!(online.send("a", "wan", "x".into()));
        }
        assert!(!online.send("a", "wan", "x".into()));
    }
}
