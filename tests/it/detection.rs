//! Where a device comes from, by the word of the proxies before the host, and what support is
//! shown of it.

use patchbay::config::{Config, ForwardedHeader, ProxyProtocol};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::discovery::{Peer, open_directory};
use crate::harness::{Host, PATIENCE, Setup, free_port, inform};
use crate::kept::Kept;
use crate::tls::Files;

const V1: &str = "PROXY TCP4 203.0.113.9 198.51.100.1 51000 7547\r\n";

/// A header of version 2: a client over IPv6, and TLVs.
fn v2() -> Vec<u8> {
    let client: std::net::Ipv6Addr = "2001:db8::7".parse().unwrap();
    let mut stated = client.octets().to_vec();
    stated.extend(std::net::Ipv6Addr::LOCALHOST.octets());
    stated.extend([0xC7, 0x38, 0x1D, 0x7B]);
    // ALPN, and a unique id of 128 bytes.
    stated.extend([0x01, 0, 2, b'h', b'2', 0x05, 0, 128]);
    stated.extend([0xAB; 128]);
    let length = u16::try_from(stated.len()).unwrap().to_be_bytes();
    [
        b"\r\n\r\n\0\r\nQUIT\n\x21\x21".to_vec(),
        length.to_vec(),
        stated,
    ]
    .concat()
}

/// A host with a policy, that trusts its loopback.
fn trusting(change: impl FnOnce(&mut Config) + 'static) -> Setup {
    Setup::new()
        .plugin("shipped", "nat-default")
        .config(|config| config.cwmp.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()])
        .config(change)
}

/// A whole session of a device whose requests have these headers.
async fn session<S>(connection: &mut Kept<S>, serial: &str, headers: &str)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (status, cookie, body) = connection
        .post_with(headers, &inform(serial, &["0 BOOTSTRAP"]))
        .await;
    assert_eq!(status, 200, "{body}");
    let cookie = format!("{headers}Cookie: {}\r\n", cookie.unwrap());
    // Whatever it is told to set, it does.
    let mut answer = String::new();
    for _ in 0..5 {
        let (status, _, body) = connection.post_with(&cookie, &answer).await;
        if status == 204 {
            return;
        }
        assert!(body.contains("<cwmp:SetParameterValues>"), "{body}");
        let (_, id) = body.split_once(">").unwrap();
        let (_, id) = id.split_once("mustUnderstand=\"1\">").unwrap();
        let (id, _) = id.split_once('<').unwrap();
        answer = format!(
            r#"<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:cwmp="urn:dslforum-org:cwmp-1-0"><e:Header><cwmp:ID>{id}</cwmp:ID></e:Header><e:Body><cwmp:SetParameterValuesResponse><Status>0</Status></cwmp:SetParameterValuesResponse></e:Body></e:Envelope>"#
        );
    }
    panic!("the session does not end");
}

async fn facts(host: &Host, serial: &str) -> Value {
    let device = host.get(&format!("/v1/devices/00AABB-Box-{serial}")).await;
    let facts = device["reachability"]["facts"].clone();
    assert_eq!(device["peer_address"], facts["peer_address"], "{device}");
    facts
}

#[track_caller]
fn from(facts: &Value, client: &str, told_by: &str, through_proxy: bool) {
    assert_eq!(
        (
            &facts["peer_address"],
            &facts["told_by"],
            &facts["through_proxy"],
            &facts["tcp_peer"],
        ),
        (
            &client.into(),
            &told_by.into(),
            &through_proxy.into(),
            &"127.0.0.1".into(),
        ),
        "{facts}"
    );
}

