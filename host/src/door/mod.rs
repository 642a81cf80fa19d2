//! THE DOOR: the endpoint that devices talk to.
//!
//! Here is all that a hostile or broken client can do to the host: limits of size, time and
//! count, what is no TR-069 message, whose session a message belongs to. What comes through
//! is a message of a device; it goes to its conversation.

mod answer;
pub(crate) mod attempts;
mod authentication;
mod body;
mod by_url;
mod certificate;
mod coding;
mod cookie;
mod forwarded;
mod of_instances;
mod peer;
mod proxy_protocol;
mod receive;
pub mod refusals;
mod replays;
mod sessions;
mod tls;
mod whose;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};

use proxy_protocol::Opened;

use crate::Acs;
use crate::config::Cwmp;
use crate::device::DeviceKey;

pub use authentication::{Doorkeeper, Proof};
pub use by_url::ByUrl;
pub use certificate::Certificate;
pub use cookie::Token;
pub use of_instances::serve_instances;
pub use peer::{Ends, Peer, Trust, Word};
pub use refusals::{Refusals, Refused, Why};
pub use sessions::{Found, Open, Sessions};
pub use tls::{Tls, TlsError};

/// Headers of one request.
const HEADERS_MAX: usize = 100;
/// Bytes of all headers of one request.
const HEADER_BYTES_MAX: usize = 64 << 10;
/// Pause after the system refused to accept a connection (no file descriptor left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One TCP connection of a device or of a proxy.
pub(crate) struct Connection {
    ends: Ends,
    /// What the client showed in the handshake, signed by an authority that the operator named.
    certificate: Option<Arc<Certificate>>,
    carried: Mutex<Carried>,
    /// It came in where there is nothing but files.
    only_files: bool,
    /// It came in where there is this instance alone.
    instance: Option<Arc<str>>,
    /// Notified when it is to be dropped: its client takes nothing of a file.
    too_slow: Arc<Notify>,
}

/// Whose sessions a connection has carried.
#[derive(Default)]
struct Carried {
    /// The session that was last begun on it.
    session: Option<Token>,
    device: Option<DeviceKey>,
    /// Several devices use it: it is a proxy's.
    is_shared: bool,
}

impl Connection {
    fn new(ends: Ends) -> Connection {
        Connection {
            ends,
            certificate: None,
            carried: Mutex::default(),
            only_files: false,
            instance: None,
            too_slow: Arc::default(),
        }
    }

    /// A session begins on it.
    fn began(&self, token: Token, device: DeviceKey) {
        let mut carried = self.carried.lock();
        carried.is_shared |= carried.device.as_ref().is_some_and(|one| *one != device);
        carried.session = Some(token);
        carried.device = Some(device);
    }

    /// Its session, for a device that keeps no cookies.
    fn session(&self) -> Option<Token> {
        let carried = self.carried.lock();
        carried.session.filter(|_| !carried.is_shared)
    }
}

/// What a listener is for.
#[derive(Clone)]
pub enum To {
    /// CWMP and files.
    Plain,
    /// The same, over TLS only.
    Tls(Arc<Tls>),
    /// Nothing but files.
    Files,
}

/// Where devices come in.
#[derive(Clone)]
pub struct Entrance {
    /// What for.
    pub to: To,
    /// The only instance that there is behind it; `None`: the URL tells which.
    pub instance: Option<Arc<str>>,
}

impl Entrance {
    /// To all instances.
    pub fn of_all(to: To) -> Entrance {
        Entrance { to, instance: None }
    }
}

/// Serves devices on one listener until `shutdown`.
pub async fn serve(
    acs: Arc<Acs>,
    listener: TcpListener,
    entrance: Entrance,
    mut shutdown: watch::Receiver<bool>,
) {
    let connections = Arc::new(Semaphore::new(
        acs.config.cwmp.connections_max.min(Semaphore::MAX_PERMITS),
    ));
    let (closed, mut all_closed) = tokio::sync::mpsc::channel::<()>(1);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = shutdown.wait_for(|stop| *stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            acs.counters.requests_turned_away.add(1);
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (closed, shutdown) = (closed.clone(), shutdown.clone());
        let (acs, entrance) = (Arc::clone(&acs), entrance.clone());
        tokio::spawn(async move {
            admit(&acs, stream, peer.ip(), entrance, shutdown).await;
            // The host is let go of before it is told that nobody needs it.
            drop((acs, permit, closed));
        });
    }
    drop((listener, closed));
    let _ = all_closed.recv().await;
}

