//! The device's answers and faults in the API's words.

use cwmp::{
    AnyQueuedTransfer, Applied, DuResult, DuStateChangeComplete, Fault, Response, TransferState,
    VoucherOption,
};
use serde_json::{Value, json};

use crate::work::task::{TaskError, TaskParameterError};

/// The longest list in a result; what is longer is in the device's parameters.
const RESULT_ITEMS_MAX: usize = 500;

/// The device's answer in the API's words.
pub fn result(response: &Response) -> Value {
    match response {
        Response::GetParameterValues(values) => listed("parameters", values, |v| {
            let shown = if crate::device::is_secret(&v.path) {
                ""
            } else {
                v.value.as_str()
            };
            json!({ "path": v.path, "value": shown, "type": v.xsd_type.as_str() })
        }),
        Response::GetParameterNames(names) => listed(
            "names",
            names,
            |n| json!({ "path": n.path, "writable": n.writable }),
        ),
        Response::GetParameterAttributes(attributes) => listed(
            "attributes",
            attributes,
            |a| json!({ "path": a.path, "notification": a.notification, "access_list": a.access_list }),
        ),
        Response::SetParameterValues(a) | Response::DeleteObject(a) => {
            json!({ "applied": applied(*a) })
        }
        Response::AddObject(instance, a) => {
            json!({ "instance_number": instance, "applied": applied(*a) })
        }
        Response::GetQueuedTransfers(transfers) => listed(
            "transfers",
            transfers,
            |t| json!({ "command_key": t.command_key, "state": transfer_state(t.state) }),
        ),
        Response::GetAllQueuedTransfers(transfers) => listed("transfers", transfers, transfer),
        Response::GetOptions(options) => listed("options", options, option),
        Response::GetRpcMethods(methods) => json!({ "methods": methods }),
        Response::Other(raw) => {
            json!({ "method": raw.method, "xml": crate::traces::mask::xml(&raw.xml) })
        }
        _ => json!({}),
    }
}

fn transfer_state(state: TransferState) -> &'static str {
    match state {
        TransferState::NotStarted => "not-started",
        TransferState::InProgress => "in-progress",
        TransferState::Completed => "completed",
    }
}

fn transfer(transfer: &AnyQueuedTransfer) -> Value {
    json!({
        "command_key": transfer.command_key,
        "state": transfer_state(transfer.state),
        "direction": if transfer.is_download { "download" } else { "upload" },
        "file_type": transfer.file_type,
        "file_size": transfer.file_size,
        "target_file_name": transfer.target_file_name,
    })
}

fn option(option: &VoucherOption) -> Value {
    json!({
        "name": option.name,
        "voucher": option.voucher,
        "enabled": matches!(option.state, 1 | 3),
        "set_up": matches!(option.state, 2 | 3),
        "start_date": option.start_date.0,
        "expiration_date": option.expiration_date.as_ref().map(|date| &date.0),
        "transferable": option.is_transferable,
    })
}

/// What a change of software modules has come to: its results, and the first failure.
pub fn modules_changed(complete: &DuStateChangeComplete) -> (Value, Option<TaskError>) {
    let failed = complete.results.iter().find(|unit| unit.fault.code != 0);
    let failure = failed.map(|unit| {
        let fault = Fault {
            code: unit.fault.code,
            text: unit.fault.text.clone(),
            parameters: Vec::new(),
        };
        let mut error = error(&fault);
        error.text = format!("{}: {}", unit.uuid, error.text);
        error
    });
    (listed("units", &complete.results, unit), failure)
}

/// A software module.
pub fn unit(unit: &DuResult) -> Value {
    let execution_units = unit.execution_units.split(',').map(str::trim);
    let execution_units: Vec<&str> = execution_units.filter(|path| !path.is_empty()).collect();
    let mut shown = json!({
        "uuid": unit.uuid,
        "version": unit.version,
        "state": unit.state,
        "resolved": unit.resolved,
        "deployment_unit": unit.deployment_unit,
        "execution_units": execution_units,
        "start_time": unit.start_time.0,
        "complete_time": unit.complete_time.0,
    });
    if unit.fault.code != 0
        && let Some(object) = shown.as_object_mut()
    {
        let fault = json!({ "code": unit.fault.code, "text": unit.fault.text });
        object.insert("fault".to_owned(), fault);
    }
    shown
}

/// A result with the names that were asked for and are not there.
pub fn with_missing(mut result: Value, missing: &[String]) -> Value {
    if !missing.is_empty()
        && let Some(object) = result.as_object_mut()
    {
        let shown: Vec<&String> = missing.iter().take(RESULT_ITEMS_MAX).collect();
        object.insert("missing".to_owned(), json!(shown));
    }
    result
}

fn listed<T>(name: &str, items: &[T], show: impl Fn(&T) -> Value) -> Value {
    let shown: Vec<Value> = items.iter().take(RESULT_ITEMS_MAX).map(show).collect();
    let mut result = json!({ "count": items.len() });
    if let Some(object) = result.as_object_mut() {
        object.insert(name.to_owned(), Value::Array(shown));
        if items.len() > RESULT_ITEMS_MAX {
            let note =
                format!("the first {RESULT_ITEMS_MAX}; the device's parameters have them all");
            object.insert("note".to_owned(), note.into());
        }
    }
    result
}

fn applied(applied: Applied) -> &'static str {
    match applied {
        Applied::Now => "now",
        Applied::Later => "later",
    }
}

/// The device's fault as the reason why a task failed.
pub fn error(fault: &Fault) -> TaskError {
    TaskError {
        code: Some(fault.code),
        text: match cwmp::rpc::fault::name(fault.code) {
            Some(name) if fault.text.is_empty() => name.to_owned(),
            Some(name) if !fault.text.eq_ignore_ascii_case(name) => {
                format!("{name}: {}", fault.text)
            }
            _ => fault.text.clone(),
        },
        parameters: fault
            .parameters
            .iter()
            .map(|p| TaskParameterError {
                path: p.path.clone(),
                code: p.code,
                text: p.text.clone(),
            })
            .collect(),
    }
}
