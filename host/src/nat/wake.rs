//! Waking a device: try its mode, then the fallbacks, and remember how each did.
//!
//! The result has two steps, because a device that accepts a connection request has not
//! opened a session yet: some never do.

mod awaited;
mod report;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::health::name;
use super::http::Through;
use super::outcome::{Failure, Outcome};
use super::pace::{Full, Pace, Ticket, Turn};
use super::plan::{self, calls};
use super::tally::Tally;
use super::{history, probe};
use crate::Acs;
use crate::clock::Now;
use crate::device::{DeviceKey, Mode, Summary};
use crate::instance::Instance;
use crate::nat::history::Attempted;
use awaited::{Awaited, Calling, Opened, Sessions};

pub use report::{WakeAttempt, WakeReport, WakeState};

/// Devices of which the last wake-up is remembered.
const REMEMBERED_MAX: usize = 10_000;
/// How often to look whether a session that is open has ended.
const SESSION_LOOK: Duration = Duration::from_millis(20);
/// A device that has come already may still answer the call for so long.
const LATE_ANSWER: Duration = Duration::from_millis(500);
/// What a short periodic Inform may be late.
const SHORT_INFORM_SLACK: Duration = Duration::from_secs(5);

/// The wake-ups under way and the last one of each device.
pub struct Wakes {
    /// One at a time for each device: who asks meanwhile joins it.
    flights: Mutex<HashMap<DeviceKey, Flight>>,
    last: Mutex<LruCache<DeviceKey, WakeReport>>,
    /// Who waits for a session of the device to begin.
    sessions: Sessions,
    /// The line of each instance.
    paces: Mutex<HashMap<Arc<str>, Arc<Pace>>>,
    /// What is counted.
    pub tally: Tally,
}

/// A wake-up under way.
struct Flight {
    report: watch::Receiver<WakeReport>,
    /// Its place in the line.
    ticket: Option<Ticket>,
}

impl Default for Wakes {
    fn default() -> Wakes {
        let remembered = NonZeroUsize::new(REMEMBERED_MAX).unwrap_or(NonZeroUsize::MIN);
        Wakes {
            flights: Mutex::default(),
            last: Mutex::new(LruCache::new(remembered)),
            sessions: Sessions::default(),
            paces: Mutex::default(),
            tally: Tally::default(),
        }
    }
}

impl Wakes {
    /// The last wake-up of a device, or the one under way.
    pub fn last(&self, device: &DeviceKey) -> Option<WakeReport> {
        self.last.lock().get(device).cloned()
    }

    /// How many wake-ups are before that of the device, itself included; `None`: it does not wait
    /// for its turn.
    pub fn position(&self, device: &DeviceKey) -> Option<usize> {
        let ticket = self.flights.lock().get(device)?.ticket?;
        let pace = self.paces.lock().get(&device.instance).cloned()?;
        pace.position(ticket)
    }

    /// Wake-ups under way, those of them that wait for their turn, and calls under way.
    pub fn counts(&self) -> (usize, usize, usize) {
        let paces: Vec<Arc<Pace>> = self.paces.lock().values().cloned().collect();
        let counts = paces.iter().map(|pace| pace.counts());
        let (waiting, calling) = counts.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
        (self.flights.lock().len(), waiting, calling)
    }

    /// The line of an instance, with the limits that it has.
    fn pace(&self, instance: &Instance) -> Arc<Pace> {
        let limits = instance.wake_limits();
        let mut paces = self.paces.lock();
        let pace = paces.entry(Arc::clone(&instance.name));
        let pace = Arc::clone(pace.or_insert_with(|| Pace::new(limits)));
        drop(paces);
        pace.set_limits(limits);
        pace
    }

    fn publish(
        &self,
        device: &DeviceKey,
        report: &WakeReport,
        watchers: &watch::Sender<WakeReport>,
    ) {
        self.last.lock().put(device.clone(), report.clone());
        watchers.send_replace(report.clone());
    }
}

