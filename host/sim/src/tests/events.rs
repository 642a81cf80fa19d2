//! When a device informs, and of what.

use std::time::Duration;

use cwmp::{ParameterValue, Request, ScheduleInform, SetParameterAttributes, SetParameterValues};

use super::pair::{Pair, codes};
use crate::{CpeConfig, Oddity};

const MINUTE: Duration = Duration::from_secs(60);

fn set(parameters: Vec<ParameterValue>) -> Request {
    Request::SetParameterValues(SetParameterValues {
        parameters,
        parameter_key: "key".to_owned(),
    })
}

#[test]
fn the_first_inform_is_a_bootstrap_with_the_forced_parameters() {
    for (config, root) in [
        (CpeConfig::tr181("A1", "http://acs/"), "Device"),
        (
            CpeConfig::tr098("A1", "http://acs/"),
            "InternetGatewayDevice",
        ),
    ] {
        let mut pair = Pair::new(config);
        assert_eq!(codes(&pair.next_session()), ["0 BOOTSTRAP", "1 BOOT"]);
        let inform = &pair.informs[0];
        assert_eq!(inform.device_id.serial_number, "A1");
        let forced = [
            "DeviceInfo.SoftwareVersion",
            "ManagementServer.ParameterKey",
            "ManagementServer.ConnectionRequestURL",
        ];
        for name in forced {
            let path = format!("{root}.{name}");
            assert!(
                inform
                    .parameters
                    .iter()
                    .any(|parameter| parameter.path == path),
                "{path}"
            );
        }
        assert_eq!(pair.session_before(MINUTE), None);
    }
}

#[test]
fn periodic_informs_keep_their_phase_and_follow_the_interval() {
    let mut pair = Pair::tr181();
    pair.next_session();
    let interval = "Device.ManagementServer.PeriodicInformInterval";
    pair.ask(set(vec![ParameterValue::unsigned_int(interval, 20)]))
        .unwrap();
    let set_at = pair.now;
    for round in 1..=3 {
        assert_eq!(codes(&pair.next_session()), ["2 PERIODIC"]);
        let late = pair.now - set_at - Duration::from_secs(20) * round;
        assert!(late < Duration::from_secs(1), "{late:?}");
    }
    let enable = "Device.ManagementServer.PeriodicInformEnable";
    pair.ask(set(vec![ParameterValue::boolean(enable, false)]))
        .unwrap();
    assert_eq!(pair.session_before(MINUTE * 60), None);
}

#[test]
fn events_not_delivered_come_again_with_a_retry_count() {
    for breaks_after in [0, 1] {
        let mut pair = Pair::tr181();
        pair.breaks_after = Some(breaks_after);
        pair.next_session();
        let failed_at = pair.now;
        let again = codes(&pair.next_session());
        let waited = pair.now - failed_at;
        assert!(
            (Duration::from_secs(5)..Duration::from_secs(11)).contains(&waited),
            "{waited:?}"
        );
        let inform = pair.informs.last().unwrap();
        assert_eq!(inform.retry_count, 1);
        // After the InformResponse they are delivered: the retry has nothing to tell.
        match breaks_after {
            0 => assert_eq!(again, ["0 BOOTSTRAP", "1 BOOT"]),
            _ => assert_eq!(again, [""; 0]),
        }
        assert_eq!(pair.cpe.retry_count(), 0);
    }
}

#[test]
fn a_change_with_active_notification_is_told_at_once() {
    let mut pair = Pair::tr181();
    pair.next_session();
    let channel = "Device.WiFi.Radio.1.Channel";
    assert!(pair.cpe.set(channel, "1", pair.now));
    assert_eq!(pair.session_before(MINUTE), None);
    pair.ask(Request::SetParameterAttributes(vec![
        SetParameterAttributes {
            path: channel.to_owned(),
            notification: Some(2),
            access_list: None,
        },
    ]))
    .unwrap();
    assert!(pair.cpe.set(channel, "11", pair.now));
    assert_eq!(codes(&pair.next_session()), ["4 VALUE CHANGE"]);
    let told = pair.informs.last().unwrap().parameters.last().unwrap();
    assert_eq!((told.path.as_str(), told.value.as_str()), (channel, "11"));
    // What the ACS itself changes is no news to it.
    pair.ask(set(vec![ParameterValue::unsigned_int(channel, 6)]))
        .unwrap();
    assert_eq!(pair.session_before(MINUTE), None);
}

