//! Failed logins are counted, by client and by device: who guesses has to wait.
//!
//! A bucket of tokens each: a failure takes one, time brings them back. Only failures cost, so
//! that devices which share an address with a broken one are let in between its attempts.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;

/// Clients, or devices, whose failures are remembered; those longest ago are forgiven first.
const REMEMBERED_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(19_999);

/// The failures of clients, or of devices.
#[derive(Debug)]
pub(crate) struct Attempts<K: Hash + Eq> {
    buckets: Mutex<LruCache<K, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl<K: Hash + Eq> Attempts<K> {
    pub(crate) fn new() -> Attempts<K> {
        Attempts {
            buckets: Mutex::new(LruCache::new(REMEMBERED_MAX)),
        }
    }

    /// How long to wait before the next attempt; `None`: it may come. `per_minute`: as many may
    /// fail at once, and then as many per minute.
    pub(crate) fn wait(&self, who: &K, per_minute: u32, now: Instant) -> Option<Duration> {
        let mut buckets = self.buckets.lock();
        let tokens = buckets.get(who)?.filled(per_minute, now);
        (tokens < 1.0).then(|| Duration::from_secs_f64((1.0 - tokens) / per_second(per_minute)))
    }

    /// An attempt failed.
    pub(crate) fn failed(&self, who: K, per_minute: u32, now: Instant) {
        let mut buckets = self.buckets.lock();
        let full = Bucket {
            tokens: f64::from(per_minute),
            at: now,
        };
        let bucket = buckets.get_or_insert_mut(who, || full);
        *bucket = Bucket {
            tokens: (bucket.filled(per_minute, now) - 1.0).max(0.0),
            at: now,
        };
    }

    /// What was counted as a failure was none.
    pub(crate) fn undone(&self, who: &K, per_minute: u32) {
        if let Some(bucket) = self.buckets.lock().get_mut(who) {
            bucket.tokens = (bucket.tokens + 1.0).min(f64::from(per_minute));
        }
    }
}

impl Bucket {
    fn filled(&self, per_minute: u32, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.tokens + since * per_second(per_minute)).min(f64::from(per_minute))
    }
}

fn per_second(per_minute: u32) -> f64 {
    f64::from(per_minute.max(1)) / 60.0
}

/// Who answers for an address: of IPv6 the network, because one client has all of it.
pub(crate) fn client(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(network.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_cost_and_time_pays() {
        let attempts = Attempts::new();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..6 {
            assert_eq!(attempts.wait(&"a", 6, start), None);
            attempts.failed("a", 6, start);
        }
        assert_eq!(attempts.wait(&"a", 6, start), Some(Duration::from_secs(10)));
        assert_eq!(attempts.wait(&"b", 6, start), None);
        assert_eq!(
            attempts.wait(&"a", 6, after(4)),
            Some(Duration::from_secs(6))
        );
        assert_eq!(attempts.wait(&"a", 6, after(10)), None);
        attempts.failed("a", 6, after(10));
        assert!(attempts.wait(&"a", 6, after(10)).is_some());
        // However long it waits, it has no more than its bucket.
        for _ in 0..6 {
            assert_eq!(attempts.wait(&"a", 6, after(9_000)), None);
            attempts.failed("a", 6, after(9_000));
        }
        assert!(attempts.wait(&"a", 6, after(9_000)).is_some());
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let client = |text: &str| client(text.parse().unwrap()).to_string();
        assert_eq!(client("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(client("192.0.2.1"), "192.0.2.1");
    }
}
