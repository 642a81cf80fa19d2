//! A stream through NAT.

use serde_json::Value;

use super::network::{ACS, DEVICE, Nat, Place};
use super::parties::Lab;

fn settings() -> String {
    format!(
        "[stun]\nenabled = false\n\
         [xmpp]\nmode = \"embedded\"\ndomain = \"acs.example\"\nhost = \"{ACS}\"\nlisten = [\"{ACS}:5222\"]\n\
         keep_alive_seconds = 10\n\
         [instance]\nconnection_request_seconds_max = 2\nsession_after_wake_seconds_max = 3\n"
    )
}

fn is_online(device: &Value) -> bool {
    device["xmpp"]["online"] == true
}

fn online(lab: &mut Lab) -> String {
    let device = lab.device(Place::Lan, DEVICE, "XMPP", &[]);
    let told = lab.until(&device, is_online);
    let reachability = &told["reachability"];
    assert_eq!(reachability["behind_nat"], true, "{reachability}");
    assert_eq!(reachability["mode"], "xmpp", "{reachability}");
    lab.wakes(&device, "xmpp");
    device
}

fn refused(lab: &Lab, device: &str) -> String {
    let report = lab.wake(device);
    assert_eq!(report["state"], "failed", "{report}");
    report["attempts"][0]["outcome"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Nothing gets through, and nobody is told: the request is not answered in time. The stream outlives it.
#[test]
fn xmpp_whose_packets_are_lost() {
    let mut lab = Lab::start(Nat::NoUdp, 3, &settings());
    let device = online(&mut lab);
    let before = lab.get(&device);
    lab.network.cut(&["tcp sport 5222", "tcp dport 5222"]);
    assert_eq!(refused(&lab, &device), "no-answer");
    lab.network.restore();
    // What the host has said meanwhile is sent again, later and later, and arrives in the end.
    lab.until(&device, |device| {
        device["last_contact"] != before["last_contact"]
    });
    lab.wakes(&device, "xmpp");
    assert_eq!(lab.get(&device)["xmpp"]["since"], before["xmpp"]["since"]);
}

/// The router has forgotten the connection and says so to both sides; the device logs in again when it can.
#[test]
fn xmpp_that_is_cut_off() {
    let mut lab = Lab::start(Nat::Symmetric, 3, &settings());
    let device = online(&mut lab);
    let reset =
        ["tcp sport 5222", "tcp dport 5222"].map(|what| format!("{what} reject with tcp reset"));
    lab.network.cut(&[&reset[0], &reset[1]]);
    lab.until(&device, |device| device["xmpp"]["online"] == false);
    assert_eq!(refused(&lab, &device), "offline");
    lab.network.restore();
    lab.until(&device, is_online);
    lab.wakes(&device, "xmpp");
}
