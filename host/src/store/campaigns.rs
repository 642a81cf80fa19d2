//! Records of campaigns: promises. What a campaign is to do, how far it is, and how far each of its
//! devices is, so that a step of one device writes some hundred bytes.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::device::{DeviceKey, UnixTime};
use crate::work::campaign::{
    CampaignId, Definition, DeviceState, Head, LOG_LINES_MAX, LogLine, Record, Start, Withdrawal,
};
use crate::work::task::{Operation, Task, TaskId, TaskState};

use super::backend::{Backend, Batch, Start as From, VALUE_BYTES_MAX};
use super::commit::Work;
use super::keys::{Key, KeyReader, Kind, check_name, of_campaign, unreadable};
use super::task_records as records;
use super::tasks::{expect_state, next_id};
use super::{Core, Store, StoreError, chunks};

/// Bytes of a definition's JSON: its operation may be as large as that of a task.
const DEFINITION_BYTES_MAX: usize = 2 << 20;
/// Unpacked bytes of the other records' JSON.
const RECORD_BYTES_MAX: usize = VALUE_BYTES_MAX * 8;
/// Records that one call of [`Store::campaign_devices`] looks at for those in one state.
const EXAMINED_MAX: usize = 50_000;
const DEFINITION: &str = "campaign";
const HEAD: &str = "state of a campaign";
const DEVICE: &str = "device of a campaign";
const LOG: &str = "log of a campaign";

/// What the campaigns are told by the store, once it is durable.
#[derive(Debug, Clone)]
pub enum Told {
    /// A step of a task of a campaign.
    Task(Arc<Task>),
    /// A device was deleted.
    Deleted(DeviceKey),
}

/// Which devices of a campaign to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CampaignDeviceFilter {
    /// In this state; none: in any.
    pub state: Option<DeviceState>,
    /// In this wave, from 0; none: in any.
    pub wave: Option<u16>,
}

impl CampaignDeviceFilter {
    /// Whether a device is wanted.
    pub fn wants(&self, record: &Record) -> bool {
        self.state.is_none_or(|state| state == record.state)
            && self.wave.is_none_or(|wave| wave == record.wave)
    }
}

impl Store {
    /// Makes a campaign, or changes one. Durable on return.
    ///
    /// # Errors
    /// [`StoreError::TooMuch`] for a definition over its limit; when the store takes no writes.
    pub async fn put_campaign(
        &self,
        instance: &str,
        id: CampaignId,
        definition: &Definition,
        head: &Head,
    ) -> Result<(), StoreError> {
        check_name("an instance's name", instance)?;
        let json = encode(DEFINITION, definition)?;
        if json.len() > DEFINITION_BYTES_MAX {
            let (found, max) = (json.len() as u64, DEFINITION_BYTES_MAX as u64);
            return Err(StoreError::TooMuch {
                what: "bytes of a campaign",
                found,
                max,
            });
        }
        let head = encode(HEAD, head)?;
        let key = of_campaign(Kind::Campaign, instance, id);
        let head_key = of_campaign(Kind::CampaignHead, instance, id);
        let build = move |backend: &Backend| {
            let mut batch = Batch::default();
            chunks::remove(backend, &mut batch, &key)?;
            chunks::put(&mut batch, &key, &json);
            batch.put(head_key.bytes(), chunks::pack(&head));
            Ok(batch)
        };
        let work = Work::Build(Box::new(build));
        self.core().committer.commit(work).await
    }

    /// What a campaign is to do.
    ///
    /// # Errors
    /// When its record cannot be read.
    pub fn campaign(
        &self,
        instance: &str,
        id: CampaignId,
    ) -> Result<Option<Definition>, StoreError> {
        let key = of_campaign(Kind::Campaign, instance, id);
        let json = chunks::get(&self.core().backend, DEFINITION, &key, DEFINITION_BYTES_MAX)?;
        let parse = |json: Vec<u8>| serde_json::from_slice(&json);
        json.map(parse)
            .transpose()
            .map_err(|error| unreadable(DEFINITION, error))
    }

    /// How far a campaign is.
    ///
    /// # Errors
    /// When its record cannot be read.
    pub fn campaign_head(
        &self,
        instance: &str,
        id: CampaignId,
    ) -> Result<Option<Head>, StoreError> {
        let key = of_campaign(Kind::CampaignHead, instance, id);
        let record = self.core().backend.get(key.as_ref())?;
        record.map(|record| decode(HEAD, &record)).transpose()
    }

