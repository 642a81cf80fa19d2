//! The ACS as a component of an XMPP server of somebody else (XEP-0114).

use std::sync::Arc;
use std::time::Duration;

use sha1::{Digest, Sha1};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use xmpp::{Element, Limits, Stream, StreamError, ns, stanza};

use super::iqs::{Iq, Iqs};
use super::link::{Backoff, Link};
use super::server;

/// For the connection and the handshake.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// After so long a silence of ours, white space.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// What the ACS calls itself under the component's domain.
pub(super) const NODE: &str = "acs";

/// Where the server is and what it calls us.
#[derive(Clone)]
pub(super) struct Settings {
    /// `host:port`.
    pub(super) server: String,
    /// The component's domain.
    pub(super) domain: String,
    /// What both know.
    pub(super) secret: String,
}

/// Why the link broke or did not come to be.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("cannot connect to {0}: {1}")]
    Connect(String, std::io::Error),
    #[error("the stream broke: {0}")]
    Stream(#[from] StreamError),
    #[error("the server closed the stream")]
    Closed,
    #[error("the server says {0}")]
    Refused(String),
    #[error("no answer within {} s", CONNECT_TIME_MAX.as_secs())]
    Late,
}

/// Keeps the link until `shutdown`: connects, serves, and tries again.
pub(super) async fn run(
    settings: Settings,
    link: Arc<Link>,
    mut outbox: mpsc::Receiver<Iq>,
    mut shutdown: watch::Receiver<bool>,
) {
    let iqs = Iqs::default();
    let mut backoff = Backoff::default();
    loop {
        let served = async {
            let stream = timeout(CONNECT_TIME_MAX, connect(&settings));
            let mut stream = stream.await.map_err(|_| LinkError::Late)??;
            link.up();
            backoff = Backoff::default();
            serve(&settings, &mut stream, &iqs, &mut outbox).await
        };
        let error = tokio::select! {
            served = served => match served {
                Ok(()) => return,
                Err(error) => error,
            },
            _ = shutdown.wait_for(|stop| *stop) => return,
        };
        link.down(error.to_string());
        iqs.clear();
        tokio::select! {
            () = tokio::time::sleep(backoff.next_wait()) => {}
            _ = shutdown.wait_for(|stop| *stop) => return,
        }
    }
}

async fn connect(settings: &Settings) -> Result<Stream<TcpStream>, LinkError> {
    let tcp = TcpStream::connect(&settings.server)
        .await
        .map_err(|error| LinkError::Connect(settings.server.clone(), error))?;
    server::prepare(&tcp, KEEP_ALIVE);
    let mut stream = Stream::new(tcp, Limits::KNOWN);
    let to = format!(" to='{}'", stanza::escaped(&settings.domain));
    stream.write(&stanza::header(ns::COMPONENT, &to)).await?;
    let header = stream.read_header().await?.ok_or(LinkError::Closed)?;
    let id = header.id.unwrap_or_default();
    let digest = Sha1::digest(format!("{id}{}", settings.secret));
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    stream
        .write(&format!("<handshake>{digest}</handshake>"))
        .await?;
    match stream.read().await? {
        Some(element) if element.name() == "handshake" => Ok(stream),
        Some(element) => Err(refusal(&element)),
        None => Err(LinkError::Closed),
    }
}

/// Until the stream ends. `Ok`: nobody has anything to send any more.
async fn serve(
    settings: &Settings,
    stream: &mut Stream<TcpStream>,
    iqs: &Iqs,
    outbox: &mut mpsc::Receiver<Iq>,
) -> Result<(), LinkError> {
    let from = format!("{NODE}@{}/patchbay", settings.domain);
    loop {
        tokio::select! {
            element = stream.read() => {
                let element = element?.ok_or(LinkError::Closed)?;
                if element.is("error", ns::STREAM) {
                    return Err(refusal(&element));
                }
                if !iqs.answered(&element) && let Some(reply) = reply(&element) {
                    stream.write(&reply).await?;
                }
            }
            iq = outbox.recv() => {
                let Some(iq) = iq else { return Ok(()) };
                let id = iqs.begin(&iq.to, iq.answer);
                let kind = if iq.is_set { "set" } else { "get" };
                let mut payload = Vec::new();
                if iq.payload.write_to(&mut payload).is_ok() {
                    let payload = String::from_utf8_lossy(&payload);
                    stream.write(&stanza::iq(kind, &id, &from, &iq.to, &payload)).await?;
                }
            }
            () = tokio::time::sleep(KEEP_ALIVE) => stream.write(" ").await?,
        }
    }
}

/// What others ask of us is answered, as RFC 6120 wants it.
fn reply(element: &Element) -> Option<String> {
    let get = |name: &'static str| element.attr(name).unwrap_or_default();
    if element.name() != "iq" || !matches!(get("type"), "get" | "set") {
        return None;
    }
    let is_ping = element.children().any(|child| child.is("ping", ns::PING));
    let (kind, payload) = if is_ping {
        ("result", String::new())
    } else {
        ("error", stanza::error("cancel", "service-unavailable"))
    };
    Some(stanza::iq(
        kind,
        get("id"),
        get("to"),
        get("from"),
        &payload,
    ))
}

/// A stream error, in a few words.
fn refusal(element: &Element) -> LinkError {
    let condition = element.children().next();
    LinkError::Refused(match condition {
        Some(condition) => condition.name().to_owned(),
        None => format!("<{}>", element.name()),
    })
}
