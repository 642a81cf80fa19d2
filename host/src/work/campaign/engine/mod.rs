//! Decides what a campaign does next, from what it is told and the time. Pure.
//!
//! What it decides is done by others, in this order: its changes are kept ([`Engine::take_changes`]),
//! tasks are taken back ([`Engine::step`], [`Engine::withdrawn`]), tasks are made
//! ([`Engine::candidates`], [`Engine::looked`], [`Engine::begun`]), devices are called
//! ([`Engine::take_calls`]). A task that is made is kept in one batch with the record that names it.
//! Between, sessions ask whether a task may be sent ([`Engine::admit`]): only there a device is
//! begun, and only while there is room, a window, and nobody has paused it.

mod course;
mod ends;
mod going;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::definition::{Definition, What};
use super::record::{
    CampaignId, CampaignState, Counts, DeviceState, Head, LogLine, Phase, Record, Waits,
};
use super::schedule::{Open, zone};
use super::waves;
use crate::device::UnixTime;
use crate::events::{CampaignEvent, CampaignStep};
use crate::work::task::TaskId;

pub use going::{Candidate, Look, Start, Withdrawal};

pub use ends::{Called, Informed};

/// Lines that are kept of a campaign's log.
pub const LOG_LINES_MAX: u64 = 500;
/// The pace is counted over so many seconds.
const PACE_SECONDS: i64 = 60;

/// A campaign that is under way.
#[derive(Debug)]
pub struct Engine {
    id: CampaignId,
    definition: Arc<Definition>,
    what: What,
    head: Head,
    /// In the order in which they are begun.
    entries: Vec<Entry>,
    by_id: HashMap<Arc<str>, usize>,
    /// The operator's first.
    clocks: Vec<Clock>,
    clock_of: HashMap<String, usize>,
    counts: Vec<Counts>,
    /// Devices that count for `pace.at_once`.
    holding: usize,
    /// Devices that are called and have no place in `starts` yet.
    reserved: usize,
    /// When devices were begun, of the last minute.
    starts: VecDeque<UnixTime>,
    /// What time ends, the soonest first.
    due: BTreeSet<(UnixTime, usize)>,
    /// To be called: the task is there, or the device has to tell whether it is back.
    calls: Vec<Arc<str>>,
    dirty: Vec<usize>,
    head_dirty: bool,
    log: Vec<(u64, LogLine)>,
    events: Vec<CampaignEvent>,
    shown: Option<CampaignState>,
}

/// A device of the campaign.
#[derive(Debug)]
struct Entry {
    id: Arc<str>,
    record: Record,
    clock: usize,
    reach: Reach,
    /// It stands in a queue of its clock.
    in_line: bool,
    /// Its task is being made, or taken back.
    busy: bool,
    is_dirty: bool,
    /// It was asked whether it is back.
    asked: bool,
    /// How often it was called in vain.
    calls: u8,
    /// The device was deleted.
    gone: bool,
    due: Option<UnixTime>,
}

/// How a device with a queued task comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Reach {
    /// It is called, and has its place among those under way.
    Called,
    /// When it likes: it cannot be called.
    #[default]
    ByItself,
}

/// Devices with the same time zone.
#[derive(Debug)]
struct Clock {
    zone: TimeZone,
    /// When it was looked at, and what came of it.
    looked: Option<(UnixTime, Open)>,
    /// Their turn has come; how they can be reached is not known yet.
    fresh: VecDeque<usize>,
    /// Their turn has come, and they have to be called: as soon as there is room.
    to_call: VecDeque<usize>,
    /// Their task is queued.
    queued: BTreeSet<usize>,
}

/// What is to be kept.
#[derive(Debug, Default)]
pub struct Changes {
    /// How far the campaign is.
    pub head: Option<Head>,
    /// Devices with their records.
    pub devices: Vec<(Arc<str>, Record)>,
    /// Lines of the log with their numbers.
    pub log: Vec<(u64, LogLine)>,
}

impl Changes {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.head.is_none() && self.devices.is_empty() && self.log.is_empty()
    }
}

