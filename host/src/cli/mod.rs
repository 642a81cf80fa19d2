//! The command line.

mod audit;
mod backup;
mod bench;
mod config_file;
mod demo;
mod health;
mod plugin;
mod plugin_build;
mod plugin_check;
mod plugin_new;
mod restore;
mod serve;
mod shipped;
mod sim;
mod snippet;
mod stun_bench;
mod supervisor;
mod user;
mod xmpp_accounts;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::sync::watch;

use crate::{config, telemetry};

pub use plugin_build::build as build_plugins;

/// An Auto Configuration Server for TR-069 (CWMP) whose logic is WebAssembly plugins.
#[derive(Parser)]
#[command(name = "patchbay", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve devices and the API.
    Serve {
        /// The configuration; without one, everything has its default.
        #[arg(long, short, env = "PATCHBAY_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Check a configuration, or show what is in force.
    #[command(subcommand)]
    Config(config_file::ConfigFile),
    /// Ask whether a server is ready; fails if it is not.
    Health(health::Health),
    /// Have a running server make a backup.
    Backup(backup::Backup),
    /// Make a data directory of a backup; the server must not run.
    Restore(restore::Restore),
    /// Make users and give them passwords, when nobody can log in; the server must not run.
    User(user::User),
    /// Check the audit log.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Start the server with all shipped plugins and a few simulated devices.
    Demo(demo::Demo),
    /// Run simulated devices against a server.
    Sim(sim::Sim),
    /// Serve fixed answers: what `sim --bench` measures against.
    #[command(hide = true)]
    Floor {
        /// The address.
        #[arg(long)]
        listen: std::net::SocketAddr,
        /// Read each Inform, answer it, and no more.
        #[arg(long)]
        parse: bool,
    },
    /// Serve STUN alone: what `sim --stun-bench` measures.
    #[command(hide = true)]
    StunAlone {
        /// The address.
        #[arg(long)]
        listen: std::net::SocketAddr,
    },
    /// Print what makes accounts for devices on an XMPP server of your own.
    XmppAccounts(xmpp_accounts::XmppAccounts),
    /// Print configuration of DHCP servers, proxies and devices, with the addresses of this server.
    Snippet(snippet::Snippet),
    /// Print the OpenAPI text of the API.
    Openapi,
    /// Make, build and check plugins.
    #[command(subcommand)]
    Plugin(plugin::Plugin),
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Serve { config } => run(serve::serve(config)),
        Command::Config(command) => command.run(),
        Command::Health(health) => run(health.ask()),
        Command::Backup(backup) => run(backup.make()),
        Command::Restore(restore) => run(restore.run()),
        Command::User(user) => run(user.run()),
        Command::Audit(audit) => audit.run(),
        Command::Demo(demo) => run(demo.run()),
        Command::Sim(sim) => run(sim.run()),
        Command::Floor { listen, parse } if parse => run(bench::floor::serve_parsed(listen)),
        Command::Floor { listen, .. } => run(bench::floor::serve_fixed(listen)),
        Command::StunAlone { listen } => run(stun_bench::serve(listen)),
        Command::XmppAccounts(accounts) => accounts.print(),
        Command::Snippet(snippet) => snippet.print(),
        Command::Openapi => openapi(),
        Command::Plugin(plugin) => run(plugin.run()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("patchbay: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn openapi() -> anyhow::Result<()> {
    println!("{}", crate::api::openapi().to_pretty_json()?);
    Ok(())
}

fn run(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(command)
}

/// Becomes true on Ctrl-C and on SIGTERM.
fn shutdown_signal() -> anyhow::Result<watch::Receiver<bool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = watch::channel(false);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        sender.send_replace(true);
        // A second one does not wait for the end of anything.
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(130);
    });
    Ok(receiver)
}

/// Log lines to standard error, as the environment says ([`telemetry::start`]).
fn log(filter: &str) {
    let log = config::Log {
        filter: filter.to_owned(),
        ..config::Log::default()
    };
    if let Err(error) = telemetry::start(&log, &config::Telemetry::default()) {
        eprintln!("patchbay: {error:#}");
    }
}
