//! The STUN server (TR-069 Annex G): tells devices behind NAT how they look from outside, and keeps
//! where each can be reached by UDP.
//!
//! A connection request leaves by the very socket, from the very address, that the device's binding
//! requests come to: anything else its NAT would drop. So one [`Stun`] has it all: sockets,
//! credentials, bindings.

mod answer;
mod bindings;
mod credentials;
mod limit;
mod rfc8489;
mod sockets;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::config;
use crate::device::{DeviceKey, UnixTime};
use crate::metrics::Counter;
use crate::store::{Store, StoreError};

pub use bindings::Binding;
pub use credentials::SECRET_BYTES;
pub use sockets::{Group, bind};

use bindings::Bindings;
use credentials::Issuer;
use sockets::Socket;

/// A keepalive may be lost, and the next one late by no more than this, before a binding counts as
/// gone.
const KEEPALIVE_LATE_SECONDS_MAX: i64 = 10;

/// The setting that holds the secret.
const SECRET_SETTING: &str = "stun-secret";

/// The host's secret, made at its first start.
///
/// # Errors
/// When the store cannot be read or takes no writes.
pub async fn secret(store: &Store) -> Result<[u8; SECRET_BYTES], StoreError> {
    let kept = store.setting(SECRET_SETTING)?;
    if let Some(secret) = kept.and_then(|json| serde_json::from_value(json).ok()) {
        return Ok(secret);
    }
    let secret: [u8; SECRET_BYTES] = rand::random();
    store
        .put_setting(SECRET_SETTING, &serde_json::json!(secret))
        .await?;
    Ok(secret)
}

/// Whether there is a device with this account ([`DeviceKey::account`]): credentials outlive the
/// device that had them.
pub type IsKnown = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// What is counted of STUN, since the start.
#[derive(Debug, Default, Serialize)]
pub struct StunCounters {
    /// Datagrams that are no binding request.
    pub garbage: Counter,
    /// Requests that were answered with an address.
    pub answered: Counter,
    /// Of those, the ones that told where a device is.
    pub bindings: Counter,
    /// Answered with 401 or 432: the device tries again with its credentials.
    pub unauthorized: Counter,
    /// Answered with 431, or with 401 for a user name that no device has.
    pub integrity_failed: Counter,
    /// Answered with 420.
    pub unknown_attributes: Counter,
    /// Not answered: too many from one address.
    pub limited: Counter,
    /// Not answered: the answer was to go to somebody else.
    pub reflections_refused: Counter,
    /// Connection requests sent, each in its three copies.
    pub connection_requests: Counter,
}

/// The server and all that it knows.
pub struct Stun {
    settings: config::Stun,
    clock: Clock,
    issuer: Issuer,
    bindings: Bindings,
    is_known: IsKnown,
    sockets: OnceLock<Arc<[Socket]>>,
    /// What is counted.
    pub counters: StunCounters,
}

impl Stun {
    /// A server without sockets. The passwords of all devices follow from `secret`.
    pub fn new(
        settings: config::Stun,
        secret: &[u8; SECRET_BYTES],
        clock: Clock,
        is_known: IsKnown,
    ) -> Stun {
        Stun {
            settings,
            clock,
            issuer: Issuer::new(secret),
            bindings: Bindings::default(),
            is_known,
            sockets: OnceLock::new(),
            counters: StunCounters::default(),
        }
    }

    /// Takes its sockets: from now on devices can be told of them. Once only.
    ///
    /// # Errors
    /// When the system does not let them be used.
    pub fn open(&self, groups: Vec<Group>) -> std::io::Result<()> {
        if !groups.is_empty() {
            let sockets = sockets::open(groups)?;
            let set = self.sockets.set(sockets.into());
            set.map_err(|_| std::io::Error::other("the STUN server has its sockets already"))?;
        }
        Ok(())
    }

