//! Traces of sessions: what is kept, what it tells, and what it must not tell.

use std::path::Path;

use cpe_sim::{CpeConfig, Oddity, Vendor};
use patchbay::config::KeepTraces;
use serde_json::{Value, json};

use crate::harness::{Host, Setup, Sim, TOKEN, http, inform};

const PASSPHRASE: &str = "correct horse <battery> & staple";
const FILE_PASSWORD: &str = "file-server-password";

async fn device(host: &Host, config: CpeConfig) -> Sim {
    let mut sim = Sim::new(CpeConfig {
        acs_url: host.url(),
        ..config
    });
    sim.settle().await;
    sim
}

/// Queues an operation and lets the device inform.
async fn run(host: &Host, sim: &mut Sim, operation: Value) {
    let task = host
        .post(
            &format!("{}/tasks", sim.at()),
            json!({ "operation": operation }),
        )
        .await;
    assert_eq!(task["state"], "queued");
    sim.periodic().await;
    sim.settle().await;
}

/// What the API lists of a device's sessions.
async fn sessions(host: &Host, sim: &Sim) -> Vec<Value> {
    let list = host.get(&format!("{}/sessions?limit=1000", sim.at())).await;
    list["items"].as_array().unwrap().clone()
}

async fn text(host: &Host, path: &str) -> String {
    let headers = format!("Authorization: Bearer {TOKEN}\r\n");
    let answer = http(host.api, "GET", path, &headers, b"").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text()
}

fn id(session: &Value) -> &str {
    session["id"].as_str().unwrap()
}

/// Everything that is on disk below a directory, and everything that is packed in it.
fn on_disk(directory: &Path, found: &mut Vec<u8>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            on_disk(&path, found);
        } else {
            found.extend(std::fs::read(&path).unwrap());
        }
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

#[tokio::test]
async fn a_session_is_told_as_it_was() {
    let host = Setup::shipped().start().await;
    let config = CpeConfig::of(Vendor::tr181(), "T1", "").with(Oddity::CookieVersioned);
    let mut sim = device(&host, config).await;
    run(
        &host,
        &mut sim,
        json!({ "op": "get", "paths": ["Device.Nonsense"] }),
    )
    .await;

    let listed = sessions(&host, &sim).await;
    assert_eq!(listed.len(), 2, "{listed:?}");
    let last = &listed[0];
    assert_eq!(last["events"], json!(["2 PERIODIC"]));
    assert_eq!((&last["rpcs"], &last["faults"]), (&json!(1), &json!(1)));
    assert_eq!(
        (&last["ended"], &last["open"]),
        (&json!("done"), &json!(false))
    );
    assert!(last["duration_ms"].as_f64().unwrap() > 0.0, "{last}");

    let session = host.get(&format!("/v1/sessions/{}", id(last))).await;
    let entries = session["entries"].as_array().unwrap();
    let told: Vec<String> = entries
        .iter()
        .map(|entry| match entry["kind"].as_str().unwrap() {
            "request" => format!("> {}", entry["message"].as_str().unwrap_or("")),
            "answer" => format!(
                "< {} {}",
                entry["status"],
                entry["message"].as_str().unwrap_or("")
            ),
            "note" => entry["text"].as_str().unwrap().to_owned(),
            kind => kind.to_owned(),
        })
        .collect();
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    let task = |text: &str| {
        told.iter()
            .any(|told| told.starts_with("task t-") && told.ends_with(text))
    };
    assert!(task(" begins") && task(" Failed"), "{told:?}");
    let messages: Vec<&str> = told
        .iter()
        .copied()
        .filter(|told| told.starts_with(['<', '>']))
        .collect();
    assert_eq!(
        messages,
        [
            "> Inform",
            "< 200 InformResponse",
            "> ",
            "< 200 GetParameterValues",
            "> Fault",
            "< 204 "
        ]
    );
    // As the device sent it, but for the secret of the cookie.
    let headers = entries
        .iter()
        .filter(|entry| entry["kind"] == "request")
        .flat_map(|request| request["headers"].as_array().unwrap());
    let cookie = headers.clone().find(|header| header[0] == "cookie");
    let cookie = cookie.unwrap();
    let cookie = cookie[1].as_str().unwrap();
    assert!(cookie.starts_with("$Version=\"0\"; "), "{cookie}");
    assert!(cookie.contains("=***;$Path=/"), "{cookie}");
    let body = entries[0]["body"]["text"].as_str().unwrap();
    assert_eq!(entries[0]["body"]["bytes"], body.len());
    assert!(body.contains("<EventCode>2 PERIODIC</EventCode>"), "{body}");

    let told = text(&host, &format!("/v1/sessions/{}.txt", id(last))).await;
    for line in [
        "device → ACS  Inform  2 PERIODIC; ",
        "device ← ACS  InformResponse",
        "device → ACS  empty",
        "device ← ACS  GetParameterValues  Device.Nonsense",
        "device → ACS  Fault  9005 ",
        "<string>Device.Nonsense</string>",
        "── done, 1 RPC, 1 fault, ",
    ] {
        assert!(told.contains(line), "{line:?} is not in\n{told}");
    }
    // The first one, in which a plugin set the device up.
    let first = text(&host, &format!("/v1/sessions/{}.txt", id(&listed[1]))).await;
    for line in [
        "plugin nat-default ",
        ", decide, ",
        "plugin first-contact ",
        ", run, ",
        "• mode ",
    ] {
        assert!(first.contains(line), "{line:?} is not in\n{first}");
    }
    host.stop().await;
}

