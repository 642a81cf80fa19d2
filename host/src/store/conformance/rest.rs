use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::backend::{Backend, Batch, MemoryBackend, Start};
use super::super::start;
use super::super::{
    AuditHead, FaultRecord, MEMORY_KEYS_MAX, MEMORY_VALUE_BYTES_MAX, Store, StoreError,
};
use super::{check, config, key, summary};
use crate::device::Summary;
use crate::work::task::TaskState;

pub(super) fn fault(at: i64) -> FaultRecord {
    FaultRecord {
        at,
        rpc: "GetParameterValues".to_owned(),
        code: Some(9005),
        ..FaultRecord::default()
    }
}

#[test]
fn the_last_faults_are_kept() {
    check(async |records| {
        let store = records.open_with(|config| config.faults_per_device_max = 5);
        let device = key("a", "1");
        store.register(&device, summary("1")).unwrap();
        let times = |store: &Store| -> Vec<i64> {
            store
                .faults(&device)
                .unwrap()
                .iter()
                .map(|fault| fault.at)
                .collect()
        };
        for at in 0..4 {
            store.record_fault(&device, fault(at)).unwrap();
        }
        assert_eq!(times(&store), [3, 2, 1, 0]);
        store.flush().await.unwrap();
        for at in 4..8 {
            store.record_fault(&device, fault(at)).unwrap();
        }
        let long = FaultRecord {
            text: "é".repeat(5000),
            ..fault(8)
        };
        store.record_fault(&device, long).unwrap();
        store.close().await.unwrap();
        drop(store);
        let store = records.open();
        assert_eq!(times(&store), [8, 7, 6, 5, 4]);
        assert_eq!(store.faults(&device).unwrap()[0].text.len(), 1000);
        assert_eq!(store.faults(&key("b", "1")).unwrap(), []);
        store.clear_faults(&device);
        assert!(times(&store).is_empty());
        store.close().await.unwrap();
        drop(store);
        assert!(times(&records.open()).is_empty());
    });
}

#[test]
fn plugins_remember() {
    check(async |records| {
        let store = records.open();
        let device = key("a", "1");
        store.register(&device, summary("1")).unwrap();
        let get = |store: &Store, plugin, k| store.memory_get(plugin, &device, k).unwrap();
        store.memory_set("p", &device, "k", vec![1]).unwrap();
        assert_eq!(get(&store, "p", "k"), Some(vec![1]), "reads see own writes");
        assert_eq!(get(&store, "q", "k"), None);
        assert_eq!(get(&store, "p", "kk"), None);
        store.flush().await.unwrap();
        store.memory_set("p", &device, "k", vec![2]).unwrap();
        store.memory_set("p", &device, "gone", vec![3]).unwrap();
        store.flush().await.unwrap();
        store.memory_remove("p", &device, "gone").unwrap();
        assert_eq!(get(&store, "p", "gone"), None);
        store.flush().await.unwrap();
        let batches = store.stats().batches;
        store.memory_set("p", &device, "k", vec![2]).unwrap();
        store.memory_remove("p", &device, "never").unwrap();
        store.close().await.unwrap();
        assert_eq!(
            store.stats().batches,
            batches,
            "what is the same is not written"
        );
        drop(store);
        let store = records.open();
        assert_eq!(get(&store, "p", "k"), Some(vec![2]));
        assert_eq!(get(&store, "p", "gone"), None);
        assert_eq!(store.memory_get("p", &key("b", "1"), "k").unwrap(), None);
        // Limits.
        let large = vec![0; MEMORY_VALUE_BYTES_MAX + 1];
        assert!(matches!(
            store.memory_set("p", &device, "l", large),
            Err(StoreError::TooMuch { .. })
        ));
        assert!(matches!(
            store.memory_set("p", &device, "", vec![]),
            Err(StoreError::Name { .. })
        ));
        for n in 1..MEMORY_KEYS_MAX {
            store
                .memory_set("p", &device, &n.to_string(), vec![])
                .unwrap();
            if n == 30 {
                store.flush().await.unwrap();
            }
        }
        let over = store.memory_set("p", &device, "over", vec![]);
        assert!(matches!(over, Err(StoreError::TooMuch { .. })), "{over:?}");
        store.memory_remove("p", &device, "7").unwrap();
        store.memory_set("p", &device, "over", vec![]).unwrap();
        store.memory_set("q", &device, "other", vec![]).unwrap();
    });
}

