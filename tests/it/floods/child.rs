//! The host as a child process on loopback, its ports as its log tells them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child as Process, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Duration, Instant, sleep};

use crate::harness::{PATIENCE, TOKEN, guest, http, put_plugin, share_compiled_plugins};

/// `patchbay serve`, gone with its directory when it is dropped.
pub struct Child {
    process: Process,
    directory: TempDir,
    api: SocketAddr,
}

impl Child {
    /// With these settings beside the listeners of devices and API.
    pub async fn start(settings: &str) -> Child {
        let directory = tempfile::tempdir().unwrap();
        let [data, plugins, config] =
            ["data", "plugins", "patchbay.toml"].map(|name| directory.path().join(name));
        std::fs::create_dir(&data).unwrap();
        std::fs::create_dir(&plugins).unwrap();
        share_compiled_plugins(&data);
        put_plugin(&plugins, &guest("shipped", "nat-default"), None);
        let text = format!(
            "data_directory = {data:?}\nplugin_directory = {plugins:?}\n\
             [cwmp]\nlisten = [\"127.0.0.1:0\"]\n[api]\nlisten = \"127.0.0.1:0\"\n{settings}"
        );
        std::fs::write(&config, text).unwrap();
        let binary: PathBuf = match std::env::var_os("PATCHBAY_BIN") {
            Some(binary) => binary.into(),
            None => panic!("PATCHBAY_BIN names no patchbay binary: run these tests with tests/run"),
        };
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let process = Command::new(binary)
            .args(["serve", "--config"])
            .arg(&config)
            .env("PATCHBAY_API_TOKEN", TOKEN)
            .env("PATCHBAY_LOG", "patchbay=info,patchbay::nat=warn")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut child = Child {
            process,
            directory,
            api: ([127, 0, 0, 1], 0).into(),
        };
        child.listener("patchbay serves").await;
        child.api = child.listener("API address=").await.unwrap();
        child
    }

    /// The address that the log tells behind this, once it does.
    pub async fn listener(&mut self, what: &str) -> Option<SocketAddr> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            if let Some((_, rest)) = log.split_once(what) {
                return rest.split_whitespace().next()?.parse().ok();
            }
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "the host ended with {ended:?}: {log}");
            assert!(Instant::now() < deadline, "no {what:?} in {log}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn get(&self, path: &str) -> Value {
        let headers = format!("Authorization: Bearer {TOKEN}\r\n");
        let answer = http(self.api, "GET", path, &headers, b"").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Waits until a counter of this way is no less, and returns it.
    pub async fn counted(&self, way: &str, name: &str, least: u64) -> u64 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.get("/v1/status").await;
            let count = status[way]["counters"][name].as_u64().unwrap();
            if count >= least {
                return count;
            }
            assert!(Instant::now() < deadline, "{name} stays {count}: {status}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Memory of the host that is its own, in KiB.
    pub fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:"));
        line.unwrap()
            .split_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap()
    }

    /// It grew by no more than this since `before`, and has logged no panic.
    #[track_caller]
    pub fn assert_flat(&self, before: u64, kib_max: u64) {
        let grown = self.memory().saturating_sub(before);
        println!("{grown} KiB more than {before} KiB");
        assert!(grown <= kib_max, "{grown} KiB more than {before} KiB");
        let log = self.log();
        assert!(!log.contains("panicked"), "{log}");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
