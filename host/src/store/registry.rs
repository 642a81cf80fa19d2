//! All devices: the ordered index of their ids, which is always in memory, and the cells of
//! those that are in use or were lately.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::ops::Bound;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::device::{Contacts, DeviceKey, Summary};

use super::backend::{Backend, Batch, Start};
use super::chunks;
use super::contacts::{BLOCK_DEVICES, ContactBlock};
use super::devices::{Device, DeviceCell, Listed, decode_summary, summary_key, tree_key};
use super::keys::{self, Key, KeyReader, Kind, number_value, of_device, unreadable};
use super::{Core, Store, StoreError, commit::Work, parts, paths::HASHER, task_records};

/// Cells that are looked at for one to let go, before the cache grows over its limit.
const EVICT_TRIES: usize = 16;
/// Locks that keep one device from being loaded twice at a time.
const LOAD_LOCKS: usize = 64;

/// All devices.
#[derive(Debug)]
pub(super) struct Registry {
    cells: Mutex<LruCache<DeviceKey, Arc<DeviceCell>>>,
    cells_max: usize,
    loading: [Mutex<()>; LOAD_LOCKS],
    instances: RwLock<HashMap<Arc<str>, Arc<Instance>>>,
}

/// The devices of an instance.
#[derive(Debug)]
struct Instance {
    name: Arc<str>,
    index: RwLock<Index>,
}

#[derive(Debug, Default)]
struct Index {
    numbers: BTreeMap<Arc<str>, u64>,
    next: u64,
    /// By number / 256.
    contacts: BTreeMap<u64, Arc<ContactBlock>>,
}

impl Index {
    fn block(&mut self, number: u64) -> Arc<ContactBlock> {
        Arc::clone(self.contacts.entry(number / BLOCK_DEVICES).or_default())
    }
}

impl Registry {
    /// Reads the indexes of all instances.
    pub(super) fn open(backend: &Backend, cells_max: usize) -> Result<Registry, StoreError> {
        let registry = Registry {
            cells: Mutex::new(LruCache::unbounded()),
            cells_max,
            loading: std::array::from_fn(|_| Mutex::default()),
            instances: RwLock::default(),
        };
        const INDEX: &str = "index of devices";
        backend.each(Key::new(Kind::Index).as_ref(), |key, value| {
            let mut reader = KeyReader::new(key);
            let (Some(instance), Some(id)) = (reader.text(), reader.text()) else {
                return Err(unreadable(INDEX, "a key is too short"));
            };
            let number = number_value(INDEX, value)?;
            let instance = registry.instance_or_new(instance);
            let mut index = instance.index.write();
            index.next = index.next.max(number + 1);
            index.numbers.insert(id.into(), number);
            Ok(())
        })?;
        backend.each(Key::new(Kind::Contacts).as_ref(), |key, value| {
            let mut reader = KeyReader::new(key);
            let (Some(instance), Some(block)) = (reader.text(), reader.u64()) else {
                return Err(unreadable(INDEX, "a key of contacts is too short"));
            };
            let instance = registry.instance_or_new(instance);
            let contacts = Arc::new(ContactBlock::decode(value)?);
            instance.index.write().contacts.insert(block, contacts);
            Ok(())
        })?;
        Ok(registry)
    }

    pub(super) fn count_all(&self) -> usize {
        self.instances
            .read()
            .values()
            .map(|instance| instance.index.read().numbers.len())
            .sum()
    }

    pub(super) fn count_cells(&self) -> usize {
        self.cells.lock().len()
    }

    /// Whether the device is known.
    pub(super) fn contains(&self, key: &DeviceKey) -> bool {
        self.instance(&key.instance)
            .is_some_and(|instance| instance.index.read().numbers.contains_key(&*key.id))
    }

    /// Records of contacts that changed since the last call: at most some thousand bytes for
    /// 256 devices.
    pub(super) fn take_contacts(&self) -> Batch {
        let mut batch = Batch::default();
        for instance in self.instances.read().values() {
            for (block, contacts) in &instance.index.read().contacts {
                if let Some(record) = contacts.take_changed() {
                    let key = Key::new(Kind::Contacts).text(&instance.name).u64(*block);
                    batch.put(key.bytes(), record);
                }
            }
        }
        batch
    }

    /// Cells that changed without anybody having called `touched`.
    pub(super) fn changed_cells(&self) -> Vec<Arc<DeviceCell>> {
        let cells: Vec<Arc<DeviceCell>> = self
            .cells
            .lock()
            .iter()
            .map(|(_, cell)| Arc::clone(cell))
            .collect();
        cells
            .into_iter()
            .filter(|cell| cell.lock().is_changed())
            .collect()
    }

    fn instance(&self, name: &str) -> Option<Arc<Instance>> {
        self.instances.read().get(name).cloned()
    }

