//! Devices found, shown and exported by queries; devices announced before they come, kept in
//! quarantine, refused.

use cpe_sim::CpeConfig;
use patchbay::config::{Config, Require, UnknownDevices};
use serde_json::{Value, json};

use crate::harness::{Answer, Host, Setup, Sim, TOKEN, http, inform, rpcs};

/// A GET that need not answer JSON.
async fn get(host: &Host, path: &str, headers: &str) -> Answer {
    let headers = format!("Authorization: Bearer {TOKEN}\r\n{headers}");
    http(host.api, "GET", path, &headers, b"").await
}

/// A query as it stands in a URL.
fn encoded(query: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    query.bytes().map(encode).collect()
}

fn ids(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| item["id"].as_str().unwrap()).collect()
}

async fn import(host: &Host, how: &str, table: &str) -> (u16, Value) {
    let headers = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: text/csv\r\n");
    let path = format!("/v1/devices/import{how}");
    let answer = http(host.api, "POST", &path, &headers, table.as_bytes()).await;
    let body = serde_json::from_slice(&answer.body).unwrap();
    (answer.status, body)
}

/// Ten devices that have informed, some with a tag.
async fn ten() -> Host {
    let host = Setup::new().start().await;
    for number in 0..10 {
        let mut sim = Sim::new(CpeConfig::tr181(&format!("S{number}"), &host.url()));
        sim.session().await;
        if number % 3 == 0 {
            let (status, _) = host
                .api("PUT", &format!("{}/tags/vip", sim.at()), None)
                .await;
            assert_eq!(status, 204);
        }
    }
    host
}

#[tokio::test]
async fn devices_are_found_sorted_and_shown_as_asked() {
    let host = ten().await;
    let all = host.get("/v1/devices").await;
    assert_eq!(ids(&all).len(), 10);
    assert!(all["items"][0]["reachability"].is_object());
    let query = encoded("tag = vip and serial_number != S9");
    let page = host
        .get(&format!(
            "/v1/devices?query={query}&sort=-serial_number&limit=2&count=true&fields=serial_number,tags"
        ))
        .await;
    assert_eq!(page["total"], 3);
    assert_eq!(
        page["items"],
        json!([
            { "serial_number": "S6", "tags": ["vip"] }, { "serial_number": "S3", "tags": ["vip"] },
        ])
    );
    let next = page["next"].as_str().unwrap();
    let path =
        format!("/v1/devices?query={query}&sort=-serial_number&limit=2&fields=serial_number");
    let last = host.get(&format!("{path}&after={next}")).await;
    assert_eq!(last, json!({ "items": [{ "serial_number": "S0" }] }));
    // A page of another order is no place in this one.
    let (status, _) = host
        .api(
            "GET",
            &format!("/v1/devices?sort=serial_number&after={next}"),
            None,
        )
        .await;
    assert_eq!(status, 400);

    let query = encoded("Device.DeviceInfo.SoftwareVersion = * and s4");
    let page = host
        .get(&format!(
            "/v1/devices?query={query}&fields=id,Device.DeviceInfo.SoftwareVersion,Device.ManagementServer."
        ))
        .await;
    assert_eq!(ids(&page).len(), 1);
    let item = &page["items"][0];
    assert!(item["Device.DeviceInfo.SoftwareVersion"].is_string());
    let below = item["Device.ManagementServer."].as_object().unwrap();
    assert!(below.contains_key("Device.ManagementServer.ConnectionRequestURL"));

    let (status, answer) = host
        .api(
            "GET",
            &format!("/v1/devices?query={}", encoded("tag = ")),
            None,
        )
        .await;
    assert_eq!(status, 400);
    assert_eq!(
        answer["error"]["message"],
        "at character 6 of the query: expected a value, got the end\ntag = \n     ^"
    );
    for wrong in [
        "sort=colour",
        "fields=colour",
        "format=xml",
        "limit=0",
        "colour=red",
    ] {
        let (status, answer) = host.api("GET", &format!("/v1/devices?{wrong}"), None).await;
        assert_eq!(status, 400, "{wrong}: {answer}");
    }
    host.stop().await;
}

