//! What the mode of a device was decided from, in words: support sees why.

use cwmp::connection_request::CallbackUrl;
use serde_json::{Value, json};

use crate::device::{Mode, NatFacts, Summary};
use crate::door::Word;

impl NatFacts {
    /// As the API shows it, beside what the host itself has found out.
    pub fn view(&self, summary: &Summary) -> Value {
        let mut view = json!(self);
        if let Some(view) = view.as_object_mut() {
            let (tried, opened) = calls(summary);
            view.insert("connection_request_host".into(), json!(self.host()));
            // Null: none was ever tried.
            let opened = (tried > 0).then_some(opened > 0);
            view.insert("connection_request_opened_session".into(), json!(opened));
            view.insert("words".into(), json!(self.words(summary)));
        }
        view
    }

    /// The host in the ConnectionRequestURL.
    fn host(&self) -> Option<String> {
        let url = CallbackUrl::parse(&self.connection_request_url).ok()?;
        Some(url.host)
    }

    /// Whole sentences.
    fn words(&self, summary: &Summary) -> Vec<String> {
        let (client, tcp_peer) = (&self.peer_address, &self.tcp_peer);
        let header = match self.told_by {
            Word::Connection => None,
            Word::ProxyProtocol => Some("in the PROXY protocol"),
            Word::XForwardedFor => Some("in X-Forwarded-For"),
            Word::Forwarded => Some("in Forwarded"),
        };
        let from = match header {
            Some(header) => format!(
                "Its requests come from {client}, the trusted proxy {tcp_peer} says {header}."
            ),
            None if self.through_proxy => format!(
                "Its requests come through the trusted proxy {tcp_peer}, which does not say from where."
            ),
            None => format!("Its requests come from {client}."),
        };
        let url = match self.host() {
            Some(host) => format!("Its ConnectionRequestURL names {host}."),
            None => "It has named no ConnectionRequestURL that can be used.".to_owned(),
        };
        let wan = match self.wan_addresses.as_slice() {
            [] => "Its last Inform named no WAN address.".to_owned(),
            addresses => format!("Its WAN addresses: {}.", addresses.join(", ")),
        };
        let detected = match self.extra.get("nat-detected").map(String::as_str) {
            Some("1") => Some("It says that it is behind NAT (NATDetected).".to_owned()),
            Some(_) => Some("It says that it is not behind NAT (NATDetected).".to_owned()),
            None => None,
        };
        let called = match calls(summary) {
            (0, _) => "No connection request was sent to it yet.".to_owned(),
            (tried, 0) => format!("No connection request has opened a session ({tried} tried)."),
            (tried, opened) => {
                format!("Connection requests that opened a session: {opened} of {tried}.")
            }
        };
        let support = format!(
            "It {} XMPP and {} STUN; this instance has {}.",
            supports(self.supports_xmpp),
            supports(self.supports_stun),
            self.instance(),
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

    fn instance(&self) -> String {
        let all = [
            (self.proxy_configured, "an HTTP proxy"),
            (self.xmpp_enabled, "XMPP"),
            (self.stun_enabled, "STUN"),
        ];
        let those: Vec<&str> = all
            .into_iter()
            .filter_map(|(has, name)| has.then_some(name))
            .collect();
        if those.is_empty() {
            return "neither, and no HTTP proxy".to_owned();
        }
        those.join(", ")
    }
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

fn supports(it: bool) -> &'static str {
    if it {
        "supports"
    } else {
        "is not known to support"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::ModeHistory;

    #[test]
    fn in_words() {
        let facts = NatFacts {
            peer_address: "203.0.113.9".into(),
            tcp_peer: "10.0.0.5".into(),
            told_by: Word::XForwardedFor,
            through_proxy: true,
            connection_request_url: "http://192.168.1.1:7547/cr".into(),
            wan_addresses: vec!["100.64.0.7".into()],
            supports_stun: true,
            stun_enabled: true,
            extra: [("nat-detected".to_owned(), "1".to_owned())].into(),
            ..NatFacts::default()
        };
        let mut summary = Summary::default();
        assert_eq!(
            facts.words(&summary),
            [
                "Its requests come from 203.0.113.9, the trusted proxy 10.0.0.5 says in X-Forwarded-For.",
                "Its ConnectionRequestURL names 192.168.1.1.",
                "Its WAN addresses: 100.64.0.7.",
                "It says that it is behind NAT (NATDetected).",
                "No connection request was sent to it yet.",
                "It is not known to support XMPP and supports STUN; this instance has STUN.",
            ]
        );
        let view = facts.view(&summary);
        assert_eq!(view["connection_request_host"], "192.168.1.1");
        assert_eq!(view["connection_request_opened_session"], Value::Null);
        assert_eq!(view["told_by"], "x-forwarded-for");

        let history = |attempts, opened| ModeHistory {
            attempts,
            opened,
            ..ModeHistory::default()
        };
        summary.nat_history.insert(Mode::Stun, history(4, 3));
        summary.nat_history.insert(Mode::ShortInform, history(9, 9));
        let silent = NatFacts {
            peer_address: "10.0.0.5".into(),
            told_by: Word::Connection,
            connection_request_url: String::new(),
            wan_addresses: Vec::new(),
            stun_enabled: false,
            extra: [("nat-detected".to_owned(), "0".to_owned())].into(),
            ..facts
        };
        assert_eq!(
            silent.words(&summary),
            [
                "Its requests come through the trusted proxy 10.0.0.5, which does not say from where.",
                "It has named no ConnectionRequestURL that can be used.",
                "Its last Inform named no WAN address.",
                "It says that it is not behind NAT (NATDetected).",
                "Connection requests that opened a session: 3 of 4.",
                "It is not known to support XMPP and supports STUN; this instance has neither, and no HTTP proxy.",
            ]
        );
        assert_eq!(
            silent.view(&summary)["connection_request_opened_session"],
            true
        );
    }
}
