//! Who is at the other end: the TCP peer, or what a trusted proxy says of it.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use super::forwarded::{self, Hop};
use crate::config::{Cwmp, ForwardedHeader, Network};
use crate::instance::Instance;

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The client, after the trusted proxies' word.
    pub address: IpAddr,
    /// The other end of the TCP connection: the client, or a proxy.
    pub tcp: IpAddr,
    /// Who says so.
    pub word: Word,
    /// A trusted proxy stands between: the TCP connection may carry several devices.
    pub through_proxy: bool,
    /// The client's connection is TLS, here or at the trusted proxy.
    pub tls: bool,
    /// Which headers of its requests are a trusted proxy's; `None`: all are its own.
    pub believed: Option<ForwardedHeader>,
}

/// Whose word it is where a client comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// The TCP connection's.
    #[default]
    Connection,
    /// A trusted proxy's, in the PROXY protocol.
    ProxyProtocol,
    /// A trusted proxy's, in X-Forwarded-For.
    XForwardedFor,
    /// A trusted proxy's, in Forwarded.
    Forwarded,
}

/// A connection as the host sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// Its other end.
    pub tcp: IpAddr,
    /// What a trusted proxy has said in the PROXY protocol of who its client is.
    pub stated: Option<IpAddr>,
    /// It is TLS.
    pub tls: bool,
}

impl Ends {
    /// The nearest client: who has sent what is in the connection, as far as it is known without
    /// looking into it.
    pub fn client(self) -> IpAddr {
        self.stated.unwrap_or(self.tcp).to_canonical()
    }
}

/// Which proxies are believed, and which header of theirs.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'c> {
    /// The proxies of all instances.
    pub proxies: &'c [Network],
    /// Those of the instance.
    pub of_instance: &'c [Network],
    /// The header.
    pub header: ForwardedHeader,
}

impl<'c> Trust<'c> {
    /// What holds before it is known which instance a request is for: `instance` is `None`.
    pub(crate) fn new(config: &'c Cwmp, instance: Option<&'c Instance>) -> Trust<'c> {
        let of_instance = instance.map(|instance| instance.settings.trusted_proxies.as_slice());
        Trust {
            proxies: &config.trusted_proxies,
            of_instance: of_instance.unwrap_or_default(),
            header: config.forwarded_header,
        }
    }

    pub(super) fn trusts(self, address: IpAddr) -> bool {
        let mut proxies = self.proxies.iter().chain(self.of_instance);
        proxies.any(|network| network.contains(address))
    }
}

impl Peer {
    /// Takes the right-most address that is not a trusted proxy itself: what stands left of it
    /// was written by the client and may be a lie.
    pub fn of(ends: Ends, headers: &HeaderMap, trust: Trust) -> Peer {
        let mut peer = Peer {
            address: ends.client(),
            tcp: ends.tcp.to_canonical(),
            word: match ends.stated {
                Some(_) => Word::ProxyProtocol,
                None => Word::Connection,
            },
            through_proxy: ends.stated.is_some(),
            tls: ends.tls,
            believed: None,
        };
        if !trust.trusts(peer.address) {
            return peer;
        }
        peer.through_proxy = true;
        peer.believed = Some(trust.header);
        match trust.header {
            ForwardedHeader::XForwardedFor => {
                let hops = x_forwarded_for(headers);
                peer.follow(hops.map(|client| (client, ())), Word::XForwardedFor, trust);
                if let Some(scheme) = last(headers, "x-forwarded-proto") {
                    peer.tls = scheme == "https";
                }
            }
            ForwardedHeader::Forwarded => {
                let hops = forwarded::hops(headers).map(|hop| (hop.client, hop));
                let believed = peer.follow(hops, Word::Forwarded, trust);
                if let Some(scheme) = believed.and_then(|hop| hop.proto) {
                    peer.tls = scheme == "https";
                }
            }
        }
        peer
    }

