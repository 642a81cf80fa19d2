use serde_json::json;

use super::*;
use crate::device::Summary;
use crate::instance::DEFAULT_NAME;

fn config(toml: &str) -> Config {
    let config: Config = toml::from_str(toml).unwrap();
    config.check().unwrap();
    config
}

fn opened(toml: &str, store: &Store) -> Instances {
    Instances::open(&config(toml), store).unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

#[track_caller]
fn is_at(instances: &Instances, path: &str, host: &str, expected: &str) {
    let found = instances.at(path, Some(host));
    let found = found.map(|instance| instance.name.to_string());
    assert_eq!(found.unwrap_or_else(|error| error.to_string()), expected);
}

#[test]
fn the_only_instance_takes_any_address() {
    let instances = opened("", &Store::memory().unwrap());
    is_at(&instances, "/", "anything.example", "default");
    is_at(&instances, "/acs/x", "192.0.2.1", "default");
    is_at(&instances, "/i/default", "", "default");
    assert!(instances.at("/", None).is_ok());
    is_at(
        &instances,
        "/i/acme",
        "a",
        "expected /i/ and the name of an instance, got /i/acme",
    );
}

#[test]
fn several_are_told_by_path_then_by_host() {
    let toml = "[instance]\nhosts = ['acs.one.example']\n\
                [instances.acme]\nhosts = ['acs.two.example', 'OLD.two.example']";
    let instances = opened(toml, &Store::memory().unwrap());
    is_at(&instances, "/", "acs.one.example", "default");
    is_at(&instances, "/", "ACS.two.example", "acme");
    is_at(&instances, "/", "old.two.example", "acme");
    is_at(&instances, "/i/acme/", "acs.one.example", "acme");
    is_at(
        &instances,
        "/",
        "acs.three.example",
        "expected a host name of one of the instances, got \"acs.three.example\": instances are told by \
         host name (the setting hosts) or by a path such as /i/default",
    );
    let instances = opened(
        "[instance]\nhosts = ['*']\n[instances.acme]\nhosts = ['acs.two.example']",
        &Store::memory().unwrap(),
    );
    is_at(&instances, "/", "acs.three.example", "default");
    is_at(&instances, "/", "acs.two.example", "acme");
}

#[test]
fn what_two_instances_cannot_share() {
    let store = Store::memory().unwrap();
    let refused = |toml: &str, part: &str| {
        // The check of the file finds them, too: those of the store are found here only.
        let config: Config = toml::from_str(toml).unwrap();
        let error = Instances::open(&config, &store).err().unwrap();
        assert!(error.to_string().contains(part), "{error}");
    };
    refused(
        "[instances.a]\nhosts = ['x']\n[instances.b]\nhosts = ['X']",
        "names that no other instance has",
    );
    refused(
        "[instances.a]\nlisten = ['127.0.0.1:1']\n[instances.b]\nlisten = ['127.0.0.1:1']",
        "nobody else listens on",
    );
}

#[tokio::test]
async fn made_changed_and_removed_and_there_after_a_restart() {
    let store = Store::memory().unwrap();
    let toml = "[instance]\nhosts = ['a']\nwaking = { waiting_max = 5 }";
    let instances = opened(toml, &store);
    let changes = instances.changes();
    let settings = json!({ "hosts": ["b"], "waking": { "waiting_max": 7 } });
    instances.create("acme", object(settings)).await.unwrap();
    assert!(changes.has_changed().unwrap());
    is_at(&instances, "/", "b", "acme");

    let patch = json!({ "waking": { "calls_at_once_max": 9, "calls_at_once_per_network_max": 3 } });
    instances.change("acme", &object(patch)).await.unwrap();
    let waking = instances.get("acme").unwrap().settings.waking.clone();
    assert_eq!((waking.waiting_max, waking.calls_at_once_max), (7, 9));

    // What stands in the file is what null goes back to.
    let patch = json!({ "waking": { "waiting_max": 6 }, "hosts": ["c"] });
    instances.change("default", &object(patch)).await.unwrap();
    is_at(&instances, "/", "c", "default");
    let patch = json!({ "waking": { "waiting_max": null } });
    instances.change("default", &object(patch)).await.unwrap();
    assert_eq!(
        instances
            .get(DEFAULT_NAME)
            .unwrap()
            .settings
            .waking
            .waiting_max,
        5
    );

    // Of a group what was not named goes on to follow the file.
    let patch = json!({ "waking": { "calls_per_second_max": 3 } });
    let (_, entry) = instances.change("default", &object(patch)).await.unwrap();
    assert_eq!(
        entry.changed["waking"],
        json!({ "calls_per_second_max": 3 })
    );
    let other = opened(&toml.replace('5', "4"), &store);
    let waking = other.get(DEFAULT_NAME).unwrap().settings.waking.clone();
    assert_eq!((waking.waiting_max, waking.calls_per_second_max), (4, 3));
    let patch = json!({ "waking": { "calls_per_second_max": null } });
    let (_, entry) = instances.change("default", &object(patch)).await.unwrap();
    assert!(!entry.changed.contains_key("waking"));

    let again = opened(toml, &store);
    is_at(&again, "/", "b", "acme");
    is_at(&again, "/", "c", "default");
    instances.remove("acme").await.unwrap();
    is_at(
        &instances,
        "/i/acme",
        "",
        "expected /i/ and the name of an instance, got /i/acme",
    );
    let again = opened(toml, &store);
    assert_eq!(again.all().len(), 1);
    let error = again.create("acme", Map::new()).await.unwrap_err();
    assert!(error.to_string().contains("another name"), "{error}");
}

#[tokio::test]
async fn a_change_that_is_refused_changes_nothing() {
    let store = Store::memory().unwrap();
    let instances = opened("[instance]\nhosts = ['a']\n[instances.file]", &store);
    let before = instances.changes();
    for (patch, part) in [
        (json!({ "hosts": ["x:1"] }), "instance.hosts"),
        (json!({ "no_such": 1 }), "no_such"),
        (
            json!({ "waking": { "waiting_max": "many" } }),
            "waking.waiting_max",
        ),
        (json!({ "hosts": ["a"] }), "no other instance has"),
        (
            json!({ "listen": ["192.0.2.77:1"] }),
            "cannot listen on 192.0.2.77:1",
        ),
    ] {
        let error = instances.create("acme", object(patch)).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    let error = instances.create("Acme", Map::new()).await.unwrap_err();
    assert!(error.to_string().contains("a letter first"), "{error}");
    let error = instances.create("default", Map::new()).await.unwrap_err();
    assert!(matches!(error, ChangeError::Exists(_)), "{error}");
    let error = instances.remove("file").await.unwrap_err();
    assert!(
        error.to_string().contains("stands in patchbay.toml"),
        "{error}"
    );
    assert!(!before.has_changed().unwrap());
}

#[tokio::test]
async fn the_devices_of_the_only_instance_are_not_made_nobodys() {
    let store = Store::memory().unwrap();
    let instances = opened("", &store);
    let device = DeviceKey {
        instance: DEFAULT_NAME.into(),
        id: "00AABB-1".into(),
    };
    store.register(&device, Summary::default()).unwrap();
    let error = instances.create("acme", Map::new()).await.unwrap_err();
    assert!(error.to_string().contains("set its hosts first"), "{error}");
    let hosts = object(json!({ "hosts": ["*"] }));
    instances.change("default", &hosts).await.unwrap();
    instances.create("acme", Map::new()).await.unwrap();
    is_at(&instances, "/", "any.example", "default");
    // Nor is an instance removed that has some.
    let error = instances.remove("default").await.unwrap_err();
    assert!(
        error.to_string().contains("stands in patchbay.toml"),
        "{error}"
    );
    let device = DeviceKey {
        instance: "acme".into(),
        ..device
    };
    store.register(&device, Summary::default()).unwrap();
    let error = instances.remove("acme").await.unwrap_err();
    assert!(error.to_string().contains("has 1 devices"), "{error}");
}

#[test]
fn accounts_of_devices_of_several_instances() {
    for (instance, account) in [("default", "00AABB-Box-1"), ("acme", "acme+00AABB-Box-1")] {
        let key = DeviceKey {
            instance: instance.into(),
            id: "00AABB-Box-1".into(),
        };
        assert_eq!(&*key.account(), account);
        assert_eq!(DeviceKey::of_account(account), key);
    }
}
