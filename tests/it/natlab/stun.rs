//! UDP through NAT.

use std::time::Duration;

use serde_json::Value;

use super::network::{ACS, ACS_SECOND, DEVICE, Nat, Place, ROUTER, until};
use super::parties::{Lab, pass};

/// What the routers remember, where a device is to be late.
const UDP_SECONDS: u32 = 3;
/// Where it is to be in time, whatever else this machine does.
const PATIENT_UDP_SECONDS: u32 = 5;

/// STUN on two addresses and two ports, and devices that may be silent for so long.
fn settings(keepalive_min: u32, keepalive_max: u32) -> String {
    format!(
        "[xmpp]\nmode = \"off\"\n[stun]\nlisten = [\"{ACS}:3478\"]\nsecond_listen = [\"{ACS_SECOND}:3479\"]\n\
         keepalive_seconds_min = {keepalive_min}\nkeepalive_seconds_max = {keepalive_max}\n\
         [instance]\nsession_after_wake_seconds_max = 3\n"
    )
}

fn is_bound(device: &Value) -> bool {
    let udp = &device["reachability"]["udp"];
    udp["source"] == "stun" && udp["usable"] == true
}

/// The binding that the host knows.
fn seen(lab: &Lab, device: &str) -> String {
    let device = lab.get(device);
    device["reachability"]["udp"]["seen"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Waits for the next keepalive.
fn kept_alive(lab: &Lab, device: &str) {
    let before = seen(lab, device);
    lab.until(device, |device| {
        device["reachability"]["udp"]["seen"] != before.as_str()
    });
}

/// From the first contact to a session that was asked for through the router's binding, which has lived for longer
/// than the router remembers silence. `kinds` is what a STUN client that nobody here wrote calls this NAT.
fn reached(nat: Nat, kinds: [&str; 2]) {
    let mut lab = Lab::start(nat, PATIENT_UDP_SECONDS, &settings(1, 1));
    let device = lab.device(Place::Lan, DEVICE, "STUN", &[]);
    let told = lab.get(&device);
    let url = told["connection_request"]["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("http://{DEVICE}:")), "{url}");
    assert_eq!(told["peer_address"], ROUTER);
    let reachability = &told["reachability"];
    assert_eq!(reachability["behind_nat"], true, "{reachability}");
    assert_eq!(reachability["mode"], "stun", "{reachability}");
    let reason = reachability["reason"].as_str().unwrap();
    let private = format!("it gives the private address {DEVICE} but comes from {ROUTER}");
    assert!(reason.contains(&private), "{reason}");
    assert!(reason.ends_with("the device supports STUN"), "{reason}");

    let bound = lab.until(&device, is_bound);
    let address = bound["reachability"]["udp"]["address"].clone();
    assert!(address.as_str().unwrap().starts_with(ROUTER), "{address}");
    let mut client = lab.network.command(Place::Lan, "stun");
    let verdict = client.args([ACS, "-v"]).output();
    let verdict = verdict.unwrap_or_else(|error| panic!("stun (Debian: stun-client): {error}"));
    let verdict = String::from_utf8_lossy(&verdict.stdout).into_owned()
        + &String::from_utf8_lossy(&verdict.stderr);
    assert!(kinds.iter().all(|kind| verdict.contains(kind)), "{verdict}");

    pass(PATIENT_UDP_SECONDS as f32);
    let later = lab.get(&device)["reachability"]["udp"]["address"].clone();
    assert_eq!(later, address, "the binding was lost meanwhile");
    lab.wakes(&device, "stun");
}

#[test]
fn stun_behind_a_full_cone() {
    reached(Nat::FullCone, ["Independent Mapping", "Independent Filter"]);
}

#[test]
fn stun_behind_a_port_restricted_nat() {
    reached(
        Nat::PortRestricted,
        ["Independent Mapping", "Port Dependent Filter"],
    );
}

#[test]
fn stun_behind_a_symmetric_nat() {
    reached(Nat::Symmetric, ["Dependent Mapping", "random port"]);
}

/// The device is allowed a silence that the router does not bear, and does not look for how long it does.
#[test]
fn a_binding_that_the_router_forgets() {
    let mut lab = Lab::start(Nat::PortRestricted, UDP_SECONDS, &settings(9, 9));
    let unwilling = ["--oddity", "stun-no-response-address"];
    let device = lab.device(Place::Lan, DEVICE, "FORGOTTEN", &unwilling);
    lab.until(&device, is_bound);
    kept_alive(&lab, &device);
    pass(UDP_SECONDS as f32 + 1.5);
    let report = lab.wake(&device);
    assert_eq!(report["state"], "failed", "{report}");
    assert_eq!(report["attempts"][0]["outcome"], "no-answer", "{report}");
    // The next keepalive opens the router again.
    kept_alive(&lab, &device);
    lab.wakes(&device, "stun");
}

/// The bounds leave the device room, and it finds out what its router bears.
#[test]
fn a_device_that_finds_its_keepalive() {
    let mut lab = Lab::start(Nat::PortRestricted, UDP_SECONDS, &settings(1, 8));
    let device = lab.device(Place::Lan, DEVICE, "FINDER", &[]);
    lab.until(&device, is_bound);
    // 8 s are too long, and so are 4.
    until(Duration::from_secs(30), || {
        kept_alive(&lab, &device);
        let begun = std::time::Instant::now();
        kept_alive(&lab, &device);
        match begun.elapsed() {
            time if time < Duration::from_secs(3) => Ok(time),
            time => Err(format!("{time:?}")),
        }
    });
    pass(1.5);
    lab.wakes(&device, "stun");
}

/// No UDP gets through for a while, or the host is away: the binding counts as gone, and comes back by itself.
#[test]
fn udp_that_is_lost_and_comes_back() {
    let mut lab = Lab::start(Nat::PortRestricted, PATIENT_UDP_SECONDS, &settings(1, 1));
    let device = lab.device(Place::Lan, DEVICE, "LOST", &[]);
    lab.until(&device, is_bound);
    lab.wakes(&device, "stun");
    lab.network.cut(&["meta l4proto udp"]);
    lab.until(&device, |device| {
        device["reachability"]["udp"]["usable"] == false
    });
    let report = lab.wake(&device);
    assert_eq!(
        report["attempts"][0]["outcome"], "binding-expired",
        "{report}"
    );
    lab.network.restore();
    lab.until(&device, is_bound);
    lab.wakes(&device, "stun");
    // A host that was restarted has forgotten where the device is, and hears it again.
    lab.restart(&settings(1, 1));
    lab.until(&device, is_bound);
    lab.wakes(&device, "stun");
}

/// UDP is blocked from the start: the device is moved to short informs, and back once its binding is there.
#[test]
fn a_mode_that_falls_back_and_recovers() {
    let settings = settings(1, 1)
        + "short_periodic_inform_seconds = 2\n\
        [instance.waking]\nprobe_seconds_min = 1\nprobe_seconds_max = 1\n";
    let mut lab = Lab::start(Nat::PortRestricted, PATIENT_UDP_SECONDS, &settings);
    // Nothing reaches it at first: it is to come by itself.
    let own = "[settings]\nperiodic_inform_interval_seconds = 4\n";
    std::fs::write(lab.path("plugins/first-contact.toml"), own).unwrap();
    lab.post("/v1/plugins/reload", Value::Null);
    lab.network.cut(&["meta l4proto udp"]);
    let device = lab.device(
        Place::Lan,
        DEVICE,
        "BLOCKED",
        &["--vendor", "Baltica Networks"],
    );
    assert_eq!(lab.get(&device)["reachability"]["mode"], "stun");
    for _ in 0..3 {
        let report = lab.wake(&device);
        assert_eq!(report["state"], "failed", "{report}");
    }
    let mode = |mode: &'static str| move |device: &Value| device["reachability"]["mode"] == mode;
    let fallen = lab.until(&device, mode("short-inform"));
    let reason = fallen["reachability"]["reason"].as_str().unwrap();
    assert!(reason.contains("STUN kept failing"), "{reason}");
    lab.wakes(&device, "short-inform");

    lab.network.restore();
    lab.until(&device, is_bound);
    lab.until(&device, mode("stun"));
    lab.wakes(&device, "stun");
}
