//! Between the host's words and those of the WIT: what several messages share. Texts are moved,
//! not copied.

use cwmp::{ParameterValue, XsdType};

use super::super::{About, Occasion};
use super::{matching, types as wit};
use crate::device::{DataModel, Summary};

/// A.4.2.2.
const REQUESTED_ARGUMENTS_MAX: usize = 16;

pub(super) fn device(about: &About<'_>) -> wit::Device {
    let Summary {
        manufacturer,
        oui,
        product_class,
        serial_number,
        software_version,
        hardware_version,
        provisioning_code,
        data_model,
        tags,
        ..
    } = about.device;
    wit::Device {
        id: about.key.id.as_ref().to_owned(),
        manufacturer: manufacturer.clone(),
        oui: oui.clone(),
        product_class: product_class.clone(),
        serial_number: serial_number.clone(),
        software_version: software_version.clone(),
        hardware_version: hardware_version.clone(),
        data_model: match data_model {
            DataModel::Tr098 => wit::DataModel::Tr098,
            DataModel::Tr181 => wit::DataModel::Tr181,
        },
        provisioning_code: provisioning_code.clone(),
        tags: tags.iter().cloned().collect(),
        extra: about
            .device
            .requested_download
            .as_ref()
            .map_or_else(Vec::new, requested),
    }
}

pub(super) fn occasion(about: &About<'_>, occasion: Occasion) -> wit::Occasion {
    wit::Occasion {
        device: device(about),
        events: occasion.events.into_iter().map(event_to_wit).collect(),
        current_time: occasion.current_time,
        retry_count: occasion.retry_count,
    }
}

pub(super) fn event_to_wit(event: cwmp::Event) -> wit::Event {
    wit::Event {
        code: event.code,
        command_key: event.command_key,
    }
}

/// The file that the device asks for: `requested-download` is its type, an argument is
/// `requested-download.` and its name.
fn requested(asked: &cwmp::RequestDownload) -> Vec<(String, String)> {
    const NAME: &str = "requested-download";
    let arguments = asked.arguments.iter().take(REQUESTED_ARGUMENTS_MAX);
    let arguments = arguments.map(|(name, value)| (format!("{NAME}.{name}"), value.clone()));
    std::iter::once((NAME.to_owned(), asked.file_type.clone()))
        .chain(arguments)
        .collect()
}

pub(super) fn parameter_to_wit(value: ParameterValue) -> wit::Parameter {
    wit::Parameter {
        xsd_type: value.xsd_type.as_str().to_owned(),
        path: value.path,
        value: value.value,
    }
}

pub(super) fn parameter(value: wit::Parameter) -> ParameterValue {
    ParameterValue {
        xsd_type: XsdType::new(&value.xsd_type),
        path: value.path,
        value: value.value,
    }
}

pub(super) fn info_to_wit(info: cwmp::ParameterInfo) -> wit::ParameterInfo {
    wit::ParameterInfo {
        path: info.path,
        writable: info.writable,
    }
}

pub(super) fn applied_to_wit(applied: cwmp::Applied) -> wit::Applied {
    match applied {
        cwmp::Applied::Now => wit::Applied::Now,
        cwmp::Applied::Later => wit::Applied::Later,
    }
}

pub(super) fn fault_to_wit(fault: cwmp::Fault) -> wit::Fault {
    let parameters = fault.parameters.into_iter();
    wit::Fault {
        code: fault.code,
        text: fault.text,
        parameters: parameters
            .map(|one| wit::ParameterFault {
                path: one.path,
                code: one.code,
                text: one.text,
            })
            .collect(),
    }
}

pub(super) fn matches(
    matches: Vec<matching::DeviceMatch>,
) -> Vec<super::super::matching::DeviceMatch> {
    matches
        .into_iter()
        .map(|one| super::super::matching::DeviceMatch {
            manufacturer: one.manufacturer,
            oui: one.oui,
            product_class: one.product_class,
            software_version: one.software_version,
            hardware_version: one.hardware_version,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_told_which_file_the_device_asks_for() {
        let asked = cwmp::RequestDownload {
            file_type: "2 Web Content".into(),
            arguments: vec![("Version".into(), "2".into()); 20],
        };
        let extra = requested(&asked);
        assert_eq!(
            extra[..2],
            [
                ("requested-download".into(), "2 Web Content".into()),
                ("requested-download.Version".into(), "2".into())
            ]
        );
        assert_eq!(extra.len(), 17);
    }
}
