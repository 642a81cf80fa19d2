//! All devices: the ordered index of their ids, which is always in memory, and the cells of
//! those that are in use or were lately.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::ops::Bound;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::device::{Contacts, DeviceKey, Summary};

use super::StoreError;
use super::backend::{Backend, Batch};
use super::cell::{Device, DeviceCell};
use super::contacts::{BLOCK_DEVICES, ContactBlock};
use super::keys::{Key, KeyReader, Kind, number_value, unreadable};
use super::paths::HASHER;
use super::search::Rows;

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

/// The devices of an instance. Who takes both locks takes that of the rows first.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) name: Arc<str>,
    pub(super) rows: RwLock<Rows>,
    pub(super) index: RwLock<Index>,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) numbers: BTreeMap<Arc<str>, u64>,
    next: u64,
    /// By number / 256.
    contacts: BTreeMap<u64, Arc<ContactBlock>>,
}

impl Instance {
    /// Nothing is put back for a device that is gone.
    pub(super) fn put_row(
        &self,
        key: &DeviceKey,
        number: u64,
        summary: &Summary,
        contacts: &Arc<ContactBlock>,
    ) {
        let mut rows = self.rows.write();
        if self.index.read().numbers.get(&*key.id) == Some(&number) {
            rows.put(key, number, summary, contacts);
        }
    }

    /// As [`Instance::put_row`]; a row that is there is newer.
    pub(super) fn put_row_if_absent(
        &self,
        key: &DeviceKey,
        number: u64,
        summary: &Summary,
        contacts: &Arc<ContactBlock>,
    ) {
        let mut rows = self.rows.write();
        let is_known = self.index.read().numbers.get(&*key.id) == Some(&number);
        if is_known && !rows.has(number) {
            rows.put(key, number, summary, contacts);
        }
    }
}

impl Index {
    pub(super) fn block(&mut self, number: u64) -> Arc<ContactBlock> {
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

    /// All instances that have had devices.
    pub(super) fn instances(&self) -> Vec<Arc<Instance>> {
        self.instances.read().values().cloned().collect()
    }

    /// Makes the row of a device what its summary says, if that has changed.
    pub(super) fn index(&self, cell: &DeviceCell, locked: &mut Device) {
        if locked.take_row_stale()
            && let Some(instance) = self.instance(&cell.key().instance)
        {
            instance.put_row(
                cell.key(),
                cell.number(),
                locked.summary(),
                cell.contact_block(),
            );
        }
    }

    pub(super) fn instance(&self, name: &str) -> Option<Arc<Instance>> {
        self.instances.read().get(name).cloned()
    }

    fn instance_or_new(&self, name: &str) -> Arc<Instance> {
        self.instance(name).unwrap_or_else(|| {
            let mut instances = self.instances.write();
            let name: Arc<str> = name.into();
            let new = || {
                Arc::new(Instance {
                    name: Arc::clone(&name),
                    rows: RwLock::default(),
                    index: RwLock::default(),
                })
            };
            Arc::clone(instances.entry(Arc::clone(&name)).or_insert_with(new))
        })
    }

    /// The known device's key (with the shared texts), number and contacts.
    pub(super) fn find(&self, key: &DeviceKey) -> Option<(DeviceKey, u64, Arc<ContactBlock>)> {
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

    /// A new device: its key (with the shared texts), number and contacts.
    pub(super) fn add(&self, key: &DeviceKey) -> (DeviceKey, u64, Arc<ContactBlock>) {
        let instance = self.instance_or_new(&key.instance);
        let key = DeviceKey {
            instance: Arc::clone(&instance.name),
            id: Arc::clone(&key.id),
        };
        let mut index = instance.index.write();
        let number = index.next;
        index.next += 1;
        index.numbers.insert(Arc::clone(&key.id), number);
        let contacts = index.block(number);
        contacts.clear(number);
        (key, number, contacts)
    }

    /// How many devices an instance has.
    pub(super) fn count(&self, instance: &str) -> usize {
        let instance = self.instance(instance);
        instance.map_or(0, |instance| instance.index.read().numbers.len())
    }

    /// A cell, without counting that as a use.
    pub(super) fn peek(&self, key: &DeviceKey) -> Option<Arc<DeviceCell>> {
        self.cells.lock().peek(key).cloned()
    }

    pub(super) fn cached(&self, key: &DeviceKey) -> Option<Arc<DeviceCell>> {
        self.cells.lock().get(key).cloned()
    }

    pub(super) fn loading(&self, key: &DeviceKey) -> Option<MutexGuard<'_, ()>> {
        let number = usize::try_from(HASHER.hash_one(key) >> 32).unwrap_or(0) % LOAD_LOCKS;
        self.loading.get(number).map(Mutex::lock)
    }

    /// Keeps a cell, and lets go of those longest unused that nobody holds.
    pub(super) fn keep(&self, cell: &Arc<DeviceCell>) {
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

    /// Devices in the order of their ids: their keys, numbers and contacts.
    pub(super) fn page(
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
    pub(super) fn forget(&self, key: &DeviceKey) {
        if let Some(instance) = self.instance(&key.instance) {
            let number = instance.index.write().numbers.remove(&*key.id);
            if let Some(number) = number {
                instance.rows.write().remove(number);
            }
        }
        self.cells.lock().pop(key);
    }
}