#[test]
fn settings_are_promises() {
    check(async |records| {
        let store = records.open();
        assert_eq!(store.setting("a").unwrap(), None);
        let large = serde_json::json!((0..100_000).map(|n| n * 7919 % 65_537).collect::<Vec<_>>());
        store
            .put_setting("users/bob", &serde_json::json!({"n": 1}))
            .await
            .unwrap();
        store.put_setting("users/alice", &large).await.unwrap();
        store
            .put_setting("other", &serde_json::json!(null))
            .await
            .unwrap();
        drop(store); // without close
        let store = records.open();
        assert_eq!(
            store.setting_names("users/").unwrap(),
            ["users/alice", "users/bob"]
        );
        assert_eq!(store.setting_names("").unwrap().len(), 3);
        assert_eq!(store.setting("users/alice").unwrap(), Some(large));
        store
            .put_setting("users/alice", &serde_json::json!("short"))
            .await
            .unwrap();
        assert_eq!(
            store.setting("users/alice").unwrap(),
            Some(serde_json::json!("short"))
        );
        store.remove_setting("users/bob").await.unwrap();
        assert_eq!(store.setting("users/bob").unwrap(), None);
        assert_eq!(
            store.setting("other").unwrap(),
            Some(serde_json::Value::Null)
        );
        let huge = serde_json::json!("x".repeat(1 << 20));
        assert!(matches!(
            store.put_setting("x", &huge).await,
            Err(StoreError::TooMuch { .. })
        ));
        assert_eq!(store.stats().failed, None);
    });
}

#[test]
fn the_audit_log_is_durable_and_the_closed_store_says_so() {
    check(async |records| {
        let store = records.open();
        assert_eq!(store.audit(5, b"first", b"body").await.unwrap(), 1);
        assert_eq!(store.audit(6, b"second", b"").await.unwrap(), 2);
        let mut found = Vec::new();
        let visit = |head: AuditHead<'_>| {
            let (text, body) = (head.head.to_vec(), head.body().unwrap());
            found.push((head.number, head.at, text, body));
            ControlFlow::Continue(())
        };
        store.audit_backwards(None, visit).unwrap();
        let first = (1, 5, b"first".to_vec(), b"body".to_vec());
        assert_eq!(found, [(2, 6, b"second".to_vec(), vec![]), first]);
        store.close().await.unwrap();
        assert_eq!(store.audit(7, b"third", b"").await, Err(StoreError::Closed));
        assert_eq!(
            store.put_setting("x", &1.into()).await,
            Err(StoreError::Closed)
        );
        assert_eq!(store.flush().await, Err(StoreError::Closed));
    });
}

#[test]
fn a_directory_has_one_user() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(config(directory.path())).unwrap();
    let second = Store::open(config(directory.path())).unwrap_err();
    assert_eq!(
        second,
        StoreError::InUse {
            directory: directory.path().to_owned()
        }
    );
    assert!(second.to_string().contains("another patchbay"), "{second}");
    drop(store);
    // The engine's threads may hold its lock for a while, although nobody has the store.
    let held = std::fs::File::open(directory.path().join("records/db")).unwrap();
    held.lock().unwrap();
    let opening = std::thread::spawn({
        let config = config(directory.path());
        move || Store::open(config)
    });
    std::thread::sleep(Duration::from_millis(50));
    assert!(!opening.is_finished());
    drop(held);
    opening.join().unwrap().unwrap();
}

#[test]
fn another_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let backend = Backend::open(directory.path(), 1 << 20).unwrap();
    let mut batch = Batch::default();
    batch.put(b"v".to_vec(), b"2".to_vec());
    backend.apply(batch).unwrap();
    backend.sync().unwrap();
    drop(backend);
    let error = Store::open(config(directory.path())).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("has format 2, this patchbay reads 1"),
        "{error}"
    );
}

#[test]
fn a_store_with_blobs_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(Store::open(config(directory.path())).unwrap());
    std::fs::write(directory.path().join("records/blobs/7"), "x").unwrap();
    let error = Store::open(config(directory.path())).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("patchbay restore"), "{error}");
}

#[test]
fn a_value_that_the_engine_must_not_have_is_an_error() {
    for backend in [
        Backend::Memory(MemoryBackend::default()),
        Backend::open(tempfile::tempdir().unwrap().path(), 1 << 20).unwrap(),
    ] {
        let mut batch = Batch::default();
        batch.put(b"k".to_vec(), vec![0; 32 * 1024]);
        batch.put(b"l".to_vec(), vec![0]);
        assert!(matches!(
            backend.apply(batch),
            Err(StoreError::TooMuch { .. })
        ));
        assert_eq!(backend.get(b"l").unwrap(), None);
    }
}

