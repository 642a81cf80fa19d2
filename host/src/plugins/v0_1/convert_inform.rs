//! The Inform on its way through a profile.

use super::super::About;
use super::convert::{device, event_to_wit, parameter, parameter_to_wit};
use super::types as wit;

/// Of an Inform, what the WIT does not carry.
pub(super) struct InformRest {
    current_time: cwmp::DateTime,
    unknown: Vec<(String, String)>,
}

pub(super) fn inform_to_wit(about: &About<'_>, inform: cwmp::Inform) -> (wit::Inform, InformRest) {
    let mut device = device(about);
    device.manufacturer = inform.device_id.manufacturer;
    device.oui = inform.device_id.oui;
    device.product_class = inform.device_id.product_class;
    device.serial_number = inform.device_id.serial_number;
    let message = wit::Inform {
        device,
        events: inform.events.into_iter().map(event_to_wit).collect(),
        parameters: inform
            .parameters
            .into_iter()
            .map(parameter_to_wit)
            .collect(),
        current_time: inform.current_time.to_unix(),
        retry_count: inform.retry_count,
    };
    (
        message,
        InformRest {
            current_time: inform.current_time,
            unknown: inform.unknown,
        },
    )
}

pub(super) fn inform(inform: wit::Inform, rest: InformRest) -> cwmp::Inform {
    // The device's own text stays as long as it says the same.
    let current_time = match inform.current_time {
        time if time == rest.current_time.to_unix() => rest.current_time,
        Some(time) => cwmp::DateTime::from_unix(time),
        None => cwmp::DateTime::unknown(),
    };
    cwmp::Inform {
        device_id: cwmp::DeviceId {
            manufacturer: inform.device.manufacturer,
            oui: inform.device.oui,
            product_class: inform.device.product_class,
            serial_number: inform.device.serial_number,
        },
        events: inform
            .events
            .into_iter()
            .map(|event| cwmp::Event {
                code: event.code,
                command_key: event.command_key,
            })
            .collect(),
        current_time,
        retry_count: inform.retry_count,
        parameters: inform.parameters.into_iter().map(parameter).collect(),
        unknown: rest.unknown,
    }
}

/// What a profile changed, for people.
pub(super) fn inform_changes(before: &wit::Inform, after: &wit::Inform) -> Vec<String> {
    const CHANGES_MAX: usize = 20;
    let mut changes = Vec::new();
    if before == after {
        return changes;
    }
    let (b, a) = (&before.device, &after.device);
    for (what, before, after) in [
        ("manufacturer", &b.manufacturer, &a.manufacturer),
        ("OUI", &b.oui, &a.oui),
        ("product class", &b.product_class, &a.product_class),
        ("serial number", &b.serial_number, &a.serial_number),
    ] {
        if before != after {
            changes.push(format!("{what} {before:?} → {after:?}"));
        }
    }
    if before.events != after.events {
        let codes = |events: &[wit::Event]| {
            events
                .iter()
                .map(|event| event.code.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        changes.push(format!(
            "events [{}] → [{}]",
            codes(&before.events),
            codes(&after.events)
        ));
    }
    if before.current_time != after.current_time {
        changes.push("current time".to_owned());
    }
    if before.retry_count != after.retry_count {
        changes.push(format!(
            "retry count {} → {}",
            before.retry_count, after.retry_count
        ));
    }
    changes.extend(parameter_changes(&before.parameters, &after.parameters));
    if changes.len() > CHANGES_MAX {
        let more = changes.len() - CHANGES_MAX;
        changes.truncate(CHANGES_MAX);
        changes.push(format!("{more} more"));
    }
    changes
}

fn parameter_changes(before: &[wit::Parameter], after: &[wit::Parameter]) -> Vec<String> {
    let index: std::collections::HashMap<&str, &wit::Parameter> =
        before.iter().map(|one| (one.path.as_str(), one)).collect();
    let kept: std::collections::HashSet<&str> = after.iter().map(|one| one.path.as_str()).collect();
    let changed = after
        .iter()
        .filter_map(|one| match index.get(one.path.as_str()) {
            None => Some(format!("{} added", one.path)),
            Some(old) if *old == one => None,
            Some(old) if old.value != one.value => {
                Some(format!("{} {:?} → {:?}", one.path, old.value, one.value))
            }
            Some(old) => Some(format!(
                "{} type {} → {}",
                one.path, old.xsd_type, one.xsd_type
            )),
        });
    let gone = before
        .iter()
        .filter(|one| !kept.contains(one.path.as_str()))
        .map(|one| format!("{} removed", one.path));
    changed.chain(gone).collect()
}
