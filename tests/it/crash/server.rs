//! The host as a child process that can be killed, and its API for who expects that.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::harness::{TOKEN, free_address, guest, put_plugin};

/// A start in a dev build, on a machine that is busy.
const START_MAX: Duration = Duration::from_secs(30);
/// One request; what a kill leaves unanswered breaks off at once.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// After the last kill, until nothing is queued.
const DRAIN_MAX: Duration = Duration::from_secs(90);

/// `patchbay serve`, with a directory that outlives it.
pub struct Server {
    directory: PathBuf,
    cwmp: SocketAddr,
    api: Api,
    running: Option<Child>,
}

impl Server {
    /// All shipped plugins, and devices told to inform every second.
    pub fn new(directory: &Path) -> Server {
        let off = "[stun]\nenabled = false\n[xmpp]\nmode = \"off\"\n";
        let server = Server::with(directory, off);
        let plugins = directory.join("plugins");
        for name in ["desired-state", "tp-link", "zhone"] {
            put_plugin(&plugins, &guest("shipped", name), None);
        }
        let settings = "[settings]\nperiodic_inform_interval_seconds = 1\n";
        put_plugin(&plugins, &guest("shipped", "first-contact"), Some(settings));
        server
    }

    /// The shipped NAT policy, and STUN and XMPP on some ports: devices are reached in the mode that fits them.
    pub fn behind_nat(directory: &Path, settings: &str) -> Server {
        let (stun, xmpp) = (free_address(), free_address());
        let servers = format!(
            "[stun]\nlisten = [\"{stun}\"]\nhost = \"127.0.0.1\"\nkeepalive_seconds_min = 2\nkeepalive_seconds_max = 4\n\
             [xmpp]\nlisten = [\"{xmpp}\"]\ndomain = \"acs.example\"\nhost = \"127.0.0.1\"\n\
             connections_per_address_max = 20000\nlogins_per_address_max = 1000\n"
        );
        let server = Server::with(directory, &format!("{settings}{servers}"));
        let settings = "[settings]\nperiodic_inform_interval_seconds = 86400\n";
        let plugins = directory.join("plugins");
        put_plugin(&plugins, &guest("shipped", "first-contact"), Some(settings));
        server
    }

    /// The shipped NAT policy; `settings` of the instance, then sections.
    fn with(directory: &Path, settings: &str) -> Server {
        let (cwmp, api) = (free_address(), free_address());
        let plugins = directory.join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        put_plugin(&plugins, &guest("shipped", "nat-default"), None);
        let config = format!(
            "data_directory = {:?}\nplugin_directory = {plugins:?}\n\
             [cwmp]\nlisten = [\"{cwmp}\"]\n[api]\nlisten = \"{api}\"\n\
             [instance]\nconnection_request_allow = [\"127.0.0.0/8\"]\n{settings}",
            directory.join("data"),
        );
        std::fs::write(directory.join("patchbay.toml"), config).unwrap();
        Server {
            directory: directory.to_owned(),
            cwmp,
            api: Api { address: api },
            running: None,
        }
    }

    /// What devices are told.
    pub fn url(&self) -> String {
        format!("http://{}/", self.cwmp)
    }

    pub fn api(&self) -> Api {
        self.api
    }

    pub fn store_directory(&self) -> PathBuf {
        self.directory.join("data/store")
    }

    pub fn start(&mut self) {
        assert!(self.running.is_none());
        let log = self.directory.join("log");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        let child = Command::new(binary())
            .args(["serve", "--config"])
            .arg(self.directory.join("patchbay.toml"))
            .env("PATCHBAY_API_TOKEN", TOKEN)
            .env("PATCHBAY_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running = Some(child);
    }

    /// Waits until the API answers.
    pub async fn ready(&mut self) {
        let deadline = Instant::now() + START_MAX;
        while !matches!(
            self.api.request("GET", "/v1/status", None).await,
            Some((200, _))
        ) {
            let ended = self.running.as_mut().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none(),
                "the host ended with {ended:?}: {}",
                self.log_end()
            );
            assert!(
                Instant::now() < deadline,
                "the host does not start: {}",
                self.log_end()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let Some(mut child) = self.running.take() else {
            return;
        };
        let ended = child.try_wait().unwrap();
        assert!(
            ended.is_none(),
            "the host ended by itself, with {ended:?}: {}",
            self.log_end()
        );
        child.kill().unwrap();
        child.wait().unwrap();
        let log = std::fs::read_to_string(self.directory.join("log")).unwrap();
        let bad = log
            .lines()
            .find(|line| line.contains("panicked") || line.contains("ERROR"));
        assert!(bad.is_none(), "the host wrote {bad:?}");
    }

    /// Waits until every task has come to its end. A device whose wake-up a kill swallowed is
    /// woken: it would come by itself too, but hours later.
    pub async fn drained(&self) {
        let deadline = Instant::now() + DRAIN_MAX;
        for state in ["queued", "sent"] {
            loop {
                let left = self
                    .api
                    .get(&format!("/v1/tasks?state={state}&limit=1000"))
                    .await;
                let left = left["items"].as_array().unwrap();
                if left.is_empty() {
                    break;
                }
                assert!(
                    Instant::now() < deadline,
                    "{} stay {state}, like {}",
                    left.len(),
                    left[0]
                );
                let devices: BTreeSet<&str> = left
                    .iter()
                    .filter_map(|task| task["device"].as_str())
                    .collect();
                for device in devices {
                    let wake = format!("/v1/devices/{device}/wake");
                    self.api.request("POST", &wake, None).await;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    fn log_end(&self) -> String {
        let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn binary() -> PathBuf {
    match std::env::var_os("PATCHBAY_BIN") {
        Some(binary) => binary.into(),
        None => panic!("PATCHBAY_BIN names no patchbay binary: run these tests with tests/run"),
    }
}

/// The API of a host that may die at any moment.
#[derive(Clone, Copy)]
pub struct Api {
    address: SocketAddr,
}

impl Api {
    /// Status and body; `None` where the answer did not come, or not whole.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Option<(u16, Value)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.exchange(method, path, "application/json", &body).await
    }

    /// Brings a file.
    pub async fn upload(&self, path: &str, content: &str) -> Value {
        let type_ = "application/octet-stream";
        match self.exchange("POST", path, type_, content).await {
            Some((201, file)) => file,
            other => panic!("POST {path} was answered with {other:?}"),
        }
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &str,
    ) -> Option<(u16, Value)> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: api\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await.ok()?;
            stream.write_all(request.as_bytes()).await.ok()?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.ok()?;
            String::from_utf8(answer).ok()
        };
        let answer = timeout(ANSWER_MAX, exchange)
            .await
            .unwrap_or_else(|_| panic!("{path}: no answer"))?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, serde_json::from_str(body).ok()?))
    }

    /// A GET that must succeed.
    pub async fn get(&self, path: &str) -> Value {
        match self.request("GET", path, None).await {
            Some((200, body)) => body,
            other => panic!("GET {path} was answered with {other:?}"),
        }
    }
}
