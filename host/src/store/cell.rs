//! Devices in memory: one cell per device, and what is to be written of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::device::{Contacts, DeviceKey, Summary, UnixTime};

use super::backend::{Batch, VALUE_BYTES_MAX};
use super::contacts::ContactBlock;
use super::keys::{Key, Kind, of_device};
use super::recent::{Contact, Recent};
use super::tree::Tree;
use super::{StoreError, chunks, parts};

/// A device in memory. While anybody holds it, it is the only one of its device.
#[derive(Debug)]
pub struct DeviceCell {
    key: DeviceKey,
    number: u64,
    contacts: Arc<ContactBlock>,
    recent: Mutex<Recent>,
    device: Mutex<Device>,
    /// Waits in the queue of write-behind.
    pub(super) queued: AtomicBool,
    deleted: AtomicBool,
}

impl DeviceCell {
    pub(super) fn new(
        key: DeviceKey,
        number: u64,
        contacts: Arc<ContactBlock>,
        device: Device,
    ) -> DeviceCell {
        DeviceCell {
            key,
            number,
            contacts,
            recent: Mutex::default(),
            device: Mutex::new(device),
            queued: AtomicBool::new(false),
            deleted: AtomicBool::new(false),
        }
    }

    /// Whose it is.
    pub fn key(&self) -> &DeviceKey {
        &self.key
    }

    /// The device's number in its instance; another one after the device was deleted.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The device, for as long as the guard lives. Hold it for the moment of a look or a
    /// change, never across an `.await`; after a change, call [`super::Store::touched`].
    pub fn lock(&self) -> MutexGuard<'_, Device> {
        self.device.lock()
    }

    /// The times of its last contacts. Takes no lock.
    pub fn contacts(&self) -> Contacts {
        self.contacts.get(self.number)
    }

    /// An Inform of any kind came. Takes no lock, needs no [`super::Store::touched`].
    pub fn contacted(&self, now: UnixTime) {
        if !self.is_deleted() {
            self.contacts.contacted(self.number, now);
        }
    }

    /// A session in which all logic ran came to its end. Takes no lock, needs no
    /// [`super::Store::touched`].
    pub fn contacted_fully(&self, now: UnixTime) {
        if !self.is_deleted() {
            self.contacts.contacted_fully(self.number, now);
        }
    }

    /// A session ended: remembered for as long as the device is in memory.
    pub fn remember(&self, contact: Contact) {
        self.recent.lock().ended(contact);
    }

    /// A session ended in which the device only said that it is there: counted, if the one before was like it.
    pub fn glanced(&self, now: UnixTime, contact: impl FnOnce() -> Contact) {
        self.recent.lock().glanced(now, contact);
    }

    /// The last contacts that are remembered, the newest first.
    pub fn recent_contacts(&self) -> Vec<Contact> {
        self.recent.lock().all()
    }

    /// Whether the device was deleted while this cell was in somebody's hands. What is changed
    /// in it since goes nowhere.
    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    pub(super) fn contact_block(&self) -> &Arc<ContactBlock> {
        &self.contacts
    }

    /// With the cell locked, so that a write that is being made goes before the deletion.
    pub(super) fn set_deleted(&self, _locked: &mut Device) {
        self.deleted.store(true, Ordering::Release);
        self.contacts.clear(self.number);
    }

    /// What has changed since the last call, as records; it counts as written from now on.
    /// Submit it before the lock is let go, so that writes keep their order.
    ///
    /// # Errors
    /// [`StoreError::TooMuch`] when the summary is over its limit; the rest is in `batch`.
    pub(super) fn take_changes(
        &self,
        locked: &mut Device,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        if self.is_deleted() {
            return Ok(());
        }
        if std::mem::take(&mut locked.is_new) {
            let number = self.number.to_be_bytes().to_vec();
            batch.put(of_device(Kind::Index, &self.key).bytes(), number);
        }
        if locked.tree.parts.is_changed() {
            let key = tree_key(&self.key.instance, self.number);
            parts::write(&mut locked.tree, &key, batch);
        }
        if std::mem::take(&mut locked.summary_changed) {
            let record = encode_summary(&locked.summary)?;
            batch.put(summary_key(&self.key.instance, self.number).bytes(), record);
        }
        Ok(())
    }
}

