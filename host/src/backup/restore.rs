//! A backup becomes a data directory again: where there is none, and only from a backup that is whole. The plugins'
//! directory may have files: those stay, unless somebody wants otherwise.

use std::fs::{DirBuilder, File};
use std::io::{BufReader, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::container::{Damage, Entry, Kind, MAGIC, Reader};
use crate::config::Config;
use crate::files::Contents;
use crate::plugins::is_of_plugins;
use crate::store::{Store, StoreError};

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Where the store is.
    pub store: PathBuf,
    /// Its records.
    pub records: u64,
    /// Contents of files.
    pub contents: usize,
    /// Files of the audit log.
    pub audit_files: usize,
    /// The files of plugins.
    pub plugins: PluginFiles,
}

/// What is done with a plugin's file that is there already, and is another one than that of the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverPlugins {
    /// It stays.
    Keep,
    /// That of the backup takes its place.
    Replace,
}

/// What became of the files in the plugins' directory, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginFiles {
    /// Those that are there now and were not before, or were the same.
    pub put: Vec<String>,
    /// Those that are another one than that of the backup, and stayed.
    pub kept: Vec<String>,
    /// Those that gave way to that of the backup.
    pub replaced: Vec<String>,
    /// Those that the backup does not have.
    pub others: Vec<String>,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup is none, or not whole.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// There is a store already, or its records cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something cannot be written.
    #[error("cannot write {path}: {cause}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// A content is not what its name says.
    #[error("the backup is damaged: the content {0} has another checksum")]
    Content(String),
}

/// Makes a data directory of a backup. All of the backup is checked before anything is written, and the store comes
/// last: what was interrupted is no store. Blocks.
///
/// # Errors
/// When the backup is damaged, or there is a store already.
pub fn restore(config: &Config, backup: File, over: OverPlugins) -> Result<Restored, RestoreError> {
    let store = crate::store_config(config);
    let mut from = BufReader::with_capacity(1 << 20, backup);
    let is_records_alone = !begins_with(&mut from, MAGIC)?;
    if is_records_alone {
        // What POST /v1/backups made before it took files along.
        let records = Store::import(&store, from)?;
        return Ok(Restored {
            store: store.directory,
            records,
            contents: 0,
            audit_files: 0,
            plugins: PluginFiles::default(),
        });
    }
    let mut reader = Reader::new(from);
    let entries = reader.check()?;
    let of = |kind: Kind| entries.iter().filter(move |entry| entry.kind == kind);
    let records = of(Kind::Records).next().ok_or_else(|| Damage::At {
        at: 0,
        what: "expected the records of a store, got none".into(),
    })?;
    Store::check_empty(&store)?;
    let contents = config.data_directory.join("files");
    for entry in of(Kind::Content) {
        put_content(&mut reader, entry, &contents)?;
    }
    for entry in of(Kind::Audit) {
        put_audit(&mut reader, entry, &store.directory.join("audit"))?;
    }
    let plugins: Vec<&Entry> = of(Kind::Plugin).collect();
    let plugins = put_plugins(&mut reader, &plugins, &config.plugin_directory, over)?;
    let imported = Store::import(&store, reader.content(records)?)?;
    Ok(Restored {
        records: imported,
        contents: of(Kind::Content).count(),
        audit_files: of(Kind::Audit).count(),
        plugins,
        store: store.directory,
    })
}

fn begins_with(from: &mut (impl Read + Seek), magic: &[u8]) -> Result<bool, Damage> {
    let mut first = Vec::new();
    from.by_ref()
        .take(magic.len() as u64)
        .read_to_end(&mut first)?;
    from.rewind()?;
    // The records alone are packed: a zstd frame (RFC 8878 §3.1.1).
    const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    match (first == magic, first.starts_with(&ZSTD)) {
        (true, _) => Ok(true),
        (false, true) => Ok(false),
        (false, false) if magic.starts_with(&first) => Err(Damage::Cut(first.len() as u64)),
        (false, false) => Err(Damage::NoBackup),
    }
}

