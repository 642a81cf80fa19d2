//! What must not get through to the embedded server: refused, counted, and paid for with no
//! more memory than a few buffers.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use patchbay::device::XmppAccount;
use patchbay::nat::xmpp::account;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::raw::{HEADER, Raw};
use super::{behind_nat, online, opened, setup, wake};
use crate::harness::{Host, Live, Setup, Sim};
use cpe_sim::CpeConfig;

fn address(host: &Host) -> SocketAddr {
    host.acs.config.xmpp.listen[0]
}

async fn counted(host: &Host, name: &str, least: u64) -> Value {
    host.until("/v1/status", |status| {
        status["xmpp"]["counters"][name].as_u64() >= Some(least)
    })
    .await
}

/// Memory of this process that is its own, in KiB.
fn memory() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup
        .lines()
        .find(|line| line.starts_with("Pss_Anon:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn junk_before_the_login() {
    let host = setup().start().await;
    let chunk = "<a b='ccccccccccccccccccccccccccccccc'>".repeat(1600);
    let before = memory();
    let mut refused = 0;
    for header in ["", HEADER] {
        for junk in [chunk.clone(), "x".repeat(65_536), " <a/>".repeat(13_000)] {
            let mut stream = TcpStream::connect(address(&host)).await.unwrap();
            let mut sent = 0;
            stream.write_all(header.as_bytes()).await.unwrap();
            // 48 MB, if it were let.
            while sent < 48 << 20 && stream.write_all(junk.as_bytes()).await.is_ok() {
                sent += junk.len();
            }
            assert!(sent < 48 << 20, "all of it was taken");
            refused += 1;
        }
    }
    counted(&host, "streams_refused", refused).await;
    let grown = memory().saturating_sub(before);
    // Other tests run in this process, too.
    assert!(grown < 200 << 10, "{grown} KiB more than before");
    host.stop().await;
}

#[tokio::test]
async fn stanzas_before_the_login_and_streams_that_are_none() {
    let host = setup().start().await;
    let condition = |answer: &str| -> String {
        let (_, error) = answer
            .split_once("<stream:error><")
            .unwrap_or_else(|| panic!("{answer}"));
        error.split(' ').next().unwrap().to_owned()
    };
    let header_to_other = HEADER.replace("acs.example", "other.example");
    let entity = "<!DOCTYPE a [<!ENTITY b 'bbbb'><!ENTITY c '&b;&b;'>]>";
    let deep = "<a>".repeat(100);
    let ping = "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>";
    let request = "<iq type='get' id='1' to='cpe@acs.example/wan'><connectionRequest/></iq>";
    for (text, expected) in [
        (format!("{HEADER}{ping}"), "not-authorized"),
        (format!("{HEADER}{request}"), "not-authorized"),
        (format!("{HEADER}<message/>"), "not-authorized"),
        (format!("{HEADER}{deep}"), "policy-violation"),
        (format!("{entity}{HEADER}"), "not-well-formed"),
        (format!("{HEADER}<a>&b;</a>"), "not-well-formed"),
        (
            format!("{HEADER}<a b='{}'/>", "x".repeat(20_000)),
            "policy-violation",
        ),
        (format!("{HEADER}<a></b>"), "not-well-formed"),
        (header_to_other, "host-unknown"),
        ("<html xmlns='x'>".to_owned(), "invalid-namespace"),
        ("GET / HTTP/1.1\r\n\r\n<".to_owned(), "not-well-formed"),
    ] {
        let mut raw = Raw::connect(address(&host)).await;
        raw.send(&text).await;
        let answer = raw.rest().await;
        assert!(
            answer.starts_with("<?xml version='1.0'?><stream:stream "),
            "{answer}"
        );
        assert_eq!(condition(&answer), expected, "{:.60} {answer}", text);
    }
    let status = counted(&host, "streams_refused", 11).await;
    assert_eq!(status["xmpp"]["counters"]["logins"], 0);
    assert_eq!(status["xmpp"]["devices_online"], 0);
    host.stop().await;
}

#[tokio::test]
async fn slow_and_too_many() {
    let host = setup()
        .config(|config| {
            config.xmpp.login_seconds_max = 1;
            config.xmpp.logins_per_address_max = 3;
            config.xmpp.connections_per_address_max = 5;
        })
        .start()
        .await;
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut raw = Raw::connect(address(&host)).await;
        raw.send(HEADER).await;
        raw.until("</stream:features>").await;
        slow.push(raw);
    }
    assert_eq!(
        Raw::connect(address(&host)).await.rest().await,
        "",
        "a fourth login"
    );
    for raw in slow {
        raw.rest().await;
    }
    let status = counted(&host, "logins_late", 3).await;
    assert_eq!(status["xmpp"]["counters"]["turned_away"], 1);
    // There is room again.
    let mut raw = Raw::connect(address(&host)).await;
    raw.send(HEADER).await;
    raw.until("</stream:features>").await;
    host.stop().await;
}

