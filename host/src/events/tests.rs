use std::sync::Arc;

use super::*;

fn removed(plugin: &str) -> Event {
    let event = PluginEvent {
        plugin: plugin.to_owned(),
        version: String::new(),
        error: None,
        left_out: 0,
        step: PluginStep::Removed,
    };
    Event::of_host(7, What::Plugin(event))
}

fn key(id: &str) -> DeviceKey {
    DeviceKey {
        instance: "default".into(),
        id: id.into(),
    }
}

fn numbers(news: &News) -> Vec<u64> {
    news.events.iter().map(|event| event.number).collect()
}

#[tokio::test]
async fn followers_see_each_event_once_and_in_order() {
    let events = Arc::new(Events::new(1));
    let first = events.newest() + 1;
    events.emit(removed("before"));
    let mut late = events.follow();
    let mut early = events.follow_after(first - 1);
    for _ in 0..600 {
        events.emit(removed("a"));
    }
    let mut seen = Vec::new();
    while seen.len() < 601 {
        seen.extend(numbers(&early.next().await));
    }
    assert_eq!(seen, (first..first + 601).collect::<Vec<_>>());
    assert_eq!(numbers(&late.next().await)[0], first + 1);
    assert_eq!(early.take().events, []);
}

#[tokio::test]
async fn a_follower_that_waits_is_woken() {
    let events = Arc::new(Events::new(1));
    let mut follower = events.follow();
    let waiting = tokio::spawn(async move { follower.next().await });
    tokio::task::yield_now().await;
    events.emit(removed("a"));
    assert_eq!(waiting.await.unwrap().events.len(), 1);
}

#[test]
fn what_a_slow_follower_has_lost_is_counted() {
    let events = Arc::new(Events::new(1));
    let mut slow = events.follow();
    let start = slow.position();
    for _ in 0..HISTORY_EVENTS_MAX + 10 {
        events.emit(removed("a"));
    }
    let news = slow.take();
    assert_eq!((news.lost, news.events[0].number), (Some(10), start + 11));
    assert_eq!(slow.take().lost, Some(0));
    // The number of another life: what was before it nobody knows.
    let mut stranger = events.follow_after(u64::MAX - 1);
    let news = stranger.take();
    assert_eq!((news.lost, news.events[0].number), (None, start + 11));
    assert_eq!(stranger.take().lost, Some(0));
    let mut nothing = Arc::new(Events::new(5)).follow_after(u64::MAX - 1);
    assert_eq!(nothing.take().lost, None);
    assert_eq!(nothing.take().lost, Some(0));
    let mut former = events.follow_after(3);
    assert_eq!(former.take().lost, None);
}

#[test]
fn numbers_grow_over_restarts_and_fit_into_json() {
    let now = 4_000_000_000;
    let events = Events::new(now);
    events.emit(removed("a"));
    assert!(Events::new(now + 1).newest() > events.newest());
    assert!(events.newest() < 1 << 53);
}

#[test]
fn a_device_is_unreachable_once_until_it_comes() {
    let events = Events::new(1);
    let device = key("A-1");
    events.came(4, &device);
    let report = crate::nat::wake::WakeReport {
        state: crate::nat::wake::WakeState::Failed,
        started: 5,
        attempts: Vec::new(),
        next_inform: Some(60),
    };
    events.not_woken(5, &device, &report);
    events.not_woken(6, &device, &report);
    events.came(7, &device);
    events.came(8, &device);
    events.not_woken(9, &device, &report);
    let kinds: Vec<_> = told(&events)
        .iter()
        .map(|told| told["kind"].clone())
        .collect();
    let expected = [
        "device.unreachable",
        "device.reachable",
        "device.unreachable",
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn tags_tell_what_came_and_went() {
    let set = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect();
    let events = Events::new(1);
    events.tags(5, &key("A-1"), &set(&["a"]), &set(&["a"]));
    events.tags(5, &key("A-1"), &set(&["a", "b"]), &set(&["b", "c"]));
    let [told] = told(&events).try_into().unwrap();
    let expected = serde_json::json!({
        "number": told["number"],
        "at": "1970-01-01T00:00:05Z",
        "instance": "default",
        "device": "A-1",
        "kind": "device.changed",
        "data": { "tags": { "added": ["c"], "removed": ["a"] } },
    });
    assert_eq!(told, expected);
}

#[test]
fn every_kind_is_listed() {
    let event = removed("a");
    assert!(KINDS.contains(&event.what.kind()));
    let sorted: std::collections::BTreeSet<_> = KINDS.iter().collect();
    assert_eq!(sorted.len(), KINDS.len());
}

#[test]
fn texts_are_cut() {
    assert_eq!(short("fine"), "fine");
    let long = "ü".repeat(5_000);
    assert_eq!(short(&long).chars().count(), 1_001);
}

/// All that is in the history, as it goes out.
fn told(events: &Events) -> Vec<serde_json::Value> {
    let all = events.after(0).events;
    all.iter()
        .map(|event| serde_json::json!(event.told()))
        .collect()
}

#[test]
fn events_are_asked_for_by_their_fields_and_their_device() {
    use crate::query::Query;
    let fault = FaultRaised {
        rpc: "SetParameterValues".to_owned(),
        code: Some(9005),
        text: "Invalid parameter name".to_owned(),
        parameters: vec!["Device.A".to_owned(), "Device.B".to_owned()],
        task: None,
        plugin: None,
    };
    let event = Event::of_device(1_000, &key("00AABB-Box-1"), What::Fault(fault));
    let device = crate::device::Summary {
        tags: ["gold".to_owned()].into(),
        software_version: "1.10".to_owned(),
        ..crate::device::Summary::default()
    };
    let check = |query: &str, with: bool, without: bool| {
        let parsed = Query::parse_for(&EVENTS, query).unwrap();
        let heard = Heard::new(&event, Some(&device));
        assert_eq!(parsed.matches(&heard, 1_060), with, "{query}");
        let heard = Heard::new(&event, None);
        assert_eq!(parsed.matches(&heard, 1_060), without, "{query}");
    };
    check("", true, true);
    check("fault", true, true);
    check("kind = fault.raised", true, true);
    check("kind = \"task.*\"", false, false);
    check(
        "kind in (task.failed, fault.raised) and device.tag = gold",
        true,
        false,
    );
    check("device.software_version > 1.9", true, false);
    check("data.code = 9005", true, true);
    check("data.code >= 9100", false, false);
    check("data.code > 900", true, true);
    check("data.parameters = Device.B", true, true);
    check("data.text = \"Invalid*\" and age(at) < 2m", true, true);
    check("has(data.task)", false, false);
    check("device = \"*Box*\"", true, true);
    assert!(Query::parse_for(&EVENTS, "kidn = x").is_err());
}

#[test]
fn streams_are_limited_for_each_and_in_all() {
    let events = Arc::new(Events::new(1));
    let anna: Arc<str> = "user:anna".into();
    let places: Vec<_> = (0..20).map(|_| events.stream(&anna).unwrap()).collect();
    assert!(events.stream(&anna).is_none());
    assert!(events.stream(&"user:ben".into()).is_some());
    drop(places);
    assert_eq!(events.streams.count(), 0);
    assert!(events.stream(&anna).is_some());
}

#[test]
fn each_kind_is_counted_with_its_family() {
    for kind in super::KINDS {
        let (family, _) = kind.split_once('.').unwrap();
        assert!(super::what::FAMILIES.contains(&family), "{kind}");
    }
}
