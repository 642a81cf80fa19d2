//! From a device that has its task to its end: what the task, its sessions, and time tell.

use cwmp::rpc::fault::{CPE_INTERNAL_ERROR, INTERNAL_ERROR};

use super::super::definition::What;
use super::super::record::{DeviceState, Phase};
use super::going::{TAKES_TASK_SECONDS, Withdrawal};
use super::{Engine, Reach, expected_version, has_task};
use crate::device::UnixTime;
use crate::work::task::{OUTCOME_UNKNOWN, Task, TaskError, TaskState};

/// An Inform without a boot, so soon after the answer to Reboot, may be from before it.
const SETTLE_SECONDS: i64 = 10;

/// A device that did not come when it was called is called again after so long, then after twice
/// that, and so on.
const CALL_AGAIN_SECONDS: i64 = 30;
/// The same of one to which there was no way: it may have one at any moment, and looking costs
/// nothing.
const LOOK_FOR_WAY_SECONDS: i64 = 5;
/// How often that is doubled: to an hour, about.
const CALLS_MAX: u8 = 7;

/// No device is tried again sooner, seconds: so a minute's pace is known from when its devices
/// last were begun.
const TRY_AGAIN_SECONDS_MIN: i64 = 60;

/// What came of calling a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Called {
    /// It has opened a session.
    Came,
    /// It has not.
    InVain,
    /// Nothing was sent: it has no stream or binding, for example, after a restart of the host.
    NoWay,
}

/// A session of a device has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Informed {
    /// When.
    pub at: UnixTime,
    /// It says that it has booted, or says nothing of why it comes.
    pub booted: bool,
    /// Its version.
    pub version: String,
}

impl Engine {
    /// A task has been sent, is further, or has ended. `version`: the device's, as it is known.
    pub fn task_moved(&mut self, task: &Task, version: &str, now: UnixTime) {
        let Some(&at) = self.by_id.get(task.device.as_str()) else {
            return;
        };
        let Some(entry) = self.entry(at) else { return };
        let state = entry.record.state;
        let is_going = matches!(
            state,
            DeviceState::Queued | DeviceState::Waking | DeviceState::Sent | DeviceState::Verifying
        );
        if !has_task(&entry.record, task.id) || !(is_going || state == DeviceState::NotBack) {
            return;
        }
        if let Some(sent) = task.sent
            && entry.record.begun.is_none()
        {
            // As it was before the host stopped: the pace counts it, whatever has come of it.
            self.starts.push_back(sent);
            self.change(at, |entry| entry.record.begun = Some(sent));
        }
        match task.state {
            TaskState::Queued if state == DeviceState::Queued => self.still_queued(at, now),
            // A session that broke off: it is sent again in the next.
            TaskState::Queued => {}
            TaskState::Sent if state == DeviceState::NotBack => {}
            TaskState::Sent => self.sent(at, task, now),
            TaskState::Done => self.task_done(at, task, version, now),
            _ if state == DeviceState::NotBack => {}
            TaskState::Failed => self.task_failed(at, task.error.as_ref(), now),
            TaskState::Expired => {
                let (state, reason) = match task.sent {
                    None => (DeviceState::Unreachable, "it did not come"),
                    Some(_) => (
                        DeviceState::Failed,
                        "its session broke off, and it did not come",
                    ),
                };
                let reason = format!("{reason} before the end of the campaign");
                self.end(at, state, Some(reason), now);
            }
            TaskState::Cancelled => {
                let reason = "its task was cancelled".to_owned();
                self.end(at, DeviceState::Skipped, Some(reason), now);
            }
        }
    }

    /// The task of a device that has one is not there any more.
    pub fn task_lost(&mut self, device: &str, now: UnixTime) {
        if let Some(&at) = self.by_id.get(device) {
            let reason = format!("{OUTCOME_UNKNOWN}: its task is not there any more");
            self.end(at, DeviceState::Failed, Some(reason), now);
        }
    }

    /// After a restart of the host: nobody calls the device.
    fn still_queued(&mut self, at: usize, now: UnixTime) {
        let patience = self.definition.unreachable();
        self.change(at, |entry| {
            let first = *entry.record.queued.get_or_insert(now);
            entry.due = Some((first + patience).max(now + TAKES_TASK_SECONDS));
        });
        self.line_up(at);
    }

    fn sent(&mut self, at: usize, task: &Task, now: UnixTime) {
        let progress = task.progress.clone().unwrap_or_default();
        let last = [task.sent, task.accepted, progress.begun, progress.moved];
        let last = last.into_iter().flatten().max().unwrap_or(now);
        let not_back = last + self.definition.not_back();
        self.change(at, |entry| {
            entry.record.state = DeviceState::Sent;
            entry.due = Some(not_back);
        });
    }

