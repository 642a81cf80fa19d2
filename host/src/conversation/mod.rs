//! THE DRIVER: one POST in, one answer out. Joins session, quirks, tasks, flows and store.
//!
//! A conversation is owned by whoever handles the device's POST at the moment; between two
//! POSTs it lies in the table of sessions, with a flow perhaps asleep inside it. No task and
//! no channel belongs to it.

mod asking;
mod begin;
mod diagnostics;
mod flows;
mod identity;
mod jobs;
mod login;
mod names;
mod own_requests;
mod provisioning_code;
mod reach;
mod reached;
mod record;
mod software_modules;
mod task_request;
mod tasks;
pub(crate) mod times;
mod trace;
mod transfers;
mod xmpp;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cwmp::rpc::fault::RETRY_REQUEST;
use cwmp::{Body, Fault, Message, Received, Request, Session};

use crate::Acs;
use crate::clock::Now;
use crate::device::{DeviceKey, Summary};
use crate::door::Proof;
use crate::events::{self, Event, SessionEnded, SessionOutcome, What};
use crate::instance::Instance;
use crate::nat::decide::Sighting;
use crate::nat::short_inform;
use crate::plugins::{About, Matched};
use crate::store::{Contact, DeviceCell, FaultRecord};
use crate::traces::{Head, Recording, RequestHead};
use crate::work::exchange::own_fault;

use jobs::Jobs;
pub use reached::ReachedAt;
use times::Times;
use trace::Trace;

/// A device sends what was answered by fault 8005 again at once. After so many times it has to
/// wait.
const RETRIES_ASKED_MAX: u32 = 3;

/// Event codes of an Inform that are told outwards.
const EVENT_CODES_MAX: usize = 16;

/// One CWMP session with one device, from its Inform to the 204.
pub struct Conversation {
    acs: Arc<Acs>,
    /// Whose device it is; settings that change meanwhile are the next session's.
    instance: Arc<Instance>,
    session: Session,
    cell: Arc<DeviceCell>,
    /// The summary as it is since the Inform of this session, for plugins.
    summary: Arc<Summary>,
    matched: Arc<Matched>,
    events: Vec<cwmp::Event>,
    current_time: Option<i64>,
    retry_count: u32,
    sighting: Sighting,
    /// By what the device has shown who it is.
    proof: Proof,
    jobs: Jobs,
    depth: Depth,
    /// How often a request of the device was answered by fault 8005.
    retries_asked: u32,
    /// A message is being handled. Still set when the next one comes: the device hung up and
    /// the handling was dropped half-way.
    busy: bool,
    started: Now,
    times: Times,
    trace: Trace,
    span: tracing::Span,
    reached_at: ReachedAt,
}

/// How much a session does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// The device waits for somebody to let it in: nothing is asked of it, nothing runs.
    Quarantine,
    /// Nothing but the Inform is looked at: a short periodic one, and nobody needs the device.
    Glance,
    /// Between two full sessions of a device that informs every few seconds: what waits for it.
    Errands,
    /// All there is.
    Full,
}

/// What goes back to the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// An envelope, with status 200.
    Envelope(Bytes),
    /// Nothing more: 204, the session is over.
    End,
}

impl Reply {
    /// The envelope, or nothing.
    pub fn body(&self) -> Bytes {
        match self {
            Reply::Envelope(envelope) => envelope.clone(),
            Reply::End => Bytes::new(),
        }
    }
}

/// Why a POST was refused: status 400 and one line of reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The reason, for the operator and for whoever reads the answer.
    pub reason: String,
}

impl From<cwmp::Error> for Refused {
    fn from(error: cwmp::Error) -> Refused {
        Refused {
            reason: error.to_string(),
        }
    }
}

impl Conversation {
    /// Whose session it is.
    pub fn device(&self) -> &DeviceKey {
        self.cell.key()
    }

    /// Until when the device may be silent.
    pub fn deadline(&self) -> Instant {
        let whole = Duration::from_secs(self.acs.config.cwmp.session_seconds_max);
        self.session.deadline().min(self.started.instant + whole)
    }

    /// Takes one POST of the device after its Inform; `None` is an empty one.
    pub async fn post(
        &mut self,
        message: Option<&Message>,
        head: &RequestHead,
        raw: &Bytes,
        now: Now,
    ) -> Result<Reply, Refused> {
        if std::mem::replace(&mut self.busy, true) {
            return Err(Refused {
                reason: "expected a new session: the device hung up before the last answer".into(),
            });
        }
        self.trace.received(now, head, raw);
        self.came(now.instant);
        let result = self.handle(message, now).await;
        self.busy = false;
        if matches!(result, Ok(Reply::End)) {
            self.finish(now).await;
        }
        result
    }

