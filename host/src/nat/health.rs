//! How well a device can be reached: a number and a sentence, made of how its ways have done.
//! Pure.
//!
//! The score is the worth of waking the device now, 0 to 100. Its ways are tried in their order;
//! the first that opens a session counts
//!
//! ```text
//! score = 100 · Σ  (1 − p₁) ⋯ (1 − pᵢ₋₁) · pᵢ · 0.9ⁱ⁻¹ · sᵢ
//! ```
//!
//! - `pᵢ`, how likely way i works: the recent attempts, each weighing 0.8 of the one after it, and a
//!   quarter of an attempt that half worked, for what is not known. All of them weigh half as much
//!   for every week since the last. 0 while the way is closed: no XMPP stream, no UDP binding.
//! - `sᵢ`, how soon: 1 for at once, down to 0.7 for half a minute and more.
//! - 0.9 for each way that had to be tried before.
//!
//! Short informs are no attempts: `p` is 0.98 while the device comes when it should, and less the
//! longer it is overdue; it waits half an interval on the average.

use std::collections::BTreeMap;

use super::history::ModeHistory;
use crate::device::{Mode, UnixTime};

/// What is not known counts as so many attempts that half worked.
const UNKNOWN_WEIGHT: f64 = 0.25;
/// After so long, an attempt says half as much: a week.
const HALF_LIFE_SECONDS: f64 = 604_800.0;
/// What another way before it takes from the worth of a way.
const WORTH_OF_NEXT: f64 = 0.9;
/// A wake that takes so long is worth least.
const SLOW_SECONDS: f64 = 30.0;
/// What slowness takes from the worth at most.
const SLOW_LOSS: f64 = 0.3;
/// As likely as a device comes that comes every few seconds.
const COMES: f64 = 0.98;
/// A device that informs by itself is late after so many intervals.
const LATE_INTERVALS: f64 = 2.0;

/// What there is to judge from.
#[derive(Debug, Clone, Copy)]
pub struct Record<'r> {
    /// Its ways, in the order in which they are tried.
    pub modes: &'r [Mode],
    /// Those that cannot work at this moment: nothing is open between device and host.
    pub closed: &'r [Mode],
    /// How each has done.
    pub history: &'r BTreeMap<Mode, ModeHistory>,
    /// Its last Inform; 0: none yet.
    pub last_contact: UnixTime,
    /// The time between two Informs of a device that is not woken.
    pub short_inform_seconds: u32,
    /// The time at which it is judged.
    pub now: UnixTime,
}

/// How well a device can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// 0 to 100.
    pub score: u8,
    /// For people.
    pub words: String,
}

impl Record<'_> {
    /// The judgement.
    pub fn health(&self) -> Health {
        Health {
            score: self.score(),
            words: self.words(),
        }
    }

    fn score(&self) -> u8 {
        let mut worth = 0.0;
        let mut reached = 1.0;
        let mut discount = 1.0;
        for mode in self.modes {
            let (likely, seconds) = self.chance(*mode);
            let soon = 1.0 - SLOW_LOSS * (seconds / SLOW_SECONDS).min(1.0);
            worth += reached * likely * discount * soon;
            reached *= 1.0 - likely;
            discount *= WORTH_OF_NEXT;
        }
        // Of a number between 0 and 100.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let score = (worth * 100.0).round().clamp(0.0, 100.0) as u8;
        score
    }

    /// How likely a way works, and in how many seconds.
    fn chance(&self, mode: Mode) -> (f64, f64) {
        if mode == Mode::ShortInform {
            let interval = f64::from(self.short_inform_seconds);
            let age = self.age(self.last_contact);
            let late = age / (interval * LATE_INTERVALS);
            return (COMES / late.max(1.0), interval / 2.0);
        }
        if self.closed.contains(&mode) {
            return (0.0, 0.0);
        }
        let nothing = ModeHistory::default();
        let history = self.history.get(&mode).unwrap_or(&nothing);
        let (opened, all) = history.recent_weights();
        let age = history.last_tried().map_or(0.0, |at| self.age(at));
        let fresh = (-age / HALF_LIFE_SECONDS).exp2();
        let likely = (opened * fresh + UNKNOWN_WEIGHT / 2.0) / (all * fresh + UNKNOWN_WEIGHT);
        let seconds = history
            .typical_milliseconds
            .map_or(0.0, |typical| f64::from(typical) / 1000.0);
        (likely, seconds)
    }

    /// Seconds since then.
    #[allow(clippy::cast_precision_loss, reason = "an age")]
    fn age(&self, at: UnixTime) -> f64 {
        self.now.saturating_sub(at).max(0) as f64
    }

    fn words(&self) -> String {
        let Some((first, others)) = self.modes.split_first() else {
            return "no way to wake it is known yet".into();
        };
        let mut sentences = vec![self.sentence(*first)];
        if self.closed.contains(first) {
            let open = match first {
                Mode::Stun => "at present it has no UDP binding",
                _ => "at present it has no stream open",
            };
            sentences.push(open.to_owned());
        }
        for mode in others {
            let tried = self.history.get(mode).is_some_and(|h| h.attempts > 0);
            if tried || *mode == Mode::ShortInform && self.is_silent() {
                sentences.push(self.sentence(*mode));
            }
        }
        sentences.join("; ")
    }

    /// No way has opened a session in its last attempt.
    fn is_silent(&self) -> bool {
        let mut tried = self.history.values().filter(|h| h.attempts > 0);
        tried.all(|history| history.failed_in_a_row > 0)
    }

    fn sentence(&self, mode: Mode) -> String {
        let name = name(mode);
        if mode == Mode::ShortInform {
            if self.last_contact == 0 {
                return "it informs by itself, and has not done so yet".into();
            }
            return format!(
                "it informs by itself, every {} s if it does as told; last {}",
                self.short_inform_seconds,
                ago(self.now - self.last_contact)
            );
        }
        let Some(history) = self.history.get(&mode).filter(|h| h.attempts > 0) else {
            return format!("not woken by {name} yet");
        };
        let (opened, of) = history.recent_counts();
        let why = history
            .last_outcome
            .map_or_else(String::new, |outcome| format!(" ({outcome})"));
        let Some(last) = history.last_opened else {
            let times = times(history.attempts);
            return format!("never reached by {name}, tried {times}{why}");
        };
        let last = ago(self.now - last);
        let failed = history.failed_in_a_row;
        if failed > 0 {
            let times = match failed {
                1 => "the last time".to_owned(),
                failed => format!("{failed} times in a row"),
            };
            return format!("by {name} it failed {times}{why}; last reached so {last}");
        }
        let typically = history
            .typical_milliseconds
            .map_or_else(String::new, |typical| {
                format!(", typically in {}", seconds(typical))
            });
        format!(
            "reached by {name} {opened} of the last {}{typically}; last {last}",
            times(of)
        )
    }
}

