use std::sync::Arc;
use std::time::Duration;

use super::super::{Order, Store, StoreError, TaskFilter};
use super::{Records, check, key, summary};
use crate::device::DeviceKey;
use crate::work::task::{NewTask, Operation, Task, TaskError, TaskId, TaskState};

pub(super) fn get(device: &DeviceKey) -> NewTask {
    let operation = Operation::Get {
        paths: vec!["Device.".to_owned()],
    };
    NewTask::new(device.clone(), operation)
}

fn reboot(device: &DeviceKey) -> NewTask {
    NewTask {
        operation: Operation::Reboot,
        ..get(device)
    }
}

fn open(records: &Records) -> (Store, DeviceKey) {
    let store = records.open();
    let device = key("a", "1");
    store.register(&device, summary("1")).unwrap();
    (store, device)
}

fn ids(tasks: &[Arc<Task>]) -> Vec<TaskId> {
    tasks.iter().map(|task| task.id).collect()
}

#[test]
fn a_task_from_its_making_to_its_end() {
    check(async |records| {
        let (store, device) = open(records);
        assert!(!store.has_pending(&device));
        let task = store.enqueue(get(&device), 10).await.unwrap();
        assert_eq!(
            (task.state, task.attempts, task.created),
            (TaskState::Queued, 0, 10)
        );
        assert!(store.has_pending(&device));
        assert!(!store.has_pending(&key("b", "1")));
        assert_eq!(store.pending(&device), std::slice::from_ref(&task));
        let sent = store.mark_sent(task.id, 11).await.unwrap();
        assert_eq!(
            (sent.state, sent.attempts, sent.sent),
            (TaskState::Sent, 1, Some(11))
        );
        assert!(matches!(
            store.mark_sent(task.id, 12).await,
            Err(StoreError::TaskState { .. })
        ));
        assert!(matches!(
            store.cancel(task.id, 12).await,
            Err(StoreError::TaskState { .. })
        ));
        assert_eq!(
            store.unfinished_task(task.id).unwrap().state,
            TaskState::Sent
        );
        store.requeue(task.id).await.unwrap();
        store.mark_sent(task.id, 13).await.unwrap();
        let result = serde_json::json!({"Device.A": "x"});
        let done = store
            .finish(task.id, TaskState::Done, Some(result.clone()), None, 14)
            .await;
        let done = done.unwrap();
        assert_eq!(
            (done.state, done.attempts, done.ended),
            (TaskState::Done, 2, Some(14))
        );
        assert!(!store.has_pending(&device));
        let again = store.finish(task.id, TaskState::Done, None, None, 15).await;
        assert_eq!(again, Err(StoreError::NoSuchTask(task.id)));
        assert_eq!(store.task("a", task.id).unwrap(), Some(done.clone()));
        assert_eq!(store.task("b", task.id).unwrap(), None);
        drop(store); // without close
        let store = records.open();
        assert_eq!(store.task("a", task.id).unwrap(), Some(done.clone()));
        assert_eq!(done.result, Some(result));
        assert_eq!(store.wait("a", task.id).await.unwrap(), Some(done));
    });
}

#[test]
fn unfinished_tasks_are_there_after_a_restart_in_order() {
    check(async |records| {
        let (store, device) = open(records);
        let mut made = Vec::new();
        for n in 0..20 {
            made.push(store.enqueue(get(&device), n).await.unwrap());
        }
        store.cancel(made[3].id, 99).await.unwrap();
        drop(store);
        let store = records.open();
        let pending = store.pending(&device);
        assert_eq!(pending.len(), 19);
        assert!(ids(&pending).is_sorted());
        assert_eq!(
            store.task("a", made[3].id).unwrap().unwrap().state,
            TaskState::Cancelled
        );
        let error = TaskError {
            code: Some(9002),
            text: "no".to_owned(),
            parameters: Vec::new(),
        };
        let failed = store
            .finish(made[0].id, TaskState::Failed, None, Some(error.clone()), 5)
            .await
            .unwrap();
        assert_eq!(failed.error, Some(error));
    });
}

