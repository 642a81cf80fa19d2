use patchbay_plugin::policy::{FAILURES_PROVEN, FAILURES_UNPROVEN, History};

use super::*;
use Mode::{DirectHttp, HttpProxy, ShortInform, Stun, Xmpp};

/// A device with everything, behind NAT, in an instance with everything.
fn facts() -> Facts {
    Facts {
        peer_address: "203.0.113.7".into(),
        connection_request_url: "http://192.168.1.1:7547/cr".into(),
        supports_xmpp: true,
        supports_stun: true,
        proxy_configured: true,
        ..Facts::default()
    }
}

fn not_behind_nat(facts: Facts) -> Facts {
    Facts {
        connection_request_url: "http://203.0.113.7:7547/cr".into(),
        ..facts
    }
}

fn never_opened(mode: Mode, failed_in_a_row: u32) -> History {
    History {
        mode,
        attempts: failed_in_a_row,
        opened: 0,
        failed_in_a_row,
        last_opened: None,
    }
}

fn opened_once(mode: Mode, failed_in_a_row: u32) -> History {
    History {
        mode,
        attempts: failed_in_a_row + 1,
        opened: 1,
        failed_in_a_row,
        last_opened: Some(0),
    }
}

#[track_caller]
fn check(facts: &Facts, behind_nat: bool, mode: Mode, fallbacks: &[Mode]) {
    let decision = NatDefault::decide(facts);
    let found = (
        decision.behind_nat,
        decision.mode,
        decision.fallbacks.as_slice(),
    );
    assert_eq!(found, (behind_nat, mode, fallbacks), "{}", decision.reason);
}

#[test]
fn all_combinations() {
    #[rustfmt::skip]
    #[allow(clippy::type_complexity, reason = "a table")]
    let table: [(bool, bool, bool, bool, Mode, &[Mode]); 16] = [
        // nat   proxy  xmpp   stun
        (false, false, false, false, DirectHttp,  &[ShortInform]),
        (false, false, false, true,  DirectHttp,  &[ShortInform]),
        (false, false, true,  false, DirectHttp,  &[ShortInform]),
        (false, false, true,  true,  DirectHttp,  &[ShortInform]),
        (false, true,  false, false, DirectHttp,  &[HttpProxy, ShortInform]),
        (false, true,  false, true,  DirectHttp,  &[HttpProxy, ShortInform]),
        (false, true,  true,  false, DirectHttp,  &[HttpProxy, ShortInform]),
        (false, true,  true,  true,  DirectHttp,  &[HttpProxy, ShortInform]),
        (true,  false, false, false, ShortInform, &[]),
        (true,  false, false, true,  Stun,        &[ShortInform]),
        (true,  false, true,  false, Xmpp,        &[ShortInform]),
        (true,  false, true,  true,  Xmpp,        &[Stun, ShortInform]),
        (true,  true,  false, false, HttpProxy,   &[ShortInform]),
        (true,  true,  false, true,  HttpProxy,   &[Stun, ShortInform]),
        (true,  true,  true,  false, HttpProxy,   &[Xmpp, ShortInform]),
        (true,  true,  true,  true,  HttpProxy,   &[Xmpp, Stun, ShortInform]),
    ];
    for (nat, proxy, xmpp, stun, mode, fallbacks) in table {
        let facts = Facts {
            proxy_configured: proxy,
            supports_xmpp: xmpp,
            supports_stun: stun,
            ..facts()
        };
        let facts = if nat { facts } else { not_behind_nat(facts) };
        check(&facts, nat, mode, fallbacks);
    }
}

#[test]
fn what_the_instance_has_switched_off_is_not_chosen() {
    check(
        &Facts {
            xmpp_enabled: false,
            ..facts()
        },
        true,
        HttpProxy,
        &[Stun, ShortInform],
    );
    check(
        &Facts {
            stun_enabled: false,
            ..facts()
        },
        true,
        HttpProxy,
        &[Xmpp, ShortInform],
    );
}

#[test]
fn each_fact_that_changes_changes_the_decision() {
    let mut facts = Facts {
        proxy_configured: false,
        ..facts()
    };
    check(&facts, true, Xmpp, &[Stun, ShortInform]);
    facts.current = Some(Xmpp);
    facts.proxy_configured = true;
    check(&facts, true, HttpProxy, &[Xmpp, Stun, ShortInform]);
    facts.proxy_configured = false;
    facts.supports_xmpp = false;
    check(&facts, true, Stun, &[ShortInform]);
    facts.stun_enabled = false;
    check(&facts, true, ShortInform, &[]);
    facts.connection_request_url = "http://203.0.113.7:7547/cr".into();
    check(&facts, false, DirectHttp, &[ShortInform]);
    facts.peer_address = "203.0.113.99".into();
    check(&facts, true, ShortInform, &[]);
    facts.wan_addresses = vec!["203.0.113.99".into(), "203.0.113.7".into()];
    check(&facts, false, DirectHttp, &[ShortInform]);
    facts.extra = vec![("nat-detected".into(), "1".into())];
    check(&facts, true, ShortInform, &[]);
}

