//! A world for an engine: a store that keeps what it is told to and nothing else, devices that do
//! what they are made to do, and a time of its own.

mod cases;
mod newcomers;
mod properties;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use cpe_sim::Seed;
use serde_json::{Value, json};

use super::super::record::{CampaignId, CampaignState, DeviceState, Head, Record};
use super::{Called, Candidate, Engine, Informed, Look, Start};
use crate::device::{DeviceKey, UnixTime};
use crate::work::campaign::Definition;
use crate::work::task::{OUTCOME_UNKNOWN, Task, TaskError, TaskId, TaskState};

/// A Monday, at midnight UTC.
const START: UnixTime = 1_780_272_000;
const ID: CampaignId = CampaignId(7);
const OLD: &str = "1.0";
const NEW: &str = "2.0";

/// What a device does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Behaviour {
    /// A call opens a session.
    can_be_called: bool,
    /// It comes by itself each so many seconds; 0: never.
    comes_every: i64,
    /// Its first tasks fail with this fault.
    faults: u32,
    fault: u32,
    /// It never comes back from what was done to it.
    stays_away: bool,
    /// The session breaks off after the operation was sent.
    breaks_off: bool,
    /// The operation takes so long.
    takes: i64,
    /// It is in short-inform mode.
    short: bool,
}

const GOOD: Behaviour = Behaviour {
    can_be_called: true,
    comes_every: 0,
    faults: 0,
    fault: 9010,
    stays_away: false,
    breaks_off: false,
    takes: 20,
    short: false,
};

#[derive(Debug, Clone)]
struct Device {
    does: Behaviour,
    version: String,
    /// When the operation left for it, each time, and of which task.
    sent: Vec<(UnixTime, TaskId)>,
    /// What it is at, and until when.
    busy: Option<(UnixTime, TaskId)>,
    gone: bool,
}

/// What is kept, and survives a crash.
#[derive(Debug, Clone, Default)]
struct Kept {
    head: Head,
    records: BTreeMap<Arc<str>, Record>,
    tasks: BTreeMap<TaskId, Task>,
    log: Vec<String>,
}

struct World {
    now: UnixTime,
    definition: Arc<Definition>,
    kept: Kept,
    devices: BTreeMap<Arc<str>, Device>,
    /// `None`: the host is down.
    engine: Option<Engine>,
    wakes: VecDeque<(Arc<str>, bool)>,
    /// Versions that the file store has.
    files: BTreeSet<String>,
    /// Devices with which another campaign is at work, and why that does not go together.
    in_the_way: BTreeMap<Arc<str>, String>,
    /// Calls, to count them.
    called: Vec<Arc<str>>,
    /// Where a crash comes, of the places where one may.
    crash: Option<Crash>,
    /// Which devices open a session while they are looked at.
    meanwhile: Option<Seed>,
}

struct Crash {
    seed: Seed,
    share: f64,
    crashes: u32,
}

fn firmware() -> Value {
    json!({ "op": "download", "file_type": "1 Firmware Upgrade Image", "url": "http://x/y" })
}

fn definition(changes: Value) -> Definition {
    let mut json =
        json!({ "name": "test", "operation": firmware(), "schedule": { "time_zone": "UTC" } });
    for (key, value) in changes.as_object().unwrap() {
        json[key] = value.clone();
    }
    let definition: Definition = serde_json::from_value(json).unwrap();
    definition.check().unwrap();
    definition
}

impl World {
    fn new(changes: Value, devices: &[Behaviour]) -> World {
        let definition = Arc::new(definition(changes));
        let named = devices.iter().enumerate().map(|(number, does)| {
            let device = Device {
                does: *does,
                version: OLD.to_owned(),
                sent: Vec::new(),
                busy: None,
                gone: false,
            };
            (Arc::from(format!("d{number:04}")), device)
        });
        let devices: BTreeMap<Arc<str>, Device> = named.collect();
        let dealt = super::waves::deal(ID, &definition.waves, devices.keys().cloned().collect());
        let records = dealt.into_iter().map(|(device, wave)| {
            let record = Record {
                wave,
                ..Record::default()
            };
            (device, record)
        });
        let mut engine = Engine::new(ID, Arc::clone(&definition), Head::default(), records);
        engine.start(Some(NEW.to_owned()), START);
        let mut world = World {
            now: START,
            definition,
            kept: Kept::default(),
            devices,
            engine: Some(engine),
            wakes: VecDeque::new(),
            files: BTreeSet::from([OLD.to_owned(), NEW.to_owned()]),
            in_the_way: BTreeMap::new(),
            called: Vec::new(),
            crash: None,
            meanwhile: None,
        };
        world.keep();
        world
    }

    fn engine(&mut self) -> &mut Engine {
        self.engine.as_mut().expect("the host is up")
    }

    fn state(&mut self) -> CampaignState {
        let now = self.now;
        self.engine().state(now).0
    }

