//! Devices behind NAT that are reached by UDP (TR-069 Annex G): how they are told, how they are
//! woken, and what happens when that ceases to work.

mod hostile;
mod peers;

use std::time::Duration;

use cpe_sim::{CpeConfig, FleetConfig, Oddities, Oddity, Vendor};
use cwmp::connection_request::SignedUdpRequest;
use serde_json::{Value, json};
use tokio::net::UdpSocket;

use crate::harness::{Host, Live, PATIENCE, Setup, Sim, http, inform, rpcs};

/// An address that its device does not come from: it is behind NAT.
const PRIVATE_HOST: &str = "192.168.1.1";
const WAIT_SECONDS: u64 = 20;

fn setup() -> Setup {
    Setup::shipped()
        .stun()
        .config(|config| config.instance.session_after_wake_seconds_max = 3)
}

fn behind_nat(host: &Host, vendor: Vendor) -> FleetConfig {
    FleetConfig {
        announce_host: Some(PRIVATE_HOST.into()),
        boot_time: Duration::from_millis(50),
        ..FleetConfig::single(&host.url(), vendor)
    }
}

async fn wake(host: &Host, at: &str) -> Value {
    let wait = json!({ "wait_seconds": WAIT_SECONDS });
    host.post(&format!("{at}/wake"), wait).await
}

/// Waits until the device is known to be bound by STUN.
async fn bound(host: &Host, at: &str) -> Value {
    let udp = |device: &Value| device["reachability"]["udp"].clone();
    let device = host
        .until(at, |device| {
            udp(device)["source"] == "stun" && udp(device)["usable"] == true
        })
        .await;
    udp(&device)
}

#[track_caller]
fn opened_by_stun(report: &Value) {
    assert_eq!(report["state"], "session-opened", "{report}");
    let [attempt] = report["attempts"].as_array().unwrap().as_slice() else {
        panic!("{report}")
    };
    assert_eq!(attempt["mode"], "stun", "{report}");
    // Nobody answers a datagram: what counts is the session.
    assert_eq!(attempt["accepted"], Value::Null);
    assert!(attempt["session_opened"].is_string(), "{report}");
}

/// Waits for a session with this event, whatever others come before.
async fn session_with(live: &mut Live, event: &str) -> Vec<String> {
    loop {
        let (events, rpcs) = live.session().await;
        if events.iter().any(|code| code == event) {
            return rpcs;
        }
    }
}

async fn value(live: &Live, name: &str) -> String {
    let name = name.to_owned();
    live.device
        .with(move |cpe, now| cpe.get(&cpe.management_server(&name), now).unwrap())
        .await
}

async fn served(live: &Live, method: &str) -> u32 {
    live.device.with(|cpe, _| cpe.times_served(method)).await
}

