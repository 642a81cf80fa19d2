//! Connection requests over XMPP (TR-069 Annex K): devices keep a stream to a server, over
//! which they are asked for sessions.
//!
//! The server is ours (`server`), or one of somebody else, of which the ACS is a component or
//! a client. [`configure`] is what a device has to be told for it.

pub mod account;
pub mod configure;

pub mod limits;
mod login;
mod online;
mod requests;
mod routing;
mod sasl;
pub mod server;
mod session;

mod client;
mod commands;
mod component;
mod external;
mod iqs;
mod link;

mod accounts;
mod call;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::config;
use crate::device::{Credentials, DeviceKey};
use crate::door;
use crate::store::Store;
use accounts::StoredAccounts;
use configure::Wanted;
use external::External;
use limits::Admission;
use server::Server;

pub use external::derived_password;
pub use online::Presence;
pub use requests::RequestError;

/// The way to devices over XMPP.
pub struct Xmpp {
    settings: config::Xmpp,
    /// Where devices connect to.
    port: AtomicU16,
    backend: Backend,
    /// The certificate of the embedded server.
    tls: Option<Arc<door::Tls>>,
    clock: Clock,
}

/// How the way over XMPP is.
pub struct Gauge {
    /// Whether it can be used.
    pub is_up: bool,
    /// The embedded server, if that is whose it is.
    pub embedded: Option<Arc<Server>>,
}

enum Backend {
    Embedded(Arc<Server>),
    External(External),
}

/// The sockets of the embedded server.
#[derive(Default)]
pub struct Listeners {
    /// In clear, with STARTTLS.
    pub plain: Vec<TcpListener>,
    /// With TLS from the first byte.
    pub tls: Vec<TcpListener>,
}

impl Listeners {
    /// Binds what the configuration names.
    pub async fn bind(settings: &config::Xmpp) -> anyhow::Result<Listeners> {
        let mut listeners = Listeners::default();
        if settings.mode != config::XmppMode::Embedded {
            return Ok(listeners);
        }
        let bind = async |address| {
            TcpListener::bind(address).await.with_context(|| {
                format!("cannot listen on {address} (xmpp.mode = \"off\" does without)")
            })
        };
        for address in &settings.listen {
            listeners.plain.push(bind(*address).await?);
        }
        for address in &settings.listen_tls {
            listeners.tls.push(bind(*address).await?);
        }
        Ok(listeners)
    }

    /// All of them; true: with TLS from the first byte.
    pub fn iter(&self) -> impl Iterator<Item = (&TcpListener, bool)> {
        let plain = self.plain.iter().map(|listener| (listener, false));
        plain.chain(self.tls.iter().map(|listener| (listener, true)))
    }
}

impl Xmpp {
    /// The certificate that devices are shown; `None`: there is none, or the server is another one.
    pub(crate) fn tls(&self) -> Option<&door::Tls> {
        self.tls.as_deref()
    }

    /// What the configuration says; `None`: it is off.
    pub fn new(
        settings: &config::Xmpp,
        store: &Store,
        clock: Clock,
    ) -> anyhow::Result<Option<Xmpp>> {
        let mut tls = None;
        let backend = match settings.mode {
            config::XmppMode::Off => return Ok(None),
            config::XmppMode::Embedded => {
                tls = door::Tls::load(&config::Tls {
                    certificate: settings.certificate.clone(),
                    key: settings.key.clone(),
                    ..config::Tls::default()
                })?
                .map(Arc::new);
                let acceptor = tls
                    .clone()
                    .map(|tls| -> server::Acceptor { Arc::new(move || tls.acceptor()) });
                let accounts = StoredAccounts {
                    store: store.clone(),
                    clock,
                };
                let admission = Admission::new(
                    settings.connections_max,
                    settings.connections_per_address_max,
                    settings.logins_per_address_max,
                );
                let server_settings = server::Settings {
                    domain: settings.domain().to_owned(),
                    acs: acs_jid(settings),
                    tls_required: settings.tls_required,
                    plain_without_tls: settings.plain_without_tls,
                    login_time_max: Duration::from_secs(settings.login_seconds_max),
                    keep_alive: Duration::from_secs(settings.keep_alive_seconds.into()),
                };
                Backend::Embedded(Server::new(
                    server_settings,
                    acceptor,
                    admission,
                    Arc::new(accounts),
                ))
            }
            config::XmppMode::Component | config::XmppMode::Client => {
                Backend::External(External::new(settings, clock)?)
            }
        };
        let port = match settings.port {
            0 => config::XMPP_PORT,
            port => port,
        };
        Ok(Some(Xmpp {
            settings: settings.clone(),
            port: AtomicU16::new(port),
            backend,
            tls,
            clock,
        }))
    }

