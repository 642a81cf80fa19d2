//! Devices that nothing reaches from outside, and those that need no detour.

use std::time::{Duration, Instant};

use serde_json::json;

use super::network::{DEVICE, Nat, Place, ROUTER};
use super::parties::Lab;

/// A maker whose devices have neither STUN nor XMPP.
const PLAIN: [&str; 2] = ["--vendor", "Zephyr Access"];
const SETTINGS: &str = "[instance]\nshort_periodic_inform_seconds = 2\n";

/// It comes by itself, soon; what is queued is done then.
#[test]
fn short_informs_where_nothing_gets_in() {
    let mut lab = Lab::start(Nat::NoUdp, 3, SETTINGS);
    let device = lab.device(Place::Lan, DEVICE, "SHORT", &PLAIN);
    let reachability = lab.get(&device)["reachability"].clone();
    assert_eq!(reachability["behind_nat"], true, "{reachability}");
    assert_eq!(reachability["mode"], "short-inform", "{reachability}");
    lab.wakes(&device, "short-inform");
    let begun = Instant::now();
    let task = json!({
        "operation": { "op": "get", "paths": ["InternetGatewayDevice.DeviceInfo.SoftwareVersion"] },
    });
    let task = lab.post(&format!("{device}/tasks"), task);
    let path = format!("/v1/tasks/{}", task["id"].as_str().unwrap());
    lab.until(&path, |task| task["state"] == "done");
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
}

/// The router itself has an address that the ACS reaches.
#[test]
fn a_router_is_asked_directly() {
    let mut lab = Lab::start(Nat::PortRestricted, 3, "");
    let device = lab.device(Place::Router, ROUTER, "ROUTER", &[]);
    let told = lab.get(&device);
    let reachability = &told["reachability"];
    assert_eq!(reachability["behind_nat"], false, "{reachability}");
    assert_eq!(reachability["mode"], "direct-http", "{reachability}");
    let url = told["connection_request"]["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("http://{ROUTER}:")), "{url}");
    lab.wakes(&device, "direct-http");
}