impl Acs {
    /// Begins to wake a device, or joins a wake-up under way. The receiver shows each step;
    /// the wake-up goes on whether or not anybody looks.
    ///
    /// # Errors
    /// When too many wait for their turn.
    pub fn wake(self: &Arc<Self>, device: &DeviceKey) -> Result<watch::Receiver<WakeReport>, Full> {
        let wakes = &self.wakes;
        // Read before the lock: it may come from the disk.
        let summary = self.summary_to_wake(device);
        let mut flights = wakes.flights.lock();
        if let Some(flight) = flights.get(device) {
            wakes.tally.joined.add(1);
            return Ok(flight.report.clone());
        }
        // A session that is open serves it without any call, mostly.
        let mut turn = None;
        if !self.sessions.is_open(device) {
            let pace = wakes.pace(&self.instances.of(device));
            let entered = pace.enter(plan::network(&summary));
            turn = Some(entered.inspect_err(|_| wakes.tally.refused.add(1))?);
        }
        let waits = turn.as_mut().is_some_and(|turn| !turn.has_come());
        let report = WakeReport::new(self.clock.unix(), waits);
        let (sender, receiver) = watch::channel(report.clone());
        let flight = Flight {
            report: receiver.clone(),
            ticket: turn.as_ref().map(Turn::ticket),
        };
        flights.insert(device.clone(), flight);
        drop(flights);
        wakes.tally.begun.add(1);
        wakes.publish(device, &report, &sender);
        let wake = Wake {
            acs: Arc::clone(self),
            device: device.clone(),
            session: wakes.sessions.await_one(device),
            summary,
            turn,
            report,
            watchers: sender,
        };
        tokio::spawn(wake.run());
        Ok(receiver)
    }

    fn summary_to_wake(&self, device: &DeviceKey) -> Summary {
        match self.store.device(device) {
            Ok(Some(cell)) => cell.lock().summary().clone(),
            Ok(None) => Summary::default(),
            Err(error) => {
                tracing::error!(%device, %error, "cannot read the device to wake it");
                Summary::default()
            }
        }
    }

    /// Tries one way for which nobody waits; what came of it, or `None`: not now, somebody wants
    /// the device or the host is busy.
    pub(super) async fn wake_quietly(
        &self,
        device: &DeviceKey,
        summary: &Summary,
        mode: Mode,
    ) -> Option<Outcome> {
        if self.sessions.is_open(device) || self.store.has_pending(device) {
            return None;
        }
        let mut turn = self
            .wakes
            .pace(&self.instances.of(device))
            .enter_if_idle(plan::network(summary))?;
        turn.come().await;
        let mut session = {
            // Whoever wants to wake it from now on takes the place of the probe.
            let flights = self.wakes.flights.lock();
            if flights.contains_key(device) {
                return None;
            }
            self.wakes.sessions.await_one(device)
        };
        let begun = self.clock.unix();
        let calling = Calling::new(mode, true);
        self.wakes.sessions.calling(&session, calling);
        let called = self.call(mode, device, summary).await;
        drop(turn);
        let (outcome, text) = match called {
            Ok(wait) => match tokio::time::timeout(wait, session.opened()).await {
                Ok(Some(opened)) if opened.was_called => (Outcome::SessionOpened, None),
                // It came by itself, or somebody wakes it: nothing is known of this way.
                Ok(_) => return None,
                Err(_) => unopened(mode, wait),
            },
            Err(failure) => (failure.outcome, Some(failure.text)),
        };
        if probe::is_known_beforehand(outcome) {
            return Some(outcome);
        }
        self.wakes.tally.probes.add(1);
        if outcome == Outcome::SessionOpened {
            self.wakes.tally.probes_opened.add(1);
        } else {
            let attempt = Attempted {
                at: begun,
                mode,
                outcome,
                text,
                probe: true,
            };
            self.remember(device, attempt, None);
        }
        Some(outcome)
    }

    /// A session of the device has begun with these events. Whether that changed its history.
    pub(crate) fn session_opened(
        &self,
        device: &DeviceKey,
        events: &[cwmp::Event],
        now: Now,
    ) -> bool {
        self.events.came(now.unix, device);
        let Some(calling) = self.wakes.sessions.opened(device, events, now.unix) else {
            return false;
        };
        let took = calling.since.elapsed();
        self.counters.protocol.woken(calling.mode, took);
        let seconds = i64::try_from(took.as_secs()).unwrap_or_default();
        let attempt = Attempted {
            at: now.unix - seconds,
            mode: calling.mode,
            outcome: Outcome::SessionOpened,
            text: None,
            probe: calling.is_probe,
        };
        self.remember(device, attempt, Some(took));
        true
    }

