//! Responses, both ways.

use cwmp::Response;

use super::convert::{applied_to_wit, info_to_wit, parameter, parameter_to_wit};
use super::types as wit;

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
        response if response.is_empty() => (wit::Response::Done, response),
        // These have no case of their own.
        response => {
            let raw = response.to_raw();
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
        (wit::Response::Other(raw), Response::Other(shape)) if raw.method == shape.method => {
            Response::from_raw(cwmp::RawRpc {
                method: raw.method,
                xml: raw.xml,
            })
        }
        (wit::Response::Done, shape) if shape.is_empty() => shape.clone(),
        (_, shape) => {
            return Err(format!(
                "made another kind of response of a {}",
                shape.method()
            ));
        }
    })
}

fn applied(applied: wit::Applied) -> cwmp::Applied {
    match applied {
        wit::Applied::Now => cwmp::Applied::Now,
        wit::Applied::Later => cwmp::Applied::Later,
    }
}

fn attributes_to_wit(attributes: cwmp::ParameterAttributes) -> wit::ParameterAttributes {
    wit::ParameterAttributes {
        path: attributes.path,
        notification: attributes.notification,
        access_list: attributes.access_list,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cwmp::{Applied, ParameterValue};

    /// Nothing is lost on the way through a profile that changes nothing.
    #[test]
    fn there_and_back() {
        let started = cwmp::TransferStarted {
            applied: Applied::Later,
            start_time: cwmp::DateTime("a".into()),
            complete_time: cwmp::DateTime("b".into()),
        };
        let all = [
            Response::GetRpcMethods(vec!["Reboot".into()]),
            Response::Inform,
            Response::TransferComplete,
            Response::AutonomousTransferComplete,
            Response::SetParameterValues(Applied::Later),
            Response::GetParameterValues(vec![ParameterValue::boolean("Device.A", true)]),
            Response::GetParameterNames(vec![cwmp::ParameterInfo {
                path: "Device.A".into(),
                writable: true,
            }]),
            Response::SetParameterAttributes,
            Response::GetParameterAttributes(vec![cwmp::ParameterAttributes {
                path: "Device.A".into(),
                notification: 2,
                access_list: vec!["Subscriber".into()],
            }]),
            Response::AddObject(3, Applied::Later),
            Response::DeleteObject(Applied::Later),
            Response::Download(started.clone()),
            Response::Reboot,
            Response::ScheduleInform,
            Response::Upload(started),
            Response::FactoryReset,
            Response::Other(cwmp::RawRpc {
                method: "X_DoResponse".into(),
                xml: "<A/>".into(),
            }),
            Response::GetQueuedTransfers(vec![cwmp::QueuedTransfer {
                command_key: "k".into(),
                state: cwmp::TransferState::Completed,
            }]),
            Response::GetAllQueuedTransfers(vec![cwmp::AnyQueuedTransfer::default()]),
            Response::GetOptions(Vec::new()),
            Response::SetVouchers,
            Response::ScheduleDownload,
            Response::CancelTransfer,
            Response::ChangeDuState,
        ];
        for original in all {
            let (through, shape) = response_to_wit(original.clone());
            assert_eq!(response(through, &shape).unwrap(), original);
            let error = response(wit::Response::Fault(fault()), &shape).unwrap_err();
            assert!(error.contains(original.method()), "{error}");
        }
    }

    fn fault() -> wit::Fault {
        wit::Fault {
            code: 9001,
            text: String::new(),
            parameters: Vec::new(),
        }
    }
}
