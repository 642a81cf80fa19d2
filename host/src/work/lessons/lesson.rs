//! What was learned of one model.

use std::collections::BTreeMap;

use cwmp::Fault;
use serde::{Deserialize, Serialize};

use super::model::Model;
use super::size::Size;
use crate::device::UnixTime;
use crate::work::exchange::{Finding, Manners};

/// A habit is believed so long after it was last seen; then the usual way gets another chance.
const HABIT_SECONDS_MAX: i64 = 30 * 86_400;
/// Methods of one model that are remembered as not supported.
const UNSUPPORTED_MAX: usize = 32;
/// A session that breaks off may break off for any reason: as many with the same request under
/// way, and none in between that did well with it, are believed.
const SILENCES_BELIEVED: u32 = 2;

/// What a model does otherwise than the standard has it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Habit {
    /// The names of the whole tree at once are too much for it.
    NamesByLevel,
    /// GetParameterNames of the empty path is not understood.
    NoRootNames,
    /// GetParameterValues of a partial path is not understood.
    NoPartialPaths,
    /// AddObject tells no instance number.
    NoInstanceNumber,
}

/// When something was learned, and from which device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    /// When it was last seen.
    pub learned: UnixTime,
    /// The id of the device.
    pub device: String,
}

/// What was learned of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lesson {
    /// Of which.
    pub model: Model,
    /// Names in one GetParameterValues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names_per_get: Option<Size>,
    /// Values in one SetParameterValues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters_per_set: Option<Size>,
    /// How else it differs.
    #[serde(default)]
    pub habits: BTreeMap<Habit, Learned>,
    /// Methods answered by fault 9000.
    #[serde(default)]
    pub unsupported: BTreeMap<String, Learned>,
    #[serde(skip)]
    pub(super) suspicions: Suspicions,
}

/// What sessions broke off with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Suspicions {
    names: Suspicion,
    partial_path: Suspicion,
    whole_tree: Suspicion,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Suspicion {
    /// The least that was under way.
    size: u32,
    times: u32,
}

impl Suspicion {
    /// Whether it is believed now.
    fn again(&mut self, size: u32) -> bool {
        self.size = if self.times == 0 {
            size
        } else {
            self.size.min(size)
        };
        self.times += 1;
        self.times >= SILENCES_BELIEVED
    }

    fn did_well(&mut self, size: u32) {
        if size >= self.size {
            *self = Suspicion::default();
        }
    }
}

/// What the end of a session without an answer makes suspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suspect {
    /// So many names.
    Names(u32),
    PartialPath,
    WholeTree,
}

impl Lesson {
    pub(super) fn new(model: Model) -> Lesson {
        Lesson {
            model,
            names_per_get: None,
            parameters_per_set: None,
            habits: BTreeMap::new(),
            unsupported: BTreeMap::new(),
            suspicions: Suspicions::default(),
        }
    }

    /// Whether there is anything to show and to keep.
    pub(super) fn is_empty(&self) -> bool {
        self.names_per_get.is_none()
            && self.parameters_per_set.is_none()
            && self.habits.is_empty()
            && self.unsupported.is_empty()
    }

    /// How to ask, by all that is known.
    pub(super) fn manners(&self, now: UnixTime) -> Manners {
        let has = |habit: Habit| {
            self.habits
                .get(&habit)
                .is_some_and(|learned| is_believed(learned, now))
        };
        let names = self.names_per_get.as_ref();
        let parameters = self.parameters_per_set.as_ref();
        let unsupported = self
            .unsupported
            .iter()
            .filter(|(_, learned)| is_believed(learned, now))
            .map(|(method, _)| (method.clone(), Fault::new(9000)));
        Manners {
            names_per_get: names.map(Size::to_ask),
            names_proven: names.map(|size| size.most),
            parameters_per_set: parameters.map(Size::to_ask),
            parameters_proven: parameters.map(|size| size.most),
            names_by_level: has(Habit::NamesByLevel),
            no_root_names: has(Habit::NoRootNames),
            no_partial_paths: has(Habit::NoPartialPaths),
            no_instance_number: has(Habit::NoInstanceNumber),
            unsupported: unsupported.collect(),
            ..Manners::default()
        }
    }

