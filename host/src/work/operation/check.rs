//! Whether an operation can be asked for at all.

use cwmp::{Path, RawRpc};

use crate::work::asked::WHOLE_TREE;
use crate::work::task::{DuChange, Operation, Window};

/// Of a Download, an Upload (A.3.2.8, A.4.1.5).
const URL_CHARS_MAX: usize = 256;
/// Of a deployment unit (A.4.1.10).
const MODULE_URL_CHARS_MAX: usize = 1024;
const COMMAND_KEY_CHARS_MAX: usize = 32;
const OPTION_CHARS_MAX: usize = 64;
const USER_MESSAGE_CHARS_MAX: usize = 256;
/// Of a plugin's name.
const FLOW_CHARS_MAX: usize = 64;
/// Windows of a ScheduleDownload (A.4.1.8).
const WINDOWS_MAX: usize = 2;

/// Whether an operation can be asked for at all; else what was expected and what came.
pub fn check(operation: &Operation) -> Result<(), String> {
    match operation {
        Operation::Get { paths } => {
            some(paths, "paths")?;
            let mut named = paths.iter().filter(|path| **path != WHOLE_TREE);
            named.try_for_each(|p| path(p).map(|_| ()))
        }
        Operation::Attributes { paths } => {
            some(paths, "paths")?;
            paths.iter().try_for_each(|p| path(p).map(|_| ()))
        }
        Operation::Set { parameters } => {
            some(parameters, "parameters")?;
            parameters.iter().try_for_each(|p| {
                if path(&p.path)?.is_partial() {
                    return Err(format!("expected a full parameter name, got {:?}", p.path));
                }
                Ok(())
            })
        }
        Operation::SetAttributes { attributes } => {
            some(attributes, "attributes")?;
            attributes.iter().try_for_each(|a| match a.notification {
                Some(n) if n > 6 => Err(format!("expected a notification of 0 to 6, got {n}")),
                _ => one_path(&a.path).map(|_| ()),
            })
        }
        Operation::Names { path: p, .. } if p.is_empty() => Ok(()),
        Operation::Names { path: p, .. } => one_path(p).map(|_| ()),
        Operation::AddObject { object: o } | Operation::DeleteObject { object: o } => object(o),
        Operation::Download { file_type, .. } | Operation::Upload { file_type, .. }
            if operation.uses_files() =>
        {
            check_file_type(file_type)
        }
        Operation::Download { url, file_type, .. } | Operation::Upload { url, file_type, .. } => {
            file(file_type, url)
        }
        Operation::ScheduleDownload {
            url,
            file_type,
            windows,
            ..
        } => {
            file(file_type, url)?;
            check_windows(windows)
        }
        Operation::Diagnostics(diagnostics) => diagnostics.check(),
        Operation::CancelTransfer { command_key } => {
            text("command_key", command_key, COMMAND_KEY_CHARS_MAX)
        }
        Operation::ChangeDuState { changes } => {
            some(changes, "changes")?;
            changes.iter().try_for_each(check_change)
        }
        Operation::SetVouchers { vouchers } => {
            some(vouchers, "vouchers")?;
            vouchers.iter().try_for_each(|voucher| base64(voucher))
        }
        Operation::GetOptions { option } if option.is_empty() => Ok(()),
        Operation::GetOptions { option } => text("option", option, OPTION_CHARS_MAX),
        Operation::Flow { flow } => text("flow", flow, FLOW_CHARS_MAX),
        Operation::ScheduleInform { delay_seconds: 0 } => {
            Err("expected delay_seconds of at least 1, got 0".into())
        }
        Operation::Raw { method, xml } => RawRpc::checked(method, xml)
            .map(|_| ())
            .map_err(|error| error.to_string()),
        Operation::ScheduleInform { .. }
        | Operation::RpcMethods
        | Operation::Reboot
        | Operation::FactoryReset
        | Operation::QueuedTransfers => Ok(()),
    }
}