    /// Serves, or keeps the link, until `shutdown`.
    pub fn run(
        &self,
        listeners: Listeners,
        tasks: &mut JoinSet<()>,
        shutdown: &watch::Receiver<bool>,
    ) {
        match &self.backend {
            Backend::Embedded(server) => {
                if let Some(tls) = self.tls.clone() {
                    tls.log(self.clock.unix());
                    let (clock, mut shutdown) = (self.clock, shutdown.clone());
                    tasks.spawn(async move {
                        tokio::select! {
                            () = tls.watch(clock) => {}
                            _ = shutdown.wait_for(|stop| *stop) => {}
                        }
                    });
                }
                let first = listeners.iter().next();
                if let Some(Ok(address)) = first.map(|(listener, _)| listener.local_addr())
                    && self.settings.port == 0
                {
                    self.port.store(address.port(), Ordering::Relaxed);
                }
                let plain = listeners
                    .plain
                    .into_iter()
                    .map(|listener| (listener, false));
                let tls = listeners.tls.into_iter().map(|listener| (listener, true));
                for (listener, direct_tls) in plain.chain(tls) {
                    let server = Arc::clone(server);
                    tasks.spawn(server.serve(listener, direct_tls, shutdown.clone()));
                }
            }
            Backend::External(external) => external.run(tasks, shutdown),
        }
    }

    /// The port that devices are told.
    pub fn port(&self) -> u16 {
        self.port.load(Ordering::Relaxed)
    }

    /// What a device has to be told. `acs_host`: of its ACS URL. `None`: nobody knows where
    /// the device is to connect to.
    pub fn wanted(&self, device: &DeviceKey, acs_host: Option<&str>) -> Option<Wanted> {
        let settings = &self.settings;
        let host = match (settings.host.as_str(), settings.domain.as_str()) {
            ("", "") => Some(acs_host?),
            ("", _) => None,
            (host, _) => Some(host),
        };
        let port = self.port();
        Some(Wanted {
            username: account::username(&device.account()),
            domain: settings.domain().to_owned(),
            acs: acs_jid(settings),
            server: host.map(|host| (host.to_owned(), port)),
            tls: settings.devices_use_tls,
            keep_alive_seconds: settings.keep_alive_seconds,
        })
    }

    /// Whether devices that reach the ACS there can be told where the server is.
    pub fn serves(&self, acs_host: Option<&str>) -> bool {
        let config::Xmpp { host, domain, .. } = &self.settings;
        !(host.is_empty() && domain.is_empty() && acs_host.is_none())
    }

    /// Another one: the device's account is elsewhere, or its password another, than it was told.
    pub fn account_fingerprint(&self, device: &DeviceKey) -> u64 {
        let mut hasher = DefaultHasher::new();
        if let Backend::External(external) = &self.backend {
            let username = account::username(&device.account());
            external.account_of(&username).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// A new password for a device.
    pub fn password(&self, device: &DeviceKey) -> String {
        match &self.backend {
            Backend::External(external) => external.password(&account::username(&device.account())),
            Backend::Embedded(_) => account::new_password(),
        }
    }

    /// Makes the device's account on a server that is not ours, or gives it this password.
    pub async fn make_account(&self, device: &DeviceKey, password: &str) -> Result<(), String> {
        match &self.backend {
            Backend::Embedded(_) => Ok(()),
            Backend::External(external) => {
                let username = account::username(&device.account());
                external.make_account(&username, password).await
            }
        }
    }

    /// Asks a device to open a session. `jabber_id`: its full JID as it says, or empty.
    pub async fn connection_request(
        &self,
        device: &DeviceKey,
        jabber_id: &str,
        credentials: &Credentials,
        wait: Duration,
    ) -> Result<(), RequestError> {
        let username = account::username(&device.account());
        let own = xmpp::Jid::parse(jabber_id).filter(|jid| {
            jid.node.eq_ignore_ascii_case(&username)
                && jid.domain.eq_ignore_ascii_case(self.settings.domain())
        });
        match &self.backend {
            Backend::Embedded(server) => {
                let resource = own.map_or("", |jid| jid.resource);
                server
                    .connection_request(&username, resource, credentials, wait)
                    .await
            }
            Backend::External(external) => {
                let domain = self.settings.domain();
                let to = match own {
                    Some(_) => jabber_id.to_owned(),
                    None => format!("{username}@{domain}/{}", configure::RESOURCE),
                };
                external.connection_request(&to, credentials, wait).await
            }
        }
    }

    /// The stream of a device; `None` also where another server has it.
    pub fn presence(&self, device: &DeviceKey) -> Option<Presence> {
        match &self.backend {
            Backend::Embedded(server) => server.presence(&account::username(&device.account())),
            Backend::External(_) => None,
        }
    }

    /// Whether the host sees by itself who is online.
    pub fn sees_presence(&self) -> bool {
        matches!(self.backend, Backend::Embedded(_))
    }

    /// How it is, for the metrics.
    pub fn gauge(&self) -> Gauge {
        match &self.backend {
            Backend::Embedded(server) => Gauge {
                is_up: true,
                embedded: Some(Arc::clone(server)),
            },
            Backend::External(external) => Gauge {
                is_up: external.is_up(),
                embedded: None,
            },
        }
    }

    /// How it is, for the operator.
    pub fn status(&self) -> Value {
        match &self.backend {
            Backend::Embedded(server) => json!({
                "mode": "embedded",
                "connections": server.connections(),
                "devices_online": server.online(),
                "counters": server.counters(),
            }),
            Backend::External(external) => external.status(),
        }
    }
}

/// The bare JID of the ACS.
fn acs_jid(settings: &config::Xmpp) -> String {
    match settings.mode {
        config::XmppMode::Client => settings.jid.clone(),
        config::XmppMode::Component => format!("{}@{}", component::NODE, settings.jid),
        config::XmppMode::Embedded | config::XmppMode::Off => format!("acs@{}", settings.domain()),
    }
}
