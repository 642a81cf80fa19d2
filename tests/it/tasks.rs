//! Tasks: each operation on both data models, faults, order, expiry and cancellation.

mod flows;
mod lost;
mod modules;
mod transfers;
mod wildcards;

use std::time::Duration;

use cpe_sim::{CpeConfig, DataModel, Oddity, SessionReport, Vendor};
use serde_json::{Value, json};

use crate::harness::{Host, Setup, Sim, codes};

/// Longer than any session here takes.
const WAIT_SECONDS: u64 = 20;

pub(crate) fn both() -> [Vendor; 2] {
    [Vendor::tr181(), Vendor::tr098()]
}

/// A device after its first session.
pub(crate) async fn device(host: &Host, config: CpeConfig) -> Sim {
    let mut sim = Sim::new(CpeConfig {
        acs_url: host.url(),
        ..config
    });
    sim.settle().await;
    sim
}

pub(crate) async fn of(host: &Host, vendor: Vendor) -> Sim {
    device(host, CpeConfig::of(vendor, "T1", "")).await
}

pub(crate) async fn queue(host: &Host, sim: &Sim, operation: Value) -> String {
    let body = json!({ "operation": operation });
    let task = host.post(&format!("{}/tasks", sim.at()), body).await;
    assert_eq!(task["state"], "queued", "{task}");
    task["id"].as_str().unwrap().to_owned()
}

pub(crate) async fn task(host: &Host, id: &str) -> Value {
    host.get(&format!("/v1/tasks/{id}")).await
}

/// Asks for an operation and waits at the API for its end, while the device informs and does
/// all that follows from it.
pub(crate) async fn run(
    host: &Host,
    sim: &mut Sim,
    operation: Value,
) -> (Value, Vec<SessionReport>) {
    let tasks = format!("{}/tasks", sim.at());
    let body = json!({ "operation": operation, "wait_seconds": WAIT_SECONDS });
    let served = async {
        host.until(&tasks, |tasks| tasks["items"][0]["state"] == "queued")
            .await;
        let mut sessions = vec![sim.periodic().await];
        sessions.extend(sim.settle().await);
        sessions
    };
    tokio::join!(host.post(&tasks, body), served)
}

/// [`run`], and it must end well: its result.
pub(crate) async fn done(host: &Host, sim: &mut Sim, operation: Value) -> Value {
    let (task, _) = run(host, sim, operation).await;
    assert_eq!(task["state"], "done", "{task}");
    assert_eq!(
        (&task["attempts"], &task["error"]),
        (&1.into(), &Value::Null),
        "{task}"
    );
    task["result"].clone()
}

/// [`run`], and it must fail: why.
pub(crate) async fn failed(host: &Host, sim: &mut Sim, operation: Value) -> Value {
    let (task, _) = run(host, sim, operation).await;
    assert_eq!(task["state"], "failed", "{task}");
    assert_eq!(
        (&task["attempts"], &task["result"]),
        (&1.into(), &Value::Null),
        "{task}"
    );
    task["error"].clone()
}

/// The item of a result's list that is for this path.
fn item<'r>(result: &'r Value, list: &str, path: &str) -> &'r Value {
    let items = result[list].as_array().unwrap();
    let found = items.iter().find(|item| item["path"] == path);
    found.unwrap_or_else(|| panic!("no {path} in {result}"))
}

/// What the API shows of a parameter.
async fn known(host: &Host, sim: &Sim, path: &str) -> Value {
    let device = host.get(&format!("{}?parameters={path}", sim.at())).await;
    device["parameters"][path].clone()
}