#[test]
fn scans_of_both_backends_are_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let sled = Backend::open(directory.path(), 1 << 20).unwrap();
    let memory = Backend::Memory(MemoryBackend::default());
    let keys: [&[u8]; 8] = [
        b"",
        b"a",
        b"a\0",
        b"a\xff",
        b"a\xff\xff",
        b"b",
        b"\xff",
        b"\xff\xff",
    ];
    for backend in [&sled, &memory] {
        let mut batch = Batch::default();
        for key in keys {
            batch.put(key.to_vec(), key.to_vec());
        }
        backend.apply(batch).unwrap();
    }
    for prefix in keys {
        for from in keys {
            for start in [
                Start::First,
                Start::Last,
                Start::After(from),
                Start::Before(from),
            ] {
                for limit in [1, 2, 100] {
                    let one = sled.scan(prefix, start, limit).unwrap();
                    let other = memory.scan(prefix, start, limit).unwrap();
                    assert_eq!(one, other, "{prefix:?} {start:?} {limit}");
                    assert!(one.iter().all(|(key, _)| key.starts_with(prefix)));
                    match start {
                        Start::After(from) => assert!(one.iter().all(|(key, _)| &**key > from)),
                        Start::Before(from) => assert!(one.iter().all(|(key, _)| &**key < from)),
                        _ => {}
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged() {
    let records = MemoryBackend::default();
    let store = start::memory(records.clone(), config(Path::new(""))).unwrap();
    let device = key("a", "1");
    let (cell, _) = store.register(&device, Summary::default()).unwrap();
    let before = store
        .enqueue(super::tasks::get(&device), 1)
        .await
        .unwrap()
        .id;
    let sent = store.enqueue(super::tasks::get(&device), 1).await.unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.wait("a", before).await }
    });
    records.broken.store(true, Ordering::Relaxed);
    let failed = store
        .finish(before, TaskState::Done, None, None, 2)
        .await
        .unwrap_err();
    assert!(matches!(failed, StoreError::Failed { .. }), "{failed}");
    assert!(failed.to_string().contains("the disk is full"), "{failed}");
    // It stays so, even if the disk would do again: what it has is not known.
    records.broken.store(false, Ordering::Relaxed);
    let refused = [
        store.enqueue(super::tasks::get(&device), 1).await.map(drop),
        store.mark_sent(sent.id, 2).await.map(drop),
        store.persist(&cell).await,
        store.put_setting("x", &1.into()).await,
        store.delete(&device).await.map(drop),
        store.audit(1, b"x", b"").await.map(drop),
        store.flush().await,
    ];
    assert!(
        refused
            .iter()
            .all(|refused| refused.as_ref() == Err(&failed)),
        "{refused:?}"
    );
    assert_eq!(store.stats().failed, Some(failed));
    // What is shown is what was durable, and reading goes on.
    assert_eq!(
        store.task("a", before).unwrap().unwrap().state,
        TaskState::Queued
    );
    assert_eq!(store.pending(&device).len(), 2);
    assert!(!waiting.is_finished());
    assert!(store.device(&device).unwrap().is_some());
    waiting.abort();
}

#[test]
fn an_export_becomes_the_same_store() {
    check(async |records| {
        let store = records.open();
        let device = key("a", "1");
        let (cell, _) = store.register(&device, Summary::default()).unwrap();
        for n in 0..1000 {
            let path = format!("Device.P{n}");
            let mut locked = cell.lock();
            locked
                .tree_mut()
                .set(&path, "x", &cwmp::XsdType::STRING, 1)
                .unwrap();
        }
        let task = store.enqueue(super::tasks::get(&device), 1).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("export");
        let written = store
            .export(std::fs::File::create(&path).unwrap())
            .await
            .unwrap();
        let bytes = std::fs::read(&path).unwrap();
        // Whatever happens to an export: it is never taken for a whole one.
        let mut damaged = bytes.clone();
        damaged[bytes.len() / 2] ^= 1;
        let cut = &bytes[..bytes.len() - 1];
        for (n, bad) in [&[][..], b"something else entirely", &damaged, cut]
            .into_iter()
            .enumerate()
        {
            let config = config(&directory.path().join(format!("bad-{n}")));
            Store::import(&config, bad).unwrap_err();
            let opened = Store::open(config).unwrap_err();
            assert!(opened.to_string().contains("unfinished import"), "{opened}");
        }
        let config = config(&directory.path().join("new"));
        assert_eq!(Store::import(&config, &*bytes).unwrap(), written);
        assert!(
            Store::import(&config, &*bytes).is_err(),
            "only into an empty one"
        );
        let imported = Store::open(config).unwrap();
        assert_eq!(imported.task("a", task.id).unwrap(), Some(task));
        let cell = imported.device(&device).unwrap().unwrap();
        assert_eq!(cell.lock().tree().len(), 1000);
    });
}