    /// Takes in what an exchange found out. What is remembered, if it is something new.
    pub(super) fn learn(
        &mut self,
        finding: &Finding,
        device: &str,
        now: UnixTime,
    ) -> Option<String> {
        match finding {
            Finding::NamesTaken(count) => {
                self.suspicions.names.did_well(*count);
                let size = self.names_per_get.as_mut()?;
                let grew = size.taken(*count);
                grew.then(|| format!("{count} names in a GetParameterValues work"))
            }
            Finding::NamesLimit { worked, failed } => {
                let most = limited(&mut self.names_per_get, *worked, *failed, device, now)?;
                Some(format!("at most {most} names in a GetParameterValues"))
            }
            Finding::ParametersTaken(count) => {
                let size = self.parameters_per_set.as_mut()?;
                let grew = size.taken(*count);
                grew.then(|| format!("{count} values in a SetParameterValues work"))
            }
            Finding::ParametersLimit { worked, failed } => {
                let most = limited(&mut self.parameters_per_set, *worked, *failed, device, now)?;
                Some(format!("at most {most} values in a SetParameterValues"))
            }
            Finding::PartialPathTaken => {
                self.suspicions.partial_path.did_well(1);
                None
            }
            Finding::WholeTreeTaken => {
                self.suspicions.whole_tree.did_well(1);
                None
            }
            Finding::NoPartialPaths => self.has(Habit::NoPartialPaths, device, now),
            Finding::NamesByLevel => self.has(Habit::NamesByLevel, device, now),
            Finding::NoRootNames => self.has(Habit::NoRootNames, device, now),
            Finding::NoInstanceNumber => self.has(Habit::NoInstanceNumber, device, now),
            Finding::Unsupported(method, _) => {
                let is_new = !self.unsupported.contains_key(method);
                if is_new && self.unsupported.len() >= UNSUPPORTED_MAX {
                    return None;
                }
                self.unsupported
                    .insert(method.clone(), learned(device, now));
                is_new.then(|| format!("{method} is not supported"))
            }
            Finding::Supported(method) => {
                self.unsupported.remove(method)?;
                Some(format!("{method} is supported after all"))
            }
            Finding::Adapted(_) | Finding::Vanished(_) => None,
        }
    }

    /// A session broke off with this under way. What is remembered, once it is believed.
    pub(super) fn fell_silent(
        &mut self,
        suspect: Suspect,
        device: &str,
        now: UnixTime,
    ) -> Option<String> {
        match suspect {
            Suspect::Names(count) => {
                let suspicion = &mut self.suspicions.names;
                if !suspicion.again(count) {
                    return None;
                }
                let failed = std::mem::take(suspicion).size;
                let most = limited(&mut self.names_per_get, failed / 2, failed, device, now)?;
                if let Some(size) = &mut self.names_per_get {
                    size.silent = true;
                }
                Some(format!("at most {most} names in a GetParameterValues"))
            }
            Suspect::PartialPath => {
                let believed = self.suspicions.partial_path.again(1);
                believed
                    .then(|| self.has(Habit::NoPartialPaths, device, now))
                    .flatten()
            }
            Suspect::WholeTree => {
                let believed = self.suspicions.whole_tree.again(1);
                believed
                    .then(|| self.has(Habit::NamesByLevel, device, now))
                    .flatten()
            }
        }
    }

    fn has(&mut self, habit: Habit, device: &str, now: UnixTime) -> Option<String> {
        let before = self.habits.insert(habit, learned(device, now));
        let is_new = before.is_none_or(|before| !is_believed(&before, now));
        is_new.then(|| {
            match habit {
                Habit::NamesByLevel => "names are asked level by level",
                Habit::NoRootNames => "names are asked from the root object on",
                Habit::NoPartialPaths => "objects are asked by the names of their parameters",
                Habit::NoInstanceNumber => "instances are listed before one is added",
            }
            .to_owned()
        })
    }
}

fn learned(device: &str, now: UnixTime) -> Learned {
    Learned {
        learned: now,
        device: device.to_owned(),
    }
}

fn is_believed(learned: &Learned, now: UnixTime) -> bool {
    now.saturating_sub(learned.learned) < HABIT_SECONDS_MAX
}

/// The number that is asked for from now on, if it is another one.
fn limited(
    size: &mut Option<Size>,
    worked: u32,
    failed: u32,
    device: &str,
    now: UnixTime,
) -> Option<u32> {
    let before = size.clone();
    let known = size.get_or_insert_with(|| Size::new(worked, failed, now, device));
    if before.is_some() {
        known.limited(worked, failed);
        known.learned = now;
        device.clone_into(&mut known.device);
    }
    let most = known.most;
    before
        .is_none_or(|before| before.most != most)
        .then_some(most)
}
