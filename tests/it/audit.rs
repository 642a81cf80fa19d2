//! The audit log, as people read it.

mod changes;

use std::process::Command;

use cpe_sim::Vendor;
use patchbay::store::verify;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::{Host, Setup, TOKEN, http};
use crate::tasks::{of, queue};

/// The last records that match.
async fn records(host: &Host, query: &str) -> Vec<Value> {
    let query = query.replace(' ', "%20").replace('"', "%22");
    let query = query.replace('<', "%3C");
    let page = host.get(&format!("/v1/audit?query={query}")).await;
    page["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn who_did_what_to_which_device() {
    let host = Setup::new().start().await;
    let sim = of(&host, Vendor::tr181()).await;
    let device = sim.at().rsplit('/').next().unwrap().to_owned();
    let tag = format!("{}/tags/gold", sim.at());
    let headers = format!(
        "Authorization: Bearer {TOKEN}\r\nX-Request-Id: order-17\r\nUser-Agent: crm/2.0\r\n"
    );
    assert_eq!(http(host.api, "PUT", &tag, &headers, b"").await.status, 204);
    let [record] = records(&host, "action = tag_device")
        .await
        .try_into()
        .unwrap();
    let expected = json!({
        "number": record["number"],
        "at": record["at"],
        "actor": "token:config",
        "address": "127.0.0.1",
        "user_agent": "crm/2.0",
        "request": "order-17",
        "action": "tag_device",
        "method": "PUT",
        "path": tag,
        "instance": "default",
        "device": device,
        "status": 204,
        "before": [],
        "after": ["gold"],
    });
    assert_eq!(record, expected);
    // Another one is not written for reading.
    let before = records(&host, "").await.len();
    host.get(&sim.at()).await;
    assert_eq!(records(&host, "").await.len(), before);
}

#[tokio::test]
async fn passwords_are_not_in_it_but_that_they_changed_is() {
    let host = Setup::new().start().await;
    let at = "/v1/devices/00AABB-Box-1/credentials";
    for password in ["one-password", "another-password"] {
        let body = json!({ "username": "box", "password": password });
        let (status, _) = host.api("PUT", at, Some(body)).await;
        assert_eq!(status, 204);
    }
    let found = records(&host, "action = expect_credentials").await;
    assert_eq!(
        found[0]["before"],
        json!({ "username": "box", "password": "(secret)" })
    );
    assert_eq!(
        found[0]["after"],
        json!({ "username": "box", "password": "(changed)" })
    );
    assert_eq!(found[1].get("before"), None);
    host.acs.store.flush().await.unwrap();
    let directory = host.acs.config.data_directory.join("store/audit");
    for file in std::fs::read_dir(directory).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("one-password") && !text.contains("another-password"));
    }
}

#[tokio::test]
async fn what_was_refused_is_in_it_and_strangers_are_not() {
    let host = Setup::new().start().await;
    let (status, _) = host.api("DELETE", "/v1/devices/00AABB-Box-9", None).await;
    assert_eq!(status, 404);
    let answer = http(host.api, "DELETE", "/v1/devices/x", "", b"").await;
    assert_eq!(answer.status, 401);
    let all = records(&host, "").await;
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!(all[0]["status"], 404);
    assert!(all[0]["error"].as_str().unwrap().starts_with("not-found: "));
    assert_eq!(records(&host, "status < 300").await, Vec::<Value>::new());
}

#[tokio::test]
async fn logins_and_failed_ones() {
    let host = Setup::new().start().await;
    let body = json!({
        "name": "anna", "password": "a-long-enough-password", "grants": [{ "role": "admin" }],
    });
    host.post("/v1/users", body).await;
    for password in ["wrong", "a-long-enough-password"] {
        let body = json!({ "username": "Anna", "password": password }).to_string();
        let headers = "Content-Type: application/json\r\nX-Patchbay: 1\r\n";
        http(host.api, "POST", "/v1/login", headers, body.as_bytes()).await;
    }
    let logins = records(&host, "action = login").await;
    let of = |record: &Value| (record["actor"].clone(), record["status"].clone());
    assert_eq!(
        of(&logins[0]),
        (json!("user:anna"), json!(200)),
        "{logins:#?}"
    );
    assert_eq!(of(&logins[1]), (json!("user:anna"), json!(401)));
    let [made] = records(&host, "action = create_user")
        .await
        .try_into()
        .unwrap();
    assert_eq!(made["after"]["name"], "anna");
    assert_eq!(made.get("instance"), None);
    assert!(!json!(logins).to_string().contains("long-enough"));
}

