//! COPIES OF WHAT IS REMEMBERED: one file with all records of the store (devices, tasks, settings, users, campaigns:
//! whatever has a key), the contents of all files, the audit log and the plugins' directory, made while the host runs.
//! Traces are not in it, nor is the configuration.

mod container;
mod restore;
mod room;

#[cfg(test)]
mod tests;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

use crate::Acs;
use crate::device::UnixTime;
use crate::metrics::Counter;
use crate::store::StoreError;
use container::{Kind, Writer};
use room::Leaving;

pub use container::Damage;
pub use restore::{OverPlugins, PluginFiles, RestoreError, Restored, restore};

/// What the names of backups end with.
const EXTENSION: &str = "backup";
/// What is not finished, and what one is made of, begin with.
const UNFINISHED: &str = ".unfinished-";
const SECONDS_PER_HOUR: i64 = 3_600;
/// After one that failed the next one is due no sooner.
const RETRY_SECONDS: i64 = 600;

/// The backups of a host: one is made at a time.
#[derive(Debug, Default)]
pub struct Backups {
    making: tokio::sync::Mutex<()>,
    scheduled: tokio::sync::Mutex<()>,
    /// Those that were made.
    pub made: Counter,
    /// Those that were not.
    pub failed: Counter,
    last: Mutex<Last>,
}

/// What came of the last one since the host started.
#[derive(Debug, Clone, Default)]
pub struct Last {
    /// How long it took.
    pub took: Duration,
    /// Why there is none, and when that was.
    pub failure: Option<(UnixTime, String)>,
}

impl Backups {
    /// What came of the last one.
    pub fn last(&self) -> Last {
        self.last.lock().clone()
    }
}

/// A backup that was made.
#[derive(Debug, Clone, Serialize)]
pub struct Backup {
    /// Its name.
    pub name: String,
    /// Where it is on the server.
    pub file: PathBuf,
    /// When it was made.
    pub made: UnixTime,
    /// How large it is.
    pub bytes: u64,
}

/// What went into a backup.
#[derive(Debug, Clone)]
pub struct Made {
    /// The backup.
    pub backup: Backup,
    /// Records of the store.
    pub records: u64,
    /// Contents of files.
    pub contents: usize,
    /// Files of the audit log.
    pub audit_files: usize,
    /// Files of the plugins' directory.
    pub plugin_files: usize,
}

/// Why no backup could be made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It cannot be written.
    #[error("the backup cannot be written: {0}")]
    Io(#[from] std::io::Error),
    /// The store does not give its records.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Acs {
    /// Makes a backup below the data directory, and removes the oldest of those that are too many. Other writes wait
    /// while the records are read (some seconds for 100,000 devices), new files do, too.
    ///
    /// # Errors
    /// When it cannot be written, there would be no room left, or the store takes no writes.
    pub async fn back_up(&self, at: UnixTime) -> Result<Made, BackupError> {
        let _alone = self.backups.making.lock().await;
        let begun = Instant::now();
        let made = self.make_backup(at).await;
        let counter = match &made {
            Ok(_) => &self.backups.made,
            Err(_) => &self.backups.failed,
        };
        counter.add(1);
        *self.backups.last.lock() = Last {
            took: begun.elapsed(),
            failure: made.as_ref().err().map(|error| (at, error.to_string())),
        };
        match &made {
            Ok(made) => {
                let (file, bytes, records) = (&made.backup.file, made.backup.bytes, made.records);
                let (contents, plugins) = (made.contents, made.plugin_files);
                tracing::info!(file = %file.display(), records, contents, plugins, bytes, "a backup was made");
                self.remove_old_backups(&made.backup);
            }
            Err(error) => {
                let directory = self.backup_directory();
                tracing::error!(directory = %directory.display(), %error, "no backup was made");
            }
        }
        made
    }

    async fn make_backup(&self, at: UnixTime) -> Result<Made, BackupError> {
        let directory = self.backup_directory();
        // Credentials of devices are in it: it is nobody else's to read.
        private(&directory)?;
        let name = format!("{}.{EXTENSION}", file_stem(at));
        let unfinished = Unfinished::new(&directory)?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(unfinished.0.join("backup"))?;
        let writer = Arc::new(Mutex::new(Writer::new(BufWriter::new(Leaving::room(
            file,
        )?))?));
        writer.lock().begin(Kind::Records, "")?;
        let (records, contents) = {
            // No content goes while the records that name it are read: linked, it stays.
            let _still = self.files.hold().await;
            let records = self.store.export(Shared(Arc::clone(&writer))).await?;
            (
                records,
                self.files.link_contents(&unfinished.0.join("contents"))?,
            )
        };
        let copies = unfinished.0.join("plugins");
        let plugins = self.plugins.copy_files(copies.clone()).await?;
        let mut parts = Vec::new();
        let counted = (contents.len(), plugins.len());
        parts.extend(contents.into_iter().map(|(sha256, path)| Part {
            kind: Kind::Content,
            name: sha256,
            path,
        }));
        parts.extend(plugins.into_iter().map(|name| Part {
            kind: Kind::Plugin,
            path: copies.join(&name),
            name,
        }));
        let audit = self.store.audit_log().paths();
        let (written, finished) = (unfinished.0.join("backup"), directory.join(&name));
        let written = tokio::task::spawn_blocking(move || {
            let (bytes, audit_files) = write_rest(&writer, &parts, &audit)?;
            std::fs::rename(&written, &finished)?;
            File::open(&directory)?.sync_all()?;
            drop(unfinished);
            Ok::<_, std::io::Error>((bytes, audit_files))
        });
        let (bytes, audit_files) = written.await.map_err(std::io::Error::other)??;
        let (contents, plugin_files) = counted;
        Ok(Made {
            backup: Backup {
                file: self.backup_directory().join(&name),
                name,
                made: at,
                bytes,
            },
            records,
            contents,
            audit_files,
            plugin_files,
        })
    }

    /// The backups below the data directory, the newest first.
    pub fn kept_backups(&self) -> Vec<Backup> {
        let Ok(entries) = std::fs::read_dir(self.backup_directory()) else {
            return Vec::new();
        };
        let backup = |entry: std::fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            Some(Backup {
                made: made_at(&name)?,
                file: entry.path(),
                bytes: entry.metadata().ok()?.len(),
                name,
            })
        };
        let mut all: Vec<Backup> = entries.flatten().filter_map(backup).collect();
        all.sort_by(|one, other| other.name.cmp(&one.name));
        all
    }

    /// Makes a backup if `[backup]` wants one.
    pub(crate) async fn back_up_if_due(&self, now: UnixTime) {
        let every_hours = i64::try_from(self.config.backup.every_hours).unwrap_or(i64::MAX);
        let Ok(_alone) = self.backups.scheduled.try_lock() else {
            return;
        };
        if every_hours == 0 {
            return;
        }
        let is_recent = |at: UnixTime, seconds: i64| (0..seconds).contains(&(now - at));
        let period = every_hours.saturating_mul(SECONDS_PER_HOUR);
        // The newest may be of a time to come, if the clock was set back.
        let mut all = self.kept_backups().into_iter();
        let is_made = all.any(|backup| is_recent(backup.made, period));
        let failure = self.backups.last().failure;
        let has_just_failed = failure.is_some_and(|(at, _)| is_recent(at, RETRY_SECONDS));
        if !is_made && !has_just_failed {
            // What came of it is in the log, in the metrics and in the host's health.
            let _ = self.back_up(now).await;
        }
    }

    /// The one that was just made stays, even where a clock that was set back left newer names.
    fn remove_old_backups(&self, made: &Backup) {
        let others_kept = self.config.backup.kept.saturating_sub(1);
        let all = self.kept_backups().into_iter();
        let others = all.filter(|backup| backup.name != made.name);
        for old in others.skip(others_kept) {
            if let Err(error) = std::fs::remove_file(&old.file) {
                tracing::error!(file = %old.file.display(), %error, "cannot remove an old backup");
            }
        }
    }

    fn backup_directory(&self) -> PathBuf {
        self.config.data_directory.join("backups")
    }
}

