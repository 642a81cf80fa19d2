//! Whose affair a setting of an instance is: of whoever administers the instance, or of the host.
//!
//! The host's are those by which an instance would take what is another's (addresses, host names),
//! have the host believe or call somebody (proxies, reserved networks), or take more of it than it
//! was given.

use serde_json::{Map, Value};

/// What an instance's own administrator may change.
pub const OWN: [&str; 15] = [
    "acs_url",
    "connection_request_seconds_max",
    "device_authentication",
    "file_base_url",
    "provisioning_codes",
    "session_after_wake_seconds_max",
    "short_inform",
    "standard_periodic_inform_seconds",
    "stun",
    "unknown_devices",
    "waking.calls_at_once_per_network_max",
    "waking.calls_per_second_max",
    "waking.probe_seconds_max",
    "waking.probe_seconds_min",
    "xmpp",
];

/// What only the host's may.
pub const OF_HOST: [&str; 10] = [
    "connection_request_allow",
    "connection_request_from",
    "hosts",
    "http_proxy",
    "listen",
    "listen_tls",
    "short_periodic_inform_seconds",
    "trusted_proxies",
    "waking.calls_at_once_max",
    "waking.waiting_max",
];

/// The settings of the host that a merge patch touches. One that takes away or replaces a whole
/// group of settings touches all of it.
pub fn of_host(patch: &Map<String, Value>) -> Vec<&'static str> {
    let touches = |setting: &&&str| {
        let (group, within) = match setting.split_once('.') {
            Some((group, within)) => (group, Some(within)),
            None => (**setting, None),
        };
        match (patch.get(group), within) {
            (None, _) => false,
            (Some(Value::Object(settings)), Some(within)) => settings.contains_key(within),
            (Some(_), _) => true,
        }
    };
    OF_HOST.iter().filter(touches).copied().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::config::Instance;

    /// A new setting has to be in one of the lists.
    #[test]
    fn of_each_setting_it_is_known_whose_it_is() {
        let settings = serde_json::to_value(Instance::default()).unwrap();
        let mut names = BTreeSet::new();
        for (name, value) in settings.as_object().unwrap() {
            match (name.as_str(), value) {
                ("waking", Value::Object(group)) => {
                    names.extend(group.keys().map(|within| format!("{name}.{within}")));
                }
                _ => drop(names.insert(name.clone())),
            }
        }
        let listed: Vec<&str> = OWN.into_iter().chain(OF_HOST).collect();
        let distinct: BTreeSet<String> = listed.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(distinct.len(), listed.len(), "a setting is in both lists");
        assert_eq!(names, distinct);
    }

    #[test]
    fn what_a_patch_touches() {
        let check = |patch: Value, expected: &[&str]| {
            assert_eq!(of_host(patch.as_object().unwrap()), expected, "{patch}");
        };
        check(
            json!({ "stun": false, "waking": { "calls_per_second_max": 2 } }),
            &[],
        );
        check(json!({ "hosts": null, "stun": true }), &["hosts"]);
        check(
            json!({ "http_proxy": { "password": "x" } }),
            &["http_proxy"],
        );
        check(
            json!({ "waking": { "waiting_max": 1 } }),
            &["waking.waiting_max"],
        );
        let all = ["waking.calls_at_once_max", "waking.waiting_max"];
        check(json!({ "waking": null }), &all);
        check(json!({ "waking": 7 }), &all);
        check(json!({ "device_authentication": null, "unknown": 1 }), &[]);
    }
}
