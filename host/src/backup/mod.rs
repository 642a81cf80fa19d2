//! COPIES OF WHAT IS REMEMBERED: one file with all records of the store (devices, tasks, settings, users, campaigns:
//! whatever has a key), the contents of all files and the audit log, made while the host runs. Traces are not in it,
//! nor is what the operator keeps in `/etc`: the configuration and the plugins.

mod container;
mod restore;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use crate::Acs;
use crate::device::UnixTime;
use crate::store::StoreError;
use container::{Kind, Writer};

pub use container::Damage;
pub use restore::{RestoreError, Restored, restore};

/// What the names of backups end with.
const EXTENSION: &str = "backup";
/// What is not finished, and the contents that one is made of, begin with.
const UNFINISHED: &str = ".unfinished-";
const SECONDS_PER_HOUR: i64 = 3_600;

/// The backups of a host: one is made at a time.
#[derive(Debug, Default)]
pub struct Backups {
    making: tokio::sync::Mutex<()>,
    scheduled: tokio::sync::Mutex<()>,
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
    /// Makes a backup below the data directory. Other writes wait while the records are read (some seconds for
    /// 100,000 devices), new files do, too.
    ///
    /// # Errors
    /// When it cannot be written, or the store takes no writes.
    pub async fn back_up(&self) -> Result<Made, BackupError> {
        let _alone = self.backups.making.lock().await;
        let directory = self.backup_directory();
        // Credentials of devices are in it: it is nobody else's to read.
        private(&directory)?;
        let at = self.clock.unix();
        let name = format!("{}.{EXTENSION}", file_stem(at));
        let unfinished = Unfinished::new(&directory)?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(unfinished.0.join("backup"))?;
        let writer = Arc::new(Mutex::new(Writer::new(BufWriter::new(file))?));
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
        let audit = self.store.audit_log().paths();
        let (written, finished) = (unfinished.0.join("backup"), directory.join(&name));
        let counted = (contents.len(), audit.len());
        let bytes = tokio::task::spawn_blocking(move || {
            let bytes = write_rest(&writer, &contents, &audit)?;
            std::fs::rename(&written, &finished)?;
            File::open(&directory)?.sync_all()?;
            drop(unfinished);
            Ok::<_, std::io::Error>(bytes)
        });
        let bytes = bytes.await.map_err(std::io::Error::other)??;
        let backup = Backup {
            file: self.backup_directory().join(&name),
            name,
            made: at,
            bytes,
        };
        let (contents, audit_files) = counted;
        tracing::info!(file = %backup.file.display(), records, contents, bytes, "a backup was made");
        Ok(Made {
            backup,
            records,
            contents,
            audit_files,
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

    /// How long ago the last one was made.
    pub fn backup_age_seconds(&self) -> Option<i64> {
        let last = self.kept_backups().into_iter().next()?;
        Some((self.clock.unix() - last.made).max(0))
    }

    /// Makes a backup if `[backup]` wants one, and removes those that are too many.
    pub(crate) async fn back_up_if_due(&self) {
        let settings = &self.config.backup;
        let Some(every) = i64::try_from(settings.every_hours).ok().filter(|h| *h > 0) else {
            return;
        };
        let Ok(_alone) = self.backups.scheduled.try_lock() else {
            return;
        };
        let age = self.backup_age_seconds();
        if age.is_some_and(|age| age < every * SECONDS_PER_HOUR) {
            return;
        }
        match self.back_up().await {
            Ok(_) => {
                for old in self.kept_backups().into_iter().skip(settings.kept) {
                    if let Err(error) = std::fs::remove_file(&old.file) {
                        tracing::error!(file = %old.file.display(), %error, "cannot remove an old backup");
                    }
                }
            }
            Err(error) => tracing::error!(%error, "no backup was made"),
        }
    }

    fn backup_directory(&self) -> PathBuf {
        self.config.data_directory.join("backups")
    }
}

/// All but the records. How many bytes it is altogether; durable.
fn write_rest(
    writer: &Mutex<Writer<BufWriter<File>>>,
    contents: &[(String, PathBuf)],
    audit: &[PathBuf],
) -> std::io::Result<u64> {
    let mut writer = writer.lock();
    writer.end()?;
    for (sha256, path) in contents {
        writer.begin(Kind::Content, sha256)?;
        std::io::copy(&mut File::open(path)?, &mut *writer)?;
        writer.end()?;
    }
    for path in audit {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // The oldest goes by its age, perhaps at this moment.
        let Ok(mut file) = File::open(path) else {
            continue;
        };
        writer.begin(Kind::Audit, &name)?;
        std::io::copy(&mut file, &mut *writer)?;
        writer.end()?;
    }
    let file = writer.finish()?.get_ref().try_clone()?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

/// A writer for the thread of the store, and for us afterwards.
struct Shared(Arc<Mutex<Writer<BufWriter<File>>>>);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_in_the_name() {
        let at = 1_795_395_723;
        let stem = file_stem(at);
        assert_eq!(stem, "2026-11-23T012203Z".replace("012203", &stem[11..17]));
        assert_eq!(made_at(&format!("{stem}.backup")), Some(at));
        for other in [
            "x.backup",
            "2026-11-23T010203Z",
            ".unfinished-1",
            "2026-11-23T010203Z.txt",
        ] {
            assert_eq!(made_at(other), None, "{other}");
        }
    }
}
