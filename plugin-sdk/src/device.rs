//! Which device is at the other end, and which devices a plugin is for.

pub use crate::bindings::types::{DataModel, Device, Event};

/// Which devices a plugin is for: all given patterns must match. `*` stands for any text, `?` for one character;
/// upper and lower case are the same.
///
/// ```ignore
/// Match::any().manufacturer("ZTE*").product_class("F6*")
/// ```
pub use crate::bindings::matching::DeviceMatch as Match;

impl Device {
    /// The root object of the device's tree with its dot: `Device.` (TR-181) or `InternetGatewayDevice.` (TR-098).
    pub fn root(&self) -> &'static str {
        match self.data_model {
            DataModel::Tr181 => "Device.",
            DataModel::Tr098 => "InternetGatewayDevice.",
        }
    }

    /// A path that both trees have below their roots: `device.path("DeviceInfo.UpTime")`.
    pub fn path(&self, below_root: &str) -> String {
        format!("{}{below_root}", self.root())
    }

    /// Whether the device carries the tag.
    pub fn has_tag(&self, name: &str) -> bool {
        self.tags.iter().any(|tag| tag == name)
    }
}

/// A TR-181 device without a name: for tests, to be filled in with `..Default::default()`.
impl Default for Device {
    fn default() -> Self {
        Self {
            id: String::new(),
            manufacturer: String::new(),
            oui: String::new(),
            product_class: String::new(),
            serial_number: String::new(),
            software_version: String::new(),
            hardware_version: String::new(),
            data_model: DataModel::Tr181,
            provisioning_code: String::new(),
            tags: Vec::new(),
            extra: Vec::new(),
        }
    }
}

impl Match {
    /// Every device.
    pub const fn any() -> Self {
        Self {
            manufacturer: None,
            oui: None,
            product_class: None,
            software_version: None,
            hardware_version: None,
        }
    }

    /// The Inform's Manufacturer.
    pub fn manufacturer(self, pattern: &str) -> Self {
        Self {
            manufacturer: Some(pattern.into()),
            ..self
        }
    }

    /// The Inform's OUI, six hexadecimal digits.
    pub fn oui(self, pattern: &str) -> Self {
        Self {
            oui: Some(pattern.into()),
            ..self
        }
    }

    /// The Inform's ProductClass.
    pub fn product_class(self, pattern: &str) -> Self {
        Self {
            product_class: Some(pattern.into()),
            ..self
        }
    }

    /// `DeviceInfo.SoftwareVersion`.
    pub fn software_version(self, pattern: &str) -> Self {
        Self {
            software_version: Some(pattern.into()),
            ..self
        }
    }

    /// `DeviceInfo.HardwareVersion`.
    pub fn hardware_version(self, pattern: &str) -> Self {
        Self {
            hardware_version: Some(pattern.into()),
            ..self
        }
    }

    /// Whether the device is one of these: the host's own rule, for plugins that sort devices themselves.
    pub fn fits(&self, device: &Device) -> bool {
        [
            (&self.manufacturer, &device.manufacturer),
            (&self.oui, &device.oui),
            (&self.product_class, &device.product_class),
            (&self.software_version, &device.software_version),
            (&self.hardware_version, &device.hardware_version),
        ]
        .into_iter()
        .all(|(pattern, text)| {
            pattern
                .as_deref()
                .is_none_or(|pattern| wildcard(pattern, text))
        })
    }
}

/// Whether the text is what the pattern says: `*` for any text, `?` for one character, case ignored (ASCII).
pub fn wildcard(pattern: &str, text: &str) -> bool {
    let mut pattern_at = pattern.chars();
    let mut text_at = text.chars();
    // Where to go on when what followed the last `*` did not fit: one character further.
    let mut retry = None;
    loop {
        let text_before = text_at.clone();
        match (pattern_at.next(), text_at.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                text_at = text_before.clone();
                retry = Some((pattern_at.clone(), text_before));
                if pattern_at.as_str().is_empty() {
                    return true;
                }
                continue;
            }
            (Some('?'), Some(_)) => continue,
            (Some(p), Some(t)) if p.eq_ignore_ascii_case(&t) => continue,
            _ => {}
        }
        let Some((after_star, from)) = &mut retry else {
            return false;
        };
        if from.next().is_none() {
            return false;
        }
        pattern_at = after_star.clone();
        text_at = from.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, text, fits) in [
            ("", "", true),
            ("*", "", true),
            ("ZTE*", "zte corporation", true),
            ("ZTE*", "AZTE", false),
            ("F6?0", "F660", true),
            ("F6?0", "F60", false),
            ("*a*b", "xxaxxab", true),
            ("*a*b", "xxaxxa", false),
            ("TD-W9970", "TD-W9970", true),
            ("TD-W9970", "TD-W9970B", false),
            ("a**c", "abbc", true),
            ("a*?", "a", false),
        ] {
            assert_eq!(wildcard(pattern, text), fits, "{pattern} on {text}");
        }
    }

    #[test]
    fn all_given_patterns_must_fit() {
        let device = Device {
            manufacturer: "ZTE".into(),
            product_class: "F660".into(),
            ..Device::default()
        };
        assert!(Match::any().fits(&device));
        assert!(
            Match::any()
                .manufacturer("zte")
                .product_class("F6*")
                .fits(&device)
        );
        assert!(
            !Match::any()
                .manufacturer("zte")
                .product_class("F7*")
                .fits(&device)
        );
    }
}
