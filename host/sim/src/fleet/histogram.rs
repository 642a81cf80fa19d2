//! Durations, counted in buckets that are never wider than a sixteenth of their value.

use std::time::Duration;

/// Buckets per power of two.
const STEPS: usize = 16;
/// From 1 µs up to about 19 hours.
const POWERS: usize = 36;

/// A histogram of durations: small, and mergeable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    total: Duration,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram {
            counts: vec![0; STEPS * (POWERS + 1)],
            count: 0,
            total: Duration::ZERO,
            max: Duration::ZERO,
        }
    }
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, duration: Duration) {
        let last = self.counts.len() - 1;
        if let Some(count) = self.counts.get_mut(bucket(duration).min(last)) {
            *count += 1;
        }
        self.count += 1;
        self.total += duration;
        self.max = self.max.max(duration);
    }

    /// Counts all of another's.
    pub fn merge(&mut self, other: &Histogram) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.count += other.count;
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest one, exactly.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The mean, exactly.
    pub fn mean(&self) -> Duration {
        match u32::try_from(self.count) {
            Ok(0) | Err(_) => Duration::ZERO,
            Ok(count) => self.total / count,
        }
    }

    /// What `share` (0.95) of them did not exceed, to about 6 %.
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = (self.count as f64 * share.clamp(0.0, 1.0)).ceil() as u64;
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return upper_end(at).min(self.max);
            }
        }
        self.max
    }
}

fn bucket(duration: Duration) -> usize {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    if micros < STEPS as u64 {
        return micros as usize;
    }
    let power = micros.ilog2() as usize;
    // The four bits behind the leading one.
    let step = (micros >> (power - 4)) as usize & (STEPS - 1);
    (power - 3) * STEPS + step
}

fn upper_end(bucket: usize) -> Duration {
    let (group, step) = (bucket / STEPS, bucket % STEPS);
    let micros = match group {
        0 => step as u64,
        _ => ((STEPS + step + 1) as u64) << (group - 1),
    };
    Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_close() {
        let mut histogram = Histogram::default();
        for millis in 1..=1000 {
            histogram.record(Duration::from_millis(millis));
        }
        for (share, expected) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0), (1.0, 1000.0)] {
            let millis = histogram.quantile(share).as_secs_f64() * 1000.0;
            assert!((millis / expected - 1.0).abs() < 0.07, "{share}: {millis}");
        }
        assert_eq!(histogram.max(), Duration::from_secs(1));
    }

    #[test]
    fn every_duration_is_in_its_bucket() {
        for micros in [0, 1, 15, 16, 17, 31, 32, 1000, 65_535, 1 << 33] {
            let duration = Duration::from_micros(micros);
            let end = upper_end(bucket(duration));
            assert!(end >= duration, "{micros}");
            assert!(
                end.as_micros() as f64 <= micros as f64 * 1.07 + 1.0,
                "{micros}: {end:?}"
            );
        }
    }
}
