//! What was learned of models by asking their devices: how many names they take at once, what
//! they do not understand. Kept by model and firmware, and shown by the API.
//!
//! A fault is believed at once. A session that breaks off is not: it may be the line. The device
//! itself is asked for less in its next session ([`Trial`]); its model is once that happened
//! twice with nothing to the contrary in between.

mod lesson;
mod model;
mod size;

#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::sync::Arc;

use cwmp::Request;
use lru::LruCache;
use parking_lot::Mutex;

use crate::device::{DeviceKey, Summary, UnixTime};
use crate::store::{Store, StoreError};
use crate::work::exchange::{Finding, Manners};

pub use lesson::{Habit, Learned, Lesson};
pub use model::Model;
pub use size::Size;

use lesson::Suspect;

/// Models remembered in all instances; the least recently used one goes.
const MODELS_MAX: usize = 10_000;
/// Devices whose last session broke off.
const TRIALS_MAX: usize = 10_000;

/// An instance, and the id of a model in it.
type ModelKey = (Arc<str>, Arc<str>);

/// All lessons.
pub struct Lessons {
    store: Store,
    models: Mutex<LruCache<ModelKey, Lesson>>,
    trials: Mutex<LruCache<DeviceKey, Trial>>,
}

/// How to ask a device whose last session broke off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Trial {
    silences: u32,
    names: Option<u32>,
    no_partial_paths: bool,
    names_by_level: bool,
}

