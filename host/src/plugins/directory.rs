//! The plugins' directory: what is in it is compared with what is loaded, and what changed is
//! loaded, refused or dropped. Events of the file system only say "look again".

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use super::guest::Identity;
use super::limits::Limits;
use super::listing::{Source, Stamp, Stamps, list, read};
use super::load::{Code, Linkers, hash};
use super::operator::Operator;
use super::plugin::LoadedPlugin;
use super::pool::Pool;
use super::status::{Counters, PluginState};
use super::{PluginMemory, Table, written};
use crate::clock::Clock;
use crate::events::{Event, Events, PluginEvent, PluginStep, What, short};

const TOML_BYTES_MAX: u64 = 1 << 20;
const NAME_BYTES_MAX: usize = 64;

/// The directory and what is loaded of it.
pub(super) struct Directory {
    path: PathBuf,
    loader: Loader,
    entries: BTreeMap<String, Entry>,
    generation: u64,
    missing: bool,
}

/// What a plugin is loaded with.
pub(super) struct Loader {
    pub(super) linkers: Arc<Linkers>,
    pub(super) limits: Limits,
    pub(super) memory: Arc<dyn PluginMemory>,
    /// Nanoseconds spent in all plugins.
    pub(super) time_spent: Arc<AtomicU64>,
    pub(super) events: Arc<Events>,
}

/// One name in the directory.
#[derive(Default)]
struct Entry {
    /// Of the files that were last loaded or refused.
    stamps: Option<Stamps>,
    /// The code last compiled under this name, and of which file.
    code: Option<(Stamp, Arc<Code>)>,
    running: Option<Arc<LoadedPlugin>>,
    /// What ran before the present code.
    former: Option<Arc<LoadedPlugin>>,
    refused: Option<String>,
    disabled: bool,
    generation: u64,
    rollbacks: u64,
}

/// What is told of an entry.
#[derive(Clone)]
pub(super) struct EntryStatus {
    pub(super) name: String,
    pub(super) state: PluginState,
    pub(super) running: Option<Arc<LoadedPlugin>>,
    pub(super) refused: Option<String>,
    pub(super) generation: u64,
    pub(super) rollbacks: u64,
    /// The file's name.
    pub(super) file: String,
}

/// What a look at the directory found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scan {
    /// A new table or new statuses are to be published.
    pub(super) changed: bool,
    /// A file was being written: look again soon.
    pub(super) again: bool,
}

enum Loaded {
    Done,
    /// The file changed while it was read.
    Unfinished,
}

/// What a plugin is made from: the code, and what it is beside the code.
pub(super) struct Made {
    pub(super) code: Arc<Code>,
    /// Of a profile that is written down: its settings as JSON.
    pub(super) written: Option<String>,
    /// SHA-256 of the file that makes it what it is.
    pub(super) hash: Arc<str>,
}

