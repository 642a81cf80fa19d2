//! SetParameterValues of any number of values.
//!
//! It is all or nothing (A.3.2.1), so splitting it may change what it means. It is split after
//! 9004 only, which says that there is too much of it, never after a fault that blames a
//! value; and the values of one object stay together, in their order, whatever their number.
//! If a later part is refused, the ones before it are in force: the trace tells.

use std::collections::VecDeque;

use cwmp::{Applied, Fault, ParameterValue, Request, Response, SetParameterValues};

use super::course::Verdict;
use super::findings::Finding;
use super::literal::literal;
use super::manners::Manners;
use super::words;

/// Of the device: too much at once.
const RESOURCES_EXCEEDED: u32 = 9004;
/// Splits of one request.
const SPLITS_MAX: u32 = 16;

/// A set under way.
#[derive(Debug)]
pub(super) struct Set {
    key: String,
    /// Cut where it may be split.
    queue: VecDeque<Vec<ParameterValue>>,
    at_once: usize,
    proven: usize,
    worked: usize,
    failed: Option<usize>,
    splits: u32,
    parts_done: u32,
    applied: Option<Applied>,
}

impl Set {
    pub(super) fn new(mut set: SetParameterValues, manners: &Manners) -> Set {
        if manners.overrides.no_parameter_key {
            set.parameter_key.clear();
        }
        for parameter in &mut set.parameters {
            literal(parameter, &manners.overrides);
        }
        let queue = if manners.splits_objects {
            set.parameters
                .into_iter()
                .map(|value| vec![value])
                .collect()
        } else {
            by_object(set.parameters)
        };
        Set {
            key: set.parameter_key,
            queue,
            at_once: manners
                .parameters_per_set
                .map_or(usize::MAX, |n| n as usize),
            proven: manners.parameters_proven.map_or(0, |n| n as usize),
            worked: 0,
            failed: None,
            splits: 0,
            parts_done: 0,
            applied: None,
        }
    }

    pub(super) fn next(&mut self) -> Option<Request> {
        // One object at least, whatever its size.
        let mut part = self.queue.pop_front()?;
        while let Some(next) = self.queue.front()
            && part.len() + next.len() <= self.at_once
        {
            part.extend(self.queue.pop_front().unwrap_or_default());
        }
        Some(Request::SetParameterValues(SetParameterValues {
            parameters: part,
            parameter_key: self.key.clone(),
        }))
    }

    pub(super) fn answered(
        &mut self,
        sent: &Request,
        response: Response,
        findings: &mut Vec<Finding>,
    ) {
        let (Request::SetParameterValues(set), Response::SetParameterValues(applied)) =
            (sent, response)
        else {
            return;
        };
        self.parts_done += 1;
        self.worked = self.worked.max(set.parameters.len());
        findings.push(Finding::ParametersTaken(number(set.parameters.len())));
        // Later, if any of it is later.
        if self.applied != Some(Applied::Later) {
            self.applied = Some(applied);
        }
    }

    pub(super) fn refused(
        &mut self,
        sent: &Request,
        fault: &Fault,
        findings: &mut Vec<Finding>,
    ) -> Verdict {
        let Request::SetParameterValues(set) = sent else {
            return Verdict::Stands;
        };
        let count = set.parameters.len();
        let objects = by_object(set.parameters.clone());
        let may_split = fault.code == RESOURCES_EXCEEDED
            && fault.parameters.is_empty()
            && objects.len() > 1
            && self.splits < SPLITS_MAX;
        if !may_split {
            if self.parts_done > 0 {
                findings.push(Finding::Adapted(format!(
                    "{} for {count} values after {} parts of the same set were taken: these stay in force",
                    words(fault),
                    self.parts_done
                )));
            }
            return Verdict::Stands;
        }
        self.splits += 1;
        self.failed = Some(self.failed.map_or(count, |failed| failed.min(count)));
        let half = count.div_ceil(2);
        self.at_once = if (half..count).contains(&self.proven) {
            self.proven
        } else {
            half
        };
        findings.push(Finding::Adapted(format!(
            "9004 for {count} values: setting {} at a time, each object's together",
            self.at_once
        )));
        for object in objects.into_iter().rev() {
            self.queue.push_front(object);
        }
        Verdict::Adapted
    }

