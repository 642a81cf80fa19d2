//! Who is at the other end: the TCP peer, or what a trusted proxy says of it.

use std::net::IpAddr;

use http::HeaderMap;

use crate::config::Network;

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The client, after the trusted proxies' word.
    pub address: IpAddr,
    /// A trusted proxy stands between: the TCP connection may carry several devices.
    pub through_proxy: bool,
    /// The client's connection is TLS, here or at the trusted proxy.
    pub tls: bool,
}

impl Peer {
    /// Takes the right-most address of X-Forwarded-For that is not a trusted proxy itself:
    /// what stands left of it was written by the client and may be a lie.
    ///
    /// `tls`: the connection to this host is.
    pub fn of(tcp: IpAddr, tls: bool, headers: &HeaderMap, trusted: &[Network]) -> Peer {
        let tcp = tcp.to_canonical();
        let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
        if trusted.is_empty() || !is_trusted(tcp) {
            return Peer {
                address: tcp,
                through_proxy: false,
                tls,
            };
        }
        let mut address = tcp;
        let hops = headers.get_all("x-forwarded-for").iter().rev();
        let hops = hops
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.rsplit(','));
        for hop in hops {
            let Some(hop) = parse_hop(hop) else { break };
            address = hop;
            if !is_trusted(hop) {
                break;
            }
        }
        Peer {
            address,
            through_proxy: true,
            tls: last(headers, "x-forwarded-proto").map_or(tls, |scheme| scheme == "https"),
        }
    }
}

/// The last word of a header: that of the nearest proxy.
fn last(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    let word = value.rsplit(',').next()?;
    Some(word.trim().to_ascii_lowercase())
}

/// `192.0.2.1`, `192.0.2.1:1234`, `2001:db8::1`, `[2001:db8::1]:1234`.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Ok(address) = text.parse::<std::net::SocketAddr>() {
        return Some(address.ip().to_canonical());
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    inner
        .parse::<IpAddr>()
        .ok()
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(tcp: &str, forwarded: &[&str], trusted: &[&str]) -> (String, bool) {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<Network> = trusted.iter().map(|n| n.parse().unwrap()).collect();
        let peer = Peer::of(tcp.parse().unwrap(), false, &headers, &trusted);
        (peer.address.to_string(), peer.through_proxy)
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let direct = |a: &str| (a.to_owned(), false);
        let proxied = |a: &str| (a.to_owned(), true);
        assert_eq!(peer("192.0.2.1", &["6.6.6.6"], &[]), direct("192.0.2.1"));
        assert_eq!(
            peer("192.0.2.1", &["6.6.6.6"], &["10.0.0.0/8"]),
            direct("192.0.2.1")
        );
        assert_eq!(
            peer("10.0.0.1", &["6.6.6.6, 192.0.2.9"], &["10.0.0.0/8"]),
            proxied("192.0.2.9")
        );
        assert_eq!(
            peer("10.0.0.1", &["192.0.2.9, 10.0.0.2"], &["10.0.0.0/8"]),
            proxied("192.0.2.9")
        );
        assert_eq!(
            peer("10.0.0.1", &["6.6.6.6", "192.0.2.9"], &["10.0.0.0/8"]),
            proxied("192.0.2.9")
        );
        assert_eq!(peer("10.0.0.1", &[], &["10.0.0.0/8"]), proxied("10.0.0.1"));
        assert_eq!(
            peer("10.0.0.1", &["junk"], &["10.0.0.0/8"]),
            proxied("10.0.0.1")
        );
        assert_eq!(
            peer("::ffff:10.0.0.1", &["[2001:db8::1]:9"], &["10.0.0.0/8"]),
            proxied("2001:db8::1")
        );
    }

    #[test]
    fn only_a_trusted_proxy_says_that_it_was_tls() {
        let tls = |tcp: &str, here: bool, proto: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-proto", proto.parse().unwrap());
            let trusted = ["10.0.0.0/8".parse().unwrap()];
            Peer::of(tcp.parse().unwrap(), here, &headers, &trusted).tls
        };
        assert!(tls("10.0.0.1", false, "HTTPS"));
        assert!(tls("10.0.0.1", false, "http, https"));
        assert!(!tls("10.0.0.1", true, "http"));
        assert!(!tls("192.0.2.1", false, "https"));
        assert!(tls("192.0.2.1", true, "http"));
    }
}
