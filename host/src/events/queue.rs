//! When which letter of a webhook is tried: the order, the waiting after failures. No clock, no
//! network: the time is an argument, in milliseconds from any beginning.

use std::collections::BTreeMap;

/// A letter is given up after so many tries.
pub(super) const TRIES_MAX: u32 = 12;
/// The first wait after a failure; each is twice the one before.
const WAIT_MS: u64 = 1_000;
/// The longest wait.
const WAIT_MS_MAX: u64 = 15 * 60_000;

/// The letters of a webhook that are at hand.
#[derive(Debug)]
pub(super) struct Queue {
    letters: BTreeMap<u64, Letter>,
    /// Failures without any success between them.
    failures: u32,
    /// Nothing is tried before: the receiver is down, or has asked for it.
    rests_until: u64,
    random: u64,
}

#[derive(Debug, Default)]
struct Letter {
    tries: u32,
    due: u64,
    is_under_way: bool,
}

impl Queue {
    /// Without letters.
    pub(super) fn new(seed: u64) -> Queue {
        Queue {
            letters: BTreeMap::new(),
            failures: 0,
            rests_until: 0,
            random: seed | 1,
        }
    }

    /// How many letters are at hand.
    pub(super) fn len(&self) -> usize {
        self.letters.len()
    }

    /// One more.
    pub(super) fn add(&mut self, number: u64) {
        self.letters.entry(number).or_default();
    }

    /// The letter to try now. After a failure only one is under way at a time.
    pub(super) fn begin(&mut self, now: u64) -> Option<u64> {
        let probing = self.failures > 0 && self.letters.values().any(|one| one.is_under_way);
        if now < self.rests_until || probing {
            return None;
        }
        let ready = |(_, letter): &(&u64, &mut Letter)| !letter.is_under_way && letter.due <= now;
        let (number, letter) = self.letters.iter_mut().find(ready)?;
        letter.is_under_way = true;
        letter.tries += 1;
        Some(*number)
    }

    /// When there will be something to try, if nothing happens before.
    pub(super) fn next(&self) -> Option<u64> {
        let waiting = self.letters.values().filter(|letter| !letter.is_under_way);
        let due = waiting.map(|letter| letter.due).min()?;
        Some(due.max(self.rests_until))
    }

    /// It has arrived.
    pub(super) fn arrived(&mut self, number: u64) {
        self.letters.remove(&number);
        if self.failures > 1 {
            // The receiver was down: what failed meanwhile did not fail for itself.
            for letter in self.letters.values_mut() {
                letter.due = 0;
            }
        }
        self.failures = 0;
    }

    /// It has not. `asked`: how long the receiver wants to be left alone, in milliseconds.
    /// Whether it is given up; it is gone then.
    pub(super) fn failed(&mut self, number: u64, now: u64, asked: Option<u64>) -> bool {
        self.failures = self.failures.saturating_add(1);
        let rest = self.wait(self.failures);
        let asked = asked.unwrap_or(0).min(WAIT_MS_MAX);
        self.rests_until = now + rest.max(asked);
        let tries = self.letters.get(&number).map_or(0, |letter| letter.tries);
        let wait = self.wait(tries);
        match self.letters.get_mut(&number) {
            Some(letter) if tries < TRIES_MAX => {
                letter.is_under_way = false;
                letter.due = now + wait.max(asked);
                false
            }
            _ => {
                self.letters.remove(&number);
                true
            }
        }
    }

    /// It is given up for its age.
    pub(super) fn give_up(&mut self, number: u64) {
        self.letters.remove(&number);
    }

    /// Between half of the time and all of it, so that many do not come back at once.
    fn wait(&mut self, failures: u32) -> u64 {
        let doubled = WAIT_MS << failures.saturating_sub(1).min(20);
        let most = doubled.min(WAIT_MS_MAX);
        // xorshift
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        most / 2 + self.random % (most / 2 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_in_order_and_one_at_a_time_after_a_failure() {
        let mut queue = Queue::new(7);
        (1..=3).for_each(|number| queue.add(number));
        assert_eq!([queue.begin(0), queue.begin(0)], [Some(1), Some(2)]);
        queue.arrived(1);
        assert!(!queue.failed(2, 0, None));
        assert_eq!(queue.begin(0), None);
        let next = queue.next().unwrap();
        assert!((500..=1_000).contains(&next), "{next}");
        let first = queue.begin(next).unwrap();
        assert_eq!(queue.begin(next), None);
        queue.arrived(first);
        let second = queue.begin(1_000).unwrap();
        assert_eq!(first + second, 2 + 3);
        queue.arrived(second);
        assert!(queue.len() == 0 && queue.next().is_none());
    }

    #[test]
    fn waits_double_and_what_fails_always_is_given_up() {
        let mut queue = Queue::new(3);
        queue.add(9);
        let (mut now, mut waits) = (0, Vec::new());
        loop {
            assert_eq!(queue.begin(now), Some(9));
            if queue.failed(9, now, None) {
                break;
            }
            let next = queue.next().unwrap();
            waits.push(next - now);
            now = next;
        }
        assert_eq!(waits.len() as u32, TRIES_MAX - 1);
        for (number, wait) in waits.iter().enumerate() {
            let most = (WAIT_MS << number).min(WAIT_MS_MAX);
            assert!((most / 2..=most).contains(wait), "{number}: {wait}");
        }
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn the_receiver_may_ask_for_rest() {
        let mut queue = Queue::new(3);
        (1..=2).for_each(|number| queue.add(number));
        queue.begin(0);
        queue.failed(1, 0, Some(60_000));
        assert_eq!((queue.begin(59_999), queue.next()), (None, Some(60_000)));
        assert!(queue.begin(60_000).is_some());
    }

    #[test]
    fn after_an_outage_nothing_waits() {
        let mut queue = Queue::new(3);
        (0..5).for_each(|number| queue.add(number));
        let mut now = 0;
        for _ in 0..5 {
            let number = queue.begin(now).unwrap();
            queue.failed(number, now, None);
            now = queue.next().unwrap();
        }
        let number = queue.begin(now).unwrap();
        queue.arrived(number);
        let again: Vec<_> = std::iter::from_fn(|| queue.begin(now)).collect();
        assert_eq!(again.len(), 4);
    }
}
