//! The embedded XMPP server: devices connect to it, and only the ACS talks to them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::Serialize;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use cwmp::connection_request::XmppRequest;

use super::limits::Admission;
use super::login::{NoLogin, login};
use super::online::{Online, Presence};
use super::requests::{RequestError, Requests};
use super::session;
use crate::device::{Credentials, UnixTime, XmppAccount};
use crate::metrics::Counter;

/// Pause after the system refused to accept a connection (no file descriptor left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A connection over which nothing gets through for so long is given up.
const TCP_DEAD_AFTER: Duration = Duration::from_secs(120);
/// Passwords in clear that are checked at once: each takes a processor for milliseconds.
const PASSWORD_CHECKS_MAX: usize = 2;
/// What the resource of the ACS is called.
const ACS_RESOURCE: &str = "patchbay";

/// Who has an account, and who wants to hear of devices that come and go.
pub trait Accounts: Send + Sync + 'static {
    /// The account of this name.
    fn find(&self, username: &str) -> Option<XmppAccount>;
    /// A stream of the account is open.
    fn went_online(&self, username: &str, resource: &str);
    /// Its last stream has ended.
    fn went_offline(&self, username: &str);
    /// The time.
    fn now(&self) -> UnixTime;
}

/// What shakes hands with a connection that begins now: certificates are renewed.
pub type Acceptor = Arc<dyn Fn() -> TlsAcceptor + Send + Sync>;

/// How the server behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The domain of all addresses.
    pub domain: String,
    /// The bare JID of the ACS.
    pub acs: String,
    /// Nobody logs in without TLS.
    pub tls_required: bool,
    /// PLAIN is offered on connections in clear.
    pub plain_without_tls: bool,
    /// From the first byte to the resource.
    pub login_time_max: Duration,
    /// After so long a silence of ours, white space.
    pub keep_alive: Duration,
}

/// What is counted.
#[derive(Debug, Default, Serialize)]
pub struct Counters {
    /// Devices that logged in.
    pub logins: Counter,
    /// Wrong passwords and other failed tries.
    pub logins_refused: Counter,
    /// Streams ended for what came in them: junk, too much of it, stanzas before the login.
    pub streams_refused: Counter,
    /// Streams ended because the login took too long.
    pub logins_late: Counter,
    /// Connections closed at once, over a limit.
    pub turned_away: Counter,
    /// Stanzas of a device for another one, or for another server.
    pub stanzas_refused: Counter,
}

/// The server.
pub struct Server {
    pub(super) settings: Settings,
    pub(super) tls: Option<Acceptor>,
    pub(super) accounts: Arc<dyn Accounts>,
    pub(super) online: Online,
    pub(super) requests: Requests,
    pub(super) counters: Counters,
    pub(super) secret: [u8; 16],
    /// Passwords in clear that are being checked.
    pub(super) password_checks: Semaphore,
    admission: Arc<Admission>,
    /// The minute in which it was last said that connections are turned away.
    turned_away_said: AtomicI64,
}

impl Server {
    /// A server without a connection yet.
    pub fn new(
        settings: Settings,
        tls: Option<Acceptor>,
        admission: Arc<Admission>,
        accounts: Arc<dyn Accounts>,
    ) -> Arc<Server> {
        Arc::new(Server {
            settings,
            tls,
            accounts,
            online: Online::default(),
            requests: Requests::default(),
            counters: Counters::default(),
            secret: rand::random(),
            password_checks: Semaphore::new(PASSWORD_CHECKS_MAX),
            admission,
            turned_away_said: AtomicI64::new(0),
        })
    }

    /// Serves one listener until `shutdown`. `direct_tls`: TLS from the first byte.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        direct_tls: bool,
        mut shutdown: watch::Receiver<bool>,
    ) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = shutdown.wait_for(|stop| *stop) => break,
            };
            match accepted {
                Ok((stream, peer)) => self.take(stream, peer, direct_tls),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        self.online.clear();
    }

    fn take(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, direct_tls: bool) {
        let mut admitted = match self.admission.admit(peer.ip()) {
            Ok(admitted) => admitted,
            Err(setting) => {
                self.counters.turned_away.add(1);
                // Whoever is over a limit comes again and again: said once a minute.
                let minute = self.accounts.now() / 60;
                if self.turned_away_said.swap(minute, Ordering::Relaxed) != minute {
                    tracing::warn!(%peer, "XMPP connections are turned away: xmpp.{setting} is reached");
                }
                return;
            }
        };
        prepare(&stream, self.settings.keep_alive);
        let server = Arc::clone(self);
        tokio::spawn(async move {
            // Boxed, and gone after the login: thousands of devices are online and silent.
            let login = Box::pin(timeout(
                server.settings.login_time_max,
                login(&server, stream, peer, direct_tls),
            ));
            match login.await {
                Ok(Ok(login)) => {
                    admitted.logged_in();
                    Box::pin(session::serve(&server, login)).await;
                }
                Ok(Err(error)) => server.refused(peer, &error),
                Err(_) => {
                    server.counters.logins_late.add(1);
                    tracing::info!(%peer, "an XMPP login took too long");
                }
            }
            drop(admitted);
        });
    }

    fn refused(&self, peer: SocketAddr, error: &NoLogin) {
        match error {
            NoLogin::Gone => return,
            NoLogin::Tries => {}
            NoLogin::Stream(error) if error.condition().is_none() => return,
            NoLogin::Stream(_)
            | NoLogin::Tls(_)
            | NoLogin::Host { .. }
            | NoLogin::NotAuthorized(_) => {
                self.counters.streams_refused.add(1);
            }
        }
        tracing::info!(%peer, %error, "no XMPP login");
    }

    /// Asks a device to open a session.
    ///
    /// `prefer`: the resource that the device says to have; where it is not online, another
    /// one of it is asked.
    pub async fn connection_request(
        &self,
        username: &str,
        prefer: &str,
        credentials: &Credentials,
        wait: Duration,
    ) -> Result<(), RequestError> {
        let presence = self
            .online
            .find(username, prefer)
            .ok_or(RequestError::NotOnline)?;
        let request = self.requests.begin(username);
        let Settings { domain, acs, .. } = &self.settings;
        let stanza = XmppRequest {
            id: request.id.clone(),
            from: format!("{acs}/{ACS_RESOURCE}"),
            to: format!("{username}@{domain}/{}", presence.resource),
            username: credentials.username.clone(),
            password: credentials.password.clone(),
        };
        if !self
            .online
            .send(username, &presence.resource, stanza.to_xml())
        {
            return Err(RequestError::NotOnline);
        }
        request.answer(wait).await
    }

    /// The stream of an account.
    pub fn presence(&self, username: &str) -> Option<Presence> {
        self.online.find(username, "")
    }

    /// Devices that are online.
    pub fn online(&self) -> usize {
        self.online.count()
    }

    /// Connections, those before the login too.
    pub fn connections(&self) -> usize {
        self.admission.connections()
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// Small stanzas leave at once, and a connection whose other end is gone ends.
pub(super) fn prepare(stream: &TcpStream, keep_alive: Duration) {
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(keep_alive));
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(TCP_DEAD_AFTER));
}
