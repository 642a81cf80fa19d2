//! Runs the sessions of a device over HTTP.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::http::{
    Connection, CookieJar, Cuts, Framing, HttpError, HttpResponse, Login, Url, coding,
};
use crate::{Clock, Cpe, Oddities, Oddity, ProtocolError, Seed, SessionRecord, Step};

/// A device follows as many redirects within a session (§3.4.3).
const REDIRECTS_MAX: u32 = 5;

/// How sessions are run.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// The time that the device is told.
    pub clock: Clock,
    /// For a connection.
    pub connect_timeout: Duration,
    /// For an answer of the ACS.
    pub message_timeout: Duration,
    /// The address to connect from: on Linux any of 127.0.0.0/8 will do.
    pub local_address: Option<IpAddr>,
    /// Connect there, whatever the ACS URL says; the Host header still says what the URL says.
    pub connect_to: Option<SocketAddr>,
    /// Sent with each request, like `X-Forwarded-For`; `{wan}` stands for the device's address
    /// on the WAN side.
    pub extra_headers: Vec<(String, String)>,
    /// Connections that break off.
    pub cuts: Option<Cuts>,
}

impl Default for SessionOptions {
    fn default() -> SessionOptions {
        SessionOptions {
            clock: Clock::system(),
            connect_timeout: Duration::from_secs(10),
            message_timeout: Duration::from_secs(30),
            local_address: None,
            connect_to: None,
            extra_headers: Vec::new(),
            cuts: None,
        }
    }
}

/// What a session did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SessionReport {
    /// Events, RPCs of the ACS.
    pub record: SessionRecord,
    /// HTTP requests, with those answered by a 401 or a redirect.
    pub posts: u32,
    /// TCP connections.
    pub connections: u32,
    /// On all connections.
    pub bytes_sent: u64,
    /// On all connections.
    pub bytes_received: u64,
    /// From the connection to the end.
    pub duration: Duration,
}

impl SessionReport {
    /// The RPCs of this name that the ACS called.
    pub fn served<'r>(&'r self, method: &'r str) -> impl Iterator<Item = &'r crate::Served> {
        self.record
            .served
            .iter()
            .filter(move |served| served.method() == method)
    }
}

/// A session that broke off.
#[derive(Debug, thiserror::Error)]
#[error("the session failed: {cause}")]
pub struct SessionError {
    /// Why.
    #[source]
    pub cause: SessionFailure,
    /// What was done until then.
    pub report: Box<SessionReport>,
}

/// Why a session broke off.
#[derive(Debug, thiserror::Error)]
pub enum SessionFailure {
    /// ManagementServer.URL is no `http` URL.
    #[error("the ACS URL cannot be used: {0:?}")]
    Url(String),
    /// The connection.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// 401, and no password or the wrong one.
    #[error("the ACS does not let it in")]
    Unauthorized,
    /// An answer that no session has.
    #[error("the ACS answered {0}")]
    Status(u16),
    /// More than five.
    #[error("redirected too often")]
    Redirects,
    /// The ACS broke the protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The device dropped the connection, as it is wont to.
    #[error("the device dropped the connection")]
    Dropped,
}

impl SessionFailure {
    /// A word for statistics.
    pub fn reason(&self) -> &'static str {
        match self {
            SessionFailure::Url(_) => "url",
            SessionFailure::Http(HttpError::Connect { .. }) => "connect",
            SessionFailure::Http(HttpError::Closed) => "closed",
            SessionFailure::Http(HttpError::Cut) => "cut",
            SessionFailure::Http(_) => "http",
            SessionFailure::Timeout(_) => "timeout",
            SessionFailure::Unauthorized => "unauthorized",
            SessionFailure::Status(503) => "busy",
            SessionFailure::Status(_) => "status",
            SessionFailure::Redirects => "redirects",
            SessionFailure::Protocol(_) => "protocol",
            SessionFailure::Dropped => "dropped",
        }
    }
}

/// Runs one session with the ACS of the device, to its end.
///
/// Dropped midway it leaves the device in its session: then call [`Cpe::fail_session`].
pub async fn run_session(
    cpe: &mut Cpe,
    options: &SessionOptions,
) -> Result<SessionReport, SessionError> {
    let started = Instant::now();
    let mut talk = Talk::new(cpe, options);
    let result = talk.run(cpe).await;
    talk.close_connection();
    let mut report = talk.report;
    report.duration = started.elapsed();
    let now = options.clock.now();
    match result {
        Ok(()) => {
            report.record = cpe.finish_session(now);
            Ok(report)
        }
        Err(cause) => {
            report.record = cpe.fail_session(now);
            let report = Box::new(report);
            Err(SessionError { cause, report })
        }
    }
}

/// The HTTP side of one session.
struct Talk<'o> {
    options: &'o SessionOptions,
    oddities: Oddities,
    acs_url: String,
    wan_address: String,
    /// Tells the connections of all devices apart, for those that are cut.
    random: Seed,
    connection: Option<(String, Connection)>,
    cookies: CookieJar,
    login: Login,
    report: SessionReport,
}

