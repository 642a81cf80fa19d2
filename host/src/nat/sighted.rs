//! What was seen of how a device may be reached, kept, and said in words: from this the policy
//! decided, and support sees why.

use std::net::IpAddr;

use cwmp::connection_request::CallbackUrl;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::decide::Ways;
use crate::device::{Mode, Summary};
use crate::door::Word;

/// What a device's last full session showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighted {
    /// Where its requests come from, after the trusted proxies' word.
    pub client: IpAddr,
    /// The other end of their TCP connection: the device, or a proxy.
    pub tcp_peer: IpAddr,
    /// Whose word `client` is.
    pub told_by: Word,
    /// A trusted proxy stood between.
    pub through_proxy: bool,
    /// Addresses of its WAN connections, as it reported them.
    pub wan_addresses: Vec<String>,
    /// Its own NATDetected.
    pub nat_detected: Option<bool>,
    /// It has what XMPP needs (TR-069 Annex K).
    pub supports_xmpp: bool,
    /// It has what STUN needs (TR-069 Annex G).
    pub supports_stun: bool,
}

impl Sighted {
    /// Whether nothing has changed but which of several proxies it came through.
    pub fn says_the_same(&self, other: &Sighted) -> bool {
        let Sighted {
            client,
            tcp_peer: _,
            told_by,
            through_proxy,
            wan_addresses,
            nat_detected,
            supports_xmpp,
            supports_stun,
        } = self;
        (client, told_by, through_proxy, nat_detected)
            == (
                &other.client,
                &other.told_by,
                &other.through_proxy,
                &other.nat_detected,
            )
            && (supports_xmpp, supports_stun) == (&other.supports_xmpp, &other.supports_stun)
            && wan_addresses == &other.wan_addresses
    }

    /// As the API shows it, beside what the host itself has found out.
    pub fn view(&self, summary: &Summary, ways: Ways) -> Value {
        let (tried, opened) = Sighted::calls(summary);
        json!({
            "tcp_peer": self.tcp_peer,
            "client": self.client,
            "told_by": self.told_by,
            "through_proxy": self.through_proxy,
            "connection_request_host": host(summary),
            "wan_addresses": self.wan_addresses,
            "nat_detected": self.nat_detected,
            "supports": { "xmpp": self.supports_xmpp, "stun": self.supports_stun },
            "instance_has": {
                "http-proxy": ways.http_proxy, "xmpp": ways.xmpp, "stun": ways.stun,
            },
            // Null: none was ever tried.
            "connection_request_opened_session": (tried > 0).then_some(opened > 0),
            "words": self.words(summary, ways),
        })
    }

    /// Connection requests tried, and those that opened a session.
    fn calls(summary: &Summary) -> (u32, u32) {
        let history = summary.nat_history.iter();
        // Waiting for a periodic Inform is no request.
        let called = history.filter(|(mode, _)| **mode != Mode::ShortInform);
        called.fold((0, 0), |(tried, opened), (_, mode)| {
            (tried + mode.attempts, opened + mode.opened)
        })
    }

    /// Whole sentences.
    fn words(&self, summary: &Summary, ways: Ways) -> Vec<String> {
        let Sighted {
            client, tcp_peer, ..
        } = self;
        let header = match self.told_by {
            Word::Connection => None,
            Word::ProxyProtocol => Some("in the PROXY protocol"),
            Word::XForwardedFor => Some("in X-Forwarded-For"),
            Word::Forwarded => Some("in Forwarded"),
        };
        let from = match header {
            Some(header) => {
                format!(
                    "Its requests come from {client}, the trusted proxy {tcp_peer} says {header}."
                )
            }
            None if self.through_proxy => format!(
                "Its requests come through the trusted proxy {tcp_peer}, which does not say from where."
            ),
            None => format!("Its requests come from {client}."),
        };
        let url = match host(summary) {
            Some(host) => format!("Its ConnectionRequestURL names {host}."),
            None => "It has named no ConnectionRequestURL that can be used.".to_owned(),
        };
        let wan = match self.wan_addresses.as_slice() {
            [] => "Its last Inform named no WAN address.".to_owned(),
            addresses => format!("Its WAN addresses: {}.", addresses.join(", ")),
        };
        let detected = self.nat_detected.map(|detected| match detected {
            true => "It says that it is behind NAT (NATDetected).".to_owned(),
            false => "It says that it is not behind NAT (NATDetected).".to_owned(),
        });
        let called = match Sighted::calls(summary) {
            (0, _) => "No connection request was sent to it yet.".to_owned(),
            (tried, 0) => format!("No connection request has opened a session ({tried} tried)."),
            (tried, opened) => {
                format!("Connection requests have opened a session {opened} times of {tried}.")
            }
        };
        let support = format!(
            "It {} XMPP and {} STUN; this instance has {}.",
            supports(self.supports_xmpp),
            supports(self.supports_stun),
            has(ways),
        );
        let sentences = [
            Some(from),
            Some(url),
            Some(wan),
            detected,
            Some(called),
            Some(support),
        ];
        sentences.into_iter().flatten().collect()
    }
}

