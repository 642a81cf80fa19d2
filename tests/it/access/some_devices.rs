//! A role of some devices: others are not there for it, and what is not about devices is closed.

use serde_json::{Value, json};

use super::{Operation, ask, operations};
use crate::events::Reader;
use crate::harness::{Host, Setup, http, inform};

const OWN: &str = "00AABB-Box-1";
const OTHER: &str = "00AABB-Box-4711";
/// What only the other has.
const MARKER: &str = "marker-of-the-other";

async fn fill(host: &Host, serial: &str, tag: &str) -> Value {
    let body = inform(serial, &["2 PERIODIC"]).replace(">1.0<", &format!(">{tag}<"));
    let answer = http(host.cwmp, "POST", "/", "", body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let device = format!("/v1/devices/00AABB-Box-{serial}");
    let (status, _) = host.api("PUT", &format!("{device}/tags/{tag}"), None).await;
    assert_eq!(status, 204);
    let set = json!({ "op": "set", "parameters": [{
        "path": "InternetGatewayDevice.DeviceInfo.ProvisioningCode", "value": tag
    }] });
    host.post(&format!("{device}/tasks"), json!({ "operation": set }))
        .await
}

/// A token with a role of the devices with the tag `own`.
async fn desk(host: &Host) -> String {
    let role = json!({
        "permissions": [
            "devices:*", "parameters:*", "tasks:*", "sessions:*", "faults:*", "events:read", "audit:read",
        ],
        "devices": "tag = own",
        "operations": ["get", "set", "reboot"],
    });
    let (status, made) = host.api("PUT", "/v1/roles/desk", Some(role)).await;
    assert_eq!(status, 201, "{made}");
    super::token(host, &[("desk", Some("default"))]).await
}

/// The body of an answer as it came: exports are no JSON.
async fn text(host: &Host, token: &str, path: &str) -> String {
    http(host.api, "GET", path, &super::bearer(token), b"")
        .await
        .text()
}

fn is_its(operation: &Operation) -> bool {
    let permission = operation.permission.as_deref().unwrap_or_default();
    let resource = permission.split(':').next().unwrap();
    ["devices", "parameters", "tasks", "sessions", "faults"].contains(&resource)
        || operation.path.starts_with("/audit")
}

#[tokio::test(flavor = "multi_thread")]
async fn it_sees_and_changes_its_own_alone() {
    let host = Setup::new().start().await;
    fill(&host, "1", "own").await;
    let task = fill(&host, "4711", MARKER).await;
    let task = task["id"].as_str().unwrap().to_owned();
    let desk = desk(&host).await;
    let before = host.get(&format!("/v1/devices/{OTHER}?parameters=")).await;
    let (mut own, mut closed) = (0, 0);
    for operation in operations(&host).await.iter().filter(|operation| {
        operation
            .permission
            .as_deref()
            .is_some_and(|p| !p.is_empty())
    }) {
        let name = operation.name();
        let of = |device: &str| {
            let (device, task) = (device.to_owned(), task.clone());
            let path = operation.path.as_str();
            operation.url(move |parameter| match parameter {
                "id" if path.starts_with("/devices/") => device.clone(),
                "id" => task.clone(),
                _ if path.starts_with("/instances/") => "default".to_owned(),
                _ => "own".to_owned(),
            })
        };
        if operation.path == "/events" {
            // It has no end; the test below reads it.
            continue;
        }
        let body = (operation.method != "GET").then(|| json!({ "operation": { "op": "reboot" } }));
        let (status, answer) = ask(&host, &desk, &operation.method, &of(OTHER), body).await;
        assert!(!answer.to_string().contains(MARKER), "{name}: {answer}");
        if operation.method == "GET" {
            // No id of the other stands anywhere where nobody has named it.
            let answer = text(&host, &desk, &of(OWN)).await;
            assert!(
                !answer.contains(MARKER) && !answer.contains(OTHER),
                "{name}: {answer}"
            );
        }
        if !is_its(operation) {
            assert_eq!(status, 403, "{name}: {answer}");
            continue;
        }
        if !operation.path.starts_with("/devices/{id}") {
            // It filters, or it is closed.
            closed += usize::from(status == 403);
            continue;
        }
        assert!(
            [400, 404, 422].contains(&status),
            "{name} of another device: {status} {answer}"
        );
        if operation.method == "GET" {
            assert_eq!(status, 404, "{name}: {answer}");
            let (status, answer) = ask(&host, &desk, "GET", &of(OWN), None).await;
            own += usize::from(status == 200);
            assert_ne!(status, 403, "{name}: {answer}");
        }
    }
    assert!(own >= 4 && closed >= 1, "{own} {closed}");
    let after = host.get(&format!("/v1/devices/{OTHER}?parameters=")).await;
    assert_eq!(before["tags"], after["tags"]);
    let (_, tasks) = ask(&host, &desk, "GET", "/v1/tasks", None).await;
    let tasks = tasks["items"].as_array().unwrap();
    assert!(
        !tasks.is_empty() && tasks.iter().all(|task| task["device"] == OWN),
        "{tasks:?}"
    );

    // Of its own operations some only.
    let tasks = format!("/v1/devices/{OWN}/tasks");
    let make = async |operation: Value| {
        let body = Some(json!({ "operation": operation }));
        ask(&host, &desk, "POST", &tasks, body).await.0
    };
    assert_eq!(make(json!({ "op": "reboot" })).await, 201);
    assert_eq!(make(json!({ "op": "factory-reset" })).await, 403);
    // A device that is tagged otherwise is gone for it.
    let (status, _) = host
        .api("DELETE", &format!("/v1/devices/{OWN}/tags/own"), None)
        .await;
    assert_eq!(status, 204);
    assert_eq!(make(json!({ "op": "reboot" })).await, 404);
    host.stop().await;
}

/// Things happen to both devices, to the other first.
async fn happen(host: &Host, tag: &str) {
    for device in [OTHER, OWN] {
        let path = format!("/v1/devices/{device}/tags/{tag}");
        assert_eq!(host.api("PUT", &path, None).await.0, 204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_records_of_its_own_alone() {
    let host = Setup::new().start().await;
    let begun = host.acs.events.newest().to_string();
    fill(&host, "1", "own").await;
    fill(&host, "4711", MARKER).await;
    let desk = desk(&host).await;
    let wrong = json!({ "permissions": ["events:*"], "devices": "tag = own" });
    let (status, answer) = host.api("PUT", "/v1/roles/wrong", Some(wrong)).await;
    assert_eq!(status, 400, "{answer}");
    // Of no device: a table that names the other.
    let table = format!("id,label\n{OTHER},{MARKER}\n00AABB-Box-3,\n");
    let headers = format!("{}Content-Type: text/csv\r\n", super::admin());
    let imported = http(
        host.api,
        "POST",
        "/v1/devices/import",
        &headers,
        table.as_bytes(),
    )
    .await;
    assert_eq!(imported.status, 200, "{imported:?}");

    // What it has missed, what comes, and what it misses when it comes back.
    happen(&host, "first").await;
    let mut seen = Vec::new();
    let mut last = begun;
    for next in ["second", "third"] {
        let mut reader = Reader::open_as(&host, &desk, "", Some(&last)).await;
        happen(&host, next).await;
        loop {
            let came = reader.next().await;
            assert_eq!(came.data["device"], OWN, "{came:?}");
            last.clone_from(&came.id);
            seen.push(came.kind);
            if came.data["data"]["tags"]["added"][0] == next {
                break;
            }
        }
        drop(reader);
        happen(&host, &format!("after-{next}")).await;
    }
    assert!(seen.iter().any(|kind| kind == "task.queued"), "{seen:?}");
    let (status, _) = ask(&host, &desk, "GET", "/v1/events?all_instances=true", None).await;
    assert_eq!(status, 403);

    let queries = [
        "",
        "?limit=1",
        "?order=oldest",
        "?query=device%20=%2000AABB-Box-4711",
        "?query=Box-4711",
    ];
    let export = ["", "?format=csv", "?query=device%20=%20*"];
    let lists = queries.map(|query| format!("/v1/audit{query}"));
    let exports = export.map(|query| format!("/v1/audit/export{query}"));
    let mut own = 0;
    for path in lists.iter().chain(&exports) {
        let answer = text(&host, &desk, path).await;
        own += usize::from(answer.contains(OWN));
        for other in [OTHER, MARKER, "00AABB-Box-3"] {
            assert!(!answer.contains(other), "{path}: {answer}");
        }
    }
    assert!(own >= 5, "{own}");
    for path in [
        "/v1/webhooks",
        "/v1/webhooks/x/dead-letters",
        "/v1/audit?all_instances=true",
    ] {
        let (status, answer) = ask(&host, &desk, "GET", path, None).await;
        assert_eq!(status, 403, "{path}: {answer}");
    }

    // A device that is gone was of nobody.
    let (status, _) = host
        .api("DELETE", &format!("/v1/devices/{OWN}"), None)
        .await;
    assert_eq!(status, 204);
    let (_, page) = ask(&host, &desk, "GET", "/v1/audit", None).await;
    assert_eq!(page["items"], json!([]));
    host.stop().await;
}
