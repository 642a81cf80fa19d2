//! The rows of all devices, made from their summaries when the store opens: beside everything else,
//! by a few threads. Who searches meanwhile waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::device::{DeviceKey, Summary};
use crate::metrics::Counter;

use super::{Cancel, threads};
use crate::store::backend::Start;
use crate::store::cell::{decode_summary, summary_key};
use crate::store::registry::Instance;
use crate::store::{Core, StoreError};

/// Numbers of devices that a thread takes at a time.
const JOB_NUMBERS: u64 = 2_048;
/// How often who waits looks whether it is still wanted.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Whether the rows are there.
#[derive(Debug, Default)]
pub(in crate::store) struct Built {
    state: Mutex<State>,
    changed: Condvar,
    /// The store is going.
    stop: AtomicBool,
    /// Devices whose parameters were looked at.
    pub(super) trees_searched: Counter,
}

#[derive(Debug, Default, Clone)]
enum State {
    #[default]
    Under,
    Done,
    Failed(StoreError),
}

impl Built {
    /// Waits for the rows.
    pub(super) fn wait(&self, cancel: &Cancel) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        loop {
            match &*state {
                State::Done => return Ok(()),
                State::Failed(error) => return Err(error.clone()),
                State::Under => {}
            }
            cancel.check()?;
            self.changed.wait_for(&mut state, LOOK_INTERVAL);
        }
    }

    /// Makes the thread end.
    pub(in crate::store) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The thread's work.
pub(in crate::store) fn run(core: &Core) {
    let built = &core.built;
    let mut result = Ok(());
    for instance in core.devices.instances() {
        result = result.and_then(|()| build(core, &instance));
    }
    if let Err(error) = &result
        && !built.stop.load(Ordering::Relaxed)
    {
        tracing::error!(%error, "the devices cannot be searched");
    }
    *built.state.lock() = match result {
        Ok(()) => State::Done,
        Err(error) => State::Failed(error),
    };
    built.changed.notify_all();
}

fn build(core: &Core, instance: &Instance) -> Result<(), StoreError> {
    let ids: HashMap<u64, Arc<str>> = {
        let index = instance.index.read();
        let ids = index.numbers.iter();
        ids.map(|(id, number)| (*number, Arc::clone(id))).collect()
    };
    let end = ids.keys().max().map_or(0, |last| last + 1);
    let next = AtomicU64::new(0);
    let work = || -> Result<(), StoreError> {
        loop {
            let from = next.fetch_add(JOB_NUMBERS, Ordering::Relaxed);
            if from >= end {
                return Ok(());
            }
            if core.built.stop.load(Ordering::Relaxed) {
                return Err(StoreError::Closed);
            }
            let to = from.saturating_add(JOB_NUMBERS).min(end);
            rows(core, instance, &ids, from, to)?;
        }
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads()).map(|_| scope.spawn(work)).collect();
        let mut result = work();
        for other in others {
            result = result.and(other.join().unwrap_or(Err(StoreError::Closed)));
        }
        result
    })
}

/// The rows of the devices with the numbers `from..to`.
fn rows(
    core: &Core,
    instance: &Instance,
    ids: &HashMap<u64, Arc<str>>,
    from: u64,
    to: u64,
) -> Result<(), StoreError> {
    let mut records: HashMap<u64, Vec<u8>> = HashMap::new();
    let first = summary_key(&instance.name, from).bytes();
    let prefix = first
        .get(..first.len().saturating_sub(8))
        .unwrap_or_default();
    if let Some(record) = core.backend.get(&first)? {
        records.insert(from, record);
    }
    let limit = usize::try_from(to - from).unwrap_or(usize::MAX);
    for (key, record) in core.backend.scan(prefix, Start::After(&first), limit)? {
        if let Some(number) = key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes)) {
            records.insert(number, record);
        }
    }
    for number in from..to {
        let Some(id) = ids.get(&number) else {
            continue;
        };
        let summary = match records.get(&number).map(|record| decode_summary(record)) {
            Some(Ok(summary)) => summary,
            // Only a summary over its limit is not there.
            None => Summary::default(),
            Some(Err(error)) => {
                tracing::warn!(%id, %error, "a device cannot be searched");
                continue;
            }
        };
        let key = DeviceKey {
            instance: Arc::clone(&instance.name),
            id: Arc::clone(id),
        };
        let contacts = instance.index.write().block(number);
        instance.put_row_if_absent(&key, number, &summary, &contacts);
    }
    Ok(())
}
