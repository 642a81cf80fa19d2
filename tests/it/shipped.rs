//! The plugins we ship, through the API and simulated devices: each with its instances used
//! again and with a fresh one for each session.

use cpe_sim::{CpeConfig, FleetConfig, Oddities, Oddity, Vendor};
use cwmp::Request;
use serde_json::{Value, json};

use crate::harness::{Host, Live, Setup, Sim, codes, rpcs};

/// What the operator's file of every plugin says.
const MODES: [&str; 2] = ["isolation = \"reuse\"\n", "isolation = \"session\"\n"];
/// An address that its device does not come from: it is behind NAT.
const PRIVATE_URL: &str = "http://192.168.1.1:7547/cr";

/// A device that is where its URL says.
fn callable(config: CpeConfig) -> Sim {
    Sim::new(CpeConfig {
        connection_request_url: "http://127.0.0.1:7547/cr".into(),
        ..config
    })
}

/// All shipped plugins; `desired_state` is the rest of the file of that name.
fn shipped(mode: &str, desired_state: &str) -> Setup {
    let toml = format!("{mode}{desired_state}");
    ["nat-default", "first-contact", "tp-link", "zhone"]
        .into_iter()
        .fold(Setup::new(), |setup, name| setup.plugin_with("shipped", name, mode))
        .plugin_with("shipped", "desired-state", &toml)
}

/// No call of any plugin failed.
async fn all_well(host: &Host) {
    for plugin in host.get("/v1/plugins").await["items"].as_array().unwrap() {
        assert_eq!(
            (&plugin["state"], &plugin["last_error"], &plugin["counters"]["errors"]),
            (&"running".into(), &Value::Null, &0.into()),
            "{plugin}"
        );
    }
}

/// What the device was told to set, in order.
fn written(session: &cpe_sim::SessionReport) -> Vec<(String, String)> {
    let sets = session.record.served.iter().filter_map(|served| match &served.request {
        Request::SetParameterValues(set) => Some(&set.parameters),
        _ => None,
    });
    sets.flatten().map(|one| (one.path.clone(), one.value.clone())).collect()
}

#[tokio::test]
async fn a_device_that_can_be_called() {
    for mode in MODES {
        let host = shipped(mode, "").start().await;
        let mut passwords = Vec::new();
        for (number, vendor) in [Vendor::tr181(), Vendor::tr098()].into_iter().enumerate() {
            let mut live = Live::start(FleetConfig {
                serial_prefix: format!("L{number}"),
                ..FleetConfig::single(&host.url(), vendor)
            })
            .await;
            let device = host.get(&live.at).await;
            let reachability = &device["reachability"];
            assert_eq!(reachability["mode"], "direct-http", "{device}");
            assert_eq!(reachability["behind_nat"], false);
            assert_eq!(reachability["reason"], "not behind NAT: it comes from 127.0.0.1, its own address");
            assert_eq!(reachability["decided_by"], "nat-default 0.1.0");
            assert_eq!(device["tags"], json!(["contacted"]));

            let (username, password, interval) = live
                .device
                .with(|cpe, now| {
                    let (username, password) = cpe.connection_request_login(now);
                    let interval = cpe.management_server("PeriodicInformInterval");
                    (username, password, cpe.get(&interval, now).unwrap())
                })
                .await;
            assert_eq!(interval, "14400");
            assert_eq!(password.len(), 24);
            assert_eq!(device["connection_request"]["has_credentials"], true);
            assert_eq!(device["connection_request"]["username"], username);
            assert!(!device.to_string().contains(&password), "{device}");
            assert!(!passwords.contains(&password));
            passwords.push(password);

            // They are what the ACS calls the device with; and nothing is left to do.
            let woken = host.post(&format!("{}/wake", live.at), json!({ "wait_seconds": 20 })).await;
            assert_eq!(woken["state"], "session-opened", "{woken}");
            let (events, rpcs) = live.session().await;
            assert_eq!((events, rpcs), (vec!["6 CONNECTION REQUEST".to_owned()], vec![]));
            assert_eq!(live.device.connection_requests(), (1, 0));
        }
        all_well(&host).await;
        host.stop().await;
    }
}

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
            let told = written(&first).into_iter().filter(|(path, _)| *path == interval);
            // The mode sets it; first-contact wants 14400, which would make the device unreachable.
            assert_eq!(told.map(|(_, value)| value).collect::<Vec<_>>(), ["20", "20"]);

            let device = host.get(&sim.at()).await;
            let reachability = &device["reachability"];
            assert_eq!((&reachability["mode"], &reachability["behind_nat"]), (&"short-inform".into(), &true.into()));
            let reason = reachability["reason"].as_str().unwrap();
            assert!(reason.starts_with("behind NAT: it gives the address 192.168.1.1 but comes from"), "{reason}");
            assert_eq!(reachability["decided_by"], "nat-default 0.1.0");
            assert_eq!(device["tags"], json!(["contacted"]));

            // Nor does a task make it unreachable.
            let set = json!({ "op": "set", "parameters": [{ "path": interval, "value": "86400" }] });
            host.post(&format!("{}/tasks", sim.at()), json!({ "operation": set })).await;
            assert_eq!(rpcs(&sim.periodic().await), ["SetParameterValues"]);
            assert_eq!(sim.value("ManagementServer.PeriodicInformInterval"), "20");
            assert!(rpcs(&sim.periodic().await).is_empty());
        }
        all_well(&host).await;
        host.stop().await;
    }
}

