//! A NAT policy of one's own: STUN before XMPP, and the proxy only for devices that have neither.

use patchbay_plugin::prelude::*;

struct MyPolicy;

impl Policy for MyPolicy {
    fn decide(facts: &Facts) -> Decision {
        Decision::by_preference(
            facts,
            facts.nat(),
            &[Mode::Stun, Mode::Xmpp, Mode::HttpProxy],
        )
    }
}

export_policy!(MyPolicy);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stun_goes_before_xmpp() {
        let facts = Facts {
            peer_address: "203.0.113.7".into(),
            connection_request_url: "http://192.168.1.1:7547/".into(),
            supports_stun: true,
            supports_xmpp: true,
            ..Facts::default()
        };
        let decision = MyPolicy::decide(&facts);
        assert_eq!(decision.mode, Mode::Stun);
        assert_eq!(decision.fallbacks, [Mode::Xmpp, Mode::ShortInform]);
    }
}