    fn task_done(&mut self, at: usize, task: &Task, version: &str, now: UnixTime) {
        let Some(entry) = self.entry(at) else { return };
        let is_late = entry.record.state == DeviceState::NotBack;
        let is_confirmed = task
            .progress
            .as_ref()
            .is_some_and(|p| p.confirmed.is_some());
        let comes_back = match (self.what, expected_version(&entry.record, &self.head)) {
            (What::Firmware, Some(expected)) => !is_confirmed && version.trim() != expected.trim(),
            (What::Reboot | What::FactoryReset, _) => true,
            (What::Firmware | What::Other, _) => false,
        };
        if is_late && !comes_back {
            self.came_late(at, now);
        } else if !comes_back {
            self.end(at, DeviceState::Done, None, now);
        } else {
            let ended = task.ended.unwrap_or(now);
            self.verify(at, ended, None, now);
        }
    }

    /// From now on it has to come back. `reason`: why it has failed, if it does not.
    fn verify(&mut self, at: usize, done: UnixTime, reason: Option<String>, now: UnixTime) {
        let half = self.definition.not_back() / 2;
        self.change(at, |entry| {
            if entry.record.state != DeviceState::NotBack {
                entry.record.state = DeviceState::Verifying;
                entry.due = Some((done + half).max(now));
                entry.asked = false;
                if let Some(reason) = reason {
                    entry.record.because(reason);
                }
            }
            entry.record.done = Some(done);
        });
    }

    fn task_failed(&mut self, at: usize, error: Option<&TaskError>, now: UnixTime) {
        let Some(entry) = self.entry(at) else { return };
        let text = error.map_or_else(|| "it failed".to_owned(), |error| error.text.clone());
        let code = error.and_then(|error| error.code);
        let is_unknown = text.contains(OUTCOME_UNKNOWN);
        let version_tells =
            self.what == What::Firmware && expected_version(&entry.record, &self.head).is_some();
        if is_unknown && version_tells {
            // The device may run it all the same.
            self.verify(at, now, Some(text), now);
        } else {
            let text = code.map_or_else(|| text.clone(), |code| format!("fault {code}: {text}"));
            self.fail(at, text, code.filter(|_| !is_unknown), now);
        }
    }

    /// It failed: tried again, or the end.
    pub(super) fn fail(&mut self, at: usize, reason: String, code: Option<u32>, now: UnixTime) {
        let retries = &self.definition.retries;
        let is_repeatable = self.definition.operation.is_repeatable();
        let is_for_it = match code {
            Some(code) if !retries.faults.is_empty() => retries.faults.contains(&code),
            // These may mean anything, also that it was done.
            Some(INTERNAL_ERROR | CPE_INTERNAL_ERROR) | None => is_repeatable,
            Some(_) => true,
        };
        if is_for_it && self.try_again(at, &reason, now) {
            return;
        }
        self.end(at, DeviceState::Failed, Some(reason), now);
    }

    fn try_again(&mut self, at: usize, reason: &str, now: UnixTime) -> bool {
        let retries = &self.definition.retries;
        let is_live = matches!(
            self.head.phase,
            Phase::Active | Phase::Paused | Phase::RollingBack
        );
        let attempts = self.entry(at).map_or(0, |entry| entry.record.attempts);
        if !is_live || attempts > u16::from(retries.times) {
            return false;
        }
        let wait = i64::from(retries.after_seconds);
        let next = now + wait.max(TRY_AGAIN_SECONDS_MIN);
        let reason = format!("tried again after: {reason}");
        self.change(at, |entry| {
            let record = &mut entry.record;
            record.state = DeviceState::Pending;
            record.not_before = Some(next);
            record.queued = None;
            record.because(reason);
            entry.due = Some(next);
        });
        true
    }

    pub(super) fn ended_unreachable(&mut self, at: usize, now: UnixTime) {
        let reason = self
            .entry(at)
            .and_then(|entry| entry.record.reason.clone())
            .unwrap_or_default();
        if self.definition.retries.unreachable && self.try_again(at, &reason, now) {
            return;
        }
        let wave = self.entry(at).map_or(0, |entry| entry.record.wave);
        self.judge(wave, now);
    }

    /// The device has come to its end.
    pub(super) fn end(
        &mut self,
        at: usize,
        state: DeviceState,
        reason: Option<String>,
        now: UnixTime,
    ) {
        let mut wave = 0;
        self.change(at, |entry| {
            entry.due = None;
            let record = &mut entry.record;
            wave = record.wave;
            record.state = match state {
                DeviceState::Done if record.back => DeviceState::RolledBack,
                state => state,
            };
            record.ended = Some(now);
            record.not_before = None;
            record.reason = None;
            if let Some(reason) = reason {
                record.because(reason);
            }
        });
        self.judge(wave, now);
    }

    fn came_late(&mut self, at: usize, now: UnixTime) {
        let reason = "it came back late".to_owned();
        self.end(at, DeviceState::Done, Some(reason), now);
    }

