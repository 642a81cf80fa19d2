//! The plugins we ship, through the API and simulated devices: each with its instances used
//! again and with a fresh one for each session.

mod modes;
mod names;

use cpe_sim::{CpeConfig, FleetConfig, Oddities, Oddity, Vendor};
use cwmp::Request;
use serde_json::{Value, json};

use crate::harness::{Host, Live, Setup, Sim, codes, rpcs};

/// What the operator's file of every plugin says.
const MODES: [&str; 2] = ["isolation = \"reuse\"\n", "isolation = \"session\"\n"];

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
        .fold(Setup::new(), |setup, name| {
            setup.plugin_with("shipped", name, mode)
        })
        .plugin_with("shipped", "desired-state", &toml)
}

/// No call of any plugin failed, and its instances were used as that mode says.
async fn all_well(host: &Host, mode: &str) {
    for plugin in host.get("/v1/plugins").await["items"].as_array().unwrap() {
        let counters = &plugin["counters"];
        assert_eq!(plugin["state"], "running", "{plugin}");
        assert_eq!(plugin["last_error"], Value::Null, "{plugin}");
        assert_eq!(
            (&counters["errors"], &counters["in_flight"]),
            (&0.into(), &0.into()),
            "{plugin}"
        );
        let reused = mode == MODES[0] && counters["calls"] != 0;
        assert_eq!(counters["warm"] != 0, reused, "{mode}: {plugin}");
    }
}

