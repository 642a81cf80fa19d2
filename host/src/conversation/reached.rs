//! How a device reached the host.

use http::{HeaderMap, HeaderValue, header};

use crate::door::Peer;

/// How a device reached the host: by that it reaches its files too, unless told otherwise.
#[derive(Debug, Clone, Default)]
pub struct ReachedAt {
    host: Option<HeaderValue>,
    is_tls: bool,
    through_proxy: bool,
}

impl ReachedAt {
    /// By the headers of its Inform; a trusted proxy may tell what the device itself sent.
    pub fn of(headers: &HeaderMap, peer: Peer) -> ReachedAt {
        let host = peer.forwarded_host(headers);
        ReachedAt {
            host: host.or_else(|| headers.get(header::HOST).cloned()),
            is_tls: peer.tls,
            through_proxy: peer.through_proxy,
        }
    }

    /// Name or address of this very host, without port and brackets. `None`: it is not known,
    /// or the device came to a proxy, which takes HTTP and nothing else.
    pub fn own_host(&self) -> Option<&str> {
        if self.through_proxy {
            return None;
        }
        let host = self.usable_host()?;
        match host.strip_prefix('[') {
            Some(v6) => v6.split_once(']').map(|(address, _)| address),
            None => host.split(':').next(),
        }
    }

    /// The Host header, if it is one.
    fn usable_host(&self) -> Option<&str> {
        let host = self.host.as_ref()?.to_str().ok()?.trim();
        let usual = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        (!host.is_empty() && host.chars().all(usual)).then_some(host)
    }

    /// `http://host:port`; with `port`, of the listener for files. `None`: it is not known.
    pub(super) fn url(&self, port: Option<u16>) -> Option<String> {
        let host = self.usable_host()?;
        match port {
            None => Some(format!(
                "{}://{host}",
                if self.is_tls { "https" } else { "http" }
            )),
            Some(port) => {
                // The colons of an IPv6 address stand in brackets.
                let name_end = match host.rfind(']') {
                    Some(bracket) => bracket + 1,
                    None => host.find(':').unwrap_or(host.len()),
                };
                Some(format!("http://{}:{port}", host.get(..name_end)?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_device_reaches_its_files() {
        let url = |headers: &[(&str, &str)], through_proxy: bool, port: Option<u16>| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                let name: http::HeaderName = name.parse().unwrap();
                map.insert(name, value.parse().unwrap());
            }
            let ends = crate::door::Ends {
                tcp: std::net::IpAddr::from([10, 0, 0, 1]),
                stated: None,
                tls: false,
            };
            let trusted = ["10.0.0.0/8".parse().unwrap()];
            let trust = crate::door::Trust {
                proxies: if through_proxy { &trusted[..] } else { &[] },
                of_instance: &[],
                header: crate::config::ForwardedHeader::XForwardedFor,
            };
            let peer = Peer::of(ends, &map, trust);
            ReachedAt::of(&map, peer).url(port)
        };
        let own = [("host", "acs.example:7547")];
        assert_eq!(url(&own, false, None).unwrap(), "http://acs.example:7547");
        assert_eq!(
            url(&own, false, Some(7548)).unwrap(),
            "http://acs.example:7548"
        );
        let six = [("host", "[2001:db8::1]:7547")];
        assert_eq!(
            url(&six, false, Some(80)).unwrap(),
            "http://[2001:db8::1]:80"
        );
        let six = [("host", "[2001:db8::1]")];
        assert_eq!(
            url(&six, false, Some(80)).unwrap(),
            "http://[2001:db8::1]:80"
        );
        let proxied = [
            ("host", "10.0.0.9:7547"),
            ("x-forwarded-host", "acs.example"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(url(&proxied, true, None).unwrap(), "https://acs.example");
        // Anybody can write these headers.
        assert_eq!(url(&proxied, false, None).unwrap(), "http://10.0.0.9:7547");
        for host in ["", "a b", "x/../y", "a@b"] {
            assert_eq!(url(&[("host", host)], false, None), None, "{host}");
        }
        assert_eq!(url(&[], false, None), None);
        for (host, expected) in [
            ("acs.example:7547", "acs.example"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:db8::1]:7547", "2001:db8::1"),
        ] {
            let reached = ReachedAt {
                host: Some(host.parse().unwrap()),
                ..ReachedAt::default()
            };
            assert_eq!(reached.own_host(), Some(expected));
            let through_proxy = true;
            let reached = ReachedAt {
                through_proxy,
                ..reached
            };
            assert_eq!(reached.own_host(), None);
        }
    }
}
