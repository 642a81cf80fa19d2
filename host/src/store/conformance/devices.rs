use std::sync::Arc;

use super::super::backend::Start;
use super::super::keys::{Key, Kind};
use super::super::{Changed, Store, StoreError, VALUE_BYTES_MAX};
use super::{check, key, summary};
use crate::device::Contacts;

fn set(store: &Store, id: &str, path: &str, value: &str, now: i64) -> Changed {
    let cell = store.device(&key("a", id)).unwrap().unwrap();
    let changed = cell
        .lock()
        .tree_mut()
        .set(path, value, &cwmp::XsdType::STRING, now)
        .unwrap();
    store.touched(&cell);
    changed
}

fn value(store: &Store, id: &str, path: &str) -> Option<String> {
    let cell = store.device(&key("a", id)).unwrap()?;
    let locked = cell.lock();
    locked
        .tree()
        .get(path)
        .map(|reading| reading.value.to_string())
}

#[test]
fn what_was_read_is_there_after_a_restart() {
    check(async |records| {
        let store = records.open();
        let (cell, is_new) = store.register(&key("a", "1"), summary("one")).unwrap();
        assert!(is_new);
        cell.contacted(1_700_000_000);
        cell.contacted_fully(1_700_000_001);
        assert!(
            cell.lock()
                .set(|summary| &mut summary.peer_address, "192.0.2.1".into())
        );
        set(&store, "1", "Device.A", "x", 5);
        let int = cwmp::XsdType::new("vendorType");
        cell.lock()
            .tree_mut()
            .set("Device.B", "é", &int, -7)
            .unwrap();
        cell.lock()
            .tree_mut()
            .set_writable("Device.B", true)
            .unwrap();
        drop(cell);
        store.close().await.unwrap();
        drop(store);

        let store = records.open();
        let cell = store.device(&key("a", "1")).unwrap().unwrap();
        let expected = Contacts {
            last_contact: 1_700_000_000,
            last_full: 1_700_000_001,
        };
        assert_eq!(cell.contacts(), expected);
        let locked = cell.lock();
        assert_eq!(locked.summary().serial_number, "one");
        assert_eq!(locked.summary().peer_address, "192.0.2.1");
        let all: Vec<_> = locked
            .tree()
            .prefix("")
            .map(|(path, r)| (path, r.clone()))
            .collect();
        assert_eq!(all.len(), 2);
        assert_eq!(
            (all[0].0, &*all[0].1.value, all[0].1.read_at),
            ("Device.A", "x", 5)
        );
        assert_eq!(
            (all[1].0, &*all[1].1.value, all[1].1.read_at),
            ("Device.B", "é", -7)
        );
        assert_eq!(all[1].1.xsd_type, int);
        assert_eq!(all[1].1.writable, Some(true));
        drop(locked);
        assert!(!store.register(&key("a", "1"), summary("two")).unwrap().1);
    });
}

#[test]
fn instances_do_not_see_each_other() {
    check(async |records| {
        let store = records.open();
        store.register(&key("a", "1"), summary("of a")).unwrap();
        store.register(&key("ab", "1"), summary("of ab")).unwrap();
        store.register(&key("ab", "2"), summary("of ab")).unwrap();
        store.close().await.unwrap();
        drop(store);
        let store = records.open();
        assert_eq!(
            (store.count("a"), store.count("ab"), store.count("b")),
            (1, 2, 0)
        );
        assert!(store.device(&key("a", "2")).unwrap().is_none());
        let listed = store.devices("a", None, 10).unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].summary.serial_number, "of a");
        assert!(store.delete(&key("a", "1")).await.unwrap());
        assert_eq!((store.count("a"), store.count("ab")), (0, 2));
    });
}

#[test]
fn devices_are_listed_in_order_and_in_pages() {
    check(async |records| {
        let store = records.open();
        for id in ["c", "a", "d", "b"] {
            store.register(&key("a", id), summary(id)).unwrap();
        }
        let ids = |store: &Store, after, limit| {
            let listed = store.devices("a", after, limit).unwrap();
            let ids: Vec<String> = listed
                .iter()
                .map(|l| l.summary.serial_number.clone())
                .collect();
            assert_eq!(
                ids,
                store
                    .device_ids("a", after, limit)
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
            );
            ids
        };
        assert_eq!(ids(&store, None, 3), ["a", "b", "c"]);
        assert_eq!(ids(&store, Some("c"), 3), ["d"]);
        assert_eq!(ids(&store, Some("bb"), 1), ["c"]);
        store.close().await.unwrap();
        drop(store);
        let store = records.open();
        assert_eq!(ids(&store, None, 9), ["a", "b", "c", "d"]);
        assert_eq!(
            store.stats().devices_cached,
            0,
            "a list does not fill the cache"
        );
    });
}

