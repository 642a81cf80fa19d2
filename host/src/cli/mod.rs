//! The command line.

mod bench;
mod demo;
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
mod xmpp_accounts;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::sync::watch;

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
    /// Make a store of a backup (POST /v1/backups makes one); the server must not run.
    Restore {
        /// The configuration; without one, everything has its default.
        #[arg(long, short, env = "PATCHBAY_CONFIG")]
        config: Option<PathBuf>,
        /// The backup.
        backup: PathBuf,
    },
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
        Command::Restore { config, backup } => run(restore::restore(config, &backup)),
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

/// Log lines to standard error; `PATCHBAY_LOG` chooses (`info`, `patchbay=debug`, …),
/// `PATCHBAY_LOG_FORMAT=json` is for machines.
fn log(default: &str) {
    use std::io::IsTerminal;
    use tracing_subscriber::EnvFilter;
    let filter =
        EnvFilter::try_from_env("PATCHBAY_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal());
    let json = std::env::var("PATCHBAY_LOG_FORMAT").is_ok_and(|format| format == "json");
    // Fails only if there is a log already, as in tests.
    let _ = if json {
        log.json().try_init()
    } else {
        log.try_init()
    };
}
