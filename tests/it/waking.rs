//! Waking with health: modes that fall back and climb up again, what a device's page says of it,
//! and how many are woken at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cpe_sim::{CpeConfig, FleetConfig, Vendor};
use patchbay::device::DeviceKey;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::{Host, Live, Setup, Sim};

/// Longer than any wake-up here takes.
const WAIT_SECONDS: u64 = 20;
const STUN_ENABLE: &str = "Device.ManagementServer.STUNEnable";
const XMPP_ENABLE: &str = "Device.XMPP.Connection.1.Enable";

async fn wake(host: &Host, at: &str) -> Value {
    let wait = json!({ "wait_seconds": WAIT_SECONDS });
    host.post(&format!("{at}/wake"), wait).await
}

async fn reachability(host: &Host, at: &str) -> Value {
    host.get(at).await["reachability"].clone()
}

/// What was tried, and what came of it.
fn tried(report: &Value) -> Vec<(String, String)> {
    let text = |attempt: &Value, name: &str| attempt[name].as_str().unwrap_or("-").to_owned();
    let attempts = report["attempts"].as_array().unwrap().iter();
    attempts
        .map(|attempt| (text(attempt, "mode"), text(attempt, "outcome")))
        .collect()
}

#[track_caller]
fn check_tried(report: &Value, expected: &[(&str, &str)]) {
    let tried = tried(report);
    let tried: Vec<(&str, &str)> = tried
        .iter()
        .map(|(mode, outcome)| (mode.as_str(), outcome.as_str()))
        .collect();
    assert_eq!(tried, expected, "{report}");
}

async fn set(live: &Live, path: &'static str, value: &'static str) {
    let set = live.device.with(move |cpe, now| cpe.set(path, value, now));
    assert!(set.await);
}

async fn session_with(live: &mut Live, event: &str) -> Vec<String> {
    loop {
        let (events, rpcs) = live.session().await;
        if events.iter().any(|code| code == event) {
            return rpcs;
        }
    }
}

