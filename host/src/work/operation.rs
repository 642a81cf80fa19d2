//! A task's operation: whether it can be asked for, its RPC, and the device's answer.

mod answer;
mod check;
mod fit;
mod name;
mod wildcards;

pub use answer::{error, modules_changed, result, unit, with_missing};
pub use check::check;
pub use wildcards::{NamesUnknown, expanded};

use cwmp::{
    AddObject, ChangeDuState, DeleteObject, Download, DuOperation, GetParameterNames,
    ParameterValue, RawRpc, Request, ScheduleDownload, ScheduleInform, SetParameterAttributes,
    SetParameterValues, TimeWindow, Upload, Version, XsdType,
};

use super::task::{DuChange, Operation, Task};
use crate::device::DataModel;

/// What is known of the device that a task is for.
pub struct Known<'d> {
    /// The version of its session.
    pub version: Version,
    /// Which tree it speaks.
    pub data_model: DataModel,
    /// What it said to have; empty = it was never asked.
    pub rpc_methods: &'d [String],
    /// It knows `*` itself (InstanceWildcardsSupported).
    pub instance_wildcards: bool,
}

impl Known<'_> {
    /// A device that has not said what it has is believed to have what its version has.
    fn has_all_queued_transfers(&self) -> bool {
        if self.rpc_methods.is_empty() {
            return self.version >= Version::V1_1;
        }
        let mut methods = self.rpc_methods.iter();
        methods.any(|method| method == "GetAllQueuedTransfers")
    }

    fn to_read(&self, paths: Vec<String>) -> Vec<String> {
        if self.instance_wildcards {
            paths
        } else {
            wildcards::to_read(paths)
        }
    }
}

/// The RPC of a task; `None`: a flow asks by itself. `type_of` knows the type of a parameter that was
/// read before.
pub fn request(
    task: &Task,
    known: &Known<'_>,
    type_of: impl Fn(&str) -> Option<XsdType>,
) -> Option<Request> {
    let command_key = task.id.to_string();
    Some(match task.operation.clone() {
        Operation::Get { paths } => Request::GetParameterValues(known.to_read(paths)),
        Operation::Set { parameters } => Request::SetParameterValues(SetParameterValues {
            parameters: parameters
                .into_iter()
                .map(|parameter| ParameterValue {
                    xsd_type: match &parameter.xsd_type {
                        Some(name) => XsdType::new(name),
                        None => type_of(&parameter.path).unwrap_or_else(|| XsdType::new("string")),
                    },
                    path: parameter.path,
                    value: parameter.value,
                })
                .collect(),
            parameter_key: command_key,
        }),
        Operation::Names { path, next_level } => {
            Request::GetParameterNames(GetParameterNames { path, next_level })
        }
        Operation::Attributes { paths } => Request::GetParameterAttributes(known.to_read(paths)),
        Operation::SetAttributes { attributes } => Request::SetParameterAttributes(
            attributes
                .into_iter()
                .map(|attribute| SetParameterAttributes {
                    path: attribute.path,
                    notification: attribute.notification,
                    access_list: attribute.access_list,
                })
                .collect(),
        ),
        Operation::AddObject { object } => Request::AddObject(AddObject {
            object_name: object,
            parameter_key: command_key,
        }),
        Operation::DeleteObject { object } => Request::DeleteObject(DeleteObject {
            object_name: object,
            parameter_key: command_key,
        }),
        Operation::RpcMethods => Request::GetRpcMethods,
        Operation::Reboot => Request::Reboot(command_key),
        Operation::FactoryReset => Request::FactoryReset,
        Operation::Download {
            file_type,
            url,
            username,
            password,
            file_size,
            target_file_name,
            delay_seconds,
            ..
        } => Request::Download(Box::new(Download {
            command_key,
            file_type,
            url,
            username,
            password,
            file_size,
            target_file_name,
            delay_seconds,
            ..Download::default()
        })),
        Operation::Upload {
            file_type,
            url,
            username,
            password,
            delay_seconds,
        } => Request::Upload(Box::new(Upload {
            command_key,
            file_type,
            url,
            username,
            password,
            delay_seconds,
        })),
        Operation::Diagnostics(diagnostics) => diagnostics.request(known.data_model, command_key),
        Operation::ScheduleInform { delay_seconds } => Request::ScheduleInform(ScheduleInform {
            delay_seconds,
            command_key,
        }),
        Operation::QueuedTransfers if known.has_all_queued_transfers() => {
            Request::GetAllQueuedTransfers
        }
        Operation::QueuedTransfers => Request::GetQueuedTransfers,
        Operation::ScheduleDownload {
            file_type,
            url,
            username,
            password,
            file_size,
            target_file_name,
            windows,
        } => Request::ScheduleDownload(Box::new(ScheduleDownload {
            command_key,
            file_type,
            url,
            username,
            password,
            file_size,
            target_file_name,
            windows: windows
                .into_iter()
                .map(|window| TimeWindow {
                    start_seconds: window.start_seconds,
                    end_seconds: window.end_seconds,
                    mode: window.mode,
                    user_message: window.user_message,
                    max_retries: window.max_retries,
                })
                .collect(),
        })),
        Operation::CancelTransfer { command_key } => Request::CancelTransfer(command_key),
        Operation::ChangeDuState { changes } => Request::ChangeDuState(ChangeDuState {
            operations: changes.into_iter().map(change).collect(),
            command_key,
        }),
        Operation::SetVouchers { vouchers } => Request::SetVouchers(vouchers),
        Operation::GetOptions { option } => Request::GetOptions(option),
        Operation::Raw { method, xml } => Request::Other(RawRpc { method, xml }),
        Operation::Flow { .. } => return None,
    })
}

fn change(change: DuChange) -> DuOperation {
    match change {
        DuChange::Install {
            url,
            uuid,
            username,
            password,
            execution_env,
        } => DuOperation::Install {
            url,
            uuid,
            username,
            password,
            execution_env,
        },
        DuChange::Update {
            uuid,
            version,
            url,
            username,
            password,
        } => DuOperation::Update {
            uuid,
            version,
            url,
            username,
            password,
        },
        DuChange::Uninstall {
            uuid,
            version,
            execution_env,
        } => DuOperation::Uninstall {
            uuid,
            version,
            execution_env,
        },
    }
}
