//! Lists of tasks, and the retention of ended ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::device::{DeviceKey, UnixTime};
use crate::work::task::{Task, TaskId, TaskState};

use super::backend::{Batch, Pair, Start};
use super::commit::{Durability, Work};
use super::keys::{Key, KeyReader, Kind, of_device, unreadable};
use super::task_records as records;
use super::{Core, Store, StoreError};

/// Records that one call of [`Store::tasks`] looks at.
const EXAMINED_MAX: usize = 10_000;
/// Records that one call of [`Store::sweep_finished_tasks`] looks at, about.
const SWEPT_MAX: usize = 5_000;

/// Which tasks to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Of this device (its id in the instance).
    pub device: Option<String>,
    /// In this state.
    pub state: Option<TaskState>,
    /// In which order.
    pub order: Order,
}

/// The order of a list of tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// The last made task first.
    #[default]
    NewestFirst,
    /// The first made task first.
    OldestFirst,
}

/// Where the sweep is.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    after: Mutex<Vec<u8>>,
}

impl Store {
    /// A task of an instance, unfinished or ended.
    ///
    /// # Errors
    /// When its records cannot be read.
    pub fn task(&self, instance: &str, id: TaskId) -> Result<Option<Arc<Task>>, StoreError> {
        let core = self.core();
        if let Some(task) = core.tasks.state.lock().get(id) {
            return Ok((task.instance == instance).then_some(task));
        }
        Ok(records::ended(&core.backend, instance, id)?.map(Arc::new))
    }

