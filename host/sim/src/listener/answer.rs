//! The answer to one connection request.

use std::sync::atomic::{AtomicU64, Ordering};

use cwmp::authentication::{Algorithm, Authorization, DigestChallenge};
use tokio::io::{AsyncWriteExt, Result};
use tokio::net::TcpStream;

use super::{RequestTarget, TargetState};
use crate::Oddity;
use crate::seed::Seed;

const REALM: &str = "cpe-sim";
/// What [`Oddity::RequestHugeAnswer`] answers.
const HUGE_BYTES: usize = 4 * 1024 * 1024;

/// What becomes of the connection.
pub(super) enum After {
    KeepOpen,
    Close,
    /// Nothing is sent, the connection stays.
    Silence,
}

/// The nonces of one listener: known again without a table, on whatever connection.
#[derive(Debug)]
pub(super) struct Nonces {
    secret: Seed,
    next: AtomicU64,
}

impl Nonces {
    pub(super) fn new(secret: Seed) -> Nonces {
        Nonces {
            secret,
            next: AtomicU64::new(1),
        }
    }

    fn issue(&self) -> String {
        self.numbered(self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn is_ours(&self, nonce: &str) -> bool {
        let number = nonce
            .get(..16)
            .and_then(|digits| u64::from_str_radix(digits, 16).ok());
        number.is_some_and(|number| self.numbered(number) == nonce)
    }

    fn numbered(&self, number: u64) -> String {
        format!("{number:016x}{}", self.secret.of(number).hex(16))
    }
}

pub(super) async fn answer(
    stream: &mut TcpStream,
    method: &str,
    uri: &str,
    headers: &[(String, String)],
    target: Option<&RequestTarget>,
    nonces: &Nonces,
) -> Result<After> {
    let Some(target) = target else {
        return send(stream, "404 Not Found", "", After::KeepOpen).await;
    };
    if target.state() == TargetState::Down {
        return Ok(After::Close);
    }
    if target.has(Oddity::RequestNeverAnswered) {
        return Ok(After::Silence);
    }
    if target.has(Oddity::RequestRedirected) {
        return send(
            stream,
            "302 Found",
            "Location: http://192.0.2.1/\r\n",
            After::KeepOpen,
        )
        .await;
    }
    if method != "GET" {
        return send(
            stream,
            "405 Method Not Allowed",
            "Allow: GET\r\n",
            After::KeepOpen,
        )
        .await;
    }
    let mut named = headers.iter();
    let authorization = named.find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    if !is_let_in(
        authorization.map(|(_, value)| value.as_str()),
        uri,
        target,
        nonces,
    ) {
        if authorization.is_some() {
            target.refuse();
        }
        if target.has(Oddity::Request200BeforeAuth) {
            return send(stream, "200 OK", "", After::KeepOpen).await;
        }
        return challenge(stream, target, nonces).await;
    }
    if target.state() == TargetState::InSession && !target.has(Oddity::RequestWaits) {
        target.refuse();
        return send(stream, "503 Service Unavailable", "", After::KeepOpen).await;
    }
    target.accept();
    if target.has(Oddity::RequestHugeAnswer) {
        return huge(stream).await;
    }
    send(stream, "200 OK", "", After::KeepOpen).await
}

fn is_let_in(
    authorization: Option<&str>,
    uri: &str,
    target: &RequestTarget,
    nonces: &Nonces,
) -> bool {
    let (username, password) = target.login();
    match authorization.map(Authorization::parse) {
        Some(Ok(Authorization::Basic {
            username: u,
            password: p,
        })) => target.has(Oddity::RequestBasic) && u == username && p == password,
        Some(Ok(Authorization::Digest(response))) => {
            !target.has(Oddity::RequestBasic)
                && response.username == username
                && nonces.is_ours(&response.nonce)
                // Through a proxy the request line may be absolute where the digest is not.
                && super::path_of(&response.uri) == super::path_of(uri)
                && response.verify("GET", &password)
        }
        _ => false,
    }
}

async fn challenge(
    stream: &mut TcpStream,
    target: &RequestTarget,
    nonces: &Nonces,
) -> Result<After> {
    let challenge = if target.has(Oddity::RequestBasic) {
        format!("Basic realm=\"{REALM}\"")
    } else {
        DigestChallenge::new(REALM, &nonces.issue(), Algorithm::Md5).to_header()
    };
    let header = format!("WWW-Authenticate: {challenge}\r\n");
    if target.has(Oddity::RequestClosedAfter401) {
        // Without a word in the head: the connection is just gone.
        return send(stream, "401 Unauthorized", &header, After::Close).await;
    }
    send(stream, "401 Unauthorized", &header, After::KeepOpen).await
}

async fn send(stream: &mut TcpStream, status: &str, headers: &str, after: After) -> Result<After> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    Ok(after)
}

async fn huge(stream: &mut TcpStream) -> Result<After> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {HUGE_BYTES}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&vec![b'x'; HUGE_BYTES]).await?;
    Ok(After::Close)
}