#[tokio::test]
async fn no_secret_is_kept_or_told() {
    let data = tempfile::tempdir().unwrap();
    let directory = data.path().to_owned();
    let host = Setup::shipped()
        .config(move |config| {
            config.data_directory = directory;
            config.traces.keep = KeepTraces::All;
        })
        .start()
        .await;
    let mut devices = Vec::new();
    for (vendor, path) in [
        (Vendor::tr181(), "WiFi.AccessPoint.1.Security.KeyPassphrase"),
        (
            Vendor::tr098(),
            "LANDevice.1.WLANConfiguration.1.KeyPassphrase",
        ),
    ] {
        let mut sim = device(&host, CpeConfig::of(vendor, "T1", "")).await;
        let path = sim.path(path);
        run(
            &host,
            &mut sim,
            json!({ "op": "set", "parameters": [{ "path": path, "value": PASSPHRASE }] }),
        )
        .await;
        assert_eq!(sim.value(path.split_once('.').unwrap().1), PASSPHRASE);
        run(&host, &mut sim, json!({ "op": "get", "paths": [path] })).await;
        run(
            &host,
            &mut sim,
            json!({
                "op": "download", "file_type": "3 Vendor Configuration File",
                "url": format!("http://someone:{FILE_PASSWORD}@127.0.0.1:9/f?id=7&sig={FILE_PASSWORD}"),
                "username": "someone", "password": FILE_PASSWORD,
            }),
        )
        .await;
        run(
            &host,
            &mut sim,
            json!({
                "op": "raw", "method": "X_Acme_Set",
                "xml": format!("<Name>A.Password</Name><Value>{FILE_PASSWORD}</Value>"),
            }),
        )
        .await;
        devices.push(sim);
    }
    let mut credentials = Vec::new();
    for sim in &devices {
        credentials.push(sim.value("ManagementServer.ConnectionRequestPassword"));
    }
    let secrets: Vec<&str> = [PASSPHRASE, "correct horse &lt;battery", FILE_PASSWORD]
        .into_iter()
        .chain(credentials.iter().map(String::as_str))
        .collect();

    let mut told = String::new();
    for sim in &devices {
        let listed = sessions(&host, sim).await;
        assert!(listed.len() >= 5, "{listed:?}");
        for session in listed {
            told += &text(&host, &format!("/v1/sessions/{}", id(&session))).await;
            told += &text(&host, &format!("/v1/sessions/{}.txt", id(&session))).await;
        }
        for path in ["", "/tasks", "/faults", "/sessions"] {
            told += &text(&host, &format!("{}{path}", sim.at())).await;
        }
    }
    assert!(told.contains("KeyPassphrase</Name>") && told.contains("<Password>***</Password>"));
    assert!(told.contains("http://***@127.0.0.1:9/f?id=7&amp;sig=***"));
    for secret in &secrets {
        assert!(!told.contains(secret), "the API tells {secret:?}");
    }

    // What is kept, unpacked.
    let records = host.acs.store.traces().read(0, 10_000).unwrap();
    assert!(records.len() >= 10);
    let mut kept: Vec<u8> = records
        .into_iter()
        .flat_map(|record| [record.head, record.bytes].concat())
        .collect();
    host.stop().await;
    on_disk(&data.path().join("store").join("traces"), &mut kept);
    for secret in &secrets {
        assert!(!contains(&kept, secret), "{secret:?} is on disk");
    }
}

