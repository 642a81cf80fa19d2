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
