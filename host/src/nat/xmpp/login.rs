//! From the first byte of a connection to a device with a resource: TLS, login, bind.

use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use xmpp::{Element, Header, Io, Limits, Stream, StreamError, ns, stanza};

use super::sasl::{self, Answer, Exchange};
use super::server::{Acceptor, Server};

/// Failed logins on one connection.
const TRIES_MAX: u32 = 3;
/// Elements that a stranger may send before it is logged in and bound.
const ELEMENTS_MAX: u32 = 32;
/// Bytes of a resource (RFC 7622 §3.4).
const RESOURCE_BYTES_MAX: usize = 1023;

/// A device that has logged in and has a resource.
pub(super) struct LoggedIn {
    pub(super) stream: Stream<Io>,
    pub(super) username: String,
    pub(super) resource: String,
    /// The answer to bind. It is written when the stream can be written to by others too.
    pub(super) bound: String,
}

/// Why there is no login.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoLogin {
    /// It went away; nobody is to blame.
    #[error("the client went away")]
    Gone,
    /// What it sent is no stream.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// No TLS came to be.
    #[error("no TLS: {0}")]
    Tls(std::io::Error),
    /// It asks for another domain.
    #[error("expected the domain {expected}, got {got:?}")]
    Host {
        /// The one that is served.
        expected: String,
        /// As the client wrote it.
        got: String,
    },
    /// Stanzas before the login, or too many elements.
    #[error("expected a login, got <{0}>")]
    NotAuthorized(String),
    /// Wrong passwords.
    #[error("{TRIES_MAX} failed logins")]
    Tries,
}

/// Leads a connection to its login. The caller limits the time.
pub(super) async fn login(
    server: &Server,
    tcp: TcpStream,
    peer: SocketAddr,
    direct_tls: bool,
) -> Result<LoggedIn, NoLogin> {
    let io = match (&server.tls, direct_tls) {
        (Some(tls), true) => tls_of(tls, tcp).await?,
        _ => Io::Plain(tcp),
    };
    let mut visitor = Visitor {
        server,
        peer,
        stream: Stream::new(io, Limits::STRANGER),
        header_sent: false,
        elements: 0,
    };
    loop {
        match visitor.authenticate().await {
            Ok(Authenticated::As(username)) => return visitor.bind(username).await,
            Ok(Authenticated::WantsTls) => {
                let Some(tls) = &server.tls else {
                    return Err(NoLogin::NotAuthorized("starttls".into()));
                };
                let Io::Plain(tcp) = visitor.stream.into_io()? else {
                    return Err(NoLogin::NotAuthorized("starttls".into()));
                };
                visitor.stream = Stream::new(tls_of(tls, tcp).await?, Limits::STRANGER);
                visitor.header_sent = false;
            }
            Err(error) => {
                visitor.say_why(&error).await;
                return Err(error);
            }
        }
    }
}

async fn tls_of(acceptor: &Acceptor, tcp: TcpStream) -> Result<Io, NoLogin> {
    let stream = acceptor().accept(tcp).await.map_err(NoLogin::Tls)?;
    Ok(Io::Tls(Box::new(TlsStream::Server(stream))))
}

enum Authenticated {
    As(String),
    WantsTls,
}

/// A connection of somebody who is not known yet.
struct Visitor<'s> {
    server: &'s Server,
    peer: SocketAddr,
    stream: Stream<Io>,
    header_sent: bool,
    elements: u32,
}

