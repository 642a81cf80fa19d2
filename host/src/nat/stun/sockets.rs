//! The sockets: bound one for each address family, read in batches, and answered from the address
//! that was asked, also where one socket has all addresses of the host.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, SockAddr, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::answer::{Datagram, Doors, Reply};
use super::limit::Limit;
use super::{Stun, Way};

/// The kernel joins datagrams of one sender up to this size.
const BUFFER_BYTES: usize = 64 << 10;
/// Buffers that are filled with one system call.
const BATCH: usize = 8;
/// What the kernel may keep while the server is busy elsewhere.
const KERNEL_BUFFER_BYTES: usize = 4 << 20;
/// After a socket refused to be read.
const PAUSE: Duration = Duration::from_millis(100);

/// The sockets of one listening address: one, or the four that two addresses with two ports make.
#[derive(Debug)]
pub struct Group {
    /// First IP address with first and second port, second IP address with both.
    sockets: Vec<UdpSocket>,
}

impl Group {
    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        let none = || io::Error::other("no socket");
        self.sockets.first().ok_or_else(none)?.local_addr()
    }
}

/// Binds `listen`, and with it the three addresses that `second` makes possible.
pub fn bind(listen: SocketAddr, second: Option<SocketAddr>) -> io::Result<Group> {
    let first = open_one(listen)?;
    let mut sockets = vec![first];
    if let Some(second) = second {
        // A port that the system chose is the same with the second address.
        let port = sockets.first().map(UdpSocket::local_addr).transpose()?;
        let port = port.map_or(listen.port(), |address| address.port());
        let other = open_one(SocketAddr::new(listen.ip(), second.port()))?;
        let second_port = other.local_addr()?.port();
        sockets.push(other);
        sockets.push(open_one(SocketAddr::new(second.ip(), port))?);
        sockets.push(open_one(SocketAddr::new(second.ip(), second_port))?);
    }
    Ok(Group { sockets })
}

fn open_one(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // As much of it as the kernel allows.
    let _ = socket.set_recv_buffer_size(KERNEL_BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    UdpSocket::from_std(socket.into())
}

/// A socket in use.
pub(super) struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    pub(super) address: SocketAddr,
    others: Option<[(usize, SocketAddr); 3]>,
}

/// Makes sockets ready for use, group after group.
pub(super) fn open(groups: Vec<Group>) -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for group in groups {
        let first = sockets.len();
        let addresses = group
            .sockets
            .iter()
            .map(UdpSocket::local_addr)
            .collect::<io::Result<Vec<_>>>()?;
        for (number, io) in group.sockets.into_iter().enumerate() {
            // Bit 0 of a number in its group is the port, bit 1 the IP address.
            let other = |change: usize| {
                let other = number ^ change;
                addresses
                    .get(other)
                    .map(|address| (first + other, *address))
            };
            let others = other(1).zip(other(2)).zip(other(3));
            sockets.push(Socket {
                state: UdpSocketState::new((&io).into())?,
                address: io.local_addr()?,
                others: others.map(|((port, address), both)| [port, address, both]),
                io,
            });
        }
    }
    Ok(sockets)
}

impl Socket {
    /// Sends a datagram, from `source` if the socket has several addresses.
    pub(super) async fn send(
        &self,
        to: SocketAddr,
        source: Option<IpAddr>,
        bytes: &[u8],
    ) -> io::Result<()> {
        let send = || self.try_send(to, source, bytes);
        self.io.async_io(Interest::WRITABLE, send).await
    }

    fn try_send(&self, to: SocketAddr, source: Option<IpAddr>, bytes: &[u8]) -> io::Result<()> {
        let transmit = Transmit {
            destination: to,
            ecn: None,
            contents: bytes,
            segment_size: None,
            src_ip: source,
        };
        self.state.try_send((&self.io).into(), &transmit)
    }
}

/// Reads socket `at` for ever and answers what comes.
pub(super) async fn receive(stun: &Stun, sockets: &[Socket], at: usize) {
    let Some(socket) = sockets.get(at) else {
        return;
    };
    let mut limit = Limit::new(stun.settings.requests_per_second_max);
    let mut memory = vec![0; BATCH * BUFFER_BYTES];
    let mut metas = [RecvMeta::default(); BATCH];
    loop {
        let mut buffers: Vec<IoSliceMut<'_>> = memory
            .chunks_mut(BUFFER_BYTES)
            .map(IoSliceMut::new)
            .collect();
        let received = socket
            .io
            .async_io(Interest::READABLE, || {
                socket
                    .state
                    .recv((&socket.io).into(), &mut buffers, &mut metas)
            })
            .await;
        let count = match received {
            Ok(count) => count,
            Err(error) => {
                tracing::warn!(%error, address = %socket.address, "cannot read the STUN socket");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        for (buffer, meta) in memory.chunks(BUFFER_BYTES).zip(&metas).take(count) {
            let bytes = buffer.get(..meta.len).unwrap_or_default();
            if bytes.is_empty() {
                stun.counters.garbage.add(1);
            }
            for bytes in bytes.chunks(meta.stride.max(1)) {
                let datagram = socket.datagram(at, bytes, meta);
                if let Some(reply) = stun.answer(&datagram, &mut limit) {
                    send(sockets, &reply);
                }
            }
        }
    }
}

impl Socket {
    fn datagram<'a>(&self, at: usize, bytes: &'a [u8], meta: &RecvMeta) -> Datagram<'a> {
        let wildcard = self.address.ip().is_unspecified();
        let source = meta.dst_ip.filter(|_| wildcard);
        let ip = source.unwrap_or(self.address.ip());
        Datagram {
            bytes,
            from: meta.addr,
            way: Way { socket: at, source },
            doors: Doors {
                asked: SocketAddr::new(ip, self.address.port()),
                others: self.others,
            },
        }
    }
}

/// An answer that cannot be sent at once is lost, as on the network; the device asks again.
fn send(sockets: &[Socket], reply: &Reply) {
    let Some(socket) = sockets.get(reply.way.socket) else {
        return;
    };
    if let Err(error) = socket.try_send(reply.to, reply.way.source, &reply.bytes) {
        tracing::trace!(%error, to = %reply.to, "a STUN answer was not sent");
    }
}
