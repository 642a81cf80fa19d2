//! `patchbay sim --bench --offered N`: a fleet that informs every 20 seconds, whether or not the
//! host keeps up with it.

use std::time::Duration;

use anyhow::Context;
use cpe_sim::{Load, LoadConfig};

use super::short_inform::behind_nat;
use super::{Host, check, cpu_of};

const INTERVAL_SECONDS: u32 = 20;
const SESSIONS_AT_ONCE: usize = 512;
/// For the first session of each device, which is a whole one.
const FIRST_TIME: Duration = Duration::from_secs(300);

/// Offers the Informs for `seconds` seconds and prints what came of it.
pub(in crate::cli) async fn run(devices: u32, seconds: u64) -> anyhow::Result<()> {
    let rate = (devices / INTERVAL_SECONDS).max(1);
    let host = Host::start().await?;
    let process = host.server.process.id();
    let empty = memory_of(process)?;
    let load = LoadConfig {
        devices: devices.into(),
        sessions_at_once: SESSIONS_AT_ONCE,
        ..behind_nat(host.server.address)
    };
    let first = Load::run(LoadConfig {
        sessions_max: Some(devices.into()),
        time_max: Some(FIRST_TIME),
        ..load.clone()
    })
    .await;
    check(&first)?;
    println!(
        "{} devices registered, {:.0} a second",
        first.sessions_ok,
        first.sessions_per_s()
    );

    let before = (cpu_of(process)?, cpu_of(std::process::id())?);
    let report = Load::run(LoadConfig {
        sessions_per_second: rate,
        time_max: Some(Duration::from_secs(seconds)),
        ..load
    })
    .await;
    let host_cpu = cpu_of(process)?.saturating_sub(before.0);
    let load_cpu = cpu_of(std::process::id())?.saturating_sub(before.1);
    let cores = |cpu: Duration| cpu.as_secs_f64() / report.elapsed.as_secs_f64();
    println!(
        "offered {rate} sessions a second: {:.0} done a second, failed {:?}, asked {:?}",
        report.sessions_per_s(),
        report.sessions_failed,
        report.rpcs
    );
    println!(
        "from when a session was due to its end: median {:.1?}, 99th {:.1?}, longest {:.1?}; \
         Inform to answer: median {:.1?}, 99th {:.1?}",
        report.latency.quantile(0.5),
        report.latency.quantile(0.99),
        report.latency.quantile(1.0),
        report.inform_latency.quantile(0.5),
        report.inform_latency.quantile(0.99),
    );
    println!(
        "cores: host {:.2}, the load itself {:.2}",
        cores(host_cpu),
        cores(load_cpu)
    );
    let memory = memory_of(process)?;
    println!(
        "memory of the host: {} MB, {:.1} KB a device",
        memory >> 20,
        memory.saturating_sub(empty) as f64 / f64::from(devices.max(1)) / 1024.0
    );
    Ok(())
}

/// Resident bytes of a process (`proc_pid_status(5)`).
fn memory_of(process: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    let kilobytes: u64 = kilobytes.context("no VmRSS in status")?.parse()?;
    Ok(kilobytes << 10)
}
