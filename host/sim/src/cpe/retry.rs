//! When a failed session is tried again (TR-069 §3.2.1.1).

use std::time::Duration;

use crate::seed::Seed;

/// The interval no longer grows after this many retries.
const RETRIES_GROWING_MAX: i32 = 10;

/// How long to wait before retry number `retry` (1 = the first). `minimum_wait_s` and
/// `multiplier` are CWMPRetryMinimumWaitInterval and CWMPRetryIntervalMultiplier.
pub(super) fn wait(
    retry: u32,
    minimum_wait_s: u32,
    multiplier: u32,
    random: &mut Seed,
) -> Duration {
    let growing = i32::try_from(retry).unwrap_or(RETRIES_GROWING_MAX);
    let exponent = growing.clamp(1, RETRIES_GROWING_MAX);
    let factor = f64::from(multiplier) / 1000.0;
    let from = f64::from(minimum_wait_s) * factor.powi(exponent - 1);
    let to = from * factor;
    Duration::from_secs_f64(from + (to - from) * random.fraction())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_give_the_table_of_the_standard() {
        let table = [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 2560];
        let mut random = Seed::new(7);
        for (retry, from) in (1..).zip(table) {
            for _ in 0..200 {
                let waited = wait(retry, 5, 2000, &mut random).as_secs_f64();
                assert!(
                    (f64::from(from)..=f64::from(from * 2)).contains(&waited),
                    "{retry}: {waited}"
                );
            }
        }
    }
}