#[test]
fn an_unchanged_session_writes_nothing() {
    check(async |records| {
        let store = records.open();
        store.register(&key("a", "1"), summary("1")).unwrap();
        for n in 0..50 {
            set(&store, "1", &format!("Device.P{n}"), "v", 1);
        }
        store.flush().await.unwrap();
        let before = store.stats();
        for n in 0..50 {
            assert_eq!(
                set(&store, "1", &format!("Device.P{n}"), "v", 2),
                Changed::No
            );
        }
        let cell = store.device(&key("a", "1")).unwrap().unwrap();
        assert!(
            !cell
                .lock()
                .summary_mut(|summary| summary.serial_number = "1".to_owned())
        );
        assert!(!cell.lock().set(|summary| &mut summary.first_contact, 0));
        store.touched(&cell);
        assert_eq!(store.stats().devices_dirty, 0);
        store.flush().await.unwrap();
        assert_eq!(store.stats().batches, before.batches);
        // A contact is one small record for 256 devices.
        cell.contacted(1_700_000_000);
        store.flush().await.unwrap();
        assert_eq!(store.stats().batches, before.batches + 1);
    });
}

#[test]
fn one_changed_value_rewrites_one_part() {
    check(async |records| {
        let store = records.open();
        store.register(&key("a", "1"), summary("1")).unwrap();
        for n in 0..2000 {
            set(
                &store,
                "1",
                &format!("Device.Some.Object.{n}.Parameter"),
                &format!("value {n}"),
                1,
            );
        }
        store.flush().await.unwrap();
        let parts = |store: &Store| {
            let prefix = Key::new(Kind::Tree).bytes();
            store
                .core()
                .backend
                .scan(&prefix, Start::First, 1000)
                .unwrap()
        };
        let before = parts(&store);
        assert!(before.len() > 5, "{}", before.len());
        set(
            &store,
            "1",
            "Device.Some.Object.777.Parameter",
            "another",
            2,
        );
        set(&store, "1", "Device.Some.Object.777.Added", "new", 2);
        store.flush().await.unwrap();
        let after = parts(&store);
        assert_eq!(before.len(), after.len());
        let changed = before
            .iter()
            .zip(&after)
            .filter(|(one, other)| one != other)
            .count();
        assert_eq!(changed, 1);
        // All gone but one.
        let cell = store.device(&key("a", "1")).unwrap().unwrap();
        assert_eq!(
            cell.lock()
                .tree_mut()
                .remove_prefix("Device.Some.Object.*.Parameter"),
            2000
        );
        store.touched(&cell);
        store.flush().await.unwrap();
        assert!(parts(&store).len() <= 2);
        drop((cell, store));
        let store = records.open();
        assert_eq!(
            value(&store, "1", "Device.Some.Object.777.Added").as_deref(),
            Some("new")
        );
        assert_eq!(
            store
                .device(&key("a", "1"))
                .unwrap()
                .unwrap()
                .lock()
                .tree()
                .len(),
            1
        );
    });
}

