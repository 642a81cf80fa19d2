//! The last contacts of a device, for whoever has its owner on the phone: in memory with its cell, never written. What
//! was kept of a session as a trace is told from there.

use std::collections::VecDeque;

use crate::device::UnixTime;
use crate::traces::{Head, SessionId};

/// Contacts that are remembered of a device: some KB of memory.
pub const CONTACTS_MAX: usize = 10;

/// A session, or several in a row in which a device that informs every few seconds only said that it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The first of them.
    pub session: SessionId,
    /// When its Inform came, milliseconds since the epoch.
    pub started: i64,
    /// From the Inform to the end, microseconds.
    pub duration: u64,
    /// Where the Inform came from.
    pub peer: Box<str>,
    /// The codes of the Inform's events.
    pub events: Box<[String]>,
    /// RPCs sent to the device.
    pub rpcs: u32,
    /// Faults of the device.
    pub faults: u32,
    /// `done`, or why it ended before its time; `None`: it is under way.
    pub ended: Option<Box<str>>,
    /// How many sessions these were.
    pub times: u32,
    /// When the last of them ended.
    pub last: UnixTime,
}

/// Of one device, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<Contact>);

impl Contact {
    /// A session, as it is or was.
    pub fn of(head: Head, last: UnixTime) -> Contact {
        Contact {
            session: head.id,
            started: head.started,
            duration: head.duration,
            peer: head.peer.into(),
            events: head.events.into(),
            rpcs: head.rpcs,
            faults: head.faults,
            ended: head.ended.map(String::into),
            times: 1,
            last,
        }
    }

    /// Nothing was asked of the device, and it ended as it should.
    fn is_without_news(&self) -> bool {
        self.rpcs == 0 && self.ended.as_deref() == Some("done")
    }
}

impl Recent {
    pub(super) fn ended(&mut self, contact: Contact) {
        if self.0.len() >= CONTACTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(contact);
    }

    /// One in which the device only said that it is there: counted with the one before, if that was one, too.
    pub(super) fn glanced(&mut self, now: UnixTime, contact: impl FnOnce() -> Contact) {
        match self.0.back_mut() {
            Some(before) if before.is_without_news() => {
                before.times = before.times.saturating_add(1);
                before.last = now;
            }
            _ => self.ended(contact()),
        }
    }

    /// The newest first.
    pub(super) fn all(&self) -> Vec<Contact> {
        self.0.iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(number: u64, rpcs: u32) -> Contact {
        let head = Head {
            id: SessionId(number),
            instance: "a".to_owned(),
            device: "1".to_owned(),
            started: 1_000 * number as i64,
            duration: 5,
            peer: "192.0.2.1".to_owned(),
            events: vec!["2 PERIODIC".to_owned()],
            rpcs,
            faults: 0,
            ended: Some("done".to_owned()),
            left_out: 0,
        };
        Contact::of(head, number as i64)
    }

    #[test]
    fn the_last_ones_stay_and_those_without_news_are_counted() {
        let mut recent = Recent::default();
        for number in 0..30 {
            recent.ended(contact(number, 1));
        }
        for now in 30..1_000 {
            recent.glanced(now, || contact(now as u64, 0));
        }
        recent.ended(contact(1_000, 2));
        recent.glanced(1_001, || contact(1_001, 0));
        let all = recent.all();
        let told: Vec<_> = all.iter().map(|c| (c.session.0, c.times, c.last)).collect();
        assert_eq!(told.len(), CONTACTS_MAX);
        assert_eq!(
            told[..4],
            [
                (1_001, 1, 1_001),
                (1_000, 1, 1_000),
                (30, 970, 999),
                (29, 1, 29)
            ]
        );
    }
}