    /// Tasks of an instance in the order of their numbers, after `after` in that order: at most
    /// `limit`. One call looks at no more than 10 000 records, so that for a rare state there
    /// may be more tasks although fewer came.
    ///
    /// # Errors
    /// When records cannot be read.
    pub fn tasks(
        &self,
        instance: &str,
        filter: &TaskFilter,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<Arc<Task>>, StoreError> {
        match &filter.device {
            Some(device) => {
                let key = DeviceKey {
                    instance: instance.into(),
                    id: device.as_str().into(),
                };
                self.tasks_of_device(&key, filter, after, limit)
            }
            None => self.tasks_of_instance(instance, filter, after, limit),
        }
    }

    fn tasks_of_device(
        &self,
        device: &DeviceKey,
        filter: &TaskFilter,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<Arc<Task>>, StoreError> {
        let mut tasks = Vec::new();
        let prefix = of_device(Kind::DeviceTasks, device);
        for (key, _) in self.scan(&prefix, filter.order, after, EXAMINED_MAX)? {
            if tasks.len() >= limit {
                break;
            }
            let task = self.task(&device.instance, records::last_number(&key)?)?;
            tasks.extend(task.filter(|task| filter.state.is_none_or(|state| task.state == state)));
        }
        Ok(tasks)
    }

    fn tasks_of_instance(
        &self,
        instance: &str,
        filter: &TaskFilter,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<Arc<Task>>, StoreError> {
        let core = self.core();
        let wanted = |task: &Task| filter.state.is_none_or(|state| task.state == state);
        let mut found: BTreeMap<TaskId, Arc<Task>> = BTreeMap::new();
        if filter.state.is_none_or(TaskState::is_final) {
            let prefix = Key::new(Kind::Ended).text(instance);
            let examined = if filter.state.is_some() {
                EXAMINED_MAX
            } else {
                limit
            };
            for (key, record) in self.scan(&prefix, filter.order, after, examined)? {
                if found.len() >= limit {
                    break;
                }
                let id = records::last_number(&key)?;
                if filter
                    .state
                    .is_some_and(|state| records::state(&record) != Ok(state))
                {
                    continue;
                }
                // Swept since the scan: then it is not there.
                if let Ok(task) = records::whole(&core.backend, instance, id, &record) {
                    found.insert(id, Arc::new(task));
                }
            }
        }
        let state = core.tasks.state.lock();
        // Memory follows what is durable, records may be ahead.
        found.retain(|id, _| state.get(*id).is_none());
        let unfinished = state
            .all()
            .filter(|task| task.instance == instance && wanted(task));
        let beyond = |task: &&Arc<Task>| match (after, filter.order) {
            (None, _) => true,
            (Some(after), Order::NewestFirst) => task.id < after,
            (Some(after), Order::OldestFirst) => task.id > after,
        };
        let unfinished = unfinished.filter(beyond);
        let insert = |task: &Arc<Task>| (task.id, Arc::clone(task));
        Ok(match filter.order {
            Order::NewestFirst => {
                found.extend(unfinished.rev().take(limit).map(insert));
                found.into_values().rev().take(limit).collect()
            }
            Order::OldestFirst => {
                found.extend(unfinished.take(limit).map(insert));
                found.into_values().take(limit).collect()
            }
        })
    }

    fn scan(
        &self,
        prefix: &Key,
        order: Order,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        let key = after.map(|after| prefix.clone().u64(after.0));
        let start = match (order, &key) {
            (Order::NewestFirst, None) => Start::Last,
            (Order::NewestFirst, Some(key)) => Start::Before(key.as_ref()),
            (Order::OldestFirst, None) => Start::First,
            (Order::OldestFirst, Some(key)) => Start::After(key.as_ref()),
        };
        self.core().backend.scan(prefix.as_ref(), start, limit)
    }

    /// Removes ended tasks over the cap per device or over age: a bounded piece in each call,
    /// around and around. How many went. Call it every minute or so.
    ///
    /// # Errors
    /// When the store takes no writes or its records cannot be read.
    pub async fn sweep_finished_tasks(&self, now: UnixTime) -> Result<usize, StoreError> {
        self.core()
            .dirty
            .run(move |core| core.sweep_finished_tasks(now))
            .await
    }
}

impl Core {
    fn sweep_finished_tasks(&self, now: UnixTime) -> Result<usize, StoreError> {
        let all = Key::new(Kind::DeviceTasks).bytes();
        let mut after = self.sweep.after.lock();
        let (mut examined, mut removed) = (0, 0);
        while examined < SWEPT_MAX {
            let Some((key, _)) = self.backend.scan(&all, Start::After(&after), 1)?.pop() else {
                after.clear();
                break;
            };
            let mut reader = KeyReader::new(&key);
            let (Some(instance), Some(id)) = (reader.text(), reader.text()) else {
                return Err(unreadable("task of a device", "a key is too short"));
            };
            let device = DeviceKey {
                instance: instance.into(),
                id: id.into(),
            };
            let ids = records::of(&self.backend, &device)?;
            examined += ids.len();
            removed += self.sweep_device(&device, &ids, now)?;
            *after = of_device(Kind::DeviceTasks, &device).u64(u64::MAX).bytes();
        }
        Ok(removed)
    }

    fn sweep_device(
        &self,
        device: &DeviceKey,
        ids: &[TaskId],
        now: UnixTime,
    ) -> Result<usize, StoreError> {
        let unfinished = self.tasks.state.lock().ids_of(device);
        let ended: Vec<TaskId> = ids
            .iter()
            .copied()
            .filter(|id| unfinished.binary_search(id).is_err())
            .collect();
        let over_cap = ended
            .len()
            .saturating_sub(self.config.tasks_finished_per_device_max);
        let too_old = now.saturating_sub(self.config.tasks_finished_age_seconds_max);
        let mut batch = Batch::default();
        let mut removed = 0;
        for (position, id) in ended.iter().enumerate() {
            // What is being made at this moment has no record of its end.
            let Some(ended) = records::ended_at(&self.backend, &device.instance, *id)? else {
                continue;
            };
            if position >= over_cap && ended >= too_old {
                break; // those after it are younger
            }
            records::remove(&self.backend, &mut batch, device, *id)?;
            removed += 1;
        }
        for piece in batch.into_pieces() {
            let writing = self
                .committer
                .submit(Work::Batch(piece), Durability::Applied, None);
            writing.done_blocking()?;
        }
        Ok(removed)
    }
}
