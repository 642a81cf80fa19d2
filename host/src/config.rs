//! `patchbay.toml` and the environment → [`Config`]. Every number has its unit in its name.
//!
//! An unknown key, a wrong type or a value out of range is an error that names the line and
//! what was expected; nothing is guessed.

mod api;
mod authentication;
mod discovery;
mod files;
mod http_proxy;
mod instance;
mod mistakes;
mod network;
mod oidc;
mod operations;
mod proxies;
mod short_inform;
mod stun;
mod waking;
mod webhooks;
mod xmpp;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::instance::DEFAULT_NAME;

pub use api::Api;
pub use authentication::{DeviceAuthentication, FactoryCredentials, Require, Scheme};
pub use files::{FileAccess, Files};
pub use http_proxy::{HostAndPort, HttpProxy};
pub use instance::{ANY_HOST, Instance, UnknownDevices, check_name};
pub use network::Network;
pub use oidc::{Oidc, OidcRole};
pub use operations::{Backup, Log, LogFormat, Metrics, Shutdown, Telemetry};
pub use proxies::{ForwardedHeader, ProxyProtocol};
pub use short_inform::ShortInform;
pub use stun::Stun;
pub use waking::Waking;
pub use webhooks::Webhooks;
pub use xmpp::{XMPP_PORT, Xmpp, XmppAccounts, XmppMode};

/// Everything the operator decides when the host starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the store, the traces and the audit log live.
    pub data_directory: PathBuf,
    /// Where plugins are dropped.
    pub plugin_directory: PathBuf,
    /// The endpoint that devices talk to.
    pub cwmp: Cwmp,
    /// Reaching devices behind NAT by UDP.
    pub stun: Stun,
    /// The northbound interface.
    pub api: Api,
    /// What is remembered, and how long.
    pub store: Store,
    /// Limits for plugins.
    pub plugins: Plugins,
    /// What devices download and upload.
    pub files: Files,
    /// The instance `default`.
    pub instance: Instance,
    /// The other instances, by name.
    pub instances: BTreeMap<String, Instance>,
    /// How sessions are traced.
    pub traces: Traces,
    /// Where events may be sent.
    pub webhooks: Webhooks,
    /// The XMPP server that devices behind NAT keep a stream to.
    pub xmpp: Xmpp,
    /// What is written down of what happens.
    pub log: Log,
    /// What is counted.
    pub metrics: Metrics,
    /// Traces for a collector of OpenTelemetry.
    pub telemetry: Telemetry,
    /// Copies of what is remembered.
    pub backup: Backup,
    /// How the host stops.
    pub shutdown: Shutdown,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            data_directory: "/var/lib/patchbay".into(),
            plugin_directory: "/etc/patchbay/plugins".into(),
            cwmp: Cwmp::default(),
            stun: Stun::default(),
            api: Api::default(),
            store: Store::default(),
            plugins: Plugins::default(),
            files: Files::default(),
            instance: Instance::default(),
            instances: BTreeMap::new(),
            traces: Traces::default(),
            webhooks: Webhooks::default(),
            xmpp: Xmpp::default(),
            log: Log::default(),
            metrics: Metrics::default(),
            telemetry: Telemetry::default(),
            backup: Backup::default(),
            shutdown: Shutdown::default(),
        }
    }
}

/// `[cwmp]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cwmp {
    /// Addresses to listen on; the standard's port is 7547.
    pub listen: Vec<SocketAddr>,
    /// A larger POST is refused with 413.
    pub body_bytes_max: usize,
    /// How long a device may take to send one request, headers and body.
    pub request_seconds_max: u64,
    /// How long a kept connection may be silent.
    pub idle_seconds_max: u64,
    /// How long a device may be silent within a session before the session is given up.
    pub session_silence_seconds_max: u64,
    /// How long a whole session may take.
    pub session_seconds_max: u64,
    /// RPCs sent in one session.
    pub rpcs_per_session_max: u32,
    /// Sessions at once; more are asked to come again (503 with Retry-After).
    pub sessions_max: usize,
    /// Connections at once; more are closed at once.
    pub connections_max: usize,
    /// Reverse proxies whose word is believed: where a device comes from, and whether over TLS.
    pub trusted_proxies: Vec<Network>,
    /// Which header of theirs.
    pub forwarded_header: ForwardedHeader,
    /// Whether connections begin with a header of the PROXY protocol, version 1 or 2.
    pub proxy_protocol: ProxyProtocol,
    /// The same endpoint over TLS.
    pub tls: Tls,
}