#[tokio::test]
async fn tables_have_all_that_match_and_no_formulas() {
    let host = ten().await;
    let device = ids(&host.get("/v1/devices?query=s4").await)[0].to_owned();
    let change = json!({ "label": "=HYPERLINK(\"http://evil.example\")" });
    let (status, _) = host
        .api("PATCH", &format!("/v1/devices/{device}"), Some(change))
        .await;
    assert_eq!(status, 204);
    let table = get(
        &host,
        "/v1/devices?fields=serial_number,label,tags&sort=-serial_number",
        "Accept: text/csv\r\n",
    )
    .await;
    assert!(
        table.head.contains("content-type: text/csv"),
        "{}",
        table.head
    );
    let text = table.text();
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 11);
    assert_eq!(lines[..2], ["serial_number,label,tags", "S9,,vip"]);
    assert_eq!(lines[6], r#"S4,"'=HYPERLINK(""http://evil.example"")","#);

    let query = encoded("tag = vip");
    let objects = get(
        &host,
        &format!("/v1/devices?format=ndjson&query={query}&fields=id"),
        "",
    )
    .await;
    let objects: Vec<Value> = objects
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects.len(), 4);
    let none = get(&host, "/v1/devices?format=csv&query=nobody&fields=id", "").await;
    assert_eq!(none.text(), "id\r\n");
    for wrong in ["limit=5", "after=x", "count=true", "fields=Device.WiFi."] {
        let answer = get(&host, &format!("/v1/devices?format=csv&{wrong}"), "").await;
        assert_eq!(answer.status, 400, "{wrong}");
    }
    host.stop().await;
}