    /// Where the door notes what the device is answered, as it goes.
    pub fn recording(&self) -> &Arc<Recording> {
        self.trace.recording()
    }

    /// A message of this session cannot be read, and nobody could repair it.
    pub fn unreadable(&self, head: &RequestHead, raw: &Bytes, now: Now) {
        self.trace.eventful();
        self.trace.received(now, head, raw);
    }

    async fn handle(&mut self, message: Option<&Message>, now: Now) -> Result<Reply, Refused> {
        let outcome = match self.session.receive(now.instant, message)? {
            Received::Ready => None,
            Received::Response(sent, response) => {
                // What is kept of it, too, is what the device's profile makes of it.
                let about = About {
                    key: self.cell.key(),
                    device: &self.summary,
                    now: now.unix,
                };
                let mut calls = Vec::new();
                let response = self
                    .matched
                    .on_response(&about, &sent, response.clone(), &mut calls)
                    .await;
                self.trace.hooks(now, calls);
                self.learn(&sent, &response, now).await;
                self.answered(&sent, Ok(response), now).await
            }
            Received::Fault(sent, fault) => {
                self.learn_failure(&sent).await;
                self.answered(&sent, Err(fault.clone()), now).await
            }
            Received::NoAnswer(sent) => {
                let text = format!("the device answered {} with an empty POST", sent.method());
                let fault = own_fault(text);
                self.answered(&sent, Err(fault), now).await
            }
            Received::OtherAnswer(sent, response) => {
                let text = format!(
                    "the device answered {} with {}",
                    sent.method(),
                    response.method()
                );
                let fault = own_fault(text);
                self.note_fault(sent.method(), &fault, now);
                self.learn_failure(&sent).await;
                self.answered(&sent, Err(fault), now).await
            }
            Received::Request(request) => {
                let requests = &self.acs.counters.protocol.requests;
                requests.of(request.method()).add(1);
                let reply = match self.device_request(request, now).await {
                    Ok(()) => self.session.reply(None)?,
                    Err(fault) => Some(self.refuse(fault)?),
                };
                return Ok(self.reply(reply));
            }
            // The first message of a session is handled in `begin`; another one in the same
            // session begins a new conversation, which is the door's to do.
            Received::Inform(_) => {
                return Err(Refused {
                    reason: "an Inform in the middle of a session".into(),
                });
            }
            Received::Over => return Ok(Reply::End),
        };
        if self.depth == Depth::Glance && self.acs.store.has_pending(self.device()) {
            self.depth = Depth::Errands;
        }
        let next = match self.depth {
            Depth::Quarantine | Depth::Glance => None,
            Depth::Errands | Depth::Full => self.next_request(outcome, now).await,
        };
        let reply = self.session.reply(next)?;
        Ok(self.reply(reply))
    }

    /// Refuses a request of the device. One that is to be sent again (8005) is not refused for
    /// ever: the device then tries in another session, after a while.
    fn refuse(&mut self, fault: Fault) -> Result<Message, Refused> {
        if fault.code == RETRY_REQUEST {
            self.retries_asked += 1;
            if self.retries_asked > RETRIES_ASKED_MAX {
                return Err(Refused {
                    reason: "the request cannot be taken now: expected it in another session"
                        .into(),
                });
            }
        }
        Ok(self.session.refuse(fault)?)
    }

    fn reply(&self, message: Option<Message>) -> Reply {
        match message {
            Some(message) => Reply::Envelope(self.emit(&message)),
            None => Reply::End,
        }
    }

    fn emit(&self, message: &Message) -> Bytes {
        let mut xml = message.to_xml();
        if self.matched.overrides.no_xml_declaration
            && let Some(end) = xml.find("?>")
        {
            xml.drain(..end + 2);
        }
        Bytes::from(xml)
    }

    /// Bytes that are no message: the profile of the device may be able to repair them.
    pub(crate) async fn repair(
        &mut self,
        body: &[u8],
        meta: &crate::plugins::HttpMeta,
        now: Now,
    ) -> Option<Vec<u8>> {
        let key = self.cell.key().clone();
        let about = About {
            key: &key,
            device: &self.summary,
            now: now.unix,
        };
        let mut calls = Vec::new();
        let repaired = self.matched.repair(&about, body, meta, &mut calls).await;
        self.trace.hooks(now, calls);
        repaired
    }

