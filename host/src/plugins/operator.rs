//! The operator's part of a plugin: `<plugin>.toml` beside `<plugin>.wasm`.
//!
//! ```toml
//! enabled = true
//! instances = ["north"]          # only for these; absent = all
//! priority = 50                  # instead of the plugin's own; among policies the highest decides
//! isolation = "session"          # a fresh instance for every call or flow; default "reuse"
//! lookup = ["http://10.0.0.5:8080/crm/"]
//!
//! [[matches]]                    # narrower than the plugin's own
//! manufacturer = "ZTE*"
//!
//! [budgets]
//! memory_bytes = 33554432
//!
//! [settings]                     # the plugin reads these as JSON
//!
//! [settings_of.north]            # laid over them for the devices of an instance
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::limits::{Limits, TICK};
use super::lookup::Allowed;
use super::matching::DeviceMatch;
use super::written;

/// A `<plugin>.toml`, checked.
#[derive(Debug, Clone)]
pub(super) struct Operator {
    pub(super) enabled: bool,
    pub(super) instances: Option<Vec<String>>,
    pub(super) priority: Option<i32>,
    /// A fresh instance for every call.
    pub(super) fresh_instances: bool,
    pub(super) lookup: Vec<Allowed>,
    pub(super) matches: Vec<DeviceMatch>,
    pub(super) limits: Limits,
    /// JSON text.
    pub(super) settings: String,
    /// By instance, whole: JSON text.
    pub(super) settings_of: BTreeMap<Box<str>, Arc<str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default = "yes")]
    enabled: bool,
    instances: Option<Vec<String>>,
    priority: Option<i32>,
    #[serde(default)]
    isolation: Isolation,
    #[serde(default)]
    lookup: Vec<toml::Spanned<String>>,
    #[serde(default)]
    matches: Vec<FileMatch>,
    #[serde(default)]
    budgets: Budgets,
    #[serde(default)]
    settings: toml::Table,
    #[serde(default)]
    settings_of: BTreeMap<Box<str>, toml::Table>,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Isolation {
    #[default]
    Reuse,
    Session,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileMatch {
    manufacturer: Option<String>,
    oui: Option<String>,
    product_class: Option<String>,
    software_version: Option<String>,
    hardware_version: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Budgets {
    memory_bytes: Option<usize>,
    call_milliseconds: Option<u32>,
    flow_milliseconds: Option<u32>,
    rpcs_per_session: Option<u32>,
    host_calls: Option<u32>,
    log_lines: Option<u32>,
    calls_in_flight: Option<u32>,
    flows_in_flight: Option<u32>,
    warm_instances: Option<usize>,
    lookup_milliseconds: Option<u32>,
}

fn yes() -> bool {
    true
}

impl Operator {
    /// What holds without a file.
    pub(super) fn absent(defaults: &Limits) -> Operator {
        Operator {
            enabled: true,
            instances: None,
            priority: None,
            fresh_instances: false,
            lookup: Vec::new(),
            matches: Vec::new(),
            limits: defaults.clone(),
            settings: "{}".to_owned(),
            settings_of: BTreeMap::new(),
        }
    }

    /// An error is one line that names the line in the file and what was expected.
    pub(super) fn parse(text: &str, defaults: &Limits) -> Result<Operator, String> {
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| line_of(text, span.start));
            let message = error.message().replace('\n', " ");
            line.map_or_else(|| message.clone(), |line| format!("line {line}: {message}"))
        })?;
        let lookup = file
            .lookup
            .iter()
            .map(|url| {
                Allowed::parse(url.get_ref()).map_err(|error| {
                    format!("line {}: lookup: {error}", line_of(text, url.span().start))
                })
            })
            .collect::<Result<_, _>>()?;
        let limits = file.budgets.apply(defaults).map_err(|(name, error)| {
            let place = ["budgets".to_owned(), name.to_owned()];
            match written::line(text, &place) {
                Some(line) => format!("line {line}: {error}"),
                None => error,
            }
        })?;
        let settings_of = file.settings_of.into_iter().map(|(instance, own)| {
            let mut whole = file.settings.clone();
            whole.extend(own);
            (instance, json(toml::Value::Table(whole)).to_string().into())
        });
        let settings_of = settings_of.collect();
        let settings = json(toml::Value::Table(file.settings));
        Ok(Operator {
            enabled: file.enabled,
            instances: file.instances,
            priority: file.priority,
            fresh_instances: file.isolation == Isolation::Session,
            lookup,
            matches: file.matches.into_iter().map(FileMatch::checked).collect(),
            limits,
            settings: settings.to_string(),
            settings_of,
        })
    }

    pub(super) fn has_settings(&self) -> bool {
        self.settings != "{}" || !self.settings_of.is_empty()
    }

    pub(super) fn is_for(&self, instance: &str) -> bool {
        self.instances
            .as_ref()
            .is_none_or(|names| names.iter().any(|name| name == instance))
    }
}

impl FileMatch {
    fn checked(self) -> DeviceMatch {
        DeviceMatch {
            manufacturer: self.manufacturer,
            oui: self.oui,
            product_class: self.product_class,
            software_version: self.software_version,
            hardware_version: self.hardware_version,
        }
    }
}

