//! A fleet with everything that the simulator can do wrong, against the host as a process of
//! its own, with its durable store and all shipped plugins.
//!
//! A session is *lost* if it broke off although the device did only what it always does: the
//! host refused a message, did not answer, or answered what no device understands. A device
//! that drops its own connection (its oddity), or whose line was cut (the test's doing), has
//! not lost a session: it comes again, and what was asked of it goes on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use cpe_sim::{
    Cuts, DataModel, Device, Fleet, FleetConfig, FleetEvent, Oddity, Served, SessionOptions,
};
use cwmp::Request;
use patchbay::device::device_id;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::crash::server::{Api, Server};

/// Four of each oddity; 2,000 devices with `PATCHBAY_ODD_DEVICES=2000`, in minutes.
const DEVICES: usize = 240;
/// Of each, beside those of its vendor.
const ODDITIES: usize = 3;
const CUT_SHARE: f64 = 0.05;
const CLIENTS: usize = 16;
/// Until all tasks have come to their ends.
const TIME_MAX: Duration = Duration::from_secs(300);
/// From one session of a device that is waited for to the next.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Tasks of a device: a get, an added object, and for every tenth a reboot.
const REBOOTS_EVERY: usize = 10;
const READ: [&str; 20] = [
    "DeviceInfo.Manufacturer",
    "DeviceInfo.ManufacturerOUI",
    "DeviceInfo.ModelName",
    "DeviceInfo.Description",
    "DeviceInfo.ProductClass",
    "DeviceInfo.SerialNumber",
    "DeviceInfo.HardwareVersion",
    "DeviceInfo.SoftwareVersion",
    "DeviceInfo.ProvisioningCode",
    "DeviceInfo.UpTime",
    "DeviceInfo.FirstUseDate",
    "ManagementServer.URL",
    "ManagementServer.ParameterKey",
    "ManagementServer.PeriodicInformEnable",
    "ManagementServer.PeriodicInformInterval",
    "ManagementServer.ConnectionRequestURL",
    "ManagementServer.ConnectionRequestUsername",
    "ManagementServer.Username",
    "Time.Enable",
    "Time.NTPServer1",
];
/// Asked for with them; no device has it.
const NOT_THERE: &str = "DeviceInfo.NoSuchParameter";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_of_an_odd_fleet_is_lost() {
    let ended = run(None).await;
    let lost = ended.lost(&["dropped"]);
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert_eq!(ended.refused, 0, "requests were refused");
    for (task, _) in &ended.tasks {
        match task["operation"]["op"].as_str().unwrap() {
            "get" => {
                assert_eq!(task["state"], "done", "{task}");
                assert_eq!(task["result"]["count"], READ.len(), "{task}");
                let missing = task["result"]["missing"].as_array().unwrap();
                assert_eq!(missing.len(), 1, "{task}");
            }
            "reboot" => assert_eq!(task["state"], "done", "{task}"),
            _ => {}
        }
    }
    ended.operations_were_done_once();
    println!("{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_end_each_task_once_and_repeat_nothing() {
    let ended = run(Some(Cuts {
        share: CUT_SHARE,
        seed: 5,
    }))
    .await;
    assert!(ended.failures.contains_key("cut"), "{:?}", ended.failures);
    let lost = ended.lost(&["dropped", "cut"]);
    assert!(lost.is_empty(), "lost: {lost:?}");
    for (task, _) in &ended.tasks {
        let failed_otherwise = task["state"] == "failed"
            && task["operation"]["op"] == "get"
            && !task["error"]["text"]
                .as_str()
                .unwrap()
                .contains("no answer in");
        assert!(!failed_otherwise, "{task}");
    }
    ended.operations_were_done_once();
    println!("{ended}");
}

/// What came of a fleet.
struct Ended {
    devices: usize,
    /// As the API shows them at the end, with the device.
    tasks: Vec<(Value, Arc<str>)>,
    /// The RPCs of each device that it served.
    served: HashMap<Arc<str>, Vec<Served>>,
    sessions_ok: u64,
    /// Sessions that broke off, by reason, and one of each in words.
    failures: BTreeMap<&'static str, (u64, String)>,
    refused: u64,
    took: Duration,
}

impl Ended {
    fn lost(&self, own_doing: &[&str]) -> Vec<(&str, &(u64, String))> {
        let failures = self.failures.iter();
        failures
            .filter(|(reason, _)| !own_doing.contains(reason))
            .map(|(reason, failure)| (*reason, failure))
            .collect()
    }

    /// What must not be done twice was not, and what counts as done was.
    fn operations_were_done_once(&self) {
        for (task, serial) in &self.tasks {
            let id = task["id"].as_str().unwrap();
            let is_of_task = |served: &&Served| match &served.request {
                Request::AddObject(add) => add.parameter_key == id,
                Request::Reboot(key) => key == id,
                _ => false,
            };
            if task["operation"]["op"] == "get" {
                continue;
            }
            let of_device = self.served.get(serial).map_or(&[][..], Vec::as_slice);
            let asked: Vec<&Served> = of_device.iter().filter(is_of_task).collect();
            let done = asked.iter().filter(|served| served.fault.is_none()).count();
            assert!(asked.len() <= 1, "{} times: {task}", asked.len());
            match task["state"].as_str().unwrap() {
                "done" => assert_eq!(done, 1, "{task}"),
                // Refused, or nobody knows.
                "failed" => {
                    let text = task["error"]["text"].as_str().unwrap();
                    let unknown = text.contains("outcome unknown") || text.contains("empty POST");
                    assert!(done == 0 || unknown, "{task}");
                }
                other => panic!("{other} is no end of {task}"),
            }
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut states: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for (task, _) in &self.tasks {
            let state = task["state"].as_str().unwrap();
            let op = task["operation"]["op"].as_str().unwrap();
            *states.entry((op, state)).or_default() += 1;
        }
        let broken: BTreeMap<_, _> = self.failures.iter().map(|(r, (n, _))| (r, n)).collect();
        write!(
            f,
            "{} devices, {} sessions done in {:.0?}, broken off {broken:?}, tasks {states:?}",
            self.devices, self.sessions_ok, self.took
        )
    }
}

async fn run(cuts: Option<Cuts>) -> Ended {
    let began = Instant::now();
    let count = std::env::var("PATCHBAY_ODD_DEVICES")
        .map_or(DEVICES, |count| count.parse().expect("a number"));
    assert!(count >= Oddity::ALL.len());
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::new(directory.path());
    server.start();
    server.ready().await;
    let fleet = start_fleet(&server.url(), count, cuts).await;
    let told = tokio::spawn(listen(fleet.events()));
    let api = server.api();
    until(began, || async {
        api.get("/v1/status").await["devices"] == count
    })
    .await;

    let devices: Vec<Device> = fleet.devices().collect();
    let mut waiting = JoinSet::new();
    for (path, device) in ask(api, &devices).await {
        waiting.spawn(async move {
            let serial: Arc<str> = Arc::from(device.serial());
            (end_of(api, &path, &device, began).await, serial)
        });
    }
    let tasks = waiting.join_all().await;
    let status = api.get("/v1/status").await;
    fleet.stop();
    fleet.wait().await;
    let (served, failures) = told.await.unwrap();
    for (task, _) in &tasks {
        let again = api
            .get(&format!("/v1/tasks/{}", task["id"].as_str().unwrap()))
            .await;
        assert_eq!(again["state"], task["state"], "{task} had an end already");
    }
    server.kill();
    let stats = fleet.stats();
    Ended {
        devices: count,
        tasks,
        served,
        sessions_ok: stats.sessions_ok,
        failures,
        refused: status["counters"]["requests_refused"].as_u64().unwrap(),
        took: began.elapsed(),
    }
}

/// A task at its end. Its device comes when it likes: here, as often as it takes.
async fn end_of(api: Api, path: &str, device: &Device, began: Instant) -> Value {
    let mut pause = PAUSE_MIN;
    loop {
        device.with(|cpe, now| cpe.connection_request(now)).await;
        tokio::time::sleep(pause).await;
        let task = api.get(path).await;
        if !["queued", "sent"].contains(&task["state"].as_str().unwrap()) {
            return task;
        }
        assert!(began.elapsed() < TIME_MAX, "{task} has no end");
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn start_fleet(url: &str, count: usize, cuts: Option<Cuts>) -> Fleet {
    let fleet = Fleet::start(FleetConfig {
        odd: ODDITIES,
        boot_spread: Duration::from_secs(1),
        boot_time: Duration::from_millis(200),
        sessions_at_once_max: 128,
        session: SessionOptions {
            cuts,
            ..SessionOptions::default()
        },
        ..FleetConfig::new(url, count)
    })
    .await
    .unwrap();
    for device in fleet.devices() {
        let retry_soon = |cpe: &mut cpe_sim::Cpe, now| {
            for (name, value) in [
                ("CWMPRetryMinimumWaitInterval", "1"),
                ("CWMPRetryIntervalMultiplier", "1000"),
            ] {
                assert!(cpe.set(&cpe.management_server(name), value, now));
            }
        };
        device.with(retry_soon).await;
    }
    fleet
}

/// Asks all devices for their tasks: where each is, and whose.
async fn ask(api: Api, devices: &[Device]) -> Vec<(String, Device)> {
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let mine: Vec<(usize, Device)> = devices
            .iter()
            .cloned()
            .enumerate()
            .filter(|(number, _)| number % CLIENTS == client)
            .collect();
        clients.spawn(async move {
            let mut made = Vec::new();
            for (number, device) in mine {
                let (id, model) = device
                    .with(|cpe, _| (device_id(&cpe.device_id()), cpe.data_model()))
                    .await;
                for operation in operations(number, model) {
                    let path = format!("/v1/devices/{id}/tasks");
                    let body = json!({ "operation": operation });
                    let answer = api.request("POST", &path, Some(&body)).await;
                    let Some((201 | 202, task)) = answer else {
                        panic!("{path}: {answer:?}")
                    };
                    let path = format!("/v1/tasks/{}", task["id"].as_str().unwrap());
                    made.push((path, device.clone()));
                }
            }
            made
        });
    }
    clients.join_all().await.into_iter().flatten().collect()
}

fn operations(number: usize, model: DataModel) -> Vec<Value> {
    let root = model.root();
    let mut paths: Vec<String> = READ.iter().map(|name| format!("{root}{name}")).collect();
    paths.insert(number % READ.len(), format!("{root}{NOT_THERE}"));
    let table = match model {
        DataModel::Tr098 => "InternetGatewayDevice.Layer3Forwarding.Forwarding.",
        DataModel::Tr181 => "Device.ManagementServer.InformParameter.",
    };
    let mut operations = vec![
        json!({ "op": "get", "paths": paths }),
        json!({ "op": "add-object", "object": table }),
    ];
    if number.is_multiple_of(REBOOTS_EVERY) {
        operations.push(json!({ "op": "reboot" }));
    }
    operations
}

type Failures = BTreeMap<&'static str, (u64, String)>;

/// Writes down what all devices served and why sessions broke off, to the end of the fleet.
async fn listen(
    mut events: tokio::sync::broadcast::Receiver<FleetEvent>,
) -> (HashMap<Arc<str>, Vec<Served>>, Failures) {
    let mut served: HashMap<Arc<str>, Vec<Served>> = HashMap::new();
    let mut failures = Failures::new();
    loop {
        let (serial, record) = match events.recv().await.expect("events were missed") {
            FleetEvent::SessionDone { serial, record, .. } => (serial, record),
            FleetEvent::SessionFailed {
                serial,
                record,
                reason,
                message,
                ..
            } => {
                let words = format!("{serial}: {message}");
                failures.entry(reason).or_insert((0, words)).0 += 1;
                (serial, record)
            }
            FleetEvent::Finished => return (served, failures),
            _ => continue,
        };
        served
            .entry(serial)
            .or_default()
            .extend(record.served.iter().cloned());
    }
}

async fn until<F: Future<Output = bool>>(began: Instant, what: impl Fn() -> F) {
    while !what().await {
        assert!(began.elapsed() < TIME_MAX, "the fleet does not come up");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
