//! Standard names on their way to the device and back: see [`standard_names`].

use cwmp::Request;

use super::Conversation;
use crate::clock::Now;
use crate::plugins::About;
use crate::work::exchange::Outcome;
use crate::work::standard_names::{self, Names};

impl Conversation {
    /// The request under the device's own names. What it was asked under is kept for the answer.
    pub(super) async fn under_own_names(&mut self, mut request: Request, now: Now) -> Request {
        let mut names = Names::default();
        let mut calls = Vec::new();
        for standard in Names::standard(&mut request) {
            let about = About {
                key: self.cell.key(),
                device: &self.summary,
                now: now.unix,
            };
            let own = match self.matched.map_path(&about, &standard, &mut calls).await {
                Some(own) => own,
                None => standard_names::own_name(&standard, self.summary.data_model),
            };
            names.insert(standard, own);
        }
        names.apply(&mut request);
        self.trace.hooks(now, calls);
        self.jobs.names = names;
        request
    }

    /// The outcome under the names that were asked.
    pub(super) fn under_asked_names(&self, mut outcome: Option<Outcome>) -> Option<Outcome> {
        if let Some(outcome) = &mut outcome {
            self.jobs.names.restore(outcome);
        }
        outcome
    }
}