    /// Serves its sockets until `shutdown` becomes true.
    pub async fn serve(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let Some(sockets) = self.sockets.get().cloned() else {
            return;
        };
        let mut tasks = tokio::task::JoinSet::new();
        for at in 0..sockets.len() {
            let (stun, sockets) = (Arc::clone(&self), Arc::clone(&sockets));
            tasks.spawn(async move { sockets::receive(&stun, &sockets, at).await });
        }
        let _ = shutdown.wait_for(|stop| *stop).await;
        tasks.shutdown().await;
    }

    /// Whether devices are served: what the policy is told.
    pub fn is_serving(&self) -> bool {
        self.sockets.get().is_some()
    }

    /// The port that devices are told.
    pub fn port(&self) -> u16 {
        let first = self.sockets.get().and_then(|sockets| sockets.first());
        first.map_or(0, |socket| socket.address.port())
    }

    /// What a device is told of the server; user name and password are its own.
    pub fn account(&self, device: &DeviceKey) -> Account {
        let username = self.issuer.username(&device.account());
        let password = self.issuer.password(username.as_bytes());
        Account {
            host: self.settings.host.clone(),
            port: self.port(),
            password: String::from_utf8_lossy(&password).into_owned(),
            username,
            keepalive_seconds_min: self.settings.keepalive_seconds_min,
            keepalive_seconds_max: self.settings.keepalive_seconds_max,
        }
    }

    /// Names that are too long to be told as they are, so that they are found again.
    pub fn learn_accounts(&self, accounts: impl Iterator<Item = Arc<str>>) {
        self.issuer.learn(accounts);
    }

    /// Where the device was last seen, whether or not that is still so.
    pub fn binding(&self, device: &DeviceKey) -> Option<Binding> {
        self.bindings.get(&device.account())
    }

    /// How many devices have told where they are, within the last day.
    pub fn bindings(&self) -> usize {
        self.bindings.len()
    }

    /// Whether a binding of that age is still there: the device keeps it alive more often.
    pub fn is_alive(&self, binding: &Binding, now: UnixTime) -> bool {
        now - binding.seen <= self.binding_seconds_max()
    }

    /// How old a binding may be, in seconds.
    pub fn binding_seconds_max(&self) -> i64 {
        let keepalive = i64::from(self.settings.keepalive_seconds_max);
        2 * keepalive + keepalive.min(KEEPALIVE_LATE_SECONDS_MAX)
    }

    /// Sends a datagram: by the way the device's binding requests come, or by the first socket of
    /// that family.
    pub async fn send(
        &self,
        to: SocketAddr,
        by: Option<Way>,
        datagram: &[u8],
    ) -> Result<(), String> {
        let sockets = self.sockets.get().ok_or("the STUN server is off")?;
        let socket = match by {
            Some(way) => sockets.get(way.socket),
            None => sockets.iter().find(|s| s.address.is_ipv4() == to.is_ipv4()),
        };
        let socket = socket.ok_or("the STUN server has no socket of that address family")?;
        let source = by.and_then(|way| way.source);
        let sent = socket.send(to, source, datagram).await;
        sent.map_err(|error| format!("cannot send to {to}: {error}"))
    }

    /// Forgets what nobody can use any more.
    pub fn sweep(&self, now: UnixTime) {
        self.bindings.sweep(now);
    }
}

/// A device's account, as it is told to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The server; empty: the host of the device's ACS URL (Annex G).
    pub host: String,
    /// Its port.
    pub port: u16,
    /// STUNUsername.
    pub username: String,
    /// STUNPassword.
    pub password: String,
    /// STUNMinimumKeepAlivePeriod.
    pub keepalive_seconds_min: u32,
    /// STUNMaximumKeepAlivePeriod.
    pub keepalive_seconds_max: u32,
}

/// How a datagram came in, and how the answer has to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Number of the socket.
    socket: usize,
    /// The address of ours that it came to, where one socket has several.
    source: Option<IpAddr>,
}