const STATE: &str = r#"
[[settings.rules]]
[settings.rules.values]
"Device.Time.NTPServer1" = "ntp.test"
"Device.Time.Enable" = false
"Device.WiFi.Radio.1.Channel" = 11
"Device.Time.NTPServer2" = "1.pool.ntp.org"
[[settings.rules]]
match = { manufacturer = "Nobody*" }
[settings.rules.values]
"Device.Time.NTPServer3" = "not.for.this.device"
"#;

#[tokio::test]
async fn desired_state_is_written_once_and_when_it_changes() {
    for mode in MODES {
        let host = shipped(mode, STATE).start().await;
        let mut sim = callable(CpeConfig::tr181("D1", &host.url()));
        sim.session().await;
        let values = |sim: &Sim| {
            ["Time.NTPServer1", "Time.Enable", "WiFi.Radio.1.Channel", "Time.NTPServer3"].map(|path| sim.value(path))
        };
        assert_eq!(values(&sim), ["ntp.test", "0", "11", ""]);
        let second = sim.periodic().await;
        assert!(rpcs(&second).is_empty(), "{second:?}");

        let toml = format!("{mode}{}", STATE.replace("11", "6"));
        let before = host.plugin("desired-state").await["generation"].as_u64().unwrap();
        std::fs::write(host.plugins.join("desired-state.toml"), toml).unwrap();
        host.plugin_until("desired-state", |plugin| plugin["generation"].as_u64().unwrap() > before).await;
        let third = sim.periodic().await;
        assert_eq!(written(&third), [("Device.WiFi.Radio.1.Channel".to_owned(), "6".to_owned())]);
        assert_eq!(rpcs(&third), ["SetParameterValues"]);

        // What the device was changed to behind the ACS's back and has told about is set right.
        let set = json!({ "op": "set-attributes", "attributes": [{ "path": "Device.Time.NTPServer1", "notification": 2 }] });
        host.post(&format!("{}/tasks", sim.at()), json!({ "operation": set })).await;
        sim.periodic().await;
        let now = sim.now();
        sim.cpe.set("Device.Time.NTPServer1", "evil.test", now);
        let [told] = sim.settle().await.try_into().unwrap();
        assert_eq!(codes(&told), ["4 VALUE CHANGE"]);
        assert_eq!(values(&sim), ["ntp.test", "0", "6", ""]);
        all_well(&host).await;
        host.stop().await;
    }
}

#[tokio::test]
async fn zhone_writes_null_for_empty() {
    let zhone = Vendor {
        manufacturer: "Zhone",
        product_class: "ZNID24xxA1-Router",
        oddities: Oddities::NONE.with(Oddity::NullParameterKey),
        ..Vendor::tr098()
    };
    let other = Vendor { manufacturer: "Not Zhone", ..zhone };
    let key = "InternetGatewayDevice.ManagementServer.ParameterKey";
    for mode in MODES {
        let host = shipped(mode, "").start().await;
        for (vendor, value) in [(zhone, ""), (other, "(null)")] {
            let mut sim = callable(CpeConfig::of(vendor, "Z1", &host.url()));
            sim.session().await;
            let at = format!("{}?parameters={key}", sim.at());
            assert_eq!(host.get(&at).await["parameters"][key]["value"], value, "in the Inform");
            let get = json!({ "operation": { "op": "get", "paths": [key] } });
            let task = host.post(&format!("{}/tasks", sim.at()), get).await;
            sim.periodic().await;
            let task = host.get(&format!("/v1/tasks/{}", task["id"].as_str().unwrap())).await;
            assert_eq!(task["result"]["parameters"][0]["value"], value, "in an answer");
            assert_eq!(host.get(&at).await["parameters"][key]["value"], value, "what is kept of it");
        }
        all_well(&host).await;
        host.stop().await;
    }
}