/// Waits until it is so.
async fn until(what: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !what() {
        assert!(tokio::time::Instant::now() < deadline, "it never comes");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn from_the_first_contact_to_a_session() {
    let host = setup().start().await;
    for vendor in [Vendor::tr181(), Vendor::tr098()] {
        let mut live = Live::start(behind_nat(&host, vendor)).await;
        let device = host.get(&live.at).await;
        let reachability = &device["reachability"];
        assert_eq!(reachability["mode"], "stun", "{reachability}");
        assert_eq!(reachability["configuration_error"], Value::Null);
        let reason = reachability["reason"].as_str().unwrap();
        assert!(reason.ends_with("the device supports STUN"), "{reason}");
        // The names, what the mode needs, and what first-contact gives.
        assert_eq!(served(&live, "GetParameterNames").await, 1);
        assert_eq!(served(&live, "SetParameterValues").await, 2);
        assert_eq!(value(&live, "STUNServerAddress").await, "127.0.0.1");
        let port = host.acs.config.stun.listen[0].port().to_string();
        assert_eq!(value(&live, "STUNServerPort").await, port);
        assert_eq!(value(&live, "STUNMaximumKeepAlivePeriod").await, "1");
        let password = value(&live, "STUNPassword").await;
        assert_eq!(password.len(), 32);
        assert!(!device.to_string().contains(&password));

        let udp = bound(&host, &live.at).await;
        // It tells of its address in an Inform, too.
        assert_eq!(session_with(&mut live, "4 VALUE CHANGE").await, [""; 0]);
        let told = value(&live, "UDPConnectionRequestAddress").await;
        let port = |address: &str| address.rsplit(':').next().unwrap().to_owned();
        assert_eq!(port(udp["address"].as_str().unwrap()), port(&told));

        opened_by_stun(&wake(&host, &live.at).await);
        assert_eq!(
            session_with(&mut live, "6 CONNECTION REQUEST").await,
            [""; 0]
        );
        let counts = live.device.udp();
        until(|| counts.copies() == 2).await;
        assert_eq!((counts.accepted(), counts.refused()), (1, 0));
        assert_eq!(counts.refused_bindings(), 0);
        until(|| counts.probes() > 0).await;
        // Nothing was written since, and nothing asked twice.
        assert_eq!(served(&live, "GetParameterNames").await, 1);
        assert_eq!(served(&live, "SetParameterValues").await, 2);
        let history = &host.get(&live.at).await["reachability"]["history"]["stun"];
        assert_eq!(
            (&history["attempts"], &history["opened"]),
            (&1.into(), &1.into())
        );

        // Another device of the kind is not asked what the first one has said.
        let other = Live::start(FleetConfig {
            serial_prefix: "OTHER".into(),
            ..behind_nat(&host, vendor)
        })
        .await;
        assert_eq!(served(&other, "GetParameterNames").await, 0);
        assert_eq!(host.get(&other.at).await["reachability"]["mode"], "stun");
        assert_ne!(value(&other, "STUNPassword").await, password);
    }
    let stun = host.get("/v1/status").await["stun"].clone();
    assert_eq!(stun["serving"], true);
    assert!(
        stun["counters"]["bindings"].as_u64().unwrap() >= 2,
        "{stun}"
    );
    host.stop().await;
}

/// A device of an operator who has no plugin that gives credentials.
#[tokio::test]
async fn credentials_that_no_flow_has_given() {
    let host = Setup::new()
        .stun()
        .plugin("shipped", "nat-default")
        .start()
        .await;
    let mut live = Live::start(behind_nat(&host, Vendor::tr181())).await;
    let device = host.get(&live.at).await;
    assert_eq!(device["connection_request"]["has_credentials"], true);
    assert_eq!(value(&live, "ConnectionRequestPassword").await.len(), 32);
    bound(&host, &live.at).await;
    opened_by_stun(&wake(&host, &live.at).await);
    session_with(&mut live, "6 CONNECTION REQUEST").await;
    assert_eq!(served(&live, "SetParameterValues").await, 2);
    host.stop().await;
}

#[tokio::test]
async fn as_devices_are() {
    let host = setup().start().await;
    for oddity in [
        Oddity::StunShortBinding,
        Oddity::StunBlankUsername,
        Oddity::StunUnpaddedIntegrity,
        Oddity::StunNoResponseAddress,
    ] {
        called_once(&host, oddity).await;
    }
    host.stop().await;
}

/// A device whose last timestamp was in milliseconds takes none in seconds.
#[tokio::test]
async fn r25_timestamps_in_milliseconds() {
    let profile =
        "[[matches]]\nmanufacturer = \"*\"\n[overrides]\nudp-timestamp-milliseconds = true\n";
    let host = setup().profile("milliseconds", profile).start().await;
    called_once(&host, Oddity::UdpMilliseconds).await;
    host.stop().await;
}

async fn called_once(host: &Host, oddity: Oddity) {
    let live = Live::start(FleetConfig {
        serial_prefix: oddity.name().into(),
        oddities: [oddity].into_iter().collect::<Oddities>(),
        ..behind_nat(host, Vendor::tr181())
    })
    .await;
    bound(host, &live.at).await;
    opened_by_stun(&wake(host, &live.at).await);
    assert_eq!(live.device.udp().accepted(), 1, "{oddity:?}");
}

#[tokio::test]
async fn a_binding_that_is_gone_and_the_mode_after_it() {
    let host = setup().start().await;
    let mut live = Live::start(behind_nat(&host, Vendor::tr181())).await;
    bound(&host, &live.at).await;
    session_with(&mut live, "4 VALUE CHANGE").await;
    // Its STUN client dies; the device itself knows nothing of it.
    let enable = "Device.ManagementServer.STUNEnable";
    assert!(live.device.with(|cpe, now| cpe.set(enable, "0", now)).await);
    let usable = |device: &Value| device["reachability"]["udp"]["usable"].clone();
    host.until(&live.at, |device| usable(device) == false).await;
    for _ in 0..3 {
        let report = wake(&host, &live.at).await;
        assert_eq!(report["state"], "failed", "{report}");
        let error = report["attempts"][0]["error"].as_str().unwrap();
        assert!(error.contains("the binding is gone (limit 3 s)"), "{error}");
    }
    assert_eq!(live.device.udp().accepted(), 0);
    // What never works is given up, undone, and replaced by what always works.
    live.device
        .with(|cpe, now| cpe.connection_request(now))
        .await;
    let told = session_with(&mut live, "6 CONNECTION REQUEST").await;
    assert_eq!(told, ["SetParameterValues"]);
    let reachability = host.get(&live.at).await["reachability"].clone();
    assert_eq!(reachability["mode"], "short-inform", "{reachability}");
    let reason = reachability["reason"].as_str().unwrap();
    assert!(reason.ends_with("(STUN kept failing)"), "{reason}");
    assert_eq!(value(&live, "PeriodicInformInterval").await, "20");
    host.stop().await;
}

#[tokio::test]
async fn a_mode_is_undone_by_the_next() {
    let host = setup().start().await;
    let mut live = Live::start(behind_nat(&host, Vendor::tr098())).await;
    bound(&host, &live.at).await;
    session_with(&mut live, "4 VALUE CHANGE").await;
    let url = "InternetGatewayDevice.ManagementServer.ConnectionRequestURL";
    for (address, mode, enabled) in [
        ("http://127.0.0.1:7547/cr", "direct-http", "0"),
        ("http://192.168.1.1:7547/cr", "stun", "1"),
    ] {
        assert!(
            live.device
                .with(|cpe, now| cpe.set(url, address, now))
                .await
        );
        let told = session_with(&mut live, "4 VALUE CHANGE").await;
        assert_eq!(told, ["SetParameterValues"]);
        let reachability = host.get(&live.at).await["reachability"].clone();
        assert_eq!(reachability["mode"], mode, "{reachability}");
        assert_eq!(value(&live, "STUNEnable").await, enabled);
    }
    // A reset device has forgotten it all and is told again.
    live.device
        .with(|cpe, now| {
            cpe.factory_reset(now);
            cpe.set_connection_request_url("http://192.168.1.1:7547/cr");
        })
        .await;
    session_with(&mut live, "0 BOOTSTRAP").await;
    assert_eq!(value(&live, "STUNEnable").await, "1");
    bound(&host, &live.at).await;
    opened_by_stun(&wake(&host, &live.at).await);
    session_with(&mut live, "6 CONNECTION REQUEST").await;

    // Switched off by the operator: the devices follow, one by one.
    let host = host.restart(|config| config.stun.enabled = false).await;
    live.device
        .with(|cpe, now| cpe.connection_request(now))
        .await;
    session_with(&mut live, "6 CONNECTION REQUEST").await;
    let reachability = host.get(&live.at).await["reachability"].clone();
    assert_eq!(reachability["mode"], "short-inform", "{reachability}");
    assert_eq!(value(&live, "STUNEnable").await, "0");
    host.stop().await;
}

#[tokio::test]
async fn a_device_that_refuses_everything_is_left_alone() {
    let host = setup().start().await;
    let mut sim = Sim::new(CpeConfig {
        connection_request_url: format!("http://{PRIVATE_HOST}:7547/cr"),
        ..CpeConfig::tr181("R1", &host.url())
    });
    // The next level, and then all of it.
    sim.cpe.fail_next("GetParameterNames", 9002);
    sim.cpe.fail_next("GetParameterNames", 9002);
    sim.cpe.fail_next("SetParameterValues", 9001);
    // It would not say what it has, and counts as having nothing of it.
    let session = sim.session().await;
    let names = "GetParameterNames";
    let set = "SetParameterValues";
    // The last is a flow's.
    assert_eq!(rpcs(&session), [names, names, set, set]);
    let device = host.get(&sim.at()).await;
    assert_eq!(device["reachability"]["mode"], "short-inform");
    assert_eq!(
        device["reachability"]["configuration_error"],
        "9001 Request denied"
    );
    // Neither is asked again right away.
    assert_eq!(rpcs(&sim.periodic().await), [""; 0]);
    host.stop().await;
}

/// A device that once would not let go of its former mode is asked for that again.
#[tokio::test]
async fn what_was_not_undone_is_undone_later() {
    let host = setup().start().await;
    let mut live = Live::start(behind_nat(&host, Vendor::tr098())).await;
    bound(&host, &live.at).await;
    session_with(&mut live, "4 VALUE CHANGE").await;
    let url = "InternetGatewayDevice.ManagementServer.ConnectionRequestURL";
    let moved = |cpe: &mut cpe_sim::Cpe, now| {
        cpe.fail_next("SetParameterValues", 9002);
        cpe.set(url, "http://127.0.0.1:7547/cr", now)
    };
    assert!(live.device.with(moved).await);
    session_with(&mut live, "4 VALUE CHANGE").await;
    assert_eq!(value(&live, "STUNEnable").await, "1");
    let reachability = host.get(&live.at).await["reachability"].clone();
    assert_eq!(reachability["mode"], "direct-http", "{reachability}");
    assert!(reachability["configuration_error"].is_string());
    let inform = |cpe: &mut cpe_sim::Cpe, now| cpe.connection_request(now);
    live.device.with(inform).await;
    assert_eq!(
        session_with(&mut live, "6 CONNECTION REQUEST").await,
        [""; 0],
        "not right away"
    );
    host.change(&live.at, |summary| {
        summary.configured.as_mut().unwrap().at -= 3_601;
    })
    .await;
    live.device.with(inform).await;
    session_with(&mut live, "6 CONNECTION REQUEST").await;
    assert_eq!(value(&live, "STUNEnable").await, "0");
    let reachability = host.get(&live.at).await["reachability"].clone();
    assert_eq!(reachability["configuration_error"], Value::Null);
    host.stop().await;
}

/// The names that it gives are not the names that it takes.
#[tokio::test]
async fn a_parameter_that_the_device_does_not_know_after_all() {
    let host = Setup::new()
        .stun()
        .plugin("shipped", "nat-default")
        .start()
        .await;
    let envelope = |body: &str| {
        let inform = inform("X1", &["2 PERIODIC"]);
        let (before, rest) = inform.split_once("<cwmp:Inform>").unwrap();
        let (_, after) = rest.split_once("</cwmp:Inform>").unwrap();
        format!("{before}{body}{after}")
    };
    let server = "InternetGatewayDevice.ManagementServer.";
    let post = async |cookie: &str, body: &str| {
        let headers = format!("Cookie: {cookie}\r\n");
        http(host.cwmp, "POST", "/", &headers, body.as_bytes()).await
    };
    let begin = inform("X1", &["2 PERIODIC"]).replace("127.0.0.1:9", "192.168.1.1:9");
    let answer = post("", &begin).await;
    let cookie = answer
        .head
        .lines()
        .find_map(|line| line.strip_prefix("Set-Cookie:"));
    let cookie = cookie.unwrap().split(';').next().unwrap().trim().to_owned();
    let asked = post(&cookie, "").await.text();
    assert!(asked.contains("<cwmp:GetParameterNames>"), "{asked}");
    let names: String = ["STUNEnable", "STUNServerAddress", "STUNServerPort", "STUNUsername"]
        .iter()
        .map(|name| {
            format!("<ParameterInfoStruct><Name>{server}{name}</Name><Writable>1</Writable></ParameterInfoStruct>")
        })
        .collect();
    let names = envelope(&format!(
        "<cwmp:GetParameterNamesResponse><ParameterList>{names}</ParameterList></cwmp:GetParameterNamesResponse>"
    ));
    let told = post(&cookie, &names).await.text();
    assert!(
        told.contains("STUNServerPort") && !told.contains("STUNPassword"),
        "{told}"
    );
    let refused = envelope(&format!(
        "<soap-env:Fault><faultcode>Client</faultcode><faultstring>CWMP fault</faultstring><detail><cwmp:Fault>\
         <FaultCode>9003</FaultCode><FaultString>Invalid arguments</FaultString><SetParameterValuesFault>\
         <ParameterName>{server}STUNServerPort</ParameterName><FaultCode>9005</FaultCode>\
         <FaultString>Invalid parameter name</FaultString></SetParameterValuesFault></cwmp:Fault></detail></soap-env:Fault>"
    ));
    let told = post(&cookie, &refused).await.text();
    assert!(
        told.contains("STUNEnable") && !told.contains("STUNServerPort"),
        "{told}"
    );
    let taken = envelope(
        "<cwmp:SetParameterValuesResponse><Status>0</Status></cwmp:SetParameterValuesResponse>",
    );
    post(&cookie, &taken).await;
    let device = host.get("/v1/devices/00AABB-Box-X1").await;
    assert_eq!(device["reachability"]["mode"], "stun");
    assert_eq!(device["reachability"]["configuration_error"], Value::Null);
    host.stop().await;
}

/// A device that tells its address by its parameter alone, with a socket that the test reads.
struct Told {
    sim: Sim,
    socket: UdpSocket,
}

impl Told {
    async fn start(host: &Host) -> Told {
        let mut sim = Sim::new(CpeConfig {
            connection_request_url: format!("http://{PRIVATE_HOST}:7547/cr"),
            ..CpeConfig::tr181("T1", &host.url())
        });
        sim.session().await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let path = sim.path("ManagementServer.UDPConnectionRequestAddress");
        let now = sim.now();
        assert!(sim.cpe.set(&path, &address, now));
        sim.settle().await;
        Told { sim, socket }
    }

    /// Three copies of one request, from the STUN server's address.
    async fn called(&self, host: &Host) -> SignedUdpRequest {
        let mut copies = Vec::new();
        while copies.len() < 3 {
            let mut bytes = [0; 1000];
            let received = self.socket.recv_from(&mut bytes);
            let (length, from) = tokio::time::timeout(PATIENCE, received)
                .await
                .expect("no connection request")
                .unwrap();
            assert_eq!(from, host.acs.config.stun.listen[0]);
            copies.push(bytes[..length].to_vec());
        }
        assert!(copies.iter().all(|copy| *copy == copies[0]), "{copies:?}");
        SignedUdpRequest::parse(&copies[0]).unwrap()
    }
}

#[tokio::test]
async fn by_the_address_that_the_device_tells_and_never_by_an_old_timestamp() {
    let mut host = setup().start().await;
    let told = Told::start(&host).await;
    let at = told.sim.at();
    let udp = host.get(&at).await["reachability"]["udp"].clone();
    assert_eq!(udp["source"], "parameter", "{udp}");
    let username = told.sim.value("ManagementServer.ConnectionRequestUsername");
    let password = told.sim.value("ManagementServer.ConnectionRequestPassword");
    let mut last = None;
    for round in 0..4 {
        host.post(&format!("{at}/wake"), json!({})).await;
        let signed = told.called(&host).await;
        assert_eq!(signed.check(&username, &password, last), Ok(()), "{round}");
        last = Some((signed.request.timestamp, signed.request.id));
        host.until(&at, |device| {
            device["reachability"]["last_wake"]["state"] == "failed"
        })
        .await;
        if round == 1 {
            // As if the clock had been an hour ahead at the last request, and was set right since:
            // only what the host has kept makes the next timestamp newer.
            let mut ahead = 0;
            host.change(&at, |summary| {
                let kept = &mut summary.connection_request.udp_timestamp;
                assert_eq!(*kept, signed.request.timestamp, "kept as it was sent");
                *kept += 3_600;
                ahead = *kept;
            })
            .await;
            last = Some((ahead, 0));
            host = host
                .restart(|config| config.instance.session_after_wake_seconds_max = 1)
                .await;
        }
    }
    // Without leave there is nothing to be sent to loopback.
    let host = host
        .restart(|config| config.instance.connection_request_allow.clear())
        .await;
    let report = wake(&host, &at).await;
    let error = report["attempts"][0]["error"].as_str().unwrap();
    assert!(error.contains("127.0.0.1 is a loopback address"), "{error}");
    host.stop().await;
}
