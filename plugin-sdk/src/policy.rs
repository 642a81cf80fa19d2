//! Which way leads to a device behind NAT.
//!
//! A policy is a pure function from [`Facts`] to a [`Decision`]. [`Facts::nat`](crate::nat) says whether the device
//! is behind NAT, [`Decision::by_preference`] does the rest for a policy that only has an order of its own.

/// What the host knows of a device's reachability, the decision made of it, and how each way has done so far.
pub use crate::bindings::policy_exports::{Decision, Facts, History, Mode};

use crate::device::Device;
use crate::nat::Nat;

/// A way that never opened a session is given up for a better one after so many failures in a row.
pub const FAILURES_UNPROVEN: u32 = 3;

/// A way that has opened sessions before is given up after so many: the device may just have been off.
pub const FAILURES_PROVEN: u32 = 10;

/// A policy. Export it with [`export_policy!`](crate::export_policy).
pub trait Policy {
    /// Asked at first contact and when a fact has changed.
    fn decide(facts: &Facts) -> Decision;
}

impl Facts {
    /// Whether this way exists: the device supports it, and the instance has it.
    pub fn possible(&self, mode: Mode) -> bool {
        match mode {
            Mode::DirectHttp => true,
            Mode::HttpProxy => self.proxy_configured,
            Mode::Xmpp => self.supports_xmpp && self.xmpp_enabled,
            Mode::Stun => self.supports_stun && self.stun_enabled,
            Mode::ShortInform => true,
        }
    }

    /// Whether this way keeps failing: [`FAILURES_UNPROVEN`] in a row if it never opened a session, else
    /// [`FAILURES_PROVEN`].
    pub fn keeps_failing(&self, mode: Mode) -> bool {
        self.history_of(mode).is_some_and(|history| {
            let allowed = if history.opened == 0 {
                FAILURES_UNPROVEN
            } else {
                FAILURES_PROVEN
            };
            history.failed_in_a_row >= allowed
        })
    }

    /// Whether this way has opened a session and is not failing now.
    pub fn proven(&self, mode: Mode) -> bool {
        self.history_of(mode).is_some_and(|history| {
            history.opened > 0 && history.failed_in_a_row < FAILURES_UNPROVEN
        })
    }

    /// How this way has done so far.
    pub fn history_of(&self, mode: Mode) -> Option<&History> {
        self.history.iter().find(|history| history.mode == mode)
    }

    /// A fact that has no field of its own yet.
    pub fn extra(&self, name: &str) -> Option<&str> {
        self.extra
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Decision {
    /// Decides by an order of one's own: a device that is not behind NAT is asked directly; for one that is, the
    /// first possible way that does not keep failing. Ways that keep failing come after the others, and last of all
    /// short informs, which always work.
    pub fn by_preference(facts: &Facts, nat: Nat, order: &[Mode]) -> Self {
        if !nat.behind {
            return Self {
                behind_nat: false,
                mode: Mode::DirectHttp,
                fallbacks: [Mode::HttpProxy, Mode::ShortInform]
                    .into_iter()
                    .filter(|mode| facts.possible(*mode))
                    .collect(),
                reason: format!("not behind NAT: {}", nat.why),
            };
        }
        let possible = order
            .iter()
            .copied()
            .filter(|mode| !matches!(mode, Mode::DirectHttp | Mode::ShortInform))
            .filter(|mode| facts.possible(*mode));
        let (failing, working): (Vec<_>, Vec<_>) =
            possible.partition(|mode| facts.keeps_failing(*mode));
        let mut ways = working;
        let choice = if ways.is_empty() {
            Mode::ShortInform
        } else {
            ways.remove(0)
        };
        ways.extend(&failing);
        if nat.by_experience {
            ways.push(Mode::DirectHttp);
        }
        if choice != Mode::ShortInform {
            ways.push(Mode::ShortInform);
        }
        Self {
            behind_nat: true,
            mode: choice,
            reason: format!("behind NAT: {}; {}", nat.why, why(choice, &failing)),
            fallbacks: ways,
        }
    }
}

/// Facts of a device that supports nothing, in an instance that has XMPP and STUN: for tests.
impl Default for Facts {
    fn default() -> Self {
        Self {
            device: Device::default(),
            peer_address: String::new(),
            through_proxy: false,
            connection_request_url: String::new(),
            wan_addresses: Vec::new(),
            udp_connection_request_address: String::new(),
            jabber_id: String::new(),
            supports_xmpp: false,
            supports_stun: false,
            proxy_configured: false,
            xmpp_enabled: true,
            stun_enabled: true,
            current: None,
            history: Vec::new(),
            extra: Vec::new(),
        }
    }
}

fn why(choice: Mode, failing: &[Mode]) -> String {
    let mut text = match choice {
        Mode::DirectHttp => "it is asked directly".to_owned(),
        Mode::HttpProxy => "the instance has an HTTP proxy near its devices".to_owned(),
        Mode::Xmpp => "the device supports XMPP".to_owned(),
        Mode::Stun => "the device supports STUN".to_owned(),
        Mode::ShortInform if failing.is_empty() => {
            "neither proxy, XMPP nor STUN is possible".to_owned()
        }
        Mode::ShortInform => "no other way works".to_owned(),
    };
    if !failing.is_empty() {
        let names: Vec<_> = failing.iter().map(|mode| name(*mode)).collect();
        text.push_str(&format!(" ({} kept failing)", names.join(", ")));
    }
    text
}

/// The mode's name for people.
pub fn name(mode: Mode) -> &'static str {
    match mode {
        Mode::DirectHttp => "direct HTTP",
        Mode::HttpProxy => "HTTP proxy",
        Mode::Xmpp => "XMPP",
        Mode::Stun => "STUN",
        Mode::ShortInform => "short informs",
    }
}

/// Makes the type the component's NAT policy: `export_policy!(MyPolicy);`.
///
/// Its name and version are those of the crate; others can be given: `export_policy!(MyPolicy, "name", "1.2.0");`.
#[macro_export]
macro_rules! export_policy {
    ($policy:ty) => {
        $crate::export_policy!($policy, ::std::env!("CARGO_PKG_NAME"), ::std::env!("CARGO_PKG_VERSION"));
    };
    ($policy:ty, $name:expr, $version:expr) => {
        const _: () = {
            use $crate::bindings::policy_exports;

            #[allow(dead_code)]
            struct Exported;
            impl policy_exports::Guest for Exported {
                fn describe() -> policy_exports::Description {
                    $crate::host::enter();
                    policy_exports::Description {
                        name: $name.into(),
                        version: $version.into(),
                    }
                }

                fn decide(facts: policy_exports::Facts) -> policy_exports::Decision {
                    $crate::host::enter();
                    <$policy as $crate::Policy>::decide(&facts)
                }
            }
            #[cfg(target_family = "wasm")]
            $crate::bindings::policy::__export_policy! { Exported with_types_in $crate::bindings::policy }
            // Natively nothing is exported, and nothing shall count as unused.
            #[cfg(not(target_family = "wasm"))]
            const _: () = {
                use policy_exports::Guest as _;
                let _ = (Exported::describe, Exported::decide);
            };
        };
    };
}
