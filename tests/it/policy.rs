//! Which way leads to a device: every combination of what the instance has and the device supports, what is written
//! for it, and what happens when one of the facts changes.

use std::collections::BTreeSet;

use cpe_sim::{CpeConfig, SessionReport, Vendor};
use cwmp::Request;
use patchbay::config::{Config, HttpProxy, XmppMode};
use serde_json::{Value, json};

use crate::harness::{Host, Setup, Sim, codes, guest, put_plugin, rpcs};

/// An address that its device does not come from: it is behind NAT.
const PRIVATE_URL: &str = "http://192.168.1.1:7547/cr";
/// An address that it comes from.
const OWN_URL: &str = "http://127.0.0.1:7547/cr";

/// The policy alone, so that all that is written is written for it; STUN and XMPP are there.
fn setup() -> Setup {
    Setup::new()
        .plugin("shipped", "nat-default")
        .stun()
        .xmpp()
        .config(|config| {
            config.instance.connection_request_seconds_max = 1;
            config.instance.session_after_wake_seconds_max = 1;
        })
}

/// A proxy near the devices; nobody asks it anything here.
fn http_proxy() -> Option<HttpProxy> {
    Some(HttpProxy {
        address: "192.0.2.10:3128".parse().unwrap(),
        username: None,
        password: None,
    })
}

/// What the instance has. Ports are any: while a server is off, its port may become another test's.
fn ways(config: &mut Config, proxy: bool, xmpp: bool, stun: bool) {
    config.instance.http_proxy = http_proxy().filter(|_| proxy);
    config.xmpp.mode = match xmpp {
        true => XmppMode::Embedded,
        false => XmppMode::Off,
    };
    config.xmpp.listen = vec!["127.0.0.1:0".parse().unwrap()];
    config.stun.enabled = stun;
    config.stun.listen = config.xmpp.listen.clone();
}

fn device(host: &Host, vendor: Vendor, serial: &str, url: &str) -> Sim {
    Sim::new(CpeConfig {
        connection_request_url: url.into(),
        ..CpeConfig::of(vendor, serial, &host.url())
    })
}

/// Kinds of settings, by the names of their parameters.
fn kind(name: &str) -> &'static str {
    match name
        .split_once("ManagementServer.")
        .map_or(name, |(_, name)| name)
    {
        name if name.contains("XMPP.Connection.") => "xmpp",
        "ConnReqXMPPConnection" | "ConnReqAllowedJabberIDs" => "xmpp",
        "ConnectionRequestUsername" | "ConnectionRequestPassword" => "credentials",
        "PeriodicInformInterval" | "PeriodicInformEnable" | "PeriodicInformTime" => "interval",
        name if name.starts_with("STUN") => "stun",
        name => panic!("nobody asked for {name}"),
    }
}

/// What was changed on the device in a session.
fn changed(session: &SessionReport) -> BTreeSet<&'static str> {
    let mut kinds = BTreeSet::new();
    for served in &session.record.served {
        match &served.request {
            Request::SetParameterValues(set) => {
                kinds.extend(set.parameters.iter().map(|one| kind(&one.path)));
            }
            Request::AddObject(add) => drop(kinds.insert(kind(&add.object_name))),
            Request::DeleteObject(delete) => drop(kinds.insert(kind(&delete.object_name))),
            _ => {}
        }
    }
    kinds
}

async fn reachability(host: &Host, sim: &Sim) -> Value {
    host.get(&sim.at()).await["reachability"].clone()
}

#[track_caller]
fn set(sim: &mut Sim, name: &str, value: &str) {
    let (path, now) = (sim.path(name), sim.now());
    assert!(sim.cpe.set(&path, value, now), "{path}");
}

