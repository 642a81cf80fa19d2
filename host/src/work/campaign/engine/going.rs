//! From a device whose turn has come to the task that it has.

use std::sync::Arc;

use super::super::record::{DeviceState, Phase, Record};
use super::{Engine, PACE_SECONDS, Reach};
use crate::device::UnixTime;
use crate::work::task::TaskId;

/// A device that was called and has opened a session takes its task within so many seconds, or it
/// is left to come by itself.
pub(super) const TAKES_TASK_SECONDS: i64 = 60;

/// Whether another campaign is still in a device's way is looked at so often.
const LOOK_AGAIN_SECONDS: i64 = 10;

/// A device whose turn has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its place in the campaign.
    pub at: usize,
    /// Its id.
    pub device: Arc<str>,
    /// It is to get back what it had: this version.
    pub back_to: Option<String>,
    /// It has its task already, and only has to be called.
    pub has_task: bool,
    /// It has come to match the query after the start.
    pub is_late: bool,
}

/// What is known of a device whose turn has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Nothing is to be done, for this reason.
    Skip(String),
    /// It has already what it should have.
    Has(String),
    /// Another campaign is in its way, as told; it is looked at again later.
    InTheWay(String),
    /// There is no such device any more.
    Gone,
    /// It is to have its task.
    Go {
        /// The version that it has now.
        version: String,
        /// It comes every few seconds, and is not called.
        by_itself: bool,
    },
}

/// A task to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// The device's place in the campaign.
    pub at: usize,
    /// Its id.
    pub device: Arc<str>,
    /// What is to be kept in one batch with the task, which is put into it.
    pub record: Record,
    /// When the task is given up: at the end of the campaign, unless it is to go back.
    pub expires: Option<UnixTime>,
    /// Of the task.
    pub priority: i8,
}

/// A task to be taken back.
#[derive(Debug, Clone, PartialEq)]
pub struct Withdrawal {
    /// The device's place in the campaign.
    pub at: usize,
    /// Its id.
    pub device: Arc<str>,
    /// The task.
    pub task: TaskId,
    /// What is to be kept in one batch with the end of the task.
    pub record: Record,
}

impl Engine {
    /// Devices whose turn has come, so many at most. Each has to be looked at, and told by
    /// [`Engine::looked`].
    pub fn candidates(&mut self, now: UnixTime, max: usize) -> Vec<Candidate> {
        let mut found = Vec::new();
        for clock in 0..self.clocks.len() {
            if !self.may_begin(clock, now) {
                continue;
            }
            // Those that need no room are found first.
            while found.len() < max
                && let Some(at) = self.take_fresh(clock)
            {
                found.extend(self.candidate(at));
            }
            let mut room = self.room(now).saturating_sub(found.len());
            while found.len() < max
                && room > 0
                && let Some(at) = self.take_to_call(clock)
            {
                found.extend(self.candidate(at));
                room -= 1;
            }
        }
        found
    }

    fn take_fresh(&mut self, clock: usize) -> Option<usize> {
        self.clocks.get_mut(clock)?.fresh.pop_front()
    }

    fn take_to_call(&mut self, clock: usize) -> Option<usize> {
        self.clocks.get_mut(clock)?.to_call.pop_front()
    }

    fn candidate(&mut self, at: usize) -> Option<Candidate> {
        let entry = self.entries.get_mut(at)?;
        entry.in_line = false;
        let record = &entry.record;
        entry.is_candidate().then(|| Candidate {
            at,
            device: Arc::clone(&entry.id),
            back_to: record.version_before.clone().filter(|_| record.back),
            has_task: entry.has_queued_task(),
            is_late: record.late,
        })
    }

    /// A candidate is not looked at after all: its turn is still there.
    pub fn put_back(&mut self, at: usize) {
        self.line_up(at);
    }

