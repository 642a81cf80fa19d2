//! `patchbay sim --bench`: whole sessions per core-second.
//!
//! Two servers take turns under the same load, each a process of its own so that its CPU time
//! can be told: this program as it is served (durable store, shipped plugins, and the example
//! `read-five`, which asks for five parameters in each session), and the floor: a stateless
//! axum handler that answers the same session with fixed text. What counts is their ratio.

pub(super) mod floor;
pub(super) mod large_names;
pub(super) mod offered;
pub(super) mod short_inform;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use cpe_sim::{Load, LoadConfig, LoadReport};

use super::shipped;

const ROUNDS: usize = 3;
const DEVICES: u64 = 2_000;
const TOKEN: &str = "token-of-the-benchmark";
const START_TIME: Duration = Duration::from_secs(60);

/// Measures for about `seconds` seconds and prints what came out.
pub(super) async fn run(seconds: u64) -> anyhow::Result<()> {
    let time = Duration::from_secs((seconds / (2 * ROUNDS as u64)).max(2));
    let floor = Server::start(free_port()?, |command, address| {
        command.args(["floor", "--listen", &address.to_string()]);
        Ok(())
    })
    .await?;
    let Host {
        server: host, api, ..
    } = &Host::start().await?;
    let api = *api;

    // The first session of each device is another one: credentials, NAT mode, tags.
    let first = LoadConfig {
        sessions_max: Some(2 * DEVICES),
        time_max: Some(START_TIME),
        ..load(host.address)
    };
    check(&Load::run(first).await)?;

    println!("sessions of Inform, empty POST, GetParameterValues of 5, 204; a connection for each");
    println!(
        "{:>6} {:>16} {:>16} {:>8} {:>10} {:>14}",
        "round", "floor/core-s", "host/core-s", "ratio", "plugins", "host median"
    );
    let (mut ratios, mut floors, mut hosts) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let floor = measure(&floor, time, load(floor.address)).await?;
        let plugins_before = plugin_time(api).await?;
        let measured = measure(host, time, load(host.address)).await?;
        for measured in [&floor, &measured] {
            one_get_in_each(&measured.report)?;
        }
        let plugins = plugin_time(api).await?.saturating_sub(plugins_before);
        let share = plugins.as_secs_f64() / measured.cpu.as_secs_f64();
        let ratio = measured.per_core_second() / floor.per_core_second();
        println!(
            "{round:>6} {:>16.0} {:>16.0} {ratio:>8.2} {:>9.1}% {:>14.1?}",
            floor.per_core_second(),
            measured.per_core_second(),
            100.0 * share,
            measured.report.latency.quantile(0.5),
        );
        ratios.push(ratio);
        floors.push(floor.per_core_second());
        hosts.push(measured.per_core_second());
    }
    println!(
        "median: floor {:.0}, host {:.0} sessions per core-second, ratio {:.2}",
        median(&mut floors),
        median(&mut hosts),
        median(&mut ratios)
    );
    Ok(())
}

/// This program as it is served, in a directory of its own.
struct Host {
    server: Server,
    api: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Host {
    async fn start() -> anyhow::Result<Host> {
        let directory = tempfile::tempdir()?;
        let plugins = directory.path().join("plugins");
        std::fs::create_dir(&plugins)?;
        let built = tokio::task::spawn_blocking(|| {
            let shipped = shipped::components(shipped::Kind::Shipped)?;
            anyhow::Ok((shipped, shipped::components(shipped::Kind::Examples)?))
        });
        let (shipped, examples) = built.await??;
        shipped::copy(&shipped, &plugins)?;
        std::fs::copy(
            examples.join("read-five.wasm"),
            plugins.join("read-five.wasm"),
        )?;

        let api = free_port()?;
        let server = Server::start(free_port()?, |command, address| {
            let config = directory.path().join("patchbay.toml");
            std::fs::write(
                &config,
                configuration(directory.path(), &plugins, address, api),
            )?;
            command.arg("serve").arg("--config").arg(&config);
            if std::env::var_os("PATCHBAY_LOG").is_none() {
                command.env("PATCHBAY_LOG", "error");
            }
            Ok(())
        })
        .await?;
        Ok(Host {
            server,
            api,
            _directory: directory,
        })
    }
}

fn configuration(directory: &Path, plugins: &Path, cwmp: SocketAddr, api: SocketAddr) -> String {
    format!(
        "data_directory = {:?}\nplugin_directory = {plugins:?}\n[stun]\nenabled = false\n[xmpp]\nmode = \"off\"\n[cwmp]\nlisten = [\"{cwmp}\"]\n\
         [api]\nlisten = \"{api}\"\ntoken = \"{TOKEN}\"\n",
        directory.join("data")
    )
}

/// Devices that are not behind NAT: the short-inform fast path is not what is measured.
fn load(address: SocketAddr) -> LoadConfig {
    LoadConfig {
        devices: DEVICES,
        connection_request_host: "127.0.0.1:9".to_owned(),
        ..LoadConfig::new(address, "/")
    }
}

/// One server under load.
struct Measured {
    report: LoadReport,
    cpu: Duration,
}

impl Measured {
    fn per_core_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 sessions")]
        let sessions = self.report.sessions_ok as f64;
        sessions / self.cpu.as_secs_f64()
    }
}

