//! Decides which device does what when. One task for the whole fleet; what waits for the
//! network (a session, a file transfer) is a task of its own while it lasts.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep_until};

use super::device::{POKE, Slot};
use super::{FleetConfig, FleetEvent, FleetStats};
use crate::listener::TargetState;
use crate::{
    Due, SessionError, SessionOptions, SessionReport, TransferJob, TransferResult, UnixTime,
    run_session, run_transfer,
};

/// After a stop, sessions that run are given this long.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);
/// Nothing is due: look again after this long, whatever happens.
const IDLE_TIME: Duration = Duration::from_secs(3600);

pub(super) struct Scheduler {
    slots: Arc<[Arc<Slot>]>,
    places: Vec<Place>,
    /// The next thing each device has to do, the soonest first; the generation tells which
    /// entries are out of date.
    timers: BinaryHeap<Reverse<(UnixTime, u32, u32)>>,
    /// Devices that have to wait because too many sessions are open.
    waiting: VecDeque<u32>,
    open: usize,
    started: u64,
    options: Arc<SessionOptions>,
    sessions_at_once_max: usize,
    sessions_max: u64,
    time_max: Option<Duration>,
    periodic_jitter: bool,
    seed: crate::Seed,
    stats: Arc<Mutex<FleetStats>>,
    events: broadcast::Sender<FleetEvent>,
    began: Instant,
}

/// The scheduler's own notes on a device.
#[derive(Debug, Clone, Default)]
struct Place {
    generation: u32,
    /// A task has it.
    busy: bool,
    queued: bool,
    /// A connection request came while it was busy.
    requested: bool,
    /// Its periodic Informs were moved within their interval.
    phased: bool,
}

/// What a task of a device did.
enum Done {
    Session(u32, Result<SessionReport, SessionError>),
    Transfer(u32, String, u32),
}

impl Scheduler {
    pub(super) fn new(
        config: &FleetConfig,
        slots: Arc<[Arc<Slot>]>,
        stats: Arc<Mutex<FleetStats>>,
        events: broadcast::Sender<FleetEvent>,
    ) -> Scheduler {
        Scheduler {
            places: vec![Place::default(); slots.len()],
            slots,
            timers: BinaryHeap::new(),
            waiting: VecDeque::new(),
            open: 0,
            started: 0,
            options: Arc::new(config.session.clone()),
            sessions_at_once_max: config.sessions_at_once_max.max(1),
            sessions_max: config.sessions_max.unwrap_or(u64::MAX),
            time_max: config.time_max,
            periodic_jitter: config.periodic_jitter,
            seed: crate::Seed::new(config.seed).of(u64::MAX),
            stats,
            events,
            began: Instant::now(),
        }
    }

