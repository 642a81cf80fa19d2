//! Devices that are reached over XMPP: told how to keep a stream, online, woken.

mod hostile;
mod peers;
pub(crate) mod raw;
mod servers;

use std::time::Duration;

use cpe_sim::{FleetConfig, Oddities, Oddity, Vendor};
use patchbay::config::{Config, XmppMode};
use serde_json::{Value, json};

use crate::harness::{Host, Live, Setup};

/// A host with an XMPP server, whose devices get credentials for connection requests.
fn setup() -> Setup {
    Setup::new()
        .plugin("shipped", "nat-default")
        .xmpp()
        .config(|config| {
            config.instance.connection_request_seconds_max = 2;
            config.instance.session_after_wake_seconds_max = 5;
        })
}

/// A device that gives an address which it does not come from.
fn behind_nat(host: &Host, oddities: impl IntoIterator<Item = Oddity>) -> FleetConfig {
    FleetConfig {
        announce_host: Some("192.168.1.1".into()),
        oddities: oddities.into_iter().collect::<Oddities>(),
        boot_time: Duration::from_millis(50),
        ..FleetConfig::single(&host.url(), Vendor::tr181())
    }
}

/// Waits until the device is online and has told its JID.
async fn online(host: &Host, live: &Live) -> Value {
    let is_online = |device: &Value| device["xmpp"]["online"] == true;
    let device = host.until(&live.at, is_online).await;
    let told = format!(
        "{}?parameters=Device.ManagementServer.ConnReqJabberID",
        live.at
    );
    let name = "Device.ManagementServer.ConnReqJabberID";
    host.until(&told, |device| {
        device["parameters"][name]["value"]
            .as_str()
            .is_some_and(|jid| !jid.is_empty())
    })
    .await;
    device
}

async fn wake(host: &Host, live: &Live) -> Value {
    host.post(&format!("{}/wake", live.at), json!({ "wait_seconds": 20 }))
        .await
}

#[track_caller]
fn opened(report: &Value) {
    assert_eq!(report["state"], "session-opened", "{report}");
    let attempts = report["attempts"].as_array().unwrap();
    assert_eq!(
        (attempts.len(), &attempts[0]["mode"]),
        (1, &json!("xmpp")),
        "{report}"
    );
    assert!(attempts[0]["accepted"].is_string(), "{report}");
}

#[tokio::test]
async fn told_online_and_woken() {
    let host = setup().start().await;
    let mut live = Live::start(behind_nat(&host, [])).await;
    let device = online(&host, &live).await;
    assert_eq!(device["reachability"]["mode"], "xmpp", "{device}");
    assert_eq!(device["xmpp"]["resource"], "cwmp");
    assert_eq!(device["xmpp"]["configured"], true);
    assert_eq!(device["xmpp"]["has_account"], true);
    assert!(device["xmpp"]["since"].is_string());
    // The session in which it tells its JID writes nothing.
    let (events, rpcs) = live.session().await;
    assert_eq!(events, ["4 VALUE CHANGE"]);
    assert_eq!(rpcs, [""; 0]);

    opened(&wake(&host, &live).await);
    let (events, rpcs) = live.session().await;
    assert_eq!(
        (events, rpcs),
        (vec!["6 CONNECTION REQUEST".to_owned()], Vec::new())
    );
    assert_eq!(live.device.xmpp().accepted(), 1);
    let history = &host.get(&live.at).await["reachability"]["history"]["xmpp"];
    assert_eq!(history["opened"], 1, "{history}");

    // The stream is cut, and comes back by itself.
    let logins = live.device.xmpp().logins();
    live.device.cut_xmpp();
    let counted = |status: &Value| status["xmpp"]["counters"]["logins"].as_u64() > Some(logins);
    host.until("/v1/status", counted).await;
    opened(&wake(&host, &live).await);
    live.session().await;
    let status = host.get("/v1/status").await;
    assert_eq!(status["xmpp"]["mode"], "embedded");
    assert_eq!(status["xmpp"]["devices_online"], 1, "{status}");
    host.stop().await;
}

