//! Whether the host is ready, and that it says so before it stops.

use serde_json::{Value, json};

use super::served::{Served, run};
use crate::harness::{Setup, http};

#[tokio::test]
async fn live_and_ready() {
    let host = Setup::shipped().start().await;
    for path in ["/health/live", "/v1/health/live"] {
        let live = http(host.api, "GET", path, "", b"").await;
        assert_eq!(
            (live.status, live.text().as_str()),
            (200, r#"{"live":true}"#)
        );
    }
    let ready = http(host.api, "GET", "/health/ready", "", b"").await;
    assert_eq!(ready.status, 200);
    let ready: Value = serde_json::from_slice(&ready.body).unwrap();
    assert_eq!(ready["ready"], true);
    let checks = ready["checks"].as_array().unwrap();
    let names: Vec<_> = checks
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["running", "listeners", "store", "plugins", "backup"]
    );

    // A plugin that was refused is said, and is no reason to send nobody here.
    std::fs::write(host.plugins.join("broken.wasm"), "no component").unwrap();
    host.reload().await;
    let ready = http(host.api, "GET", "/health/ready", "", b"").await;
    assert_eq!(ready.status, 200);
    assert!(
        ready.text().contains("broken.wasm was refused"),
        "{}",
        ready.text()
    );

    // What takes no writes is not ready.
    host.acs.store.close().await.unwrap();
    let ready = http(host.api, "GET", "/health/ready", "", b"").await;
    assert_eq!(ready.status, 503);
    let ready: Value = serde_json::from_slice(&ready.body).unwrap();
    assert_eq!(
        ready["checks"][2],
        json!({ "name": "store", "ok": false, "text": "the store is closed" })
    );
}

#[tokio::test]
async fn not_ready_comes_before_the_end() {
    let served = Served::start("[shutdown]\ndrain_seconds = 2\n", &[]).await;
    let api = format!("http://{}", served.api);
    let asked = tokio::task::spawn_blocking({
        let api = api.clone();
        move || run(&["health", "--api", &api])
    });
    assert!(asked.await.unwrap().status.success());
    served.terminate();
    served.line(&["about to stop"]).await;
    let ready = http(served.api, "GET", "/health/ready", "", b"").await;
    assert_eq!(ready.status, 503, "{}", ready.text());
    let ready: Value = serde_json::from_slice(&ready.body).unwrap();
    let text = "the host is about to stop";
    assert_eq!(
        ready["checks"][0],
        json!({ "name": "running", "ok": false, "text": text })
    );
    // Devices are served all the same.
    let device = http(served.cwmp, "GET", "/", "", b"").await;
    assert_eq!(device.status, 400);
    let asked = tokio::task::spawn_blocking(move || run(&["health", "--api", &api]));
    let asked = asked.await.unwrap();
    assert!(!asked.status.success());
    assert!(String::from_utf8_lossy(&asked.stderr).contains("about to stop"));
    served.ended().await;
}

/// What systemd is told: sd_notify(3).
#[tokio::test]
async fn systemd_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let environment = [
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "300000"),
    ];
    let served = Served::start("", &environment).await;
    let mut heard = Vec::new();
    let mut hear = async |wanted: &str| {
        let listen = async {
            loop {
                let mut bytes = [0; 256];
                let count = socket.recv(&mut bytes).await.unwrap();
                let state = String::from_utf8_lossy(&bytes[..count]).trim().to_owned();
                heard.push(state.clone());
                if state == wanted {
                    return heard.len();
                }
            }
        };
        let heard = tokio::time::timeout(crate::harness::PATIENCE, listen).await;
        heard.unwrap_or_else(|_| panic!("no {wanted}"))
    };
    assert_eq!(hear("READY=1").await, 1);
    hear("WATCHDOG=1").await;
    hear("WATCHDOG=1").await;
    served.terminate();
    hear("STOPPING=1").await;
    served.ended().await;
}
