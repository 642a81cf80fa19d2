//! A closed-loop load generator: as many sessions as an ACS can serve, at as little cost to
//! itself as possible, for benchmarks.
//!
//! Its devices have no state: an Inform is a copy of a text with the serial number put in, and
//! answers are searched for, not parsed.

mod answers;
mod informs;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::Vendor;
use crate::fleet::Histogram;
use answers::Answers;
use informs::Informs;
use wire::Wire;

/// A session that is longer is a failure.
const POSTS_PER_SESSION_MAX: u32 = 200;

/// What load to make.
#[derive(Debug, Clone)]
pub struct LoadConfig {
    /// Where the ACS listens.
    pub address: SocketAddr,
    /// The Host header.
    pub host: String,
    /// The path of the ACS URL.
    pub target: String,
    /// Host and port of the ConnectionRequestURL that the Informs tell. Where it is not the
    /// address the load comes from, the ACS takes the devices for being behind NAT.
    pub connection_request_host: String,
    /// The kind of device.
    pub vendor: Vendor,
    /// How many devices take turns; at least `sessions_at_once`, or a device would have two
    /// sessions at once.
    pub devices: u64,
    /// Serial numbers are `LOAD` and eight digits, from this number on.
    pub first_device: u64,
    /// Event codes of each Inform.
    pub events: Vec<String>,
    /// Sessions at once, each on a connection of its own.
    pub sessions_at_once: usize,
    /// Keeps the connection for the next session, of another device, as a proxy would.
    pub keep_connections: bool,
    /// Header lines (`Authorization: Basic …`) for each request.
    pub headers: Vec<String>,
    /// Sessions begin so often, whether or not the ACS keeps up, as far as `sessions_at_once`
    /// allows; their latency counts from when they were due. 0 = as soon as one before has ended.
    pub sessions_per_second: u32,
    /// Stops after as many sessions.
    pub sessions_max: Option<u64>,
    /// Stops after this time.
    pub time_max: Option<Duration>,
    /// For an answer.
    pub message_timeout: Duration,
}