    /// A session of a device has begun.
    pub fn informed(&mut self, device: &str, informed: &Informed, now: UnixTime) {
        let Some(&at) = self.by_id.get(device) else {
            return;
        };
        let Some(entry) = self.entry(at) else { return };
        let record = &entry.record;
        let Some(done) = record.done else { return };
        let expected = expected_version(record, &self.head).map(str::trim);
        let version = informed.version.trim();
        let (is_back, is_wrong) = match (self.what, expected) {
            (What::Firmware, Some(expected)) => {
                let runs = version == expected;
                (runs, informed.booted && !runs)
            }
            _ => (
                informed.booted || informed.at >= done + SETTLE_SECONDS,
                false,
            ),
        };
        match record.state {
            DeviceState::Verifying if is_back => self.end(at, DeviceState::Done, None, now),
            DeviceState::Verifying if is_wrong => {
                let expected = expected.unwrap_or_default();
                let reason = match &record.reason {
                    Some(reason) => reason.clone(),
                    None => format!("it came back with version {version:?}, expected {expected:?}"),
                };
                self.end(at, DeviceState::Failed, Some(reason), now);
            }
            DeviceState::NotBack if is_back => self.came_late(at, now),
            _ => {}
        }
    }

    /// What came of calling a device.
    pub fn wake_ended(&mut self, device: &str, called: Called, now: UnixTime) {
        let Some(&at) = self.by_id.get(device) else {
            return;
        };
        let is_waking = self
            .entry(at)
            .is_some_and(|entry| entry.record.state == DeviceState::Waking);
        if !is_waking {
            return;
        }
        match called {
            Called::Came => self.change(at, |entry| entry.due = Some(now + TAKES_TASK_SECONDS)),
            Called::InVain => self.leave_to_itself(at, CALL_AGAIN_SECONDS, now),
            Called::NoWay => self.leave_to_itself(at, LOOK_FOR_WAY_SECONDS, now),
        }
    }

    /// Too many are called already: it is called again later.
    pub fn not_called(&mut self, device: &str) {
        if let Some(&at) = self.by_id.get(device) {
            self.change(at, |entry| {
                if entry.record.state == DeviceState::Waking {
                    entry.record.state = DeviceState::Queued;
                    entry.reach = Reach::ByItself;
                }
            });
            self.line_up_to_call(at);
        }
    }

    /// It comes when it likes, or when it is called again: after so many seconds, then later and
    /// later.
    fn leave_to_itself(&mut self, at: usize, seconds: i64, now: UnixTime) {
        let patience = self.definition.unreachable();
        self.change(at, |entry| {
            let first = entry.record.queued.unwrap_or(now);
            let wait = seconds << entry.calls.min(CALLS_MAX);
            entry.calls = entry.calls.saturating_add(1);
            entry.record.state = DeviceState::Queued;
            entry.reach = Reach::ByItself;
            entry.due = Some((first + patience).min(now + wait).max(now + 1));
        });
    }

    /// What time has ended, so many at most; tasks that are to be taken back of it.
    pub(super) fn pass(&mut self, now: UnixTime, max: usize) -> Vec<Withdrawal> {
        let over = self.due.iter().take_while(|(due, _)| *due <= now);
        let over: Vec<usize> = over.map(|(_, at)| *at).take(max).collect();
        let mut withdrawals = Vec::new();
        for at in over {
            withdrawals.extend(self.time_is_over(at, now));
        }
        withdrawals
    }

    fn time_is_over(&mut self, at: usize, now: UnixTime) -> Option<Withdrawal> {
        let entry = self.entry(at)?;
        let (state, wave, asked) = (entry.record.state, entry.record.wave, entry.asked);
        let seconds = self.definition.not_back_seconds;
        match state {
            DeviceState::Pending | DeviceState::Conflict => {
                self.change(at, |entry| entry.due = None);
                if wave <= self.head.wave {
                    self.line_up(at);
                }
            }
            DeviceState::Queued => {
                let first = entry.record.queued.unwrap_or(now);
                let over = first + self.definition.unreachable();
                let next = over.max(now + TAKES_TASK_SECONDS);
                self.change(at, |entry| entry.due = Some(next));
                if over <= now {
                    return self.withdraw(at, now);
                }
                self.line_up_to_call(at);
            }
            DeviceState::Waking => self.leave_to_itself(at, CALL_AGAIN_SECONDS, now),
            DeviceState::Sent => {
                let reason = format!("nothing was heard of it for {seconds} s");
                self.end(at, DeviceState::NotBack, Some(reason), now);
            }
            DeviceState::Verifying if !asked => {
                let done = entry.record.done.unwrap_or(now);
                let end = (done + self.definition.not_back()).max(now + 1);
                let device = std::sync::Arc::clone(&entry.id);
                self.change(at, |entry| {
                    entry.asked = true;
                    entry.due = Some(end);
                });
                self.calls.push(device);
            }
            DeviceState::Verifying => {
                let reason = entry.record.reason.clone();
                let state = match reason {
                    Some(_) => DeviceState::Failed,
                    None => DeviceState::NotBack,
                };
                let reason = reason.unwrap_or_else(|| format!("it was not back after {seconds} s"));
                self.end(at, state, Some(reason), now);
            }
            _ => self.change(at, |entry| entry.due = None),
        }
        None
    }
}
