use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

const ID: TransactionId = TransactionId(*b"0123456789abcdef");
const KEY: &[u8] = b"secret";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// All attributes, stepped through as devices do: by their lengths alone.
fn steps(bytes: &[u8]) -> Vec<(u16, usize)> {
    let mut found = Vec::new();
    let mut at = HEADER_BYTES;
    while at < bytes.len() {
        let number = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let length = usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
        found.push((number, length));
        at += 4 + length;
    }
    assert_eq!(at, bytes.len());
    found
}

#[test]
fn a_request_of_annex_g() {
    let request = Request {
        binding: Some(Binding::Standard),
        binding_change: true,
        username: Some(b"cpe1    ".into()),
        ..Request::new(ID)
    };
    for flavour in [Flavour::Padded, Flavour::Unpadded] {
        let bytes = request.to_bytes(Some((KEY, flavour)));
        let read = Message::parse(&bytes).unwrap();
        assert_eq!((read.kind, read.id), (Kind::Request, ID));
        assert!(read.connection_request_binding && read.binding_change && read.is_classic);
        assert_eq!(read.username, Some(b"cpe1".as_slice()));
        assert_eq!(read.verify(KEY), Some(flavour));
        assert_eq!(read.verify(b"another"), None);
    }
    let bytes = request.to_bytes(None);
    let read = Message::parse(&bytes).unwrap();
    assert!(!read.has_integrity());
    assert_eq!(read.verify(KEY), None);
}

/// HMAC-SHA1 with the key `secret`, by Python's `hmac`, of this very request.
#[test]
fn integrity_by_another_hand() {
    let request = Request {
        username: Some(b"cpe1".into()),
        ..Request::new(ID)
    };
    for (flavour, expected) in [
        (Flavour::Padded, PADDED_BY_PYTHON),
        (Flavour::Unpadded, UNPADDED_BY_PYTHON),
    ] {
        let bytes = request.to_bytes(Some((KEY, flavour)));
        let value: String = bytes[32..]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(value, expected, "{flavour:?}");
    }
}
const PADDED_BY_PYTHON: &str = "c38c2576327c4556a087be3957cee18aa460ddb4";
const UNPADDED_BY_PYTHON: &str = "3582a20de44f289ef527cf2bfed47b23714fbd26";

/// The example of RFC 5769 §2.1: a request with a cookie, SOFTWARE, PRIORITY and more.
#[test]
fn the_sample_of_rfc_5769() {
    #[rustfmt::skip]
    let bytes = [
        0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,
        0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73,
        0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff,
        0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09,
        0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76, 0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14,
        0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49,
        0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf,
    ];
    let read = Message::parse(&bytes).unwrap();
    assert!(read.id.has_cookie() && !read.is_classic);
    assert_eq!(read.username, Some(b"evtj:h6vY".as_slice()));
    // PRIORITY belongs to ICE: this server does not know it.
    assert_eq!(read.unknown, [0x0024]);
    assert_eq!(
        read.verify(b"VOkJxbRl1RmTxUk/WvJxBt"),
        Some(Flavour::Unpadded)
    );
}

#[test]
fn a_binding_of_19_bytes_without_any_padding() {
    let request = Request {
        binding: Some(Binding::Short),
        username: Some(b"abcde".into()),
        ..Request::new(ID)
    };
    let bytes = request.to_bytes(Some((KEY, Flavour::Padded)));
    assert_eq!(steps(&bytes), [(0xC001, 19), (6, 5), (8, 20)]);
    let read = Message::parse(&bytes).unwrap();
    assert!(read.connection_request_binding);
    assert_eq!(read.username, Some(b"abcde".as_slice()));
    assert_eq!(read.verify(KEY), Some(Flavour::Padded));
}

#[test]
fn texts_are_filled_up_in_many_ways() {
    for (value, bound) in [
        (b"dslforum.org/TR-111".as_slice(), true),
        (b"dslforum.org/TR-111\0", true),
        (b"dslforum.org/TR-111 \0\0\0\0", true),
        (b"dslforum.org/TR-112 ", false),
        (b"", false),
    ] {
        let mut bytes = vec![0, 1, 0, 0];
        bytes.extend(ID.0);
        bytes.extend([0xC0, 0x01, 0, value.len() as u8]);
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes[3] = (bytes.len() - HEADER_BYTES) as u8;
        let read = Message::parse(&bytes).unwrap();
        assert_eq!(read.connection_request_binding, bound, "{value:?}");
    }
    for name in [
        b"cpe1".as_slice(),
        b"cpe1\0\0\0\0",
        b"cpe1   \0",
        b"cpe1    ",
    ] {
        let request = Request {
            username: Some(name.into()),
            ..Request::new(ID)
        };
        let bytes = request.to_bytes(None);
        assert_eq!(
            Message::parse(&bytes).unwrap().username,
            Some(b"cpe1".as_slice())
        );
    }
}