#[test]
fn numbers_never_repeat() {
    check(async |records| {
        let mut highest = 0;
        for _ in 0..3 {
            let (store, device) = open(records);
            for _ in 0..3 {
                let task = store.enqueue(get(&device), 1).await.unwrap();
                assert!(task.id.0 > highest);
                highest = task.id.0;
            }
            store.delete(&device).await.unwrap();
        }
        assert!(highest >= 9);
    });
}

#[test]
fn what_was_sent_when_the_host_stopped() {
    check(async |records| {
        let (store, device) = open(records);
        let repeatable = store.enqueue(get(&device), 1).await.unwrap().id;
        let unknown = store.enqueue(reboot(&device), 1).await.unwrap().id;
        let transfer = NewTask {
            operation: Operation::upload("1 Vendor Configuration File"),
            ..get(&device)
        };
        let running = store.enqueue(transfer.clone(), 1).await.unwrap().id;
        let unanswered = store.enqueue(transfer, 1).await.unwrap().id;
        let queued = store.enqueue(reboot(&device), 1).await.unwrap().id;
        for id in [repeatable, unknown, running, unanswered] {
            store.mark_sent(id, 2).await.unwrap();
        }
        assert_eq!(
            store.mark_accepted(running, 3).await.unwrap().accepted,
            Some(3)
        );
        assert!(store.interrupted(&device).is_empty());
        drop(store);

        let store = records.open();
        let state = |id| {
            store
                .unfinished_task(id)
                .map(|task| (task.state, task.attempts))
        };
        assert_eq!(state(repeatable), Some((TaskState::Queued, 1)));
        assert_eq!(state(unknown), Some((TaskState::Sent, 1)));
        assert_eq!(state(running), Some((TaskState::Sent, 1)));
        assert_eq!(state(queued), Some((TaskState::Queued, 0)));
        assert_eq!(ids(&store.interrupted(&device)), [unknown, unanswered]);
        assert_eq!(ids(&store.interrupted_tasks()), [unknown, unanswered]);
        assert_eq!(store.pending(&device).len(), 5);
        store
            .finish(unknown, TaskState::Done, None, None, 9)
            .await
            .unwrap();
        store.mark_accepted(unanswered, 9).await.unwrap();
        assert!(store.interrupted(&device).is_empty());
        drop(store);
        assert!(records.open().interrupted_tasks().is_empty());
    });
}

#[test]
fn limits_of_tasks() {
    check(async |records| {
        let store = records.open_with(|config| config.tasks_pending_per_device_max = 3);
        let device = key("a", "1");
        let unknown = store.enqueue(get(&device), 1).await;
        assert_eq!(unknown, Err(StoreError::NoSuchDevice(device.clone())));
        store.register(&device, summary("1")).unwrap();
        let mut made = Vec::new();
        for _ in 0..3 {
            made.push(store.enqueue(get(&device), 1).await.unwrap().id);
        }
        let refused = store.enqueue(get(&device), 1).await;
        assert!(matches!(
            refused,
            Err(StoreError::TooMuch {
                found: 4,
                max: 3,
                ..
            })
        ));
        store.cancel(made[0], 2).await.unwrap();
        store.enqueue(get(&device), 1).await.unwrap();
        // A large operation and a large result are kept, one over the limit is not.
        let xml = |bytes: usize| Operation::Raw {
            method: "X".to_owned(),
            xml: "<é/>".repeat(bytes / 5),
        };
        store.cancel(made[1], 2).await.unwrap();
        let large = NewTask {
            operation: xml(1 << 20),
            ..get(&device)
        };
        assert!(matches!(
            store.enqueue(large, 1).await,
            Err(StoreError::TooMuch { .. })
        ));
        let large = NewTask {
            operation: xml(500_000),
            ..get(&device)
        };
        let task = store.enqueue(large, 1).await.unwrap();
        let numbers: Vec<u64> = (0..200_000).map(|n| n * 7919 % 1_000_003).collect();
        let result = serde_json::json!(numbers);
        store
            .finish(task.id, TaskState::Done, Some(result.clone()), None, 3)
            .await
            .unwrap();
        drop(store);
        let store = records.open();
        let read = store.task("a", task.id).unwrap().unwrap();
        assert_eq!(read.operation, task.operation);
        assert_eq!(read.result, Some(result));
        assert_eq!(store.stats().blob_files, 0);
    });
}

