//! What a hook changed, told from the records that went in and came out.

use std::fmt::Write as _;

use super::super::diff::{self, Item};
use super::types as wit;

/// Of an Inform.
pub(super) fn inform(before: &wit::Inform, after: &wit::Inform) -> Vec<String> {
    if before == after {
        return Vec::new();
    }
    diff::lines(&inform_items(before), &inform_items(after))
}

/// Of one request that became any number.
pub(super) fn requests(before: &wit::Request, after: &[wit::Request]) -> Vec<String> {
    if let [one] = after
        && one == before
    {
        return Vec::new();
    }
    let mut items = Vec::new();
    request_items(before, &mut items);
    diff::lines(&items, &all_items(after))
}

/// What is asked instead, after a fault.
pub(super) fn retried(requests: &[wit::Request]) -> Vec<String> {
    diff::lines(&[], &all_items(requests))
}

/// Of a response.
pub(super) fn response(before: &wit::Response, after: &wit::Response) -> Vec<String> {
    if before == after {
        return Vec::new();
    }
    diff::lines(&response_items(before), &response_items(after))
}

fn inform_items(inform: &wit::Inform) -> Vec<Item<'_>> {
    let device = &inform.device;
    let mut items = vec![
        Item::new("Manufacturer", &device.manufacturer),
        Item::new("OUI", &device.oui),
        Item::new("ProductClass", &device.product_class),
        Item::new("SerialNumber", &device.serial_number),
    ];
    items.extend(
        inform
            .events
            .iter()
            .map(|event| Item::new(format!("event {}", event.code), event.command_key.as_str())),
    );
    let time = inform.current_time.map(|time| time.to_string());
    items.push(Item::new("CurrentTime", time.unwrap_or_default()));
    items.push(Item::new("RetryCount", inform.retry_count.to_string()));
    items.extend(inform.parameters.iter().map(parameter_item));
    items
}

fn parameter_item(parameter: &wit::Parameter) -> Item<'_> {
    Item::parameter(&parameter.path, &parameter.value, &parameter.xsd_type)
}

fn all_items(requests: &[wit::Request]) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    for request in requests {
        request_items(request, &mut items);
    }
    items
}

/// The method with its size, so that a split shows, and a line for each argument.
fn request_items<'a>(request: &'a wit::Request, items: &mut Vec<Item<'a>>) {
    use wit::Request as R;
    let listed = |method: &str, count: usize| Item::new(format!("{method} of {count}"), "");
    match request {
        R::GetRpcMethods => items.push(Item::new("GetRPCMethods", "")),
        R::GetParameterNames(get) => items.push(Item::new(
            "GetParameterNames",
            format!("{} {}", get.path, if get.next_level { "1" } else { "0" }),
        )),
        R::GetParameterValues(names) => {
            items.push(listed("GetParameterValues", names.len()));
            items.extend(names.iter().map(|name| Item::new(name, "")));
        }
        R::SetParameterValues(parameters) => {
            items.push(listed("SetParameterValues", parameters.len()));
            items.extend(parameters.iter().map(parameter_item));
        }
        R::GetParameterAttributes(names) => {
            items.push(listed("GetParameterAttributes", names.len()));
            items.extend(names.iter().map(|name| Item::new(name, "")));
        }
        R::SetParameterAttributes(attributes) => {
            items.push(listed("SetParameterAttributes", attributes.len()));
            items.extend(attributes.iter().map(attributes_item));
        }
        R::AddObject(path) => items.push(Item::new("AddObject", path)),
        R::DeleteObject(path) => items.push(Item::new("DeleteObject", path)),
        R::Download(transfer) => transfer_items("Download", transfer, items),
        R::Upload(transfer) => transfer_items("Upload", transfer, items),
        R::Reboot(key) => items.push(Item::new("Reboot", key)),
        R::FactoryReset => items.push(Item::new("FactoryReset", "")),
        R::ScheduleInform(schedule) => items.push(Item::new(
            "ScheduleInform",
            format!("{} s {}", schedule.delay_seconds, schedule.command_key),
        )),
        R::Other(raw) => items.push(raw_item(raw)),
    }
}

