//! AddObject, and the number of the new instance where the device does not tell it.

use std::collections::BTreeSet;

use cwmp::{AddObject, Applied, GetParameterNames, Request, Response};

use super::course::Verdict;
use super::findings::Finding;
use super::manners::Manners;

/// An AddObject under way. It is sent once: whoever asked decides whether it is asked again.
#[derive(Debug)]
pub(super) struct Add {
    add: AddObject,
    step: Step,
    /// The RPC of this step left and was not answered: a profile may have answered it.
    waiting: bool,
    /// Those that were there before.
    instances: BTreeSet<u32>,
    applied: Option<Applied>,
    found: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The instances are listed first: this firmware does not tell which one it adds.
    Before,
    Add,
    After,
    Done,
}

impl Add {
    pub(super) fn new(add: AddObject, manners: &Manners, instances: BTreeSet<u32>) -> Add {
        let step = if manners.no_instance_number {
            Step::Before
        } else {
            Step::Add
        };
        Add {
            add,
            step,
            waiting: false,
            instances,
            applied: None,
            found: 0,
        }
    }

    pub(super) fn next(&mut self) -> Option<Request> {
        if std::mem::replace(&mut self.waiting, true) {
            self.step = Step::Done;
        }
        match self.step {
            Step::Before | Step::After => Some(Request::GetParameterNames(GetParameterNames {
                path: self.add.object_name.clone(),
                next_level: true,
            })),
            Step::Add => Some(Request::AddObject(self.add.clone())),
            Step::Done => None,
        }
    }

    pub(super) fn answered(&mut self, response: Response, findings: &mut Vec<Finding>) {
        self.waiting = false;
        match (self.step, response) {
            (Step::Add, Response::AddObject(0, applied)) => {
                self.applied = Some(applied);
                self.step = Step::After;
                findings.push(Finding::NoInstanceNumber);
                findings.push(Finding::Adapted(
                    "no instance number for the new object: asking which one is new".to_owned(),
                ));
            }
            (Step::Add, Response::AddObject(instance, applied)) => {
                self.applied = Some(applied);
                self.found = instance;
                self.step = Step::Done;
            }
            (Step::Before, Response::GetParameterNames(names)) => {
                self.instances = instances(&self.add.object_name, names.iter().map(|n| &*n.path));
                self.step = Step::Add;
            }
            (Step::After, Response::GetParameterNames(names)) => {
                let all = instances(&self.add.object_name, names.iter().map(|n| &*n.path));
                // Devices count upwards: of several, the last is the latest.
                let new = all.difference(&self.instances).last();
                self.found = new.copied().unwrap_or(0);
                self.step = Step::Done;
            }
            _ => self.step = Step::Done,
        }
    }

    pub(super) fn refused(&mut self) -> Verdict {
        self.waiting = false;
        match self.step {
            Step::Before => {
                self.step = Step::Add;
                Verdict::Adapted
            }
            // It was added; only which one it is stays unknown.
            Step::After => {
                self.step = Step::Done;
                Verdict::Adapted
            }
            Step::Add | Step::Done => Verdict::Stands,
        }
    }

    pub(super) fn end(self) -> Option<(Response, Vec<String>)> {
        let applied = self.applied?;
        Some((Response::AddObject(self.found, applied), Vec::new()))
    }
}

/// The instance numbers of an object among these paths.
pub fn instances<'p>(object: &str, paths: impl IntoIterator<Item = &'p str>) -> BTreeSet<u32> {
    let number = |path: &str| {
        let rest = path.strip_prefix(object)?;
        rest.split('.').next()?.parse().ok()
    };
    paths.into_iter().filter_map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Response {
        let info = |path: &&str| cwmp::ParameterInfo {
            path: (*path).to_owned(),
            writable: true,
        };
        Response::GetParameterNames(list.iter().map(info).collect())
    }

    fn add(manners: &Manners, known: &[u32]) -> Add {
        let add = AddObject {
            object_name: "D.N.".to_owned(),
            parameter_key: String::new(),
        };
        Add::new(add, manners, known.iter().copied().collect())
    }

    #[test]
    fn the_new_one_is_the_one_that_was_not_there() {
        let mut course = add(&Manners::default(), &[1, 2]);
        assert_eq!(course.next().unwrap().method(), "AddObject");
        course.answered(Response::AddObject(0, Applied::Now), &mut Vec::new());
        assert_eq!(course.next().unwrap().method(), "GetParameterNames");
        course.answered(names(&["D.N.1.", "D.N.2.", "D.N.5."]), &mut Vec::new());
        assert_eq!(course.next(), None);
        let (response, _) = course.end().unwrap();
        assert_eq!(response, Response::AddObject(5, Applied::Now));
    }

    #[test]
    fn a_firmware_known_for_it_is_asked_before() {
        let manners = Manners {
            no_instance_number: true,
            ..Manners::default()
        };
        let mut course = add(&manners, &[]);
        let mut methods = Vec::new();
        for answer in [
            names(&["D.N.3.", "D.N.4."]),
            Response::AddObject(0, Applied::Now),
            names(&["D.N.3.", "D.N.2.", "D.N.4."]),
        ] {
            methods.push(course.next().unwrap().method().to_owned());
            course.answered(answer, &mut Vec::new());
        }
        assert_eq!(
            methods,
            ["GetParameterNames", "AddObject", "GetParameterNames"]
        );
        let (response, _) = course.end().unwrap();
        assert_eq!(response, Response::AddObject(2, Applied::Now));
    }

    #[test]
    fn a_refusal_stands_and_is_not_repeated() {
        let mut course = add(&Manners::default(), &[]);
        assert!(course.next().is_some());
        assert_eq!(course.refused(), Verdict::Stands);
    }
}