    fn note_fault(&mut self, rpc: &str, fault: &Fault, now: Now) {
        self.trace.eventful();
        self.trace.fault();
        let record = FaultRecord {
            at: now.unix,
            rpc: rpc.to_owned(),
            code: Some(fault.code),
            text: fault.text.clone(),
            parameters: crate::work::operation::error(fault).parameters,
            task: self.jobs.task_id(),
            plugin: self.jobs.flow_name(),
        };
        self.acs.counters.faults.add(1);
        self.acs.counters.protocol.fault(fault.code);
        tracing::info!(
            device = %self.device(), rpc, code = fault.code, text = %fault.text, "the device answered with a fault"
        );
        self.keep_fault(record);
    }

    fn keep_fault(&self, record: FaultRecord) {
        self.acs.events.fault(self.device(), &record);
        if let Err(error) = self.acs.store.record_fault(self.device(), record) {
            tracing::error!(device = %self.device(), %error, "cannot keep a fault");
        }
    }

    /// The session ended as it should.
    async fn finish(&mut self, now: Now) {
        if self.depth == Depth::Full {
            self.cell.contacted_fully(now.unix);
        }
        if !matches!(self.depth, Depth::Quarantine | Depth::Glance) {
            let told = short_inform::told(&self.summary);
            self.acs.short_informs.note(self.device(), told);
        }
        self.acs.store.touched(&self.cell);
        self.acs.counters.sessions_done.add(1);
        self.trace.ended(now, "done");
        let took = now.instant.saturating_duration_since(self.started.instant);
        self.tell_end(SessionOutcome::Done, None, now);
        if self.trace.is_eventful() {
            tracing::info!(
                device = %self.device(), events = %self.event_codes(), rpcs = self.trace.rpcs(),
                milliseconds = took.as_millis(), "session done"
            );
        } else {
            tracing::debug!(
                device = %self.device(), events = %self.event_codes(), rpcs = self.trace.rpcs(),
                milliseconds = took.as_millis(), "session done"
            );
        }
    }

    /// The device fell silent or began another session: perhaps because of what it was asked.
    pub async fn lost(&mut self, why: &str, now: Now) {
        self.span.clone().in_scope(|| self.fell_silent(now));
        self.abandon(why, now).await;
    }

    /// The session ends before its time: the device was lost, broke the rules, or the host
    /// stops. A task whose answer did not come is seen to in the device's next session.
    pub async fn abandon(&mut self, why: &str, now: Now) {
        let _inside = self.span.clone().entered();
        self.trace.eventful();
        self.trace.ended(now, why);
        self.jobs.drop_flow();
        self.acs.store.touched(&self.cell);
        self.acs.counters.sessions_abandoned.add(1);
        self.account(why, now.instant);
        self.tell_end(SessionOutcome::Abandoned, Some(why), now);
        tracing::info!(device = %self.device(), events = %self.event_codes(), why, "session abandoned");
    }

    /// That a device which informs every few seconds is still there is no event.
    fn tell_end(&self, outcome: SessionOutcome, why: Option<&str>, now: Now) {
        let contact = || Contact::of(Head::of(self.trace.recording()), now.unix);
        if self.depth == Depth::Glance && outcome == SessionOutcome::Done {
            self.cell.glanced(now.unix, contact);
            return;
        }
        self.cell.remember(contact());
        let took = now.instant.saturating_duration_since(self.started.instant);
        let codes = self.events.iter().take(EVENT_CODES_MAX);
        let ended = SessionEnded {
            session: self.trace.recording().id(),
            outcome,
            reason: why.map(events::short),
            events: codes.map(|event| events::short(&event.code)).collect(),
            rpcs: self.trace.rpcs(),
            faults: self.trace.faults(),
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        };
        let what = What::SessionEnded(ended);
        let event = Event::of_device(now.unix, self.device(), what);
        self.acs.events.emit(event);
    }

    fn event_codes(&self) -> String {
        let codes: Vec<&str> = self
            .events
            .iter()
            .map(|event| event.code.as_str())
            .collect();
        codes.join(", ")
    }
}

/// Whether the door has to begin a conversation with this message.
pub fn is_inform(message: &Message) -> bool {
    matches!(message.body, Body::Request(Request::Inform(_)))
}

pub use begin::{Caller, Opened, guess, repair_unknown};
