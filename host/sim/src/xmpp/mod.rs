//! A device's half of TR-069 Annex K: keeps a stream to the XMPP server that the ACS has named,
//! and takes connection requests over it.

mod login;
mod session;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::fleet::Slot;
use crate::listener::RequestTarget;
use crate::seed::Seed;
use crate::{Cpe, Oddities, SessionOptions, UnixTime};

/// The first wait after a failure; it doubles with each.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// The longest. The standard's ten hours would outlast every simulation.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// What the client has seen since the device was made.
#[derive(Debug, Default)]
pub struct XmppCounts {
    logins: AtomicU64,
    failures: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
}

impl XmppCounts {
    /// How often it came online.
    pub fn logins(&self) -> u64 {
        self.logins.load(Ordering::Relaxed)
    }

    /// Connections that failed or broke.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Connection requests taken.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connection requests refused.
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
    /// The row, with its dot.
    row: String,
    host: String,
    port: u16,
    domain: String,
    username: String,
    password: String,
    resource: String,
    tls: bool,
    keep_alive: Option<Duration>,
    /// Bare JIDs, compared by how they begin; none: anybody may ask.
    allowed: Vec<String>,
}

impl Settings {
    /// `None`: the connection is off, or the device has none.
    fn of(cpe: &Cpe, now: UnixTime) -> Option<Settings> {
        let server = |name: &str| cpe.get(&cpe.management_server(name), now);
        let row = server("ConnReqXMPPConnection")?;
        if row.is_empty() {
            return None;
        }
        let row = format!("{}.", row.trim_end_matches('.'));
        let value = |name: &str| cpe.get(&format!("{row}{name}"), now);
        if value("Enable")? != "1" {
            return None;
        }
        let domain = value("Domain")?;
        let (host, port) = match value("ServerConnectAlgorithm")?.as_str() {
            "ServerTable" => first_server(&value)?,
            _ => (domain.clone(), 5222),
        };
        let keep_alive = value("KeepAliveInterval").and_then(|seconds| seconds.parse().ok());
        let allowed = server("ConnReqAllowedJabberIDs").unwrap_or_default();
        let allowed = allowed.split(',').map(str::trim);
        Some(Settings {
            host,
            port,
            domain,
            username: value("Username")?,
            password: value("Password")?,
            resource: value("Resource")?,
            tls: value("UseTLS")? == "1",
            keep_alive: keep_alive
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
            allowed: allowed
                .filter(|jid| !jid.is_empty())
                .map(str::to_owned)
                .collect(),
            row,
        })
    }
}

/// The first row of its table of servers that is switched on.
fn first_server(value: &dyn Fn(&str) -> Option<String>) -> Option<(String, u16)> {
    const ROWS_MAX: u32 = 8;
    (1..=ROWS_MAX).find_map(|row| {
        let of = |name: &str| value(&format!("Server.{row}.{name}"));
        let on = of("Enable")? == "1";
        let port = of("Port")?.parse().ok()?;
        on.then_some((of("ServerAddress")?, port))
    })
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
    random: Mutex<Seed>,
    counts: XmppCounts,
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
        let shared = Shared {
            slot,
            oddities: target.oddities(),
            target,
            options: options.clone(),
            random: Mutex::new(Seed::new(seed)),
            counts: XmppCounts::default(),
        };
        Agent {
            shared: Arc::new(shared),
            running: Mutex::default(),
        }
    }

    pub(crate) fn counts(&self) -> &XmppCounts {
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
            task: tokio::spawn(run(Arc::clone(&self.shared), settings.clone())),
            settings,
        });
    }

    /// Cuts the stream, as a network would; the client comes back by itself.
    pub(crate) fn cut(&self) {
        let mut running = self.running.lock();
        if let Some(before) = running.take() {
            let settings = before.settings.clone();
            drop(before);
            *running = Some(Running {
                task: tokio::spawn(run(Arc::clone(&self.shared), settings.clone())),
                settings,
            });
        }
    }
}

/// Connects, logs in, serves, and again.
async fn run(shared: Arc<Shared>, settings: Settings) {
    let mut wait = RETRY_MIN;
    loop {
        let status = match login::login(&shared, &settings).await {
            Ok((stream, jid)) => {
                count(&shared.counts.logins);
                wait = RETRY_MIN;
                let tls = stream.io().is_tls();
                tell(&shared, &settings, "Enabled", Some((&jid, tls))).await;
                session::serve(&shared, &settings, stream, &jid).await;
                "Connecting"
            }
            Err(error) => {
                tracing::debug!(error, domain = settings.domain, "no XMPP stream");
                "Error"
            }
        };
        count(&shared.counts.failures);
        tell(&shared, &settings, status, None).await;
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}

/// The device's parameters say how its stream is. The JID stays when the stream breaks.
async fn tell(shared: &Shared, settings: &Settings, status: &str, jid: Option<(&str, bool)>) {
    let Some(slot) = shared.slot.upgrade() else {
        return;
    };
    let row = &settings.row;
    let mut values = vec![(format!("{row}Status"), status.to_owned())];
    let tls = jid.is_some_and(|(_, tls)| tls);
    values.push((format!("{row}TLSEstablished"), u8::from(tls).to_string()));
    if let Some((jid, _)) = jid {
        values.push((format!("{row}JabberID"), jid.to_owned()));
        let root = row.split_once('.').map_or("", |(root, _)| root);
        let reported = format!("{root}.ManagementServer.ConnReqJabberID");
        values.push((reported, jid.to_owned()));
    }
    slot.set_all(&values, shared.options.clock.now()).await;
}