    fn instance_or_new(&self, name: &str) -> Arc<Instance> {
        self.instance(name).unwrap_or_else(|| {
            let mut instances = self.instances.write();
            let name: Arc<str> = name.into();
            let new = || {
                Arc::new(Instance {
                    name: Arc::clone(&name),
                    index: RwLock::default(),
                })
            };
            Arc::clone(instances.entry(Arc::clone(&name)).or_insert_with(new))
        })
    }

    /// The known device's key (with the shared texts), number and contacts.
    fn find(&self, key: &DeviceKey) -> Option<(DeviceKey, u64, Arc<ContactBlock>)> {
        let instance = self.instance(&key.instance)?;
        let mut index = instance.index.write();
        let (id, number) = index.numbers.get_key_value(&*key.id)?;
        let known = DeviceKey {
            instance: Arc::clone(&instance.name),
            id: Arc::clone(id),
        };
        let number = *number;
        Some((known, number, index.block(number)))
    }

    fn cached(&self, key: &DeviceKey) -> Option<Arc<DeviceCell>> {
        self.cells.lock().get(key).cloned()
    }

    fn loading(&self, key: &DeviceKey) -> Option<MutexGuard<'_, ()>> {
        let number = usize::try_from(HASHER.hash_one(key) >> 32).unwrap_or(0) % LOAD_LOCKS;
        self.loading.get(number).map(Mutex::lock)
    }

    /// Keeps a cell, and lets go of those longest unused that nobody holds.
    fn keep(&self, cell: &Arc<DeviceCell>) {
        let mut cells = self.cells.lock();
        cells.put(cell.key().clone(), Arc::clone(cell));
        let gone = self.evict(&mut cells, EVICT_TRIES);
        drop(cells);
        drop(gone); // trees are large: not under the lock
    }

    /// Lets go of what is over the limit because it could not be let go of earlier.
    pub(super) fn shrink(&self) {
        let all = self.cells.lock().len();
        for _ in 0..all.div_ceil(EVICT_TRIES) {
            let mut cells = self.cells.lock();
            if cells.len() <= self.cells_max {
                return;
            }
            let gone = self.evict(&mut cells, EVICT_TRIES);
            drop(cells);
            drop(gone);
        }
    }

    fn evict(
        &self,
        cells: &mut LruCache<DeviceKey, Arc<DeviceCell>>,
        tries: usize,
    ) -> Vec<Arc<DeviceCell>> {
        let mut gone = Vec::new();
        for _ in 0..tries.min(cells.len().saturating_sub(self.cells_max)) {
            let Some((key, oldest)) = cells.pop_lru() else {
                break;
            };
            // Only the cache can make another reference, and it is locked.
            if Arc::strong_count(&oldest) > 1 || oldest.lock().is_changed() {
                cells.put(key, oldest);
            } else {
                gone.push(oldest);
            }
        }
        gone
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
        let instance = core.devices.instance_or_new(&key.instance);
        let key = DeviceKey {
            instance: Arc::clone(&instance.name),
            id: Arc::clone(&key.id),
        };
        let mut index = instance.index.write();
        let number = index.next;
        index.next += 1;
        index.numbers.insert(Arc::clone(&key.id), number);
        let contacts = index.block(number);
        drop(index);
        contacts.clear(number);
        let cell = Arc::new(DeviceCell::new(key, number, contacts, Device::new(summary)));
        core.devices.keep(&cell);
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

    /// How many devices an instance has.
    pub fn count(&self, instance: &str) -> usize {
        let instance = self.core().devices.instance(instance);
        instance.map_or(0, |instance| instance.index.read().numbers.len())
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
        if cell.lock().is_changed() {
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

impl Registry {
    fn page(
        &self,
        instance: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<(DeviceKey, u64, Contacts)> {
        let Some(instance) = self.instance(instance) else {
            return Vec::new();
        };
        let index = instance.index.read();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = index
            .numbers
            .range::<str, _>((start, Bound::Unbounded))
            .take(limit);
        page.map(|(id, number)| {
            let key = DeviceKey {
                instance: Arc::clone(&instance.name),
                id: Arc::clone(id),
            };
            let block = index.contacts.get(&(number / BLOCK_DEVICES));
            (
                key,
                *number,
                block.map_or_else(Contacts::default, |block| block.get(*number)),
            )
        })
        .collect()
    }

    /// Out of the index and the cache.
    fn forget(&self, key: &DeviceKey) {
        if let Some(instance) = self.instance(&key.instance) {
            instance.index.write().numbers.remove(&*key.id);
        }
        self.cells.lock().pop(key);
    }
}

impl Core {
    fn summary(&self, key: &DeviceKey, number: u64) -> Result<Option<Summary>, StoreError> {
        let cell = self.devices.cells.lock().peek(key).cloned();
        if let Some(cell) = cell {
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
    Ok(batch)
}
