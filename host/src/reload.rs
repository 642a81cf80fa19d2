//! What is read again when somebody asks for it (SIGHUP, `systemctl reload`): certificates and plugins, at once. Of
//! `patchbay.toml` it is said what has changed and takes a restart.

use std::collections::BTreeMap;
use std::path::Path;

use crate::Acs;
use crate::config::{Config, ConfigError};

impl Acs {
    /// Reads the files again, and says in the log what came of it. What is wrong leaves in force what was read before.
    pub async fn reload(&self, config: Option<&Path>) {
        let xmpp = self.xmpp.as_ref().and_then(|xmpp| xmpp.tls());
        let certificates = [("cwmp.tls", self.tls.as_deref()), ("xmpp", xmpp)];
        let mut read = Vec::new();
        for (section, tls) in certificates {
            let Some(tls) = tls else { continue };
            match tls.reload() {
                Ok(()) => {
                    read.push(section);
                    tls.log(self.clock.unix());
                }
                Err(error) => {
                    tracing::error!(section, %error, "the TLS certificate stays as it was");
                }
            }
        }
        self.plugins.reload().await;
        let changed = config.map_or(Ok(Vec::new()), |path| self.changed_in(path));
        let (certificates, plugins) = (read.join(", "), self.plugins.statuses().len());
        match changed {
            Ok(changed) if changed.is_empty() => {
                tracing::info!(certificates, plugins, "read again; no setting has changed");
            }
            Ok(changed) => tracing::warn!(
                certificates,
                plugins,
                changed = changed.join(", "),
                "read again; changed settings take a restart"
            ),
            Err(error) => tracing::error!(
                certificates,
                plugins,
                %error,
                "read again; the configuration is wrong: a restart would fail"
            ),
        }
    }

    /// The settings that are others in the file than those in force; their values are nobody's business.
    fn changed_in(&self, path: &Path) -> Result<Vec<String>, ConfigError> {
        let (before, after) = (settings(&self.config), settings(&Config::load(path)?));
        let names: std::collections::BTreeSet<&String> =
            before.keys().chain(after.keys()).collect();
        let changed = names
            .into_iter()
            .filter(|name| before.get(*name) != after.get(*name));
        Ok(changed.cloned().collect())
    }
}

/// All settings by their full names.
fn settings(config: &Config) -> BTreeMap<String, toml::Value> {
    let mut settings = BTreeMap::new();
    // Each configuration that was read can be written: it is shown, too.
    if let Ok(table) = toml::Table::try_from(config) {
        gather(table, "", &mut settings);
    }
    settings
}

fn gather(table: toml::Table, before: &str, settings: &mut BTreeMap<String, toml::Value>) {
    for (name, value) in table {
        let name = format!("{before}{name}");
        match value {
            toml::Value::Table(inner) => gather(inner, &format!("{name}."), settings),
            value => {
                settings.insert(name, value);
            }
        }
    }
}