/// What the device was told to set, in order.
fn written(session: &cpe_sim::SessionReport) -> Vec<(String, String)> {
    let sets = session
        .record
        .served
        .iter()
        .filter_map(|served| match &served.request {
            Request::SetParameterValues(set) => Some(&set.parameters),
            _ => None,
        });
    sets.flatten()
        .map(|one| (one.path.clone(), one.value.clone()))
        .collect()
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
            assert_eq!(
                reachability["reason"],
                "not behind NAT: it comes from 127.0.0.1, its own address"
            );
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
            let woken = host
                .post(&format!("{}/wake", live.at), json!({ "wait_seconds": 20 }))
                .await;
            assert_eq!(woken["state"], "session-opened", "{woken}");
            let (events, rpcs) = live.session().await;
            assert_eq!(
                (events, rpcs),
                (vec!["6 CONNECTION REQUEST".to_owned()], vec![])
            );
            assert_eq!(live.device.connection_requests(), (1, 0));
        }
        all_well(&host, mode).await;
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
            [
                "Time.NTPServer1",
                "Time.Enable",
                "WiFi.Radio.1.Channel",
                "Time.NTPServer3",
            ]
            .map(|path| sim.value(path))
        };
        assert_eq!(values(&sim), ["ntp.test", "0", "11", ""]);
        let second = sim.periodic().await;
        assert!(rpcs(&second).is_empty(), "{second:?}");

        let toml = format!("{mode}{}", STATE.replace("11", "6"));
        let before = host.plugin("desired-state").await["generation"]
            .as_u64()
            .unwrap();
        std::fs::write(host.plugins.join("desired-state.toml"), toml).unwrap();
        host.plugin_until("desired-state", |plugin| {
            plugin["generation"].as_u64().unwrap() > before
        })
        .await;
        let third = sim.periodic().await;
        assert_eq!(
            written(&third),
            [("Device.WiFi.Radio.1.Channel".to_owned(), "6".to_owned())]
        );
        assert_eq!(rpcs(&third), ["SetParameterValues"]);

        // What the device was changed to behind the ACS's back and has told about is set right.
        let set = json!({ "op": "set-attributes", "attributes": [{ "path": "Device.Time.NTPServer1", "notification": 2 }] });
        host.post(&format!("{}/tasks", sim.at()), json!({ "operation": set }))
            .await;
        sim.periodic().await;
        let now = sim.now();
        sim.cpe.set("Device.Time.NTPServer1", "evil.test", now);
        let [told] = sim.settle().await.try_into().unwrap();
        assert_eq!(codes(&told), ["4 VALUE CHANGE"]);
        assert_eq!(values(&sim), ["ntp.test", "0", "6", ""]);
        all_well(&host, mode).await;
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
    let other = Vendor {
        manufacturer: "Not Zhone",
        ..zhone
    };
    let key = "InternetGatewayDevice.ManagementServer.ParameterKey";
    for mode in MODES {
        let host = shipped(mode, "").start().await;
        for (vendor, value) in [(zhone, ""), (other, "(null)")] {
            let mut sim = callable(CpeConfig::of(vendor, "Z1", &host.url()));
            sim.session().await;
            let at = format!("{}?parameters={key}", sim.at());
            assert_eq!(
                host.get(&at).await["parameters"][key]["value"],
                value,
                "in the Inform"
            );
            let get = json!({ "operation": { "op": "get", "paths": [key] } });
            let task = host.post(&format!("{}/tasks", sim.at()), get).await;
            sim.periodic().await;
            let task = host
                .get(&format!("/v1/tasks/{}", task["id"].as_str().unwrap()))
                .await;
            assert_eq!(
                task["result"]["parameters"][0]["value"], value,
                "in an answer"
            );
            assert_eq!(
                host.get(&at).await["parameters"][key]["value"],
                value,
                "what is kept of it"
            );
        }
        all_well(&host, mode).await;
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
    let other = Vendor {
        manufacturer: "Not TP-Link",
        ..vendor
    };
    // Words for all devices; the vendor's profile has the last word for its own.
    let words = "priority = -1000\n[settings.overrides]\nboolean-words = \"false/true\"\n";
    let path = "InternetGatewayDevice.Time.Enable";
    let set = json!({ "op": "set", "parameters": [{ "path": path, "value": "false", "type": "boolean" }] });
    for mode in MODES {
        let host = shipped(mode, "")
            .plugin_with("test", "bad-hooks", words)
            .start()
            .await;
        for (vendor, value, state) in [(vendor, "0", "done"), (other, "false", "failed")] {
            let mut sim = callable(CpeConfig::of(vendor, "P1", &host.url()));
            sim.session().await;
            let task = host
                .post(&format!("{}/tasks", sim.at()), json!({ "operation": set }))
                .await;
            let session = sim.periodic().await;
            assert_eq!(written(&session)[0], (path.to_owned(), value.to_owned()));
            let task = host
                .get(&format!("/v1/tasks/{}", task["id"].as_str().unwrap()))
                .await;
            assert_eq!(task["state"], state, "{task}");
        }
        host.stop().await;
    }
}

#[tokio::test]
async fn a_profile_and_a_flow_in_one_file() {
    for mode in MODES {
        let host = shipped(mode, "")
            .plugin_with("test", "both", mode)
            .start()
            .await;
        assert_eq!(
            host.plugin("both").await["kinds"],
            json!(["quirks", "flow"])
        );
        let mut sim = callable(CpeConfig::tr181("B1", &host.url()));
        let first = sim.session().await;
        // The flow asks for three names, the profile allows two at a time.
        let gets = first
            .served("GetParameterValues")
            .map(|served| match &served.request {
                Request::GetParameterValues(names) => names.len(),
                other => panic!("{other:?}"),
            });
        assert_eq!(gets.collect::<Vec<_>>(), [2, 1]);
        assert_eq!(
            host.get(&sim.at()).await["tags"],
            json!(["both", "contacted"])
        );
        let path = "Device.DeviceInfo.HardwareVersion";
        let get = json!({ "operation": { "op": "get", "paths": [path] } });
        let task = host.post(&format!("{}/tasks", sim.at()), get).await;
        sim.periodic().await;
        let task = host
            .get(&format!("/v1/tasks/{}", task["id"].as_str().unwrap()))
            .await;
        assert_eq!(
            task["result"]["parameters"][0]["value"],
            "1.2 (seen by both)"
        );
        all_well(&host, mode).await;
        host.stop().await;
    }
}
