//! SIGHUP: what is read again, and what is said of the rest.

use std::io::Write;

use serde_json::Value;

use super::served::Served;

#[tokio::test]
async fn it_says_what_it_did_and_what_takes_a_restart() {
    let served = Served::start("[api]\nwait_seconds_max = 50\n", &[]).await;
    let path = served.directory.path().join("patchbay.toml");
    served.reload();
    served
        .line(&["INFO", "read again; no setting has changed"])
        .await;

    let before = std::fs::read_to_string(&path).unwrap();
    let after = before.replace("wait_seconds_max = 50", "wait_seconds_max = 51");
    std::fs::write(&path, after + "\n[xmpp2]\n").unwrap();
    served.reload();
    let wrong = served.line(&["ERROR", "the configuration is wrong"]).await;
    assert!(wrong.contains("unknown field `xmpp2`"), "{wrong}");

    let after = before.replace("wait_seconds_max = 50", "wait_seconds_max = 51");
    std::fs::write(&path, after).unwrap();
    let mut config = std::fs::File::options().append(true).open(&path).unwrap();
    config
        .write_all(b"\n[instances.acme]\nhosts = ['acme.example']\n")
        .unwrap();
    served.reload();
    let changed = served
        .line(&["WARN", "changed settings take a restart"])
        .await;
    assert!(changed.contains("api.wait_seconds_max"), "{changed}");
    assert!(changed.contains("instances.acme.hosts"), "{changed}");
    assert!(!changed.contains("api.listen"), "{changed}");

    // A plugin that was dropped there meanwhile is looked at before the line comes.
    let plugin = served.directory.path().join("plugins/broken.wasm");
    std::fs::write(plugin, "no component").unwrap();
    served.reload();
    served.line(&["refused", "broken"]).await;
    let (status, _) = served.api("GET", "/v1/devices", &Value::Null).await;
    assert_eq!(status, 200);
    served.terminate();
    assert!(served.ended().await.contains("stopped"));
}
