//! A plugin's flow as the operation of a campaign, and campaigns that are in each other's way.

use std::time::Duration;

use cpe_sim::{Fleet, FleetConfig, Vendor};
use serde_json::{Value, json};

use crate::harness::{Host, Live, Setup};

/// Devices of the fleet.
const DEVICES: usize = 3;

async fn create(host: &Host, definition: Value) -> String {
    let made = host.post("/v1/campaigns", definition).await;
    made["id"].as_str().unwrap().to_owned()
}

/// So many seconds from now.
fn in_seconds(seconds: i64) -> String {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    at.to_string()
}

/// The only device of a campaign, once it stands there.
async fn device_until(host: &Host, id: &str, state: &str) -> Value {
    let path = format!("/v1/campaigns/{id}/devices");
    let stands = |devices: &Value| devices["items"][0]["state"] == state;
    host.until(&path, stands).await["items"][0].clone()
}

#[tokio::test]
async fn a_flow_for_a_fleet() {
    let host = Setup::new()
        .plugin("shipped", "nat-default")
        .plugin("shipped", "first-contact")
        .start()
        .await;
    let fleet = Fleet::start(FleetConfig {
        vendors: vec![Vendor::tr181(), Vendor::tr098()],
        boot_time: Duration::from_millis(50),
        boot_spread: Duration::ZERO,
        ..FleetConfig::new(&host.url(), DEVICES)
    });
    let fleet = fleet.await.unwrap();
    let contacted = "/v1/devices?query=tag+%3D+contacted+and+mode+%3D+direct-http";
    let all_are = |found: &Value| found["items"].as_array().map(Vec::len) == Some(DEVICES);
    host.until(contacted, all_are).await;
    let mut before = Vec::new();
    for device in fleet.devices() {
        let served = device.with(|cpe, _| cpe.times_served("SetParameterValues"));
        before.push(served.await);
    }

    let flow = json!({ "op": "flow", "flow": "first-contact" });
    let unknown = json!({ "name": "x", "operation": { "op": "flow", "flow": "nothing" } });
    let (status, told) = host.api("POST", "/v1/campaigns", Some(unknown)).await;
    assert_eq!(status, 400, "{told}");
    assert_eq!(
        told["error"]["message"],
        "operation: there is no flow \"nothing\"; there are: first-contact"
    );
    let definition = json!({ "name": "new passwords", "operation": flow, "priority": 5 });
    let id = create(&host, definition.clone()).await;
    let preview = host.get(&format!("/v1/campaigns/{id}/preview")).await;
    assert_eq!(preview["devices"], DEVICES, "{preview}");
    assert_eq!(preview["items"][0]["changes"], json!([]), "{preview}");
    let unknown = preview["unknown"].as_str().unwrap();
    assert!(
        unknown.contains("\"first-contact\" writes is not known"),
        "{unknown}"
    );

    host.post(&format!("/v1/campaigns/{id}/start"), Value::Null)
        .await;
    let is_done = |campaign: &Value| campaign["state"] == "done";
    let ended = host.until(&format!("/v1/campaigns/{id}"), is_done).await;
    assert_eq!(ended["counts"]["done"], DEVICES, "{ended}");
    for (device, before) in fleet.devices().zip(before) {
        let served = device.with(|cpe, _| cpe.times_served("SetParameterValues"));
        assert_eq!(served.await, before + 1);
    }
    let tasks = host.get("/v1/tasks").await;
    for task in tasks["items"].as_array().unwrap() {
        assert_eq!(
            (
                &task["campaign"],
                &task["priority"],
                &task["operation"]["flow"]
            ),
            (&json!(id), &json!(5), &json!("first-contact")),
            "{task}"
        );
    }
    a_flow_that_goes_pauses_its_campaign(&host, definition).await;
    the_words_of_tasks_are_those_of_campaigns(&host).await;
    fleet.stop();
    fleet.wait().await;
    host.stop().await;
}

async fn a_flow_that_goes_pauses_its_campaign(host: &Host, mut definition: Value) {
    let plugin = "/v1/plugins/first-contact";
    let enable = async |enabled: bool| {
        let body = json!({ "enabled": enabled });
        assert_eq!(host.api("PATCH", plugin, Some(body)).await.0, 200);
    };
    let id = create(host, definition.clone()).await;
    let path = format!("/v1/campaigns/{id}");
    enable(false).await;
    let (status, told) = host.api("POST", &format!("{path}/start"), None).await;
    assert_eq!(status, 400, "{told}");
    enable(true).await;
    definition["schedule"] = json!({ "start": in_seconds(2) });
    let (status, told) = host.api("PUT", &path, Some(definition)).await;
    assert_eq!(status, 200, "{told}");
    host.post(&format!("{path}/start"), Value::Null).await;
    enable(false).await;
    let paused = host
        .until(&path, |campaign| campaign["state"] == "paused")
        .await;
    let why = paused["why"].as_str().unwrap();
    assert!(
        why.contains("the plugin \"first-contact\" is disabled"),
        "{why}"
    );
    assert_eq!(paused["counts"]["pending"], DEVICES, "{paused}");
    enable(true).await;
    host.post(&format!("{path}/resume"), Value::Null).await;
    let ended = host
        .until(&path, |campaign| campaign["state"] == "done")
        .await;
    assert_eq!(ended["counts"]["done"], DEVICES, "{ended}");
}