/// Each combination of what the device supports, NAT or not.
#[tokio::test]
async fn all_combinations_and_what_is_written() {
    let none: &[&str] = &[];
    let xmpp: &[&str] = &["credentials", "xmpp"];
    let stun: &[&str] = &["credentials", "stun"];
    let interval: &[&str] = &["interval"];
    let proxied: &[&str] = &["credentials"];
    #[rustfmt::skip]
    let table = [
        // product  nat    xmpp   stun   without a proxy            with one
        ("T000",    false, false, false, ("direct-http", none),      ("direct-http", none)),
        ("T001",    false, false, true,  ("direct-http", none),      ("direct-http", none)),
        ("T010",    false, true,  false, ("direct-http", none),      ("direct-http", none)),
        ("T011",    false, true,  true,  ("direct-http", none),      ("direct-http", none)),
        ("T100",    true,  false, false, ("short-inform", interval), ("http-proxy", proxied)),
        ("T101",    true,  false, true,  ("stun", stun),             ("http-proxy", proxied)),
        ("T110",    true,  true,  false, ("xmpp", xmpp),             ("http-proxy", proxied)),
        ("T111",    true,  true,  true,  ("xmpp", xmpp),             ("http-proxy", proxied)),
    ];
    for proxy in [false, true] {
        let host = setup()
            .config(move |config| config.instance.http_proxy = http_proxy().filter(|_| proxy))
            .start()
            .await;
        for (vendor, row) in [Vendor::tr181(), Vendor::tr098()]
            .into_iter()
            .flat_map(|vendor| table.map(|row| (vendor, row)))
        {
            let (product_class, nat, supports_xmpp, supports_stun, without, with) = row;
            let (mode, written) = if proxy { with } else { without };
            let vendor = Vendor {
                product_class,
                supports_xmpp,
                supports_stun,
                ..vendor
            };
            let url = if nat { PRIVATE_URL } else { OWN_URL };
            let mut sim = device(&host, vendor, "C1", url);
            let first = sim.session().await;
            let decided = reachability(&host, &sim).await;
            assert_eq!(decided["mode"], mode, "{product_class} {decided}");
            assert_eq!(decided["behind_nat"], nat, "{product_class} {decided}");
            assert_eq!(
                changed(&first),
                written.iter().copied().collect(),
                "{product_class} {first:?}"
            );
            let second = sim.periodic().await;
            assert_eq!(rpcs(&second), [""; 0], "{product_class}");
            assert_eq!(reachability(&host, &sim).await, decided);

            // What it was decided from, and by whom.
            assert_eq!(decided["decided_by"], "nat-default 0.1.0");
            let reason = decided["reason"].as_str().unwrap();
            assert!(
                reason.starts_with(if nat {
                    "behind NAT: "
                } else {
                    "not behind NAT: "
                }),
                "{reason}"
            );
            let facts = &decided["facts"];
            assert_eq!(facts["peer_address"], "127.0.0.1");
            assert_eq!(facts["connection_request_url"], url);
            assert_eq!(
                (&facts["xmpp_enabled"], &facts["stun_enabled"]),
                (&true.into(), &true.into())
            );
            assert_eq!(facts["proxy_configured"], proxy);
            if nat {
                let supports = (&facts["supports_xmpp"], &facts["supports_stun"]);
                assert_eq!(
                    supports,
                    (&supports_xmpp.into(), &supports_stun.into()),
                    "{product_class}"
                );
            }
        }
        host.stop().await;
    }
}

/// The states of the instance and the device that lead to each mode.
const MODES: [(&str, bool, bool, bool, &str); 5] = [
    ("http-proxy", true, true, true, PRIVATE_URL),
    ("xmpp", false, true, false, PRIVATE_URL),
    ("stun", false, false, true, PRIVATE_URL),
    ("short-inform", false, false, false, PRIVATE_URL),
    ("direct-http", true, true, true, OWN_URL),
];

/// From each mode to each other one: what the new one needs is there, what the old one needed is undone, and after that
/// nothing is written.
#[tokio::test]
async fn from_each_mode_to_each_other() {
    let mut host = setup().start().await;
    let mut sim = device(&host, Vendor::tr181(), "W1", PRIVATE_URL);
    for from in MODES {
        for to in MODES.into_iter().filter(|to| *to != from) {
            for (mode, proxy, xmpp, stun, url) in [from, to] {
                host = host.restart(|config| ways(config, proxy, xmpp, stun)).await;
                set(&mut sim, "ManagementServer.ConnectionRequestURL", url);
                sim.settle().await;
                sim.periodic().await;
                let decided = reachability(&host, &sim).await;
                assert_eq!(decided["mode"], mode, "{decided}");
                assert_eq!(decided["configuration_error"], Value::Null, "{decided}");
                assert_eq!(
                    sim.value("ManagementServer.STUNEnable") == "1",
                    mode == "stun",
                    "{mode}"
                );
                let interval = sim.value("ManagementServer.PeriodicInformInterval");
                assert_eq!(
                    interval == "20",
                    mode == "short-inform",
                    "{mode}: {interval}"
                );
                let path = sim.path("XMPP.Connection.1.Enable");
                let stream = sim.cpe.get(&path, sim.now());
                assert_eq!(
                    stream.as_deref() == Some("1"),
                    mode == "xmpp",
                    "{mode}: {stream:?}"
                );
                assert_eq!(rpcs(&sim.periodic().await), [""; 0], "{mode}");
            }
        }
    }
    host.stop().await;
}

