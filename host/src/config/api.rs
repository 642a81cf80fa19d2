//! `[api]`: the northbound interface, and how people log in to it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::oidc::Oidc;
use super::{ConfigError, within};

/// Characters of the token: so many cannot be guessed.
const TOKEN_CHARS_MIN: usize = 16;

/// `[api]`
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// The token of an administrator; `PATCHBAY_API_TOKEN` in the environment goes before it.
    pub token: Option<String>,
    /// Where people find the API, `https://acs.example.net`, if a proxy stands before it.
    pub url: Option<String>,
    /// The longest `wait_seconds` of a request.
    pub wait_seconds_max: u64,
    /// How long the session of a person may be unused.
    pub session_idle_seconds_max: u64,
    /// How long it may last.
    pub session_seconds_max: u64,
    /// Failed logins of one client address, and of one user.
    pub login_failures_per_minute_max: u32,
    /// The provider at which people log in.
    pub oidc: Option<Oidc>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api")
            .field("listen", &self.listen)
            .field("url", &self.url)
            .field("oidc", &self.oidc)
            .finish_non_exhaustive()
    }
}

impl Default for Api {
    fn default() -> Api {
        Api {
            listen: SocketAddr::from(([127, 0, 0, 1], 7557)),
            token: None,
            url: None,
            wait_seconds_max: 300,
            session_idle_seconds_max: 3_600,
            session_seconds_max: 43_200,
            login_failures_per_minute_max: 10,
            oidc: None,
        }
    }
}

impl Api {
    pub(super) fn read_environment(&mut self) {
        if let Ok(token) = std::env::var("PATCHBAY_API_TOKEN") {
            self.token = Some(token);
        }
        if let Some(oidc) = &mut self.oidc {
            oidc.read_environment();
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (name, seconds, most) in [
            ("api.wait_seconds_max", self.wait_seconds_max, 86_400),
            (
                "api.session_idle_seconds_max",
                self.session_idle_seconds_max,
                self.session_seconds_max,
            ),
            (
                "api.session_seconds_max",
                self.session_seconds_max,
                31_536_000,
            ),
        ] {
            let expected = match name {
                "api.wait_seconds_max" => "1 to 86400 seconds",
                "api.session_seconds_max" => "1 second to a year",
                _ => "1 second to api.session_seconds_max",
            };
            within(name, seconds, 1..=most, expected)?;
        }
        within(
            "api.login_failures_per_minute_max",
            self.login_failures_per_minute_max,
            1..=10_000,
            "1 to 10000",
        )?;
        if let Some(token) = &self.token
            && token.len() < TOKEN_CHARS_MIN
        {
            return Err(ConfigError::Value {
                name: "api.token",
                got: format!("a text of {} characters", token.len()),
                expected: "at least 16 characters",
            });
        }
        if let Some(url) = &self.url
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            return Err(ConfigError::Value {
                name: "api.url",
                got: format!("{url:?}"),
                expected: "a URL such as \"https://acs.example.net\"",
            });
        }
        match &self.oidc {
            Some(oidc) => oidc.check(self.url.as_deref()),
            None => Ok(()),
        }
    }
}
