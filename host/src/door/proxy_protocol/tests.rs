use tokio::io::{AsyncWriteExt, duplex};

use super::*;

/// A header of version 2.
fn v2(command: u8, family: u8, stated: &[u8]) -> Vec<u8> {
    let mut bytes = V2.to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(stated.len()).unwrap().to_be_bytes());
    bytes.extend(stated);
    bytes
}

const OVER_V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 4, 210, 29, 123];

fn over_v6() -> Vec<u8> {
    let client: Ipv6Addr = "2001:db8::7".parse().unwrap();
    let called: Ipv6Addr = "2001:db8::1".parse().unwrap();
    let ports = [4, 210, 29, 123];
    [&client.octets()[..], &called.octets(), &ports].concat()
}

fn client(bytes: &[u8]) -> Option<String> {
    match first(bytes) {
        Ok(First::Header(client, length)) => {
            assert_eq!(length, bytes.len());
            client.map(|client| client.to_string())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn headers_of_both_versions() {
    let tcp4 = b"PROXY TCP4 192.0.2.1 198.51.100.1 1234 7547\r\n";
    assert_eq!(client(tcp4).unwrap(), "192.0.2.1");
    let tcp6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 1234 7547\r\n";
    assert_eq!(client(tcp6).unwrap(), "2001:db8::7");
    let mapped = b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1234 7547\r\n";
    assert_eq!(client(mapped).unwrap(), "192.0.2.1");
    assert_eq!(client(b"PROXY UNKNOWN\r\n"), None);
    assert_eq!(
        client(b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"),
        None
    );
    assert_eq!(client(&v2(0x21, 0x11, &OVER_V4)).unwrap(), "192.0.2.1");
    assert_eq!(client(&v2(0x21, 0x21, &over_v6())).unwrap(), "2001:db8::7");
    // TLVs behind the addresses, LOCAL, no family, UDP, a path.
    let tlvs = [&OVER_V4[..], &[0x01, 0, 2, b'h', b'2'], &[0xFF; 2000]].concat();
    assert_eq!(client(&v2(0x21, 0x11, &tlvs)).unwrap(), "192.0.2.1");
    assert_eq!(client(&v2(0x20, 0x11, &OVER_V4)), None);
    assert_eq!(client(&v2(0x20, 0x00, &[])), None);
    assert_eq!(client(&v2(0x21, 0x00, &[])), None);
    assert_eq!(client(&v2(0x21, 0x12, &OVER_V4)), None);
    assert_eq!(client(&v2(0x21, 0x31, &[b'/'; 216])), None);
}

#[test]
fn each_byte_of_a_header_may_come_alone() {
    for header in [
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1234 7547\r\n".to_vec(),
        v2(0x21, 0x21, &over_v6()),
    ] {
        for length in 0..header.len() {
            assert_eq!(first(&header[..length]), Ok(First::Begun), "{length}");
        }
    }
}

#[test]
fn what_is_none() {
    for other in [
        &b"POST / HTTP/1.1\r\n"[..],
        b"PROXZ",
        b"\r\nPOST",
        b"\x16\x03\x01",
        b"proxy TCP4",
    ] {
        assert_eq!(first(other), Ok(First::Other), "{other:?}");
    }
}

#[test]
fn what_no_proxy_writes() {
    let long = format!("PROXY TCP4 {}\r\n", "1".repeat(200));
    for bad in [
        &b"PROXY \r\n"[..],
        b"PROXY TCP4\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1234\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1234 7547 1\r\n",
        b"PROXY TCP4  192.0.2.1 198.51.100.1 1234 7547\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 1234 7547\r\n",
        b"PROXY TCP6 192.0.2.1 198.51.100.1 1234 7547\r\n",
        b"PROXY TCP4 192.0.2.256 198.51.100.1 1234 7547\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1234 65536\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 +1 7547\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1  7547\r\n",
        b"PROXY UDP4 192.0.2.1 198.51.100.1 1234 7547\r\n",
        b"PROXY TCP4 192.0.2.1\0 198.51.100.1 1234 7547\r\n",
        b"PROXY TCP4 \xFF\xFE\r\n",
        long.as_bytes(),
        // Versions 1 and 3 of the binary form, an unknown command, too few bytes, too many.
        &v2(0x11, 0x11, &OVER_V4),
        &v2(0x31, 0x11, &OVER_V4),
        &v2(0x22, 0x11, &OVER_V4),
        &v2(0x21, 0x11, &OVER_V4[..11]),
        &v2(0x21, 0x21, &over_v6()[..35]),
        &v2(0x21, 0x11, &[0; STATED_BYTES_MAX + 1]),
    ] {
        let error = first(bad).unwrap_err();
        assert!(error.starts_with("expected a PROXY"), "{bad:?}: {error}");
    }
    // It is known from its length alone, before anybody waits for it.
    let head = &v2(0x21, 0x11, &[0; STATED_BYTES_MAX + 1])[..V2_HEAD_BYTES];
    assert!(first(head).is_err());
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(prefix in 0..3usize, bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
        let prefix: &[u8] = [&[][..], V1, V2][prefix];
        let all = [prefix, &bytes].concat();
        if let Ok(First::Header(_, length)) = first(&all) {
            proptest::prop_assert!(length <= all.len());
        }
    }
}

/// Nothing more comes: there is nothing to wait for.
const SOON: Duration = Duration::from_millis(20);

/// What becomes of a connection that begins with these bytes and then stays open; and what is
/// left to be read of it.
async fn connection(
    setting: ProxyProtocol,
    is_trusted: bool,
    bytes: &[u8],
) -> Result<Option<(Option<String>, String)>, String> {
    let (mut far, near) = duplex(64 << 10);
    far.write_all(bytes).await.unwrap();
    let opened = read(setting, is_trusted, SOON, near).await?;
    let Some(Opened { stated, mut stream }) = opened else {
        return Ok(None);
    };
    drop(far);
    let mut left = String::new();
    stream.read_to_string(&mut left).await.unwrap();
    Ok(Some((stated.map(|client| client.to_string()), left)))
}

const LINE: &str = "PROXY TCP4 192.0.2.1 198.51.100.1 1234 7547\r\nPOST / HTTP/1.1\r\n";

#[tokio::test]
async fn whose_header_is_read() {
    use ProxyProtocol::{Off, Optional, Required};
    let post = "POST / HTTP/1.1\r\n";
    let all = |text: &str| Ok(Some((None, text.to_owned())));
    let stated = Ok(Some((Some("192.0.2.1".to_owned()), post.to_owned())));
    for (setting, is_trusted, sent, expected) in [
        (Off, true, LINE, all(LINE)),
        (Optional, false, LINE, all(LINE)),
        (Optional, true, LINE, stated.clone()),
        (Required, true, LINE, stated),
        (Optional, true, post, all(post)),
        // Says nothing, or stops in the middle: HTTP waits on, and knows what to make of it.
        (Optional, true, "", all("")),
        (Optional, true, "PROXY TC", all("PROXY TC")),
        (Required, true, "", Ok(None)),
    ] {
        let came = connection(setting, is_trusted, sent.as_bytes()).await;
        assert_eq!(came, expected, "{setting:?} {is_trusted} {sent:?}");
    }
    for (is_trusted, sent, why) in [
        (false, LINE, "of a trusted proxy"),
        (false, post, "of a trusted proxy"),
        (true, post, "got something else"),
        (true, "PROXY TC", "within 0 s"),
        (true, "PROXY TCP4 x\r\n", "expected a PROXY line"),
    ] {
        let refused = connection(Required, is_trusted, sent.as_bytes()).await;
        assert!(refused.clone().unwrap_err().contains(why), "{refused:?}");
    }
    // What a trusted proxy has begun it must finish as it should.
    let refused = connection(Optional, true, b"PROXY TCP4 x\r\n").await;
    assert!(refused.unwrap_err().contains("expected a PROXY line"));
}
