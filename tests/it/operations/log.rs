//! Lines of the log: that each tells what it belongs to, that slow things say why, and that no secret is among them.

use std::time::Duration;

use base64::Engine;
use cpe_sim::CpeConfig;
use serde_json::{Value, json};

use super::served::Served;
use crate::harness::{Sim, TOKEN, http, inform};

fn json_lines(log: &str) -> Vec<Value> {
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    log.lines().map(line).collect()
}

#[tokio::test]
async fn every_line_of_a_session_and_of_a_request_can_be_found() {
    let environment = [
        ("PATCHBAY_LOG", "patchbay=debug"),
        ("PATCHBAY_LOG_FORMAT", "json"),
    ];
    let served = Served::start("", &environment).await;
    let mut sim = Sim::new(CpeConfig::tr181("1", &served.url()));
    sim.settle().await;
    let headers = format!("Authorization: Bearer {TOKEN}\r\nX-Request-Id: order-4711\r\n");
    let path = format!("{}/tags/gold", sim.at());
    let answer = http(served.api, "PUT", &path, &headers, b"").await;
    assert_eq!(answer.status, 204);
    let body = json!({ "filter": "error" });
    let (status, _) = served.api("PUT", "/v1/status/log", &body).await;
    assert_eq!(status, 200);
    let sessions = served
        .api("GET", &format!("{}/sessions", sim.at()), &Value::Null)
        .await;
    let id = sessions.1["items"][0]["id"].as_str().unwrap().to_owned();
    served.terminate();
    let lines = json_lines(&served.ended().await);
    let device = sim.at().replace("/v1/devices/", "default/");
    let of_session: Vec<&Value> = lines.iter().filter(|line| line["session"] == *id).collect();
    assert!(of_session.len() >= 2, "{lines:#?}");
    for line in &of_session {
        assert_eq!(line["device"], device, "{line}");
    }
    let said = |message: &str| lines.iter().any(|line| line["message"] == message);
    assert!(
        of_session
            .iter()
            .any(|line| line["message"] == "session done")
    );
    assert!(said("patchbay serves"));
    assert!(!said("stopped"), "the filter was not changed: {lines:#?}");
    // Whatever tells of a device in its session tells the session, too.
    let new = lines
        .iter()
        .find(|line| line["message"] == "a new device")
        .unwrap();
    assert_eq!(new["session"], id);
}

#[tokio::test]
async fn the_filter_changes_while_the_host_runs() {
    let served = Served::start("[log]\nfilter = \"warn\"\n", &[]).await;
    let filter = async |served: &Served| served.api("GET", "/v1/status/log", &Value::Null).await;
    assert_eq!(filter(&served).await, (200, json!({ "filter": "warn" })));
    let post = async |serial: &str| {
        let body = inform(serial, &["0 BOOTSTRAP"]);
        http(served.cwmp, "POST", "/", "", body.as_bytes()).await
    };
    post("1").await;
    let (status, refused) = served
        .api("PUT", "/v1/status/log", &json!({ "filter": "a=b=c" }))
        .await;
    assert_eq!(status, 400, "{refused}");
    let (status, _) = served
        .api("PUT", "/v1/status/log", &json!({ "filter": "info" }))
        .await;
    assert_eq!(status, 200);
    assert_eq!(filter(&served).await, (200, json!({ "filter": "info" })));
    let path = "/v1/audit?query=action%20=%20set_log_filter";
    let (_, records) = served.api("GET", path, &Value::Null).await;
    let side = |side: &str| records["items"][0][side]["filter"].clone();
    assert_eq!(
        (side("before"), side("after")),
        (json!("warn"), json!("info"))
    );
    assert_eq!(records["items"][1]["status"], 400, "{records}");
    assert_eq!(records["items"][1].get("after"), None);
    post("2").await;
    served.line(&["a new device", "00AABB-Box-2"]).await;
    assert!(!served.log().contains("00AABB-Box-1"), "{}", served.log());
}