impl Engine {
    /// A campaign as it was kept. What has come of tasks that are queued there has to be told by
    /// [`Engine::task_moved`] before anything else.
    pub fn new(
        id: CampaignId,
        definition: Arc<Definition>,
        head: Head,
        devices: impl IntoIterator<Item = (Arc<str>, Record)>,
    ) -> Engine {
        let operators = Clock::new(definition.schedule.operators_zone());
        let what = What::of(&definition.operation);
        let mut engine = Engine {
            id,
            definition,
            what,
            head,
            entries: Vec::new(),
            by_id: HashMap::new(),
            clocks: vec![operators],
            clock_of: HashMap::new(),
            counts: Vec::new(),
            holding: 0,
            reserved: 0,
            starts: VecDeque::new(),
            due: BTreeSet::new(),
            calls: Vec::new(),
            dirty: Vec::new(),
            head_dirty: false,
            log: Vec::new(),
            events: Vec::new(),
            shown: None,
        };
        let mut devices: Vec<_> = devices.into_iter().collect();
        devices.sort_by_cached_key(|(device, _)| (waves::rank(id, device), Arc::clone(device)));
        for (device, mut record) in devices {
            if record.state == DeviceState::Queued && record.task.is_none() {
                // The host stopped before the task was made.
                record.state = DeviceState::Pending;
                record.attempts = record.attempts.saturating_sub(1);
            }
            engine.starts.extend(record.begun);
            engine.insert(device, record);
        }
        engine.starts.make_contiguous().sort_unstable();
        engine
    }

    /// Its number.
    pub fn id(&self) -> CampaignId {
        self.id
    }

    /// What it is to do.
    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// How far it is, with what can be counted.
    pub fn head(&self) -> Head {
        Head {
            counts: self.counts.clone(),
            ..self.head.clone()
        }
    }

    /// A device of it.
    pub fn device(&self, device: &str) -> Option<&Record> {
        self.entry(*self.by_id.get(device)?)
            .filter(|entry| !entry.gone)
            .map(|entry| &entry.record)
    }

    /// All its devices, in the order in which they are begun.
    pub fn devices(&self) -> impl Iterator<Item = (&Arc<str>, &Record)> {
        let there = self.entries.iter().filter(|entry| !entry.gone);
        there.map(|entry| (&entry.id, &entry.record))
    }

    /// Devices of it that a session may tell something of: they have the task, or have to come
    /// back.
    pub fn is_awaited(&self, device: &str) -> bool {
        self.device(device).is_some_and(|record| {
            matches!(record.state, DeviceState::Sent | DeviceState::Verifying)
        })
    }

    /// Where it stands, and what it waits for.
    pub fn state(&mut self, now: UnixTime) -> (CampaignState, Option<Waits>) {
        let plain = match self.head.phase {
            Phase::Draft => CampaignState::Draft,
            Phase::Paused => CampaignState::Paused,
            Phase::Aborting => CampaignState::Aborting,
            Phase::RollingBack => CampaignState::RollingBack,
            Phase::Aborted => CampaignState::Aborted,
            Phase::Done => CampaignState::Done,
            Phase::Active if self.head.failing.is_some() => CampaignState::Aborting,
            Phase::Active => return self.active_state(now),
        };
        (plain, None)
    }

    fn active_state(&mut self, now: UnixTime) -> (CampaignState, Option<Waits>) {
        let start = self.definition.schedule.start;
        if start.is_some_and(|start| start.as_second() > now) {
            return (CampaignState::Scheduled, Some(Waits::Start));
        }
        if self.holding > 0 {
            return (CampaignState::Running, None);
        }
        let counts = self.counts.iter().take(usize::from(self.head.wave) + 1);
        let left: u32 = counts.map(Counts::to_come).sum();
        if left == 0 {
            let waits = match self.next_wave() {
                Some(next) if self.needs_approval(next) => Waits::Approval,
                Some(_) => Waits::Wave,
                None if self.definition.also_new_devices => Waits::Devices,
                None => return (CampaignState::Running, None),
            };
            return (CampaignState::Waiting, Some(waits));
        }
        let any_open = (0..self.clocks.len()).any(|clock| {
            let used = clock == 0 || self.clock(clock).is_some_and(Clock::is_used);
            used && self.is_open(clock, now)
        });
        if any_open {
            return (CampaignState::Running, None);
        }
        (CampaignState::Waiting, Some(Waits::Window))
    }

    /// When the windows that hold now end or those that are closed open, whichever is sooner.
    pub fn next_change(&mut self, now: UnixTime) -> Option<UnixTime> {
        let changes = (0..self.clocks.len()).filter_map(|clock| match self.open(clock, now) {
            Open::Until(at) | Open::Not(at) => at,
        });
        changes.min()
    }