#[tokio::test]
async fn wrong_passwords_and_names_without_an_account() {
    let host = setup().start().await;
    let sasl = "urn:ietf:params:xml:ns:xmpp-sasl";
    let mut raw = Raw::connect(address(&host)).await;
    raw.send(HEADER).await;
    let features = raw.until("</stream:features>").await;
    assert!(
        features.contains("SCRAM-SHA-256") && !features.contains("PLAIN"),
        "{features}"
    );
    // n,,n=nobody,r=x
    let first = "biwsbj1ub2JvZHkscj14";
    for (text, failure) in [
        (
            format!("<auth xmlns='{sasl}' mechanism='PLAIN'>AGEAYg==</auth>"),
            "encryption-required",
        ),
        (
            format!("<auth xmlns='{sasl}' mechanism='DIGEST-MD5'/>"),
            "invalid-mechanism",
        ),
    ] {
        raw.send(&text).await;
        let answer = raw.until("</failure>").await;
        assert!(answer.contains(failure), "{answer}");
    }
    raw.send(&format!(
        "<auth xmlns='{sasl}' mechanism='SCRAM-SHA-1'>{first}</auth>"
    ))
    .await;
    raw.until("</challenge>").await;
    raw.send(&format!(
        "<response xmlns='{sasl}'>Yz1iaXdzLHI9eCxwPUFBQUE=</response>"
    ))
    .await;
    raw.until("</failure>").await;
    assert!(raw.rest().await.contains("policy-violation"), "three tries");
    let status = counted(&host, "logins_refused", 3).await;
    assert_eq!(status["xmpp"]["counters"]["logins"], 0);
    host.stop().await;
}

/// A host that takes passwords in clear, and a device with this one.
async fn with_account(setup: Setup, serial: &str, password: &str) -> (Host, String) {
    let host = setup
        .config(|config| config.xmpp.plain_without_tls = true)
        .start()
        .await;
    let username = add_account(&host, serial, password).await;
    (host, username)
}

/// Registers a device by a session, and gives it an account.
pub(super) async fn add_account(host: &Host, serial: &str, password: &str) -> String {
    let mut sim = Sim::new(CpeConfig::tr098(serial, &host.url()));
    sim.session().await;
    let id = sim.at().rsplit('/').next().unwrap().to_owned();
    let key = patchbay::device::DeviceKey {
        instance: patchbay::instance::DEFAULT_NAME.into(),
        id: id.as_str().into(),
    };
    let cell = host.acs.store.device(&key).unwrap().unwrap();
    cell.lock().summary_mut(|summary| {
        let mut xmpp = XmppAccount {
            salt: account::new_salt(),
            ..XmppAccount::default()
        };
        let keys = account::derive(&xmpp.salt, password);
        account::promise(&mut xmpp, keys);
        account::answered(&mut xmpp, true);
        summary.xmpp = xmpp;
    });
    host.acs.store.persist(&cell).await.unwrap();
    account::username(&id)
}

