//! A connection that stays open for one request after the other, as devices and proxies keep it.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Answer, PATIENCE};

/// A connection that is kept: each answer is read by its length.
pub struct Kept<S = TcpStream>(pub S);

impl Kept {
    /// Connects.
    pub async fn open(to: SocketAddr) -> Kept {
        Kept(TcpStream::connect(to).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Kept<S> {
    /// Status, session cookie and body.
    pub async fn post(
        &mut self,
        cookie: Option<&str>,
        body: &str,
    ) -> (u16, Option<String>, String) {
        let headers = cookie.map(|c| format!("Cookie: {c}\r\n"));
        self.post_with(&headers.unwrap_or_default(), body).await
    }

    /// [`Kept::post`] with these header lines.
    pub async fn post_with(&mut self, headers: &str, body: &str) -> (u16, Option<String>, String) {
        let head = format!("POST / HTTP/1.1\r\nHost: acs\r\n{headers}");
        let answer = self.request(&head, body.as_bytes()).await;
        let cookie = cookie(&answer);
        (answer.status, cookie, answer.text())
    }

    /// A request whose head is written out but for its Content-Length.
    pub async fn request(&mut self, head: &str, body: &[u8]) -> Answer {
        let mut bytes = format!("{head}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(body);
        self.send(&bytes).await;
        self.answer().await
    }

    /// Bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// The next answer.
    pub async fn answer(&mut self) -> Answer {
        tokio::time::timeout(PATIENCE, self.read())
            .await
            .expect("no answer")
    }

    async fn read(&mut self) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.expect("the connection was closed"));
        }
        let head = String::from_utf8(head).unwrap();
        let mut answer = Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head,
            body: Vec::new(),
        };
        let chunked = header(&answer, "transfer-encoding");
        assert!(chunked.is_none(), "answers have a length: {answer:?}");
        let length = header(&answer, "content-length").map_or(0, |length| length.parse().unwrap());
        answer.body.resize(length, 0);
        self.0.read_exact(&mut answer.body).await.unwrap();
        answer
    }
}

/// The first header of this name.
pub fn header(answer: &Answer, name: &str) -> Option<String> {
    answer.head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
}

/// The session cookie, without its attributes.
pub fn cookie(answer: &Answer) -> Option<String> {
    header(answer, "set-cookie").map(|value| value.split(';').next().unwrap().to_owned())
}
