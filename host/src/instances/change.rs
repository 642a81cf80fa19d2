//! How the settings of instances change: durable in the store, then in force.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Entry, Instances, Table};
use crate::config::{self, check_name};
use crate::instance::{DEFAULT_NAME, Instance};
use crate::store::StoreError;

/// Names of the settings in the store begin with this.
const PREFIX: &str = "instance/";
/// And those that keep a removed instance's name from being used again: tokens, traces and audit
/// records may still name it.
const REMOVED: &str = "removed-instance/";
/// Instances of one host.
const INSTANCES_MAX: usize = 1_000;

/// Why a change is not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It is not what was expected.
    #[error("{0}")]
    Wrong(String),
    /// There is such an instance already.
    #[error("there is an instance {0:?} already")]
    Exists(String),
    /// There is no such instance.
    #[error("there is no instance {0:?}")]
    Unknown(String),
    /// Something else has to be done first.
    #[error("{0}")]
    Conflict(String),
    /// The store takes no writes.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Instances {
    /// Makes an instance; durable on return. `changed`: its settings, as far as they are not the
    /// defaults.
    ///
    /// # Errors
    /// When there is one of this name, or the settings are not what is expected.
    pub async fn create(
        &self,
        name: &str,
        changed: Map<String, Value>,
    ) -> Result<Entry, ChangeError> {
        let _changing = self.changing.lock().await;
        check_name(name).map_err(ChangeError::Wrong)?;
        if self.entry(name).is_some() {
            return Err(ChangeError::Exists(name.to_owned()));
        }
        if self.store.setting(&format!("{REMOVED}{name}"))?.is_some() {
            return Err(ChangeError::Conflict(format!(
                "there was an instance {name:?}, and what it did still names it: expected another name"
            )));
        }
        if self.entries().len() >= INSTANCES_MAX {
            return Err(ChangeError::Conflict(format!(
                "expected at most {INSTANCES_MAX} instances"
            )));
        }
        self.check_first_of_several()?;
        self.put(name, false, changed).await
    }

    /// Changes settings by a JSON merge patch (RFC 7396): null goes back to the setting of
    /// `patchbay.toml`, or the default. Durable on return: the instance before and after.
    ///
    /// # Errors
    /// When there is none of this name, or the settings are not what is expected.
    pub async fn change(
        &self,
        name: &str,
        patch: &Map<String, Value>,
    ) -> Result<(Entry, Entry), ChangeError> {
        let _changing = self.changing.lock().await;
        let entry = self.entry(name);
        let entry = entry.ok_or_else(|| ChangeError::Unknown(name.to_owned()))?;
        let mut changed = entry.changed.clone();
        let base = serde_json::to_value(self.base(name)).unwrap_or_default();
        for (setting, value) in patch {
            let before = base.get(setting);
            if value.is_null() {
                changed.remove(setting);
                continue;
            }
            let current = changed.remove(setting);
            let mut current = current.or_else(|| before.cloned()).unwrap_or_default();
            merge(&mut current, value, before);
            changed.insert(setting.clone(), current);
        }
        let after = self.put(name, entry.in_file, changed).await?;
        Ok((entry, after))
    }

    /// Removes an instance that has no devices and no files any more; durable on return. Its name
    /// is not used again.
    ///
    /// # Errors
    /// When there is none of this name, it has devices, or it cannot be removed.
    pub async fn remove(&self, name: &str) -> Result<(), ChangeError> {
        let _changing = self.changing.lock().await;
        let entry = self.entry(name);
        let entry = entry.ok_or_else(|| ChangeError::Unknown(name.to_owned()))?;
        if entry.in_file {
            return Err(ChangeError::Conflict(format!(
                "the instance {name:?} stands in patchbay.toml: it goes when it is taken out there"
            )));
        }
        let devices = self.store.count(name);
        if devices > 0 {
            return Err(ChangeError::Conflict(format!(
                "the instance {name:?} has {devices} devices: delete them first"
            )));
        }
        if !self.store.files(name, None, 1)?.is_empty() {
            return Err(ChangeError::Conflict(format!(
                "the instance {name:?} has files: delete them first"
            )));
        }
        let removed = format!("{REMOVED}{name}");
        self.store.put_setting(&removed, &true.into()).await?;
        self.store
            .remove_setting(&format!("{PREFIX}{name}"))
            .await?;
        let entries = self.entries().into_iter();
        let rest = entries.filter(|e| *e.instance.name != *name);
        self.swap(Table::new(rest));
        Ok(())
    }

    /// The only instance needs no host names. It must have some, or `*`, before there is another:
    /// or its devices would be nobody's all of a sudden.
    fn check_first_of_several(&self) -> Result<(), ChangeError> {
        let entries = self.entries();
        match entries.as_slice() {
            [only]
                if only.instance.settings.hosts.is_empty()
                    && self.store.count(&only.instance.name) > 0 =>
            {
                Err(ChangeError::Conflict(format!(
                    "the devices of the instance {:?} are told by no host name yet: set its hosts \
                     first, to the names in their ACS URLs or to [\"*\"]",
                    only.instance.name
                )))
            }
            _ => Ok(()),
        }
    }

    async fn put(
        &self,
        name: &str,
        in_file: bool,
        changed: Map<String, Value>,
    ) -> Result<Entry, ChangeError> {
        let settings = self.settings(name, &changed).map_err(ChangeError::Wrong)?;
        let entry = Entry {
            instance: Arc::new(Instance::new(name, settings)),
            in_file,
            changed,
        };
        let others = self.entries().into_iter();
        let others = others.filter(|e| *e.instance.name != *name);
        let table = Table::new(others.chain([entry.clone()]));
        table.check().map_err(ChangeError::Conflict)?;
        self.check_listeners(&entry.instance)?;
        let stored = Value::Object(entry.changed.clone());
        let setting = format!("{PREFIX}{name}");
        self.store.put_setting(&setting, &stored).await?;
        self.swap(table);
        Ok(entry)
    }

    /// Whether what it listens on can be listened on, as far as it does not already.
    fn check_listeners(&self, instance: &Instance) -> Result<(), ChangeError> {
        let known: BTreeSet<_> = self.listeners().into_iter().map(|(at, ..)| at).collect();
        let settings = &instance.settings;
        for address in settings.listen.iter().chain(&settings.listen_tls) {
            if !known.contains(address) {
                TcpListener::bind(address).map_err(|error| {
                    ChangeError::Wrong(format!("cannot listen on {address}: {error}"))
                })?;
            }
        }
        Ok(())
    }

    fn swap(&self, table: Table) {
        self.table.store(Arc::new(table));
        self.version.send_modify(|version| *version += 1);
    }

    /// What `patchbay.toml` and the store say.
    pub(super) fn read(&self) -> anyhow::Result<Vec<Entry>> {
        let mut names: BTreeSet<String> = self.config.instances.keys().cloned().collect();
        names.insert(DEFAULT_NAME.to_owned());
        for setting in self.store.setting_names(PREFIX)? {
            names.extend(setting.strip_prefix(PREFIX).map(str::to_owned));
        }
        let mut entries = Vec::new();
        for name in names {
            let changed = match self.store.setting(&format!("{PREFIX}{name}"))? {
                Some(Value::Object(changed)) => changed,
                _ => Map::new(),
            };
            let settings = self.settings(&name, &changed);
            let settings = settings.map_err(|error| {
                anyhow::anyhow!("the instance {name:?}, as it was changed by the API: {error}")
            })?;
            entries.push(Entry {
                instance: Arc::new(Instance::new(&name, settings)),
                in_file: name == DEFAULT_NAME || self.config.instances.contains_key(&name),
                changed,
            });
        }
        Ok(entries)
    }

    /// The settings before anything was changed.
    fn base(&self, name: &str) -> config::Instance {
        match name {
            DEFAULT_NAME => self.config.instance.clone(),
            name => self.config.instances.get(name).cloned().unwrap_or_default(),
        }
    }

    fn settings(
        &self,
        name: &str,
        changed: &Map<String, Value>,
    ) -> Result<config::Instance, String> {
        let base = self.base(name);
        if changed.is_empty() {
            return Ok(base);
        }
        let mut whole = serde_json::to_value(base).map_err(|error| error.to_string())?;
        if let Value::Object(whole) = &mut whole {
            whole.extend(changed.clone());
        }
        let settings: config::Instance = serde_path_to_error::deserialize(whole)
            .map_err(|error| format!("{}: {}", error.path(), error.inner()))?;
        let checked = settings.check(&self.config);
        checked.map_err(|error| error.to_string())?;
        Ok(settings)
    }
}

/// Lays a merge patch over a value (RFC 7396), in which null stands for the value in `base`.
fn merge(into: &mut Value, patch: &Value, base: Option<&Value>) {
    let (Value::Object(into), Value::Object(patch)) = (&mut *into, patch) else {
        *into = patch.clone();
        return;
    };
    for (name, value) in patch {
        let before = base.and_then(|base| base.get(name));
        match (value, before) {
            (Value::Null, None) => drop(into.remove(name)),
            (Value::Null, Some(before)) => drop(into.insert(name.clone(), before.clone())),
            _ => merge(
                into.entry(name.clone()).or_insert(Value::Null),
                value,
                before,
            ),
        }
    }
}