    /// What is to be kept since the last call.
    pub fn take_changes(&mut self) -> Changes {
        let mut changes = Changes {
            log: std::mem::take(&mut self.log),
            ..Changes::default()
        };
        for at in std::mem::take(&mut self.dirty) {
            let Some(entry) = self.entries.get_mut(at) else {
                continue;
            };
            entry.is_dirty = false;
            if !entry.gone {
                changes
                    .devices
                    .push((Arc::clone(&entry.id), entry.record.kept()));
            }
        }
        if std::mem::take(&mut self.head_dirty) || !changes.log.is_empty() {
            changes.head = Some(self.head());
        }
        changes
    }

    /// What the systems around are to be told since the last call.
    pub fn take_events(&mut self) -> Vec<CampaignEvent> {
        std::mem::take(&mut self.events)
    }

    /// Devices to call: those that have a task, and those that have to tell that they are back.
    pub fn take_calls(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.calls)
    }

    /// Takes devices in that have come to match the query since.
    pub fn add(&mut self, devices: impl IntoIterator<Item = (Arc<str>, Option<String>)>) -> usize {
        let mut added = 0;
        for (device, zone) in devices {
            if self.by_id.contains_key(&device) {
                continue;
            }
            let wave = waves::of_newcomer(self.id, &device, self.head.wave, self.head.waves);
            let record = Record {
                wave,
                zone,
                late: true,
                ..Record::default()
            };
            let at = self.insert(device, record);
            self.mark(at);
            if wave <= self.head.wave {
                self.line_up(at);
            }
            added += 1;
        }
        if added > 0 && self.head.waves == 0 {
            self.head.waves = 1;
        }
        self.head_dirty |= added > 0;
        added
    }

    /// The device was deleted.
    pub fn remove(&mut self, device: &str) {
        let Some(at) = self.by_id.remove(device) else {
            return;
        };
        self.change(at, |entry| {
            entry.gone = true;
            entry.due = None;
        });
    }

    fn insert(&mut self, id: Arc<str>, record: Record) -> usize {
        let clock = self.clock_for(record.zone.as_deref());
        let at = self.entries.len();
        self.by_id.insert(Arc::clone(&id), at);
        self.entries.push(Entry {
            id,
            record,
            clock,
            reach: Reach::ByItself,
            in_line: false,
            busy: false,
            is_dirty: false,
            asked: false,
            calls: 0,
            gone: false,
            due: None,
        });
        self.count(at, true);
        at
    }

    /// Which clock a device has.
    fn clock_for(&mut self, name: Option<&str>) -> usize {
        let name = name.filter(|_| self.definition.schedule.is_by_device());
        let Some(name) = name else { return 0 };
        if let Some(known) = self.clock_of.get(name) {
            return *known;
        }
        let Some(zone) = zone(name) else { return 0 };
        let clock = self.clocks.len();
        self.clocks.push(Clock::new(zone));
        self.clock_of.insert(name.to_owned(), clock);
        clock
    }

    fn entry(&self, at: usize) -> Option<&Entry> {
        self.entries.get(at)
    }

    fn clock(&self, clock: usize) -> Option<&Clock> {
        self.clocks.get(clock)
    }

    /// Whether devices of this clock may be begun, as far as the schedule goes.
    fn open(&mut self, clock: usize, now: UnixTime) -> Open {
        let definition = Arc::clone(&self.definition);
        let Some(clock) = self.clocks.get_mut(clock) else {
            return Open::Not(None);
        };
        if let Some((looked, open)) = clock.looked {
            let (Open::Until(until) | Open::Not(until)) = open;
            // A clock that was set back is looked at again.
            if looked <= now && until.is_none_or(|until| now < until) {
                return open;
            }
        }
        let open = definition.schedule.open(&clock.zone, now);
        clock.looked = Some((now, open));
        open
    }

    fn is_open(&mut self, clock: usize, now: UnixTime) -> bool {
        self.open(clock, now).is_open()
    }

    /// Changes a device, and all that is counted of it.
    fn change(&mut self, at: usize, change: impl FnOnce(&mut Entry)) {
        self.count(at, false);
        let mut changed = false;
        if let Some(entry) = self.entries.get_mut(at) {
            let before = entry.record.kept();
            change(entry);
            changed = entry.record.kept() != before;
        }
        self.count(at, true);
        if changed {
            self.mark(at);
        }
    }

    fn mark(&mut self, at: usize) {
        if let Some(entry) = self.entries.get_mut(at)
            && !std::mem::replace(&mut entry.is_dirty, true)
        {
            self.dirty.push(at);
        }
    }

    /// Counts a device in or out.
    fn count(&mut self, at: usize, is_in: bool) {
        let Some(entry) = self.entries.get(at) else {
            return;
        };
        let (wave, state) = (usize::from(entry.record.wave), entry.record.state);
        if self.counts.len() <= wave {
            self.counts.resize(wave + 1, Counts::default());
        }
        let one = |number: &mut usize, counts: bool| match (counts, is_in) {
            (false, _) => {}
            (true, true) => *number += 1,
            (true, false) => *number = number.saturating_sub(1),
        };
        one(&mut self.holding, entry.holds());
        one(&mut self.reserved, entry.is_reserved());
        let is_queued = entry.is_queued();
        if let Some(due) = entry.due {
            if is_in {
                self.due.insert((due, at));
            } else {
                self.due.remove(&(due, at));
            }
        }
        if let Some(clock) = self.clocks.get_mut(entry.clock)
            && is_queued
        {
            if is_in {
                clock.queued.insert(at);
            } else {
                clock.queued.remove(&at);
            }
        }
        if let Some(counts) = self.counts.get_mut(wave)
            && !entry.gone
        {
            let number = counts.of_mut(state);
            *number = if is_in {
                *number + 1
            } else {
                number.saturating_sub(1)
            };
        }
    }

    fn note(&mut self, now: UnixTime, text: impl Into<String>) {
        let line = LogLine {
            at: now,
            text: text.into(),
        };
        self.log.push((self.head.log_next, line));
        self.head.log_next += 1;
    }

    /// The same, of what the systems around are told too. The wave from 0.
    fn tell(&mut self, now: UnixTime, step: CampaignStep, wave: Option<u16>, text: String) {
        self.events.push(CampaignEvent {
            campaign: self.id.to_string(),
            wave: wave.map(|wave| u32::from(wave) + 1),
            reason: Some(text.clone()),
            step,
        });
        self.note(now, text);
    }
}

