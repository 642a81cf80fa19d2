//! What is counted.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

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
}
