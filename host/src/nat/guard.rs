//! The guard: a connection request goes to an address that the *device* chose, so it must
//! not become a way to reach what only the ACS can reach (its own loopback, the cloud's
//! metadata service, the link).
//!
//! The address that was checked is the address that is called: a name is resolved here,
//! once, and every answer must pass.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use cwmp::connection_request::{CallbackUrl, UrlError};

use crate::config::Network;

/// Where a connection request goes, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The address to connect to.
    pub address: SocketAddr,
    /// The Host header.
    pub authority: String,
    /// Path and query, never empty.
    pub path: String,
}

/// Why a connection request is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// The device has told no URL, or none that a connection request can go to.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The name does not resolve.
    #[error("the host {0:?} of the ConnectionRequestURL does not resolve")]
    Unresolved(String),
    /// An address that a device has no business to name.
    #[error(
        "{address} is {kind}: connection requests do not go there \
         (connection_request_allow in [instance] can allow it for laboratories)"
    )]
    Forbidden {
        /// The address.
        address: IpAddr,
        /// What it is.
        kind: &'static str,
    },
}

/// Resolves and checks a ConnectionRequestURL.
pub async fn check(url: &str, allow: &[Network]) -> Result<Target, GuardError> {
    let url = CallbackUrl::parse(url)?;
    let addresses: Vec<SocketAddr> = match url.host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, url.port)],
        Err(_) => tokio::net::lookup_host((url.host.as_str(), url.port))
            .await
            .map_err(|_| GuardError::Unresolved(url.host.clone()))?
            .collect(),
    };
    for address in &addresses {
        permit(address.ip(), allow)?;
    }
    let address = *addresses.first().ok_or(GuardError::Unresolved(url.host))?;
    Ok(Target {
        address,
        authority: url.authority,
        path: url.path,
    })
}

/// Whether a connection request may go to this address.
pub fn permit(address: IpAddr, allow: &[Network]) -> Result<(), GuardError> {
    if allow.iter().any(|network| network.contains(address)) {
        return Ok(());
    }
    match forbidden(address) {
        Some(kind) => Err(GuardError::Forbidden { address, kind }),
        None => Ok(()),
    }
}

fn forbidden(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(v4) => forbidden_v4(v4),
        IpAddr::V6(v6) => match embedded_v4(v6) {
            Some(v4) => forbidden_v4(v4),
            None => forbidden_v6(v6),
        },
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<&'static str> {
    /// Where Alibaba Cloud keeps its metadata; the others' is link-local.
    const METADATA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
    match address {
        a if a.is_loopback() => Some("a loopback address"),
        a if a.octets().first() == Some(&0) => Some("no address of a host"),
        a if a.is_link_local() => Some("a link-local or metadata address"),
        a if a.is_multicast() || a.is_broadcast() => Some("a multicast address"),
        METADATA => Some("a metadata address"),
        _ => None,
    }
}

fn forbidden_v6(address: Ipv6Addr) -> Option<&'static str> {
    /// Where Amazon keeps its metadata over IPv6.
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address {
        a if a.is_loopback() => Some("a loopback address"),
        a if a.is_unspecified() => Some("no address of a host"),
        a if a.is_unicast_link_local() => Some("a link-local address"),
        a if a.is_multicast() => Some("a multicast address"),
        METADATA => Some("a metadata address"),
        _ => None,
    }
}

/// The IPv4 address inside an IPv4-compatible, NAT64 (RFC 6052) or 6to4 (RFC 3056) address.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(join(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(join(high, low)),
        [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

fn join(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_addresses_in_all_their_forms() {
        for address in [
            "127.0.0.1",
            "127.255.0.9",
            "0.0.0.0",
            "169.254.169.254",
            "100.100.100.200",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:a9fe:a9fe",
            "64:ff9b::7f00:1",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::",
            "::127.0.0.1",
        ] {
            assert!(permit(address.parse().unwrap(), &[]).is_err(), "{address}");
        }
        for address in [
            "10.0.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "203.0.113.9",
            "2001:db8::1",
        ] {
            assert_eq!(permit(address.parse().unwrap(), &[]), Ok(()), "{address}");
        }
    }

    #[test]
    fn a_laboratory_may_allow_its_own() {
        let allow = ["127.0.0.0/8".parse().unwrap()];
        assert_eq!(permit("127.0.0.1".parse().unwrap(), &allow), Ok(()));
        assert_eq!(permit("::ffff:127.0.0.1".parse().unwrap(), &allow), Ok(()));
        assert!(permit("169.254.169.254".parse().unwrap(), &allow).is_err());
    }

    #[tokio::test]
    async fn the_checked_address_is_the_called_one() {
        let target = check("http://192.0.2.1:7547/x", &[]).await.unwrap();
        assert_eq!(target.address.to_string(), "192.0.2.1:7547");
        assert!(check("http://localhost:7547/", &[]).await.is_err());
    }
}