#[test]
fn waiters_hear_of_the_end() {
    check(async |records| {
        let (store, device) = open(records);
        let task = store.enqueue(get(&device), 1).await.unwrap();
        let lost = store.enqueue(get(&device), 1).await.unwrap();
        let waiting = |id| {
            let store = store.clone();
            tokio::spawn(async move { store.wait("a", id).await.unwrap() })
        };
        let (one, two, three) = (waiting(task.id), waiting(task.id), waiting(lost.id));
        tokio::task::yield_now().await;
        store
            .finish(task.id, TaskState::Done, None, None, 2)
            .await
            .unwrap();
        assert_eq!(one.await.unwrap().unwrap().state, TaskState::Done);
        assert_eq!(two.await.unwrap().unwrap().state, TaskState::Done);
        store.delete(&device).await.unwrap();
        assert_eq!(three.await.unwrap(), None);
        assert_eq!(store.wait("a", TaskId(999)).await.unwrap(), None);
        assert_eq!(store.wait("b", task.id).await.unwrap(), None);
    });
}

#[test]
fn a_cancelled_task_is_never_sent() {
    check(async |records| {
        let (store, device) = open(records);
        for _ in 0..50 {
            let id = store.enqueue(get(&device), 1).await.unwrap().id;
            let (one, other) = (store.clone(), store.clone());
            let sent = tokio::spawn(async move { one.mark_sent(id, 2).await });
            let cancelled = tokio::spawn(async move { other.cancel(id, 2).await });
            let (sent, cancelled) = (sent.await.unwrap(), cancelled.await.unwrap());
            assert!(sent.is_ok() != cancelled.is_ok(), "{sent:?} {cancelled:?}");
        }
    });
}

#[test]
fn a_caller_who_goes_away_leaves_no_half_task() {
    check(async |records| {
        let (store, device) = open(records);
        for n in 0..50_u64 {
            let making = store.enqueue(get(&device), 1);
            let _ = tokio::time::timeout(Duration::from_micros(n * 7), making).await;
        }
        store.flush().await.unwrap(); // everything submitted before is done now
        let mut pending = ids(&store.pending(&device));
        for (n, id) in pending.iter().enumerate() {
            let sending = store.mark_sent(*id, 2);
            let _ = tokio::time::timeout(Duration::from_micros(n as u64 * 7), sending).await;
        }
        store.flush().await.unwrap();
        let states: Vec<_> = store
            .pending(&device)
            .iter()
            .map(|t| (t.id, t.attempts))
            .collect();
        drop(store);
        let store = records.open();
        let after: Vec<_> = store
            .pending(&device)
            .iter()
            .map(|t| (t.id, t.attempts))
            .collect();
        assert_eq!(states, after);
        pending.sort_unstable();
        assert_eq!(pending, ids(&store.pending(&device)));
    });
}

#[test]
fn expired_tasks_end() {
    check(async |records| {
        let (store, device) = open(records);
        let until = |expires| NewTask {
            expires: Some(expires),
            ..get(&device)
        };
        let early = store.enqueue(until(5), 1).await.unwrap().id;
        let sent = store.enqueue(until(5), 1).await.unwrap().id;
        store.enqueue(until(9), 1).await.unwrap();
        store.enqueue(get(&device), 1).await.unwrap();
        store.mark_sent(sent, 2).await.unwrap();
        assert_eq!(ids(&store.expire(4).await.unwrap()), []);
        assert_eq!(ids(&store.expire(5).await.unwrap()), [early]);
        assert_eq!(ids(&store.expire(5).await.unwrap()), []);
        assert_eq!(
            store.task("a", early).unwrap().unwrap().state,
            TaskState::Expired
        );
        drop(store);
        let store = records.open();
        // What was sent was asked for again: its time is over too.
        assert_eq!(ids(&store.expire(6).await.unwrap()), [sent]);
        assert_eq!(store.pending(&device).len(), 2);
    });
}

