//! Which campaigns must not touch the same device.

use crate::work::task::Operation;

use super::definition::What;

/// Why two operations do not go together on one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict(pub String);

/// Why these two do not go together on one device; `None`: they do.
pub fn conflict(a: &Operation, b: &Operation) -> Option<Conflict> {
    let whats = [What::of(a), What::of(b)];
    let text = match whats {
        [What::Firmware, What::Firmware] => "both bring a firmware".to_owned(),
        [What::Firmware, What::Reboot | What::FactoryReset]
        | [What::Reboot | What::FactoryReset, What::Firmware] => {
            "one brings a firmware, the other one restarts the device".to_owned()
        }
        [What::FactoryReset, _] | [_, What::FactoryReset] => {
            "one resets the device to what it was delivered with".to_owned()
        }
        _ => {
            let path = same_parameter(a, b)?;
            format!("both set {path}")
        }
    };
    Some(Conflict(text))
}

/// Of what an operation changes, what nobody knows before it is done; `None`: it is known.
pub(super) fn what_is_unknown(operation: &Operation) -> Option<String> {
    match operation {
        Operation::Flow { flow } => Some(format!(
            "what the flow {flow:?} writes is not known before it has run"
        )),
        Operation::Raw { method, .. } => Some(format!("what {method} changes is not known")),
        _ => None,
    }
}

/// A parameter that both set.
fn same_parameter(a: &Operation, b: &Operation) -> Option<String> {
    let (Operation::Set { parameters: a }, Operation::Set { parameters: b }) = (a, b) else {
        return None;
    };
    let meet = |x: &str, y: &str| is_same(x, y);
    let pairs = a.iter().flat_map(|x| b.iter().map(move |y| (x, y)));
    let mut meeting = pairs.filter(|(x, y)| meet(&x.path, &y.path));
    meeting.next().map(|(x, _)| x.path.clone())
}

/// Whether two names may be of one parameter: `*` stands for a segment, and the root may be left
/// out.
fn is_same(a: &str, b: &str) -> bool {
    let without_root = |path: &str| -> Vec<String> {
        let roots = ["InternetGatewayDevice.", "Device."];
        let below = roots.iter().find_map(|root| path.strip_prefix(root));
        below
            .unwrap_or(path)
            .split('.')
            .map(str::to_owned)
            .collect()
    };
    let (a, b) = (without_root(a), without_root(b));
    a.len() == b.len()
        && a.iter()
            .zip(&b)
            .all(|(x, y)| x == y || x == "*" || y == "*")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_goes_together() {
        let set =
            |path: &str| json!({ "op": "set", "parameters": [{ "path": path, "value": "1" }] });
        let firmware = json!({ "op": "download", "file_type": "1 Firmware Upgrade Image", "url": "http://x/y" });
        let configuration = json!({ "op": "download", "file_type": "3 Vendor Configuration File", "url": "http://x/y" });
        let (reboot, reset) = (json!({ "op": "reboot" }), json!({ "op": "factory-reset" }));
        for (a, b, expected) in [
            (&firmware, &firmware, Some("both bring a firmware")),
            (
                &firmware,
                &reboot,
                Some("one brings a firmware, the other one restarts the device"),
            ),
            (
                &reset,
                &firmware,
                Some("one brings a firmware, the other one restarts the device"),
            ),
            (
                &reset,
                &set("Device.A.B"),
                Some("one resets the device to what it was delivered with"),
            ),
            (&reboot, &set("Device.A.B"), None),
            (&reboot, &reboot, None),
            (&firmware, &set("Device.A.B"), None),
            (&firmware, &configuration, None),
            (
                &set("Device.A.B"),
                &set("Device.A.B"),
                Some("both set Device.A.B"),
            ),
            (
                &set("Device.A.*.B"),
                &set("A.2.B"),
                Some("both set Device.A.*.B"),
            ),
            (&set("Device.A.1.B"), &set("Device.A.2.B"), None),
        ] {
            let parse = |json: &serde_json::Value| {
                serde_json::from_value::<Operation>(json.clone()).unwrap()
            };
            let found = conflict(&parse(a), &parse(b)).map(|conflict| conflict.0);
            assert_eq!(found.as_deref(), expected, "{a} and {b}");
        }
    }
}
