//! HTTP for the load generator: one buffer out, one buffer in, nothing kept that is not needed.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{LoadConfig, LoadReport};

/// Largest answer.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(super) struct Wire {
    address: SocketAddr,
    wait: Duration,
    stream: Option<TcpStream>,
    /// Up to and with the name of the last header, Content-Length.
    head: Vec<u8>,
    /// As it came, from behind `Set-Cookie:` to the first semicolon.
    cookie: Vec<u8>,
    out: Vec<u8>,
    received: Vec<u8>,
    body_at: usize,
    connections: u64,
    bytes_sent: u64,
    bytes_received: u64,
}

/// What the head of an answer says.
struct Head {
    status: u16,
    body_at: usize,
    length: usize,
    closes: bool,
}

impl Wire {
    pub(super) fn new(config: &LoadConfig) -> Wire {
        let mut head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\n",
            config.target, config.host
        );
        for line in &config.headers {
            head.push_str(line);
            head.push_str("\r\n");
        }
        Wire {
            address: config.address,
            wait: config.message_timeout,
            stream: None,
            head: head.into_bytes(),
            cookie: Vec::new(),
            out: Vec::with_capacity(8 * 1024),
            received: Vec::with_capacity(8 * 1024),
            body_at: 0,
            connections: 0,
            bytes_sent: 0,
            bytes_received: 0,
        }
    }

    /// Another device: no cookies of the last one.
    pub(super) fn begin_session(&mut self) {
        self.cookie.clear();
    }

    pub(super) fn close(&mut self) {
        self.stream = None;
    }

    /// Posts and reads the answer; its status, or a word for what went wrong.
    pub(super) async fn post(&mut self, body: &[u8]) -> Result<u16, &'static str> {
        let wait = self.wait;
        timeout(wait, self.exchange(body))
            .await
            .unwrap_or(Err("timeout"))
    }

    /// The body of the last answer.
    pub(super) fn body(&self) -> &[u8] {
        self.received.get(self.body_at..).unwrap_or_default()
    }

    pub(super) fn count(&self, report: &mut LoadReport) {
        report.connections = self.connections;
        report.bytes_sent = self.bytes_sent;
        report.bytes_received = self.bytes_received;
    }

    async fn exchange(&mut self, body: &[u8]) -> Result<u16, &'static str> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                self.connections += 1;
                let stream = TcpStream::connect(self.address)
                    .await
                    .map_err(|_| "connect")?;
                stream.set_nodelay(true).map_err(|_| "connect")?;
                stream
            }
        };
        self.fill_out(body);
        stream.write_all(&self.out).await.map_err(|_| "closed")?;
        self.bytes_sent += self.out.len() as u64;
        self.received.clear();
        let head = loop {
            self.read(&mut stream).await?;
            if let Some(head) = self.read_head()? {
                break head;
            }
        };
        let whole = head.body_at + head.length;
        while self.received.len() < whole {
            self.read(&mut stream).await?;
        }
        self.body_at = head.body_at;
        if !head.closes {
            self.stream = Some(stream);
        }
        Ok(head.status)
    }

    fn fill_out(&mut self, body: &[u8]) {
        self.out.clear();
        self.out.extend_from_slice(&self.head);
        if !self.cookie.is_empty() {
            self.out.extend_from_slice(b"Cookie: ");
            self.out.extend_from_slice(&self.cookie);
            self.out.extend_from_slice(b"\r\n");
        }
        if !body.is_empty() {
            self.out.extend_from_slice(
                b"Content-Type: text/xml; charset=\"utf-8\"\r\nSOAPAction: \"\"\r\n",
            );
        }
        self.out
            .extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        self.out.extend_from_slice(body);
    }

    async fn read(&mut self, stream: &mut TcpStream) -> Result<(), &'static str> {
        if self.received.len() > ANSWER_BYTES_MAX {
            return Err("huge");
        }
        let count = stream
            .read_buf(&mut self.received)
            .await
            .map_err(|_| "closed")?;
        self.bytes_received += count as u64;
        if count == 0 { Err("closed") } else { Ok(()) }
    }

    fn read_head(&mut self) -> Result<Option<Head>, &'static str> {
        let Some(end) = memchr::memmem::find(&self.received, b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = self.received.get(..end).unwrap_or_default();
        let mut lines = head.split(|byte| *byte == b'\n');
        let status = lines.next().and_then(status_of).ok_or("http")?;
        let mut length = if status == 204 { Some(0) } else { None };
        let mut closes = false;
        for line in lines {
            if let Some(value) = header(line, b"content-length:") {
                length = std::str::from_utf8(value)
                    .ok()
                    .and_then(|value| value.trim().parse().ok());
            } else if let Some(value) = header(line, b"set-cookie:") {
                let pair = value.split(|byte| *byte == b';').next().unwrap_or_default();
                self.cookie.clear();
                self.cookie.extend_from_slice(pair.trim_ascii());
            } else if let Some(value) = header(line, b"connection:") {
                closes = value.trim_ascii().eq_ignore_ascii_case(b"close");
            }
        }
        // An ACS that sends chunks (which ours must not) is not what is measured here.
        let length = length.ok_or("http")?;
        Ok(Some(Head {
            status,
            body_at: end + 4,
            length,
            closes,
        }))
    }
}

fn status_of(line: &[u8]) -> Option<u16> {
    std::str::from_utf8(line.get(9..12)?).ok()?.parse().ok()
}

fn header<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value)
}
