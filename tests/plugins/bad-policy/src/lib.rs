//! A NAT policy that traps, or as `{"how": "…"}` says: `trap`, `loop`, or `nonsense`, a decision that is impossible.
//! Policies cannot read settings' mistakes to anybody, so anything else is `trap`.

use patchbay_plugin::prelude::*;

struct BadPolicy;

impl Policy for BadPolicy {
    fn decide(_: &Facts) -> Decision {
        let settings: std::collections::BTreeMap<String, String> = settings().unwrap_or_default();
        match settings.get("how").map(String::as_str) {
            Some("loop") => loop {
                std::hint::black_box(0);
            },
            Some("nonsense") => Decision {
                behind_nat: false,
                mode: Mode::HttpProxy,
                fallbacks: vec![Mode::Xmpp; 1000],
                reason: "nonsense ".repeat(10_000),
            },
            _ => panic!("decide traps"),
        }
    }
}

export_policy!(BadPolicy);
