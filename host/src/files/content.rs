//! The bytes of files: one file on disk for each content, named by its SHA-256.
//!
//! What comes in is written under another name, synced, and only then renamed, so that a
//! name never stands for half a file. What was not finished is removed: at once where the
//! sender broke off, at the next start where the host did.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 256 << 10;
/// What unfinished files are called.
const INCOMING: &str = ".incoming-";

/// The directory of contents.
#[derive(Debug)]
pub struct Contents {
    directory: PathBuf,
}

/// Why something could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file is larger than allowed.
    #[error("expected a file of at most {max} bytes, got more")]
    TooLarge {
        /// Bytes.
        max: u64,
    },
    /// The disk.
    #[error("the file cannot be written: {0}")]
    Io(#[from] std::io::Error),
}

impl Contents {
    /// Makes the directory if it is missing, and removes what a host that died left unfinished.
    pub fn open(directory: PathBuf) -> std::io::Result<Contents> {
        // Configurations of devices are in there: it is nobody else's to read.
        private_directory(&directory)?;
        for entry in std::fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(INCOMING) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(Contents { directory })
    }

    /// Begins to write a file of at most `bytes_max`. Blocks.
    pub fn begin(&self, bytes_max: u64) -> std::io::Result<Incoming> {
        let name = format!("{INCOMING}{:016x}", rand::random::<u64>());
        let path = self.directory.join(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Incoming::over(file, path, bytes_max))
    }

    /// Gives a written file its name; durable on return. Blocks.
    pub fn keep(&self, written: &mut Written) -> std::io::Result<()> {
        let path = self.path(&written.sha256);
        if let Some(parent) = path.parent() {
            private_directory(parent)?;
            std::fs::rename(&written.unfinished.0, &path)?;
            written.unfinished.0 = PathBuf::new();
            File::open(parent)?.sync_all()?;
        }
        File::open(&self.directory)?.sync_all()
    }

    /// Opens a content to read it. Blocks.
    pub fn read(&self, sha256: &str) -> std::io::Result<File> {
        File::open(self.path(sha256))
    }

    /// Keeps the bytes of a backup, under their SHA-256, which is handed back; durable on return. Blocks.
    pub fn put(&self, mut bytes: impl Read) -> std::io::Result<String> {
        let mut incoming = self.begin(u64::MAX)?;
        let mut piece = vec![0; WRITE_BYTES];
        loop {
            let count = bytes.read(&mut piece)?;
            if count == 0 {
                break;
            }
            incoming.gathered.extend(piece.iter().take(count));
            incoming.write_gathered()?;
        }
        incoming.file.sync_all()?;
        let mut written = Written {
            sha256: hexadecimal(&incoming.hash.finalize()),
            size: incoming.size,
            unfinished: incoming.unfinished,
        };
        self.keep(&mut written)?;
        Ok(written.sha256.clone())
    }

    /// Gives every content a second name in another directory, which it keeps when it is removed here: the SHA-256
    /// and the path of each. Blocks.
    pub fn link(&self, to: &Path) -> std::io::Result<Vec<(String, PathBuf)>> {
        private_directory(to)?;
        let mut linked = Vec::new();
        for directory in std::fs::read_dir(&self.directory)? {
            let directory = directory?.path();
            if !directory.is_dir() {
                continue;
            }
            for content in std::fs::read_dir(&directory)? {
                let content = content?;
                let name = content.file_name().to_string_lossy().into_owned();
                let path = to.join(&name);
                std::fs::hard_link(content.path(), &path)?;
                linked.push((name, path));
            }
        }
        Ok(linked)
    }