#[tokio::test]
async fn what_is_slow_says_where_the_time_went() {
    let settings = "[log]\nslow_session_seconds = 0.2\nslow_request_seconds = 0.000001\n";
    let served = Served::start(settings, &[]).await;
    let body = inform("1", &["0 BOOTSTRAP"]);
    let answer = http(served.cwmp, "POST", "/", "", body.as_bytes()).await;
    let cookie = answer.head.split("Set-Cookie: ").nth(1).unwrap();
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    // This is the device's time.
    tokio::time::sleep(Duration::from_millis(400)).await;
    let end = http(served.cwmp, "POST", "/", &cookie, b"").await;
    assert_eq!(end.status, 204);
    let line = served.line(&["a slow session"]).await;
    let field = |line: &str, name: &str| -> f64 {
        let (_, rest) = line.split_once(&format!(" {name}=")).unwrap();
        rest.split(' ').next().unwrap().parse().unwrap()
    };
    assert!(line.contains(" device=default/00AABB-Box-1 "), "{line}");
    assert!(line.contains(" session=s-"), "{line}");
    let (whole, device) = (field(&line, "seconds"), field(&line, "device_seconds"));
    assert!(device >= 0.4 && device <= whole, "{line}");
    assert!(field(&line, "own_seconds") < 0.3, "{line}");

    served.api("POST", "/v1/backups", &json!({})).await;
    let line = served
        .line(&["a slow request", "/v1/backups", "status=201"])
        .await;
    assert!(
        field(&line, "store_seconds") <= field(&line, "seconds"),
        "{line}"
    );
    assert!(line.contains(" request_id="), "{line}");

    // Who asks to be kept waiting for a device is not kept waiting by us.
    let path = "/v1/devices/00AABB-Box-1/tasks";
    let body = json!({ "operation": { "op": "reboot" }, "wait_seconds": 1 });
    let (status, _) = served.api("POST", path, &body).await;
    assert_eq!(status, 201);
    let line = served
        .line(&[
            "a slow request",
            "route=\"/v1/devices/{id}/tasks\"",
            "status=201",
        ])
        .await;
    assert!(field(&line, "device_seconds") >= 1.0, "{line}");
    assert!(field(&line, "own_seconds") < 0.5, "{line}");
    let headers = format!("Authorization: Bearer {TOKEN}\r\n");
    let metrics = http(served.api, "GET", "/metrics", &headers, b"")
        .await
        .text();
    let sum = "patchbay_api_request_seconds_sum{method=\"POST\",route=\"/v1/devices/{id}/tasks\"} ";
    let sum = metrics
        .lines()
        .find_map(|line| line.strip_prefix(sum))
        .unwrap();
    assert!(sum.parse::<f64>().unwrap() < 0.5, "{sum}");
}

/// With everything logged that can be.
#[tokio::test]
async fn no_secret_is_logged() {
    const PASSWORD: &str = "Secret-of-the-device-1";
    let settings = format!(
        "[instance.device_authentication]\nrequire = \"password\"\nschemes = [\"digest-md5\"]\n\
         factory_credentials = [{{ username = \"acs\", password = \"{PASSWORD}\" }}]\n\
         [instance.http_proxy]\naddress = \"127.0.0.1:9\"\nusername = \"acs\"\npassword = \"Secret-of-the-proxy\"\n"
    );
    let served = Served::start(&settings, &[("PATCHBAY_LOG", "trace")]).await;
    let config = CpeConfig::tr181("1", &served.url()).acs_login("acs", PASSWORD);
    let mut sim = Sim::new(config);
    sim.settle().await;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("acs:{PASSWORD}"));
    let header = format!("Authorization: Basic {basic}\r\n");
    let body = inform("1", &["0 BOOTSTRAP"]);
    http(served.cwmp, "POST", "/", &header, body.as_bytes()).await;
    http(
        served.api,
        "GET",
        "/v1/status",
        "Authorization: Bearer Secret-token-of-nobody\r\n",
        b"",
    )
    .await;
    let credentials = json!({ "username": "cpe", "password": "Secret-that-is-expected" });
    let put = served
        .api("PUT", "/v1/devices/00AABB-Box-2/credentials", &credentials)
        .await;
    assert!(put.0 < 300, "{put:?}");
    let task = json!({ "operation": { "op": "set", "parameters": [{
        "path": "Device.ManagementServer.ConnectionRequestPassword", "value": "Secret-that-is-set"
    }] } });
    let task = served
        .api("POST", &format!("{}/tasks", sim.at()), &task)
        .await;
    assert_eq!(task.0, 201, "{task:?}");
    served
        .api(
            "POST",
            &format!("{}/wake", sim.at()),
            &json!({ "wait_seconds": 1 }),
        )
        .await;
    served.terminate();
    let log = served.ended().await;
    assert!(log.contains("TRACE") && log.contains("a new device"));
    assert!(
        !log.contains("lsn"),
        "the storage engine writes down records"
    );
    // What the host has made up for the device is as secret.
    let own = sim.value("ManagementServer.Password");
    assert!(own.len() > 8, "{own:?}");
    for secret in ["Secret-", TOKEN, &basic, &own] {
        let found = log.lines().find(|line| line.contains(secret));
        assert!(found.is_none(), "{found:?}");
    }
}