impl Default for Cwmp {
    fn default() -> Cwmp {
        Cwmp {
            listen: vec![SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 7547))],
            body_bytes_max: 16 << 20,
            request_seconds_max: 60,
            idle_seconds_max: 120,
            session_silence_seconds_max: 60,
            session_seconds_max: 600,
            rpcs_per_session_max: 1000,
            sessions_max: 50_000,
            connections_max: 100_000,
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::default(),
            proxy_protocol: ProxyProtocol::default(),
            tls: Tls::default(),
        }
    }
}

/// `[cwmp.tls]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Addresses to listen on, beside those without TLS.
    pub listen: Vec<SocketAddr>,
    /// The certificate and those that lead to its authority (PEM). Read again when it changes.
    pub certificate: Option<PathBuf>,
    /// Its private key (PEM).
    pub key: Option<PathBuf>,
    /// The authorities (PEM) whose signature makes a device's certificate valid; without them
    /// no device is asked for one.
    pub client_ca: Option<PathBuf>,
    /// How long a handshake may take.
    pub handshake_seconds_max: u64,
}

impl Default for Tls {
    fn default() -> Tls {
        Tls {
            listen: Vec::new(),
            certificate: None,
            key: None,
            client_ca: None,
            handshake_seconds_max: 10,
        }
    }
}

/// `[store]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// How long readings may wait in memory before they are written; a crash loses no more than that.
    pub readings_flush_seconds: u64,
    /// The memory that the database may use for its cache.
    pub cache_bytes: u64,
    /// Devices whose parameters are kept in memory.
    pub cached_devices_max: usize,
}

impl Default for Store {
    fn default() -> Store {
        Store {
            readings_flush_seconds: 5,
            cache_bytes: 256 << 20,
            cached_devices_max: 50_000,
        }
    }
}

/// `[plugins]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plugins {
    /// Look at the directory this often even without news from the file system
    /// (network file systems give none); 0 = never.
    pub poll_seconds: u64,
    /// The memory of one plugin instance; `name.toml` may say otherwise.
    pub memory_bytes_max: usize,
    /// The time a plugin may compute for one call; `name.toml` may say otherwise.
    pub call_milliseconds_max: u64,
    /// The first wait before a failed flow is tried again; it doubles with each failure.
    pub flow_retry_seconds: u64,
    /// The longest such wait.
    pub flow_retry_seconds_max: u64,
}

impl Default for Plugins {
    fn default() -> Plugins {
        Plugins {
            poll_seconds: 0,
            memory_bytes_max: 16 << 20,
            call_milliseconds_max: 100,
            flow_retry_seconds: 60,
            flow_retry_seconds_max: 86_400,
        }
    }
}

/// `[traces]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Traces {
    /// Which sessions are kept with all their messages.
    pub keep: KeepTraces,
    /// Older ones go when all together are larger than this.
    pub bytes_max: u64,
    /// Of each device the last so many can be looked at.
    pub sessions_per_device_max: usize,
    /// Older ones go.
    pub age_days_max: i64,
}

impl Default for Traces {
    fn default() -> Traces {
        Traces {
            keep: KeepTraces::Eventful,
            bytes_max: 1 << 30,
            sessions_per_device_max: 50,
            age_days_max: 7,
        }
    }
}

/// Which sessions are traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeepTraces {
    /// None.
    None,
    /// Those in which something was written, asked for by a task, or went wrong.
    Eventful,
    /// Each.
    All,
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what was expected.
    #[error("{path}: {text}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Line, column and what was expected.
        text: String,
    },
    /// A value is out of range.
    #[error("{name} = {got}: expected {expected}")]
    Value {
        /// The key.
        name: &'static str,
        /// Its value.
        got: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A setting of an instance is not what was expected, or its name.
    #[error("{name}{text}")]
    Instance {
        /// `instances.acme.hosts`, or `instances.acme`.
        name: String,
        /// What came, what was expected.
        text: String,
    },
}

