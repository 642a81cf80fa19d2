//! `patchbay sim --bench --short-inform`: what the Inform costs that comes every few seconds.
//!
//! Three loads take turns: the host with devices behind NAT whose Informs find nothing to do, the
//! same host with whole sessions, and a server that parses each Inform, answers it and ends the
//! session. What counts is how many times the CPU of that server a short Inform takes.

use std::net::SocketAddr;
use std::time::Duration;

use cpe_sim::{Load, LoadConfig};

use super::{
    DEVICES, Host, ROUNDS, START_TIME, Server, check, free_port, load, measure, median,
    one_get_in_each,
};

/// Serial numbers of those that inform every few seconds, from here on.
const FIRST_DEVICE: u64 = 1_000_001;
/// Where no connection request leads: they are behind NAT.
const PRIVATE_HOST: &str = "192.168.1.1:7547";

/// Devices that cannot be woken.
pub(super) fn behind_nat(address: SocketAddr) -> LoadConfig {
    LoadConfig {
        connection_request_host: PRIVATE_HOST.to_owned(),
        ..load(address)
    }
}

/// Measures for about `seconds` seconds and prints what came out.
pub(in crate::cli) async fn run(seconds: u64) -> anyhow::Result<()> {
    let time = Duration::from_secs((seconds / (3 * ROUNDS as u64)).max(2));
    let floor = Server::start(free_port()?, |command, address| {
        command.args(["floor", "--parse", "--listen", &address.to_string()]);
        Ok(())
    })
    .await?;
    let host = Host::start().await?;
    let short = LoadConfig {
        first_device: FIRST_DEVICE,
        ..behind_nat(host.server.address)
    };
    let full = load(host.server.address);
    // The first sessions of a device are other ones: mode, credentials, interval.
    for load in [&short, &full] {
        let first = LoadConfig {
            sessions_max: Some(2 * DEVICES),
            time_max: Some(START_TIME),
            ..load.clone()
        };
        check(&Load::run(first).await)?;
    }

    println!("sessions of Inform, empty POST, 204; whole ones with a GetParameterValues of 5 too");
    println!(
        "{:>6} {:>14} {:>14} {:>8} {:>14} {:>14}",
        "round", "floor/core-s", "short/core-s", "CPU", "whole/core-s", "short median"
    );
    let (mut ratios, mut shorts) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let least = measure(&floor, time, load(floor.address)).await?;
        let short = measure(&host.server, time, short.clone()).await?;
        anyhow::ensure!(
            short.report.rpcs.is_empty(),
            "expected nothing to be asked, got {:?}",
            short.report.rpcs
        );
        let full = measure(&host.server, time, full.clone()).await?;
        one_get_in_each(&full.report)?;
        let ratio = least.per_core_second() / short.per_core_second();
        println!(
            "{round:>6} {:>14.0} {:>14.0} {:>7.2}x {:>14.0} {:>14.1?}",
            least.per_core_second(),
            short.per_core_second(),
            ratio,
            full.per_core_second(),
            short.report.latency.quantile(0.5),
        );
        ratios.push(ratio);
        shorts.push(short.per_core_second());
    }
    println!(
        "median: {:.0} short sessions per core-second, {:.2} times the CPU of parsing and answering",
        median(&mut shorts),
        median(&mut ratios)
    );
    Ok(())
}
