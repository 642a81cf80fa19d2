//! What is counted, read by a parser that nobody here wrote; and that whatever names a metric names one that is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Host, Setup, Sim, TOKEN, http, inform};
use cpe_sim::CpeConfig;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Reads a text and writes its families as JSON.
const READ: &str = "
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read
families = {}
for family in read(sys.stdin.read()):
    assert family.name not in families, family.name
    families[family.name] = {
        'type': family.type, 'help': family.documentation,
        'samples': [[sample.name, sample.labels, sample.value] for sample in family.samples],
    }
json.dump(families, sys.stdout)
";

/// The families of a text, by Prometheus' own strict parser.
fn read(text: &str) -> BTreeMap<String, Value> {
    let python = std::env::var_os("PATCHBAY_PYTHON").expect(
        "PATCHBAY_PYTHON names no Python with prometheus_client: run these tests with tests/run",
    );
    let mut parser = Command::new(python)
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = parser.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, text.as_bytes()).unwrap();
    drop(input);
    let output = parser.wait_with_output().unwrap();
    assert!(output.status.success(), "Prometheus does not read\n{text}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn scrape(host: &Host) -> String {
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    let answer = http(host.api, "GET", "/metrics", &token, b"").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let head = answer.head.to_lowercase();
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(head.contains(kind), "{head}");
    answer.text()
}

/// The value of the sample with these labels.
fn value(families: &BTreeMap<String, Value>, sample: &str, labels: Value) -> f64 {
    let all = families
        .values()
        .flat_map(|f| f["samples"].as_array().unwrap());
    let mut found = all.filter(|s| s[0] == sample && s[1] == labels);
    let value = found.next().map(|s| s[2].as_f64().unwrap());
    assert!(found.next().is_none(), "{sample} {labels} is there twice");
    value.unwrap_or_else(|| panic!("there is no {sample} {labels}"))
}

#[tokio::test]
async fn what_happens_is_counted() {
    let host = Setup::shipped().stun().xmpp().start().await;
    let mut sim = Sim::new(CpeConfig::tr181("1", &host.url()));
    let device = sim.at();
    sim.settle().await;
    let path = sim.path("DeviceInfo.SoftwareVersion");
    for operation in [
        json!({ "op": "get", "paths": [path] }),
        json!({ "op": "get", "paths": ["Device.No.Such.Thing"] }),
        json!({ "op": "reboot" }),
    ] {
        host.post(
            &format!("{device}/tasks"),
            json!({ "operation": operation }),
        )
        .await;
    }
    sim.session().await;
    let stranger = http(host.cwmp, "GET", "/", "", b"").await;
    assert_eq!(stranger.status, 400);
    let nowhere = host.api("GET", "/v1/devices/nobody", None).await;
    assert_eq!(nowhere.0, 404);

    let families = read(&scrape(&host).await);
    let value = |sample: &str, labels: Value| value(&families, sample, labels);
    let none = || json!({});
    let begun = value("patchbay_sessions_begun_total", none());
    assert!(begun >= 2.0, "{begun}");
    assert_eq!(value("patchbay_inform_seconds_count", none()), begun);
    let informs = json!({ "method": "Inform" });
    assert_eq!(value("patchbay_device_requests_total", informs), begun);
    let done = value("patchbay_sessions_ended_total", json!({ "how": "done" }));
    assert_eq!(value("patchbay_session_seconds_count", none()), done);
    let get = json!({ "method": "GetParameterValues" });
    let asked = value("patchbay_rpcs_total", get.clone());
    assert!(asked >= 2.0, "{asked}");
    assert_eq!(value("patchbay_rpc_seconds_count", get), asked);
    assert_eq!(
        value("patchbay_rpcs_total", json!({ "method": "Reboot" })),
        1.0
    );
    assert!(value("patchbay_faults_total", json!({ "code": "9005" })) >= 1.0);
    assert_eq!(
        value("patchbay_refusals_total", json!({ "reason": "no-post" })),
        1.0
    );
    assert_eq!(
        value("patchbay_devices", json!({ "instance": "default" })),
        1.0
    );
    assert_eq!(value("patchbay_devices_new_total", none()), 1.0);
    let modes = families["patchbay_devices_by_mode"]["samples"]
        .as_array()
        .unwrap();
    let modes: f64 = modes.iter().map(|sample| sample[2].as_f64().unwrap()).sum();
    assert_eq!(modes, 1.0);
    assert!(
        value(
            "patchbay_plugin_calls_total",
            json!({ "plugin": "nat-default" })
        ) >= 1.0
    );
    assert_eq!(
        value("patchbay_plugin_up", json!({ "plugin": "first-contact" })),
        1.0
    );
    assert_eq!(value("patchbay_tasks", json!({ "state": "queued" })), 0.0);
    assert!(value("patchbay_store_sync_seconds_count", none()) >= 1.0);
    assert_eq!(value("patchbay_store_up", none()), 1.0);
    assert_eq!(value("patchbay_ready", none()), 1.0);
    assert_eq!(value("patchbay_xmpp_up", none()), 1.0);
    let missed = json!({ "method": "GET", "route": "/v1/devices/{id}", "status": "404" });
    assert_eq!(value("patchbay_api_requests_total", missed), 1.0);
    let tasks = json!({ "method": "POST", "route": "/v1/devices/{id}/tasks" });
    assert_eq!(value("patchbay_api_request_seconds_count", tasks), 3.0);
    let emitted = |about: &str| value("patchbay_events_total", json!({ "about": about }));
    assert_eq!(
        emitted("task"),
        9.0,
        "each is queued, sent, and done or failed"
    );
    assert!(emitted("session") >= 2.0 && emitted("device") >= 1.0 && emitted("fault") >= 1.0);
    assert!(emitted("plugin") >= 1.0);
    assert_eq!(value("patchbay_events_lost_total", none()), 0.0);
    assert!(value("patchbay_audit_records_total", none()) >= 3.0);
    assert_eq!(
        value("patchbay_campaigns", json!({ "state": "running" })),
        0.0
    );
    assert_eq!(value("patchbay_backup_age_seconds", none()), -1.0);
    assert!(value("process_resident_memory_bytes", none()) > 1e6);
    assert!(value("process_cpu_seconds_total", none()) > 0.0);

    // A device that is forgotten is counted nowhere any more.
    assert_eq!(host.api("DELETE", &device, None).await.0, 204);
    let families = read(&scrape(&host).await);
    for family in ["patchbay_devices", "patchbay_devices_by_mode"] {
        let samples = families[family]["samples"].as_array().unwrap();
        assert!(samples.iter().all(|sample| sample[2] == 0.0), "{samples:?}");
    }
    host.stop().await;
}

