//! Bytes and HTTP as devices send them. The numbers in the names are those of the catalogue of
//! quirks that the project keeps (B1, B2 and B3 are in `fixtures/own.rs`, too).

use std::io::Write;

use cpe_sim::{CpeConfig, Oddity};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::Value;

use crate::harness::{Answer, Host, Setup, Sim, http, inform, raw};
use crate::kept::{Kept, cookie, header};

const POST: &str = "POST / HTTP/1.1\r\nHost: acs\r\n";

fn periodic(serial: &str) -> String {
    inform(serial, &["2 PERIODIC"])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn manufacturer(host: &Host, serial: &str) -> Value {
    host.get(&format!("/v1/devices/00AABB-Box-{serial}")).await["manufacturer"].clone()
}

/// The only refusal so far.
async fn refusal(host: &Host) -> Value {
    let refusals = host.get("/v1/refusals").await;
    let items = refusals["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{refusals}");
    items[0].clone()
}

#[tokio::test]
async fn b1_b2_control_characters_and_bare_ampersands_lose_no_message() {
    let host = Setup::new().start().await;
    let body = periodic("1").replace("Acme", "A&T \u{1} <3 &nope;");
    let answer = http(host.cwmp, "POST", "/", "", body.as_bytes()).await;
    // What cannot be told from markup is refused with its place, the rest is taken.
    assert_eq!(answer.status, 400, "{answer:?}");
    let body = periodic("1").replace("Acme", "A&T \u{1} &nope;");
    let answer = http(host.cwmp, "POST", "/", "", body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    host.stop().await;
}

#[tokio::test]
async fn b3_charsets_by_mark_header_and_declaration() {
    let host = Setup::new().start().await;
    let declared = |encoding: &str| {
        periodic("1")
            .replace("UTF-8", encoding)
            .replace("Acme", "Łódź")
    };
    let utf16: Vec<u8> = declared("UTF-16")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let iso_8859_2 = |text: &str| -> Vec<u8> {
        let byte = |c: char| match c {
            'Ł' => 0xA3,
            'ó' => 0xF3,
            'ź' => 0xBC,
            c => u8::try_from(c).unwrap(),
        };
        text.chars().map(byte).collect()
    };
    for (what, content_type, body) in [
        ("mark", "text/xml", [b"\xFF\xFE", &*utf16].concat()),
        ("no mark", "text/xml; charset=utf-8", utf16.clone()),
        (
            "header",
            "text/xml; Charset=\"ISO-8859-2\"",
            iso_8859_2(&declared("UTF-8")),
        ),
        (
            "declaration",
            "text/xml; charset=utf-8",
            iso_8859_2(&declared("ISO-8859-2")),
        ),
        (
            "a lie",
            "text/xml; charset=iso-8859-1",
            declared("latin1").into_bytes(),
        ),
        (
            "unknown",
            "text/xml; charset=martian",
            declared("x-mars").into_bytes(),
        ),
    ] {
        let headers = format!("Content-Type: {content_type}\r\n");
        let answer = http(host.cwmp, "POST", "/", &headers, &body).await;
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        assert_eq!(manufacturer(&host, "1").await, "Łódź", "{what}");
        let anew = http(host.cwmp, "POST", "/", "", periodic("1").as_bytes()).await;
        assert_eq!(anew.status, 200);
    }
    host.stop().await;
}

#[tokio::test]
async fn b4_chunked_and_expect_100_continue() {
    let host = Setup::new().start().await;
    let body = periodic("1");
    let mut device = Kept::open(host.cwmp).await;
    let (first, second) = body.split_at(100);
    let chunked = format!(
        "{POST}Transfer-Encoding: Chunked\r\n\r\n64;x=y\r\n{first}\r\n{:X}\r\n{second}\r\n0\r\nTrailer: 1\r\n\r\n",
        second.len()
    );
    device.send(chunked.as_bytes()).await;
    assert_eq!(device.answer().await.status, 200);
    // An empty chunked POST is an empty POST.
    let empty = format!("{POST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    device.send(empty.as_bytes()).await;
    assert_eq!(device.answer().await.status, 204);
    let expect = format!(
        "{POST}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    device.send(expect.as_bytes()).await;
    assert_eq!(device.answer().await.status, 100);
    device.send(body.as_bytes()).await;
    assert_eq!(device.answer().await.status, 200);
    host.stop().await;
}

#[tokio::test]
async fn b5_answers_have_a_length_and_are_never_compressed() {
    let host = Setup::new().start().await;
    let mut device = Kept::open(host.cwmp).await;
    let head = format!("{POST}Accept-Encoding: gzip, deflate, br\r\nTE: gzip, trailers\r\n");
    let answer = device.request(&head, periodic("1").as_bytes()).await;
    assert_eq!(answer.status, 200);
    assert!(header(&answer, "content-length").is_some());
    assert_eq!(header(&answer, "content-encoding"), None);
    assert!(answer.text().starts_with("<?xml"));
    let end = device.request(POST, b"").await;
    assert_eq!((end.status, header(&end, "content-type")), (204, None));
    assert_eq!(header(&end, "connection").unwrap(), "keep-alive");
    host.stop().await;
}

#[tokio::test]
async fn b7_cookies_however_they_come_back() {
    let host = Setup::new().start().await;
    let old = "session=0123456789abcdef0123456789abcdef";
    for mangle in [
        |pair: &str| format!("Cookie: {pair}"),
        |pair: &str| format!("Cookie: $Version=\"0\"; {pair};$Path=/"),
        |pair: &str| format!("Cookie: $Version=1,{pair},$Path=\"/\""),
        |pair: &str| format!("Cookie: {}\"", pair.replace('=', "=\"")),
        |pair: &str| format!("COOKIE: {}", pair.to_uppercase()),
        |pair: &str| format!("cookie:{pair}; {pair}"),
        |pair: &str| format!("Cookie: lang=de\r\nCookie: {pair}"),
        |pair: &str| format!("Cookie: session=0123456789abcdef0123456789abcdef; {pair}"),
        |pair: &str| format!("Cookie: a=b, {pair} ; c"),
    ] {
        // The old cookie on the Inform, then the new one on another connection.
        let headers = format!("Cookie: {old}\r\n");
        let answer = http(host.cwmp, "POST", "/", &headers, periodic("1").as_bytes()).await;
        let line = mangle(&cookie(&answer).expect("a cookie"));
        let end = http(host.cwmp, "POST", "/", &format!("{line}\r\n"), b"").await;
        assert_eq!(end.status, 204, "{line}: {end:?}");
    }
    host.stop().await;
}

#[tokio::test]
async fn b7_ignored_cookies_on_a_kept_connection() {
    let host = Setup::new().start().await;
    let mut device = Kept::open(host.cwmp).await;
    for _ in 0..2 {
        assert_eq!(device.post(None, &periodic("1")).await.0, 200);
        assert_eq!(device.post(None, "").await.0, 204);
        assert_eq!(
            device.post(None, "").await.0,
            204,
            "once more after the end"
        );
    }
    host.stop().await;
}

#[tokio::test]
async fn b8_a_connection_for_each_post_and_no_cookies_learns_a_url() {
    let host = Setup::new().start().await;
    let config = CpeConfig::tr098("1", &host.url())
        .with(Oddity::CookieIgnored)
        .with(Oddity::ConnectionPerPost);
    let mut sim = Sim::new(config);
    let failed = cpe_sim::run_session(&mut sim.cpe, &sim.options).await;
    assert!(failed.is_err(), "nobody knows yet whose empty POST that is");
    assert!(
        refusal(&host).await["reason"]
            .as_str()
            .unwrap()
            .contains("Inform first")
    );
    // From then on the Inform is redirected to the URL of its session.
    for _ in 0..2 {
        let report = sim.session().await;
        assert_eq!((report.posts, report.connections), (3, 3), "{report:?}");
    }
    let body = serde_json::json!({ "operation": { "op": "rpc-methods" } });
    let task = host.post(&format!("{}/tasks", sim.at()), body).await;
    sim.later(std::time::Duration::from_secs(60));
    sim.session().await;
    let task = host
        .get(&format!("/v1/tasks/{}", task["id"].as_str().unwrap()))
        .await;
    assert_eq!(task["state"], "done");
    host.stop().await;
}

#[tokio::test]
async fn b8_nobody_gets_into_a_session_by_its_address() {
    let host = Setup::new().start().await;
    let device = http(host.cwmp, "POST", "/", "", periodic("1").as_bytes()).await;
    assert_eq!(device.status, 200);
    // Same address, no cookie: refused, and the session goes on.
    assert_eq!(http(host.cwmp, "POST", "/", "", b"").await.status, 400);
    let redirected = http(host.cwmp, "POST", "/x", "", periodic("1").as_bytes()).await;
    assert_eq!(redirected.status, 307);
    let location = header(&redirected, "location").unwrap();
    assert!(
        location.starts_with(&format!("http://{}/x?session=", host.cwmp)),
        "{location}"
    );
    // A token that somebody else was given, or made up, begins nothing.
    let other = format!("/?session={}", "0".repeat(32));
    let answer = http(host.cwmp, "POST", &other, "", periodic("2").as_bytes()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(http(host.cwmp, "POST", &other, "", b"").await.status, 400);
    // Whoever does not follow is not sent in circles.
    let again = http(host.cwmp, "POST", "/x", "", periodic("1").as_bytes()).await;
    assert_eq!(again.status, 200);
    let headers = format!("Cookie: {}\r\n", cookie(&again).unwrap());
    assert_eq!(
        http(host.cwmp, "POST", "/x", &headers, b"").await.status,
        204
    );
    host.stop().await;
}

#[tokio::test]
async fn b8_an_undeclared_proxy_with_one_connection_for_all() {
    let host = Setup::new().start().await;
    let mut proxy = Kept::open(host.cwmp).await;
    let (_, one, _) = proxy.post(None, &periodic("1")).await;
    let (_, two, _) = proxy.post(None, &periodic("2")).await;
    // Without a cookie it might be of either.
    assert_eq!(proxy.post(None, "").await.0, 400);
    assert_eq!(proxy.post(one.as_deref(), "").await.0, 204);
    assert_eq!(proxy.post(two.as_deref(), "").await.0, 204);
    let mut other = Kept::open(host.cwmp).await;
    let via = "Via: 1.1 nginx\r\n";
    assert_eq!(other.post_with(via, &periodic("3")).await.0, 200);
    assert_eq!(other.post_with(via, "").await.0, 400);
    host.stop().await;
}

#[tokio::test]
async fn b9_any_content_type_or_none() {
    let host = Setup::new().start().await;
    for content_type in [
        "",
        "Content-Type: text/html\r\n",
        "Content-Type: application/soap+xml; action=\"\"\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type:\r\n",
        "Content-Type: text/xml; charset=\r\n",
        "content-type: \u{e9}\u{1F600}\r\n",
    ] {
        let answer = http(
            host.cwmp,
            "POST",
            "/",
            content_type,
            periodic("1").as_bytes(),
        )
        .await;
        assert_eq!(answer.status, 200, "{content_type:?}: {answer:?}");
    }
    host.stop().await;
}

#[tokio::test]
async fn b10_empty_posts_of_all_kinds() {
    let host = Setup::new().start().await;
    let mut device = Kept::open(host.cwmp).await;
    let compressed = String::from_utf8_lossy(b"").into_owned();
    for empty in [
        format!("{POST}\r\n"),
        format!("{POST}Content-Length: 0\r\n\r\n"),
        format!("{POST}Content-Length: 2\r\n\r\n\r\n"),
        format!("{POST}Content-Length: 4\r\n\r\n \t\r\n"),
        format!("{POST}SOAPAction: \"\"\r\nContent-Type: text/xml\r\nContent-Length: 0\r\n\r\n"),
        format!("{POST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{POST}Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n{compressed}"),
        "POST / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned(),
    ] {
        assert_eq!(device.post(None, &periodic("1")).await.0, 200);
        device.send(empty.as_bytes()).await;
        assert_eq!(device.answer().await.status, 204, "{empty:?}");
        // And once more after the end.
        device.send(empty.as_bytes()).await;
        assert_eq!(device.answer().await.status, 204, "again {empty:?}");
    }
    host.stop().await;
}

#[tokio::test]
async fn b12_gzip_and_deflate_bodies() {
    let host = Setup::new().start().await;
    let body = periodic("1").into_bytes();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(&body).unwrap();
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
    deflate.write_all(&body).unwrap();
    for (coding, packed) in [
        ("gzip", gzip(&body)),
        ("x-gzip", gzip(&body)),
        ("Deflate", zlib.finish().unwrap()),
        ("deflate", deflate.finish().unwrap()),
        ("gzip, gzip", gzip(&gzip(&body))),
        ("identity", body.clone()),
    ] {
        let headers = format!("Content-Encoding: {coding}\r\n");
        let answer = http(host.cwmp, "POST", "/", &headers, &packed).await;
        assert_eq!(answer.status, 200, "{coding}: {answer:?}");
    }
    let mut sims = [Oddity::GzipBody, Oddity::RawDeflateBody]
        .map(|oddity| Sim::new(CpeConfig::tr181(oddity.name(), &host.url()).with(oddity)));
    for sim in &mut sims {
        let body = serde_json::json!({ "operation": { "op": "names", "path": "Device." } });
        sim.session().await;
        let task = host.post(&format!("{}/tasks", sim.at()), body).await;
        sim.later(std::time::Duration::from_secs(60));
        sim.session().await;
        let task = host
            .get(&format!("/v1/tasks/{}", task["id"].as_str().unwrap()))
            .await;
        assert_eq!(task["state"], "done", "{task}");
    }
    host.stop().await;
}

#[tokio::test]
async fn b12_limits_count_what_comes_out() {
    let host = Setup::new()
        .config(|c| c.cwmp.body_bytes_max = 65_536)
        .start()
        .await;
    let coded = async |coding: &str, body: &[u8]| {
        let headers = format!("Content-Encoding: {coding}\r\n");
        http(host.cwmp, "POST", "/", &headers, body).await
    };
    let bomb = coded("gzip", &gzip(&vec![b' '; 10 << 20])).await;
    assert_eq!(bomb.status, 413);
    assert!(bomb.text().contains("65536"), "{bomb:?}");
    let unknown = coded("br", b"x").await;
    assert_eq!(unknown.status, 415);
    assert_eq!(
        header(&unknown, "accept-encoding").unwrap(),
        "gzip, deflate"
    );
    assert_eq!(coded("gzip", periodic("1").as_bytes()).await.status, 400);
    let counts = host.get("/v1/refusals").await["counts"].clone();
    assert_eq!(counts, serde_json::json!({ "too-large": 1, "coding": 2 }));
    host.stop().await;
}

#[tokio::test]
async fn b13_what_is_no_soap_is_no_empty_post() {
    let host = Setup::new().start().await;
    for body in ["ok", "<html/>", "{}", "\u{0}", "<!-- nothing -->"] {
        let first = http(host.cwmp, "POST", "/", "", periodic("1").as_bytes()).await;
        let headers = format!(
            "User-Agent: box/1\r\nCookie: {}\r\n",
            cookie(&first).unwrap()
        );
        let answer = http(host.cwmp, "POST", "/acs", &headers, body.as_bytes()).await;
        assert_eq!(answer.status, 400, "{body:?}: {answer:?}");
        // The session is none the worse for it.
        assert_eq!(
            http(host.cwmp, "POST", "/", &headers, b"").await.status,
            204
        );
    }
    let refused = refusal(&host).await;
    assert_eq!(refused["why"], "unreadable");
    assert_eq!(refused["device"], "00AABB-Box-1");
    assert_eq!(
        (&refused["path"], &refused["user_agent"]),
        (&"/acs".into(), &"box/1".into())
    );
    assert_eq!(
        (&refused["status"], &refused["times"]),
        (&400.into(), &5.into())
    );
    host.stop().await;
}

#[tokio::test]
async fn b14_soap_action_absent_empty_or_anything() {
    let host = Setup::new().start().await;
    for action in [
        "",
        "SOAPAction:\r\n",
        "SOAPAction: \"\"\r\n",
        "SoapAction: urn:x#Inform\r\n",
    ] {
        let answer = http(host.cwmp, "POST", "/", action, periodic("1").as_bytes()).await;
        assert_eq!(answer.status, 200, "{action:?}");
    }
    host.stop().await;
}

#[tokio::test]
async fn http_1_0_close_and_absolute_targets() {
    let host = Setup::new().start().await;
    let body = periodic("1");
    let length = format!("Content-Length: {}\r\n", body.len());
    for head in [
        "POST / HTTP/1.0\r\n",
        "POST / HTTP/1.1\r\nConnection: close\r\n",
        "POST http://acs.example:7547/acs HTTP/1.1\r\nhost: acs.example:7547\r\nConnection: close\r\n",
        "POST /any/path?and=query HTTP/1.1\r\nhost:\r\nconnection: Close\r\n",
    ] {
        // `raw` reads until the other side closes.
        let answer: Answer = raw(host.cwmp, format!("{head}{length}\r\n{body}").as_bytes()).await;
        assert_eq!(answer.status, 200, "{head:?}: {answer:?}");
        assert!(!answer.head.contains("chunked"), "{answer:?}");
    }
    host.stop().await;
}

#[tokio::test]
async fn headers_with_bad_bytes_are_passed_over() {
    let host = Setup::new().start().await;
    let body = periodic("1");
    for bad in [
        &b"X-Vendor: \xE9\xFF\r\n"[..],
        b"X-Vendor: a\x01b\r\n",
        b"User-Agent: \xFF\xFE\r\n",
        b"no colon at all\r\n",
        b"Bad Name: x\r\n",
        b"Cookie: \xFF; a\r\n",
        b"Authorization: Digest \"\"\"\xFF,,,=\r\n",
    ] {
        let length = format!(
            "Connection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let request = [POST.as_bytes(), bad, length.as_bytes(), body.as_bytes()].concat();
        let answer = raw(host.cwmp, &request).await;
        assert_eq!(
            answer.status,
            200,
            "{:?}: {answer:?}",
            String::from_utf8_lossy(bad)
        );
    }
    let answer = raw(host.cwmp, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n").await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        host.until("/v1/refusals", |r| r["counts"]["no-http"] == 1)
            .await["items"][0]["why"],
        "no-http"
    );
    host.stop().await;
}
