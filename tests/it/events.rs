//! What happens, told to the systems around.

use cpe_sim::{CpeConfig, Vendor};
use patchbay::events::Follower;
use serde_json::{Value, json};

use crate::harness::{Setup, Sim, guest, put_plugin_as};
use crate::tasks::{of, queue};

/// What a follower has not seen, as it goes out.
fn news(follower: &mut Follower) -> Vec<Value> {
    let news = follower.take();
    assert_eq!(news.lost, Some(0));
    news.events
        .iter()
        .map(|event| json!(event.told()))
        .collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_life_of_a_device() {
    let host = Setup::new().plugin("shipped", "nat-default").start().await;
    let mut follower = host.acs.events.follow();
    let mut sim = of(&host, Vendor::tr181()).await;
    let events = news(&mut follower);
    assert_eq!(
        kinds(&events),
        ["device.registered", "device.changed", "session.ended"],
        "{events:#?}"
    );
    let device = sim.at().rsplit('/').next().unwrap().to_owned();
    for event in &events {
        assert_eq!(
            (&event["instance"], &event["device"]),
            (&json!("default"), &json!(device))
        );
    }
    assert_eq!(events[0]["data"]["serial_number"], "T1");
    // It has no address to be called at.
    let mode = json!({ "mode": { "before": "", "after": "short-inform" } });
    assert_eq!(events[1]["data"], mode);
    assert_eq!(events[2]["data"]["outcome"], "done");

    let id = queue(&host, &sim, json!({ "op": "reboot" })).await;
    sim.periodic().await;
    sim.settle().await;
    let wrong = json!({ "op": "get", "paths": ["Device.NoSuchThing"] });
    queue(&host, &sim, wrong).await;
    sim.periodic().await;
    let cancelled = queue(&host, &sim, json!({ "op": "rpc-methods" })).await;
    host.post(&format!("/v1/tasks/{cancelled}/cancel"), Value::Null)
        .await;
    let events = news(&mut follower);
    let of_tasks: Vec<Value> = events
        .into_iter()
        .filter(|event| !kinds(std::slice::from_ref(event))[0].starts_with("session"))
        .collect();
    assert_eq!(
        kinds(&of_tasks),
        [
            "task.queued",
            "task.sent",
            "task.done",
            "task.queued",
            "task.sent",
            "fault.raised",
            "task.failed",
            "task.queued",
            "task.cancelled"
        ],
        "{of_tasks:#?}"
    );
    assert_eq!(
        of_tasks[2]["data"],
        json!({ "task": id, "operation": "reboot", "attempts": 1 })
    );
    assert_eq!(of_tasks[6]["data"]["fault"], 9005);
    let mut numbers: Vec<u64> = Vec::new();
    numbers.extend(
        of_tasks
            .iter()
            .map(|event| event["number"].as_u64().unwrap()),
    );
    assert!(numbers.is_sorted());
}

#[tokio::test]
async fn a_device_that_does_not_come_when_it_is_called() {
    let host = Setup::new()
        .plugin("shipped", "nat-default")
        .config(|config| config.instance.session_after_wake_seconds_max = 1)
        .start()
        .await;
    // Nobody listens where it wants to be called.
    let config = CpeConfig {
        connection_request_url: "http://127.0.0.1:9/".into(),
        ..CpeConfig::of(Vendor::tr181(), "T1", &host.url())
    };
    let mut sim = Sim::new(config);
    sim.settle().await;
    let mut follower = host.acs.events.follow();
    let at = format!("{}/wake", sim.at());
    for _ in 0..2 {
        host.post(&at, json!({ "wait_seconds": 20 })).await;
    }
    sim.periodic().await;
    let events = news(&mut follower);
    assert_eq!(
        kinds(&events)[..2],
        ["device.unreachable", "device.reachable"],
        "{events:#?}"
    );
    let tried = &events[0]["data"]["tried"][0];
    assert_eq!(
        tried,
        &json!({ "mode": "direct-http", "outcome": "unreachable" })
    );
}

#[tokio::test]
async fn plugins_as_they_come_and_go() {
    let host = Setup::new().plugin("examples", "read-five").start().await;
    let mut follower = host.acs.events.follow();
    let broken = host.plugins.join("broken.wasm");
    std::fs::write(&broken, b"no component").unwrap();
    host.reload().await;
    std::fs::remove_file(&broken).unwrap();
    host.reload().await;
    let toml = "priority = 3\n";
    put_plugin_as(
        &host.plugins,
        "read-five",
        &guest("examples", "read-five"),
        Some(toml),
    );
    host.reload().await;
    let mut events = news(&mut follower);
    // The file system may have told of the operator's file first.
    events.dedup_by_key(|event| event["kind"].clone());
    assert_eq!(
        kinds(&events),
        ["plugin.failed", "plugin.removed", "plugin.loaded"],
        "{events:#?}"
    );
    assert_eq!(events[0]["data"]["plugin"], "broken");
    assert!(events[0]["data"]["error"].is_string());
    assert_eq!(events[2].get("instance"), None);
}
