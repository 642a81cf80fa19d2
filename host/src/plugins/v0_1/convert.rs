//! Between the host's words and those of the WIT. Texts are moved, not copied. What the WIT does
//! not carry is kept aside and joined again on the way back.

use cwmp::{ParameterValue, Request, Response, XsdType};

use super::super::{About, Occasion, sendable};
use super::{matching, types as wit};
use crate::device::{DataModel, Summary};

/// Of a request, what the WIT does not carry.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rest {
    None,
    ParameterKey(String),
    Urls { success: String, failure: String },
    Attributes(Vec<cwmp::SetParameterAttributes>),
}

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
        extra: Vec::new(),
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

fn applied(applied: wit::Applied) -> cwmp::Applied {
    match applied {
        wit::Applied::Now => cwmp::Applied::Now,
        wit::Applied::Later => cwmp::Applied::Later,
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

fn attributes_to_wit(attributes: cwmp::ParameterAttributes) -> wit::ParameterAttributes {
    wit::ParameterAttributes {
        path: attributes.path,
        notification: attributes.notification,
        access_list: attributes.access_list,
    }
}

pub(super) fn set_attributes(attributes: wit::ParameterAttributes) -> cwmp::SetParameterAttributes {
    cwmp::SetParameterAttributes {
        path: attributes.path,
        notification: Some(attributes.notification),
        access_list: Some(attributes.access_list),
    }
}

/// `None` leaves as it is, which the WIT cannot say: it becomes the default here, and `None`
/// again on the way back where the profile did not change it.
fn set_attributes_to_wit(attributes: &cwmp::SetParameterAttributes) -> wit::ParameterAttributes {
    wit::ParameterAttributes {
        path: attributes.path.clone(),
        notification: attributes.notification.unwrap_or_default(),
        access_list: attributes.access_list.clone().unwrap_or_default(),
    }
}

pub(super) fn download(transfer: wit::Transfer) -> cwmp::Download {
    cwmp::Download {
        command_key: transfer.command_key,
        file_type: transfer.file_type,
        url: transfer.url,
        username: transfer.username,
        password: transfer.password,
        file_size: transfer.file_size,
        target_file_name: transfer.target_file_name,
        delay_seconds: transfer.delay_seconds,
        success_url: String::new(),
        failure_url: String::new(),
    }
}

pub(super) fn upload(transfer: wit::Transfer) -> cwmp::Upload {
    cwmp::Upload {
        command_key: transfer.command_key,
        file_type: transfer.file_type,
        url: transfer.url,
        username: transfer.username,
        password: transfer.password,
        delay_seconds: transfer.delay_seconds,
    }
}

/// `Err`: a request of the device, which is not for hooks.
pub(super) fn request_to_wit(request: Request) -> Result<(wit::Request, Rest), Request> {
    let mut rest = Rest::None;
    let request = match request {
        Request::Inform(_)
        | Request::TransferComplete(_)
        | Request::AutonomousTransferComplete(_) => {
            return Err(request);
        }
        Request::GetRpcMethods => wit::Request::GetRpcMethods,
        Request::GetParameterNames(get) => wit::Request::GetParameterNames(wit::GetNames {
            path: get.path,
            next_level: get.next_level,
        }),
        Request::GetParameterValues(names) => wit::Request::GetParameterValues(names),
        Request::SetParameterValues(set) => {
            rest = Rest::ParameterKey(set.parameter_key);
            wit::Request::SetParameterValues(
                set.parameters.into_iter().map(parameter_to_wit).collect(),
            )
        }
        Request::GetParameterAttributes(names) => wit::Request::GetParameterAttributes(names),
        Request::SetParameterAttributes(attributes) => {
            let set = attributes.iter().map(set_attributes_to_wit).collect();
            rest = Rest::Attributes(attributes);
            wit::Request::SetParameterAttributes(set)
        }
        Request::AddObject(add) => {
            rest = Rest::ParameterKey(add.parameter_key);
            wit::Request::AddObject(add.object_name)
        }
        Request::DeleteObject(delete) => {
            rest = Rest::ParameterKey(delete.parameter_key);
            wit::Request::DeleteObject(delete.object_name)
        }
        Request::Download(transfer) => {
            rest = Rest::Urls {
                success: transfer.success_url,
                failure: transfer.failure_url,
            };
            wit::Request::Download(wit::Transfer {
                command_key: transfer.command_key,
                file_type: transfer.file_type,
                url: transfer.url,
                username: transfer.username,
                password: transfer.password,
                file_size: transfer.file_size,
                target_file_name: transfer.target_file_name,
                delay_seconds: transfer.delay_seconds,
            })
        }
        Request::Upload(transfer) => wit::Request::Upload(wit::Transfer {
            command_key: transfer.command_key,
            file_type: transfer.file_type,
            url: transfer.url,
            username: transfer.username,
            password: transfer.password,
            file_size: 0,
            target_file_name: String::new(),
            delay_seconds: transfer.delay_seconds,
        }),
        Request::Reboot(command_key) => wit::Request::Reboot(command_key),
        Request::FactoryReset => wit::Request::FactoryReset,
        Request::ScheduleInform(schedule) => wit::Request::ScheduleInform(wit::Schedule {
            delay_seconds: schedule.delay_seconds,
            command_key: schedule.command_key,
        }),
        Request::Other(raw) => wit::Request::Other(wit::RawRpc {
            method: raw.method,
            xml: raw.xml,
        }),
    };
    Ok((request, rest))
}

/// As [`request`], for one that a guest made: it must be one that can be sent.
pub(super) fn checked_request(request: wit::Request, rest: &Rest) -> Result<Request, String> {
    let request = self::request(request, rest);
    sendable::check(&request)?;
    Ok(request)
}

/// `rest` is that of the request this one was made from.
pub(super) fn request(request: wit::Request, rest: &Rest) -> Request {
    let parameter_key = match rest {
        Rest::ParameterKey(key) => key.clone(),
        _ => String::new(),
    };
    match request {
        wit::Request::GetRpcMethods => Request::GetRpcMethods,
        wit::Request::GetParameterNames(get) => {
            Request::GetParameterNames(cwmp::GetParameterNames {
                path: get.path,
                next_level: get.next_level,
            })
        }
        wit::Request::GetParameterValues(names) => Request::GetParameterValues(names),
        wit::Request::SetParameterValues(parameters) => {
            let parameters = parameters.into_iter().map(parameter).collect();
            Request::SetParameterValues(cwmp::SetParameterValues {
                parameters,
                parameter_key,
            })
        }
        wit::Request::GetParameterAttributes(names) => Request::GetParameterAttributes(names),
        wit::Request::SetParameterAttributes(attributes) => Request::SetParameterAttributes(
            attributes
                .into_iter()
                .map(|one| unchanged_attributes(one, rest))
                .collect(),
        ),
        wit::Request::AddObject(object_name) => Request::AddObject(cwmp::AddObject {
            object_name,
            parameter_key,
        }),
        wit::Request::DeleteObject(object_name) => Request::DeleteObject(cwmp::DeleteObject {
            object_name,
            parameter_key,
        }),
        wit::Request::Download(transfer) => {
            let mut download = download(transfer);
            if let Rest::Urls { success, failure } = rest {
                download.success_url.clone_from(success);
                download.failure_url.clone_from(failure);
            }
            Request::Download(Box::new(download))
        }
        wit::Request::Upload(transfer) => Request::Upload(Box::new(upload(transfer))),
        wit::Request::Reboot(command_key) => Request::Reboot(command_key),
        wit::Request::FactoryReset => Request::FactoryReset,
        wit::Request::ScheduleInform(schedule) => Request::ScheduleInform(cwmp::ScheduleInform {
            delay_seconds: schedule.delay_seconds,
            command_key: schedule.command_key,
        }),
        wit::Request::Other(raw) => Request::Other(cwmp::RawRpc {
            method: raw.method,
            xml: raw.xml,
        }),
    }
}

fn unchanged_attributes(
    one: wit::ParameterAttributes,
    rest: &Rest,
) -> cwmp::SetParameterAttributes {
    let original = match rest {
        Rest::Attributes(originals) => originals
            .iter()
            .find(|original| set_attributes_to_wit(original) == one),
        _ => None,
    };
    original.cloned().unwrap_or_else(|| set_attributes(one))
}

/// The second is the response without its content: what it is an answer to, and what of it the
/// WIT does not carry.
pub(super) fn response_to_wit(response: Response) -> (wit::Response, Response) {
    match response {
        Response::GetRpcMethods(methods) => (
            wit::Response::Methods(methods),
            Response::GetRpcMethods(Vec::new()),
        ),
        Response::SetParameterValues(status) | Response::DeleteObject(status) => {
            (wit::Response::Applied(applied_to_wit(status)), response)
        }
        Response::GetParameterValues(values) => (
            wit::Response::Values(values.into_iter().map(parameter_to_wit).collect()),
            Response::GetParameterValues(Vec::new()),
        ),
        Response::GetParameterNames(names) => (
            wit::Response::Names(names.into_iter().map(info_to_wit).collect()),
            Response::GetParameterNames(Vec::new()),
        ),
        Response::GetParameterAttributes(attributes) => (
            wit::Response::Attributes(attributes.into_iter().map(attributes_to_wit).collect()),
            Response::GetParameterAttributes(Vec::new()),
        ),
        Response::AddObject(number, status) => (
            wit::Response::Added((number, applied_to_wit(status))),
            response,
        ),
        Response::Download(ref started) | Response::Upload(ref started) => (
            wit::Response::Applied(applied_to_wit(started.applied)),
            response,
        ),
        Response::Inform
        | Response::TransferComplete
        | Response::AutonomousTransferComplete
        | Response::SetParameterAttributes
        | Response::Reboot
        | Response::ScheduleInform
        | Response::FactoryReset => (wit::Response::Done, response),
        Response::Other(raw) => {
            let shape = cwmp::RawRpc {
                method: raw.method.clone(),
                xml: String::new(),
            };
            (
                wit::Response::Other(wit::RawRpc {
                    method: raw.method,
                    xml: raw.xml,
                }),
                Response::Other(shape),
            )
        }
    }
}

/// The response with the content that a guest gave it; it must be one to the same RPC.
pub(super) fn response(content: wit::Response, shape: &Response) -> Result<Response, String> {
    Ok(match (content, shape) {
        (wit::Response::Methods(methods), Response::GetRpcMethods(_)) => {
            Response::GetRpcMethods(methods)
        }
        (wit::Response::Applied(status), Response::SetParameterValues(_)) => {
            Response::SetParameterValues(applied(status))
        }
        (wit::Response::Applied(status), Response::DeleteObject(_)) => {
            Response::DeleteObject(applied(status))
        }
        (wit::Response::Applied(status), Response::Download(started)) => {
            Response::Download(cwmp::TransferStarted {
                applied: applied(status),
                ..started.clone()
            })
        }
        (wit::Response::Applied(status), Response::Upload(started)) => {
            Response::Upload(cwmp::TransferStarted {
                applied: applied(status),
                ..started.clone()
            })
        }
        (wit::Response::Values(values), Response::GetParameterValues(_)) => {
            Response::GetParameterValues(values.into_iter().map(parameter).collect())
        }
        (wit::Response::Names(names), Response::GetParameterNames(_)) => {
            Response::GetParameterNames(
                names
                    .into_iter()
                    .map(|info| cwmp::ParameterInfo {
                        path: info.path,
                        writable: info.writable,
                    })
                    .collect(),
            )
        }
        (wit::Response::Attributes(attributes), Response::GetParameterAttributes(_)) => {
            Response::GetParameterAttributes(
                attributes
                    .into_iter()
                    .map(|one| cwmp::ParameterAttributes {
                        path: one.path,
                        notification: one.notification,
                        access_list: one.access_list,
                    })
                    .collect(),
            )
        }
        (wit::Response::Added((number, status)), Response::AddObject(..)) => {
            Response::AddObject(number, applied(status))
        }
        (wit::Response::Other(raw), Response::Other(_)) => Response::Other(cwmp::RawRpc {
            method: raw.method,
            xml: raw.xml,
        }),
        (
            wit::Response::Done,
            Response::Inform
            | Response::TransferComplete
            | Response::AutonomousTransferComplete
            | Response::SetParameterAttributes
            | Response::Reboot
            | Response::ScheduleInform
            | Response::FactoryReset,
        ) => shape.clone(),
        (_, shape) => {
            return Err(format!(
                "made another kind of response of a {}",
                shape.method()
            ));
        }
    })
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
