//! A device's half of TR-069 Annex G: asks the STUN server how it looks from outside, keeps its
//! binding alive, and takes connection requests by UDP on the same port.

mod client;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::fleet::Slot;
use crate::http::Url;
use crate::listener::RequestTarget;
use crate::{Cpe, Oddities, Oddity, SessionOptions, UnixTime};

/// What the client and the listener have seen since the device was made.
#[derive(Debug, Default)]
pub struct UdpCounts {
    bindings: AtomicU64,
    refused_bindings: AtomicU64,
    probes: AtomicU64,
    accepted: AtomicU64,
    copies: AtomicU64,
    refused: AtomicU64,
}

impl UdpCounts {
    /// Binding requests that were answered with an address.
    pub fn bindings(&self) -> u64 {
        self.bindings.load(Ordering::Relaxed)
    }

    /// Binding requests with its credentials that were answered with an error.
    pub fn refused_bindings(&self) -> u64 {
        self.refused_bindings.load(Ordering::Relaxed)
    }

    /// Answers that came to the port it takes connection requests on, asked for from another.
    pub fn probes(&self) -> u64 {
        self.probes.load(Ordering::Relaxed)
    }

    /// Connection requests taken.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connection requests that were no newer than the last.
    pub fn copies(&self) -> u64 {
        self.copies.load(Ordering::Relaxed)
    }

    /// Connection requests for another user name, or signed with another password.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What the ACS has set.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Settings {
    host: String,
    port: u16,
    username: String,
    password: String,
    /// The longest silence, which it begins with.
    keepalive: Duration,
    /// The shortest one.
    keepalive_min: Duration,
}

impl Settings {
    /// `None`: STUN is off, or the device has none.
    fn of(cpe: &Cpe, now: UnixTime) -> Option<Settings> {
        let value = |name: &str| cpe.get(&cpe.management_server(name), now);
        if value("STUNEnable")? != "1" {
            return None;
        }
        let mut host = value("STUNServerAddress")?;
        if host.is_empty() {
            host = Url::parse(&cpe.acs_url(now))?.address;
            host.truncate(host.rfind(':')?);
        }
        let seconds = |name: &str| -> Option<i64> { value(name)?.parse().ok() };
        let longest = seconds("STUNMaximumKeepAlivePeriod").filter(|seconds| *seconds > 0);
        let shortest = seconds("STUNMinimumKeepAlivePeriod").filter(|seconds| *seconds > 0);
        let keepalive = longest.or(shortest)?;
        let seconds = |seconds: i64| Some(Duration::from_secs(seconds.try_into().ok()?));
        Some(Settings {
            host,
            port: value("STUNServerPort")?.parse().ok()?,
            username: value("STUNUsername")?,
            password: value("STUNPassword")?,
            keepalive: seconds(keepalive)?,
            keepalive_min: seconds(shortest.unwrap_or(keepalive).min(keepalive))?,
        })
    }
}

/// Runs the client while the parameters want it.
#[derive(Debug)]
pub(crate) struct Agent {
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Shared {
    slot: Weak<Slot>,
    target: Arc<RequestTarget>,
    options: SessionOptions,
    oddities: Oddities,
    seed: u64,
    counts: UdpCounts,
    /// `ts` and `id` of the last connection request taken: kept when STUN is switched off.
    last: Mutex<Option<(u64, u32)>>,
}

#[derive(Debug)]
struct Running {
    settings: Settings,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Agent {
    pub(crate) fn new(
        slot: Weak<Slot>,
        target: Arc<RequestTarget>,
        options: &SessionOptions,
        seed: u64,
    ) -> Agent {
        let oddities = target.oddities();
        // It took one a second before it was made.
        let last = oddities.has(Oddity::UdpMilliseconds).then(|| {
            let now = options.clock.now().as_secs();
            (now.saturating_sub(1) * 1000, 0)
        });
        let shared = Shared {
            slot,
            target,
            options: options.clone(),
            oddities,
            seed,
            counts: UdpCounts::default(),
            last: Mutex::new(last),
        };
        Agent {
            shared: Arc::new(shared),
            running: Mutex::default(),
        }
    }

    pub(crate) fn counts(&self) -> &UdpCounts {
        &self.shared.counts
    }

    /// Starts, stops or restarts the client as the device's parameters are now.
    pub(crate) fn refresh(&self, cpe: &Cpe, now: UnixTime) {
        let settings = Settings::of(cpe, now).filter(|_| !cpe.is_down(now));
        let mut running = self.running.lock();
        if running.as_ref().map(|running| &running.settings) == settings.as_ref() {
            return;
        }
        *running = settings.map(|settings| Running {
            task: tokio::spawn(client::run(Arc::clone(&self.shared), settings.clone())),
            settings,
        });
    }
}
