//! Devices: found, registered, listed, deleted, written.

use std::sync::Arc;

use crate::device::{Contacts, DeviceKey, Summary};

use super::backend::{Backend, Batch, Start};
use super::cell::{Device, DeviceCell, decode_summary, summary_key, tree_key};
use super::commit::Work;
use super::keys::{self, Kind, of_device};
use super::{Core, Store, StoreError, Told, campaigns, chunks, parts, task_records};

/// A line of a list of devices.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Whose line it is.
    pub key: DeviceKey,
    /// Its summary.
    pub summary: Summary,
    /// Its last contacts.
    pub contacts: Contacts,
}

impl Store {
    /// A device that was seen before. From memory; the first time it reads the disk
    /// (tens of microseconds when the page cache has it): short enough to be called from a task.
    ///
    /// # Errors
    /// When its records cannot be read.
    pub fn device(&self, key: &DeviceKey) -> Result<Option<Arc<DeviceCell>>, StoreError> {
        let core = self.core();
        if let Some(cell) = core.devices.cached(key) {
            return Ok(Some(cell));
        }
        let _loading = core.devices.loading(key);
        match core.devices.cached(key) {
            Some(cell) => Ok(Some(cell)),
            None => core.load(key),
        }
    }

    /// The device of this key, made with `summary` if there is none (`true`). A new device is
    /// a reading: it is written behind, unless [`Store::persist`] is awaited.
    ///
    /// # Errors
    /// When the key is not one (empty or over-long parts), or records cannot be read.
    pub fn register(
        &self,
        key: &DeviceKey,
        summary: Summary,
    ) -> Result<(Arc<DeviceCell>, bool), StoreError> {
        if let Some(cell) = self.device(key)? {
            return Ok((cell, false));
        }
        keys::check_device(key)?;
        let core = self.core();
        let _loading = core.devices.loading(key);
        let known = match core.devices.cached(key) {
            Some(cell) => Some(cell),
            None => core.load(key)?,
        };
        if let Some(cell) = known {
            return Ok((cell, false));
        }
        let (key, number, contacts) = core.devices.add(key);
        let cell = Arc::new(DeviceCell::new(key, number, contacts, Device::new(summary)));
        core.devices.keep(&cell);
        core.devices.index(&cell, &mut cell.lock());
        core.dirty.push(&cell);
        Ok((cell, true))
    }

    /// Devices of an instance in the order of their ids, after `after`. Cells in memory are
    /// looked at, others are read from disk without being kept.
    ///
    /// # Errors
    /// When records cannot be read.
    pub fn devices(
        &self,
        instance: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let mut listed = Vec::new();
        for (key, number, contacts) in self.core().devices.page(instance, after, limit) {
            if let Some(summary) = self.core().summary(&key, number)? {
                listed.push(Listed {
                    key,
                    summary,
                    contacts,
                });
            }
        }
        Ok(listed)
    }

    /// Only the ids of [`Store::devices`]: from memory, never fails.
    pub fn device_ids(&self, instance: &str, after: Option<&str>, limit: usize) -> Vec<Arc<str>> {
        let page = self.core().devices.page(instance, after, limit);
        page.into_iter().map(|(key, _, _)| key.id).collect()
    }

    /// Whether there is such a device: from memory, never fails.
    pub fn is_known(&self, key: &DeviceKey) -> bool {
        self.core().devices.contains(key)
    }

    /// How many devices an instance has.
    pub fn count(&self, instance: &str) -> usize {
        self.core().devices.count(instance)
    }

