//! Files of the store on their way to devices and from them, from the request to the version
//! that confirms it.

mod endpoint;

use std::time::Duration;

use cpe_sim::{CpeConfig, Due, Oddity, Vendor, run_transfer};
use patchbay::work::task::END_SECONDS_MAX;
use patchbay::work::transfer::{COMPLETE_SECONDS_MAX, CONFIRM_SECONDS_MAX};
use serde_json::{Value, json};

use crate::files::{bring, request};
use crate::harness::{Host, Setup, Sim};
use crate::tasks::{both, device, of, queue, run, task};

const FIRMWARE: &[u8] = b"version=9.9.9\nthe rest of it";

async fn firmware(host: &Host) -> String {
    let file = bring(
        host,
        "name=nl-9.9.9.bin&type=firmware&version=9.9.9",
        FIRMWARE,
    )
    .await;
    file["id"].as_str().unwrap().to_owned()
}

fn download(file: &str) -> Value {
    json!({ "op": "download", "file": file })
}

fn upload() -> Value {
    json!({ "op": "upload", "file_type": "1 Vendor Configuration File" })
}

fn stage(task: &Value) -> &str {
    task["progress"]["stage"].as_str().unwrap()
}

/// The path of the URL that a device was given; the transfer waits in the device.
fn given(sim: &mut Sim) -> String {
    match sim.cpe.poll(sim.now()) {
        Due::Transfer(job) => {
            let (_, path) = job.url.split_once("//").unwrap();
            path[path.find('/').unwrap()..].to_owned()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_firmware_from_the_request_to_its_version() {
    let host = Setup::new().start().await;
    let file = firmware(&host).await;
    for vendor in both() {
        let sim = &mut of(&host, vendor).await;
        let (task, _) = run(&host, sim, download(&file)).await;
        assert_eq!(task["state"], "done", "{task}");
        assert_eq!(task["operation"]["file_type"], "1 Firmware Upgrade Image");
        assert_eq!(task["operation"]["file_size"], FIRMWARE.len());
        assert_eq!(
            task["operation"]["url"], "",
            "the right to the file is the device's: {task}"
        );
        let progress = &task["progress"];
        for name in [
            "requested",
            "accepted",
            "begun",
            "moved",
            "transfer_complete",
            "confirmed",
        ] {
            assert!(
                progress[name]
                    .as_str()
                    .is_some_and(|at| at.starts_with("20")),
                "{name}: {task}"
            );
        }
        assert_eq!(
            (stage(&task), &progress["bytes"]),
            ("confirmed", &json!(FIRMWARE.len()))
        );
        assert_eq!(sim.cpe.software_version(), "9.9.9");
    }
    host.stop().await;
}

/// Each oddity of the simulator that concerns transfers, and how the task ends: exactly once.
#[tokio::test]
async fn devices_as_they_are() {
    let host = Setup::new().start().await;
    let file = firmware(&host).await;
    for (oddity, note) in [
        (Oddity::TransferWithoutKey, None),
        (Oddity::TransferTwice, None),
        (Oddity::TransferBeforeBoot, None),
        (
            Oddity::TransferNever,
            Some("no TransferComplete came, but the device runs"),
        ),
        (
            Oddity::TransferFaultFlashed,
            Some("told a fault, but the device runs"),
        ),
    ] {
        let config = CpeConfig::tr181(&format!("{oddity:?}"), "").with(oddity);
        let sim = &mut device(&host, config).await;
        let (task, _) = run(&host, sim, download(&file)).await;
        assert_eq!(task["state"], "done", "{oddity:?}: {task}");
        let told = task["result"]["note"].as_str();
        assert_eq!(note.is_some(), told.is_some(), "{oddity:?}: {task}");
        if let (Some(note), Some(told)) = (note, told) {
            assert!(told.contains(note), "{oddity:?}: {task}");
        }
        // The one that told its end before it booted is confirmed by its boot, after its end.
        let at = format!("/v1/tasks/{}", task["id"].as_str().unwrap());
        let confirmed = host.until(&at, |task| stage(task) == "confirmed").await;
        assert_eq!(confirmed["state"], "done");
        assert_eq!(confirmed["result"], task["result"]);
        assert_eq!(sim.cpe.times_served("Download"), 1);
    }
    host.stop().await;
}

#[tokio::test]
async fn a_delay_for_devices_that_refuse_none() {
    let host = Setup::new().start().await;
    let file = firmware(&host).await;
    let config = CpeConfig::tr181("D1", "").with(Oddity::TransferDelayNeeded);
    let sim = &mut device(&host, config).await;
    let (refused, _) = run(&host, sim, download(&file)).await;
    assert_eq!(refused["error"]["code"], 9003, "{refused}");
    let mut operation = download(&file);
    operation["delay_seconds"] = 5.into();
    let id = queue(&host, sim, operation).await;
    sim.periodic().await;
    assert_eq!(stage(&task(&host, &id).await), "accepted");
    sim.later(Duration::from_secs(5));
    sim.settle().await;
    assert_eq!(task(&host, &id).await["state"], "done");
    host.stop().await;
}

#[tokio::test]
async fn a_fault_that_nothing_proves_wrong_is_the_end_after_a_while() {
    let host = Setup::new().start().await;
    // A firmware that brings another version than its record says.
    let query = "name=x.bin&type=firmware&version=7.7.7";
    let file = bring(&host, query, FIRMWARE).await;
    let file = file["id"].as_str().unwrap();
    for boots in [true, false] {
        let serial = format!("F{boots}");
        let config = CpeConfig::tr181(&serial, "").with(Oddity::TransferFaultFlashed);
        let sim = &mut device(&host, config).await;
        let id = queue(&host, sim, download(file)).await;
        sim.periodic().await;
        transfer(sim).await;
        sim.session().await;
        let waiting = task(&host, &id).await;
        assert_eq!(
            (&waiting["state"], stage(&waiting)),
            (&json!("sent"), "complete")
        );
        assert!(
            waiting["progress"]["fault"]
                .as_str()
                .unwrap()
                .contains("Download failure")
        );
        if boots {
            sim.settle().await;
        } else {
            let now = host.acs.clock.unix();
            host.acs
                .end_overdue_transfers(now + CONFIRM_SECONDS_MAX - 10)
                .await;
            assert_eq!(task(&host, &id).await["state"], "sent");
            host.acs
                .end_overdue_transfers(now + CONFIRM_SECONDS_MAX + 10)
                .await;
        }
        let failed = task(&host, &id).await;
        assert_eq!(
            (&failed["state"], &failed["error"]["code"]),
            (&json!("failed"), &json!(9010))
        );
    }
    host.stop().await;
}

/// The transfer that waits in the device, alone.
async fn transfer(sim: &mut Sim) {
    let Due::Transfer(mut job) = sim.cpe.poll(sim.now()) else {
        panic!("no transfer is due")
    };
    sim.cpe.transfer_begun(&mut job, sim.now());
    let result = run_transfer(&job, &sim.options).await;
    sim.cpe.transfer_done(result, sim.now());
}

#[tokio::test]
async fn a_transfer_without_an_end_fails_after_a_day() {
    let host = Setup::new().start().await;
    let file = firmware(&host).await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    let id = queue(&host, sim, download(&file)).await;
    sim.periodic().await;
    let now = host.acs.clock.unix();
    host.acs
        .end_overdue_transfers(now + END_SECONDS_MAX - 10)
        .await;
    assert_eq!(task(&host, &id).await["state"], "sent");
    host.acs
        .end_overdue_transfers(now + END_SECONDS_MAX + 10)
        .await;
    let failed = task(&host, &id).await;
    assert_eq!(failed["state"], "failed");
    assert_eq!(
        failed["error"]["text"],
        "no TransferComplete within 86400 s"
    );
    // Its TransferComplete, when it comes all the same, changes nothing.
    sim.settle().await;
    assert_eq!(task(&host, &id).await["state"], "failed");
    host.stop().await;
}

#[tokio::test]
async fn a_file_is_for_its_devices() {
    let host = Setup::new().start().await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    let query = "name=a&type=firmware&product_class=BN-*";
    let file = bring(&host, query, FIRMWARE).await;
    let id = file["id"].as_str().unwrap();
    let tasks = format!("{}/tasks", sim.at());
    for (operation, expected) in [
        (download(id), "not for this device"),
        (download("f-1"), "no file f-1"),
        (
            json!({ "op": "download", "file": id, "url": "http://x/" }),
            "got both",
        ),
        (json!({ "op": "download" }), "expected a file_type"),
        (
            json!({ "op": "upload", "file_type": "" }),
            "expected a file_type",
        ),
    ] {
        let body = json!({ "operation": operation });
        let (status, error) = host.api("POST", &tasks, Some(body)).await;
        assert_eq!(status, 400, "{operation}: {error}");
        assert!(error.to_string().contains(expected), "{operation}: {error}");
    }
    let forced = json!({ "op": "download", "file": id, "force": true });
    let (task, _) = run(&host, sim, forced).await;
    assert_eq!(task["state"], "done", "{task}");
    host.stop().await;
}

#[tokio::test]
async fn a_configuration_is_kept_and_given_back() {
    let host = Setup::new().start().await;
    for vendor in both() {
        let sim = &mut of(&host, vendor).await;
        let code = sim.path("DeviceInfo.ProvisioningCode");
        sim.cpe.set(&code, "before", sim.now());
        let (task, _) = run(&host, sim, upload()).await;
        assert_eq!(
            (&task["state"], stage(&task)),
            (&json!("done"), "complete"),
            "{task}"
        );
        let id = task["result"]["file"].as_str().unwrap();
        let file = host.get(&format!("/v1/files/{id}")).await;
        assert_eq!(
            (&file["task"], &file["uploaded_by"]),
            (&task["id"], &json!("device"))
        );
        let listed = host
            .get(&format!(
                "/v1/files?device={}",
                task["device"].as_str().unwrap()
            ))
            .await;
        assert_eq!(listed["items"], json!([file]));
        let path = format!("/v1/files/{id}/content");
        let content = request(&host, "GET", &path, "", b"").await;
        assert!(content.text().contains(&format!("{code}=before\n")));

        sim.cpe.set(&code, "after", sim.now());
        let (task, _) = run(&host, sim, download(id)).await;
        assert_eq!(task["state"], "done", "{task}");
        assert_eq!(sim.value("DeviceInfo.ProvisioningCode"), "before");

        // Nobody else's.
        let other = of_serial(&host, vendor, "T2").await;
        let body = json!({ "operation": download(id) });
        let (status, error) = host
            .api("POST", &format!("{}/tasks", other.at()), Some(body))
            .await;
        assert_eq!(status, 400, "{error}");
        assert!(
            error.to_string().contains("another device sent it"),
            "{error}"
        );
    }
    host.stop().await;
}

async fn of_serial(host: &Host, vendor: Vendor, serial: &str) -> Sim {
    device(host, CpeConfig::of(vendor, serial, "")).await
}

#[tokio::test]
async fn an_upload_that_nobody_tells_the_end_of() {
    let host = Setup::new().start().await;
    let sim = &mut device(
        &host,
        CpeConfig::tr181("N1", "").with(Oddity::TransferNever),
    )
    .await;
    let id = queue(&host, sim, upload()).await;
    sim.periodic().await;
    sim.settle().await;
    assert_eq!(stage(&task(&host, &id).await), "received");
    let now = host.acs.clock.unix();
    host.acs
        .end_overdue_transfers(now + COMPLETE_SECONDS_MAX + 10)
        .await;
    let task = task(&host, &id).await;
    assert_eq!(task["state"], "done", "{task}");
    assert!(
        task["result"]["file"].as_str().unwrap().starts_with("f-"),
        "{task}"
    );
    host.stop().await;
}

/// With the override `no-transfer-complete` the end is when all bytes have gone.
#[tokio::test]
async fn a_device_that_is_known_to_tell_no_end() {
    let profile =
        "[[matches]]\nmanufacturer = \"Northlight\"\n\n[overrides]\nno-transfer-complete = true\n";
    let host = Setup::new().profile("silent", profile).start().await;
    let file = bring(&host, "name=c.cfg&type=configuration", b"x=y\n").await;
    let sim = &mut device(
        &host,
        CpeConfig::tr181("Q1", "").with(Oddity::TransferNever),
    )
    .await;
    let id = queue(&host, sim, download(file["id"].as_str().unwrap())).await;
    sim.periodic().await;
    assert_eq!(task(&host, &id).await["state"], "sent");
    transfer(sim).await;
    let at = format!("/v1/tasks/{id}");
    let done = host.until(&at, |task| task["state"] == "done").await;
    let note = done["result"]["note"].as_str().unwrap();
    assert!(note.contains("fetched the whole file"), "{done}");
    host.stop().await;
}
