//! What came of one attempt to wake a device: one word of a small vocabulary, with a sentence for
//! whoever has to do something about it.
//!
//! The errors of every way are mapped to these words here and nowhere else.

use serde::{Deserialize, Serialize};

use super::guard::GuardError;
use super::http::{HttpError, ProxyError};
use super::xmpp::RequestError;

/// What came of an attempt.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The device opened a session.
    SessionOpened,
    /// It took the request and did not come.
    AcceptedButSilent,
    /// The request left, and neither an answer nor a session came.
    NoAnswer,
    /// It is in a session, or was asked too often.
    Busy,
    /// It knows other credentials, or wants none that the ACS would show.
    RefusedCredentials,
    /// It wants credentials, and the ACS has none for it.
    NoCredentials,
    /// Nobody can be connected to at its address.
    Unreachable,
    /// The ACS knows no address of it.
    NoAddress,
    /// The ACS does not call such an address.
    Blocked,
    /// Its answer is none to a connection request.
    Nonsense,
    /// The proxy does not let the ACS through.
    ProxyRefused,
    /// The proxy does not reach the device.
    ProxyCannotReach,
    /// The proxy is not to be reached itself.
    ProxyDown,
    /// It has no XMPP stream open.
    Offline,
    /// Its UDP binding is not kept alive any more.
    BindingExpired,
    /// The host cannot use this way at present.
    NotServed,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Outcome; 16] = [
        Outcome::SessionOpened,
        Outcome::AcceptedButSilent,
        Outcome::NoAnswer,
        Outcome::Busy,
        Outcome::RefusedCredentials,
        Outcome::NoCredentials,
        Outcome::Unreachable,
        Outcome::NoAddress,
        Outcome::Blocked,
        Outcome::Nonsense,
        Outcome::ProxyRefused,
        Outcome::ProxyCannotReach,
        Outcome::ProxyDown,
        Outcome::Offline,
        Outcome::BindingExpired,
        Outcome::NotServed,
    ];

    /// The word, as the API and the log show it.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// What happened.
    pub fn words(self) -> &'static str {
        self.row().1
    }

    /// What to do about it; empty: nothing.
    pub fn advice(self) -> &'static str {
        self.row().2
    }

    /// Whether it says something of this way to this device. What the host itself cannot do does
    /// not: no device is moved to another mode because of it.
    pub fn tells_of_the_device(self) -> bool {
        self != Outcome::NotServed
    }

    /// Name, what happened, what to do.
    fn row(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Outcome::SessionOpened => ("session-opened", "The device opened a session.", ""),
            Outcome::AcceptedButSilent => (
                "accepted-but-silent",
                "The device took the request and opened no session.",
                "Look whether it reaches its ACS URL (DNS, firewall, TLS); restart it if it does this again.",
            ),
            Outcome::NoAnswer => (
                "no-answer",
                "The request left; neither an answer nor a session came back.",
                "The device is off, or something between drops the request: look at its power and line, \
                 then at firewalls and the NAT's time-out.",
            ),
            Outcome::Busy => (
                "busy",
                "The device says that it is busy: it is in a session, or was asked too often.",
                "Wait a minute and wake it again. One that is always busy needs a restart.",
            ),
            Outcome::RefusedCredentials => (
                "refused-credentials",
                "The device does not take the connection-request credentials that the ACS has.",
                "Somebody changed them on the device, or it was restored: they are set again after a factory \
                 reset. If it asks for Basic, its profile has to allow that.",
            ),
            Outcome::NoCredentials => (
                "no-credentials",
                "The device asks for credentials, and the ACS has given it none yet.",
                "Wait for its next Inform: a flow (first-contact) or its mode gives it some then.",
            ),
            Outcome::Unreachable => (
                "unreachable",
                "Nobody answers at the device's address: no connection came to be.",
                "The device is off, or behind NAT or a firewall. If it still informs, open its port for the \
                 sender addresses of this ACS or give the instance an HTTP proxy.",
            ),
            Outcome::NoAddress => (
                "no-address",
                "The ACS knows no address to send the request to.",
                "The device has told none that can be used: look at its ConnectionRequestURL, or wait for \
                 its next Inform.",
            ),
            Outcome::Blocked => (
                "blocked",
                "The device's address is one that the ACS does not call (loopback, link-local, metadata).",
                "Correct the device's ConnectionRequestURL; in a laboratory, connection_request_allow.",
            ),
            Outcome::Nonsense => (
                "nonsense",
                "Something answered at the device's address that does not speak connection requests.",
                "Look at the error: perhaps another service has this port, or the path is not the device's.",
            ),
            Outcome::ProxyRefused => (
                "proxy-refused",
                "The HTTP proxy does not let this ACS through, or not to this address.",
                "Look at the proxy's access rules: sender addresses of this ACS, safe ports, credentials.",
            ),
            Outcome::ProxyCannotReach => (
                "proxy-cannot-reach",
                "The HTTP proxy does not reach the device.",
                "The device is off, or the proxy has no route to it: try from the proxy's own shell.",
            ),
            Outcome::ProxyDown => (
                "proxy-down",
                "The HTTP proxy of the instance does not answer.",
                "See that it runs and that its address and port are right in the instance's settings.",
            ),
            Outcome::Offline => (
                "offline",
                "The device has no XMPP stream open.",
                "It is off, or cannot log in to the XMPP server: look at its XMPP status and the server's log.",
            ),
            Outcome::BindingExpired => (
                "binding-expired",
                "The device has ceased to keep its UDP binding alive.",
                "It is off, or its STUN client is: look at STUNEnable and at UDP 3478 on the way to the ACS.",
            ),
            Outcome::NotServed => (
                "not-served",
                "The host cannot use this way at present.",
                "Look at the error, the settings and /v1/status: a server may be off, or its link down.",
            ),
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why an attempt failed: the word, and what exactly was seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// The word.
    pub outcome: Outcome,
    /// What was seen, with addresses and numbers.
    pub text: String,
}

