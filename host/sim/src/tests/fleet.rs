//! Fleets against a small ACS.

use std::time::Duration;

use cwmp::authentication::{Challenge, parse_challenges};
use cwmp::{Download, ParameterValue, Request, SetParameterValues};
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

use super::acs::Acs;
use crate::{Connection, Fleet, FleetConfig, FleetEvent, Framing, Listen, Url, Vendor};

const SOON: Duration = Duration::from_secs(10);

fn quick(config: FleetConfig) -> FleetConfig {
    FleetConfig {
        boot_spread: Duration::from_millis(100),
        boot_time: Duration::from_millis(50),
        ..config
    }
}

async fn next_session(events: &mut Receiver<FleetEvent>) -> (Vec<String>, Vec<String>) {
    loop {
        match timeout(SOON, events.recv())
            .await
            .expect("nothing happens")
            .unwrap()
        {
            FleetEvent::SessionDone { events, rpcs, .. } => return (events, rpcs),
            FleetEvent::SessionFailed { message, .. } => panic!("{message}"),
            _ => {}
        }
    }
}

async fn connection_request(url: &str, username: &str, password: &str) -> u16 {
    let url = Url::parse(url).unwrap();
    let mut connection = Connection::open(&url.address, &url.host, None)
        .await
        .unwrap();
    let first = connection
        .request("GET", &url.target, &[], b"", Framing::Length)
        .await
        .unwrap();
    let challenges = parse_challenges(first.headers_named("www-authenticate"));
    let [Challenge::Digest(challenge)] = challenges.as_slice() else {
        panic!("{first:?}");
    };
    let authorization = challenge.respond("GET", &url.target, username, password, "c", 1);
    let headers = [("Authorization", authorization.as_str())];
    connection
        .request("GET", &url.target, &headers, b"", Framing::Length)
        .await
        .unwrap()
        .status
}

#[tokio::test]
async fn a_mixed_fleet_boots_informs_and_stops_by_itself() {
    let acs = Acs::start().await;
    let config = FleetConfig {
        periodic_interval: Duration::from_secs(1),
        sessions_at_once_max: 8,
        sessions_max: Some(150),
        ..quick(FleetConfig::new(&acs.url(), 60))
    };
    let stats = timeout(SOON, Fleet::run(config, std::future::pending()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stats.failed(), 0, "{:?}", stats.sessions_failed);
    assert_eq!((stats.sessions_ok, stats.sessions_open), (150, 0));
    assert_eq!(stats.events["0 BOOTSTRAP"], 60);
    assert!(stats.events["2 PERIODIC"] >= 90);
    assert!(stats.latency.quantile(0.5) > Duration::ZERO);
    let informs = &acs.state.lock().informs;
    let mut classes: Vec<&str> = informs
        .iter()
        .map(|inform| inform.device_id.product_class.as_str())
        .collect();
    classes.sort_unstable();
    classes.dedup();
    assert_eq!(classes.len(), Vendor::ALL.len());
}

#[tokio::test]
async fn a_connection_request_opens_a_session_with_the_credentials_the_acs_set() {
    for listen in [
        Listen::Shared(([127, 0, 0, 1], 0).into()),
        Listen::Own([127, 0, 0, 1].into()),
    ] {
        let acs = Acs::start().await;
        let config = FleetConfig {
            listen,
            vendors: vec![Vendor::tr098()],
            ..quick(FleetConfig::new(&acs.url(), 3))
        };
        let login = |name: &str, value: &str| {
            ParameterValue::string(
                format!("InternetGatewayDevice.ManagementServer.ConnectionRequest{name}"),
                value,
            )
        };
        acs.ask(
            "SIM000002",
            Request::SetParameterValues(SetParameterValues {
                parameters: vec![login("Username", "x"), login("Password", "y")],
                parameter_key: String::new(),
            }),
        );
        let fleet = Fleet::start(config).await.unwrap();
        let mut events = fleet.events();
        for _ in 0..3 {
            assert_eq!(next_session(&mut events).await.0, ["0 BOOTSTRAP", "1 BOOT"]);
        }
        let device = fleet.device("SIM000002").unwrap();
        let url = device.connection_request_url().to_owned();
        assert_eq!(connection_request(&url, "x", "wrong").await, 401);
        assert_eq!(connection_request(&url, "x", "y").await, 200);
        assert_eq!(next_session(&mut events).await.0, ["6 CONNECTION REQUEST"]);
        assert_eq!(device.connection_requests(), (1, 1));
        fleet.stop();
        timeout(SOON, fleet.wait()).await.unwrap();
    }
}

#[tokio::test]
async fn firmware_over_http() {
    let acs = Acs::start().await;
    acs.state
        .lock()
        .files
        .insert("/fw".to_owned(), b"version=9.9\n".to_vec());
    let download = Download {
        command_key: "k".to_owned(),
        file_type: "1 Firmware Upgrade Image".to_owned(),
        url: format!("http://{}/fw", acs.address),
        file_size: 12,
        ..Download::default()
    };
    acs.ask("SIM000001", Request::Download(Box::new(download)));
    let config = quick(FleetConfig::single(&acs.url(), Vendor::tr181()));
    let fleet = Fleet::start(config).await.unwrap();
    let mut events = fleet.events();
    let (codes, rpcs) = next_session(&mut events).await;
    assert_eq!((codes.len(), rpcs), (2, vec!["Download".to_owned()]));
    let (codes, _) = next_session(&mut events).await;
    assert_eq!(codes, ["1 BOOT", "7 TRANSFER COMPLETE", "M Download"]);
    let device = fleet.device("SIM000001").unwrap();
    let version = device
        .with(|cpe, _| cpe.software_version().to_owned())
        .await;
    assert_eq!(version, "9.9");
    assert_eq!(fleet.stats().transfers, 1);
}

#[tokio::test]
async fn a_change_from_the_inside_is_told_at_once() {
    let acs = Acs::start().await;
    let fleet = Fleet::start(quick(FleetConfig::single(&acs.url(), Vendor::tr181())))
        .await
        .unwrap();
    let mut events = fleet.events();
    next_session(&mut events).await;
    let device = fleet.device("SIM000001").unwrap();
    let url = "Device.ManagementServer.ConnectionRequestURL";
    assert!(
        device
            .with(|cpe, now| cpe.set(url, "http://192.0.2.1/", now))
            .await
    );
    assert_eq!(next_session(&mut events).await.0, ["4 VALUE CHANGE"]);
    device.with(|cpe, now| cpe.power_cycle(now)).await;
    assert_eq!(next_session(&mut events).await.0, ["1 BOOT"]);
}