#[tokio::test]
async fn get_and_set() {
    let host = Setup::new().start().await;
    for vendor in both() {
        let sim = &mut of(&host, vendor).await;
        let [version, time, server] =
            ["DeviceInfo.SoftwareVersion", "Time.", "ManagementServer."].map(|p| sim.path(p));
        let [ntp, enable, interval, password] = [
            "Time.NTPServer1",
            "Time.Enable",
            "ManagementServer.PeriodicInformInterval",
            "ManagementServer.ConnectionRequestPassword",
        ]
        .map(|path| sim.path(path));

        let result = done(
            &host,
            sim,
            json!({ "op": "get", "paths": [version, time, server] }),
        )
        .await;
        let parameters = result["parameters"].as_array().unwrap();
        assert_eq!(result["count"], parameters.len());
        assert!(parameters.len() > 20);
        assert_eq!(
            item(&result, "parameters", &version)["value"],
            vendor.software_version
        );
        assert_eq!(
            item(&result, "parameters", &ntp)["value"],
            sim.value("Time.NTPServer1")
        );
        assert_eq!(
            known(&host, sim, &ntp).await["value"],
            sim.value("Time.NTPServer1")
        );

        let set = json!({ "op": "set", "parameters": [
            { "path": ntp, "value": "ntp.test" },
            { "path": enable, "value": "false", "type": "boolean" },
            // Its type is that of the reading: a string would be fault 9006.
            { "path": interval, "value": "3600" },
        ] });
        assert_eq!(done(&host, sim, set).await["applied"], "now");
        assert_eq!(sim.value("Time.NTPServer1"), "ntp.test");
        assert_eq!(sim.value("Time.Enable"), "0");
        assert_eq!(sim.value("ManagementServer.PeriodicInformInterval"), "3600");
        assert_eq!(known(&host, sim, &ntp).await["value"], "ntp.test");

        let secret =
            json!({ "op": "set", "parameters": [{ "path": password, "value": "hidden-word" }] });
        let (task, _) = run(&host, sim, secret).await;
        assert_eq!(task["state"], "done", "{task}");
        assert_eq!(
            sim.value("ManagementServer.ConnectionRequestPassword"),
            "hidden-word"
        );
        let device = host.get(&format!("{}?parameters=", sim.at())).await;
        assert_eq!(device["connection_request"]["has_credentials"], true);
        let tasks = host.get(&format!("{}/tasks", sim.at())).await;
        for shown in [task, device, tasks] {
            assert!(!shown.to_string().contains("hidden-word"), "{shown}");
        }
    }
    host.stop().await;
}

#[tokio::test]
async fn names_attributes_and_methods() {
    let host = Setup::new().start().await;
    for vendor in both() {
        let sim = &mut of(&host, vendor).await;
        let [time, ntp, code] =
            ["Time.", "Time.NTPServer1", "DeviceInfo.ProvisioningCode"].map(|p| sim.path(p));

        let result = done(
            &host,
            sim,
            json!({ "op": "names", "path": time, "next_level": true }),
        )
        .await;
        assert_eq!(item(&result, "names", &ntp)["writable"], true);
        assert_eq!(known(&host, sim, &ntp).await["writable"], true);
        let all = done(&host, sim, json!({ "op": "names", "path": "" })).await;
        assert!(all["count"].as_u64().unwrap() > 300, "{}", all["count"]);

        let attribute = json!({ "path": code, "notification": 2, "access_list": ["Subscriber"] });
        done(
            &host,
            sim,
            json!({ "op": "set-attributes", "attributes": [attribute] }),
        )
        .await;
        let result = done(&host, sim, json!({ "op": "attributes", "paths": [code] })).await;
        assert_eq!(*item(&result, "attributes", &code), attribute);
        let now = sim.now();
        assert!(sim.cpe.set(&code, "from the inside", now));
        let [session] = sim.settle().await.try_into().unwrap();
        assert_eq!(codes(&session), ["4 VALUE CHANGE"]);
        assert_eq!(known(&host, sim, &code).await["value"], "from the inside");

        let result = done(&host, sim, json!({ "op": "rpc-methods" })).await;
        assert!(
            result["methods"]
                .as_array()
                .unwrap()
                .contains(&"ScheduleInform".into())
        );
    }
    host.stop().await;
}