impl Directory {
    pub(super) fn new(path: PathBuf, loader: Loader) -> Directory {
        Directory {
            path,
            loader,
            entries: BTreeMap::new(),
            generation: 0,
            missing: false,
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Of plugins whose operator's file says nothing else.
    pub(super) fn limits(&self) -> &Limits {
        &self.loader.limits
    }

    /// Looks at the directory and acts on what changed.
    pub(super) async fn scan(&mut self) -> Scan {
        let mut scan = Scan::default();
        let path = self.path.clone();
        let found = match blocking(move || list(&path))
            .await
            .and_then(|listed| listed.map_err(|error| error.to_string()))
        {
            Ok(found) => found,
            Err(error) => {
                // What runs goes on: a volume that is gone for a moment must not stop all logic.
                if !std::mem::replace(&mut self.missing, true) {
                    tracing::warn!(directory = %self.path.display(), running = self.running().len(), %error,
                        "cannot read the plugins' directory; what runs goes on");
                }
                return scan;
            }
        };
        self.missing = false;
        // The component of the written profiles goes first: they are made with its code.
        let component = found.get_key_value(written::COMPONENT);
        let rest = found.iter().filter(|(name, _)| *name != written::COMPONENT);
        for (name, stamps) in component.into_iter().chain(rest) {
            let mut entry = self.entries.remove(name).unwrap_or_default();
            if entry.stamps != Some(*stamps) {
                match self.refresh(name, &mut entry, *stamps).await {
                    Ok(Loaded::Done) => {
                        entry.stamps = Some(*stamps);
                        entry.refused = None;
                        scan.changed = true;
                    }
                    Ok(Loaded::Unfinished) => scan.again = true,
                    Err(error) => {
                        entry.stamps = Some(*stamps);
                        let still = entry.running.as_ref().map(|plugin| plugin.generation);
                        tracing::warn!(target: "patchbay::plugin", plugin = name, still_running = still, "refused: {error}");
                        self.loader.tell(
                            name,
                            entry.running.as_deref(),
                            Some(&error),
                            PluginStep::Failed,
                        );
                        entry.refused = Some(error);
                        scan.changed = true;
                    }
                }
            }
            self.entries.insert(name.clone(), entry);
        }
        self.entries.retain(|name, entry| {
            let keep = found.contains_key(name);
            if !keep && entry.stamps.is_some() {
                tracing::info!(target: "patchbay::plugin", plugin = name, "removed");
                self.loader.tell(name, None, None, PluginStep::Removed);
                scan.changed = true;
            }
            keep
        });
        scan
    }

    async fn refresh(
        &self,
        name: &str,
        entry: &mut Entry,
        stamps: Stamps,
    ) -> Result<Loaded, String> {
        check_name(name)?;
        let defaults = &self.loader.limits;
        let operator = match stamps.toml {
            None => Operator::absent(defaults),
            Some(_) => {
                let path = self.path.join(format!("{name}.toml"));
                let read = blocking(move || read(&path, TOML_BYTES_MAX)).await?;
                let (bytes, now) = read.map_err(|error| format!("{name}.toml: {error}"))?;
                if Some(now) != stamps.toml {
                    return Ok(Loaded::Unfinished);
                }
                let text =
                    String::from_utf8(bytes).map_err(|_| format!("{name}.toml: not UTF-8"))?;
                Operator::parse(&text, defaults).map_err(|error| format!("{name}.toml: {error}"))?
            }
        };
        if !operator.enabled {
            if name == written::COMPONENT {
                // By itself it is disabled; the written profiles still need its code.
                self.made(name, entry, stamps.source).await?;
            }
            entry.running = None;
            entry.disabled = true;
            tracing::info!(target: "patchbay::plugin", plugin = name, "disabled");
            return Ok(Loaded::Done);
        }
        let Some(made) = self.made(name, entry, stamps.source).await? else {
            return Ok(Loaded::Unfinished);
        };
        let operator = match &made.written {
            None => operator,
            Some(_) if operator.has_settings() => {
                return Err(format!(
                    "{name}.toml: expected no [settings]: what the profile does stands in {}",
                    stamps.source.file(name)
                ));
            }
            Some(settings) => Operator {
                settings: settings.clone(),
                ..operator
            },
        };
        let same_file = entry.running.as_ref().is_some_and(|running| {
            running.hash == made.hash && running.code.hash == made.code.hash
        });
        let same_toml = entry
            .stamps
            .is_some_and(|before| before.toml == stamps.toml)
            && entry.refused.is_none();
        if same_file && same_toml {
            return Ok(Loaded::Done);
        }
        let generation = entry.generation + 1;
        let plugin = Arc::new(self.loader.load(name, made, operator, generation).await?);
        tracing::info!(target: "patchbay::plugin", plugin = name, version = &**plugin.version(), generation,
            kinds = plugin.code.kinds.names().join(" "), "loaded");
        self.loader
            .tell(name, Some(&plugin), None, PluginStep::Loaded);
        entry.generation = generation;
        entry.disabled = false;
        let before = entry.running.replace(plugin);
        if !same_file {
            entry.former = before;
        }
        Ok(Loaded::Done)
    }

    /// Reads the files of a plugin. `None`: one changed meanwhile.
    async fn made(
        &self,
        name: &str,
        entry: &mut Entry,
        source: Source,
    ) -> Result<Option<Made>, String> {
        match source {
            Source::Component(stamp) => {
                let code = self.code(name, entry, stamp).await?;
                Ok(code.map(|code| Made {
                    hash: Arc::clone(&code.hash),
                    code,
                    written: None,
                }))
            }
            Source::Written {
                component: None, ..
            } => Err(written::no_component()),
            Source::Written { profile, .. } => self.made_of_profile(name, profile).await,
            Source::Both => Err(format!(
                "there are {name}.wasm and {name}{}; expected one of them",
                written::ENDING
            )),
        }
    }

    async fn made_of_profile(&self, name: &str, stamp: Stamp) -> Result<Option<Made>, String> {
        let file = format!("{name}{}", written::ENDING);
        let path = self.path.join(&file);
        let read = blocking(move || read(&path, TOML_BYTES_MAX)).await?;
        let (bytes, now) = read.map_err(|error| format!("{file}: {error}"))?;
        if now != stamp {
            return Ok(None);
        }
        let hash = hash(&bytes);
        let text = String::from_utf8(bytes).map_err(|_| format!("{file}: not UTF-8"))?;
        let settings = written::settings(&text).map_err(|error| format!("{file}: {error}"))?;
        let component = self.entries.get(written::COMPONENT);
        let code = component.and_then(|entry| entry.code.as_ref());
        let Some((_, code)) = code else {
            return Err(match component.and_then(|entry| entry.refused.as_deref()) {
                Some(error) => format!("{}.wasm: {error}", written::COMPONENT),
                None => written::no_component(),
            });
        };
        Ok(Some(Made {
            code: Arc::clone(code),
            written: Some(settings),
            hash,
        }))
    }

    /// Compiles the file, unless its content is that of the code at hand.
    async fn code(
        &self,
        name: &str,
        entry: &mut Entry,
        stamp: Stamp,
    ) -> Result<Option<Arc<Code>>, String> {
        if let Some((of, code)) = &entry.code
            && *of == stamp
        {
            return Ok(Some(Arc::clone(code)));
        }
        let path = self.path.join(format!("{name}.wasm"));
        let bytes_max = self.loader.limits.file_bytes_max;
        let (bytes, now) = blocking(move || read(&path, bytes_max))
            .await?
            .map_err(|error| error.to_string())?;
        if now != stamp {
            return Ok(None);
        }
        let known = entry.code.take().map(|(_, code)| code);
        let linkers = Arc::clone(&self.loader.linkers);
        let compiled = blocking(move || {
            let hash = hash(&bytes);
            match known {
                Some(code) if code.hash == hash => Ok(code),
                _ => Code::compile(&linkers, &bytes, hash).map(Arc::new),
            }
        });
        let code = compiled.await??;
        entry.code = Some((stamp, Arc::clone(&code)));
        Ok(Some(code))
    }

    /// Puts the version before the present one back, until the file changes again.
    pub(super) fn rollback(&mut self, name: &str) -> Result<(), String> {
        let entry = self
            .entries
            .get_mut(name)
            .ok_or_else(|| format!("there is no plugin {name}"))?;
        let former = entry
            .former
            .take()
            .ok_or_else(|| format!("{name} has no version before this one"))?;
        tracing::info!(target: "patchbay::plugin", plugin = name, version = &**former.version(), "rolled back");
        self.loader
            .tell(name, Some(&former), None, PluginStep::RolledBack);
        entry.former = entry.running.replace(former);
        entry.rollbacks += 1;
        entry.refused = Some("rolled back by hand; the file is not what runs".to_owned());
        Ok(())
    }

    /// The table of what runs now.
    pub(super) fn table(&mut self) -> Table {
        self.generation += 1;
        Table::new(self.generation, &self.running())
    }

    pub(super) fn statuses(&self) -> Vec<EntryStatus> {
        self.entries
            .iter()
            .map(|(name, entry)| entry.status(name))
            .collect()
    }

    fn running(&self) -> Vec<Arc<LoadedPlugin>> {
        self.entries
            .values()
            .filter_map(|entry| entry.running.clone())
            .collect()
    }
}

impl Entry {
    fn status(&self, name: &str) -> EntryStatus {
        let state = match (&self.running, &self.refused) {
            (Some(_), None) => PluginState::Running,
            (Some(_), Some(_)) => PluginState::Outdated,
            (None, None) if self.disabled => PluginState::Disabled,
            (None, _) => PluginState::Failed,
        };
        EntryStatus {
            name: name.to_owned(),
            state,
            running: self.running.clone(),
            refused: self.refused.clone(),
            generation: self.generation,
            rollbacks: self.rollbacks,
            file: self.file(name),
        }
    }

    fn file(&self, name: &str) -> String {
        let source = self.stamps.map(|stamps| stamps.source);
        source.map_or_else(|| name.to_owned(), |source| source.file(name))
    }
}

impl Loader {
    /// What became of a plugin, for the systems around.
    fn tell(
        &self,
        name: &str,
        running: Option<&LoadedPlugin>,
        error: Option<&str>,
        step: PluginStep,
    ) {
        let event = PluginEvent {
            plugin: name.to_owned(),
            version: running.map_or_else(String::new, |plugin| plugin.version().to_string()),
            error: error.map(short),
            left_out: 0,
            step,
        };
        self.events
            .emit(Event::of_host(Clock.unix(), What::Plugin(event)));
    }

    /// Asks the code what it is, with the operator's settings, and makes a plugin of both.
    pub(super) async fn load(
        &self,
        name: &str,
        made: Made,
        operator: Operator,
        generation: u64,
    ) -> Result<LoadedPlugin, String> {
        let identity = |version: &str| {
            Arc::new(Identity {
                name: name.into(),
                version: version.into(),
                limits: operator.limits.clone(),
                settings: operator.settings.as_str().into(),
                settings_of: operator.settings_of.clone(),
                lookup: operator.lookup.clone(),
                memory: Arc::clone(&self.memory),
                events: Arc::clone(&self.events),
            })
        };
        let description = made.code.describe(&identity("")).await?;
        let identity = identity(description.title().1);
        let since_1970 = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Ok(LoadedPlugin {
            pool: Pool::new(&identity.limits),
            identity,
            code: made.code,
            hash: made.hash,
            description,
            fresh_instances: operator.fresh_instances,
            operator,
            counters: Arc::new(Counters::new(Arc::clone(&self.time_spent))),
            generation,
            loaded_at: i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX),
        })
    }
}

/// The name is used in logs, in keys and in addresses of the API.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.len() <= NAME_BYTES_MAX && name.bytes().all(good) {
        return Ok(());
    }
    Err(format!(
        "the file's name must be 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`"
    ))
}

/// On a thread where it may take its time. A panic in there is an error like others: odd bytes
/// have made compilers panic before.
async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        if error.is_panic() {
            "made the compiler panic".to_owned()
        } else {
            "the host stops".to_owned()
        }
    })
}
