//! nginx with the printed configuration between the devices and the host.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cpe_sim::{CpeConfig, Vendor};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::{Peer, open_directory, run, snippet};
use crate::files;
use crate::harness::{Host, Setup, Sim, codes, free_port, http, rpcs};
use crate::tls::Files;

/// nginx in a directory of its own, with what the command has printed.
pub async fn start(directory: &Path, printed: &str, port: u16) -> Peer {
    std::fs::write(directory.join("patchbay.conf"), printed).unwrap();
    let at = directory.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {at}/{what};\n"))
        .concat();
    let whole = format!(
        "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log info;\n\
         events {{}}\nhttp {{ access_log {at}/access.log;\n{temporary}include {at}/patchbay.conf; }}\n"
    );
    let conf = directory.join("nginx.conf");
    std::fs::write(&conf, whole).unwrap();
    let nginx = || {
        let mut nginx = Command::new("nginx");
        nginx
            .arg("-c")
            .arg(&conf)
            .arg("-e")
            .arg(directory.join("error.log"));
        nginx
    };
    let checked = run(nginx().arg("-t"), "nginx-light");
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(
        checked.status.success() && !said.contains("[warn]"),
        "{said}"
    );
    let mut peer = Peer::start(&mut nginx(), "nginx-light");
    peer.ready(port).await;
    peer
}

/// Passes connections on, and counts them.
async fn counting(to: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, count) = (
        listener.local_addr().unwrap(),
        Arc::new(AtomicUsize::new(0)),
    );
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut to = TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    (address, count)
}

fn setup() -> Setup {
    Setup::new()
        .plugin("shipped", "nat-default")
        .config(|config| config.cwmp.trusted_proxies = vec!["127.0.0.1".parse().unwrap()])
}

/// A device that reaches nginx at that address and port, and comes from that address.
fn device(serial: &str, nginx: SocketAddr, from: &str) -> Sim {
    let mut sim = Sim::new(CpeConfig {
        connection_request_url: format!("http://{from}:7547/cr"),
        ..CpeConfig::of(Vendor::tr181(), serial, &format!("http://{nginx}/"))
    });
    if nginx.is_ipv4() {
        sim.options.local_address = Some(from.parse().unwrap());
    }
    sim.options.connect_to = Some(nginx);
    sim
}

async fn get_serial(host: &Host, sim: &Sim) -> String {
    let get = json!({ "operation": { "op": "get", "paths": ["Device.DeviceInfo.SerialNumber"] } });
    let task = host.post(&format!("{}/tasks", sim.at()), get).await;
    format!("/v1/tasks/{}", task["id"].as_str().unwrap())
}