/// What was seen is kept with the device, and a device may say much.
const TEXT_CHARS_MAX: usize = 300;

impl Failure {
    /// A failure of this kind. Of a long text the beginning is kept.
    pub fn new(outcome: Outcome, text: impl Into<String>) -> Failure {
        let mut text = text.into();
        if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
            text.truncate(end);
            text.push('…');
        }
        Failure { outcome, text }
    }

    /// The instance does not have this way.
    pub fn not_configured() -> Failure {
        Failure::new(Outcome::NotServed, "not configured for this instance")
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Failure {
        let outcome = match &error {
            HttpError::Blocked(guard) => return guard.clone().into(),
            HttpError::Proxy(proxy) => return proxy.clone().into(),
            HttpError::Connect { .. } => Outcome::Unreachable,
            HttpError::Timeout(_) => Outcome::NoAnswer,
            HttpError::Unauthorized | HttpError::Challenge(_) => Outcome::RefusedCredentials,
            HttpError::NoCredentials => Outcome::NoCredentials,
            HttpError::Busy => Outcome::Busy,
            HttpError::Broken(_)
            | HttpError::Nonsense(_)
            | HttpError::TooLong(_)
            | HttpError::Status(_) => Outcome::Nonsense,
        };
        Failure::new(outcome, error.to_string())
    }
}

impl From<ProxyError> for Failure {
    fn from(error: ProxyError) -> Failure {
        let outcome = match &error {
            ProxyError::None => return Failure::not_configured(),
            ProxyError::Unreachable { .. } => Outcome::ProxyDown,
            ProxyError::CannotReach { .. } => Outcome::ProxyCannotReach,
            ProxyError::NoCredentials
            | ProxyError::Unauthorized
            | ProxyError::Challenge(_)
            | ProxyError::Refused { .. }
            | ProxyError::Cached
            | ProxyError::Status { .. } => Outcome::ProxyRefused,
        };
        Failure::new(outcome, error.to_string())
    }
}