#[test]
fn a_way_that_keeps_failing_comes_last() {
    let with = |history: Vec<History>| Facts { history, ..facts() };
    check(
        &with(vec![never_opened(HttpProxy, FAILURES_UNPROVEN - 1)]),
        true,
        HttpProxy,
        &[Xmpp, Stun, ShortInform],
    );
    check(
        &with(vec![never_opened(HttpProxy, FAILURES_UNPROVEN)]),
        true,
        Xmpp,
        &[Stun, HttpProxy, ShortInform],
    );
    // It worked before: the device may just have been off.
    check(
        &with(vec![opened_once(HttpProxy, FAILURES_UNPROVEN)]),
        true,
        HttpProxy,
        &[Xmpp, Stun, ShortInform],
    );
    check(
        &with(vec![opened_once(HttpProxy, FAILURES_PROVEN)]),
        true,
        Xmpp,
        &[Stun, HttpProxy, ShortInform],
    );
    let all = [HttpProxy, Xmpp, Stun].map(|mode| never_opened(mode, 9));
    check(
        &with(all.into()),
        true,
        ShortInform,
        &[HttpProxy, Xmpp, Stun],
    );
}

#[test]
fn direct_requests_that_never_open_a_session_mean_nat() {
    let mut facts = not_behind_nat(facts());
    facts.history = vec![never_opened(DirectHttp, FAILURES_UNPROVEN)];
    check(
        &facts,
        true,
        HttpProxy,
        &[Xmpp, Stun, DirectHttp, ShortInform],
    );
    // It works after all.
    facts.history = vec![opened_once(DirectHttp, 0)];
    check(&facts, false, DirectHttp, &[HttpProxy, ShortInform]);
    // It worked, so the device may just have been off.
    facts.history = vec![opened_once(DirectHttp, FAILURES_PROVEN)];
    check(&facts, false, DirectHttp, &[HttpProxy, ShortInform]);
}

/// The operator's nginx forwards the private address, which equals the one the device gives.
#[test]
fn a_private_address_through_a_proxy() {
    let mut facts = Facts {
        peer_address: "192.168.1.1".into(),
        through_proxy: true,
        proxy_configured: false,
        ..facts()
    };
    check(&facts, false, DirectHttp, &[ShortInform]);
    facts.history = vec![never_opened(DirectHttp, FAILURES_UNPROVEN)];
    check(&facts, true, Xmpp, &[Stun, DirectHttp, ShortInform]);
}

#[test]
fn the_reason_is_a_sentence_for_the_operator() {
    assert_eq!(
        NatDefault::decide(&facts()).reason,
        "behind NAT: it gives the private address 192.168.1.1 but comes from 203.0.113.7; \
         the instance has an HTTP proxy near its devices"
    );
    assert_eq!(
        NatDefault::decide(&not_behind_nat(facts())).reason,
        "not behind NAT: it comes from 203.0.113.7, its own address"
    );
    let failing = Facts {
        supports_stun: false,
        history: vec![never_opened(HttpProxy, 3), never_opened(Xmpp, 3)],
        ..facts()
    };
    assert_eq!(
        NatDefault::decide(&failing).reason,
        "behind NAT: it gives the private address 192.168.1.1 but comes from 203.0.113.7; \
         no other way works (HTTP proxy, XMPP kept failing)"
    );
}

/// Whatever combination it was, whichever mode was in force: the facts at hand decide.
#[test]
fn from_each_combination_to_each_neighbour() {
    let facts_of = |bits: u8, current: Option<Mode>| {
        let facts = Facts {
            proxy_configured: bits & 1 != 0,
            supports_xmpp: bits & 2 != 0,
            supports_stun: bits & 4 != 0,
            current,
            ..facts()
        };
        if bits & 8 != 0 {
            facts
        } else {
            not_behind_nat(facts)
        }
    };
    let expected = |bits: u8| match bits {
        0..8 => DirectHttp,
        bits if bits & 1 != 0 => HttpProxy,
        bits if bits & 2 != 0 => Xmpp,
        bits if bits & 4 != 0 => Stun,
        _ => ShortInform,
    };
    for bits in 0..16 {
        let before = NatDefault::decide(&facts_of(bits, None));
        assert_eq!(before.mode, expected(bits), "{}", before.reason);
        for flipped in [1, 2, 4, 8].map(|bit| bits ^ bit) {
            let mut facts = facts_of(flipped, Some(before.mode));
            let after = NatDefault::decide(&facts);
            assert_eq!(after.mode, expected(flipped), "{}", after.reason);
            // The chosen one keeps failing: the next one of the order is tried, and it last.
            if flipped & 8 == 0 || after.mode == ShortInform {
                continue;
            }
            facts.history = vec![never_opened(after.mode, FAILURES_UNPROVEN)];
            let bit = match after.mode {
                HttpProxy => 1,
                Xmpp => 2,
                _ => 4,
            };
            let next = NatDefault::decide(&facts);
            assert_eq!(next.mode, expected(flipped & !bit), "{}", next.reason);
            assert!(next.fallbacks.contains(&after.mode), "{next:?}");
        }
    }
}
