//! A role of some devices: others are not there for it, and what is not about devices is closed.

use serde_json::{Value, json};

use super::{Operation, ask, operations};
use crate::harness::{Host, Setup, http, inform};

const OWN: &str = "00AABB-Box-1";
const OTHER: &str = "00AABB-Box-2";
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
        "permissions": ["devices:*", "parameters:*", "tasks:*", "sessions:*", "faults:*"],
        "devices": "tag = own",
        "operations": ["get", "set", "reboot"],
    });
    let (status, made) = host.api("PUT", "/v1/roles/desk", Some(role)).await;
    assert_eq!(status, 201, "{made}");
    super::token(host, &[("desk", Some("default"))]).await
}

fn is_its(operation: &Operation) -> bool {
    let permission = operation.permission.as_deref().unwrap_or_default();
    let resource = permission.split(':').next().unwrap();
    ["devices", "parameters", "tasks", "sessions", "faults"].contains(&resource)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_sees_and_changes_its_own_alone() {
    let host = Setup::new().start().await;
    fill(&host, "1", "own").await;
    let task = fill(&host, "2", MARKER).await;
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
            let is_device = operation.path.starts_with("/devices/");
            operation.url(move |parameter| match (parameter, is_device) {
                ("id", true) => device.clone(),
                ("id", false) => task.clone(),
                _ => "own".to_owned(),
            })
        };
        let body = (operation.method != "GET").then(|| json!({ "operation": { "op": "reboot" } }));
        let (status, answer) = ask(&host, &desk, &operation.method, &of(OTHER), body).await;
        assert!(!answer.to_string().contains(MARKER), "{name}: {answer}");
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
