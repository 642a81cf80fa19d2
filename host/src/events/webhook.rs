//! A webhook: where events go, signed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::EVENTS;
use crate::config::Network;
use crate::device::UnixTime;
use crate::nat::guard;
use crate::query::Query;

/// Characters of a URL, and of a header.
const TEXT_CHARS_MAX: usize = 2_000;
/// Characters of a secret: fewer can be guessed.
const SECRET_CHARS: std::ops::RangeInclusive<usize> = 16..=256;
/// Headers beside ours.
const HEADERS_MAX: usize = 16;

/// What an operator says of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// http or https.
    pub url: String,
    /// Which events, in the query language; empty: all of the instance.
    #[serde(default)]
    pub query: String,
    /// What the signature is made with.
    pub secret: String,
    /// Whether events go there.
    pub enabled: bool,
    /// Headers of each request beside ours.
    #[serde(default)]
    pub headers: std::collections::BTreeMap<String, String>,
}

impl Webhook {
    /// Its query.
    ///
    /// # Errors
    /// A sentence that says what was expected and what came.
    pub fn check(&self, allow: &[Network]) -> Result<Query, String> {
        let url = self.url.parse::<Url>();
        // Not the URL itself: there may be a key in it, and the text goes into the audit log.
        let url = url.map_err(|error| format!("expected a URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(format!(
                "expected a URL of http or https, got one of {:?}",
                url.scheme()
            ));
        }
        if self.url.chars().count() > TEXT_CHARS_MAX {
            return Err(format!(
                "expected a URL of at most {TEXT_CHARS_MAX} characters"
            ));
        }
        check_literal(&url, allow)?;
        let length = self.secret.chars().count();
        if !SECRET_CHARS.contains(&length) {
            return Err(format!(
                "expected a secret of 16 to 256 characters, got {length}"
            ));
        }
        if self.headers.len() > HEADERS_MAX {
            return Err(format!("expected at most {HEADERS_MAX} headers"));
        }
        for (name, value) in &self.headers {
            let lower = name.to_ascii_lowercase();
            let is_ours = lower.starts_with("x-patchbay") || lower == "content-type";
            let is_wire = ["host", "content-length", "transfer-encoding", "connection"];
            if is_ours || is_wire.contains(&&*lower) {
                return Err(format!("the header {name:?} is set by the host itself"));
            }
            let is_header = http::HeaderName::try_from(name.as_str()).is_ok()
                && http::HeaderValue::try_from(value.as_str()).is_ok();
            if !is_header || value.chars().count() > TEXT_CHARS_MAX {
                return Err(format!("expected a header, got {name:?}"));
            }
        }
        Query::parse_for(&EVENTS, &self.query).map_err(|error| error.to_string())
    }

    /// The URL up to the end of the host and port, and what follows, with whatever stands before an
    /// `@`: receivers have their keys in either.
    pub fn split_url(&self) -> (String, String) {
        let url = self.url.as_str();
        let start = url.find("://").map_or(0, |scheme| scheme + 3);
        let (scheme, rest) = (url.get(..start), url.get(start..));
        let (scheme, rest) = (scheme.unwrap_or_default(), rest.unwrap_or_default());
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = (rest.get(..end), rest.get(end..));
        let (authority, path) = (authority.unwrap_or_default(), path.unwrap_or_default());
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        (
            format!("{scheme}{host}"),
            format!("{user}{}", path.trim_start_matches('/')),
        )
    }

    /// The signature of a body that leaves now: HMAC-SHA256 over the time, a dot and the body.
    pub fn signature(&self, at: UnixTime, body: &[u8]) -> String {
        // A key of any length will do.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()) else {
            return String::new();
        };
        mac.update(at.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        format!("v1={}", crate::store::hex(&mac.finalize().into_bytes()))
    }
}

/// An address in the URL itself is not looked up.
///
/// # Errors
/// A sentence if nothing may go there.
pub(super) fn check_literal(url: &Url, allow: &[Network]) -> Result<(), String> {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => permit(address, allow),
        Err(_) => Ok(()),
    }
}

