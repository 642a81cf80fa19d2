//! The facts a NAT policy decides from, and when they changed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use super::history::{FAILING_PROVEN, FAILING_UNPROVEN};
use crate::device::{Management, Mode, NatDecision, NatFacts, Summary, UnixTime};
use crate::door::Peer;
use crate::plugins::{Decision, Facts};

/// A mode that failed this often in a row is a changed fact, whether it ever opened a
/// session (the second number) or not: a policy gives up the one sooner than the other.
const FAILING_AFTER: [u32; 2] = [FAILING_UNPROVEN, FAILING_PROVEN];
/// WAN addresses of a device that are taken in.
const WAN_ADDRESSES_MAX: usize = 32;

/// Which ways the instance has, beside those that need nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Ways {
    /// The STUN server is on.
    pub stun: bool,
    /// XMPP is on.
    pub xmpp: bool,
    /// There is an HTTP proxy near the devices.
    pub http_proxy: bool,
}

impl Ways {
    /// Those that a decision was made from.
    pub fn of(facts: &NatFacts) -> Ways {
        Ways {
            stun: facts.stun_enabled,
            xmpp: facts.xmpp_enabled,
            http_proxy: facts.proxy_configured,
        }
    }

    /// Whether this host can reach a device in that mode.
    pub fn serve(self, mode: Mode) -> bool {
        match mode {
            Mode::DirectHttp | Mode::ShortInform => true,
            Mode::Stun => self.stun,
            Mode::Xmpp => self.xmpp,
            Mode::HttpProxy => self.http_proxy,
        }
    }
}

/// What this session's Inform and connection say about how to reach the device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sighting {
    /// Where the HTTP request came from.
    pub peer: Option<Peer>,
    /// Addresses of the device's WAN connections in the Inform.
    pub wan_addresses: Vec<String>,
    /// `ManagementServer.UDPConnectionRequestAddress`.
    pub udp_connection_request_address: String,
    /// `ManagementServer.ConnReqJabberID`.
    pub jabber_id: String,
    /// `ManagementServer.NATDetected`.
    pub nat_detected: Option<bool>,
    /// The tree has what XMPP needs.
    pub supports_xmpp: bool,
    /// The tree has what STUN needs.
    pub supports_stun: bool,
}

impl Sighting {
    /// Takes from the Inform's parameters what concerns reachability.
    pub fn read_inform(&mut self, parameters: &[cwmp::ParameterValue]) {
        for parameter in parameters {
            let path = parameter.path.as_str();
            let value = parameter.value.trim();
            if path.ends_with(".ExternalIPAddress")
                || (path.starts_with("Device.IP.Interface.") && path.ends_with(".IPAddress"))
            {
                if !value.is_empty() && self.wan_addresses.len() < WAN_ADDRESSES_MAX {
                    self.wan_addresses.push(value.to_owned());
                }
            } else if path.ends_with(".ManagementServer.UDPConnectionRequestAddress") {
                self.udp_connection_request_address = value.to_owned();
                self.supports_stun = true;
            } else if path.ends_with(".ManagementServer.NATDetected") {
                self.nat_detected = cwmp::value::boolean(value);
            } else if path.ends_with(".ManagementServer.ConnReqJabberID") {
                self.jabber_id = value.to_owned();
                self.supports_xmpp = true;
            } else if path.ends_with(".ManagementServer.SupportedConnReqMethods") {
                self.supports_xmpp |= value.contains("XMPP");
                self.supports_stun |= value.contains("STUN");
            }
        }
    }

    /// Fills in what this Inform says nothing of: a device tells most of it once, when it
    /// changes. `known` looks up the last reading of a parameter of `ManagementServer`.
    pub fn recall(&mut self, known: impl Fn(&str) -> Option<String>) {
        if self.nat_detected.is_none() {
            self.nat_detected = known("NATDetected").and_then(|value| cwmp::value::boolean(&value));
        }
        if self.udp_connection_request_address.is_empty()
            && let Some(address) = known("UDPConnectionRequestAddress")
        {
            self.udp_connection_request_address = address;
            self.supports_stun = true;
        }
        if self.jabber_id.is_empty()
            && let Some(id) = known("ConnReqJabberID")
        {
            self.jabber_id = id;
            self.supports_xmpp = true;
        }
        if let Some(methods) = known("SupportedConnReqMethods") {
            self.supports_xmpp |= methods.contains("XMPP");
            self.supports_stun |= methods.contains("STUN");
        }
    }