#[tokio::test]
async fn two_devices_on_one_connection_to_the_acs() {
    let host = setup().start().await;
    let (counting, connections) = counting(host.cwmp).await;
    let (_keep, directory) = open_directory();
    let port = free_port();
    let toml = format!("[cwmp]\nlisten = ['{counting}']");
    let printed = snippet("nginx", &toml, &[&format!("listen={port}")]);
    for line in [
        "keepalive 10;",
        "proxy_socket_keepalive on;",
        "proxy_read_timeout 100s;",
    ] {
        assert!(printed.contains(line), "{printed}");
    }
    let _nginx = start(&directory, &printed, port).await;
    let nginx = SocketAddr::from(([127, 0, 0, 1], port));

    let mut first = device("N1", nginx, "127.0.0.2");
    let mut second = device("N2", nginx, "127.0.0.3");
    for sim in [&mut first, &mut second] {
        sim.session().await;
    }
    // What the client wrote into the header itself is not believed.
    first.options.extra_headers = vec![("X-Forwarded-For".into(), "6.6.6.6".into())];
    first.session().await;
    for (sim, address) in [(&first, "127.0.0.2"), (&second, "127.0.0.3")] {
        let device = host.get(&sim.at()).await;
        assert_eq!(device["peer_address"], address);
        assert_eq!(
            device["reachability"]["mode"], "direct-http",
            "{}",
            device["reachability"]
        );
        assert_eq!(device["reachability"]["facts"]["through_proxy"], true);
    }

    // Their next sessions, post by post in turn: one connection carries both, the cookies tell them apart.
    let tasks = [
        get_serial(&host, &first).await,
        get_serial(&host, &second).await,
    ];
    let before = connections.load(Ordering::SeqCst);
    assert_eq!(before, 1, "all sessions so far");
    first.later(std::time::Duration::from_secs(86_400));
    second.later(std::time::Duration::from_secs(86_400));
    for sim in [&mut first, &mut second] {
        assert_eq!(sim.cpe.poll(sim.now()), cpe_sim::Due::Session);
        assert!(sim.post(&host).await.contains("InformResponse"));
    }
    for sim in [&mut first, &mut second] {
        assert!(sim.post(&host).await.contains("GetParameterValues"));
    }
    for sim in [&mut first, &mut second] {
        assert_eq!(sim.post(&host).await, "", "204");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    for (task, serial) in std::iter::zip(&tasks, ["N1", "N2"]) {
        let task = host.get(task).await;
        assert_eq!(task["state"], "done", "{task}");
        assert_eq!(task["result"]["parameters"][0]["value"], serial);
    }

    // A file: its URL is at the name that the device knows.
    let file = files::bring(
        &host,
        "name=fw.bin&type=firmware&version=9.9",
        &[7; 200_000],
    )
    .await;
    let download = json!({ "operation": { "op": "download", "file": file["id"] } });
    let task = host.post(&format!("{}/tasks", second.at()), download).await;
    let session = second.periodic().await;
    let asked = session.served("Download").next().unwrap();
    let cwmp::Request::Download(asked) = &asked.request else {
        panic!("{asked:?}")
    };
    assert!(
        asked.url.starts_with(&format!("http://{nginx}/files/")),
        "{}",
        asked.url
    );
    let sessions = second.settle().await;
    assert!(
        sessions
            .iter()
            .any(|session| codes(session).contains(&"7 TRANSFER COMPLETE"))
    );
    let task = host
        .get(&format!("/v1/tasks/{}", task["id"].as_str().unwrap()))
        .await;
    assert_eq!(
        (&task["state"], &task["error"]),
        (&json!("done"), &Value::Null),
        "{task}"
    );
    // And one that it sends.
    let upload =
        json!({ "operation": { "op": "upload", "file_type": "1 Vendor Configuration File" } });
    let task = host.post(&format!("{}/tasks", second.at()), upload).await;
    second.periodic().await;
    second.settle().await;
    let task = host
        .get(&format!("/v1/tasks/{}", task["id"].as_str().unwrap()))
        .await;
    assert_eq!(task["state"], "done", "{task}");

    // Over IPv6 too; a browser sees what it sees at the ACS itself.
    let v6 = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
    let mut third = device("N3", v6, "[::1]");
    third.session().await;
    assert_eq!(host.get(&third.at()).await["peer_address"], "::1");
    assert_eq!(rpcs(&third.periodic().await), [""; 0]);
    let answer = http(nginx, "GET", "/", "", b"").await;
    assert_eq!(
        (answer.status, answer.text().contains("Bad Request")),
        (400, true)
    );
    host.stop().await;
}

#[tokio::test]
async fn tls_towards_the_acs_for_devices_that_know_none() {
    let certificates = Files::new();
    let host = certificates
        .setup()
        .config(|config| config.cwmp.trusted_proxies = vec!["127.0.0.1".parse().unwrap()])
        .start()
        .await;
    let upstream = format!("localhost:{}", host.tls.unwrap().port());
    let other = Files::new();
    for (ca, is_trusted) in [
        (certificates.path("ca.pem"), true),
        (other.path("ca.pem"), false),
    ] {
        let (_keep, directory) = open_directory();
        let port = free_port();
        let options = [
            "tls=yes".to_owned(),
            format!("upstream={upstream}"),
            format!("listen={port}"),
            format!("ca={}", ca.display()),
        ];
        let printed = snippet("nginx", "", &options.each_ref().map(String::as_str));
        let _nginx = start(&directory, &printed, port).await;
        let nginx = SocketAddr::from(([127, 0, 0, 1], port));
        if !is_trusted {
            let answer = http(nginx, "GET", "/", "", b"").await;
            assert_eq!(answer.status, 502, "nginx does not trust this one");
            continue;
        }
        let mut sim = device("S1", nginx, "127.0.0.2");
        sim.session().await;
        assert_eq!(host.get(&sim.at()).await["peer_address"], "127.0.0.2");
        let task = get_serial(&host, &sim).await;
        sim.periodic().await;
        assert_eq!(host.get(&task).await["state"], "done");
        // The device knows no TLS: its files come without.
        let file = files::bring(&host, "name=fw.bin&type=firmware&version=9.9", b"new").await;
        let download = json!({ "operation": { "op": "download", "file": file["id"] } });
        host.post(&format!("{}/tasks", sim.at()), download).await;
        let session = sim.periodic().await;
        let asked = session.served("Download").next().unwrap();
        let cwmp::Request::Download(asked) = &asked.request else {
            panic!("{asked:?}")
        };
        assert!(
            asked.url.starts_with(&format!("http://{nginx}/files/")),
            "{}",
            asked.url
        );
    }
    host.stop().await;
}
