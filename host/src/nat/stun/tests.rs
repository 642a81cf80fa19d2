use cwmp::stun::{
    Answer, Binding as Value, Change, Flavour, Kind, Message, Request, TransactionId,
};
use proptest::prelude::*;
use stun_rs::attributes::stun::{Fingerprint, XorMappedAddress};
use stun_rs::{DecoderContextBuilder, MessageClass, MessageDecoderBuilder, StunMessageBuilder};

use super::answer::{Datagram, Doors, Reply};
use super::limit::Limit;
use super::*;

const CLASSIC: TransactionId = TransactionId(*b"0123456789abcdef");
const PEER: &str = "203.0.113.9:40000";
const KNOWN: &str = "00AABB-Box-1";
/// An answer is never longer than so many times what was asked.
const AMPLIFICATION_MAX: usize = 5;

struct Server {
    stun: Stun,
    limit: Limit,
    others: Option<[(usize, SocketAddr); 3]>,
}

fn server() -> Server {
    let is_known = Box::new(|id: &str| id == KNOWN);
    let settings = config::Stun::default();
    let limit = Limit::new(settings.requests_per_second_max);
    Server {
        stun: Stun::new(settings, &[7; SECRET_BYTES], Clock, is_known),
        limit,
        others: None,
    }
}

impl Server {
    fn ask_from(&mut self, from: &str, bytes: &[u8]) -> Option<Reply> {
        let way = Way {
            socket: 0,
            source: None,
        };
        let doors = Doors {
            asked: address("192.0.2.1:3478"),
            others: self.others,
        };
        let datagram = Datagram {
            bytes,
            from: address(from),
            way,
            doors,
        };
        self.stun.answer(&datagram, &mut self.limit)
    }

    fn ask(&mut self, bytes: &[u8]) -> Option<Reply> {
        self.ask_from(PEER, bytes)
    }

    /// The error code of the answer.
    fn refused(&mut self, bytes: &[u8]) -> u16 {
        let reply = self.ask(bytes).expect("no answer");
        let answer = Message::parse(&reply.bytes).unwrap();
        assert_eq!((answer.kind, answer.id), (Kind::Error, CLASSIC));
        answer.error_code.unwrap()
    }

    fn password(&self, username: &str) -> [u8; 32] {
        self.stun.issuer.password(username.as_bytes())
    }

    fn bound(&self) -> Option<SocketAddr> {
        let key = DeviceKey {
            instance: "default".into(),
            id: KNOWN.into(),
        };
        self.stun.binding(&key).map(|binding| binding.address)
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn plain() -> Request<'static> {
    Request::new(CLASSIC)
}

fn binding(username: &str) -> Request<'_> {
    Request {
        binding: Some(Value::Standard),
        username: Some(username.as_bytes().into()),
        ..plain()
    }
}

#[test]
fn anybody_is_told_how_he_looks_from_outside() {
    let mut server = server();
    for (from, mapped) in [
        (PEER, PEER),
        ("[::ffff:203.0.113.9]:40000", PEER),
        ("[2001:db8::7]:9", "[2001:db8::7]:9"),
    ] {
        let reply = server.ask_from(from, &plain().to_bytes(None)).unwrap();
        assert_eq!(reply.to, address(from));
        let answer = Message::parse(&reply.bytes).unwrap();
        assert_eq!((answer.kind, answer.id), (Kind::Response, CLASSIC));
        assert_eq!(answer.mapped_address, Some(address(mapped)));
        assert_eq!(answer.source_address, Some(address("192.0.2.1:3478")));
        assert_eq!(answer.changed_address, Some(address("192.0.2.1:3478")));
        assert_eq!(answer.xor_mapped_address, None);
    }
    assert_eq!(server.stun.counters.answered.get(), 3);
}

#[test]
fn a_device_proves_who_it_is_before_its_binding_is_kept() {
    let mut server = server();
    let password = server.password(KNOWN);
    assert_eq!(server.refused(&binding(KNOWN).to_bytes(None)), 401);
    let nameless = Request {
        binding: Some(Value::Standard),
        ..plain()
    };
    let key = Some((password.as_slice(), Flavour::Padded));
    assert_eq!(server.refused(&nameless.to_bytes(None)), 401);
    assert_eq!(server.refused(&nameless.to_bytes(key)), 432);
    let wrong = Some((b"wrong".as_slice(), Flavour::Padded));
    assert_eq!(server.refused(&binding(KNOWN).to_bytes(wrong)), 431);
    // Right by the secret, but nobody has that name any more.
    let gone = server.password("00AABB-Box-2");
    let gone = binding("00AABB-Box-2").to_bytes(Some((&gone, Flavour::Padded)));
    assert_eq!(server.refused(&gone), 401);
    assert_eq!(server.bound(), None);

    for flavour in [Flavour::Padded, Flavour::Unpadded] {
        let request = binding(KNOWN).to_bytes(Some((&password, flavour)));
        let reply = server.ask(&request).unwrap();
        let answer = Message::parse(&reply.bytes).unwrap();
        assert_eq!(answer.verify(&password), Some(flavour));
        assert_eq!(answer.mapped_address, Some(address(PEER)));
    }
    assert_eq!(server.bound(), Some(address(PEER)));
    // One byte changed on the way.
    let mut changed = binding(KNOWN).to_bytes(key);
    changed[40] ^= 1;
    assert_eq!(server.refused(&changed), 431);
    let counters = &server.stun.counters;
    assert_eq!(
        (counters.bindings.get(), counters.unauthorized.get()),
        (2, 3)
    );
    assert_eq!(counters.integrity_failed.get(), 3);
}

