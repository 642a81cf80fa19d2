//! The load generator against a small ACS.

use cwmp::Request;

use super::acs::Acs;
use crate::{Load, LoadConfig, Vendor};

#[tokio::test]
async fn sessions_with_a_get_of_five_until_the_limit() {
    let acs = Acs::start().await;
    let five = [
        "UpTime",
        "SoftwareVersion",
        "HardwareVersion",
        "SerialNumber",
        "ModelName",
    ];
    let five = five
        .map(|name| format!("Device.DeviceInfo.{name}"))
        .to_vec();
    for keep_connections in [false, true] {
        for device in 1..=20 {
            for _ in 0..2 {
                let asked = Request::GetParameterValues(five.clone());
                acs.ask(&format!("LOAD{device:08}"), asked);
            }
        }
        let config = LoadConfig {
            devices: 20,
            sessions_at_once: 4,
            keep_connections,
            sessions_max: Some(40),
            ..LoadConfig::new(acs.address, "/acs")
        };
        let report = Load::run(config).await;
        assert_eq!(report.failed(), 0, "{:?}", report.sessions_failed);
        assert_eq!(report.sessions_ok, 40);
        assert_eq!(report.connections, if keep_connections { 4 } else { 40 });
        assert_eq!(report.latency.count(), 40);
        assert_eq!(report.rpcs["GetParameterValues"], 40);
        assert!(report.sessions_per_s() > 0.0);
    }
    assert!(acs.state.lock().answers.iter().all(Result::is_ok));
}

#[tokio::test]
async fn the_load_ends_with_its_time_even_if_nobody_is_there() {
    let config = LoadConfig {
        time_max: Some(std::time::Duration::from_millis(50)),
        vendor: Vendor::tr098(),
        ..LoadConfig::new(([127, 0, 0, 1], 1).into(), "/")
    };
    let report = Load::run(config).await;
    assert_eq!(report.sessions_ok, 0);
    assert!(report.sessions_failed["connect"] > 0);
}
