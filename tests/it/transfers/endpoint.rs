//! The endpoint that devices fetch from and send to: rights, limits, where it is.

use std::time::Duration;

use cpe_sim::{Due, Vendor};
use patchbay::config::FileAccess;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{FIRMWARE, download, firmware, given, of_serial, stage, upload};
use crate::files::bring;
use crate::harness::{Host, PATIENCE, Setup, free_address, http};
use crate::tasks::{of, queue, run, task};

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
    let refusals = host.get("/v1/refusals").await;
    assert!(refusals.to_string().contains("\"file\""), "{refusals}");
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

async fn broken_off(host: &Host, method: &str, path: &str) {
    let mut stream = TcpStream::connect(host.cwmp).await.unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nhalf");
    stream.write_all(head.as_bytes()).await.unwrap();
    drop(stream);
}

#[tokio::test]
async fn a_login_instead_of_a_signature() {
    for (access, scheme) in [(FileAccess::Basic, "basic"), (FileAccess::Digest, "digest")] {
        let host = Setup::new()
            .config(move |config| config.files.access = access)
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
        let login = "Authorization: Basic dC0xOng=\r\n";
        let answer = http(host.cwmp, "PUT", &path, login, b"").await;
        assert_eq!(answer.status, 401);
        let challenge = format!("www-authenticate: {scheme}");
        let head = answer.head.to_lowercase();
        assert!(head.contains(&challenge), "{head}");
        host.stop().await;
    }
}

#[tokio::test]
async fn more_transfers_than_there_is_room_for() {
    let host = Setup::new()
        .config(|config| config.files.transfers_max = 1)
        .start()
        .await;
    let file = bring(&host, "name=a&type=firmware", &vec![7; 30_000_000]).await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    let id = queue(&host, sim, download(file["id"].as_str().unwrap())).await;
    sim.periodic().await;
    let path = given(sim);
    // Larger than what the system takes for a client that reads nothing.
    let mut stream = TcpStream::connect(host.cwmp).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let at = format!("/v1/tasks/{id}");
    host.until(&at, |task| stage(task) == "fetching").await;
    let turned_away = http(host.cwmp, "GET", &path, "", b"").await;
    assert_eq!(turned_away.status, 503);
    assert!(turned_away.head.to_lowercase().contains("retry-after"));
    drop(stream);
    let patience = tokio::time::Instant::now() + PATIENCE;
    while http(host.cwmp, "HEAD", &path, "", b"").await.status != 200 {
        assert!(
            tokio::time::Instant::now() < patience,
            "the place is not given back"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    host.stop().await;
}

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

#[tokio::test]
async fn a_listener_for_files_alone() {
    let address = free_address();
    let host = Setup::new()
        .config(move |config| config.files.listen = Some(address))
        .start()
        .await;
    let file = firmware(&host).await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    queue(&host, sim, download(&file)).await;
    sim.periodic().await;
    let Due::Transfer(job) = sim.cpe.poll(sim.now()) else {
        panic!("no transfer is due")
    };
    let expected = format!("http://{address}/files/");
    assert!(job.url.starts_with(&expected), "{}", job.url);
    let path = given(sim);
    assert_eq!(http(address, "GET", &path, "", b"").await.body, FIRMWARE);
    let inform = crate::harness::inform("A1", &["1 BOOT"]);
    let refused = http(address, "POST", "/", "", inform.as_bytes()).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    host.stop().await;
}
