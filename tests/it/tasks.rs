//! Tasks: each operation on both data models, and what becomes of one whose answer is lost.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cpe_sim::{CpeConfig, DataModel, Oddity, SessionReport, Vendor, run_session};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::{Host, Setup, Sim, codes, http, inform, rpcs};

/// Longer than any session here takes.
const WAIT_SECONDS: u64 = 20;

fn both() -> [Vendor; 2] {
    [Vendor::tr181(), Vendor::tr098()]
}

/// A device after its first session.
async fn device(host: &Host, config: CpeConfig) -> Sim {
    let mut sim = Sim::new(CpeConfig {
        acs_url: host.url(),
        ..config
    });
    sim.settle().await;
    sim
}

async fn of(host: &Host, vendor: Vendor) -> Sim {
    device(host, CpeConfig::of(vendor, "T1", "")).await
}

async fn queue(host: &Host, sim: &Sim, operation: Value) -> String {
    let body = json!({ "operation": operation });
    let task = host.post(&format!("{}/tasks", sim.at()), body).await;
    assert_eq!(task["state"], "queued", "{task}");
    task["id"].as_str().unwrap().to_owned()
}

async fn task(host: &Host, id: &str) -> Value {
    host.get(&format!("/v1/tasks/{id}")).await
}

/// Asks for an operation and waits at the API for its end, while the device informs and does
/// all that follows from it.
async fn run(host: &Host, sim: &mut Sim, operation: Value) -> (Value, Vec<SessionReport>) {
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
async fn done(host: &Host, sim: &mut Sim, operation: Value) -> Value {
    let (task, _) = run(host, sim, operation).await;
    assert_eq!(task["state"], "done", "{task}");
    assert_eq!((&task["attempts"], &task["error"]), (&1.into(), &Value::Null), "{task}");
    task["result"].clone()
}

/// [`run`], and it must fail: why.
async fn failed(host: &Host, sim: &mut Sim, operation: Value) -> Value {
    let (task, _) = run(host, sim, operation).await;
    assert_eq!(task["state"], "failed", "{task}");
    assert_eq!((&task["attempts"], &task["result"]), (&1.into(), &Value::Null), "{task}");
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
        let [version, time, server] = ["DeviceInfo.SoftwareVersion", "Time.", "ManagementServer."].map(|p| sim.path(p));
        let [ntp, enable, interval, password] = [
            "Time.NTPServer1",
            "Time.Enable",
            "ManagementServer.PeriodicInformInterval",
            "ManagementServer.ConnectionRequestPassword",
        ]
        .map(|path| sim.path(path));

        let result = done(&host, sim, json!({ "op": "get", "paths": [version, time, server] })).await;
        let parameters = result["parameters"].as_array().unwrap();
        assert_eq!(result["count"], parameters.len());
        assert!(parameters.len() > 20);
        assert_eq!(item(&result, "parameters", &version)["value"], vendor.software_version);
        assert_eq!(item(&result, "parameters", &ntp)["value"], sim.value("Time.NTPServer1"));
        assert_eq!(known(&host, sim, &ntp).await["value"], sim.value("Time.NTPServer1"));

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

        let secret = json!({ "op": "set", "parameters": [{ "path": password, "value": "hidden-word" }] });
        let (task, _) = run(&host, sim, secret).await;
        assert_eq!(task["state"], "done", "{task}");
        assert_eq!(sim.value("ManagementServer.ConnectionRequestPassword"), "hidden-word");
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
        let [time, ntp, code] = ["Time.", "Time.NTPServer1", "DeviceInfo.ProvisioningCode"].map(|p| sim.path(p));

        let result = done(&host, sim, json!({ "op": "names", "path": time, "next_level": true })).await;
        assert_eq!(item(&result, "names", &ntp)["writable"], true);
        assert_eq!(known(&host, sim, &ntp).await["writable"], true);
        let all = done(&host, sim, json!({ "op": "names", "path": "" })).await;
        assert!(all["count"].as_u64().unwrap() > 300, "{}", all["count"]);

        let attribute = json!({ "path": code, "notification": 2, "access_list": ["Subscriber"] });
        done(&host, sim, json!({ "op": "set-attributes", "attributes": [attribute] })).await;
        let result = done(&host, sim, json!({ "op": "attributes", "paths": [code] })).await;
        assert_eq!(*item(&result, "attributes", &code), attribute);
        let now = sim.now();
        assert!(sim.cpe.set(&code, "from the inside", now));
        let [session] = sim.settle().await.try_into().unwrap();
        assert_eq!(codes(&session), ["4 VALUE CHANGE"]);
        assert_eq!(known(&host, sim, &code).await["value"], "from the inside");

        let result = done(&host, sim, json!({ "op": "rpc-methods" })).await;
        assert!(result["methods"].as_array().unwrap().contains(&"ScheduleInform".into()));
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
        assert_eq!(boot.record.events[1].command_key, task["id"].as_str().unwrap());
        assert_eq!(known(&host, sim, &code).await["value"], "mine");

        let (task, sessions) = run(&host, sim, json!({ "op": "factory-reset" })).await;
        assert_eq!(task["state"], "done", "{task}");
        assert_eq!(codes(&sessions[1]), ["0 BOOTSTRAP", "1 BOOT"]);
        assert_eq!(known(&host, sim, &code).await["value"], "", "the device has lost it");
    }
    host.stop().await;
}

