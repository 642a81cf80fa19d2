//! Files of the store on their way to devices and from them, from the request to the version
//! that confirms it.

use std::time::Duration;

use cpe_sim::{CpeConfig, Due, Oddity, Vendor, run_transfer};
use patchbay::config::FileAccess;
use patchbay::work::task::END_SECONDS_MAX;
use patchbay::work::transfer::{COMPLETE_SECONDS_MAX, CONFIRM_SECONDS_MAX};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::files::{bring, request};
use crate::harness::{Host, PATIENCE, Setup, Sim, http};
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

#[tokio::test]
async fn urls_are_of_one_device_and_one_transfer() {
    let host = Setup::new().start().await;
    let file = firmware(&host).await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    let id = queue(&host, sim, download(&file)).await;
    sim.periodic().await;
    let path = given(sim);
    let get = async |path: &str| http(host.cwmp, "GET", path, "", b"").await;
    let part = http(host.cwmp, "GET", &path, "Range: bytes=0-6\r\n", b"").await;
    assert_eq!((part.status, part.text().as_str()), (206, "version"));
    let at = format!("/v1/tasks/{id}");
    let fetching = host.until(&at, |task| task["progress"]["bytes"] == 7).await;
    assert_eq!(stage(&fetching), "fetching", "{fetching}");
    let head = http(host.cwmp, "HEAD", &path, "", b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    // Any other name at the end is as good: some devices change it.
    let ticket = path.split('/').nth(2).unwrap();
    assert_eq!(get(&format!("/files/{ticket}")).await.body, FIRMWARE);
    host.until(&at, |task| stage(task) == "fetched").await;

    let mut tampered = ticket.as_bytes().to_vec();
    tampered[14] = if tampered[14] == b'A' { b'B' } else { b'A' };
    let tampered = format!("/files/{}/x", String::from_utf8(tampered).unwrap());
    for (method, path, status, expected) in [
        ("GET", tampered.as_str(), 403, ""),
        ("GET", "/files/", 403, "that this ACS has made"),
        ("GET", "/files/../v1", 403, "that this ACS has made"),
        ("GET", "/files/t-ffff/x", 403, "no transfer of this URL"),
        ("GET", &format!("/files/{id}/x"), 401, "user name"),
        ("PUT", &path, 405, "for a download"),
        ("POST", &path, 405, "for a download"),
        ("DELETE", &path, 405, "expected GET"),
    ] {
        let answer = http(host.cwmp, method, path, "", b"").await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        assert!(
            answer.text().contains(expected),
            "{method} {path}: {}",
            answer.text()
        );
    }
    host.stop().await;
}

#[tokio::test]
async fn uploads_in_all_forms_and_what_is_refused() {
    let host = Setup::new()
        .config(|config| config.files.upload_bytes_max = 1_000)
        .start()
        .await;
    let form = "--XyZ\r\nContent-Disposition: form-data; name=\"f\"; filename=\"c\"\r\n\r\nmine\r\n--XyZ--\r\n";
    let typed = "Content-Type: multipart/form-data; boundary=XyZ\r\n";
    for (serial, method, headers, body) in [
        ("U1", "PUT", "", "mine"),
        (
            "U2",
            "POST",
            "Content-Type: application/octet-stream\r\n",
            "mine",
        ),
        ("U3", "POST", typed, form),
    ] {
        let sim = &mut of_serial(&host, Vendor::tr181(), serial).await;
        let id = queue(&host, sim, upload()).await;
        sim.periodic().await;
        let path = given(sim);
        let large = http(host.cwmp, method, &path, "", &[b'x'; 1_001]).await;
        assert_eq!(large.status, 413, "{}", large.text());
        let no_form = http(host.cwmp, method, &path, typed, b"nothing of the kind").await;
        assert_eq!(no_form.status, 400, "{}", no_form.text());
        broken_off(&host, method, &path).await;
        let device = format!("/v1/files?device={}", sim.at().rsplit('/').next().unwrap());
        assert_eq!(host.get(&device).await["items"], json!([]));

        let sent = http(host.cwmp, method, &path, headers, body.as_bytes()).await;
        assert_eq!(sent.status, 200, "{}", sent.text());
        let again = http(host.cwmp, method, &path, headers, body.as_bytes()).await;
        assert_eq!(again.status, 409, "{}", again.text());
        let kept = host.get(&device).await;
        assert_eq!(kept["items"][0]["size_bytes"], 4, "{kept}");
        assert_eq!(stage(&task(&host, &id).await), "received");
    }
    host.stop().await;
}

/// An upload that ends in the middle leaves nothing.
async fn broken_off(host: &Host, method: &str, path: &str) {
    let mut stream = TcpStream::connect(host.cwmp).await.unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nhalf");
    stream.write_all(head.as_bytes()).await.unwrap();
    drop(stream);
}

#[tokio::test]
async fn a_login_instead_of_a_signature() {
    let host = Setup::new()
        .config(|config| config.files.access = FileAccess::Basic)
        .start()
        .await;
    let file = firmware(&host).await;
    let sim = &mut of(&host, Vendor::tr098()).await;
    let (task, _) = run(&host, sim, download(&file)).await;
    assert_eq!(
        (&task["state"], stage(&task)),
        (&json!("done"), "confirmed"),
        "{task}"
    );
    let (task, _) = run(&host, sim, upload()).await;
    assert_eq!(task["state"], "done", "{task}");
    let path = format!("/files/{}/x", task["id"].as_str().unwrap());
    let answer = http(
        host.cwmp,
        "PUT",
        &path,
        "Authorization: Basic dC0xOng=\r\n",
        b"",
    )
    .await;
    assert_eq!(answer.status, 401);
    assert!(
        answer
            .head
            .to_lowercase()
            .contains("www-authenticate: basic"),
        "{}",
        answer.head
    );
    host.stop().await;
}

/// Uploads and downloads wait for nobody: a client that takes nothing is dropped.
#[tokio::test]
async fn a_client_that_takes_nothing_is_dropped() {
    let host = Setup::new()
        .config(|config| config.files.slow_seconds_max = 1)
        .start()
        .await;
    let file = bring(&host, "name=a&type=firmware", &vec![7; 30_000_000]).await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    queue(&host, sim, download(file["id"].as_str().unwrap())).await;
    sim.periodic().await;
    let mut stream = TcpStream::connect(host.cwmp).await.unwrap();
    let head = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", given(sim));
    stream.write_all(head.as_bytes()).await.unwrap();
    // Nothing is read, until the other side has given up: then what was on its way ends early.
    let dropped = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if stream.write_all(b"\r\n").await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, dropped)
        .await
        .expect("the connection is kept");
    host.stop().await;
}

#[tokio::test]
async fn where_the_device_is_sent() {
    let host = Setup::new()
        .config(|config| config.instance.file_base_url = Some("https://files.example:8443/".into()))
        .start()
        .await;
    let file = firmware(&host).await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    queue(&host, sim, download(&file)).await;
    let mut sent = String::new();
    while !sent.contains("<cwmp:Download>") {
        sent = sim.post(&host).await;
        assert!(!sent.is_empty(), "the session ended without a Download");
    }
    assert!(
        sent.contains("<URL>https://files.example:8443/files/"),
        "{sent}"
    );
    assert!(sent.contains("/nl-9.9.9.bin</URL>"), "{sent}");
    sim.post_rest(&host).await;
    host.stop().await;
}
