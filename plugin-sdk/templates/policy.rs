//! A NAT policy: which way leads to a device behind NAT.

use patchbay_plugin::prelude::*;

struct MyPolicy;

impl Policy for MyPolicy {
    fn decide(facts: &Facts) -> Decision {
        // Whether it is behind NAT is worked out by the SDK; the order is this policy's own.
        let order = [Mode::HttpProxy, Mode::Stun, Mode::Xmpp];
        Decision::by_preference(facts, facts.nat(), &order)
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
            supports_xmpp: true,
            supports_stun: true,
            ..Facts::default()
        };
        assert_eq!(MyPolicy::decide(&facts).mode, Mode::Stun);
    }
}