impl Entry {
    /// Whether it counts for `pace.at_once`.
    fn holds(&self) -> bool {
        !self.gone
            && match self.record.state {
                DeviceState::Waking | DeviceState::Sent | DeviceState::Verifying => true,
                DeviceState::Queued => self.reach == Reach::Called,
                _ => false,
            }
    }

    /// Whether a place in `pace.devices_per_minute` is kept for it.
    fn is_reserved(&self) -> bool {
        let is_called = match self.record.state {
            DeviceState::Waking => true,
            DeviceState::Queued => self.reach == Reach::Called,
            _ => false,
        };
        is_called && !self.gone
    }

    /// Whether it may be given a task, or be called for the one that it has.
    fn is_candidate(&self) -> bool {
        let waits = self.record.state.is_before() || self.has_queued_task();
        waits && !self.gone && !self.busy
    }

    /// Its task waits, and nobody calls the device.
    fn has_queued_task(&self) -> bool {
        self.record.state == DeviceState::Queued
    }

    fn is_queued(&self) -> bool {
        !self.gone && matches!(self.record.state, DeviceState::Queued | DeviceState::Waking)
    }
}

impl Clock {
    fn new(zone: TimeZone) -> Clock {
        Clock {
            zone,
            looked: None,
            fresh: VecDeque::new(),
            to_call: VecDeque::new(),
            queued: BTreeSet::new(),
        }
    }

    fn is_used(&self) -> bool {
        !(self.fresh.is_empty() && self.to_call.is_empty() && self.queued.is_empty())
    }
}

/// The version that a device must have afterwards.
fn expected_version<'a>(record: &'a Record, head: &'a Head) -> Option<&'a str> {
    let version = if record.back {
        record.version_before.as_deref()
    } else {
        head.target_version.as_deref()
    };
    version.filter(|version| !version.is_empty())
}

/// A task is the device's, unless it was given another one since.
fn has_task(record: &Record, task: TaskId) -> bool {
    record.task == Some(task)
}