#[test]
fn large_values_are_kept_and_no_stored_value_is_too_large() {
    check(async |records| {
        let store = records.open();
        store.register(&key("a", "1"), summary("1")).unwrap();
        // Incompressible, in effect.
        let mut seed = 1_u64;
        let mut noise = |bytes: usize| -> String {
            std::iter::repeat_with(|| {
                seed = seed
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                char::from(b' ' + u8::try_from(seed >> 58).unwrap())
            })
            .take(bytes)
            .collect()
        };
        let values: Vec<String> = [
            VALUE_BYTES_MAX,
            10,
            40_000,
            8_000,
            3,
            9_000,
            VALUE_BYTES_MAX,
        ]
        .map(&mut noise)
        .into();
        for round in 0..2 {
            for (n, value) in values.iter().enumerate() {
                set(&store, "1", &format!("Device.P{n}"), value, round);
            }
            store.flush().await.unwrap();
        }
        drop(store);
        let store = records.open();
        for (n, expected) in values.iter().enumerate() {
            assert_eq!(
                value(&store, "1", &format!("Device.P{n}")).as_ref(),
                Some(expected)
            );
        }
        // Shorter again: the chunks that are not needed any more go.
        for n in 0..values.len() {
            set(&store, "1", &format!("Device.P{n}"), "short", 9);
        }
        store.flush().await.unwrap();
        drop(store);
        let store = records.open();
        assert_eq!(value(&store, "1", "Device.P0").as_deref(), Some("short"));
        assert_eq!(value(&store, "1", "Device.P6").as_deref(), Some("short"));
        assert_eq!(store.stats().blob_files, 0);
    });
}

#[test]
fn the_cache_lets_go_of_what_nobody_needs_and_of_nothing_else() {
    check(async |records| {
        let store = records.open_with(|config| config.devices_cached_max = 4);
        let (held, _) = store.register(&key("a", "held"), summary("held")).unwrap();
        for n in 0..50 {
            let id = format!("{n:02}");
            store.register(&key("a", &id), summary(&id)).unwrap();
            set(&store, &id, "Device.A", &id, 1);
        }
        assert_eq!(store.stats().devices_cached, 51, "all are dirty");
        store.flush().await.unwrap();
        for n in 0..50 {
            let id = format!("{n:02}");
            assert_eq!(value(&store, &id, "Device.A"), Some(id));
        }
        assert!(
            store.stats().devices_cached <= 5,
            "{}",
            store.stats().devices_cached
        );
        let again = store.device(&key("a", "held")).unwrap().unwrap();
        assert!(
            Arc::ptr_eq(&held, &again),
            "there are never two cells of a device"
        );
    });
}

#[test]
fn a_device_changed_without_touched_is_written_at_the_next_flush() {
    check(async |records| {
        let store = records.open();
        let (cell, _) = store.register(&key("a", "1"), summary("1")).unwrap();
        store.flush().await.unwrap();
        cell.lock()
            .tree_mut()
            .set("Device.A", "x", &cwmp::XsdType::STRING, 1)
            .unwrap();
        store.close().await.unwrap();
        drop((cell, store));
        assert_eq!(
            value(&records.open(), "1", "Device.A").as_deref(),
            Some("x")
        );
    });
}

#[test]
fn persist_is_durable_without_a_round() {
    check(async |records| {
        let store = records.open();
        let (cell, _) = store.register(&key("a", "1"), summary("1")).unwrap();
        cell.lock()
            .summary_mut(|summary| summary.provisioning_code = "code".to_owned());
        store.persist(&cell).await.unwrap();
        drop((cell, store)); // without close
        let cell = records.open().device(&key("a", "1")).unwrap().unwrap();
        assert_eq!(cell.lock().summary().provisioning_code, "code");
    });
}