/// A device behind NAT whose XMPP stream is gone falls back to STUN, keeps its XMPP settings, and
/// climbs up again by a quiet probe when the stream is back.
#[tokio::test]
async fn a_stream_that_is_gone_and_comes_back() {
    let host = Setup::new()
        .plugin("shipped", "nat-default")
        .stun()
        .xmpp()
        .config(|config| {
            config.instance.connection_request_seconds_max = 2;
            config.instance.session_after_wake_seconds_max = 3;
            config.instance.waking.probe_seconds_min = 1;
            config.instance.waking.probe_seconds_max = 1;
        })
        .start()
        .await;
    let config = FleetConfig {
        announce_host: Some("192.168.1.1".into()),
        boot_time: Duration::from_millis(50),
        ..FleetConfig::single(&host.url(), Vendor::tr181())
    };
    let mut live = Live::start(config).await;
    let online = |online: bool| move |device: &Value| device["xmpp"]["online"] == online;
    host.until(&live.at, online(true)).await;
    let fresh = reachability(&host, &live.at).await;
    assert_eq!(
        (&fresh["mode"], &fresh["score"], &fresh["words"]),
        (&json!("xmpp"), &json!(50), &json!("not woken by XMPP yet"))
    );
    session_with(&mut live, "4 VALUE CHANGE").await;

    // Its XMPP client dies; the device itself knows nothing of it.
    set(&live, XMPP_ENABLE, "0").await;
    host.until(&live.at, online(false)).await;
    for _ in 0..3 {
        let report = wake(&host, &live.at).await;
        check_tried(&report, &[("xmpp", "offline")]);
        assert_eq!(report["outcome"], "offline");
    }
    let failing = reachability(&host, &live.at).await;
    assert_eq!(failing["score"], 0, "{failing}");
    assert_eq!(
        failing["words"],
        "never reached by XMPP, tried 3 times (offline); at present it has no stream open"
    );
    let last = &failing["attempts"][0];
    assert_eq!(
        (&last["mode"], &last["outcome"], &last["probe"]),
        (&json!("xmpp"), &json!("offline"), &json!(false))
    );
    let advice = last["advice"].as_str().unwrap();
    assert!(advice.contains("XMPP server"), "{advice}");

    // In its next session it is told of the next way, and XMPP is left as it is.
    live.device
        .with(|cpe, now| cpe.connection_request(now))
        .await;
    session_with(&mut live, "6 CONNECTION REQUEST").await;
    let fallen = reachability(&host, &live.at).await;
    assert_eq!(fallen["mode"], "stun", "{fallen}");
    assert_eq!(fallen["history"]["xmpp"]["given_up"], true);
    assert!(fallen["next_probe"].is_string(), "{fallen}");
    assert_eq!(host.get(&live.at).await["xmpp"]["configured"], true);
    host.until(&live.at, |device| {
        device["reachability"]["udp"]["usable"] == true
    })
    .await;
    session_with(&mut live, "4 VALUE CHANGE").await;
    let report = wake(&host, &live.at).await;
    check_tried(&report, &[("stun", "session-opened")]);
    session_with(&mut live, "6 CONNECTION REQUEST").await;

    // The stream is back: nobody asks, and the device is called by it all the same.
    set(&live, XMPP_ENABLE, "1").await;
    host.until(&live.at, online(true)).await;
    let restored = host
        .until(&live.at, |device| device["reachability"]["mode"] == "xmpp")
        .await["reachability"]
        .clone();
    assert_eq!(restored["history"]["xmpp"]["given_up"], false, "{restored}");
    assert_eq!(restored["history"]["xmpp"]["opened"], 1);
    assert_eq!(restored["attempts"][0]["probe"], true);
    assert_eq!(restored["next_probe"], Value::Null);
    let words = restored["words"].as_str().unwrap();
    assert!(
        words.starts_with("reached by XMPP 1 of the last 4 times, typically in "),
        "{words}"
    );
    let report = wake(&host, &live.at).await;
    check_tried(&report, &[("xmpp", "session-opened")]);
    let wakes = host.get("/v1/status").await["wakes"].clone();
    let counters = &wakes["counters"];
    assert_eq!(counters["probes_opened"], 1, "{wakes}");
    assert_eq!(counters["begun"], 5);
    assert_eq!(
        (&counters["opened"], &counters["failed"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(
        counters["outcomes"],
        json!({"stun": {"session-opened": 1}, "xmpp": {"offline": 3, "session-opened": 2}})
    );
    assert_eq!(wakes["probes_planned"], 0);
    host.stop().await;
}

/// A device whose UDP binding expires is given short informs; when it keeps its binding again it is
/// woken by that, and has its usual interval back.
#[tokio::test]
async fn a_binding_that_expires_and_comes_back() {
    let host = Setup::shipped()
        .stun()
        .config(|config| {
            config.instance.session_after_wake_seconds_max = 3;
            config.instance.waking.probe_seconds_min = 1;
            config.instance.waking.probe_seconds_max = 1;
        })
        .start()
        .await;
    let config = FleetConfig {
        announce_host: Some("192.168.1.1".into()),
        boot_time: Duration::from_millis(50),
        ..FleetConfig::single(&host.url(), Vendor::tr181())
    };
    let mut live = Live::start(config).await;
    let bound =
        |usable: bool| move |device: &Value| device["reachability"]["udp"]["usable"] == usable;
    host.until(&live.at, bound(true)).await;
    session_with(&mut live, "4 VALUE CHANGE").await;
    set(&live, STUN_ENABLE, "0").await;
    host.until(&live.at, bound(false)).await;
    for _ in 0..3 {
        let report = wake(&host, &live.at).await;
        check_tried(&report, &[("stun", "binding-expired")]);
    }
    live.device
        .with(|cpe, now| cpe.connection_request(now))
        .await;
    session_with(&mut live, "6 CONNECTION REQUEST").await;
    let fallen = reachability(&host, &live.at).await;
    assert_eq!(fallen["mode"], "short-inform", "{fallen}");
    let interval = "Device.ManagementServer.PeriodicInformInterval";
    let told = live.device.with(move |cpe, now| cpe.get(interval, now));
    assert_eq!(told.await.as_deref(), Some("20"));
    // While nothing is bound, nothing is sent, and nothing counted.
    assert_eq!(fallen["history"]["stun"]["attempts"], 3);
    assert_eq!(fallen["score"], 88, "{fallen}");

    // While somebody waits for the device it is left in peace.
    let operation = json!({ "op": "get", "paths": ["Device.DeviceInfo.UpTime"] });
    let tasks = format!("{}/tasks", live.at);
    let task = host.post(&tasks, json!({ "operation": operation })).await;
    let key = DeviceKey {
        instance: "default".into(),
        id: live.at.trim_start_matches("/v1/devices/").into(),
    };
    let put_off = |_: &Value| {
        let planned = host.acs.probes.planned(&key);
        planned.is_some_and(|at| at > host.acs.clock.unix() + 30)
    };
    let waiting = host.until(&live.at, put_off).await;
    assert_eq!(waiting["reachability"]["mode"], "short-inform");
    assert_eq!(waiting["reachability"]["history"]["stun"]["attempts"], 3);
    let cancel = format!("/v1/tasks/{}/cancel", task["id"].as_str().unwrap());
    host.post(&cancel, Value::Null).await;
    // Then its binding is back, of which it tells in a session.
    set(&live, STUN_ENABLE, "1").await;
    let is_stun = |device: &Value| device["reachability"]["mode"] == "stun";
    let restored = host.until(&live.at, is_stun).await["reachability"].clone();
    assert_eq!(restored["history"]["stun"]["opened"], 1, "{restored}");
    assert_eq!(restored["history"]["stun"]["attempts"], 4);
    let told = loop {
        let told = session_with(&mut live, "6 CONNECTION REQUEST").await;
        if !told.is_empty() {
            break told;
        }
    };
    assert_eq!(told, ["SetParameterValues"]);
    let told = live.device.with(move |cpe, now| cpe.get(interval, now));
    assert_eq!(told.await.as_deref(), Some("14400"));
    host.stop().await;
}

/// A device's connection-request server, written by hand: accepts each request, or hangs up.
async fn server(answers: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = [0; 4096];
            let _ = stream.read(&mut bytes).await;
            if answers.load(Ordering::Relaxed) {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                let _ = stream.write_all(answer).await;
            }
        }
    });
    address
}

