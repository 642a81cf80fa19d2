//! One socket: binding requests out, answers and connection requests in.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use cwmp::connection_request::{SignedUdpRequest, UdpRefusal};
use cwmp::stun::{Binding, Flavour, Kind, Message, Request, TransactionId};
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::{Instant, sleep, timeout_at};

use super::{Settings, Shared, count};
use crate::listener::TargetState;
use crate::{Oddity, Seed};

/// After a request nobody answered, and before one more try of a server that cannot be reached.
const RETRY: Duration = Duration::from_millis(500);
/// Tries of one request.
const TRIES: u32 = 3;
const DATAGRAM_BYTES_MAX: usize = 2048;

/// Keeps a binding until it is aborted.
pub(super) async fn run(shared: Arc<Shared>, settings: Settings) {
    let mut client = loop {
        match Client::open(&shared, &settings).await {
            Ok(client) => break client,
            Err(error) => tracing::debug!(%error, host = settings.host, "no STUN server"),
        }
        sleep(RETRY.max(settings.keepalive)).await;
    };
    loop {
        let next = Instant::now() + client.keepalive;
        let bound = client.bind().await;
        if let Some(mapped) = bound {
            client.learn(mapped).await;
        }
        client.listen_until(next).await;
        if bound.is_some() {
            client.probe().await;
        }
    }
}

struct Client<'a> {
    shared: &'a Shared,
    settings: &'a Settings,
    socket: UdpSocket,
    /// Another port, to learn from how long the binding of the first lasts.
    second: UdpSocket,
    server: SocketAddr,
    /// The address as it is before any NAT.
    local: SocketAddr,
    mapped: Option<SocketAddr>,
    /// Between two binding requests: within the bounds, and no longer than the NAT remembers.
    keepalive: Duration,
    /// The answer to this one is to come to the first port.
    probe: Option<TransactionId>,
    random: Seed,
}

impl<'a> Client<'a> {
    async fn open(shared: &'a Shared, settings: &'a Settings) -> io::Result<Client<'a>> {
        let host = settings.host.trim_matches(['[', ']']);
        let mut found = lookup_host((host, settings.port)).await?;
        let server = found.next().ok_or(io::ErrorKind::NotFound)?;
        let any = match (shared.options.local_address, server) {
            (Some(address), _) => address,
            (None, SocketAddr::V4(_)) => Ipv4Addr::UNSPECIFIED.into(),
            (None, SocketAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).await?;
        // A connected socket knows by which address the server is reached.
        let route = UdpSocket::bind((any, 0)).await?;
        route.connect(server).await?;
        let local = SocketAddr::new(route.local_addr()?.ip(), socket.local_addr()?.port());
        Ok(Client {
            shared,
            settings,
            second: UdpSocket::bind((any, 0)).await?,
            socket,
            server,
            local,
            mapped: None,
            keepalive: settings.keepalive,
            probe: None,
            random: Seed::new(shared.seed ^ u64::from(local.port())),
        })
    }

    /// One binding request, with credentials once the server has asked for them; the address it
    /// was answered with.
    async fn bind(&mut self) -> Option<SocketAddr> {
        let mut changed = false;
        let mut mapped = None;
        // The second round tells of a change that the first has found.
        for _ in 0..2 {
            let found = self.ask(changed).await?;
            count(&self.shared.counts.bindings);
            changed = mapped.or(self.mapped) != Some(found);
            mapped = Some(found);
            if !changed {
                break;
            }
        }
        mapped
    }

    async fn ask(&mut self, changed: bool) -> Option<SocketAddr> {
        let mut signed = false;
        for _ in 0..TRIES {
            let id = self.id();
            let bytes = self.request(id, changed, signed);
            self.socket.send_to(&bytes, self.server).await.ok()?;
            let Some(answer) = self.answer(id).await else {
                continue;
            };
            match answer {
                Ok(mapped) => return Some(mapped),
                Err(401) if !signed && !self.settings.username.is_empty() => signed = true,
                Err(code) => {
                    tracing::debug!(code, signed, "the STUN server refused a binding");
                    count(&self.shared.counts.refused_bindings);
                    return None;
                }
            }
        }
        None
    }

