//! The rarer RPCs: the queue of transfers, scheduled downloads, software modules, vouchers.

use std::time::Duration;

use cpe_sim::{CpeConfig, Oddity, Vendor};
use cwmp::{AutonomousDuResult, AutonomousTransferComplete, Kicked};
use serde_json::{Value, json};

use super::transfers::file_server;
use super::{device, done, failed, of, queue, run, task};
use crate::harness::{Host, Setup, Sim, codes, rpcs};

const UUID: &str = "01234567-89ab-cdef-0123-456789abcdef";

fn install(files: std::net::SocketAddr, path: &str) -> Value {
    json!({ "op": "change-du-state", "changes": [
        { "change": "install", "uuid": UUID, "url": format!("http://{files}{path}"), "password": "hidden-word" },
    ] })
}

#[tokio::test]
async fn modules_come_and_go() {
    let host = Setup::new().start().await;
    let (files, _) = file_server().await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    let (task, sessions) = run(&host, sim, install(files, "/module")).await;
    assert_eq!(task["state"], "done", "{task}");
    assert!(!task.to_string().contains("hidden-word"), "{task}");
    let unit = &task["result"]["units"][0];
    assert_eq!(
        (&unit["uuid"], &unit["state"], &unit["version"]),
        (&UUID.into(), &"Installed".into(), &"9.9.9".into())
    );
    assert_eq!(
        codes(&sessions[1]),
        ["11 DU STATE CHANGE COMPLETE", "M ChangeDUState"]
    );

    // One of two operations fails: both results are told, and the first failure.
    let twice = json!({ "op": "change-du-state", "changes": [
        { "change": "install", "uuid": UUID, "url": format!("http://{files}/module") },
        { "change": "uninstall", "uuid": UUID },
    ] });
    let (task, _) = run(&host, sim, twice).await;
    assert_eq!(task["state"], "failed", "{task}");
    assert_eq!(task["error"]["code"], 9026, "{task}");
    assert_eq!(task["result"]["units"][0]["fault"]["code"], 9026);
    assert_eq!(task["result"]["units"][1]["state"], "Uninstalled");
    host.stop().await;
}

#[tokio::test]
async fn a_change_without_a_key_and_one_that_is_never_told() {
    let host = Setup::new().start().await;
    let (files, _) = file_server().await;
    for (oddity, state) in [
        (Oddity::TransferWithoutKey, "done"),
        (Oddity::TransferNever, "sent"),
    ] {
        let config = CpeConfig::tr181(&format!("{oddity:?}"), "").with(oddity);
        let sim = &mut device(&host, config).await;
        let id = queue(&host, sim, install(files, "/module")).await;
        sim.periodic().await;
        assert_eq!(task(&host, &id).await["state"], "sent");
        sim.settle().await;
        let task = task(&host, &id).await;
        assert_eq!(
            (&task["state"], &task["attempts"]),
            (&state.into(), &1.into()),
            "{oddity:?}: {task}"
        );
    }
    host.stop().await;
}

fn scheduled(files: std::net::SocketAddr, path: &str) -> Value {
    json!({
        "op": "schedule-download", "file_type": "1 Firmware Upgrade Image",
        "url": format!("http://{files}{path}"), "password": "hidden-word",
        "windows": [{ "start_seconds": 600, "end_seconds": 900 }],
    })
}

async fn transfers(host: &Host, sim: &mut Sim) -> Value {
    done(host, sim, json!({ "op": "queued-transfers" })).await["transfers"].clone()
}

#[tokio::test]
async fn a_scheduled_download_waits_in_the_queue() {
    let host = Setup::new().start().await;
    let (files, _) = file_server().await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    let id = queue(&host, sim, scheduled(files, "/image")).await;
    sim.periodic().await;
    assert_eq!(task(&host, &id).await["state"], "sent");
    let asked = json!({ "op": "queued-transfers" });
    let waiting = queue(&host, sim, asked).await;
    assert!(sim.cpe.connection_request(sim.now()));
    sim.session().await;
    let queued = task(&host, &waiting).await["result"]["transfers"].clone();
    assert_eq!(
        queued,
        json!([{
            "command_key": id, "state": "not-started", "direction": "download",
            "file_type": "1 Firmware Upgrade Image", "file_size": 0, "target_file_name": "",
        }])
    );
    sim.later(Duration::from_secs(600));
    sim.settle().await;
    let ended = task(&host, &id).await;
    assert_eq!(ended["state"], "done", "{ended}");
    assert!(!ended.to_string().contains("hidden-word"), "{ended}");
    assert_eq!(sim.cpe.software_version(), "9.9.9");
    assert_eq!(transfers(&host, sim).await, json!([]));
    host.stop().await;
}

