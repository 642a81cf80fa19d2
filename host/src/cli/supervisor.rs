//! What systemd is told (sd_notify(3)): that the host serves, that it lives, that it stops. Without systemd nobody is.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;

/// Without a watchdog there is nothing to be told regularly.
const NEVER: Duration = Duration::from_secs(86_400);

/// However often the watchdog wants to hear of the host.
const SHORTEST: Duration = Duration::from_millis(10);

/// Tells that the host serves, then that it lives as often as the watchdog wants, until `shutdown`; then that it stops.
pub(super) async fn tell(mut shutdown: watch::Receiver<bool>) {
    notify(&[NotifyState::Ready]);
    let watchdog = sd_notify::watchdog_enabled();
    let mut interval =
        tokio::time::interval(watchdog.map_or(NEVER, |within| (within / 3).max(SHORTEST)));
    loop {
        tokio::select! {
            _ = interval.tick() => {
                if watchdog.is_some() {
                    notify(&[NotifyState::Watchdog]);
                }
            }
            _ = shutdown.wait_for(|stop| *stop) => break,
        }
    }
    notify(&[NotifyState::Stopping]);
    // Stopping may take a while, and is no reason to be killed.
    while watchdog.is_some() {
        interval.tick().await;
        notify(&[NotifyState::Watchdog]);
    }
}

fn notify(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd cannot be told how the host is");
    }
}
