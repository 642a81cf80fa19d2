//! `kill -9` under load, fifty times: what was acknowledged is not lost, and what must not be
//! done twice is not.

mod judge;
mod narrow;
pub mod server;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cpe_sim::{DataModel, Fleet, FleetConfig, FleetEvent, Seed, SessionRecord, Vendor};
use patchbay::device::{DeviceKey, device_id};
use patchbay::store::{Store, StoreConfig};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::harness::PATIENCE;
use judge::{Judge, Made};
use server::Server;

const ROUNDS: u64 = 50;
/// So often the host is killed once more, while it starts.
const KILLED_AT_START_EVERY: u64 = 10;
const DEVICES: usize = 12;
const CLIENTS: u64 = 4;
/// From readiness to the kill, milliseconds: at least, and how much longer at random.
const LOAD_MILLISECONDS: (u64, u64) = (300, 600);
/// Between two requests of a client, milliseconds: at random below.
const PAUSE_MILLISECONDS: u64 = 20;
/// Of a hundred tasks.
const REBOOTS: u64 = 8;
const ADDED_OBJECTS: u64 = 20;
const SETS: u64 = 40;
/// Read by `get` tasks: which of them tells the tasks apart.
const READ: [&str; 16] = [
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
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_lose_nothing_and_repeat_nothing() {
    let began = Instant::now();
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::new(directory.path());
    let fleet = start_fleet(&server.url()).await;
    let told = tokio::spawn(listen(fleet.events()));
    let mut seed = Seed::new(seed());
    let world = Arc::new(World::new(&server, &fleet).await);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(Arc::clone(&world).ask(seed.of(number))))
        .collect();

    let mut kills = Vec::new();
    for round in 1..=ROUNDS {
        if round % KILLED_AT_START_EVERY == 0 {
            server.start();
            tokio::time::sleep(Duration::from_millis(20 + seed.below(200))).await;
            server.kill();
            kills.push(unix_time());
        }
        server.start();
        server.ready().await;
        let load = LOAD_MILLISECONDS.0 + seed.below(LOAD_MILLISECONDS.1);
        tokio::time::sleep(Duration::from_millis(load)).await;
        server.kill();
        kills.push(unix_time());
        credentials_are_kept(&fleet, &server.store_directory(), round).await;
    }
    assert_eq!(kills.len() as u64, ROUNDS + ROUNDS / KILLED_AT_START_EVERY);

    server.start();
    server.ready().await;
    world.over.store(true, Ordering::Relaxed);
    let mut made = Vec::new();
    for client in clients {
        made.extend(client.await.unwrap());
    }
    server.drained().await;
    all_can_be_woken(&server, &fleet).await;
    fleet.stop();
    let judge = Judge::new(told.await.unwrap(), kills);
    let verdict = judge.verdict(&server, &made).await;
    server.kill();
    println!("{ROUNDS} kills in {:.0?}: {verdict}", began.elapsed());
}

/// Another one with `PATCHBAY_CRASH_SEED`.
fn seed() -> u64 {
    std::env::var("PATCHBAY_CRASH_SEED").map_or(0x5EED, |seed| seed.parse().expect("a number"))
}

fn unix_time() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64
}

/// Devices of all kinds that come every second, and come back a second after a failure.
async fn start_fleet(url: &str) -> Fleet {
    let fleet = Fleet::start(FleetConfig {
        vendors: Vendor::ALL.to_vec(),
        periodic_interval: Duration::from_secs(1),
        boot_spread: Duration::from_millis(500),
        boot_time: Duration::from_millis(200),
        seed: seed(),
        ..FleetConfig::new(url, DEVICES)
    })
    .await
    .unwrap();
    for device in fleet.devices() {
        device
            .with(|cpe, now| {
                for (name, value) in [
                    ("CWMPRetryMinimumWaitInterval", "1"),
                    ("CWMPRetryIntervalMultiplier", "1000"),
                ] {
                    assert!(cpe.set(&cpe.management_server(name), value, now));
                }
            })
            .await;
    }
    fleet
}

/// A session as its device tells it.
pub struct Session {
    pub serial: Arc<str>,
    pub record: Arc<SessionRecord>,
    /// It broke off.
    pub broken: bool,
}

/// Writes down all sessions, to the end of the fleet.
async fn listen(mut events: broadcast::Receiver<FleetEvent>) -> Vec<Session> {
    let mut sessions = Vec::new();
    loop {
        match events.recv().await.expect("events were missed") {
            FleetEvent::SessionDone { serial, record, .. } => {
                sessions.push(Session {
                    serial,
                    record,
                    broken: false,
                });
            }
            FleetEvent::SessionFailed { serial, record, .. } => {
                sessions.push(Session {
                    serial,
                    record,
                    broken: true,
                });
            }
            FleetEvent::Finished => return sessions,
            _ => {}
        }
    }
}

/// What the clients know.
struct World {
    server: server::Api,
    devices: Vec<Known>,
    asked: AtomicUsize,
    over: AtomicBool,
}

struct Known {
    serial: String,
    id: String,
    model: DataModel,
}

impl World {
    async fn new(server: &Server, fleet: &Fleet) -> World {
        let mut devices = Vec::new();
        for device in fleet.devices() {
            let (id, model) = device
                .with(|cpe, _| (device_id(&cpe.device_id()), cpe.data_model()))
                .await;
            devices.push(Known {
                serial: device.serial().to_owned(),
                id,
                model,
            });
        }
        World {
            server: server.api(),
            devices,
            asked: AtomicUsize::new(1),
            over: AtomicBool::new(false),
        }
    }