/// Something that goes into a backup.
struct Part {
    kind: Kind,
    name: String,
    path: PathBuf,
}

/// A backup on its way to the disk.
type ToDisk = Writer<BufWriter<Leaving>>;

/// All but the records. How many bytes it is altogether, durable; and how many files of the audit log it has.
fn write_rest(
    writer: &Mutex<ToDisk>,
    parts: &[Part],
    audit: &[PathBuf],
) -> std::io::Result<(u64, usize)> {
    let mut writer = writer.lock();
    writer.end()?;
    for part in parts {
        put(&mut writer, part.kind, &part.name, File::open(&part.path)?)?;
    }
    let mut audit_files = 0;
    for path in audit {
        // The oldest goes by its age, perhaps at this moment.
        let Ok(file) = File::open(path) else {
            continue;
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        put(&mut writer, Kind::Audit, &name, file)?;
        audit_files += 1;
    }
    let bytes = writer.finish()?.get_ref().synced()?;
    Ok((bytes, audit_files))
}

fn put(writer: &mut ToDisk, kind: Kind, name: &str, mut file: File) -> std::io::Result<()> {
    writer.begin(kind, name)?;
    std::io::copy(&mut file, writer)?;
    writer.end()
}

/// A writer for the thread of the store, and for us afterwards.
struct Shared(Arc<Mutex<ToDisk>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A directory that is removed again, with all that is in it.
struct Unfinished(PathBuf);

impl Unfinished {
    /// Those that a host that died has left are removed.
    fn new(beside: &Path) -> std::io::Result<Unfinished> {
        for entry in std::fs::read_dir(beside)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        let directory = beside.join(format!("{UNFINISHED}{:08x}", rand::random::<u32>()));
        private(&directory)?;
        Ok(Unfinished(directory))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(directory = %self.0.display(), %error, "cannot remove what a backup was made in");
        }
    }
}

fn private(directory: &Path) -> std::io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

/// `2026-11-23T010203Z`: in the order of time, and a name for any file system.
fn file_stem(at: UnixTime) -> String {
    let at = jiff::Timestamp::from_second(at).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H%M%SZ").to_string()
}

fn made_at(name: &str) -> Option<UnixTime> {
    let stem = name.strip_suffix(EXTENSION)?.strip_suffix('.')?;
    let at = jiff::civil::DateTime::strptime("%Y-%m-%dT%H%M%SZ", stem).ok()?;
    Some(
        at.to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?
            .timestamp()
            .as_second(),
    )
}