/// The CPU time of a server under a load.
async fn measure(server: &Server, time: Duration, load: LoadConfig) -> anyhow::Result<Measured> {
    let before = server.cpu()?;
    let load = LoadConfig {
        time_max: Some(time),
        ..load
    };
    let report = Load::run(load).await;
    let cpu = server.cpu()?.saturating_sub(before);
    check(&report)?;
    Ok(Measured { report, cpu })
}

fn one_get_in_each(report: &LoadReport) -> anyhow::Result<()> {
    let asked = report.rpcs.get("GetParameterValues").copied();
    anyhow::ensure!(
        asked == Some(report.sessions_ok) && report.rpcs.len() == 1,
        "expected one GetParameterValues in each of {} sessions, got {:?}",
        report.sessions_ok,
        report.rpcs
    );
    Ok(())
}

fn check(report: &LoadReport) -> anyhow::Result<()> {
    anyhow::ensure!(
        report.sessions_ok > 0 && report.failed() == 0,
        "{} sessions done, failed: {:?}",
        report.sessions_ok,
        report.sessions_failed
    );
    Ok(())
}

/// A server in a process of its own, ended when it is dropped.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    async fn start(
        address: SocketAddr,
        arguments: impl FnOnce(&mut Command, SocketAddr) -> anyhow::Result<()>,
    ) -> anyhow::Result<Server> {
        let mut command = Command::new(std::env::current_exe()?);
        arguments(&mut command, address)?;
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let mut server = Server { process, address };
        let deadline = tokio::time::Instant::now() + START_TIME;
        while tokio::net::TcpStream::connect(address).await.is_err() {
            anyhow::ensure!(
                server.process.try_wait()?.is_none(),
                "the server did not start"
            );
            anyhow::ensure!(
                tokio::time::Instant::now() < deadline,
                "the server takes too long to start"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // It listens before it has loaded its plugins and answers after.
        Ok(server)
    }

    fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_of(self.process.id())
    }
}

/// CPU time of all threads of a process (`proc_pid_stat(5)`, fields 14 and 15).
pub(super) fn cpu_of(process: u32) -> anyhow::Result<Duration> {
    const TICKS_PER_SECOND: u64 = 100;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let after_name = stat.rsplit_once(')').context("no process name in stat")?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut ticks = 0;
    for _ in 0..2 {
        ticks += fields.next().context("stat is too short")?.parse::<u64>()?;
    }
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

async fn plugin_time(api: SocketAddr) -> anyhow::Result<Duration> {
    let body = request_api(api, "GET", "/v1/status", "").await?;
    let status: serde_json::Value = serde_json::from_str(&body)?;
    let time = status
        .get("plugins_milliseconds")
        .and_then(serde_json::Value::as_u64);
    Ok(Duration::from_millis(
        time.context("no plugins_milliseconds in the status")?,
    ))
}

/// The body of the API's answer.
async fn request_api(
    api: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> anyhow::Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(api).await?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("no answer of the API")?;
    anyhow::ensure!(
        head.starts_with("HTTP/1.1 2"),
        "{method} {path} was answered with {head}: {body}"
    );
    Ok(body.to_owned())
}

fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

pub(super) fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}
