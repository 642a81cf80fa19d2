//! Tasks: promises. Every step is durable when its function returns.

use std::sync::Arc;

use crate::device::{DeviceKey, UnixTime};
use crate::work::task::{NewTask, Once, Task, TaskError, TaskId, TaskState};
use crate::work::transfer::Progress;

use super::backend::{Backend, Batch};
use super::commit::{Place, Waiting, Work};
use super::keys::{self, Key, Kind};
use super::task_index::{Index, TaskObserver};
use super::task_records as records;
use super::{Core, Store, StoreError, Told};

/// Numbers that one record reserves.
const RESERVED_AT_ONCE: u64 = 1024;
/// Tasks that one call of [`Store::expire`] ends.
const EXPIRED_AT_ONCE: usize = 1_000;

impl Store {
    /// Who is told of each new task and of each change of a task's state, when it is durable
    /// and in that order; a task that goes back to the queue to be sent again is told when it
    /// is sent. Runs on the thread that commits: it must not wait. Only the first counts.
    pub fn observe_tasks(&self, observer: TaskObserver) {
        self.core().tasks.observer.set(observer);
    }

    /// Makes a task, or finds the one that was made of the same [`Once`]. Durable on return.
    ///
    /// # Errors
    /// [`StoreError::KeyTaken`], [`StoreError::KeyBusy`];
    /// [`StoreError::NoSuchDevice`], or [`StoreError::TooMuch`]: the device has too many
    /// unfinished tasks already, or the operation is too large.
    pub async fn enqueue(&self, new: NewTask, now: UnixTime) -> Result<Arc<Task>, StoreError> {
        let operation = records::encode_operation(&new.operation)?;
        let core = self.core();
        let place = core.committer.reserve().await?;
        let (making, task) = {
            let device = new.device;
            if let Some(once) = &new.once {
                keys::check_name("an idempotency key", &once.key)?;
            }
            let mut state = core.tasks.state.lock();
            // Under the lock that a deletion takes afterwards: what is submitted here goes before it.
            if !core.devices.contains(&device) {
                return Err(StoreError::NoSuchDevice(device));
            }
            if let Some(once) = &new.once {
                if let Some(id) = records::by_key(&core.backend, &device, once)? {
                    drop(state);
                    let known = self.task(&device.instance, id)?;
                    return known.ok_or(StoreError::NoSuchTask(id));
                }
                let coming = (device.clone(), once.key.clone());
                if state.keys_coming.contains(&coming) {
                    return Err(StoreError::KeyBusy(once.key.clone()));
                }
            }
            state.announce(&device, core.config.tasks_pending_per_device_max)?;
            let mut batch = Batch::default();
            let id = next_id(&mut state, &mut batch);
            let task = Arc::new(Task {
                expires: new.expires,
                priority: new.priority,
                idempotency_key: new.once.as_ref().map(|once| once.key.clone()),
                ..Task::queued(id, &device, new.operation, now)
            });
            if let Err(error) = records::put_new(&mut batch, &device, &task, &operation) {
                state.arrive(&device, None);
                return Err(error);
            }
            let coming = new.once.map(|once| {
                records::put_key(&mut batch, &device, &once, id);
                (device.clone(), once.key)
            });
            state.keys_coming.extend(coming.clone());
            let (core, arrived) = (Arc::clone(core), Arc::clone(&task));
            let after = move |result: Result<(), &StoreError>| {
                let made = result.is_ok().then_some(arrived);
                let task = made.clone();
                let mut state = core.tasks.state.lock();
                if let Some(coming) = coming {
                    state.keys_coming.remove(&coming);
                }
                state.arrive(&device, task);
                drop(state);
                if let Some(task) = made {
                    core.tasks.observer.tell(&task);
                }
            };
            (
                place.submit(Work::Batch(batch), Some(Box::new(after))),
                task,
            )
        };
        making.done().await?;
        Ok(task)
    }

    /// The task that was made of the same [`Once`].
    ///
    /// # Errors
    /// [`StoreError::KeyTaken`]: something else was asked under its key.
    pub fn task_of_key(
        &self,
        device: &DeviceKey,
        once: &Once,
    ) -> Result<Option<Arc<Task>>, StoreError> {
        keys::check_name("an idempotency key", &once.key)?;
        match records::by_key(&self.core().backend, device, once)? {
            Some(id) => self.task(&device.instance, id),
            None => Ok(None),
        }
    }

    /// The task's RPC is about to leave: Queued → Sent, one more attempt. Send it only after
    /// this has returned.
    ///
    /// # Errors
    /// [`StoreError::TaskState`] when it is not queued (sent already), [`StoreError::NoSuchTask`]
    /// when it has ended (cancelled in between).
    pub async fn mark_sent(&self, id: TaskId, now: UnixTime) -> Result<Arc<Task>, StoreError> {
        self.step(id, None, |task| {
            expect_state(task, TaskState::Queued)?;
            Ok(Task {
                state: TaskState::Sent,
                attempts: task.attempts.saturating_add(1),
                sent: Some(now),
                accepted: None,
                ..task.clone()
            })
        })
        .await
    }