fn put_content<R: Read + Seek>(
    reader: &mut Reader<R>,
    entry: &Entry,
    directory: &Path,
) -> Result<(), RestoreError> {
    let failed = |cause| RestoreError::Write {
        path: directory.join(&entry.name),
        cause,
    };
    let is_hash = entry.name.len() == 64 && entry.name.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_hash {
        return Err(RestoreError::Content(entry.name.clone()));
    }
    let contents = Contents::open(directory.to_owned()).map_err(failed)?;
    let put = contents.put(reader.content(entry)?).map_err(failed)?;
    match put == entry.name {
        true => Ok(()),
        false => Err(RestoreError::Content(entry.name.clone())),
    }
}

fn put_audit<R: Read + Seek>(
    reader: &mut Reader<R>,
    entry: &Entry,
    directory: &Path,
) -> Result<(), RestoreError> {
    let path = directory.join(&entry.name);
    let is_name = entry
        .name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'.');
    if !is_name || entry.name.starts_with('.') {
        let what = format!("expected a file of the audit log, got {:?}", entry.name);
        return Err(Damage::At { at: 0, what }.into());
    }
    let mut write = || {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let mut file = File::create(&path)?;
        let mut content = reader.content(entry).map_err(std::io::Error::other)?;
        std::io::copy(&mut content, &mut file)?;
        file.flush()?;
        file.sync_all()?;
        File::open(directory)?.sync_all()
    };
    write().map_err(|cause| RestoreError::Write {
        path: path.clone(),
        cause,
    })
}

/// A backup that was made before plugins went along has none: nothing is done then.
fn put_plugins<R: Read + Seek>(
    reader: &mut Reader<R>,
    entries: &[&Entry],
    directory: &Path,
    over: OverPlugins,
) -> Result<PluginFiles, RestoreError> {
    let mut files = PluginFiles::default();
    if let Some(entry) = entries.iter().find(|entry| !is_of_plugins(&entry.name)) {
        let what = format!("expected a file of a plugin, got {:?}", entry.name);
        return Err(Damage::At { at: 0, what }.into());
    }
    if entries.is_empty() {
        return Ok(files);
    }
    let failed = |path: &Path, cause| RestoreError::Write {
        path: path.to_owned(),
        cause,
    };
    std::fs::create_dir_all(directory).map_err(|cause| failed(directory, cause))?;
    for entry in entries {
        let path = directory.join(&entry.name);
        let mut bytes = Vec::new();
        let read = reader.content(entry)?.read_to_end(&mut bytes);
        read.map_err(Damage::Io)?;
        let to = match std::fs::read(&path) {
            Ok(there) if there == bytes => {
                files.put.push(entry.name.clone());
                continue;
            }
            Ok(_) if over == OverPlugins::Keep => {
                files.kept.push(entry.name.clone());
                continue;
            }
            Ok(_) => &mut files.replaced,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => &mut files.put,
            Err(cause) => return Err(failed(&path, cause)),
        };
        put_plugin(directory, &entry.name, &bytes).map_err(|cause| failed(&path, cause))?;
        to.push(entry.name.clone());
    }
    let is_in_backup = |name: &String| entries.iter().any(|entry| entry.name == *name);
    let there = std::fs::read_dir(directory).map_err(|cause| failed(directory, cause))?;
    let names = there.filter_map(|file| file.ok()?.file_name().into_string().ok());
    files.others = names
        .filter(|name| is_of_plugins(name) && !is_in_backup(name))
        .collect();
    files.others.sort();
    Ok(files)
}

/// Whole or not at all. It belongs to whom the directory belongs to: the server must be able to read it, and there may
/// be secrets in it that nobody else is to read.
fn put_plugin(directory: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".")
        .suffix(".tmp")
        .tempfile_in(directory)?;
    file.write_all(bytes)?;
    let (owner, own) = (std::fs::metadata(directory)?, file.as_file().metadata()?);
    if (owner.uid(), owner.gid()) != (own.uid(), own.gid()) {
        std::os::unix::fs::fchown(file.as_file(), Some(owner.uid()), Some(owner.gid()))?;
    }
    file.as_file().sync_all()?;
    file.persist(directory.join(name))
        .map_err(|error| error.error)?;
    File::open(directory)?.sync_all()
}
