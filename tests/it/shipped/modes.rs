//! How a device is reached: what `nat-default` decides, what follows from it, and the short informs of those that
//! cannot be called.

use cpe_sim::{CpeConfig, Vendor};
use serde_json::{Value, json};

use super::{MODES, all_well, callable, shipped, written};
use crate::harness::{Host, PATIENCE, Setup, Sim, codes, rpcs};

/// An address that its device does not come from: it is behind NAT.
const PRIVATE_URL: &str = "http://192.168.1.1:7547/cr";

#[tokio::test]
async fn a_device_behind_nat_informs_often() {
    for mode in MODES {
        let host = shipped(mode, "").start().await;
        for vendor in [Vendor::tr181(), Vendor::tr098()] {
            let mut sim = Sim::new(CpeConfig {
                connection_request_url: PRIVATE_URL.into(),
                ..CpeConfig::of(vendor, "N1", &host.url())
            });
            let first = sim.session().await;
            assert_eq!(rpcs(&first), ["SetParameterValues"; 2]);
            let interval = sim.path("ManagementServer.PeriodicInformInterval");
            let told = written(&first)
                .into_iter()
                .filter(|(path, _)| *path == interval);
            // The mode sets it; first-contact wants 14400, which would make the device unreachable.
            assert_eq!(
                told.map(|(_, value)| value).collect::<Vec<_>>(),
                ["20", "20"]
            );

            let device = host.get(&sim.at()).await;
            let reachability = &device["reachability"];
            assert_eq!(
                (&reachability["mode"], &reachability["behind_nat"]),
                (&"short-inform".into(), &true.into())
            );
            let reason = reachability["reason"].as_str().unwrap();
            assert!(
                reason.starts_with("behind NAT: it gives the address 192.168.1.1 but comes from"),
                "{reason}"
            );
            assert_eq!(reachability["decided_by"], "nat-default 0.1.0");
            assert_eq!(device["tags"], json!(["contacted"]));

            // Nor does a task make it unreachable.
            let set =
                json!({ "op": "set", "parameters": [{ "path": interval, "value": "86400" }] });
            host.post(&format!("{}/tasks", sim.at()), json!({ "operation": set }))
                .await;
            assert_eq!(rpcs(&sim.periodic().await), ["SetParameterValues"]);
            assert_eq!(sim.value("ManagementServer.PeriodicInformInterval"), "20");
            assert!(rpcs(&sim.periodic().await).is_empty());
        }
        all_well(&host, mode).await;
        host.stop().await;
    }
}

#[tokio::test]
async fn a_mode_is_decided_again_when_its_facts_change() {
    let host = shipped(MODES[0], "").start().await;
    let mut sim = callable(CpeConfig::tr181("M1", &host.url()));
    sim.session().await;
    let mode = async |sim: &Sim| host.get(&sim.at()).await["reachability"]["mode"].clone();
    assert_eq!(mode(&sim).await, "direct-http");
    let url = "Device.ManagementServer.ConnectionRequestURL";
    for (value, decided, interval) in [
        (PRIVATE_URL, "short-inform", "20"),
        ("http://127.0.0.1:7547/cr", "direct-http", "14400"),
    ] {
        let now = sim.now();
        assert!(sim.cpe.set(url, value, now));
        let [session] = sim.settle().await.try_into().unwrap();
        assert_eq!(rpcs(&session), ["SetParameterValues"]);
        assert_eq!(mode(&sim).await, decided);
        assert_eq!(
            sim.value("ManagementServer.PeriodicInformInterval"),
            interval
        );
    }
    // A reset device has forgotten its interval and its credentials.
    let now = sim.now();
    assert!(sim.cpe.set(url, PRIVATE_URL, now));
    sim.settle().await;
    let before = sim.value("ManagementServer.ConnectionRequestPassword");
    let now = sim.now();
    sim.cpe.set_connection_request_url(PRIVATE_URL);
    sim.cpe.factory_reset(now);
    assert_ne!(sim.value("ManagementServer.PeriodicInformInterval"), "20");
    let [session] = sim.settle().await.try_into().unwrap();
    assert_eq!(codes(&session), ["0 BOOTSTRAP", "1 BOOT"]);
    assert_eq!(sim.value("ManagementServer.PeriodicInformInterval"), "20");
    assert_ne!(
        sim.value("ManagementServer.ConnectionRequestPassword"),
        before
    );
    all_well(&host, MODES[0]).await;
    host.stop().await;
}