    /// The campaigns of an instance, the newest first, those older than `before`: at most `limit`.
    ///
    /// # Errors
    /// When records cannot be read.
    pub fn campaigns(
        &self,
        instance: &str,
        before: Option<CampaignId>,
        limit: usize,
    ) -> Result<Vec<(CampaignId, Head)>, StoreError> {
        let prefix = Key::new(Kind::CampaignHead).text(instance);
        let before = before.map(|id| prefix.clone().u64(id.0));
        let from = match &before {
            Some(key) => From::Before(key.as_ref()),
            None => From::Last,
        };
        let found = self.core().backend.scan(prefix.as_ref(), from, limit)?;
        let found = found
            .iter()
            .map(|(key, record)| Ok((last_number(key)?, decode(HEAD, record)?)));
        found.collect()
    }

    /// The names of the instances that have campaigns.
    ///
    /// # Errors
    /// When records cannot be read.
    pub fn instances_with_campaigns(&self) -> Result<Vec<Arc<str>>, StoreError> {
        let mut names = Vec::new();
        let all = Key::new(Kind::CampaignHead).bytes();
        let mut page = self.core().backend.scan(&all, From::First, 1)?;
        while let Some((key, _)) = page.pop() {
            let Some(name) = KeyReader::new(&key).text() else {
                return Err(unreadable(HEAD, "a key is too short"));
            };
            let last = Key::new(Kind::CampaignHead).text(name).u64(u64::MAX);
            names.push(Arc::from(name));
            page = self
                .core()
                .backend
                .scan(&all, From::After(last.as_ref()), 1)?;
        }
        Ok(names)
    }

