//! What a policy decides from, and its decision.

use super::super::About;
use super::super::policy::{Decision, Facts};
use super::convert::device;
use super::nat_policy as policy;
use crate::device::Mode;

fn mode_to_wit(mode: Mode) -> policy::Mode {
    match mode {
        Mode::DirectHttp => policy::Mode::DirectHttp,
        Mode::HttpProxy => policy::Mode::HttpProxy,
        Mode::Xmpp => policy::Mode::Xmpp,
        Mode::Stun => policy::Mode::Stun,
        Mode::ShortInform => policy::Mode::ShortInform,
    }
}

fn mode(mode: policy::Mode) -> Mode {
    match mode {
        policy::Mode::DirectHttp => Mode::DirectHttp,
        policy::Mode::HttpProxy => Mode::HttpProxy,
        policy::Mode::Xmpp => Mode::Xmpp,
        policy::Mode::Stun => Mode::Stun,
        policy::Mode::ShortInform => Mode::ShortInform,
    }
}

pub(super) fn facts(about: &About<'_>, facts: &Facts) -> policy::Facts {
    policy::Facts {
        device: device(about),
        peer_address: facts
            .peer_address
            .map(|address| address.to_string())
            .unwrap_or_default(),
        through_proxy: facts.through_proxy,
        connection_request_url: facts.connection_request_url.clone(),
        wan_addresses: facts.wan_addresses.clone(),
        udp_connection_request_address: facts.udp_connection_request_address.clone(),
        jabber_id: facts.jabber_id.clone(),
        supports_xmpp: facts.supports_xmpp,
        supports_stun: facts.supports_stun,
        proxy_configured: facts.proxy_configured,
        xmpp_enabled: facts.xmpp_enabled,
        stun_enabled: facts.stun_enabled,
        current: facts.current.map(mode_to_wit),
        history: facts
            .history
            .iter()
            .map(|(mode, history)| policy::History {
                mode: mode_to_wit(*mode),
                attempts: history.attempts,
                opened: history.opened,
                failed_in_a_row: history.failed_in_a_row,
                last_opened: history.last_opened,
            })
            .collect(),
        extra: facts.extra.clone(),
    }
}

pub(super) fn decision(decision: policy::Decision) -> Decision {
    let chosen = mode(decision.mode);
    let mut fallbacks = Vec::new();
    for fallback in decision.fallbacks.into_iter().map(mode) {
        if fallback != chosen && !fallbacks.contains(&fallback) {
            fallbacks.push(fallback);
        }
    }
    Decision {
        behind_nat: decision.behind_nat,
        mode: chosen,
        fallbacks,
        reason: decision.reason,
    }
}
