//! Any sequence of steps leaves what a map in memory would have, also over restarts.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::backend::MemoryBackend;
use super::super::{Store, TaskFilter};
use super::{Records, key, summary};
use crate::work::task::{TaskId, TaskState};

#[derive(Debug, Clone)]
enum Step {
    Register(u8),
    Set(u8, u8, u16),
    RemovePrefix(u8, u8),
    Contact(u8, i64),
    Enqueue(u8),
    Send(u8),
    Finish(u8),
    Delete(u8),
    Flush,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let device = 0..4_u8;
    prop_oneof![
        2 => device.clone().prop_map(Step::Register),
        8 => (device.clone(), 0..60_u8, any::<u16>()).prop_map(|(d, p, v)| Step::Set(d, p, v)),
        1 => (device.clone(), 0..6_u8).prop_map(|(d, p)| Step::RemovePrefix(d, p)),
        2 => (device.clone(), 1..9_000_000_000_i64).prop_map(|(d, at)| Step::Contact(d, at)),
        3 => device.clone().prop_map(Step::Enqueue),
        2 => device.clone().prop_map(Step::Send),
        2 => device.clone().prop_map(Step::Finish),
        1 => device.prop_map(Step::Delete),
        2 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Debug, Default, PartialEq)]
struct Device {
    parameters: BTreeMap<String, String>,
    last_contact: i64,
    pending: BTreeMap<TaskId, TaskState>,
    done: BTreeSet<TaskId>,
}

fn id(device: u8) -> String {
    format!("device {device}")
}

/// Paths in six objects; long values so that there are several parts.
fn path(parameter: u8) -> String {
    format!("Device.Object.{}.Parameter.{parameter}", parameter % 6)
}

async fn run(records: &Records, steps: Vec<Step>) {
    let mut model: BTreeMap<String, Device> = BTreeMap::new();
    let mut store = records.open();
    for step in steps {
        apply(&mut store, records, &mut model, step).await;
    }
    compare(&store, &model);
    store.close().await.unwrap();
    drop(store);
    // What was sent is queued again.
    for device in model.values_mut() {
        device
            .pending
            .values_mut()
            .for_each(|state| *state = TaskState::Queued);
    }
    compare(&records.open(), &model);
}

async fn apply(
    store: &mut Store,
    records: &Records,
    model: &mut BTreeMap<String, Device>,
    step: Step,
) {
    let of = |device: u8| key("a", &id(device));
    match step {
        Step::Register(device) => {
            let (_, is_new) = store.register(&of(device), summary(&id(device))).unwrap();
            assert_eq!(is_new, !model.contains_key(&id(device)));
            model.entry(id(device)).or_default();
        }
        Step::Set(device, parameter, value) => {
            let Some(known) = model.get_mut(&id(device)) else {
                return;
            };
            let value = format!("{value:x}").repeat(usize::from(value % 400));
            let cell = store.device(&of(device)).unwrap().unwrap();
            let string = cwmp::XsdType::STRING;
            cell.lock()
                .tree_mut()
                .set(&path(parameter), &value, &string, 1)
                .unwrap();
            store.touched(&cell);
            known.parameters.insert(path(parameter), value);
        }
        Step::RemovePrefix(device, object) => {
            let Some(known) = model.get_mut(&id(device)) else {
                return;
            };
            let prefix = format!("Device.Object.{object}.");
            let cell = store.device(&of(device)).unwrap().unwrap();
            cell.lock().tree_mut().remove_prefix(&prefix);
            store.touched(&cell);
            known
                .parameters
                .retain(|path, _| !path.starts_with(&prefix));
        }
        Step::Contact(device, at) => {
            let Some(known) = model.get_mut(&id(device)) else {
                return;
            };
            // The times of a block are at most 136 years apart: with 0..9e9 they may be more.
            let at = 1_700_000_000 + at % 1_000_000_000;
            store.device(&of(device)).unwrap().unwrap().contacted(at);
            known.last_contact = at;
        }
        Step::Enqueue(device) => {
            let made = store.enqueue(super::tasks::get(&of(device)), 1).await;
            match model.get_mut(&id(device)) {
                Some(known) => {
                    known.pending.insert(made.unwrap().id, TaskState::Queued);
                }
                None => assert!(made.is_err()),
            }
        }
        Step::Send(device) => {
            let Some(known) = model.get_mut(&id(device)) else {
                return;
            };
            let queued = known
                .pending
                .iter_mut()
                .find(|(_, state)| **state == TaskState::Queued);
            if let Some((id, state)) = queued {
                store.mark_sent(*id, 2).await.unwrap();
                *state = TaskState::Sent;
            }
        }
        Step::Finish(device) => {
            let Some(known) = model.get_mut(&id(device)) else {
                return;
            };
            if let Some((id, _)) = known.pending.pop_first() {
                store
                    .finish(id, TaskState::Done, Some(1.into()), None, 3)
                    .await
                    .unwrap();
                known.done.insert(id);
            }
        }
        Step::Delete(device) => {
            let known = model.remove(&id(device));
            assert_eq!(store.delete(&of(device)).await.unwrap(), known.is_some());
        }
        Step::Flush => store.flush().await.unwrap(),
        Step::Reopen => {
            store.flush().await.unwrap();
            *store = Store::memory().unwrap(); // the old one goes, without close
            *store = records.open();
            for device in model.values_mut() {
                device
                    .pending
                    .values_mut()
                    .for_each(|state| *state = TaskState::Queued);
            }
        }
    }
}

fn compare(store: &Store, model: &BTreeMap<String, Device>) {
    let ids: Vec<String> = store
        .device_ids("a", None, 99)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(ids, model.keys().cloned().collect::<Vec<_>>());
    for (id, expected) in model {
        let cell = store.device(&key("a", id)).unwrap().unwrap();
        let parameters = cell
            .lock()
            .tree()
            .prefix("")
            .map(|(p, r)| (p.to_owned(), r.value.to_string()))
            .collect();
        let pending = store
            .pending(cell.key())
            .iter()
            .map(|task| (task.id, task.state))
            .collect();
        let done = TaskFilter {
            device: Some(id.clone()),
            state: Some(TaskState::Done),
            ..TaskFilter::default()
        };
        let done = store
            .tasks("a", &done, None, 999)
            .unwrap()
            .iter()
            .map(|task| task.id)
            .collect();
        let last_contact = cell.contacts().last_contact;
        assert_eq!(
            &Device {
                parameters,
                last_contact,
                pending,
                done
            },
            expected,
            "{id}"
        );
    }
}

fn check(records: &Records, steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(run(records, steps));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn memory_is_as_the_model(steps in proptest::collection::vec(step(), 1..120)) {
        check(&Records::Memory(MemoryBackend::default()), steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]

    #[test]
    fn sled_is_as_the_model(steps in proptest::collection::vec(step(), 1..120)) {
        check(&Records::Sled(tempfile::tempdir().unwrap()), steps);
    }
}