    /// Takes an attempt into the device's record and counts it.
    fn remember(&self, device: &DeviceKey, attempt: Attempted, took: Option<Duration>) {
        self.wakes.tally.attempt(attempt.mode, attempt.outcome);
        let Ok(Some(cell)) = self.store.device(device) else {
            return;
        };
        let now = self.clock.unix();
        let mut device = cell.lock();
        device.summary_mut(|summary| {
            let history = summary.nat_history.entry(attempt.mode).or_default();
            history.note(attempt.outcome, now, took);
            if attempt.probe && attempt.outcome != Outcome::SessionOpened {
                history.probes_failed = history.probes_failed.saturating_add(1);
            }
            history::remember(&mut summary.wake_attempts, attempt);
        });
        self.plan_probe(cell.key(), device.summary());
        drop(device);
        self.store.touched(&cell);
    }

    /// A session that is open already looks for new tasks until it ends: most wake-ups are
    /// served by that. One that came too late for it has to call after all.
    async fn served_by_open_session(&self, device: &DeviceKey) -> bool {
        if !self.sessions.is_open(device) {
            return false;
        }
        let closed = async {
            while self.sessions.is_open(device) {
                tokio::time::sleep(SESSION_LOOK).await;
            }
        };
        let closed = tokio::time::timeout(self.instances.of(device).session_wait(), closed).await;
        closed.is_ok() && !self.store.has_pending(device)
    }

    /// Makes the call of one mode. `Ok` = accepted as far as the mode can tell, and how long to
    /// wait for the session.
    async fn call(
        &self,
        mode: Mode,
        device: &DeviceKey,
        summary: &Summary,
    ) -> Result<Duration, Failure> {
        let instance = self.instances.of(device);
        match mode {
            Mode::DirectHttp | Mode::HttpProxy => {
                let through = match mode {
                    Mode::HttpProxy => Through::Proxy,
                    _ => Through::Nothing,
                };
                self.call_over_http(through, &instance, summary).await?;
                Ok(instance.session_wait())
            }
            Mode::ShortInform => {
                let told = super::short_inform::told(summary);
                let interval = told.unwrap_or(instance.settings.short_periodic_inform_seconds);
                Ok(Duration::from_secs(interval.into()) + SHORT_INFORM_SLACK)
            }
            Mode::Stun => {
                self.call_by_udp(device).await?;
                Ok(instance.session_wait())
            }
            Mode::Xmpp => {
                self.call_over_xmpp(device, summary).await?;
                Ok(instance.session_wait())
            }
        }
    }
}

/// One wake-up, from its place in the line to its end.
struct Wake {
    acs: Arc<Acs>,
    device: DeviceKey,
    summary: Summary,
    session: Awaited,
    /// Its place, then its turn.
    turn: Option<Turn>,
    report: WakeReport,
    watchers: watch::Sender<WakeReport>,
}

impl Wake {
    async fn run(mut self) {
        self.wake().await;
        let wakes = &self.acs.wakes;
        let opened = self.report.state == WakeState::SessionOpened;
        let counter = if opened {
            &wakes.tally.opened
        } else {
            &wakes.tally.failed
        };
        counter.add(1);
        self.log();
        wakes.publish(&self.device, &self.report, &self.watchers);
        wakes.flights.lock().remove(&self.device);
    }

    async fn wake(&mut self) {
        if self.acs.served_by_open_session(&self.device).await {
            self.report.state = WakeState::SessionOpened;
            return;
        }
        if self.turn.is_some() {
            if self.its_turn().await.is_some() {
                self.report.state = WakeState::SessionOpened;
                return;
            }
            // It may have waited long.
            self.summary = self.acs.summary_to_wake(&self.device);
        }
        for mode in self.acs.modes_to_try(&self.device, &self.summary) {
            if calls(mode) && self.its_turn().await.is_some() {
                // It came by itself.
                self.report.state = WakeState::SessionOpened;
                return;
            }
            if self.attempt(mode).await {
                self.report.state = WakeState::SessionOpened;
                return;
            }
        }
        self.report.state = WakeState::Failed;
        let cell = self.acs.store.device(&self.device);
        if let Ok(Some(cell)) = cell {
            let next = self.acs.next_inform(&cell);
            self.report.next_inform = next.filter(|at| *at > self.acs.clock.unix());
        }
        let now = self.acs.clock.unix();
        self.acs.events.not_woken(now, &self.device, &self.report);
    }