#[tokio::test]
async fn objects() {
    let host = Setup::new().start().await;
    for vendor in both() {
        let sim = &mut of(&host, vendor).await;
        let table = sim.path(match vendor.data_model {
            DataModel::Tr181 => "NAT.PortMapping.",
            DataModel::Tr098 => "Layer3Forwarding.Forwarding.",
        });
        let result = done(&host, sim, json!({ "op": "add-object", "object": table })).await;
        assert_eq!(result["applied"], "now");
        let row = format!("{table}{}.", result["instance_number"]);
        let enable = format!("{row}Enable");
        let get = json!({ "op": "get", "paths": [row] });
        let result = done(&host, sim, get.clone()).await;
        assert_eq!(item(&result, "parameters", &enable)["value"], "0");
        assert_eq!(known(&host, sim, &enable).await["value"], "0");

        done(&host, sim, json!({ "op": "delete-object", "object": row })).await;
        assert_eq!(known(&host, sim, &enable).await, Value::Null);
        assert_eq!(failed(&host, sim, get).await["code"], 9005);
    }
    host.stop().await;
}

#[tokio::test]
async fn reboot_and_factory_reset() {
    let host = Setup::new().start().await;
    for vendor in both() {
        let sim = &mut of(&host, vendor).await;
        let code = sim.path("DeviceInfo.ProvisioningCode");
        let set = json!({ "op": "set", "parameters": [{ "path": code, "value": "mine" }] });
        done(&host, sim, set).await;

        let (task, sessions) = run(&host, sim, json!({ "op": "reboot" })).await;
        assert_eq!(task["state"], "done", "{task}");
        let [_, boot] = sessions.try_into().unwrap();
        assert_eq!(codes(&boot), ["1 BOOT", "M Reboot"]);
        assert_eq!(
            boot.record.events[1].command_key,
            task["id"].as_str().unwrap()
        );
        assert_eq!(known(&host, sim, &code).await["value"], "mine");

        let (task, sessions) = run(&host, sim, json!({ "op": "factory-reset" })).await;
        assert_eq!(task["state"], "done", "{task}");
        assert_eq!(codes(&sessions[1]), ["0 BOOTSTRAP", "1 BOOT"]);
        assert_eq!(
            known(&host, sim, &code).await["value"],
            "",
            "the device has lost it"
        );
    }
    host.stop().await;
}

#[tokio::test]
async fn schedule_inform_and_raw() {
    let host = Setup::new().start().await;
    for vendor in both() {
        let sim = &mut of(&host, vendor).await;
        let (task, _) = run(
            &host,
            sim,
            json!({ "op": "schedule-inform", "delay_seconds": 5 }),
        )
        .await;
        assert_eq!(task["state"], "done", "{task}");
        assert!(sim.settle().await.is_empty(), "not yet");
        sim.later(Duration::from_secs(5));
        let [session] = sim.settle().await.try_into().unwrap();
        assert_eq!(codes(&session), ["3 SCHEDULED", "M ScheduleInform"]);
        assert_eq!(
            session.record.events[1].command_key,
            task["id"].as_str().unwrap()
        );

        let raw = json!({ "op": "raw", "method": "GetRPCMethods", "xml": "" });
        let result = done(&host, sim, raw).await;
        assert!(
            result.to_string().contains("SetParameterValues"),
            "{result}"
        );
        let raw = json!({ "op": "raw", "method": "X_TEST_Blink", "xml": "<Times>3</Times>" });
        let (task, sessions) = run(&host, sim, raw).await;
        assert_eq!(
            (&task["state"], &task["error"]["code"]),
            (&"failed".into(), &9000.into()),
            "{task}"
        );
        let asked = format!("{:?}", sessions[0].record.served[0].request);
        assert!(
            asked.contains("X_TEST_Blink") && asked.contains("<Times>3</Times>"),
            "{asked}"
        );
    }
    host.stop().await;
}