impl From<GuardError> for Failure {
    fn from(error: GuardError) -> Failure {
        let outcome = match &error {
            GuardError::Url(_) | GuardError::Unresolved(_) => Outcome::NoAddress,
            GuardError::Forbidden { .. } => Outcome::Blocked,
        };
        Failure::new(outcome, error.to_string())
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Failure {
        let outcome = match &error {
            RequestError::NotOnline => Outcome::Offline,
            RequestError::Credentials => Outcome::RefusedCredentials,
            RequestError::Unavailable => Outcome::Busy,
            RequestError::Other(_) => Outcome::Nonsense,
            RequestError::Timeout(_) => Outcome::NoAnswer,
            RequestError::NoLink(_) => Outcome::NotServed,
        };
        Failure::new(outcome, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_words_and_advice() {
        for outcome in Outcome::ALL {
            let name = serde_json::to_value(outcome).unwrap();
            assert_eq!(name, outcome.name());
            assert!(outcome.words().ends_with('.'), "{outcome}");
            let needs_advice = outcome != Outcome::SessionOpened;
            assert_eq!(outcome.advice().ends_with('.'), needs_advice, "{outcome}");
        }
        let names: std::collections::BTreeSet<&str> =
            Outcome::ALL.iter().map(|outcome| outcome.name()).collect();
        assert_eq!(names.len(), Outcome::ALL.len());
    }

    #[test]
    fn a_device_that_says_much() {
        let schemes = HttpError::Challenge("É".repeat(10_000));
        let text = Failure::from(schemes).text;
        assert_eq!(text.chars().count(), TEXT_CHARS_MAX + 1);
        assert!(text.starts_with("the device asks for ÉÉ") && text.ends_with('…'));
    }

    #[test]
    fn errors_of_all_ways() {
        let connect = HttpError::Connect {
            address: "192.0.2.7:7547".into(),
            text: "refused".into(),
        };
        let forbidden = GuardError::Forbidden {
            address: "127.0.0.1".parse().unwrap(),
            kind: "a loopback address",
        };
        for (failure, outcome) in [
            (Failure::from(connect), Outcome::Unreachable),
            (HttpError::Timeout(10).into(), Outcome::NoAnswer),
            (HttpError::Broken("eof".into()).into(), Outcome::Nonsense),
            (HttpError::Unauthorized.into(), Outcome::RefusedCredentials),
            (HttpError::NoCredentials.into(), Outcome::NoCredentials),
            (
                HttpError::Challenge("Basic".into()).into(),
                Outcome::RefusedCredentials,
            ),
            (HttpError::Busy.into(), Outcome::Busy),
            (HttpError::Status(404).into(), Outcome::Nonsense),
            (HttpError::Nonsense("SSH".into()).into(), Outcome::Nonsense),
            (HttpError::TooLong(16_384).into(), Outcome::Nonsense),
            (
                HttpError::Blocked(forbidden.clone()).into(),
                Outcome::Blocked,
            ),
            (ProxyError::None.into(), Outcome::NotServed),
            (
                HttpError::Proxy(ProxyError::Unauthorized).into(),
                Outcome::ProxyRefused,
            ),
            (
                ProxyError::CannotReach {
                    status: 504,
                    said: String::new(),
                }
                .into(),
                Outcome::ProxyCannotReach,
            ),
            (
                ProxyError::Unreachable {
                    address: "proxy:3128".into(),
                    text: "refused".into(),
                }
                .into(),
                Outcome::ProxyDown,
            ),
            (
                GuardError::Unresolved("cpe".into()).into(),
                Outcome::NoAddress,
            ),
            (forbidden.into(), Outcome::Blocked),
            (RequestError::NotOnline.into(), Outcome::Offline),
            (
                RequestError::Credentials.into(),
                Outcome::RefusedCredentials,
            ),
            (RequestError::Unavailable.into(), Outcome::Busy),
            (RequestError::Other("gone".into()).into(), Outcome::Nonsense),
            (RequestError::Timeout(10).into(), Outcome::NoAnswer),
            (
                RequestError::NoLink("down".into()).into(),
                Outcome::NotServed,
            ),
        ] {
            assert_eq!(failure.outcome, outcome, "{failure}");
            assert!(!failure.text.is_empty());
        }
    }
}