#[tokio::test]
async fn devices_are_announced_before_they_come() {
    let host = Setup::new()
        .config(|config: &mut Config| {
            config.instance.device_authentication.require = Require::Password;
            config.instance.unknown_devices = UnknownDevices::Refuse;
        })
        .start()
        .await;
    let sim = Sim::new(CpeConfig::tr181("S1", &host.url()));
    let who = sim.cpe.device_id();
    let table = format!(
        "oui,product_class,serial_number,tags,label,username,password\n\
         {},{},S1,\"vip;north, sea\",The gate,name 1,secret\n\
         00AABB,Box,2,,,,-other\n",
        who.oui, who.product_class
    );
    let (status, report) = import(&host, "?dry_run=true", &table).await;
    assert_eq!((status, &report["created"]), (200, &2.into()));
    assert!(
        host.get("/v1/devices").await["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );

    let wrong = format!("{table}nonsense,,,,,,\n00AABB,Box,2,,,,\n");
    let (status, report) = import(&host, "?dry_run=true", &wrong).await;
    assert_eq!(status, 200);
    let lines: Vec<&Value> = report["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["line"])
        .collect();
    assert_eq!(lines, [4, 5]);
    let (status, refused) = import(&host, "", &wrong).await;
    assert_eq!(status, 400);
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("line 5: line 3 has the same device"),
        "{message}"
    );
    assert!(
        host.get("/v1/devices").await["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );

    let (_, report) = import(&host, "", &table).await;
    assert_eq!(
        (&report["created"], &report["unchanged"]),
        (&2.into(), &0.into())
    );
    let (_, again) = import(&host, "", &table).await;
    assert_eq!(
        (&again["created"], &again["unchanged"]),
        (&0.into(), &2.into())
    );

    // The device comes with what it was announced with, and is what it was announced as.
    let mut sim = Sim::new(CpeConfig {
        acs_username: "name 1".into(),
        acs_password: "secret".into(),
        ..CpeConfig::tr181("S1", &host.url())
    });
    sim.session().await;
    let device = host.get(&sim.at()).await;
    assert_eq!(device["tags"], json!(["north, sea", "vip"]));
    assert_eq!(device["label"], "The gate");
    assert!(device["first_contact"].is_string());

    // What is exported can be imported, and changes nothing; passwords have to be asked for.
    let table = get(&host, "/v1/devices?format=csv", "").await.text();
    assert!(!table.contains("secret"));
    let (status, report) = import(&host, "", &table).await;
    assert_eq!((status, &report["unchanged"]), (200, &2.into()), "{report}");
    let fields = "id,tags,label,username,password";
    let table = get(
        &host,
        &format!("/v1/devices?format=csv&fields={fields}"),
        "",
    )
    .await
    .text();
    assert!(
        table.contains("name 1,secret") && table.contains("'-other"),
        "{table}"
    );
    let (_, report) = import(&host, "", &table).await;
    assert_eq!(report["unchanged"], 2, "{report}");
    host.stop().await;
}

#[tokio::test]
async fn who_was_not_announced_is_refused_where_the_operator_wants_that() {
    let host = Setup::new()
        .config(|config: &mut Config| config.instance.unknown_devices = UnknownDevices::Refuse)
        .start()
        .await;
    let post = async |serial: &str| {
        let body = inform(serial, &["0 BOOTSTRAP"]);
        http(host.cwmp, "POST", "/", "", body.as_bytes()).await
    };
    let refused = post("1").await;
    assert_eq!(
        (refused.status, refused.text().as_str()),
        (403, "this device is not known here\n")
    );
    let refusal = &host.get("/v1/refusals").await["items"][0];
    assert_eq!(refusal["why"], "unknown-device");
    assert_eq!(refusal["device"], "00AABB-Box-1");
    assert!(
        host.get("/v1/devices").await["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    import(&host, "", "id\n00AABB-Box-1\n").await;
    assert_eq!(post("1").await.status, 200);
    assert_eq!(post("2").await.status, 403);
    host.stop().await;
}

#[tokio::test]
async fn nothing_runs_for_a_device_in_quarantine_until_it_is_released() {
    let host = Setup::shipped()
        .config(|config: &mut Config| config.instance.unknown_devices = UnknownDevices::Quarantine)
        .start()
        .await;
    let mut sim = Sim::new(CpeConfig {
        connection_request_url: "http://127.0.0.1:7547/cr".into(),
        ..CpeConfig::tr181("Q1", &host.url())
    });
    assert_eq!(rpcs(&sim.session().await), [""; 0]);
    let device = host.get(&sim.at()).await;
    assert_eq!(device["quarantined"], true);
    assert_eq!(device["tags"], json!([]));
    assert_eq!(device["parameters"], json!({}));
    assert_eq!(device["reachability"]["mode"], Value::Null);
    let found = host
        .get(&format!(
            "/v1/devices?query={}",
            encoded("quarantined = true")
        ))
        .await;
    assert_eq!(ids(&found), [device["id"].as_str().unwrap()]);
    let get = json!({ "operation": { "op": "get", "paths": ["Device.DeviceInfo."] } });
    let task = host.post(&format!("{}/tasks", sim.at()), get).await;
    assert_eq!(rpcs(&sim.periodic().await), [""; 0]);

    let (status, _) = host
        .api("POST", &format!("{}/release", sim.at()), None)
        .await;
    assert_eq!(status, 204);
    let session = sim.periodic().await;
    assert!(
        rpcs(&session).contains(&"SetParameterValues"),
        "{:?}",
        rpcs(&session)
    );
    let device = host.get(&sim.at()).await;
    assert_eq!(device["quarantined"], false);
    assert_eq!(device["tags"], json!(["contacted"]));
    let task = host
        .get(&format!("/v1/tasks/{}", task["id"].as_str().unwrap()))
        .await;
    assert_eq!(task["state"], "done");
    // What was let in once stays in.
    assert_eq!(
        host.get("/v1/devices?query=quarantined%20%3D%20true").await["items"],
        json!([])
    );
    host.stop().await;
}
