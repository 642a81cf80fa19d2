//! What happens, told to the systems around.

use std::time::Duration;

use cpe_sim::{CpeConfig, Vendor};
use patchbay::events::{Event, Follower, HISTORY_EVENTS_MAX, What};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::harness::{Host, PATIENCE, Setup, Sim, TOKEN, guest, http, put_plugin_as};
use crate::tasks::{of, queue};

/// What a follower has not seen, as it goes out.
fn news(follower: &mut Follower) -> Vec<Value> {
    let news = follower.take();
    assert_eq!(news.lost, Some(0));
    news.events
        .iter()
        .map(|event| json!(event.told()))
        .collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_life_of_a_device() {
    let host = Setup::new().plugin("shipped", "nat-default").start().await;
    let mut follower = host.acs.events.follow();
    let mut sim = of(&host, Vendor::tr181()).await;
    let events = news(&mut follower);
    assert_eq!(
        kinds(&events),
        ["device.registered", "device.changed", "session.ended"],
        "{events:#?}"
    );
    let device = sim.at().rsplit('/').next().unwrap().to_owned();
    for event in &events {
        assert_eq!(
            (&event["instance"], &event["device"]),
            (&json!("default"), &json!(device))
        );
    }
    assert_eq!(events[0]["data"]["serial_number"], "T1");
    // It has no address to be called at.
    let mode = json!({ "mode": { "before": "", "after": "short-inform" } });
    assert_eq!(events[1]["data"], mode);
    assert_eq!(events[2]["data"]["outcome"], "done");

    let id = queue(&host, &sim, json!({ "op": "reboot" })).await;
    sim.periodic().await;
    sim.settle().await;
    let wrong = json!({ "op": "get", "paths": ["Device.NoSuchThing"] });
    queue(&host, &sim, wrong).await;
    sim.periodic().await;
    let cancelled = queue(&host, &sim, json!({ "op": "rpc-methods" })).await;
    host.post(&format!("/v1/tasks/{cancelled}/cancel"), Value::Null)
        .await;
    let events = news(&mut follower);
    let of_tasks: Vec<Value> = events
        .into_iter()
        .filter(|event| !kinds(std::slice::from_ref(event))[0].starts_with("session"))
        .collect();
    assert_eq!(
        kinds(&of_tasks),
        [
            "task.queued",
            "task.sent",
            "task.done",
            "task.queued",
            "task.sent",
            "fault.raised",
            "task.failed",
            "task.queued",
            "task.cancelled"
        ],
        "{of_tasks:#?}"
    );
    assert_eq!(
        of_tasks[2]["data"],
        json!({ "task": id, "operation": "reboot", "attempts": 1 })
    );
    assert_eq!(of_tasks[6]["data"]["fault"], 9005);
    let mut numbers: Vec<u64> = Vec::new();
    numbers.extend(
        of_tasks
            .iter()
            .map(|event| event["number"].as_u64().unwrap()),
    );
    assert!(numbers.is_sorted());
}

#[tokio::test]
async fn a_device_that_does_not_come_when_it_is_called() {
    let host = Setup::new()
        .plugin("shipped", "nat-default")
        .config(|config| config.instance.session_after_wake_seconds_max = 1)
        .start()
        .await;
    // Nobody listens where it wants to be called.
    let config = CpeConfig {
        connection_request_url: "http://127.0.0.1:9/".into(),
        ..CpeConfig::of(Vendor::tr181(), "T1", &host.url())
    };
    let mut sim = Sim::new(config);
    sim.settle().await;
    let mut follower = host.acs.events.follow();
    let at = format!("{}/wake", sim.at());
    for _ in 0..2 {
        host.post(&at, json!({ "wait_seconds": 20 })).await;
    }
    sim.periodic().await;
    let events = news(&mut follower);
    assert_eq!(
        kinds(&events)[..2],
        ["device.unreachable", "device.reachable"],
        "{events:#?}"
    );
    let tried = &events[0]["data"]["tried"][0];
    assert_eq!(
        tried,
        &json!({ "mode": "direct-http", "outcome": "unreachable" })
    );
}

#[tokio::test]
async fn what_people_say_of_devices_is_told() {
    let host = Setup::new().start().await;
    let table = "id,tags\n02A1B2-Box-1,gold\n02A1B2-Box-2,\n";
    let headers = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: text/csv\r\n");
    let mut follower = host.acs.events.follow();
    for path in [
        "/v1/devices/import?dry_run=true",
        "/v1/devices/import",
        "/v1/devices/import",
    ] {
        let answer = http(host.api, "POST", path, &headers, table.as_bytes()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let at = "/v1/devices/02A1B2-Box-1";
    for label in ["attic", "attic", ""] {
        let body = json!({ "label": label });
        assert_eq!(host.api("PATCH", at, Some(body)).await.0, 204);
    }
    let notes = format!("{at}/notes");
    host.post(&notes, json!({ "text": "ask for Ben" })).await;
    let (status, _) = host.api("DELETE", &format!("{notes}/1"), None).await;
    assert_eq!(status, 204);
    let events = news(&mut follower);
    let told: Vec<(&str, &Value)> = events
        .iter()
        .map(|event| (event["kind"].as_str().unwrap(), &event["data"]))
        .collect();
    let imported = json!({
        "created": 2, "changed": 0, "devices": ["02A1B2-Box-1", "02A1B2-Box-2"],
    });
    let label =
        |before: &str, after: &str| json!({ "label": { "before": before, "after": after } });
    let note = json!([{ "number": 1, "by": "token:config", "text": "ask for Ben" }]);
    assert_eq!(
        told,
        [
            ("device.imported", &imported),
            ("device.changed", &label("", "attic")),
            ("device.changed", &label("attic", "")),
            (
                "device.changed",
                &json!({ "notes": { "added": note, "removed": [] } })
            ),
            (
                "device.changed",
                &json!({ "notes": { "added": [], "removed": note } })
            ),
        ]
    );
    assert_eq!(events[0].get("device"), None);
}

#[tokio::test]
async fn plugins_as_they_come_and_go() {
    let host = Setup::new().plugin("examples", "read-five").start().await;
    let mut follower = host.acs.events.follow();
    let broken = host.plugins.join("broken.wasm");
    std::fs::write(&broken, b"no component").unwrap();
    host.reload().await;
    std::fs::remove_file(&broken).unwrap();
    host.reload().await;
    let toml = "priority = 3\n";
    put_plugin_as(
        &host.plugins,
        "read-five",
        &guest("examples", "read-five"),
        Some(toml),
    );
    host.reload().await;
    let mut events = news(&mut follower);
    // The file system may have told of the operator's file first.
    events.dedup_by_key(|event| event["kind"].clone());
    assert_eq!(
        kinds(&events),
        ["plugin.failed", "plugin.removed", "plugin.loaded"],
        "{events:#?}"
    );
    assert_eq!(events[0]["data"]["plugin"], "broken");
    assert!(events[0]["data"]["error"].is_string());
    assert_eq!(events[2].get("instance"), None);
}

/// A stream of events, read by hand.
pub struct Reader {
    connection: BufReader<TcpStream>,
}

/// An event as it came.
#[derive(Debug, Default)]
pub struct Came {
    pub id: String,
    pub kind: String,
    pub data: Value,
}

impl Reader {
    async fn open(host: &Host, query: &str, last: Option<&str>) -> Reader {
        Reader::open_as(host, TOKEN, query, last).await
    }

    pub async fn open_as(host: &Host, token: &str, query: &str, last: Option<&str>) -> Reader {
        let mut connection = TcpStream::connect(host.api).await.unwrap();
        let last = last.map_or_else(String::new, |last| format!("Last-Event-ID: {last}\r\n"));
        let query = query.replace(' ', "%20").replace('"', "%22");
        let request = format!(
            "GET /v1/events?query={query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n{last}\r\n"
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut reader = Reader {
            connection: BufReader::new(connection),
        };
        assert_eq!(reader.line().await, "HTTP/1.1 200 OK");
        while !reader.line().await.is_empty() {}
        // The first says where the stream stands.
        assert!(!reader.block().await.id.is_empty());
        reader
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.connection.read_line(&mut line);
        let read = tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        assert!(read > 0, "the stream ended");
        line.trim_end().to_owned()
    }

    async fn block(&mut self) -> Came {
        let mut came = Came::default();
        let mut is_empty = true;
        loop {
            // What frames the pieces of a chunked body is no field.
            let line = self.line().await;
            match line.split_once(':') {
                Some(("id", id)) => id.trim().clone_into(&mut came.id),
                Some(("event", kind)) => kind.trim().clone_into(&mut came.kind),
                Some(("data", data)) => came.data = serde_json::from_str(data).unwrap(),
                _ if line.is_empty() && !is_empty => return came,
                _ => continue,
            }
            is_empty = false;
        }
    }

    /// The next event that is one.
    pub async fn next(&mut self) -> Came {
        loop {
            let came = self.block().await;
            if !came.kind.is_empty() {
                return came;
            }
        }
    }
}

#[tokio::test]
async fn events_are_streamed_and_resumed() {
    let host = Setup::new().start().await;
    let sim = of(&host, Vendor::tr181()).await;
    let query = "kind = \"task.*\" and device.product_class = *";
    let mut all = Reader::open(&host, "", None).await;
    let mut tasks = Reader::open(&host, query, None).await;
    let first = queue(&host, &sim, json!({ "op": "reboot" })).await;
    let tag = format!("{}/tags/gold", sim.at());
    assert_eq!(host.api("PUT", &tag, None).await.0, 204);
    let second = queue(&host, &sim, json!({ "op": "rpc-methods" })).await;
    let came = tasks.next().await;
    assert_eq!(
        (came.kind.as_str(), &came.data["data"]["task"]),
        ("task.queued", &json!(first))
    );
    assert_eq!(came.data["number"].to_string(), came.id);
    assert_eq!(tasks.next().await.data["data"]["task"], json!(second));
    for kind in ["task.queued", "device.changed", "task.queued"] {
        assert_eq!(all.next().await.kind, kind);
    }
    // Who was away gets what it has missed, of what it asked for.
    drop(tasks);
    let mut again = Reader::open(&host, query, Some(&came.id)).await;
    assert_eq!(again.next().await.data["data"]["task"], json!(second));
    let mut gold = Reader::open(&host, "device.tag = gold", Some(&came.id)).await;
    assert_eq!(gold.next().await.kind, "device.changed");
    // The number of another life of the host.
    let mut stranger = Reader::open(&host, "", Some("17")).await;
    let lost = stranger.next().await;
    assert_eq!(
        (lost.kind.as_str(), lost.data),
        ("lost", json!({ "count": null }))
    );
    for wrong in ["/v1/events?query=kidn=x", "/v1/events?after=x"] {
        assert_eq!(host.api("GET", wrong, None).await.0, 400, "{wrong}");
    }
    assert_eq!(host.acs.events.streams.count(), 4);
}

#[tokio::test]
async fn a_reader_that_does_not_read_costs_no_memory_and_is_cut_off() {
    let host = Setup::new().start().await;
    let mut slow = Reader::open(&host, "", None).await;
    let instance = "default".into();
    let webhook = "x".repeat(900);
    // More than the history and all buffers in between hold.
    for number in 0..4 * HISTORY_EVENTS_MAX {
        let what = What::WebhookTest {
            webhook: webhook.clone(),
        };
        let event = Event::of_instance(1, &instance, what);
        host.acs.events.emit(event);
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut seen = 0;
    let lost = loop {
        let came = slow.next().await;
        if came.kind == "lost" {
            break came.data["count"].as_u64().unwrap();
        }
        seen += 1;
    };
    assert!(
        lost > 0 && seen < 3 * HISTORY_EVENTS_MAX,
        "{lost} lost, {seen} seen"
    );
    // After what it could still be given, it is over.
    let mut rest = Vec::new();
    let end = slow.connection.read_to_end(&mut rest);
    tokio::time::timeout(PATIENCE, end).await.unwrap().unwrap();
    assert_eq!(host.acs.events.streams.count(), 0);
}

#[tokio::test]
async fn a_stream_does_not_hold_up_the_end_of_the_host() {
    let host = Setup::new().start().await;
    let mut reader = Reader::open(&host, "", None).await;
    let begun = std::time::Instant::now();
    host.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(4));
    let mut rest = Vec::new();
    reader.connection.read_to_end(&mut rest).await.unwrap();
}
