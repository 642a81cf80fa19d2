//! Digest proofs that were taken: each is good once.
//!
//! A proof, not a count, is what is remembered: devices begin to count anew with a new
//! connection. The memory is bounded; what had to be forgotten early makes nonces of that time
//! stale, never a proof good twice.

use std::collections::HashSet;

/// How long a nonce is good, in seconds.
pub(super) const NONCE_SECONDS_MAX: u32 = 300;
/// Proofs of one period.
const PROOFS_MAX: usize = 200_000;

/// The proofs of this period and of the one before.
#[derive(Debug, Default)]
pub(super) struct Replays {
    taken: HashSet<u128>,
    before: HashSet<u128>,
    /// When this period began.
    began: u32,
    /// Of nonces that are older, not all uses are remembered.
    oldest: u32,
}

impl Replays {
    /// Whether this proof, with a nonce made at `issued`, is here for the first time, and in
    /// time. Times are seconds.
    pub(super) fn take(&mut self, proof: u128, issued: u32, now: u32) -> bool {
        let is_over = now.saturating_sub(self.began) > NONCE_SECONDS_MAX;
        if is_over || self.taken.len() >= PROOFS_MAX {
            self.before = std::mem::take(&mut self.taken);
            self.oldest = self.began;
            self.began = now;
        }
        let is_fresh = issued >= self.oldest
            && issued <= now.saturating_add(1)
            && now.saturating_sub(issued) <= NONCE_SECONDS_MAX;
        is_fresh && !self.before.contains(&proof) && self.taken.insert(proof)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_and_in_time() {
        let mut replays = Replays::default();
        assert!(replays.take(1, 1_000, 1_000));
        assert!(!replays.take(1, 1_000, 1_000));
        assert!(replays.take(2, 1_000, 1_300));
        assert!(
            !replays.take(2, 1_000, 1_300),
            "the next period knows of it"
        );
        assert!(!replays.take(3, 1_000, 1_301), "too old");
        assert!(!replays.take(4, 2_000, 1_301), "not made yet");
        assert!(!replays.take(1, 1_000, 1_600));
    }

    #[test]
    fn what_is_forgotten_makes_nonces_stale() {
        let mut replays = Replays::default();
        assert!(replays.take(0, 1_000, 1_000));
        for proof in 1..=2 * PROOFS_MAX as u128 {
            assert!(replays.take(proof, 1_001, 1_001), "{proof}");
        }
        // Forgotten by now, and refused all the same.
        assert!(!replays.take(0, 1_000, 1_002));
    }
}
