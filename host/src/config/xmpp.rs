//! `[xmpp]`: the XMPP server that devices behind NAT keep a stream to.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Of accounts on a server that no other name leads to: `.internal` is never in the DNS.
const OWN_DOMAIN: &str = "patchbay.internal";
/// The port of XMPP (RFC 6120 §14.7), of another server that the operator names no port of.
pub const XMPP_PORT: u16 = 5222;

/// `[xmpp]`
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Xmpp {
    /// Whose server it is.
    pub mode: XmppMode,
    /// The domain of the devices' accounts. It need not be one of the DNS if `host` is set.
    /// Empty, which only the embedded server takes: a name that nobody else knows.
    pub domain: String,
    /// Host or address that devices connect to. Empty: they look for the domain in the DNS; is
    /// that empty too, they connect to the host of their ACS URL.
    pub host: String,
    /// The port there; 0: the first of `listen`, or of `listen_tls`.
    pub port: u16,
    /// Devices are told to use TLS.
    pub devices_use_tls: bool,
    /// Seconds between two signs of life on a silent stream, of devices and of the embedded server.
    pub keep_alive_seconds: u32,
    /// Embedded: addresses to listen on, in clear with STARTTLS.
    pub listen: Vec<SocketAddr>,
    /// Embedded: addresses to listen on with TLS from the first byte.
    pub listen_tls: Vec<SocketAddr>,
    /// Embedded: the server's certificate and those that signed it, PEM. Without one there is no TLS.
    pub certificate: Option<PathBuf>,
    /// Embedded: its key, PEM.
    pub key: Option<PathBuf>,
    /// Embedded: nobody logs in without TLS.
    pub tls_required: bool,
    /// Embedded: passwords may come in clear over connections in clear.
    pub plain_without_tls: bool,
    /// Embedded: connections at once.
    pub connections_max: usize,
    /// Embedded: connections of one address; many devices may share one.
    pub connections_per_address_max: usize,
    /// Embedded: logins under way of one address.
    pub logins_per_address_max: usize,
    /// Embedded: from the first byte to the end of the login.
    pub login_seconds_max: u64,
    /// Component and client: `host:port` of the server.
    pub server: String,
    /// Component: its domain there. Client: the JID of the ACS there.
    pub jid: String,
    /// Component: the shared secret. Client: the password. `PATCHBAY_XMPP_SECRET` in the
    /// environment goes before it.
    pub secret: Option<String>,
    /// Client: certificates that the server's must lead to, PEM. Without them there is no TLS.
    pub ca: Option<PathBuf>,
    /// Component and client: how devices get accounts there.
    pub accounts: XmppAccounts,
}

/// Whose XMPP server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum XmppMode {
    /// None: no device is woken over XMPP.
    Off,
    /// Ours.
    Embedded,
    /// Another one, of which the ACS is a component (XEP-0114).
    Component,
    /// Another one, of which the ACS is a client.
    Client,
}

/// How devices get accounts on a server that is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum XmppAccounts {
    /// By commands for administrators (XEP-0133): the ACS has to be one there.
    Commands,
    /// The operator makes them, with the passwords that `patchbay xmpp-accounts` prints.
    Operator,
}

impl Default for Xmpp {
    fn default() -> Xmpp {
        Xmpp {
            mode: XmppMode::Embedded,
            domain: String::new(),
            host: String::new(),
            port: 0,
            devices_use_tls: false,
            keep_alive_seconds: 120,
            listen: vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, XMPP_PORT))],
            listen_tls: Vec::new(),
            certificate: None,
            key: None,
            tls_required: false,
            plain_without_tls: false,
            connections_max: 20_000,
            connections_per_address_max: 1_000,
            logins_per_address_max: 100,
            login_seconds_max: 30,
            server: String::new(),
            jid: String::new(),
            secret: None,
            ca: None,
            accounts: XmppAccounts::Commands,
        }
    }
}

impl std::fmt::Debug for Xmpp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Everything but the secret, so that a default is told from another value.
        let Xmpp {
            mode,
            domain,
            host,
            port,
            ..
        } = self;
        let told = (
            mode,
            domain,
            host,
            port,
            self.devices_use_tls,
            self.keep_alive_seconds,
        );
        let embedded = (&self.listen, &self.listen_tls, &self.certificate, &self.key);
        let rules = (
            self.tls_required,
            self.plain_without_tls,
            self.login_seconds_max,
        );
        let limits = (
            self.connections_max,
            self.connections_per_address_max,
            self.logins_per_address_max,
        );
        let external = (&self.server, &self.jid, &self.ca, self.accounts);
        write!(
            f,
            "Xmpp {told:?} {embedded:?} {rules:?} {limits:?} {external:?}"
        )
    }
}

impl Xmpp {
    /// The domain of the devices' accounts.
    pub fn domain(&self) -> &str {
        match self.domain.as_str() {
            "" => OWN_DOMAIN,
            domain => domain,
        }
    }