    /// Waits for the turn to call; `Some`: meanwhile a session has opened.
    async fn its_turn(&mut self) -> Option<Opened> {
        let network = plan::network(&self.summary);
        let pace = self.acs.wakes.pace(&self.acs.instances.of(&self.device));
        let turn = self.turn.get_or_insert_with(|| pace.enter_again(network));
        if !turn.has_come() {
            tokio::select! {
                () = turn.come() => {}
                opened = self.session.opened() => {
                    self.turn = None;
                    return opened;
                }
            }
        }
        None
    }

    /// One mode, from the call to the session or to its failure. Whether a session opened.
    async fn attempt(&mut self, mode: Mode) -> bool {
        let acs = Arc::clone(&self.acs);
        let started = Instant::now();
        let begun = acs.clock.unix();
        let calling = Calling::new(mode, false);
        acs.wakes.sessions.calling(&self.session, calling);
        self.report.state = WakeState::Calling;
        self.report.attempts.push(WakeAttempt::new(mode, begun));
        self.publish();
        let call = acs.call(mode, &self.device, &self.summary);
        tokio::pin!(call);
        let called = tokio::select! {
            called = &mut call => Some(called),
            // It has come before it has answered, or for another reason.
            Some(_) = self.session.opened() => tokio::time::timeout(LATE_ANSWER, call).await.ok(),
        };
        // What waits for a session keeps nobody from calling.
        self.turn = None;
        let failure = match called {
            Some(Ok(wait)) => {
                if is_answered(mode) {
                    self.report.accepted(acs.clock.unix());
                    self.publish();
                }
                let opened = tokio::time::timeout(wait, self.session.opened()).await;
                match opened {
                    Ok(Some(_)) => None,
                    _ => Some(unopened(mode, wait)),
                }
            }
            Some(Err(failure)) => Some((failure.outcome, Some(failure.text))),
            None => None,
        };
        let opened = self.session.take();
        if opened.is_none()
            && let Some((outcome, text)) = failure
        {
            let attempt = Attempted {
                at: begun,
                mode,
                outcome,
                text: text.clone(),
                probe: false,
            };
            acs.remember(&self.device, attempt, None);
            self.report.ended(outcome, text, None, started.elapsed());
            self.publish();
            return false;
        }
        let at = opened.map_or_else(|| acs.clock.unix(), |opened| opened.at);
        let took = opened.and_then(|opened| opened.took);
        let took = took.unwrap_or_else(|| started.elapsed());
        self.report
            .ended(Outcome::SessionOpened, None, Some(at), took);
        true
    }

    fn publish(&self) {
        let wakes = &self.acs.wakes;
        wakes.publish(&self.device, &self.report, &self.watchers);
    }

    /// One line for each wake-up: all that somebody needs at night.
    fn log(&self) {
        let device = &self.device;
        let tried = self.report.tried();
        match self.report.telling() {
            _ if self.report.state == WakeState::SessionOpened => {
                tracing::info!(%device, tried, "the device was woken");
            }
            Some(attempt) => {
                let outcome = attempt.outcome.unwrap_or(Outcome::NotServed);
                let text = attempt.error.as_deref().unwrap_or_default();
                tracing::warn!(
                    %device, mode = attempt.mode.name(), %outcome, text, tried,
                    "the device was not woken by {}: {} {}",
                    name(attempt.mode), outcome.words(), outcome.advice()
                );
            }
            None => tracing::warn!(%device, "the device was not woken: there is no way to it"),
        }
    }
}

/// What it means that no session came.
fn unopened(mode: Mode, wait: Duration) -> (Outcome, Option<String>) {
    let outcome = if is_answered(mode) {
        Outcome::AcceptedButSilent
    } else {
        Outcome::NoAnswer
    };
    let text = format!("no session within {} s", wait.as_secs());
    (outcome, Some(text))
}

/// Whether the device says that it has taken a call: a datagram has no answer, and a periodic
/// Inform no call.
fn is_answered(mode: Mode) -> bool {
    !matches!(mode, Mode::Stun | Mode::ShortInform)
}
