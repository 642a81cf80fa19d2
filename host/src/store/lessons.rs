//! What was learned of models, by instance and model id: readings, written behind.

use crate::work::lessons::Lesson;

use super::backend::Start;
use super::keys::{self, Key, KeyReader, Kind, unreadable};
use super::{Store, StoreError};

const WHAT: &str = "lesson";

impl Store {
    /// The lessons of an instance, `max` at most.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn lessons(&self, instance: &str, max: usize) -> Result<Vec<(String, Lesson)>, StoreError> {
        let prefix = Key::new(Kind::Lesson).text(instance).bytes();
        let records = self.core().backend.scan(&prefix, Start::First, max)?;
        let mut lessons = Vec::with_capacity(records.len());
        for (key, json) in records {
            let mut key = KeyReader::new(&key);
            let (Some(_), Some(id)) = (key.text(), key.text()) else {
                return Err(unreadable(WHAT, "a key is too short"));
            };
            let lesson = serde_json::from_slice(&json).map_err(|e| unreadable(WHAT, e))?;
            lessons.push((id.to_owned(), lesson));
        }
        Ok(lessons)
    }

    /// Keeps a lesson.
    ///
    /// # Errors
    /// [`StoreError::Name`] for an id that no key can hold.
    pub fn put_lesson(
        &self,
        instance: &str,
        model: &str,
        lesson: &Lesson,
    ) -> Result<(), StoreError> {
        let key = lesson_key(instance, model)?;
        let json = serde_json::to_vec(lesson).map_err(|error| unreadable(WHAT, error))?;
        self.core().memory.put(key, Some(json));
        Ok(())
    }

    /// Forgets a lesson.
    ///
    /// # Errors
    /// [`StoreError::Name`] for an id that no key can hold.
    pub fn remove_lesson(&self, instance: &str, model: &str) -> Result<(), StoreError> {
        let key = lesson_key(instance, model)?;
        self.core().memory.put(key, None);
        Ok(())
    }
}

fn lesson_key(instance: &str, model: &str) -> Result<Vec<u8>, StoreError> {
    keys::check_name("an instance's name", instance)?;
    keys::check_name("a model's id", model)?;
    Ok(Key::new(Kind::Lesson).text(instance).text(model).bytes())
}
