//! Records of files: promises. Their bytes are not the store's affair.

use crate::device::DeviceKey;
use crate::files::{File, FileId};

use super::backend::{Batch, Start};
use super::commit::Work;
use super::keys::{Key, KeyReader, Kind, of_device, unreadable};
use super::{Store, StoreError, chunks};

/// Bytes of a record's JSON: texts are limited where they come in.
const RECORD_BYTES_MAX: usize = 256 << 10;
const WHAT: &str = "file";

impl Store {
    /// Makes or changes the record of a file. Durable on return.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn put_file(&self, file: &File) -> Result<(), StoreError> {
        let json = serde_json::to_vec(file).map_err(|error| unreadable(WHAT, error))?;
        let mut batch = Batch::default();
        batch.put(
            key(&file.instance).u64(file.id.0).bytes(),
            chunks::pack(&json),
        );
        if let Some(sender) = sender(file) {
            batch.put(sender.bytes(), Vec::new());
        }
        self.core().committer.commit(Work::Batch(batch)).await
    }

    /// Removes the record of a file. Durable on return.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn remove_file(&self, file: &File) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.remove(key(&file.instance).u64(file.id.0).bytes());
        if let Some(sender) = sender(file) {
            batch.remove(sender.bytes());
        }
        self.core().committer.commit(Work::Batch(batch)).await
    }

    /// A file of an instance.
    ///
    /// # Errors
    /// When its record cannot be read.
    pub fn file(&self, instance: &str, id: FileId) -> Result<Option<File>, StoreError> {
        let record = self.core().backend.get(key(instance).u64(id.0).as_ref())?;
        record.map(|record| decode(&record)).transpose()
    }

    /// Files of an instance, the newest first, those older than `before`: at most `limit`.
    ///
    /// # Errors
    /// When records cannot be read.
    pub fn files(
        &self,
        instance: &str,
        before: Option<FileId>,
        limit: usize,
    ) -> Result<Vec<File>, StoreError> {
        let found = self.newest(&key(instance), before, limit)?;
        found.iter().map(|(_, record)| decode(record)).collect()
    }

    /// Files that a device has sent, the newest first, those older than `before`: at most `limit`.
    ///
    /// # Errors
    /// When records cannot be read.
    pub fn files_of_device(
        &self,
        device: &DeviceKey,
        before: Option<FileId>,
        limit: usize,
    ) -> Result<Vec<File>, StoreError> {
        let mut files = Vec::new();
        for (key, _) in self.newest(&of_device(Kind::DeviceFiles, device), before, limit)? {
            let id = key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes));
            if let Some(id) = id {
                files.extend(self.file(&device.instance, FileId(id))?);
            }
        }
        Ok(files)
    }

    /// Looks at the records of all files of all instances, oldest first. Blocks.
    ///
    /// # Errors
    /// When records cannot be read.
    pub fn each_file(&self, mut visit: impl FnMut(File)) -> Result<(), StoreError> {
        let all = Key::new(Kind::File);
        self.core().backend.each(all.as_ref(), |key, record| {
            match decode(record) {
                Ok(file) => visit(file),
                // One bad record must not keep all devices away.
                Err(error) => {
                    let number = KeyReader::new(key).text().map(str::to_owned);
                    tracing::error!(instance = number, %error, "the record of a file is lost");
                }
            }
            Ok(())
        })
    }

    fn newest(
        &self,
        prefix: &Key,
        before: Option<FileId>,
        limit: usize,
    ) -> Result<Vec<super::backend::Pair>, StoreError> {
        let before = before.map(|id| prefix.clone().u64(id.0));
        let start = match &before {
            Some(key) => Start::Before(key.as_ref()),
            None => Start::Last,
        };
        self.core().backend.scan(prefix.as_ref(), start, limit)
    }
}

fn key(instance: &str) -> Key {
    Key::new(Kind::File).text(instance)
}

/// The key that lists a file below the device that sent it.
fn sender(file: &File) -> Option<Key> {
    let device = DeviceKey {
        instance: file.instance.as_str().into(),
        id: file.from.as_ref()?.device.as_str().into(),
    };
    Some(of_device(Kind::DeviceFiles, &device).u64(file.id.0))
}

fn decode(record: &[u8]) -> Result<File, StoreError> {
    let json = chunks::unpack(WHAT, record, RECORD_BYTES_MAX)?;
    serde_json::from_slice(&json).map_err(|error| unreadable(WHAT, error))
}
