//! Unfinished tasks in memory: what sessions ask, without the disk.
//!
//! A step is *decided* under the lock and submitted to the commit thread under the same lock;
//! what is shown changes when it is durable. So two steps never start from the same state,
//! and nobody sees what a crash could take back.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::device::{DeviceKey, UnixTime};
use crate::work::task::{Task, TaskId, TaskState};

use super::{StoreError, Told};

/// What a waiter sees: the ended task, when it has.
pub(super) type Ended = watch::Receiver<Option<Arc<Task>>>;

/// The unfinished tasks of all devices.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    pub(super) state: Mutex<Index>,
    pub(super) observer: Observer,
    /// Who is told of all that befalls the tasks of campaigns.
    campaigns: OnceLock<CampaignListener>,
}

struct CampaignListener(Box<dyn Fn(&Told) + Send + Sync>);

impl std::fmt::Debug for CampaignListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CampaignListener")
    }
}

/// Who is told of each step that is durable.
#[derive(Default)]
pub(super) struct Observer(OnceLock<TaskObserver>);

/// See [`super::Store::observe_tasks`].
pub type TaskObserver = Box<dyn Fn(&Task) + Send + Sync>;

impl Observer {
    pub(super) fn set(&self, observer: TaskObserver) {
        let _ = self.0.set(observer);
    }

    /// Not under the lock of the index.
    pub(super) fn tell(&self, task: &Task) {
        if let Some(observer) = self.0.get() {
            observer(task);
        }
    }
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Observer(set: {})", self.0.get().is_some())
    }
}

/// What the lock guards.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The next task's number.
    pub(super) next: u64,
    /// Numbers below this are reserved by a record.
    pub(super) reserved: u64,
    entries: BTreeMap<TaskId, Entry>,
    by_device: HashMap<DeviceKey, OfDevice>,
    expiring: BTreeSet<(UnixTime, TaskId)>,
    /// Idempotency keys of tasks that are being made.
    pub(super) keys_coming: HashSet<(DeviceKey, String)>,
}

#[derive(Debug)]
struct Entry {
    /// As it is durable.
    task: Arc<Task>,
    device: DeviceKey,
    /// As it will be durable next.
    decided: Arc<Task>,
    /// Sent when the host stopped, with an unknown outcome.
    interrupted: bool,
    ended: Option<watch::Sender<Option<Arc<Task>>>>,
}

/// A task's place: the highest priority first, then the oldest.
type Turn = (Reverse<i8>, TaskId);

#[derive(Debug, Default)]
struct OfDevice {
    /// In the order in which they are done.
    tasks: Vec<Turn>,
    /// Tasks that are being made.
    coming: usize,
    /// The device is being deleted.
    blocked: bool,
}

impl Tasks {
    /// The first who listens does so for ever.
    pub(super) fn listen(&self, listener: Box<dyn Fn(&Told) + Send + Sync>) {
        let _ = self.campaigns.set(CampaignListener(listener));
    }

    /// Without the lock: who listens may look at tasks.
    pub(super) fn tell(&self, told: &Told) {
        if let Some(listener) = self.campaigns.get() {
            (listener.0)(told);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.state.lock().entries.len()
    }

    pub(super) fn block(&self, device: &DeviceKey) {
        if let Some(of_device) = self.state.lock().by_device.get_mut(device) {
            of_device.blocked = true;
        }
    }

    /// The device was deleted: waiters are let go.
    pub(super) fn forget(&self, device: &DeviceKey) {
        let mut state = self.state.lock();
        let Some(of_device) = state.by_device.remove(device) else {
            return;
        };
        for (_, id) in of_device.tasks {
            if let Some(entry) = state.entries.remove(&id)
                && let Some(expires) = entry.task.expires
            {
                state.expiring.remove(&(expires, id));
            }
        }
    }
}

impl Index {
    /// Counts a task that is being made; refuses over `max`.
    pub(super) fn announce(&mut self, device: &DeviceKey, max: usize) -> Result<(), StoreError> {
        let of_device = self.by_device.entry(device.clone()).or_default();
        let found = of_device.tasks.len() + of_device.coming + 1;
        if of_device.blocked {
            return Err(StoreError::NoSuchDevice(device.clone()));
        }
        if found > max {
            return Err(StoreError::TooMuch {
                what: "unfinished tasks of a device",
                found: found as u64,
                max: max as u64,
            });
        }
        of_device.coming += 1;
        Ok(())
    }

    /// The announced task is durable, or could not be made (`None`).
    pub(super) fn arrive(&mut self, device: &DeviceKey, task: Option<Arc<Task>>) {
        if let Some(of_device) = self.by_device.get_mut(device) {
            of_device.coming = of_device.coming.saturating_sub(1);
        }
        match task {
            Some(task) => self.insert(device.clone(), task, false),
            None => self.drop_if_empty(device),
        }
    }

