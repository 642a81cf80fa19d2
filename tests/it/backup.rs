//! A backup made while the host runs is a store again, with everything that was promised.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::harness::{Setup, http, inform};

fn restore(config: &Path, backup: &str) -> (bool, String) {
    let binary = std::env::var_os("PATCHBAY_BIN")
        .expect("PATCHBAY_BIN names no patchbay binary: run these tests with tests/run");
    let binary = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(binary);
    let output = Command::new(binary)
        .arg("restore")
        .arg("--config")
        .arg(config)
        .arg(backup)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn a_backup_is_a_store_again() {
    let host = Setup::new().start().await;
    let body = inform("1", &["0 BOOTSTRAP"]);
    http(host.cwmp, "POST", "/", "", body.as_bytes()).await;
    let device = "/v1/devices/00AABB-Box-1";
    let task = json!({ "operation": { "op": "reboot" } });
    let task = host.post(&format!("{device}/tasks"), task).await;
    host.api("PUT", &format!("{device}/tags/gold"), None).await;
    let backup = host.post("/v1/backups", json!({})).await;
    let file = backup["file"].as_str().unwrap().to_owned();
    let kept = tempfile::NamedTempFile::new().unwrap();
    std::fs::copy(&file, kept.path()).unwrap();
    host.stop().await;

    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("patchbay.toml");
    let data = directory.path().join("data");
    let plugins = directory.path().join("plugins");
    let settings = format!("data_directory = {data:?}\nplugin_directory = {plugins:?}\n");
    std::fs::write(&config, settings).unwrap();
    let kept = kept.path().to_str().unwrap();
    let (done, text) = restore(&config, kept);
    assert!(done, "{text}");

    let again = Setup::new()
        .config(move |c| c.data_directory = data)
        .start()
        .await;
    let restored = again.get(device).await;
    assert_eq!(restored["tags"], json!(["gold"]));
    let path = format!("/v1/tasks/{}", task["id"].as_str().unwrap());
    assert_eq!(again.get(&path).await, task);
    again.stop().await;

    // Not over a store that is there, and not from what is no backup.
    let (done, text) = restore(&config, kept);
    assert!(!done && text.contains("has records"), "{text}");
    let other = directory.path().join("other.toml");
    std::fs::write(
        &other,
        format!("data_directory = {:?}\n", directory.path().join("x")),
    )
    .unwrap();
    let (done, text) = restore(&other, config.to_str().unwrap());
    assert!(
        !done && text.contains("backup") | text.contains("export"),
        "{text}"
    );
}