    fn counts(&self, state: DeviceState) -> usize {
        let records = self.kept.records.values();
        records.filter(|record| record.state == state).count()
    }

    fn log(&self) -> String {
        self.kept.log.join("\n")
    }

    /// Whether the host dies here.
    fn dies(&mut self) -> bool {
        let Some(crash) = &mut self.crash else {
            return false;
        };
        let dies = crash.seed.fraction() < crash.share;
        if dies {
            crash.crashes += 1;
            self.engine = None;
        }
        dies
    }

    /// Whether a device opens a session while it is looked at.
    fn comes_meanwhile(&mut self) -> bool {
        let seed = self.meanwhile.as_mut();
        seed.is_some_and(|seed| seed.below(3) == 0)
    }

    fn restart(&mut self) {
        let records = self.kept.records.clone();
        let given: Vec<(Arc<str>, Option<Task>)> = records
            .iter()
            .filter(|(_, record)| !record.state.is_end())
            .filter_map(|(device, record)| {
                let task = self.kept.tasks.get(&record.task?).cloned();
                Some((Arc::clone(device), task))
            })
            .collect();
        let definition = Arc::clone(&self.definition);
        let mut engine = Engine::new(ID, definition, self.kept.head.clone(), records);
        for (device, task) in given {
            match task {
                Some(task) => {
                    let version = self.devices[&device].version.clone();
                    engine.task_moved(&task, &version, self.now);
                }
                None => engine.task_lost(&device, self.now),
            }
        }
        engine.go_on();
        self.engine = Some(engine);
        // Who was called comes all the same, and nobody hears of it.
        self.wakes.clear();
    }

    fn keep(&mut self) {
        let changes = self.engine().take_changes();
        if let Some(head) = changes.head {
            self.kept.head = head;
        }
        self.kept.records.extend(changes.devices);
        let lines = changes.log.into_iter().map(|(_, line)| line.text);
        self.kept.log.extend(lines);
    }

    /// A round of the host, as the driver has it.
    fn round(&mut self) {
        if self.engine.is_none() {
            self.restart();
        }
        let now = self.now;
        while let Some((device, opened)) = self.wakes.pop_front() {
            let called = if opened { Called::Came } else { Called::InVain };
            self.engine().wake_ended(&device, called, now);
        }
        for withdrawal in self.engine().step(now, 1_000) {
            if self.dies() {
                return;
            }
            let task = self.kept.tasks.get_mut(&withdrawal.task).unwrap();
            if task.state == TaskState::Queued {
                task.state = TaskState::Cancelled;
                let record = withdrawal.record.clone();
                self.kept
                    .records
                    .insert(Arc::clone(&withdrawal.device), record);
                if self.dies() {
                    return;
                }
                self.engine().withdrawn(withdrawal, now);
            } else {
                self.engine().not_withdrawn(withdrawal.at);
            }
        }
        let candidates = self.engine().candidates(now, 1_000);
        let mut starts = Vec::new();
        for candidate in candidates {
            let look = self.look(&candidate);
            if self.comes_meanwhile() {
                self.session(&candidate.device, false);
            }
            starts.extend(self.engine().looked(candidate.at, look, now));
        }
        if self.dies() {
            return;
        }
        self.keep();
        for start in starts {
            if self.dies() {
                return;
            }
            let (at, task) = (start.at, self.begin(start));
            if self.dies() {
                return;
            }
            self.engine().begun(at, task);
        }
        for device in self.engine().take_calls() {
            self.called.push(Arc::clone(&device));
            let can = {
                let known = &self.devices[&device];
                known.does.can_be_called && !known.gone
            };
            if can {
                self.session(&device, false);
            }
            self.wakes.push_back((device, can));
            if self.engine.is_none() {
                return;
            }
        }
        if self.dies() {
            return;
        }
        self.keep();
    }

    fn look(&self, candidate: &Candidate) -> Look {
        let other = self.in_the_way.get(&candidate.device);
        if let Some(other) = other.filter(|_| candidate.is_late) {
            return Look::InTheWay(other.clone());
        }
        let device = &self.devices[&candidate.device];
        let target = match &candidate.back_to {
            Some(version) if !self.files.contains(version) => {
                return Look::Skip(format!("the file store has no firmware {version} for it"));
            }
            Some(version) => version.as_str(),
            None => NEW,
        };
        let is_firmware = self.definition.operation.brings_firmware();
        if is_firmware && device.version == target && !candidate.has_task {
            return Look::Has(format!("it has version {target}"));
        }
        Look::Go {
            version: device.version.clone(),
            by_itself: device.does.short,
        }
    }

    /// Task and record, in one batch.
    fn begin(&mut self, start: Start) -> TaskId {
        let id = TaskId(self.kept.tasks.len() as u64 + 1);
        let key = DeviceKey {
            instance: "default".into(),
            id: Arc::clone(&start.device),
        };
        let operation = self.definition.operation.clone();
        let mut task = Task::queued(id, &key, operation, self.now);
        task.campaign = Some(ID);
        (task.expires, task.priority) = (start.expires, start.priority);
        self.kept.tasks.insert(id, task);
        let mut record = start.record;
        record.task = Some(id);
        self.kept.records.insert(start.device, record);
        id
    }

