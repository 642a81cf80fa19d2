//! Two instances with the same devices: whoever is of one sees and changes nothing of the other.

use std::collections::BTreeSet;

use patchbay::config::{Instance, KeepTraces};
use patchbay::device::DeviceKey;
use patchbay::store::FaultRecord;
use serde_json::{Value, json};

use super::{Operation, ask, operations, token};
use crate::harness::{Host, PATIENCE, Setup, http, inform};

const DEVICE: &str = "00AABB-Box-1";
const NORTH: &str = "marker-of-the-north";
const SOUTH: &str = "marker-of-the-south";

/// Operations whose answers change by themselves, or never end.
const RESTLESS: [&str; 3] = ["GET /events", "GET /metrics", "GET /me"];

async fn two() -> Host {
    let setup = Setup::new().config(|config| {
        config.traces.keep = KeepTraces::All;
        for name in ["north", "south"] {
            let settings = Instance {
                file_base_url: Some(format!("http://marker-of-the-{name}.example")),
                ..config.instance.clone()
            };
            config.instances.insert(name.into(), settings);
        }
    });
    let host = setup.start().await;
    fill(&host, "north", NORTH).await;
    fill(&host, "south", SOUTH).await;
    host
}

/// The same device in each, and everything that can be had of it, with a word of its own.
async fn fill(host: &Host, instance: &str, marker: &str) {
    let at = format!("/v1/instances/{instance}");
    // A session, with a trace.
    let body = inform("1", &["2 PERIODIC"]).replace(">1.0<", &format!(">{marker}<"));
    let url = format!("/i/{instance}");
    let answer = http(host.cwmp, "POST", &url, "", body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let cookie = answer
        .head
        .lines()
        .find(|line| line.to_lowercase().starts_with("set-cookie"));
    let cookie = cookie.unwrap().split([' ', ';']).nth(1).unwrap();
    let headers = format!("Cookie: {cookie}\r\n");
    let answer = http(host.cwmp, "POST", &url, &headers, b"").await;
    assert_eq!(answer.status, 204, "{answer:?}");
    let key = DeviceKey {
        instance: instance.into(),
        id: DEVICE.into(),
    };
    let fault = FaultRecord {
        at: host.acs.clock.unix(),
        rpc: "SetParameterValues".into(),
        code: Some(9002),
        text: marker.into(),
        parameters: Vec::new(),
        task: None,
        plugin: None,
    };
    host.acs.store.record_fault(&key, fault).unwrap();
    let set = json!({ "op": "set", "parameters": [{
        "path": "InternetGatewayDevice.DeviceInfo.ProvisioningCode", "value": marker
    }] });
    for (method, path, body) in [
        (
            "PUT",
            format!("/devices/{DEVICE}/tags/{marker}"),
            Value::Null,
        ),
        (
            "POST",
            format!("/devices/{DEVICE}/tasks"),
            json!({ "operation": set }),
        ),
        (
            "POST",
            format!("/files?name={marker}.bin&type=firmware&note={marker}"),
            json!(marker),
        ),
        (
            "PUT",
            format!("/devices/{DEVICE}/credentials"),
            json!({ "username": marker, "password": "correct horse" }),
        ),
    ] {
        let body = (!body.is_null()).then_some(body);
        let (status, answer) = host.api(method, &format!("{at}{path}"), body).await;
        assert!(status < 300, "{method} {path}: {status} {answer}");
    }
    let campaign = json!({ "name": marker, "query": "", "operation": { "op": "reboot" } });
    host.post(&format!("{at}/campaigns"), campaign).await;
    let grants = json!([{ "role": "admin", "instance": instance }]);
    host.post("/v1/users", json!({ "name": marker, "grants": grants }))
        .await;
    host.post("/v1/tokens", json!({ "name": marker, "grants": grants }))
        .await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let sessions = format!("{at}/devices/{DEVICE}/sessions");
    while host.get(&sessions).await["items"]
        .as_array()
        .unwrap()
        .is_empty()
    {
        assert!(tokio::time::Instant::now() < deadline, "no trace");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// All ids that lists show to whoever has this token.
async fn ids(host: &Host, operations: &[Operation], token: &str) -> BTreeSet<String> {
    let mut ids: BTreeSet<String> = [DEVICE.to_owned(), "dhcpd".into()].into();
    for operation in operations {
        if operation.method != "GET" || RESTLESS.contains(&operation.name().as_str()) {
            continue;
        }
        let path = operation.url(|_| DEVICE.into());
        let (_, body) = ask(host, token, "GET", &path, None).await;
        for item in body["items"].as_array().into_iter().flatten() {
            for name in ["id", "name"] {
                ids.extend(item[name].as_str().map(|id| id.replace(' ', "%20")));
            }
        }
    }
    ids
}

/// A path for each of the ids.
fn paths(operation: &Operation, ids: &BTreeSet<String>) -> BTreeSet<String> {
    ids.iter().map(|id| operation.url(|_| id.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_what_is_of_another_instance() {
    let host = two().await;
    let operations = operations(&host).await;
    let south = token(&host, &[("admin", Some("south"))]).await;
    let of_south = ids(&host, &operations, &south).await;
    assert!(of_south.len() >= 5, "{of_south:?}");
    let mut own = 0;
    for role in ["admin", "operator", "support", "read-only"] {
        let north = token(&host, &[(role, Some("north"))]).await;
        for operation in operations
            .iter()
            .filter(|operation| operation.method == "GET")
        {
            if operation.path == "/events" {
                // It has no end; who is let in at all is what can be asked.
                let path = "/v1/instances/south/events";
                let status = super::status(host.api, "GET", path, &super::bearer(&north), "").await;
                assert_eq!(status, 404, "{role}: {path}");
                continue;
            }
            for path in paths(operation, &of_south) {
                let (status, body) = ask(&host, &north, "GET", &path, None).await;
                let text = body.to_string().to_lowercase();
                own += usize::from(text.contains(NORTH));
                if path.contains(SOUTH) {
                    // It may say what it was asked for, and nothing more.
                    assert!(
                        [403, 404, 400].contains(&status),
                        "{role}: {path}: {status}"
                    );
                } else {
                    assert!(!text.contains(SOUTH), "{role}: {path}: {text}");
                }
                let there = path.replacen("/v1", "/v1/instances/south", 1);
                let is_known = operation.permission.is_some();
                let (status, body) = ask(&host, &north, "GET", &there, None).await;
                assert!(
                    !is_known || status == 404,
                    "{role}: {there}: {status} {body}"
                );
            }
        }
    }
    // It does see its own: the markers are where they would be found.
    assert!(own > 40, "{own}");
    host.stop().await;
}

/// All that an administrator of the south sees there.
async fn seen(
    host: &Host,
    operations: &[Operation],
    ids: &BTreeSet<String>,
    south: &str,
) -> Vec<(String, u16, Value)> {
    let mut seen = Vec::new();
    for operation in operations
        .iter()
        .filter(|operation| operation.method == "GET")
    {
        if RESTLESS.contains(&operation.name().as_str()) {
            continue;
        }
        for path in paths(operation, ids) {
            let (status, mut body) = ask(host, south, "GET", &path, None).await;
            still(&mut body);
            seen.push((path, status, body));
        }
    }
    seen
}

/// Without what changes because it was looked at.
fn still(body: &mut Value) {
    match body {
        Value::Object(fields) => {
            fields.remove("used");
            fields.values_mut().for_each(still);
        }
        Value::Array(items) => items.iter_mut().for_each(still),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_changes_what_is_of_another_instance() {
    let host = two().await;
    let operations = operations(&host).await;
    let south = token(&host, &[("admin", Some("south"))]).await;
    let of_south = ids(&host, &operations, &south).await;
    let before = seen(&host, &operations, &of_south, &south).await;
    let found = before
        .iter()
        .filter(|(_, status, _)| *status == 200)
        .count();
    assert!(found > 15, "{before:#?}");
    let north = token(&host, &[("admin", Some("north"))]).await;
    let mut done = 0;
    for operation in operations
        .iter()
        .filter(|operation| operation.method != "GET")
    {
        // The way out of one's own session, and the way in.
        if matches!(operation.permission.as_deref(), None | Some("")) {
            continue;
        }
        for path in paths(operation, &of_south) {
            let body = match operation.name().as_str() {
                "POST /devices/{id}/tasks" => json!({ "operation": { "op": "reboot" } }),
                "PUT /devices/{id}/credentials" => json!({ "password": "another horse" }),
                "PATCH /users/{name}" => json!({ "is_disabled": true }),
                "PATCH /files/{id}" => json!({ "note": "changed" }),
                "PUT /roles/{name}" => json!({ "permissions": ["devices:read"] }),
                _ => json!({}),
            };
            let (status, answer) =
                ask(&host, &north, &operation.method, &path, Some(body.clone())).await;
            done += usize::from(status < 300);
            assert!(
                !answer.to_string().to_lowercase().contains(SOUTH) || status >= 400,
                "{path}: {answer}"
            );
            let there = path.replacen("/v1", "/v1/instances/south", 1);
            let (status, answer) = ask(&host, &north, &operation.method, &there, Some(body)).await;
            assert_eq!(status, 404, "{} {there}: {answer}", operation.method);
        }
    }
    assert!(
        done > 5,
        "the writes do nothing where they are allowed: {done}"
    );
    let after = seen(&host, &operations, &of_south, &south).await;
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
    host.stop().await;
}
