use std::collections::BTreeMap;

use super::*;

/// A device as the ACS knows it.
#[derive(Default)]
struct Device {
    values: BTreeMap<String, String>,
    has: Vec<&'static str>,
    lacks: Vec<&'static str>,
}

impl Known for Device {
    fn value(&self, name: &str) -> Option<String> {
        self.values.get(name).cloned()
    }

    fn has(&self, name: &str) -> Option<bool> {
        match (self.has.contains(&name), self.lacks.contains(&name)) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }
}

fn offer() -> Offer {
    Offer {
        standard_periodic_inform_seconds: 14_400,
        short_periodic_inform_seconds: 20,
        periodic_inform_time: "2000-01-01T00:00:07Z".into(),
        stun: Account {
            host: "stun.example".into(),
            port: 3478,
            username: "00AABB-1".into(),
            password: "secret".into(),
            keepalive_seconds_min: 20,
            keepalive_seconds_max: 60,
        },
    }
}

/// What a device is told, in the order that it is told; it has taken it afterwards.
fn told(device: &mut Device, mode: Mode, before: Option<Mode>) -> Vec<String> {
    let before = before.into_iter().collect();
    let parameters = parameters(mode, &before, &offer(), "Device.ManagementServer.", device);
    parameters
        .into_iter()
        .map(|parameter| {
            let name = parameter.path.rsplit('.').next().unwrap().to_owned();
            device.values.insert(name.clone(), parameter.value.clone());
            format!("{name} {} {}", parameter.xsd_type, parameter.value)
        })
        .collect()
}

const STUN: [&str; 7] = [
    "STUNServerAddress string stun.example",
    "STUNServerPort unsignedInt 3478",
    "STUNUsername string 00AABB-1",
    "STUNPassword string secret",
    "STUNMinimumKeepAlivePeriod unsignedInt 20",
    "STUNMaximumKeepAlivePeriod int 60",
    "STUNEnable boolean 1",
];
const SHORT: [&str; 3] = [
    "PeriodicInformEnable boolean 1",
    "PeriodicInformInterval unsignedInt 20",
    "PeriodicInformTime dateTime 2000-01-01T00:00:07Z",
];

#[test]
fn each_mode_once_and_undone_by_the_next() {
    let mut device = Device {
        has: vec!["PeriodicInformTime"],
        ..Device::default()
    };
    let none: [&str; 0] = [];
    assert_eq!(told(&mut device, Mode::DirectHttp, None), none);
    assert_eq!(told(&mut device, Mode::Stun, Some(Mode::DirectHttp)), STUN);
    assert_eq!(told(&mut device, Mode::Stun, Some(Mode::Stun)), none);
    assert_eq!(
        told(&mut device, Mode::ShortInform, Some(Mode::Stun)),
        [SHORT[0], SHORT[1], SHORT[2], "STUNEnable boolean 0"]
    );
    // What stayed of the account is not written again, and the usual interval comes back.
    assert_eq!(
        told(&mut device, Mode::Stun, Some(Mode::ShortInform)),
        [STUN[6], "PeriodicInformInterval unsignedInt 14400"]
    );
    assert_eq!(
        told(&mut device, Mode::DirectHttp, Some(Mode::Stun)),
        ["STUNEnable boolean 0"]
    );
    assert_eq!(told(&mut device, Mode::DirectHttp, None), none);
}

#[test]
fn what_is_nice_to_have_is_told_to_who_surely_has_it() {
    let mut unknown = Device::default();
    assert_eq!(told(&mut unknown, Mode::ShortInform, None), SHORT[..2]);
    let mut read = Device::default();
    let never = "0001-01-01T00:00:00Z".to_owned();
    read.values.insert("PeriodicInformTime".into(), never);
    assert_eq!(told(&mut read, Mode::ShortInform, None), SHORT);
}

#[test]
fn only_what_the_device_has_and_has_not_got_yet() {
    let mut device = Device {
        lacks: vec!["STUNMinimumKeepAlivePeriod"],
        ..Device::default()
    };
    // As devices write them.
    for (name, value) in [("STUNEnable", "true"), ("STUNServerPort", " 3478 ")] {
        device.values.insert(name.into(), value.into());
    }
    let told = told(&mut device, Mode::Stun, None);
    assert_eq!(told, [STUN[0], STUN[2], STUN[3], STUN[5]]);
}

#[test]
fn a_changed_offer_is_another_wish() {
    let wanted =
        |offer: &Offer| fingerprint(Mode::Stun, &wishes(Mode::Stun, offer), &BTreeSet::new());
    let mut changed = offer();
    assert_eq!(wanted(&offer()), wanted(&changed));
    changed.stun.port = 3479;
    assert_ne!(wanted(&offer()), wanted(&changed));
}
