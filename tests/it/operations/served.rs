//! `patchbay serve` as a child process, with a configuration that a test writes.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::harness::{PATIENCE, TOKEN, free_address, http};

/// The binary that tests/run has built.
pub fn patchbay() -> PathBuf {
    let binary = std::env::var_os("PATCHBAY_BIN")
        .expect("PATCHBAY_BIN names no patchbay binary: run these tests with tests/run");
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(binary)
}

/// Runs a command of the binary to its end.
pub fn run(arguments: &[&str]) -> Output {
    Command::new(patchbay())
        .args(arguments)
        .env_remove("PATCHBAY_LOG")
        .output()
        .unwrap()
}

/// A host of its own, which ends with this.
pub struct Served {
    pub directory: TempDir,
    pub cwmp: SocketAddr,
    pub api: SocketAddr,
    child: Child,
}

impl Served {
    /// Starts one with these settings beside those that a test needs, and these variables.
    pub async fn start(settings: &str, environment: &[(&str, &str)]) -> Served {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        Served::begin(directory, &data, settings, environment).await
    }

    /// The same with a data directory that there is.
    pub async fn start_in(data: &Path, settings: &str, environment: &[(&str, &str)]) -> Served {
        Served::begin(tempfile::tempdir().unwrap(), data, settings, environment).await
    }

    async fn begin(
        directory: TempDir,
        data: &Path,
        settings: &str,
        environment: &[(&str, &str)],
    ) -> Served {
        let (cwmp, api) = (free_address(), free_address());
        let path = directory.path();
        std::fs::create_dir(path.join("plugins")).unwrap();
        let mut table: toml::Table = settings.parse().unwrap();
        let mut set = |section: &str, key: &str, value: toml::Value| {
            let section = table.entry(section).or_insert(toml::Table::new().into());
            let section = section.as_table_mut().unwrap();
            section.entry(key).or_insert(value);
        };
        let text = |address: SocketAddr| toml::Value::from(address.to_string());
        set("cwmp", "listen", vec![text(cwmp)].into());
        set("api", "listen", text(api));
        set("stun", "enabled", false.into());
        set("xmpp", "mode", "off".into());
        let loopback = vec![toml::Value::from("127.0.0.0/8")];
        set("instance", "connection_request_allow", loopback.into());
        let mut config = format!(
            "data_directory = {:?}\nplugin_directory = {:?}\n",
            data,
            path.join("plugins")
        );
        config.push_str(&table.to_string());
        std::fs::write(path.join("patchbay.toml"), config).unwrap();
        let log = std::fs::File::create(path.join("log")).unwrap();
        let child = Command::new(patchbay())
            .args(["serve", "--config"])
            .arg(path.join("patchbay.toml"))
            .env("PATCHBAY_API_TOKEN", TOKEN)
            .env_remove("PATCHBAY_LOG")
            .env_remove("PATCHBAY_LOG_FORMAT")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut served = Served {
            directory,
            cwmp,
            api,
            child,
        };
        let deadline = Instant::now() + PATIENCE;
        while tokio::net::TcpStream::connect(api).await.is_err()
            || http(api, "GET", "/health/ready", "", b"").await.status != 200
        {
            let ended = served.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {}", served.log());
            assert!(Instant::now() < deadline, "not ready: {}", served.log());
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        served
    }

    /// A request of the API with the token.
    pub async fn api(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let headers =
            format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n");
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let answer = http(self.api, method, path, &headers, body.as_bytes()).await;
        (
            answer.status,
            serde_json::from_slice(&answer.body).unwrap_or_default(),
        )
    }

    /// The URL that devices are given.
    pub fn url(&self) -> String {
        format!("http://{}/", self.cwmp)
    }

    /// All lines so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// Waits for a line with all of these.
    pub async fn line(&self, parts: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            let found = log
                .lines()
                .find(|line| parts.iter().all(|p| line.contains(p)));
            if let Some(line) = found {
                return line.to_owned();
            }
            assert!(Instant::now() < deadline, "no line has {parts:?}:\n{log}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Tells it to stop, as systemd does.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Tells it to read its files again, as `systemctl reload` does.
    pub fn reload(&self) {
        self.signal("-HUP");
    }

    fn signal(&self, signal: &str) {
        let killed = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(killed.unwrap().success());
    }

    /// Waits for its end, which must be a good one, and hands back its log.
    pub async fn ended(mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}: {}", self.log());
                return self.log();
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.log());
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = std::io::stderr().write_all(self.log().as_bytes());
        }
    }
}