    /// Takes in what is known of the device's firmware, which settles what the device itself
    /// left open or was too generous about.
    pub fn learn(&mut self, management: &Management) {
        if let Some(has) = management.has("STUNEnable") {
            self.supports_stun = has;
        }
        self.supports_xmpp |= management.has("ConnReqXMPPConnection") == Some(true);
    }

    /// Where it came from, after the trusted proxies' word.
    fn client(&self) -> Option<IpAddr> {
        self.peer.map(|peer| peer.address)
    }

    fn through_proxy(&self) -> bool {
        self.peer.is_some_and(|peer| peer.through_proxy)
    }

    /// What is kept of the facts, and of where they are from.
    pub fn to_keep(&self, facts: &Facts) -> NatFacts {
        let tcp_peer = self.peer.map(|peer| peer.tcp.to_string());
        NatFacts {
            tcp_peer: tcp_peer.unwrap_or_default(),
            told_by: self.peer.map(|peer| peer.word).unwrap_or_default(),
            ..facts.to_keep()
        }
    }

    /// A fingerprint of all that the policy is told: another one means that it must be asked again.
    /// Counters that grow with each wake-up are not in it; that a mode worked or began to fail is.
    /// Who decides is in it: another policy decides otherwise.
    pub fn fingerprint(&self, summary: &Summary, policy: &str, ways: Ways) -> u64 {
        let mut hasher = DefaultHasher::new();
        ways.hash(&mut hasher);
        policy.hash(&mut hasher);
        self.client().hash(&mut hasher);
        self.through_proxy().hash(&mut hasher);
        self.wan_addresses.hash(&mut hasher);
        self.udp_connection_request_address.hash(&mut hasher);
        self.jabber_id.hash(&mut hasher);
        self.nat_detected.hash(&mut hasher);
        (self.supports_xmpp, self.supports_stun).hash(&mut hasher);
        summary.connection_request.url.hash(&mut hasher);
        summary.software_version.hash(&mut hasher);
        for (mode, history) in &summary.nat_history {
            let failing = FAILING_AFTER.map(|after| history.failed_in_a_row >= after);
            (mode, failing, history.opened > 0).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The facts for the policy.
    pub fn facts(&self, summary: &Summary, ways: Ways) -> Facts {
        let mut extra = Vec::new();
        if let Some(detected) = self.nat_detected {
            extra.push(("nat-detected".to_owned(), u8::from(detected).to_string()));
        }
        Facts {
            peer_address: self.client(),
            through_proxy: self.through_proxy(),
            connection_request_url: summary.connection_request.url.clone(),
            wan_addresses: self.wan_addresses.clone(),
            udp_connection_request_address: self.udp_connection_request_address.clone(),
            jabber_id: self.jabber_id.clone(),
            supports_xmpp: self.supports_xmpp,
            supports_stun: self.supports_stun,
            proxy_configured: ways.http_proxy,
            xmpp_enabled: ways.xmpp,
            stun_enabled: ways.stun,
            current: summary.nat.as_ref().map(|nat| nat.mode),
            history: summary
                .nat_history
                .iter()
                .map(|(mode, history)| (*mode, history.clone()))
                .collect(),
            extra,
        }
    }
}

/// What is stored of a policy's decision. A mode that this host cannot serve is refused: the
/// policy was told that it is not configured.
pub fn accept(
    decision: Decision,
    decided_by: String,
    now: UnixTime,
    fingerprint: u64,
    decided_from: NatFacts,
    ways: Ways,
) -> Result<NatDecision, String> {
    let served = |mode: &Mode| ways.serve(*mode);
    if !served(&decision.mode) {
        return Err(format!(
            "the policy {decided_by} chose {:?}, which is not configured for this instance",
            decision.mode
        ));
    }
    Ok(NatDecision {
        behind_nat: decision.behind_nat,
        mode: decision.mode,
        fallbacks: decision.fallbacks.into_iter().filter(served).collect(),
        reason: decision.reason,
        decided_by,
        decided_at: now,
        facts: fingerprint,
        decided_from,
    })
}
