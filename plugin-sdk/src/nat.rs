//! Whether a device is behind NAT, as far as addresses and experience can tell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::policy::{Facts, Mode};

/// A verdict with its reason, half a sentence for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nat {
    /// Whether a direct connection request has no chance.
    pub behind: bool,
    /// What it follows from.
    pub why: String,
    /// Only experience says so: by its addresses it could be asked directly, so that is worth another try.
    pub by_experience: bool,
}

impl Facts {
    /// Whether the device is behind NAT. What the device itself says and an address nobody can reach settle it;
    /// then experience counts (did direct requests open sessions?), then the addresses are compared.
    pub fn nat(&self) -> Nat {
        let url = self.connection_request_url.trim();
        if self
            .extra("nat-detected")
            .is_some_and(|value| matches!(value, "1" | "true"))
        {
            return behind("the device says so (NATDetected)");
        }
        let Some(host) = host_of(url) else {
            return behind(match url {
                "" => "it gave no connection request URL".into(),
                url => format!("its connection request URL is unusable ({url})"),
            });
        };
        let address = parse(host);
        let peer = parse(&self.peer_address);
        if let Some(address) = address.filter(|address| !is_reachable(*address)) {
            return behind(format!(
                "nobody can reach {address}, the address in its connection request URL"
            ));
        }
        if let (Some(address), Some(peer)) = (address, peer)
            && !is_public(address)
            && is_public(peer)
        {
            return behind(format!(
                "it gives the private address {address} but comes from {peer}"
            ));
        }
        if self.proven(Mode::DirectHttp) {
            return direct("a direct connection request has opened a session");
        }
        let nat = self.compare(host, address, peer);
        // What has opened sessions before may fail because the device is off; what never did says something.
        let never_opened = self
            .history_of(Mode::DirectHttp)
            .is_some_and(|history| history.opened == 0);
        if !nat.behind && never_opened && self.keeps_failing(Mode::DirectHttp) {
            return Nat {
                by_experience: true,
                ..behind("direct connection requests never opened a session")
            };
        }
        nat
    }

    /// By addresses alone.
    fn compare(&self, host: &str, address: Option<IpAddr>, peer: Option<IpAddr>) -> Nat {
        let Some(peer) = peer else {
            return direct(format!("nothing contradicts {host}"));
        };
        let wan: Vec<_> = self
            .wan_addresses
            .iter()
            .filter_map(|text| parse(text))
            .collect();
        let same_family: Vec<_> = wan
            .iter()
            .filter(|own| own.is_ipv4() == peer.is_ipv4())
            .collect();
        if is_public(peer)
            && !same_family.is_empty()
            && !same_family.iter().any(|own| is_public(**own))
        {
            return behind(format!(
                "its WAN addresses are private but it comes from {peer}"
            ));
        }
        match address {
            Some(address) if address == peer && self.through_proxy && !is_public(peer) => direct(
                format!("{peer} is its own address, as far as a proxy's word goes"),
            ),
            Some(address) if address == peer => {
                direct(format!("it comes from {peer}, its own address"))
            }
            // Informs over IPv6, listens on IPv4, or the other way round: no contradiction.
            Some(address) if address.is_ipv4() != peer.is_ipv4() => {
                direct(format!("it comes from {peer} and listens on {address}"))
            }
            // It listens on another of its own addresses.
            Some(_) if wan.contains(&peer) => direct(format!("{peer} is one of its WAN addresses")),
            Some(address) => behind(format!(
                "it gives the address {address} but comes from {peer}"
            )),
            None => direct(format!("it gives the name {host}")),
        }
    }
}

fn behind(why: impl Into<String>) -> Nat {
    Nat {
        behind: true,
        why: why.into(),
        by_experience: false,
    }
}

fn direct(why: impl Into<String>) -> Nat {
    Nat {
        behind: false,
        why: why.into(),
        by_experience: false,
    }
}

/// The host of an http URL without brackets; `None` if it is none.
fn host_of(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => v6.split_once(']')?,
        None => authority
            .find(':')
            .map_or((authority, ""), |colon| authority.split_at(colon)),
    };
    let port_ok = match port.strip_prefix(':') {
        Some(digits) => digits.parse::<u16>().is_ok_and(|port| port != 0),
        None => port.is_empty(),
    };
    (port_ok && !host.is_empty() && !host.contains(char::is_whitespace)).then_some(host)
}

/// An address, alone, in brackets, with a zone or a port; IPv4 in IPv6 as IPv4.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(socket) = text.parse::<std::net::SocketAddr>() {
        return Some(socket.ip().to_canonical());
    }
    let text = text.trim_start_matches('[').trim_end_matches(']');
    let text = text.split_once('%').map_or(text, |(address, _)| address);
    text.parse::<IpAddr>()
        .ok()
        .map(|address| address.to_canonical())
}

/// Not an address that only means something on the device itself or on its cable.
fn is_reachable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !(v4.is_unspecified() || v4.is_broadcast() || v4.is_multicast() || v4.is_link_local())
        }
        IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local()),
    }
}

