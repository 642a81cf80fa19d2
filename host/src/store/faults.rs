//! The last faults of each device: readings, for the people who look for what went wrong.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::device::{DeviceKey, UnixTime};
use crate::work::task::{TaskId, TaskParameterError};

use super::backend::{Backend, Batch, Start};
use super::commit::{Durability, Waiting, Work};
use super::keys::{self, Key, KeyReader, Kind, of_device, unreadable};
use super::{Core, Store, StoreError, chunks};

/// Bytes of a text; more is cut.
const TEXT_BYTES_MAX: usize = 1_000;
/// Parameters of a fault; more are left out.
const PARAMETERS_MAX: usize = 20;
/// All faults of a device, unpacked.
const RECORD_BYTES_MAX: usize = 64 << 20;
/// Devices of one request to the commit thread.
const DEVICES_PER_REQUEST: usize = 32;
const WHAT: &str = "list of faults";

/// A fault as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FaultRecord {
    /// When.
    pub at: UnixTime,
    /// Which RPC the device refused, or what else failed (`session`, `plugin`).
    pub rpc: String,
    /// The CWMP fault code, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
    /// What was expected and what came; cut after 1 000 bytes.
    pub text: String,
    /// Which parameters were at fault; the first 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<TaskParameterError>,
    /// The task that asked, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The plugin (`name version`) that asked or failed, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
}

/// Lists that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Faults {
    changed: Mutex<HashMap<DeviceKey, Changed>>,
}

#[derive(Debug, Default)]
struct Changed {
    /// Newest first.
    faults: Vec<FaultRecord>,
    /// Of these, how often they were changed since they are here.
    generation: u64,
    submitted: Option<u64>,
}

impl Faults {
    pub(super) fn forget(&self, device: &DeviceKey) {
        self.changed.lock().remove(device);
    }

    /// Submits some lists that were not yet; `None` when there are no more.
    pub(super) fn submit_some(&self, core: &Core) -> Option<Waiting> {
        // Submitted under the lock, so that a deletion comes after.
        let mut changed = self.changed.lock();
        let mut lists = Vec::new();
        let unsubmitted = changed
            .iter_mut()
            .filter(|(_, list)| list.submitted != Some(list.generation));
        for (device, list) in unsubmitted.take(DEVICES_PER_REQUEST) {
            list.submitted = Some(list.generation);
            lists.push((device.clone(), list.generation, list.faults.clone()));
        }
        if lists.is_empty() {
            return None;
        }
        let written: Vec<(DeviceKey, u64)> = lists
            .iter()
            .map(|(device, generation, _)| (device.clone(), *generation))
            .collect();
        let faults = Arc::clone(&core.faults);
        let after = move |result: Result<(), &StoreError>| {
            if result.is_err() {
                return; // the store has failed, memory is what there is
            }
            let mut changed = faults.changed.lock();
            for (device, generation) in written {
                if changed
                    .get(&device)
                    .is_some_and(|list| list.generation == generation)
                {
                    changed.remove(&device);
                }
            }
        };
        let build = move |backend: &Backend| {
            let mut batch = Batch::default();
            for (device, _, faults) in lists {
                let key = of_device(Kind::Faults, &device);
                chunks::remove(backend, &mut batch, &key)?;
                if !faults.is_empty() {
                    let json =
                        serde_json::to_vec(&faults).map_err(|error| unreadable(WHAT, error))?;
                    chunks::put(&mut batch, &key, &json);
                }
            }
            Ok(batch)
        };
        Some(core.committer.submit(
            Work::Build(Box::new(build)),
            Durability::Applied,
            Some(Box::new(after)),
        ))
    }

    fn change(
        &self,
        Core {
            backend, devices, ..
        }: &Core,
        device: &DeviceKey,
        change: impl FnOnce(&mut Vec<FaultRecord>),
    ) -> Result<(), StoreError> {
        let mut changed = self.changed.lock();
        // Under the lock that a deletion takes afterwards.
        if !devices.contains(device) {
            return Ok(());
        }
        if let Some(list) = changed.get_mut(device) {
            change(&mut list.faults);
            list.generation += 1;
            return Ok(());
        }
        let mut faults = stored(backend, device)?;
        change(&mut faults);
        changed.insert(
            device.clone(),
            Changed {
                faults,
                generation: 0,
                submitted: None,
            },
        );
        Ok(())
    }
}

