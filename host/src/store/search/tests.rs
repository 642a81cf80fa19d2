//! Searches find what looking at every device finds, from memory and from disk, while devices come,
//! change and go.

use std::collections::BTreeSet;

use super::*;
use crate::device::{Mode, NatDecision, NatFacts, Summary};
use crate::store::StoreConfig;

const NOW: UnixTime = 1_700_000_000;
const DEVICES: usize = 240;

fn key(id: &str) -> DeviceKey {
    DeviceKey {
        instance: "default".into(),
        id: id.into(),
    }
}

fn id(number: usize) -> String {
    // Not in the order of the numbers.
    format!("02A1B2-Box-S{:05}", number * 7_919 % 100_000)
}

fn summary(number: usize) -> Summary {
    let nat = (!number.is_multiple_of(4)).then(|| NatDecision {
        behind_nat: number.is_multiple_of(2),
        mode: Mode::ALL[number % 5],
        fallbacks: Vec::new(),
        reason: String::new(),
        decided_by: String::new(),
        decided_at: 0,
        facts: 0,
        decided_from: NatFacts::default(),
    });
    let vip = number.is_multiple_of(5).then(|| "vip".to_owned());
    Summary {
        manufacturer: ["Acme", "Example"][number % 2].into(),
        product_class: format!("Box{}", number % 7),
        serial_number: id(number).rsplit('-').next().unwrap().to_owned(),
        software_version: format!("1.{}", number % 12),
        tags: vip
            .into_iter()
            .chain([format!("ring{}", number % 3)])
            .collect(),
        label: if number == 17 {
            "The gate house".into()
        } else {
            String::new()
        },
        peer_address: format!("192.0.2.{}", number % 250),
        first_contact: NOW - 1_000_000,
        nat,
        ..Summary::default()
    }
}

fn fill_tree(device: &mut Device, number: usize) {
    let tree = device.tree_mut();
    let mut set = |path: &str, value: &str| {
        let string = cwmp::XsdType::STRING;
        tree.set(path, value, &string, NOW - 60).unwrap();
    };
    set("Device.DeviceInfo.UpTime", &(number * 100).to_string());
    set("Device.Zigbee.Name", &format!("z{number}"));
    set("Device.Users.User.1.Password", "secret");
    for row in 1..=3 {
        let name = format!("net-{}", (number + row) % 50);
        set(&format!("Device.WiFi.SSID.{row}.SSID"), &name);
    }
    for other in 0..200 {
        // Several parts of a tree.
        set(
            &format!("Device.Ethernet.Interface.{other}.Alias"),
            &format!("an alias that takes some room, {}", other * number),
        );
    }
    tree.set_writable("Device.Named.Only", true).unwrap();
}

fn config(directory: &std::path::Path) -> StoreConfig {
    StoreConfig {
        cache_bytes: 16 << 20,
        // Most are on disk.
        devices_cached_max: 20,
        readings_flush_interval: std::time::Duration::from_secs(3_600),
        ..StoreConfig::new(directory)
    }
}

async fn fleet(store: &Store) {
    for number in 0..DEVICES {
        let (cell, _) = store.register(&key(&id(number)), summary(number)).unwrap();
        fill_tree(&mut cell.lock(), number);
        cell.contacted(NOW - i64::try_from(number).unwrap() * 60);
        store.touched(&cell);
    }
    store.flush().await.unwrap();
}

fn parse(text: &str) -> Query {
    Query::parse(text).unwrap()
}

fn found(store: &Store, query: &str) -> Vec<String> {
    let found = store.matching("default", &parse(query), NOW, &Cancel::default());
    let found: Vec<String> = found
        .unwrap()
        .iter()
        .map(|key| key.id.to_string())
        .collect();
    let counted = store.count_matching("default", &parse(query), NOW, &Cancel::default());
    assert_eq!(counted.unwrap(), found.len(), "{query}");
    found
}

/// One device after the other.
fn looked_at(store: &Store, query: &str) -> Vec<String> {
    let query = parse(query);
    let ids = store.device_ids("default", None, usize::MAX);
    let matching = ids.iter().filter(|id| {
        let cell = store.device(&key(id)).unwrap().unwrap();
        store.matches(&cell, &query, NOW)
    });
    matching.map(|id| id.to_string()).collect()
}