    /// The device has answered a Download or Upload, the transfer runs: Sent stays Sent until
    /// the TransferComplete, also over a restart of the host.
    ///
    /// # Errors
    /// [`StoreError::TaskState`] when it is not sent.
    pub async fn mark_accepted(&self, id: TaskId, now: UnixTime) -> Result<Arc<Task>, StoreError> {
        self.step(id, None, |task| {
            expect_state(task, TaskState::Sent)?;
            Ok(Task {
                accepted: Some(now),
                ..task.clone()
            })
        })
        .await
    }

    /// Notes how far an unfinished transfer is.
    ///
    /// # Errors
    /// [`StoreError::NoSuchTask`] when it has ended already.
    pub async fn note_progress(
        &self,
        id: TaskId,
        note: impl FnOnce(&mut Progress),
    ) -> Result<Arc<Task>, StoreError> {
        self.step(id, None, |task| {
            let mut task = task.clone();
            note(task.progress.get_or_insert_default());
            Ok(task)
        })
        .await
    }

    /// Notes what an ended transfer turned out to be; its end stays as it is.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn note_after_end(
        &self,
        instance: &str,
        id: TaskId,
        note: impl FnOnce(&mut Progress) + Send + 'static,
    ) -> Result<(), StoreError> {
        let instance = instance.to_owned();
        let build = move |backend: &Backend| records::with_progress(backend, &instance, id, note);
        self.core()
            .committer
            .commit(Work::Build(Box::new(build)))
            .await
    }

    /// Ends a task: `state` is a final one. Durable before waiters hear of it.
    ///
    /// # Errors
    /// [`StoreError::NoSuchTask`] when it has ended already; [`StoreError::TooMuch`] when the
    /// result is too large (end it with an error instead).
    pub async fn finish(
        &self,
        id: TaskId,
        state: TaskState,
        result: Option<serde_json::Value>,
        error: Option<TaskError>,
        now: UnixTime,
    ) -> Result<Arc<Task>, StoreError> {
        if !state.is_final() {
            return Err(StoreError::TaskState {
                task: id,
                expected: TaskState::Done,
                found: state,
            });
        }
        let json = result.as_ref().map(records::encode_result).transpose()?;
        self.step(id, json, |task| {
            Ok(Task {
                state,
                result,
                error,
                ended: Some(now),
                ..task.clone()
            })
        })
        .await
    }

    /// Takes a task back: Queued → Cancelled.
    ///
    /// # Errors
    /// [`StoreError::TaskState`] when its RPC has left already.
    pub async fn cancel(&self, id: TaskId, now: UnixTime) -> Result<Arc<Task>, StoreError> {
        self.step(id, None, |task| {
            expect_state(task, TaskState::Queued)?;
            Ok(Task {
                state: TaskState::Cancelled,
                ended: Some(now),
                ..task.clone()
            })
        })
        .await
    }

    /// The session broke before the answer, and the task may be sent again: Sent → Queued.
    /// Its attempts stay counted.
    ///
    /// # Errors
    /// [`StoreError::TaskState`] when it is not sent.
    pub async fn requeue(&self, id: TaskId) -> Result<Arc<Task>, StoreError> {
        self.step(id, None, |task| {
            expect_state(task, TaskState::Sent)?;
            Ok(Task {
                state: TaskState::Queued,
                accepted: None,
                ..task.clone()
            })
        })
        .await
    }

    /// Ends queued tasks whose time is over, at most 1 000 in one call, oldest first.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn expire(&self, now: UnixTime) -> Result<Vec<Arc<Task>>, StoreError> {
        let core = self.core();
        let over = core.tasks.state.lock().expired(now, EXPIRED_AT_ONCE);
        let mut under_way = Vec::with_capacity(over.len());
        for id in over {
            let place = core.committer.reserve().await?;
            let step = core.step(place, id, None, Batch::default(), |task| {
                expect_state(task, TaskState::Queued)?;
                Ok(Task {
                    state: TaskState::Expired,
                    ended: Some(now),
                    ..task.clone()
                })
            });
            // It may have been sent or cancelled since.
            under_way.extend(step.ok());
        }
        let mut expired = Vec::with_capacity(under_way.len());
        for (waiting, task) in under_way {
            waiting.done().await?;
            expired.push(task);
        }
        Ok(expired)
    }

    /// Waits for the end of a task; at once if it has ended. `None`: there is none, or its
    /// device was deleted.
    ///
    /// # Errors
    /// When its records cannot be read.
    pub async fn wait(&self, instance: &str, id: TaskId) -> Result<Option<Arc<Task>>, StoreError> {
        let watch = {
            let mut state = self.core().tasks.state.lock();
            match state.get(id) {
                Some(task) if task.instance == instance => state.watch(id),
                _ => None,
            }
        };
        let Some(mut watch) = watch else {
            return self.task(instance, id);
        };
        match watch.wait_for(Option::is_some).await {
            Ok(ended) => Ok(ended.clone()),
            Err(_) => Ok(None),
        }
    }

    /// An unfinished task by its number alone, from memory: for the CommandKey of a late
    /// `M Reboot` or TransferComplete. Check that it is the device's own.
    pub fn unfinished_task(&self, id: TaskId) -> Option<Arc<Task>> {
        self.core().tasks.state.lock().get(id)
    }

    /// The unfinished tasks of a device (Queued and Sent), in the order in which they are done:
    /// the highest priority first, then the oldest. From memory.
    pub fn pending(&self, device: &DeviceKey) -> Vec<Arc<Task>> {
        self.core().tasks.state.lock().of_device(device)
    }

    /// The unfinished tasks of all devices that are wanted, oldest first. From memory: looks at
    /// each of them.
    pub fn unfinished(&self, wanted: impl Fn(&Task) -> bool) -> Vec<Arc<Task>> {
        let state = self.core().tasks.state.lock();
        state.all().filter(|task| wanted(task)).cloned().collect()
    }

    /// Whether the device has an unfinished task. From memory.
    pub fn has_pending(&self, device: &DeviceKey) -> bool {
        self.core().tasks.state.lock().has(device)
    }

    /// The device's tasks that were sent when the host stopped, that must not be sent twice
    /// and whose answer is not known. They are in [`Store::pending`] too. Resolve each with
    /// `finish` (the device's `M Reboot` or TransferComplete names it in its CommandKey, or:
    /// "outcome unknown: the host stopped between request and answer").
    pub fn interrupted(&self, device: &DeviceKey) -> Vec<Arc<Task>> {
        self.core().tasks.state.lock().interrupted_of(device)
    }

    /// [`Store::interrupted`] of all devices.
    pub fn interrupted_tasks(&self) -> Vec<Arc<Task>> {
        self.core().tasks.state.lock().interrupted()
    }

    async fn step(
        &self,
        id: TaskId,
        result: Option<Vec<u8>>,
        step: impl FnOnce(&Task) -> Result<Task, StoreError>,
    ) -> Result<Arc<Task>, StoreError> {
        let place = self.core().committer.reserve().await?;
        let (waiting, task) = self
            .core()
            .step(place, id, result, Batch::default(), step)?;
        waiting.done().await?;
        Ok(task)
    }
}