impl LoadConfig {
    /// `2 PERIODIC` sessions of 10,000 TR-181 devices, 64 at once, for ten seconds.
    pub fn new(address: SocketAddr, target: &str) -> LoadConfig {
        LoadConfig {
            address,
            host: address.to_string(),
            target: target.to_owned(),
            connection_request_host: "198.51.100.7:7547".to_owned(),
            vendor: Vendor::tr181(),
            devices: 10_000,
            first_device: 1,
            events: vec!["2 PERIODIC".to_owned()],
            sessions_at_once: 64,
            keep_connections: false,
            headers: Vec::new(),
            sessions_per_second: 0,
            sessions_max: None,
            time_max: Some(Duration::from_secs(10)),
            message_timeout: Duration::from_secs(30),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct LoadReport {
    /// Came to their end.
    pub sessions_ok: u64,
    /// Broke off, by a word that says why.
    pub sessions_failed: BTreeMap<&'static str, u64>,
    /// RPCs of the ACS by name.
    pub rpcs: BTreeMap<String, u64>,
    /// HTTP requests.
    pub posts: u64,
    /// TCP connections.
    pub connections: u64,
    /// On all connections.
    pub bytes_sent: u64,
    /// On all connections.
    pub bytes_received: u64,
    /// Of whole sessions, with the connection.
    pub latency: Histogram,
    /// From the Inform to its answer.
    pub inform_latency: Histogram,
    /// From the start to the end of the last session.
    pub elapsed: Duration,
}

impl LoadReport {
    /// Sessions that came to their end, per second.
    pub fn sessions_per_s(&self) -> f64 {
        self.sessions_ok as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    /// Failed for whatever reason.
    pub fn failed(&self) -> u64 {
        self.sessions_failed.values().sum()
    }

    fn merge(&mut self, other: LoadReport) {
        self.sessions_ok += other.sessions_ok;
        self.posts += other.posts;
        self.connections += other.connections;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.latency.merge(&other.latency);
        self.inform_latency.merge(&other.inform_latency);
        for (reason, count) in other.sessions_failed {
            *self.sessions_failed.entry(reason).or_insert(0) += count;
        }
        for (method, count) in other.rpcs {
            *self.rpcs.entry(method).or_insert(0) += count;
        }
    }
}

/// Load on an ACS.
#[derive(Debug)]
pub struct Load;

impl Load {
    /// Makes the load on the current runtime, and comes back when it has stopped by itself. A
    /// configuration without either limit stops after ten seconds.
    pub async fn run(mut config: LoadConfig) -> LoadReport {
        if config.sessions_max.is_none() && config.time_max.is_none() {
            config.time_max = Some(Duration::from_secs(10));
        }
        let shared = Arc::new(Shared {
            informs: Informs::new(&config),
            next: AtomicU64::new(0),
            over: AtomicBool::new(false),
            began: Instant::now(),
            config,
        });
        let began = shared.began;
        let mut workers = JoinSet::new();
        for _ in 0..shared.config.sessions_at_once.max(1) {
            workers.spawn(worker(Arc::clone(&shared)));
        }
        let stop = Arc::clone(&shared);
        let end = shared.config.time_max.map(|time| began + time);
        let clock = tokio::spawn(async move {
            if let Some(end) = end {
                sleep_until(end).await;
                stop.over.store(true, Ordering::Relaxed);
            }
        });
        let mut report = LoadReport::default();
        while let Some(done) = workers.join_next().await {
            report.merge(done.unwrap_or_default());
        }
        clock.abort();
        report.elapsed = began.elapsed();
        report
    }
}

struct Shared {
    config: LoadConfig,
    informs: Informs,
    next: AtomicU64,
    over: AtomicBool,
    began: Instant,
}

impl Shared {
    /// When a session begins; `None`: as soon as somebody has time for it.
    fn due(&self, number: u64) -> Option<Instant> {
        let rate = u64::from(self.config.sessions_per_second);
        let micros = number.saturating_mul(1_000_000).checked_div(rate)?;
        Some(self.began + Duration::from_micros(micros))
    }
}

/// One session after the other.
async fn worker(shared: Arc<Shared>) -> LoadReport {
    let config = &shared.config;
    let mut report = LoadReport::default();
    let mut wire = Wire::new(config);
    let mut answers = Answers::default();
    while !shared.over.load(Ordering::Relaxed) {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        if config.sessions_max.is_some_and(|max| number >= max) {
            break;
        }
        let device = config.first_device + number % config.devices.max(1);
        let due = shared.due(number);
        if let Some(due) = due {
            sleep_until(due).await;
        }
        let began = due.unwrap_or_else(Instant::now);
        match session(&shared, device, &mut wire, &mut answers, &mut report).await {
            Ok(()) => {
                report.sessions_ok += 1;
                report.latency.record(began.elapsed());
            }
            Err(reason) => {
                *report.sessions_failed.entry(reason).or_insert(0) += 1;
                wire.close();
            }
        }
        if !config.keep_connections {
            wire.close();
        }
    }
    wire.count(&mut report);
    report
}

async fn session(
    shared: &Shared,
    device: u64,
    wire: &mut Wire,
    answers: &mut Answers,
    report: &mut LoadReport,
) -> Result<(), &'static str> {
    wire.begin_session();
    let began = Instant::now();
    let inform = shared.informs.of(device);
    report.posts += 1;
    let status = wire.post(&inform).await?;
    report.inform_latency.record(began.elapsed());
    if status != 200 || memchr::memmem::find(wire.body(), b"InformResponse").is_none() {
        return Err(if status == 503 { "busy" } else { "inform" });
    }
    let mut next: Vec<u8> = Vec::new();
    for _ in 0..POSTS_PER_SESSION_MAX {
        report.posts += 1;
        match wire.post(&next).await? {
            204 => return Ok(()),
            200 if wire.body().is_empty() => return Ok(()),
            200 => {}
            503 => return Err("busy"),
            _ => return Err("status"),
        }
        let method = answers
            .answer(wire.body(), &inform, &mut next)
            .ok_or("protocol")?;
        match report.rpcs.get_mut(method) {
            Some(count) => *count += 1,
            None => {
                report.rpcs.insert(method.to_owned(), 1);
            }
        }
    }
    Err("endless")
}