    /// A client: asks for tasks, whether or not anybody is there, and writes down those that
    /// were acknowledged.
    async fn ask(self: Arc<Self>, mut seed: Seed) -> Vec<Made> {
        let mut made = Vec::new();
        while !self.over.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(seed.below(PAUSE_MILLISECONDS))).await;
            let device = &self.devices[seed.below(self.devices.len() as u64) as usize];
            let operation = self.operation(device, &mut seed);
            let path = format!("/v1/devices/{}/tasks", device.id);
            let body = json!({ "operation": operation, "wake": seed.below(2) == 0 });
            match self.server.request("POST", &path, Some(&body)).await {
                Some((201, task)) => made.push(Made {
                    id: task["id"].as_str().unwrap().to_owned(),
                    serial: device.serial.clone(),
                    operation,
                }),
                // It was killed before it knew the device.
                Some((404, _)) | None => {}
                Some(other) => panic!("{path} was answered with {other:?}"),
            }
        }
        made
    }

    fn operation(&self, device: &Known, seed: &mut Seed) -> Value {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let root = device.model.root();
        let chance = seed.below(100);
        if chance < REBOOTS {
            return json!({ "op": "reboot" });
        }
        if chance < REBOOTS + ADDED_OBJECTS {
            let table = match device.model {
                DataModel::Tr098 => "InternetGatewayDevice.Layer3Forwarding.Forwarding.",
                DataModel::Tr181 => "Device.ManagementServer.InformParameter.",
            };
            return json!({ "op": "add-object", "object": table });
        }
        if chance < REBOOTS + ADDED_OBJECTS + SETS {
            let path = format!("{root}DeviceInfo.ProvisioningCode");
            let parameter = json!({ "path": path, "value": format!("code {number}") });
            return json!({ "op": "set", "parameters": [parameter] });
        }
        assert!(
            number < 1 << READ.len(),
            "more tasks than there are selections of {READ:?}"
        );
        let chosen = (0..READ.len()).filter(|bit| number >> bit & 1 == 1);
        let paths: Vec<String> = chosen.map(|bit| format!("{root}{}", READ[bit])).collect();
        json!({ "op": "get", "paths": paths })
    }
}

/// Whatever the host has set a device's connection-request credentials to, it knows them: as
/// what it has set or as what it was about to set. Looked at in a copy, so that the host finds
/// what the kill has left.
async fn credentials_are_kept(fleet: &Fleet, store: &Path, round: u64) {
    let mut has = Vec::new();
    for device in fleet.devices() {
        // Waits for the end of a session that the kill has broken.
        let login = device
            .with(|cpe, now| {
                (
                    device_id(&cpe.device_id()),
                    cpe.connection_request_login(now),
                )
            })
            .await;
        if login.1.0 != device.serial() {
            has.push(login);
        }
    }
    let copy = tempfile::tempdir().unwrap();
    copy_files(store, copy.path());
    let config = StoreConfig::new(copy.path());
    let store = tokio::task::spawn_blocking(|| Store::open(config))
        .await
        .unwrap()
        .unwrap();
    for (id, (username, password)) in has {
        let key = DeviceKey {
            instance: "default".into(),
            id: id.as_str().into(),
        };
        let cell = store
            .device(&key)
            .unwrap()
            .unwrap_or_else(|| panic!("round {round}: {id} is gone"));
        let request = cell.lock().summary().connection_request.clone();
        let mut known = request
            .credentials
            .iter()
            .chain(&request.pending_credentials);
        let knows = known.any(|known| known.username == username && known.password == password);
        assert!(
            knows,
            "round {round}: {id} was given credentials that are lost: the store has {request:?}"
        );
    }
    store.close().await.unwrap();
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.unwrap(), to);
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_files(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The credentials that the host remembers are those of the devices.
async fn all_can_be_woken(server: &Server, fleet: &Fleet) {
    let mut wakes = HashMap::new();
    for device in fleet.devices() {
        let id = device.with(|cpe, _| device_id(&cpe.device_id())).await;
        let api = server.api();
        wakes.insert(
            id.clone(),
            tokio::spawn(async move {
                let deadline = Instant::now() + PATIENCE;
                loop {
                    let path = format!("/v1/devices/{id}/wake");
                    let woken = api
                        .request("POST", &path, Some(&json!({ "wait_seconds": 20 })))
                        .await;
                    let (status, report) = woken.expect("no answer");
                    assert_eq!(status, 200, "{report}");
                    let attempt = &report["attempts"][0];
                    // It may be in a session or boot; that it does not know the host does not pass.
                    let refused = attempt["error"]
                        .as_str()
                        .is_some_and(|error| error.contains("credentials"));
                    let called =
                        attempt["accepted"].is_string() && report["state"] == "session-opened";
                    if refused || called || Instant::now() > deadline {
                        return report;
                    }
                }
            }),
        );
    }
    for (id, wake) in wakes {
        let report = wake.await.unwrap();
        let attempt = &report["attempts"][0];
        assert_eq!(attempt["mode"], "direct-http", "{id}: {report}");
        assert!(attempt["accepted"].is_string(), "{id}: {report}");
        assert_eq!(report["state"], "session-opened", "{id}: {report}");
    }
}