#[tokio::test]
async fn searches_webhooks_campaigns_and_backups_are_counted() {
    let host = Setup::new()
        .config(|config| config.webhooks.allow = vec!["127.0.0.0/8".parse().unwrap()])
        .start()
        .await;
    for serial in ["1", "2", "3"] {
        let body = inform(serial, &["0 BOOTSTRAP"]);
        http(host.cwmp, "POST", "/", "", body.as_bytes()).await;
    }
    for query in ["tag%20=%20gold", "Device.X%20=%201", "Device.Y%20=%201"] {
        host.get(&format!("/v1/devices?query={query}")).await;
    }
    // Nobody listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let webhook = json!({
        "url": nobody, "secret": "a-secret-of-the-test", "query": "kind = webhook.test",
    });
    host.api("PUT", "/v1/webhooks/crm", Some(webhook)).await;
    host.api("POST", "/v1/webhooks/crm/test", None).await;
    host.until("/v1/webhooks/crm", |hook| hook["failed"] != 0)
        .await;
    let campaign = |start: Option<&str>| {
        json!({
            "name": "a campaign", "query": "", "operation": { "op": "reboot" },
            "schedule": { "start": start },
        })
    };
    host.post("/v1/campaigns", campaign(None)).await;
    let started = host
        .post("/v1/campaigns", campaign(Some("2999-01-01T00:00:00Z")))
        .await;
    let path = format!("/v1/campaigns/{}/start", started["id"].as_str().unwrap());
    host.post(&path, json!({})).await;
    host.post("/v1/backups", json!({})).await;

    let families = read(&scrape(&host).await);
    let value = |sample: &str, labels: Value| value(&families, sample, labels);
    let looked_at = |what: &str| {
        let labels = json!({ "looked_at": what });
        value("patchbay_search_seconds_count", labels)
    };
    assert_eq!(looked_at("parameters"), 2.0);
    assert!(looked_at("rows") >= 1.0);
    assert_eq!(value("patchbay_search_devices_read_total", json!({})), 6.0);
    assert_eq!(value("patchbay_searches_waiting", json!({})), 0.0);
    let crm = json!({ "instance": "default", "webhook": "crm" });
    let failed = json!({ "instance": "default", "webhook": "crm", "result": "failed" });
    assert!(value("patchbay_webhook_requests_total", failed) >= 1.0);
    assert_eq!(value("patchbay_webhook_waiting", crm.clone()), 1.0);
    let oldest = value("patchbay_webhook_oldest_seconds", crm.clone());
    assert!((0.0..60.0).contains(&oldest), "{oldest}");
    assert_eq!(value("patchbay_webhook_dead_letters", crm), 0.0);
    let state = |state: &str| json!({ "state": state });
    assert_eq!(value("patchbay_campaigns", state("draft")), 1.0);
    assert_eq!(value("patchbay_campaigns", state("scheduled")), 1.0);
    assert_eq!(value("patchbay_campaign_devices", state("pending")), 3.0);
    let made = json!({ "result": "made" });
    assert_eq!(value("patchbay_backups_total", made), 1.0);
    let age = value("patchbay_backup_age_seconds", json!({}));
    assert!((0.0..60.0).contains(&age), "{age}");
    assert!(value("patchbay_backup_bytes", json!({})) > 100.0);
    host.stop().await;
}

