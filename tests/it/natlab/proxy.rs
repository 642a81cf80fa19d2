//! The operator's HTTP proxy near the devices, and what becomes of them when it goes.

use std::process::Command;

use serde_json::{Value, json};

use super::network::{ACS, DEVICE, Nat, Place, Program, ROUTER, until};
use super::parties::{Lab, binary, log_to};
use crate::harness::PATIENCE;

const PORT: u16 = 3128;

fn settings(proxy: &str) -> String {
    format!(
        "[stun]\nenabled = false\n[xmpp]\ndomain = \"acs.example\"\nhost = \"{ACS}\"\nlisten = [\"{ACS}:5222\"]\n\
         [instance]\nconnection_request_seconds_max = 5\nsession_after_wake_seconds_max = 5\n{proxy}"
    )
}

fn with_proxy() -> String {
    settings(&format!(
        "[instance.http_proxy]\naddress = \"{ROUTER}:{PORT}\"\n"
    ))
}

/// Squid at the edge of the LAN, with the configuration that is printed for it.
fn squid(lab: &mut Lab) -> Program {
    let printed = Command::new(binary())
        .args(["snippet", "squid", "--config"])
        .arg(lab.path("patchbay.toml"))
        .args(["--option", &format!("senders={ACS}")])
        .output()
        .unwrap();
    assert!(printed.status.success(), "{printed:?}");
    // Where it keeps what Debian has below /var, and no name to look up for itself.
    let at = lab.path("squid");
    let at = at.display();
    let config = format!(
        "{}pid_filename {at}/pid\naccess_log stdio:{at}/access.log\ncache_log {at}/cache.log\n\
         coredump_dir {at}\nvisible_hostname proxy\nshutdown_lifetime 0 seconds\npinger_enable off\n",
        String::from_utf8(printed.stdout).unwrap()
    );
    std::fs::create_dir_all(lab.path("squid")).unwrap();
    std::fs::write(lab.path("squid/squid.conf"), config).unwrap();
    // It leaves root's rights by itself.
    let mut give = Command::new("sh");
    give.args(["-c", "chmod 711 \"$0\" && chown -R proxy \"$0/squid\""])
        .arg(lab.path(""));
    assert!(
        give.status().unwrap().success(),
        "no user proxy: tests/run installs squid"
    );
    let mut squid = lab.network.command(Place::Router, "squid");
    squid.args(["-N", "-f"]).arg(lab.path("squid/squid.conf"));
    log_to(&mut squid, &lab.path("squid/log"));
    let squid = lab.network.run(squid);
    until(PATIENCE, || {
        let mut connect = lab.network.command(Place::Wan, "curl");
        connect.args([
            "--silent",
            "--output",
            "/dev/null",
            &format!("http://{ROUTER}:{PORT}/"),
        ]);
        match connect.status().unwrap().success() {
            true => Ok(()),
            false => Err("down".to_owned()),
        }
    });
    squid
}

fn is_online(device: &Value) -> bool {
    device["reachability"]["mode"] == "xmpp" && device["xmpp"]["online"] == true
}

#[test]
fn through_the_proxy_while_there_is_one() {
    let mut lab = Lab::start(Nat::PortRestricted, 3, &settings(""));
    let device = lab.device(Place::Lan, DEVICE, "PROXY", &[]);
    lab.until(&device, is_online);
    lab.wakes(&device, "xmpp");

    // The instance gets a proxy: in the next session the device is told to leave the XMPP server.
    let squid = squid(&mut lab);
    lab.restart(&with_proxy());
    lab.until(&device, |device| device["xmpp"]["online"] == true);
    lab.wakes(&device, "xmpp");
    let told = lab.until(&device, |device| device["xmpp"]["configured"] == false);
    let reachability = &told["reachability"];
    assert_eq!(reachability["mode"], "http-proxy", "{reachability}");
    assert_eq!(reachability["behind_nat"], true, "{reachability}");
    lab.until(&device, |device| device["xmpp"]["online"] == false);
    lab.wakes(&device, "http-proxy");

    // The device is to come by itself when nothing reaches it any more.
    let interval = json!({
        "path": "Device.ManagementServer.PeriodicInformInterval", "value": "3", "type": "unsignedInt",
    });
    let task = json!({
        "operation": { "op": "set", "parameters": [interval] }, "wake": true, "wait_seconds": 20,
    });
    let task = lab.post(&format!("{device}/tasks"), task);
    assert_eq!(task["state"], "done", "{task}");
    lab.network.end(squid);
    let report = lab.wake(&device);
    assert_eq!(report["attempts"][0]["outcome"], "proxy-down", "{report}");

    // The proxy is removed from the instance: back to the stream.
    lab.restart(&settings(""));
    lab.until(&device, is_online);
    let report = lab.wake(&device);
    let attempt = &report["attempts"][0];
    assert_eq!(attempt["mode"], "xmpp", "{report}");
    assert!(attempt["accepted"].is_string(), "{report}");
}