#[tokio::test]
async fn a_device_talks_to_nobody_else() {
    let host = setup()
        .config(|config| config.xmpp.plain_without_tls = true)
        .start()
        .await;
    let mut live = Live::start(behind_nat(&host, [])).await;
    online(&host, &live).await;
    live.session().await;
    let victim = host.get(&live.at).await["xmpp"]["username"]
        .as_str()
        .unwrap()
        .to_owned();
    let attacker = add_account(&host, "EVIL1", "secret").await;
    let mut raw = Raw::login(address(&host), &attacker, "secret").await;
    let request = "<connectionRequest xmlns='urn:broadband-forum-org:cwmp:xmppConnReq-1-0'><username>u</username><password>p</password></connectionRequest>";
    for to in [
        format!("{victim}@acs.example/cwmp"),
        "x@other.example".into(),
    ] {
        raw.send(&format!(
            "<iq type='get' id='9' to='{to}' from='acs@acs.example'>{request}</iq>"
        ))
        .await;
        let answer = raw.until("</iq>").await;
        assert!(answer.contains("service-unavailable"), "{answer}");
    }
    raw.send(&format!(
        "<message to='{victim}@acs.example'><body>x</body></message>"
    ))
    .await;
    raw.until("</message>").await;
    // Answers to questions that were not asked of it.
    raw.send("<iq type='result' id='cr0' to='acs@acs.example/patchbay'/>")
        .await;
    raw.send("<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
        .await;
    raw.until("id='p'").await;
    assert_eq!(
        (live.device.xmpp().accepted(), live.device.xmpp().refused()),
        (0, 0)
    );
    counted(&host, "stanzas_refused", 3).await;
    // A bomb after the login ends the stream too.
    raw.send(&format!(
        "<iq type='get' id='1'>{}",
        "<a>x</a>".repeat(20_000)
    ))
    .await;
    assert!(raw.rest().await.contains("policy-violation"));
    host.stop().await;
}

/// Somebody knows the name of a device that is online, and not its password: its stream stays, and stays its own.
#[tokio::test]
async fn a_stream_is_not_taken_over_with_a_wrong_password() {
    let host = setup()
        .config(|config| config.xmpp.plain_without_tls = true)
        .start()
        .await;
    let mut live = Live::start(behind_nat(&host, [])).await;
    let before = online(&host, &live).await["xmpp"].clone();
    live.session().await;
    let username = before["username"].as_str().unwrap();
    for guess in ["", "secret", "00AABB"] {
        let mut raw = Raw::connect(address(&host)).await;
        raw.send(HEADER).await;
        raw.until("</stream:features>").await;
        let text = STANDARD.encode(format!("\0{username}\0{guess}"));
        raw.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{text}</auth>"
        ))
        .await;
        raw.until("<not-authorized/></failure>").await;
        // As if it had not heard that.
        let bind =
            "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>cwmp</resource></bind>";
        raw.send(&format!("<iq type='set' id='b'>{bind}</iq>"))
            .await;
        assert!(raw.rest().await.contains("<not-authorized "));
    }
    assert_eq!(host.get(&live.at).await["xmpp"], before);
    opened(&wake(&host, &live).await);
    let status = host.get("/v1/status").await;
    let counters = &status["xmpp"]["counters"];
    assert_eq!(
        (&counters["logins"], &counters["logins_refused"]),
        (&1.into(), &3.into())
    );
    host.stop().await;
}

#[tokio::test]
async fn a_second_login_takes_the_place_of_the_first() {
    let (host, username) = with_account(setup(), "TWICE1", "secret").await;
    let first = Raw::login(address(&host), &username, "secret").await;
    let second = Raw::login(address(&host), &username, "secret").await;
    assert!(first.rest().await.contains("<conflict "));
    let at = format!("/v1/devices/{}", account::of_username(&username).unwrap());
    assert_eq!(host.get(&at).await["xmpp"]["online"], true);
    drop(second);
    host.until(&at, |device| device["xmpp"]["online"] == false)
        .await;
    host.stop().await;
}
