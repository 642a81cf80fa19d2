//! `http://host:port/path`: as much of a URL as a device needs.

/// An `http` URL, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// `host:port`, the port always there; IPv6 in brackets.
    pub address: String,
    /// As the Host header says it.
    pub host: String,
    /// Path and query, at least `/`.
    pub target: String,
}

impl Url {
    /// `None`: no `http` URL, or none that can be used.
    pub fn parse(url: &str) -> Option<Url> {
        let rest = url.trim().strip_prefix("http://")?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        if host.is_empty() {
            return None;
        }
        let has_port = match host.rsplit_once(':') {
            Some((_, port)) => !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()),
            None => false,
        };
        let address = if has_port {
            host.to_owned()
        } else {
            format!("{}:80", host.trim_end_matches(':'))
        };
        let target = match target.strip_prefix('?') {
            Some(query) => format!("/?{query}"),
            None if target.is_empty() => "/".to_owned(),
            None => target.to_owned(),
        };
        Some(Url {
            address,
            host: host.to_owned(),
            target,
        })
    }

    /// Where a Location header leads.
    pub(crate) fn join(&self, location: &str) -> Option<Url> {
        if location.starts_with('/') && !location.starts_with("//") {
            return Some(Url {
                target: location.to_owned(),
                ..self.clone()
            });
        }
        Url::parse(location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_url() {
        let cases = [
            ("http://acs/", Some(("acs:80", "acs", "/"))),
            ("http://acs:7547", Some(("acs:7547", "acs:7547", "/"))),
            (
                "http://a:b@acs:7547/i/x?y=1#z",
                Some(("acs:7547", "acs:7547", "/i/x?y=1")),
            ),
            (
                "http://[::1]:7547/x",
                Some(("[::1]:7547", "[::1]:7547", "/x")),
            ),
            ("http://[::1]", Some(("[::1]:80", "[::1]", "/"))),
            ("http://acs?ts=1", Some(("acs:80", "acs", "/?ts=1"))),
            ("https://acs/", None),
            ("http://", None),
        ];
        for (url, parts) in cases {
            let parsed = Url::parse(url);
            let parsed = parsed
                .as_ref()
                .map(|url| (&*url.address, &*url.host, &*url.target));
            assert_eq!(parsed, parts, "{url}");
        }
    }
}
