//! How long things take, counted by bucket.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of a histogram's buckets, in microseconds, growing; above the last there is one more.
pub type Buckets = &'static [u64];

/// For what the host does by itself: half a millisecond to ten seconds.
pub const ANSWERS: Buckets = &[
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];
/// For what devices do: ten milliseconds to ten minutes.
pub const DEVICES: Buckets = &[
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
    600_000_000,
];

/// Durations by bucket, and their sum.
#[derive(Debug)]
pub struct Histogram {
    bounds: Buckets,
    /// One more than `bounds`.
    counts: Box<[AtomicU64]>,
    microseconds: AtomicU64,
}

impl Histogram {
    /// Nothing yet.
    pub fn new(bounds: Buckets) -> Histogram {
        Histogram {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            microseconds: AtomicU64::new(0),
        }
    }

    /// Takes one down: two atomic additions.
    pub fn observe(&self, took: Duration) {
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = self.bounds.partition_point(|bound| *bound < microseconds);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
            self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
        }
    }

    /// How many there were up to each bound (seconds; the last is without end), and the sum in seconds.
    pub fn read(&self) -> (Vec<(f64, u64)>, f64) {
        let bounds = self.bounds.iter().map(|bound| *bound as f64 / 1e6);
        let mut total = 0;
        let cumulated = bounds
            .chain([f64::INFINITY])
            .zip(&self.counts)
            .map(|(bound, count)| {
                total += count.load(Ordering::Relaxed);
                (bound, total)
            });
        let cumulated = cumulated.collect();
        let sum = self.microseconds.load(Ordering::Relaxed) as f64 / 1e6;
        (cumulated, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::new(&[1_000, 10_000]);
        for microseconds in [0, 1_000, 1_001, 10_000, 10_001, 5_000_000] {
            histogram.observe(Duration::from_micros(microseconds));
        }
        let (buckets, sum) = histogram.read();
        assert_eq!(buckets, [(0.001, 2), (0.01, 4), (f64::INFINITY, 6)]);
        assert!((sum - 5.022_002).abs() < 1e-9, "{sum}");
    }
}
