//! Datagrams of all kinds, from anywhere.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use cpe_sim::Seed;
use cwmp::stun::{Binding, Flavour, Message, Request, TransactionId};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::child::Child;
use crate::harness::PATIENCE;

const SETTINGS: &str = "[xmpp]\nmode = \"off\"\n[stun]\nlisten = [\"127.0.0.1:0\"]\nrequests_per_second_max = 1000000\n";
/// An answer is at most so many times as long as what it answers.
const AMPLIFICATION_MAX: usize = 5;
/// What all the datagrams of a test may cost the host's memory for good.
const GROWTH_KIB_MAX: u64 = 2 << 10;
/// Datagrams under way: no more than the kernel keeps.
const WINDOW: usize = 64;

async fn start() -> (Child, SocketAddr) {
    let mut child = Child::start(SETTINGS).await;
    let address = child.listener("STUN address=").await.unwrap();
    (child, address)
}

struct Source {
    socket: UdpSocket,
    random: Seed,
}

impl Source {
    async fn at(address: Ipv4Addr, server: SocketAddr, seed: u64) -> Source {
        let socket = UdpSocket::bind((address, 0)).await.unwrap();
        socket.connect(server).await.unwrap();
        let random = Seed::new(seed);
        Source { socket, random }
    }

    fn id(&mut self) -> TransactionId {
        let halves = [self.random.draw(), self.random.draw()].map(u64::to_be_bytes);
        TransactionId(halves.concat().try_into().unwrap())
    }

    /// Sends these and a plain request behind them; what is answered before that one is.
    async fn answers(&mut self, datagrams: &[Vec<u8>]) -> Vec<Vec<u8>> {
        for datagram in datagrams {
            self.socket.send(datagram).await.unwrap();
        }
        let last = self.id();
        let request = Request::new(last).to_bytes(None);
        self.socket.send(&request).await.unwrap();
        let mut answers = Vec::new();
        loop {
            let mut bytes = [0; 2000];
            let received = timeout(PATIENCE, self.socket.recv(&mut bytes)).await;
            let answer = bytes[..received.expect("no answer").unwrap()].to_vec();
            if Message::parse(&answer).is_ok_and(|answer| answer.id == last) {
                return answers;
            }
            answers.push(answer);
        }
    }

    /// A request of a device, signed with a password that nobody has.
    fn forged(&mut self) -> Vec<u8> {
        let username = format!("00AABB-Box-{:x}", self.random.draw());
        let request = Request {
            binding: Some(Binding::Standard),
            binding_change: self.random.below(2) == 1,
            username: Some(username.into_bytes().into()),
            ..Request::new(self.id())
        };
        request.to_bytes(Some((b"guessed", Flavour::Padded)))
    }

    /// A request with something wrong in it: bytes changed, cut off, put behind; attributes that say to be longer
    /// than the datagram, or shorter than they are; or nothing but chance.
    fn garbled(&mut self) -> Vec<u8> {
        let mut bytes = self.forged();
        let mut draw = |below: usize| self.random.below(below as u64) as usize;
        match draw(6) {
            0 => bytes.truncate(draw(bytes.len())),
            1 => bytes.extend((0..draw(1200)).map(|_| draw(256) as u8)),
            2 => {
                for _ in 0..=draw(8) {
                    let at = draw(bytes.len());
                    bytes[at] ^= 1 << draw(8);
                }
            }
            // The length of the first attribute, or of all of them.
            3 => bytes[22..24].copy_from_slice(&(draw(1 << 16) as u16).to_be_bytes()),
            4 => bytes[2..4].copy_from_slice(&(draw(1 << 16) as u16).to_be_bytes()),
            _ => bytes = (0..draw(1472)).map(|_| draw(256) as u8).collect(),
        }
        bytes
    }
}

