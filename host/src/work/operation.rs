//! A task's operation as an RPC, and the device's answer in the API's words.

use cwmp::{
    AddObject, Applied, DeleteObject, Download, Fault, GetParameterNames, ParameterValue, RawRpc,
    Request, Response, ScheduleInform, SetParameterAttributes, SetParameterValues, Upload, XsdType,
};
use serde_json::{Value, json};

use super::task::{Operation, Task, TaskError, TaskParameterError};

/// The longest list in a result; what is longer is in the device's parameters.
const RESULT_ITEMS_MAX: usize = 500;

/// The RPC of a task. `type_of` knows the type of a parameter that was read before.
pub fn request(task: &Task, type_of: impl Fn(&str) -> Option<XsdType>) -> Request {
    let command_key = task.id.to_string();
    match task.operation.clone() {
        Operation::Get { paths } => Request::GetParameterValues(paths),
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
        Operation::Attributes { paths } => Request::GetParameterAttributes(paths),
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
        } => Request::Download(Box::new(Download {
            command_key,
            file_type,
            url,
            username,
            password,
            file_size,
            target_file_name,
            ..Download::default()
        })),
        Operation::Upload {
            file_type,
            url,
            username,
            password,
        } => Request::Upload(Box::new(Upload {
            command_key,
            file_type,
            url,
            username,
            password,
            ..Upload::default()
        })),
        Operation::ScheduleInform { delay_seconds } => Request::ScheduleInform(ScheduleInform {
            delay_seconds,
            command_key,
        }),
        Operation::Raw { method, xml } => Request::Other(RawRpc { method, xml }),
    }
}

/// Whether an operation can be asked for at all; else what was expected and what came.
pub fn check(operation: &Operation) -> Result<(), String> {
    fn some<T>(items: &[T], name: &str) -> Result<(), String> {
        if items.is_empty() {
            Err(format!("expected at least one of {name}"))
        } else {
            Ok(())
        }
    }
    fn path(text: &str) -> Result<(), String> {
        let sane = !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control());
        if sane && text.len() <= 256 {
            return Ok(());
        }
        Err(format!(
            "expected a parameter path of 1 to 256 characters without spaces, got {text:?}"
        ))
    }
    fn object(text: &str) -> Result<(), String> {
        path(text)?;
        if text.ends_with('.') {
            return Ok(());
        }
        Err(format!(
            "expected an object path that ends in a dot, got {text:?}"
        ))
    }
    fn url(text: &str) -> Result<(), String> {
        if text.len() <= 256 && (text.starts_with("http://") || text.starts_with("https://")) {
            return Ok(());
        }
        Err(format!(
            "expected an http or https URL of at most 256 characters, got {text:?}"
        ))
    }
    match operation {
        Operation::Get { paths } | Operation::Attributes { paths } => {
            some(paths, "paths")?;
            paths.iter().try_for_each(|p| path(p))
        }
        Operation::Set { parameters } => {
            some(parameters, "parameters")?;
            parameters.iter().try_for_each(|p| {
                path(&p.path)?;
                if p.path.ends_with('.') {
                    return Err(format!("expected a full parameter name, got {:?}", p.path));
                }
                Ok(())
            })
        }
        Operation::SetAttributes { attributes } => {
            some(attributes, "attributes")?;
            attributes.iter().try_for_each(|a| match a.notification {
                Some(n) if n > 6 => Err(format!("expected a notification of 0 to 6, got {n}")),
                _ => path(&a.path),
            })
        }
        Operation::Names { path: p, .. } if p.is_empty() => Ok(()),
        Operation::Names { path: p, .. } => path(p),
        Operation::AddObject { object: o } | Operation::DeleteObject { object: o } => object(o),
        Operation::Download {
            url: u, file_type, ..
        }
        | Operation::Upload {
            url: u, file_type, ..
        } => {
            if file_type.is_empty() {
                return Err("expected a file_type such as \"1 Firmware Upgrade Image\"".into());
            }
            url(u)
        }
        Operation::ScheduleInform { delay_seconds: 0 } => {
            Err("expected delay_seconds of at least 1, got 0".into())
        }
        Operation::Raw { method, xml } => RawRpc::checked(method, xml)
            .map(|_| ())
            .map_err(|error| error.to_string()),
        _ => Ok(()),
    }
}

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
        Response::GetRpcMethods(methods) => json!({ "methods": methods }),
        Response::Other(raw) => json!({ "method": raw.method, "xml": raw.xml }),
        _ => json!({}),
    }
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
