//! WHAT DEVICES DOWNLOAD AND UPLOAD.
//!
//! A file is a record in the store (`record`) and its bytes below `data_directory/files`
//! (`content`); several records may share the same bytes. People bring and take files at the
//! API; devices fetch and send them at the `endpoint`, each with a right to one file for one
//! task (`access`). Nothing here holds a whole file in memory.

mod access;
mod body;
mod content;
mod endpoint;
mod moving;
mod multipart;
mod range;
mod record;
mod take;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, RwLock, RwLockReadGuard, Semaphore};

use crate::config;
use crate::device::{DeviceKey, UnixTime};
use crate::store::{Store, StoreError};
use crate::work::task::{Operation, Task, TaskId};

pub use access::{Access, Secret, URL_CHARS_MAX};
pub use body::{To, answer, refuse};
pub use content::{Contents, Incoming, WriteError, Written};
pub use endpoint::{PATH, serve, status};
pub use moving::Moving;
pub use record::{
    File, FileDevices, FileId, FromDevice, NAME_CHARS_MAX, TEXT_CHARS_MAX, file_type, is_firmware,
};
pub use take::{TakeError, take};

/// Records that one round of the retention looks at.
const SWEPT_AT_ONCE: usize = 1_000;

/// All files of the host.
pub struct Files {
    store: Store,
    contents: Arc<Contents>,
    settings: config::Files,
    /// What signs the URLs that devices are given.
    pub secret: Secret,
    /// What is on its way at this moment.
    pub moving: Moving,
    /// How many records have a content.
    references: Mutex<HashMap<String, usize>>,
    /// Taken to write by whoever makes or removes a file, to read by whoever makes use of one.
    changes: RwLock<()>,
    transfers: Arc<Semaphore>,
}

/// What is told of a file that comes in.
#[derive(Debug, Clone, Default)]
pub struct NewFile {
    /// See [`File::name`].
    pub name: String,
    /// See [`File::file_type`].
    pub file_type: String,
    /// See [`File::version`].
    pub version: String,
    /// See [`File::devices`].
    pub devices: FileDevices,
    /// See [`File::note`].
    pub note: String,
    /// See [`File::uploaded_by`].
    pub uploaded_by: String,
    /// See [`File::from`].
    pub from: Option<FromDevice>,
    /// What its content must be, in hexadecimal digits, if that is known.
    pub sha256: Option<String>,
}

/// What can go wrong with files.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// There is none of this number.
    #[error("there is no file {0}")]
    NoSuchFile(FileId),
    /// It may not go yet.
    #[error("{file} is in use by task {task}: cancel that, or wait for its end")]
    InUse {
        /// Which file.
        file: FileId,
        /// By which task.
        task: TaskId,
    },
    /// What came is not what was announced.
    #[error("expected a content with SHA-256 {expected}, got {got}")]
    Checksum {
        /// In hexadecimal digits.
        expected: String,
        /// In hexadecimal digits.
        got: String,
    },
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Its record cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<std::io::Error> for FilesError {
    fn from(error: std::io::Error) -> FilesError {
        FilesError::Write(error.into())
    }
}

impl Files {
    /// Opens the directory and reads what there is; what a crash left over is removed.
    pub async fn open(config: &config::Config, store: &Store) -> anyhow::Result<Files> {
        let directory = config.data_directory.join("files");
        let of = store.clone();
        let (contents, references) = tokio::task::spawn_blocking(move || {
            let contents = Contents::open(directory)?;
            let mut references = HashMap::new();
            of.each_file(|file| *references.entry(file.sha256).or_insert(0) += 1)?;
            let removed = contents.remove_unwanted(|sha256| references.contains_key(sha256))?;
            if removed > 0 {
                tracing::info!(removed, "contents without a record are gone");
            }
            anyhow::Ok((contents, references))
        })
        .await??;
        let transfers = config.files.transfers_max.min(Semaphore::MAX_PERMITS);
        Ok(Files {
            secret: Secret::load(store).await?,
            store: store.clone(),
            contents: Arc::new(contents),
            settings: config.files.clone(),
            moving: Moving::default(),
            references: Mutex::new(references),
            changes: RwLock::new(()),
            transfers: Arc::new(Semaphore::new(transfers)),
        })
    }

    /// What `[files]` says.
    pub fn settings(&self) -> &config::Files {
        &self.settings
    }

    /// A file of an instance.
    pub fn get(&self, instance: &str, id: FileId) -> Result<File, FilesError> {
        self.store
            .file(instance, id)?
            .ok_or(FilesError::NoSuchFile(id))
    }