    /// Puts a durable task in.
    pub(super) fn insert(&mut self, device: DeviceKey, task: Arc<Task>, interrupted: bool) {
        let id = task.id;
        if let Some(expires) = task.expires {
            self.expiring.insert((expires, id));
        }
        let tasks = &mut self.by_device.entry(device.clone()).or_default().tasks;
        let turn = (Reverse(task.priority), id);
        let position = tasks.partition_point(|known| *known < turn);
        tasks.insert(position, turn);
        let decided = Arc::clone(&task);
        self.entries.insert(
            id,
            Entry {
                task,
                device,
                decided,
                interrupted,
                ended: None,
            },
        );
    }

    /// Decides a step: `step` says what the task becomes, from what was decided before.
    pub(super) fn decide(
        &mut self,
        id: TaskId,
        step: impl FnOnce(&Task) -> Result<Task, StoreError>,
    ) -> Result<Arc<Task>, StoreError> {
        let entry = self
            .entries
            .get_mut(&id)
            .ok_or(StoreError::NoSuchTask(id))?;
        let blocked = self
            .by_device
            .get(&entry.device)
            .is_some_and(|device| device.blocked);
        if blocked || entry.decided.state.is_final() {
            return Err(StoreError::NoSuchTask(id));
        }
        entry.decided = Arc::new(step(&entry.decided)?);
        Ok(Arc::clone(&entry.decided))
    }

    /// The decided step was not written.
    pub(super) fn revert(&mut self, id: TaskId) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.decided = Arc::clone(&entry.task);
        }
    }

    /// The decided step is durable.
    pub(super) fn settle(&mut self, task: &Arc<Task>) {
        let Some(entry) = self.entries.get_mut(&task.id) else {
            return;
        };
        entry.task = Arc::clone(task);
        entry.interrupted = false;
        if !task.state.is_final() {
            return;
        }
        let Some(entry) = self.entries.remove(&task.id) else {
            return;
        };
        if let Some(expires) = task.expires {
            self.expiring.remove(&(expires, task.id));
        }
        if let Some(of_device) = self.by_device.get_mut(&entry.device) {
            of_device.tasks.retain(|(_, known)| *known != task.id);
        }
        self.drop_if_empty(&entry.device);
        if let Some(ended) = entry.ended {
            ended.send_replace(Some(Arc::clone(task)));
        }
    }

    pub(super) fn get(&self, id: TaskId) -> Option<Arc<Task>> {
        self.entries.get(&id).map(|entry| Arc::clone(&entry.task))
    }

    pub(super) fn has(&self, device: &DeviceKey) -> bool {
        self.by_device
            .get(device)
            .is_some_and(|of_device| !of_device.tasks.is_empty())
    }

    /// Of a device, in the order in which they are done, but for those that are about to end.
    pub(super) fn of_device(&self, device: &DeviceKey) -> Vec<Arc<Task>> {
        self.entries_of(device)
            .filter(|entry| !entry.decided.state.is_final())
            .map(|entry| Arc::clone(&entry.task))
            .collect()
    }

    /// The numbers of a device's unfinished tasks, in order.
    pub(super) fn ids_of(&self, device: &DeviceKey) -> Vec<TaskId> {
        let tasks = self.by_device.get(device).map(|of| of.tasks.iter());
        let mut ids: Vec<TaskId> = tasks.into_iter().flatten().map(|(_, id)| *id).collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn interrupted_of(&self, device: &DeviceKey) -> Vec<Arc<Task>> {
        let entries = self.entries_of(device).filter(|entry| entry.interrupted);
        entries.map(|entry| Arc::clone(&entry.task)).collect()
    }

    pub(super) fn interrupted(&self) -> Vec<Arc<Task>> {
        let entries = self.entries.values().filter(|entry| entry.interrupted);
        entries.map(|entry| Arc::clone(&entry.task)).collect()
    }

    /// All tasks that are not final, in order.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &Arc<Task>> {
        self.entries.values().map(|entry| &entry.task)
    }

    /// Queued tasks whose time is over.
    pub(super) fn expired(&self, now: UnixTime, limit: usize) -> Vec<TaskId> {
        let over = self
            .expiring
            .iter()
            .take_while(|(expires, _)| *expires <= now);
        let queued = over.map(|(_, id)| *id).filter(|id| {
            self.entries
                .get(id)
                .is_some_and(|entry| entry.decided.state == TaskState::Queued)
        });
        queued.take(limit).collect()
    }

    /// Tells the end of an unfinished task.
    pub(super) fn watch(&mut self, id: TaskId) -> Option<Ended> {
        let entry = self.entries.get_mut(&id)?;
        Some(
            entry
                .ended
                .get_or_insert_with(|| watch::Sender::new(None))
                .subscribe(),
        )
    }

    fn entries_of(&self, device: &DeviceKey) -> impl Iterator<Item = &Entry> {
        let ids = self
            .by_device
            .get(device)
            .map(|of_device| of_device.tasks.as_slice());
        ids.unwrap_or_default()
            .iter()
            .filter_map(|(_, id)| self.entries.get(id))
    }

    fn drop_if_empty(&mut self, device: &DeviceKey) {
        if self
            .by_device
            .get(device)
            .is_some_and(|of| of.tasks.is_empty() && of.coming == 0)
        {
            self.by_device.remove(device);
        }
    }
}