fn some<T>(items: &[T], name: &str) -> Result<(), String> {
    if items.is_empty() {
        return Err(format!("expected at least one of {name}"));
    }
    Ok(())
}

fn text(name: &str, text: &str, chars_max: usize) -> Result<(), String> {
    let chars = text.chars().count();
    if (1..=chars_max).contains(&chars) {
        return Ok(());
    }
    Err(format!(
        "expected a {name} of 1 to {chars_max} characters, got {chars}"
    ))
}

/// Anything but the whole tree.
fn path(text: &str) -> Result<Path<'_>, String> {
    if text.is_empty() {
        return Err("expected a parameter path, got an empty text".to_owned());
    }
    Path::parse(text).map_err(|error| error.to_string())
}

/// A path that means one thing.
fn one_path(text: &str) -> Result<Path<'_>, String> {
    let path = path(text)?;
    if path.has_wildcard() {
        return Err(format!(
            "expected a path without `*`, which get, attributes and set take, got {text:?}"
        ));
    }
    Ok(path)
}

fn object(text: &str) -> Result<(), String> {
    if one_path(text)?.is_partial() {
        return Ok(());
    }
    Err(format!(
        "expected an object path that ends in a dot, got {text:?}"
    ))
}

fn file(file_type: &str, url: &str) -> Result<(), String> {
    check_file_type(file_type)?;
    check_url(url, URL_CHARS_MAX)
}

fn check_file_type(file_type: &str) -> Result<(), String> {
    if file_type.is_empty() {
        return Err("expected a file_type such as \"1 Firmware Upgrade Image\"".into());
    }
    Ok(())
}

fn check_url(url: &str, chars_max: usize) -> Result<(), String> {
    let scheme = url.starts_with("http://") || url.starts_with("https://");
    if scheme && url.len() <= chars_max {
        return Ok(());
    }
    Err(format!(
        "expected an http or https URL of at most {chars_max} characters, got {url:?}"
    ))
}

fn check_windows(windows: &[Window]) -> Result<(), String> {
    if !(1..=WINDOWS_MAX).contains(&windows.len()) {
        return Err(format!(
            "expected 1 or {WINDOWS_MAX} windows, got {}",
            windows.len()
        ));
    }
    let mut free_from = 0;
    for window in windows {
        let Window {
            start_seconds: start,
            end_seconds: end,
            ..
        } = *window;
        if start < free_from || end <= start {
            return Err(format!(
                "expected a window that begins at {free_from} s or later and ends after it \
                 begins, got {start} to {end} s"
            ));
        }
        free_from = end;
        text("mode", &window.mode, OPTION_CHARS_MAX)?;
        if window.user_message.chars().count() > USER_MESSAGE_CHARS_MAX {
            return Err(format!(
                "expected a user_message of at most {USER_MESSAGE_CHARS_MAX} characters"
            ));
        }
    }
    Ok(())
}

fn check_change(change: &DuChange) -> Result<(), String> {
    match change {
        DuChange::Install { url, uuid, .. } => {
            check_url(url, MODULE_URL_CHARS_MAX)?;
            maybe(uuid, check_uuid)
        }
        DuChange::Update { uuid, url, .. } => {
            maybe(uuid, check_uuid)?;
            maybe(url, |url| check_url(url, MODULE_URL_CHARS_MAX))
        }
        DuChange::Uninstall { uuid, .. } => check_uuid(uuid),
    }
}

fn maybe(text: &str, check: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
    if text.is_empty() { Ok(()) } else { check(text) }
}

fn check_uuid(uuid: &str) -> Result<(), String> {
    let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
    let digits = uuid.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if digits && lengths == [8, 4, 4, 4, 12] {
        return Ok(());
    }
    Err(format!(
        "expected a UUID like 01234567-89ab-cdef-0123-456789abcdef, got {uuid:?}"
    ))
}

