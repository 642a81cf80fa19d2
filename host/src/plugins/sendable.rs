//! Whether a request that a guest made can be sent at all: what it holds can be written as XML,
//! and there is not too much of it.

use cwmp::Request;

/// TR-106 allows 256 characters; some vendors' trees go beyond.
const PATH_BYTES_MAX: usize = 1024;
/// Of one request, before the host splits it for the device.
const ITEMS_MAX: usize = 10_000;
const TEXT_BYTES_MAX: usize = 1 << 20;

/// An error is a sentence for the plugin's author.
pub(super) fn check(request: &Request) -> Result<(), String> {
    match request {
        Request::GetParameterValues(names) | Request::GetParameterAttributes(names) => {
            count(names.len())?;
            names.iter().try_for_each(|name| path(name))
        }
        Request::SetParameterValues(set) => {
            count(set.parameters.len())?;
            set.parameters.iter().try_for_each(|one| {
                path(&one.path)?;
                text(&one.path, &one.value)?;
                text("a type", one.xsd_type.as_str())
            })
        }
        Request::SetParameterAttributes(attributes) => {
            count(attributes.len())?;
            attributes.iter().try_for_each(|one| {
                path(&one.path)?;
                let list = one.access_list.iter().flatten();
                list.into_iter()
                    .try_for_each(|name| text("an access list", name))
            })
        }
        Request::GetParameterNames(get) => path(&get.path),
        Request::AddObject(add) => path(&add.object_name),
        Request::DeleteObject(delete) => path(&delete.object_name),
        Request::Reboot(command_key) => text("a CommandKey", command_key),
        Request::ScheduleInform(schedule) => text("a CommandKey", &schedule.command_key),
        Request::Download(one) => {
            let texts = [
                &one.command_key,
                &one.file_type,
                &one.url,
                &one.username,
                &one.password,
                &one.target_file_name,
            ];
            texts
                .into_iter()
                .try_for_each(|one| text("a Download", one))
        }
        Request::Upload(one) => {
            let texts = [
                &one.command_key,
                &one.file_type,
                &one.url,
                &one.username,
                &one.password,
            ];
            texts.into_iter().try_for_each(|one| text("an Upload", one))
        }
        Request::GetRpcMethods | Request::FactoryReset => Ok(()),
        // These come as raw XML, or are never sent.
        other => {
            let raw = other.to_raw();
            cwmp::RawRpc::checked(&raw.method, &raw.xml)
                .map(|_| ())
                .map_err(|error| error.to_string())
        }
    }
}

/// Whether a text may be a path; empty is the whole tree.
pub(super) fn path(path: &str) -> Result<(), String> {
    if path.len() > PATH_BYTES_MAX {
        return Err(format!(
            "a path has at most {PATH_BYTES_MAX} bytes, not {}",
            path.len()
        ));
    }
    let odd = |c: char| c.is_control() || c.is_whitespace() || "<>&\"'".contains(c) || !is_xml(c);
    match path.chars().find(|c| odd(*c)) {
        Some(c) => Err(format!("{path:?} is not a path: {c:?} in it")),
        None => Ok(()),
    }
}

fn text(what: &str, text: &str) -> Result<(), String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!(
            "{what}: a text has at most {TEXT_BYTES_MAX} bytes, not {}",
            text.len()
        ));
    }
    match text.chars().find(|c| !is_xml(*c)) {
        Some(c) => Err(format!("{what}: {c:?} cannot be written as XML")),
        None => Ok(()),
    }
}

fn count(items: usize) -> Result<(), String> {
    if items > ITEMS_MAX {
        return Err(format!(
            "a request has at most {ITEMS_MAX} parameters, not {items}"
        ));
    }
    Ok(())
}

/// XML 1.0 §2.2.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_sent_is_named() {
        let get = |names: &[&str]| {
            check(&Request::GetParameterValues(
                names.iter().map(|name| (*name).to_owned()).collect(),
            ))
        };
        assert_eq!(get(&["Device.X_00AABB_Y.1.", ""]), Ok(()));
        assert!(
            get(&["Device.\u{0}"])
                .unwrap_err()
                .contains("is not a path")
        );
        assert!(get(&["Device.<&>"]).unwrap_err().contains("is not a path"));
        assert!(
            get(&["x".repeat(2000).as_str()])
                .unwrap_err()
                .contains("at most 1024 bytes")
        );
        assert!(
            get(&vec!["Device."; 10_001])
                .unwrap_err()
                .contains("at most 10000")
        );
        let set = |value: &str| {
            check(&Request::SetParameterValues(cwmp::SetParameterValues {
                parameters: vec![cwmp::ParameterValue::string("Device.A", value)],
                parameter_key: String::new(),
            }))
        };
        assert_eq!(set("<any> & \"text\"\n\u{1f600}"), Ok(()));
        assert!(
            set("\u{b}")
                .unwrap_err()
                .contains("cannot be written as XML")
        );
        assert!(set("\u{fffe}").is_err());
    }
}