#[tokio::test]
async fn by_headers_of_a_trusted_proxy() {
    let host = trusting(|_| {}).start().await;
    let both = "X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\nForwarded: for=198.51.100.7\r\n";
    session(&mut Kept::open(host.cwmp).await, "1", both).await;
    let facts_of_1 = facts(&host, "1").await;
    from(&facts_of_1, "203.0.113.9", "x-forwarded-for", true);
    assert_eq!(facts_of_1["connection_request_host"], "127.0.0.1");
    assert_eq!(facts_of_1["connection_request_opened_session"], Value::Null);
    assert_eq!(
        facts_of_1["words"],
        json!([
            "Its requests come from 203.0.113.9, the trusted proxy 127.0.0.1 says in X-Forwarded-For.",
            "Its ConnectionRequestURL names 127.0.0.1.",
            "Its last Inform named no WAN address.",
            "No connection request was sent to it yet.",
            "It is not known to support XMPP and is not known to support STUN; this instance has neither, and no HTTP proxy."
        ])
    );
    let device = host.get("/v1/devices/00AABB-Box-1").await;
    assert_eq!(device["reachability"]["behind_nat"], true);
    session(&mut Kept::open(host.cwmp).await, "2", "").await;
    from(&facts(&host, "2").await, "127.0.0.1", "connection", true);
    host.stop().await;

    let host = trusting(|config| config.cwmp.forwarded_header = ForwardedHeader::Forwarded)
        .start()
        .await;
    let quoted = "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=7.7.7.7;x=\"\r\nForwarded: for=\"[2001:db8::7]:1234\";proto=https;host=\"acs.example:7547\"\r\n";
    session(&mut Kept::open(host.cwmp).await, "1", quoted).await;
    from(&facts(&host, "1").await, "2001:db8::7", "forwarded", true);
    for hidden in ["Forwarded: for=_a7F\r\n", "Forwarded: for=unknown\r\n"] {
        session(&mut Kept::open(host.cwmp).await, "2", hidden).await;
        from(&facts(&host, "2").await, "127.0.0.1", "connection", true);
    }
    host.stop().await;

    // Nobody is trusted: anybody could have written it.
    let host = Setup::new().plugin("shipped", "nat-default").start().await;
    session(&mut Kept::open(host.cwmp).await, "1", both).await;
    from(&facts(&host, "1").await, "127.0.0.1", "connection", false);
    host.stop().await;
}

