//! The plugins' directory as it is at one moment, for backups.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::Plugins;
use super::listing::{Files, files, read};

/// The directory is looked at so often; then it keeps changing.
const TRIES_MAX: usize = 5;

impl Plugins {
    /// Copies components, written profiles and operators' files into a directory; their names. Nothing of the API
    /// changes them meanwhile, and what somebody else changes is copied anew. A file that is larger than a plugin may
    /// be runs nowhere, and is left out. No directory: no files.
    ///
    /// # Errors
    /// When something cannot be read or written, or the directory keeps changing.
    pub async fn copy_files(&self, to: PathBuf) -> io::Result<Vec<String>> {
        let directory = self.directory.lock().await;
        let (path, bytes_max) = (
            directory.path().to_owned(),
            directory.limits().file_bytes_max,
        );
        let copied = tokio::task::spawn_blocking(move || copy(&path, &to, bytes_max));
        copied.await.map_err(io::Error::other)?
    }
}

fn copy(from: &Path, to: &Path, bytes_max: u64) -> io::Result<Vec<String>> {
    for _ in 0..TRIES_MAX {
        let before = listed(from)?;
        if let Some(names) = copy_once(from, to, &before, bytes_max)?
            && listed(from)? == before
        {
            return Ok(names);
        }
        std::fs::remove_dir_all(to)?;
    }
    Err(io::Error::other(format!(
        "{} keeps changing",
        from.display()
    )))
}

fn listed(directory: &Path) -> io::Result<Files> {
    match files(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Files::new()),
        listed => listed,
    }
}

/// `None`: one changed meanwhile.
fn copy_once(
    from: &Path,
    to: &Path,
    files: &Files,
    bytes_max: u64,
) -> io::Result<Option<Vec<String>>> {
    std::fs::create_dir(to)?;
    let mut names = Vec::new();
    for (name, stamp) in files {
        if stamp.bytes() > bytes_max {
            tracing::warn!(
                file = name,
                bytes = stamp.bytes(),
                "not in the backup: larger than a plugin may be"
            );
            continue;
        }
        let path = from.join(name);
        let (bytes, now) = match read(&path, bytes_max) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // It does not run either.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                tracing::warn!(file = name, %error, "not in the backup: it cannot be read");
                continue;
            }
            Err(error) => {
                let text = format!("cannot read {}: {error}", path.display());
                return Err(io::Error::new(error.kind(), text));
            }
        };
        if now != *stamp {
            return Ok(None);
        }
        File::create_new(to.join(name))?.write_all(&bytes)?;
        names.push(name.clone());
    }
    Ok(Some(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_plugins_is_copied_and_nothing_else() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (name, bytes) in [
            ("a.wasm", 10),
            ("a.toml", 3),
            ("b.profile.toml", 4),
            (".a.wasm.tmp", 5),
            ("README", 6),
            ("large.wasm", 11),
        ] {
            std::fs::write(from.path().join(name), vec![7; bytes]).unwrap();
        }
        std::os::unix::fs::symlink(from.path().join("a.wasm"), from.path().join("c.wasm")).unwrap();
        std::fs::create_dir(from.path().join("d.wasm")).unwrap();
        let to = to.path().join("copy");
        let names = copy(from.path(), &to, 10).unwrap();
        assert_eq!(names, ["a.toml", "a.wasm", "b.profile.toml", "c.wasm"]);
        assert_eq!(std::fs::read(to.join("c.wasm")).unwrap(), [7; 10]);
        assert_eq!(
            copy(&from.path().join("none"), &to.join("x"), 9).unwrap(),
            [""; 0]
        );
    }

    #[test]
    fn a_file_that_changed_since_it_was_listed_is_noticed() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (file, to) = (from.path().join("a.wasm"), to.path().join("copy"));
        std::fs::write(&file, "old").unwrap();
        let before = listed(from.path()).unwrap();
        std::fs::write(&file, "newer").unwrap();
        assert!(copy_once(from.path(), &to, &before, 9).unwrap().is_none());
        std::fs::remove_dir_all(&to).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(copy_once(from.path(), &to, &before, 9).unwrap().is_none());
    }
}
