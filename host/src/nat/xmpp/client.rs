//! The ACS as a client of an XMPP server of somebody else.
//!
//! tokio-xmpp keeps the stream and connects again by itself. It says nothing of tries that
//! fail, so the connector here, which is ours, keeps the last error for the operator; and it
//! trusts only the operator's certificates and asks for no channel binding, which the usual
//! servers disagree about.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cwmp::connection_request::{XmppAnswer, XmppVerdict};
use futures_util::StreamExt;
use sasl::common::ChannelBinding;
use tokio::io::BufStream;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_rustls::{TlsConnector, TlsStream};
use tokio_xmpp::connect::ServerConnector;
use tokio_xmpp::jid::Jid;
use tokio_xmpp::parsers::stanza_error::StanzaError;
use tokio_xmpp::xmlstream::{PendingFeaturesRecv, StreamHeader, Timeouts, initiate_stream};
use tokio_xmpp::{Client, Event, IqRequest, IqResponse};
use xmpp::{Element, Io, Limits, Stream, ns, stanza};

use super::iqs::{Iq, IqAnswer};
use super::link::Link;

/// For the connection up to its second stream header.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(15);
/// Bytes of the buffers of the one connection.
const BUFFER_BYTES: usize = 8192;

/// Where the server is and who we are there.
#[derive(Clone)]
pub(super) struct Settings {
    /// `host:port`.
    pub(super) server: String,
    /// Our JID there.
    pub(super) jid: Jid,
    /// Its password.
    pub(super) password: String,
    /// Certificates that the server's must lead to; `None`: no TLS.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// Trusts what these PEM certificates have signed, and nothing else.
pub(super) fn trusting(file: &std::path::Path) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(file)
        .with_context(|| format!("cannot read the certificates in {}", file.display()))?;
    for certificate in certificates {
        roots.add(certificate?)?;
    }
    anyhow::ensure!(!roots.is_empty(), "{} holds no certificate", file.display());
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Keeps the link until `shutdown`. One task owns the client and always reads what it has:
/// otherwise its queue fills and answers stall.
pub(super) async fn run(
    settings: Settings,
    link: Arc<Link>,
    mut outbox: mpsc::Receiver<Iq>,
    mut shutdown: watch::Receiver<bool>,
) {
    let connector = Connector {
        settings: settings.clone(),
        link: Arc::clone(&link),
    };
    let timeouts = Timeouts {
        read_timeout: Duration::from_secs(60),
        response_timeout: Duration::from_secs(60),
    };
    let Settings { jid, password, .. } = settings;
    let mut client = Client::new_with_connector(jid, password, connector, timeouts);
    loop {
        tokio::select! {
            event = client.next() => match event {
                Some(Event::Online { .. }) => link.up(),
                Some(Event::Disconnected(error)) => link.down(error.to_string()),
                Some(Event::Stanza(_)) => {}
                None => {
                    link.down("the client ended".to_owned());
                    return;
                }
            },
            iq = outbox.recv() => match iq {
                Some(iq) => send(&mut client, iq).await,
                None => return,
            },
            () = stopped(&mut shutdown) => return,
        }
    }
}

/// Without the guard of `wait_for`, which no other task may see.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

async fn send(client: &mut Client, iq: Iq) {
    let Ok(to) = Jid::new(&iq.to) else {
        return;
    };
    let request = match iq.is_set {
        true => IqRequest::Set(iq.payload),
        false => IqRequest::Get(iq.payload),
    };
    let token = client.send_iq(Some(to), request).await;
    let mut answer = iq.answer;
    // Whoever asked limits the time: when it gives up, so does this.
    tokio::spawn(async move {
        tokio::select! {
            response = token => {
                let response = match response {
                    Ok(IqResponse::Result(payload)) => IqAnswer::Result(payload),
                    Ok(IqResponse::Error(error)) => IqAnswer::Error(verdict(error)),
                    Err(failure) => IqAnswer::Error(XmppVerdict::Other(failure.to_string())),
                };
                let _ = answer.send(response);
            }
            () = answer.closed() => {}
        }
    });
}

/// The words of an error are those of the stanza that it came in.
fn verdict(error: StanzaError) -> XmppVerdict {
    let error = Element::from(error);
    let iq = Element::builder("iq", ns::CLIENT).append(error).build();
    let mut xml = Vec::new();
    let written = iq.write_to(&mut xml);
    let xml = String::from_utf8_lossy(&xml).replacen("<iq", "<iq type='error' id='-'", 1);
    match XmppAnswer::read(&xml).filter(|_| written.is_ok()) {
        Some(answer) => answer.verdict,
        None => XmppVerdict::Other("an error without a condition".to_owned()),
    }
}

#[derive(Clone)]
struct Connector {
    settings: Settings,
    link: Arc<Link>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("server", &self.settings.server)
            .finish_non_exhaustive()
    }
}

impl ServerConnector for Connector {
    type Stream = BufStream<Io>;

    async fn connect(
        &self,
        jid: &Jid,
        namespace: &'static str,
        timeouts: Timeouts,
    ) -> Result<(PendingFeaturesRecv<Self::Stream>, ChannelBinding), tokio_xmpp::Error> {
        let connected = timeout(CONNECT_TIME_MAX, self.connected(jid, namespace, timeouts)).await;
        let connected = match connected {
            Ok(connected) => connected,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        match connected {
            Ok(stream) => {
                // What fails from here on (the login) is not told to us.
                self.link.down("connected, not logged in".to_owned());
                Ok((stream, ChannelBinding::None))
            }
            Err(error) => {
                self.link.down(format!("{}: {error}", self.settings.server));
                Err(error.into())
            }
        }
    }
}

impl Connector {
    async fn connected(
        &self,
        jid: &Jid,
        namespace: &'static str,
        timeouts: Timeouts,
    ) -> io::Result<PendingFeaturesRecv<BufStream<Io>>> {
        let tcp = TcpStream::connect(&self.settings.server).await?;
        tcp.set_nodelay(true)?;
        let domain = jid.domain().as_str();
        let io = match &self.settings.tls {
            Some(config) => starttls(tcp, domain, config).await?,
            None => Io::Plain(tcp),
        };
        let header = StreamHeader {
            to: Some(domain.to_owned().into()),
            from: None,
            id: None,
        };
        let io = BufStream::with_capacity(BUFFER_BYTES, BUFFER_BYTES, io);
        initiate_stream(io, namespace, header, timeouts).await
    }
}

async fn starttls(tcp: TcpStream, domain: &str, config: &Arc<ClientConfig>) -> io::Result<Io> {
    let mut stream = Stream::new(tcp, Limits::KNOWN);
    let attributes = format!(" to='{}' version='1.0'", stanza::escaped(domain));
    let asked = async {
        stream
            .write(&stanza::header(ns::CLIENT, &attributes))
            .await?;
        stream.read_header().await?;
        stream.read().await?;
        let starttls = format!("<starttls xmlns='{}'/>", ns::TLS);
        stream.write(&starttls).await?;
        stream.read().await
    };
    let answer = asked.await.map_err(io::Error::other)?;
    if !answer.is_some_and(|answer| answer.is("proceed", ns::TLS)) {
        return Err(io::Error::other("the server offers no TLS"));
    }
    let name = ServerName::try_from(domain.to_owned()).map_err(io::Error::other)?;
    let tcp = stream.into_io().map_err(io::Error::other)?;
    let tls = TlsConnector::from(Arc::clone(config))
        .connect(name, tcp)
        .await?;
    Ok(Io::Tls(Box::new(TlsStream::Client(tls))))
}