#[tokio::test]
async fn tp_link_reads_booleans_as_digits_only() {
    let vendor = Vendor {
        manufacturer: "TP-Link",
        product_class: "TD-W9970",
        oddities: Oddities::NONE.with(Oddity::BooleanDigitsOnly),
        ..Vendor::tr098()
    };
    let other = Vendor { manufacturer: "Not TP-Link", ..vendor };
    // Words for all devices; the vendor's profile has the last word for its own.
    let words = "priority = -1000\n[settings.overrides]\nboolean-words = \"false/true\"\n";
    let path = "InternetGatewayDevice.Time.Enable";
    let set = json!({ "op": "set", "parameters": [{ "path": path, "value": "false", "type": "boolean" }] });
    for mode in MODES {
        let host = shipped(mode, "").plugin_with("test", "bad-hooks", words).start().await;
        for (vendor, value, state) in [(vendor, "0", "done"), (other, "false", "failed")] {
            let mut sim = callable(CpeConfig::of(vendor, "P1", &host.url()));
            sim.session().await;
            let task = host.post(&format!("{}/tasks", sim.at()), json!({ "operation": set })).await;
            let session = sim.periodic().await;
            assert_eq!(written(&session)[0], (path.to_owned(), value.to_owned()));
            let task = host.get(&format!("/v1/tasks/{}", task["id"].as_str().unwrap())).await;
            assert_eq!(task["state"], state, "{task}");
        }
        host.stop().await;
    }
}

#[tokio::test]
async fn a_profile_and_a_flow_in_one_file() {
    for mode in MODES {
        let host = shipped(mode, "").plugin_with("test", "both", mode).start().await;
        assert_eq!(host.plugin("both").await["kinds"], json!(["quirks", "flow"]));
        let mut sim = callable(CpeConfig::tr181("B1", &host.url()));
        let first = sim.session().await;
        // The flow asks for three names, the profile allows two at a time.
        let gets = first.served("GetParameterValues").map(|served| match &served.request {
            Request::GetParameterValues(names) => names.len(),
            other => panic!("{other:?}"),
        });
        assert_eq!(gets.collect::<Vec<_>>(), [2, 1]);
        assert_eq!(host.get(&sim.at()).await["tags"], json!(["both", "contacted"]));
        let path = "Device.DeviceInfo.HardwareVersion";
        let get = json!({ "operation": { "op": "get", "paths": [path] } });
        let task = host.post(&format!("{}/tasks", sim.at()), get).await;
        sim.periodic().await;
        let task = host.get(&format!("/v1/tasks/{}", task["id"].as_str().unwrap())).await;
        assert_eq!(task["result"]["parameters"][0]["value"], "1.2 (seen by both)");
        all_well(&host).await;
        host.stop().await;
    }
}

/// Calls of all plugins so far.
async fn calls(host: &Host) -> Vec<(String, u64)> {
    let plugins = host.get("/v1/plugins").await;
    let calls = |plugin: &Value| {
        let calls = plugin["counters"]["calls"].as_u64().unwrap();
        (plugin["name"].as_str().unwrap().to_owned(), calls)
    };
    plugins["items"].as_array().unwrap().iter().map(calls).collect()
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
    let (before, batches) = (calls(&host).await, host.get("/v1/status").await["store"]["batches"].clone());
    for _ in 0..10 {
        let session = sim.periodic().await;
        assert_eq!(codes(&session), ["2 PERIODIC"]);
        assert_eq!((session.posts, rpcs(&session).len()), (2, 0), "Inform, empty, 204");
    }
    assert_eq!(calls(&host).await, before);
    let status = host.get("/v1/status").await;
    assert_eq!((&status["store"]["batches"], &status["store"]["devices_dirty"]), (&batches, &0.into()));
    assert_eq!(status["counters"]["sessions_done"], 11);

    // A task does not wait for the standard interval, …
    let get = json!({ "operation": { "op": "get", "paths": ["Device.DeviceInfo.UpTime"] } });
    let task = host.post(&format!("{}/tasks", sim.at()), get).await;
    assert_eq!(rpcs(&sim.periodic().await)[0], "GetParameterValues");
    let task = host.get(&format!("/v1/tasks/{}", task["id"].as_str().unwrap())).await;
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
    let deadline = tokio::time::Instant::now() + crate::harness::PATIENCE;
    while rpcs(&sim.periodic().await) != ["GetParameterValues"] {
        assert!(tokio::time::Instant::now() < deadline, "no full session any more");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let device = host.get(&sim.at()).await;
    assert_eq!(device["last_contact"], device["last_full_refresh"]);
    host.stop().await;
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
        assert_eq!(sim.value("ManagementServer.PeriodicInformInterval"), interval);
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
    assert_ne!(sim.value("ManagementServer.ConnectionRequestPassword"), before);
    all_well(&host).await;
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
        assert_eq!((codes(&session), rpcs(&session)), (vec!["4 VALUE CHANGE"], vec!["SetParameterValues"]));
        let decided = host.get(&sim.at()).await["reachability"].clone();
        assert_eq!(decided["mode"], mode, "{decided}");
        // Of NATDetected this Inform says nothing.
        let now = sim.now();
        sim.cpe.power_cycle(now);
        let [session] = sim.settle().await.try_into().unwrap();
        assert_eq!((codes(&session), rpcs(&session).len()), (vec!["1 BOOT"], 0), "{session:?}");
        assert_eq!(host.get(&sim.at()).await["reachability"], decided);
    }
    host.stop().await;
}