fn pages(store: &Store, query: &str, sort: &str, limit: usize) -> Vec<String> {
    let (query, sort) = (parse(query), Sort::parse(sort).unwrap());
    let mut ids = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let search = Search {
            instance: "default",
            query: &query,
            sort: &sort,
            after: after.as_deref(),
            limit,
            now: NOW,
            cancel: &Cancel::default(),
        };
        let page = store.search(&search).unwrap();
        assert!(page.items.len() == limit || page.next.is_none());
        ids.extend(page.items.iter().map(|listed| listed.key.id.to_string()));
        match page.next {
            Some(next) => after = Some(next),
            None => return ids,
        }
    }
}

const QUERIES: [(&str, usize); 27] = [
    ("", 240),
    ("tag = vip", 48),
    ("not tag = vip", 192),
    ("tag = vip or product_class = Box3", 75),
    ("manufacturer = Acme and software_version < 1.3", 40),
    ("software_version >= 1.10", 40),
    ("serial_number = S07919", 1),
    ("serial_number = S07*", 3),
    ("serial_number in (S07919, S15838, none)", 2),
    ("id = 02A1B2-Box-S07919 or serial_number = S15838", 2),
    ("id = 02A1B2-Box-S07919 and manufacturer = Acme", 0),
    ("peer_address = 192.0.2.7", 1),
    ("192.0.2.7 acme", 5),
    ("gate", 1),
    ("has(label)", 1),
    ("mode = short-inform", 36),
    ("behind_nat = true", 60),
    ("quarantined = true", 0),
    ("age(last_contact) > 1h", 179),
    ("Device.DeviceInfo.UpTime > 20000", 39),
    ("Device.DeviceInfo.UpTime = 500", 1),
    ("tag = vip and Device.DeviceInfo.UpTime > 20000", 7),
    ("tag = vip or Device.DeviceInfo.UpTime > 20000", 80),
    ("Device.WiFi.SSID.*.SSID = net-7", 15),
    ("Device.Zigbee.Name = z1*", 111),
    (
        "has(Device.WiFi.) and not Device.WiFi.SSID.1.SSID = net-1",
        235,
    ),
    ("has(Device.Named.Only) and Device.Named.Only != x", 240),
];

#[tokio::test]
async fn searches_find_what_looking_finds() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(config(directory.path())).unwrap();
    fleet(&store).await;
    let check = |store: &Store| {
        for (query, count) in QUERIES {
            let found = found(store, query);
            assert_eq!(found.len(), count, "{query}");
            for sort in [
                "",
                "-id",
                "-last_contact",
                "software_version,-serial_number",
            ] {
                let sorted = pages(store, query, sort, 7);
                let of_sorted: BTreeSet<&String> = sorted.iter().collect();
                assert_eq!(sorted.len(), found.len(), "{query} by {sort}");
                assert_eq!(of_sorted, found.iter().collect(), "{query} by {sort}");
            }
        }
        assert_eq!(pages(store, "tag = vip", "", 7), found(store, "tag = vip"));
    };
    check(&store);
    store.close().await.unwrap();
    drop(store);
    let store = Store::open(config(directory.path())).unwrap();
    check(&store);
    for (query, _) in QUERIES {
        assert_eq!(found(&store, query), looked_at(&store, query), "{query}");
    }
}

#[tokio::test]
async fn the_order_is_what_was_asked_for() {
    let store = Store::memory().unwrap();
    fleet(&store).await;
    let by_contact = pages(&store, "manufacturer = Acme", "-last_contact", 11);
    let expected: Vec<String> = (0..DEVICES).step_by(2).map(id).collect();
    assert_eq!(by_contact, expected);
    let by_version = pages(&store, "product_class = Box0", "software_version", 5);
    let versions: Vec<usize> = by_version
        .iter()
        .map(|found| (0..DEVICES).find(|number| id(*number) == *found).unwrap() % 12)
        .collect();
    assert!(versions.is_sorted(), "{versions:?}");
}