    /// Goes from proxy to proxy as long as they are trusted and say whom they speak for. The last
    /// word that was believed.
    fn follow<T>(
        &mut self,
        hops: impl Iterator<Item = (Option<IpAddr>, T)>,
        word: Word,
        trust: Trust,
    ) -> Option<T> {
        let mut believed = None;
        for (client, hop) in hops {
            let Some(client) = client else { break };
            self.address = client;
            self.word = word;
            believed = Some(hop);
            if !trust.trusts(client) {
                break;
            }
        }
        believed
    }

    /// The Host that the client has sent, by a trusted proxy's word.
    pub fn forwarded_host(self, headers: &HeaderMap) -> Option<HeaderValue> {
        match self.believed? {
            ForwardedHeader::Forwarded => {
                let is_its = |hop: &Hop| hop.client == Some(self.address);
                let host = forwarded::hops(headers).find(is_its)?.host?;
                HeaderValue::from_str(&host).ok()
            }
            ForwardedHeader::XForwardedFor => headers.get("x-forwarded-host").cloned(),
        }
    }
}

/// The nearest proxy's first; `None`: no address.
fn x_forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let values = headers.get_all("x-forwarded-for").iter().rev();
    let values = values.filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.rsplit(',').map(address))
}

/// The last word of a header: that of the nearest proxy.
fn last(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    let word = value.rsplit(',').next()?;
    Some(word.trim().to_ascii_lowercase())
}