#[tokio::test]
async fn what_was_kept_is_there_after_a_restart_the_last_ones_of_each_device() {
    let data = tempfile::tempdir().unwrap();
    let start = |most: usize| {
        let directory = data.path().to_owned();
        Setup::new()
            .config(move |config| {
                config.data_directory = directory;
                config.traces.keep = KeepTraces::All;
                config.traces.sessions_per_device_max = most;
            })
            .start()
    };
    let host = start(5).await;
    let mut sim = device(&host, CpeConfig::of(Vendor::tr181(), "T1", "")).await;
    let mut other = device(&host, CpeConfig::of(Vendor::tr098(), "T2", "")).await;
    for _ in 0..7 {
        sim.periodic().await;
    }
    other.periodic().await;
    let before = sessions(&host, &sim).await;
    assert_eq!(before.len(), 5);
    let ids: Vec<&str> = before.iter().map(id).collect();
    assert!(ids.is_sorted_by(|a, b| a > b), "the last first: {ids:?}");
    let page = host.get(&format!("{}/sessions?limit=2", sim.at())).await;
    assert_eq!(page["items"], json!(before[..2]));
    let after = page["next"].as_str().unwrap();
    let page = host
        .get(&format!("{}/sessions?limit=3&after={after}", sim.at()))
        .await;
    assert_eq!(
        (&page["items"], &page["next"]),
        (&json!(before[2..]), &Value::Null)
    );
    let whole = host.get(&format!("/v1/sessions/{}", ids[4])).await;
    host.stop().await;

    let host = start(5).await;
    assert_eq!(sessions(&host, &sim).await, before);
    assert_eq!(host.get(&format!("/v1/sessions/{}", ids[4])).await, whole);
    assert_eq!(sessions(&host, &other).await.len(), 2);
    assert_eq!(host.get("/v1/status").await["traces"]["sessions"], 7);
    host.stop().await;

    let host = start(2).await;
    assert_eq!(sessions(&host, &sim).await, before[..2]);
    let (status, _) = host
        .api("GET", &format!("/v1/sessions/{}", ids[4]), None)
        .await;
    assert_eq!(status, 404);
    host.stop().await;
}

#[tokio::test]
async fn all_sessions_of_one_device_for_a_while() {
    let data = tempfile::tempdir().unwrap();
    let start = |keep| {
        let directory = data.path().to_owned();
        Setup::new()
            .config(move |config| {
                config.data_directory = directory;
                config.traces.keep = keep;
            })
            .start()
    };
    let host = start(KeepTraces::Eventful).await;
    let mut sim = device(&host, CpeConfig::of(Vendor::tr181(), "T1", "")).await;
    // A new device is an event, a periodic Inform is none.
    assert_eq!(sessions(&host, &sim).await.len(), 1);
    sim.periodic().await;
    assert_eq!(sessions(&host, &sim).await.len(), 1);

    let path = format!("{}/trace", sim.at());
    let (status, answer) = host.api("PUT", &path, Some(json!({ "hours": 24 }))).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(host.get(&sim.at()).await["trace_until"], answer["until"]);
    sim.periodic().await;
    assert_eq!(sessions(&host, &sim).await.len(), 2);
    host.stop().await;

    let host = start(KeepTraces::None).await;
    let now = sim.now();
    assert!(sim.cpe.set("Device.ManagementServer.URL", &host.url(), now));
    sim.periodic().await;
    assert_eq!(sessions(&host, &sim).await.len(), 3, "asked for durably");
    let (status, answer) = host.api("PUT", &path, Some(json!({ "hours": 0 }))).await;
    assert_eq!((status, &answer["until"]), (200, &Value::Null));
    sim.periodic().await;
    assert_eq!(sessions(&host, &sim).await.len(), 3);
    for bad in [
        json!({ "hours": 721 }),
        json!({ "hours": -1 }),
        json!({ "days": 1 }),
    ] {
        let (status, answer) = host.api("PUT", &path, Some(bad)).await;
        assert!((400..500).contains(&status), "{answer}");
    }
    host.stop().await;
}