async fn device(host: &Host, serial: &str, server: SocketAddr) -> Sim {
    let mut sim = Sim::new(CpeConfig {
        connection_request_url: format!("http://{server}/cr"),
        ..CpeConfig::tr181(serial, &host.url())
    });
    sim.settle().await;
    sim
}

fn quick() -> Setup {
    Setup::shipped().config(|config| {
        config.instance.connection_request_seconds_max = 2;
        config.instance.session_after_wake_seconds_max = 1;
    })
}

/// Wakes the device and lets it come.
async fn woken(host: &Host, sim: &mut Sim) {
    let at = sim.at();
    let begun = host.post(&format!("{at}/wake"), json!({})).await;
    assert_ne!(begun["state"], "session-opened", "{begun}");
    host.until(&at, |device| {
        device["reachability"]["last_wake"]["state"] == "accepted"
    })
    .await;
    let now = sim.now();
    sim.cpe.connection_request(now);
    sim.settle().await;
    host.until(&at, |device| {
        device["reachability"]["last_wake"]["state"] == "session-opened"
    })
    .await;
}

#[tokio::test]
async fn a_device_that_stops_answering_and_comes_back() {
    let host = quick()
        .config(|config| config.instance.session_after_wake_seconds_max = 10)
        .start()
        .await;
    let answers = Arc::new(AtomicBool::new(true));
    let mut sim = device(&host, "H1", server(Arc::clone(&answers)).await).await;
    let at = sim.at();
    woken(&host, &mut sim).await;
    woken(&host, &mut sim).await;
    let good = reachability(&host, &at).await;
    assert!(good["score"].as_u64() > Some(90), "{good}");
    let words = good["words"].as_str().unwrap();
    assert!(
        words.starts_with("reached by direct HTTP 2 of the last 2 times, typically in "),
        "{words}"
    );

    answers.store(false, Ordering::Relaxed);
    for _ in 0..3 {
        let report = wake(&host, &at).await;
        check_tried(&report, &[("direct-http", "nonsense")]);
    }
    let bad = reachability(&host, &at).await;
    assert!(bad["score"].as_u64() < Some(50), "{bad}");
    let words = bad["words"].as_str().unwrap();
    assert!(
        words.starts_with("by direct HTTP it failed 3 times in a row (nonsense); last reached so "),
        "{words}"
    );
    // It worked before: it may just have been off, and stays where it is.
    assert_eq!(bad["mode"], "direct-http");

    answers.store(true, Ordering::Relaxed);
    woken(&host, &mut sim).await;
    let better = reachability(&host, &at).await;
    assert!(better["score"].as_u64() > bad["score"].as_u64(), "{better}");
    let history = &better["history"]["direct-http"];
    assert_eq!(
        (
            &history["attempts"],
            &history["opened"],
            &history["failed_in_a_row"]
        ),
        (&json!(6), &json!(3), &json!(0))
    );
    // It is all there after a restart.
    let host = host.restart(|_| {}).await;
    let after = reachability(&host, &at).await;
    assert_eq!(after["history"], better["history"]);
    assert_eq!(after["attempts"], better["attempts"]);
    host.stop().await;
}

/// A periodic Inform that comes while the device is called serves the wake-up, and says nothing of
/// the way.
#[tokio::test]
async fn a_session_that_would_have_come_anyway() {
    let host = quick()
        .config(|config| config.instance.session_after_wake_seconds_max = 10)
        .start()
        .await;
    let answers = Arc::new(AtomicBool::new(true));
    let mut sim = device(&host, "H1", server(answers).await).await;
    let at = sim.at();
    host.post(&format!("{at}/wake"), json!({})).await;
    host.until(&at, |device| {
        device["reachability"]["last_wake"]["state"] == "accepted"
    })
    .await;
    sim.periodic().await;
    let device = host
        .until(&at, |device| {
            device["reachability"]["last_wake"]["state"] == "session-opened"
        })
        .await;
    assert_eq!(device["reachability"]["history"], json!({}));
    host.stop().await;
}