#[tokio::test]
async fn another_mode_undoes_it() {
    let host = setup().start().await;
    let mut live = Live::start(behind_nat(&host, [])).await;
    online(&host, &live).await;
    live.session().await;
    let path = "Device.ManagementServer.ConnectionRequestURL";
    let reachable = "http://127.0.0.1:7547/cr";
    assert!(
        live.device
            .with(|cpe, now| cpe.set(path, reachable, now))
            .await
    );
    let (_, rpcs) = live.session().await;
    assert_eq!(rpcs, ["SetParameterValues"]);
    let device = host
        .until(&live.at, |device| device["xmpp"]["online"] == false)
        .await;
    assert_eq!(device["reachability"]["mode"], "direct-http");
    assert_eq!(device["xmpp"]["configured"], false);
    assert!(
        device["xmpp"]["since"].is_string(),
        "since when it is offline: {device}"
    );
    let value = |path: &'static str| {
        let device = &live.device;
        async move { device.with(|cpe, now| cpe.get(path, now).unwrap()).await }
    };
    assert_eq!(value("Device.XMPP.Connection.1.Enable").await, "0");
    assert_eq!(
        value("Device.ManagementServer.ConnReqXMPPConnection").await,
        ""
    );
    assert_eq!(
        value("Device.ManagementServer.ConnReqAllowedJabberIDs").await,
        ""
    );

    // And back: the row is used again, with a new password.
    let before = value("Device.XMPP.Connection.1.Password").await;
    let hidden = "http://192.168.1.1:7547/cr";
    assert!(
        live.device
            .with(|cpe, now| cpe.set(path, hidden, now))
            .await
    );
    online(&host, &live).await;
    let device = &live.device;
    let (rows, after) = device
        .with(|cpe, now| {
            let of = |name: &str| cpe.get(&format!("Device.XMPP.{name}"), now).unwrap();
            (of("ConnectionNumberOfEntries"), of("Connection.1.Password"))
        })
        .await;
    assert_eq!(rows, "1");
    assert_ne!(before, after);
    host.stop().await;
}

#[tokio::test]
async fn a_reset_device_is_told_again() {
    let host = setup().start().await;
    let mut live = Live::start(behind_nat(&host, [])).await;
    online(&host, &live).await;
    live.session().await;
    live.device.with(|cpe, now| cpe.factory_reset(now)).await;
    let (events, rpcs) = live.session().await;
    assert_eq!(events, ["0 BOOTSTRAP", "1 BOOT"]);
    assert!(
        rpcs.iter().filter(|rpc| *rpc == "AddObject").count() == 2,
        "{rpcs:?}"
    );
    let twice = |status: &Value| status["xmpp"]["counters"]["logins"] == 2;
    host.until("/v1/status", twice).await;
    live.session().await;
    opened(&wake(&host, &live).await);
    host.stop().await;
}

/// A reset device that refuses its settings once is given its password when it is told again; so
/// is one that let go of its stream only at the second try.
#[tokio::test]
async fn one_refusal_is_not_the_end() {
    let host = setup().start().await;
    let mut live = Live::start(behind_nat(&host, [])).await;
    online(&host, &live).await;
    live.session().await;
    let reset = |cpe: &mut cpe_sim::Cpe, now| {
        cpe.fail_next("AddObject", 9004);
        cpe.factory_reset(now);
    };
    live.device.with(reset).await;
    live.session().await;
    let device = host.get(&live.at).await;
    assert_eq!(device["xmpp"]["configured"], false, "{device}");
    let later = |summary: &mut patchbay::device::Summary| summary.xmpp.refused_at -= 3_601;
    host.change(&live.at, later).await;
    let inform = |cpe: &mut cpe_sim::Cpe, now| cpe.connection_request(now);
    live.device.with(inform).await;
    live.session().await;
    online(&host, &live).await;
    live.session().await;
    opened(&wake(&host, &live).await);
    live.session().await;

    let path = "Device.ManagementServer.ConnectionRequestURL";
    let moved = |cpe: &mut cpe_sim::Cpe, now| {
        cpe.fail_next("SetParameterValues", 9002);
        cpe.set(path, "http://127.0.0.1:7547/cr", now)
    };
    assert!(live.device.with(moved).await);
    live.session().await;
    assert_eq!(host.get(&live.at).await["xmpp"]["online"], true);
    host.change(&live.at, later).await;
    live.device.with(inform).await;
    live.session().await;
    host.until(&live.at, |device| device["xmpp"]["online"] == false)
        .await;
    host.stop().await;
}

/// The operator has gone over to another XMPP server: devices get an account there, with a
/// password, however long they had one here.
#[tokio::test]
async fn another_server_is_another_account() {
    let host = setup().start().await;
    let mut live = Live::start(behind_nat(&host, [])).await;
    online(&host, &live).await;
    live.session().await;
    let password = "Device.XMPP.Connection.1.Password";
    let has = async |live: &Live| {
        live.device
            .with(move |cpe, now| cpe.get(password, now))
            .await
            .unwrap()
    };
    let before = has(&live).await;
    let host = host
        .restart(|config| {
            config.xmpp.mode = XmppMode::Component;
            config.xmpp.server = "127.0.0.1:9".into();
            config.xmpp.jid = "patchbay.acs.example".into();
            config.xmpp.secret = Some("known to both".into());
            config.xmpp.accounts = patchbay::config::XmppAccounts::Operator;
        })
        .await;
    live.device
        .with(|cpe, now| cpe.connection_request(now))
        .await;
    live.session().await;
    let after = has(&live).await;
    let username = patchbay::nat::xmpp::account::username(live.at.rsplit('/').next().unwrap());
    assert_eq!(
        after,
        patchbay::nat::xmpp::derived_password("known to both", &username)
    );
    assert_ne!(after, before);
    host.stop().await;
}

