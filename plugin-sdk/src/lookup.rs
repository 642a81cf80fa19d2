//! Questions to the operator's other systems, over the addresses that the operator allowed in `<plugin>.toml`.

pub use crate::bindings::lookup::{Answer, Error, Query};
use crate::error::{Error as PluginError, Result};

/// Sends a query as it is.
pub fn send(query: &Query) -> std::result::Result<Answer, Error> {
    import::send(query)
}

/// GET, JSON in the answer. Any status but 200 is an error that names it.
pub fn get_json<T: serde::de::DeserializeOwned>(url: &str) -> Result<T> {
    let query = Query {
        method: "GET".into(),
        url: url.into(),
        headers: vec![("accept".into(), "application/json".into())],
        body: Vec::new(),
    };
    let answer = send(&query).map_err(|error| match error {
        Error::NotAllowed => {
            PluginError::new(format!("{url} is not allowed in the plugin's `lookup`"))
        }
        Error::Timeout => PluginError::new(format!("{url} did not answer in time")),
        Error::Failed(why) => PluginError::new(format!("{url}: {why}")),
    })?;
    if answer.status != 200 {
        return Err(PluginError::new(format!(
            "{url} answered with status {}",
            answer.status
        )));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|error| PluginError::new(format!("{url} answered with something else: {error}")))
}

#[cfg(target_family = "wasm")]
use crate::bindings::lookup as import;
#[cfg(not(target_family = "wasm"))]
use crate::testing::lookup as import;
