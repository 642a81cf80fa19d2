//! Tasks as callers ask for them: in the words of people, once, in an order of their own, again.

use std::time::Duration;

use cpe_sim::{CpeConfig, FleetConfig, Vendor};
use serde_json::{Value, json};

use crate::harness::{Host, Live, Setup, Sim, TOKEN, http};

async fn sim(host: &Host) -> Sim {
    let mut sim = Sim::new(CpeConfig {
        acs_url: host.url(),
        ..CpeConfig::of(Vendor::tr181(), "T1", "")
    });
    sim.settle().await;
    sim
}

async fn ask(host: &Host, sim: &Sim, key: &str, body: &Value) -> (u16, Value) {
    let headers = format!(
        "Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nIdempotency-Key: {key}\r\n"
    );
    let path = format!("{}/tasks", sim.at());
    let answer = http(
        host.api,
        "POST",
        &path,
        &headers,
        body.to_string().as_bytes(),
    )
    .await;
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

#[tokio::test]
async fn what_is_asked_under_one_key_is_done_once() {
    let host = Setup::new().start().await;
    let mut sim = sim(&host).await;
    let reboot = json!({ "operation": { "op": "reboot" } });
    let (status, first) = ask(&host, &sim, "order-1", &reboot).await;
    assert_eq!(
        (status, &first["idempotency_key"]),
        (201, &json!("order-1"))
    );
    let (status, again) = ask(&host, &sim, "order-1", &reboot).await;
    assert_eq!((status, &again["id"]), (200, &first["id"]));
    let other = json!({ "operation": { "op": "factory-reset" } });
    let (status, refused) = ask(&host, &sim, "order-1", &other).await;
    assert_eq!(status, 409, "{refused}");
    sim.periodic().await;

    // Also after it has ended, and over a restart.
    let host = host.restart(|_| ()).await;
    let (status, done) = ask(&host, &sim, "order-1", &reboot).await;
    assert_eq!((status, &done["state"]), (200, &json!("done")), "{done}");
    let (status, second) = ask(&host, &sim, "order-2", &reboot).await;
    assert_eq!(status, 201);
    assert_ne!(second["id"], first["id"]);
    for odd in ["", &"x".repeat(129)] {
        let (status, _) = ask(&host, &sim, odd, &reboot).await;
        assert_eq!(status, 400, "{odd:?}");
    }
    host.stop().await;
}

#[tokio::test]
async fn the_higher_priority_is_done_first() {
    let host = Setup::new().start().await;
    let mut sim = sim(&host).await;
    let path = format!("{}/tasks", sim.at());
    let mut ids = Vec::new();
    for (priority, name) in [
        (0, "UpTime"),
        (5, "SoftwareVersion"),
        (5, "SerialNumber"),
        (-1, "Manufacturer"),
    ] {
        let operation = json!({ "op": "get", "paths": [sim.path(&format!("DeviceInfo.{name}"))] });
        let body = json!({ "operation": operation, "priority": priority });
        let task = host.post(&path, body).await;
        assert_eq!(task["priority"], priority);
        ids.push(task["id"].as_str().unwrap().to_owned());
    }
    let body = json!({ "operation": { "op": "rpc-methods" }, "priority": 101 });
    let (status, _) = host.api("POST", &path, Some(body)).await;
    assert_eq!(status, 400);
    let session = sim.periodic().await;
    let asked: Vec<String> = session
        .record
        .served
        .iter()
        .map(|served| format!("{served:?}"))
        .filter(|rpc| rpc.contains("GetParameterValues"))
        .collect();
    let order: Vec<usize> = ["SoftwareVersion", "SerialNumber", "UpTime", "Manufacturer"]
        .iter()
        .map(|name| asked.iter().position(|rpc| rpc.contains(name)).unwrap())
        .collect();
    assert!(order.is_sorted(), "{asked:?}");
    let host = host.restart(|_| ()).await;
    let task = host.get(&format!("/v1/tasks/{}", ids[1])).await;
    assert_eq!(task["priority"], 5);
    host.stop().await;
}

#[tokio::test]
async fn people_say_refresh_firmware_and_backup() {
    let host = Setup::new().start().await;
    let sim = sim(&host).await;
    let path = format!("{}/tasks", sim.at());
    let asked = async |operation: Value| {
        let task = host.post(&path, json!({ "operation": operation })).await;
        task["operation"].clone()
    };
    let refresh = asked(json!({ "op": "refresh" })).await;
    assert_eq!(refresh, json!({ "op": "get", "paths": ["Device."] }));
    let backup = asked(json!({ "op": "backup" })).await;
    assert_eq!(backup["file_type"], "1 Vendor Configuration File");
    let none = json!({ "operation": { "op": "firmware", "file": "f-1" } });
    let (status, refused) = host.api("POST", &path, Some(none)).await;
    assert_eq!(status, 400, "{refused}");
    host.stop().await;
}

#[tokio::test]
async fn a_task_waits_queued_or_waking() {
    let host = Setup::shipped().start().await;
    let live = Live::start(FleetConfig {
        boot_time: Duration::from_millis(50),
        ..FleetConfig::single(&host.url(), Vendor::tr098())
    })
    .await;
    // It can be called once a flow has given it credentials.
    host.until(&live.at, |device| {
        device["connection_request"]["has_credentials"] == true
    })
    .await;
    let tasks = format!("{}/tasks", live.at);
    let get = json!({ "op": "rpc-methods" });
    let task = host
        .post(&tasks, json!({ "operation": get, "wake": true }))
        .await;
    assert_eq!(task["state"], "waking", "{task}");
    let id = task["id"].as_str().unwrap();
    host.until(&format!("/v1/tasks/{id}"), |task| task["state"] == "done")
        .await;
    host.stop().await;
}

#[tokio::test]
async fn what_failed_is_asked_again_and_faults_are_cleared() {
    let host = Setup::new().start().await;
    let mut sim = sim(&host).await;
    let wrong = json!({ "op": "get", "paths": ["Device.NoSuchThing"] });
    let tasks = format!("{}/tasks", sim.at());
    let task = host.post(&tasks, json!({ "operation": wrong })).await;
    let id = task["id"].as_str().unwrap();
    let early = host
        .api("POST", &format!("/v1/tasks/{id}/retry"), None)
        .await;
    assert_eq!(early.0, 409);
    sim.periodic().await;
    let faults = host.get("/v1/faults").await;
    let faulty = &faults["items"][0];
    assert_eq!(faulty["device"], sim.at().rsplit('/').next().unwrap());
    assert_eq!(faulty["faults"][0]["task"], id);
    let again = host.post(&format!("/v1/tasks/{id}/retry"), json!({})).await;
    assert_ne!(again["id"], task["id"]);
    assert_eq!(again["operation"], task["operation"]);
    let (status, _) = host
        .api("DELETE", &format!("{}/faults", sim.at()), None)
        .await;
    assert_eq!(status, 204);
    assert_eq!(host.get("/v1/faults").await["items"], json!([]));
    host.stop().await;
}

#[tokio::test]
async fn notes_say_who_and_when() {
    let host = Setup::new().start().await;
    let sim = sim(&host).await;
    let notes = format!("{}/notes", sim.at());
    for text in ["stands in the attic", "the user is on holiday"] {
        let note = host.post(&notes, json!({ "text": text })).await;
        assert_eq!(note["by"], "token:config");
    }
    let (status, _) = host.api("DELETE", &format!("{notes}/1"), None).await;
    assert_eq!(status, 204);
    let (status, _) = host.api("DELETE", &format!("{notes}/1"), None).await;
    assert_eq!(status, 404);
    let host = host.restart(|_| ()).await;
    let left = host.get(&notes).await;
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
    assert_eq!(left["items"][0]["text"], "the user is on holiday");
    let (status, _) = host.api("POST", &notes, Some(json!({ "text": "" }))).await;
    assert_eq!(status, 400);
    host.stop().await;
}

#[tokio::test]
async fn plugins_are_put_changed_and_taken_away() {
    let host = Setup::new().plugin("shipped", "profile").start().await;
    let headers = format!("Authorization: Bearer {TOKEN}\r\n");
    let put = async |name: &str, bytes: &[u8]| {
        let path = format!("/v1/plugins/{name}");
        let answer = http(host.api, "PUT", &path, &headers, bytes).await;
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        (answer.status, body)
    };
    let component = std::fs::read(crate::harness::guest("shipped", "nat-default")).unwrap();
    let (status, plugin) = put("policy", &component).await;
    assert_eq!(
        (status, &plugin["state"]),
        (200, &json!("running")),
        "{plugin}"
    );
    let (status, refused) = put("policy", &component[..1000]).await;
    assert_eq!(status, 400, "{refused}");
    assert_eq!(host.plugin("policy").await["state"], "running");
    let (status, refused) = put("acme", b"[profile\n").await;
    assert_eq!(status, 400, "{refused}");
    assert_eq!(put("..", b"x").await.0, 400);

    let change = |enabled: bool| Some(json!({ "enabled": enabled }));
    let (_, off) = host.api("PATCH", "/v1/plugins/policy", change(false)).await;
    assert_eq!(off["state"], "disabled", "{off}");
    let settings = host.get("/v1/plugins/policy/settings").await;
    assert_eq!(settings["text"], "enabled = false\n");
    let (_, on) = host.api("PATCH", "/v1/plugins/policy", change(true)).await;
    assert_eq!(on["state"], "running", "{on}");

    let text = |text: &str| Some(json!({ "text": text }));
    let path = "/v1/plugins/policy/settings";
    let (status, refused) = host
        .api("PUT", path, text("priority = 1\nenabled = 3\n"))
        .await;
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(status == 400 && message.contains("line 2"), "{refused}");
    assert_eq!(host.get(path).await["text"], "enabled = true\n");

    let (status, _) = host.api("DELETE", "/v1/plugins/policy", None).await;
    assert_eq!(status, 204);
    assert_eq!(host.api("GET", "/v1/plugins/policy", None).await.0, 404);
    host.stop().await;
}