    /// Begins to write a file of at most `bytes_max`.
    pub async fn begin(&self, bytes_max: u64) -> Result<Incoming, FilesError> {
        let contents = Arc::clone(&self.contents);
        let begun = tokio::task::spawn_blocking(move || contents.begin(bytes_max)).await;
        Ok(begun.map_err(std::io::Error::other)??)
    }

    /// Makes a file of what was written. Content and record are durable on return.
    pub async fn keep(
        &self,
        instance: &str,
        mut written: Written,
        new: NewFile,
        now: UnixTime,
    ) -> Result<File, FilesError> {
        if let Some(expected) = new.sha256
            && !expected.eq_ignore_ascii_case(&written.sha256)
        {
            let got = written.sha256.clone();
            return Err(FilesError::Checksum { expected, got });
        }
        let _changing = self.changes.write().await;
        let id = loop {
            let id = FileId::new(now, rand::random());
            if self.store.file(instance, id)?.is_none() {
                break id;
            }
        };
        let file = File {
            id,
            instance: instance.to_owned(),
            name: new.name,
            size: written.size,
            sha256: written.sha256.clone(),
            file_type: new.file_type,
            version: new.version,
            devices: new.devices,
            note: new.note,
            uploaded: now,
            uploaded_by: new.uploaded_by,
            from: new.from,
        };
        let contents = Arc::clone(&self.contents);
        tokio::task::spawn_blocking(move || contents.keep(&mut written))
            .await
            .map_err(std::io::Error::other)??;
        self.refer(&file.sha256);
        if let Err(error) = self.store.put_file(&file).await {
            self.release(&file.sha256).await;
            return Err(error.into());
        }
        tracing::info!(
            file = %file.id, name = %file.name, size = file.size, file_type = %file.file_type,
            by = %file.uploaded_by, "a file came in"
        );
        Ok(file)
    }

    /// Changes what is told of a file.
    pub async fn change(
        &self,
        instance: &str,
        id: FileId,
        change: impl FnOnce(&mut File),
    ) -> Result<File, FilesError> {
        let _changing = self.changes.write().await;
        let mut file = self.get(instance, id)?;
        change(&mut file);
        self.store.put_file(&file).await?;
        Ok(file)
    }

    /// Removes a file, unless an unfinished task needs it.
    pub async fn remove(&self, instance: &str, id: FileId) -> Result<(), FilesError> {
        let _changing = self.changes.write().await;
        let file = self.get(instance, id)?;
        let users = self.store.unfinished(|task| {
            task.instance == instance
                && matches!(&task.operation, Operation::Download { file: Some(used), .. } if *used == id)
        });
        if let Some(user) = users.first() {
            let task = user.id;
            return Err(FilesError::InUse { file: id, task });
        }
        self.store.remove_file(&file).await?;
        self.release(&file.sha256).await;
        tracing::info!(file = %file.id, name = %file.name, "a file is removed");
        Ok(())
    }