#[test]
fn the_connection_request_url_is_always_watched() {
    let mut pair = Pair::tr181();
    pair.next_session();
    let url = "Device.ManagementServer.ConnectionRequestURL";
    pair.cpe.set(url, "http://192.0.2.9:7547/x", pair.now);
    assert_eq!(codes(&pair.next_session()), ["4 VALUE CHANGE"]);
    let inform = pair.informs.last().unwrap();
    assert_eq!(
        inform
            .parameters
            .iter()
            .filter(|parameter| parameter.path == url)
            .count(),
        1
    );
}

#[test]
fn reboot_and_factory_reset() {
    let mut pair = Pair::tr181();
    pair.next_session();
    let code = "Device.DeviceInfo.ProvisioningCode";
    pair.ask(set(vec![
        ParameterValue::string(code, "p1"),
        ParameterValue::string("Device.ManagementServer.URL", "http://other/"),
    ]))
    .unwrap();
    assert_eq!(codes(&pair.next_session()), ["0 BOOTSTRAP"]);
    pair.ask(Request::Reboot("r1".to_owned())).unwrap();
    assert!(pair.cpe.is_down(pair.now));
    assert!(!pair.cpe.connection_request(pair.now));
    assert_eq!(codes(&pair.next_session()), ["1 BOOT", "M Reboot r1"]);
    assert_eq!(pair.get(code).unwrap(), "p1");
    assert_eq!(
        pair.get("Device.ManagementServer.ParameterKey").unwrap(),
        "key"
    );
    pair.ask(Request::FactoryReset).unwrap();
    assert_eq!(codes(&pair.next_session()), ["0 BOOTSTRAP", "1 BOOT"]);
    assert_eq!(pair.get(code).unwrap(), "");
    assert_eq!(
        pair.get("Device.ManagementServer.ParameterKey").unwrap(),
        ""
    );
    assert_eq!(pair.cpe.acs_url(pair.now), "http://other/");
}

#[test]
fn scheduled_informs_carry_their_command_key() {
    let mut pair = Pair::tr181();
    pair.next_session();
    for (delay_seconds, key) in [(30, "a"), (30, "b"), (90, "c")] {
        let schedule = ScheduleInform {
            delay_seconds,
            command_key: key.to_owned(),
        };
        pair.ask(Request::ScheduleInform(schedule)).unwrap();
    }
    assert_eq!(
        codes(&pair.next_session()),
        ["3 SCHEDULED", "M ScheduleInform a"]
    );
    assert_eq!(
        codes(&pair.next_session()),
        ["3 SCHEDULED", "M ScheduleInform b"]
    );
    assert_eq!(
        codes(&pair.next_session()),
        ["3 SCHEDULED", "M ScheduleInform c"]
    );
}

#[test]
fn diagnostics_complete() {
    let mut pair = Pair::tr181();
    pair.next_session();
    let ping = "Device.IP.Diagnostics.IPPing.";
    pair.ask(set(vec![
        ParameterValue::string(format!("{ping}Host"), "192.0.2.1"),
        ParameterValue::unsigned_int(format!("{ping}NumberOfRepetitions"), 5),
        ParameterValue::string(format!("{ping}DiagnosticsState"), "Requested"),
    ]))
    .unwrap();
    assert_eq!(codes(&pair.next_session()), ["8 DIAGNOSTICS COMPLETE"]);
    assert_eq!(
        pair.get(&format!("{ping}DiagnosticsState")).unwrap(),
        "Complete"
    );
    assert_eq!(pair.get(&format!("{ping}SuccessCount")).unwrap(), "5");
}

#[test]
fn a_bootstrap_with_every_boot_is_an_oddity() {
    let config = CpeConfig::tr181("A1", "http://acs/");
    for (config, expected) in [
        (config.clone(), vec!["1 BOOT", "M Reboot r"]),
        (
            config.with(Oddity::BootstrapEveryBoot),
            vec!["0 BOOTSTRAP", "1 BOOT", "M Reboot r"],
        ),
    ] {
        let mut pair = Pair::new(config);
        pair.next_session();
        pair.ask(Request::Reboot("r".to_owned())).unwrap();
        assert_eq!(codes(&pair.next_session()), expected);
    }
}