#[test]
fn a_binding_lasts_as_long_as_it_is_kept_alive() {
    let mut server = server();
    let password = server.password(KNOWN);
    let request = binding(KNOWN).to_bytes(Some((&password, Flavour::Padded)));
    server.ask(&request).unwrap();
    let key = DeviceKey {
        instance: "default".into(),
        id: KNOWN.into(),
    };
    let binding = server.stun.binding(&key).unwrap();
    assert_eq!(server.stun.binding_seconds_max(), 130);
    assert!(server.stun.is_alive(&binding, binding.seen + 130));
    assert!(!server.stun.is_alive(&binding, binding.seen + 131));
    server.stun.sweep(binding.seen + 86_401);
    assert_eq!(server.stun.binding(&key), None);
}

#[test]
fn an_answer_to_another_port_of_the_sender_and_to_nobody_else() {
    let mut server = server();
    let mut ask = |to: &str| {
        let request = Request {
            response_address: Some(address(to)),
            ..plain()
        };
        server.ask(&request.to_bytes(None))
    };
    let reply = ask("203.0.113.9:50000").unwrap();
    assert_eq!(reply.to, address("203.0.113.9:50000"));
    let answer = Message::parse(&reply.bytes).unwrap();
    assert_eq!(answer.reflected_from, Some(address(PEER)));
    for victim in ["203.0.113.10:53", "[2001:db8::1]:53", "203.0.113.9:0"] {
        assert_eq!(ask(victim), None);
    }
    assert_eq!(server.stun.counters.reflections_refused.get(), 3);

    // It asks how long the binding of the other port lasts: this port is none to be called on.
    let password = server.password(KNOWN);
    let request = Request {
        response_address: Some(address("203.0.113.9:50000")),
        ..binding(KNOWN)
    };
    server
        .ask(&request.to_bytes(Some((&password, Flavour::Padded))))
        .unwrap();
    assert_eq!(server.bound(), None);
}

#[test]
fn answers_from_elsewhere_where_there_is_an_elsewhere() {
    let mut server = server();
    let request = |address, port| {
        let change = Some(Change { address, port });
        Request { change, ..plain() }.to_bytes(None)
    };
    let reply = server.ask(&request(true, false)).unwrap();
    let answer = Message::parse(&reply.bytes).unwrap();
    assert_eq!(answer.error_code, Some(420));
    server.others = Some([
        (1, address("192.0.2.1:3479")),
        (2, address("192.0.2.2:3478")),
        (3, address("192.0.2.2:3479")),
    ]);
    for (change, socket, source) in [
        ((false, false), 0, "192.0.2.1:3478"),
        ((false, true), 1, "192.0.2.1:3479"),
        ((true, false), 2, "192.0.2.2:3478"),
        ((true, true), 3, "192.0.2.2:3479"),
    ] {
        let reply = server.ask(&request(change.0, change.1)).unwrap();
        let answer = Message::parse(&reply.bytes).unwrap();
        assert_eq!(reply.way.socket, socket);
        assert_eq!(answer.source_address, Some(address(source)));
        assert_eq!(answer.changed_address, Some(address("192.0.2.2:3479")));
    }
}

#[test]
fn unknown_mandatory_attributes_are_told_of() {
    let mut server = server();
    let mut request = plain().to_bytes(None);
    request.extend([0x7A, 0xBC, 0, 0, 0xFA, 0xBC, 0, 0]);
    request[3] = 8;
    assert_eq!(server.refused(&request), 420);
    let reply = server.ask(&request).unwrap();
    assert!(
        reply
            .bytes
            .ends_with(&[0, 0x0A, 0, 4, 0x7A, 0xBC, 0x7A, 0xBC])
    );
    assert_eq!(server.stun.counters.unknown_attributes.get(), 2);
}