fn transfer_items<'a>(
    method: &'static str,
    transfer: &'a wit::Transfer,
    items: &mut Vec<Item<'a>>,
) {
    items.push(Item::new(method, ""));
    items.push(Item::new("CommandKey", &transfer.command_key));
    items.push(Item::new("FileType", &transfer.file_type));
    items.push(Item::new("URL", diff::open_url(&transfer.url)));
    items.push(Item::new("Username", &transfer.username));
    items.push(Item::new("Password", &transfer.password));
    items.push(Item::new("FileSize", transfer.file_size.to_string()));
    items.push(Item::new("TargetFileName", &transfer.target_file_name));
    items.push(Item::new(
        "DelaySeconds",
        transfer.delay_seconds.to_string(),
    ));
}

/// Its XML may hold anything, so only its size is told.
fn raw_item(raw: &wit::RawRpc) -> Item<'_> {
    Item::new(&raw.method, format!("{} bytes of XML", raw.xml.len()))
}

fn attributes_item(one: &wit::ParameterAttributes) -> Item<'_> {
    let mut value = format!("notification {}", one.notification);
    if !one.access_list.is_empty() {
        let _ = write!(value, ", access {}", one.access_list.join(" "));
    }
    Item::new(&one.path, value)
}

fn response_items(response: &wit::Response) -> Vec<Item<'_>> {
    use wit::Response as R;
    let applied = |applied: &wit::Applied| match applied {
        wit::Applied::Now => "0",
        wit::Applied::Later => "1",
    };
    match response {
        R::Methods(methods) => methods.iter().map(|name| Item::new(name, "")).collect(),
        R::Names(names) => names
            .iter()
            .map(|info| {
                Item::new(
                    &info.path,
                    if info.writable {
                        "writable"
                    } else {
                        "read-only"
                    },
                )
            })
            .collect(),
        R::Values(values) => values.iter().map(parameter_item).collect(),
        R::Attributes(attributes) => attributes.iter().map(attributes_item).collect(),
        R::Applied(status) => vec![Item::new("Status", applied(status))],
        R::Added((number, status)) => vec![
            Item::new("InstanceNumber", number.to_string()),
            Item::new("Status", applied(status)),
        ],
        R::Done => Vec::new(),
        R::Other(raw) => vec![raw_item(raw)],
        R::Fault(fault) => vec![Item::new(fault.code.to_string(), &fault.text)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_shows() {
        let names = |names: &[&str]| {
            wit::Request::GetParameterValues(names.iter().map(|&name| name.into()).collect())
        };
        let before = names(&["A", "B", "C"]);
        assert!(requests(&before, std::slice::from_ref(&before)).is_empty());
        assert_eq!(
            requests(&before, &[names(&["A", "B"]), names(&["C"])]),
            [
                "+ GetParameterValues of 2",
                "+ GetParameterValues of 1",
                "- GetParameterValues of 3"
            ]
        );
        assert_eq!(
            requests(&before, &[]),
            ["- GetParameterValues of 3", "- A", "- B", "- C"]
        );
        assert_eq!(
            retried(&[names(&["A"])]),
            ["+ GetParameterValues of 1", "+ A"]
        );
    }

    #[test]
    fn a_transfer_tells_no_password() {
        let transfer = |password: &str, file_type: &str| {
            wit::Request::Download(wit::Transfer {
                command_key: String::new(),
                file_type: file_type.into(),
                url: "http://u:secret@files/x?key=secret".into(),
                username: String::new(),
                password: password.into(),
                file_size: 0,
                target_file_name: String::new(),
                delay_seconds: 0,
            })
        };
        let lines = requests(
            &transfer("secret", "1 Firmware Upgrade Image"),
            &[transfer("", "X 0000 Firmware")],
        );
        assert_eq!(
            lines,
            [
                "- FileType = 1 Firmware Upgrade Image",
                "+ FileType = X 0000 Firmware",
                "- Password = (hidden)",
                "+ Password"
            ]
        );
        let all = retried(&[transfer("secret", "")]).join("\n");
        assert!(!all.contains("secret"), "{all}");
    }
}