#[tokio::test]
async fn rows_follow_their_devices() {
    let store = Store::memory().unwrap();
    fleet(&store).await;
    let cell = store.device(&key(&id(3))).unwrap().unwrap();
    assert!(found(&store, "tag = fresh").is_empty());
    cell.lock().summary_mut(|summary| {
        summary.tags.insert("fresh".into());
        summary.serial_number = "other".into();
    });
    store.touched(&cell);
    assert_eq!(found(&store, "tag = fresh"), [id(3)]);
    assert_eq!(found(&store, "serial_number = other"), [id(3)]);
    cell.lock().summary_mut(|summary| summary.tags.clear());
    store.persist(&cell).await.unwrap();
    assert!(found(&store, "tag = fresh").is_empty());
    cell.lock().set(|summary| &mut summary.quarantined, true);
    // Nobody has told: the next round sees it.
    store.flush().await.unwrap();
    assert_eq!(found(&store, "quarantined = true"), [id(3)]);
    let label = |label: &str| Summary {
        label: label.into(),
        ..Summary::default()
    };
    store.register(&key("new"), label("just come")).unwrap();
    assert_eq!(found(&store, "'just come'"), ["new"]);
    assert!(store.delete(&key("new")).await.unwrap());
    assert!(found(&store, "'just come'").is_empty());
    // What somebody still holds changes nothing.
    assert!(store.delete(&key(&id(3))).await.unwrap());
    cell.lock()
        .set(|summary| &mut summary.label, "ghost".into());
    store.touched(&cell);
    assert!(found(&store, "ghost").is_empty());
    store.register(&key(&id(3)), label("again")).unwrap();
    assert_eq!(found(&store, "again"), [id(3)]);
    assert_eq!(found(&store, "").len(), DEVICES);
}

#[tokio::test]
async fn pages_by_id_hold_while_devices_come_change_and_go() {
    let store = Store::memory().unwrap();
    fleet(&store).await;
    let query = parse("tag = vip");
    let sort = Sort::default();
    let before = found(&store, "tag = vip");
    let mut seen = Vec::new();
    let mut after: Option<String> = None;
    for round in 0.. {
        let search = Search {
            instance: "default",
            query: &query,
            sort: &sort,
            after: after.as_deref(),
            limit: 5,
            now: NOW,
            cancel: &Cancel::default(),
        };
        let page = store.search(&search).unwrap();
        seen.extend(page.items.iter().map(|listed| listed.key.id.to_string()));
        // The one that the next page begins after goes; others change and come.
        if let Some(last) = page.items.last() {
            store.delete(&last.key).await.unwrap();
        }
        store
            .register(&key(&format!("00-{round}")), summary(5))
            .unwrap();
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, before);
}

#[tokio::test]
async fn secrets_are_not_told_by_what_is_found() {
    let store = Store::memory().unwrap();
    fleet(&store).await;
    assert_eq!(
        found(&store, "has(Device.Users.User.1.Password)").len(),
        DEVICES
    );
    for query in [
        "Device.Users.User.1.Password = secret",
        "Device.Users.User.1.Password = '*'",
        "Device.Users. contains secret",
        "age(Device.Users.User.1.Password) > 0s",
    ] {
        assert!(found(&store, query).is_empty(), "{query}");
    }
}

#[tokio::test]
async fn instances_do_not_see_each_other_and_nobody_waits_for_what_is_not_wanted() {
    let store = Store::memory().unwrap();
    fleet(&store).await;
    let none = store.matching("other", &Query::all(), NOW, &Cancel::default());
    assert_eq!(none, Ok(Vec::new()));
    let cancel = Cancel::default();
    cancel.cancel();
    let query = parse("Device.DeviceInfo.UpTime > 5");
    let cancelled = store.matching("default", &query, NOW, &cancel);
    assert_eq!(cancelled, Err(StoreError::Cancelled));
    let sort = Sort::parse("-last_contact").unwrap();
    let search = Search {
        instance: "default",
        query: &query,
        sort: &sort,
        after: Some("nonsense"),
        limit: 5,
        now: NOW,
        cancel: &Cancel::default(),
    };
    assert!(matches!(store.search(&search), Err(StoreError::Cursor(_))));
}

#[tokio::test]
async fn a_device_is_looked_at_with_some_of_its_parameters() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(config(directory.path())).unwrap();
    fleet(&store).await;
    let look = |store: &Store| {
        let patterns = ["Device.WiFi.SSID.*.SSID", "Device.Users."];
        let (listed, parameters) = store.look(&key(&id(0)), &patterns).unwrap().unwrap();
        assert_eq!(listed.summary.product_class, "Box0");
        let mut shown: Vec<(String, Option<String>)> = parameters
            .into_iter()
            .map(|found| (found.path.into(), found.value.map(String::from)))
            .collect();
        shown.sort();
        let ssid = |row: u32| {
            (
                format!("Device.WiFi.SSID.{row}.SSID"),
                Some(format!("net-{row}")),
            )
        };
        let password = ("Device.Users.User.1.Password".to_owned(), None);
        assert_eq!(shown, [password, ssid(1), ssid(2), ssid(3)]);
    };
    look(&store);
    store.close().await.unwrap();
    drop(store);
    look(&Store::open(config(directory.path())).unwrap());
}
