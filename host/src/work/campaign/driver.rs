//! The campaigns that are under way, and the one task that does what their engines decide.
//!
//! All that happens to a campaign comes through one channel, in the order in which it happened, so
//! that an engine never hears of a boot before it hears of the reboot's answer. Only
//! [`Campaigns::admits`] goes past it: a session asks there, and gets its answer at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{mpsc, oneshot, watch};

use super::engine::{Called, Engine, Informed, Look, Start};
use super::newcomers::Newcomers;
use super::record::{CampaignId, Phase};
use super::verbs::CampaignError;
use crate::Acs;
use crate::device::{DeviceKey, UnixTime};
use crate::events::{CampaignEvent, Event, What};
use crate::nat::probe::is_known_beforehand;
use crate::nat::wake::{WakeAttempt, WakeReport, WakeState};
use crate::store::{CampaignDeviceFilter, StoreError, Told};
use crate::work::task::{Operation, Task, TaskState};

/// How often time is looked at.
const TICK: Duration = Duration::from_millis(500);
/// What one round of a campaign does at most of each: tasks made, tasks taken back.
const ROUND_MAX: usize = 256;
/// What is heard between two rounds.
const HEARD_MAX: usize = 5_000;
/// Records that are read at once.
const PAGE: usize = 5_000;

type Key = (Arc<str>, CampaignId);

/// Who waits for a command, and what came of it.
type Answer = (oneshot::Sender<Result<(), String>>, Result<(), String>);

/// The campaigns that are under way.
pub struct Campaigns {
    going: RwLock<HashMap<Key, Arc<Going>>>,
    /// Those that somebody changes, starts or removes.
    changing: Mutex<HashSet<Key>>,
    /// Held from the look for conflicts until the campaign is seen by others.
    pub(super) starting: tokio::sync::Mutex<()>,
    /// All that were under way when the host stopped are there again.
    is_ready: AtomicBool,
    // Not bounded: what is in it is bounded by the devices of the campaigns that are under way,
    // and nobody who tells something could wait.
    messages: mpsc::UnboundedSender<Message>,
    inbox: Mutex<Option<mpsc::UnboundedReceiver<Message>>>,
}

/// A campaign that is under way.
pub(super) struct Going {
    pub(super) instance: Arc<str>,
    pub(super) id: CampaignId,
    pub(super) engine: Mutex<Engine>,
    pub(super) newcomers: Mutex<Newcomers>,
}

/// What somebody wants of a campaign that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Begin no further device.
    Pause {
        /// Who, and why.
        why: String,
    },
    /// Go on.
    Resume {
        /// Who.
        who: String,
    },
    /// Begin no further device, for good.
    Abort {
        /// Who, and why.
        why: String,
    },
    /// The next wave may begin.
    Approve {
        /// Who.
        who: String,
    },
    /// Devices get back the firmware that they had.
    RollBack {
        /// Of this wave, from 0; none: of all.
        wave: Option<u16>,
        /// Who, and why.
        why: String,
    },
}

enum Message {
    Told(Told),
    Informed(DeviceKey, Informed),
    WakeEnded(DeviceKey, Called),
    Command(Key, Command, oneshot::Sender<Result<(), String>>),
    /// There is something to do.
    Go,
}

/// As long as it is there, nobody else changes the campaign.
pub(super) struct Busy<'a> {
    campaigns: &'a Campaigns,
    key: Key,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.campaigns.changing.lock().remove(&self.key);
    }
}

impl Default for Campaigns {
    fn default() -> Campaigns {
        let (messages, inbox) = mpsc::unbounded_channel();
        Campaigns {
            going: RwLock::default(),
            changing: Mutex::default(),
            starting: tokio::sync::Mutex::default(),
            is_ready: AtomicBool::new(false),
            messages,
            inbox: Mutex::new(Some(inbox)),
        }
    }
}

impl Campaigns {
    /// Whether a session may send a task now; tasks of no campaign it always may. A device whose
    /// task may be sent counts as begun. `version`: the one that it informs with.
    pub fn admits(&self, task: &Task, version: &str, now: UnixTime) -> bool {
        let Some(id) = task.campaign else {
            return true;
        };
        if !self.is_ready.load(Ordering::Acquire) {
            return false;
        }
        match self.get(&task.instance, id) {
            Some(going) => going
                .engine
                .lock()
                .admit(&task.device, task.id, version, now),
            // What a campaign left behind when it ended is made an end of, if it had begun.
            None => task.state == TaskState::Sent,
        }
    }

