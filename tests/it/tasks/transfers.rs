//! Download and Upload: done when the device tells their end.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use cpe_sim::{CpeConfig, Oddity};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{both, device, done, failed, of, queue, run, task};
use crate::harness::{Setup, codes};

/// What came to the file server: method, path and body.
pub(super) type Requests = Arc<Mutex<Vec<(String, String, String)>>>;

/// A file server: any path but `/missing` is a firmware image, and takes what is put there.
pub(super) async fn file_server() -> (SocketAddr, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Requests::default();
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let head = loop {
                let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
                let head = String::from_utf8_lossy(&bytes).to_lowercase();
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length:"));
                let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
                match end {
                    Some(end) if bytes.len() >= end + 4 + length => break end + 4,
                    _ => assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0),
                }
            };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let mut words = text.split(' ').map(str::to_owned);
            let (method, path) = (words.next().unwrap(), words.next().unwrap());
            let answer = match path.as_str() {
                "/missing" => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nversion=9.9.9\n",
            };
            seen.lock()
                .unwrap()
                .push((method, path, text[head..].to_owned()));
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, requests)
}

fn download(files: SocketAddr, path: &str) -> Value {
    json!({
        "op": "download", "file_type": "1 Firmware Upgrade Image", "url": format!("http://{files}{path}"),
        "username": "u", "password": "hidden-word", "file_size": 14,
    })
}

#[tokio::test]
async fn download_and_upload() {
    let host = Setup::new().start().await;
    let (files, requests) = file_server().await;
    for vendor in both() {
        let sim = &mut of(&host, vendor).await;
        let (task, sessions) = run(&host, sim, download(files, "/image")).await;
        assert_eq!(task["state"], "done", "{task}");
        assert!(!task.to_string().contains("hidden-word"), "{task}");
        assert!(
            task["result"]["complete_time"]
                .as_str()
                .unwrap()
                .starts_with("20"),
            "{task}"
        );
        let events = codes(&sessions[1]);
        assert_eq!(events, ["1 BOOT", "7 TRANSFER COMPLETE", "M Download"]);
        assert_eq!(sessions[1].record.requests_answered, 1);
        assert_eq!(sim.cpe.software_version(), "9.9.9");
        assert_eq!(host.get(&sim.at()).await["software_version"], "9.9.9");

        let error = failed(&host, sim, download(files, "/missing")).await;
        assert_eq!(error["code"], 9016, "{error}");

        let upload = json!({
            "op": "upload", "file_type": "1 Vendor Configuration File", "url": format!("http://{files}/config"),
        });
        done(&host, sim, upload).await;
        let (method, path, body) = requests.lock().unwrap().pop().unwrap();
        assert_eq!((method.as_str(), path.as_str()), ("PUT", "/config"));
        assert!(
            body.contains("ManagementServer.PeriodicInformInterval="),
            "{body}"
        );
    }
    host.stop().await;
}

#[tokio::test]
async fn a_transfer_is_under_way_until_its_end_is_told() {
    let host = Setup::new().start().await;
    let (files, _) = file_server().await;
    for (oddity, state) in [
        (Oddity::TransferWithoutKey, "done"),
        (Oddity::TransferTwice, "done"),
        (Oddity::TransferNever, "sent"),
    ] {
        let config = CpeConfig::tr181(&format!("{oddity:?}"), "").with(oddity);
        let sim = &mut device(&host, config).await;
        let id = queue(&host, sim, download(files, "/image")).await;
        sim.periodic().await;
        assert_eq!(task(&host, &id).await["state"], "sent");
        // Another session in between, with other work in it, is not its end.
        let get = queue(
            &host,
            sim,
            json!({ "op": "get", "paths": [sim.path("Time.Enable")] }),
        )
        .await;
        sim.session().await;
        assert_eq!(task(&host, &id).await["state"], "sent");
        assert_eq!(task(&host, &get).await["state"], "done");
        sim.settle().await;
        assert_eq!(sim.cpe.software_version(), "9.9.9");
        let task = task(&host, &id).await;
        assert_eq!(
            (&task["state"], &task["attempts"]),
            (&state.into(), &1.into()),
            "{oddity:?}: {task}"
        );
        assert_eq!(sim.cpe.times_served("Download"), 1);
    }
    host.stop().await;
}
