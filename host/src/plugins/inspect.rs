//! One component looked at by itself, for `patchbay plugin check`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use super::directory::{Loader, Made};
use super::engine;
use super::limits::Limits;
use super::load::{Code, Linkers, hash};
use super::operator::Operator;
use super::{PluginMemory, written};
use crate::device::DeviceKey;
use crate::events::Events;

/// What a component is, as the host sees it.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The file's name without `.wasm` or `.profile.toml`.
    pub name: String,
    /// `quirks`, `flow`, `nat-policy`.
    pub kinds: Vec<String>,
    /// As it describes itself.
    pub version: String,
    /// Bytes.
    pub bytes: usize,
    /// SHA-256 of the file.
    pub hash: String,
    /// It imports WASI, and gets an empty one.
    pub imports_wasi: bool,
    /// Interfaces of the host that it can call: `session`, `memory`, `lookup`, ….
    pub imports: Vec<String>,
    /// Under which limits, its `<plugin>.toml` counted in.
    pub limits: Limits,
    /// Addresses that its `<plugin>.toml` lets it look things up at.
    pub lookup: Vec<String>,
    /// For people: what it is for.
    pub matches: Vec<String>,
    /// The overrides of its profile.
    pub overrides: Vec<(String, String)>,
    /// The hooks of its profile.
    pub hooks: Vec<&'static str>,
    /// How long compiling took.
    pub compiled_in: Duration,
    /// There is a `<plugin>.toml`, and it was checked too.
    pub has_toml: bool,
}

/// A memory for nobody: `describe` is not about a device.
struct NoMemory;

impl PluginMemory for NoMemory {
    fn get(&self, _: &str, _: &DeviceKey, _: &str) -> Option<Vec<u8>> {
        None
    }
    fn set(&self, _: &str, _: &DeviceKey, _: &str, _: Vec<u8>) -> Result<(), String> {
        Err("there is no memory here".to_owned())
    }
    fn remove(&self, _: &str, _: &DeviceKey, _: &str) {}
    fn keys(&self, _: &str, _: &DeviceKey, _: &str) -> (usize, bool) {
        (0, false)
    }
}

/// Loads a file as the host would, with the operator's `NAME.toml`. An error is one line for its
/// author. For a `NAME.profile.toml` the component beside it is used, else the one in `components`.
pub async fn inspect(
    file: &Path,
    components: Option<&Path>,
    limits: &Limits,
) -> Result<Inspection, String> {
    let name = file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let directory = file.parent().unwrap_or(Path::new(""));
    let bytes = std::fs::read(file).map_err(|error| format!("cannot read it: {error}"))?;
    let hash = hash(&bytes);
    let size = bytes.len();
    let (name, written, component) = match name.strip_suffix(written::ENDING) {
        None => {
            let stem = name.rsplit_once('.').map_or(&*name, |(stem, _)| stem);
            (stem.to_owned(), None, bytes)
        }
        Some(stem) => {
            let text = String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
            let settings = written::settings(&text)?;
            let wasm = format!("{}.wasm", written::COMPONENT);
            let component = [Some(directory), components]
                .into_iter()
                .flatten()
                .find_map(|directory| std::fs::read(directory.join(&wasm)).ok());
            let component = component.ok_or_else(written::no_component)?;
            (stem.to_owned(), Some(settings), component)
        }
    };
    let operator = match std::fs::read_to_string(directory.join(format!("{name}.toml"))) {
        Ok(text) => {
            Some(Operator::parse(&text, limits).map_err(|error| format!("its .toml: {error}"))?)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(format!("its .toml: {error}")),
    };
    let has_toml = operator.is_some();
    let mut operator = operator.unwrap_or_else(|| Operator::absent(limits));
    if let Some(settings) = &written {
        operator.settings.clone_from(settings);
    }
    let linkers = engine::for_one()
        .map_err(|error| error.to_string())
        .and_then(|engine| Linkers::new(engine).map_err(|error| error.to_string()))?;
    let begun = Instant::now();
    let code = Code::compile(&linkers, &component, super::load::hash(&component))?;
    let compiled_in = begun.elapsed();
    let loader = Loader {
        linkers: Arc::new(linkers),
        limits: limits.clone(),
        memory: Arc::new(NoMemory),
        time_spent: Arc::new(AtomicU64::new(0)),
        events: Arc::new(Events::new(0)),
    };
    let lookup = operator.lookup.iter().map(ToString::to_string).collect();
    let made = Made {
        code: Arc::new(code),
        written,
        hash: Arc::clone(&hash),
    };
    let plugin = loader.load(&name, made, operator, 1).await?;
    let (code, profile) = (&plugin.code, plugin.description.profile.as_ref());
    Ok(Inspection {
        kinds: code.kinds.names(),
        version: plugin.description.title().1.to_owned(),
        bytes: size,
        hash: hash.to_string(),
        imports_wasi: code.imports_wasi,
        imports: code.imports.clone(),
        limits: plugin.limits().clone(),
        lookup,
        matches: plugin.description.matches(),
        overrides: profile
            .map(|profile| profile.overrides.clone())
            .unwrap_or_default(),
        hooks: profile
            .map(|profile| profile.hooks.names())
            .unwrap_or_default(),
        compiled_in,
        has_toml,
        name,
    })
}