impl Budgets {
    /// An error is the name of the budget and a sentence.
    fn apply(self, defaults: &Limits) -> Result<Limits, (&'static str, String)> {
        let milliseconds = |given: Option<u32>, default| {
            given.map_or(default, |ms| Duration::from_millis(u64::from(ms)))
        };
        let mut limits = Limits {
            memory_bytes_max: self.memory_bytes.unwrap_or(defaults.memory_bytes_max),
            call_deadline: milliseconds(self.call_milliseconds, defaults.call_deadline),
            flow_deadline: milliseconds(self.flow_milliseconds, defaults.flow_deadline),
            rpcs_max: self.rpcs_per_session.unwrap_or(defaults.rpcs_max),
            host_calls_max: self.host_calls.unwrap_or(defaults.host_calls_max),
            log_lines_max: self.log_lines.unwrap_or(defaults.log_lines_max),
            calls_in_flight_max: self.calls_in_flight.unwrap_or(defaults.calls_in_flight_max),
            flows_in_flight_max: self.flows_in_flight.unwrap_or(defaults.flows_in_flight_max),
            warm_max: self.warm_instances.unwrap_or(defaults.warm_max),
            lookup_timeout: milliseconds(self.lookup_milliseconds, defaults.lookup_timeout),
            ..defaults.clone()
        };
        // Half of what it may have, so that an engine with a big heap of its own stays warm too.
        limits.warm_memory_bytes_max = limits
            .warm_memory_bytes_max
            .max(limits.memory_bytes_max / 2);
        let range = |name: &'static str, value: usize, least: usize, most: usize| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                let text = format!("budgets.{name} is {value}; expected {least} to {most}");
                Err((name, text))
            }
        };
        let count = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let ms = |time: Duration| usize::try_from(time.as_millis()).unwrap_or(usize::MAX);
        let tick = ms(TICK);
        range(
            "memory_bytes",
            limits.memory_bytes_max,
            64 << 10,
            super::engine::MEMORY_BYTES_MAX,
        )?;
        range("call_milliseconds", ms(limits.call_deadline), tick, 10_000)?;
        range("flow_milliseconds", ms(limits.flow_deadline), tick, 60_000)?;
        range("rpcs_per_session", count(limits.rpcs_max), 0, 100_000)?;
        range("host_calls", count(limits.host_calls_max), 1, 10_000_000)?;
        range(
            "calls_in_flight",
            count(limits.calls_in_flight_max),
            1,
            10_000,
        )?;
        range(
            "flows_in_flight",
            count(limits.flows_in_flight_max),
            1,
            100_000,
        )?;
        range("warm_instances", limits.warm_max, 0, 10_000)?;
        range("lookup_milliseconds", ms(limits.lookup_timeout), 1, 60_000)?;
        Ok(limits)
    }
}

/// The line, from 1 on, that a byte of a text is in.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

/// TOML as JSON; times become their text.
pub(super) fn json(value: toml::Value) -> serde_json::Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(yes) => yes.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(values) => values.into_iter().map(json).collect(),
        toml::Value::Table(table) => serde_json::Value::Object(
            table
                .into_iter()
                .map(|(name, value)| (name, json(value)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Operator, String> {
        Operator::parse(text, &Limits::default())
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let error = parse(text).expect_err("parsed");
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn empty_is_the_default() {
        let operator = parse("").unwrap();
        assert!(operator.enabled && operator.is_for("any") && !operator.fresh_instances);
        assert_eq!(operator.settings, "{}");
        assert_eq!(operator.limits.rpcs_max, Limits::default().rpcs_max);
    }

    #[test]
    fn everything() {
        let operator = parse(
            "enabled = false\ninstances = ['north']\npriority = 7\nisolation = 'session'\n\
             lookup = ['http://crm.example:8080/api/']\n[[matches]]\noui = '00AABB'\n\
             [budgets]\nmemory_bytes = 1048576\nrpcs_per_session = 5\n\
             [settings]\nssid = 'home'\nsince = 2024-01-02\nnested = { deep = [1, true] }\n",
        )
        .unwrap();
        assert!(!operator.enabled && operator.fresh_instances);
        assert!(operator.is_for("north") && !operator.is_for("south"));
        assert_eq!(operator.matches.len(), 1);
        assert_eq!(operator.limits.memory_bytes_max, 1 << 20);
        assert_eq!(operator.limits.rpcs_max, 5);
        let settings: serde_json::Value = serde_json::from_str(&operator.settings).unwrap();
        assert_eq!(settings["nested"]["deep"][1], true);
        assert_eq!(settings["since"], "2024-01-02");
    }

    #[test]
    fn settings_of_an_instance_lie_over_the_others() {
        let text = "[settings]\nssid = 'home'\nband = 5\n[settings_of.north]\nssid = 'north'\n";
        let operator = Operator::parse(text, &Limits::default()).unwrap();
        let north: serde_json::Value =
            serde_json::from_str(&operator.settings_of["north"]).unwrap();
        assert_eq!(north, serde_json::json!({ "ssid": "north", "band": 5 }));
        assert!(!operator.settings.contains("north"));
    }

    #[test]
    fn errors_name_the_line_and_what_was_expected() {
        refused(
            "enabled = true\nenable = 1\n",
            "line 2: unknown field `enable`, expected one of `enabled`",
        );
        refused(
            "\n\nisolation = 'none'\n",
            "line 3: unknown variant `none`, expected `reuse` or `session`",
        );
        refused(
            "instances = 'north'\n",
            "line 1: invalid type: string \"north\", expected a sequence",
        );
        refused("a = \n", "line 1");
        refused(
            "[budgets]\nmemory_bytes = 1\n",
            "line 2: budgets.memory_bytes is 1; expected 65536 to",
        );
        refused(
            "enabled = true\nlookup = ['https://crm.example/']",
            "line 2: lookup: https:// is not supported",
        );
    }
}