    pub(super) async fn run(
        mut self,
        mut woken: UnboundedReceiver<u32>,
        mut stop: watch::Receiver<bool>,
        finish: watch::Sender<bool>,
    ) {
        let (report, mut done) = mpsc::unbounded_channel();
        let end = self.time_max.map(|time| self.began + time);
        for number in 0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX) {
            self.look_at(number, &report);
        }
        while self.started < self.sessions_max {
            let next = self.next_timer();
            let end = end.unwrap_or(next + IDLE_TIME);
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                () = sleep_until(end) => break,
                Some(number) = woken.recv() => self.on_wake(number, &report),
                Some(done) = done.recv() => self.on_done(done, &report),
                () = sleep_until(next) => self.fire(&report),
            }
        }
        self.waiting.clear();
        self.sessions_max = 0;
        let drained = async {
            while self.open > 0
                && let Some(done) = done.recv().await
            {
                self.on_done(done, &report);
            }
        };
        // What has not come to its end by then is left to itself.
        let _ = tokio::time::timeout(DRAIN_TIME_MAX, drained).await;
        self.stats.lock().elapsed = self.began.elapsed();
        // Nobody may be listening, to either.
        let _ = self.events.send(FleetEvent::Finished);
        let _ = finish.send(true);
    }

    fn next_timer(&mut self) -> Instant {
        while let Some(Reverse((at, number, generation))) = self.timers.peek().copied() {
            if self
                .place(number)
                .is_some_and(|place| place.generation == generation)
            {
                return self.options.clock.instant(at);
            }
            self.timers.pop();
        }
        Instant::now() + IDLE_TIME
    }

    fn fire(&mut self, report: &UnboundedSender<Done>) {
        let now = self.options.clock.now();
        while let Some(Reverse((at, number, generation))) = self.timers.peek().copied() {
            if at > now {
                return;
            }
            self.timers.pop();
            if self
                .place(number)
                .is_some_and(|place| place.generation == generation)
            {
                self.look_at(number, report);
            }
        }
    }

    fn on_wake(&mut self, number: u32, report: &UnboundedSender<Done>) {
        let requested = number & POKE == 0;
        let number = number & !POKE;
        if requested {
            self.stats.lock().connection_requests += 1;
            if let Some(slot) = self.slot(number) {
                let serial = Arc::clone(&slot.serial);
                self.tell(FleetEvent::ConnectionRequest { serial });
            }
            if let Some(place) = self.place(number) {
                place.requested = true;
            }
        }
        self.look_at(number, report);
    }

    fn on_done(&mut self, done: Done, report: &UnboundedSender<Done>) {
        let number = match &done {
            Done::Session(number, _) | Done::Transfer(number, ..) => *number,
        };
        if matches!(done, Done::Session(..)) {
            self.open -= 1;
        }
        self.count(done);
        if let Some(place) = self.place(number) {
            place.busy = false;
        }
        self.look_at(number, report);
        while self.open < self.sessions_at_once_max
            && let Some(next) = self.waiting.pop_front()
        {
            if let Some(place) = self.place(next) {
                place.queued = false;
            }
            self.look_at(next, report);
        }
    }

    /// Lets the device do what is due, or notes when to look again.
    fn look_at(&mut self, number: u32, report: &UnboundedSender<Done>) {
        let now = self.options.clock.now();
        let Some(slot) = self.slot(number) else {
            return;
        };
        let full = self.open >= self.sessions_at_once_max;
        let over = self.started >= self.sessions_max;
        let Some(place) = self.place(number) else {
            return;
        };
        if place.busy || place.queued || over {
            return;
        }
        // Somebody looks at it by hand; there will be a poke when they are done.
        let Ok(mut cpe) = slot.cpe.try_lock() else {
            return;
        };
        place.generation = place.generation.wrapping_add(1);
        let generation = place.generation;
        if std::mem::take(&mut place.requested) {
            cpe.connection_request(now);
        }
        let due = cpe.poll(now);
        slot.refresh(&cpe, now);
        match due {
            Due::Later(Some(at)) => {
                drop(cpe);
                self.timers.push(Reverse((at, number, generation)));
            }
            Due::Later(None) => {}
            Due::Session if full => {
                place.queued = true;
                drop(cpe);
                self.waiting.push_back(number);
            }
            Due::Session => {
                place.busy = true;
                let first = !std::mem::replace(&mut place.phased, true);
                if first && self.periodic_jitter {
                    cpe.scatter_periodic(now, self.seed.of(number.into()).fraction());
                }
                drop(cpe);
                self.open += 1;
                self.started += 1;
                self.stats.lock().sessions_open = self.open;
                slot.target.set_state(TargetState::InSession);
                tokio::spawn(session(slot, Arc::clone(&self.options), report.clone()));
            }
            Due::Transfer(mut job) => {
                place.busy = true;
                cpe.transfer_begun(&mut job, now);
                drop(cpe);
                tokio::spawn(transfer(
                    slot,
                    *job,
                    Arc::clone(&self.options),
                    report.clone(),
                ));
            }
        }
    }

    fn count(&mut self, done: Done) {
        let event = {
            let mut stats = self.stats.lock();
            stats.elapsed = self.began.elapsed();
            stats.sessions_open = self.open;
            match done {
                Done::Session(number, Ok(report)) => {
                    stats.sessions_ok += 1;
                    stats.latency.record(report.duration);
                    stats.count(&report);
                    self.slots
                        .get(number as usize)
                        .map(|slot| FleetEvent::SessionDone {
                            serial: Arc::clone(&slot.serial),
                            events: codes(&report),
                            rpcs: report
                                .record
                                .served
                                .iter()
                                .map(|served| served.method().to_owned())
                                .collect(),
                            posts: report.posts,
                            duration: report.duration,
                            record: Arc::new(report.record),
                        })
                }
                Done::Session(number, Err(error)) => {
                    *stats
                        .sessions_failed
                        .entry(error.cause.reason())
                        .or_insert(0) += 1;
                    stats.count(&error.report);
                    self.slots
                        .get(number as usize)
                        .map(|slot| FleetEvent::SessionFailed {
                            serial: Arc::clone(&slot.serial),
                            events: codes(&error.report),
                            reason: error.cause.reason(),
                            message: error.cause.to_string(),
                            record: Arc::new(error.report.record),
                        })
                }
                Done::Transfer(number, url, fault) => {
                    stats.transfers += 1;
                    self.slots
                        .get(number as usize)
                        .map(|slot| FleetEvent::TransferDone {
                            serial: Arc::clone(&slot.serial),
                            url,
                            fault,
                        })
                }
            }
        };
        if let Some(event) = event {
            self.tell(event);
        }
    }

    fn tell(&self, event: FleetEvent) {
        // Nobody listens: fine.
        let _ = self.events.send(event);
    }

    fn slot(&self, number: u32) -> Option<Arc<Slot>> {
        self.slots.get(number as usize).cloned()
    }

    fn place(&mut self, number: u32) -> Option<&mut Place> {
        self.places.get_mut(number as usize)
    }
}

fn codes(report: &SessionReport) -> Vec<String> {
    report
        .record
        .events
        .iter()
        .map(|event| event.code.clone())
        .collect()
}

async fn session(slot: Arc<Slot>, options: Arc<SessionOptions>, report: UnboundedSender<Done>) {
    let mut cpe = slot.cpe.lock().await;
    let result = run_session(&mut cpe, &options).await;
    slot.refresh(&cpe, options.clock.now());
    drop(cpe);
    // The scheduler is gone: the fleet has stopped.
    let _ = report.send(Done::Session(slot.number, result));
}

async fn transfer(
    slot: Arc<Slot>,
    job: TransferJob,
    options: Arc<SessionOptions>,
    report: UnboundedSender<Done>,
) {
    let result = run_transfer(&job, &options).await;
    let fault = match &result {
        TransferResult::Done(_) => 0,
        TransferResult::Failed(code, _) => *code,
    };
    let now = options.clock.now();
    let mut cpe = slot.cpe.lock().await;
    cpe.transfer_done(result, now);
    slot.refresh(&cpe, now);
    drop(cpe);
    let _ = report.send(Done::Transfer(slot.number, job.url, fault));
}
