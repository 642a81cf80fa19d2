//! What an Inform says of its device that the summary holds: who it is, which firmware it runs, and
//! where it takes connection requests.

use std::borrow::Cow;
use std::sync::Arc;

use crate::device::{DataModel, Summary};

/// What a device says of itself in every session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity<'a> {
    manufacturer: &'a str,
    oui: Cow<'a, str>,
    product_class: &'a str,
    serial_number: &'a str,
    // `None`: the Inform does not say.
    data_model: Option<DataModel>,
    software_version: Option<&'a str>,
    hardware_version: Option<&'a str>,
    provisioning_code: Option<&'a str>,
    connection_request_url: Option<&'a str>,
}

impl<'a> Identity<'a> {
    /// By an Inform.
    pub(super) fn of_inform(inform: &'a cwmp::Inform) -> Identity<'a> {
        let id = &inform.device_id;
        let oui = id.oui.trim();
        let mut identity = Identity {
            manufacturer: id.manufacturer.trim(),
            oui: if oui.bytes().any(|byte| byte.is_ascii_lowercase()) {
                oui.to_ascii_uppercase().into()
            } else {
                oui.into()
            },
            product_class: id.product_class.trim(),
            serial_number: id.serial_number.trim(),
            data_model: None,
            software_version: None,
            hardware_version: None,
            provisioning_code: None,
            connection_request_url: None,
        };
        for parameter in &inform.parameters {
            let Some((root, rest)) = parameter.path.split_once('.') else {
                continue;
            };
            identity.data_model = match root {
                "Device" => Some(DataModel::Tr181),
                "InternetGatewayDevice" => Some(DataModel::Tr098),
                _ => continue,
            };
            let field = match rest {
                "DeviceInfo.SoftwareVersion" => &mut identity.software_version,
                "DeviceInfo.HardwareVersion" => &mut identity.hardware_version,
                "DeviceInfo.ProvisioningCode" => &mut identity.provisioning_code,
                "ManagementServer.ConnectionRequestURL" => &mut identity.connection_request_url,
                _ => continue,
            };
            *field = Some(parameter.value.trim());
        }
        identity
    }

    /// As a summary has it.
    pub(super) fn of(summary: &'a Summary) -> Identity<'a> {
        Identity {
            manufacturer: &summary.manufacturer,
            oui: summary.oui.as_str().into(),
            product_class: &summary.product_class,
            serial_number: &summary.serial_number,
            data_model: Some(summary.data_model),
            software_version: Some(&summary.software_version),
            hardware_version: Some(&summary.hardware_version),
            provisioning_code: Some(&summary.provisioning_code),
            connection_request_url: Some(&summary.connection_request.url),
        }
    }

    /// Brings a summary up to it, copying the summary only if something is new. Whether something
    /// that profiles match by is.
    pub(super) fn put_into(&self, summary: &mut Arc<Summary>) -> bool {
        let known = Identity::of(summary);
        let told = self.over(&known);
        if told == known {
            return false;
        }
        let matters = Identity {
            data_model: known.data_model,
            provisioning_code: known.provisioning_code,
            connection_request_url: known.connection_request_url,
            ..told.clone()
        } != known;
        self.write(Arc::make_mut(summary));
        matters
    }

    /// What it does not say is as in `known`.
    fn over(&self, known: &Identity<'a>) -> Identity<'a> {
        Identity {
            data_model: self.data_model.or(known.data_model),
            software_version: self.software_version.or(known.software_version),
            hardware_version: self.hardware_version.or(known.hardware_version),
            provisioning_code: self.provisioning_code.or(known.provisioning_code),
            connection_request_url: self.connection_request_url.or(known.connection_request_url),
            ..self.clone()
        }
    }

    /// Writes what it says.
    pub(super) fn write(&self, summary: &mut Summary) {
        self.manufacturer.clone_into(&mut summary.manufacturer);
        (*self.oui).clone_into(&mut summary.oui);
        self.product_class.clone_into(&mut summary.product_class);
        self.serial_number.clone_into(&mut summary.serial_number);
        if let Some(data_model) = self.data_model {
            summary.data_model = data_model;
        }
        for (said, field) in [
            (self.software_version, &mut summary.software_version),
            (self.hardware_version, &mut summary.hardware_version),
            (self.provisioning_code, &mut summary.provisioning_code),
            (
                self.connection_request_url,
                &mut summary.connection_request.url,
            ),
        ] {
            if let Some(said) = said {
                said.clone_into(field);
            }
        }
    }
}