#[tokio::test]
async fn what_an_inform_does_not_repeat_still_holds() {
    let host = shipped(MODES[0], "").start().await;
    let mut sim = callable(CpeConfig::tr181("F1", &host.url()));
    sim.session().await;
    let detected = sim.path("ManagementServer.NATDetected");
    let attributes = json!([{ "path": detected, "notification": 2 }]);
    let watch = json!({ "operation": { "op": "set-attributes", "attributes": attributes } });
    host.post(&format!("{}/tasks", sim.at()), watch).await;
    sim.periodic().await;
    for (value, mode) in [("1", "short-inform"), ("0", "direct-http")] {
        let now = sim.now();
        assert!(sim.cpe.set(&detected, value, now));
        let [session] = sim.settle().await.try_into().unwrap();
        assert_eq!(
            (codes(&session), rpcs(&session)),
            (vec!["4 VALUE CHANGE"], vec!["SetParameterValues"])
        );
        let decided = host.get(&sim.at()).await["reachability"].clone();
        assert_eq!(decided["mode"], mode, "{decided}");
        // Of NATDetected this Inform says nothing.
        let now = sim.now();
        sim.cpe.power_cycle(now);
        let [session] = sim.settle().await.try_into().unwrap();
        assert_eq!(
            (codes(&session), rpcs(&session).len()),
            (vec!["1 BOOT"], 0),
            "{session:?}"
        );
        assert_eq!(host.get(&sim.at()).await["reachability"], decided);
    }
    host.stop().await;
}

/// Calls of all plugins so far.
async fn calls(host: &Host) -> Vec<(String, u64)> {
    let plugins = host.get("/v1/plugins").await;
    let calls = |plugin: &Value| {
        let calls = plugin["counters"]["calls"].as_u64().unwrap();
        (plugin["name"].as_str().unwrap().to_owned(), calls)
    };
    plugins["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(calls)
        .collect()
}

#[tokio::test]
async fn a_short_inform_costs_next_to_nothing() {
    // Readings are written when the test says so.
    let host = shipped(MODES[0], "")
        .plugin("examples", "read-five")
        .config(|config| config.store.readings_flush_seconds = 3600)
        .start()
        .await;
    let mut sim = Sim::new(CpeConfig {
        connection_request_url: PRIVATE_URL.into(),
        ..CpeConfig::tr181("S1", &host.url())
    });
    sim.session().await;
    host.acs.store.flush().await.unwrap();
    let (before, batches) = (
        calls(&host).await,
        host.get("/v1/status").await["store"]["batches"].clone(),
    );
    for _ in 0..10 {
        let session = sim.periodic().await;
        assert_eq!(codes(&session), ["2 PERIODIC"]);
        assert_eq!(
            (session.posts, rpcs(&session).len()),
            (2, 0),
            "Inform, empty, 204"
        );
    }
    assert_eq!(calls(&host).await, before);
    let status = host.get("/v1/status").await;
    assert_eq!(
        (
            &status["store"]["batches"],
            &status["store"]["devices_dirty"]
        ),
        (&batches, &0.into())
    );
    assert_eq!(status["counters"]["sessions_done"], 11);

    // A task does not wait for the standard interval, …
    let get = json!({ "operation": { "op": "get", "paths": ["Device.DeviceInfo.UpTime"] } });
    let task = host.post(&format!("{}/tasks", sim.at()), get).await;
    assert_eq!(rpcs(&sim.periodic().await)[0], "GetParameterValues");
    let task = host
        .get(&format!("/v1/tasks/{}", task["id"].as_str().unwrap()))
        .await;
    assert_eq!(task["state"], "done");

    // … and any other event has all of the logic.
    let now = sim.now();
    let url = "Device.ManagementServer.ConnectionRequestURL";
    assert!(sim.cpe.set(url, "http://192.168.1.2:7547/cr", now));
    let before = calls(&host).await;
    let [session] = sim.settle().await.try_into().unwrap();
    assert_eq!(codes(&session), ["4 VALUE CHANGE"]);
    assert_eq!(rpcs(&session), ["GetParameterValues"], "read-five has run");
    let called: Vec<String> = std::iter::zip(before, calls(&host).await)
        .filter(|((_, before), (_, after))| after > before)
        .map(|((name, _), _)| name)
        .collect();
    assert_eq!(called, ["nat-default", "read-five"]);
    assert_eq!(host.get("/v1/status").await["store"]["devices_dirty"], 1);
    assert!(rpcs(&sim.periodic().await).is_empty(), "short again");
    host.stop().await;
}

#[tokio::test]
async fn between_two_short_informs_the_standard_one_comes_due() {
    let host = Setup::new()
        .plugin("shipped", "nat-default")
        .plugin("examples", "read-five")
        .config(|config| config.instance.standard_periodic_inform_seconds = 2)
        .start()
        .await;
    let mut sim = Sim::new(CpeConfig {
        connection_request_url: PRIVATE_URL.into(),
        ..CpeConfig::tr181("S1", &host.url())
    });
    sim.session().await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while rpcs(&sim.periodic().await) != ["GetParameterValues"] {
        assert!(
            tokio::time::Instant::now() < deadline,
            "no full session any more"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let device = host.get(&sim.at()).await;
    assert_eq!(device["last_contact"], device["last_full_refresh"]);
    host.stop().await;
}