#[tokio::test]
async fn a_session_under_way_can_be_looked_at() {
    let host = Setup::new().start().await;
    let mut sim = Sim::new(CpeConfig {
        acs_url: host.url(),
        ..CpeConfig::of(Vendor::tr181(), "T1", "")
    });
    sim.post(&host).await;
    let listed = sessions(&host, &sim).await;
    assert_eq!(
        (&listed[0]["open"], &listed[0]["ended"]),
        (&json!(true), &Value::Null)
    );
    let path = format!("/v1/sessions/{}", id(&listed[0]));
    let session = host.get(&path).await;
    assert_eq!(session["entries"].as_array().unwrap().len(), 2, "{session}");
    assert!(
        text(&host, &format!("{path}.txt"))
            .await
            .contains("still under way")
    );
    sim.post_rest(&host).await;
    assert_eq!(host.get(&path).await["ended"], "done");
    host.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_and_masked() {
    let host = Setup::new().start().await;
    let first = http(
        host.cwmp,
        "POST",
        "/",
        "",
        inform("B1", &["1 BOOT"]).as_bytes(),
    )
    .await;
    let cookie = first
        .head
        .lines()
        .find_map(|line| line.strip_prefix("Set-Cookie: "))
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let broken =
        "<e:Envelope><e:Body><X><Name>Device.A.Password</Name><Value>broken-secret</e:Body>";
    let headers = format!("Cookie: {cookie}\r\nContent-Type: text/odd\r\n");
    let answer = http(host.cwmp, "POST", "/", &headers, broken.as_bytes()).await;
    assert_eq!(answer.status, 400);
    let listed = host.get("/v1/devices/00AABB-Box-B1/sessions").await;
    let id = id(&listed["items"][0]).to_owned();
    let told = text(&host, &format!("/v1/sessions/{id}.txt")).await;
    for line in [
        "content-type: text/odd",
        "<Value>***",
        "400",
        "cannot be read: ",
    ] {
        assert!(told.contains(line), "{line:?} is not in\n{told}");
    }
    assert!(
        !told.contains("broken-secret") && !told.contains(&cookie),
        "{told}"
    );
    for path in ["/v1/sessions/s-1", "/v1/devices/00AABB-Box-B2/sessions"] {
        assert_eq!(host.api("GET", path, None).await.0, 404, "{path}");
    }
    assert_eq!(host.api("GET", "/v1/sessions/x", None).await.0, 400);
    host.stop().await;
}

#[tokio::test]
async fn an_export_tells_nobody_who_it_was() {
    let host = Setup::shipped()
        .config(|config| config.traces.keep = KeepTraces::All)
        .start()
        .await;
    let mut sim = device(&host, CpeConfig::of(Vendor::tr181(), "SER-4711-X", "")).await;
    let [ssid, wan] = ["WiFi.SSID.1.SSID", "IP.Interface.1.IPv4Address.1.IPAddress"];
    let set =
        json!({ "op": "set", "parameters": [{ "path": sim.path(ssid), "value": "Café Müller" }] });
    run(&host, &mut sim, set).await;
    let paths = [
        "WiFi.SSID.1.",
        "Ethernet.Interface.1.",
        "IP.Interface.1.",
        "DeviceInfo.",
    ];
    let paths: Vec<String> = paths.iter().map(|path| sim.path(path)).collect();
    run(&host, &mut sim, json!({ "op": "get", "paths": paths })).await;

    let listed = sessions(&host, &sim).await;
    let identities = [
        "SER-4711-X".to_owned(),
        "SER~2D4711~2DX".to_owned(),
        "Café Müller".to_owned(),
        sim.value("Ethernet.Interface.1.MACAddress"),
        sim.value(wan),
        host.cwmp.to_string(),
    ];
    let original = text(&host, &format!("/v1/sessions/{}.txt", id(&listed[0]))).await;
    for identity in &identities[1..5] {
        assert!(
            original.contains(identity.as_str()),
            "{identity} is not in\n{original}"
        );
    }
    let path = format!("{}/sessions/export?last=3", sim.at());
    let export = text(&host, &path).await;
    assert_eq!(export, text(&host, &path).await, "twice is the same");
    assert_eq!(export.lines().count(), 3);
    let one = text(&host, &format!("/v1/sessions/{}/export", id(&listed[0]))).await;
    for exported in [&export, &one] {
        // The addresses of this very machine stay: they are everybody's.
        for identity in &identities[..5] {
            assert!(
                !exported.contains(identity.as_str()),
                "{identity} is in\n{exported}"
            );
        }
        for kept in ["network-1", "00:00:5E:00:53:00", "NL-Home6", "02A1B2"] {
            assert!(exported.contains(kept), "{kept} is not in\n{exported}");
        }
    }
    let lines: Vec<Value> = export
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["device"], lines[2]["device"]);
    assert_eq!(id(&lines[2]), id(&listed[0]), "the oldest first");
    for bad in ["0", "101", "x"] {
        let path = format!("{}/sessions/export?last={bad}", sim.at());
        assert_eq!(host.api("GET", &path, None).await.0, 400);
    }
    host.stop().await;
}

