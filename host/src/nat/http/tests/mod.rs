//! What devices and proxies answer to a connection request, and what is made of it.

mod devices;
mod hostile;
mod proxies;

use std::sync::{Arc, Mutex};

use cwmp::authentication::{Algorithm, Authorization, DigestChallenge};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What a server does after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Keep,
    Close,
}

/// A server on loopback, written by hand.
struct Server {
    target: Target,
    /// The heads of the requests, one list for each connection.
    heads: Arc<Mutex<Vec<Vec<String>>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    /// Answers each request by its head.
    async fn answering(answer: impl Fn(&str) -> (Vec<u8>, Then) + Send + Sync + 'static) -> Server {
        let answer = Arc::new(answer);
        Server::start(move |mut stream, heads| {
            let answer = Arc::clone(&answer);
            Box::pin(async move {
                let place = {
                    let mut heads = heads.lock().unwrap();
                    heads.push(Vec::new());
                    heads.len() - 1
                };
                let mut bytes = Vec::new();
                while matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
                    let head = String::from_utf8(bytes.clone()).unwrap();
                    if !head.ends_with("\r\n\r\n") {
                        continue;
                    }
                    bytes.clear();
                    heads.lock().unwrap()[place].push(head.clone());
                    let (bytes, then) = answer(&head);
                    if stream.write_all(&bytes).await.is_err() || then == Then::Close {
                        break;
                    }
                }
            })
        })
        .await
    }

    /// Does as it likes with each connection.
    async fn start<F>(serve: F) -> Server
    where
        F: Fn(
                TcpStream,
                Arc<Mutex<Vec<Vec<String>>>>,
            ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>>
            + Send
            + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::default();
        let seen = Arc::clone(&heads);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&seen)));
            }
        });
        Server {
            target: Target {
                address,
                authority: address.to_string(),
                path: "/cr?id=1".into(),
            },
            heads,
            serving,
        }
    }

    /// The heads of the requests, connection by connection.
    fn heads(&self) -> Vec<Vec<String>> {
        self.heads.lock().unwrap().clone()
    }

    fn requests(&self) -> usize {
        self.heads().concat().len()
    }
}

fn own() -> Vec<Credentials> {
    vec![Credentials {
        username: "acs".into(),
        password: "secret".into(),
    }]
}

/// Calls a device with its credentials.
async fn call(device: &Server) -> Result<(), HttpError> {
    call_with(device, &own(), None, Duration::from_secs(5)).await
}

async fn call_with(
    device: &Server,
    credentials: &[Credentials],
    proxy: Option<&HttpProxy>,
    time: Duration,
) -> Result<(), HttpError> {
    request(&Call {
        target: &device.target,
        credentials,
        leniency: Leniency::default(),
        proxy,
        from: &[],
        time,
        counters: &Counters::default(),
    })
    .await
}

/// A header of a request.
fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Whether a request shows the right password for its path.
fn is_authorized(head: &str) -> bool {
    match header(head, "authorization").map(Authorization::parse) {
        Some(Ok(Authorization::Digest(answer))) => {
            assert_eq!(answer.uri, "/cr?id=1");
            answer.verify("GET", "secret")
        }
        _ => false,
    }
}

fn ok() -> (Vec<u8>, Then) {
    (
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
        Then::Keep,
    )
}

fn status(line: &str, headers: &str) -> (Vec<u8>, Then) {
    let text = format!("HTTP/1.1 {line}\r\n{headers}Content-Length: 0\r\n\r\n");
    (text.into_bytes(), Then::Keep)
}

/// A challenge as it should be.
fn challenge() -> (Vec<u8>, Then) {
    let digest = DigestChallenge::new("cpe", "n1", Algorithm::Md5).to_header();
    status(
        "401 Unauthorized",
        &format!("WWW-Authenticate: {digest}\r\n"),
    )
}
