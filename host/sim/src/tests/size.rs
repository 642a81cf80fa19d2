//! What a device costs.

use cwmp::{ParameterValue, Request, SetParameterValues};

use super::pair::Pair;
use crate::CpeConfig;

const DEVICES: usize = 1000;
const BYTES_PER_DEVICE_MAX: usize = 30 * 1024;

/// Devices that an ACS has configured: credentials, intervals, a few of everything.
#[test]
#[cfg(target_os = "linux")]
fn a_device_is_small() {
    let before = resident_bytes();
    let devices: Vec<Pair> = (0..DEVICES).map(configured).collect();
    let each = resident_bytes().saturating_sub(before) / devices.len();
    assert!(each < BYTES_PER_DEVICE_MAX, "{each} bytes per device");
}

fn configured(number: usize) -> Pair {
    let mut pair = Pair::new(CpeConfig::tr181(&format!("S{number:06}"), "http://acs/"));
    pair.next_session();
    let server = "Device.ManagementServer.";
    let mut parameters: Vec<ParameterValue> = [
        "ConnectionRequestUsername",
        "ConnectionRequestPassword",
        "STUNUsername",
        "Username",
    ]
    .iter()
    .map(|name| ParameterValue::string(format!("{server}{name}"), format!("value of {name}")))
    .collect();
    for radio in 1..=2 {
        let channel = format!("Device.WiFi.Radio.{radio}.Channel");
        parameters.push(ParameterValue::unsigned_int(channel, 11));
    }
    let set = SetParameterValues {
        parameters,
        parameter_key: "provisioned".to_owned(),
    };
    pair.ask(Request::SetParameterValues(set)).unwrap();
    // The ACS's own notes do not count.
    pair.answers = Vec::new();
    pair.informs = Vec::new();
    pair
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kilobytes: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes * 1024
}
