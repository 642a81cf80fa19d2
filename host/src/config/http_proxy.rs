//! `[instance.http_proxy]`: connection requests through a proxy near the devices, and the addresses
//! that they leave from.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ConfigError;

/// `[instance.http_proxy]`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpProxy {
    /// Where it takes requests.
    #[schema(value_type = String)]
    pub address: HostAndPort,
    /// Who the ACS is to it, if it asks.
    pub username: Option<String>,
    /// `PATCHBAY_HTTP_PROXY_PASSWORD` in the environment goes before it.
    pub password: Option<String>,
}

impl std::fmt::Debug for HttpProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpProxy")
            .field("address", &self.address)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl HttpProxy {
    /// User name and password, if it has been given both.
    pub fn credentials(&self) -> Option<(&str, &str)> {
        Some((self.username.as_deref()?, self.password.as_deref()?))
    }

    pub(super) fn read_environment(&mut self) {
        if let Ok(password) = std::env::var("PATCHBAY_HTTP_PROXY_PASSWORD") {
            self.password = Some(password);
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.username.is_some() != self.password.is_some() {
            let (name, got) = match &self.username {
                Some(username) => ("instance.http_proxy.username", format!("{username:?}")),
                None => ("instance.http_proxy.password", "a password".to_owned()),
            };
            return Err(ConfigError::Value {
                name,
                got,
                expected: "username and password, or neither of them",
            });
        }
        let username = self.username.as_deref().unwrap_or("-");
        if username.is_empty() || username.contains(|c: char| c == ':' || c.is_control()) {
            return Err(ConfigError::Value {
                name: "instance.http_proxy.username",
                got: format!("{username:?}"),
                expected: "a name without a colon",
            });
        }
        Ok(())
    }
}

/// `proxy.example.net:3128`, `192.0.2.10:3128`, `[2001:db8::10]:3128`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAndPort {
    /// A name, or an address without brackets.
    pub host: String,
    /// Not 0.
    pub port: u16,
}

impl std::fmt::Display for HostAndPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl std::str::FromStr for HostAndPort {
    type Err = String;

    fn from_str(text: &str) -> Result<HostAndPort, String> {
        let parse = || {
            let (host, port) = text.rsplit_once(':')?;
            let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
            let host = match host.strip_prefix('[') {
                Some(v6) => {
                    let v6 = v6.strip_suffix(']')?;
                    v6.parse::<std::net::Ipv6Addr>().ok()?;
                    v6
                }
                None => host,
            };
            let is_name = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
            let is_host = host.contains(':') && text.starts_with('[') || host.chars().all(is_name);
            (!host.is_empty() && is_host).then(|| HostAndPort {
                host: host.to_owned(),
                port,
            })
        };
        parse()
            .ok_or_else(|| format!("expected host:port such as \"192.0.2.10:3128\", got {text:?}"))
    }
}

impl Serialize for HostAndPort {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HostAndPort {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<HostAndPort, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// `instance.connection_request_from`
pub(super) fn check_from(from: &[IpAddr]) -> Result<(), ConfigError> {
    let of_family = |v4: bool| from.iter().filter(|one| one.is_ipv4() == v4).count();
    let is_host = |one: &IpAddr| !one.is_unspecified() && !one.is_multicast();
    if of_family(true) <= 1 && of_family(false) <= 1 && from.iter().all(is_host) {
        return Ok(());
    }
    let all: Vec<String> = from.iter().map(IpAddr::to_string).collect();
    Err(ConfigError::Value {
        name: "instance.connection_request_from",
        got: format!("[{}]", all.join(", ")),
        expected: "one address of this host of each family at most",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for good in [
            "192.0.2.10:3128",
            "[2001:db8::1]:3128",
            "proxy.example.net:80",
        ] {
            let parsed: HostAndPort = good.parse().unwrap();
            assert_eq!(parsed.to_string(), good);
        }
        for bad in [
            "",
            "proxy",
            ":3128",
            "proxy:0",
            "proxy:70000",
            "http://proxy:3128",
            "proxy:3128/",
            "user@proxy:3128",
            "2001:db8::1:3128",
            "[proxy]:3128",
            "[2001:db8::1:3128",
        ] {
            let error = bad.parse::<HostAndPort>().unwrap_err();
            assert!(error.contains("expected host:port"), "{bad}: {error}");
        }
    }
}
