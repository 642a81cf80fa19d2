//! Where the time of a session goes, and the line in the log if it took long.

use std::time::{Duration, Instant};

use super::Conversation;
use crate::spent::{self, Spent};
use crate::telemetry;

/// What a session has taken so far.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// The device has the word since then; `None`: the host has it.
    asked_at: Option<Instant>,
    /// From answers to the device's next messages.
    device: Duration,
    /// From messages to answers.
    host: Duration,
    /// Of the host's.
    spent: Spent,
    /// The RPC that took the device longest.
    slowest: Option<(String, Duration)>,
    /// One RPC, for traces.
    rpc: Option<tracing::Span>,
}

impl Conversation {
    /// The span of the session: what is logged while it is handled belongs to it.
    pub fn span(&self) -> &tracing::Span {
        &self.span
    }

    /// A message has come: how long the device took.
    pub(super) fn came(&mut self, at: Instant) {
        let Some(asked_at) = self.times.asked_at.take() else {
            return;
        };
        let took = at.saturating_duration_since(asked_at);
        self.times.device += took;
        self.times.rpc = None;
        if let Some(asked) = self.session.outstanding() {
            let method = asked.method();
            let protocol = &self.acs.counters.protocol;
            protocol.rpc_seconds.of(method).observe(took);
            let slowest = self.times.slowest.as_ref();
            if slowest.is_none_or(|(_, longest)| took > *longest) {
                self.times.slowest = Some((method.to_owned(), took));
            }
        }
    }

    /// The message that came then is answered: what the host took, and what of it for what
    /// ([`spent::scope`] is the message's own). The device has the word, or it is over.
    pub fn replied(&mut self, came: Instant, at: Instant) {
        self.times.host += at.saturating_duration_since(came);
        self.times.spent += spent::so_far();
        self.times.asked_at = Some(at);
        if telemetry::exports()
            && let Some(asked) = self.session.outstanding()
        {
            let method = asked.method();
            let rpc =
                tracing::trace_span!(target: telemetry::RPC, parent: &self.span, "rpc", method);
            self.times.rpc = Some(rpc);
        }
        if self.session.is_over() {
            self.account("done", at);
        }
    }

    /// The session is over: says so where it took long, and to whoever traces.
    pub(super) fn account(&mut self, how: &str, at: Instant) {
        if let Some(asked_at) = self.times.asked_at.take().filter(|_| how != "done") {
            self.times.device += at.saturating_duration_since(asked_at);
        }
        let took = at.saturating_duration_since(self.started.instant);
        self.acs.counters.protocol.session_seconds.observe(took);
        let times = &self.times;
        let (device, plugins) = (
            times.device.as_secs_f64(),
            times.spent.plugins.as_secs_f64(),
        );
        let store = times.spent.store.as_secs_f64();
        let own = (times.host.as_secs_f64() - plugins - store).max(0.0);
        for (name, value) in [
            ("device_seconds", device),
            ("plugin_seconds", plugins),
            ("store_seconds", store),
            ("own_seconds", own),
            ("rpcs", f64::from(self.trace.rpcs())),
        ] {
            telemetry::annotate(&self.span, name, value);
        }
        telemetry::annotate(&self.span, "how", how.to_owned());
        let slow = self.acs.config.log.slow_session_seconds;
        if slow == 0.0 || took.as_secs_f64() < slow {
            return;
        }
        let (rpc, rpc_seconds) = match &times.slowest {
            Some((method, took)) => (method.as_str(), took.as_secs_f64()),
            None => ("none", 0.0),
        };
        tracing::warn!(
            device = %self.device(), how, seconds = rounded(took.as_secs_f64()),
            device_seconds = rounded(device), plugin_seconds = rounded(plugins),
            store_seconds = rounded(store), own_seconds = rounded(own),
            rpcs = self.trace.rpcs(), slowest_rpc = rpc, slowest_rpc_seconds = rounded(rpc_seconds),
            "a slow session"
        );
    }
}

/// To milliseconds: more is noise.
pub(crate) fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
