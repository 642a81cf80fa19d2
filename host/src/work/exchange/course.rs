//! One request on its way: what is sent next, and what a refusal makes of it.

use std::collections::BTreeSet;

use cwmp::{Fault, Request, Response};

use super::add_object::Add;
use super::findings::Finding;
use super::get::Get;
use super::manners::Manners;
use super::names::Names;
use super::set::Set;

/// A request on its way.
#[derive(Debug)]
pub(super) enum Course {
    Get(Box<Get>),
    Set(Box<Set>),
    Names(Box<Names>),
    Add(Box<Add>),
    /// Sent once, answered once.
    Once(Option<Request>, Option<Response>),
}

/// What a refusal leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on in another way.
    Adapted,
    /// The fault is the answer.
    Stands,
}

/// A response and the names missing in it; nothing where a profile dropped all of it.
pub(super) type End = Result<Option<(Response, Vec<String>)>, Fault>;

impl Course {
    pub(super) fn of(request: Request, manners: &Manners, instances: BTreeSet<u32>) -> Course {
        match request {
            Request::GetParameterValues(paths) => {
                Course::Get(Box::new(Get::values(paths, manners)))
            }
            Request::GetParameterAttributes(paths) => {
                Course::Get(Box::new(Get::attributes(paths, manners)))
            }
            Request::SetParameterValues(set) => Course::Set(Box::new(Set::new(set, manners))),
            Request::GetParameterNames(asked) => {
                Course::Names(Box::new(Names::new(asked, manners)))
            }
            Request::AddObject(add) => Course::Add(Box::new(Add::new(add, manners, instances))),
            other => Course::Once(Some(other), None),
        }
    }

    /// The next RPC; `None`: it is at its end.
    pub(super) fn next(&mut self) -> Option<Request> {
        match self {
            Course::Get(get) => get.next(),
            Course::Set(set) => set.next(),
            Course::Names(names) => names.next(),
            Course::Add(add) => add.next(),
            Course::Once(request, _) => request.take(),
        }
    }

    pub(super) fn answered(
        &mut self,
        sent: &Request,
        response: Response,
        rewritten: bool,
        findings: &mut Vec<Finding>,
    ) {
        match self {
            Course::Get(get) => get.answered(sent, response, rewritten, findings),
            Course::Set(set) => set.answered(sent, response, findings),
            Course::Names(names) => names.answered(sent, response, findings),
            Course::Add(add) => add.answered(response, findings),
            Course::Once(_, answer) => *answer = Some(response),
        }
    }

    pub(super) fn refused(
        &mut self,
        sent: &Request,
        fault: &Fault,
        findings: &mut Vec<Finding>,
    ) -> Verdict {
        match self {
            Course::Get(get) => get.refused(sent, fault, findings),
            Course::Set(set) => set.refused(sent, fault, findings),
            Course::Names(names) => names.refused(sent, fault, findings),
            Course::Add(add) => add.refused(),
            Course::Once(..) => Verdict::Stands,
        }
    }

    pub(super) fn end(self, findings: &mut Vec<Finding>) -> End {
        match self {
            Course::Get(get) => get.end(findings),
            Course::Set(set) => Ok(set.end(findings)),
            Course::Names(names) => Ok(names.end()),
            Course::Add(add) => Ok(add.end()),
            Course::Once(_, response) => Ok(response.map(|response| (response, Vec::new()))),
        }
    }
}
