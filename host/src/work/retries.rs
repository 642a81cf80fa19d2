//! When a flow that failed on a device is tried again: later and later.
//!
//! Kept in memory only: after a restart each flow gets its chance at once.

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;

use crate::device::{DeviceKey, UnixTime};

/// Failures remembered; the oldest are forgotten, which only makes them tried sooner.
const REMEMBERED_MAX: usize = 100_000;

/// The failures of flows on devices.
pub struct Retries {
    first_seconds: u64,
    seconds_max: u64,
    failures: Mutex<LruCache<(DeviceKey, Arc<str>), Failure>>,
}

#[derive(Clone, Copy)]
struct Failure {
    in_a_row: u32,
    next: UnixTime,
}

impl Retries {
    /// The first wait and the longest, in seconds.
    pub fn new(first_seconds: u64, seconds_max: u64) -> Retries {
        let size = NonZeroUsize::new(REMEMBERED_MAX).unwrap_or(NonZeroUsize::MIN);
        Retries {
            first_seconds,
            seconds_max,
            failures: Mutex::new(LruCache::new(size)),
        }
    }

    /// Whether it is too early to try this flow on this device again.
    pub fn must_wait(&self, device: &DeviceKey, flow: &str, now: UnixTime) -> bool {
        let failures = self.failures.lock();
        if failures.is_empty() {
            return false;
        }
        failures
            .peek(&(device.clone(), flow.into()))
            .is_some_and(|failure| now < failure.next)
    }

    /// Notes a failure; how many seconds the flow has to wait.
    pub fn failed(&self, device: &DeviceKey, flow: &str, now: UnixTime) -> u64 {
        let mut failures = self.failures.lock();
        let key = (device.clone(), Arc::from(flow));
        let in_a_row = failures
            .peek(&key)
            .map_or(0, |failure| failure.in_a_row)
            .saturating_add(1);
        let factor = 1u64.checked_shl(in_a_row - 1).unwrap_or(u64::MAX);
        let wait = self
            .first_seconds
            .saturating_mul(factor)
            .min(self.seconds_max);
        let next = now.saturating_add_unsigned(wait);
        failures.put(key, Failure { in_a_row, next });
        wait
    }

    /// Forgets the failures of a flow on a device.
    pub fn succeeded(&self, device: &DeviceKey, flow: &str) {
        let mut failures = self.failures.lock();
        if !failures.is_empty() {
            failures.pop(&(device.clone(), Arc::from(flow)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_and_later() {
        let device = DeviceKey {
            instance: "default".into(),
            id: "x".into(),
        };
        let retries = Retries::new(60, 600);
        assert!(!retries.must_wait(&device, "f", 0));
        let waits: Vec<u64> = (0..6).map(|_| retries.failed(&device, "f", 1000)).collect();
        assert_eq!(waits, [60, 120, 240, 480, 600, 600]);
        assert!(retries.must_wait(&device, "f", 1599));
        assert!(!retries.must_wait(&device, "f", 1600));
        assert!(!retries.must_wait(&device, "another", 1000));
        retries.succeeded(&device, "f");
        assert!(!retries.must_wait(&device, "f", 1001));
    }
}