/// Whether events may go to this address: not to what only the host can reach, unless the
/// operator says so.
fn permit(address: IpAddr, allow: &[Network]) -> Result<(), String> {
    if allow.iter().any(|network| network.contains(address)) {
        return Ok(());
    }
    if guard::permit(address, &[]).is_err() || guard::is_private(address) {
        return Err(format!(
            "events do not go to {address}: it is no public address (webhooks.allow can allow it)"
        ));
    }
    Ok(())
}

/// Looks names up and refuses forbidden addresses: the address that was checked is the one that
/// is connected to.
pub(super) struct GuardedResolver {
    /// Networks that are allowed although they are not public.
    pub(super) allow: Arc<[Network]>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow = Arc::clone(&self.allow);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> = found.collect();
            for address in &addresses {
                permit(address.ip(), &allow)?;
            }
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(url: &str) -> Webhook {
        Webhook {
            url: url.to_owned(),
            query: String::new(),
            secret: "a-secret-of-the-test".to_owned(),
            enabled: true,
            headers: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn what_of_a_url_may_be_a_secret() {
        for (url, host, rest) in [
            ("https://a.example", "https://a.example", ""),
            ("https://a.example/", "https://a.example", ""),
            (
                "https://a.example:8/T0/key?x=1",
                "https://a.example:8",
                "T0/key?x=1",
            ),
            ("http://me:pw@a.example?k", "http://a.example", "me:pw?k"),
            ("http://[2001:db8::1]:8/k", "http://[2001:db8::1]:8", "k"),
        ] {
            let split = webhook(url).split_url();
            assert_eq!(split, (host.to_owned(), rest.to_owned()), "{url}");
        }
    }

    #[test]
    fn events_go_to_public_addresses_only_unless_allowed() {
        for url in [
            "http://127.0.0.1/",
            "http://[::1]:8080/",
            "http://10.1.2.3/",
            "https://192.168.1.1/",
            "http://172.16.0.1/",
            "http://100.64.0.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://[fd00::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[64:ff9b::a00:1]/",
            "http://2130706433/",
            "http://0x7f.1/",
        ] {
            assert!(webhook(url).check(&[]).is_err(), "{url}");
        }
        let allow = ["10.0.0.0/8".parse().unwrap()];
        assert!(webhook("http://10.1.2.3/").check(&allow).is_ok());
        for url in ["https://example.com/hook", "http://203.0.113.9:8080/"] {
            assert!(webhook(url).check(&[]).is_ok(), "{url}");
        }
        for url in [
            "ftp://example.com/",
            "example.com",
            "file:///etc/passwd",
            "",
        ] {
            assert!(webhook(url).check(&[]).is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_of_the_host_itself_is_refused_when_it_is_looked_up() {
        let resolver = |allow: &[Network]| GuardedResolver {
            allow: allow.into(),
        };
        let name = || "localhost".parse::<Name>().unwrap();
        assert!(resolver(&[]).resolve(name()).await.is_err());
        let loopback = ["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        assert!(resolver(&loopback).resolve(name()).await.is_ok());
    }

    #[test]
    fn a_signature_is_that_of_rfc_2104() {
        // As `printf '17.{}' | openssl dgst -sha256 -hmac a-secret-of-the-test` has it.
        let signature = webhook("http://x/").signature(17, b"{}");
        let expected = "v1=a2109e8c33d4f8aa4ff9fec7f0a8c6eb9847f169b52ba2e05c486a83dbbc1906";
        assert_eq!(signature, expected);
    }

    #[test]
    fn headers_that_are_ours_are_refused() {
        for name in ["Host", "X-Patchbay-Signature", "content-type", "a b"] {
            let mut hook = webhook("http://203.0.113.9/");
            hook.headers.insert(name.to_owned(), "x".to_owned());
            assert!(hook.check(&[]).is_err(), "{name}");
        }
    }
}
