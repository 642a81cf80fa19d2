//! Where the shipped plugins are: built already, or built now from the source tree.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;

use super::plugin_build;

/// The source tree this binary was built from.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The components of `plugins/` or `examples/plugins/`, built if they are missing or older
/// than their source. `PATCHBAY_GUESTS` names a directory that has them built.
pub(super) fn components(kind: Kind) -> anyhow::Result<PathBuf> {
    if std::env::var_os("PATCHBAY_GUESTS").is_some() {
        return Ok(place(kind));
    }
    let source = Path::new(SOURCE).join(kind.source());
    let source = source.canonicalize().with_context(|| {
        format!(
            "the source of the plugins is not at {}: name a directory of built ones with --plugins",
            source.display()
        )
    })?;
    let out = place(kind);
    if is_current(&source, &out) {
        return Ok(out);
    }
    eprintln!("building the plugins of {} (once)", source.display());
    plugin_build::build(&source, Some(&out))?;
    Ok(out)
}

/// The components as they were last built, current or not.
pub(super) fn built(kind: Kind) -> Option<PathBuf> {
    let place = place(kind);
    place.is_dir().then_some(place)
}

fn place(kind: Kind) -> PathBuf {
    if let Some(guests) = std::env::var_os("PATCHBAY_GUESTS") {
        return Path::new(&guests).join(kind.name());
    }
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => PathBuf::from(target),
        None => Path::new(SOURCE).join("target"),
    };
    target.join("guests").join(kind.name())
}

/// Which components.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Shipped,
    Examples,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Shipped => "shipped",
            Kind::Examples => "examples",
        }
    }

    fn source(self) -> &'static str {
        match self {
            Kind::Shipped => "plugins",
            Kind::Examples => "examples/plugins",
        }
    }
}

/// Copies all plugins of a directory into another, renamed into place. Settings files that are
/// there already are the operator's and stay.
pub(super) fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in
        std::fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?
    {
        let file = entry?.path();
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name.starts_with('.') || !(name.ends_with(".wasm") || name.ends_with(".toml")) {
            continue;
        }
        if name.ends_with(".toml") && to.join(name).exists() {
            continue;
        }
        let temporary = to.join(format!(".{name}.tmp"));
        std::fs::copy(&file, &temporary)?;
        std::fs::rename(&temporary, to.join(name))?;
    }
    Ok(())
}

/// Whether there are components, and none is older than a source file.
fn is_current(source: &Path, out: &Path) -> bool {
    let sdk = Path::new(SOURCE).join("plugin-sdk");
    let wit = Path::new(SOURCE).join("wit");
    let newest_source = [source, &sdk, &wit].into_iter().filter_map(newest).max();
    let oldest_component = std::fs::read_dir(out)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "wasm")
        })
        .filter_map(|entry| entry.metadata().ok()?.modified().ok())
        .min();
    matches!((newest_source, oldest_component), (Some(source), Some(built)) if source <= built)
}

/// When the newest source file below a directory was changed.
fn newest(directory: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(directory).ok()?.filter_map(Result::ok);
    let times = entries.filter_map(|entry| {
        let path = entry.path();
        let name = entry.file_name();
        match entry.file_type().ok()? {
            kind if kind.is_dir() && name != "target" && name != "dist" => newest(&path),
            kind if kind.is_file()
                && path
                    .extension()
                    .is_some_and(|e| e == "rs" || e == "wit" || e == "toml") =>
            {
                entry.metadata().ok()?.modified().ok()
            }
            _ => None,
        }
    });
    times.max()
}
