//! Events on their way to webhooks: promises. What waits for a webhook, and what was given up.

use super::backend::{Backend, Batch, Start, VALUE_BYTES_MAX};
use super::commit::Work;
use super::keys::{Key, KeyReader, Kind, check_name, unreadable};
use super::{Store, StoreError, chunks};

/// Unpacked bytes of a letter.
const LETTER_BYTES_MAX: usize = 1 << 20;

/// An event for a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Of the webhook.
    pub instance: String,
    /// The webhook's name.
    pub hook: String,
    /// The event's.
    pub number: u64,
    /// What is sent.
    pub bytes: Vec<u8>,
}

fn below(kind: Kind, instance: &str, hook: &str) -> Key {
    Key::new(kind).text(instance).text(hook)
}

impl Store {
    /// Puts letters into the outbox; durable on return. Those that are too large are left out:
    /// how many.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn outbox_put(&self, letters: &[Letter]) -> Result<usize, StoreError> {
        let mut batch = Batch::default();
        let mut left_out = 0;
        for letter in letters {
            check_name("an instance's name", &letter.instance)?;
            check_name("a webhook's name", &letter.hook)?;
            let packed = chunks::pack(&letter.bytes);
            if packed.len() > VALUE_BYTES_MAX {
                left_out += 1;
                continue;
            }
            let key = below(Kind::Outbox, &letter.instance, &letter.hook);
            batch.put(key.u64(letter.number).bytes(), packed);
        }
        self.core().committer.commit(Work::Batch(batch)).await?;
        Ok(left_out)
    }

    /// Letters that wait for a webhook, the oldest first: their numbers and bytes.
    ///
    /// # Errors
    /// When records cannot be read.
    pub fn outbox(
        &self,
        instance: &str,
        hook: &str,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        self.letters(Kind::Outbox, instance, hook, after, limit)
    }

    /// Letters that were given up, the oldest first.
    ///
    /// # Errors
    /// When records cannot be read.
    pub fn dead_letters(
        &self,
        instance: &str,
        hook: &str,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        self.letters(Kind::DeadLetter, instance, hook, after, limit)
    }

    fn letters(
        &self,
        kind: Kind,
        instance: &str,
        hook: &str,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let prefix = below(kind, instance, hook);
        let after = after.map(|after| prefix.clone().u64(after));
        let start = match &after {
            Some(after) => Start::After(after.as_ref()),
            None => Start::First,
        };
        let found = self.core().backend.scan(prefix.as_ref(), start, limit)?;
        let letters = found.iter().map(|(key, packed)| {
            let bytes = chunks::unpack("letter", packed, LETTER_BYTES_MAX)?;
            Ok((number_of(key)?, bytes))
        });
        letters.collect()
    }

    /// A letter has arrived.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn outbox_remove(
        &self,
        instance: &str,
        hook: &str,
        number: u64,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.remove(below(Kind::Outbox, instance, hook).u64(number).bytes());
        self.core().committer.commit(Work::Batch(batch)).await
    }

    /// A letter is given up: `told` is kept of it, and the oldest such goes if there are too many.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn outbox_bury(
        &self,
        instance: &str,
        hook: &str,
        number: u64,
        told: &[u8],
        are_too_many: bool,
    ) -> Result<(), StoreError> {
        let waiting = below(Kind::Outbox, instance, hook).u64(number).bytes();
        let dead = below(Kind::DeadLetter, instance, hook);
        let packed = chunks::pack(told);
        let build = move |backend: &Backend| {
            let mut batch = Batch::default();
            batch.remove(waiting);
            if are_too_many {
                for (oldest, _) in backend.scan(dead.as_ref(), Start::First, 1)? {
                    batch.remove(oldest);
                }
            }
            if packed.len() <= VALUE_BYTES_MAX {
                batch.put(dead.u64(number).bytes(), packed);
            }
            Ok(batch)
        };
        let work = Work::Build(Box::new(build));
        self.core().committer.commit(work).await
    }

    /// Takes letters that were given up away, and puts what `again` makes of them back into the
    /// outbox.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn dead_letters_take(
        &self,
        instance: &str,
        hook: &str,
        again: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) -> Result<(), StoreError> {
        let dead = below(Kind::DeadLetter, instance, hook);
        let waiting = below(Kind::Outbox, instance, hook);
        let build = move |backend: &Backend| {
            let mut batch = Batch::default();
            for (key, packed) in backend.scan(dead.as_ref(), Start::First, usize::MAX)? {
                let told = chunks::unpack("letter", &packed, LETTER_BYTES_MAX)?;
                if let Some(letter) = again(&told) {
                    let key = waiting.clone().u64(number_of(&key)?);
                    batch.put(key.bytes(), chunks::pack(&letter));
                }
                batch.remove(key);
            }
            Ok(batch)
        };
        let work = Work::Build(Box::new(build));
        self.core().committer.commit(work).await
    }

    /// The webhook is gone, and all letters with it.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn outbox_forget(&self, instance: &str, hook: &str) -> Result<(), StoreError> {
        let kinds = [Kind::Outbox, Kind::DeadLetter].map(|kind| below(kind, instance, hook));
        let build = move |backend: &Backend| {
            let mut batch = Batch::default();
            for prefix in kinds {
                for (key, _) in backend.scan(prefix.as_ref(), Start::First, usize::MAX)? {
                    batch.remove(key);
                }
            }
            Ok(batch)
        };
        let work = Work::Build(Box::new(build));
        self.core().committer.commit(work).await
    }
}

fn number_of(key: &[u8]) -> Result<u64, StoreError> {
    let mut reader = KeyReader::new(key);
    let number = (reader.text(), reader.text(), reader.u64());
    number
        .2
        .ok_or_else(|| unreadable("letter", "a key is too short"))
}