    /// A session of a device has begun.
    pub fn informed(&self, device: &DeviceKey, informed: impl FnOnce() -> Informed) {
        let is_awaited = {
            let going = self.going.read();
            going.values().any(|going| {
                going.instance == device.instance && going.engine.lock().is_awaited(&device.id)
            })
        };
        if is_awaited {
            self.tell(Message::Informed(device.clone(), informed()));
        }
    }

    /// How many are under way.
    pub fn count(&self) -> usize {
        self.going.read().len()
    }

    pub(super) fn get(&self, instance: &str, id: CampaignId) -> Option<Arc<Going>> {
        let going = self.going.read();
        if going.is_empty() {
            return None;
        }
        going.get(&(Arc::from(instance), id)).cloned()
    }

    pub(super) fn is_going(&self, instance: &str, id: CampaignId) -> bool {
        self.get(instance, id).is_some()
    }

    pub(super) fn of_instance(&self, instance: &str) -> Vec<Arc<Going>> {
        let going = self.going.read();
        let own = going.values().filter(|going| *going.instance == *instance);
        own.cloned().collect()
    }

    /// Keeps others from changing a campaign.
    pub(super) fn busy(&self, instance: &str, id: CampaignId) -> Result<Busy<'_>, CampaignError> {
        let key: Key = (Arc::from(instance), id);
        if !self.changing.lock().insert(key.clone()) {
            return Err(CampaignError::Conflict(format!(
                "campaign {id} is being changed by another request"
            )));
        }
        Ok(Busy {
            campaigns: self,
            key,
        })
    }

    /// From now on it is under way.
    pub(super) fn go(&self, instance: &Arc<str>, engine: Engine) {
        let going = Arc::new(Going {
            instance: Arc::clone(instance),
            id: engine.id(),
            engine: Mutex::new(engine),
            newcomers: Mutex::default(),
        });
        self.going.write().insert(going.key(), going);
        self.tell(Message::Go);
    }

    /// Waits until it is done, and kept.
    pub(super) async fn command(
        &self,
        instance: &Arc<str>,
        id: CampaignId,
        command: Command,
    ) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        self.tell(Message::Command(
            (Arc::clone(instance), id),
            command,
            answer,
        ));
        let gone = |_| "the host stops".to_owned();
        answered.await.map_err(gone)?
    }

    fn tell(&self, message: Message) {
        // Nobody hears it: the host stops.
        let _ = self.messages.send(message);
    }

    fn all(&self) -> Vec<Arc<Going>> {
        self.going.read().values().cloned().collect()
    }
}

