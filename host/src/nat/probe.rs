//! Quiet probes: a way that was given up because it kept failing is tried now and then, so that a
//! device climbs back to it once it works again.
//!
//! A probe bothers nobody: it is made only of a device for which nobody waits, while the line of
//! wake-ups is empty, few at a time, and at growing intervals. What opens a session is a changed
//! fact; the policy, asked in that very session, does the rest.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::history::ModeHistory;
use super::outcome::Outcome;
use crate::Acs;
use crate::device::{DeviceKey, Mode, Summary, UnixTime};

/// Probes under way.
const AT_ONCE_MAX: usize = 4;
/// When somebody waits, or the host is busy, the probe is put off for so long.
const PUT_OFF_SECONDS: i64 = 60;
/// The interval is longer or shorter by up to this part of it, so that what failed together is not
/// tried together.
const JITTER: f64 = 0.2;

/// The intervals of probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// The first, seconds. It doubles with each probe that came to nothing.
    pub shortest: u32,
    /// The longest, seconds.
    pub longest: u32,
}

impl Schedule {
    /// The wait after so many probes that came to nothing, seconds. The same device has the same
    /// jitter each time.
    pub fn interval(self, device: &DeviceKey, mode: Mode, probes_failed: u32) -> i64 {
        let doubled = u64::from(self.shortest) << probes_failed.min(31);
        let interval = doubled.min(self.longest.into());
        let mut hasher = DefaultHasher::new();
        (device, mode, probes_failed).hash(&mut hasher);
        let thousandth = hasher.finish() % 1_001;
        #[allow(
            clippy::cast_precision_loss,
            reason = "less than 2^33, and a thousandth"
        )]
        let seconds = interval as f64 * (1.0 + JITTER * (thousandth as f64 / 500.0 - 1.0));
        #[allow(clippy::cast_possible_truncation, reason = "less than 2^34")]
        let seconds = seconds as i64;
        seconds.max(1)
    }

    /// When a way that was given up is tried next.
    pub fn due(self, device: &DeviceKey, mode: Mode, history: &ModeHistory) -> UnixTime {
        let last = history.last_tried().unwrap_or_default();
        last.saturating_add(self.interval(device, mode, history.probes_failed))
    }

    /// Which of a device's ways is tried next, and when.
    pub fn next(self, device: &DeviceKey, summary: &Summary) -> Option<(UnixTime, Mode)> {
        given_up(summary)
            .filter_map(|mode| {
                let history = summary.nat_history.get(&mode)?;
                Some((self.due(device, mode, history), mode))
            })
            .min()
    }
}

/// The ways that a device has but for their failures. What it was told for them is left as it is.
pub fn given_up(summary: &Summary) -> impl Iterator<Item = Mode> {
    let fallbacks = summary.nat.iter().flat_map(|nat| &nat.fallbacks).copied();
    fallbacks.filter(|mode| {
        let history = summary.nat_history.get(mode);
        *mode != Mode::ShortInform && history.is_some_and(ModeHistory::keeps_failing)
    })
}

/// The devices that have a probe before them. Each is in it once; one that the host has not seen
/// since it started comes in with its next full session.
#[derive(Debug, Default)]
pub struct Probes {
    plan: Mutex<Plan>,
    under_way: AtomicUsize,
}

#[derive(Debug, Default)]
struct Plan {
    in_time: BTreeSet<(UnixTime, DeviceKey)>,
    of_device: HashMap<DeviceKey, UnixTime>,
}

impl Probes {
    /// Plans a device's next probe, or none.
    fn set(&self, device: &DeviceKey, at: Option<UnixTime>) {
        let plan = &mut *self.plan.lock();
        if let Some(before) = plan.of_device.remove(device) {
            plan.in_time.remove(&(before, device.clone()));
        }
        if let Some(at) = at {
            plan.of_device.insert(device.clone(), at);
            plan.in_time.insert((at, device.clone()));
        }
    }

