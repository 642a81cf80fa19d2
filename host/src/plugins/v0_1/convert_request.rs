//! Requests, both ways. What the WIT does not carry is kept aside and joined again on the way back.

use cwmp::Request;

use super::super::sendable;
use super::convert::{parameter, parameter_to_wit};
use super::types as wit;

/// Of a request, what the WIT does not carry.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rest {
    None,
    ParameterKey(String),
    Urls { success: String, failure: String },
    Attributes(Vec<cwmp::SetParameterAttributes>),
}

/// `Err`: a request of the device, which is not for hooks.
pub(super) fn request_to_wit(request: Request) -> Result<(wit::Request, Rest), Request> {
    let mut rest = Rest::None;
    let request = match request {
        request if request.is_of_device() => return Err(request),
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
        // These have no case of their own.
        other => {
            let raw = other.to_raw();
            wit::Request::Other(wit::RawRpc {
                method: raw.method,
                xml: raw.xml,
            })
        }
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
        wit::Request::Other(raw) => Request::from_raw(cwmp::RawRpc {
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

#[cfg(test)]
mod tests {
    use super::*;
    use cwmp::ParameterValue;

    /// Nothing is lost on the way through a profile that changes nothing.
    #[test]
    fn there_and_back() {
        let attributes = |notification, access_list: Option<&str>| cwmp::SetParameterAttributes {
            path: "Device.A".into(),
            notification,
            access_list: access_list.map(|name| vec![name.to_owned()]),
        };
        let transfer = cwmp::Download {
            command_key: "k".into(),
            file_type: "1 Firmware Upgrade Image".into(),
            url: "http://files/x".into(),
            username: "u".into(),
            password: "p".into(),
            file_size: 7,
            target_file_name: "x".into(),
            delay_seconds: 3,
            success_url: "http://good".into(),
            failure_url: "http://bad".into(),
        };
        for original in [
            Request::GetRpcMethods,
            Request::GetParameterNames(cwmp::GetParameterNames {
                path: "Device.".into(),
                next_level: true,
            }),
            Request::GetParameterValues(vec!["Device.A".into()]),
            Request::SetParameterValues(cwmp::SetParameterValues {
                parameters: vec![ParameterValue::unsigned_int("Device.A", 1)],
                parameter_key: "key".into(),
            }),
            Request::GetParameterAttributes(vec!["Device.A".into()]),
            Request::SetParameterAttributes(vec![
                attributes(None, None),
                attributes(Some(2), None),
                attributes(None, Some("Subscriber")),
                attributes(Some(1), Some("Subscriber")),
            ]),
            Request::AddObject(cwmp::AddObject {
                object_name: "Device.A.".into(),
                parameter_key: "key".into(),
            }),
            Request::DeleteObject(cwmp::DeleteObject {
                object_name: "Device.A.1.".into(),
                parameter_key: "key".into(),
            }),
            Request::Download(Box::new(transfer)),
            Request::Upload(Box::new(cwmp::Upload {
                url: "http://files/y".into(),
                delay_seconds: 9,
                ..cwmp::Upload::default()
            })),
            Request::Reboot("key".into()),
            Request::FactoryReset,
            Request::ScheduleInform(cwmp::ScheduleInform {
                delay_seconds: 5,
                command_key: "key".into(),
            }),
            Request::Other(cwmp::RawRpc {
                method: "X_Do".into(),
                xml: "<A>1</A>".into(),
            }),
            Request::GetQueuedTransfers,
            Request::GetAllQueuedTransfers,
            Request::ScheduleDownload(Box::new(cwmp::ScheduleDownload {
                url: "http://files/z".into(),
                windows: vec![cwmp::TimeWindow::default()],
                ..cwmp::ScheduleDownload::default()
            })),
            Request::CancelTransfer("key".into()),
            Request::ChangeDuState(cwmp::ChangeDuState {
                operations: vec![cwmp::DuOperation::Uninstall {
                    uuid: "u".into(),
                    version: "1 <2>".into(),
                    execution_env: String::new(),
                }],
                command_key: "key".into(),
            }),
            Request::SetVouchers(vec!["AAEC".into()]),
            Request::GetOptions("o".into()),
        ] {
            let (through, rest) = request_to_wit(original.clone()).unwrap();
            assert_eq!(checked_request(through, &rest).unwrap(), original);
        }
        let inform = Request::Inform(Box::default());
        assert_eq!(request_to_wit(inform.clone()).unwrap_err(), inform);
    }

    /// What a profile has written in its own way is sent in its own way.
    #[test]
    fn an_rpc_in_the_words_of_a_profile() {
        let raw = |method: &str, xml: &str| {
            let raw = wit::RawRpc {
                method: method.into(),
                xml: xml.into(),
            };
            checked_request(wit::Request::Other(raw), &Rest::None)
        };
        let own = "<CommandKey>k</CommandKey><X_Vendor/>";
        let Ok(Request::Other(kept)) = raw("CancelTransfer", own) else {
            panic!("not raw");
        };
        assert_eq!(kept.xml, own);
        assert_eq!(
            raw("CancelTransfer", "<CommandKey>k</CommandKey>"),
            Ok(Request::CancelTransfer("k".into()))
        );
        assert!(raw("CancelTransfer", "<CommandKey>").is_err());
        assert!(raw("Cancel Transfer", "").is_err());
    }
}