    fn request(&self, id: TransactionId, changed: bool, signed: bool) -> Vec<u8> {
        let has = |oddity| self.shared.oddities.has(oddity);
        let binding = if has(Oddity::StunShortBinding) {
            Binding::Short
        } else {
            Binding::Standard
        };
        let mut username = self.settings.username.clone().into_bytes();
        if has(Oddity::StunBlankUsername) {
            username.resize(username.len().next_multiple_of(4), b' ');
        }
        let flavour = if has(Oddity::StunUnpaddedIntegrity) {
            Flavour::Unpadded
        } else {
            Flavour::Padded
        };
        let request = Request {
            binding: Some(binding),
            binding_change: changed,
            username: signed.then(|| username.into()),
            ..Request::new(id)
        };
        let key = self.settings.password.as_bytes();
        request.to_bytes(signed.then_some((key, flavour)))
    }

    /// Waits for the answer; what else comes meanwhile is taken too.
    async fn answer(&mut self, id: TransactionId) -> Option<Result<SocketAddr, u16>> {
        let end = Instant::now() + RETRY;
        let mut bytes = [0; DATAGRAM_BYTES_MAX];
        loop {
            let received = timeout_at(end, self.socket.recv_from(&mut bytes)).await;
            let (length, from) = received.ok()?.ok()?;
            let datagram = bytes.get(..length).unwrap_or_default();
            match Message::parse(datagram) {
                Ok(message) if message.id == id && from == self.server => match message.kind {
                    Kind::Response => return message.mapped_address.map(Ok),
                    Kind::Error => return message.error_code.map(Err),
                    _ => {}
                },
                _ => self.take(datagram),
            }
        }
    }

    /// Tells the device of its address.
    async fn learn(&mut self, mapped: SocketAddr) {
        if self.mapped.replace(mapped) != Some(mapped)
            && let Some(slot) = self.shared.slot.upgrade()
        {
            let now = self.shared.options.clock.now();
            slot.mapped(mapped, mapped != self.local, now).await;
        }
    }

    /// Asks from the other port whether the binding, silent for so long, is still there; where it is not, the next
    /// silence is half as long (Annex G, binding timeout discovery).
    async fn probe(&mut self) {
        if self.shared.oddities.has(Oddity::StunNoResponseAddress) {
            return;
        }
        let id = self.id();
        self.probe = Some(id);
        let request = Request {
            response_address: self.mapped,
            ..Request::new(id)
        };
        let bytes = request.to_bytes(None);
        let _ = self.second.send_to(&bytes, self.server).await;
        let end = Instant::now() + RETRY;
        while self.probe.is_some() && Instant::now() < end {
            self.listen_once(end).await;
        }
        if self.probe.take().is_some() {
            self.keepalive = (self.keepalive / 2).max(self.settings.keepalive_min);
            tracing::debug!(keepalive = ?self.keepalive, "the NAT forgets sooner");
        }
    }

    async fn listen_until(&mut self, end: Instant) {
        while Instant::now() < end {
            self.listen_once(end).await;
        }
    }

    /// Takes one datagram, or waits to the end.
    async fn listen_once(&mut self, end: Instant) {
        let mut bytes = [0; DATAGRAM_BYTES_MAX];
        match timeout_at(end, self.socket.recv_from(&mut bytes)).await {
            Ok(Ok((length, _))) => self.take(bytes.get(..length).unwrap_or_default()),
            // A port nobody listens on any more, most likely: the next keepalive tells.
            Ok(Err(_)) => sleep(RETRY.min(self.settings.keepalive)).await,
            Err(_) => {}
        }
    }

    /// A datagram that is no answer to the binding request under way.
    fn take(&mut self, datagram: &[u8]) {
        if let Ok(message) = Message::parse(datagram) {
            if self.probe == Some(message.id) && message.reflected_from.is_some() {
                self.probe = None;
                count(&self.shared.counts.probes);
            }
            return;
        }
        let Ok(signed) = SignedUdpRequest::parse(datagram) else {
            return;
        };
        let Shared { target, counts, .. } = self.shared;
        if target.state() == TargetState::Down {
            return;
        }
        let mut last = self.shared.last.lock();
        let (username, password) = target.login();
        match signed.check(&username, &password, *last) {
            Ok(()) => {
                *last = Some((signed.request.timestamp, signed.request.id));
                count(&counts.accepted);
                target.accept();
            }
            Err(UdpRefusal::Old) => count(&counts.copies),
            Err(UdpRefusal::Username | UdpRefusal::Signature) => count(&counts.refused),
        }
    }

    fn id(&mut self) -> TransactionId {
        let mut id = [0; 16];
        let halves = [self.random.draw(), self.random.draw()];
        for (place, byte) in id
            .iter_mut()
            .zip(halves.iter().flat_map(|half| half.to_be_bytes()))
        {
            *place = byte;
        }
        TransactionId(id)
    }
}