async fn the_words_of_tasks_are_those_of_campaigns(host: &Host) {
    let definition = json!({ "name": "all anew", "operation": { "op": "refresh" } });
    let path = format!("/v1/campaigns/{}", create(host, definition).await);
    host.post(&format!("{path}/start"), Value::Null).await;
    let ended = host
        .until(&path, |campaign| campaign["state"] == "done")
        .await;
    assert_eq!(ended["counts"]["done"], DEVICES, "{ended}");
    let devices = host.get(&format!("{path}/devices")).await;
    let mut roots = Vec::new();
    for device in devices["items"].as_array().unwrap() {
        let task = format!("/v1/tasks/{}", device["task"].as_str().unwrap());
        let task = host.get(&task).await;
        roots.push(task["operation"]["paths"][0].as_str().unwrap().to_owned());
    }
    roots.sort();
    roots.dedup();
    assert_eq!(roots, ["Device.", "InternetGatewayDevice."]);
}

#[tokio::test]
async fn a_newcomer_in_two_campaigns_is_in_one_at_a_time() {
    let setup = Setup::new().plugin("shipped", "nat-default");
    let host = setup.plugin("shipped", "first-contact").start().await;
    let definition = |name: &str, start: String| {
        let path = "Device.ManagementServer.PeriodicInformInterval";
        json!({
            "name": name,
            "operation": { "op": "set", "parameters": [{ "path": path, "value": "7200" }] },
            "also_new_devices": true,
            "schedule": { "start": start },
        })
    };
    // Both have the device before the second begins with it.
    let first = create(&host, definition("first", in_seconds(86_400))).await;
    let second = create(&host, definition("second", in_seconds(8))).await;
    for id in [&first, &second] {
        host.post(&format!("/v1/campaigns/{id}/start"), Value::Null)
            .await;
    }
    let live = FleetConfig {
        boot_time: Duration::from_millis(50),
        ..FleetConfig::single(&host.url(), Vendor::tr181())
    };
    let live = Live::start(live).await;
    let device = device_until(&host, &second, "conflict").await;
    let reason = device["reason"].as_str().unwrap();
    assert_eq!(
        reason,
        format!(
            "in conflict with campaign {first} (\"first\"): both set \
             Device.ManagementServer.PeriodicInformInterval"
        )
    );
    let campaign = host.get(&format!("/v1/campaigns/{second}")).await;
    assert_eq!(campaign["counts"]["conflict"], 1, "{campaign}");
    assert_eq!(
        host.get(&format!("{}/tasks", live.at)).await["items"],
        json!([])
    );

    host.post(
        &format!("/v1/campaigns/{first}/abort"),
        json!({ "why": "enough" }),
    )
    .await;
    device_until(&host, &first, "skipped").await;
    device_until(&host, &second, "done").await;

    // All of that is written down, with what was before.
    let audit = host.get("/v1/audit?query=action+%3D+abort_campaign").await;
    let aborted = &audit["items"][0];
    assert_eq!(aborted["before"]["state"], "scheduled", "{audit}");
    assert_eq!(aborted["after"]["campaign"], json!(first), "{audit}");
    let why = aborted["after"]["why"].as_str().unwrap();
    assert!(why.ends_with(": enough"), "{audit}");
    let audit = host.get("/v1/audit?query=action+%3D+create_campaign").await;
    let made = &audit["items"][0];
    assert_eq!(made["after"]["definition"]["name"], "second", "{audit}");
    let changed = json!({ "name": "third", "operation": { "op": "reboot" } });
    let third = create(&host, changed.clone()).await;
    let path = format!("/v1/campaigns/{third}");
    let changed = json!({ "name": "fourth", "operation": { "op": "reboot" } });
    assert_eq!(host.api("PUT", &path, Some(changed)).await.0, 200);
    assert_eq!(host.api("DELETE", &path, None).await.0, 204);
    let audit = host.get("/v1/audit?limit=2").await;
    let (removed, changed) = (&audit["items"][0], &audit["items"][1]);
    assert_eq!(removed["action"], "remove_campaign", "{audit}");
    assert_eq!(removed["before"]["definition"]["name"], "fourth", "{audit}");
    assert_eq!(removed["after"], Value::Null, "{audit}");
    let name = |side: &str| changed[side]["definition"]["name"].clone();
    assert_eq!(
        (name("before"), name("after")),
        (json!("third"), json!("fourth"))
    );
    host.stop().await;
}