impl Lessons {
    /// Those that were kept of these instances.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn open(store: Store, instances: &[Arc<str>]) -> Result<Lessons, StoreError> {
        let capacity = |size| NonZeroUsize::new(size).unwrap_or(NonZeroUsize::MIN);
        let mut models = LruCache::new(capacity(MODELS_MAX));
        for name in instances {
            for (id, lesson) in store.lessons(name, MODELS_MAX)? {
                models.put((Arc::clone(name), id.into()), lesson);
            }
        }
        Ok(Lessons {
            store,
            models: Mutex::new(models),
            trials: Mutex::new(LruCache::new(capacity(TRIALS_MAX))),
        })
    }

    /// How to ask a device: what was learned of its model, and of its last session.
    pub fn manners(&self, key: &DeviceKey, device: &Summary, now: UnixTime) -> Manners {
        let mut manners = {
            let mut models = self.models.lock();
            if models.is_empty() {
                Manners::default()
            } else {
                models
                    .get(&(Arc::clone(&key.instance), model::id(device)))
                    .map(|lesson| lesson.manners(now))
                    .unwrap_or_default()
            }
        };
        manners.data_model = device.data_model;
        let mut trials = self.trials.lock();
        if !trials.is_empty()
            && let Some(trial) = trials.get(key)
        {
            let known = manners.names_per_get;
            manners.names_per_get = match (known, trial.names) {
                (Some(known), Some(tried)) => Some(known.min(tried)),
                (known, tried) => known.or(tried),
            };
            manners.no_partial_paths |= trial.no_partial_paths;
            manners.names_by_level |= trial.names_by_level;
        }
        manners
    }

    /// Takes in what an exchange found out. What is remembered, in words, if it is new.
    pub fn learn(
        &self,
        key: &DeviceKey,
        device: &Summary,
        finding: &Finding,
        now: UnixTime,
    ) -> Option<String> {
        self.end_trial(key, finding);
        let teaches = !matches!(
            finding,
            Finding::Adapted(_)
                | Finding::Vanished(_)
                | Finding::NamesTaken(_)
                | Finding::ParametersTaken(_)
                | Finding::PartialPathTaken
                | Finding::WholeTreeTaken
                | Finding::Supported(_)
        );
        self.change(key, device, teaches, |lesson| {
            lesson.learn(finding, &key.id, now)
        })
    }

    /// A session broke off before the device answered this. What is done about it, in words.
    pub fn fell_silent(
        &self,
        key: &DeviceKey,
        device: &Summary,
        outstanding: &Request,
        now: UnixTime,
    ) -> Vec<String> {
        let Some(suspect) = suspect(outstanding) else {
            return Vec::new();
        };
        let mut notes = vec![self.try_less(key, suspect)];
        notes.extend(self.change(key, device, true, |lesson| {
            lesson.fell_silent(suspect, &key.id, now)
        }));
        notes
    }

    /// The lessons of an instance, by id.
    pub fn list(&self, instance: &Arc<str>) -> Vec<(Arc<str>, Lesson)> {
        let models = self.models.lock();
        let mut list: Vec<(Arc<str>, Lesson)> = models
            .iter()
            .filter(|((of, _), lesson)| of == instance && !lesson.is_empty())
            .map(|((_, id), lesson)| (Arc::clone(id), lesson.clone()))
            .collect();
        drop(models);
        list.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        list
    }

    /// Forgets what was learned of a model; whether there was anything.
    ///
    /// # Errors
    /// When the store refuses the id.
    pub fn forget(&self, instance: &Arc<str>, id: &str) -> Result<bool, StoreError> {
        let gone = self
            .models
            .lock()
            .pop(&(Arc::clone(instance), Arc::from(id)));
        self.store.remove_lesson(instance, id)?;
        self.trials.lock().clear();
        Ok(gone.is_some_and(|lesson| !lesson.is_empty()))
    }

    fn change(
        &self,
        key: &DeviceKey,
        device: &Summary,
        make: bool,
        change: impl FnOnce(&mut Lesson) -> Option<String>,
    ) -> Option<String> {
        let mut models = self.models.lock();
        if models.is_empty() && !make {
            return None;
        }
        let id = (Arc::clone(&key.instance), model::id(device));
        if make && !models.contains(&id) {
            let lesson = Lesson::new(Model::of(device));
            if let Some(((instance, gone), _)) = models.push(id.clone(), lesson) {
                self.kept(self.store.remove_lesson(&instance, &gone));
            }
        }
        let lesson = models.get_mut(&id)?;
        let words = change(lesson)?;
        let title = lesson.model.title();
        self.kept(self.store.put_lesson(&key.instance, &id.1, lesson));
        Some(format!("remembered for {title}: {words}"))
    }

    /// The answer the last session broke off for has come.
    fn end_trial(&self, key: &DeviceKey, finding: &Finding) {
        let mut trials = self.trials.lock();
        if trials.is_empty() {
            return;
        }
        let Some(trial) = trials.get_mut(key) else {
            return;
        };
        match finding {
            Finding::NamesTaken(_) => {
                trial.names = None;
                trial.no_partial_paths = false;
            }
            Finding::PartialPathTaken => trial.no_partial_paths = false,
            Finding::WholeTreeTaken | Finding::NamesByLevel => trial.names_by_level = false,
            _ => return,
        }
        let over = Trial {
            silences: trial.silences,
            ..Trial::default()
        };
        if *trial == over {
            trials.pop(key);
        }
    }

    fn try_less(&self, key: &DeviceKey, suspect: Suspect) -> String {
        let mut trials = self.trials.lock();
        let trial = trials.get_or_insert_mut(key.clone(), Trial::default);
        trial.silences += 1;
        // A task has few sessions: the first time half is tried, then a quarter.
        let part = if trial.silences == 1 { 2 } else { 4 };
        match suspect {
            Suspect::Names(count) => {
                let less = (count / part).max(1);
                trial.names = Some(less);
                format!("no answer for {count} names: asking {less} at a time in the next session")
            }
            Suspect::PartialPath => {
                trial.no_partial_paths = true;
                "no answer for a partial path: asking for its names in the next session".to_owned()
            }
            Suspect::WholeTree => {
                trial.names_by_level = true;
                "no answer for all names: asking level by level in the next session".to_owned()
            }
        }
    }

    fn kept(&self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            tracing::error!(%error, "cannot keep what was learned of a model");
        }
    }
}

/// What of a request may have been too much.
fn suspect(outstanding: &Request) -> Option<Suspect> {
    let is_partial = |path: &str| path.is_empty() || path.ends_with('.');
    // A set is repeated as it was: it would not be all or nothing any more.
    match outstanding {
        Request::GetParameterValues(names) | Request::GetParameterAttributes(names) => {
            if names.iter().any(|name| is_partial(name)) {
                return Some(Suspect::PartialPath);
            }
            let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
            (count > 1).then_some(Suspect::Names(count))
        }
        Request::GetParameterNames(asked) => {
            (!asked.next_level && is_partial(&asked.path)).then_some(Suspect::WholeTree)
        }
        _ => None,
    }
}
