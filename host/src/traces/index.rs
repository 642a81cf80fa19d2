//! Which sessions are kept, by device and by id: in memory, made anew at each start from the
//! heads of the records.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use crate::device::{DeviceKey, UnixTime};

use super::SessionId;
use super::session::Head;

/// The kept sessions.
#[derive(Debug, Default)]
pub(super) struct Index {
    devices: HashMap<DeviceKey, VecDeque<Kept>>,
    ids: HashMap<SessionId, DeviceKey>,
    /// Few different ones, many times.
    texts: HashSet<Arc<str>>,
}

/// A kept session, as small as can be: there may be a million of them.
#[derive(Debug)]
struct Kept {
    id: SessionId,
    number: u64,
    started: i64,
    duration: u64,
    /// A line each.
    events: Arc<str>,
    ended: Arc<str>,
    peer: Arc<str>,
    rpcs: u32,
    faults: u32,
    left_out: u32,
}

impl Index {
    /// Adds a session; the oldest of its device goes if it has more than `per_device_max`.
    pub(super) fn insert(&mut self, number: u64, head: &Head, per_device_max: usize) {
        let key = DeviceKey {
            instance: self.text(&head.instance),
            id: head.device.as_str().into(),
        };
        let kept = Kept {
            id: head.id,
            number,
            started: head.started,
            duration: head.duration,
            events: self.text(&head.events.join("\n")),
            ended: self.text(head.ended.as_deref().unwrap_or_default()),
            peer: self.text(&head.peer),
            rpcs: head.rpcs,
            faults: head.faults,
            left_out: head.left_out,
        };
        let entry = self.devices.entry(key);
        self.ids.insert(head.id, entry.key().clone());
        let sessions = entry.or_default();
        sessions.push_back(kept);
        while sessions.len() > per_device_max {
            let oldest = sessions.pop_front();
            oldest.map(|oldest| self.ids.remove(&oldest.id));
        }
    }

    /// Forgets the records below `first`, and those that are older.
    pub(super) fn prune(&mut self, first: u64, oldest: UnixTime) {
        let gone = |kept: &Kept| kept.number < first || kept.started / 1000 < oldest;
        let ids = &mut self.ids;
        self.devices.retain(|_, sessions| {
            while let Some(kept) = sessions.pop_front_if(|kept| gone(kept)) {
                ids.remove(&kept.id);
            }
            !sessions.is_empty()
        });
        self.texts.retain(|text| Arc::strong_count(text) > 1);
    }

    /// The number of a session's record.
    pub(super) fn number(&self, id: SessionId) -> Option<u64> {
        let sessions = self.devices.get(self.ids.get(&id)?)?;
        let kept = sessions.iter().find(|kept| kept.id == id)?;
        Some(kept.number)
    }

    /// The sessions of a device, the last first.
    pub(super) fn of(&self, device: &DeviceKey) -> impl Iterator<Item = Head> {
        let sessions = self.devices.get(device).into_iter().flatten().rev();
        sessions.map(|kept| kept.head(device))
    }

    /// How many sessions there are.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    fn text(&mut self, text: &str) -> Arc<str> {
        Arc::clone(self.texts.get_or_insert_with(text, |text| Arc::from(text)))
    }
}

impl Kept {
    fn head(&self, device: &DeviceKey) -> Head {
        Head {
            id: self.id,
            instance: device.instance.to_string(),
            device: device.id.to_string(),
            started: self.started,
            duration: self.duration,
            peer: self.peer.to_string(),
            events: self.events.lines().map(str::to_owned).collect(),
            rpcs: self.rpcs,
            faults: self.faults,
            ended: Some(self.ended.to_string()),
            left_out: self.left_out,
        }
    }
}