#[test]
fn an_answer_can_be_stepped_through_without_padding() {
    let mapped = address("203.0.113.9:40000");
    let answer = || {
        Answer::success(ID, mapped)
            .source(address("192.0.2.1:3478"))
            .changed(address("192.0.2.2:3479"))
            .reflected_from(address("203.0.113.9:50000"))
            .xor_mapped(mapped)
    };
    let bytes = answer().finish_with_integrity(KEY, Flavour::Padded);
    assert_eq!(
        steps(&bytes),
        [(1, 8), (4, 8), (5, 8), (11, 8), (0x20, 8), (8, 20)]
    );
    let read = Message::parse(&bytes).unwrap();
    assert_eq!(read.kind, Kind::Response);
    assert_eq!(read.mapped_address, Some(mapped));
    assert_eq!(read.xor_mapped_address, Some(mapped));
    assert_eq!(read.source_address, Some(address("192.0.2.1:3478")));
    assert_eq!(read.changed_address, Some(address("192.0.2.2:3479")));
    assert_eq!(read.reflected_from, Some(address("203.0.113.9:50000")));
    assert_eq!(read.verify(KEY), Some(Flavour::Padded));

    let error = Answer::error(ID, 420, "Unknown Attribute")
        .unknown(&[0x24, 0x25, 0x26])
        .finish();
    assert_eq!(steps(&error), [(9, 24), (10, 8)]);
    assert_eq!(
        error[error.len() - 8..],
        [0, 0x24, 0, 0x25, 0, 0x26, 0, 0x24]
    );
    let read = Message::parse(&error).unwrap();
    assert_eq!((read.kind, read.error_code), (Kind::Error, Some(420)));
}

#[test]
fn addresses_of_both_families() {
    for text in ["[2001:db8::7]:3478", "198.51.100.3:1"] {
        let bytes = Answer::success(ID, address(text))
            .xor_mapped(address(text))
            .finish();
        let read = Message::parse(&bytes).unwrap();
        assert_eq!(read.mapped_address, Some(address(text)));
        assert_eq!(read.xor_mapped_address, Some(address(text)));
    }
    let bytes = Answer::success(ID, address("[::ffff:198.51.100.3]:9")).finish();
    let read = Message::parse(&bytes).unwrap();
    assert_eq!(read.mapped_address, Some(address("198.51.100.3:9")));
}

#[test]
fn what_is_no_binding_message() {
    let request = Request {
        binding: Some(Binding::Standard),
        ..Request::new(ID)
    };
    let good = request.to_bytes(Some((KEY, Flavour::Padded)));
    let damaged = |damage: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        damage(&mut bytes);
        Message::parse(&bytes).unwrap_err()
    };
    assert_eq!(
        damaged(&|bytes| bytes.truncate(19)),
        Unreadable::NotStun(19)
    );
    assert_eq!(
        damaged(&|bytes| bytes.truncate(30)),
        Unreadable::Length {
            expected: 48,
            got: 10
        }
    );
    assert_eq!(damaged(&|bytes| bytes[0] = 0x80), Unreadable::NotStun(68));
    assert_eq!(damaged(&|bytes| bytes[23] = 60), Unreadable::Attribute(20));
    // MESSAGE-INTEGRITY of another length.
    assert_eq!(damaged(&|bytes| bytes[47] = 16), Unreadable::Attribute(44));
    assert_eq!(
        damaged(&|bytes| bytes.resize(MESSAGE_BYTES_MAX + 1, 0)),
        Unreadable::NotStun(MESSAGE_BYTES_MAX + 1)
    );
}

/// What comes after MESSAGE-INTEGRITY is nobody's word.
#[test]
fn attributes_behind_the_integrity_do_not_count() {
    let mut bytes = Request::new(ID).to_bytes(Some((KEY, Flavour::Unpadded)));
    bytes.extend([0, 6, 0, 4, b'e', b'v', b'i', b'l']);
    bytes[3] += 8;
    let read = Message::parse(&bytes).unwrap();
    assert_eq!(read.username, None);
    assert_eq!(read.verify(KEY), Some(Flavour::Unpadded));
}

proptest! {
    #[test]
    fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), honest in any::<bool>()) {
        if honest && bytes.len() >= HEADER_BYTES {
            bytes[0] = 0;
            let length = (bytes.len() - HEADER_BYTES) as u16;
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
        }
        if let Ok(read) = Message::parse(&bytes) {
            read.verify(KEY);
            prop_assert!(read.unknown.len() <= 8);
        }
    }

    #[test]
    fn requests_are_read_back(
        id in any::<[u8; 16]>(),
        binding in prop_oneof![Just(None), Just(Some(Binding::Standard)), Just(Some(Binding::Short))],
        binding_change in any::<bool>(),
        change in prop::option::of((any::<bool>(), any::<bool>())),
        response in prop::option::of(any::<([u8; 4], u16)>()),
        username in prop::option::of("[a-z~-]{1,60}"),
        key in prop::collection::vec(any::<u8>(), 0..100),
        flavour in prop_oneof![Just(Flavour::Padded), Just(Flavour::Unpadded)],
    ) {
        let change = change.map(|(address, port)| Change { address, port });
        let request = Request {
            id: TransactionId(id),
            binding,
            binding_change,
            change,
            response_address: response.map(SocketAddr::from),
            username: username.as_ref().map(|name| name.as_bytes().into()),
        };
        let bytes = request.to_bytes(Some((&key, flavour)));
        let read = Message::parse(&bytes).unwrap();
        prop_assert_eq!(read.id, request.id);
        prop_assert_eq!(read.connection_request_binding, binding.is_some());
        prop_assert_eq!(read.binding_change, binding_change);
        prop_assert_eq!(read.change, change.unwrap_or_default());
        prop_assert_eq!(read.response_address, request.response_address);
        prop_assert_eq!(read.username, username.as_ref().map(|name| name.as_bytes()));
        prop_assert!(read.verify(&key).is_some());
    }
}
