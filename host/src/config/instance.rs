//! `[instance]` and `[instances.NAME]`: the settings of an instance.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Config, ConfigError, DeviceAuthentication, FactoryCredentials, HttpProxy, Network, Require,
    ShortInform, Waking, discovery, http_proxy, within,
};

/// Stands for every host name that no other instance has.
pub const ANY_HOST: &str = "*";
/// Characters of an instance's name: it stands in URLs, keys and the accounts of its devices.
const NAME_CHARS_MAX: usize = 32;
/// Host names of one instance.
const HOSTS_MAX: usize = 100;
/// Listeners of one instance.
const LISTENERS_MAX: usize = 16;
/// Characters of a host name (RFC 1035).
const HOST_CHARS_MAX: usize = 253;
/// Characters of a realm.
const REALM_CHARS_MAX: usize = 128;
/// Credentials that devices are delivered with, of an instance: each login tries them.
const FACTORY_CREDENTIALS_MAX: usize = 200;
/// Characters of each of their texts.
const FACTORY_CHARS_MAX: usize = 256;

/// The settings of one instance.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Instance {
    /// The host names in the ACS URLs of its devices, those of the operator's own proxies among
    /// them; `*` stands for all that no other instance has. The only instance needs none.
    pub hosts: Vec<String>,
    /// Addresses of its own to listen on: what comes there is of this instance whatever the URL.
    #[schema(value_type = Vec<String>)]
    pub listen: Vec<SocketAddr>,
    /// The same, over TLS with the certificate of `[cwmp.tls]`.
    #[schema(value_type = Vec<String>)]
    pub listen_tls: Vec<SocketAddr>,
    /// Proxies whose word is believed for devices of this instance, beside those of
    /// `cwmp.trusted_proxies`.
    #[schema(value_type = Vec<String>)]
    pub trusted_proxies: Vec<Network>,
    /// Whether its devices are reached by UDP, where `[stun]` is on.
    pub stun: bool,
    /// Whether its devices are reached over XMPP, where `[xmpp]` is on.
    pub xmpp: bool,
    /// The ACS URL that devices are given, `http://acs.example.net:7547/`, where the addresses
    /// listened on do not tell.
    pub acs_url: Option<String>,
    /// Tags of devices by their provisioning code, in which `*` stands for any text.
    pub provisioning_codes: BTreeMap<String, Vec<String>>,
    /// The usual time between two Informs of a device.
    pub standard_periodic_inform_seconds: u32,
    /// Where devices reach the files, `https://files.example.net`; if absent, where they have
    /// their ACS.
    pub file_base_url: Option<String>,
    /// The time between two Informs of a device that cannot be woken.
    pub short_periodic_inform_seconds: u32,
    /// When such a device informs less often.
    pub short_inform: ShortInform,
    /// Addresses that a connection request may go to although they are loopback, link-local
    /// or otherwise reserved: for laboratories.
    #[schema(value_type = Vec<String>)]
    pub connection_request_allow: Vec<Network>,
    /// The addresses of this host that connection requests over HTTP leave from, one of each
    /// family at most, so that firewalls near the devices can let them in; of a family without
    /// one the system chooses.
    #[schema(value_type = Vec<String>)]
    pub connection_request_from: Vec<IpAddr>,
    /// The time that a device has to answer a connection request.
    pub connection_request_seconds_max: u64,
    /// The time from an accepted connection request to the session.
    pub session_after_wake_seconds_max: u64,
    /// What becomes of a device that nobody has announced, when it comes for the first time.
    pub unknown_devices: UnknownDevices,
    /// How devices show who they are.
    pub device_authentication: DeviceAuthentication,
    /// The proxy near the devices that connection requests go through.
    pub http_proxy: Option<HttpProxy>,
    /// How much is woken at once.
    pub waking: Waking,
}

impl Default for Instance {
    fn default() -> Instance {
        Instance {
            hosts: Vec::new(),
            listen: Vec::new(),
            listen_tls: Vec::new(),
            trusted_proxies: Vec::new(),
            stun: true,
            xmpp: true,
            acs_url: None,
            provisioning_codes: BTreeMap::new(),
            standard_periodic_inform_seconds: 14_400,
            file_base_url: None,
            short_periodic_inform_seconds: 20,
            short_inform: ShortInform::default(),
            connection_request_allow: Vec::new(),
            connection_request_from: Vec::new(),
            connection_request_seconds_max: 10,
            session_after_wake_seconds_max: 30,
            unknown_devices: UnknownDevices::default(),
            device_authentication: DeviceAuthentication::default(),
            http_proxy: None,
            waking: Waking::default(),
        }
    }
}