/// Whoever has the owner on the phone sees when it came, why, and what was done, whether the session is kept or not.
#[tokio::test]
async fn contacts_are_told_with_what_was_done() {
    let host = Setup::shipped().start().await;
    let mut sim = device(&host, CpeConfig::tr181("1", "")).await;
    run(
        &host,
        &mut sim,
        json!({ "op": "get", "paths": ["Device.No.Such"] }),
    )
    .await;
    for _ in 0..3 {
        sim.periodic().await;
        sim.settle().await;
    }
    let contacts = async |host: &Host, sim: &Sim| {
        let list = host.get(&format!("{}/contacts", sim.at())).await;
        list["items"].as_array().unwrap().clone()
    };
    let all = contacts(&host, &sim).await;
    let kept = sessions(&host, &sim).await;
    assert!(all.len() > kept.len(), "{all:?}");
    // It cannot be woken, and only said that it is there: one line for all three.
    let quiet = &all[0];
    assert_eq!(quiet["events"], json!(["2 PERIODIC"]), "{quiet}");
    assert_eq!(quiet["peer_address"], "127.0.0.1");
    assert_eq!(
        (&quiet["ended"], &quiet["times"]),
        (&json!("done"), &json!(3))
    );
    assert_eq!(
        (&quiet["session"], &quiet["tasks"]),
        (&Value::Null, &json!([]))
    );
    assert!(quiet["duration_ms"].as_f64().unwrap() >= 0.0);
    let asked = &all[1];
    assert_eq!(asked["tasks"][0]["operation"], "get", "{asked}");
    assert_eq!(asked["tasks"][0]["state"], "failed");
    assert!(asked["faults"].as_u64().unwrap() >= 1, "{asked}");
    let session = asked["session"].as_str().unwrap();
    host.get(&format!("/v1/sessions/{session}")).await;
    let first = all.last().unwrap();
    assert_eq!(first["events"][0], "0 BOOTSTRAP", "{first}");
    let times: Vec<&str> = all.iter().map(|c| c["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|one, other| one >= other), "{times:?}");

    // What is on the disk stays; the others were readings.
    let host = host.restart(|_| {}).await;
    let after = contacts(&host, &sim).await;
    assert_eq!(after.len(), kept.len(), "{after:?}");
    let (status, _) = host.api("GET", "/v1/devices/nobody/contacts", None).await;
    assert_eq!(status, 404);
}
