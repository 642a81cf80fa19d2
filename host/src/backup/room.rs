//! A backup leaves room on the disk: the store that shares it must be able to go on.

use std::fs::File;
use std::io::{self, Write};

/// Bytes that a backup leaves free on its file system.
pub(super) const FREE_BYTES_MIN: u64 = 256 << 20;
/// After so many bytes it is looked how many are free.
const LOOK_EVERY_BYTES: u64 = 8 << 20;

/// A file that is written as long as there is room beside it.
pub(super) struct Leaving<F: Fn(&File) -> io::Result<u64> = fn(&File) -> io::Result<u64>> {
    file: File,
    free: F,
    until_look: u64,
}

impl Leaving {
    /// Looks at the file system.
    pub(super) fn room(file: File) -> io::Result<Leaving> {
        Leaving::with(file, free_bytes)
    }
}

impl<F: Fn(&File) -> io::Result<u64>> Leaving<F> {
    fn with(file: File, free: F) -> io::Result<Leaving<F>> {
        let mut leaving = Leaving {
            file,
            free,
            until_look: 0,
        };
        leaving.look()?;
        Ok(leaving)
    }

    /// How many bytes it has, all of them durable.
    pub(super) fn synced(&self) -> io::Result<u64> {
        self.file.sync_all()?;
        Ok(self.file.metadata()?.len())
    }

    fn look(&mut self) -> io::Result<()> {
        let free = (self.free)(&self.file)?;
        if free < FREE_BYTES_MIN + LOOK_EVERY_BYTES {
            let (min, free) = (FREE_BYTES_MIN >> 20, free >> 20);
            let text = format!(
                "expected {min} MB to stay free for the store on this file system, {free} MB are free"
            );
            return Err(io::Error::new(io::ErrorKind::StorageFull, text));
        }
        self.until_look = LOOK_EVERY_BYTES;
        Ok(())
    }
}

impl<F: Fn(&File) -> io::Result<u64>> Write for Leaving<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.until_look == 0 {
            self.look()?;
        }
        let room = usize::try_from(self.until_look).unwrap_or(usize::MAX);
        let bytes = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        let written = self.file.write(bytes)?;
        self.until_look = self.until_look.saturating_sub(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// What an unprivileged process may still write there.
fn free_bytes(file: &File) -> io::Result<u64> {
    let found = rustix::fs::fstatvfs(file)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn it_stops_while_there_is_still_room() {
        let free = Cell::new(FREE_BYTES_MIN + 20 * (1 << 20));
        let file = tempfile::tempfile().unwrap();
        let look = |file: &File| Ok(free.get().saturating_sub(file.metadata()?.len()));
        let mut leaving = Leaving::with(file.try_clone().unwrap(), look).unwrap();
        let piece = vec![7; 1 << 20];
        let mut written = 0;
        let error = loop {
            match leaving.write_all(&piece) {
                Ok(()) => written += 1,
                Err(error) => break error,
            }
            assert!(written < 100);
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(
            error.to_string().contains("expected 256 MB to stay free"),
            "{error}"
        );
        assert_eq!(written, 16);
        assert_eq!(leaving.synced().unwrap(), 16 << 20);
        // And none is begun where there is none.
        free.set(FREE_BYTES_MIN);
        assert!(Leaving::with(file, look).is_err());
    }

    #[test]
    fn the_file_system_tells() {
        let file = tempfile::tempfile().unwrap();
        assert!(free_bytes(&file).unwrap() > 0);
    }
}