/// A stranger cannot make the host send much, to himself or in the name of others.
#[tokio::test]
async fn no_answer_is_many_times_as_long_as_its_request() {
    let (child, address) = start().await;
    let mut source = Source::at(Ipv4Addr::LOCALHOST, address, 1).await;
    let attribute = |kind: u16, value: &[u8]| {
        let length = (value.len() as u16).to_be_bytes();
        [kind.to_be_bytes().as_slice(), &length, value].concat()
    };
    let with = |id: TransactionId, attributes: &[u8]| {
        let mut bytes = Request::new(id).to_bytes(None);
        bytes.extend(attributes);
        bytes[2..4].copy_from_slice(&(attributes.len() as u16).to_be_bytes());
        bytes
    };
    let unknown: Vec<u8> = (0x7000..0x7020)
        .flat_map(|kind| attribute(kind, b""))
        .collect();
    let cookie = |mut bytes: Vec<u8>| {
        bytes[4..8].copy_from_slice(&0x2112_A442_u32.to_be_bytes());
        bytes
    };
    let plain = Request::new(source.id()).to_bytes(None);
    let mut requests = vec![
        plain.clone(),
        cookie(plain),
        with(source.id(), &attribute(0x7000, b"")),
        with(source.id(), &unknown),
        // CHANGE-REQUEST for both, where there is no second address.
        with(source.id(), &attribute(3, &[0, 0, 0, 6])),
        Request {
            binding: Some(Binding::Short),
            ..Request::new(source.id())
        }
        .to_bytes(None),
        Request {
            response_address: Some(source.socket.local_addr().unwrap()),
            ..Request::new(source.id())
        }
        .to_bytes(None),
    ];
    requests.push(source.forged());
    for request in requests {
        let answers = source.answers(std::slice::from_ref(&request)).await;
        let [answer] = answers.as_slice() else {
            panic!("{answers:?} to {request:?}")
        };
        assert!(
            answer.len() <= AMPLIFICATION_MAX * request.len(),
            "{} bytes for {}",
            answer.len(),
            request.len()
        );
    }
    child.assert_flat(child.memory(), 0);
}

#[tokio::test]
async fn garbled_datagrams() {
    const ROUNDS: usize = 400;
    let (child, address) = start().await;
    let mut source = Source::at(Ipv4Addr::LOCALHOST, address, 2).await;
    let (mut sent, mut before) = (0, 0);
    for round in 0..ROUNDS {
        if round == ROUNDS / 4 {
            before = child.memory();
        }
        let garbled: Vec<Vec<u8>> = (0..WINDOW).map(|_| source.garbled()).collect();
        let longest = garbled.iter().map(Vec::len).max().unwrap();
        for answer in source.answers(&garbled).await {
            assert!(answer.len() <= AMPLIFICATION_MAX * longest);
            let answer = Message::parse(&answer).unwrap();
            assert!(answer.mapped_address.is_none() || answer.error_code.is_none());
        }
        sent += garbled.len() as u64;
    }
    child.assert_flat(before, GROWTH_KIB_MAX);
    // Each of them is counted as what it was.
    let status = child.get("/v1/status").await;
    let counters = status["stun"]["counters"].as_object().unwrap();
    let all: u64 = counters.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(all, sent + ROUNDS as u64, "{counters:?}");
    assert_eq!(counters["bindings"], 0);
    assert!(
        counters["garbage"].as_u64().unwrap() > sent / 4,
        "{counters:?}"
    );
}

/// Sources and user names without end: nothing of them is kept.
#[tokio::test]
async fn a_flood_from_many_addresses() {
    const SOURCES: u32 = 6_000;
    let (child, address) = start().await;
    let mut before = 0;
    for number in 0..SOURCES {
        if number == SOURCES / 4 {
            before = child.memory();
        }
        let ip = Ipv4Addr::from_bits(0x7F01_0000 + number);
        let mut source = Source::at(ip, address, number.into()).await;
        let forged = [source.forged(), source.forged()];
        let answers = source.answers(&forged).await;
        assert_eq!(answers.len(), 2);
        let code = Message::parse(&answers[0]).unwrap().error_code;
        assert_eq!(code, Some(431));
    }
    child.assert_flat(before, GROWTH_KIB_MAX);
    let refused = child.counted("stun", "integrity_failed", 0).await;
    assert_eq!(refused, u64::from(SOURCES) * 2);
    assert_eq!(IpAddr::from(Ipv4Addr::LOCALHOST), address.ip());
}