    /// When the device is probed next.
    pub fn planned(&self, device: &DeviceKey) -> Option<UnixTime> {
        self.plan.lock().of_device.get(device).copied()
    }

    /// How many devices have a probe before them.
    pub fn count(&self) -> usize {
        self.plan.lock().of_device.len()
    }

    /// A device whose time has come.
    fn take(&self, now: UnixTime) -> Option<DeviceKey> {
        let plan = &mut *self.plan.lock();
        let (at, device) = plan.in_time.first().cloned()?;
        if at > now {
            return None;
        }
        plan.in_time.remove(&(at, device.clone()));
        plan.of_device.remove(&device);
        Some(device)
    }
}

/// Counts a probe under way.
struct UnderWay<'p>(&'p AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Acs {
    /// Looks whether a device has a way to be tried again, and plans that. To be called whenever
    /// its history or its modes may have changed.
    pub fn plan_probe(&self, device: &DeviceKey, summary: &Summary) {
        let next = self.instances.of(device).probes().next(device, summary);
        let at = next.map(|(at, _)| at);
        if self.probes.planned(device) != at {
            self.probes.set(device, at);
        }
    }

    /// Makes the probes whose time has come. They go on by themselves.
    pub fn probe_quietly(self: &Arc<Self>, now: UnixTime) {
        while self.probes.under_way.load(Ordering::Relaxed) < AT_ONCE_MAX {
            let Some(device) = self.probes.take(now) else {
                return;
            };
            self.probes.under_way.fetch_add(1, Ordering::Relaxed);
            let acs = Arc::clone(self);
            tokio::spawn(async move {
                let _under_way = UnderWay(&acs.probes.under_way);
                acs.probe(&device, now).await;
            });
        }
    }

    async fn probe(&self, device: &DeviceKey, now: UnixTime) {
        let Ok(Some(cell)) = self.store.device(device) else {
            return;
        };
        let summary = cell.lock().summary().clone();
        let schedule = self.instances.of(device).probes();
        let Some((due, mode)) = schedule.next(device, &summary) else {
            return;
        };
        if due > now {
            self.probes.set(device, Some(due));
            return;
        }
        match self.wake_quietly(device, &summary, mode).await {
            None => self.probes.set(device, Some(now + PUT_OFF_SECONDS)),
            // Nothing was sent: no reason to wait longer the next time.
            Some(outcome) if is_known_beforehand(outcome) => {
                let again = now + schedule.interval(device, mode, 0);
                self.probes.set(device, Some(again));
            }
            Some(outcome) => {
                tracing::info!(%device, mode = mode.name(), %outcome, "a way that was given up was tried again");
                self.plan_probe(device, cell.lock().summary());
            }
        }
    }
}

