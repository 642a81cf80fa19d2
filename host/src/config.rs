//! `patchbay.toml` and the environment → [`Config`]. Every number has its unit in its name.
//!
//! An unknown key, a wrong type or a value out of range is an error that names the line and
//! what was expected; nothing is guessed.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;

mod stun;

pub use stun::Stun;
mod xmpp;

pub use xmpp::{Xmpp, XmppAccounts, XmppMode};

/// Everything the operator decides when the host starts.
#[derive(Debug, Clone, Deserialize)]
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
    /// The instance `default`.
    pub instance: Instance,
    /// How sessions are traced.
    pub traces: Traces,
    /// The XMPP server that devices behind NAT keep a stream to.
    pub xmpp: Xmpp,
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
            instance: Instance::default(),
            traces: Traces::default(),
            xmpp: Xmpp::default(),
        }
    }
}

/// `[cwmp]`
#[derive(Debug, Clone, Deserialize)]
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
    /// Reverse proxies whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<Network>,
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
        }
    }
}

/// `[api]`
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// The bearer token; `PATCHBAY_API_TOKEN` in the environment goes before it.
    /// Without one the API is not started.
    pub token: Option<String>,
    /// The longest `wait_seconds` of a request.
    pub wait_seconds_max: u64,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api")
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

impl Default for Api {
    fn default() -> Api {
        Api {
            listen: SocketAddr::from(([127, 0, 0, 1], 7557)),
            token: None,
            wait_seconds_max: 300,
        }
    }
}

/// `[store]`
#[derive(Debug, Clone, Deserialize)]
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
#[derive(Debug, Clone, Deserialize)]
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

/// `[instance]`: the settings of the instance `default`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Instance {
    /// The usual time between two Informs of a device.
    pub standard_periodic_inform_seconds: u32,
    /// The time between two Informs of a device that cannot be woken.
    pub short_periodic_inform_seconds: u32,
    /// Addresses that a connection request may go to although they are loopback, link-local
    /// or otherwise reserved: for laboratories.
    pub connection_request_allow: Vec<Network>,
    /// The time that a device has to answer a connection request.
    pub connection_request_seconds_max: u64,
    /// The time from an accepted connection request to the session.
    pub session_after_wake_seconds_max: u64,
}

impl Default for Instance {
    fn default() -> Instance {
        Instance {
            standard_periodic_inform_seconds: 14_400,
            short_periodic_inform_seconds: 20,
            connection_request_allow: Vec::new(),
            connection_request_seconds_max: 10,
            session_after_wake_seconds_max: 30,
        }
    }
}

/// `[traces]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Traces {
    /// Which sessions are kept with all their messages.
    pub keep: KeepTraces,
    /// Older ones go when all together are larger than this.
    pub bytes_max: u64,
}

impl Default for Traces {
    fn default() -> Traces {
        Traces {
            keep: KeepTraces::Eventful,
            bytes_max: 1 << 30,
        }
    }
}

/// Which sessions are traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeepTraces {
    /// None.
    None,
    /// Those in which something was written, asked for by a task, or went wrong.
    Eventful,
    /// Each.
    All,
}

/// An address range such as `10.0.0.0/8` or `fd00::/8`; a bare address is a range of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether the address lies in the range. An IPv4 address in IPv6 clothes counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        fn same<const N: usize>(a: [u8; N], b: [u8; N], prefix: u8) -> bool {
            let (whole, rest) = (usize::from(prefix / 8), prefix % 8);
            a.iter()
                .zip(&b)
                .enumerate()
                .all(|(i, (x, y))| match i.cmp(&whole) {
                    std::cmp::Ordering::Less => x == y,
                    std::cmp::Ordering::Equal if rest > 0 => (x ^ y) >> (8 - rest) == 0,
                    _ => true,
                })
        }
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(a.octets(), b.octets(), self.prefix),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.octets(), b.octets(), self.prefix),
            _ => false,
        }
    }
}

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let expected = || format!("expected an address range such as 10.0.0.0/8, got {text:?}");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| expected())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|p| *p <= bits)
                .ok_or_else(expected)?,
            None => bits,
        };
        Ok(Network { address, prefix })
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Network, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
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
}