/// What came to the file server: method, path and body.
type Requests = Arc<Mutex<Vec<(String, String, String)>>>;

/// A file server: any path but `/missing` is a firmware image, and takes what is put there.
async fn file_server() -> (SocketAddr, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Requests::default();
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let head = loop {
                let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
                let head = String::from_utf8_lossy(&bytes).to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
                let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
                match end {
                    Some(end) if bytes.len() >= end + 4 + length => break end + 4,
                    _ => assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0),
                }
            };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let mut words = text.split(' ').map(str::to_owned);
            let (method, path) = (words.next().unwrap(), words.next().unwrap());
            let answer = match path.as_str() {
                "/missing" => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nversion=9.9.9\n",
            };
            seen.lock().unwrap().push((method, path, text[head..].to_owned()));
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, requests)
}

fn download(files: SocketAddr, path: &str) -> Value {
    json!({
        "op": "download", "file_type": "1 Firmware Upgrade Image", "url": format!("http://{files}{path}"),
        "username": "u", "password": "hidden-word", "file_size": 14,
    })
}

#[tokio::test]
async fn download_and_upload() {
    let host = Setup::new().start().await;
    let (files, requests) = file_server().await;
    for vendor in both() {
        let sim = &mut of(&host, vendor).await;
        let (task, sessions) = run(&host, sim, download(files, "/image")).await;
        assert_eq!(task["state"], "done", "{task}");
        assert!(!task.to_string().contains("hidden-word"), "{task}");
        assert!(task["result"]["complete_time"].as_str().unwrap().starts_with("20"), "{task}");
        let events = codes(&sessions[1]);
        assert_eq!(events, ["1 BOOT", "7 TRANSFER COMPLETE", "M Download"]);
        assert_eq!(sessions[1].record.requests_answered, 1);
        assert_eq!(sim.cpe.software_version(), "9.9.9");
        assert_eq!(host.get(&sim.at()).await["software_version"], "9.9.9");

        let error = failed(&host, sim, download(files, "/missing")).await;
        assert_eq!(error["code"], 9016, "{error}");

        let upload = json!({
            "op": "upload", "file_type": "1 Vendor Configuration File", "url": format!("http://{files}/config"),
        });
        done(&host, sim, upload).await;
        let (method, path, body) = requests.lock().unwrap().pop().unwrap();
        assert_eq!((method.as_str(), path.as_str()), ("PUT", "/config"));
        assert!(body.contains("ManagementServer.PeriodicInformInterval="), "{body}");
    }
    host.stop().await;
}

#[tokio::test]
async fn a_transfer_is_under_way_until_its_end_is_told() {
    let host = Setup::new().start().await;
    let (files, _) = file_server().await;
    for (oddity, state) in [
        (Oddity::TransferWithoutKey, "done"),
        (Oddity::TransferTwice, "done"),
        (Oddity::TransferNever, "sent"),
    ] {
        let config = CpeConfig::tr181(&format!("{oddity:?}"), "").with(oddity);
        let sim = &mut device(&host, config).await;
        let id = queue(&host, sim, download(files, "/image")).await;
        sim.periodic().await;
        assert_eq!(task(&host, &id).await["state"], "sent");
        // Another session in between, with other work in it, is not its end.
        let get = queue(&host, sim, json!({ "op": "get", "paths": [sim.path("Time.Enable")] })).await;
        sim.session().await;
        assert_eq!(task(&host, &id).await["state"], "sent");
        assert_eq!(task(&host, &get).await["state"], "done");
        sim.settle().await;
        assert_eq!(sim.cpe.software_version(), "9.9.9");
        let task = task(&host, &id).await;
        assert_eq!((&task["state"], &task["attempts"]), (&state.into(), &1.into()), "{oddity:?}: {task}");
        assert_eq!(sim.cpe.times_served("Download"), 1);
    }
    host.stop().await;
}

