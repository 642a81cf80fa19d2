//! Who takes part: the host in the wan, told what its API is asked; devices in the LAN.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::network::{ACS, Nat, Network, Place, Program, until};
use crate::harness::{PATIENCE, TOKEN, guest, put_plugin, share_compiled_plugins};

/// How long a call of the API may wait for a wake-up.
const WAKE_SECONDS: u64 = 20;
const API: &str = "127.0.0.1:7557";

/// A network, the host in it, and what it is asked.
pub struct Lab {
    pub network: Network,
    directory: TempDir,
    host: Option<Program>,
}

pub fn binary() -> PathBuf {
    match std::env::var_os("PATCHBAY_BIN") {
        Some(binary) => binary.into(),
        None => panic!("PATCHBAY_BIN names no patchbay binary: run these tests with tests/run"),
    }
}

impl Lab {
    /// Starts `patchbay serve` in the wan, with these settings beside those of every laboratory.
    pub fn start(nat: Nat, udp_seconds: u32, settings: &str) -> Lab {
        let mut lab = Lab {
            network: Network::new(nat, udp_seconds),
            directory: tempfile::tempdir().unwrap(),
            host: None,
        };
        let (data, plugins) = (lab.path("data"), lab.path("plugins"));
        std::fs::create_dir(&data).unwrap();
        std::fs::create_dir(&plugins).unwrap();
        share_compiled_plugins(&data);
        for name in ["nat-default", "first-contact"] {
            put_plugin(&plugins, &guest("shipped", name), None);
        }
        lab.serve(settings);
        lab
    }

    /// Stops the host and starts it again with other settings.
    pub fn restart(&mut self, settings: &str) {
        let host = self.host.take().expect("the host runs");
        self.network.end(host);
        self.serve(settings);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn serve(&mut self, settings: &str) {
        let config = format!(
            "data_directory = {:?}\nplugin_directory = {:?}\n\
             [cwmp]\nlisten = [\"{ACS}:7547\"]\n[api]\nlisten = \"{API}\"\n{settings}",
            self.path("data"),
            self.path("plugins"),
        );
        std::fs::write(self.path("patchbay.toml"), config).unwrap();
        let mut host = self.network.command(Place::Wan, "env");
        host.arg(format!("PATCHBAY_API_TOKEN={TOKEN}"))
            .arg(binary());
        host.args(["serve", "--config"])
            .arg(self.path("patchbay.toml"));
        log_to(&mut host, &self.path("host.log"));
        self.host = Some(self.network.run(host));
        until(PATIENCE, || match self.try_api("GET", "/v1/status", None) {
            Some(status) => Ok(status),
            None => Err(format!("silent: {}", self.log())),
        });
    }

    /// Switches on a simulated device, and waits for its first session: its path in the API.
    ///
    /// `serial` begins its serial number, `address` is its own.
    pub fn device(
        &mut self,
        place: Place,
        address: &str,
        serial: &str,
        options: &[&str],
    ) -> String {
        let mut sim = self.network.command(place, binary().to_str().unwrap());
        sim.args([
            "sim",
            "--url",
            &format!("http://{ACS}:7547/"),
            "--devices",
            "1",
        ]);
        sim.args(["--spread", "0", "--seconds", "300", "--interval", "3600"]);
        sim.args(["--listen", address, "--serial", serial])
            .args(options);
        log_to(&mut sim, &self.path("sim.log"));
        self.network.run(sim);
        let id = until(PATIENCE, || {
            let devices = self.get("/v1/devices");
            let mut devices = devices["items"].as_array().unwrap().iter();
            let device = devices.find(|device| {
                device["serial_number"]
                    .as_str()
                    .unwrap()
                    .starts_with(serial)
                    && !device["reachability"]["mode"].is_null()
            });
            match device {
                Some(device) => Ok(device["id"].as_str().unwrap().to_owned()),
                None => Err(format!("unknown: {}", self.log())),
            }
        });
        format!("/v1/devices/{id}")
    }

    pub fn get(&self, path: &str) -> Value {
        self.try_api("GET", path, None)
            .unwrap_or_else(|| panic!("GET {path} failed: {}", self.log()))
    }

    pub fn post(&self, path: &str, body: Value) -> Value {
        self.try_api("POST", path, Some(body))
            .unwrap_or_else(|| panic!("POST {path} failed: {}", self.log()))
    }

    /// The API is where nobody but the host is: a program in there has to ask.
    fn try_api(&self, method: &str, path: &str, body: Option<Value>) -> Option<Value> {
        let mut curl = self.network.command(Place::Wan, "curl");
        curl.args([
            "--silent",
            "--show-error",
            "--fail-with-body",
            "--max-time",
            "60",
        ]);
        curl.args(["--request", method, &format!("http://{API}{path}")]);
        curl.args(["--header", &format!("Authorization: Bearer {TOKEN}")]);
        if let Some(body) = body {
            curl.args(["--json", &body.to_string()]);
        }
        let output = curl.output().unwrap();
        output
            .status
            .success()
            .then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Waits until the API says so of a device.
    #[track_caller]
    pub fn until(&self, path: &str, what: impl Fn(&Value) -> bool) -> Value {
        until(PATIENCE, || {
            let found = self.get(path);
            match what(&found) {
                true => Ok(found),
                false => Err(format!("{found}")),
            }
        })
    }

    pub fn wake(&self, device: &str) -> Value {
        let wait = json!({ "wait_seconds": WAKE_SECONDS });
        self.post(&format!("{device}/wake"), wait)
    }

    /// A wake-up whose first try, in this mode, opens a session.
    #[track_caller]
    pub fn wakes(&self, device: &str, mode: &str) {
        let report = self.wake(device);
        assert_eq!(report["state"], "session-opened", "{report} {}", self.log());
        let attempts = report["attempts"].as_array().unwrap();
        assert_eq!(attempts[0]["mode"], mode, "{report}");
        assert_eq!(attempts.len(), 1, "{report}");
    }

    /// What the host and the devices have logged.
    fn log(&self) -> String {
        ["host.log", "sim.log"]
            .map(|name| std::fs::read_to_string(self.path(name)).unwrap_or_default())
            .concat()
    }
}

pub fn log_to(command: &mut Command, path: &Path) {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    command
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .stdin(Stdio::null());
}

/// Lets time pass, as the router's clock and the device's have it.
pub fn pass(seconds: f32) {
    std::thread::sleep(Duration::from_secs_f32(seconds));
}