impl Visitor<'_> {
    /// Header, features and login of one stream.
    async fn authenticate(&mut self) -> Result<Authenticated, NoLogin> {
        let settings = &self.server.settings;
        let under_tls = self.stream.io().is_tls();
        let starttls = self.server.tls.is_some() && !under_tls;
        let must_tls = starttls && settings.tls_required;
        let with_plain = under_tls || settings.plain_without_tls;
        let mut features = String::new();
        if starttls {
            let required = if must_tls { "<required/>" } else { "" };
            features += &format!("<starttls xmlns='{}'>{required}</starttls>", ns::TLS);
        }
        if !must_tls {
            features += &sasl::mechanisms(with_plain);
        }
        self.open(&features).await?;
        let mut exchange = Exchange::new(self.server, with_plain);
        let mut failures = 0;
        loop {
            let element = self.read().await?;
            if element.is("starttls", ns::TLS) && starttls {
                let proceed = format!("<proceed xmlns='{}'/>", ns::TLS);
                self.stream.write(&proceed).await?;
                return Ok(Authenticated::WantsTls);
            }
            let answer = match must_tls {
                true => None,
                false => exchange.take(&element).await,
            };
            let Some(answer) = answer else {
                return Err(NoLogin::NotAuthorized(element.name().to_owned()));
            };
            self.stream.write(&sasl::to_xml(&answer)).await?;
            match answer {
                Answer::Challenge(_) => {}
                Answer::Success(username, _) => {
                    self.stream.restart();
                    self.header_sent = false;
                    return Ok(Authenticated::As(username));
                }
                Answer::Failure(condition) => {
                    self.server.counters.logins_refused.add(1);
                    let (peer, username) = (self.peer, exchange.username());
                    tracing::info!(%peer, username, condition, "an XMPP login failed");
                    failures += 1;
                    if failures >= TRIES_MAX {
                        return Err(NoLogin::Tries);
                    }
                }
            }
        }
    }

    /// The stream after the login, up to its resource.
    async fn bind(mut self, username: String) -> Result<LoggedIn, NoLogin> {
        let bound = self.bound(&username).await;
        match bound {
            Ok((resource, bound)) => Ok(LoggedIn {
                stream: self.stream,
                username,
                resource,
                bound,
            }),
            Err(error) => {
                self.say_why(&error).await;
                Err(error)
            }
        }
    }

    async fn bound(&mut self, username: &str) -> Result<(String, String), NoLogin> {
        let (bind, session) = (ns::BIND, ns::SESSION);
        self.open(&format!(
            "<bind xmlns='{bind}'/><session xmlns='{session}'><optional/></session>"
        ))
        .await?;
        loop {
            let element = self.read().await?;
            let Some(payload) = element
                .get_child("bind", bind)
                .filter(|_| element.name() == "iq" && element.attr("type") == Some("set"))
            else {
                // Presence may come early; whatever else it is has to wait for the resource.
                if element.name() == "presence" {
                    continue;
                }
                return Err(NoLogin::NotAuthorized(element.name().to_owned()));
            };
            let asked = payload.get_child("resource", bind).map(Element::text);
            let asked = asked.map(|asked| asked.trim().to_owned());
            let resource = asked
                .filter(|asked| !asked.is_empty() && asked.len() <= RESOURCE_BYTES_MAX)
                .unwrap_or_else(|| format!("{:016x}", rand::random::<u64>()));
            let jid = format!("{username}@{}/{resource}", self.server.settings.domain);
            let payload = format!(
                "<bind xmlns='{bind}'><jid>{}</jid></bind>",
                stanza::escaped(&jid)
            );
            let id = element.attr("id").unwrap_or_default();
            return Ok((resource, stanza::iq("result", id, "", "", &payload)));
        }
    }

    /// Reads the client's header and answers with ours and these features.
    async fn open(&mut self, features: &str) -> Result<(), NoLogin> {
        let Some(Header { to, .. }) = self.stream.read_header().await? else {
            return Err(NoLogin::Gone);
        };
        self.send_header().await?;
        let domain = &self.server.settings.domain;
        if let Some(got) = to.filter(|to| !to.eq_ignore_ascii_case(domain)) {
            return Err(NoLogin::Host {
                expected: domain.clone(),
                got,
            });
        }
        let features = format!("<stream:features>{features}</stream:features>");
        Ok(self.stream.write(&features).await?)
    }

    async fn send_header(&mut self) -> Result<(), StreamError> {
        self.header_sent = true;
        let domain = stanza::escaped(&self.server.settings.domain);
        let id: u64 = rand::random();
        let attributes = format!(" from='{domain}' id='{id:016x}' version='1.0' xml:lang='en'");
        let header = stanza::header(ns::CLIENT, &attributes);
        self.stream.write(&header).await
    }

    async fn read(&mut self) -> Result<Element, NoLogin> {
        self.elements += 1;
        match self.stream.read().await? {
            Some(element) if self.elements > ELEMENTS_MAX => {
                Err(NoLogin::NotAuthorized(element.name().to_owned()))
            }
            Some(element) => Ok(element),
            None => Err(NoLogin::Gone),
        }
    }

    /// Tells the client what was wrong, and closes.
    async fn say_why(&mut self, error: &NoLogin) {
        let condition = match error {
            NoLogin::Gone | NoLogin::Tls(_) => None,
            NoLogin::Stream(error) => error.condition(),
            NoLogin::Host { .. } => Some("host-unknown"),
            NoLogin::NotAuthorized(_) => Some("not-authorized"),
            NoLogin::Tries => Some("policy-violation"),
        };
        // Whether the client hears of it is its own affair.
        if let Some(condition) = condition {
            if !self.header_sent {
                let _ = self.send_header().await;
            }
            let _ = self.stream.write(&stanza::stream_error(condition)).await;
        }
        let _ = self.stream.close().await;
    }
}
