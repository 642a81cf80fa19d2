//! GetParameterNames, of the whole tree or less.
//!
//! - The empty path refused, or answered by nothing: the root objects instead.
//! - The whole tree refused as too much (9002, 9004, no answer): level by level, to a depth and
//!   a number of objects.
//! - NextLevel not understood: without it, and cut to one level here.
//!
//! What comes is taken with care: objects may lack their dot, a level may hold the object
//! itself or the whole tree below it, and objects may be missing between others.

use std::collections::{HashMap, HashSet, VecDeque};

use cwmp::{Fault, GetParameterNames, ParameterInfo, Request, Response};

use super::course::Verdict;
use super::findings::Finding;
use super::manners::Manners;
use super::{may_be_too_much, words};
use crate::device::DataModel;

/// Names between dots, from the root on.
const DEPTH_MAX: usize = 16;
/// Objects that are asked for their next level.
const OBJECTS_MAX: usize = 1_500;
/// Objects below the first that may refuse theirs.
const REFUSED_MAX: u32 = 32;

/// Names under way.
#[derive(Debug)]
pub(super) struct Names {
    asked: GetParameterNames,
    queue: VecDeque<GetParameterNames>,
    /// Root objects not yet tried in place of the empty path.
    roots: VecDeque<&'static str>,
    by_level: bool,
    /// The device leaves out the dot at the end of objects.
    dotless: bool,
    /// NextLevel was left out, because it was refused.
    without_level: bool,
    names: Vec<ParameterInfo>,
    /// Of those, where more than one answer makes the list.
    listed: HashSet<String>,
    /// Objects asked for.
    visited: HashSet<String>,
    /// Asked for with a dot put behind it: an object if that is answered.
    unsure: HashMap<String, ParameterInfo>,
    refused: u32,
    answered: bool,
}

impl Names {
    pub(super) fn new(asked: GetParameterNames, manners: &Manners) -> Names {
        let [first, second] = manners.roots();
        let mut names = Names {
            queue: VecDeque::new(),
            roots: VecDeque::from([first, second]),
            by_level: manners.names_by_level && !asked.next_level && is_object(&asked.path),
            dotless: false,
            without_level: false,
            names: Vec::new(),
            listed: HashSet::new(),
            visited: HashSet::new(),
            unsure: HashMap::new(),
            refused: 0,
            answered: false,
            asked,
        };
        let whole = names.asked.path.is_empty();
        if whole && (manners.no_root_names || names.by_level) {
            names.ask_root();
        } else {
            let path = names.asked.path.clone();
            names.ask(path);
        }
        names
    }

    pub(super) fn next(&mut self) -> Option<Request> {
        let next = self.queue.pop_front()?;
        Some(Request::GetParameterNames(next))
    }

    pub(super) fn answered(
        &mut self,
        sent: &Request,
        response: Response,
        findings: &mut Vec<Finding>,
    ) {
        let (Request::GetParameterNames(sent), Response::GetParameterNames(mut list)) =
            (sent, response)
        else {
            return;
        };
        if list.is_empty() && sent.path.is_empty() && self.ask_root() {
            findings.push(Finding::Adapted(
                "no names for the empty path: asking for the root object".to_owned(),
            ));
            return;
        }
        self.tell(sent, findings);
        self.answered = true;
        // A root without any object does not exist.
        let is_below = |name: &&ParameterInfo| depth_below(&sent.path, &name.path) > 0;
        let mut below = list.iter().filter(is_below);
        self.dotless |= is_root(&sent.path) && !below.any(|name| name.path.ends_with('.'));
        add_dots(&mut list);
        if self.asked.next_level {
            self.names = level(&self.asked.path, &sent.path, list);
        } else if self.by_level {
            self.take_level(sent, list);
        } else {
            self.names = list;
        }
    }

