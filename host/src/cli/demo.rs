//! `patchbay demo`: the product on one machine, with simulated devices, in one command.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use cpe_sim::{Fleet, FleetConfig, FleetEvent, Listen};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::shipped;
use crate::config::Config;
use crate::{Acs, Listeners};

/// The API's token, unless `PATCHBAY_API_TOKEN` has another: the demonstration listens on
/// loopback only and manages nothing but simulated devices.
const TOKEN: &str = "demo-token-for-loopback";
/// What devices behind NAT call themselves: an address that nobody else reaches.
const PRIVATE_HOST: &str = "192.168.1.1";
/// How often the live line is drawn.
const LIVE_INTERVAL: Duration = Duration::from_millis(250);
/// How often a line is printed where nobody looks at a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(super) struct Demo {
    /// Simulated devices.
    #[arg(long, default_value_t = 12)]
    devices: usize,
    /// Simulated devices behind NAT: the first is reached by XMPP, the second by STUN, the third
    /// by short periodic Informs.
    #[arg(long, default_value_t = 3)]
    behind_nat: usize,
    /// Seconds between two Informs of a device.
    #[arg(long, default_value_t = 30)]
    interval: u64,
    /// Where everything is kept; a temporary directory, if not given.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Built plugins to start with; the shipped ones, if not given.
    #[arg(long)]
    plugins: Option<PathBuf>,
    /// Where devices are served.
    #[arg(long, default_value = "127.0.0.1:7547")]
    cwmp: SocketAddr,
    /// Where the API is served.
    #[arg(long, default_value = "127.0.0.1:7557")]
    api: SocketAddr,
    /// Stop by itself after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
}

impl Demo {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        super::log("warn");
        for address in [self.cwmp, self.api] {
            anyhow::ensure!(
                address.ip().is_loopback(),
                "the demonstration listens on loopback only, not on {address}: use `patchbay serve`"
            );
        }
        let shutdown = super::shutdown_signal()?;
        let plugins = match &self.plugins {
            Some(plugins) => plugins.clone(),
            None => {
                tokio::task::spawn_blocking(|| shipped::components(shipped::Kind::Shipped))
                    .await??
            }
        };
        let temporary;
        let directory = match &self.directory {
            Some(directory) => directory.clone(),
            None => {
                temporary = tempfile::Builder::new()
                    .prefix("patchbay-demo-")
                    .tempdir()?;
                temporary.path().to_owned()
            }
        };
        let config = self.config(&directory)?;
        std::fs::create_dir_all(&config.plugin_directory)
            .with_context(|| format!("cannot create {}", config.plugin_directory.display()))?;
        self.keep_lively(&config.plugin_directory)?;
        shipped::copy(&plugins, &config.plugin_directory)?;

        let listeners = Listeners::bind(&config).await?;
        let acs = Acs::open(config).await?;
        let url = listeners
            .cwmp
            .first()
            .context("no listener")?
            .local_addr()?;
        let api = listeners.api.local_addr()?;
        let stop = stop_after(self.seconds, shutdown);
        let running = tokio::spawn(Arc::clone(&acs).run(listeners, stop.clone()));