/// A way that the instance gains or loses concerns devices at their next Inform, even a short one.
#[tokio::test]
async fn a_way_that_is_added_or_removed_is_seen_at_once() {
    let host = setup().start().await;
    let mut host = host
        .restart(|config| ways(config, false, false, false))
        .await;
    let mut sim = device(&host, Vendor::tr181(), "A1", PRIVATE_URL);
    sim.session().await;
    assert_eq!(reachability(&host, &sim).await["mode"], "short-inform");
    for (proxy, xmpp, stun, mode) in [
        (false, false, true, "stun"),
        (true, false, true, "http-proxy"),
        (false, false, false, "short-inform"),
        (true, false, false, "http-proxy"),
        (false, false, false, "short-inform"),
        (false, true, true, "xmpp"),
        (true, true, true, "http-proxy"),
        (false, false, true, "stun"),
    ] {
        host = host.restart(|config| ways(config, proxy, xmpp, stun)).await;
        let session = sim.periodic().await;
        assert_eq!(codes(&session), ["2 PERIODIC"]);
        let decided = reachability(&host, &sim).await;
        assert_eq!(decided["mode"], mode, "{decided}");
        assert_eq!(decided["facts"]["proxy_configured"], proxy);
        assert_eq!(decided["facts"]["xmpp_enabled"], xmpp);
        assert_eq!(decided["facts"]["stun_enabled"], stun);
        assert_eq!(rpcs(&sim.periodic().await), [""; 0]);
    }
    host.stop().await;
}

#[tokio::test]
async fn what_the_device_tells_is_decided_from_again() {
    let host = setup().start().await;
    let mut sim = device(&host, Vendor::tr181(), "F1", OWN_URL);
    sim.session().await;
    let attributes =
        json!([{ "path": sim.path("ManagementServer.NATDetected"), "notification": 2 }]);
    let watch = json!({ "operation": { "op": "set-attributes", "attributes": attributes } });
    host.post(&format!("{}/tasks", sim.at()), watch).await;
    sim.periodic().await;
    assert_eq!(reachability(&host, &sim).await["mode"], "direct-http");
    for (name, value, mode) in [
        ("ConnectionRequestURL", PRIVATE_URL, "xmpp"),
        ("ConnectionRequestURL", OWN_URL, "direct-http"),
        ("NATDetected", "1", "xmpp"),
        ("NATDetected", "0", "direct-http"),
    ] {
        set(&mut sim, &format!("ManagementServer.{name}"), value);
        let [session] = sim.settle().await.try_into().unwrap();
        assert_eq!(codes(&session), ["4 VALUE CHANGE"]);
        assert!(
            changed(&session).contains("xmpp"),
            "{name}={value}: set or undone"
        );
        assert_eq!(
            reachability(&host, &sim).await["mode"],
            mode,
            "{name}={value}"
        );
    }
    // It comes from another address than the one it gives.
    for (address, mode) in [("127.0.0.5", "xmpp"), ("127.0.0.1", "direct-http")] {
        sim.options.local_address = Some(address.parse().unwrap());
        sim.periodic().await;
        let decided = reachability(&host, &sim).await;
        assert_eq!(decided["mode"], mode, "{decided}");
        assert_eq!(decided["facts"]["peer_address"], address);
        assert_eq!(rpcs(&sim.periodic().await), [""; 0]);
    }
    host.stop().await;
}

/// A device that was reset has forgotten what it was told.
#[tokio::test]
async fn a_bootstrap_tells_everything_again() {
    let host = setup().start().await;
    for (serial, supports_xmpp, supports_stun, mode) in [
        ("B1", true, false, "xmpp"),
        ("B2", false, true, "stun"),
        ("B3", false, false, "short-inform"),
    ] {
        let vendor = Vendor {
            product_class: serial_class(serial),
            supports_xmpp,
            supports_stun,
            ..Vendor::tr181()
        };
        let mut sim = device(&host, vendor, serial, PRIVATE_URL);
        let first = changed(&sim.session().await);
        assert_eq!(reachability(&host, &sim).await["mode"], mode);
        let now = sim.now();
        sim.cpe.set_connection_request_url(PRIVATE_URL);
        sim.cpe.factory_reset(now);
        let [again] = sim.settle().await.try_into().unwrap();
        assert_eq!(codes(&again), ["0 BOOTSTRAP", "1 BOOT"]);
        assert_eq!(changed(&again), first, "{mode}");
        assert_eq!(rpcs(&sim.periodic().await), [""; 0], "{mode}");
    }
    host.stop().await;
}

/// What was learned of a product is not asked of the next one.
fn serial_class(serial: &str) -> &'static str {
    match serial {
        "B1" => "Reset-1",
        "B2" => "Reset-2",
        _ => "Reset-3",
    }
}