/// Serves one connection, once it is known who is at its other end.
async fn admit(
    acs: &Arc<Acs>,
    stream: TcpStream,
    tcp: IpAddr,
    entrance: Entrance,
    shutdown: watch::Receiver<bool>,
) {
    let is_trusted = Trust::new(&acs.config.cwmp, None).trusts(tcp);
    let setting = acs.config.cwmp.proxy_protocol;
    let wait = proxy_protocol::HEADER_WAIT;
    let header = proxy_protocol::read(setting, is_trusted, wait, stream).await;
    let Opened { stated, stream } = match header {
        Ok(Some(opened)) => opened,
        Ok(None) => return,
        Err(reason) => return unanswered(acs, tcp, Why::ProxyHeader, 0, reason),
    };
    let ends = Ends {
        tcp,
        stated,
        tls: matches!(entrance.to, To::Tls(_)),
    };
    let connection = Connection {
        instance: entrance.instance,
        ..Connection::new(ends)
    };
    match entrance.to {
        To::Plain => serve_connection(acs, stream, connection, shutdown).await,
        To::Files => {
            let connection = Connection {
                only_files: true,
                ..connection
            };
            serve_connection(acs, stream, connection, shutdown).await;
        }
        To::Tls(tls) => match tls.accept(stream).await {
            Ok((stream, certificate)) => {
                let connection = Connection {
                    certificate,
                    ..connection
                };
                serve_connection(acs, stream, connection, shutdown).await;
            }
            Err(reason) => unanswered(acs, ends.client(), Why::Tls, 0, reason),
        },
    }
}

fn serve_connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    acs: &Arc<Acs>,
    stream: S,
    connection: Connection,
    mut shutdown: watch::Receiver<bool>,
) -> impl Future<Output = ()> + use<S> {
    let http = http(&acs.config.cwmp);
    let client = connection.ends.client();
    let connection = Arc::new(connection);
    let refusals = Arc::clone(acs);
    let acs = Arc::clone(acs);
    let too_slow = Arc::clone(&connection.too_slow);
    // Any other path is the ACS URL (devices were told all kinds of them), so there is nothing to route.
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (acs, connection) = (Arc::clone(&acs), Arc::clone(&connection));
        async move {
            let answer = receive::receive(&acs, &connection, request.map(Body::new)).await;
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let serving = http.serve_connection(TokioIo::new(stream), service);
    async move {
        tokio::pin!(serving);
        tokio::select! {
            ended = serving.as_mut() => {
                if let Err(error) = ended {
                    no_http(&refusals, client, &error);
                }
                return;
            }
            () = too_slow.notified() => return,
            _ = shutdown.wait_for(|stop| *stop) => {}
        }
        serving.as_mut().graceful_shutdown();
        let _ = serving.await;
    }
}

/// HTTP as devices are to be spoken to.
pub(crate) fn http(config: &Cwmp) -> http1::Builder {
    let idle = config
        .idle_seconds_max
        .max(config.session_silence_seconds_max);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        // Counts from the end of the answer before: also the longest silence between two.
        .header_read_timeout(Duration::from_secs(idle))
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        // A header that is broken is no reason to lose the message.
        .ignore_invalid_headers(true)
        // Some devices compare header names letter by letter.
        .title_case_headers(true)
        .half_close(true);
    http
}

/// What came is no HTTP; how else a device ends its connection is its own affair.
fn no_http(acs: &Acs, client: IpAddr, error: &hyper::Error) {
    if error.is_parse() {
        let status = if error.is_parse_too_large() { 431 } else { 400 };
        let reason = format!("expected an HTTP request: {error}");
        unanswered(acs, client, Why::NoHttp, status, reason);
    }
}

/// Takes down a client that did not get as far as a request.
fn unanswered(acs: &Acs, client: IpAddr, why: Why, status: u16, reason: String) {
    acs.counters.requests_refused.add(1);
    let refused = Refused {
        instance: None,
        address: client.to_canonical(),
        why,
        status,
        reason,
        device: None,
        username: None,
        path: String::new(),
        user_agent: String::new(),
    };
    acs.refusals.note(refused, acs.clock.unix());
}
