//! The trace of a session from where the conversation sees it: what happens is noted, and when
//! the conversation goes, however it does, it is decided whether the trace is kept.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::Acs;
use crate::clock::Now;
use crate::config::KeepTraces;
use crate::plugins::{FlowRun, FlowStep, HookCall};
use crate::store::DeviceCell;
use crate::traces::{Recording, RequestHead, Whose};

/// What has happened in a session so far.
pub(super) struct Trace {
    acs: Arc<Acs>,
    recording: Arc<Recording>,
    /// Whose it is; unknown until the profiles have corrected the Inform.
    cell: Option<Arc<DeviceCell>>,
    started: Now,
}

impl Trace {
    pub(super) fn begin(acs: &Arc<Acs>, now: Now) -> Trace {
        Trace {
            acs: Arc::clone(acs),
            recording: acs.traces.begin(now),
            cell: None,
            started: now,
        }
    }

    /// It is known whose session it is.
    pub(super) fn known(&mut self, cell: &Arc<DeviceCell>, peer: String, events: &[cwmp::Event]) {
        self.cell = Some(Arc::clone(cell));
        let whose = Whose {
            device: cell.key().clone(),
            peer,
            events: events.iter().map(|event| event.code.clone()).collect(),
        };
        self.acs.traces.known(&self.recording, whose);
    }

    /// A span for the session: always, whatever the log shows, because its lines are to be found.
    pub(super) fn span(&self) -> tracing::Span {
        let none = tracing::field::Empty;
        tracing::error_span!("session", session = %self.recording.id(), device = none)
    }

    /// For the door, which alone knows the answer as it goes.
    pub(super) fn recording(&self) -> &Arc<Recording> {
        &self.recording
    }

    /// Something happened that is worth keeping.
    pub(super) fn eventful(&self) {
        self.recording.eventful();
    }

    pub(super) fn is_eventful(&self) -> bool {
        self.recording.is_eventful()
    }

    /// An RPC leaves.
    pub(super) fn rpc(&self) {
        self.recording.rpc();
    }

    pub(super) fn rpcs(&self) -> u32 {
        self.recording.rpcs()
    }

    pub(super) fn faults(&self) -> u32 {
        self.recording.faults()
    }

    /// The device answered with a fault.
    pub(super) fn fault(&self) {
        self.recording.fault();
    }

    pub(super) fn received(&self, now: Now, head: &RequestHead, body: &Bytes) {
        self.recording.request(now, head, body);
    }

    /// A plugin was called.
    pub(super) fn plugin(&self, now: Now, call: HookCall) {
        self.recording.plugin(now, call);
    }

    /// Something was decided.
    pub(super) fn note(&self, now: Now, text: String) {
        self.recording.note(now, text);
    }

    /// Plugins were called.
    pub(super) fn hooks(&self, now: Now, calls: Vec<HookCall>) {
        for call in calls {
            self.plugin(now, call);
        }
    }

    /// A flow took a step; `before` is what it had computed until then.
    pub(super) fn flow(&self, now: Now, run: &FlowRun, before: Duration, step: &FlowStep) {
        let (changes, failed) = match step {
            FlowStep::Ask(request) => (vec![format!("asks {}", request.method())], None),
            FlowStep::Ended(Ok(())) => (vec!["ended".to_owned()], None),
            FlowStep::Ended(Err(text)) => (Vec::new(), Some(text.clone())),
            FlowStep::Failed(error) => (Vec::new(), Some(error.kind.to_string())),
        };
        let call = HookCall {
            plugin: format!("{} {}", run.plugin(), run.version()),
            hook: "run",
            changes,
            failed,
            took: run.computed().saturating_sub(before),
        };
        self.plugin(now, call);
    }

    pub(super) fn ended(&self, now: Now, how: &str) {
        self.recording.ended(now, how);
    }

    fn is_kept(&self, cell: &DeviceCell) -> bool {
        match self.acs.config.traces.keep {
            KeepTraces::All => return true,
            KeepTraces::Eventful if self.is_eventful() => return true,
            KeepTraces::Eventful | KeepTraces::None => {}
        }
        cell.lock().summary().trace_until > self.started.unix
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let Some(cell) = &self.cell else { return };
        if self.is_kept(cell) {
            self.acs.traces.keep(Arc::clone(&self.recording));
        } else {
            self.acs.traces.forget(&self.recording);
        }
    }
}
