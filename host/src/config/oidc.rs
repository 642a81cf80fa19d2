//! `[api.oidc]`: people log in at an OpenID Connect provider.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// `[api.oidc]`
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// As the provider writes it in its tokens; https, unless it is this host.
    pub issuer: String,
    /// Who we are to it.
    pub client_id: String,
    /// `PATCHBAY_OIDC_CLIENT_SECRET` in the environment goes before it.
    pub client_secret: Option<String>,
    /// Asked for beside `openid`.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// The claim that names a person in the audit log.
    #[serde(default = "name_claim")]
    pub name_claim: String,
    /// The claim with a person's groups.
    #[serde(default = "groups_claim")]
    pub groups_claim: String,
    /// Only people with an e-mail address of these; empty: all.
    #[serde(default)]
    pub allowed_domains: Vec<String>,
    /// Only people in one of these groups; empty: all.
    #[serde(default)]
    pub allowed_groups: Vec<String>,
    /// Who has which role; at least one must be for a person.
    pub roles: Vec<OidcRole>,
    /// Authorities (PEM) beside those of the system, for a provider of your own.
    pub ca: Option<PathBuf>,
}

/// `[[api.oidc.roles]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcRole {
    /// Without one: that of the groups.
    pub claim: Option<String>,
    /// What it is, or has in its list.
    pub value: String,
    /// The role.
    pub role: String,
    /// Where; without one in all instances.
    pub instance: Option<String>,
}

fn scopes() -> Vec<String> {
    ["email", "profile"].map(str::to_owned).into()
}

fn name_claim() -> String {
    "email".to_owned()
}

fn groups_claim() -> String {
    "groups".to_owned()
}

impl std::fmt::Debug for Oidc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Oidc")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl Oidc {
    pub(super) fn read_environment(&mut self) {
        if let Ok(secret) = std::env::var("PATCHBAY_OIDC_CLIENT_SECRET") {
            self.client_secret = Some(secret);
        }
    }

    pub(super) fn check(&self, url: Option<&str>) -> Result<(), ConfigError> {
        let wrong = |name, got: &str, expected| {
            let got = format!("{got:?}");
            Err(ConfigError::Value {
                name,
                got,
                expected,
            })
        };
        let host = self.issuer.strip_prefix("http://").unwrap_or_default();
        let is_here = host.starts_with("127.0.0.1") || host.starts_with("localhost");
        if !self.issuer.starts_with("https://") && !is_here {
            return wrong("api.oidc.issuer", &self.issuer, "an https URL");
        }
        if self.client_id.is_empty() {
            return wrong("api.oidc.client_id", "", "the id that the provider knows");
        }
        if self.roles.is_empty() {
            return wrong(
                "api.oidc.roles",
                "",
                "at least one such as { value = \"acs-admins\", role = \"admin\" }",
            );
        }
        if url.is_none() {
            return wrong(
                "api.url",
                "",
                "the URL of the API, because [api.oidc] sends people back to it",
            );
        }
        Ok(())
    }
}