impl Core {
    /// Decides a step and submits it. `result` is the task's packed result, `with` is written
    /// with the step.
    pub(super) fn step(
        self: &Arc<Core>,
        place: Place,
        id: TaskId,
        result: Option<Vec<u8>>,
        with: Batch,
        step: impl FnOnce(&Task) -> Result<Task, StoreError>,
    ) -> Result<(Waiting, Arc<Task>), StoreError> {
        let mut state = self.tasks.state.lock();
        let task = state.decide(id, step)?;
        let mut batch = with;
        if let Err(error) = records::put_step(&mut batch, &task, result.as_deref()) {
            state.revert(id);
            return Err(error);
        }
        let (core, settled) = (Arc::clone(self), Arc::clone(&task));
        let after = move |result: Result<(), &StoreError>| {
            let mut state = core.tasks.state.lock();
            if result.is_err() {
                state.revert(id);
                return;
            }
            let is_step = state
                .get(id)
                .is_some_and(|task| task.state != settled.state);
            state.settle(&settled);
            drop(state);
            if is_step && settled.state != TaskState::Queued {
                core.tasks.observer.tell(&settled);
            }
            if settled.campaign.is_some() {
                core.tasks.tell(&Told::Task(settled));
            }
        };
        Ok((
            place.submit(Work::Batch(batch), Some(Box::new(after))),
            task,
        ))
    }
}

/// The next task's number.
pub(super) fn next_id(state: &mut Index, batch: &mut Batch) -> TaskId {
    let id = TaskId(state.next);
    state.next += 1;
    if id.0 >= state.reserved {
        state.reserved = id.0 + RESERVED_AT_ONCE;
        batch.put(
            Key::new(Kind::NextTask).bytes(),
            state.reserved.to_be_bytes().to_vec(),
        );
    }
    id
}

pub(super) fn expect_state(task: &Task, expected: TaskState) -> Result<(), StoreError> {
    if task.state == expected {
        return Ok(());
    }
    Err(StoreError::TaskState {
        task: task.id,
        expected,
        found: task.state,
    })
}