impl<'o> Talk<'o> {
    fn new(cpe: &mut Cpe, options: &'o SessionOptions) -> Talk<'o> {
        let now = options.clock.now();
        let (username, password) = cpe.acs_login(now);
        let random = cpe.fork_random();
        let connections = random.of(1);
        Talk {
            options,
            oddities: cpe.oddities(),
            acs_url: cpe.acs_url(now),
            wan_address: cpe.wan_address().to_owned(),
            random: connections,
            connection: None,
            cookies: CookieJar::default(),
            login: Login::new(username, password, random).with_oddities(cpe.oddities()),
            report: SessionReport::default(),
        }
    }

    async fn run(&mut self, cpe: &mut Cpe) -> Result<(), SessionFailure> {
        let mut body = cpe.begin_session(self.options.clock.now());
        let mut url =
            Url::parse(&self.acs_url).ok_or_else(|| SessionFailure::Url(self.acs_url.clone()))?;
        let mut redirects = 0;
        let mut informing = true;
        loop {
            let response = self.post(&url, &body).await?;
            let answer = match response.status {
                200 => response.body,
                204 => Vec::new(),
                401 => {
                    if !self
                        .login
                        .challenged(response.headers_named("www-authenticate"))
                    {
                        return Err(SessionFailure::Unauthorized);
                    }
                    if informing {
                        body = cpe.repeat_inform(self.options.clock.now());
                    }
                    continue;
                }
                301 | 302 | 307 | 308 => {
                    redirects += 1;
                    let target = response
                        .header("location")
                        .and_then(|location| url.join(location));
                    url = target.ok_or(SessionFailure::Status(response.status))?;
                    if redirects > REDIRECTS_MAX {
                        return Err(SessionFailure::Redirects);
                    }
                    continue;
                }
                other => return Err(SessionFailure::Status(other)),
            };
            informing = false;
            match cpe.receive(&answer, self.options.clock.now())? {
                Step::Post(next) => body = next,
                Step::Done => return Ok(()),
                Step::Drop => return Err(SessionFailure::Dropped),
                Step::Hang(time) => {
                    tokio::time::sleep(time).await;
                    return Err(SessionFailure::Dropped);
                }
            }
        }
    }

    async fn post(&mut self, url: &Url, body: &[u8]) -> Result<HttpResponse, SessionFailure> {
        let mut headers: Vec<(&str, String)> = Vec::with_capacity(8);
        headers.push(("User-Agent", "cpe-sim".to_owned()));
        if !body.is_empty() {
            headers.push(("Content-Type", "text/xml; charset=\"utf-8\"".to_owned()));
            headers.push(("SOAPAction", "\"\"".to_owned()));
        }
        headers.extend(
            self.cookies
                .header(self.oddities)
                .map(|cookie| ("Cookie", cookie)),
        );
        let packed = coding::pack(body, self.oddities);
        if let Some((name, _)) = &packed {
            headers.push(("Content-Encoding", (*name).to_owned()));
        }
        let body = packed.as_ref().map_or(body, |(_, packed)| packed);
        let authorization = self.login.header("POST", &url.target);
        headers.extend(authorization.map(|header| ("Authorization", header)));
        let extra = self.options.extra_headers.iter();
        headers.extend(
            extra.map(|(name, value)| (name.as_str(), value.replace("{wan}", &self.wan_address))),
        );
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let framing = match self.oddities {
            odd if odd.has(Oddity::Chunked) => Framing::Chunked,
            odd if odd.has(Oddity::ExpectContinue) => Framing::Expect,
            _ => Framing::Length,
        };
        let wait = self.options.message_timeout;
        let connection = self.connection_to(url).await?;
        let exchange = connection.request("POST", &url.target, &headers, body, framing);
        let response = timeout(wait, exchange).await;
        self.report.posts += 1;
        let response = response.map_err(|_| SessionFailure::Timeout(wait))??;
        for set_cookie in response.headers_named("set-cookie") {
            self.cookies.take(set_cookie, self.oddities);
        }
        Ok(response)
    }

    async fn connection_to(&mut self, url: &Url) -> Result<&mut Connection, SessionFailure> {
        let reusable = !self.oddities.has(Oddity::ConnectionPerPost)
            && self
                .connection
                .as_ref()
                .is_some_and(|(address, connection)| {
                    *address == url.address && connection.is_open()
                });
        if !reusable {
            self.close_connection();
            let to = self.options.connect_to.map(|address| address.to_string());
            let address = to.as_deref().unwrap_or(&url.address);
            let wait = self.options.connect_timeout;
            let opening = Connection::open(address, &url.host, self.options.local_address);
            let mut opened = timeout(wait, opening)
                .await
                .map_err(|_| SessionFailure::Timeout(wait))??;
            let cuts = self.options.cuts.as_ref();
            opened.cut_at(cuts.and_then(|cuts| cuts.of(self.random.draw())));
            self.report.connections += 1;
            self.connection = Some((url.address.clone(), opened));
        }
        match &mut self.connection {
            Some((_, connection)) => Ok(connection),
            None => Err(SessionFailure::Http(HttpError::Closed)),
        }
    }

    fn close_connection(&mut self) {
        if let Some((_, connection)) = self.connection.take() {
            let (sent, received) = connection.bytes();
            self.report.bytes_sent += sent;
            self.report.bytes_received += received;
        }
    }
}
