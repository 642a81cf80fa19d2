//! What is counted, and how it is told: `GET /metrics`, as OpenMetrics.
//!
//! Counting is a relaxed addition to an atomic number, wherever it happens: nothing is locked, nothing is allocated.
//! All the work is done when somebody asks ([`Acs::metrics`]). Labels come from fixed lists, or from what the
//! operator has named (plugins, instances, routes): never from a device.
//!
//! A new metric is a [`Counter`] or a [`Histogram`] where it happens, and a line in `gather` (or, of a part of its own,
//! a function beside it), and one in `docs/metrics.md`; a test compares them.
//!
//! [`Acs::metrics`]: crate::Acs::metrics

mod api;
mod exposition;
mod gather;
mod histogram;
mod labelled;
mod listener;
mod northbound;
mod process;
mod protocol;

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

pub use api::ApiRequests;
pub use exposition::{CONTENT_TYPE, Exposition};
pub use histogram::{ANSWERS, Buckets, DEVICES, Histogram};
pub use labelled::Labelled;
pub use listener::{answer, serve};
pub use protocol::Protocol;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Serialize for Counter {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.get())
    }
}

/// The host's counters, since it started.
#[derive(Debug, Default, Serialize)]
pub struct Counters {
    /// Informs answered.
    pub sessions_begun: Counter,
    /// Sessions that ended with a 204.
    pub sessions_done: Counter,
    /// Sessions that ended before their time.
    pub sessions_abandoned: Counter,
    /// POSTs and other requests refused with 4xx.
    pub requests_refused: Counter,
    /// Informs answered by asking for credentials.
    pub requests_challenged: Counter,
    /// Requests turned away with 503 because too many sessions were open.
    pub requests_turned_away: Counter,
    /// Devices seen for the first time.
    pub devices_new: Counter,
    /// Faults of devices.
    pub faults: Counter,
    /// Connection requests not sent because of the address that the device had named.
    pub connection_requests_blocked: Counter,
    /// Answers to connection requests that were longer than is read.
    pub connection_request_answers_cut: Counter,
    /// What sessions are made of.
    #[serde(skip)]
    pub protocol: Protocol,
    /// Requests at the API.
    #[serde(skip)]
    pub api: ApiRequests,
}
