//! Four fleets: devices that can be called, and devices behind NAT: with STUN, with XMPP, and with
//! neither, so that they come every few seconds.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use cpe_sim::{Device, Fleet, FleetConfig, FleetEvent, SessionOptions, Vendor};
use parking_lot::Mutex;
use patchbay::device::device_id;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::crash::server::Api;

/// An address that nobody else reaches.
const PRIVATE_HOST: &str = "192.168.1.1";
/// For each hundred devices, until all are known in their modes.
const READY_MAX: Duration = Duration::from_secs(60);
const BOOT_TIME: Duration = Duration::from_millis(500);
/// For ever.
const AWAY: Duration = Duration::from_secs(86_400);
/// The modes, and the share of the devices of each.
pub const MODES: [&str; 4] = ["direct-http", "stun", "short-inform", "xmpp"];

/// What a device does with its next firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes it.
    Good,
    /// Answers with fault 9010.
    Refuses,
    /// Takes it, reboots and never comes back.
    StaysAway,
}

pub struct Fleets {
    fleets: Vec<Fleet>,
    /// By the device's id.
    devices: BTreeMap<String, Device>,
    roles: Arc<Mutex<HashMap<String, Role>>>,
    watching: Vec<JoinHandle<()>>,
    /// Downloads that each had been asked for before.
    asked: Mutex<HashMap<String, u32>>,
}

impl Fleets {
    pub async fn start(url: &str, count: usize) -> Fleets {
        let no_xmpp = Vendor {
            supports_xmpp: false,
            ..Vendor::tr181()
        };
        let nothing = Vendor {
            supports_stun: false,
            // What one device of a model was asked holds for all of them.
            product_class: "BN-F610",
            ..Vendor::tr098()
        };
        let xmpp = Vendor {
            product_class: "NL-Home7",
            ..Vendor::tr181()
        };
        let vendors = [no_xmpp, Vendor::tr098(), nothing, xmpp];
        let roles: Arc<Mutex<HashMap<String, Role>>> = Arc::default();
        let (mut fleets, mut devices, mut watching) = (Vec::new(), BTreeMap::new(), Vec::new());
        for (number, vendor) in vendors.into_iter().enumerate() {
            let share = count / MODES.len() + usize::from(number < count % MODES.len());
            let fleet = Fleet::start(FleetConfig {
                vendors: vec![vendor],
                serial_prefix: ["DIR", "STN", "SHT", "XMP"][number].to_owned(),
                announce_host: (number > 0).then(|| PRIVATE_HOST.to_owned()),
                periodic_interval: Duration::from_secs(86_400),
                boot_spread: Duration::from_millis(20) * u32::try_from(share).unwrap(),
                boot_time: BOOT_TIME,
                sessions_at_once_max: 48,
                session: SessionOptions::default(),
                seed: number as u64 + 1,
                ..FleetConfig::new(url, share)
            });
            let fleet = fleet.await.unwrap();
            for device in fleet.devices() {
                let retry_soon = |cpe: &mut cpe_sim::Cpe, now| {
                    for (name, value) in [
                        ("CWMPRetryMinimumWaitInterval", "1"),
                        ("CWMPRetryIntervalMultiplier", "1000"),
                    ] {
                        assert!(cpe.set(&cpe.management_server(name), value, now));
                    }
                    device_id(&cpe.device_id())
                };
                let id = device.with(retry_soon).await;
                devices.insert(id, device);
            }
            fleets.push(fleet);
        }
        let by_serial: HashMap<String, (String, Device)> = devices
            .iter()
            .map(|(id, device)| (device.serial().to_owned(), (id.clone(), device.clone())))
            .collect();
        let by_serial = Arc::new(by_serial);
        for fleet in &fleets {
            let watched = watch(fleet.events(), Arc::clone(&by_serial), Arc::clone(&roles));
            watching.push(tokio::spawn(watched));
        }
        Fleets {
            fleets,
            devices,
            roles,
            watching,
            asked: Mutex::default(),
        }
    }