#[tokio::test]
async fn schedule_inform_and_raw() {
    let host = Setup::new().start().await;
    for vendor in both() {
        let sim = &mut of(&host, vendor).await;
        let (task, _) = run(&host, sim, json!({ "op": "schedule-inform", "delay_seconds": 5 })).await;
        assert_eq!(task["state"], "done", "{task}");
        assert!(sim.settle().await.is_empty(), "not yet");
        sim.later(Duration::from_secs(5));
        let [session] = sim.settle().await.try_into().unwrap();
        assert_eq!(codes(&session), ["3 SCHEDULED", "M ScheduleInform"]);
        assert_eq!(session.record.events[1].command_key, task["id"].as_str().unwrap());

        let raw = json!({ "op": "raw", "method": "GetRPCMethods", "xml": "" });
        let result = done(&host, sim, raw).await;
        assert!(result.to_string().contains("SetParameterValues"), "{result}");
        let raw = json!({ "op": "raw", "method": "X_TEST_Blink", "xml": "<Times>3</Times>" });
        let (task, sessions) = run(&host, sim, raw).await;
        assert_eq!((&task["state"], &task["error"]["code"]), (&"failed".into(), &9000.into()), "{task}");
        let asked = format!("{:?}", sessions[0].record.served[0].request);
        assert!(asked.contains("X_TEST_Blink") && asked.contains("<Times>3</Times>"), "{asked}");
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
        assert_eq!((&fault["rpc"], &fault["code"]), (&"SetParameterValues".into(), &9003.into()));
        assert_eq!((&fault["task"], &fault["parameters"]), (&task["id"], &error["parameters"]));
        let (status, _) = host.api("DELETE", &format!("{}/faults", sim.at()), None).await;
        assert_eq!(status, 204);
        let faults = host.get(&format!("{}/faults", sim.at())).await;
        assert_eq!(faults["items"], json!([]));
    }
    let config = CpeConfig::tr181("E", "").with(Oddity::NamesAnsweredEmpty);
    let sim = &mut device(&host, config).await;
    let error = failed(&host, sim, json!({ "op": "names", "path": "Device." })).await;
    assert!(error["text"].as_str().unwrap().contains("empty POST"), "{error}");
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
    assert_eq!(sim.cpe.times_served("Reboot"), 1, "neither the expired nor the cancelled");
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
        values.extend(task["result"]["parameters"][0]["value"].as_str().map(str::to_owned));
    }
    assert_eq!(values, ["one", "two", "three"]);
    let listed = host.get(&format!("{}/tasks", sim.at())).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 6);
    host.stop().await;
}

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
    assert_eq!((&task["state"], &task["attempts"]), (&"done".into(), &1.into()), "{task}");
    assert!(task["result"]["note"].as_str().unwrap().contains("answer was lost"), "{task}");
    assert_eq!(sim.cpe.times_served("Reboot"), 1);
    host.stop().await;
}

/// A session of the device `00AABB-Box-1` by hand, up to the first request of the ACS. It is not
/// answered.
async fn asked(host: &Host, events: &[&str]) -> String {
    let first = http(host.cwmp, "POST", "/", "", inform("1", events).as_bytes()).await;
    let cookie = first.head.lines().find_map(|line| line.strip_prefix("Set-Cookie:"));
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
        (json!({ "op": "reboot" }), "Reboot", ["1 BOOT"].as_slice(), "done"),
        (json!({ "op": "reboot" }), "Reboot", &["2 PERIODIC"], "failed"),
        (json!({ "op": "factory-reset" }), "FactoryReset", &["0 BOOTSTRAP", "1 BOOT"], "done"),
        (json!({ "op": "factory-reset" }), "FactoryReset", &["1 BOOT"], "failed"),
        (json!({ "op": "add-object", "object": object }), "AddObject", &["1 BOOT"], "failed"),
        (json!({ "op": "delete-object", "object": format!("{object}1.") }), "DeleteObject", &["2 PERIODIC"], "failed"),
        (json!({ "op": "download", "file_type": "1 Firmware Upgrade Image", "url": url }), "Download", &["1 BOOT"], "failed"),
        (json!({ "op": "upload", "file_type": "1 Vendor Configuration File", "url": url }), "Upload", &["1 BOOT"], "failed"),
        (json!({ "op": "raw", "method": "X_TEST_Blink", "xml": "" }), "X_TEST_Blink", &["1 BOOT"], "failed"),
        (json!({ "op": "get", "paths": [name] }), "GetParameterValues", &["1 BOOT"], "sent"),
        (json!({ "op": "set", "parameters": [{ "path": name, "value": "x" }] }), "SetParameterValues", &["1 BOOT"], "sent"),
        (json!({ "op": "names", "path": name }), "GetParameterNames", &["2 PERIODIC"], "sent"),
        (json!({ "op": "attributes", "paths": [name] }), "GetParameterAttributes", &["2 PERIODIC"], "sent"),
        (json!({ "op": "set-attributes", "attributes": [{ "path": name, "notification": 1 }] }), "SetParameterAttributes", &["2 PERIODIC"], "sent"),
        (json!({ "op": "rpc-methods" }), "GetRPCMethods", &["2 PERIODIC"], "sent"),
        (json!({ "op": "schedule-inform", "delay_seconds": 60 }), "ScheduleInform", &["2 PERIODIC"], "sent"),
    ] {
        let body = json!({ "operation": operation });
        let id = host.post("/v1/devices/00AABB-Box-1/tasks", body).await["id"].clone();
        let id = id.as_str().unwrap();
        let called = format!("<cwmp:{method}");
        assert!(asked(&host, &["2 PERIODIC"]).await.contains(&called), "{operation}");
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
                assert!(task["error"]["text"].as_str().unwrap().contains("outcome unknown"), "{task}");
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
    assert_eq!((&task["state"], &task["attempts"]), (&"failed".into(), &5.into()), "{task}");
    assert!(task["error"]["text"].as_str().unwrap().contains("no answer in 5 sessions"), "{task}");
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
    assert_eq!(added.parse::<u32>().unwrap(), rows.parse::<u32>().unwrap() + 1);
    host.stop().await;
}
