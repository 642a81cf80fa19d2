//! The connections of one connection request: to the device, or to the proxy.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use super::answer::Answer;
use super::{Call, HttpError, ProxyError, proxy};

/// A longer head of an answer is refused.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// All that is read of one connection: interim answers (1xx) have no other limit.
const READ_BYTES_MAX: usize = 64 << 10;

/// The connection at hand, and how to make another.
pub(super) struct Links<'c> {
    call: &'c Call<'c>,
    deadline: Instant,
    kept: Option<Link>,
}

impl<'c> Links<'c> {
    pub(super) fn new(call: &'c Call<'c>, deadline: Instant) -> Links<'c> {
        Links {
            call,
            deadline,
            kept: None,
        }
    }

    /// One GET, with these values of Authorization and Proxy-Authorization.
    pub(super) async fn get(
        &mut self,
        authorization: Option<&str>,
        proxy_authorization: Option<&str>,
    ) -> Result<Answer, HttpError> {
        let mut answered = None;
        if let Some(mut link) = self.kept.take() {
            let request = self.request(authorization, proxy_authorization)?;
            match link.send(request).await {
                // It hung up after its challenge although it had not said so.
                Err(HttpError::Broken(_)) => {}
                answer => answered = Some((link, answer?)),
            }
        }
        let (link, answer) = match answered {
            Some(answered) => answered,
            None => {
                let mut link = Link::open(self.call, self.deadline).await?;
                let request = self.request(authorization, proxy_authorization)?;
                let answer = link.send(request).await?;
                (link, answer)
            }
        };
        if answer.was_cut {
            self.call.counters.connection_request_answers_cut.add(1);
        }
        self.kept = answer.is_reusable.then_some(link);
        Ok(answer)
    }

    fn request(
        &self,
        authorization: Option<&str>,
        proxy_authorization: Option<&str>,
    ) -> Result<Request<Empty<Bytes>>, HttpError> {
        let target = self.call.target;
        let request = match self.call.proxy {
            None => Request::get(&target.path).header(header::HOST, &target.authority),
            // The whole URL, and Host as in it (RFC 9112 §3.2.2).
            Some(_) => Request::get(proxy::absolute(target))
                .header(header::HOST, target.address.to_string())
                // What older proxies know in the place of Cache-Control.
                .header(header::PRAGMA, "no-cache"),
        };
        let agent = concat!("patchbay/", env!("CARGO_PKG_VERSION"));
        let mut request = request
            .header(header::USER_AGENT, agent)
            .header(header::CACHE_CONTROL, "no-cache")
            .header(header::ACCEPT, "*/*");
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        if let Some(value) = proxy_authorization {
            request = request.header(header::PROXY_AUTHORIZATION, value);
        }
        request
            .body(Empty::new())
            .map_err(|error| HttpError::Broken(error.to_string()))
    }
}

/// One connection.
struct Link {
    sender: http1::SendRequest<Empty<Bytes>>,
    driver: tokio::task::JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Link {
    async fn open(call: &Call<'_>, deadline: Instant) -> Result<Link, HttpError> {
        let stream = connect(call, deadline).await?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) = http1::Builder::new()
            .title_case_headers(true)
            .http09_responses(true)
            .ignore_invalid_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(Bounded {
                stream,
                left: READ_BYTES_MAX,
            }))
            .await
            .map_err(failed)?;
        let driver = tokio::spawn(async move {
            // How the connection ends is told to the sender.
            let _ = connection.await;
        });
        Ok(Link { sender, driver })
    }

    async fn send(&mut self, request: Request<Empty<Bytes>>) -> Result<Answer, HttpError> {
        self.sender.ready().await.map_err(failed)?;
        let response = self.sender.send_request(request).await.map_err(failed)?;
        let (head, body) = response.into_parts();
        Answer::read(head, body).await
    }
}

/// Connects to the device, or to the proxy.
async fn connect(call: &Call<'_>, deadline: Instant) -> Result<TcpStream, HttpError> {
    let late = || format!("no answer within {} s", call.time.as_secs());
    let connecting = async {
        match call.proxy {
            None => dial(call, call.target.address).await,
            Some(proxy) => {
                let address = &proxy.address;
                let found = tokio::net::lookup_host((address.host.as_str(), address.port)).await?;
                let mut last = io::Error::other("its name has no address");
                for address in found {
                    match dial(call, address).await {
                        Ok(stream) => return Ok(stream),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    };
    let text = match tokio::time::timeout_at(deadline, connecting).await {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(error)) => error.to_string(),
        Err(_) => late(),
    };
    Err(match call.proxy {
        None => HttpError::Connect {
            address: call.target.address.to_string(),
            text,
        },
        Some(proxy) => ProxyError::Unreachable {
            address: proxy.address.to_string(),
            text,
        }
        .into(),
    })
}

/// From the address that the operator has published, if there is one of this family.
async fn dial(call: &Call<'_>, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = match to {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    let from = call.from.iter().find(|from| from.is_ipv4() == to.is_ipv4());
    if let Some(from) = from {
        socket.bind(SocketAddr::new(*from, 0))?;
    }
    socket.connect(to).await
}

/// Why a round failed, by what the other side did.
fn failed(error: hyper::Error) -> HttpError {
    if error.is_parse_too_large() {
        return HttpError::TooLong(HEAD_BYTES_MAX);
    }
    if error.is_parse() {
        return HttpError::Nonsense(error.to_string());
    }
    if error.is_canceled() {
        return HttpError::Broken("it hung up, or spoke, before it was asked".into());
    }
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        let io = inner.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::QuotaExceeded) {
            return HttpError::TooLong(READ_BYTES_MAX);
        }
        source = inner.source();
    }
    HttpError::Broken(error.to_string())
}

/// A connection of which so much is read, and no more.
struct Bounded {
    stream: TcpStream,
    left: usize,
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = buffer.filled().len() - before;
        self.left = self.left.saturating_sub(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