/// Neither private nor CGNAT nor the loopback.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            is_reachable(address) && !v4.is_private() && !v4.is_loopback() && !is_cgnat(v4)
        }
        IpAddr::V6(v6) => is_reachable(address) && !v6.is_loopback() && !is_unique_local(v6),
    }
}

/// 100.64.0.0/10 (RFC 6598).
fn is_cgnat(address: Ipv4Addr) -> bool {
    let [a, b, _, _] = address.octets();
    a == 100 && (64..128).contains(&b)
}

/// fc00::/7 (RFC 4193).
fn is_unique_local(address: Ipv6Addr) -> bool {
    let [first, ..] = address.octets();
    first & 0xfe == 0xfc
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::History;

    fn facts(peer: &str, url: &str) -> Facts {
        Facts {
            peer_address: peer.into(),
            connection_request_url: url.into(),
            ..Facts::default()
        }
    }

    fn history(opened: u32, failed_in_a_row: u32) -> Vec<History> {
        vec![History {
            mode: Mode::DirectHttp,
            attempts: opened + failed_in_a_row,
            opened,
            failed_in_a_row,
            last_opened: None,
        }]
    }

    #[test]
    fn addresses() {
        for (peer, url, is_behind) in [
            ("203.0.113.7", "http://203.0.113.7:7547/x", false),
            ("203.0.113.7:40000", "http://203.0.113.7:7547/x", false),
            ("::ffff:203.0.113.7", "http://203.0.113.7/", false),
            ("2001:db8::7", "http://[2001:db8::7]:7547/", false),
            ("203.0.113.7", "http://198.51.100.1:7547/", true),
            ("203.0.113.7", "http://192.168.1.1:7547/", true),
            ("203.0.113.7", "http://100.64.3.4:7547/", true),
            ("203.0.113.7", "http://100.128.3.4:7547/", true),
            ("203.0.113.7", "http://0.0.0.0:7547/", true),
            ("203.0.113.7", "http://127.0.0.1:7547/", true),
            ("127.0.0.1", "http://127.0.0.1:7547/", false),
            ("10.0.0.7", "http://10.0.0.7:7547/", false),
            ("10.0.0.1", "http://10.0.0.7:7547/", true),
            ("2001:db8::7", "http://203.0.113.7:7547/", false),
            ("2001:db8::7", "http://10.0.0.7:7547/", true),
            ("203.0.113.7", "http://[fe80::1]:7547/", true),
            ("203.0.113.7", "http://[fd00::1]:7547/", true),
            ("203.0.113.7", "http://cpe7.example.net:7547/", false),
            ("203.0.113.7", "", true),
            ("203.0.113.7", "http://", true),
            ("203.0.113.7", "http://:7547/", true),
            ("203.0.113.7", "http://203.0.113.7:0/", true),
            ("203.0.113.7", "udp://203.0.113.7:7547/", true),
            ("", "http://203.0.113.7:7547/", false),
        ] {
            let nat = facts(peer, url).nat();
            assert_eq!(nat.behind, is_behind, "{peer} {url}: {}", nat.why);
        }
    }

    #[test]
    fn wan_addresses() {
        let wan = |own: &[&str], facts: Facts| Facts {
            wan_addresses: own.iter().map(ToString::to_string).collect(),
            ..facts
        };
        let named = || facts("203.0.113.7", "http://cpe7.example.net:7547/");
        assert!(wan(&["10.1.1.1"], named()).nat().behind);
        assert!(!wan(&["10.1.1.1", "203.0.113.7"], named()).nat().behind);
        // A second WAN interface: the URL is another of its own addresses.
        let second = || facts("203.0.113.7", "http://198.51.100.1:7547/");
        assert!(!wan(&["203.0.113.7", "198.51.100.1"], second()).nat().behind);
    }

    #[test]
    fn the_device_knows_best() {
        let mut facts = facts("203.0.113.7", "http://203.0.113.7:7547/");
        facts.extra = vec![("nat-detected".into(), "1".into())];
        assert!(facts.nat().behind);
    }

    /// T2 of the mission: the operator's proxy reports the private address that the device gives, too.
    #[test]
    fn equal_private_addresses_through_a_proxy_are_no_proof() {
        let mut facts = facts("192.168.1.7", "http://192.168.1.7:7547/");
        facts.through_proxy = true;
        assert!(!facts.nat().behind, "not known better yet");
        facts.history = history(0, 2);
        assert!(!facts.nat().behind);
        facts.history = history(0, 3);
        assert!(facts.nat().behind);
    }

    #[test]
    fn experience_beats_a_comparison_but_not_a_private_address() {
        let mut differs = facts("203.0.113.7", "http://198.51.100.1:7547/");
        differs.history = history(1, 0);
        assert!(!differs.nat().behind);
        differs.history = history(5, 10);
        assert!(differs.nat().behind);
        let mut same = facts("203.0.113.7", "http://203.0.113.7:7547/");
        same.history = history(5, 10);
        assert!(!same.nat().behind, "it may just have been off");
        same.history = history(0, 3);
        assert!(same.nat().behind && same.nat().by_experience);
        let mut private = facts("203.0.113.7", "http://192.168.1.1:7547/");
        private.history = history(5, 0);
        assert!(private.nat().behind, "that was before it moved");
    }
}