    /// Keeps how far a campaign and some of its devices are, in one batch. Durable on return.
    /// Devices that are not known any more are left out.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn put_campaign_changes(
        &self,
        instance: &str,
        id: CampaignId,
        head: Option<&Head>,
        devices: &[(Arc<str>, Record)],
        log: &[(u64, LogLine)],
    ) -> Result<(), StoreError> {
        let core = self.core();
        let mut batch = Batch::default();
        if let Some(head) = head {
            let key = of_campaign(Kind::CampaignHead, instance, id);
            batch.put(key.bytes(), chunks::pack(&encode(HEAD, head)?));
        }
        for (device, record) in devices {
            if core.devices.contains(&device_key(instance, device)) {
                put_device(&mut batch, instance, id, device, record)?;
            }
        }
        for (number, line) in log {
            let key = of_campaign(Kind::CampaignLog, instance, id);
            batch.put(
                key.clone().u64(*number).bytes(),
                chunks::pack(&encode(LOG, line)?),
            );
            if let Some(over) = number.checked_sub(LOG_LINES_MAX) {
                batch.remove(key.u64(over).bytes());
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        core.committer.commit(Work::Batch(batch)).await
    }

    /// Forgets which devices a campaign has. Durable on return.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn clear_campaign_devices(
        &self,
        instance: &str,
        id: CampaignId,
    ) -> Result<(), StoreError> {
        let prefix = of_campaign(Kind::CampaignDevice, instance, id);
        loop {
            let page = self
                .core()
                .backend
                .scan(prefix.as_ref(), From::First, CLEARED_AT_ONCE)?;
            let mut batch = Batch::default();
            let is_last = page.len() < CLEARED_AT_ONCE;
            page.into_iter().for_each(|(key, _)| batch.remove(key));
            if !batch.is_empty() {
                self.core().committer.commit(Work::Batch(batch)).await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Forgets a campaign with all that belongs to it but its tasks. Durable on return.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn remove_campaign(&self, instance: &str, id: CampaignId) -> Result<(), StoreError> {
        self.clear_campaign_devices(instance, id).await?;
        let prefixes = [Kind::CampaignLog, Kind::Campaign, Kind::CampaignHead]
            .map(|kind| of_campaign(kind, instance, id));
        let build = move |backend: &Backend| {
            let mut batch = Batch::default();
            for prefix in prefixes {
                backend.each(prefix.as_ref(), |key, _| {
                    batch.remove(key.to_vec());
                    Ok(())
                })?;
            }
            Ok(batch)
        };
        let work = Work::Build(Box::new(build));
        self.core().committer.commit(work).await
    }

    /// A device of a campaign.
    ///
    /// # Errors
    /// When its record cannot be read.
    pub fn campaign_device(
        &self,
        instance: &str,
        id: CampaignId,
        device: &str,
    ) -> Result<Option<Record>, StoreError> {
        let key = of_campaign(Kind::CampaignDevice, instance, id).text(device);
        let record = self.core().backend.get(key.as_ref())?;
        record.map(|record| decode(DEVICE, &record)).transpose()
    }

    /// Devices of a campaign in the order of their ids, those after `after`: at most `limit`, and
    /// after which one to go on. A bounded number of records is looked at.
    ///
    /// # Errors
    /// When records cannot be read.
    pub fn campaign_devices(
        &self,
        instance: &str,
        id: CampaignId,
        filter: CampaignDeviceFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<DevicesPage, StoreError> {
        const PAGE: usize = 1_000;
        let prefix = of_campaign(Kind::CampaignDevice, instance, id);
        let mut from = after.map(|after| prefix.clone().text(after).bytes());
        let (mut found, mut examined) = (Vec::new(), 0);
        loop {
            let start = match &from {
                Some(key) => From::After(key),
                None => From::First,
            };
            let page = self.core().backend.scan(prefix.as_ref(), start, PAGE)?;
            let is_last = page.len() < PAGE;
            for (key, record) in page {
                let device = device_of(&key, prefix.as_ref().len())?;
                let record: Record = decode(DEVICE, &record)?;
                examined += 1;
                if filter.wants(&record) {
                    found.push((Arc::clone(&device), record));
                }
                if found.len() >= limit || examined >= EXAMINED_MAX {
                    return Ok((found, Some(device)));
                }
                from = Some(key);
            }
            if is_last {
                return Ok((found, None));
            }
        }
    }

    /// Lines of a campaign's log, the newest first, those before `before`: at most `limit`.
    ///
    /// # Errors
    /// When records cannot be read.
    pub fn campaign_log(
        &self,
        instance: &str,
        id: CampaignId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, LogLine)>, StoreError> {
        let prefix = of_campaign(Kind::CampaignLog, instance, id);
        let before = before.map(|number| prefix.clone().u64(number));
        let from = match &before {
            Some(key) => From::Before(key.as_ref()),
            None => From::Last,
        };
        let found = self.core().backend.scan(prefix.as_ref(), from, limit)?;
        let found = found.iter().map(|(key, record)| {
            let CampaignId(number) = last_number(key)?;
            Ok((number, decode(LOG, record)?))
        });
        found.collect()
    }

    /// Tells `listener` of every step of a campaign's task, and of deleted devices, once they are
    /// durable. Only the first who asks is told.
    pub fn listen_for_campaigns(&self, listener: impl Fn(&Told) + Send + Sync + 'static) {
        self.core().tasks.listen(Box::new(listener));
    }

    /// Makes tasks, each in one batch with the record of its device: after a crash there are
    /// both or neither. Durable on return. What became of each, in order.
    ///
    /// # Errors
    /// When the store takes no writes; then none is made.
    pub async fn begin_for_campaign(
        &self,
        instance: &str,
        id: CampaignId,
        begun: &[(Start, Operation)],
        now: UnixTime,
    ) -> Result<Vec<Result<TaskId, StoreError>>, StoreError> {
        let core = self.core();
        let place = core.committer.reserve().await?;
        let mut made = Vec::with_capacity(begun.len());
        let waiting = {
            let mut state = core.tasks.state.lock();
            let (mut batch, mut arriving) = (Batch::default(), Vec::with_capacity(begun.len()));
            for (start, operation) in begun {
                let device = device_key(instance, &start.device);
                let announced = match core.devices.contains(&device) {
                    true => state.announce(&device, core.config.tasks_pending_per_device_max),
                    false => Err(StoreError::NoSuchDevice(device.clone())),
                };
                if let Err(error) = announced {
                    made.push(Err(error));
                    continue;
                }
                let task = Task {
                    expires: start.expires,
                    priority: start.priority,
                    campaign: Some(id),
                    ..Task::queued(
                        next_id(&mut state, &mut batch),
                        &device,
                        operation.clone(),
                        now,
                    )
                };
                // Not into the batch before it is sure that all of it fits.
                let mut own = Batch::default();
                match put_begun(&mut own, id, &device, &task, &start.record) {
                    Ok(()) => {
                        batch.extend(own);
                        made.push(Ok(task.id));
                        arriving.push((device, Arc::new(task)));
                    }
                    Err(error) => {
                        state.arrive(&device, None);
                        made.push(Err(error));
                    }
                }
            }
            let core = Arc::clone(core);
            let after = move |result: Result<(), &StoreError>| {
                let mut state = core.tasks.state.lock();
                for (device, task) in arriving {
                    state.arrive(&device, result.is_ok().then_some(task));
                }
            };
            place.submit(Work::Batch(batch), Some(Box::new(after)))
        };
        waiting.done().await?;
        Ok(made)
    }

    /// Takes queued tasks back, each in one batch with the record of its device. Durable on
    /// return. What became of each, in order: [`StoreError::TaskState`] and
    /// [`StoreError::NoSuchTask`] when it was too late.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn withdraw_for_campaign(
        &self,
        instance: &str,
        id: CampaignId,
        withdrawals: &[Withdrawal],
        now: UnixTime,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let core = self.core();
        let mut under_way = Vec::with_capacity(withdrawals.len());
        for withdrawal in withdrawals {
            let mut with = Batch::default();
            put_device(
                &mut with,
                instance,
                id,
                &withdrawal.device,
                &withdrawal.record,
            )?;
            let place = core.committer.reserve().await?;
            under_way.push(core.withdraw(place, withdrawal.task, with, now));
        }
        let mut results = Vec::with_capacity(under_way.len());
        for step in under_way {
            results.push(match step {
                Ok(waiting) => {
                    waiting.done().await?;
                    Ok(())
                }
                Err(error) => Err(error),
            });
        }
        Ok(results)
    }
}

/// Devices of a campaign, and after which one to go on; `None`: there are no more.
pub type DevicesPage = (Vec<(Arc<str>, Record)>, Option<Arc<str>>);

/// Devices that are forgotten in one batch.
const CLEARED_AT_ONCE: usize = 2_000;

impl Core {
    fn withdraw(
        self: &Arc<Core>,
        place: super::commit::Place,
        task: TaskId,
        with: Batch,
        now: UnixTime,
    ) -> Result<super::commit::Waiting, StoreError> {
        let step = self.step(place, task, None, with, |task| {
            expect_state(task, TaskState::Queued)?;
            Ok(Task {
                state: TaskState::Cancelled,
                ended: Some(now),
                ..task.clone()
            })
        });
        step.map(|(waiting, _)| waiting)
    }
}

/// A task and the record that names it.
fn put_begun(
    batch: &mut Batch,
    id: CampaignId,
    device: &DeviceKey,
    task: &Task,
    record: &Record,
) -> Result<(), StoreError> {
    let operation = records::encode_operation(&task.operation)?;
    records::put_new(batch, device, task, &operation)?;
    let record = Record {
        task: Some(task.id),
        ..record.clone()
    };
    put_device(batch, &device.instance, id, &device.id, &record)
}

fn put_device(
    batch: &mut Batch,
    instance: &str,
    id: CampaignId,
    device: &str,
    record: &Record,
) -> Result<(), StoreError> {
    let key = of_campaign(Kind::CampaignDevice, instance, id).text(device);
    batch.put(key.bytes(), chunks::pack(&encode(DEVICE, record)?));
    Ok(())
}

/// Removes a device from all campaigns of its instance.
pub(super) fn remove_device(
    backend: &Backend,
    batch: &mut Batch,
    device: &DeviceKey,
) -> Result<(), StoreError> {
    let heads = Key::new(Kind::CampaignHead).text(&device.instance);
    backend.each(heads.as_ref(), |key, _| {
        let id = last_number(key)?;
        let key = of_campaign(Kind::CampaignDevice, &device.instance, id).text(&device.id);
        batch.remove(key.bytes());
        Ok(())
    })
}

fn device_key(instance: &str, device: &str) -> DeviceKey {
    DeviceKey {
        instance: instance.into(),
        id: device.into(),
    }
}

fn encode(what: &'static str, value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| unreadable(what, error))
}

fn decode<T: DeserializeOwned>(what: &'static str, record: &[u8]) -> Result<T, StoreError> {
    let json = chunks::unpack(what, record, RECORD_BYTES_MAX)?;
    serde_json::from_slice(&json).map_err(|error| unreadable(what, error))
}

fn last_number(key: &[u8]) -> Result<CampaignId, StoreError> {
    let bytes = key.last_chunk();
    bytes
        .map(|bytes| CampaignId(u64::from_be_bytes(*bytes)))
        .ok_or_else(|| unreadable(HEAD, "a key is too short"))
}

/// The device's id in a key, after the campaign's part.
fn device_of(key: &[u8], prefix: usize) -> Result<Arc<str>, StoreError> {
    let id = key.get(prefix + 1..).map(std::str::from_utf8);
    match id {
        Some(Ok(id)) => Ok(Arc::from(id)),
        _ => Err(unreadable(DEVICE, "a key is too short")),
    }
}