fn base64(voucher: &str) -> Result<(), String> {
    let digits = voucher.trim_end_matches('=');
    let padding = voucher.len() - digits.len();
    let in_alphabet = digits
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/');
    if !digits.is_empty() && in_alphabet && padding <= 2 && voucher.len().is_multiple_of(4) {
        return Ok(());
    }
    Err(format!("expected a voucher in base64, got {voucher:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with an operation; empty = nothing.
    fn said(operation: serde_json::Value) -> String {
        match serde_json::from_value(operation) {
            Ok(operation) => check(&operation).err().unwrap_or_default(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn paths() {
        let get = |path: &str| said(serde_json::json!({ "op": "get", "paths": [path] }));
        assert_eq!(get("Device.WiFi.SSID.*.SSID"), "");
        assert_eq!(get("Device.IP.Interface.[wan]."), "");
        assert_eq!(get(""), "");
        let attributes = serde_json::json!({ "op": "attributes", "paths": [""] });
        assert!(said(attributes).contains("empty"));
        assert!(get("Device. A").contains("space"));
        assert!(get("Device..A").contains("without a name"));
        let set = |path: &str| {
            said(serde_json::json!({ "op": "set", "parameters": [{ "path": path, "value": "1" }] }))
        };
        assert_eq!(set("Device.WiFi.SSID.*.Enable"), "");
        assert!(set("Device.WiFi.").contains("full parameter name"));
        let add = |object: &str| said(serde_json::json!({ "op": "add-object", "object": object }));
        assert_eq!(add("Device.NAT.PortMapping.[web]."), "");
        assert!(add("Device.NAT.PortMapping").contains("ends in a dot"));
        assert!(add("Device.IP.Interface.*.IPv4Address.").contains("without `*`"));
    }

    #[test]
    fn windows_follow_each_other() {
        let with = |windows: serde_json::Value| {
            said(serde_json::json!({
                "op": "schedule-download", "file_type": "1 Firmware Upgrade Image",
                "url": "http://files.example/fw", "windows": windows,
            }))
        };
        let window = |start: u32, end: u32| serde_json::json!({ "start_seconds": start, "end_seconds": end });
        assert_eq!(with(serde_json::json!([window(0, 60)])), "");
        assert_eq!(with(serde_json::json!([window(0, 60), window(60, 61)])), "");
        assert!(with(serde_json::json!([])).contains("1 or 2 windows"));
        assert!(with(serde_json::json!([window(5, 5)])).contains("got 5 to 5 s"));
        assert!(
            with(serde_json::json!([window(0, 60), window(50, 70)])).contains("at 60 s or later")
        );
    }

    #[test]
    fn changes_and_vouchers() {
        let change = |change: serde_json::Value| {
            said(serde_json::json!({ "op": "change-du-state", "changes": [change] }))
        };
        let uuid = "01234567-89ab-cdef-0123-456789abcdef";
        assert_eq!(
            change(serde_json::json!({ "change": "uninstall", "uuid": uuid })),
            ""
        );
        assert_eq!(change(serde_json::json!({ "change": "update" })), "");
        assert!(
            change(serde_json::json!({ "change": "uninstall", "uuid": "1-2" }))
                .contains("expected a UUID")
        );
        assert!(
            change(serde_json::json!({ "change": "install", "url": "ftp://x" }))
                .contains("http or https")
        );
        let voucher =
            |text: &str| said(serde_json::json!({ "op": "set-vouchers", "vouchers": [text] }));
        assert_eq!(voucher("AAEC"), "");
        assert_eq!(voucher("AAECAw=="), "");
        for bad in ["", "===", "AAE", "AA C", "A==="] {
            assert!(voucher(bad).contains("base64"), "{bad}");
        }
        assert!(
            said(serde_json::json!({ "op": "cancel-transfer", "command_key": "" }))
                .contains("1 to 32")
        );
    }
}