#[tokio::test]
async fn a_fault_is_told_as_the_device_tells_it() {
    let host = Setup::new().start().await;
    for vendor in both() {
        let sim = &mut of(&host, vendor).await;
        let (good, bad) = (sim.path("Time.NTPServer1"), sim.path("Time.NoSuch"));
        let before = sim.value("Time.NTPServer1");
        let set = json!({ "op": "set", "parameters": [
            { "path": good, "value": "ntp.test" }, { "path": bad, "value": "x" },
        ] });
        let (task, _) = run(&host, sim, set).await;
        assert_eq!(task["state"], "failed", "{task}");
        let error = &task["error"];
        assert_eq!(error["code"], 9003);
        assert_eq!(error["parameters"][0]["path"], *bad);
        assert_eq!(error["parameters"][0]["code"], 9005);
        assert_eq!(sim.value("Time.NTPServer1"), before, "all or nothing");
        assert_ne!(known(&host, sim, &good).await["value"], "ntp.test");

        let faults = host.get(&format!("{}/faults", sim.at())).await;
        let fault = &faults["items"][0];
        assert_eq!(
            (&fault["rpc"], &fault["code"]),
            (&"SetParameterValues".into(), &9003.into())
        );
        assert_eq!(
            (&fault["task"], &fault["parameters"]),
            (&task["id"], &error["parameters"])
        );
        let (status, _) = host
            .api("DELETE", &format!("{}/faults", sim.at()), None)
            .await;
        assert_eq!(status, 204);
        let faults = host.get(&format!("{}/faults", sim.at())).await;
        assert_eq!(faults["items"], json!([]));
    }
    let config = CpeConfig::tr181("E", "").with(Oddity::NamesAnsweredEmpty);
    let sim = &mut device(&host, config).await;
    let error = failed(&host, sim, json!({ "op": "names", "path": "Device." })).await;
    assert!(
        error["text"].as_str().unwrap().contains("empty POST"),
        "{error}"
    );
    host.stop().await;
}

#[tokio::test]
async fn queued_tasks_expire_and_can_be_cancelled() {
    let host = Setup::new().start().await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    let tasks = format!("{}/tasks", sim.at());
    let reboot = json!({ "op": "reboot" });
    let body = json!({ "operation": reboot, "expires_seconds": 1, "wait_seconds": WAIT_SECONDS });
    let expired = host.post(&tasks, body).await;
    assert_eq!(expired["state"], "expired", "{expired}");

    let id = queue(&host, sim, reboot.clone()).await;
    let cancel = format!("/v1/tasks/{id}/cancel");
    assert_eq!(host.post(&cancel, Value::Null).await["state"], "cancelled");
    assert_eq!(host.api("POST", &cancel, None).await.0, 404, "it has ended");
    assert_eq!(task(&host, &id).await["state"], "cancelled");

    // Who does not want to wait longer is told where it stands.
    let body = json!({ "operation": reboot, "wait_seconds": 1 });
    let waited = host.post(&tasks, body).await;
    assert_eq!(waited["state"], "queued", "{waited}");
    // Its RPC has left: it cannot be taken back any more.
    sim.post_until(&host, "Reboot").await;
    let cancel = format!("/v1/tasks/{}/cancel", waited["id"].as_str().unwrap());
    let (status, error) = host.api("POST", &cancel, None).await;
    assert_eq!(status, 409, "{error}");
    sim.post_rest(&host).await;
    assert_eq!(
        sim.cpe.times_served("Reboot"),
        1,
        "neither the expired nor the cancelled"
    );
    host.stop().await;
}

#[tokio::test]
async fn tasks_run_in_order_and_join_a_session_under_way() {
    let host = Setup::new().start().await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    let ntp = sim.path("Time.NTPServer1");
    let set = |value: &str| json!({ "op": "set", "parameters": [{ "path": ntp, "value": value }] });
    let get = json!({ "op": "get", "paths": [ntp] });
    let mut ids = Vec::new();
    for operation in [set("one"), get.clone(), set("two"), get.clone()] {
        ids.push(queue(&host, sim, operation).await);
    }
    sim.post_until(&host, "SetParameterValues").await;
    // Somebody asks while the session runs.
    ids.push(queue(&host, sim, set("three")).await);
    ids.push(queue(&host, sim, get).await);
    sim.post_rest(&host).await;
    let mut values = Vec::new();
    for id in ids {
        let task = task(&host, &id).await;
        assert_eq!(task["state"], "done", "{task}");
        values.extend(
            task["result"]["parameters"][0]["value"]
                .as_str()
                .map(str::to_owned),
        );
    }
    assert_eq!(values, ["one", "two", "three"]);
    let listed = host.get(&format!("{}/tasks", sim.at())).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 6);
    host.stop().await;
}
