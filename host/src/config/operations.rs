//! What the host tells of itself: `[log]`, `[metrics]`, `[telemetry]`; and `[backup]`, `[shutdown]`.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{ConfigError, within};

/// Seconds of a threshold at most.
const SLOW_SECONDS_MAX: f64 = 86_400.0;

/// `[log]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Which lines there are: `info`, `warn,patchbay::door=debug`. `PATCHBAY_LOG` in the environment goes
    /// before it, `PUT /v1/status/log` changes it while the host runs.
    pub filter: String,
    /// How they look; `PATCHBAY_LOG_FORMAT` in the environment goes before it.
    pub format: LogFormat,
    /// A session that takes longer gets a line that says where its time went; 0: none does.
    pub slow_session_seconds: f64,
    /// The same of a request at the API.
    pub slow_request_seconds: f64,
}

/// How lines of the log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Log {
    fn default() -> Log {
        Log {
            filter: "info".into(),
            format: LogFormat::Text,
            slow_session_seconds: 60.0,
            slow_request_seconds: 2.0,
        }
    }
}

/// `[metrics]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// An address of its own for `/metrics`, `/health/live` and `/health/ready`, without a token. They are at
    /// the API's, too.
    pub listen: Option<SocketAddr>,
}

/// `[telemetry]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Where traces of sessions and requests are sent, OTLP over HTTP: `http://collector:4318`. `/v1/traces`
    /// is appended. Without it nothing is sent.
    pub otlp_endpoint: Option<String>,
    /// Under which name.
    pub service_name: String,
    /// Of how many sessions and requests, in percent. Those that a caller traces (`traceparent`) are sent with
    /// the caller's.
    pub sampled_percent: f64,
}

impl Default for Telemetry {
    fn default() -> Telemetry {
        Telemetry {
            otlp_endpoint: None,
            service_name: "patchbay".into(),
            sampled_percent: 100.0,
        }
    }
}

/// `[backup]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backup {
    /// A backup is made this often; 0: only when somebody asks for one.
    pub every_hours: u64,
    /// Of those below the data directory, so many stay; older ones go when one is made.
    pub kept: usize,
}

impl Default for Backup {
    fn default() -> Backup {
        Backup {
            every_hours: 0,
            kept: 7,
        }
    }
}

/// `[shutdown]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shutdown {
    /// For so long the host says that it is not ready, and serves all the same, before it stops: what
    /// distributes connections before it has that time to take it out.
    pub drain_seconds: u64,
}

impl Log {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (name, seconds) in [
            ("log.slow_session_seconds", self.slow_session_seconds),
            ("log.slow_request_seconds", self.slow_request_seconds),
        ] {
            within(
                name,
                seconds,
                0.0..=SLOW_SECONDS_MAX,
                "0 (none) to 86400 seconds",
            )?;
        }
        crate::telemetry::filter(&self.filter).map_err(|got| ConfigError::Value {
            name: "log.filter",
            got,
            expected: "a level (error, warn, info, debug, trace), or target=level, or several with commas",
        })?;
        Ok(())
    }
}

impl Telemetry {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        within(
            "telemetry.sampled_percent",
            self.sampled_percent,
            0.0..=100.0,
            "0 to 100",
        )?;
        let is_url = |url: &str| {
            let scheme = url.starts_with("http://") || url.starts_with("https://");
            scheme
                && url
                    .parse::<http::Uri>()
                    .is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()))
        };
        match &self.otlp_endpoint {
            Some(url) if !is_url(url) => Err(ConfigError::Value {
                name: "telemetry.otlp_endpoint",
                got: format!("{url:?}"),
                expected: "an http or https URL such as \"http://127.0.0.1:4318\"",
            }),
            _ => Ok(()),
        }
    }
}

impl Backup {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        within(
            "backup.every_hours",
            self.every_hours,
            0..=8_760,
            "0 (never) to 8760 hours",
        )?;
        within("backup.kept", self.kept, 1..=10_000, "1 to 10000")
    }
}

impl Shutdown {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        within(
            "shutdown.drain_seconds",
            self.drain_seconds,
            0..=3_600,
            "0 to 3600 seconds",
        )
    }
}
