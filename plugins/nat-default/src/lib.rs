//! Which way leads to a device behind NAT. The order: the operator's HTTP proxy whenever there is one, then XMPP,
//! then STUN, and short informs for devices that know neither. A device that is not behind NAT is asked directly.
//!
//! Whether it is behind NAT, and when a way counts as failing, is the SDK's `Facts::nat` and `Facts::keeps_failing`.

use patchbay_plugin::prelude::*;

struct NatDefault;

impl Policy for NatDefault {
    fn decide(facts: &Facts) -> Decision {
        Decision::by_preference(
            facts,
            facts.nat(),
            &[Mode::HttpProxy, Mode::Xmpp, Mode::Stun],
        )
    }
}

export_policy!(NatDefault);

#[cfg(test)]
mod tests;