/// By the crate that knows RFC 8489, on both sides.
#[test]
fn a_client_of_today() {
    let mut server = server();
    let request = |fingerprint| {
        let id = stun_rs::TransactionId::from([5; 12]);
        let message = StunMessageBuilder::new(stun_rs::methods::BINDING, MessageClass::Request)
            .with_transaction_id(id);
        let message = if fingerprint {
            message.with_attribute(Fingerprint::default())
        } else {
            message
        };
        let mut bytes = vec![0; 100];
        let encoder = stun_rs::MessageEncoderBuilder::default().build();
        let length = encoder.encode(&mut bytes, &message.build()).unwrap();
        bytes.truncate(length);
        bytes
    };
    for (fingerprint, from) in [(true, PEER), (false, PEER), (true, "[2001:db8::7]:9")] {
        let reply = server.ask_from(from, &request(fingerprint)).unwrap();
        let context = DecoderContextBuilder::default().with_validation().build();
        let decoder = MessageDecoderBuilder::default()
            .with_context(context)
            .build();
        let (answer, length) = decoder.decode(&reply.bytes).unwrap();
        assert_eq!(length, reply.bytes.len());
        assert_eq!(answer.class(), MessageClass::SuccessResponse);
        assert_eq!(answer.transaction_id().as_bytes(), &[5; 12]);
        assert_eq!(answer.get::<Fingerprint>().is_some(), fingerprint);
        let mapped = answer.get::<XorMappedAddress>().unwrap();
        let mapped = mapped.as_xor_mapped_address().unwrap();
        assert_eq!(mapped.socket_address(), &address(from));
    }
    let mut damaged = request(true);
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(server.ask(&damaged), None);

    // A device of Annex G may send the cookie too; it reads MAPPED-ADDRESS all the same.
    let password = server.password(KNOWN);
    let mut id = CLASSIC.0;
    id[..4].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
    let request = Request {
        id: TransactionId(id),
        ..binding(KNOWN)
    };
    let reply = server.ask(&request.to_bytes(Some((&password, Flavour::Unpadded))));
    let reply = reply.unwrap();
    let answer = Message::parse(&reply.bytes).unwrap();
    assert_eq!(answer.mapped_address, Some(address(PEER)));
    assert_eq!(answer.xor_mapped_address, Some(address(PEER)));
    assert_eq!(answer.verify(&password), Some(Flavour::Unpadded));
}

#[test]
fn what_is_no_request_is_not_answered() {
    let mut server = server();
    let good = plain().to_bytes(None);
    let answer = Answer::success(CLASSIC, address(PEER)).finish();
    let truncated = binding(KNOWN).to_bytes(None);
    let mut shared_secret = good.clone();
    shared_secret[1] = 2;
    for bytes in [
        b"".as_slice(),
        b"GET / HTTP/1.1\r\n\r\n",
        &good[..19],
        &truncated[..30],
        &answer,
        &shared_secret,
        &[0; 2000],
    ] {
        assert_eq!(server.ask(bytes), None, "{bytes:?}");
    }
    for nobody in [
        "203.0.113.9:0",
        "0.0.0.0:9",
        "224.0.0.1:9",
        "255.255.255.255:9",
        "[ff02::1]:9",
    ] {
        assert_eq!(server.ask_from(nobody, &good), None, "{nobody}");
    }
    assert_eq!(server.stun.counters.garbage.get(), 12);
    assert_eq!(server.stun.counters.answered.get(), 0);
}

#[test]
fn a_flood_leaves_nothing_behind() {
    let mut server = server();
    server.limit = Limit::new(100);
    let request = plain().to_bytes(None);
    let answered = |server: &mut Server, from: &str| {
        let asked = 0..1_000;
        asked
            .filter(|_| server.ask_from(from, &request).is_some())
            .count()
    };
    // A second may end meanwhile.
    let one = answered(&mut server, PEER);
    assert!((100..=300).contains(&one), "{one}");
    assert!(answered(&mut server, "203.0.113.77:1") >= 100);
    let limited = server.stun.counters.limited.get();
    assert!(limited >= 1_400, "{limited}");
    // Names, ports and addresses without end are no reason to remember anything.
    for number in 0..20_000_u32 {
        let username = format!("device-{number}");
        let password = server.password(&username);
        let request = binding(&username).to_bytes(Some((&password, Flavour::Padded)));
        let from = SocketAddr::from((number.to_be_bytes().map(|byte| byte | 1), 9));
        server.ask_from(&from.to_string(), &request);
    }
    assert_eq!(server.bound(), None);
    assert_eq!(server.stun.bindings.len(), 0);
}

proptest! {
    #[test]
    fn no_bytes_panic_and_none_are_multiplied(
        mut bytes in prop::collection::vec(any::<u8>(), 20..120),
        attributes in prop::collection::vec((0_u16..0x30, 0_usize..24), 0..6),
        cookie in any::<bool>(),
        from_v6 in any::<bool>(),
    ) {
        let body: Vec<u8> = attributes
            .iter()
            .flat_map(|(number, length)| {
                let head = [0, *number as u8, 0, *length as u8];
                head.into_iter().chain(vec![1; length.next_multiple_of(4)])
            })
            .collect();
        bytes.truncate(20);
        bytes[..4].copy_from_slice(&[0, 1, 0, body.len() as u8]);
        if cookie {
            bytes[4..8].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
        }
        bytes.extend(body);
        let from = if from_v6 { "[2001:db8::7]:9" } else { PEER };
        if let Some(reply) = server().ask_from(from, &bytes) {
            prop_assert!(reply.bytes.len() <= AMPLIFICATION_MAX * bytes.len());
            prop_assert_eq!(reply.to.ip(), address(from).ip());
        }
    }
}
