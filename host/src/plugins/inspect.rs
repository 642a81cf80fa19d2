//! One component looked at by itself, for `patchbay plugin check`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use super::PluginMemory;
use super::directory::Loader;
use super::engine;
use super::limits::Limits;
use super::load::{Code, Linkers, hash};
use super::operator::Operator;
use crate::device::DeviceKey;

/// What a component is, as the host sees it.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The file's name without `.wasm`.
    pub name: String,
    /// `quirks`, `flow`, `nat-policy`.
    pub kinds: Vec<String>,
    /// As it describes itself.
    pub described_name: String,
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

/// Loads a file as the host would, with its `<plugin>.toml`. An error is one line for its author.
pub async fn inspect(file: &Path, limits: &Limits) -> Result<Inspection, String> {
    let bytes = std::fs::read(file).map_err(|error| format!("cannot read it: {error}"))?;
    let operator = match std::fs::read_to_string(file.with_extension("toml")) {
        Ok(text) => {
            Some(Operator::parse(&text, limits).map_err(|error| format!("its .toml: {error}"))?)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(format!("its .toml: {error}")),
    };
    let linkers = engine::for_one()
        .map_err(|error| error.to_string())
        .and_then(|engine| Linkers::new(engine).map_err(|error| error.to_string()))?;
    let begun = Instant::now();
    let hash = hash(&bytes);
    let code = Arc::new(Code::compile(&linkers, &bytes, Arc::clone(&hash))?);
    let compiled_in = begun.elapsed();
    let name = file
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let loader = Loader {
        linkers: Arc::new(linkers),
        limits: limits.clone(),
        memory: Arc::new(NoMemory),
        time_spent: Arc::new(AtomicU64::new(0)),
    };
    let has_toml = operator.is_some();
    let operator = operator.unwrap_or_else(|| Operator::absent(limits));
    let lookup = operator.lookup.iter().map(ToString::to_string).collect();
    let plugin = loader.load(&name, &code, operator, 1).await?;
    let profile = plugin.description.profile.as_ref();
    Ok(Inspection {
        name,
        kinds: code.kinds.names(),
        described_name: plugin.description.title().0.to_owned(),
        version: plugin.description.title().1.to_owned(),
        bytes: bytes.len(),
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
    })
}
