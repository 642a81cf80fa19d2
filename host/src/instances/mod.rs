//! All instances: which one an address is of, and how their settings change while the host runs.
//!
//! What is read is one immutable table, swapped whole. `patchbay.toml` tells the settings that an
//! instance begins with; what was changed since lies over them, in the store.

mod change;
mod own;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::config::{self, ANY_HOST, Config};
use crate::device::DeviceKey;
use crate::instance::{Instance, PATH};
use crate::store::Store;

pub use change::ChangeError;
pub use own::{OF_HOST, OWN, of_host};

/// All instances.
pub struct Instances {
    store: Store,
    /// What the settings are checked against.
    config: Config,
    table: ArcSwap<Table>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
    /// Of changes: for those who follow them.
    version: watch::Sender<u64>,
}

/// The instances as they are.
#[derive(Debug, Default)]
struct Table {
    by_name: BTreeMap<Arc<str>, Entry>,
    by_host: HashMap<String, Arc<Instance>>,
    /// Whose all other host names are.
    other_hosts: Option<Arc<Instance>>,
}

/// An instance, and where its settings come from.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The instance.
    pub instance: Arc<Instance>,
    /// `patchbay.toml` names it.
    pub in_file: bool,
    /// What was changed since, as a JSON merge patch (RFC 7396) over the settings of the file or,
    /// without that, the defaults.
    pub changed: Map<String, Value>,
}

/// No instance has such an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unclaimed {
    /// No instance has this host name.
    #[error(
        "expected a host name of one of the instances, got {0:?}: instances are told by host name \
         (the setting hosts) or by a path such as {PATH}default"
    )]
    Host(String),
    /// There is no instance of this name.
    #[error("expected {PATH} and the name of an instance, got {PATH}{0}")]
    Name(String),
}

impl Table {
    fn new(entries: impl IntoIterator<Item = Entry>) -> Table {
        let mut table = Table::default();
        for entry in entries {
            let instance = &entry.instance;
            for host in &instance.settings.hosts {
                if host == ANY_HOST {
                    table.other_hosts = Some(Arc::clone(instance));
                } else {
                    let host = host.to_ascii_lowercase();
                    table.by_host.insert(host, Arc::clone(instance));
                }
            }
            table.by_name.insert(Arc::clone(&instance.name), entry);
        }
        // The only one needs no name.
        if let (1, Some(only)) = (table.by_name.len(), table.by_name.values().next())
            && only.instance.settings.hosts.is_empty()
        {
            table.other_hosts = Some(Arc::clone(&only.instance));
        }
        table
    }

    /// What of two instances cannot be of both.
    fn check(&self) -> Result<(), String> {
        let mut hosts: HashMap<String, &str> = HashMap::new();
        let mut listen: HashMap<SocketAddr, &str> = HashMap::new();
        for Entry { instance, .. } in self.by_name.values() {
            let settings = &instance.settings;
            for host in &settings.hosts {
                if let Some(other) = hosts.insert(host.to_ascii_lowercase(), &instance.name) {
                    return Err(format!(
                        "hosts: expected names that no other instance has, but {host:?} is of {other} too"
                    ));
                }
            }
            for address in settings.listen.iter().chain(&settings.listen_tls) {
                let other = listen.insert(*address, &instance.name);
                if let Some(other) = other.filter(|_| address.port() != 0) {
                    return Err(format!(
                        "listen: expected addresses that nobody else listens on, but {address} is of {other} too"
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Instances {
    /// Those of the configuration and those of the store.
    ///
    /// # Errors
    /// When the store cannot be read, or the settings of an instance in the store are not what
    /// this version takes.
    pub fn open(config: &Config, store: &Store) -> anyhow::Result<Instances> {
        let (version, _) = watch::channel(0);
        let instances = Instances {
            store: store.clone(),
            config: config.clone(),
            table: ArcSwap::default(),
            changing: tokio::sync::Mutex::default(),
            version,
        };
        let table = Table::new(instances.read()?);
        table.check().map_err(|error| anyhow::anyhow!("{error}"))?;
        instances.table.store(Arc::new(table));
        Ok(instances)
    }

    /// The instance of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Instance>> {
        let table = self.table.load();
        table.by_name.get(name).map(|e| Arc::clone(&e.instance))
    }

    /// The instance of a device. One that is gone meanwhile has the default settings.
    pub fn of(&self, device: &DeviceKey) -> Arc<Instance> {
        self.get(&device.instance).unwrap_or_else(|| {
            let settings = config::Instance::default();
            Arc::new(Instance::new(&device.instance, settings))
        })
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Arc<Instance>> {
        let table = self.table.load();
        let entries = table.by_name.values();
        entries.map(|e| Arc::clone(&e.instance)).collect()
    }

    /// The names of all of them, in order.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.table.load().by_name.keys().cloned().collect()
    }

    /// All of them with where their settings come from, by name.
    pub fn entries(&self) -> Vec<Entry> {
        self.table.load().by_name.values().cloned().collect()
    }

    /// The instance of this name, with where its settings come from.
    pub fn entry(&self, name: &str) -> Option<Entry> {
        self.table.load().by_name.get(name).cloned()
    }

    /// Whose an ACS URL is: by its path, else by the host name in it (without a port).
    ///
    /// # Errors
    /// When it is nobody's.
    pub fn at(&self, path: &str, host: Option<&str>) -> Result<Arc<Instance>, Unclaimed> {
        let table = self.table.load();
        if let Some(rest) = path.strip_prefix(PATH) {
            let name = rest.split('/').next().unwrap_or_default();
            let entry = table.by_name.get(name);
            let entry = entry.ok_or_else(|| Unclaimed::Name(name.to_owned()))?;
            return Ok(Arc::clone(&entry.instance));
        }
        let host = host.unwrap_or_default();
        let named = match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => table.by_host.get(&host.to_ascii_lowercase()),
            false => table.by_host.get(host),
        };
        let found = named.or(table.other_hosts.as_ref()).cloned();
        found.ok_or_else(|| Unclaimed::Host(host.to_owned()))
    }

    /// Becomes another number with each change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The addresses that instances listen on by themselves: whose, and whether over TLS.
    pub fn listeners(&self) -> BTreeSet<(SocketAddr, bool, Arc<str>)> {
        let mut listeners = BTreeSet::new();
        for instance in self.all() {
            for (addresses, tls) in [
                (&instance.settings.listen, false),
                (&instance.settings.listen_tls, true),
            ] {
                for address in addresses {
                    listeners.insert((*address, tls, Arc::clone(&instance.name)));
                }
            }
        }
        listeners
    }
}

#[cfg(test)]
mod tests;