/// What becomes of a device that nobody has announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnknownDevices {
    /// It is let in.
    #[default]
    Accept,
    /// It is registered, and nothing is done with it until somebody releases it.
    Quarantine,
    /// It is refused, and nothing is kept but that.
    Refuse,
}

/// Whether an instance may have this name: 1 to 32 of `a-z`, `0-9` and `-`, a letter first.
///
/// # Errors
/// In words.
pub fn check_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= NAME_CHARS_MAX
        && name.chars().all(plain)
    {
        return Ok(());
    }
    Err(format!(
        "expected a name of 1 to {NAME_CHARS_MAX} of a-z, 0-9 and -, a letter first, got {name:?}"
    ))
}

impl Instance {
    /// Checks what can be told from the settings alone, and from the host's: `config`.
    ///
    /// # Errors
    /// [`ConfigError::Value`] that names the setting.
    pub fn check(&self, config: &Config) -> Result<(), ConfigError> {
        self.check_addresses(config)?;
        for (name, seconds) in [
            (
                "instance.connection_request_seconds_max",
                self.connection_request_seconds_max,
            ),
            (
                "instance.session_after_wake_seconds_max",
                self.session_after_wake_seconds_max,
            ),
        ] {
            within(name, seconds, 1..=86_400, "1 to 86400 seconds")?;
        }
        within(
            "instance.standard_periodic_inform_seconds",
            self.standard_periodic_inform_seconds,
            30..=31_536_000,
            "30 seconds to a year",
        )?;
        within(
            "instance.short_periodic_inform_seconds",
            self.short_periodic_inform_seconds,
            1..=self.standard_periodic_inform_seconds,
            "1 second to the standard interval",
        )?;
        self.short_inform.check(self)?;
        discovery::check(self)?;
        if let Some(url) = &self.file_base_url
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            return Err(ConfigError::Value {
                name: "instance.file_base_url",
                got: url.clone(),
                expected: "an http or https URL such as \"https://files.example.net\"",
            });
        }
        self.check_authentication(config)?;
        self.waking.check()?;
        http_proxy::check_from(&self.connection_request_from)?;
        self.http_proxy.as_ref().map_or(Ok(()), HttpProxy::check)
    }

    /// As they may be shown: passwords are empty.
    pub fn without_secrets(&self) -> Instance {
        let mut shown = self.clone();
        if let Some(proxy) = &mut shown.http_proxy {
            proxy.password = proxy.password.as_ref().map(|_| String::new());
        }
        for factory in &mut shown.device_authentication.factory_credentials {
            factory.password.clear();
        }
        shown
    }

    fn check_addresses(&self, config: &Config) -> Result<(), ConfigError> {
        let wrong = |name, got: &dyn std::fmt::Debug, expected| {
            Err(ConfigError::Value {
                name,
                got: format!("{got:?}"),
                expected,
            })
        };
        let distinct: BTreeSet<String> =
            self.hosts.iter().map(|h| h.to_ascii_lowercase()).collect();
        let all_hosts = self.hosts.len() <= HOSTS_MAX && self.hosts.iter().all(|h| is_host(h));
        if !all_hosts || distinct.len() < self.hosts.len() {
            return wrong(
                "instance.hosts",
                &self.hosts,
                "at most 100 different host names without scheme and port such as \
                 \"acs.example.net\", or \"*\"",
            );
        }
        for (name, listen) in [
            ("instance.listen", &self.listen),
            ("instance.listen_tls", &self.listen_tls),
        ] {
            let distinct: BTreeSet<&SocketAddr> = listen.iter().collect();
            if listen.len() > LISTENERS_MAX || distinct.len() < listen.len() {
                return wrong(name, listen, "at most 16 different addresses");
            }
            let of_host = [&config.cwmp.listen, &config.cwmp.tls.listen];
            let is_taken =
                |one: &&SocketAddr| one.port() != 0 && of_host.iter().any(|l| l.contains(one));
            if let Some(taken) = listen.iter().find(is_taken) {
                return wrong(name, taken, "an address that [cwmp] does not listen on");
            }
        }
        if !self.listen_tls.is_empty() && config.cwmp.tls.certificate.is_none() {
            return wrong(
                "instance.listen_tls",
                &self.listen_tls,
                "cwmp.tls.certificate and key in patchbay.toml",
            );
        }
        Ok(())
    }

    fn check_authentication(&self, config: &Config) -> Result<(), ConfigError> {
        let authentication = &self.device_authentication;
        within(
            "instance.device_authentication.failures_per_minute_max",
            authentication.failures_per_minute_max,
            1..=10_000,
            "1 to 10000",
        )?;
        if authentication.require.takes_password() && authentication.schemes.is_empty() {
            return Err(ConfigError::Value {
                name: "instance.device_authentication.schemes",
                got: "[]".into(),
                expected: "at least one of \"digest-sha-256\", \"digest-md5\", \"basic\"",
            });
        }
        let schemes = &authentication.schemes;
        let is_twice = |at: usize| {
            schemes
                .iter()
                .take(at)
                .any(|one| schemes.get(at) == Some(one))
        };
        if (0..schemes.len()).any(is_twice) {
            return Err(ConfigError::Value {
                name: "instance.device_authentication.schemes",
                got: format!("{} of them", schemes.len()),
                expected: "each scheme once",
            });
        }
        // It goes into each answer that asks for a password, once for each scheme.
        let realm = authentication.realm.chars();
        if realm.clone().count() > REALM_CHARS_MAX || realm.clone().any(char::is_control) {
            return Err(ConfigError::Value {
                name: "instance.device_authentication.realm",
                got: format!("{} characters", realm.count()),
                expected: "at most 128 printable characters",
            });
        }
        let has_authorities = config.cwmp.tls.client_ca.is_some();
        if authentication.require == Require::Certificate && !has_authorities {
            return Err(ConfigError::Value {
                name: "instance.device_authentication.require",
                got: "\"certificate\"".into(),
                expected: "cwmp.tls.client_ca to name the authorities of the devices",
            });
        }
        let is_empty = |factory: &FactoryCredentials| {
            factory.password.is_empty() || factory.username.as_deref() == Some("")
        };
        let factory = &authentication.factory_credentials;
        if factory.len() > FACTORY_CREDENTIALS_MAX || factory.iter().any(is_too_long) {
            return Err(ConfigError::Value {
                name: "instance.device_authentication.factory_credentials",
                got: format!("{} of them", factory.len()),
                expected: "at most 200, with texts of at most 256 characters",
            });
        }
        if factory.iter().any(is_empty) {
            return Err(ConfigError::Value {
                name: "instance.device_authentication.factory_credentials",
                got: "an empty text".into(),
                expected: "a password, and a username that is not empty or none",
            });
        }
        Ok(())
    }
}

