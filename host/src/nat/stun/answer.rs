//! One datagram in, at most one out, never many times as long.

use std::net::{IpAddr, SocketAddr};

use cwmp::stun::{Answer, Flavour, Kind, Message};

use super::limit::Limit;
use super::{Stun, Way, rfc8489};

/// What came in.
pub(super) struct Datagram<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) from: SocketAddr,
    pub(super) way: Way,
    pub(super) doors: Doors,
}

/// The addresses of ours that a request has to do with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doors {
    /// The one that was asked.
    pub(super) asked: SocketAddr,
    /// Number and address of the socket with the same IP address and the other port, with the
    /// other IP address, and with both others; `None`: there is only one.
    pub(super) others: Option<[(usize, SocketAddr); 3]>,
}

/// What goes out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) bytes: Vec<u8>,
    pub(super) to: SocketAddr,
    pub(super) way: Way,
}

/// Who the request is from.
enum Sender {
    Anybody,
    /// A device, by its user name, and how its answer is signed.
    Device(String, [u8; super::credentials::PASSWORD_BYTES], Flavour),
}

impl Stun {
    /// Answers a datagram. `limit` is the caller's own: it counts what comes to one socket.
    pub(super) fn answer(&self, datagram: &Datagram<'_>, limit: &mut Limit) -> Option<Reply> {
        let counters = &self.counters;
        let from = SocketAddr::new(datagram.from.ip().to_canonical(), datagram.from.port());
        let Ok(message) = Message::parse(datagram.bytes) else {
            counters.garbage.add(1);
            return None;
        };
        if message.kind != Kind::Request || !is_host(from) {
            counters.garbage.add(1);
            return None;
        }
        let now = self.clock.unix();
        if !limit.admits(from.ip(), u32::try_from(now).unwrap_or_default()) {
            counters.limited.add(1);
            return None;
        }
        let reply = |bytes| {
            Some(Reply {
                bytes,
                to: datagram.from,
                way: datagram.way,
            })
        };
        let mut unknown = message.unknown.clone();
        let wants_change = message.change.address || message.change.port;
        if wants_change && datagram.doors.others.is_none() {
            // An answer from here would say of the NAT what is not so.
            unknown.push(CHANGE_REQUEST);
        }
        if !unknown.is_empty() {
            counters.unknown_attributes.add(1);
            let answer = Answer::error(message.id, 420, "Unknown Attribute");
            return reply(answer.unknown(&unknown).finish());
        }
        if message.id.has_cookie() && !message.is_classic && !message.has_integrity() {
            let Some(bytes) = rfc8489::answer(datagram.bytes, from) else {
                counters.garbage.add(1);
                return None;
            };
            counters.answered.add(1);
            return reply(bytes);
        }
        let sender = match self.authenticate(&message) {
            Ok(sender) => sender,
            Err((code, reason)) => {
                match code {
                    431 => counters.integrity_failed.add(1),
                    _ => counters.unauthorized.add(1),
                }
                return reply(Answer::error(message.id, code, reason).finish());
            }
        };
        // A device asks so to learn how long its binding lasts, and asks for itself: an answer to
        // anybody else would be an attack, and one to the sender would tell it of a dead binding
        // that it is alive.
        let to = match message.response_address {
            Some(to) if to.ip() == from.ip() && to.port() != 0 => {
                SocketAddr::new(datagram.from.ip(), to.port())
            }
            Some(_) => {
                counters.reflections_refused.add(1);
                return None;
            }
            None => datagram.from,
        };
        if message.connection_request_binding
            && message.response_address.is_none()
            && let Sender::Device(username, ..) = &sender
            && !self.keep_binding(username, from, datagram.way, now)
        {
            counters.integrity_failed.add(1);
            return reply(Answer::error(message.id, 401, "Unauthorized").finish());
        }
        counters.answered.add(1);
        let (way, source) = datagram.leaving(&message);
        let mut answer = Answer::success(message.id, from)
            .source(source)
            .changed(datagram.changed());
        if message.response_address.is_some() {
            answer = answer.reflected_from(from);
        }
        if message.id.has_cookie() {
            answer = answer.xor_mapped(from);
        }
        let bytes = match sender {
            Sender::Device(_, password, flavour) => {
                answer.finish_with_integrity(&password, flavour)
            }
            Sender::Anybody => answer.finish(),
        };
        Some(Reply { bytes, to, way })
    }

    /// A request that tells where a device is has to prove which device that is. Any other may
    /// come from anybody, but what it proves has to be right.
    fn authenticate(&self, message: &Message<'_>) -> Result<Sender, (u16, &'static str)> {
        if !message.has_integrity() {
            return if message.connection_request_binding {
                Err((401, "Unauthorized"))
            } else {
                Ok(Sender::Anybody)
            };
        }
        let username = message.username.ok_or((432, "Missing Username"))?;
        let password = self.issuer.password(username);
        let flavour = message.verify(&password);
        let flavour = flavour.ok_or((431, "Integrity Check Failure"))?;
        let username = String::from_utf8_lossy(username).into_owned();
        Ok(Sender::Device(username, password, flavour))
    }

    /// False: there is no such device any more.
    fn keep_binding(&self, username: &str, from: SocketAddr, way: Way, now: i64) -> bool {
        let Some(id) = self.issuer.id(username) else {
            return false;
        };
        let kept = self.bindings.put(&id, from, way, now, &self.is_known);
        if kept.is_some() {
            self.counters.bindings.add(1);
        }
        if kept == Some(true) {
            tracing::debug!(device = %id, address = %from, "a STUN binding");
        }
        kept.is_some()
    }
}

/// CHANGE-REQUEST, where it is not known.
const CHANGE_REQUEST: u16 = 0x0003;

impl Datagram<'_> {
    /// From where the answer leaves, as CHANGE-REQUEST wants it.
    fn leaving(&self, message: &Message<'_>) -> (Way, SocketAddr) {
        let here = (self.way, self.doors.asked);
        let Some([port, address, both]) = self.doors.others else {
            return here;
        };
        let (socket, source) = match (message.change.address, message.change.port) {
            (false, false) => return here,
            (false, true) => port,
            (true, false) => address,
            (true, true) => both,
        };
        let way = Way {
            socket,
            source: None,
        };
        (way, source)
    }

    fn changed(&self) -> SocketAddr {
        match self.doors.others {
            Some([_, _, (_, both)]) => both,
            None => self.doors.asked,
        }
    }
}

/// Whether a single host can be at that address: nothing is sent to where nobody, or many, are.
fn is_host(address: SocketAddr) -> bool {
    let ip = address.ip();
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}