/// The keys of its password outlive the host.
#[tokio::test]
async fn after_a_restart_it_comes_back() {
    let host = setup().start().await;
    let mut live = Live::start(behind_nat(&host, [])).await;
    online(&host, &live).await;
    live.session().await;
    let host = host.restart(|_| {}).await;
    host.until(&live.at, |device| device["xmpp"]["online"] == true)
        .await;
    opened(&wake(&host, &live).await);
    let (_, rpcs) = live.session().await;
    assert_eq!(rpcs, [""; 0]);

    // Switched off, it is undone in the next session.
    let off = |config: &mut Config| config.xmpp.mode = XmppMode::Off;
    let host = host.restart(off).await;
    live.device.with(|cpe, now| cpe.power_cycle(now)).await;
    let (_, rpcs) = live.session().await;
    assert_eq!(
        rpcs, ["SetParameterValues"; 2],
        "the short interval, and XMPP undone"
    );
    let device = host.get(&live.at).await;
    assert_eq!(device["xmpp"], Value::Null);
    assert_eq!(device["reachability"]["mode"], "short-inform");
    let enable = "Device.XMPP.Connection.1.Enable";
    assert_eq!(
        live.device
            .with(|cpe, now| cpe.get(enable, now))
            .await
            .unwrap(),
        "0"
    );
    host.stop().await;
}

/// Nobody has named a domain or a host: the device connects to where its ACS is.
#[tokio::test]
async fn nothing_has_to_be_configured() {
    let host = setup()
        .config(|config| {
            config.xmpp.domain.clear();
            config.xmpp.host.clear();
        })
        .start()
        .await;
    let mut live = Live::start(behind_nat(&host, [])).await;
    online(&host, &live).await;
    live.session().await;
    opened(&wake(&host, &live).await);
    let value = async |name: &str| {
        let path = format!("Device.XMPP.Connection.1.{name}");
        live.device
            .with(move |cpe, now| cpe.get(&path, now))
            .await
            .unwrap()
    };
    assert_eq!(value("Server.1.ServerAddress").await, "127.0.0.1");
    assert_eq!(value("Domain").await, "patchbay.internal");
    host.stop().await;
}

#[tokio::test]
async fn what_devices_answer() {
    for (oddity, error) in [
        (Some(Oddity::XmppMisspelled), None),
        (Some(Oddity::XmppIgnoresOthers), None),
        (Some(Oddity::XmppOtherResource), None),
        (Some(Oddity::XmppUnavailable), Some("busy or not available")),
        (Some(Oddity::XmppSilent), Some("no answer within 2 s")),
    ] {
        let host = setup().start().await;
        let mut live = Live::start(behind_nat(&host, oddity)).await;
        online(&host, &live).await;
        live.session().await;
        let report = wake(&host, &live).await;
        match error {
            None => opened(&report),
            Some(error) => {
                let attempt = &report["attempts"][0];
                assert!(
                    attempt["error"].as_str().unwrap().contains(error),
                    "{report}"
                );
                assert_eq!(attempt["accepted"], Value::Null, "{report}");
            }
        }
        host.stop().await;
    }
}

/// The device has other credentials than the ACS knows, and a strange word for it.
#[tokio::test]
async fn r24_wrong_credentials_are_told_from_the_rest() {
    for oddity in [None, Some(Oddity::XmppMisspelled)] {
        let host = setup().start().await;
        let mut live = Live::start(behind_nat(&host, oddity)).await;
        online(&host, &live).await;
        live.session().await;
        let password = "Device.ManagementServer.ConnectionRequestPassword";
        assert!(
            live.device
                .with(|cpe, now| cpe.set(password, "another", now))
                .await
        );
        let report = wake(&host, &live).await;
        let error = report["attempts"][0]["error"].as_str().unwrap();
        assert!(error.contains("refuses the credentials"), "{report}");
        assert_eq!(live.device.xmpp().refused(), 1);
        host.stop().await;
    }
}

#[tokio::test]
async fn a_device_that_is_not_online_is_not_waited_for() {
    let host = setup().start().await;
    let mut live = Live::start(behind_nat(&host, [])).await;
    online(&host, &live).await;
    live.session().await;
    let enable = "Device.XMPP.Connection.1.Enable";
    assert!(live.device.with(|cpe, now| cpe.set(enable, "0", now)).await);
    host.until(&live.at, |device| device["xmpp"]["online"] == false)
        .await;
    let report = wake(&host, &live).await;
    let error = report["attempts"][0]["error"].as_str().unwrap();
    assert_eq!(error, "the device is not online", "{report}");
    host.stop().await;
}
