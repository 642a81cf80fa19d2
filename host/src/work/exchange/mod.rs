//! How one request becomes RPCs on the wire, and their answers one answer.
//!
//! Whoever asks (a task, a flow, the NAT mode) asks once. The device's profile may want it
//! split, rewritten or replaced; whatever comes of that is pursued by a [`Course`], which
//! follows the [`Manners`] of the device and adapts when it refuses: fewer names at once, the
//! children instead of a partial path, level by level instead of the whole tree. Here is
//! no I/O: what is found out on the way is handed out as [`Finding`]s.

mod add_object;
mod course;
mod findings;
mod get;
mod literal;
mod manners;
mod merge;
mod names;
mod set;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};

use cwmp::{Fault, Request, Response};

use crate::plugins::{About, AfterFault, HookCall, Matched};

pub use add_object::instances;
pub use findings::Finding;
pub use manners::Manners;

use course::{Course, Verdict};

/// How often a plugin may answer a fault with other requests.
const RETRIES_MAX: u32 = 3;
/// RPCs that one request may become.
pub const PARTS_MAX: u32 = 2_000;
/// Of the ACS itself: a request that the device did not answer at all ends with it.
const NO_ANSWER: u32 = cwmp::rpc::fault::INTERNAL_ERROR;

/// One request under way.
#[derive(Debug)]
pub struct Exchange {
    asked: Request,
    manners: Manners,
    courses: VecDeque<Course>,
    merged: Option<Response>,
    missing: Vec<String>,
    findings: Vec<Finding>,
    retries: u32,
    parts: u32,
    stopped: Option<Fault>,
}

/// The end of an exchange.
pub type Outcome = Result<Response, Fault>;

impl Exchange {
    /// Passes a request through the device's profile. `instances` are those known of an object
    /// that is added to. What the profile's hooks did is added to `calls`.
    pub async fn begin(
        asked: Request,
        matched: &Matched,
        about: &About<'_>,
        manners: Manners,
        instances: BTreeSet<u32>,
        calls: &mut Vec<HookCall>,
    ) -> Exchange {
        let wanted = matched.on_request(about, asked.clone(), calls).await;
        Exchange::of(asked, wanted, manners, instances)
    }

    /// One that ends with this fault, without asking.
    pub fn refused_already(asked: Request, fault: Fault, why: String) -> Exchange {
        let mut exchange = Exchange::of(asked, Vec::new(), Manners::default(), BTreeSet::new());
        exchange.findings.push(Finding::Adapted(why));
        exchange.stopped = Some(fault);
        exchange
    }

    fn of(
        asked: Request,
        wanted: Vec<Request>,
        manners: Manners,
        instances: BTreeSet<u32>,
    ) -> Exchange {
        let mut findings = Vec::new();
        let mut stopped = None;
        if let Some(fault) = manners.refuses(&asked) {
            findings.push(Finding::Adapted(format!(
                "{} is not asked: this firmware answered it with {} before",
                asked.method(),
                fault.code
            )));
            stopped = Some(fault);
        }
        let courses = wanted
            .into_iter()
            .map(|request| Course::of(request, &manners, instances.clone()))
            .collect();
        Exchange {
            asked,
            manners,
            courses,
            merged: None,
            missing: Vec::new(),
            findings,
            retries: 0,
            parts: 0,
            stopped,
        }
    }

    /// The next RPC to send, or the end.
    pub fn next_rpc(&mut self) -> Result<Request, Outcome> {
        if let Some(fault) = self.stopped.take() {
            return Err(Err(fault));
        }
        while let Some(course) = self.courses.front_mut() {
            if let Some(request) = course.next() {
                if self.parts >= PARTS_MAX {
                    return Err(Err(own_fault(format!(
                        "given up after {PARTS_MAX} RPCs for one {}",
                        self.asked.method()
                    ))));
                }
                self.parts += 1;
                return Ok(request);
            }
            let Some(course) = self.courses.pop_front() else {
                break;
            };
            match course.end(&mut self.findings) {
                Ok(Some((response, missing))) => {
                    merge::into(&mut self.merged, response);
                    self.missing.extend(missing);
                }
                Ok(None) => {}
                Err(fault) => return Err(Err(fault)),
            }
        }
        // A profile that drops a request has answered it: there is nothing to do.
        Err(Ok(self
            .merged
            .take()
            .unwrap_or_else(|| merge::nothing(&self.asked))))
    }

    /// Takes the device's answer to the RPC that was last sent, corrected by its profile.
    /// `Some` = the exchange failed.
    pub async fn answered(
        &mut self,
        sent: &Request,
        answer: Outcome,
        matched: &Matched,
        about: &About<'_>,
        calls: &mut Vec<HookCall>,
    ) -> Option<Fault> {
        let fault = match answer {
            Ok(response) => {
                self.took(sent, response, matched.has_on_response());
                return None;
            }
            Err(fault) => fault,
        };
        match matched.on_fault(about, sent, &fault, calls).await {
            AfterFault::Skip => None,
            AfterFault::Retry(requests) if self.retries < RETRIES_MAX => {
                self.retries += 1;
                for request in requests.into_iter().rev() {
                    let course = Course::of(request, &self.manners, BTreeSet::new());
                    self.courses.push_front(course);
                }
                None
            }
            AfterFault::GiveUp | AfterFault::Retry(_) => self.refused(sent, fault),
        }
    }

    /// `rewritten`: a profile may have renamed what the answer holds.
    fn took(&mut self, sent: &Request, response: Response, rewritten: bool) {
        if self.manners.unsupported.contains_key(sent.method()) {
            self.findings
                .push(Finding::Supported(sent.method().to_owned()));
        }
        if let Some(course) = self.courses.front_mut() {
            course.answered(sent, response, rewritten, &mut self.findings);
        }
    }

    fn refused(&mut self, sent: &Request, fault: Fault) -> Option<Fault> {
        if fault.code == 9000 {
            self.findings.push(Finding::Unsupported(
                sent.method().to_owned(),
                fault.clone(),
            ));
        }
        let verdict = match self.courses.front_mut() {
            Some(course) => course.refused(sent, &fault, &mut self.findings),
            None => Verdict::Stands,
        };
        match verdict {
            Verdict::Adapted => None,
            Verdict::Stands => Some(fault),
        }
    }

    /// Names that were asked for and that the device does not have, or does not tell.
    pub fn take_missing(&mut self) -> Vec<String> {
        std::mem::take(&mut self.missing)
    }

    /// What was found out since it was last asked.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }
}

/// A fault of the ACS's own, for what never was answered.
pub fn own_fault(text: String) -> Fault {
    Fault {
        code: NO_ANSWER,
        text,
        parameters: Vec::new(),
    }
}

/// Whether a fault may mean that too much was asked at once: 9002, 9003, 9004, or no answer.
fn may_be_too_much(fault: &Fault) -> bool {
    matches!(fault.code, 9002..=9004 | NO_ANSWER)
}

/// A fault in a note: its code, or that there was no answer.
fn words(fault: &Fault) -> String {
    match fault.code {
        NO_ANSWER => "no answer".to_owned(),
        code => code.to_string(),
    }
}
