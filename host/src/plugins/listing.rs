//! What lies in the plugins' directory: components, profiles that are written down, and the
//! operator's part of each.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use super::written;

/// A file without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: SystemTime,
    bytes: u64,
    inode: u64,
}

/// The files of one plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamps {
    pub(super) source: Source,
    /// The operator's `NAME.toml`.
    pub(super) toml: Option<Stamp>,
}

/// What a plugin is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// `NAME.wasm`.
    Component(Stamp),
    /// `NAME.profile.toml` and the shipped component that acts on it, if that is there.
    Written {
        profile: Stamp,
        component: Option<Stamp>,
    },
    /// Both: one name can be one plugin only.
    Both,
}

impl Source {
    /// The file that makes the plugin what it is.
    pub(super) fn file(self, name: &str) -> String {
        match self {
            Source::Component(_) | Source::Both => format!("{name}.wasm"),
            Source::Written { .. } => format!("{name}{}", written::ENDING),
        }
    }
}

/// Files by their names.
pub(super) type Files = BTreeMap<String, Stamp>;

/// What plugins are made of in a directory. Names that begin with a dot are files on their way.
pub(super) fn files(path: &Path) -> std::io::Result<Files> {
    let mut files = Files::new();
    for file in std::fs::read_dir(path)? {
        let file = file?;
        let Ok(name) = file.file_name().into_string() else {
            continue;
        };
        if !is_of_plugins(&name) {
            continue;
        }
        // Follows links; a file that is gone again is none.
        if let Some(stamp) = std::fs::metadata(file.path())
            .ok()
            .and_then(|metadata| Stamp::of(&metadata))
        {
            files.insert(name, stamp);
        }
    }
    Ok(files)
}

/// Whether a file of this name has to do with plugins.
pub(crate) fn is_of_plugins(name: &str) -> bool {
    let is_plain = !name.starts_with('.') && !name.contains('/');
    is_plain && (name.ends_with(".wasm") || name.ends_with(".toml"))
}

/// The plugins in a directory.
pub(super) fn list(path: &Path) -> std::io::Result<BTreeMap<String, Stamps>> {
    let mut wasm = BTreeMap::new();
    let mut profiles = BTreeMap::new();
    let mut toml = BTreeMap::new();
    for (name, stamp) in files(path)? {
        let (of, stem) = if let Some(stem) = name.strip_suffix(".wasm") {
            (&mut wasm, stem)
        } else if let Some(stem) = name.strip_suffix(written::ENDING) {
            (&mut profiles, stem)
        } else if let Some(stem) = name.strip_suffix(".toml") {
            (&mut toml, stem)
        } else {
            continue;
        };
        of.insert(stem.to_owned(), stamp);
    }
    let component = wasm.get(written::COMPONENT).copied();
    let mut sources: BTreeMap<String, Source> = profiles
        .into_iter()
        .map(|(name, profile)| (name, Source::Written { profile, component }))
        .collect();
    for (name, stamp) in wasm {
        sources
            .entry(name)
            .and_modify(|source| *source = Source::Both)
            .or_insert(Source::Component(stamp));
    }
    Ok(sources
        .into_iter()
        .map(|(name, source)| {
            let toml = toml.remove(&name);
            (name, Stamps { source, toml })
        })
        .collect())
}

impl Stamp {
    /// How long the file is.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn of(metadata: &std::fs::Metadata) -> Option<Stamp> {
        use std::os::unix::fs::MetadataExt as _;
        let modified = metadata.modified().ok()?;
        metadata.is_file().then(|| Stamp {
            modified,
            bytes: metadata.len(),
            inode: metadata.ino(),
        })
    }
}

/// A file and its stamp after it was read.
pub(super) fn read(path: &Path, bytes_max: u64) -> std::io::Result<(Vec<u8>, Stamp)> {
    use std::io::Read as _;
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    if length > bytes_max {
        return Err(std::io::Error::other(format!(
            "{length} bytes long; at most {bytes_max}"
        )));
    }
    let mut bytes = Vec::new();
    (&mut file).take(bytes_max).read_to_end(&mut bytes)?;
    let stamp = Stamp::of(&file.metadata()?).ok_or_else(|| std::io::Error::other("not a file"))?;
    Ok((bytes, stamp))
}
