//! Tasks whose answer is lost: done, failed or sent again, but nothing is done twice that must not be.

use cpe_sim::{CpeConfig, Oddity, Vendor, run_session};
use serde_json::json;

use super::{device, of, queue, task};
use crate::harness::{Host, Setup, codes, http, inform, rpcs};

#[tokio::test]
async fn a_device_that_hangs_up_at_a_reboot_has_done_it() {
    let host = Setup::new().start().await;
    let config = CpeConfig::tr181("T1", "").with(Oddity::DropsAtReboot);
    let sim = &mut device(&host, config).await;
    let id = queue(&host, sim, json!({ "op": "reboot" })).await;
    run_session(&mut sim.cpe, &sim.options).await.unwrap_err();
    assert_eq!(task(&host, &id).await["state"], "sent");
    let [boot] = sim.settle().await.try_into().unwrap();
    assert_eq!(codes(&boot), ["1 BOOT", "M Reboot"]);
    assert!(rpcs(&boot).is_empty(), "{boot:?}");
    let task = task(&host, &id).await;
    assert_eq!(
        (&task["state"], &task["attempts"]),
        (&"done".into(), &1.into()),
        "{task}"
    );
    assert!(
        task["result"]["note"]
            .as_str()
            .unwrap()
            .contains("answer was lost"),
        "{task}"
    );
    assert_eq!(sim.cpe.times_served("Reboot"), 1);
    host.stop().await;
}

/// A session of the device `00AABB-Box-1` by hand, up to the first request of the ACS. It is not
/// answered.
async fn asked(host: &Host, events: &[&str]) -> String {
    let first = http(host.cwmp, "POST", "/", "", inform("1", events).as_bytes()).await;
    let cookie = first
        .head
        .lines()
        .find_map(|line| line.strip_prefix("Set-Cookie:"));
    let cookie = cookie.unwrap().split(';').next().unwrap();
    let asked = http(host.cwmp, "POST", "/", &format!("Cookie:{cookie}\r\n"), b"").await;
    asked.text()
}

#[tokio::test]
async fn an_answer_that_is_lost() {
    let host = Setup::new().start().await;
    assert_eq!(asked(&host, &["0 BOOTSTRAP"]).await, "");
    let object = "InternetGatewayDevice.Layer3Forwarding.Forwarding.";
    let name = "InternetGatewayDevice.Time.NTPServer1";
    let url = "http://192.0.2.1/file";
    // The operation, its RPC, how the device comes back, and what becomes of the task.
    for (operation, method, events, state) in [
        (
            json!({ "op": "reboot" }),
            "Reboot",
            ["1 BOOT"].as_slice(),
            "done",
        ),
        (
            json!({ "op": "reboot" }),
            "Reboot",
            &["2 PERIODIC"],
            "failed",
        ),
        (
            json!({ "op": "factory-reset" }),
            "FactoryReset",
            &["0 BOOTSTRAP", "1 BOOT"],
            "done",
        ),
        (
            json!({ "op": "factory-reset" }),
            "FactoryReset",
            &["1 BOOT"],
            "failed",
        ),
        (
            json!({ "op": "add-object", "object": object }),
            "AddObject",
            &["1 BOOT"],
            "failed",
        ),
        (
            json!({ "op": "delete-object", "object": format!("{object}1.") }),
            "DeleteObject",
            &["2 PERIODIC"],
            "failed",
        ),
        (
            json!({ "op": "download", "file_type": "1 Firmware Upgrade Image", "url": url }),
            "Download",
            &["1 BOOT"],
            "failed",
        ),
        (
            json!({ "op": "upload", "file_type": "1 Vendor Configuration File", "url": url }),
            "Upload",
            &["1 BOOT"],
            "failed",
        ),
        (
            json!({ "op": "raw", "method": "X_TEST_Blink", "xml": "" }),
            "X_TEST_Blink",
            &["1 BOOT"],
            "failed",
        ),
        (
            json!({ "op": "get", "paths": [name] }),
            "GetParameterValues",
            &["1 BOOT"],
            "sent",
        ),
        (
            json!({ "op": "set", "parameters": [{ "path": name, "value": "x" }] }),
            "SetParameterValues",
            &["1 BOOT"],
            "sent",
        ),
        (
            json!({ "op": "names", "path": name }),
            "GetParameterNames",
            &["2 PERIODIC"],
            "sent",
        ),
        (
            json!({ "op": "attributes", "paths": [name] }),
            "GetParameterAttributes",
            &["2 PERIODIC"],
            "sent",
        ),
        (
            json!({ "op": "set-attributes", "attributes": [{ "path": name, "notification": 1 }] }),
            "SetParameterAttributes",
            &["2 PERIODIC"],
            "sent",
        ),
        (
            json!({ "op": "rpc-methods" }),
            "GetRPCMethods",
            &["2 PERIODIC"],
            "sent",
        ),
        (
            json!({ "op": "schedule-inform", "delay_seconds": 60 }),
            "ScheduleInform",
            &["2 PERIODIC"],
            "sent",
        ),
    ] {
        let body = json!({ "operation": operation });
        let id = host.post("/v1/devices/00AABB-Box-1/tasks", body).await["id"].clone();
        let id = id.as_str().unwrap();
        let called = format!("<cwmp:{method}");
        assert!(
            asked(&host, &["2 PERIODIC"]).await.contains(&called),
            "{operation}"
        );
        let second = asked(&host, events).await;
        let task = task(&host, id).await;
        assert_eq!(task["state"], state, "{events:?}: {task}");
        match state {
            // Asked again: for that it must do no harm to be done twice.
            "sent" => {
                assert!(second.contains(&called), "{operation}: {second}");
                assert_eq!(task["attempts"], 2);
                give_up(&host, id).await;
            }
            "failed" => {
                assert!(
                    task["error"]["text"]
                        .as_str()
                        .unwrap()
                        .contains("outcome unknown"),
                    "{task}"
                );
                assert_eq!((second.as_str(), &task["attempts"]), ("", &1.into()));
            }
            _ => assert_eq!((second.as_str(), &task["attempts"]), ("", &1.into())),
        }
    }
    host.stop().await;
}

/// Sessions without an answer until the host has had enough of the task.
async fn give_up(host: &Host, id: &str) {
    for _ in 0..3 {
        assert_ne!(asked(host, &["2 PERIODIC"]).await, "");
    }
    assert_eq!(asked(host, &["2 PERIODIC"]).await, "");
    let task = task(host, id).await;
    assert_eq!(
        (&task["state"], &task["attempts"]),
        (&"failed".into(), &5.into()),
        "{task}"
    );
    assert!(
        task["error"]["text"]
            .as_str()
            .unwrap()
            .contains("no answer in 5 sessions"),
        "{task}"
    );
}

#[tokio::test]
async fn an_object_is_not_added_twice() {
    let host = Setup::new().start().await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    let rows = sim.value("NAT.PortMappingNumberOfEntries");
    let table = sim.path("NAT.PortMapping.");
    let id = queue(&host, sim, json!({ "op": "add-object", "object": table })).await;
    sim.post_until(&host, "AddObject").await;
    sim.hang_up();
    sim.periodic().await;
    let task = task(&host, &id).await;
    assert_eq!(task["state"], "failed", "{task}");
    assert_eq!(sim.cpe.times_served("AddObject"), 1);
    let added = sim.value("NAT.PortMappingNumberOfEntries");
    assert_eq!(
        added.parse::<u32>().unwrap(),
        rows.parse::<u32>().unwrap() + 1
    );
    host.stop().await;
}