/// Another firmware supports other ways: it is asked again, and decided again.
#[tokio::test]
async fn another_firmware() {
    let host = setup().start().await;
    let with = |software_version, supports_xmpp, supports_stun| Vendor {
        software_version,
        supports_xmpp,
        supports_stun,
        ..Vendor::tr181()
    };
    for (vendor, mode) in [
        (with("1.0", false, false), "short-inform"),
        (with("2.0", false, true), "stun"),
        (with("3.0", true, true), "xmpp"),
        (with("1.0", false, false), "short-inform"),
    ] {
        let mut sim = Sim::new(CpeConfig {
            connection_request_url: PRIVATE_URL.into(),
            bootstrapped: true,
            ..CpeConfig::of(vendor, "V1", &host.url())
        });
        let session = sim.session().await;
        assert_eq!(codes(&session), ["1 BOOT"]);
        let decided = reachability(&host, &sim).await;
        assert_eq!(decided["mode"], mode, "{decided}");
        assert_eq!(rpcs(&sim.periodic().await), [""; 0], "{mode}");
    }
    host.stop().await;
}

/// A device that takes all settings and then is never there. What was given up is not undone: it
/// is tried again, quietly.
#[tokio::test]
async fn a_mode_that_keeps_failing_is_given_up() {
    let host = setup().start().await;
    let mut sim = device(&host, Vendor::tr181(), "K1", PRIVATE_URL);
    sim.session().await;
    for (mode, next, reason, told) in [
        ("xmpp", "stun", "(XMPP kept failing)", "stun"),
        (
            "stun",
            "short-inform",
            "no other way works (XMPP, STUN kept failing)",
            "interval",
        ),
    ] {
        assert_eq!(reachability(&host, &sim).await["mode"], mode);
        for _ in 0..3 {
            let wake = host
                .post(&format!("{}/wake", sim.at()), json!({ "wait_seconds": 20 }))
                .await;
            assert_eq!(wake["state"], "failed", "{wake}");
        }
        let session = sim.periodic().await;
        let decided = reachability(&host, &sim).await;
        assert_eq!(decided["mode"], next, "{decided}");
        assert!(
            decided["reason"].as_str().unwrap().ends_with(reason),
            "{decided}"
        );
        assert_eq!(decided["history"][mode]["given_up"], true);
        assert!(decided["next_probe"].is_string(), "{decided}");
        assert_eq!(changed(&session), [told].into());
        assert_eq!(rpcs(&sim.periodic().await), [""; 0]);
    }
    host.stop().await;
}

/// An operator's own policy decides as soon as it is there, and not any more when it is gone.
#[tokio::test]
async fn a_policy_of_ones_own() {
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/plugins/my-policy/src/lib.rs"
    );
    let lines = std::fs::read_to_string(source).unwrap().lines().count();
    assert!(lines < 40, "the example has {lines} lines");

    let host = setup().start().await;
    let mut everything = device(&host, Vendor::tr181(), "P1", PRIVATE_URL);
    let nothing = Vendor {
        product_class: "Nothing",
        supports_xmpp: false,
        supports_stun: false,
        ..Vendor::tr181()
    };
    let mut nothing = device(&host, nothing, "P2", PRIVATE_URL);
    for (policy, mode) in [
        ("nat-default", "xmpp"),
        ("my-policy", "stun"),
        ("nat-default", "xmpp"),
    ] {
        let file = host.plugins.join("my-policy.wasm");
        match policy {
            "my-policy" => put_plugin(&host.plugins, &guest("examples", policy), None),
            _ if file.exists() => std::fs::remove_file(file).unwrap(),
            _ => {}
        }
        host.reload().await;
        for (sim, mode) in [(&mut everything, mode), (&mut nothing, "short-inform")] {
            let now = sim.now();
            sim.cpe.power_cycle(now);
            let [session] = sim.settle().await.try_into().unwrap();
            assert_eq!(codes(&session)[session.record.events.len() - 1], "1 BOOT");
            let decided = reachability(&host, sim).await;
            assert_eq!(decided["decided_by"], format!("{policy} 0.1.0"));
            assert_eq!(decided["mode"], mode, "{decided}");
            let stun = sim.path("ManagementServer.STUNEnable");
            let stun = sim.cpe.get(&stun, sim.now());
            assert_eq!(stun.as_deref() == Some("1"), mode == "stun");
            assert_eq!(rpcs(&sim.periodic().await), [""; 0]);
        }
    }
    host.stop().await;
}

/// Nothing has to be set for it.
#[test]
fn a_fresh_instance_has_every_way_but_the_proxy() {
    let config = Config::default();
    assert!(config.stun.enabled);
    assert_eq!(config.xmpp.mode, XmppMode::Embedded);
    assert_eq!(config.instance.short_periodic_inform_seconds, 20);
    assert_eq!(config.instance.standard_periodic_inform_seconds, 4 * 3600);
    assert!(config.instance.http_proxy.is_none());
}
