//! What a fleet tells of itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Histogram;
use crate::{SessionRecord, SessionReport};

/// Something that happened to a device of a fleet.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum FleetEvent {
    /// A session came to its end.
    SessionDone {
        /// Which device.
        serial: Arc<str>,
        /// The event codes of its Inform.
        events: Vec<String>,
        /// The names of the RPCs of the ACS, in order.
        rpcs: Vec<String>,
        /// HTTP requests.
        posts: u32,
        /// From the connection to the end.
        duration: Duration,
        /// All of it.
        record: Arc<SessionRecord>,
    },
    /// A session broke off; the device will try again.
    SessionFailed {
        /// Which device.
        serial: Arc<str>,
        /// The event codes of its Inform.
        events: Vec<String>,
        /// One word, as in [`FleetStats::sessions_failed`].
        reason: &'static str,
        /// For people.
        message: String,
        /// What was done until then.
        record: Arc<SessionRecord>,
    },
    /// A connection request was accepted.
    ConnectionRequest {
        /// Which device.
        serial: Arc<str>,
    },
    /// A download or upload ended.
    TransferDone {
        /// Which device.
        serial: Arc<str>,
        /// Where from, or where to.
        url: String,
        /// 0, or the fault that TransferComplete will tell.
        fault: u32,
    },
    /// The fleet has stopped.
    Finished,
}

/// Counts of a fleet since its start.
#[derive(Debug, Clone, Default)]
pub struct FleetStats {
    /// How many there are.
    pub devices: usize,
    /// Open now.
    pub sessions_open: usize,
    /// Came to their end.
    pub sessions_ok: u64,
    /// Broke off, by [`crate::SessionFailure::reason`].
    pub sessions_failed: BTreeMap<&'static str, u64>,
    /// Informs by event code, one with several counted for each.
    pub events: BTreeMap<String, u64>,
    /// RPCs of the ACS by name.
    pub rpcs: BTreeMap<String, u64>,
    /// RPCs that were answered by a fault, by name.
    pub faults: BTreeMap<String, u64>,
    /// Accepted.
    pub connection_requests: u64,
    /// Downloads and uploads.
    pub transfers: u64,
    /// HTTP requests of all sessions.
    pub posts: u64,
    /// Of all sessions.
    pub bytes_sent: u64,
    /// Of all sessions.
    pub bytes_received: u64,
    /// Of the sessions that came to their end.
    pub latency: Histogram,
    /// Since the start.
    pub elapsed: Duration,
}

impl FleetStats {
    /// Failed for whatever reason.
    pub fn failed(&self) -> u64 {
        self.sessions_failed.values().sum()
    }

    pub(super) fn count(&mut self, report: &SessionReport) {
        for event in &report.record.events {
            *self.events.entry(event.code.clone()).or_insert(0) += 1;
        }
        for served in &report.record.served {
            let method = served.method();
            *self.rpcs.entry(method.to_owned()).or_insert(0) += 1;
            if served.fault.is_some() {
                *self.faults.entry(method.to_owned()).or_insert(0) += 1;
            }
        }
        self.posts += u64::from(report.posts);
        self.bytes_sent += report.bytes_sent;
        self.bytes_received += report.bytes_received;
    }
}
