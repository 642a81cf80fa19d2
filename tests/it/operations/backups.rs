//! What is in a backup, and that what is damaged is refused.

use serde_json::{Value, json};

use super::served::{Served, run};
use crate::harness::{TOKEN, guests, http, inform};

fn text(output: std::process::Output) -> (bool, String) {
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn everything_comes_back_and_nothing_that_is_damaged_does() {
    let served = Served::start("", &[]).await;
    let body = inform("1", &["0 BOOTSTRAP"]);
    http(served.cwmp, "POST", "/", "", body.as_bytes()).await;
    let device = "/v1/devices/00AABB-Box-1";
    let (status, _) = served
        .api("PUT", &format!("{device}/tags/gold"), &Value::Null)
        .await;
    assert!(status < 300);
    let firmware: Vec<u8> = (0..300_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let headers =
        format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/octet-stream\r\n");
    let path = "/v1/files?name=fw.bin&type=1%20Firmware%20Upgrade%20Image&version=2";
    let file = http(served.api, "POST", path, &headers, &firmware).await;
    assert_eq!(file.status, 201, "{}", file.text());
    let file: Value = serde_json::from_slice(&file.body).unwrap();
    let file = format!("/v1/files/{}", file["id"].as_str().unwrap());
    // A plugin that was uploaded, with its settings.
    let wasm = std::fs::read(guests().join("shipped/first-contact.wasm")).unwrap();
    let headers_of_wasm = format!("Authorization: Bearer {TOKEN}\r\n");
    let put = http(
        served.api,
        "PUT",
        "/v1/plugins/mine",
        &headers_of_wasm,
        &wasm,
    )
    .await;
    assert!(put.status < 300, "{}", put.text());
    let settings = "priority = 7\n";
    let plugins = served.directory.path().join("plugins");
    std::fs::write(plugins.join("mine.toml"), settings).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let backup = directory.path().join("kept.backup");
    let made = tokio::task::spawn_blocking({
        let (api, backup) = (format!("http://{}", served.api), backup.clone());
        move || {
            run(&[
                "backup",
                "--api",
                &api,
                "--token",
                TOKEN,
                "--output",
                backup.to_str().unwrap(),
            ])
        }
    });
    let (is_made, told) = text(made.await.unwrap());
    assert!(is_made, "{told}");
    let (_, listed) = served.api("GET", "/v1/backups", &Value::Null).await;
    let whole = std::fs::read(&backup).unwrap();
    assert_eq!(listed["items"][0]["bytes"], whole.len());
    served.terminate();
    let log = served.ended().await;
    assert!(log.contains("a backup was made"), "{log}");

    // Cut anywhere, or with a bit that is another one: said, and nothing is written.
    let config = directory.path().join("patchbay.toml");
    let data = directory.path().join("data");
    let plugins = directory.path().join("plugins");
    let text_of_config = format!("data_directory = {data:?}\nplugin_directory = {plugins:?}\n");
    std::fs::write(&config, text_of_config).unwrap();
    let damaged = directory.path().join("damaged.backup");
    let restore = |backup: &std::path::Path| {
        let (config, backup) = (config.to_str().unwrap(), backup.to_str().unwrap());
        text(run(&["restore", "--config", config, backup]))
    };
    for part in [
        0,
        3,
        16,
        17,
        40,
        whole.len() / 3,
        whole.len() / 2,
        whole.len() - 1,
    ] {
        std::fs::write(&damaged, &whole[..part]).unwrap();
        let (is_restored, told) = restore(&damaged);
        assert!(
            !is_restored && told.contains("it ends after"),
            "{part}: {told}"
        );
        let mut flipped = whole.clone();
        flipped[part] ^= 0x10;
        std::fs::write(&damaged, &flipped).unwrap();
        let (is_restored, told) = restore(&damaged);
        let is_told = told.contains("damaged") || told.contains("no backup of Patchbay");
        assert!(!is_restored && is_told, "{part}: {told}");
        assert!(!data.exists(), "{part}: something was written");
        assert!(!plugins.exists(), "{part}: something was written");
    }

    let (is_restored, told) = restore(&backup);
    assert!(is_restored, "{told}");
    assert!(told.contains("1 contents of files"), "{told}");
    assert_eq!(std::fs::read(plugins.join("mine.wasm")).unwrap(), wasm);
    assert_eq!(
        std::fs::read_to_string(plugins.join("mine.toml")).unwrap(),
        settings
    );
    let (is_restored, told) = restore(&backup);
    assert!(!is_restored && told.contains("has records"), "{told}");

    // What is in the plugins' directory stays, and is told; unless it is to go.
    let restore_again = |more: &[&str]| {
        std::fs::remove_dir_all(&data).unwrap();
        let mut arguments = vec!["restore", "--config", config.to_str().unwrap()];
        arguments.extend(more);
        arguments.push(backup.to_str().unwrap());
        text(run(&arguments))
    };
    std::fs::write(plugins.join("mine.toml"), "priority = 8\n").unwrap();
    std::fs::write(plugins.join("other.toml"), "").unwrap();
    let (is_restored, told) = restore_again(&[]);
    assert!(is_restored, "{told}");
    for part in [
        "--replace-plugins takes those): mine.toml",
        "not in the backup: other.toml",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let settings_now = || std::fs::read_to_string(plugins.join("mine.toml")).unwrap();
    assert_eq!(settings_now(), "priority = 8\n");
    let (is_restored, told) = restore_again(&["--replace-plugins"]);
    assert!(
        is_restored && told.contains("replaced by those of the backup: mine.toml"),
        "{told}"
    );
    assert_eq!(settings_now(), settings);
    let again = Served::start_in(&data, "", &[]).await;
    let (_, restored) = again.api("GET", device, &Value::Null).await;
    assert_eq!(restored["tags"], json!(["gold"]), "{restored}");
    let headers = format!("Authorization: Bearer {TOKEN}\r\n");
    let content = http(again.api, "GET", &format!("{file}/content"), &headers, b"").await;
    assert!(content.body == firmware, "{}", content.head);
    let audit = std::fs::read_dir(data.join("store/audit")).unwrap();
    let bytes: u64 = audit
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes > 100, "the audit log is {bytes} bytes long");
}
