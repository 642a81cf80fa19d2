//! Streams that lead to nothing.

use std::net::{Ipv4Addr, SocketAddr};

use cpe_sim::{FleetConfig, Vendor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep, timeout};

use super::child::Child;
use crate::harness::{Live, PATIENCE};
use crate::xmpp::raw::{HEADER, Raw};

/// What all of a test's connections may cost the host's memory for good.
const GROWTH_KIB_MAX: u64 = 8 << 10;
/// What one connection may cost while it is there, before it has said who it is.
const STRANGER_KIB_MAX: u64 = 64;

async fn start(settings: &str) -> (Child, SocketAddr) {
    let mut child = Child::start(&format!(
        "[stun]\nenabled = false\n\
         [xmpp]\nmode = \"embedded\"\ndomain = \"acs.example\"\nhost = \"127.0.0.1\"\nlisten = [\"127.0.0.1:0\"]\n\
         plain_without_tls = true\n{settings}"
    ))
    .await;
    let address = child.listener("XMPP address=").await.unwrap();
    // What the start and the first request cost is not what a flood costs.
    child.get("/v1/status").await;
    (child, address)
}

async fn connect(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Reads until the server closes.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    // Reset or closed: it is over.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut read))
        .await
        .expect("it stays open");
    read
}

/// 48 MB on each of many connections, if they were taken.
#[tokio::test]
async fn junk_without_end() {
    const BYTES: usize = 48 << 20;
    const ROUNDS: u8 = 20;
    let (child, address) = start("").await;
    let junk = [
        "<a b='ccccccccccccccccccccccccccccccc'>".repeat(1600),
        "x".repeat(65_536),
        "<a>".repeat(20_000),
        "<a/>".repeat(16_000),
        format!("<a{}", " b='c'".repeat(10_000)),
        format!("<{}", "a".repeat(65_536)),
    ];
    let (mut before, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        if round == ROUNDS / 4 {
            before = child.memory();
        }
        for junk in &junk {
            let mut stream = connect(Ipv4Addr::new(127, 0, 1, round), address).await;
            let mut sent = 0;
            stream.write_all(HEADER.as_bytes()).await.unwrap();
            while sent < BYTES && stream.write_all(junk.as_bytes()).await.is_ok() {
                sent += junk.len();
            }
            assert!(sent < BYTES, "all of it was taken: {:.20}", junk);
            refused += 1;
        }
    }
    child.counted("xmpp", "streams_refused", refused).await;
    child.assert_flat(before, GROWTH_KIB_MAX);
    assert_eq!(child.get("/v1/status").await["xmpp"]["connections"], 0);
}

/// A byte now and then, on many connections: each has its time, and as much memory as its stanza may have.
#[tokio::test]
async fn slow_logins() {
    const CONNECTIONS: u8 = 200;
    let (child, address) = start("login_seconds_max = 3\n").await;
    let before = child.memory();
    let mut strangers = JoinSet::new();
    for number in 0..CONNECTIONS {
        strangers.spawn(async move {
            let mut stream = connect(Ipv4Addr::new(127, 0, 2, number), address).await;
            // The longest stanza that is not too long, and never its end.
            let stanza = format!("{HEADER}<a b='{}", "x".repeat(8000));
            stream.write_all(stanza.as_bytes()).await.unwrap();
            while stream.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(200)).await;
            }
        });
    }
    sleep(Duration::from_secs(1)).await;
    let while_there = child.memory().saturating_sub(before);
    println!("{while_there} KiB for {CONNECTIONS} slow connections");
    assert!(
        while_there <= STRANGER_KIB_MAX * u64::from(CONNECTIONS),
        "{while_there} KiB"
    );
    while strangers.join_next().await.is_some() {}
    let late = child
        .counted("xmpp", "logins_late", CONNECTIONS.into())
        .await;
    assert_eq!(late, u64::from(CONNECTIONS));
    assert_eq!(child.get("/v1/status").await["xmpp"]["connections"], 0);
}

/// One address has its limit; others do not hear of it.
#[tokio::test]
async fn connections_of_one_address() {
    const CONNECTIONS: usize = 2_000;
    const ADMITTED: u64 = 50;
    let (child, address) = start(&format!("logins_per_address_max = {ADMITTED}\n")).await;
    let (mut kept, mut before) = (Vec::new(), 0);
    for number in 0..CONNECTIONS {
        if number == CONNECTIONS / 4 {
            before = child.memory();
        }
        let mut stream = connect(Ipv4Addr::new(127, 0, 3, 1), address).await;
        if (number as u64) < ADMITTED {
            kept.push(stream);
        } else {
            assert_eq!(rest(&mut stream).await, b"");
        }
    }
    let turned_away = child.counted("xmpp", "turned_away", 0).await;
    assert_eq!(turned_away, CONNECTIONS as u64 - ADMITTED);
    let status = child.get("/v1/status").await;
    assert_eq!(status["xmpp"]["connections"], ADMITTED);
    child.assert_flat(before, GROWTH_KIB_MAX);
    let mut honest = Raw::connect(address).await;
    honest.send(HEADER).await;
    honest.until("</stream:features>").await;
}

/// A device that was taken over has its own account, and no more than that.
#[tokio::test]
async fn bombs_of_a_device() {
    let (mut child, address) = start("").await;
    let cwmp = child.listener("devices address=").await.unwrap();
    let live = Live::start(FleetConfig {
        announce_host: Some("192.168.1.1".into()),
        boot_time: Duration::from_millis(50),
        ..FleetConfig::single(&format!("http://{cwmp}/"), Vendor::tr181())
    })
    .await;
    let row = |name: &'static str| {
        let path = format!("Device.XMPP.Connection.1.{name}");
        let device = &live.device;
        async move {
            device
                .with(move |cpe, now| cpe.get(&path, now).unwrap())
                .await
        }
    };
    let (username, password) = (row("Username").await, row("Password").await);
    let iq = |payload: &str| format!("<iq type='get' id='1'>{payload}</iq>");
    let attributes: String = (0..9_000).map(|n| format!(" a{n}=''")).collect();
    let bombs = [
        iq(&"<a>".repeat(100_000)),
        iq(&format!("<a{attributes}{attributes}/>")),
        iq(&format!("<a b='{}'/>", "x".repeat(1 << 20))),
        iq(&"<a>x</a>".repeat(100_000)),
        iq(&"x".repeat(1 << 20)),
        iq("&lol;"),
        "<!DOCTYPE a [<!ENTITY lol 'lol'>]>".to_owned(),
        "<?target data?>".to_owned(),
        "<a:b/>".to_owned(),
    ];
    const ROUNDS: usize = 24;
    let mut before = 0;
    for round in 0..ROUNDS {
        if round == ROUNDS / 4 {
            before = child.memory();
        }
        for bomb in &bombs {
            let mut raw = Raw::login(address, &username, &password).await;
            raw.send(bomb).await;
            let answer = raw.rest().await;
            let ended = ["policy-violation", "not-well-formed"];
            // Of a stream that was refused while more came, the reason may be lost with the rest.
            let told = ended.iter().any(|condition| answer.contains(condition));
            assert!(told || bomb.len() > 1 << 16, "{bomb:.40} {answer}");
        }
    }
    let refused = (ROUNDS * bombs.len()) as u64;
    child.counted("xmpp", "streams_refused", refused).await;
    child.assert_flat(before, GROWTH_KIB_MAX);
}