    /// Forgets a device with its tree, contacts, faults, plugin memory and tasks; durable on
    /// return. Whether there was one. Waiters of its tasks get `None`.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn delete(&self, key: &DeviceKey) -> Result<bool, StoreError> {
        let place = self.core().committer.reserve().await?;
        let deletion = {
            let core = self.core();
            let Some(cell) = self.device(key)? else {
                return Ok(false);
            };
            let _loading = core.devices.loading(key);
            if cell.is_deleted() {
                return Ok(false);
            }
            core.devices.forget(key);
            core.faults.forget(key);
            core.memory.forget(key);
            let mut locked = cell.lock();
            cell.set_deleted(&mut locked);
            let (key, number) = (key.clone(), cell.number());
            core.tasks.block(&key);
            let build = {
                let key = key.clone();
                move |backend: &Backend| removal(backend, &key, number)
            };
            let core = Arc::clone(core);
            let after = move |result: Result<(), &StoreError>| {
                if result.is_ok() {
                    core.tasks.forget(&key);
                    core.tasks.tell(&Told::Deleted(key));
                }
            };
            place.submit(Work::Build(Box::new(build)), Some(Box::new(after)))
        };
        deletion.done().await?;
        Ok(true)
    }

    /// Call it after a change: queues the device for the next round of write-behind if there
    /// is something to write. Costs nothing worth counting if not.
    pub fn touched(&self, cell: &Arc<DeviceCell>) {
        let mut locked = cell.lock();
        let changed = locked.is_changed();
        self.core().devices.index(cell, &mut locked);
        drop(locked);
        if changed {
            self.core().dirty.push(cell);
        }
    }

    /// Makes everything that is in the cell now durable before it returns: for credentials.
    ///
    /// # Errors
    /// When the store takes no writes, or the summary is over its limit.
    pub async fn persist(&self, cell: &Arc<DeviceCell>) -> Result<(), StoreError> {
        let place = self.core().committer.reserve().await?;
        let (writing, summary) = {
            let mut locked = cell.lock();
            self.core().devices.index(cell, &mut locked);
            let mut batch = Batch::default();
            let summary = cell.take_changes(&mut locked, &mut batch);
            // The cell must not be let go and loaded again before this is applied.
            let held = Arc::clone(cell);
            (
                place.submit(Work::Batch(batch), Some(Box::new(move |_| drop(held)))),
                summary,
            )
        };
        writing.done().await?;
        summary
    }
}

impl Core {
    fn load(&self, key: &DeviceKey) -> Result<Option<Arc<DeviceCell>>, StoreError> {
        let Some((key, number, contacts)) = self.devices.find(key) else {
            return Ok(None);
        };
        let summary = match self
            .backend
            .get(summary_key(&key.instance, number).as_ref())?
        {
            Some(record) => decode_summary(&record)?,
            // Only a summary over its limit is not there.
            None => Summary::default(),
        };
        let tree_key = tree_key(&key.instance, number);
        let records = self
            .backend
            .scan(tree_key.as_ref(), Start::First, usize::MAX)?;
        let tree = parts::read(&records, tree_key.as_ref().len(), |error| {
            tracing::warn!(device = %key, %error, "left out a part of the device's tree");
        });
        let device = Device::restored(summary, tree);
        let cell = Arc::new(DeviceCell::new(key, number, contacts, device));
        self.devices.keep(&cell);
        Ok(Some(cell))
    }

    pub(super) fn summary(
        &self,
        key: &DeviceKey,
        number: u64,
    ) -> Result<Option<Summary>, StoreError> {
        if let Some(cell) = self.devices.peek(key) {
            return Ok(Some(cell.lock().summary().clone()));
        }
        let record = self
            .backend
            .get(summary_key(&key.instance, number).as_ref())?;
        record.map(|record| decode_summary(&record)).transpose()
    }
}

/// Removes every record of a device.
fn removal(backend: &Backend, key: &DeviceKey, number: u64) -> Result<Batch, StoreError> {
    let mut batch = Batch::default();
    batch.remove(of_device(Kind::Index, key).bytes());
    batch.remove(summary_key(&key.instance, number).bytes());
    chunks::remove(backend, &mut batch, &of_device(Kind::Faults, key))?;
    let below = [
        tree_key(&key.instance, number),
        of_device(Kind::Memory, key),
    ];
    for prefix in below {
        for (record, _) in backend.scan(prefix.as_ref(), Start::First, usize::MAX)? {
            batch.remove(record);
        }
    }
    for id in task_records::of(backend, key)? {
        task_records::remove(backend, &mut batch, key, id)?;
    }
    campaigns::remove_device(backend, &mut batch, key)?;
    Ok(batch)
}