#[test]
fn a_deleted_device_leaves_nothing() {
    check(async |records| {
        let store = records.open();
        let (cell, _) = store.register(&key("a", "1"), summary("1")).unwrap();
        cell.contacted(7);
        set(&store, "1", "Device.A", "x", 1);
        store.memory_set("p", cell.key(), "k", vec![1]).unwrap();
        store
            .record_fault(cell.key(), super::rest::fault(1))
            .unwrap();
        store.flush().await.unwrap();
        store.memory_set("p", cell.key(), "k2", vec![1]).unwrap();
        let task = store
            .enqueue(super::tasks::get(cell.key()), 1)
            .await
            .unwrap();
        store
            .enqueue(super::tasks::get(cell.key()), 1)
            .await
            .unwrap();
        store
            .finish(task.id, crate::work::task::TaskState::Done, None, None, 2)
            .await
            .unwrap();
        assert!(store.delete(cell.key()).await.unwrap());
        assert!(!store.delete(cell.key()).await.unwrap());

        // Who still holds it changes nothing any more.
        assert!(cell.is_deleted());
        set_on(&store, &cell);
        store.persist(&cell).await.unwrap();
        cell.contacted(9);
        store.memory_set("p", cell.key(), "late", vec![1]).unwrap();
        store
            .record_fault(cell.key(), super::rest::fault(2))
            .unwrap();
        store.clear_faults(cell.key());
        assert!(store.device(cell.key()).unwrap().is_none());
        assert!(!store.has_pending(cell.key()));
        let refused = store.enqueue(super::tasks::get(cell.key()), 1).await;
        assert_eq!(refused, Err(StoreError::NoSuchDevice(cell.key().clone())));
        store.flush().await.unwrap();
        let left = store.core().backend.scan(&[], Start::First, 100).unwrap();
        let kinds: Vec<char> = left.iter().map(|(key, _)| char::from(key[0])).collect();
        assert_eq!(
            kinds,
            ['c', 'n', 'v'],
            "only the contacts of all, the counter, the format"
        );

        let (again, is_new) = store.register(cell.key(), summary("again")).unwrap();
        assert!(is_new);
        assert_ne!(again.number(), cell.number());
        assert_eq!(again.contacts(), Contacts::default());
        store.close().await.unwrap();
        drop((cell, again, store));
        let store = records.open();
        assert_eq!(value(&store, "1", "Device.A"), None);
        assert_eq!(store.count("a"), 1);
        assert!(store.faults(&key("a", "1")).unwrap().is_empty());
        assert_eq!(store.memory_get("p", &key("a", "1"), "k").unwrap(), None);
    });
}

/// Tasks that are made while their device is deleted are either gone with it, or were refused.
#[test]
fn nothing_comes_in_beside_a_deletion() {
    check(async |records| {
        let store = records.open();
        for round in 0..40 {
            let device = key("a", &round.to_string());
            let (cell, _) = store.register(&device, summary("1")).unwrap();
            store.persist(&cell).await.unwrap();
            let making: Vec<_> = (0..4)
                .map(|_| {
                    let (store, device) = (store.clone(), device.clone());
                    tokio::spawn(async move {
                        let made = store.enqueue(super::tasks::get(&device), 1).await;
                        store.memory_set("p", &device, "k", vec![1]).unwrap();
                        store.record_fault(&device, super::rest::fault(1)).unwrap();
                        made
                    })
                })
                .collect();
            assert!(store.delete(&device).await.unwrap());
            for making in making {
                let made = making.await.unwrap();
                let refused = Err(StoreError::NoSuchDevice(device.clone()));
                assert!(made.is_ok() || made == refused, "{made:?}");
            }
            store.flush().await.unwrap();
            let left = store.core().backend.scan(&[], Start::First, 100).unwrap();
            let kinds: Vec<char> = left.iter().map(|(key, _)| char::from(key[0])).collect();
            let others = kinds.iter().filter(|kind| !"cnv".contains(**kind));
            assert_eq!(others.count(), 0, "{kinds:?}");
            assert!(!store.has_pending(&device));
        }
    });
}

fn set_on(store: &Store, cell: &Arc<super::super::DeviceCell>) {
    cell.lock()
        .tree_mut()
        .set("Device.A", "y", &cwmp::XsdType::STRING, 1)
        .unwrap();
    store.touched(cell);
}

#[test]
fn names_that_no_key_can_hold_are_refused() {
    check(async |records| {
        let store = records.open();
        let long = "x".repeat(256);
        for bad in [key("", "1"), key("a", ""), key("a", &long), key(&long, "1")] {
            assert!(matches!(
                store.register(&bad, summary("")),
                Err(StoreError::Name { .. })
            ));
        }
        assert!(
            store
                .register(&key("a", &long[1..]), summary(""))
                .unwrap()
                .1
        );
    });
}

#[test]
fn a_summary_over_its_limit_is_refused_and_costs_nobody_else() {
    check(async |records| {
        let store = records.open();
        let (cell, _) = store.register(&key("a", "1"), summary("1")).unwrap();
        store.register(&key("a", "2"), summary("2")).unwrap();
        cell.lock()
            .summary_mut(|summary| summary.tags = (0..100_000).map(|n| n.to_string()).collect());
        assert!(matches!(
            store.persist(&cell).await,
            Err(StoreError::TooMuch { .. })
        ));
        store.flush().await.unwrap();
        assert_eq!(store.stats().failed, None);
        drop((cell, store));
        assert_eq!(records.open().count("a"), 2);
    });
}