    /// Waits until the host knows how to reach each of them.
    pub async fn are_reached(&self, api: Api) {
        let hundreds = u32::try_from(self.devices.len() / 100 + 1).unwrap();
        let deadline = Instant::now() + READY_MAX * hundreds;
        loop {
            let mut modes: BTreeMap<String, usize> = BTreeMap::new();
            for device in all(api).await {
                let reachability = &device["reachability"];
                let mode = reachability["mode"].as_str().unwrap_or("none").to_owned();
                let is_bound = match mode.as_str() {
                    "stun" => reachability["udp"]["usable"] == true,
                    "xmpp" => device["xmpp"]["online"] == true,
                    _ => true,
                };
                if is_bound {
                    *modes.entry(mode).or_default() += 1;
                }
            }
            let known: usize = MODES.iter().filter_map(|mode| modes.get(*mode)).sum();
            if known == self.devices.len() && modes.len() == MODES.len() {
                println!("{modes:?}");
                return;
            }
            assert!(Instant::now() < deadline, "{modes:?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// What each does with its next firmware, by its number.
    pub fn assign(&self, role: impl Fn(usize) -> Role) {
        let mut roles = self.roles.lock();
        for (number, id) in self.devices.keys().enumerate() {
            roles.insert(id.clone(), role(number));
        }
    }

    pub fn role(&self, device: &str) -> Role {
        self.roles.lock()[device]
    }

    /// Those that refuse do so from now on; how many.
    pub async fn prepare(&self) -> usize {
        let mut refusing = 0;
        for (id, device) in &self.devices {
            let refuses = self.role(id) == Role::Refuses;
            let asked = device
                .with(|cpe, _| {
                    if refuses {
                        cpe.fail_next("Download", 9010);
                    }
                    cpe.times_served("Download")
                })
                .await;
            refusing += usize::from(refuses);
            self.asked.lock().insert(id.clone(), asked);
        }
        refusing
    }

    /// No device had its firmware twice; those that the campaign did something with had it, but
    /// for what the host lost when it was killed.
    pub async fn had_their_download_once(&self, api: Api, results: &[Value]) {
        let mut twice = 0;
        for result in results {
            let id = result["device"].as_str().unwrap();
            let before = self.asked.lock()[id];
            let device = &self.devices[id];
            let times = device.with(|cpe, _| cpe.times_served("Download")).await - before;
            if times > 1 {
                let tasks = api.get(&format!("/v1/devices/{id}/tasks")).await;
                println!("{times} times: {result}\n  {tasks}");
                twice += 1;
                continue;
            }
            if ["done", "rolled-back"].contains(&result["state"].as_str().unwrap()) {
                assert_eq!(times, 1, "{result}");
            }
        }
        assert_eq!(twice, 0);
    }

    pub async fn versions(&self) -> BTreeMap<String, String> {
        let mut versions = BTreeMap::new();
        for (id, device) in &self.devices {
            let version = device.with(|cpe, _| cpe.software_version().to_owned());
            versions.insert(id.clone(), version.await);
        }
        versions
    }

    /// Those that stayed away boot.
    pub async fn come_back(&self) {
        for (id, device) in &self.devices {
            if self.role(id) == Role::StaysAway {
                self.roles.lock().insert(id.clone(), Role::Good);
                device
                    .with(|cpe, now| {
                        cpe.stay_down_until(now);
                        cpe.power_cycle(now);
                    })
                    .await;
            }
        }
    }

    pub async fn stop(self) {
        for fleet in &self.fleets {
            fleet.stop();
            fleet.wait().await;
        }
        for watching in self.watching {
            watching.await.unwrap();
        }
    }
}

/// Devices that stay away do so once they have their file.
async fn watch(
    mut events: tokio::sync::broadcast::Receiver<FleetEvent>,
    devices: Arc<HashMap<String, (String, Device)>>,
    roles: Arc<Mutex<HashMap<String, Role>>>,
) {
    loop {
        match events.recv().await.expect("events were missed") {
            FleetEvent::TransferDone { serial, .. } => {
                let (id, device) = &devices[&*serial];
                let role = roles.lock().get(id).copied();
                if role == Some(Role::StaysAway) {
                    device
                        .with(|cpe, now| cpe.stay_down_until(now + AWAY))
                        .await;
                }
            }
            FleetEvent::Finished => return,
            _ => {}
        }
    }
}

/// All devices that the host knows.
async fn all(api: Api) -> Vec<Value> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/v1/devices?limit=500{after}")).await;
        found.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else {
            return found;
        };
        after = format!("&after={next}");
    }
}
