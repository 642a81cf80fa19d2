//! One TCP connection and the requests on it, one after the other.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::cut::{Cut, Moment};

/// Largest head of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Largest body of an answer.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
const HEADERS_MAX: usize = 64;
/// How long the answer to `Expect: 100-continue` is waited for.
const EXPECT_WAIT_MAX: Duration = Duration::from_secs(1);
/// A chunk of a chunked request: small, so that there are several.
const CHUNK_BYTES: usize = 1_423;

/// A connection to an ACS or a file server.
///
/// Nobody owns it: a test may post for two devices on it, turn by turn, as a proxy with a pool
/// of connections does.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    host: String,
    received: Vec<u8>,
    closing: bool,
    cut: Option<Cut>,
    exchanges: u64,
    bytes_sent: u64,
    bytes_received: u64,
}

/// How a request's body is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// With Content-Length, all at once.
    #[default]
    Length,
    /// Chunked.
    Chunked,
    /// With `Expect: 100-continue`; the body follows the 100.
    Expect,
}

/// The server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Names as sent.
    pub headers: Vec<(String, String)>,
    /// Without its framing.
    pub body: Vec<u8>,
}

/// What can go wrong on a connection.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No connection came about.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where to.
        address: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
    /// The other side closed it where an answer, or the rest of one, was due.
    #[error("the connection was closed instead of an answer")]
    Closed,
    /// It was cut on purpose.
    #[error("the line was cut")]
    Cut,
    /// What came is no HTTP, or too much of it.
    #[error("no usable HTTP answer: {0}")]
    Malformed(&'static str),
}

impl HttpResponse {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// All headers of this name.
    pub fn headers_named<'r>(&'r self, name: &'r str) -> impl Iterator<Item = &'r str> {
        let headers = self.headers.iter();
        headers
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl Connection {
    /// Connects to `host:port`, from `local` if given. `host` is for the Host header.
    pub async fn open(
        address: &str,
        host: &str,
        local: Option<IpAddr>,
    ) -> Result<Connection, HttpError> {
        let failed = |source| HttpError::Connect {
            address: address.to_owned(),
            source,
        };
        let stream = match local {
            None => TcpStream::connect(address).await.map_err(failed)?,
            Some(local) => connect_from(local, address).await.map_err(failed)?,
        };
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            host: host.to_owned(),
            received: Vec::new(),
            closing: false,
            cut: None,
            exchanges: 0,
            bytes_sent: 0,
            bytes_received: 0,
        })
    }

    /// Posts `body` as it is; an empty one is an empty POST.
    pub async fn post(
        &mut self,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<HttpResponse, HttpError> {
        self.request("POST", target, headers, body, Framing::Length)
            .await
    }

    /// Cuts it at a moment to come.
    pub(crate) fn cut_at(&mut self, cut: Option<Cut>) {
        self.cut = cut;
    }

    /// One request and its answer.
    pub async fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        framing: Framing,
    ) -> Result<HttpResponse, HttpError> {
        self.exchanges += 1;
        let mut out = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.host).into_bytes();
        for (name, value) in headers {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        match framing {
            Framing::Chunked if !body.is_empty() => {
                out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                for chunk in body.chunks(CHUNK_BYTES) {
                    out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    out.extend_from_slice(chunk);
                    out.extend_from_slice(b"\r\n");
                }
                out.extend_from_slice(b"0\r\n\r\n");
                self.send(&out).await?;
            }
            Framing::Expect if !body.is_empty() => {
                let length = format!(
                    "Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
                    body.len()
                );
                out.extend_from_slice(length.as_bytes());
                self.send(&out).await?;
                // A server that has never heard of it gets the body anyway (RFC 9110 §10.1.1).
                if let Ok(interim) = timeout(EXPECT_WAIT_MAX, self.head()).await {
                    let interim = interim?;
                    if interim.status != 100 {
                        return self.body_of(interim, method).await;
                    }
                }
                self.send(body).await?;
            }
            _ => {
                if method != "GET" {
                    out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
                }
                out.extend_from_slice(b"\r\n");
                out.extend_from_slice(body);
                self.send(&out).await?;
            }
        }
        if self.is_cut(Moment::BeforeAnswer) {
            return Err(self.broken());
        }
        loop {
            let head = self.head().await?;
            if head.status != 100 {
                if self.is_cut(Moment::Answer) {
                    return Err(self.broken());
                }
                return self.body_of(head, method).await;
            }
        }
    }

    /// Whether another request can go out on it: neither side has closed it, as far as can be
    /// seen without sending.
    pub fn is_open(&self) -> bool {
        let mut byte = [0; 1];
        // A readable idle connection is at its end: nobody has asked for anything.
        !self.closing && self.stream.try_read(&mut byte).is_err()
    }

    /// Bytes sent and received so far.
    pub fn bytes(&self) -> (u64, u64) {
        (self.bytes_sent, self.bytes_received)
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        if self.is_cut(Moment::Request) {
            let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
            self.stream.write_all(half).await?;
            return Err(self.broken());
        }
        self.bytes_sent += bytes.len() as u64;
        Ok(self.stream.write_all(bytes).await?)
    }

