//! `patchbay serve`.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::supervisor;
use crate::audit;
use crate::config::{Config, XmppMode};
use crate::{Acs, Listeners, telemetry};

/// Serves until Ctrl-C or SIGTERM; SIGHUP has it read its files again.
pub(super) async fn serve(config: Option<PathBuf>) -> anyhow::Result<()> {
    let path = config;
    let config = match &path {
        Some(path) => Config::load(path)?,
        None => Config::defaults()?,
    };
    let exporting = telemetry::start(&config.log, &config.telemetry)?;
    let shutdown = super::shutdown_signal()?;
    // From here on it is no reason to die.
    let hangups = signal(SignalKind::hangup())?;
    // Credentials of devices are in there: it is nobody else's to read.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.data_directory)
        .with_context(|| format!("cannot create {}", config.data_directory.display()))?;
    let listeners = Listeners::bind(&config).await?;
    for listener in &listeners.cwmp {
        tracing::info!(address = %listener.local_addr()?, "devices");
    }
    for listener in &listeners.cwmp_tls {
        tracing::info!(address = %listener.local_addr()?, "devices, over TLS");
    }
    if let Some(listener) = &listeners.files {
        tracing::info!(address = %listener.local_addr()?, "files");
    }
    for (listener, tls) in listeners.xmpp.iter() {
        tracing::info!(address = %listener.local_addr()?, tls, "XMPP");
    }
    for group in &listeners.stun {
        tracing::info!(address = %group.address()?, "STUN");
    }
    if !listeners.stun.is_empty() && config.stun.host.is_empty() {
        tracing::info!("stun.host is not set: devices look for STUN at the host of their ACS URL");
    }
    let xmpp = &config.xmpp;
    if xmpp.mode == XmppMode::Embedded && xmpp.host.is_empty() && xmpp.domain.is_empty() {
        tracing::info!(
            "xmpp.host is not set: devices look for XMPP at the host of their ACS URL, those behind a proxy not at all"
        );
    }
    tracing::info!(address = %listeners.api.local_addr()?, "API");
    if let Some(listener) = &listeners.metrics {
        tracing::info!(address = %listener.local_addr()?, "metrics");
    }
    let acs = Acs::open(config).await?;
    if let Some(tls) = &acs.tls {
        tls.log(acs.clock.unix());
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        devices = acs
            .instances
            .all()
            .iter()
            .map(|i| acs.store.count(&i.name))
            .sum::<usize>(),
        plugins = acs.plugins.statuses().len(),
        "patchbay serves"
    );
    if let Some(first) = acs.gate.first_admin(acs.clock.unix()).await? {
        let sides = audit::Sides::of(None, Some(serde_json::json!({ "name": first.name })));
        let entry = audit::Entry::by_host("first-admin-made");
        acs.audit(acs.clock.unix(), &entry, &sides).await?;
        // Not in the log, which is kept and sent around; and no filter of it may swallow this.
        eprintln!(
            "\nNobody can log in to the API yet. A first admin was made; this is shown once:\n\n    \
             user name           {}\n    one-time password   {}\n\n\
             It is changed at the first login (docs/access.md). If it is lost: patchbay user password {}\n",
            first.name, first.one_time_password, first.name
        );
    }
    let reloading = tokio::spawn(reload_on(hangups, Arc::clone(&acs), path));
    let run = acs.run(listeners, shutdown.clone());
    let supervisor = tokio::spawn(supervisor::tell(shutdown));
    let result = run.await;
    supervisor.abort();
    reloading.abort();
    result?;
    tracing::info!("stopped");
    // What is left is sent by a thread that waits for this runtime.
    tokio::task::spawn_blocking(move || drop(exporting)).await?;
    Ok(())
}

async fn reload_on(mut hangups: Signal, acs: Arc<Acs>, config: Option<PathBuf>) {
    while hangups.recv().await.is_some() {
        acs.reload(config.as_deref()).await;
    }
}
