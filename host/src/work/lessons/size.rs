//! How many at once: a number that worked, one that did not, and the careful way between.

use serde::{Deserialize, Serialize};

use crate::device::UnixTime;

/// Successes at the limit before more is tried.
const GROW_AFTER: u32 = 20;
/// The same, where too many made the device fall silent: a try costs a session.
const GROW_AFTER_SILENCE: u32 = 200;

/// How many a model takes at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// So many at once are asked for.
    pub most: u32,
    /// So many were too many.
    pub too_many: u32,
    /// Too many made it fall silent or drop its session.
    #[serde(default)]
    pub silent: bool,
    /// When this was last changed.
    pub learned: UnixTime,
    /// The id of the device that taught it.
    pub device: String,
    #[serde(skip)]
    successes: u32,
}

impl Size {
    pub(super) fn new(most: u32, too_many: u32, learned: UnixTime, device: &str) -> Size {
        Size {
            most: most.max(1),
            too_many: too_many.max(most.max(1) + 1),
            silent: false,
            learned,
            device: device.to_owned(),
            successes: 0,
        }
    }

    /// How many to ask for now: now and then more than are known to work, never what failed.
    pub(super) fn to_ask(&self) -> u32 {
        let after = if self.silent {
            GROW_AFTER_SILENCE
        } else {
            GROW_AFTER
        };
        let between = self.most + self.too_many.saturating_sub(self.most) / 2;
        // Close enough: the last few are not worth a refusal.
        let worth = between >= self.most + (self.most / 8).max(1);
        if self.successes >= after && worth {
            between.min(self.most.saturating_mul(2))
        } else {
            self.most
        }
    }

    /// So many were taken. Whether that is more than was known.
    pub(super) fn taken(&mut self, count: u32) -> bool {
        if count < self.most {
            return false;
        }
        if count == self.most {
            self.successes = self.successes.saturating_add(1);
            return false;
        }
        self.most = count;
        self.successes = 0;
        if self.too_many <= count {
            self.too_many = count.saturating_mul(2);
        }
        true
    }

    /// `failed` were too many, `worked` were not.
    pub(super) fn limited(&mut self, worked: u32, failed: u32) {
        self.successes = 0;
        if failed > self.most {
            // A try for more: what was known holds.
            self.too_many = self.too_many.min(failed).max(self.most + 1);
        } else {
            self.most = worked.max(1);
            self.too_many = failed.max(self.most + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks a device that takes `limit` so often; how often it refused, and the last number.
    fn converge(limit: u32, rounds: u32) -> (u32, u32) {
        let mut size = Size::new(1, 64, 0, "d");
        let mut refusals = 0;
        for _ in 0..rounds {
            let asked = size.to_ask();
            if asked > limit {
                refusals += 1;
                size.limited(asked / 2, asked);
            } else {
                size.taken(asked);
            }
        }
        (refusals, size.most)
    }

    #[test]
    fn it_grows_to_the_limit_with_few_refusals() {
        for limit in [1, 2, 3, 7, 16, 31, 32, 33, 63] {
            let (refusals, most) = converge(limit, 1_000);
            assert!(refusals <= 6, "{limit}: {refusals} refusals");
            assert!(
                most <= limit && most + (most / 8).max(1) >= limit,
                "{limit}: {most}"
            );
        }
    }

    #[test]
    fn a_number_that_fails_is_not_tried_again() {
        let mut size = Size::new(16, 32, 0, "d");
        for _ in 0..GROW_AFTER {
            assert_eq!(size.to_ask(), 16);
            size.taken(16);
        }
        assert_eq!(size.to_ask(), 24);
        size.limited(16, 24);
        assert_eq!((size.most, size.too_many, size.to_ask()), (16, 24, 16));
    }

    #[test]
    fn what_fell_silent_is_tried_much_later() {
        let mut size = Size::new(16, 32, 0, "d");
        size.silent = true;
        for _ in 0..GROW_AFTER_SILENCE {
            assert_eq!(size.to_ask(), 16);
            size.taken(16);
        }
        assert_eq!(size.to_ask(), 24);
    }

    #[test]
    fn a_firmware_that_takes_less_than_it_did_is_believed() {
        let mut size = Size::new(16, 32, 0, "d");
        size.limited(4, 8);
        assert_eq!((size.most, size.too_many), (4, 8));
    }
}
