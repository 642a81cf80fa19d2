//! `[stun]`: reaching devices behind NAT by UDP.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// STUNServerAddress holds no more (TR-098, TR-181).
const STUN_HOST_BYTES_MAX: usize = 256;

/// `[stun]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stun {
    /// Whether devices behind NAT are reached by UDP.
    pub enabled: bool,
    /// Addresses to listen on; the standard's port is 3478. Devices are told the port of the first.
    pub listen: Vec<SocketAddr>,
    /// A second address and port of the same host for each family, for clients that ask what kind
    /// of NAT there is: each combination with the first of that family is listened on.
    pub second_listen: Vec<SocketAddr>,
    /// What devices are told; empty: the host of their ACS URL.
    pub host: String,
    /// The shortest time between two binding requests of a device.
    pub keepalive_seconds_min: u32,
    /// The longest time between two binding requests: no longer than the NATs remember.
    pub keepalive_seconds_max: u32,
    /// Requests of one source address (of IPv6: of a /64) that are answered in a second.
    pub requests_per_second_max: u32,
}

impl Default for Stun {
    fn default() -> Stun {
        Stun {
            enabled: true,
            listen: vec![
                SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, 3478)),
                SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 3478)),
            ],
            second_listen: Vec::new(),
            host: String::new(),
            keepalive_seconds_min: 20,
            keepalive_seconds_max: 60,
            requests_per_second_max: 5_000,
        }
    }
}

impl Stun {
    /// The second address that goes with a first one.
    pub fn second_of(&self, listen: SocketAddr) -> Option<SocketAddr> {
        let first = self
            .listen
            .iter()
            .find(|first| first.is_ipv4() == listen.is_ipv4());
        let second = self
            .second_listen
            .iter()
            .find(|second| second.is_ipv4() == listen.is_ipv4());
        second.copied().filter(|_| first == Some(&listen))
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let wrong = |name, got: String, expected| {
            Err(ConfigError::Value {
                name,
                got,
                expected,
            })
        };
        if self.enabled && self.listen.is_empty() {
            return wrong(
                "stun.listen",
                "[]".into(),
                "at least one address such as \"0.0.0.0:3478\", or stun.enabled = false",
            );
        }
        for second in &self.second_listen {
            let first = self
                .listen
                .iter()
                .find(|first| first.is_ipv4() == second.is_ipv4());
            let fits = first.is_some_and(|first| {
                let ips = [first.ip(), second.ip()];
                ips.iter().all(|ip| !ip.is_unspecified())
                    && first.ip() != second.ip()
                    && (first.port() != second.port() || first.port() == 0)
            });
            if !fits {
                return wrong(
                    "stun.second_listen",
                    second.to_string(),
                    "another address and another port than the first one of its family in stun.listen, both without wildcards",
                );
            }
        }
        let host = self.host.as_str();
        if host.len() > STUN_HOST_BYTES_MAX
            || host.contains(|c: char| c.is_whitespace() || c == '/')
        {
            return wrong(
                "stun.host",
                format!("{host:?}"),
                "a host name or an address",
            );
        }
        Ok(())
    }
}
