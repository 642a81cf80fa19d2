//! The guard: a connection request goes to an address that the *device* chose, so it must
//! not become a way to reach what only the ACS can reach (its own loopback, the cloud's
//! metadata service, the link).
//!
//! The address that was checked is the address that is called: a name is resolved here,
//! once, and every answer must pass. That holds through the instance's proxy too: it is asked for
//! the address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use cwmp::connection_request::{CallbackUrl, UrlError};

use crate::config::Network;

/// How long the DNS may take.
const RESOLVE_WAIT: Duration = Duration::from_secs(5);

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
    let resolve = async |name: &str| {
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    };
    check_with(url, allow, RESOLVE_WAIT, resolve).await
}

/// [`check`], with this DNS, which may take so long.
async fn check_with(
    url: &str,
    allow: &[Network],
    wait: Duration,
    resolve: impl AsyncFnOnce(&str) -> io::Result<Vec<IpAddr>>,
) -> Result<Target, GuardError> {
    let url = CallbackUrl::parse(url)?;
    let addresses = match url.host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => match tokio::time::timeout(wait, resolve(&url.host)).await {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(_)) | Err(_) => return Err(GuardError::Unresolved(url.host)),
        },
    };
    for address in &addresses {
        permit(*address, allow)?;
    }
    let address = *addresses.first().ok_or(GuardError::Unresolved(url.host))?;
    Ok(Target {
        address: SocketAddr::new(address.to_canonical(), url.port),
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
    /// Where Alibaba Cloud, Azure and Oracle Cloud keep metadata outside of link-local.
    const METADATA: [[u8; 4]; 3] = [[100, 100, 100, 200], [168, 63, 129, 16], [192, 0, 0, 192]];
    match address {
        a if a.is_loopback() => Some("a loopback address"),
        a if a.octets().first() == Some(&0) => Some("no address of a host"),
        a if a.is_link_local() => Some("a link-local or metadata address"),
        a if a.is_multicast() || a.is_broadcast() => Some("a multicast address"),
        a if METADATA.contains(&a.octets()) => Some("a metadata address"),
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
        // RFC 8215: where the IPv4 address stands in it only its network knows.
        a if a.segments().starts_with(&[0x64, 0xff9b, 1]) => {
            Some("an address that a translator of the ACS's own network makes IPv4 of")
        }
        METADATA => Some("a metadata address"),
        _ => None,
    }
}

/// Whether an address is one of a network that is not the Internet: RFC 1918, RFC 6598, RFC 4193.
pub fn is_private(address: IpAddr) -> bool {
    let v4 = |v4: Ipv4Addr| {
        let [first, second, ..] = v4.octets();
        v4.is_private() || (first == 100 && (64..128).contains(&second))
    };
    match address.to_canonical() {
        IpAddr::V4(address) => v4(address),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(address) => v4(address),
            None => address.is_unique_local(),
        },
    }
}

/// The IPv4 address inside an IPv4-compatible, IPv4-translated (RFC 2765), NAT64 (RFC 6052) or
/// 6to4 (RFC 3056) address.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(join(high, low)),
        [0, 0, 0, 0, 0xffff, 0, high, low] => Some(join(high, low)),
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
            "168.63.129.16",
            "192.0.0.192",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::7f00:1",
            "::ffff:0:127.0.0.1",
        ] {
            assert!(permit(address.parse().unwrap(), &[]).is_err(), "{address}");
        }
        for address in [
            "10.0.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "203.0.113.9",
            "2001:db8::1",
            // Networks of operators are numbered like this.
            "fd12:3456::1",
            "64:ff9b::c000:201",
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
        let target = check("http://[::ffff:192.0.2.1]:7547/x", &[])
            .await
            .unwrap();
        assert_eq!(target.address.to_string(), "192.0.2.1:7547");
        assert!(check("http://localhost:7547/", &[]).await.is_err());
        // As the system's own resolver reads addresses.
        for odd in ["127.1", "2130706433", "0x7f.0.0.1"] {
            let odd = format!("http://{odd}/");
            assert!(check(&odd, &[]).await.is_err(), "{odd}");
        }
        let zone = check("http://[fe80::1%25eth0]:7547/", &[]).await;
        assert!(
            matches!(zone, Err(GuardError::Forbidden { .. })),
            "{zone:?}"
        );
    }

    #[tokio::test]
    async fn every_address_of_a_name_is_checked() {
        let check = async |addresses: &[&str]| {
            let addresses: Vec<IpAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
            let resolve = async |name: &str| {
                assert_eq!(name, "cpe.example");
                Ok(addresses)
            };
            check_with("http://cpe.example:7547/cr", &[], RESOLVE_WAIT, resolve).await
        };
        let target = check(&["192.0.2.1", "2001:db8::1"]).await.unwrap();
        assert_eq!(target.address.to_string(), "192.0.2.1:7547");
        assert_eq!(target.authority, "cpe.example:7547");
        for both in [
            ["127.0.0.1", "192.0.2.1"],
            ["192.0.2.1", "127.0.0.1"],
            ["192.0.2.1", "::ffff:169.254.169.254"],
            ["2001:db8::1", "fe80::1"],
        ] {
            let refused = check(&both).await;
            assert!(
                matches!(refused, Err(GuardError::Forbidden { .. })),
                "{both:?}"
            );
        }
        let none = check(&[]).await;
        assert_eq!(none, Err(GuardError::Unresolved("cpe.example".into())));
    }

    #[tokio::test]
    async fn a_dns_that_never_answers() {
        let never = async |_: &str| std::future::pending().await;
        let refused = check_with("http://cpe.example/", &[], Duration::ZERO, never).await;
        assert_eq!(refused, Err(GuardError::Unresolved("cpe.example".into())));
    }
}