fn is_too_long(factory: &FactoryCredentials) -> bool {
    let FactoryCredentials {
        username,
        password,
        manufacturer,
        oui,
        product_class,
    } = factory;
    let others = [username, manufacturer, oui, product_class];
    let mut texts = others.into_iter().flatten().chain([password]);
    texts.any(|text| text.chars().count() > FACTORY_CHARS_MAX)
}

fn is_host(host: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let is_v6 = |host: &str| host.parse::<std::net::Ipv6Addr>().is_ok();
    host == ANY_HOST
        || is_v6(host)
        || (1..=HOST_CHARS_MAX).contains(&host.len()) && host.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_instances() {
        for good in ["a", "acme", "north-2"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "Acme", "2acme", "-a", "a/b", "a b", &"a".repeat(33)] {
            let error = check_name(bad).unwrap_err();
            assert!(error.contains("a letter first"), "{error}");
        }
    }

    #[test]
    fn what_is_no_host_and_no_listener() {
        let refused = |toml: &str, part: &str| {
            let instance: Instance = toml::from_str(toml).unwrap();
            let error = instance.check(&Config::default()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        refused("hosts = ['http://a/']", "instance.hosts");
        refused("hosts = ['a:7547']", "without scheme and port");
        refused("hosts = ['a', 'A']", "different");
        refused("listen = ['[::]:7547']", "does not listen on");
        refused("listen = ['127.0.0.1:1', '127.0.0.1:1']", "different");
        refused("listen_tls = ['127.0.0.1:1']", "cwmp.tls.certificate");
        let good = "hosts = ['acs.example.net', '*', '2001:db8::1']\nlisten = ['127.0.0.1:0']";
        let instance: Instance = toml::from_str(good).unwrap();
        assert!(instance.check(&Config::default()).is_ok());
    }
}