fn supports(it: bool) -> &'static str {
    if it {
        "supports"
    } else {
        "is not known to support"
    }
}

fn has(ways: Ways) -> String {
    let all = [
        (ways.http_proxy, "an HTTP proxy"),
        (ways.xmpp, "XMPP"),
        (ways.stun, "STUN"),
    ];
    let those: Vec<&str> = all
        .into_iter()
        .filter_map(|(has, name)| has.then_some(name))
        .collect();
    if those.is_empty() {
        return "none of them, and no HTTP proxy".to_owned();
    }
    those.join(", ")
}

/// The host in the ConnectionRequestURL.
fn host(summary: &Summary) -> Option<String> {
    let url = CallbackUrl::parse(&summary.connection_request.url).ok()?;
    Some(url.host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::ModeHistory;

    fn sighted() -> Sighted {
        Sighted {
            client: "203.0.113.9".parse().unwrap(),
            tcp_peer: "10.0.0.5".parse().unwrap(),
            told_by: Word::XForwardedFor,
            through_proxy: true,
            wan_addresses: vec!["100.64.0.7".into()],
            nat_detected: Some(true),
            supports_xmpp: false,
            supports_stun: true,
        }
    }

    #[test]
    fn in_words() {
        let mut summary = Summary::default();
        summary.connection_request.url = "http://192.168.1.1:7547/cr".into();
        let ways = Ways {
            stun: true,
            ..Ways::default()
        };
        assert_eq!(
            sighted().words(&summary, ways),
            [
                "Its requests come from 203.0.113.9, the trusted proxy 10.0.0.5 says in X-Forwarded-For.",
                "Its ConnectionRequestURL names 192.168.1.1.",
                "Its WAN addresses: 100.64.0.7.",
                "It says that it is behind NAT (NATDetected).",
                "No connection request was sent to it yet.",
                "It is not known to support XMPP and supports STUN; this instance has STUN.",
            ]
        );
        summary.connection_request.url.clear();
        let history = |attempts, opened| ModeHistory {
            attempts,
            opened,
            ..ModeHistory::default()
        };
        summary.nat_history.insert(Mode::Stun, history(4, 3));
        summary.nat_history.insert(Mode::ShortInform, history(9, 9));
        let silent = Sighted {
            client: "10.0.0.5".parse().unwrap(),
            told_by: Word::Connection,
            wan_addresses: Vec::new(),
            nat_detected: None,
            ..sighted()
        };
        assert_eq!(
            silent.words(&summary, Ways::default()),
            [
                "Its requests come through the trusted proxy 10.0.0.5, which does not say from where.",
                "It has named no ConnectionRequestURL that can be used.",
                "Its last Inform named no WAN address.",
                "Connection requests have opened a session 3 times of 4.",
                "It is not known to support XMPP and supports STUN; this instance has none of them, and no HTTP proxy.",
            ]
        );
    }

    #[test]
    fn another_proxy_of_the_same_operator_is_no_news() {
        let other = Sighted {
            tcp_peer: "10.0.0.6".parse().unwrap(),
            ..sighted()
        };
        assert!(sighted().says_the_same(&other));
        let moved = Sighted {
            client: "203.0.113.10".parse().unwrap(),
            ..sighted()
        };
        assert!(!sighted().says_the_same(&moved));
    }
}