    /// What was seen of a candidate. The task to make, if it is to have one; until
    /// [`Engine::begun`] or [`Engine::not_begun`] it is left alone.
    pub fn looked(&mut self, at: usize, look: Look, now: UnixTime) -> Option<Start> {
        let entry = self.entry(at)?;
        // Meanwhile a session may have taken the task that it had.
        if !entry.is_candidate() {
            return None;
        }
        let (clock, back) = (entry.clock, entry.record.back);
        let has_task = entry.has_queued_task();
        let (version, by_itself) = match look {
            Look::Go { version, by_itself } => (version, by_itself),
            // What is queued is taken back elsewhere, if at all.
            _ if has_task => (String::new(), true),
            Look::Skip(reason) if back => {
                let reason = format!("not rolled back: {reason}");
                self.end(at, DeviceState::Failed, Some(reason), now);
                return None;
            }
            Look::Has(reason) if back => {
                self.end(at, DeviceState::RolledBack, Some(reason), now);
                return None;
            }
            Look::Skip(reason) | Look::Has(reason) => {
                self.end(at, DeviceState::Skipped, Some(reason), now);
                return None;
            }
            Look::InTheWay(reason) => {
                self.change(at, |entry| {
                    entry.record.state = DeviceState::Conflict;
                    entry.record.because(reason);
                    entry.due = Some(now + LOOK_AGAIN_SECONDS);
                });
                return None;
            }
            Look::Gone => {
                let device = Arc::clone(&entry.id);
                self.remove(&device);
                return None;
            }
        };
        if self.entry(at)?.record.state == DeviceState::Conflict {
            // Nobody is in its way any more, and its wave waits for it again.
            self.change(at, |entry| {
                entry.record.state = DeviceState::Pending;
                (entry.record.reason, entry.due) = (None, None);
            });
        }
        if !self.may_begin(clock, now) {
            self.line_up(at);
            return None;
        }
        if !by_itself && self.room(now) == 0 {
            self.line_up_to_call(at);
            return None;
        }
        let reach = if by_itself {
            Reach::ByItself
        } else {
            Reach::Called
        };
        if has_task {
            self.change(at, |entry| entry.reach = reach);
            if !by_itself {
                self.call(at);
            }
            return None;
        }
        if self.head.wave_began.is_none() && !back {
            self.head.wave_began = Some(now);
            self.head_dirty = true;
        }
        let patience = self.definition.unreachable();
        // Not kept before the task is: so it is written with that.
        self.count(at, false);
        let start = self.entries.get_mut(at).map(|entry| {
            entry.busy = true;
            entry.calls = 0;
            entry.reach = reach;
            let record = &mut entry.record;
            record.state = DeviceState::Queued;
            record.attempts = record.attempts.saturating_add(1);
            record.task = None;
            let first = *record.queued.get_or_insert(now);
            if !record.back {
                record.version_before = Some(version).filter(|version| !version.is_empty());
            }
            (record.begun, record.done, record.ended) = (None, None, None);
            (record.not_before, record.reason) = (None, None);
            entry.due = Some((first + patience).max(now + TAKES_TASK_SECONDS));
            (Arc::clone(&entry.id), record.kept())
        });
        self.count(at, true);
        let (device, record) = start?;
        let end = self.definition.schedule.end.map(jiff::Timestamp::as_second);
        Some(Start {
            at,
            device,
            record,
            expires: end.filter(|_| !back),
            priority: self.definition.priority,
        })
    }

    /// The task is made and kept: it is called, if it has to be.
    pub fn begun(&mut self, at: usize, task: TaskId) {
        self.count(at, false);
        let mut is_called = false;
        if let Some(entry) = self.entries.get_mut(at) {
            entry.busy = false;
            entry.record.task = Some(task);
            is_called = entry.reach == Reach::Called && !entry.gone;
        }
        self.count(at, true);
        if is_called {
            self.call(at);
        }
    }

    /// The task could not be made.
    pub fn not_begun(&mut self, at: usize, reason: String, now: UnixTime) {
        if let Some(entry) = self.entries.get_mut(at) {
            entry.busy = false;
        }
        self.fail(at, reason, None, now);
    }

    fn call(&mut self, at: usize) {
        self.change(at, |entry| {
            entry.record.state = DeviceState::Waking;
            entry.reach = Reach::Called;
        });
        if let Some(entry) = self.entry(at) {
            let device = Arc::clone(&entry.id);
            self.calls.push(device);
        }
    }

    /// Whether a session may send the device its task now. From then on the device is begun.
    pub fn admit(&mut self, device: &str, task: TaskId, version: &str, now: UnixTime) -> bool {
        let Some(&at) = self.by_id.get(device) else {
            return false;
        };
        let Some(entry) = self.entry(at) else {
            return false;
        };
        if entry.record.task != Some(task) {
            return false;
        }
        let (clock, state) = (entry.clock, entry.record.state);
        match state {
            // It has begun: a session that broke off is made good for.
            DeviceState::Sent | DeviceState::Verifying => return true,
            // It has come after all, and is begun once more.
            DeviceState::NotBack => {}
            DeviceState::Queued | DeviceState::Waking if !entry.busy => {}
            _ => return false,
        }
        let has_place = entry.is_reserved();
        if !self.may_begin(clock, now) {
            return false;
        }
        if !has_place && self.room(now) == 0 {
            // It is there, so it can be called as soon as there is room.
            if state != DeviceState::NotBack {
                self.line_up_to_call(at);
            }
            return false;
        }
        self.starts.push_back(now);
        let not_back = now + self.definition.not_back();
        self.change(at, |entry| {
            entry.record.state = DeviceState::Sent;
            entry.record.begun = Some(now);
            (entry.record.ended, entry.record.reason) = (None, None);
            if state != DeviceState::NotBack && !entry.record.back && !version.is_empty() {
                // It may have changed since its task was made.
                entry.record.version_before = Some(version.to_owned());
            }
            entry.due = Some(not_back);
        });
        true
    }