impl Store {
    /// Keeps a fault; the oldest goes when the device has too many. Of a device that was deleted
    /// nothing is kept.
    ///
    /// # Errors
    /// When the records that are there cannot be read.
    pub fn record_fault(&self, device: &DeviceKey, fault: FaultRecord) -> Result<(), StoreError> {
        keys::check_device(device)?;
        let core = self.core();
        let max = core.config.faults_per_device_max;
        core.faults.change(core, device, |faults| {
            faults.insert(0, cut(fault));
            faults.truncate(max);
        })
    }

    /// The device's last faults, newest first.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn faults(&self, device: &DeviceKey) -> Result<Vec<FaultRecord>, StoreError> {
        let core = self.core();
        if let Some(list) = core.faults.changed.lock().get(device) {
            return Ok(list.faults.clone());
        }
        stored(&core.backend, device)
    }

    /// Devices of an instance that have faults, after `after` and at most `limit`: those with
    /// short ids first.
    ///
    /// # Errors
    /// When records cannot be read.
    pub fn devices_with_faults(
        &self,
        instance: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DeviceKey>, StoreError> {
        let core = self.core();
        // As keys sort, which have the length before the text.
        let turn = |id: &str| (id.len(), id.to_owned());
        let is_next = |id: &str| after.is_none_or(|after| turn(id) > turn(after));
        let prefix = Key::new(Kind::Faults).text(instance).bytes();
        let mut found = BTreeSet::new();
        let mut last = after.map(|id| over(&prefix, id));
        // Some of those that are stored may have been cleared since.
        let enough = limit.saturating_add(core.faults.changed.lock().len());
        while found.len() < enough {
            let start = last.as_deref().map_or(Start::First, Start::After);
            let Some((key, _)) = core.backend.scan(&prefix, start, 1)?.pop() else {
                break;
            };
            let mut reader = KeyReader::new(&key);
            let (Some(_), Some(id)) = (reader.text(), reader.text()) else {
                return Err(unreadable(WHAT, "a key is too short"));
            };
            found.insert(turn(id));
            last = Some(over(&prefix, id));
        }
        for (device, list) in core.faults.changed.lock().iter() {
            if *device.instance == *instance {
                match list.faults.is_empty() {
                    true => found.remove(&turn(&device.id)),
                    false => is_next(&device.id) && found.insert(turn(&device.id)),
                };
            }
        }
        let keys = found.into_iter().take(limit).map(|(_, id)| DeviceKey {
            instance: instance.into(),
            id: id.into(),
        });
        Ok(keys.collect())
    }

    /// Forgets the device's faults.
    pub fn clear_faults(&self, device: &DeviceKey) {
        let core = self.core();
        let mut changed = core.faults.changed.lock();
        if !core.devices.contains(device) {
            return;
        }
        let list = changed.entry(device.clone()).or_default();
        list.faults.clear();
        list.generation += 1;
    }
}

/// A key after all chunks of a device.
fn over(prefix: &[u8], id: &str) -> Vec<u8> {
    let last = Key::new(Kind::Faults).text(id).u16(u16::MAX).bytes();
    // What follows the kind, below the instance.
    let tail = last.get(1..).unwrap_or_default();
    [prefix, tail].concat()
}

fn stored(backend: &Backend, device: &DeviceKey) -> Result<Vec<FaultRecord>, StoreError> {
    let key = of_device(Kind::Faults, device);
    let Some(json) = chunks::get(backend, WHAT, &key, RECORD_BYTES_MAX)? else {
        return Ok(Vec::new());
    };
    serde_json::from_slice(&json).map_err(|error| unreadable(WHAT, error))
}

fn cut(mut fault: FaultRecord) -> FaultRecord {
    fault.parameters.truncate(PARAMETERS_MAX);
    let texts = [&mut fault.text, &mut fault.rpc];
    let parameters = fault.parameters.iter_mut();
    let texts = texts.into_iter().chain(fault.plugin.as_mut());
    for text in texts.chain(parameters.flat_map(|at| [&mut at.path, &mut at.text])) {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    }
    fault
}
