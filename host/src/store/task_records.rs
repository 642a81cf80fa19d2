//! Records of tasks: a small head that every step writes, the operation and the result beside it.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::device::{DeviceKey, UnixTime};
use crate::work::campaign::CampaignId;
use crate::work::task::{Once, Operation, Task, TaskError, TaskId, TaskState};
use crate::work::transfer::Progress;

use super::backend::{Backend, Batch, VALUE_BYTES_MAX};
use super::keys::{Key, KeyReader, Kind, number_value, of_device, of_task, unreadable};
use super::task_index::Tasks;
use super::{StoreError, chunks};

/// Bytes of an operation's JSON.
pub(super) const OPERATION_BYTES_MAX: usize = 1 << 20;
/// Bytes of a result's JSON: a whole tree of 200 000 parameters does not fit, one of 50 000 does.
pub(super) const RESULT_BYTES_MAX: usize = 8 << 20;
/// Bytes of an error's text; more is cut.
const ERROR_TEXT_BYTES_MAX: usize = 500;
/// Parameters of an error; more are left out.
const ERROR_PARAMETERS_MAX: usize = 20;
const HEAD: &str = "task";
const OPERATION: &str = "operation of a task";
const RESULT: &str = "result of a task";

/// The head of a task.
#[derive(Serialize, Deserialize)]
struct Head {
    device: String,
    state: TaskState,
    attempts: u32,
    created: UnixTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<UnixTime>,
    #[serde(default, skip_serializing_if = "is_usual")]
    priority: i8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<UnixTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accepted: Option<UnixTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<UnixTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<TaskError>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    campaign: Option<CampaignId>,
    /// There is a record of the result.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    has_result: bool,
}

fn is_usual(priority: &i8) -> bool {
    *priority == 0
}

pub(super) fn encode_operation(operation: &Operation) -> Result<Vec<u8>, StoreError> {
    encode(
        OPERATION,
        "bytes of a task's operation",
        operation,
        OPERATION_BYTES_MAX,
    )
}

pub(super) fn encode_result(result: &serde_json::Value) -> Result<Vec<u8>, StoreError> {
    encode(RESULT, "bytes of a task's result", result, RESULT_BYTES_MAX)
}

fn encode(
    what: &'static str,
    limit: &'static str,
    value: &impl Serialize,
    max: usize,
) -> Result<Vec<u8>, StoreError> {
    let json = serde_json::to_vec(value).map_err(|error| unreadable(what, error))?;
    if json.len() > max {
        let (found, max) = (json.len() as u64, max as u64);
        return Err(StoreError::TooMuch {
            what: limit,
            found,
            max,
        });
    }
    Ok(json)
}

/// The records of a task that is made. `operation` is its JSON.
pub(super) fn put_new(
    batch: &mut Batch,
    device: &DeviceKey,
    task: &Task,
    operation: &[u8],
) -> Result<(), StoreError> {
    put_step(batch, task, None)?;
    chunks::put(
        batch,
        &of_task(Kind::Operation, &task.instance, task.id),
        operation,
    );
    batch.put(
        of_device(Kind::DeviceTasks, device).u64(task.id.0).bytes(),
        Vec::new(),
    );
    Ok(())
}

/// The records that a step changes. `result` is the JSON of an ended task's result.
pub(super) fn put_step(
    batch: &mut Batch,
    task: &Task,
    result: Option<&[u8]>,
) -> Result<(), StoreError> {
    let head = Head {
        device: task.device.clone(),
        state: task.state,
        attempts: task.attempts,
        created: task.created,
        expires: task.expires,
        priority: task.priority,
        idempotency_key: task.idempotency_key.clone(),
        sent: task.sent,
        accepted: task.accepted,
        ended: task.ended,
        progress: task.progress.clone(),
        error: task.error.clone().map(cut),
        campaign: task.campaign,
        has_result: result.is_some(),
    };
    let json = encode(HEAD, "bytes of a task", &head, VALUE_BYTES_MAX * 8)?;
    let pending = of_task(Kind::Pending, &task.instance, task.id);
    if task.state.is_final() {
        batch.remove(pending.bytes());
        batch.put(
            of_task(Kind::Ended, &task.instance, task.id).bytes(),
            chunks::pack(&json),
        );
    } else {
        batch.put(pending.bytes(), chunks::pack(&json));
    }
    if let Some(result) = result {
        chunks::put(
            batch,
            &of_task(Kind::TaskResult, &task.instance, task.id),
            result,
        );
    }
    Ok(())
}