#[test]
fn lists_of_tasks() {
    check(async |records| {
        let (store, device) = open(records);
        let other = key("a", "2");
        store.register(&other, summary("2")).unwrap();
        let mut made = Vec::new();
        for n in 0..12 {
            let of = if n % 3 == 0 { &other } else { &device };
            made.push(store.enqueue(get(of), 1).await.unwrap().id);
        }
        for id in [made[1], made[3], made[4]] {
            store
                .finish(id, TaskState::Done, None, None, 2)
                .await
                .unwrap();
        }
        let list = |filter: TaskFilter, after, limit| {
            ids(&store.tasks("a", &filter, after, limit).unwrap())
        };
        let oldest = TaskFilter {
            order: Order::OldestFirst,
            ..TaskFilter::default()
        };
        assert_eq!(list(oldest.clone(), None, 99), made);
        assert_eq!(list(oldest.clone(), Some(made[1]), 3), made[2..5]);
        let newest: Vec<TaskId> = made.iter().rev().copied().collect();
        assert_eq!(list(TaskFilter::default(), None, 99), newest);
        assert_eq!(list(TaskFilter::default(), Some(made[5]), 3), newest[7..10]);
        let done = TaskFilter {
            state: Some(TaskState::Done),
            ..TaskFilter::default()
        };
        assert_eq!(list(done.clone(), None, 99), [made[4], made[3], made[1]]);
        assert_eq!(list(done.clone(), Some(made[4]), 1), [made[3]]);
        let of_other = TaskFilter {
            device: Some("2".to_owned()),
            ..oldest
        };
        assert_eq!(
            list(of_other.clone(), None, 99),
            [made[0], made[3], made[6], made[9]]
        );
        let both = TaskFilter {
            state: Some(TaskState::Done),
            ..of_other
        };
        assert_eq!(list(both, None, 99), [made[3]]);
        let queued = TaskFilter {
            state: Some(TaskState::Queued),
            ..TaskFilter::default()
        };
        assert_eq!(list(queued, None, 2), [made[11], made[10]]);
        assert!(store.tasks("b", &done, None, 9).unwrap().is_empty());
    });
}

#[test]
fn ended_tasks_are_kept_up_to_a_number_and_an_age() {
    check(async |records| {
        let store = records.open_with(|config| {
            config.tasks_finished_per_device_max = 5;
            config.tasks_finished_age_seconds_max = 100;
        });
        let device = key("a", "1");
        for id in ["0", "1", "2"] {
            store.register(&key("a", id), summary(id)).unwrap();
            let unfinished = store.enqueue(get(&key("a", id)), 0).await.unwrap();
            store.mark_sent(unfinished.id, 1).await.unwrap();
            for now in 0..10 {
                let task = store.enqueue(get(&key("a", id)), now).await.unwrap();
                store
                    .finish(task.id, TaskState::Done, Some(1.into()), None, now)
                    .await
                    .unwrap();
            }
        }
        let left = |store: &Store| {
            let filter = TaskFilter {
                device: Some("1".to_owned()),
                ..TaskFilter::default()
            };
            store.tasks("a", &filter, None, 99).unwrap().len()
        };
        assert_eq!(left(&store), 11);
        assert_eq!(store.sweep_finished_tasks(50).await.unwrap(), 15);
        assert_eq!(left(&store), 6);
        assert_eq!(store.sweep_finished_tasks(107).await.unwrap(), 6);
        assert_eq!(left(&store), 4);
        assert_eq!(store.sweep_finished_tasks(1000).await.unwrap(), 9);
        assert_eq!(left(&store), 1);
        assert!(store.has_pending(&device));
    });
}
