//! The choice of the way to a device behind NAT: what is asked of the policy plugin, and its answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::call::one_line;
use super::plugin::LoadedPlugin;
use super::{About, HookCall, PluginError, v0_1};
use crate::device::{Mode, ModeHistory, NatFacts};

/// All that a policy decides from, beside the device's summary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Where the HTTP request came from, after the trusted proxies' word.
    pub peer_address: Option<IpAddr>,
    /// It came through a trusted proxy.
    pub through_proxy: bool,
    /// As the device reports it; may be empty.
    pub connection_request_url: String,
    /// The device's own addresses.
    pub wan_addresses: Vec<String>,
    /// As the device reports it; may be empty.
    pub udp_connection_request_address: String,
    /// As the device reports it; may be empty.
    pub jabber_id: String,
    /// The device has the parameters of TR-069 Annex K.
    pub supports_xmpp: bool,
    /// The device has the parameters of TR-069 Annex G.
    pub supports_stun: bool,
    /// The instance has an HTTP proxy near its devices.
    pub proxy_configured: bool,
    /// The instance has XMPP on.
    pub xmpp_enabled: bool,
    /// The instance has STUN on.
    pub stun_enabled: bool,
    /// The mode in force.
    pub current: Option<Mode>,
    /// How each mode has done.
    pub history: Vec<(Mode, ModeHistory)>,
    /// What later versions add, by name.
    pub extra: Vec<(String, String)>,
}

impl Facts {
    /// What is kept of them beside the decision.
    pub fn to_keep(&self) -> NatFacts {
        NatFacts {
            peer_address: self
                .peer_address
                .map(|address| address.to_string())
                .unwrap_or_default(),
            through_proxy: self.through_proxy,
            connection_request_url: self.connection_request_url.clone(),
            wan_addresses: self.wan_addresses.clone(),
            udp_connection_request_address: self.udp_connection_request_address.clone(),
            jabber_id: self.jabber_id.clone(),
            supports_xmpp: self.supports_xmpp,
            supports_stun: self.supports_stun,
            proxy_configured: self.proxy_configured,
            xmpp_enabled: self.xmpp_enabled,
            stun_enabled: self.stun_enabled,
            current: self.current,
            extra: self.extra.iter().cloned().collect(),
            ..NatFacts::default()
        }
    }
}

/// What the policy decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether the device cannot be called directly.
    pub behind_nat: bool,
    /// The way to reach it.
    pub mode: Mode,
    /// Tried in this order when `mode` does not open a session.
    pub fallbacks: Vec<Mode>,
    /// For the operator.
    pub reason: String,
}

/// The policy plugin in force.
#[derive(Debug, Clone)]
pub struct Policy {
    plugin: Arc<LoadedPlugin>,
}

impl Policy {
    pub(super) fn new(plugin: Arc<LoadedPlugin>) -> Policy {
        Policy { plugin }
    }

    /// `name version`, for [`crate::device::NatDecision::decided_by`].
    pub fn decided_by(&self) -> String {
        self.plugin.title()
    }

    /// Asks the plugin. An error keeps the current mode.
    pub async fn decide(&self, about: &About<'_>, facts: &Facts) -> Result<Decision, PluginError> {
        let mut decision = v0_1::decide(&self.plugin, about, facts).await?;
        decision.reason = one_line(&decision.reason);
        Ok(decision)
    }

    /// [`Policy::decide`], and the call for the session's trace.
    pub async fn decide_traced(
        &self,
        about: &About<'_>,
        facts: &Facts,
    ) -> (Result<Decision, PluginError>, HookCall) {
        let begun = Instant::now();
        let decided = self.decide(about, facts).await;
        let call = HookCall {
            plugin: self.plugin.title(),
            hook: "decide",
            changes: decided
                .iter()
                .map(|decision| format!("{:?}", decision.mode))
                .collect(),
            failed: decided.as_ref().err().map(|error| error.kind.to_string()),
            took: begun.elapsed(),
        };
        (decided, call)
    }
}