/// What is known of a device.
#[derive(Debug, Default)]
pub struct Device {
    /// Shared with the sessions that have begun since it last changed.
    summary: Arc<Summary>,
    tree: Tree,
    summary_changed: bool,
    /// What searches find is not what the summary says.
    row_stale: bool,
    /// The index does not have it yet.
    is_new: bool,
}

impl Device {
    pub(super) fn new(summary: Summary) -> Device {
        Device {
            summary: Arc::new(summary),
            tree: Tree::default(),
            summary_changed: true,
            row_stale: true,
            is_new: true,
        }
    }

    pub(super) fn restored(summary: Summary, tree: Tree) -> Device {
        Device {
            summary: Arc::new(summary),
            tree,
            summary_changed: false,
            row_stale: false,
            is_new: false,
        }
    }

    /// The summary.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The summary as it is now, for as long as somebody wants it.
    pub fn shared_summary(&self) -> Arc<Summary> {
        Arc::clone(&self.summary)
    }

    /// Changes the summary by any means; whether it is another one afterwards.
    /// Copies it to compare (about a microsecond): what may be asked in every session is worth a
    /// look before.
    pub fn summary_mut<R>(&mut self, change: impl FnOnce(&mut Summary) -> R) -> bool {
        let mut summary = Summary::clone(&self.summary);
        change(&mut summary);
        let changed = summary != *self.summary;
        if changed {
            self.summary = Arc::new(summary);
            self.summary_changed = true;
            self.row_stale = true;
        }
        changed
    }

    /// Sets a field of the summary: `device.set(|s| &mut s.session_by_url, true)`. Whether it
    /// changed.
    pub fn set<T>(&mut self, field: impl FnOnce(&mut Summary) -> &mut T, value: T) -> bool {
        self.summary_mut(|summary| *field(summary) = value)
    }

    /// The parameters.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The parameters, to change them: the tree knows by itself what has to be written.
    pub fn tree_mut(&mut self) -> &mut Tree {
        &mut self.tree
    }

    /// Both at once, for what reads one to change the other.
    pub fn summary_and_tree_mut(&mut self) -> (&Summary, &mut Tree) {
        (&self.summary, &mut self.tree)
    }

    /// Whether its row is to be made anew; it counts as made from now on.
    pub(super) fn take_row_stale(&mut self) -> bool {
        std::mem::take(&mut self.row_stale)
    }

    /// Whether there is something to write.
    pub(super) fn is_changed(&self) -> bool {
        self.is_new || self.summary_changed || self.tree.parts.is_changed()
    }
}

pub(super) fn summary_key(instance: &str, number: u64) -> Key {
    Key::new(Kind::Summary).text(instance).u64(number)
}

pub(super) fn tree_key(instance: &str, number: u64) -> Key {
    Key::new(Kind::Tree).text(instance).u64(number)
}

/// Unpacked; packed it has to fit one record.
const SUMMARY_BYTES_MAX: usize = 256 * 1024;
const SUMMARY: &str = "summary of a device";

fn encode_summary(summary: &Summary) -> Result<Vec<u8>, StoreError> {
    let json =
        serde_json::to_vec(summary).map_err(|error| super::keys::unreadable(SUMMARY, error))?;
    let record = chunks::pack(&json);
    if json.len() > SUMMARY_BYTES_MAX || record.len() > VALUE_BYTES_MAX {
        return Err(StoreError::TooMuch {
            what: "packed bytes of a device's summary",
            found: record.len() as u64,
            max: VALUE_BYTES_MAX as u64,
        });
    }
    Ok(record)
}

pub(super) fn decode_summary(record: &[u8]) -> Result<Summary, StoreError> {
    let json = chunks::unpack(SUMMARY, record, SUMMARY_BYTES_MAX)?;
    serde_json::from_slice(&json).map_err(|error| super::keys::unreadable(SUMMARY, error))
}