    /// Removes a content; it is no error if there is none. Blocks.
    pub fn remove(&self, sha256: &str) -> std::io::Result<()> {
        match std::fs::remove_file(self.path(sha256)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes the contents that nobody wants: a host that died between a file and its record
    /// leaves one. How many. Blocks.
    pub fn remove_unwanted(&self, wanted: impl Fn(&str) -> bool) -> std::io::Result<usize> {
        let mut removed = 0;
        for directory in std::fs::read_dir(&self.directory)? {
            let directory = directory?.path();
            if !directory.is_dir() {
                continue;
            }
            for content in std::fs::read_dir(&directory)? {
                let content = content?;
                if !wanted(&content.file_name().to_string_lossy()) {
                    std::fs::remove_file(content.path())?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// Two digits are a directory, so that none gets too full.
    fn path(&self, sha256: &str) -> PathBuf {
        let first = sha256.get(..2).unwrap_or_default();
        self.directory.join(first).join(sha256)
    }
}

fn private_directory(directory: &Path) -> std::io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

/// A name that is removed again unless it was given up.
#[derive(Debug)]
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty()
            && let Err(error) = std::fs::remove_file(&self.0)
        {
            tracing::error!(path = %self.0.display(), %error, "cannot remove an unfinished file");
        }
    }
}

/// A file that is being written. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Incoming {
    unfinished: Unfinished,
    file: File,
    hash: Sha256,
    gathered: Vec<u8>,
    size: u64,
    bytes_max: u64,
}

/// A file that is complete on disk, without its name yet. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Written {
    unfinished: Unfinished,
    /// Of the bytes, in hexadecimal digits.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

impl Incoming {
    fn over(file: File, path: PathBuf, bytes_max: u64) -> Incoming {
        Incoming {
            unfinished: Unfinished(path),
            file,
            hash: Sha256::new(),
            gathered: Vec::new(),
            size: 0,
            bytes_max,
        }
    }

    /// Takes bytes; now and then they go to the disk, on a thread that may block.
    pub async fn write(mut self, bytes: &[u8]) -> Result<Incoming, WriteError> {
        self.size += bytes.len() as u64;
        if self.size > self.bytes_max {
            let max = self.bytes_max;
            return Err(WriteError::TooLarge { max });
        }
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() < WRITE_BYTES {
            return Ok(self);
        }
        blocking(move || self.write_gathered().map(|()| self)).await
    }

    /// All has come: makes it durable.
    pub async fn finish(mut self) -> Result<Written, WriteError> {
        blocking(move || {
            self.write_gathered()?;
            self.file.sync_all()?;
            Ok(Written {
                unfinished: self.unfinished,
                sha256: hexadecimal(&self.hash.finalize()),
                size: self.size,
            })
        })
        .await
    }

    fn write_gathered(&mut self) -> std::io::Result<()> {
        self.hash.update(&self.gathered);
        self.file.write_all(&self.gathered)?;
        self.gathered.clear();
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, WriteError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(std::io::Error::other)??)
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_file_gets_its_name_when_it_is_complete() {
        let directory = tempfile::tempdir().unwrap();
        let contents = Contents::open(directory.path().join("files")).unwrap();
        let mut incoming = contents.begin(1 << 20).unwrap();
        for piece in [&b"hello "[..], b"world"] {
            incoming = incoming.write(piece).await.unwrap();
        }
        let mut written = incoming.finish().await.unwrap();
        assert_eq!(written.size, 11);
        assert_eq!(
            written.sha256,
            "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
        );
        contents.keep(&mut written).unwrap();
        let sha256 = written.sha256.clone();
        drop(written);
        assert_eq!(names(&directory.path().join("files")), ["b9"]);
        let kept = contents.read(&sha256).unwrap();
        assert_eq!(std::io::read_to_string(kept).unwrap(), "hello world");

        assert_eq!(contents.remove_unwanted(|name| name == sha256).unwrap(), 0);
        assert_eq!(contents.remove_unwanted(|_| false).unwrap(), 1);
        assert!(contents.read(&sha256).is_err());
        contents.remove(&sha256).unwrap();
    }

    #[tokio::test]
    async fn what_breaks_off_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let contents = Contents::open(directory.path().to_owned()).unwrap();
        let incoming = contents.begin(4).unwrap();
        assert_eq!(names(directory.path()).len(), 1);
        let incoming = incoming.write(b"1234").await.unwrap();
        let refused = incoming.write(b"5").await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "expected a file of at most 4 bytes, got more"
        );
        drop(contents.begin(4).unwrap().write(b"12").await.unwrap());
        drop(contents.begin(4).unwrap().finish().await.unwrap());
        assert!(names(directory.path()).is_empty());

        // What a host that died left behind.
        std::fs::write(directory.path().join(".incoming-1"), "x").unwrap();
        Contents::open(directory.path().to_owned()).unwrap();
        assert!(names(directory.path()).is_empty());
    }

    #[tokio::test]
    async fn a_full_disk_is_an_error_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".incoming-2");
        std::fs::write(&path, "").unwrap();
        // Writing to it fails as a full disk does.
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let incoming = Incoming::over(full, path, u64::MAX);
        let error = incoming.write(&vec![0; WRITE_BYTES]).await.unwrap_err();
        let WriteError::Io(error) = error else {
            panic!("{error}")
        };
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        assert!(names(directory.path()).is_empty());
    }
}
