//! What a kill hits once in thousands of times, brought about by hand: a session that breaks
//! between two messages looks the same to the host as a kill between them.

use cpe_sim::CpeConfig;
use patchbay::device::{DeviceKey, device_id};
use serde_json::json;

use crate::harness::{Host, Setup, Sim, http, inform};

const TASKS: &str = "/v1/devices/00AABB-Box-1/tasks";

async fn post(host: &Host, cookie: &str, body: &str) -> (String, String) {
    let answer = http(
        host.cwmp,
        "POST",
        "/",
        &format!("Cookie: {cookie}\r\n"),
        body.as_bytes(),
    )
    .await;
    let set = answer
        .head
        .lines()
        .find_map(|line| line.strip_prefix("Set-Cookie: "));
    let cookie = set
        .map_or(cookie, |set| set.split(';').next().unwrap())
        .to_owned();
    (cookie, answer.text())
}

/// Of two reboots the first was done, and the device's session ended with it: that it comes back
/// with the first one's key says nothing of the second.
#[tokio::test]
async fn a_boot_that_another_reboot_explains_is_not_this_ones() {
    let host = Setup::new().start().await;
    post(&host, "", &inform("1", &["2 PERIODIC"])).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let task = host
            .post(TASKS, json!({ "operation": { "op": "reboot" } }))
            .await;
        ids.push(task["id"].as_str().unwrap().to_owned());
    }
    let (cookie, _) = post(&host, "", &inform("1", &["2 PERIODIC"])).await;
    let (_, first) = post(&host, &cookie, "").await;
    assert!(
        first.contains(&format!("<CommandKey>{}<", ids[0])),
        "{first}"
    );
    let response = inform("1", &[]).replace("<cwmp:Inform>", "<cwmp:RebootResponse>");
    let (start, end) = response.split_once("<DeviceId>").unwrap();
    assert!(end.contains("</cwmp:Inform>"));
    let response = format!("{start}</cwmp:RebootResponse></soap-env:Body></soap-env:Envelope>");
    let (_, second) = post(&host, &cookie, &response).await;
    assert!(
        second.contains(&format!("<CommandKey>{}<", ids[1])),
        "{second}"
    );

    let key = format!(
        "<EventCode>M Reboot</EventCode><CommandKey>{}</CommandKey>",
        ids[0]
    );
    let back = inform("1", &["1 BOOT", "M Reboot"]).replace(
        "<EventCode>M Reboot</EventCode><CommandKey></CommandKey>",
        &key,
    );
    let (cookie, _) = post(&host, "", &back).await;
    assert_eq!(post(&host, &cookie, "").await.1, "");
    let states = [
        host.get(&format!("/v1/tasks/{}", ids[0])).await["state"].clone(),
        host.get(&format!("/v1/tasks/{}", ids[1])).await["state"].clone(),
    ];
    assert_eq!(states, ["done", "failed"], "the second one is unknown");
    host.stop().await;
}

/// Twice in a row the answer to new credentials is lost, the second time with the request: the
/// device has the first ones, and has to be callable with them.
#[tokio::test]
async fn credentials_whose_answer_was_lost_are_not_forgotten_for_newer_ones() {
    let host = Setup::shipped().start().await;
    let connection_request_url = "http://127.0.0.1:9/".to_owned();
    let mut sim = Sim::new(CpeConfig {
        connection_request_url,
        ..CpeConfig::tr181("1", "")
    });
    sim.post_until(&host, "SetParameterValues").await;
    sim.hang_up();
    let has = sim.cpe.connection_request_login(sim.now());

    // The same device again: it is asked, and never gets that.
    let (cookie, _) = post(&host, "", &again(&sim)).await;
    let (_, asked) = post(&host, &cookie, "").await;
    assert!(asked.contains("ConnectionRequestPassword"), "{asked}");
    assert!(!asked.contains(&has.1), "a new password each time");

    let id = device_id(&sim.cpe.device_id());
    let key = DeviceKey {
        instance: "default".into(),
        id: id.as_str().into(),
    };
    let cell = host.acs.store.device(&key).unwrap().unwrap();
    let request = cell.lock().summary().connection_request.clone();
    let mut known = request
        .credentials
        .iter()
        .chain(&request.pending_credentials);
    assert!(
        known.any(|known| (&known.username, &known.password) == (&has.0, &has.1)),
        "{request:?}"
    );
    host.stop().await;
}

/// An Inform of this simulated device, which hears nothing of the answer.
fn again(sim: &Sim) -> String {
    let id = sim.cpe.device_id();
    inform("1", &["2 PERIODIC"])
        .replace("<OUI>00AABB<", &format!("<OUI>{}<", id.oui))
        .replace(
            "<ProductClass>Box<",
            &format!("<ProductClass>{}<", id.product_class),
        )
        .replace("InternetGatewayDevice.", "Device.")
}