/// A mode's name for people.
pub fn name(mode: Mode) -> &'static str {
    match mode {
        Mode::DirectHttp => "direct HTTP",
        Mode::HttpProxy => "the HTTP proxy",
        Mode::Xmpp => "XMPP",
        Mode::Stun => "STUN",
        Mode::ShortInform => "short informs",
    }
}

fn times(count: u32) -> String {
    match count {
        1 => "1 time".into(),
        count => format!("{count} times"),
    }
}

/// `0.8 s`.
fn seconds(milliseconds: u32) -> String {
    if milliseconds < 50 {
        return "less than 0.1 s".into();
    }
    let tenths = milliseconds.saturating_add(50) / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

/// An age for people, in its largest unit.
pub fn ago(seconds: i64) -> String {
    match seconds.max(0) {
        0..5 => "just now".into(),
        seconds @ 5..120 => format!("{seconds} s ago"),
        seconds @ 120..7_200 => format!("{} min ago", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h ago", seconds / 3_600),
        seconds => format!("{} d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::nat::outcome::Outcome;
    use Mode::{ShortInform, Stun, Xmpp};

    const NOW: UnixTime = 10_000_000;

    /// `+` opened a session, `-` did not; the last one so many seconds ago.
    fn of(attempts: &str, milliseconds: u64, seconds_ago: i64) -> ModeHistory {
        let mut history = ModeHistory::default();
        for attempt in attempts.chars() {
            let outcome = match attempt {
                '+' => Outcome::SessionOpened,
                _ => Outcome::BindingExpired,
            };
            let took = Duration::from_millis(milliseconds);
            history.note(outcome, NOW - seconds_ago, Some(took));
        }
        history
    }

    fn judge(modes: &[(Mode, ModeHistory)], last_contact: UnixTime) -> Health {
        judge_closed(modes, last_contact, &[])
    }

    fn judge_closed(
        modes: &[(Mode, ModeHistory)],
        last_contact: UnixTime,
        closed: &[Mode],
    ) -> Health {
        let order: Vec<Mode> = modes.iter().map(|(mode, _)| *mode).collect();
        let history = modes.iter().cloned().collect();
        let record = Record {
            modes: &order,
            closed,
            history: &history,
            last_contact,
            short_inform_seconds: 20,
            now: NOW,
        };
        record.health()
    }

    #[test]
    fn scores() {
        const WEEK: i64 = 604_800;
        let none = ModeHistory::default;
        for (modes, score, why) in [
            (vec![], 0, "no way at all"),
            (vec![(Stun, none())], 50, "nothing is known"),
            (vec![(Stun, of("+", 800, 0))], 89, "once"),
            (vec![(Stun, of("++++++++++++", 800, 180))], 97, "always"),
            (
                vec![(Stun, of("++++++++++++", 15_000, 0))],
                83,
                "always, but slowly",
            ),
            (
                vec![(Stun, of("++++++++++++", 90_000, 0))],
                68,
                "as slow as it gets",
            ),
            (
                vec![(Stun, of("++++++++++++", 800, 4 * WEEK))],
                76,
                "long ago",
            ),
            (
                vec![(Stun, of("++++++++++++", 800, 52 * WEEK))],
                50,
                "so long ago that it says nothing",
            ),
            (
                vec![(Stun, of("+++++++++-", 800, 0))],
                76,
                "the last one failed",
            ),
            (
                vec![(Stun, of("-++++++++++", 800, 0))],
                94,
                "the first one failed",
            ),
            (vec![(Stun, of("+-+-+-+-", 800, 0))], 44, "every other time"),
            (vec![(Stun, of("-", 0, 0))], 10, "failed once"),
            (vec![(Stun, of("---", 0, 0))], 5, "failed three times"),
            (
                vec![(Stun, of("----------------", 0, 0))],
                2,
                "always failed",
            ),
            (
                vec![(Stun, of("-", 0, 4 * WEEK))],
                40,
                "failed once, long ago",
            ),
            (
                vec![(Stun, of("---", 0, 0)), (Xmpp, of("++++", 500, 0))],
                87,
                "the second way works",
            ),
            (
                vec![(Stun, none()), (Xmpp, none())],
                73,
                "two ways of which nothing is known",
            ),
        ] {
            assert_eq!(judge(&modes, NOW).score, score, "{why}");
        }
    }

    #[test]
    fn scores_of_devices_that_inform_by_themselves() {
        for (seconds_ago, score) in [(0, 88), (40, 88), (80, 44), (400, 9), (86_400, 0)] {
            let health = judge(&[(ShortInform, ModeHistory::default())], NOW - seconds_ago);
            assert_eq!(health.score, score, "{seconds_ago}");
        }
        let fallback = [
            (Stun, of("---", 0, 0)),
            (ShortInform, ModeHistory::default()),
        ];
        assert_eq!(judge(&fallback, NOW).score, 80);
    }

    #[test]
    fn a_way_that_is_closed_counts_for_nothing() {
        let modes = [(Xmpp, of("++++", 500, 60)), (Stun, ModeHistory::default())];
        assert_eq!(judge_closed(&modes, NOW, &[Stun]).score, 96);
        let offline = judge_closed(&modes, NOW, &[Xmpp, Stun]);
        assert_eq!(offline.score, 0);
        assert_eq!(
            offline.words,
            "reached by XMPP 4 of the last 4 times, typically in 0.5 s; last 60 s ago; \
             at present it has no stream open"
        );
    }

    #[test]
    fn a_better_record_never_scores_less() {
        for length in 1..16 {
            for bits in 0..1_u32 << length.min(10) {
                let attempts: String = (0..length)
                    .map(|bit| if bits >> bit & 1 == 1 { '+' } else { '-' })
                    .collect();
                let better = attempts.replacen('-', "+", 1);
                let score = |attempts: &str| judge(&[(Stun, of(attempts, 800, 60))], NOW).score;
                assert!(score(&better) >= score(&attempts), "{attempts}");
            }
        }
    }

    #[test]
    fn words() {
        let short = (ShortInform, ModeHistory::default());
        for (modes, words) in [
            (vec![], "no way to wake it is known yet"),
            (
                vec![(Xmpp, ModeHistory::default())],
                "not woken by XMPP yet",
            ),
            (
                vec![(Stun, of("++++++++++++", 800, 180))],
                "reached by STUN 12 of the last 12 times, typically in 0.8 s; last 3 min ago",
            ),
            (
                vec![
                    (Stun, of("---", 0, 7)),
                    (Xmpp, of("+", 1_249, 7)),
                    short.clone(),
                ],
                "never reached by STUN, tried 3 times (binding-expired); \
                 reached by XMPP 1 of the last 1 time, typically in 1.2 s; last 7 s ago",
            ),
            (
                vec![(Stun, of("++-", 800, 10_800)), short.clone()],
                "by STUN it failed the last time (binding-expired); last reached so 3 h ago; \
                 it informs by itself, every 20 s if it does as told; last 30 s ago",
            ),
            (
                vec![short],
                "it informs by itself, every 20 s if it does as told; last 30 s ago",
            ),
        ] {
            assert_eq!(judge(&modes, NOW - 30).words, words);
        }
        assert_eq!(
            [3, 50, 12_345].map(seconds),
            ["less than 0.1 s", "0.1 s", "12.3 s"]
        );
        let ages = [3, 119, 7_199, 172_799, 172_800].map(ago);
        assert_eq!(
            ages,
            [
                "just now",
                "119 s ago",
                "119 min ago",
                "47 h ago",
                "2 d ago"
            ]
        );
    }
}