/// Removes all records of a task, given its key below its device.
pub(super) fn remove(
    backend: &Backend,
    batch: &mut Batch,
    device: &DeviceKey,
    id: TaskId,
) -> Result<(), StoreError> {
    let of_task = |kind| of_task(kind, &device.instance, id);
    for kind in [Kind::Pending, Kind::Ended] {
        // A head that cannot be read keeps its key, and no more.
        let record = backend.get(of_task(kind).as_ref())?;
        let head = record.and_then(|record| head(&record).ok());
        if let Some(name) = head.and_then(|head| head.idempotency_key) {
            batch.remove(of_device(Kind::TaskKey, device).text(&name).bytes());
        }
    }
    batch.remove(of_device(Kind::DeviceTasks, device).u64(id.0).bytes());
    batch.remove(of_task(Kind::Pending).bytes());
    batch.remove(of_task(Kind::Ended).bytes());
    chunks::remove(backend, batch, &of_task(Kind::Operation))?;
    chunks::remove(backend, batch, &of_task(Kind::TaskResult))
}

/// What a task's idempotency key leads to.
pub(super) fn put_key(batch: &mut Batch, device: &DeviceKey, once: &Once, id: TaskId) {
    let mut value = id.0.to_be_bytes().to_vec();
    value.extend(once.asked);
    batch.put(
        of_device(Kind::TaskKey, device).text(&once.key).bytes(),
        value,
    );
}

/// The task that was made under this key.
///
/// # Errors
/// [`StoreError::KeyTaken`]: something else was asked under it.
pub(super) fn by_key(
    backend: &Backend,
    device: &DeviceKey,
    once: &Once,
) -> Result<Option<TaskId>, StoreError> {
    let key = of_device(Kind::TaskKey, device).text(&once.key);
    let Some(record) = backend.get(key.as_ref())? else {
        return Ok(None);
    };
    let Some((id, asked)) = record.split_first_chunk() else {
        return Err(unreadable("idempotency key", "a record is too short"));
    };
    let id = TaskId(u64::from_be_bytes(*id));
    if asked != once.asked {
        return Err(StoreError::KeyTaken {
            key: once.key.clone(),
            task: id,
        });
    }
    Ok(Some(id))
}

/// The numbers of a device's tasks, in order.
pub(super) fn of(backend: &Backend, device: &DeviceKey) -> Result<Vec<TaskId>, StoreError> {
    let prefix = of_device(Kind::DeviceTasks, device);
    let mut ids = Vec::new();
    backend.each(prefix.as_ref(), |key, _| {
        ids.push(last_number(key)?);
        Ok(())
    })?;
    Ok(ids)
}

/// The number at the end of a key.
pub(super) fn last_number(key: &[u8]) -> Result<TaskId, StoreError> {
    key.last_chunk()
        .map(|bytes| TaskId(u64::from_be_bytes(*bytes)))
        .ok_or_else(|| {
            unreadable(
                HEAD,
                format_args!("a key of at least 8 bytes expected, {} came", key.len()),
            )
        })
}

/// An ended task.
pub(super) fn ended(
    backend: &Backend,
    instance: &str,
    id: TaskId,
) -> Result<Option<Task>, StoreError> {
    match backend.get(of_task(Kind::Ended, instance, id).as_ref())? {
        Some(record) => whole(backend, instance, id, &record).map(Some),
        None => Ok(None),
    }
}

/// The record of an ended task with more progress than it had; `None`: it is not there, or the
/// task has had none.
pub(super) fn with_progress(
    backend: &Backend,
    instance: &str,
    id: TaskId,
    change: impl FnOnce(&mut Progress),
) -> Result<Batch, StoreError> {
    let mut batch = Batch::default();
    let key = of_task(Kind::Ended, instance, id);
    if let Some(record) = backend.get(key.as_ref())? {
        let mut head = head(&record)?;
        change(head.progress.get_or_insert_default());
        let json = encode(HEAD, "bytes of a task", &head, VALUE_BYTES_MAX * 8)?;
        batch.put(key.bytes(), chunks::pack(&json));
    }
    Ok(batch)
}