/// `192.0.2.1`, `192.0.2.1:1234`, `2001:db8::1`, `[2001:db8::1]:1234`.
pub(super) fn address(text: &str) -> Option<IpAddr> {
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

    const TRUSTED: [&str; 1] = ["10.0.0.0/8"];

    fn networks(trusted: &[&str]) -> Vec<Network> {
        trusted.iter().map(|n| n.parse().unwrap()).collect()
    }

    fn ends(tcp: &str, stated: Option<&str>) -> Ends {
        Ends {
            tcp: tcp.parse().unwrap(),
            stated: stated.map(|stated| stated.parse().unwrap()),
            tls: false,
        }
    }

    fn headers(values: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn peer(tcp: &str, forwarded: &[&str], trusted: &[&str]) -> (String, bool) {
        let values: Vec<_> = forwarded.iter().map(|v| ("x-forwarded-for", *v)).collect();
        let proxies = networks(trusted);
        let trust = Trust {
            proxies: &proxies,
            of_instance: &[],
            header: ForwardedHeader::XForwardedFor,
        };
        let peer = Peer::of(ends(tcp, None), &headers(&values), trust);
        assert_eq!(peer.tcp, tcp.parse::<IpAddr>().unwrap().to_canonical());
        (peer.address.to_string(), peer.through_proxy)
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let direct = |a: &str| (a.to_owned(), false);
        let proxied = |a: &str| (a.to_owned(), true);
        for (tcp, forwarded, trusted, expected) in [
            ("192.0.2.1", &["6.6.6.6"][..], &[][..], direct("192.0.2.1")),
            ("192.0.2.1", &["6.6.6.6"], &TRUSTED, direct("192.0.2.1")),
            (
                "10.0.0.1",
                &["6.6.6.6, 192.0.2.9"],
                &TRUSTED,
                proxied("192.0.2.9"),
            ),
            (
                "10.0.0.1",
                &["192.0.2.9, 10.0.0.2"],
                &TRUSTED,
                proxied("192.0.2.9"),
            ),
            (
                "10.0.0.1",
                &["6.6.6.6", "192.0.2.9"],
                &TRUSTED,
                proxied("192.0.2.9"),
            ),
            ("10.0.0.1", &[], &TRUSTED, proxied("10.0.0.1")),
            ("10.0.0.1", &["junk"], &TRUSTED, proxied("10.0.0.1")),
            (
                "::ffff:10.0.0.1",
                &["[2001:db8::1]:9"],
                &TRUSTED,
                proxied("2001:db8::1"),
            ),
        ] {
            assert_eq!(
                peer(tcp, forwarded, trusted),
                expected,
                "{tcp} {forwarded:?}"
            );
        }
    }

    #[test]
    fn only_a_trusted_proxy_says_that_it_was_tls() {
        let tls = |tcp: &str, here: bool, proto: &str| {
            let proxies = networks(&TRUSTED);
            let trust = Trust {
                proxies: &proxies,
                of_instance: &[],
                header: ForwardedHeader::XForwardedFor,
            };
            let ends = Ends {
                tls: here,
                ..ends(tcp, None)
            };
            Peer::of(ends, &headers(&[("x-forwarded-proto", proto)]), trust).tls
        };
        assert!(tls("10.0.0.1", false, "HTTPS"));
        assert!(tls("10.0.0.1", false, "http, https"));
        assert!(!tls("10.0.0.1", true, "http"));
        assert!(!tls("192.0.2.1", false, "https"));
        assert!(tls("192.0.2.1", true, "http"));
    }

    #[test]
    fn the_one_header_that_the_proxies_write() {
        let check = |header, values: &[(&'static str, &str)]| {
            let proxies = networks(&TRUSTED);
            let trust = Trust {
                proxies: &proxies,
                of_instance: &[],
                header,
            };
            let headers = headers(values);
            let peer = Peer::of(ends("10.0.0.1", None), &headers, trust);
            let host = peer.forwarded_host(&headers);
            let host = host.map(|host| host.to_str().unwrap().to_owned());
            (peer.address.to_string(), peer.word, peer.tls, host)
        };
        // The client has written the other one, and the proxy passed it on.
        let both = [
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-host", "x.example"),
            ("forwarded", "for=192.0.2.2;proto=https;host=f.example"),
        ];
        assert_eq!(
            check(ForwardedHeader::XForwardedFor, &both),
            (
                "192.0.2.1".into(),
                Word::XForwardedFor,
                false,
                Some("x.example".into())
            )
        );
        assert_eq!(
            check(ForwardedHeader::Forwarded, &both),
            (
                "192.0.2.2".into(),
                Word::Forwarded,
                true,
                Some("f.example".into())
            )
        );
        // Two proxies: what the device has sent is the far one's to say.
        let chain = [(
            "forwarded",
            "for=6.6.6.6;host=lie, for=192.0.2.2;proto=https;host=far, for=10.0.0.2;proto=http;host=near",
        )];
        assert_eq!(
            check(ForwardedHeader::Forwarded, &chain),
            (
                "192.0.2.2".into(),
                Word::Forwarded,
                true,
                Some("far".into())
            )
        );
        // A proxy that hides its client: what stands left of it is not asked.
        let hidden = [("forwarded", "for=6.6.6.6, for=_hidden")];
        assert_eq!(
            check(ForwardedHeader::Forwarded, &hidden),
            ("10.0.0.1".into(), Word::Connection, false, None)
        );
    }

    #[test]
    fn what_the_proxy_protocol_states() {
        let check = |tcp, stated, forwarded: &str| {
            let proxies = networks(&TRUSTED);
            let trust = Trust {
                proxies: &proxies,
                of_instance: &[],
                header: ForwardedHeader::XForwardedFor,
            };
            let headers = headers(&[
                ("x-forwarded-for", forwarded),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "x.example"),
            ]);
            let peer = Peer::of(ends(tcp, Some(stated)), &headers, trust);
            assert!(peer.through_proxy);
            let host = peer.forwarded_host(&headers).is_some();
            (peer.address.to_string(), peer.word, peer.tls, host)
        };
        // Its client's headers are the client's own.
        assert_eq!(
            check("10.0.0.1", "192.0.2.7", "6.6.6.6"),
            ("192.0.2.7".into(), Word::ProxyProtocol, false, false)
        );
        // Its client is another proxy of ours.
        assert_eq!(
            check("10.0.0.1", "10.0.0.2", "192.0.2.8"),
            ("192.0.2.8".into(), Word::XForwardedFor, true, true)
        );
    }
}
