//! GetParameterValues and GetParameterAttributes of any number of names.
//!
//! - Too many names (9002, 9003, 9004, no answer): half as many at once.
//! - A bad name (9005): it alone is left out if the fault names it; else halves tell which it is.
//! - A partial path that is refused: its parameters are listed and asked by their full names.
//!   What is known of them already is not enough: an Inform tells a few, and instances come and go.
//!
//! Names that do not exist are *missing*; only if nothing at all is left is the fault the answer.

use std::collections::{HashSet, VecDeque};

use cwmp::{Fault, GetParameterNames, ParameterAttributes, ParameterValue, Request, Response};

use super::course::{End, Verdict};
use super::findings::Finding;
use super::manners::Manners;
use super::names::Names;
use super::{may_be_too_much, words};

/// Names at once where nothing is known of the device.
const NAMES_AT_ONCE: usize = 128;
/// Fewer are not halved to find a bad one, but asked one by one.
const SINGLY_BELOW: usize = 4;
/// Refusals that one request may go round.
const ADAPTATIONS_MAX: u32 = 256;
/// So many names refused alone, with nothing answered: it is not the names.
const REFUSED_ALONE_MAX: u32 = 3;
/// A partial path with fewer parameters was not refused for their number.
const SMALL_OBJECT: usize = 16;

/// A get under way.
#[derive(Debug)]
pub(super) struct Get {
    attributes: bool,
    /// The one name asked for, if it was one: its fault is the answer.
    single: Option<String>,
    manners: Manners,
    /// What is still to ask; a piece is never joined with another.
    queue: VecDeque<Vec<String>>,
    /// Partial paths to be listed, and the fault that led to it.
    to_list: VecDeque<(String, Option<Fault>)>,
    listing: Option<Listing>,
    at_once: usize,
    first_at_once: usize,
    /// A partial path was refused for being one.
    no_partial_paths: bool,
    /// The most names taken and the fewest refused for their number.
    worked: usize,
    failed: Option<usize>,
    values: Vec<ParameterValue>,
    found_attributes: Vec<ParameterAttributes>,
    missing: Vec<String>,
    adaptations: u32,
    refused_alone: u32,
    last_fault: Option<Fault>,
    answered: bool,
}

/// The names below a partial path, being asked for.
#[derive(Debug)]
struct Listing {
    path: String,
    names: Names,
    fault: Option<Fault>,
}

impl Get {
    pub(super) fn values(paths: Vec<String>, manners: &Manners) -> Get {
        Get::new(paths, manners, false)
    }

    pub(super) fn attributes(paths: Vec<String>, manners: &Manners) -> Get {
        Get::new(paths, manners, true)
    }

