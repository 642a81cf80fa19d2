//! Lessons over many exchanges, sessions that break off, and restarts.

use std::sync::Arc;

use cwmp::{Fault, GetParameterNames, Request};

use super::*;
use crate::device::DeviceKey;

fn device(serial: &str, software: &str) -> (DeviceKey, Summary) {
    let key = DeviceKey {
        instance: "default".into(),
        id: serial.into(),
    };
    let summary = Summary {
        manufacturer: "ZTE".into(),
        oui: "00AABB".into(),
        product_class: "F600W".into(),
        software_version: software.into(),
        ..Summary::default()
    };
    (key, summary)
}

fn empty() -> Lessons {
    Lessons::open(Store::memory().unwrap(), &["default".into()]).unwrap()
}

fn get(count: usize) -> Request {
    Request::GetParameterValues((0..count).map(|n| format!("D.{n}")).collect())
}

const LIMIT: Finding = Finding::NamesLimit {
    worked: 32,
    failed: 64,
};

#[test]
fn all_of_a_firmware_learn_from_one_and_another_firmware_does_not() {
    let lessons = empty();
    let (first, summary) = device("1", "V9.0");
    let words = lessons.learn(&first, &summary, &LIMIT, 5).unwrap();
    assert_eq!(
        words,
        "remembered for ZTE F600W V9.0: at most 32 names in a GetParameterValues"
    );
    let (second, _) = device("2", "V9.0");
    assert_eq!(
        lessons.manners(&second, &summary, 6).names_per_get,
        Some(32)
    );
    let (_, newer) = device("2", "V9.1");
    assert_eq!(lessons.manners(&second, &newer, 6).names_per_get, None);
    // Learned once, it is no news.
    assert_eq!(lessons.learn(&second, &summary, &LIMIT, 7), None);
}

#[test]
fn a_profile_has_the_last_word() {
    let lessons = empty();
    let (key, summary) = device("1", "V9.0");
    lessons.learn(&key, &summary, &LIMIT, 5);
    let overrides = crate::plugins::Overrides {
        max_names_per_get: Some(64),
        ..Default::default()
    };
    let manners = lessons.manners(&key, &summary, 6).overridden(&overrides);
    assert_eq!(manners.names_per_get, Some(64));
}

#[test]
fn habits_wear_off_and_methods_come_back() {
    let lessons = empty();
    let (key, summary) = device("1", "V9.0");
    lessons.learn(&key, &summary, &Finding::NoPartialPaths, 0);
    let method = "GetParameterAttributes".to_owned();
    let unsupported = Finding::Unsupported(method.clone(), Fault::new(9000));
    lessons.learn(&key, &summary, &unsupported, 0);
    let manners = lessons.manners(&key, &summary, 1);
    assert!(manners.no_partial_paths && manners.unsupported.contains_key(&method));
    let manners = lessons.manners(&key, &summary, 31 * 86_400);
    assert!(!manners.no_partial_paths && manners.unsupported.is_empty());
    assert!(
        lessons
            .learn(&key, &summary, &Finding::Supported(method), 1)
            .is_some()
    );
    assert!(lessons.manners(&key, &summary, 1).unsupported.is_empty());
}

#[test]
fn a_device_that_falls_silent_is_asked_for_less_and_its_model_once_that_is_sure() {
    let lessons = empty();
    let (key, summary) = device("1", "V9.0");
    let (other, _) = device("2", "V9.0");
    let names = |key: &DeviceKey| lessons.manners(key, &summary, 9).names_per_get;
    assert_eq!(lessons.fell_silent(&key, &summary, &get(128), 1).len(), 1);
    assert_eq!((names(&key), names(&other)), (Some(64), None));
    // Down to one name in the five sessions that a task has.
    let mut asked = 64;
    for expected in [16, 4, 1] {
        lessons.fell_silent(&key, &summary, &get(asked), 2);
        assert_eq!(names(&key), Some(expected));
        asked = expected as usize;
    }
    // Two silences are believed of the model, too: with half of the least.
    assert!(names(&other).unwrap() <= 32);
}

#[test]
fn a_line_that_breaks_is_no_lesson() {
    let lessons = empty();
    let (key, summary) = device("1", "V9.0");
    let (other, _) = device("2", "V9.0");
    for _ in 0..10 {
        lessons.fell_silent(&key, &summary, &get(64), 1);
        assert_eq!(lessons.manners(&other, &summary, 2).names_per_get, None);
        // Others do well with as many.
        lessons.learn(&other, &summary, &Finding::NamesTaken(64), 2);
        // And it with fewer: the next time it is asked as ever.
        lessons.learn(&key, &summary, &Finding::NamesTaken(1), 2);
        assert_eq!(lessons.manners(&key, &summary, 2).names_per_get, None);
    }
    let whole = Request::GetParameterNames(GetParameterNames::default());
    lessons.fell_silent(&key, &summary, &whole, 1);
    assert!(lessons.manners(&key, &summary, 2).names_by_level);
    assert!(!lessons.manners(&other, &summary, 2).names_by_level);
    lessons.fell_silent(&other, &summary, &whole, 1);
    let (third, _) = device("3", "V9.0");
    assert!(lessons.manners(&third, &summary, 2).names_by_level);
    assert!(
        lessons
            .fell_silent(&key, &summary, &Request::FactoryReset, 1)
            .is_empty()
    );
}

#[tokio::test]
async fn they_outlive_a_restart_until_they_are_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let instance: Arc<str> = "default".into();
    let open = || Store::open(crate::store::StoreConfig::new(directory.path())).unwrap();
    let (key, summary) = device("1", "V9.0");
    let store = open();
    let lessons = Lessons::open(store.clone(), std::slice::from_ref(&instance)).unwrap();
    lessons.learn(&key, &summary, &LIMIT, 5);
    lessons.learn(&key, &summary, &Finding::NoRootNames, 5);
    let before = lessons.list(&instance);
    assert_eq!(before.len(), 1);
    store.close().await.unwrap();
    drop((lessons, store));

    let store = open();
    let lessons = Lessons::open(store.clone(), std::slice::from_ref(&instance)).unwrap();
    assert_eq!(lessons.list(&instance), before);
    let (id, _) = &before[0];
    assert!(lessons.forget(&instance, id).unwrap());
    assert!(!lessons.forget(&instance, id).unwrap());
    assert_eq!(lessons.manners(&key, &summary, 6).names_per_get, None);
    store.close().await.unwrap();
    drop((lessons, store));

    let store = open();
    let lessons = Lessons::open(store, std::slice::from_ref(&instance)).unwrap();
    assert_eq!(lessons.list(&instance), []);
}
