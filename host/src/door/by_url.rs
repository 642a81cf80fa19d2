//! Sessions by URL, for devices whose sessions neither a cookie nor a connection tells apart.
//!
//! Such a device keeps no cookies, and opens a connection for each POST or stands behind a proxy
//! whose connections carry many. Its Inform is redirected (307) to a URL that holds the token of
//! its session, and a redirected device stays with that URL to the session's end (TR-069 §3.4.3).
//! Nobody else knows the token, so this is as safe as the cookie. The client's address proves
//! nothing: several devices may share it. It only teaches which device is to be redirected, by
//! POSTs that belong to nobody.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Uri, header};
use lru::LruCache;
use parking_lot::Mutex;

use super::{Peer, Token};
use crate::Acs;
use crate::device::DeviceKey;
use crate::store::DeviceCell;

/// Redirects that are remembered.
const REDIRECTS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);
/// A device that comes back sooner without the URL it was given does not follow redirects.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(10);
/// A search goes through all sessions.
const SEARCHES_PER_SECOND_MAX: u32 = 20;
/// Name of the query parameter.
const NAME: &str = "session";

/// Redirects whose Inform has not come yet.
#[derive(Debug)]
pub struct ByUrl {
    redirected: Mutex<LruCache<DeviceKey, (Token, Instant)>>,
    searches: Mutex<(Option<Instant>, u32)>,
}

impl Default for ByUrl {
    fn default() -> ByUrl {
        ByUrl {
            redirected: Mutex::new(LruCache::new(REDIRECTS_MAX)),
            searches: Mutex::default(),
        }
    }
}

/// How an Inform goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The session begins, with this token.
    Begin(Token),
    /// The Inform has to come again, to the URL with this token.
    Redirect(Token),
}

/// The token in a request's target.
pub(super) fn token(uri: &Uri) -> Option<Token> {
    uri.query()?.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (name == NAME).then(|| Token::parse(value)).flatten()
    })
}

/// Where a device is redirected to: the path that it knows, at the host that it knows.
pub(super) fn location(token: Token, uri: &Uri, headers: &HeaderMap, peer: Peer) -> String {
    let host = headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .or_else(|| uri.authority().map(http::uri::Authority::as_str));
    let base = match host {
        Some(host) if peer.tls => format!("https://{host}"),
        Some(host) => format!("http://{host}"),
        None => String::new(),
    };
    format!("{base}{}?{NAME}={}", uri.path(), token.to_text())
}

impl ByUrl {
    /// Which token the session of this Inform gets. `cell` is of the device, if it is known.
    pub(super) fn step(
        &self,
        acs: &Acs,
        device: &DeviceKey,
        cell: Option<&Arc<DeviceCell>>,
        uri: &Uri,
        now: Instant,
    ) -> Step {
        let Some(cell) = cell.filter(|cell| cell.lock().summary().session_by_url) else {
            return Step::Begin(Token::random());
        };
        let mut redirected = self.redirected.lock();
        match redirected.pop(device) {
            Some((token, _)) if self::token(uri) == Some(token) => return Step::Begin(token),
            Some((_, at)) if now.saturating_duration_since(at) < FOLLOWED_WITHIN => {
                drop(redirected);
                tracing::warn!(%device, "the device does not follow the redirect to its session");
                learn(acs, cell, false);
                return Step::Begin(Token::random());
            }
            _ => {}
        }
        let token = Token::random();
        redirected.push(device.clone(), (token, now));
        Step::Redirect(token)
    }

    /// A message came that belongs to no session and says of none: perhaps its device is one of
    /// those that have just informed from there.
    pub(super) fn stray(&self, acs: &Acs, peer: Peer, now: Instant) {
        {
            let mut searches = self.searches.lock();
            let is_recent =
                |began: Instant| now.saturating_duration_since(began) < Duration::from_secs(1);
            if !searches.0.is_some_and(is_recent) {
                *searches = (Some(now), 0);
            }
            if searches.1 >= SEARCHES_PER_SECOND_MAX {
                return;
            }
            searches.1 += 1;
        }
        for open in acs.sessions.silent_at(peer.address) {
            if let Ok(Some(cell)) = acs.store.device(open.device()) {
                learn(acs, &cell, true);
            }
        }
    }
}

/// The device does, or does not, need a URL for each of its sessions.
pub(super) fn learn(acs: &Acs, cell: &Arc<DeviceCell>, needs_url: bool) {
    let changed = cell.lock().set(|s| &mut s.session_by_url, needs_url);
    if changed {
        tracing::info!(
            device = %cell.key(), needs_url,
            "learned whether the device needs a URL for each of its sessions: it keeps neither cookies nor its connection"
        );
        acs.store.touched(cell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_in_a_target() {
        let made = Token::random();
        let text = made.to_text();
        let found = |target: &str| token(&target.parse().unwrap());
        assert_eq!(found(&format!("/acs?session={text}")), Some(made));
        assert_eq!(
            found(&format!("http://a:1/x?a=b&session={text}")),
            Some(made)
        );
        assert_eq!(found("/acs?session=1"), None);
        assert_eq!(found("/acs"), None);
    }

    #[test]
    fn where_a_device_is_sent() {
        let made = Token::random();
        let text = made.to_text();
        let mut headers = HeaderMap::new();
        let tcp = "192.0.2.1".parse().unwrap();
        let ends = crate::door::Ends {
            tcp,
            stated: None,
            tls: false,
        };
        let trust = crate::door::Trust {
            proxies: &[],
            of_instance: &[],
            header: crate::config::ForwardedHeader::XForwardedFor,
        };
        let mut peer = Peer::of(ends, &headers, trust);
        let uri: Uri = "/acs?session=old".parse().unwrap();
        assert_eq!(
            location(made, &uri, &headers, peer),
            format!("/acs?session={text}")
        );
        headers.insert(header::HOST, "acs.example:7547".parse().unwrap());
        assert_eq!(
            location(made, &uri, &headers, peer),
            format!("http://acs.example:7547/acs?session={text}")
        );
        peer.tls = true;
        assert!(location(made, &uri, &headers, peer).starts_with("https://acs.example:7547/acs?"));
    }
}
