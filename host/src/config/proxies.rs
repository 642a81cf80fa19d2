//! How the proxies before the host say where a device comes from.

use serde::{Deserialize, Serialize};

use super::{ConfigError, Cwmp};

/// The header that the trusted proxies write. The other one is the client's own word, passed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// X-Forwarded-For, with X-Forwarded-Proto and X-Forwarded-Host.
    #[default]
    XForwardedFor,
    /// Forwarded (RFC 7239).
    Forwarded,
}

/// Whether connections begin with a header of the PROXY protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyProtocol {
    /// None does.
    #[default]
    Off,
    /// Those of trusted proxies may.
    Optional,
    /// All do, and all come from trusted proxies.
    Required,
}

pub(super) fn check(cwmp: &Cwmp) -> Result<(), ConfigError> {
    if cwmp.proxy_protocol != ProxyProtocol::Off && cwmp.trusted_proxies.is_empty() {
        return Err(ConfigError::Value {
            name: "cwmp.proxy_protocol",
            got: format!("{:?}", cwmp.proxy_protocol).to_lowercase(),
            expected: "cwmp.trusted_proxies to name whose word is believed, or \"off\"",
        });
    }
    Ok(())
}