/// When a task ended, and whether it has.
pub(super) fn ended_at(
    backend: &Backend,
    instance: &str,
    id: TaskId,
) -> Result<Option<UnixTime>, StoreError> {
    let record = backend.get(of_task(Kind::Ended, instance, id).as_ref())?;
    let head = record.map(|record| head(&record)).transpose()?;
    Ok(head.map(|head| head.ended.unwrap_or(head.created)))
}

/// The state in a head's record.
pub(super) fn state(record: &[u8]) -> Result<TaskState, StoreError> {
    head(record).map(|head| head.state)
}

/// The task of a head's record.
pub(super) fn whole(
    backend: &Backend,
    instance: &str,
    id: TaskId,
    record: &[u8],
) -> Result<Task, StoreError> {
    let head = head(record)?;
    let read = |kind, what, max| -> Result<Vec<u8>, StoreError> {
        chunks::get(backend, what, &of_task(kind, instance, id), max)?
            .ok_or_else(|| unreadable(what, format_args!("{id} has none")))
    };
    let operation = read(Kind::Operation, OPERATION, OPERATION_BYTES_MAX)?;
    let operation = serde_json::from_slice(&operation).map_err(|e| unreadable(OPERATION, e))?;
    let result = match head.has_result {
        true => Some(read(Kind::TaskResult, RESULT, RESULT_BYTES_MAX)?),
        false => None,
    };
    let result = result.map(|json| serde_json::from_slice(&json)).transpose();
    Ok(Task {
        id,
        device: head.device,
        instance: instance.to_owned(),
        operation,
        state: head.state,
        attempts: head.attempts,
        created: head.created,
        expires: head.expires,
        priority: head.priority,
        idempotency_key: head.idempotency_key,
        sent: head.sent,
        accepted: head.accepted,
        progress: head.progress,
        ended: head.ended,
        result: result.map_err(|error| unreadable(RESULT, error))?,
        error: head.error,
        campaign: head.campaign,
    })
}

fn head(record: &[u8]) -> Result<Head, StoreError> {
    let json = chunks::unpack(HEAD, record, VALUE_BYTES_MAX * 8)?;
    serde_json::from_slice(&json).map_err(|error| unreadable(HEAD, error))
}

/// Reads the unfinished tasks. Those that were sent when the host stopped and may be sent
/// again are queued again; those that may not are marked as interrupted, unless the device
/// has answered already and only its TransferComplete is awaited. The writes that this takes.
pub(super) fn open(backend: &Backend) -> Result<(Tasks, Batch), StoreError> {
    let tasks = Tasks::default();
    let mut batch = Batch::default();
    let mut state = tasks.state.lock();
    backend.each(Key::new(Kind::Pending).as_ref(), |key, record| {
        let mut reader = KeyReader::new(key);
        let (Some(instance), Some(id)) = (reader.text(), reader.u64()) else {
            return Err(unreadable(HEAD, "a key is too short"));
        };
        state.next = state.next.max(id + 1);
        let mut task = match whole(backend, instance, TaskId(id), record) {
            Ok(task) => task,
            Err(error) => {
                // One bad record must not keep all devices away. It stays for who repairs it.
                tracing::error!(instance, task = %TaskId(id), %error, "an unfinished task is lost");
                return Ok(());
            }
        };
        let sent = task.state == TaskState::Sent && task.accepted.is_none();
        if sent && task.operation.is_repeatable() {
            task.state = TaskState::Queued;
            put_step(&mut batch, &task, None)?;
        }
        let interrupted = sent && task.state == TaskState::Sent;
        state.insert(task.device_key(), Arc::new(task), interrupted);
        Ok(())
    })?;
    if let Some(reserved) = backend.get(Key::new(Kind::NextTask).as_ref())? {
        state.next = state
            .next
            .max(number_value("next task's number", &reserved)?);
    }
    // The first number is 1: `t-0` looks like none.
    state.next = state.next.max(1);
    state.reserved = state.next;
    drop(state);
    Ok((tasks, batch))
}

fn cut(mut error: TaskError) -> TaskError {
    error.parameters.truncate(ERROR_PARAMETERS_MAX);
    let parameters = error
        .parameters
        .iter_mut()
        .flat_map(|at| [&mut at.path, &mut at.text]);
    for text in std::iter::once(&mut error.text).chain(parameters) {
        text.truncate(text.floor_char_boundary(ERROR_TEXT_BYTES_MAX));
    }
    error
}