/// Whatever devices and clients say, there are no more series than before.
#[tokio::test]
async fn nobody_outside_makes_series() {
    let host = Setup::new().start().await;
    let series = |text: &str| {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let series = samples.map(|line| line.rsplit_once(' ').unwrap().0.to_owned());
        series.collect::<BTreeSet<String>>()
    };
    let talk = async |host: &Host, from: u32| {
        for number in from..from + 20 {
            let body = inform(&format!("SERIAL{number}"), &[&format!("X ACME {number}")]);
            http(host.cwmp, "POST", "/", "", body.as_bytes()).await;
            let path = format!("/path{number}?x={number}");
            http(host.cwmp, "GET", &path, "", b"").await;
            http(host.api, &format!("VERB{number}"), &path, "", b"").await;
            host.api("GET", &format!("/v1/devices/00AABB-{number}"), None)
                .await;
        }
    };
    talk(&host, 0).await;
    scrape(&host).await;
    let before = series(&scrape(&host).await);
    talk(&host, 100).await;
    let after = series(&scrape(&host).await);
    assert_eq!(
        before.symmetric_difference(&after).collect::<Vec<_>>(),
        [""; 0]
    );
    assert!(!after.iter().any(|series| series.contains("SERIAL")));
    host.stop().await;
}

#[tokio::test]
async fn the_token_is_needed_but_at_an_address_of_its_own() {
    let host = Setup::new()
        .config(|config| config.metrics.listen = Some("127.0.0.1:0".parse().unwrap()))
        .start()
        .await;
    let refused = http(host.api, "GET", "/metrics", "", b"").await;
    assert_eq!(refused.status, 401);
    let own = http(host.metrics.unwrap(), "GET", "/metrics", "", b"").await;
    assert_eq!(own.status, 200);
    assert!(read(&own.text()).contains_key("patchbay_sessions_open"));
    let ready = http(host.metrics.unwrap(), "GET", "/health/ready", "", b"").await;
    assert_eq!(ready.status, 200);
    let nothing = http(host.metrics.unwrap(), "GET", "/v1/devices", "", b"").await;
    assert_eq!(nothing.status, 404);
    host.stop().await;
}

/// Each metric has its row with its type, its labels and its words, and no row is of another.
#[tokio::test]
async fn the_page_of_metrics_has_each_of_them() {
    let host = Setup::shipped().stun().xmpp().start().await;
    let mut sim = Sim::new(CpeConfig::tr181("1", &host.url()));
    sim.settle().await;
    let families = read(&scrape(&host).await);
    host.stop().await;
    let mut expected = String::new();
    for (name, family) in &families {
        let (kind, help) = (
            family["type"].as_str().unwrap(),
            family["help"].as_str().unwrap(),
        );
        expected.push_str(&format!("| `{name}` | {kind} | {help} |\n"));
    }
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/metrics.md")).unwrap();
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| `patchbay_") || line.starts_with("| `process_"));
    let rows: BTreeSet<&str> = rows.collect();
    let wanted: BTreeSet<&str> = expected.lines().collect();
    let missing: Vec<_> = wanted.difference(&rows).collect();
    let stale: Vec<_> = rows.difference(&wanted).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "docs/metrics.md lacks {missing:#?} and has {stale:#?}"
    );
}

/// The alerts and the dashboard that are shipped ask for nothing that is not there.
#[tokio::test]
async fn the_examples_name_metrics_that_there_are() {
    let host = Setup::new().start().await;
    let families = read(&scrape(&host).await);
    host.stop().await;
    let mut names = BTreeSet::new();
    for (name, family) in &families {
        let suffixes: &[&str] = match family["type"].as_str().unwrap() {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_count", "_sum"],
            "info" => &["_info"],
            _ => &[""],
        };
        names.extend(suffixes.iter().map(|suffix| format!("{name}{suffix}")));
    }
    for file in ["alerts.yml", "grafana.json"] {
        let text = std::fs::read_to_string(Path::new(ROOT).join("examples").join(file)).unwrap();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words = text.split(|c| !is_name(c));
        let named =
            words.filter(|word| word.starts_with("patchbay_") || word.starts_with("process_"));
        let named: BTreeSet<&str> = named.collect();
        assert!(named.len() > 10, "{file}: {named:?}");
        let unknown: Vec<_> = named
            .iter()
            .filter(|name| !names.contains(**name))
            .collect();
        assert!(unknown.is_empty(), "examples/{file} names {unknown:?}");
    }
    let dashboard = std::fs::read_to_string(Path::new(ROOT).join("examples/grafana.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let asking = panels.iter().filter(|panel| panel["type"] != "row");
    for panel in asking {
        assert!(panel["targets"][0]["expr"].is_string(), "{panel}");
        assert!(panel["title"].is_string(), "{panel}");
    }
}
