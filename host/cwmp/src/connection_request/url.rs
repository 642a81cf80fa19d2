//! Where a device takes connection requests (TR-069 §3.2.2).

use std::net::Ipv6Addr;

/// Longest ConnectionRequestURL (TR-069 allows 256).
const URL_BYTES_MAX: usize = 512;
/// The port of a URL that names none.
const DEFAULT_PORT: u16 = 80;

/// Why a connection request cannot go there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The device has not told a URL.
    #[error("the device has no ConnectionRequestURL")]
    None,
    /// Not a URL that a connection request can go to.
    #[error("expected a ConnectionRequestURL such as http://host:7547/path, got {0:?}")]
    Bad(String),
}

/// A ConnectionRequestURL taken apart, not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackUrl {
    /// A name or an address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The authority as written.
    pub authority: String,
    /// Path and query, never empty.
    pub path: String,
}

impl CallbackUrl {
    /// Takes the URL of an Inform apart. Plain HTTP only (TR-069 §3.2.2).
    pub fn parse(url: &str) -> Result<CallbackUrl, UrlError> {
        let url = url.trim();
        if url.is_empty() {
            return Err(UrlError::None);
        }
        let bad = || UrlError::Bad(url.chars().take(URL_BYTES_MAX).collect());
        if url.len() > URL_BYTES_MAX || url.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(bad());
        }
        let (scheme, rest) = url.split_once("://").ok_or_else(bad)?;
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(bad());
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        // What stands before an @ is a user name; it only hides where the request goes.
        if authority.contains('@') {
            return Err(bad());
        }
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => {
                let (host, rest) = v6.split_once(']').ok_or_else(bad)?;
                // A zone (`%eth0`) means link-local, which the guard refuses by its address.
                let host = host.split('%').next().unwrap_or_default();
                host.parse::<Ipv6Addr>().map_err(|_| bad())?;
                match rest.strip_prefix(':') {
                    None if !rest.is_empty() => return Err(bad()),
                    port => (host, port),
                }
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().ok().filter(|p| *p != 0).ok_or_else(bad)?,
            None => DEFAULT_PORT,
        };
        if host.is_empty() {
            return Err(bad());
        }
        Ok(CallbackUrl {
            host: host.to_owned(),
            port,
            authority: authority.to_owned(),
            path,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let parts = |url: &str| CallbackUrl::parse(url).map(|u| (u.host, u.port, u.path));
        let ok = |host: &str, port, path: &str| Ok((host.to_owned(), port, path.to_owned()));
        assert_eq!(
            parts("http://10.0.0.1:7547/abc"),
            ok("10.0.0.1", 7547, "/abc")
        );
        assert_eq!(parts("HTTP://10.0.0.1"), ok("10.0.0.1", 80, "/"));
        assert_eq!(
            parts("http://[2001:db8::1]:58000"),
            ok("2001:db8::1", 58000, "/")
        );
        assert_eq!(
            parts("http://cpe.example:7547?x=1"),
            ok("cpe.example", 7547, "/?x=1")
        );
        assert_eq!(parts("  http://10.0.0.1:1/ "), ok("10.0.0.1", 1, "/"));
        assert_eq!(parts(""), Err(UrlError::None));
        for bad in [
            "https://10.0.0.1/",
            "10.0.0.1",
            "http://",
            "http://:80/",
            "http://10.0.0.1:0/",
            "http://10.0.0.1:99999/",
            "http://good.example@127.0.0.1/",
            "http://[::1/",
            "http://10.0.0.1/a b",
            "http://10.0.0.1/\r\nX: y",
            "http://10.0.0.1/a\u{a0}b",
            "http://[2001:db8::1]0/",
            "gopher://10.0.0.1/",
        ] {
            assert!(matches!(parts(bad), Err(UrlError::Bad(_))), "{bad}");
        }
    }
}