    fn new(paths: Vec<String>, manners: &Manners, attributes: bool) -> Get {
        let single = match paths.as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        };
        let listed = |path: &String| manners.no_partial_paths && is_partial(path);
        let (to_list, names): (Vec<String>, Vec<String>) = paths.into_iter().partition(listed);
        let at_once = manners.names_per_get.map_or(NAMES_AT_ONCE, |n| n as usize);
        Get {
            attributes,
            single,
            manners: manners.clone(),
            queue: VecDeque::from([names]),
            to_list: to_list.into_iter().map(|path| (path, None)).collect(),
            listing: None,
            at_once: at_once.max(1),
            first_at_once: at_once.max(1),
            no_partial_paths: false,
            worked: 0,
            failed: None,
            values: Vec::new(),
            found_attributes: Vec::new(),
            missing: Vec::new(),
            adaptations: 0,
            refused_alone: 0,
            last_fault: None,
            answered: false,
        }
    }

    pub(super) fn next(&mut self) -> Option<Request> {
        loop {
            if let Some(listing) = &mut self.listing {
                if let Some(request) = listing.names.next() {
                    return Some(request);
                }
                self.listed();
                continue;
            }
            if let Some(mut piece) = self.queue.pop_front() {
                if piece.len() > self.at_once {
                    self.queue.push_front(piece.split_off(self.at_once));
                }
                if piece.is_empty() {
                    continue;
                }
                return Some(if self.attributes {
                    Request::GetParameterAttributes(piece)
                } else {
                    Request::GetParameterValues(piece)
                });
            }
            let (path, fault) = self.to_list.pop_front()?;
            let asked = GetParameterNames {
                path: path.clone(),
                next_level: false,
            };
            let names = Names::new(asked, &self.manners);
            self.listing = Some(Listing { path, names, fault });
        }
    }

    pub(super) fn answered(
        &mut self,
        sent: &Request,
        response: Response,
        rewritten: bool,
        findings: &mut Vec<Finding>,
    ) {
        let Some(asked) = names_of(sent) else {
            if let Some(listing) = &mut self.listing {
                listing.names.answered(sent, response, findings);
            }
            return;
        };
        let told: HashSet<&str> = match &response {
            Response::GetParameterValues(values) => values.iter().map(|v| &*v.path).collect(),
            Response::GetParameterAttributes(list) => list.iter().map(|a| &*a.path).collect(),
            _ => return,
        };
        self.answered |= !told.is_empty();
        if !asked.iter().any(|name| is_partial(name)) {
            self.worked = self.worked.max(asked.len());
            if asked.len() > 1 {
                findings.push(Finding::NamesTaken(number(asked.len())));
            }
        } else if !told.is_empty() {
            findings.push(Finding::PartialPathTaken);
        }
        if !rewritten && !self.attributes {
            let omitted = asked
                .iter()
                .filter(|name| !is_partial(name) && !told.contains(name.as_str()));
            for name in omitted {
                self.missing.push(name.clone());
                findings.push(Finding::Vanished(name.clone()));
            }
        }
        match response {
            Response::GetParameterValues(values) if self.values.is_empty() => self.values = values,
            Response::GetParameterValues(values) => self.values.extend(values),
            Response::GetParameterAttributes(list) => self.found_attributes.extend(list),
            _ => {}
        }
    }

    pub(super) fn refused(
        &mut self,
        sent: &Request,
        fault: &Fault,
        findings: &mut Vec<Finding>,
    ) -> Verdict {
        self.adaptations += 1;
        if self.adaptations > ADAPTATIONS_MAX {
            return Verdict::Stands;
        }
        let Some(piece) = names_of(sent) else {
            return self.listing_refused(sent, fault, findings);
        };
        if piece.len() == 1 || fault.code == 9005 {
            self.last_fault = Some(fault.clone());
        }
        match piece {
            [name] if is_partial(name) => self.partial_refused(name, fault, findings),
            [name] => self.name_refused(name, fault, findings),
            piece if fault.code == 9005 => {
                self.leave_out(piece, fault, findings);
                Verdict::Adapted
            }
            piece if may_be_too_much(fault) => {
                self.ask_fewer(piece, fault, findings);
                Verdict::Adapted
            }
            _ => Verdict::Stands,
        }
    }

    pub(super) fn end(self, findings: &mut Vec<Finding>) -> End {
        // One name that is refused alone is no matter of numbers.
        if let Some(failed) = self.failed
            && self.refused_alone == 0
            && (1..failed).contains(&self.worked)
        {
            findings.push(Finding::NamesLimit {
                worked: number(self.worked),
                failed: number(failed),
            });
        }
        if self.no_partial_paths {
            findings.push(Finding::NoPartialPaths);
        }
        match self.last_fault {
            Some(fault) if !self.answered && !self.missing.is_empty() => Err(fault),
            _ => {
                let response = if self.attributes {
                    Response::GetParameterAttributes(self.found_attributes)
                } else {
                    Response::GetParameterValues(self.values)
                };
                Ok(Some((response, self.missing)))
            }
        }
    }

    fn name_refused(&mut self, name: &str, fault: &Fault, findings: &mut Vec<Finding>) -> Verdict {
        let vanished = fault.code == 9005;
        if vanished {
            findings.push(Finding::Vanished(name.to_owned()));
        }
        if self.single.as_deref() == Some(name) || !(vanished || may_be_too_much(fault)) {
            return Verdict::Stands;
        }
        if !vanished {
            self.refused_alone += 1;
            if !self.answered && self.refused_alone >= REFUSED_ALONE_MAX {
                return Verdict::Stands;
            }
            // It was this name, not how many there were.
            self.failed = None;
            self.at_once = if self.worked > 1 {
                self.worked
            } else {
                self.first_at_once
            };
        }
        findings.push(Finding::Adapted(format!(
            "{} for {name} alone: going on without it",
            words(fault)
        )));
        self.missing.push(name.to_owned());
        Verdict::Adapted
    }

    fn partial_refused(
        &mut self,
        path: &str,
        fault: &Fault,
        findings: &mut Vec<Finding>,
    ) -> Verdict {
        if fault.code != 9005 && !may_be_too_much(fault) {
            return Verdict::Stands;
        }
        findings.push(Finding::Adapted(format!(
            "{} for all of {path:?}: asking for its names",
            words(fault)
        )));
        self.to_list
            .push_back((path.to_owned(), Some(fault.clone())));
        Verdict::Adapted
    }

    /// What cannot be listed either is refused with the fault of the get.
    fn listing_refused(
        &mut self,
        sent: &Request,
        fault: &Fault,
        findings: &mut Vec<Finding>,
    ) -> Verdict {
        let Some(listing) = &mut self.listing else {
            return Verdict::Stands;
        };
        if listing.names.refused(sent, fault, findings) == Verdict::Adapted {
            return Verdict::Adapted;
        }
        if self.single.is_some() {
            return Verdict::Stands;
        }
        self.missing.push(listing.path.clone());
        self.last_fault = listing.fault.take().or_else(|| Some(fault.clone()));
        self.listing = None;
        Verdict::Adapted
    }

    /// The names below a partial path are there.
    fn listed(&mut self) {
        let Some(listing) = self.listing.take() else {
            return;
        };
        let Some((Response::GetParameterNames(names), _)) = listing.names.end() else {
            return;
        };
        // An empty table is an answer, too.
        self.answered = true;
        let names: Vec<String> = names
            .into_iter()
            .map(|name| name.path)
            .filter(|path| !is_partial(path) && path.starts_with(&listing.path))
            .collect();
        self.no_partial_paths |=
            listing.fault.is_some() && (1..=SMALL_OBJECT).contains(&names.len());
        self.queue.push_back(names);
    }

    /// Too many names, or too much below a partial path among them.
    fn ask_fewer(&mut self, piece: &[String], fault: &Fault, findings: &mut Vec<Finding>) {
        let count = piece.len();
        let (partial, full): (Vec<String>, Vec<String>) =
            piece.iter().cloned().partition(|name| is_partial(name));
        if !partial.is_empty() {
            findings.push(Finding::Adapted(format!(
                "{} for {count} paths: asking for objects one by one",
                words(fault)
            )));
            self.queue.push_front(full);
            for path in partial.into_iter().rev() {
                self.queue.push_front(vec![path]);
            }
            return;
        }
        self.failed = Some(self.failed.map_or(count, |failed| failed.min(count)));
        let proven = self.manners.names_proven.map_or(0, |n| n as usize);
        let half = count.div_ceil(2).max(1);
        self.at_once = if (half..count).contains(&proven) {
            proven
        } else {
            half
        };
        findings.push(Finding::Adapted(format!(
            "{} for {count} names: asking {} at a time",
            words(fault),
            self.at_once
        )));
        self.queue.push_front(full);
    }

    /// One of the names, or some, are bad.
    fn leave_out(&mut self, piece: &[String], fault: &Fault, findings: &mut Vec<Finding>) {
        let (named, mut rest): (Vec<String>, Vec<String>) =
            piece.iter().cloned().partition(|name| names(fault, name));
        if !named.is_empty() && !rest.is_empty() {
            findings.push(Finding::Adapted(format!(
                "{} names {}: asking the others",
                fault.code,
                named.join(", ")
            )));
            for name in named {
                // A partial path may be refused for what it is, not for being absent.
                if is_partial(&name) {
                    self.to_list.push_back((name, Some(fault.clone())));
                } else {
                    findings.push(Finding::Vanished(name.clone()));
                    self.missing.push(name);
                }
            }
            self.queue.push_front(rest);
            return;
        }
        let pieces = if piece.len() < SINGLY_BELOW {
            findings.push(Finding::Adapted(format!(
                "{} for {} names: asking them one by one",
                fault.code,
                piece.len()
            )));
            piece.iter().map(|name| vec![name.clone()]).collect()
        } else {
            findings.push(Finding::Adapted(format!(
                "{} for {} names: asking each half, to find the bad one",
                fault.code,
                piece.len()
            )));
            rest = piece.to_vec();
            let right = rest.split_off(piece.len() / 2);
            vec![rest, right]
        };
        for piece in pieces.into_iter().rev() {
            self.queue.push_front(piece);
        }
    }
}

/// The names asked for; `None`: it is the listing's.
fn names_of(sent: &Request) -> Option<&[String]> {
    match sent {
        Request::GetParameterValues(names) | Request::GetParameterAttributes(names) => Some(names),
        _ => None,
    }
}

fn is_partial(path: &str) -> bool {
    path.is_empty() || path.ends_with('.')
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Whether the fault says that it is this name: in its list, or as a word of its text.
fn names(fault: &Fault, name: &str) -> bool {
    if fault.parameters.iter().any(|p| p.path == name) {
        return true;
    }
    let in_a_name = |c: char| c.is_alphanumeric() || "._-".contains(c);
    !name.is_empty()
        && fault.text.match_indices(name).any(|(at, _)| {
            let before = fault.text.get(..at).unwrap_or_default();
            let after = fault.text.get(at + name.len()..).unwrap_or_default();
            // A full stop may end the sentence.
            let after = after
                .strip_prefix('.')
                .filter(|rest| !rest.starts_with(in_a_name))
                .unwrap_or(after);
            !before.ends_with(in_a_name) && !after.starts_with(in_a_name)
        })
}