#[tokio::test]
async fn what_the_host_does_by_itself() {
    let host = Setup::new().start().await;
    std::fs::write(host.plugins.join("broken.wasm"), b"no component").unwrap();
    let found = host
        .until("/v1/audit?query=actor%20=%20host", |page| {
            !page["items"].as_array().unwrap().is_empty()
        })
        .await;
    assert_eq!(found["items"][0]["action"], "plugin.failed");
    assert_eq!(found["items"][0]["after"]["plugin"], "broken");
}

#[tokio::test]
async fn pages_and_exports() {
    let host = Setup::new().start().await;
    let sim = of(&host, Vendor::tr181()).await;
    for _ in 0..5 {
        queue(&host, &sim, json!({ "op": "rpc-methods" })).await;
    }
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = host
            .get(&format!("/v1/audit?limit=2&order=oldest{after}"))
            .await;
        let items = page["items"].as_array().unwrap();
        seen.extend(items.iter().map(|item| item["number"].as_u64().unwrap()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    let headers = format!("Authorization: Bearer {TOKEN}\r\n");
    let export = async |format: &str| {
        let path = format!("/v1/audit/export?format={format}&query=action%20=%20%22create_*%22");
        http(host.api, "GET", &path, &headers, b"").await.text()
    };
    let lines = export("ndjson").await;
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((lines.len(), &lines[4]["number"]), (5, &json!(5)));
    let csv = export("csv").await;
    assert_eq!(csv.lines().count(), 6, "{csv}");
    assert!(csv.starts_with("number,at,actor,action,"), "{csv}");
    let (status, error) = host.api("GET", "/v1/audit?query=actr=x", None).await;
    assert_eq!(status, 400, "{error}");
}

/// What was asked for is done, whether anybody waits for it or not.
#[tokio::test]
async fn who_hangs_up_is_in_it() {
    let host = Setup::new().start().await;
    let sim = of(&host, Vendor::tr181()).await;
    let body = json!({ "operation": { "op": "reboot" }, "wait_seconds": 60 }).to_string();
    let mut stream = TcpStream::connect(host.api).await.unwrap();
    let request = format!(
        "POST {}/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        sim.at(),
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let tasks = host.until("/v1/tasks", |tasks| tasks["items"][0]["state"] == "queued");
    let task = tasks.await["items"][0]["id"].clone();
    drop(stream);
    let path = "/v1/audit?query=action%20=%20create_task";
    let page = host.until(path, |page| !page["items"].as_array().unwrap().is_empty());
    let record = page.await["items"][0].clone();
    assert_eq!(record["error"], "the caller hung up before the end");
    assert_eq!(
        (record.get("status"), &record["after"]["task"]),
        (None, &task)
    );
}

/// Who only looks is not in it, but who takes passwords away is.
#[tokio::test]
async fn secrets_that_are_taken_away() {
    let host = Setup::new().start().await;
    let made = host.post("/v1/backups", Value::Null).await;
    let backup = format!("/v1/backups/{}", made["name"].as_str().unwrap());
    let paths = [
        "/v1/devices?fields=id,password&format=csv",
        "/v1/devices?fields=id",
        &backup,
    ];
    for path in paths {
        let headers = format!("Authorization: Bearer {TOKEN}\r\n");
        assert_eq!(
            http(host.api, "GET", path, &headers, b"").await.status,
            200,
            "{path}"
        );
    }
    let found = records(&host, "method = GET").await;
    let actions: Vec<&Value> = found.iter().map(|record| &record["action"]).collect();
    assert_eq!(actions, ["download_backup", "list_devices"]);
}

/// As an operator checks it, while the server runs.
#[tokio::test]
async fn the_chain_is_verified() {
    let host = Setup::new().start().await;
    let (status, _) = host.api("DELETE", "/v1/devices/00AABB-Box-9", None).await;
    assert_eq!(status, 404);
    let data = host.acs.config.data_directory.clone();
    let patchbay = |known: &str| {
        let mut command = Command::new(std::env::var_os("PATCHBAY_BIN").expect("PATCHBAY_BIN"));
        command.args(["audit", "verify", "--data"]).arg(&data);
        if !known.is_empty() {
            command.args(["--known", known]);
        }
        let output = command.output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(told).unwrap())
    };
    let (holds, told) = patchbay("");
    assert!(
        holds && told.starts_with("1 records hold together, 1 to 1; the last is 1:"),
        "{told}"
    );
    let known = told.trim().rsplit(' ').next().unwrap();
    assert!(patchbay(known).0);
    let (holds, told) = patchbay(&format!("1:{}", "0".repeat(64)));
    assert!(!holds && told.contains("record 1: expected"), "{told}");
    let _host = host.restart(|_| {}).await;
    assert_eq!(verify(&data.join("store"), &[]).unwrap().records, 1);
}
