//! Takes connection requests (TR-069 §3.2.2): one listener for a whole fleet, whose path picks
//! the device, or one listener per device.

mod answer;
mod target;

pub use target::{RequestTarget, TargetState};

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::http::{header_list, read_head};
use crate::seed::Seed;
use answer::{After, Nonces, answer};

/// Connections at once; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 1024;
/// For one request on a connection.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);
const HEADERS_MAX: usize = 32;

/// A listener for connection requests. It stops when it is dropped.
#[derive(Debug)]
pub struct RequestListener {
    address: SocketAddr,
    targets: Arc<Targets>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Targets {
    by_path: RwLock<HashMap<String, Arc<RequestTarget>>>,
    nonces: Nonces,
}

impl RequestListener {
    /// Listens on this address, with port 0 on any free one.
    pub async fn bind(address: SocketAddr, seed: u64) -> std::io::Result<RequestListener> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let targets = Arc::new(Targets {
            by_path: RwLock::default(),
            nonces: Nonces::new(Seed::new(seed).of(address.port().into())),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&targets)));
        Ok(RequestListener {
            address,
            targets,
            task,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes requests for this path (`/cr/0001`) from now on.
    pub fn add(&self, path: &str, target: Arc<RequestTarget>) {
        self.targets.by_path.write().insert(path.to_owned(), target);
    }
}

impl Drop for RequestListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, targets: Arc<Targets>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let targets = Arc::clone(&targets);
                tokio::spawn(async move {
                    let _permit = permit;
                    serve(stream, &targets).await;
                });
            }
            // Out of file descriptors, most likely: others have to go first.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Requests on one connection, until either side has had enough.
async fn serve(mut stream: TcpStream, targets: &Targets) {
    let mut bytes = Vec::new();
    loop {
        let Ok(Ok(Some(length))) =
            timeout(REQUEST_TIME_MAX, read_head(&mut stream, &mut bytes)).await
        else {
            return;
        };
        let head: Vec<u8> = bytes.drain(..length).collect();
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        if request.parse(&head).is_err() {
            return;
        }
        let method = request.method.unwrap_or_default();
        let uri = request.path.unwrap_or_default();
        let target = targets.by_path.read().get(path_of(uri)).cloned();
        let headers = header_list(request.headers);
        match answer(
            &mut stream,
            method,
            uri,
            &headers,
            target.as_deref(),
            &targets.nonces,
        )
        .await
        {
            Ok(After::KeepOpen) => {}
            Ok(After::Close) | Err(_) => return,
            Ok(After::Silence) => {
                sleep(REQUEST_TIME_MAX).await;
                return;
            }
        }
    }
}

/// The path of a request target, absolute-form (a proxy's) or not, without its query.
fn path_of(uri: &str) -> &str {
    let path = match uri.strip_prefix("http://") {
        Some(rest) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => uri,
    };
    path.split('?').next().unwrap_or_default()
}
