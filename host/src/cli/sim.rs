//! `patchbay sim`: simulated devices against a server, for as long as they are told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use cpe_sim::{Cuts, Fleet, FleetConfig, FleetStats, Listen, Oddity, SessionOptions, Vendor};

use super::{bench, stun_bench};

/// A load that nobody stopped ends by itself.
const SECONDS: u64 = 60;
/// Devices of one process.
const DEVICES_MAX: usize = 200_000;

#[derive(Args)]
pub(super) struct Sim {
    /// Measure whole sessions of this very program, against the floor of a fixed answer.
    #[arg(long)]
    bench: bool,
    /// With --bench: measure how others fare while a device answers with its 3,343 names.
    #[arg(long, requires = "bench")]
    large_names: bool,
    /// With --bench: measure Informs that find nothing to do, beside whole sessions.
    #[arg(long, requires = "bench", conflicts_with = "large_names")]
    short_inform: bool,
    /// With --bench: offer the Informs of so many devices that inform every 20 seconds, whether or
    /// not the host keeps up.
    #[arg(long, requires = "bench", conflicts_with_all = ["large_names", "short_inform"])]
    offered: Option<u32>,
    /// Measure STUN requests of this very program, beside coturn if that is installed.
    #[arg(long, conflicts_with = "bench")]
    stun_bench: bool,
    /// The ACS URL.
    #[arg(long, default_value = "http://127.0.0.1:7547/")]
    url: String,
    /// How many devices.
    #[arg(long, default_value_t = 1000)]
    devices: usize,
    /// Seconds between two Informs of a device (its factory setting).
    #[arg(long, default_value_t = 60)]
    interval: u64,
    /// Over how many seconds the devices boot.
    #[arg(long, default_value_t = 10)]
    spread: u64,
    /// Stop after so many seconds.
    #[arg(long, default_value_t = SECONDS)]
    seconds: u64,
    /// Stop after so many sessions.
    #[arg(long)]
    sessions: Option<u64>,
    /// What the devices do differently, such as `no-header`; may be given several times.
    #[arg(long, value_parser = oddity)]
    oddity: Vec<Oddity>,
    /// Each device has so many further oddities, drawn so that the fleet has all there are.
    #[arg(long, default_value_t = 0)]
    odd: usize,
    /// Of a hundred connections, so many break off at a random moment.
    #[arg(long, default_value_t = 0)]
    cut_percent: u8,
    /// The address on which the devices take connection requests.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,
    /// What the devices give as their host instead: with 192.168.1.1, say, they are behind NAT.
    #[arg(long)]
    announce: Option<String>,
    /// Only devices of this maker, such as `Northlight`, not of all in turn.
    #[arg(long, value_parser = vendor)]
    vendor: Option<Vendor>,
    /// What their serial numbers begin with.
    #[arg(long, default_value = "SIM")]
    serial: String,
    /// The same number makes the same devices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Sim {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        super::log("warn");
        if self.large_names {
            return bench::large_names::run(self.seconds.min(SECONDS)).await;
        }
        if let Some(devices) = self.offered {
            return bench::offered::run(devices, self.seconds.min(SECONDS)).await;
        }
        if self.short_inform {
            return bench::short_inform::run(self.seconds.min(SECONDS)).await;
        }
        if self.bench {
            return bench::run(self.seconds.min(SECONDS)).await;
        }
        if self.stun_bench {
            let seconds = self.seconds.min(SECONDS);
            return tokio::task::spawn_blocking(move || stun_bench::run(seconds)).await?;
        }
        anyhow::ensure!(
            (1..=DEVICES_MAX).contains(&self.devices),
            "expected 1 to {DEVICES_MAX} devices, got {}",
            self.devices
        );
        let mut shutdown = super::shutdown_signal()?;
        let fleet = Fleet::start(FleetConfig {
            periodic_interval: Duration::from_secs(self.interval.max(1)),
            boot_spread: Duration::from_secs(self.spread),
            listen: Listen::Shared(SocketAddr::new(self.listen, 0)),
            announce_host: self.announce.clone(),
            vendors: match self.vendor {
                Some(vendor) => vec![vendor],
                None => Vendor::ALL.to_vec(),
            },
            serial_prefix: self.serial,
            time_max: Some(Duration::from_secs(self.seconds)),
            sessions_max: self.sessions,
            oddities: self.oddity.iter().copied().collect(),
            odd: self.odd,
            session: SessionOptions {
                cuts: (self.cut_percent > 0).then(|| Cuts {
                    share: f64::from(self.cut_percent.min(100)) / 100.0,
                    seed: self.seed,
                }),
                ..SessionOptions::default()
            },
            seed: self.seed,
            ..FleetConfig::new(&self.url, self.devices)
        })
        .await?;
        println!(
            "{} devices against {} for at most {} s",
            self.devices, self.url, self.seconds
        );
        tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => fleet.stop(),
            () = fleet.wait() => {}
        }
        fleet.wait().await;
        let stats = fleet.stats();
        report(&stats);
        anyhow::ensure!(stats.sessions_ok > 0, "no session came to its end");
        Ok(())
    }
}

fn oddity(name: &str) -> Result<Oddity, String> {
    Oddity::from_name(name).ok_or_else(|| {
        let names = Oddity::ALL.map(Oddity::name);
        format!("expected one of {}", names.join(", "))
    })
}

fn vendor(manufacturer: &str) -> Result<Vendor, String> {
    let found = Vendor::ALL
        .iter()
        .find(|vendor| vendor.manufacturer == manufacturer);
    found.copied().ok_or_else(|| {
        let names = Vendor::ALL.map(|vendor| vendor.manufacturer);
        format!("expected one of {}", names.join(", "))
    })
}

fn report(stats: &FleetStats) {
    let seconds = stats.elapsed.as_secs_f64().max(f64::EPSILON);
    println!(
        "{} sessions done in {seconds:.1} s, {} failed",
        stats.sessions_ok,
        stats.failed()
    );
    for (reason, count) in &stats.sessions_failed {
        println!("  {count} {reason}");
    }
    let latency = &stats.latency;
    println!(
        "a session took {:.1?} at the median, {:.1?} at the 95th, {:.1?} at the 99th percentile",
        latency.quantile(0.5),
        latency.quantile(0.95),
        latency.quantile(0.99)
    );
    let list = |counts: &std::collections::BTreeMap<String, u64>| {
        let counts: Vec<String> = counts
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        counts.join(", ")
    };
    println!("events: {}", list(&stats.events));
    println!("RPCs: {}", list(&stats.rpcs));
    if !stats.faults.is_empty() {
        println!("faults: {}", list(&stats.faults));
    }
    println!(
        "{} connection requests taken, {} transfers, {} POSTs",
        stats.connection_requests, stats.transfers, stats.posts
    );
}