#[tokio::test]
async fn by_the_proxy_protocol_before_http_and_before_tls() {
    let files = Files::new();
    let tls = files.setup();
    let host = tls
        .plugin("shipped", "nat-default")
        .config(|config| {
            config.cwmp.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
            config.cwmp.proxy_protocol = ProxyProtocol::Required;
        })
        .start()
        .await;
    // What the client writes into its headers is not the proxy's word.
    let lie = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n";
    let headers = [
        (V1.as_bytes().to_vec(), "203.0.113.9", "proxy-protocol"),
        (v2(), "2001:db8::7", "proxy-protocol"),
    ];
    for (place, (header, client, told_by)) in headers.into_iter().enumerate() {
        let mut plain = Kept::open(host.cwmp).await;
        plain.send(&header).await;
        session(&mut plain, &format!("{place}"), lie).await;
        let seen = facts(&host, &format!("{place}")).await;
        from(&seen, client, told_by, true);

        // Each byte may be a segment of its own.
        let mut stream = TcpStream::connect(host.tls.unwrap()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for byte in &header {
            stream.write_all(&[*byte]).await.unwrap();
        }
        let mut tls = files.over(stream).await.unwrap();
        session(&mut tls, &format!("tls{place}"), lie).await;
        let seen = facts(&host, &format!("tls{place}")).await;
        from(&seen, client, told_by, true);
    }
    // The proxy itself: its headers are believed.
    let mut local = Kept::open(host.cwmp).await;
    local.send(b"PROXY UNKNOWN\r\n").await;
    session(&mut local, "own", "X-Forwarded-For: 203.0.113.10\r\n").await;
    from(
        &facts(&host, "own").await,
        "203.0.113.10",
        "x-forwarded-for",
        true,
    );
    host.stop().await;
}

/// HAProxy before the host, with both versions.
#[tokio::test]
async fn haproxy_before_plain_and_tls() {
    let files = Files::new();
    let host = files
        .setup()
        .plugin("shipped", "nat-default")
        .config(|config| {
            config.cwmp.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
            config.cwmp.proxy_protocol = ProxyProtocol::Required;
        })
        .start()
        .await;
    let (_keep, directory) = open_directory();
    let (plain, tls) = (host.cwmp, host.tls.unwrap());
    let ways = [
        (plain, "send-proxy"),
        (plain, "send-proxy-v2"),
        (tls, "send-proxy"),
        (tls, "send-proxy-v2"),
    ];
    let ways = ways.map(|(to, how)| (free_port(), to, how));
    let listen: String = ways
        .iter()
        .map(|(port, to, how)| {
            format!("listen l{port}\n  bind 127.0.0.1:{port}\n  server acs {to} {how}\n")
        })
        .collect();
    let conf = directory.join("haproxy.cfg");
    let defaults = "mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s";
    std::fs::write(&conf, format!("defaults\n  {defaults}\n{listen}")).unwrap();
    let mut haproxy = std::process::Command::new("haproxy");
    let mut haproxy = Peer::start(haproxy.arg("-db").arg("-f").arg(&conf), "haproxy");
    haproxy.ready(ways[0].0).await;
    for (port, to, how) in ways {
        // The device is elsewhere.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.5:0".parse().unwrap()).unwrap();
        let stream = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap();
        let serial = format!("H{port}");
        if to == tls {
            session(&mut files.over(stream).await.unwrap(), &serial, "").await;
        } else {
            session(&mut Kept(stream), &serial, "").await;
        }
        let seen = facts(&host, &serial).await;
        assert_eq!(seen["peer_address"], "127.0.0.5", "{how}");
        from(&seen, "127.0.0.5", "proxy-protocol", true);
    }
    // HAProxy has looked whether somebody listens; nothing of that was refused.
    assert_eq!(host.get("/v1/refusals").await["items"], json!([]));
    host.stop().await;
}

/// Whether the host hangs up on these bytes, without an answer.
async fn is_hung_up(host: &Host, bytes: &[u8]) {
    let mut stream = TcpStream::connect(host.cwmp).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    // With what it has not read, the connection is reset.
    let _ = read.expect("it stays open");
    assert!(answer.is_empty(), "{:?}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn what_is_no_header_of_a_trusted_proxy_does_not_come_in() {
    let host = trusting(|config| config.cwmp.proxy_protocol = ProxyProtocol::Required)
        .start()
        .await;
    let mut endless = b"PROXY TCP4 ".to_vec();
    endless.extend(vec![b'1'; 1 << 20]);
    let mut huge = v2()[..14].to_vec();
    huge.extend([0xFF, 0xFF]);
    huge.extend(vec![0; 1 << 16]);
    for hostile in [
        &b"POST / HTTP/1.1\r\n\r\n"[..],
        b"PROXY TCP4 203.0.113.9\r\n",
        b"PROXY TCP6 203.0.113.9 198.51.100.1 1 2\r\n",
        &endless,
        &huge,
        b"\r\n\r\n\0\r\nQUIT\n\xFF\x11\0\x0C............",
        b"\x16\x03\x01\x02\0\x01",
    ] {
        is_hung_up(&host, hostile).await;
    }
    let refusals = host.get("/v1/refusals").await;
    let counts: Vec<_> = refusals["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (&item["why"], &item["times"]))
        .collect();
    assert_eq!(counts, [(&"proxy-header".into(), &7.into())], "{refusals}");
    // Who connects to see whether somebody is there is no case for alarm.
    drop(TcpStream::connect(host.cwmp).await.unwrap());
    let mut served = Kept::open(host.cwmp).await;
    served.send(V1.as_bytes()).await;
    session(&mut served, "1", "").await;
    let status = host.get("/v1/status").await;
    assert_eq!(status["counters"]["requests_refused"], 7, "{status}");
    host.stop().await;

    // Nobody else may state anything, and nobody else comes in.
    let host = trusting(|config| {
        config.cwmp.trusted_proxies = vec!["192.0.2.1".parse().unwrap()];
        config.cwmp.proxy_protocol = ProxyProtocol::Required;
    })
    .start()
    .await;
    is_hung_up(&host, V1.as_bytes()).await;
    let refusals = host.get("/v1/refusals").await;
    let reason = refusals["items"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("of a trusted proxy"), "{reason}");
    host.stop().await;
    let host = trusting(|config| {
        config.cwmp.trusted_proxies = vec!["192.0.2.1".parse().unwrap()];
        config.cwmp.proxy_protocol = ProxyProtocol::Optional;
    })
    .start()
    .await;
    let mut liar = Kept::open(host.cwmp).await;
    liar.send(V1.as_bytes()).await;
    assert_eq!(liar.answer().await.status, 400);
    session(&mut Kept::open(host.cwmp).await, "1", "").await;
    from(&facts(&host, "1").await, "127.0.0.1", "connection", false);
    host.stop().await;
}

#[tokio::test]
async fn with_or_without_a_header() {
    let host = trusting(|config| config.cwmp.proxy_protocol = ProxyProtocol::Optional)
        .start()
        .await;
    let mut with = Kept::open(host.cwmp).await;
    with.send(V1.as_bytes()).await;
    session(&mut with, "1", "").await;
    from(
        &facts(&host, "1").await,
        "203.0.113.9",
        "proxy-protocol",
        true,
    );
    session(
        &mut Kept::open(host.cwmp).await,
        "2",
        "X-Forwarded-For: 203.0.113.8\r\n",
    )
    .await;
    from(
        &facts(&host, "2").await,
        "203.0.113.8",
        "x-forwarded-for",
        true,
    );
    host.stop().await;
}