impl Config {
    /// Reads the file, lays the environment over it and checks the ranges.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.into(),
            source,
        })?;
        let mut config: Config = toml::from_str(&text).map_err(|error| ConfigError::Parse {
            path: path.into(),
            text: error.to_string().trim_end().to_owned(),
        })?;
        config.read_environment();
        config.check()?;
        Ok(config)
    }

    /// The defaults, with the environment laid over them.
    pub fn defaults() -> Result<Config, ConfigError> {
        let mut config = Config::default();
        config.read_environment();
        config.check()?;
        Ok(config)
    }

    fn read_environment(&mut self) {
        if let Ok(token) = std::env::var("PATCHBAY_API_TOKEN") {
            self.api.token = Some(token);
        }
        self.xmpp.read_environment();
    }

    /// Checks the ranges.
    pub fn check(&self) -> Result<(), ConfigError> {
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
        let (cwmp, instance) = (&self.cwmp, &self.instance);
        if cwmp.listen.is_empty() {
            return Err(ConfigError::Value {
                name: "cwmp.listen",
                got: "[]".into(),
                expected: "at least one address such as \"[::]:7547\"",
            });
        }
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
                "instance.connection_request_seconds_max",
                instance.connection_request_seconds_max,
            ),
            (
                "instance.session_after_wake_seconds_max",
                instance.session_after_wake_seconds_max,
            ),
            (
                "store.readings_flush_seconds",
                self.store.readings_flush_seconds,
            ),
            ("api.wait_seconds_max", self.api.wait_seconds_max),
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
            "instance.standard_periodic_inform_seconds",
            instance.standard_periodic_inform_seconds,
            30..=31_536_000,
            "30 seconds to a year",
        )?;
        within(
            "instance.short_periodic_inform_seconds",
            instance.short_periodic_inform_seconds,
            1..=instance.standard_periodic_inform_seconds,
            "1 second to the standard interval",
        )?;
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
        if let Some(token) = &self.api.token
            && token.len() < 16
        {
            return Err(ConfigError::Value {
                name: "api.token",
                got: format!("a text of {} characters", token.len()),
                expected: "at least 16 characters",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let holds = |network: &str, address: &str| {
            network
                .parse::<Network>()
                .unwrap()
                .contains(address.parse().unwrap())
        };
        assert!(holds("10.0.0.0/8", "10.200.1.1"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("100.64.0.0/10", "100.127.255.255"));
        assert!(!holds("100.64.0.0/10", "100.128.0.0"));
        assert!(holds("0.0.0.0/0", "203.0.113.9"));
        assert!(holds("127.0.0.0/8", "::ffff:127.0.0.1"));
        assert!(holds("fd00::/8", "fd12::1"));
        assert!(!holds("fd00::/8", "10.0.0.1"));
        assert!(holds("192.0.2.7", "192.0.2.7"));
        assert_eq!(
            "10.0.0.0/33".parse::<Network>().unwrap_err(),
            "expected an address range such as 10.0.0.0/8, got \"10.0.0.0/33\""
        );
    }

    #[test]
    fn the_example_has_every_setting_with_its_default() {
        let example = include_str!("../../examples/patchbay.toml");
        let parsed: Config = toml::from_str(example).unwrap();
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Config::default()));
        // A setting that is missing in the example is not one that it shows.
        let table: toml::Table = toml::from_str(example).unwrap();
        let keys = |name: &str| table[name].as_table().unwrap().len();
        assert_eq!(
            [
                "cwmp", "stun", "api", "store", "plugins", "instance", "traces", "xmpp"
            ]
            .map(keys),
            [10, 7, 2, 3, 5, 5, 2, 17]
        );
    }

    #[test]
    fn errors_name_line_and_expected_value() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let check = |text: &str, parts: &[&str]| {
            std::fs::write(file.path(), text).unwrap();
            let error = Config::load(file.path()).unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{error:?} lacks {part:?}");
            }
        };
        check(
            "[cwmp]\nbody_byte_max = 1\n",
            &["line 2", "body_byte_max", "body_bytes_max"],
        );
        check(
            "[cwmp]\nbody_bytes_max = 1\n",
            &["cwmp.body_bytes_max = 1", "64 KiB"],
        );
        check("[api]\ntoken = \"short\"\n", &["api.token", "at least 16"]);
        check(
            "[cwmp]\ntrusted_proxies = [\"x\"]\n",
            &["line 2", "10.0.0.0/8"],
        );
        check(
            "[stun]\nlisten = [\"192.0.2.1:3478\"]\nsecond_listen = [\"192.0.2.2:3478\"]\n",
            &["stun.second_listen = 192.0.2.2:3478", "another port"],
        );
        check("[stun]\nlisten = []\n", &["stun.listen", "stun.enabled"]);
        check(
            "[stun]\nkeepalive_seconds_max = 10\n",
            &["stun.keepalive_seconds_min = 20"],
        );
    }
}