    pub(super) fn end(self, findings: &mut Vec<Finding>) -> Option<(Response, Vec<String>)> {
        if let Some(failed) = self.failed
            && (1..failed).contains(&self.worked)
        {
            findings.push(Finding::ParametersLimit {
                worked: number(self.worked),
                failed: number(failed),
            });
        }
        let applied = self.applied?;
        Some((Response::SetParameterValues(applied), Vec::new()))
    }
}

/// Neighbours of the same object stay together.
fn by_object(parameters: Vec<ParameterValue>) -> VecDeque<Vec<ParameterValue>> {
    let mut objects: VecDeque<Vec<ParameterValue>> = VecDeque::new();
    for parameter in parameters {
        match objects.back_mut() {
            Some(last) if last.last().map(|p| object(&p.path)) == Some(object(&parameter.path)) => {
                last.push(parameter);
            }
            _ => objects.push_back(vec![parameter]),
        }
    }
    objects
}

fn object(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(object, _)| object)
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(paths: &[&str]) -> SetParameterValues {
        SetParameterValues {
            parameters: paths
                .iter()
                .map(|path| ParameterValue::new(*path, "1", cwmp::XsdType::STRING))
                .collect(),
            parameter_key: "k".to_owned(),
        }
    }

    /// Sets against a device that takes `most` values at once; the sizes of its parts.
    fn sizes(course: &mut Set, most: usize, code: u32) -> (Vec<usize>, Option<u32>) {
        let (mut sizes, mut findings) = (Vec::new(), Vec::new());
        while let Some(sent) = course.next() {
            let Request::SetParameterValues(part) = &sent else {
                panic!("{sent:?}")
            };
            if part.parameters.len() <= most {
                sizes.push(part.parameters.len());
                course.answered(
                    &sent,
                    Response::SetParameterValues(Applied::Now),
                    &mut findings,
                );
            } else if course.refused(&sent, &Fault::new(code), &mut findings) == Verdict::Stands {
                return (sizes, Some(code));
            }
        }
        (sizes, None)
    }

    #[test]
    fn objects_stay_together() {
        let paths = ["D.A.1.X", "D.A.1.Y", "D.A.2.X", "D.A.2.Y", "D.B.X", "D.B.Y"];
        let manners = Manners::default();
        let mut course = Set::new(set(&paths), &manners);
        assert_eq!(sizes(&mut course, 6, 9004), (vec![6], None));
        let mut course = Set::new(set(&paths), &manners);
        assert_eq!(sizes(&mut course, 3, 9004), (vec![2, 2, 2], None));
        let mut course = Set::new(set(&paths), &manners);
        assert_eq!(sizes(&mut course, 1, 9004), (vec![], Some(9004)));
    }

    #[test]
    fn only_9004_splits() {
        let paths = ["D.A.X", "D.B.X", "D.C.X"];
        for code in [9002, 9003, 9007, 8002] {
            let mut course = Set::new(set(&paths), &Manners::default());
            assert_eq!(sizes(&mut course, 1, code), (vec![], Some(code)));
        }
    }

    #[test]
    fn what_is_blamed_on_a_value_is_not_split() {
        let mut course = Set::new(set(&["D.A.X", "D.B.X"]), &Manners::default());
        let sent = course.next().unwrap();
        let mut fault = Fault::new(9004);
        fault.parameters.push(cwmp::ParameterFault::default());
        assert_eq!(
            course.refused(&sent, &fault, &mut Vec::new()),
            Verdict::Stands
        );
    }
}