    pub(super) fn refused(
        &mut self,
        sent: &Request,
        fault: &Fault,
        findings: &mut Vec<Finding>,
    ) -> Verdict {
        let Request::GetParameterNames(sent) = sent else {
            return Verdict::Stands;
        };
        let words = words(fault);
        let mut adapt = |how: String| {
            findings.push(Finding::Adapted(how));
            Verdict::Adapted
        };
        if self.answered {
            return self.below_refused(sent, fault, &mut adapt);
        }
        let too_much = may_be_too_much(fault) && fault.code != 9003;
        let whole = !sent.next_level && is_object(&sent.path);
        // Too much of the tree, said in so many words: the root is understood.
        let exhausted = whole && matches!(fault.code, 9002 | 9004);
        if sent.path.is_empty() && !exhausted && (may_be_too_much(fault) || fault.code == 9005) {
            return if self.ask_root() {
                adapt(format!(
                    "{words} for the names of the empty path: asking for the root object"
                ))
            } else {
                Verdict::Stands
            };
        }
        // Whose next level was refused is not asked for it again.
        if whole && too_much && !self.by_level && !self.without_level {
            self.by_level = true;
            let path = sent.path.clone();
            if !path.is_empty() || !self.ask_root() {
                self.ask(path);
            }
            return adapt(format!(
                "{words} for all names below {:?}: asking level by level",
                sent.path
            ));
        }
        // The other root, if the first is not the device's.
        if self.asked.path.is_empty() && matches!(fault.code, 9003 | 9005) && self.ask_root() {
            return adapt(format!(
                "{words} for {}: asking for the other root",
                sent.path
            ));
        }
        if self.asked.next_level && sent.next_level && may_be_too_much(fault) {
            self.without_level = true;
            self.queue.push_back(GetParameterNames {
                path: sent.path.clone(),
                next_level: false,
            });
            return adapt(format!(
                "{words} for the next level of {:?}: asking for all of it",
                sent.path
            ));
        }
        Verdict::Stands
    }

    pub(super) fn end(self) -> Option<(Response, Vec<String>)> {
        self.answered
            .then_some((Response::GetParameterNames(self.names), Vec::new()))
    }

    /// What an answer says of the device.
    fn tell(&self, sent: &GetParameterNames, findings: &mut Vec<Finding>) {
        if self.answered {
            return;
        }
        let whole = self.asked.path.is_empty() || is_root(&self.asked.path);
        if self.asked.path.is_empty() && !sent.path.is_empty() && !self.by_level {
            findings.push(Finding::NoRootNames);
        }
        if whole && !self.asked.next_level {
            findings.push(if self.by_level {
                Finding::NamesByLevel
            } else {
                Finding::WholeTreeTaken
            });
        }
    }

    /// Asks for the next root object not yet tried; whether there is one.
    fn ask_root(&mut self) -> bool {
        let Some(root) = self.roots.pop_front() else {
            return false;
        };
        self.ask(root.to_owned());
        true
    }

    fn ask(&mut self, path: String) {
        self.visited.insert(path.clone());
        self.queue.push_back(GetParameterNames {
            path,
            next_level: self.asked.next_level || self.by_level,
        });
    }

    /// One object of many refuses its names: it has gone, or cannot tell them.
    fn below_refused(
        &mut self,
        sent: &GetParameterNames,
        fault: &Fault,
        adapt: &mut impl FnMut(String) -> Verdict,
    ) -> Verdict {
        // Where no object has its dot, this was a guess.
        if matches!(fault.code, 9003 | 9005)
            && let Some(parameter) = self.unsure.remove(&sent.path)
        {
            self.list(parameter);
            return adapt(format!("{} is no object: going on", sent.path));
        }
        if !sent.next_level && may_be_too_much(fault) {
            self.ask_level_of(sent.path.clone());
            return adapt(format!(
                "{} for all names below {}: asking level by level",
                words(fault),
                sent.path
            ));
        }
        self.refused += 1;
        if self.refused > REFUSED_MAX {
            return Verdict::Stands;
        }
        adapt(format!(
            "{} for the names of {}: going on without it",
            words(fault),
            sent.path
        ))
    }

