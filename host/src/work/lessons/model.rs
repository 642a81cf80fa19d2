//! What a lesson is learned of: all devices of one product and firmware.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::device::{Summary, encode_part};

/// Bytes of an id; longer ones end in a hash.
const ID_BYTES_MAX: usize = 200;

/// A product and its firmware. Another firmware is another model: it begins without lessons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// As devices name it.
    pub manufacturer: String,
    /// Upper-case.
    pub oui: String,
    /// May be empty.
    pub product_class: String,
    /// May be empty, where devices do not tell.
    pub software_version: String,
}

impl Model {
    /// The model of a device.
    pub fn of(device: &Summary) -> Model {
        Model {
            manufacturer: device.manufacturer.clone(),
            oui: device.oui.clone(),
            product_class: device.product_class.clone(),
            software_version: device.software_version.clone(),
        }
    }

    /// For people: `ZTE F600W V9.0`.
    pub fn title(&self) -> String {
        let parts = [
            &self.manufacturer,
            &self.product_class,
            &self.software_version,
        ];
        let parts: Vec<&str> = parts
            .into_iter()
            .map(|part| part.trim())
            .filter(|part| !part.is_empty())
            .collect();
        parts.join(" ")
    }
}

/// The id of a device's model in its instance: OUI (or manufacturer), product class and software
/// version, each part escaped as in a device's id.
pub(super) fn id(device: &Summary) -> Arc<str> {
    let maker = if device.oui.is_empty() {
        &device.manufacturer
    } else {
        &device.oui
    };
    let mut id = String::with_capacity(64);
    for part in [maker, &device.product_class, &device.software_version] {
        if !id.is_empty() {
            id.push('-');
        }
        encode_part(part.trim(), &mut id);
    }
    if id.len() > ID_BYTES_MAX {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let hash = format!("~{:016x}", hasher.finish());
        id.truncate(ID_BYTES_MAX - hash.len());
        id.push_str(&hash);
    }
    id.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_titles() {
        let mut device = Summary {
            manufacturer: "ZTE".into(),
            oui: "00AABB".into(),
            product_class: "F600W".into(),
            software_version: "V9.0/1".into(),
            ..Summary::default()
        };
        assert_eq!(&*id(&device), "00AABB-F600W-V9~2E0~2F1");
        assert_eq!(Model::of(&device).title(), "ZTE F600W V9.0/1");
        device.oui.clear();
        assert_eq!(&*id(&device), "ZTE-F600W-V9~2E0~2F1");
        device.software_version = "/".repeat(100);
        assert_eq!(id(&device).len(), ID_BYTES_MAX);
    }
}