    /// As long as this is held, no file is removed: to look at one and queue a task that needs it.
    pub async fn hold(&self) -> RwLockReadGuard<'_, ()> {
        self.changes.read().await
    }

    /// [`Contents::link`].
    pub fn link_contents(&self, to: &Path) -> std::io::Result<Vec<(String, PathBuf)>> {
        self.contents.link(to)
    }

    /// A place among the transfers at once; `None`: there is none left.
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.transfers).try_acquire_owned().ok()
    }

    /// Removes what a device has sent beyond the number that is kept, oldest first.
    pub async fn sweep_device(&self, device: &DeviceKey) {
        let keep = self.settings.uploads_per_device_max;
        let found = self
            .store
            .files_of_device(device, None, keep + SWEPT_AT_ONCE);
        match found {
            Ok(files) => self.retire(files.get(keep..).unwrap_or_default()).await,
            Err(error) => tracing::error!(%device, %error, "cannot list the files of a device"),
        }
    }

    /// Removes what devices have sent longer ago than it is kept.
    pub async fn sweep(&self, instance: &str, now: UnixTime) {
        let days = i64::from(self.settings.upload_days_max);
        let before = FileId::first_of(now.saturating_sub(days * 86_400));
        match self.store.files(instance, Some(before), SWEPT_AT_ONCE) {
            Ok(mut files) => {
                files.retain(|file| file.from.is_some());
                self.retire(&files).await;
            }
            Err(error) => tracing::error!(%error, "cannot list old files"),
        }
    }

    async fn retire(&self, files: &[File]) {
        for file in files {
            match self.remove(&file.instance, file.id).await {
                Ok(()) | Err(FilesError::InUse { .. } | FilesError::NoSuchFile(_)) => {}
                Err(error) => tracing::error!(file = %file.id, %error, "cannot remove an old file"),
            }
        }
    }

    /// One record more has this content.
    fn refer(&self, sha256: &str) {
        let mut references = self.references.lock();
        *references.entry(sha256.to_owned()).or_insert(0) += 1;
    }

    /// One record less has this content.
    async fn release(&self, sha256: &str) {
        {
            let mut references = self.references.lock();
            let Some(count) = references.get_mut(sha256) else {
                return;
            };
            *count -= 1;
            if *count > 0 {
                return;
            }
            references.remove(sha256);
        }
        let (contents, name) = (Arc::clone(&self.contents), sha256.to_owned());
        let removed = tokio::task::spawn_blocking(move || contents.remove(&name)).await;
        if let Err(error) = removed.map_err(std::io::Error::other).and_then(|done| done) {
            // The next start finds it.
            tracing::error!(sha256, %error, "cannot remove the content of a file");
        }
    }

    /// Opens the content of a file to read it.
    pub async fn read(&self, file: &File) -> std::io::Result<std::fs::File> {
        let (contents, sha256) = (Arc::clone(&self.contents), file.sha256.clone());
        tokio::task::spawn_blocking(move || contents.read(&sha256))
            .await
            .map_err(std::io::Error::other)?
    }

    /// Whether all bytes of a task's file have gone to the device, or come from it.
    pub fn has_moved(&self, task: &Task) -> bool {
        let noted = task.progress.as_ref().is_some_and(|p| p.moved.is_some());
        noted || self.moving.is_whole(task.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn files(directory: &std::path::Path) -> Files {
        let config = config::Config {
            data_directory: directory.to_owned(),
            ..config::Config::default()
        };
        Files::open(&config, &Store::memory().unwrap())
            .await
            .unwrap()
    }

    async fn bring(files: &Files, bytes: &[u8], new: NewFile, now: UnixTime) -> File {
        let incoming = files.begin(1 << 20).await.unwrap();
        let written = incoming.write(bytes).await.unwrap().finish().await.unwrap();
        files.keep("default", written, new, now).await.unwrap()
    }

    fn contents(directory: &std::path::Path) -> usize {
        let directories = std::fs::read_dir(directory.join("files")).unwrap();
        directories
            .map(|entry| std::fs::read_dir(entry.unwrap().path()).unwrap().count())
            .sum()
    }

    #[tokio::test]
    async fn files_that_are_the_same_share_their_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(directory.path()).await;
        let one = bring(&files, b"same", NewFile::default(), 1).await;
        let two = bring(&files, b"same", NewFile::default(), 2).await;
        assert_eq!(contents(directory.path()), 1);
        files.remove("default", one.id).await.unwrap();
        assert_eq!(contents(directory.path()), 1);
        assert!(files.read(&two).await.is_ok());
        files.remove("default", two.id).await.unwrap();
        assert_eq!(contents(directory.path()), 0);
        let gone = files.remove("default", two.id).await.unwrap_err();
        assert!(matches!(gone, FilesError::NoSuchFile(_)), "{gone}");
    }

    #[tokio::test]
    async fn a_content_that_is_not_the_announced_one_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(directory.path()).await;
        let written = files.begin(9).await.unwrap().finish().await.unwrap();
        let new = NewFile {
            sha256: Some("00".into()),
            ..NewFile::default()
        };
        let refused = files.keep("default", written, new, 1).await.unwrap_err();
        assert!(
            refused.to_string().contains("SHA-256 00, got e3b0c442"),
            "{refused}"
        );
        assert_eq!(files.store.files("default", None, 9).unwrap(), []);
    }

    #[tokio::test]
    async fn what_a_device_sent_is_kept_by_number_and_by_age() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(directory.path()).await;
        let device = DeviceKey {
            instance: "default".into(),
            id: "d".into(),
        };
        let sent = NewFile {
            from: Some(FromDevice {
                device: "d".into(),
                task: TaskId(1),
            }),
            ..NewFile::default()
        };
        let people = bring(&files, b"x", NewFile::default(), 1).await;
        let (most, year) = (files.settings.uploads_per_device_max, 365 * 86_400);
        for at in 0..most + 2 {
            bring(&files, b"x", sent.clone(), at as i64).await;
        }
        files.sweep_device(&device).await;
        let left = files.store.files_of_device(&device, None, 99).unwrap();
        assert_eq!(left.len(), most);
        assert_eq!(left.last().unwrap().uploaded, 2);
        files.sweep("default", year + 5).await;
        let left = files.store.files_of_device(&device, None, 99).unwrap();
        assert_eq!(left.last().unwrap().uploaded, 5);
        // What people brought is theirs to remove.
        assert!(files.get("default", people.id).is_ok());
    }
}
