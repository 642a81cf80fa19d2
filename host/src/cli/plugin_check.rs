//! `patchbay plugin check` and `patchbay plugin list`: what the host would make of a plugin.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::shipped;
use crate::plugins::{DefaultLimits, Inspection, inspect};

/// Loads one component as the host would; the text says what it is. An error says why it would
/// be refused.
pub(super) async fn check(file: &Path) -> anyhow::Result<String> {
    match inspect(file, components().as_deref(), &DefaultLimits::default()).await {
        Ok(found) => Ok(describe(&found)),
        Err(reason) => bail!("{}: {reason}", file.display()),
    }
}

/// Where the component of profiles that are written down lies, if it is not beside them: the
/// shipped ones, if they are built.
fn components() -> Option<PathBuf> {
    shipped::built(shipped::Kind::Shipped)
}

/// One line for each component of a directory, those that would be refused included.
pub(super) async fn list(directory: &Path) -> anyhow::Result<String> {
    let files = std::fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut files = files
        .map(|file| Ok(file?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    files.retain(|file| {
        let hidden = file
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let name = file.to_string_lossy();
        !hidden && (name.ends_with(".wasm") || name.ends_with(".profile.toml"))
    });
    files.sort();
    let mut text = String::new();
    for file in &files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let name = name
            .trim_end_matches(".wasm")
            .trim_end_matches(".profile.toml");
        match inspect(file, None, &DefaultLimits::default()).await {
            Ok(found) => {
                let mut parts = vec![found.kinds.join(" and ")];
                parts.extend(found.matches);
                writeln!(text, "{name} {}: {}", found.version, parts.join("; "))?;
            }
            Err(reason) => writeln!(text, "{name} REFUSED: {reason}")?,
        }
    }
    if files.is_empty() {
        writeln!(text, "no plugins in {}", directory.display())?;
    }
    Ok(text)
}

/// What its imports let a plugin do, in an operator's words.
fn may(found: &Inspection) -> String {
    let mut words = Vec::new();
    for import in &found.imports {
        words.push(match import.as_str() {
            "session" => "ask the device anything and change it, tag it".to_owned(),
            "memory" => "remember things of the device".to_owned(),
            "lookup" if found.lookup.is_empty() => {
                "look things up (nowhere: its .toml allows no address)".to_owned()
            }
            "lookup" => format!("look things up at {}", found.lookup.join(", ")),
            "host" => "write to the log".to_owned(),
            _ => continue,
        });
    }
    if found.kinds.iter().any(|kind| kind == "quirks") && !found.hooks.is_empty() {
        words.push("rewrite what its devices say and are asked".to_owned());
    }
    if found.kinds.iter().any(|kind| kind == "nat-policy") {
        words.push("choose how devices are reached".to_owned());
    }
    if words.is_empty() {
        return "nothing but answer".to_owned();
    }
    words.join("; ")
}

fn describe(found: &Inspection) -> String {
    let mut lines = vec![
        format!(
            "{} {} ({})",
            found.name,
            found.version,
            found.kinds.join(" and ")
        ),
        format!(
            "  {} bytes, compiled in {} ms",
            found.bytes,
            found.compiled_in.as_millis()
        ),
        format!("  sha-256 {}", found.hash),
    ];
    lines.extend(found.matches.iter().map(|one| format!("  {one}")));
    if !found.hooks.is_empty() {
        lines.push(format!("  hooks: {}", found.hooks.join(", ")));
    }
    lines.extend(
        found
            .overrides
            .iter()
            .map(|(name, value)| format!("  override: {name} = {value}")),
    );
    lines.push(format!("  may: {}", may(found)));
    let limits = &found.limits;
    let mut within = format!(
        "  within: {} MiB of memory, {} ms of computing a call",
        limits.memory_bytes_max >> 20,
        limits.call_deadline.as_millis()
    );
    if found.imports.iter().any(|import| import == "session") {
        write!(within, ", {} RPCs a session", limits.rpcs_max).ok();
    }
    lines.push(within);
    if found.imports_wasi {
        lines.push(
            "  imports WASI, and gets an empty one: no files, network or environment".to_owned(),
        );
    }
    if found.has_toml {
        lines.push(format!("  {}.toml beside it is valid", found.name));
    }
    lines.push(String::new());
    lines.join("\n")
}
