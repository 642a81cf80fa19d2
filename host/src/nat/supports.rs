//! What devices support, by the names of their parameters: asked once per model and firmware.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use lru::LruCache;
use parking_lot::Mutex;

use crate::device::{DataModel, Management, Summary};

/// Models and firmwares that are remembered.
const MODELS_MAX: usize = 10_000;
/// The parameters of `ManagementServer` that decide how a device is reached, or are set for it.
const NAMES: [&str; 20] = [
    "ConnReqAllowedJabberIDs",
    "ConnReqJabberID",
    "ConnReqXMPPConnection",
    "ConnectionRequestPassword",
    "ConnectionRequestURL",
    "ConnectionRequestUsername",
    "NATDetected",
    "PeriodicInformEnable",
    "PeriodicInformInterval",
    "PeriodicInformTime",
    "STUNEnable",
    "STUNMaximumKeepAlivePeriod",
    "STUNMinimumKeepAlivePeriod",
    "STUNPassword",
    "STUNServerAddress",
    "STUNServerPort",
    "STUNUsername",
    "SupportedConnReqMethods",
    "UDPConnectionRequestAddress",
    "UDPConnectionRequestAddressNotificationLimit",
];

/// What every device of a kind has. In memory: each device's summary has its own copy.
pub struct Models {
    known: Mutex<LruCache<Model, String>>,
}

/// A model with its firmware.
type Model = (String, String, String, DataModel);

impl Default for Models {
    fn default() -> Models {
        let most = NonZeroUsize::new(MODELS_MAX).unwrap_or(NonZeroUsize::MIN);
        Models {
            known: Mutex::new(LruCache::new(most)),
        }
    }
}

impl Models {
    /// What another device with this firmware said.
    pub fn of(&self, device: &Summary) -> Option<Management> {
        let names = self.known.lock().get(&model(device)).cloned()?;
        Some(Management {
            software_version: device.software_version.clone(),
            names: Some(names),
            refused: BTreeSet::new(),
        })
    }

    /// Takes what a device said of itself; `None`: it would not.
    pub fn learn(&self, device: &Summary, names: Option<&[cwmp::ParameterInfo]>) -> Management {
        let names = names.map(|names| {
            let names = names.iter().filter_map(|name| name.path.rsplit('.').next());
            let names: Vec<&str> = names.filter(|name| NAMES.contains(name)).collect();
            names.join(" ")
        });
        // A device without a single one of them has not answered what it was asked.
        let names = names.filter(|names| !names.is_empty());
        if let Some(names) = &names {
            self.known.lock().put(model(device), names.clone());
        }
        Management {
            software_version: device.software_version.clone(),
            names,
            refused: BTreeSet::new(),
        }
    }
}

impl Management {
    /// Whether the device has this parameter; `None`: nobody knows.
    pub fn has(&self, name: &str) -> Option<bool> {
        if self.refused.contains(name) {
            return Some(false);
        }
        let names = self.names.as_ref()?;
        Some(names.split(' ').any(|known| known == name))
    }
}

fn model(device: &Summary) -> Model {
    (
        device.oui.clone(),
        device.product_class.clone(),
        device.software_version.clone(),
        device.data_model,
    )
}
