//! A backup becomes a data directory again: where there is none, and only from a backup that is whole.

use std::fs::{DirBuilder, File};
use std::io::{BufReader, Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::container::{Damage, Entry, Kind, MAGIC, Reader};
use crate::config::Config;
use crate::files::Contents;
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
pub fn restore(config: &Config, backup: File) -> Result<Restored, RestoreError> {
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
    let imported = Store::import(&store, reader.content(records)?)?;
    Ok(Restored {
        records: imported,
        contents: of(Kind::Content).count(),
        audit_files: of(Kind::Audit).count(),
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
