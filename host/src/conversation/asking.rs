//! What is known of a device shapes how it is asked, and what asking it tells is learned.

use cwmp::Request;

use super::Conversation;
use crate::clock::Now;
use crate::plugins::About;
use crate::work::exchange::{Exchange, Finding, Outcome, instances};

impl Conversation {
    /// Begins to ask the device, the way its profile and the lessons of its model say.
    pub(super) async fn begin_exchange(&mut self, request: Request, now: Now) -> Exchange {
        let lessons = &self.acs.lessons;
        let key = self.cell.key().clone();
        let mut manners = lessons
            .manners(&key, &self.summary, now.unix)
            .overridden(&self.matched.overrides);
        let is_task = self.jobs.is_plain_task();
        manners.asks_unsupported = is_task;
        let mut known = std::collections::BTreeSet::new();
        if let Request::AddObject(add) = &request {
            let object = &add.object_name;
            let additions = &self.acs.additions;
            let refused = additions.too_early(&key, object, self.started.unix);
            if let Some(fault) = refused.filter(|_| !is_task) {
                let why = format!("AddObject {object} is not asked: it was refused too often");
                return Exchange::refused_already(request, fault, why);
            }
            let mut device = self.cell.lock();
            known = instances(
                object,
                device.tree_mut().prefix(object).map(|(path, _)| path),
            );
        }
        let about = About {
            key: &key,
            device: &self.summary,
            now: now.unix,
        };
        let mut calls = Vec::new();
        let exchange =
            Exchange::begin(request, &self.matched, &about, manners, known, &mut calls).await;
        self.trace.hooks(now, calls);
        exchange
    }

    /// Hands the device's answer to the exchange under way. `Some` = the exchange failed.
    pub(super) async fn answered(
        &mut self,
        sent: &Request,
        answer: Outcome,
        now: Now,
    ) -> Option<Outcome> {
        let mut exchange = self.jobs.exchange.take()?;
        let key = self.cell.key().clone();
        let about = About {
            key: &key,
            device: &self.summary,
            now: now.unix,
        };
        let refusal = answer.as_ref().err().cloned();
        self.note_addition(sent, refusal.as_ref());
        let mut calls = Vec::new();
        let stands = exchange
            .answered(sent, answer, &self.matched, &about, &mut calls)
            .await;
        self.trace.hooks(now, calls);
        let adapted = self.take_findings(&mut exchange, now);
        if let Some(refusal) = refusal
            && !adapted
        {
            self.note_fault(sent.method(), &refusal, now);
        }
        match stands {
            Some(fault) => Some(Err(fault)),
            None => {
                self.jobs.exchange = Some(exchange);
                None
            }
        }
    }

    /// Notes what an exchange has found out. Whether it went round a refusal.
    pub(super) fn take_findings(&mut self, exchange: &mut Exchange, now: Now) -> bool {
        let mut adapted = false;
        for finding in exchange.take_findings() {
            match &finding {
                Finding::Adapted(how) => {
                    adapted = true;
                    self.note_adaptation(how.clone(), now);
                }
                Finding::Vanished(path) => {
                    self.cell.lock().tree_mut().remove_prefix(path);
                    self.acs.store.touched(&self.cell);
                }
                _ => {}
            }
            let remembered =
                self.acs
                    .lessons
                    .learn(self.cell.key(), &self.summary, &finding, now.unix);
            if let Some(words) = remembered {
                self.note_adaptation(words, now);
            }
        }
        adapted
    }

    /// What was asked and not answered may be why the session broke off.
    pub(super) fn fell_silent(&mut self, now: Now) {
        let Some(outstanding) = self.session.outstanding() else {
            return;
        };
        let key = self.cell.key();
        let lessons = &self.acs.lessons;
        for words in lessons.fell_silent(key, &self.summary, outstanding, now.unix) {
            self.note_adaptation(words, now);
        }
    }

    /// Notes how the device answered an AddObject.
    fn note_addition(&self, sent: &Request, refused: Option<&cwmp::Fault>) {
        let Request::AddObject(add) = sent else {
            return;
        };
        let (key, object) = (self.cell.key(), &add.object_name);
        let additions = &self.acs.additions;
        match refused {
            None => additions.added(key, object),
            Some(fault) => {
                let wait = additions.refused(key, object, self.started.unix, fault);
                tracing::debug!(
                    device = %key, object, code = fault.code, wait_seconds = wait,
                    "AddObject was refused"
                );
            }
        }
    }

    fn note_adaptation(&mut self, words: String, now: Now) {
        tracing::debug!(device = %self.device(), "{words}");
        self.trace.eventful();
        self.trace.note(now, words);
    }
}