impl ConfigError {
    /// Instances are checked as if each stood in `[instance]`.
    fn in_instance(self, instance: &str) -> ConfigError {
        let (name, text) = match self {
            ConfigError::Value {
                name,
                got,
                expected,
            } => (name, format!(" = {got}: expected {expected}")),
            other => ("", format!(": {other}")),
        };
        ConfigError::Instance {
            name: match name.strip_prefix("instance.") {
                Some(setting) => format!("instances.{instance}.{setting}"),
                None => format!("instances.{instance}"),
            },
            text,
        }
    }

    /// The full name of the setting that is not what was expected.
    fn setting(&self) -> Option<&str> {
        match self {
            ConfigError::Value { name, .. } => Some(name),
            ConfigError::Instance { name, .. } => Some(name),
            ConfigError::Read { .. } | ConfigError::Parse { .. } => None,
        }
    }
}

/// The settings that nobody is shown, wherever they stand.
const SECRETS: [&str; 4] = ["token", "secret", "client_secret", "password"];

fn mask(table: &mut toml::Table) {
    for (name, value) in table.iter_mut() {
        match value {
            toml::Value::String(text) if SECRETS.contains(&name.as_str()) => {
                "********".clone_into(text);
            }
            toml::Value::Table(inner) => mask(inner),
            toml::Value::Array(items) => {
                let tables = items.iter_mut().filter_map(toml::Value::as_table_mut);
                tables.for_each(mask);
            }
            _ => {}
        }
    }
}

/// Whether a value lies in its range.
fn within<T: PartialOrd + std::fmt::Display>(
    name: &'static str,
    got: T,
    range: std::ops::RangeInclusive<T>,
    expected: &'static str,
) -> Result<(), ConfigError> {
    if range.contains(&got) {
        return Ok(());
    }
    Err(ConfigError::Value {
        name,
        got: got.to_string(),
        expected,
    })
}