/// Whether such an attempt has failed before anything was sent.
pub fn is_known_beforehand(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Offline
            | Outcome::BindingExpired
            | Outcome::NoAddress
            | Outcome::Blocked
            | Outcome::NotServed
            | Outcome::ProxyDown
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::NatDecision;

    const SCHEDULE: Schedule = Schedule {
        shortest: 900,
        longest: 86_400,
    };

    fn device(serial: &str) -> DeviceKey {
        DeviceKey {
            instance: "default".into(),
            id: serial.into(),
        }
    }

    fn failing(at: UnixTime) -> ModeHistory {
        let mut history = ModeHistory::default();
        for _ in 0..3 {
            history.note(Outcome::NoAnswer, at, None);
        }
        history
    }

    fn summary(history: &[(Mode, ModeHistory)]) -> Summary {
        Summary {
            nat: Some(NatDecision {
                behind_nat: true,
                mode: Mode::ShortInform,
                fallbacks: vec![Mode::Xmpp, Mode::Stun],
                reason: String::new(),
                decided_by: String::new(),
                decided_at: 0,
                decided_from: Default::default(),
                facts: 0,
            }),
            nat_history: history.iter().cloned().collect(),
            ..Summary::default()
        }
    }

    #[test]
    fn intervals_double_up_to_the_longest() {
        let key = device("one");
        for (failed, interval) in [
            (0, 900),
            (1, 1_800),
            (2, 3_600),
            (6, 57_600),
            (7, 86_400),
            (40, 86_400),
            (u32::MAX, 86_400),
        ] {
            let seconds = SCHEDULE.interval(&key, Mode::Stun, failed);
            let range = interval * 8 / 10..=interval * 12 / 10;
            assert!(range.contains(&seconds), "{failed}: {seconds}");
            assert_eq!(seconds, SCHEDULE.interval(&key, Mode::Stun, failed));
        }
    }

    #[test]
    fn what_failed_together_is_not_tried_together() {
        let times: BTreeSet<i64> = (0..1_000)
            .map(|n| SCHEDULE.interval(&device(&n.to_string()), Mode::Stun, 0))
            .collect();
        assert!(times.len() > 250, "{}", times.len());
        assert!(times.first() < Some(&740) && times.last() > Some(&1_060));
    }

    #[test]
    fn what_is_tried_next() {
        let key = device("one");
        assert_eq!(SCHEDULE.next(&key, &summary(&[])), None);
        let working = ModeHistory {
            failed_in_a_row: 2,
            ..failing(0)
        };
        assert_eq!(
            SCHEDULE.next(&key, &summary(&[(Mode::Stun, working)])),
            None
        );
        let both = summary(&[(Mode::Stun, failing(5_000)), (Mode::Xmpp, failing(1_000))]);
        let given: Vec<Mode> = given_up(&both).collect();
        assert_eq!(given, [Mode::Xmpp, Mode::Stun]);
        let (at, mode) = SCHEDULE.next(&key, &both).unwrap();
        assert_eq!(mode, Mode::Xmpp);
        assert_eq!(at, 1_000 + SCHEDULE.interval(&key, Mode::Xmpp, 0));
        // A way that nobody has decided for is not given up, however it failed.
        let other = summary(&[(Mode::HttpProxy, failing(0))]);
        assert_eq!(SCHEDULE.next(&key, &other), None);
    }

    /// A week of a device whose way does not come back, by the clock of the schedule alone.
    #[test]
    fn a_week_of_probes() {
        let key = device("one");
        let mut device = summary(&[(Mode::Stun, failing(0))]);
        let mut times = Vec::new();
        loop {
            let (at, mode) = SCHEDULE.next(&key, &device).unwrap();
            if at > 7 * 86_400 {
                break;
            }
            times.push(at);
            let history = device.nat_history.get_mut(&mode).unwrap();
            history.note(Outcome::NoAnswer, at, None);
            history.probes_failed += 1;
        }
        // 15 min, 30 min, 1 h, 2 h, 4 h, 8 h, 16 h, then daily.
        assert!((11..=14).contains(&times.len()), "{times:?}");
        let pauses: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(pauses[0] < pauses[2] && pauses[2] < pauses[4], "{pauses:?}");
        // It works once: it is not given up any more.
        let history = device.nat_history.get_mut(&Mode::Stun).unwrap();
        history.note(Outcome::SessionOpened, 700_000, None);
        assert_eq!(SCHEDULE.next(&key, &device), None);
        assert_eq!(device.nat_history[&Mode::Stun].probes_failed, 0);
    }

    #[test]
    fn each_device_is_planned_once() {
        let probes = Probes::default();
        let (one, two) = (device("one"), device("two"));
        probes.set(&one, Some(100));
        probes.set(&two, Some(50));
        probes.set(&one, Some(10));
        assert_eq!((probes.count(), probes.planned(&one)), (2, Some(10)));
        assert_eq!(probes.take(9), None);
        assert_eq!(probes.take(60), Some(one));
        probes.set(&two, None);
        assert_eq!(probes.take(60), None);
        assert_eq!(probes.count(), 0);
    }
}