    pub(super) fn read_environment(&mut self) {
        if let Ok(secret) = std::env::var("PATCHBAY_XMPP_SECRET") {
            self.secret = Some(secret);
        }
    }

    /// Checks what belongs together.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let expect = |name, is_right: bool, got: &dyn std::fmt::Debug, expected| match is_right {
            true => Ok(()),
            false => Err(ConfigError::Value {
                name,
                got: format!("{got:?}"),
                expected,
            }),
        };
        expect(
            "xmpp.keep_alive_seconds",
            (10..=86_400).contains(&self.keep_alive_seconds),
            &self.keep_alive_seconds,
            "10 to 86400 seconds",
        )?;
        expect(
            "xmpp.login_seconds_max",
            (1..=600).contains(&self.login_seconds_max),
            &self.login_seconds_max,
            "1 to 600 seconds",
        )?;
        if self.mode == XmppMode::Off {
            return Ok(());
        }
        let is_domain = |text: &str| {
            let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            !text.is_empty() && text.len() <= 64 && text.chars().all(part)
        };
        let is_own = self.mode == XmppMode::Embedded && self.domain.is_empty();
        expect(
            "xmpp.domain",
            is_own || is_domain(&self.domain),
            &self.domain,
            "a domain of at most 64 characters",
        )?;
        if self.mode == XmppMode::Embedded {
            expect(
                "xmpp.listen",
                !(self.listen.is_empty() && self.listen_tls.is_empty()),
                &self.listen,
                "an address such as \"[::]:5222\", here or in listen_tls",
            )?;
            let has_tls = self.certificate.is_some();
            expect(
                "xmpp.key",
                self.key.is_some() == has_tls,
                &self.key,
                "certificate and key, or neither",
            )?;
            return expect(
                "xmpp.certificate",
                has_tls
                    || !(self.tls_required || self.devices_use_tls || !self.listen_tls.is_empty()),
                &self.certificate,
                "a certificate where TLS is wanted",
            );
        }
        expect(
            "xmpp.server",
            self.server
                .rsplit_once(':')
                .is_some_and(|(_, port)| port.parse::<u16>().is_ok()),
            &self.server,
            "host:port of the XMPP server",
        )?;
        let is_client = self.mode == XmppMode::Client;
        let (node, domain) = self.jid.split_once('@').unwrap_or(("", &self.jid));
        expect(
            "xmpp.jid",
            is_domain(domain) && node.is_empty() != is_client,
            &self.jid,
            match is_client {
                true => "a JID such as \"acs@example.net\"",
                false => "a domain such as \"acs.example.net\"",
            },
        )?;
        expect(
            "xmpp.secret",
            self.secret
                .as_ref()
                .is_some_and(|secret| !secret.is_empty()),
            &"none",
            "the secret of the component, or the password of the client",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(toml: &str, expected: &str) {
        let xmpp: Xmpp = toml::from_str(toml).unwrap();
        let got = xmpp.check().map_err(|error| error.to_string());
        match expected {
            "" => assert_eq!(got, Ok(())),
            expected => assert!(got.as_ref().is_err_and(|e| e.contains(expected)), "{got:?}"),
        }
    }

    #[test]
    fn what_belongs_together() {
        check("", "");
        check("mode = 'component'", "xmpp.domain");
        check("mode = 'embedded'\ndomain = 'a b'", "xmpp.domain");
        let embedded = |more: &str| format!("mode = 'embedded'\ndomain = 'acs.example'\n{more}");
        check(&embedded(""), "");
        check(&embedded("listen = []"), "xmpp.listen");
        check(&embedded("tls_required = true"), "xmpp.certificate");
        check(&embedded("devices_use_tls = true"), "xmpp.certificate");
        check(&embedded("certificate = 'a.pem'"), "xmpp.key");
        check(
            &embedded("certificate = 'a.pem'\nkey = 'b.pem'\ntls_required = true"),
            "",
        );
        check(&embedded("keep_alive_seconds = 1"), "10 to 86400");
        let external = |mode: &str, more: &str| {
            format!("mode = '{mode}'\ndomain = 'a.example'\nserver = '127.0.0.1:5347'\n{more}")
        };
        check("mode = 'client'\ndomain = 'a.example'", "xmpp.server");
        check(&external("component", "jid = 'acs@a.example'"), "xmpp.jid");
        check(
            &external("component", "jid = 'acs.a.example'"),
            "xmpp.secret",
        );
        check(
            &external("component", "jid = 'acs.a.example'\nsecret = 's'"),
            "",
        );
        check(
            &external("client", "jid = 'a.example'\nsecret = 's'"),
            "xmpp.jid",
        );
        check(
            &external("client", "jid = 'acs@a.example'\nsecret = 's'"),
            "",
        );
        let secret: Xmpp = toml::from_str("secret = 'hidden-one'").unwrap();
        assert!(!format!("{secret:?}").contains("hidden-one"));
    }
}