    /// Whether devices of this clock may be begun.
    fn may_begin(&mut self, clock: usize, now: UnixTime) -> bool {
        match self.head.phase {
            // What has gone wrong is made good at any hour.
            Phase::RollingBack => true,
            Phase::Active => self.head.failing.is_none() && self.is_open(clock, now),
            _ => false,
        }
    }

    /// How many more devices may be begun.
    pub(super) fn room(&mut self, now: UnixTime) -> usize {
        // A clock that was set back must not keep the pace for ever.
        while let Some(start) = self.starts.front()
            && (*start <= now - PACE_SECONDS || *start > now)
        {
            self.starts.pop_front();
        }
        let pace = self.definition.pace;
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let at_once = size(pace.at_once).saturating_sub(self.holding);
        let begun = self.starts.len() + self.reserved;
        at_once.min(size(pace.devices_per_minute).saturating_sub(begun))
    }

    /// Its turn has come.
    pub(super) fn line_up(&mut self, at: usize) {
        if let Some(entry) = self.entries.get_mut(at)
            && !std::mem::replace(&mut entry.in_line, true)
            && let Some(clock) = self.clocks.get_mut(entry.clock)
        {
            clock.fresh.push_back(at);
        }
    }

    /// The same, of one that has to be called.
    pub(super) fn line_up_to_call(&mut self, at: usize) {
        if let Some(entry) = self.entries.get_mut(at)
            && !std::mem::replace(&mut entry.in_line, true)
            && let Some(clock) = self.clocks.get_mut(entry.clock)
        {
            clock.to_call.push_back(at);
        }
    }

    /// Tasks that wait and may not any more, so many at most: of what is paused or ended, or whose
    /// window is closed.
    pub(super) fn withdrawals(&mut self, now: UnixTime, max: usize) -> Vec<Withdrawal> {
        let mut found = Vec::new();
        for clock in 0..self.clocks.len() {
            if self.may_begin(clock, now) {
                continue;
            }
            let Some(waiting) = self.clock(clock) else {
                continue;
            };
            let waiting: Vec<usize> = waiting
                .queued
                .iter()
                .copied()
                .filter(|at| self.entry(*at).is_some_and(|entry| !entry.busy))
                .take(max - found.len())
                .collect();
            for at in waiting {
                found.extend(self.withdraw(at, now));
            }
        }
        found
    }

    /// Takes a device's task back; what becomes of the device, by why.
    pub(super) fn withdraw(&mut self, at: usize, now: UnixTime) -> Option<Withdrawal> {
        let is_over = self.definition.schedule.is_over(now);
        let (phase, patience) = (self.head.phase, self.definition.unreachable());
        let entry = self.entries.get_mut(at)?;
        let task = entry.record.task?;
        if entry.busy || !entry.is_queued() {
            return None;
        }
        entry.busy = true;
        let mut record = entry.record.kept();
        let waited = record.queued.map_or(0, |queued| now - queued);
        let unreachable = match phase {
            Phase::Active => is_over || waited >= patience,
            Phase::RollingBack => waited >= patience,
            _ => false,
        };
        if unreachable {
            record.state = DeviceState::Unreachable;
            record.ended = Some(now);
            record.because(format!("it did not come in {waited} s"));
        } else {
            // This was no attempt: nothing was tried.
            record.state = DeviceState::Pending;
            record.attempts = record.attempts.saturating_sub(1);
        }
        Some(Withdrawal {
            at,
            device: Arc::clone(&entry.id),
            task,
            record,
        })
    }

    /// The task is taken back, and the record kept.
    pub fn withdrawn(&mut self, withdrawal: Withdrawal, now: UnixTime) {
        let Withdrawal { at, record, .. } = withdrawal;
        let state = record.state;
        self.count(at, false);
        if let Some(entry) = self.entries.get_mut(at) {
            entry.busy = false;
            entry.due = None;
            entry.record = record;
        }
        self.count(at, true);
        match state {
            DeviceState::Unreachable => self.ended_unreachable(at, now),
            _ => self.line_up(at),
        }
    }

    /// It was too late for that: the task was sent, or has ended.
    pub fn not_withdrawn(&mut self, at: usize) {
        if let Some(entry) = self.entries.get_mut(at) {
            entry.busy = false;
        }
    }
}
