//! The PROXY protocol, versions 1 and 2: before anything else on a connection, even before TLS, a
//! proxy says whom it speaks for.
//!
//! It is read from trusted proxies only. What they state beside the client's address (the address
//! that the client called, TLVs) is not used.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::config::ProxyProtocol;

/// How long a proxy may take to send its header.
pub(super) const HEADER_WAIT: Duration = Duration::from_secs(5);
/// The longest line of version 1, by its specification.
const LINE_BYTES_MAX: usize = 107;
/// What a header of version 2 may say after its first 16 bytes; TLVs of proxies that end TLS
/// come to some hundred.
const STATED_BYTES_MAX: usize = 4096;

const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family, length.
const V2_HEAD_BYTES: usize = 16;

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
enum First {
    /// A header of so many bytes; of no client if the proxy speaks for itself.
    Header(Option<IpAddr>, usize),
    /// Perhaps the beginning of one.
    Begun,
    /// None.
    Other,
}

/// A connection whose header has been read, if it had one.
#[derive(Debug)]
pub(super) struct Opened<S> {
    /// Whom the proxy speaks for.
    pub(super) stated: Option<IpAddr>,
    /// What came after the header is not lost.
    pub(super) stream: Replayed<S>,
}

impl<S> Opened<S> {
    fn new(stated: Option<IpAddr>, before: Bytes, stream: S) -> Opened<S> {
        let stream = Replayed { before, stream };
        Opened { stated, stream }
    }
}

/// Reads the header of a connection, for so long. `None`: one is required, and nothing came at
/// all, which is how others look whether somebody is there, and no case for alarm.
///
/// # Errors
/// What is to be told of the client.
pub(super) async fn read<S: AsyncRead + Unpin>(
    setting: ProxyProtocol,
    is_trusted: bool,
    wait: Duration,
    mut stream: S,
) -> Result<Option<Opened<S>>, String> {
    let is_required = setting == ProxyProtocol::Required;
    if setting == ProxyProtocol::Off || (!is_trusted && !is_required) {
        return Ok(Some(Opened::new(None, Bytes::new(), stream)));
    }
    if !is_trusted {
        return Err(
            "expected a connection of a trusted proxy (cwmp.proxy_protocol is \"required\")".into(),
        );
    }
    let mut came = BytesMut::with_capacity(256);
    let reading = async {
        loop {
            match first(&came)? {
                First::Begun if came.len() < V2_HEAD_BYTES + STATED_BYTES_MAX => {}
                other => return Ok::<First, String>(other),
            }
            if stream.read_buf(&mut came).await.unwrap_or(0) == 0 {
                return Ok(First::Other);
            }
        }
    };
    let read = match tokio::time::timeout(wait, reading).await {
        Ok(read) => read?,
        Err(_) => First::Begun,
    };
    match read {
        First::Header(client, length) => {
            came.advance(length);
            Ok(Some(Opened::new(client, came.freeze(), stream)))
        }
        _ if !is_required => Ok(Some(Opened::new(None, came.freeze(), stream))),
        _ if came.is_empty() => Ok(None),
        First::Begun => {
            let seconds = wait.as_secs();
            Err(format!(
                "expected a PROXY protocol header within {seconds} s"
            ))
        }
        First::Other => Err("expected a PROXY protocol header, got something else".into()),
    }
}

fn first(bytes: &[u8]) -> Result<First, String> {
    if bytes.starts_with(V1) {
        return version_1(bytes);
    }
    if bytes.starts_with(V2) {
        return version_2(bytes);
    }
    let is_begun = V1.starts_with(bytes) || V2.starts_with(bytes);
    Ok(if is_begun { First::Begun } else { First::Other })
}

/// `PROXY TCP4 192.0.2.1 198.51.100.1 1234 7547\r\n`
fn version_1(bytes: &[u8]) -> Result<First, String> {
    let bad = |why: &str| format!("expected a PROXY line (version 1), got {why}");
    let line = bytes.get(..LINE_BYTES_MAX).unwrap_or(bytes);
    let Some(end) = line.windows(2).position(|two| two == b"\r\n") else {
        if bytes.len() >= LINE_BYTES_MAX {
            return Err(bad("one without end"));
        }
        return Ok(First::Begun);
    };
    let line = line.get(V1.len()..end).unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| bad("one that is no text"))?;
    let length = end + 2;
    let mut words = line.split(' ');
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        return Ok(First::Header(None, length));
    }
    let words: Vec<&str> = words.collect();
    let [client, called, client_port, called_port] = words.as_slice() else {
        return Err(bad("other than two addresses and two ports"));
    };
    let parse = |text: &str| match family {
        "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
        "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        _ => None,
    };
    let is_port = |port: &str| {
        let has_only_digits = port.bytes().all(|byte| byte.is_ascii_digit());
        has_only_digits && port.parse::<u16>().is_ok()
    };
    match (parse(client), parse(called)) {
        (Some(client), Some(_)) if is_port(client_port) && is_port(called_port) => {
            Ok(First::Header(Some(client.to_canonical()), length))
        }
        _ => Err(bad("an address or a port that is none")),
    }
}

/// The signature; version and command; family and transport; length; addresses; TLVs.
fn version_2(bytes: &[u8]) -> Result<First, String> {
    let bad = |why: String| format!("expected a PROXY header (version 2), got {why}");
    let Some([command, family, high, low]) = bytes.get(V2.len()..V2_HEAD_BYTES) else {
        return Ok(First::Begun);
    };
    let stated = usize::from(u16::from_be_bytes([*high, *low]));
    if stated > STATED_BYTES_MAX {
        return Err(bad(format!(
            "one of {stated} bytes, more than {STATED_BYTES_MAX}"
        )));
    }
    let length = V2_HEAD_BYTES + stated;
    let Some(stated) = bytes.get(V2_HEAD_BYTES..length) else {
        return Ok(First::Begun);
    };
    match command {
        // LOCAL: the proxy itself, asking whether somebody is there.
        0x20 => return Ok(First::Header(None, length)),
        0x21 => {}
        other => return Err(bad(format!("version and command {other:#04x}"))),
    }
    let short = || bad("too few bytes for its addresses".into());
    let client: IpAddr = match family {
        // TCP over IPv4: two addresses, two ports.
        0x11 => match stated.get(..12).ok_or_else(short)? {
            [a, b, c, d, ..] => IpAddr::from([*a, *b, *c, *d]),
            _ => return Err(short()),
        },
        // TCP over IPv6.
        0x21 => {
            let client = stated.get(..36).and_then(<[u8]>::first_chunk::<16>);
            IpAddr::from(*client.ok_or_else(short)?)
        }
        // Not told, or no TCP: as if the proxy spoke for itself.
        _ => return Ok(First::Header(None, length)),
    };
    Ok(First::Header(Some(client.to_canonical()), length))
}

/// A stream of which something has been read that still has to be.
#[derive(Debug)]
pub(super) struct Replayed<S> {
    before: Bytes,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Replayed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.before.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = self.before.len().min(buffer.remaining());
        buffer.put_slice(&self.before.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Replayed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
