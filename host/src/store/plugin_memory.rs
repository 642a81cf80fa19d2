//! What plugins remember of devices, beyond a session: written behind, reads see own writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::device::DeviceKey;

use super::backend::{Backend, Batch, Start};
use super::commit::{Durability, Waiting, Work};
use super::keys::{self, Kind, of_device};
use super::registry::Registry;
use super::{Core, Store, StoreError};

/// Bytes of one remembered value.
pub const MEMORY_VALUE_BYTES_MAX: usize = 16 * 1024;
/// Keys that one plugin may remember of one device.
pub const MEMORY_KEYS_MAX: usize = 64;
/// Bytes of one request to the commit thread.
const REQUEST_BYTES: usize = 256 * 1024;

/// Values that wait to be written, by the key of their record.
#[derive(Debug, Default)]
pub(super) struct Memory {
    changed: Mutex<BTreeMap<Vec<u8>, Changed>>,
}

#[derive(Debug)]
struct Changed {
    /// `None`: to be removed.
    value: Option<Vec<u8>>,
    generation: u64,
    submitted: Option<u64>,
}

impl Memory {
    pub(super) fn forget(&self, device: &DeviceKey) {
        let prefix = of_device(Kind::Memory, device).bytes();
        self.changed
            .lock()
            .retain(|key, _| !key.starts_with(&prefix));
    }

    /// Submits some values that were not yet; `None` when there are no more.
    pub(super) fn submit_some(&self, core: &Core) -> Option<Waiting> {
        // Submitted under the lock, so that a deletion comes after.
        let mut changed = self.changed.lock();
        let mut batch = Batch::default();
        let mut written = Vec::new();
        for (key, value) in changed.iter_mut() {
            if value.submitted == Some(value.generation) {
                continue;
            }
            if batch.bytes() > REQUEST_BYTES {
                break;
            }
            value.submitted = Some(value.generation);
            written.push((key.clone(), value.generation));
            match &value.value {
                Some(value) => batch.put(key.clone(), value.clone()),
                None => batch.remove(key.clone()),
            }
        }
        if batch.is_empty() {
            return None;
        }
        let memory = Arc::clone(&core.memory);
        let after = move |result: Result<(), &StoreError>| {
            if result.is_err() {
                return; // the store has failed, memory is what there is
            }
            let mut changed = memory.changed.lock();
            for (key, generation) in written {
                if changed
                    .get(&key)
                    .is_some_and(|value| value.generation == generation)
                {
                    changed.remove(&key);
                }
            }
        };
        Some(core.committer.submit(
            Work::Batch(batch),
            Durability::Applied,
            Some(Box::new(after)),
        ))
    }

    fn get(&self, backend: &Backend, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(changed) = self.changed.lock().get(key) {
            return Ok(changed.value.clone());
        }
        backend.get(key)
    }

    pub(super) fn put(&self, key: Vec<u8>, value: Option<Vec<u8>>) {
        note(&mut self.changed.lock(), key, value);
    }

    /// Of a device, unless it was deleted.
    fn put_of(&self, devices: &Registry, device: &DeviceKey, key: Vec<u8>, value: Option<Vec<u8>>) {
        let mut changed = self.changed.lock();
        // Under the lock that a deletion takes afterwards.
        if devices.contains(device) {
            note(&mut changed, key, value);
        }
    }

    /// How many values there are below `prefix`, up to a few more than the limit.
    fn count(&self, backend: &Backend, prefix: &[u8]) -> Result<usize, StoreError> {
        let stored = backend.scan(prefix, Start::First, MEMORY_KEYS_MAX * 2)?;
        let changed = self.changed.lock();
        let kept = stored
            .iter()
            .filter(|(key, _)| !changed.contains_key(key))
            .count();
        let below = changed
            .range(prefix.to_vec()..)
            .take_while(|(key, _)| key.starts_with(prefix));
        Ok(kept + below.filter(|(_, changed)| changed.value.is_some()).count())
    }
}

fn note(changed: &mut BTreeMap<Vec<u8>, Changed>, key: Vec<u8>, value: Option<Vec<u8>>) {
    let known = changed.entry(key).or_insert(Changed {
        value: None,
        generation: 0,
        submitted: None,
    });
    known.value = value;
    known.generation += 1;
}

impl Store {
    /// What the plugin remembers under `key` of this device.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn memory_get(
        &self,
        plugin: &str,
        device: &DeviceKey,
        key: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let core = self.core();
        core.memory
            .get(&core.backend, &memory_key(plugin, device, key)?)
    }

    /// Remembers a value. A value that is the known one costs no write. Of a device that was
    /// deleted nothing is remembered.
    ///
    /// # Errors
    /// [`StoreError::TooMuch`] over the quota, [`StoreError::Name`] for an empty or over-long key.
    pub fn memory_set(
        &self,
        plugin: &str,
        device: &DeviceKey,
        key: &str,
        value: Vec<u8>,
    ) -> Result<(), StoreError> {
        let record = memory_key(plugin, device, key)?;
        refuse_over(
            "bytes of a remembered value",
            value.len(),
            MEMORY_VALUE_BYTES_MAX,
        )?;
        let core = self.core();
        match core.memory.get(&core.backend, &record)? {
            Some(known) if known == value => return Ok(()),
            Some(_) => {}
            None => {
                let prefix = of_device(Kind::Memory, device).text(plugin);
                let count = core.memory.count(&core.backend, prefix.as_ref())?;
                refuse_over(
                    "values a plugin remembers of a device",
                    count + 1,
                    MEMORY_KEYS_MAX,
                )?;
            }
        }
        core.memory
            .put_of(&core.devices, device, record, Some(value));
        Ok(())
    }

    /// Forgets a value.
    ///
    /// # Errors
    /// [`StoreError::Name`] for an empty or over-long key; when the records cannot be read.
    pub fn memory_remove(
        &self,
        plugin: &str,
        device: &DeviceKey,
        key: &str,
    ) -> Result<(), StoreError> {
        let record = memory_key(plugin, device, key)?;
        let core = self.core();
        if core.memory.get(&core.backend, &record)?.is_some() {
            core.memory.put_of(&core.devices, device, record, None);
        }
        Ok(())
    }
}

fn memory_key(plugin: &str, device: &DeviceKey, key: &str) -> Result<Vec<u8>, StoreError> {
    keys::check_device(device)?;
    keys::check_name("a plugin's name", plugin)?;
    keys::check_name("a remembered value's key", key)?;
    Ok(of_device(Kind::Memory, device)
        .text(plugin)
        .text(key)
        .bytes())
}

fn refuse_over(what: &'static str, found: usize, max: usize) -> Result<(), StoreError> {
    if found <= max {
        return Ok(());
    }
    Err(StoreError::TooMuch {
        what,
        found: found as u64,
        max: max as u64,
    })
}