    /// A session of a device: it may take its tasks.
    fn session(&mut self, device: &Arc<str>, booted: bool) {
        let now = self.now;
        let version = self.devices[device].version.clone();
        if let Some(engine) = &mut self.engine {
            let informed = Informed {
                at: now,
                booted,
                version: version.clone(),
            };
            engine.informed(device, &informed, now);
        }
        let waiting = self.kept.tasks.values().filter(|task| {
            let is_safe = task.operation.is_repeatable();
            let waits = task.state == TaskState::Queued
                || (task.state == TaskState::Sent && task.accepted.is_none() && is_safe);
            *task.device == **device && waits
        });
        let waiting: Vec<TaskId> = waiting.map(|task| task.id).collect();
        for id in waiting {
            let admitted = match &mut self.engine {
                Some(engine) => engine.admit(device, id, &version, now),
                None => false,
            };
            if admitted {
                self.send(device, id);
            }
        }
    }

    fn send(&mut self, device: &Arc<str>, id: TaskId) {
        let now = self.now;
        let task = self.kept.tasks.get_mut(&id).unwrap();
        task.state = TaskState::Sent;
        task.sent = Some(now);
        let known = self.devices.get_mut(device).unwrap();
        known.sent.push((now, id));
        if !known.does.breaks_off {
            task.accepted = Some(now);
            known.busy = Some((now + known.does.takes, id));
        } else {
            known.does.breaks_off = false;
            known.does.comes_every = known.does.comes_every.max(30);
        }
        self.tell(id);
    }

    fn tell(&mut self, id: TaskId) {
        let task = self.kept.tasks[&id].clone();
        let version = self.devices[task.device.as_str()].version.clone();
        let now = self.now;
        if let Some(engine) = &mut self.engine {
            engine.task_moved(&task, &version, now);
        }
    }

    fn end_task(&mut self, id: TaskId, state: TaskState, error: Option<TaskError>) {
        let task = self.kept.tasks.get_mut(&id).unwrap();
        (task.state, task.ended, task.error) = (state, Some(self.now), error);
        self.tell(id);
    }

    /// What the devices do by themselves.
    fn devices_live(&mut self) {
        let names: Vec<Arc<str>> = self.devices.keys().cloned().collect();
        for name in names {
            let device = self.devices.get_mut(&name).unwrap();
            if let Some((until, id)) = device.busy
                && until <= self.now
            {
                device.busy = None;
                self.finish_operation(&name, id);
                continue;
            }
            let device = &self.devices[&name];
            let every = device.does.comes_every;
            let comes = every > 0 && self.now % every < STEP && device.busy.is_none();
            if comes && !device.gone {
                // What was sent before, and must not be sent again, has no outcome.
                let lost = self.kept.tasks.values().find(|task| {
                    let unanswered = task.state == TaskState::Sent && task.accepted.is_none();
                    *task.device == *name && unanswered && !task.operation.is_repeatable()
                });
                if let Some(id) = lost.map(|task| task.id) {
                    let error = TaskError::new(format!("{OUTCOME_UNKNOWN}: the session ended"));
                    self.end_task(id, TaskState::Failed, Some(error));
                }
                self.session(&name, false);
            }
        }
    }

    fn finish_operation(&mut self, name: &Arc<str>, id: TaskId) {
        let back = self.kept.records[name].back;
        let is_firmware = self.definition.operation.brings_firmware();
        let device = self.devices.get_mut(name).unwrap();
        if device.does.faults > 0 {
            device.does.faults -= 1;
            let error = TaskError {
                code: Some(device.does.fault),
                ..TaskError::new("no")
            };
            self.end_task(id, TaskState::Failed, Some(error));
            return;
        }
        if device.does.stays_away {
            device.gone = true;
            if !is_firmware {
                // A reboot is answered before it is done.
                self.end_task(id, TaskState::Done, None);
            }
            return;
        }
        if is_firmware {
            device.version = if back { OLD } else { NEW }.to_owned();
            self.end_task(id, TaskState::Done, None);
        } else {
            self.end_task(id, TaskState::Done, None);
            self.session(name, true);
        }
    }

    /// Lets time pass, in steps.
    fn run(&mut self, seconds: i64) {
        let end = self.now + seconds;
        while self.now < end {
            self.devices_live();
            self.expire();
            self.round();
            self.now += STEP;
        }
    }

    fn expire(&mut self) {
        let over = self.kept.tasks.values().filter(|task| {
            task.state == TaskState::Queued && task.expires.is_some_and(|e| e <= self.now)
        });
        let over: Vec<TaskId> = over.map(|task| task.id).collect();
        for id in over {
            self.end_task(id, TaskState::Expired, None);
        }
    }
}

/// Seconds of a step.
const STEP: i64 = 5;
