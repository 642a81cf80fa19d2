//! Settings: small JSON documents by name. Promises: durable when set.

use super::backend::{Backend, Batch, Start};
use super::commit::Work;
use super::keys::{self, Key, KeyReader, Kind, unreadable};
use super::{Store, StoreError, chunks};

/// Bytes of a setting's JSON.
const SETTING_BYTES_MAX: usize = 1 << 20;
const WHAT: &str = "setting";

impl Store {
    /// The setting of this name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn setting(&self, name: &str) -> Result<Option<serde_json::Value>, StoreError> {
        keys::check_name("a setting's name", name)?;
        let key = Key::new(Kind::Setting).text(name);
        match chunks::get(&self.core().backend, WHAT, &key, SETTING_BYTES_MAX)? {
            Some(json) => serde_json::from_slice(&json)
                .map(Some)
                .map_err(|e| unreadable(WHAT, e)),
            None => Ok(None),
        }
    }

    /// Names of settings that begin with `prefix`, in order.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn setting_names(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        let backend = &self.core().backend;
        let all = Key::new(Kind::Setting).bytes();
        let mut page = backend.scan(&all, Start::First, 1)?;
        while let Some((key, _)) = page.pop() {
            let Some(name) = KeyReader::new(&key).text() else {
                return Err(unreadable(WHAT, "a key is too short"));
            };
            if name.starts_with(prefix) {
                names.push(name.to_owned());
            }
            // Over all chunks of this setting.
            let last = Key::new(Kind::Setting).text(name).u16(u16::MAX);
            page = backend.scan(&all, Start::After(last.as_ref()), 1)?;
        }
        names.sort_unstable(); // keys are sorted by length first
        Ok(names)
    }

    /// Sets it; durable on return.
    ///
    /// # Errors
    /// [`StoreError::TooMuch`] over 1 MiB of JSON; when the store takes no writes.
    pub async fn put_setting(
        &self,
        name: &str,
        value: &serde_json::Value,
    ) -> Result<(), StoreError> {
        let json = serde_json::to_vec(value).map_err(|error| unreadable(WHAT, error))?;
        if json.len() > SETTING_BYTES_MAX {
            let (found, max) = (json.len() as u64, SETTING_BYTES_MAX as u64);
            return Err(StoreError::TooMuch {
                what: "bytes of a setting",
                found,
                max,
            });
        }
        self.replace_setting(name, Some(json)).await
    }

    /// Removes it; durable on return.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn remove_setting(&self, name: &str) -> Result<(), StoreError> {
        self.replace_setting(name, None).await
    }

    async fn replace_setting(&self, name: &str, json: Option<Vec<u8>>) -> Result<(), StoreError> {
        keys::check_name("a setting's name", name)?;
        let key = Key::new(Kind::Setting).text(name);
        let build = move |backend: &Backend| {
            let mut batch = Batch::default();
            chunks::remove(backend, &mut batch, &key)?;
            if let Some(json) = json {
                chunks::put(&mut batch, &key, &json);
            }
            Ok(batch)
        };
        self.core()
            .committer
            .commit(Work::Build(Box::new(build)))
            .await
    }
}