#[tokio::test]
async fn a_full_line() {
    let host = quick()
        .config(|config| {
            let waking = &mut config.instance.waking;
            waking.calls_at_once_max = 1;
            waking.calls_at_once_per_network_max = 1;
            waking.waiting_max = 1;
        })
        .start()
        .await;
    // It takes connections and never says anything.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let mut devices = Vec::new();
    for serial in ["L1", "L2", "L3"] {
        devices.push(device(&host, serial, address).await);
    }
    let [one, two, three] = [0, 1, 2].map(|n: usize| devices[n].at());
    let first = host.post(&format!("{one}/wake"), json!({})).await;
    assert_eq!(first["state"], "calling", "{first}");
    let second = host.post(&format!("{two}/wake"), json!({})).await;
    assert_eq!(
        (&second["state"], &second["position"]),
        (&json!("waiting"), &json!(1)),
        "{second}"
    );
    let (status, refused) = host
        .api("POST", &format!("{three}/wake"), Some(json!({})))
        .await;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (503, &json!("too-many-wakes"))
    );
    let headers = format!("Authorization: Bearer {}\r\n", crate::harness::TOKEN);
    let path = format!("{three}/wake");
    let answer = crate::harness::http(host.api, "POST", &path, &headers, b"").await;
    assert!(answer.head.contains("retry-after: 1"), "{answer:?}");
    // Who joins one that waits takes no place.
    let joined = host.post(&format!("{two}/wake"), json!({})).await;
    assert_eq!(joined["state"], "waiting");
    // A task is kept all the same.
    let operation = json!({ "op": "get", "paths": ["Device.DeviceInfo.UpTime"] });
    let task = json!({ "operation": operation, "wake": true });
    let task = host.post(&format!("{three}/tasks"), task).await;
    assert_eq!(
        (&task["state"], &task["wake"]["state"]),
        (&json!("queued"), &json!("refused"))
    );
    let end = |device: &Value| device["reachability"]["last_wake"]["outcome"] == "no-answer";
    host.until(&two, end).await;
    let third = wake(&host, &three).await;
    check_tried(&third, &[("direct-http", "no-answer")]);
    let counters = host.get("/v1/status").await["wakes"]["counters"].clone();
    assert_eq!(
        (&counters["refused"], &counters["joined"]),
        (&json!(3), &json!(1))
    );
    host.stop().await;
}

/// Two hundred devices of one network, woken at once: no more connections than allowed, and no
/// faster than the rate.
#[tokio::test]
async fn a_crowd_is_woken_at_its_pace() {
    const DEVICES: usize = 200;
    const AT_ONCE: usize = 10;
    let host = Setup::new()
        .config(|config| {
            let waking = &mut config.instance.waking;
            waking.calls_per_second_max = 100;
            waking.calls_at_once_per_network_max = AT_ONCE;
        })
        .start()
        .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let counts = Arc::new([const { AtomicUsize::new(0) }; 3]);
    let counted = Arc::clone(&counts);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let [open, most, all] = &*counted;
                let now_open = open.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now_open, Ordering::SeqCst);
                all.fetch_add(1, Ordering::SeqCst);
                let mut bytes = [0; 4096];
                let _ = stream.read(&mut bytes).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
                open.fetch_sub(1, Ordering::SeqCst);
                let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
                let _ = stream.write_all(answer).await;
            });
        }
    });
    let mut devices = Vec::new();
    for number in 0..DEVICES {
        devices.push(device(&host, &format!("C{number}"), address).await.at());
    }
    let begun = Instant::now();
    for at in &devices {
        host.post(&format!("{at}/wake"), json!({})).await;
    }
    let idle = |status: &Value| status["wakes"]["under_way"] == 0;
    let status = host.until("/v1/status", idle).await;
    let took = begun.elapsed();
    let [_, most, all] = counts.each_ref().map(|count| count.load(Ordering::SeqCst));
    assert_eq!(all, DEVICES);
    assert!(most <= AT_ONCE, "{most} at once");
    assert!(took >= Duration::from_millis(1_900), "{took:?}");
    let counters = &status["wakes"]["counters"];
    assert_eq!(
        counters["outcomes"],
        json!({ "direct-http": { "nonsense": DEVICES } })
    );
    assert_eq!(counters["failed"], DEVICES);
    host.stop().await;
}