        let fleet = FleetConfig {
            periodic_interval: Duration::from_secs(self.interval.max(1)),
            boot_spread: Duration::from_secs(3),
            listen: Listen::Shared(SocketAddr::from(([127, 0, 0, 1], 0))),
            ..FleetConfig::new(&format!("http://{url}/"), self.devices)
        };
        let behind_nat = FleetConfig {
            count: self.behind_nat,
            serial_prefix: "NAT".to_owned(),
            announce_host: Some(PRIVATE_HOST.to_owned()),
            ..fleet.clone()
        };
        let fleets = [Fleet::start(fleet).await?, Fleet::start(behind_nat).await?];
        self.introduce(&acs, &directory, url, api);
        live(&acs, &fleets, stop).await;
        for fleet in &fleets {
            fleet.stop();
            fleet.wait().await;
        }
        running.await??;
        println!("stopped");
        Ok(())
    }

    fn config(&self, directory: &std::path::Path) -> anyhow::Result<Config> {
        let mut config = Config {
            data_directory: directory.join("data"),
            plugin_directory: directory.join("plugins"),
            ..Config::defaults()?
        };
        config.cwmp.listen = vec![self.cwmp];
        config.api.listen = self.api;
        // Any free port: the devices are told which.
        config.stun.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        config.stun.host = "127.0.0.1".to_owned();
        config.xmpp.listen = config.stun.listen.clone();
        config.api.token.get_or_insert_with(|| TOKEN.to_owned());
        // The simulated devices take their connection requests on loopback.
        for network in ["127.0.0.0/8", "::1"] {
            let network = network.parse().map_err(anyhow::Error::msg)?;
            config.instance.connection_request_allow.push(network);
        }
        config.check()?;
        Ok(config)
    }

    /// Devices that inform every four hours, as first-contact tells them, are nothing to look at.
    fn keep_lively(&self, plugins: &std::path::Path) -> anyhow::Result<()> {
        let settings = plugins.join("first-contact.toml");
        if !settings.exists() {
            let seconds = self.interval.max(1);
            let text = format!("[settings]\nperiodic_inform_interval_seconds = {seconds}\n");
            std::fs::write(settings, text)?;
        }
        Ok(())
    }

    fn introduce(&self, acs: &Acs, directory: &std::path::Path, url: SocketAddr, api: SocketAddr) {
        let token = match std::env::var("PATCHBAY_API_TOKEN") {
            Ok(_) => "$PATCHBAY_API_TOKEN",
            Err(_) => TOKEN,
        };
        let names: Vec<String> = acs
            .plugins
            .statuses()
            .into_iter()
            .map(|status| status.name)
            .collect();
        println!(
            "Patchbay {} with {} simulated devices, {} of them behind NAT. Ctrl-C ends it.\n",
            env!("CARGO_PKG_VERSION"),
            self.devices + self.behind_nat,
            self.behind_nat
        );
        println!("  devices talk to   http://{url}/");
        println!("  the API           http://{api}/v1/devices");
        println!("  its token         {token}");
        println!(
            "  plugins           {} ({})",
            acs.config.plugin_directory.display(),
            names.join(", ")
        );
        println!("  data              {}\n", directory.join("data").display());
        println!("  try: curl -H 'Authorization: Bearer {token}' http://{api}/v1/devices\n");
    }
}

/// Becomes true with `shutdown`, or when the time is over.
fn stop_after(
    seconds: Option<u64>,
    mut shutdown: tokio::sync::watch::Receiver<bool>,
) -> tokio::sync::watch::Receiver<bool> {
    let Some(seconds) = seconds else {
        return shutdown;
    };
    let (sender, stop) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        let time = tokio::time::sleep(Duration::from_secs(seconds));
        tokio::select! {
            () = time => {}
            _ = shutdown.wait_for(|stop| *stop) => {}
        }
        sender.send_replace(true);
    });
    stop
}

/// Shows what happens until `stop`: one line that is drawn again on a terminal, a line now and
/// then elsewhere.
async fn live(acs: &Acs, fleets: &[Fleet; 2], mut stop: tokio::sync::watch::Receiver<bool>) {
    let terminal = std::io::stdout().is_terminal();
    let [mut events, mut behind_nat] = fleets.each_ref().map(Fleet::events);
    let mut last = "waiting for the first device".to_owned();
    let mut interval = tokio::time::interval(if terminal {
        LIVE_INTERVAL
    } else {
        LINE_INTERVAL
    });
    let mut shown = String::new();
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            event = either(&mut events, &mut behind_nat) => match event {
                Ok(event) => {
                    if let Some(text) = describe(&event) {
                        last = text;
                    }
                    continue;
                }
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => break,
            },
            _ = interval.tick() => {}
        }
        let counters = &acs.counters;
        let line = format!(
            "{} devices · {} sessions done, {} open · {} faults · {last}",
            acs.store.count(crate::instance::DEFAULT_NAME),
            counters.sessions_done.get(),
            acs.sessions.count(),
            counters.faults.get(),
        );
        if line == shown {
            continue;
        }
        if terminal {
            let line: String = line.chars().take(150).collect();
            print!("\r\x1b[2K{line}");
        } else {
            println!("{line}");
        }
        let _ = std::io::stdout().flush();
        shown = line;
    }
    if terminal {
        println!();
    }
}

/// The next event of one or the other.
async fn either(
    one: &mut Receiver<FleetEvent>,
    other: &mut Receiver<FleetEvent>,
) -> Result<FleetEvent, RecvError> {
    tokio::select! {
        event = one.recv() => event,
        event = other.recv() => event,
    }
}

fn describe(event: &FleetEvent) -> Option<String> {
    match event {
        FleetEvent::SessionDone {
            serial,
            events,
            rpcs,
            ..
        } => {
            let rpcs = if rpcs.is_empty() {
                "nothing to do".to_owned()
            } else {
                rpcs.join(", ")
            };
            Some(format!("{serial} {} → {rpcs}", events.join(" + ")))
        }
        FleetEvent::SessionFailed {
            serial, message, ..
        } => Some(format!("{serial} failed: {message}")),
        FleetEvent::ConnectionRequest { serial } => Some(format!("{serial} was woken")),
        FleetEvent::TransferDone { serial, url, .. } => Some(format!("{serial} transferred {url}")),
        _ => None,
    }
}
