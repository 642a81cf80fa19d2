//! Connection requests through the instance's HTTP proxy: Squid, with the configuration that we
//! print.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cpe_sim::{CpeConfig, FleetConfig, Listen, Vendor};
use patchbay::config::{Config, HostAndPort, HttpProxy};
use patchbay::links::Links;
use patchbay::snippets::{Choices, Kind};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::discovery::{nginx, open_directory, snippet};
use crate::harness::{Host, Live, PATIENCE, Setup, Sim, free_port, rpcs};

const NAT_DETECTED: &str = "Device.ManagementServer.NATDetected";
const PASSWORD: &str = "of the proxy";

/// Squid, while it runs.
struct Squid {
    port: u16,
    process: Child,
    directory: TempDir,
}

impl Drop for Squid {
    fn drop(&mut self) {
        // The whole group that was started, by its number: its helpers, too.
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.process.wait();
    }
}

/// The snippet's options for a Squid on loopback whose ACS and devices are there, too.
fn local() -> Vec<(&'static str, String)> {
    vec![
        ("senders", "127.0.0.1".into()),
        ("devices", "127.0.0.0/8".into()),
    ]
}

impl Squid {
    /// With our snippet, as printed; `change` does to it what a test needs.
    async fn start(options: Vec<(&str, String)>, change: impl FnOnce(String) -> String) -> Squid {
        use std::os::unix::fs::PermissionsExt;
        use std::os::unix::process::CommandExt;
        let directory = tempfile::tempdir().unwrap();
        // Squid gives up root.
        let all = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(directory.path(), all).unwrap();
        let port = free_port();
        let mut choices: Choices = options
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        choices.insert("listen".into(), port.to_string());
        let at = directory.path().display().to_string();
        if let Some(passwords) = choices.get_mut("passwords") {
            *passwords = format!("{at}/passwords");
            let digest = Command::new("openssl")
                .args(["passwd", "-apr1", PASSWORD])
                .output()
                .expect("openssl; tests/run installs it");
            let digest = String::from_utf8(digest.stdout).unwrap();
            std::fs::write(&passwords, format!("patchbay:{digest}")).unwrap();
        }
        let printed = Kind::Squid
            .print(&Config::default(), Links::default(), &choices)
            .unwrap();
        let config = change(printed).replace(
            &format!("http_port {port}\n"),
            &format!("http_port 127.0.0.1:{port}\n"),
        );
        let file = directory.path().join("squid.conf");
        let own = format!(
            "pid_filename {at}/pid\ncache_log {at}/cache.log\naccess_log stdio:{at}/access.log\n\
             coredump_dir {at}\npinger_enable off\nvisible_hostname proxy.test\n"
        );
        std::fs::write(&file, format!("{config}{own}")).unwrap();
        let checked = Command::new("squid")
            .args(["-k", "parse", "-f"])
            .arg(&file)
            .output()
            .expect("squid; tests/run installs it");
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.success(), "{said}");
        for complaint in ["WARNING", "ERROR"] {
            assert!(!said.contains(complaint), "{said}");
        }
        let process = Command::new("squid")
            .args(["-N", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("squid; tests/run installs it");
        let squid = Squid {
            port,
            process,
            directory,
        };
        let listens = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let listens = tokio::time::timeout(PATIENCE, listens).await;
        let log = std::fs::read_to_string(squid.path("cache.log")).unwrap_or_default();
        listens.unwrap_or_else(|_| panic!("Squid does not listen: {log}"));
        squid
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn settings(&self, password: Option<&str>) -> HttpProxy {
        HttpProxy {
            address: HostAndPort {
                host: "127.0.0.1".into(),
                port: self.port,
            },
            username: password.map(|_| "patchbay".to_owned()),
            password: password.map(str::to_owned),
        }
    }

    /// Result, method and URL of each request, once there are so many.
    async fn log(&self, requests: usize) -> Vec<String> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let log = std::fs::read_to_string(self.path("access.log")).unwrap_or_default();
            // The tests' own look whether it listens is no request.
            let lines = log.lines().filter(|line| line.contains("/cr"));
            let lines: Vec<String> = lines
                .map(|line| {
                    let words: Vec<&str> = line.split_whitespace().collect();
                    format!("{} {} {}", words[3], words[5], words[6])
                })
                .collect();
            if lines.len() >= requests {
                return lines;
            }
            assert!(tokio::time::Instant::now() < deadline, "{log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn setup(proxy: HttpProxy) -> Setup {
    Setup::new()
        .plugin("shipped", "nat-default")
        .config(move |config| {
            config.instance.http_proxy = Some(proxy);
            config.instance.connection_request_seconds_max = 5;
            config.instance.session_after_wake_seconds_max = 2;
        })
}

async fn wake(host: &Host, at: &str) -> Value {
    host.post(&format!("{at}/wake"), json!({ "wait_seconds": 30 }))
        .await
}

/// The attempt through the proxy.
#[track_caller]
fn attempt(report: &Value) -> &Value {
    let attempts = report["attempts"].as_array().unwrap();
    let through = attempts.iter().find(|one| one["mode"] == "http-proxy");
    through.unwrap_or_else(|| panic!("not through the proxy: {report}"))
}

#[track_caller]
fn failed(report: &Value, outcome: &str, error: &str) {
    let attempt = attempt(report);
    assert_eq!(attempt["outcome"], outcome, "{report}");
    let text = attempt["error"].as_str().unwrap();
    assert!(text.contains(error), "{error}: {text}");
}

/// A device that lives by itself, at an address that the proxy reaches, and says that it is
/// behind NAT.
async fn live(host: &Host) -> Live {
    let config = FleetConfig {
        boot_time: Duration::from_millis(50),
        ..FleetConfig::single(&host.url(), Vendor::tr181())
    };
    let mut live = Live::start(config).await;
    live.device
        .with(|cpe, now| cpe.set(NAT_DETECTED, "1", now))
        .await;
    let get = json!({ "op": "get", "paths": [NAT_DETECTED] });
    let task = json!({ "operation": get, "wake": true, "wait_seconds": 30 });
    let done = host.post(&format!("{}/tasks", live.at), task).await;
    assert_eq!(done["state"], "done", "{done}");
    live.session().await;
    live.device.with(|cpe, now| cpe.power_cycle(now)).await;
    live.session().await;
    live
}

#[tokio::test]
async fn a_wake_through_squid_as_we_print_it() {
    let mut options = local();
    options.push(("passwords", String::new()));
    let squid = Squid::start(options, |printed| printed).await;
    let host = setup(squid.settings(Some(PASSWORD)))
        .plugin("shipped", "first-contact")
        .start()
        .await;
    let mut live = live(&host).await;
    let device = host.get(&live.at).await;
    assert_eq!(device["reachability"]["mode"], "http-proxy", "{device}");
    let reason = device["reachability"]["reason"].as_str().unwrap();
    assert!(
        reason.contains("the instance has an HTTP proxy"),
        "{reason}"
    );
    assert_eq!(device["reachability"]["facts"]["proxy_configured"], true);
    for round in 1..=3 {
        let report = wake(&host, &live.at).await;
        assert_eq!(report["state"], "session-opened", "{report}");
        assert!(attempt(&report)["accepted"].is_string(), "{report}");
        let (events, _) = live.session().await;
        assert_eq!(events, ["6 CONNECTION REQUEST"]);
        // Each time the device itself was asked, first without and then with its password.
        let log = squid.log(3 * round).await;
        assert_eq!(log.len(), 3 * round, "{log:?}");
        for (line, result) in
            log[3 * (round - 1)..]
                .iter()
                .zip(["TCP_DENIED/407", "TCP_MISS/401", "TCP_MISS/200"])
        {
            assert!(
                line.starts_with(&format!("{result} GET http://127.0.0.1:")),
                "{log:?}"
            );
        }
    }
    let facts = host.get(&live.at).await["reachability"]["facts"].clone();
    assert_eq!(facts["connection_request_opened_session"], true, "{facts}");

    // The ACS has another password than the proxy.
    let settings = squid.settings(Some("another"));
    let host = host
        .restart(move |config| config.instance.http_proxy = Some(settings))
        .await;
    let report = wake(&host, &live.at).await;
    failed(
        &report,
        "proxy-refused",
        "refused the user name and password",
    );
    let settings = squid.settings(None);
    let host = host
        .restart(move |config| config.instance.http_proxy = Some(settings))
        .await;
    let report = wake(&host, &live.at).await;
    failed(&report, "proxy-refused", "has none");
    host.stop().await;
}

/// A device's connection-request server that lets everybody in and wants its answers kept; how
/// many requests came to it.
async fn cacheable() -> (SocketAddr, Arc<Mutex<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n")
                && matches!(stream.read_buf(&mut head).await, Ok(1..))
            {}
            if head.is_empty() {
                continue;
            }
            *counted.lock().unwrap() += 1;
            let answer = b"HTTP/1.1 200 OK\r\nCache-Control: public, max-age=3600\r\nDate: Sun, 01 Mar 2026 00:00:00 GMT\r\nExpires: Fri, 01 Jan 2100 00:00:00 GMT\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
            let _ = stream.write_all(answer).await;
        }
    });
    (address, requests)
}