impl Config {
    /// Reads the file, lays the environment over it and checks the ranges.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.into(),
            source,
        })?;
        mistakes::read(&text).map_err(|text| ConfigError::Parse {
            path: path.into(),
            text,
        })
    }

    /// Every setting as TOML; secrets are masked.
    ///
    /// # Errors
    /// When a value cannot be written as TOML.
    pub fn shown(&self) -> Result<String, toml::ser::Error> {
        let mut table = toml::Table::try_from(self)?;
        mask(&mut table);
        toml::to_string(&table)
    }

    /// The defaults, with the environment laid over them.
    pub fn defaults() -> Result<Config, ConfigError> {
        let mut config = Config::default();
        config.read_environment();
        config.check()?;
        Ok(config)
    }

    fn read_environment(&mut self) {
        self.api.read_environment();
        self.xmpp.read_environment();
        if let Some(proxy) = &mut self.instance.http_proxy {
            proxy.read_environment();
        }
    }

    /// Checks the ranges.
    pub fn check(&self) -> Result<(), ConfigError> {
        let cwmp = &self.cwmp;
        if cwmp.listen.is_empty() {
            return Err(ConfigError::Value {
                name: "cwmp.listen",
                got: "[]".into(),
                expected: "at least one address such as \"[::]:7547\"",
            });
        }
        let tls = &cwmp.tls;
        if !tls.listen.is_empty() && (tls.certificate.is_none() || tls.key.is_none()) {
            return Err(ConfigError::Value {
                name: "cwmp.tls.listen",
                got: format!("{:?}", tls.listen),
                expected: "certificate and key beside it",
            });
        }
        proxies::check(cwmp)?;
        within(
            "cwmp.body_bytes_max",
            cwmp.body_bytes_max,
            65_536..=1 << 30,
            "64 KiB to 1 GiB",
        )?;
        for (name, seconds) in [
            ("cwmp.request_seconds_max", cwmp.request_seconds_max),
            ("cwmp.idle_seconds_max", cwmp.idle_seconds_max),
            (
                "cwmp.session_silence_seconds_max",
                cwmp.session_silence_seconds_max,
            ),
            ("cwmp.session_seconds_max", cwmp.session_seconds_max),
            (
                "cwmp.tls.handshake_seconds_max",
                cwmp.tls.handshake_seconds_max,
            ),
            (
                "store.readings_flush_seconds",
                self.store.readings_flush_seconds,
            ),
        ] {
            within(name, seconds, 1..=86_400, "1 to 86400 seconds")?;
        }
        within(
            "cwmp.rpcs_per_session_max",
            cwmp.rpcs_per_session_max,
            1..=1_000_000,
            "1 to 1000000",
        )?;
        within(
            "cwmp.sessions_max",
            cwmp.sessions_max,
            1..=10_000_000,
            "1 to 10000000",
        )?;
        within(
            "cwmp.connections_max",
            cwmp.connections_max,
            1..=10_000_000,
            "1 to 10000000",
        )?;
        within(
            "traces.sessions_per_device_max",
            self.traces.sessions_per_device_max,
            1..=10_000,
            "1 to 10000",
        )?;
        within(
            "traces.age_days_max",
            self.traces.age_days_max,
            1..=3_650,
            "1 to 3650 days",
        )?;
        self.files.check()?;
        self.instance.check(self)?;
        for (name, settings) in &self.instances {
            let of_instance = |text: String| ConfigError::Instance {
                name: format!("instances.{name}"),
                text: format!(": {text}"),
            };
            check_name(name).map_err(of_instance)?;
            if name == DEFAULT_NAME {
                let text = "expected the settings of default in [instance]".to_owned();
                return Err(of_instance(text));
            }
            settings
                .check(self)
                .map_err(|error| error.in_instance(name))?;
        }
        self.check_several_instances()?;
        let stun = &self.stun;
        within(
            "stun.keepalive_seconds_max",
            stun.keepalive_seconds_max,
            1..=3600,
            "1 to 3600 seconds",
        )?;
        within(
            "stun.keepalive_seconds_min",
            stun.keepalive_seconds_min,
            1..=stun.keepalive_seconds_max,
            "1 second to stun.keepalive_seconds_max",
        )?;
        within(
            "stun.requests_per_second_max",
            stun.requests_per_second_max,
            1..=1_000_000,
            "1 to 1000000",
        )?;
        stun.check()?;
        self.xmpp.check()?;
        self.log.check()?;
        self.telemetry.check()?;
        self.backup.check()?;
        self.shutdown.check()?;
        self.api.check()?;
        Ok(())
    }
}

impl Config {
    /// What of two instances cannot be of both.
    fn check_several_instances(&self) -> Result<(), ConfigError> {
        let own = std::iter::once(("instance".to_owned(), &self.instance));
        let others = self.instances.iter();
        let others = others.map(|(name, settings)| (format!("instances.{name}"), settings));
        let (mut hosts, mut listen) = (BTreeMap::new(), BTreeMap::new());
        for (name, settings) in own.chain(others) {
            let taken = |setting: &str, got: &str, others: &str, by: &str| ConfigError::Instance {
                name: format!("{name}.{setting}"),
                text: format!(": expected {others}, got {got}, which is of [{by}] too"),
            };
            for host in &settings.hosts {
                if let Some(by) = hosts.insert(host.to_ascii_lowercase(), name.clone()) {
                    return Err(taken(
                        "hosts",
                        host,
                        "names that no other instance has",
                        &by,
                    ));
                }
            }
            for (setting, addresses) in [
                ("listen", &settings.listen),
                ("listen_tls", &settings.listen_tls),
            ] {
                for address in addresses.iter().filter(|address| address.port() != 0) {
                    if let Some(by) = listen.insert(*address, name.clone()) {
                        let others = "addresses that no other instance listens on";
                        return Err(taken(setting, &address.to_string(), others, &by));
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