#[tokio::test]
async fn a_transfer_is_cancelled() {
    let host = Setup::new().start().await;
    let (files, _) = file_server().await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    let id = queue(&host, sim, scheduled(files, "/image")).await;
    sim.periodic().await;
    let cancel = json!({ "op": "cancel-transfer", "command_key": id });
    let cancelling = queue(&host, sim, cancel).await;
    assert!(sim.cpe.connection_request(sim.now()));
    sim.session().await;
    assert_eq!(task(&host, &cancelling).await["state"], "done");
    let cancelled = task(&host, &id).await;
    assert_eq!(cancelled["state"], "failed", "{cancelled}");
    let text = cancelled["error"]["text"].as_str().unwrap();
    assert!(
        text.contains(&format!("cancelled on the device by task {cancelling}")),
        "{text}"
    );
    host.stop().await;
}

/// A device of 1.0 has only the older of the two.
#[tokio::test]
async fn old_devices_are_asked_what_they_know() {
    let host = Setup::new().start().await;
    let sim = &mut of(&host, Vendor::tr098()).await;
    let (task, sessions) = run(&host, sim, json!({ "op": "queued-transfers" })).await;
    assert_eq!(
        task["result"],
        json!({ "count": 0, "transfers": [] }),
        "{task}"
    );
    assert_eq!(rpcs(&sessions[0]), ["GetQueuedTransfers"]);
    let change =
        json!({ "op": "change-du-state", "changes": [{ "change": "uninstall", "uuid": UUID }] });
    let error = failed(&host, sim, change).await;
    assert_eq!(error["code"], 9000, "{error}");
    host.stop().await;
}

#[tokio::test]
async fn vouchers_and_options() {
    let host = Setup::new().start().await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    // <Voucher><VSerialNum>7</VSerialNum><OptionIdent>voice</OptionIdent></Voucher>
    let voucher = "PFZvdWNoZXI+PFZTZXJpYWxOdW0+NzwvVlNlcmlhbE51bT48T3B0aW9uSWRlbnQ+dm9pY2U8L09wdGlvbklkZW50PjwvVm91Y2hlcj4=";
    done(
        &host,
        sim,
        json!({ "op": "set-vouchers", "vouchers": [voucher] }),
    )
    .await;
    let result = done(
        &host,
        sim,
        json!({ "op": "get-options", "option": "voice" }),
    )
    .await;
    assert_eq!(
        result["options"],
        json!([{
            "name": "voice", "voucher": 7, "enabled": true, "set_up": true,
            "start_date": "0001-01-01T00:00:00Z", "expiration_date": null, "transferable": false,
        }])
    );
    host.stop().await;
}

#[tokio::test]
async fn what_a_device_tells_by_itself_can_be_looked_up() {
    let host = Setup::new().start().await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    sim.cpe
        .request_download("2 Web Content", &[("Version", "2")]);
    sim.cpe.kick(Kicked {
        referer: "http://portal/".into(),
        next: "http://portal/done".into(),
        ..Kicked::default()
    });
    sim.cpe
        .transferred_by_itself(AutonomousTransferComplete::default());
    sim.cpe
        .modules_changed_by_themselves(vec![AutonomousDuResult {
            operation: "Update".into(),
            ..AutonomousDuResult::default()
        }]);
    let session = sim.session().await;
    assert_eq!(session.record.requests_answered, 4);
    assert_eq!(sim.cpe.kicked_to(), Some("http://portal/done"));
    let shown = host.get(&sim.at()).await;
    let requests = shown["device_requests"].as_array().unwrap();
    let methods: Vec<&str> = requests
        .iter()
        .map(|request| request["method"].as_str().unwrap())
        .collect();
    assert_eq!(
        methods,
        [
            "AutonomousDUStateChangeComplete",
            "AutonomousTransferComplete",
            "Kicked",
            "RequestDownload"
        ]
    );
    assert_eq!(
        requests[3]["text"],
        "asks for \"2 Web Content\", Version = \"2\""
    );
    host.stop().await;
}