/// A device in nobody's hands but the test's, with that server.
async fn behind(host: &Host, serial: &str, url: &str) -> Sim {
    let mut sim = Sim::new(CpeConfig {
        connection_request_url: url.into(),
        ..CpeConfig::tr181(serial, &host.url())
    });
    sim.settle().await;
    sim
}

/// GET through the proxy without a word about caches, as a browser does.
async fn browse(squid: &Squid, url: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", squid.port)).await.unwrap();
    let head = format!("GET {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_proxy_with_a_cache_asks_the_device_each_time() {
    let squid = Squid::start(local(), |printed| printed.replace("cache deny all\n", "")).await;
    let host = setup(squid.settings(None)).start().await;
    let (device, requests) = cacheable().await;
    let url = format!("http://{device}/cr");
    // The cache is at work.
    for _ in 0..2 {
        let answer = browse(&squid, &url).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let log = squid.log(2).await;
    assert_eq!(*requests.lock().unwrap(), 1, "{log:?}");
    let sim = behind(&host, "W1", &url).await;
    for round in 1..=3 {
        let report = wake(&host, &sim.at()).await;
        // Nobody opens a session here.
        failed(&report, "accepted-but-silent", "no session within 2 s");
        // Directly, and through the proxy.
        assert_eq!(*requests.lock().unwrap(), 1 + 2 * round, "{report}");
    }
    host.stop().await;
}

#[tokio::test]
async fn whose_refusal_it_is() {
    let squid = Squid::start(local(), |printed| printed).await;
    let host = setup(squid.settings(None)).start().await;
    // Nobody is there.
    let nobody = format!("http://127.0.0.1:{}/cr", free_port());
    let sim = behind(&host, "W1", &nobody).await;
    failed(
        &wake(&host, &sim.at()).await,
        "proxy-cannot-reach",
        "the HTTP proxy cannot reach the device (503, ERR_CONNECT_FAIL 111)",
    );
    // Not in the proxy's list of devices.
    let sim = behind(&host, "W2", "http://192.0.2.1:7547/cr").await;
    let report = wake(&host, &sim.at()).await;
    failed(
        &report,
        "proxy-refused",
        "the HTTP proxy refused to call the device (403, ERR_ACCESS_DENIED)",
    );
    assert_eq!(report["attempts"].as_array().unwrap().len(), 1, "{report}");
    let sim = behind(&host, "W3", "http://127.0.0.1:80/cr").await;
    failed(
        &wake(&host, &sim.at()).await,
        "proxy-refused",
        "the device's port is 80, and proxies are often configured to refuse ports below 1025",
    );
    // A device that hangs up without an answer, and one that has its own 503.
    for (serial, answer, outcome, error) in [
        ("W4", "", "proxy-cannot-reach", "ERR_ZERO_SIZE_OBJECT"),
        (
            "W5",
            "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            "busy",
            "the device is busy (503)",
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answering = async {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        };
        let woken = async {
            let sim = behind(&host, serial, &format!("http://{address}/cr")).await;
            wake(&host, &sim.at()).await
        };
        let report = tokio::select! {
            report = woken => report,
            () = answering => unreachable!(),
        };
        failed(&report, outcome, error);
    }
    let log = squid.log(1).await;
    assert!(
        log.iter().all(|line| line.contains(" GET http://")),
        "{log:?}"
    );
    host.stop().await;

    // The ACS itself is not in its list.
    let strangers = vec![("senders", "192.0.2.77".into()), local().remove(1)];
    let squid = Squid::start(strangers, |printed| printed).await;
    let host = setup(squid.settings(None)).start().await;
    let sim = behind(&host, "W1", &nobody).await;
    failed(
        &wake(&host, &sim.at()).await,
        "proxy-refused",
        "is the ACS in its access list",
    );
    host.stop().await;
}

#[tokio::test]
async fn what_the_guard_refuses_it_refuses_through_the_proxy_too() {
    let squid = Squid::start(local(), |printed| printed).await;
    let host = setup(squid.settings(None))
        .config(|config| config.instance.connection_request_allow.clear())
        .start()
        .await;
    let urls = [
        "http://127.0.0.1:7547/cr",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://localhost:7547/cr",
        "http://127.1:7547/cr",
        "http://[::ffff:127.0.0.1]:7547/cr",
        "http://[64:ff9b::7f00:1]:7547/cr",
        "http://[fe80::1%25eth0]:7547/cr",
    ];
    for (place, url) in urls.iter().enumerate() {
        let sim = behind(&host, &format!("G{place}"), url).await;
        let report = wake(&host, &sim.at()).await;
        assert_eq!(report["state"], "failed", "{url}: {report}");
        let attempts = report["attempts"].as_array().unwrap();
        let called = attempts.iter().filter(|one| one["mode"] != "short-inform");
        for attempt in called {
            assert_eq!(attempt["outcome"], "blocked", "{url}: {report}");
            assert_eq!(attempt["accepted"], Value::Null, "{url}: {report}");
        }
    }
    let status = host.get("/v1/status").await;
    let blocked = status["counters"]["connection_requests_blocked"].as_u64();
    assert!(blocked >= Some(8), "{status}");
    assert_eq!(squid.log(0).await, [""; 0], "nothing came to the proxy");
    host.stop().await;
}

#[tokio::test]
async fn a_proxy_comes_and_goes() {
    let proxy = HttpProxy {
        address: "127.0.0.1:9".parse().unwrap(),
        username: None,
        password: None,
    };
    let host = Setup::new().plugin("shipped", "nat-default").start().await;
    let mut sim = behind(&host, "P1", "http://192.168.1.1:7547/cr").await;
    let mode = async |host: &Host, sim: &Sim| {
        let device = host.get(&sim.at()).await;
        let facts = &device["reachability"]["facts"];
        (
            device["reachability"]["mode"].clone(),
            facts["proxy_configured"].clone(),
            sim.value("ManagementServer.PeriodicInformInterval"),
        )
    };
    let short = (json!("short-inform"), json!(false), "20".to_owned());
    let proxied = (json!("http-proxy"), json!(true), "14400".to_owned());
    assert_eq!(mode(&host, &sim).await, short);
    let host = host
        .restart(move |config| config.instance.http_proxy = Some(proxy))
        .await;
    // The next short inform: what it was told for the mode before is undone, and it is given
    // credentials for connection requests.
    let session = sim.periodic().await;
    assert_eq!(rpcs(&session), ["SetParameterValues"; 2]);
    assert_eq!(mode(&host, &sim).await, proxied);
    assert!(
        !sim.value("ManagementServer.ConnectionRequestPassword")
            .is_empty()
    );
    assert!(rpcs(&sim.periodic().await).is_empty(), "once");
    let device = host.get(&sim.at()).await;
    assert_eq!(device["connection_request"]["has_credentials"], true);
    let host = host
        .restart(|config| config.instance.http_proxy = None)
        .await;
    assert_eq!(rpcs(&sim.periodic().await), ["SetParameterValues"]);
    assert_eq!(mode(&host, &sim).await, short);
    host.stop().await;
}

/// nginx before the host, Squid near the devices.
#[tokio::test]
async fn both_proxies_together() {
    let squid = Squid::start(local(), |printed| printed).await;
    let host = setup(squid.settings(None))
        .plugin("shipped", "first-contact")
        .config(|config| config.cwmp.trusted_proxies = vec!["127.0.0.1".parse().unwrap()])
        .start()
        .await;
    let (_keep, directory) = open_directory();
    let port = free_port();
    let options = [format!("upstream={}", host.cwmp), format!("listen={port}")];
    let printed = snippet("nginx", "", &[&options[0], &options[1]]);
    let _nginx = nginx::start(&directory, &printed, port).await;
    // It is where the proxy reaches it, and not where it comes from.
    let mut live = Live::start(FleetConfig {
        listen: Listen::Own([127, 0, 0, 2].into()),
        boot_time: Duration::from_millis(50),
        ..FleetConfig::single(&format!("http://127.0.0.1:{port}/"), Vendor::tr098())
    })
    .await;
    let reachability = host.get(&live.at).await["reachability"].clone();
    assert_eq!(reachability["mode"], "http-proxy", "{reachability}");
    let facts = &reachability["facts"];
    assert_eq!(
        (&facts["told_by"], &facts["connection_request_host"]),
        (&"x-forwarded-for".into(), &"127.0.0.2".into())
    );
    let report = wake(&host, &live.at).await;
    assert_eq!(report["state"], "session-opened", "{report}");
    assert_eq!(report["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(live.session().await.0, ["6 CONNECTION REQUEST"]);
    let log = squid.log(2).await;
    assert!(
        log.iter()
            .all(|line| line.contains(" GET http://127.0.0.2:")),
        "{log:?}"
    );
    host.stop().await;
}

#[tokio::test]
async fn a_device_that_is_not_behind_nat_is_called_directly_and_then_through_the_proxy() {
    let squid = Squid::start(local(), |printed| printed).await;
    let host = setup(squid.settings(None)).start().await;
    let (server, requests) = cacheable().await;
    let sim = behind(&host, "D1", &format!("http://{server}/cr")).await;
    let device = host.get(&sim.at()).await;
    assert_eq!(device["reachability"]["mode"], "direct-http", "{device}");
    let report = wake(&host, &sim.at()).await;
    let modes: Vec<_> = report["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| &attempt["mode"])
        .collect();
    assert_eq!(modes, ["direct-http", "http-proxy"], "{report}");
    assert_eq!(*requests.lock().unwrap(), 2);
    host.stop().await;
}
