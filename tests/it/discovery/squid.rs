//! Squid with the printed configuration between the ACS and a device.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Peer, open_directory, run, snippet};
use crate::harness::{free_port, http_from};

/// Squid in a directory of its own, with what the command has printed.
async fn start(directory: &Path, options: &[&str]) -> (Peer, SocketAddr) {
    let port = free_port();
    let listen = format!("listen={port}");
    let printed = snippet("squid", "", &[options, &[listen.as_str()]].concat());
    std::fs::write(directory.join("patchbay.conf"), printed).unwrap();
    let at = directory.display();
    // Where Debian's Squid has other places for them, and what keeps its start and end short.
    let whole = format!(
        "include {at}/patchbay.conf\npid_filename {at}/pid\ncache_log {at}/cache.log\n\
         access_log stdio:{at}/access.log\ncoredump_dir {at}\nvisible_hostname proxy.test\n\
         pinger_enable off\nshutdown_lifetime 0 seconds\n"
    );
    let conf = directory.join("squid.conf");
    std::fs::write(&conf, whole).unwrap();
    let checked = run(
        Command::new("squid").args(["-k", "parse", "-f"]).arg(&conf),
        "squid",
    );
    let said = String::from_utf8_lossy(&checked.stderr);
    let complaint = ["WARNING", "ERROR", "FATAL"]
        .iter()
        .any(|word| said.contains(word));
    assert!(checked.status.success() && !complaint, "{said}");
    let mut peer = Peer::start(Command::new("squid").args(["-N", "-f"]).arg(&conf), "squid");
    peer.ready(port).await;
    (peer, SocketAddr::from(([127, 0, 0, 1], port)))
}

/// A device that answers connection requests, and would have them cached; what it was asked.
async fn device() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let count = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..count]).into_owned();
            kept.lock().unwrap().push(head);
            let answer = "HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (port, heads)
}

async fn ask(proxy: SocketAddr, from: &str, method: &str, url: &str, headers: &str) -> u16 {
    let from = Some(from.parse().unwrap());
    http_from(from, proxy, method, url, headers, b"")
        .await
        .status
}

#[tokio::test]
async fn connection_requests_pass_and_nothing_else() {
    let (port, heads) = device().await;
    let url = format!("http://127.0.0.1:{port}/cr");
    let (_keep, directory) = open_directory();
    let options = ["senders=127.0.0.1,127.0.0.2", "devices=127.0.0.0/8"];
    let (_squid, proxy) = start(&directory, &options).await;
    // Each reaches the device, whatever it says of keeping its answers.
    for (count, from) in [(1, "127.0.0.1"), (2, "127.0.0.2")] {
        assert_eq!(ask(proxy, from, "GET", &url, "").await, 200);
        let heads = heads.lock().unwrap();
        assert_eq!(heads.len(), count);
        let head = heads.last().unwrap().to_ascii_lowercase();
        assert!(head.starts_with("get /cr http/1.1\r\n"), "{head}");
        assert!(!head.contains("\r\nx-forwarded-for:"), "{head}");
    }
    for (from, method, url) in [
        ("127.0.0.9", "GET", url.as_str()),
        ("127.0.0.1", "POST", url.as_str()),
        ("127.0.0.1", "CONNECT", &format!("127.0.0.1:{port}")),
        ("127.0.0.1", "CONNECT", "127.0.0.1:443"),
        ("127.0.0.1", "GET", "http://127.0.0.1:80/cr"),
        ("127.0.0.1", "GET", "http://192.0.2.1:7547/cr"),
    ] {
        assert_eq!(
            ask(proxy, from, method, url, "").await,
            403,
            "{from} {method} {url}"
        );
    }
    assert_eq!(heads.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_proxy_that_wants_a_password() {
    let (port, heads) = device().await;
    let url = format!("http://127.0.0.1:{port}/cr");
    let (_keep, directory) = open_directory();
    let passwords = directory.join("passwords");
    let hashed = run(
        Command::new("openssl").args(["passwd", "-apr1", "a-password"]),
        "openssl",
    );
    let line = format!("acs:{}", String::from_utf8(hashed.stdout).unwrap());
    std::fs::write(&passwords, line).unwrap();
    let options = [
        "senders=127.0.0.1",
        "devices=127.0.0.0/8",
        &format!("passwords={}", passwords.display()),
    ];
    let (_squid, proxy) = start(&directory, &options).await;
    // acs:a-password, acs:another
    for (login, status) in [
        ("", 407),
        ("YWNzOmFub3RoZXI=", 407),
        ("YWNzOmEtcGFzc3dvcmQ=", 200),
    ] {
        let header = match login {
            "" => String::new(),
            login => format!("Proxy-Authorization: Basic {login}\r\n"),
        };
        assert_eq!(
            ask(proxy, "127.0.0.1", "GET", &url, &header).await,
            status,
            "{login}"
        );
    }
    // Who is not the ACS is not even asked for one.
    assert_eq!(ask(proxy, "127.0.0.9", "GET", &url, "").await, 403);
    assert_eq!(heads.lock().unwrap().len(), 1);
}

/// Without networks of devices, all but the proxy itself.
#[tokio::test]
async fn the_proxy_itself_is_no_device() {
    let (port, heads) = device().await;
    let (_keep, directory) = open_directory();
    let (_squid, proxy) = start(&directory, &["senders=127.0.0.1"]).await;
    let url = format!("http://127.0.0.1:{port}/cr");
    assert_eq!(ask(proxy, "127.0.0.1", "GET", &url, "").await, 403);
    assert_eq!(heads.lock().unwrap().len(), 0);
}
