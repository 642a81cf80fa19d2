//! A small memory that outlives the session: per plugin and device.

use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Error, Result};

/// What was kept under the key; `None` when nothing, or nothing that fits the type any more.
pub fn get<T: DeserializeOwned>(key: &str) -> Option<T> {
    serde_json::from_slice(&import::get(key)?).ok()
}

/// Keeps a value as JSON. Fails when over the plugin's quota.
pub fn set<T: Serialize + ?Sized>(key: &str, value: &T) -> Result {
    let bytes = serde_json::to_vec(value).map_err(|error| Error::new(error.to_string()))?;
    import::set(key, &bytes).map_err(Error::from)
}

/// Forgets a key.
pub fn remove(key: &str) {
    import::remove(key);
}

#[cfg(target_family = "wasm")]
use crate::bindings::memory as import;
#[cfg(not(target_family = "wasm"))]
use crate::testing::memory as import;
