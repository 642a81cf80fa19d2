//! The operator's rules.

use std::collections::BTreeMap;

use patchbay_plugin::value::typed;
use patchbay_plugin::{DataModel, Device, Error, Match, Parameter, Result, host};
use serde::Deserialize;

/// `[settings]` of `desired-state.toml`.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    #[serde(default, rename = "match")]
    devices: Devices,
    values: BTreeMap<String, Value>,
}

/// All that is given must fit; patterns with `*` and `?`. Empty = every device.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Devices {
    manufacturer: Option<String>,
    oui: Option<String>,
    product_class: Option<String>,
    software_version: Option<String>,
    hardware_version: Option<String>,
    provisioning_code: Option<String>,
    data_model: Option<Tree>,
    tags: Vec<String>,
    without_tags: Vec<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Tree {
    Tr098,
    Tr181,
}

/// A value whose type follows from how it is written, or is written beside it.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a value must be a text, a whole number, a boolean or { value = \"…\", type = \"…\" }"
)]
enum Value {
    Boolean(bool),
    Integer(i64),
    Text(String),
    Typed(Typed),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    value: String,
    r#type: String,
}

impl Settings {
    /// The operator's settings, or one sentence about what is wrong with them.
    pub(crate) fn read() -> Result<Self> {
        let settings: Self = host::settings()?;
        for (number, rule) in (1..).zip(&settings.rules) {
            rule.check()
                .map_err(|what| Error::new(format!("settings: rule {number}: {what}")))?;
        }
        Ok(settings)
    }

    /// What this device must have. Of two rules for one path the later holds.
    pub(crate) fn wanted(&self, device: &Device) -> Vec<Parameter> {
        let mut wanted = BTreeMap::new();
        for rule in self.rules.iter().filter(|rule| rule.devices.fit(device)) {
            for (path, value) in &rule.values {
                wanted.insert(path, value.at(path));
            }
        }
        wanted.into_values().collect()
    }
}

impl Rule {
    fn check(&self) -> std::result::Result<(), String> {
        if self.values.is_empty() {
            return Err("expected at least one value".into());
        }
        for path in self.values.keys() {
            // Without a root object it is a standard name, which the host makes the device's own.
            if !path.contains('.') || path.ends_with('.') || path.contains(['*', ' ']) {
                return Err(format!(
                    "expected a full parameter name such as Device.Time.NTPServer1 or Time.NTPServer1, got `{path}`"
                ));
            }
        }
        Ok(())
    }
}

impl Devices {
    fn fit(&self, device: &Device) -> bool {
        let identity = Match {
            manufacturer: self.manufacturer.clone(),
            oui: self.oui.clone(),
            product_class: self.product_class.clone(),
            software_version: self.software_version.clone(),
            hardware_version: self.hardware_version.clone(),
        };
        let tree = match device.data_model {
            DataModel::Tr098 => Tree::Tr098,
            DataModel::Tr181 => Tree::Tr181,
        };
        let code = self.provisioning_code.as_deref();
        identity.fits(device)
            && code.is_none_or(|code| {
                patchbay_plugin::device::wildcard(code, &device.provisioning_code)
            })
            && self.data_model.is_none_or(|wanted| wanted == tree)
            && self.tags.iter().all(|tag| device.has_tag(tag))
            && !self.without_tags.iter().any(|tag| device.has_tag(tag))
    }
}

impl Value {
    fn at(&self, path: &str) -> Parameter {
        match self {
            Self::Boolean(value) => patchbay_plugin::value::boolean(path, *value),
            Self::Integer(value) if *value < 0 => typed(path, value.to_string(), "int"),
            Self::Integer(value) => typed(path, value.to_string(), "unsignedInt"),
            Self::Text(value) => typed(path, value, "string"),
            Self::Typed(value) => typed(path, &value.value, &value.r#type),
        }
    }
}
