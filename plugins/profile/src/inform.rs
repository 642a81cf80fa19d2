//! The Inform: who the device is, what has happened, and its values.

use patchbay_plugin::Event;
use patchbay_plugin::Parameter;
use patchbay_plugin::device::wildcard;
use patchbay_plugin::profile::Inform;
use profile_format::{EventRule, ProfileFile, Source};

use crate::values;

pub(crate) fn correct(file: &ProfileFile, mut inform: Inform) -> Inform {
    let device = &mut inform.device;
    let identity = &file.identity;
    for (field, source) in [
        (&mut device.manufacturer, &identity.manufacturer),
        (&mut device.oui, &identity.oui),
        (&mut device.product_class, &identity.product_class),
        (&mut device.serial_number, &identity.serial_number),
    ] {
        if let Some(text) = source
            .as_ref()
            .and_then(|source| find(source, field, &inform.parameters))
        {
            *field = text;
        }
    }
    inform.events = events(&file.events, inform.events);
    values::correct(&file.values, &mut inform.parameters);
    inform
}

/// What a field of the identity shall be; `None`: what it is.
fn find(source: &Source, now: &str, parameters: &[Parameter]) -> Option<String> {
    let now = now.trim();
    if !source
        .when
        .as_deref()
        .is_none_or(|when| wildcard(when, now))
    {
        return None;
    }
    if source.text.is_some() {
        return source.text.clone();
    }
    let from = source.from.as_deref()?;
    let found = parameters
        .iter()
        .find(|one| wildcard(from, &one.path) && !one.value.trim().is_empty());
    found.map(|one| one.value.trim().to_owned())
}

/// An event that two of the device's become is told once.
fn events(rules: &[EventRule], events: Vec<Event>) -> Vec<Event> {
    let mut corrected: Vec<Event> = Vec::with_capacity(events.len());
    for mut event in events {
        if let Some(rule) = rules
            .iter()
            .find(|rule| wildcard(&rule.is, event.code.trim()))
        {
            let Some(code) = &rule.becomes else {
                continue;
            };
            event.code.clone_from(code);
        }
        if !corrected.contains(&event) {
            corrected.push(event);
        }
    }
    corrected
}

#[cfg(test)]
mod tests {
    use patchbay_plugin::Device;
    use patchbay_plugin::value::string;

    use super::*;
    use crate::tests::written;

    fn inform(serial_number: &str, codes: &[&str], parameters: Vec<Parameter>) -> Inform {
        let event = |code: &&str| Event {
            code: (*code).into(),
            command_key: String::new(),
        };
        Inform {
            device: Device {
                serial_number: serial_number.into(),
                ..Device::default()
            },
            events: codes.iter().map(event).collect(),
            parameters,
            ..Inform::default()
        }
    }

    #[test]
    fn a_serial_number_that_is_none() {
        let file = written(
            "[identity]\nserial_number = { when = '000000', from = '*.DeviceInfo.SerialNumber' }\n\
             product_class = { when = '', text = 'Router' }",
        );
        let parameters = vec![
            string("Device.DeviceInfo.SerialNumber", " "),
            string("InternetGatewayDevice.DeviceInfo.SerialNumber", " 42 "),
        ];
        let corrected = correct(&file, inform("000000", &[], parameters.clone()));
        assert_eq!(corrected.device.serial_number, "42");
        assert_eq!(corrected.device.product_class, "Router");
        let other = correct(&file, inform("17", &[], parameters));
        assert_eq!(other.device.serial_number, "17");
        let unknown = correct(&file, inform("000000", &[], Vec::new()));
        assert_eq!(unknown.device.serial_number, "000000");
    }

    #[test]
    fn events_of_the_vendor() {
        let file = written(
            "[[events]]\nis = 'X CT-COM BIND'\nbecomes = '4 VALUE CHANGE'\n[[events]]\nis = 'X CT-COM *'",
        );
        let before = [
            "1 BOOT",
            "X CT-COM BIND",
            "4 VALUE CHANGE",
            "X CT-COM LONGRESET",
        ];
        let corrected = correct(&file, inform("1", &before, Vec::new()));
        let codes: Vec<&str> = corrected
            .events
            .iter()
            .map(|event| event.code.as_str())
            .collect();
        assert_eq!(codes, ["1 BOOT", "4 VALUE CHANGE"]);
    }

    #[test]
    fn values_of_the_inform() {
        let file = written("[[values]]\nis = '(null)'\nbecomes = ''");
        let corrected = correct(&file, inform("1", &[], vec![string("A", "(null)")]));
        assert_eq!(corrected.parameters, [string("A", "")]);
    }
}