    /// Takes one level in, and asks for the ones below.
    fn take_level(&mut self, sent: &GetParameterNames, list: Vec<ParameterInfo>) {
        let path = sent.path.as_str();
        if let Some(mut object) = self.unsure.remove(path) {
            path.clone_into(&mut object.path);
            self.list(object);
        }
        let is_whole =
            !sent.next_level || list.iter().any(|name| depth_below(path, &name.path) > 1);
        for name in list {
            let below = depth_below(path, &name.path);
            if below == 0 && name.path != path {
                continue; // of somewhere else
            }
            if below == 1 && !is_whole {
                if name.path.ends_with('.') {
                    self.ask_level_of(name.path.clone());
                } else if self.dotless {
                    self.ask_whole(name);
                    continue;
                }
            }
            self.list(name);
        }
    }

    fn ask_level_of(&mut self, path: String) {
        let is_new = self.visited.len() < OBJECTS_MAX
            && depth(&path) < DEPTH_MAX
            && self.visited.insert(path.clone());
        if is_new {
            self.queue.push_back(GetParameterNames {
                path,
                next_level: true,
            });
        }
    }

    /// What may be an object without its dot is asked for whole: that tells which it is.
    fn ask_whole(&mut self, name: ParameterInfo) {
        if self.visited.len() >= OBJECTS_MAX || !self.visited.insert(name.path.clone()) {
            self.list(name);
            return;
        }
        let path = format!("{}.", name.path);
        self.unsure.insert(path.clone(), name);
        self.queue.push_back(GetParameterNames {
            path,
            next_level: false,
        });
    }

    fn list(&mut self, name: ParameterInfo) {
        if !name.path.is_empty() && self.listed.insert(name.path.clone()) {
            self.names.push(name);
        }
    }
}

/// One level below `asked`, of a list that may hold more: `sent` (the same, or the root that
/// stands for the empty path) itself, and what is deeper.
fn level(asked: &str, sent: &str, list: Vec<ParameterInfo>) -> Vec<ParameterInfo> {
    let base = sent;
    let plain = list
        .iter()
        .all(|name| depth_below(base, &name.path) == 1 || (asked.is_empty() && name.path == base));
    if plain {
        return list;
    }
    let mut seen = HashSet::new();
    let mut children = Vec::new();
    for name in list {
        let Some(rest) = name.path.strip_prefix(base).filter(|rest| !rest.is_empty()) else {
            continue;
        };
        let child = match rest.split_once('.') {
            // The object between may be missing in the list.
            Some((first, deeper)) if !deeper.is_empty() => ParameterInfo {
                path: format!("{base}{first}."),
                writable: false,
            },
            _ => name,
        };
        if seen.insert(child.path.clone()) {
            children.push(child);
        }
    }
    children
}

/// Puts the dot at the end of objects, for devices that never write it.
fn add_dots(list: &mut [ParameterInfo]) {
    if list.len() < 2 || list.iter().any(|name| name.path.ends_with('.')) {
        return;
    }
    let mut objects: HashSet<&str> = HashSet::new();
    for name in list.iter() {
        objects.extend(name.path.rsplit_once('.').map(|(object, _)| object));
    }
    let objects: Vec<bool> = list
        .iter()
        .map(|name| objects.contains(name.path.as_str()))
        .collect();
    for (name, is_object) in list.iter_mut().zip(objects) {
        if is_object {
            name.path.push('.');
        }
    }
}

fn is_object(path: &str) -> bool {
    path.is_empty() || path.ends_with('.')
}

fn is_root(path: &str) -> bool {
    [DataModel::Tr098, DataModel::Tr181]
        .iter()
        .any(|model| model.root() == path)
}

fn depth(path: &str) -> usize {
    path.trim_end_matches('.').split('.').count()
}

/// How many names `path` is below `object`; 0: it is not.
fn depth_below(object: &str, path: &str) -> usize {
    match path.strip_prefix(object) {
        Some("") | None => 0,
        Some(rest) => depth(rest),
    }
}