impl Acs {
    /// Goes on with the campaigns that are under way, until `shutdown`.
    pub(crate) async fn run_campaigns(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let Some(mut inbox) = self.campaigns.inbox.lock().take() else {
            return;
        };
        let messages = self.campaigns.messages.clone();
        self.store.listen_for_campaigns(move |told| {
            let _ = messages.send(Message::Told(told.clone()));
        });
        if let Err(error) = self.load_campaigns() {
            tracing::error!(%error, "the campaigns cannot be read: none goes on");
            return;
        }
        self.campaigns.is_ready.store(true, Ordering::Release);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let first = tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => return,
                message = inbox.recv() => message,
                _ = tick.tick() => None,
            };
            let mut answers = Vec::new();
            if let Some(first) = first {
                self.hear(first, &mut answers);
                for _ in 0..HEARD_MAX {
                    let Ok(message) = inbox.try_recv() else { break };
                    self.hear(message, &mut answers);
                }
            }
            let mut failed = None;
            for going in self.campaigns.all() {
                if let Err(error) = self.advance(&going).await {
                    tracing::error!(campaign = %going.id, %error, "a campaign does not go on");
                    failed = Some(error.to_string());
                }
            }
            for (answer, result) in answers {
                let kept = failed.clone().map_or(Ok(()), Err);
                // Who asked may be gone.
                let _ = answer.send(result.and(kept));
            }
        }
    }

    fn hear(&self, message: Message, answers: &mut Vec<Answer>) {
        let now = self.clock.unix();
        match message {
            Message::Go => {}
            Message::Told(Told::Task(task)) => {
                let going = task
                    .campaign
                    .and_then(|id| self.campaigns.get(&task.instance, id));
                if let Some(going) = going {
                    let version = self.version_of(&task);
                    going.engine.lock().task_moved(&task, &version, now);
                }
            }
            Message::Told(Told::Deleted(device)) => {
                for going in self.campaigns.of_instance(&device.instance) {
                    going.engine.lock().remove(&device.id);
                }
            }
            Message::Informed(device, informed) => {
                for going in self.campaigns.of_instance(&device.instance) {
                    going.engine.lock().informed(&device.id, &informed, now);
                }
            }
            Message::WakeEnded(device, called) => {
                for going in self.campaigns.of_instance(&device.instance) {
                    going.engine.lock().wake_ended(&device.id, called, now);
                }
            }
            Message::Command((instance, id), command, answer) => {
                let result = match self.campaigns.get(&instance, id) {
                    Some(going) => command.give(&mut going.engine.lock(), now),
                    None => Err(format!("campaign {id} has ended")),
                };
                answers.push((answer, result));
            }
        }
    }

    /// The version that a task's device has, where the task's end asks for it.
    fn version_of(&self, task: &Task) -> String {
        if task.state != TaskState::Done {
            return String::new();
        }
        match self.store.device(&task.device_key()) {
            Ok(Some(cell)) => cell.lock().summary().software_version.clone(),
            _ => String::new(),
        }
    }

    /// One round of a campaign: what its engine decides is done.
    async fn advance(self: &Arc<Self>, going: &Arc<Going>) -> Result<(), StoreError> {
        let now = self.clock.unix();
        self.look_for_newcomers(going, now).await;
        let withdrawals = going.engine.lock().step(now, ROUND_MAX);
        let mut is_more = withdrawals.len() >= ROUND_MAX;
        if !withdrawals.is_empty() {
            let (instance, id) = (&going.instance, going.id);
            let results = self
                .store
                .withdraw_for_campaign(instance, id, &withdrawals, now)
                .await?;
            let mut engine = going.engine.lock();
            for (withdrawal, result) in withdrawals.into_iter().zip(results) {
                match result {
                    Ok(()) => engine.withdrawn(withdrawal, now),
                    Err(_) => engine.not_withdrawn(withdrawal.at),
                }
            }
            // What ends with them is seen in the next round.
            is_more = true;
        }
        // No file goes between the look at it and the tasks that need it.
        let files = self.files.hold().await;
        let (starts, looked) = self.choose(going, now)?;
        is_more |= looked >= ROUND_MAX;
        self.keep_changes(going).await?;
        if !starts.is_empty() {
            let (instance, id) = (&going.instance, going.id);
            let made = self
                .store
                .begin_for_campaign(instance, id, &starts, now)
                .await?;
            let mut engine = going.engine.lock();
            for ((start, _), made) in starts.into_iter().zip(made) {
                match made {
                    Ok(task) => engine.begun(start.at, task),
                    Err(error) => engine.not_begun(start.at, error.to_string(), now),
                }
            }
        }
        drop(files);
        self.call_devices(going);
        self.keep_changes(going).await?;
        let ended = {
            let head = going.engine.lock().head();
            head.phase.is_end()
        };
        if ended {
            self.campaigns.going.write().remove(&going.key());
            tracing::debug!(campaign = %going.id, "a campaign has ended");
        } else if is_more {
            self.campaigns.tell(Message::Go);
        }
        Ok(())
    }

    /// Looks at the devices whose turn has come: the tasks to make, and how many were looked at.
    fn choose(
        &self,
        going: &Going,
        now: UnixTime,
    ) -> Result<(Vec<(Start, Operation)>, usize), StoreError> {
        let (candidates, definition, head) = {
            let mut engine = going.engine.lock();
            let candidates = engine.candidates(now, ROUND_MAX);
            if candidates.is_empty() {
                return Ok((Vec::new(), 0));
            }
            (candidates, Arc::clone(engine.definition()), engine.head())
        };
        if head.phase == Phase::Active {
            let lack = self.lacks(&going.instance, &definition.operation);
            if !matches!(lack, Ok(None)) {
                // No device is to blame for that.
                let mut engine = going.engine.lock();
                let places = candidates.iter().map(|candidate| candidate.at);
                places.for_each(|at| engine.put_back(at));
                if let Some(lack) = lack? {
                    let _ = engine.pause(&format!("because {lack}"), now);
                }
                return Ok((Vec::new(), 0));
            }
        }
        let mut starts = Vec::with_capacity(candidates.len());
        let looked = candidates.len();
        for candidate in candidates {
            let (look, operation) = match self.in_the_way(going, &candidate) {
                Some(other) => (Look::InTheWay(other), None),
                None => match self.look(&going.instance, &definition, &head, &candidate) {
                    Ok(looked) => looked,
                    // The others are not kept from it.
                    Err(error) => (
                        Look::Skip(format!("its records cannot be read: {error}")),
                        None,
                    ),
                },
            };
            let start = going.engine.lock().looked(candidate.at, look, now);
            starts.extend(start.zip(operation));
        }
        Ok((starts, looked))
    }

    async fn keep_changes(&self, going: &Going) -> Result<(), StoreError> {
        let (changes, events) = {
            let mut engine = going.engine.lock();
            (engine.take_changes(), engine.take_events())
        };
        if changes.is_empty() {
            return Ok(());
        }
        for (_, line) in &changes.log {
            tracing::info!(campaign = %going.id, "{}", line.text);
        }
        self.keep_campaign(&going.instance, going.id, changes)
            .await?;
        self.emit(going, events);
        Ok(())
    }

    /// Once it is kept.
    fn emit(&self, going: &Going, events: Vec<CampaignEvent>) {
        let now = self.clock.unix();
        for event in events {
            let what = What::Campaign(event);
            self.events
                .emit(Event::of_instance(now, &going.instance, what));
        }
    }

    fn call_devices(self: &Arc<Self>, going: &Arc<Going>) {
        let calls = going.engine.lock().take_calls();
        for id in calls {
            let device = DeviceKey {
                instance: Arc::clone(&going.instance),
                id,
            };
            match self.wake(&device) {
                Ok(mut report) => {
                    let acs = Arc::clone(self);
                    tokio::spawn(async move {
                        let ended = report.wait_for(|report| report.state.is_end()).await;
                        let called = ended.map_or(Called::InVain, |report| what_came_of(&report));
                        acs.campaigns.tell(Message::WakeEnded(device, called));
                    });
                }
                // Many are called already, which is nobody's fault.
                Err(_) => going.engine.lock().not_called(&device.id),
            }
        }
    }

    /// Reads the campaigns that were under way when the host stopped.
    fn load_campaigns(self: &Arc<Self>) -> Result<(), CampaignError> {
        for instance in self.store.instances_with_campaigns()? {
            for (id, head) in self.store.campaigns(&instance, None, usize::MAX)? {
                if !head.phase.is_live() {
                    continue;
                }
                match self.load_campaign(&instance, id) {
                    Ok(engine) => self.campaigns.go(&instance, engine),
                    // One bad record must not keep the others.
                    Err(error) => {
                        tracing::error!(campaign = %id, %error, "a campaign cannot be read");
                    }
                }
            }
        }
        Ok(())
    }

    /// A campaign as it was kept, with what has come of its tasks since.
    pub(super) fn load_campaign(
        self: &Arc<Self>,
        instance: &str,
        id: CampaignId,
    ) -> Result<Engine, CampaignError> {
        let now = self.clock.unix();
        let head = self.store.campaign_head(instance, id)?;
        let head = head.ok_or(CampaignError::NotFound(id))?;
        let definition = self.definition(instance, id)?;
        let (mut devices, mut after) = (Vec::new(), None::<Arc<str>>);
        loop {
            let filter = CampaignDeviceFilter::default();
            let page = self
                .store
                .campaign_devices(instance, id, filter, after.as_deref(), PAGE)?;
            devices.extend(page.0);
            after = page.1;
            if after.is_none() {
                break;
            }
        }
        let given: Vec<(Arc<str>, _)> = devices
            .iter()
            .filter(|(_, record)| !record.state.is_end())
            .filter_map(|(device, record)| Some((Arc::clone(device), record.task?)))
            .collect();
        let mut engine = Engine::new(id, definition, head, devices);
        for (device, task) in given {
            let key = DeviceKey {
                instance: instance.into(),
                id: Arc::clone(&device),
            };
            if !self.store.is_known(&key) {
                engine.remove(&device);
                continue;
            }
            match self.store.task(instance, task)? {
                Some(task) => {
                    let version = self.version_of(&task);
                    engine.task_moved(&task, &version, now);
                }
                None => engine.task_lost(&device, now),
            }
        }
        engine.go_on();
        Ok(engine)
    }
}

fn what_came_of(report: &WakeReport) -> Called {
    let known = |attempt: &WakeAttempt| attempt.outcome.is_some_and(is_known_beforehand);
    match report.state {
        WakeState::SessionOpened => Called::Came,
        _ if report.attempts.iter().all(known) => Called::NoWay,
        _ => Called::InVain,
    }
}

impl Command {
    fn give(self, engine: &mut Engine, now: UnixTime) -> Result<(), String> {
        match self {
            Command::Pause { why } => engine.pause(&why, now),
            Command::Resume { who } => engine.resume(&who, now),
            Command::Abort { why } => engine.abort(&why, now),
            Command::Approve { who } => engine.approve(&who, now).map(|_| ()),
            Command::RollBack { wave, why } => engine.roll_back(wave, &why, now).map(|_| ()),
        }
    }
}