    fn is_cut(&self, moment: Moment) -> bool {
        self.cut
            .is_some_and(|cut| cut.moment == moment && self.exchanges > cut.after)
    }

    fn broken(&mut self) -> HttpError {
        self.closing = true;
        HttpError::Cut
    }

    async fn fill(&mut self) -> Result<(), HttpError> {
        let count = self.stream.read_buf(&mut self.received).await?;
        if count == 0 {
            self.closing = true;
            return Err(HttpError::Closed);
        }
        self.bytes_received += count as u64;
        Ok(())
    }

    async fn head(&mut self) -> Result<HttpResponse, HttpError> {
        loop {
            if let Some((response, length)) = response_head(&self.received)? {
                self.received.drain(..length);
                return Ok(response);
            }
            if self.received.len() > HEAD_BYTES_MAX {
                return Err(HttpError::Malformed("the head is too large"));
            }
            self.fill().await?;
        }
    }

    async fn body_of(
        &mut self,
        mut response: HttpResponse,
        method: &str,
    ) -> Result<HttpResponse, HttpError> {
        self.closing = response
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let chunked = response
            .header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        let length = response
            .header("content-length")
            .map(|value| value.trim().parse());
        response.body = match length {
            _ if matches!(response.status, 204 | 304) || method == "HEAD" => Vec::new(),
            _ if chunked => self.chunked_body().await?,
            Some(Ok(length)) => self.take(length).await?,
            Some(Err(_)) => return Err(HttpError::Malformed("Content-Length")),
            None => self.rest().await?,
        };
        Ok(response)
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>, HttpError> {
        if length > BODY_BYTES_MAX {
            return Err(HttpError::Malformed("the body is too large"));
        }
        while self.received.len() < length {
            self.fill().await?;
        }
        let rest = self.received.split_off(length);
        Ok(std::mem::replace(&mut self.received, rest))
    }

    async fn rest(&mut self) -> Result<Vec<u8>, HttpError> {
        self.closing = true;
        while self.received.len() <= BODY_BYTES_MAX {
            match self.fill().await {
                Ok(()) => {}
                Err(HttpError::Closed) => return Ok(std::mem::take(&mut self.received)),
                Err(error) => return Err(error),
            }
        }
        Err(HttpError::Malformed("the body is too large"))
    }

    async fn chunked_body(&mut self) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = usize::from_str_radix(digits, 16)
                .map_err(|_| HttpError::Malformed("a chunk's length"))?;
            if body.len() + length > BODY_BYTES_MAX {
                return Err(HttpError::Malformed("the body is too large"));
            }
            if length == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            body.extend_from_slice(&self.take(length).await?);
            self.line().await?;
        }
    }

    async fn line(&mut self) -> Result<String, HttpError> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.received) {
                let line = self.take(at + 1).await?;
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.received.len() > HEAD_BYTES_MAX {
                return Err(HttpError::Malformed("a line is too long"));
            }
            self.fill().await?;
        }
    }
}

async fn connect_from(local: IpAddr, address: &str) -> std::io::Result<TcpStream> {
    let remote = tokio::net::lookup_host(address)
        .await?
        .find(|remote| remote.is_ipv4() == local.is_ipv4())
        .ok_or(std::io::ErrorKind::AddrNotAvailable)?;
    let socket = match local {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind(SocketAddr::new(local, 0))?;
    socket.connect(remote).await
}

/// The head of an answer and its length, once it is whole.
fn response_head(bytes: &[u8]) -> Result<Option<(HttpResponse, usize)>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let parsed = head
        .parse(bytes)
        .map_err(|_| HttpError::Malformed("the head"))?;
    let httparse::Status::Complete(length) = parsed else {
        return Ok(None);
    };
    let response = HttpResponse {
        status: head.code.unwrap_or(0),
        headers: header_list(head.headers),
        body: Vec::new(),
    };
    Ok(Some((response, length)))
}

/// Headers as text.
pub(crate) fn header_list(headers: &[httparse::Header<'_>]) -> Vec<(String, String)> {
    let pairs = headers.iter();
    pairs
        .map(|header| {
            let value = String::from_utf8_lossy(header.value).trim().to_owned();
            (header.name.to_owned(), value)
        })
        .collect()
}

/// Reads from `stream` up to the end of a head; `None`: it was closed before.
pub(crate) async fn read_head(
    stream: &mut TcpStream,
    bytes: &mut Vec<u8>,
) -> std::io::Result<Option<usize>> {
    loop {
        if let Some(at) = memchr::memmem::find(bytes, b"\r\n\r\n") {
            return Ok(Some(at + 4));
        }
        if bytes.len() > HEAD_BYTES_MAX || stream.read_buf(bytes).await? == 0 {
            return Ok(None);
        }
    }
}
