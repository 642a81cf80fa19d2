//! Waking a device: try its mode, then the fallbacks, and remember how each did.
//!
//! The result has two steps, because a device that accepts a connection request has not
//! opened a session yet: some never do.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

use super::outcome::{Failure, Outcome};
use super::{guard, http};
use crate::Acs;
use crate::device::{DeviceKey, Mode, Summary, UnixTime};

/// Devices of which the last wake-up is remembered.
const REMEMBERED_MAX: usize = 10_000;
/// How often to look whether a session that is open has ended.
const SESSION_LOOK: Duration = Duration::from_millis(20);
/// A device is busy until it has closed the session before: it is asked again.
const BUSY_RETRIES: u32 = 2;
/// Between two tries of a busy device.
const BUSY_PAUSE: Duration = Duration::from_millis(500);
/// What a short periodic Inform may be late.
const SHORT_INFORM_SLACK: Duration = Duration::from_secs(5);

/// How far a wake-up has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WakeState {
    /// A mode is being tried.
    Calling,
    /// The device took the request; its session has not come yet.
    Accepted,
    /// The device opened a session.
    SessionOpened,
    /// No mode opened a session.
    Failed,
}

/// A wake-up, as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WakeReport {
    /// How far it has come.
    pub state: WakeState,
    /// When it began.
    pub started: UnixTime,
    /// What was tried, in order.
    pub attempts: Vec<WakeAttempt>,
}

/// One mode, tried.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WakeAttempt {
    /// Which.
    pub mode: Mode,
    /// When the device took the request.
    pub accepted: Option<UnixTime>,
    /// When its session began.
    pub opened: Option<UnixTime>,
    /// What came of it, once that is known.
    pub outcome: Option<Outcome>,
    /// What exactly was seen when it did not work.
    pub error: Option<String>,
}

/// The wake-ups under way and the last one of each device.
pub struct Wakes {
    /// One at a time for each device: who asks meanwhile joins it.
    flights: Mutex<HashMap<DeviceKey, watch::Receiver<WakeReport>>>,
    last: Mutex<LruCache<DeviceKey, WakeReport>>,
    /// Who waits for a session of the device to begin.
    sessions: Mutex<HashMap<DeviceKey, watch::Sender<Option<UnixTime>>>>,
    /// Length of `sessions`: each Inform asks whether somebody waits.
    waiting: AtomicUsize,
}

impl Default for Wakes {
    fn default() -> Wakes {
        let remembered =
            std::num::NonZeroUsize::new(REMEMBERED_MAX).unwrap_or(std::num::NonZeroUsize::MIN);
        Wakes {
            flights: Mutex::default(),
            last: Mutex::new(LruCache::new(remembered)),
            sessions: Mutex::default(),
            waiting: AtomicUsize::new(0),
        }
    }
}

impl Wakes {
    /// The last wake-up of a device, or the one under way.
    pub fn last(&self, device: &DeviceKey) -> Option<WakeReport> {
        self.last.lock().get(device).cloned()
    }

    /// A session of the device has begun.
    pub fn session_opened(&self, device: &DeviceKey, now: UnixTime) {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return;
        }
        if let Some(sender) = self.sessions.lock().get(device) {
            sender.send_replace(Some(now));
        }
    }

    fn await_session(&self, device: &DeviceKey) -> watch::Receiver<Option<UnixTime>> {
        let mut sessions = self.sessions.lock();
        let sender = sessions
            .entry(device.clone())
            .or_insert_with(|| watch::channel(None).0);
        let receiver = sender.subscribe();
        self.waiting.store(sessions.len(), Ordering::Release);
        receiver
    }

    fn forget_session(&self, device: &DeviceKey) {
        let mut sessions = self.sessions.lock();
        sessions.remove(device);
        self.waiting.store(sessions.len(), Ordering::Release);
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
    pub fn wake(self: &Arc<Self>, device: &DeviceKey) -> watch::Receiver<WakeReport> {
        let mut flights = self.wakes.flights.lock();
        if let Some(flight) = flights.get(device) {
            return flight.clone();
        }
        let report = WakeReport {
            state: WakeState::Calling,
            started: self.clock.unix(),
            attempts: Vec::new(),
        };
        let (sender, receiver) = watch::channel(report.clone());
        flights.insert(device.clone(), receiver.clone());
        let acs = Arc::clone(self);
        let device = device.clone();
        tokio::spawn(async move {
            acs.try_modes(&device, report, &sender).await;
            acs.wakes.forget_session(&device);
            acs.wakes.flights.lock().remove(&device);
        });
        receiver
    }

    async fn try_modes(
        &self,
        device: &DeviceKey,
        mut report: WakeReport,
        watchers: &watch::Sender<WakeReport>,
    ) {
        let mut session = self.wakes.await_session(device);
        self.wakes.publish(device, &report, watchers);
        let summary = match self.store.device(device) {
            Ok(Some(cell)) => cell.lock().summary().clone(),
            Ok(None) => Summary::default(),
            Err(error) => {
                tracing::error!(%device, %error, "cannot read the device to wake it");
                Summary::default()
            }
        };
        if self.served_by_open_session(device).await {
            report.state = WakeState::SessionOpened;
            self.wakes.publish(device, &report, watchers);
            return;
        }
        for mode in modes(&summary) {
            let mut attempt = WakeAttempt {
                mode,
                accepted: None,
                opened: None,
                outcome: None,
                error: None,
            };
            let wait = match self.call(mode, device, &summary).await {
                Ok(wait) => {
                    if is_answered(mode) {
                        attempt.accepted = Some(self.clock.unix());
                        report.state = WakeState::Accepted;
                    }
                    wait
                }
                Err(failure) => {
                    attempt.outcome = Some(failure.outcome);
                    attempt.error = Some(failure.text);
                    Duration::ZERO
                }
            };
            report.attempts.push(attempt.clone());
            self.wakes.publish(device, &report, watchers);
            let opened = tokio::time::timeout(wait, session.wait_for(Option::is_some)).await;
            attempt.opened = match opened {
                Ok(Ok(at)) => *at,
                _ => None,
            };
            if attempt.opened.is_some() {
                attempt.outcome = Some(Outcome::SessionOpened);
            } else if attempt.outcome.is_none() {
                attempt.outcome = Some(match attempt.accepted {
                    Some(_) => Outcome::AcceptedButSilent,
                    None => Outcome::NoAnswer,
                });
                attempt.error = Some(format!("no session within {} s", wait.as_secs()));
            }
            self.remember(device, &attempt);
            let opened = attempt.opened.is_some();
            report.state = if opened {
                WakeState::SessionOpened
            } else {
                WakeState::Failed
            };
            if let Some(last) = report.attempts.last_mut() {
                *last = attempt;
            }
            if opened {
                break;
            }
        }
        if report.attempts.is_empty() {
            report.state = WakeState::Failed;
        }
        match report
            .attempts
            .last()
            .and_then(|attempt| attempt.error.as_deref())
        {
            Some(error) => tracing::warn!(%device, error, "the device was not woken"),
            None => tracing::info!(%device, "the device was woken"),
        }
        self.wakes.publish(device, &report, watchers);
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
        let closed = tokio::time::timeout(self.instance.session_wait(), closed).await;
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
        let instance = &self.instance;
        match mode {
            Mode::DirectHttp => {
                let request = &summary.connection_request;
                let target =
                    guard::check(&request.url, &instance.settings.connection_request_allow).await?;
                let credentials = request.candidates();
                let matched = self.plugins.table().matched(&instance.name, summary);
                let leniency = http::Leniency {
                    basic_auth: matched.overrides.connection_request_basic_auth,
                };
                let time = instance.connection_request_time();
                let mut result = http::request(&target, &credentials, leniency, time).await;
                for _ in 0..BUSY_RETRIES {
                    if result != Err(http::HttpError::Busy) {
                        break;
                    }
                    tokio::time::sleep(BUSY_PAUSE).await;
                    result = http::request(&target, &credentials, leniency, time).await;
                }
                result?;
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
            Mode::HttpProxy => Err(Failure::not_configured()),
        }
    }

    fn remember(&self, device: &DeviceKey, attempt: &WakeAttempt) {
        let Ok(Some(cell)) = self.store.device(device) else {
            return;
        };
        cell.lock().summary_mut(|summary| {
            let history = summary.nat_history.entry(attempt.mode).or_default();
            history.attempts += 1;
            match attempt.opened {
                Some(at) => {
                    history.opened += 1;
                    history.failed_in_a_row = 0;
                    history.last_opened = Some(at);
                }
                None => history.failed_in_a_row += 1,
            }
        });
        self.store.touched(&cell);
    }
}

/// Whether the device says that it has taken a call: a datagram has no answer, and a periodic
/// Inform no call.
fn is_answered(mode: Mode) -> bool {
    !matches!(mode, Mode::Stun | Mode::ShortInform)
}

/// The modes to try: the decided one, then its fallbacks; before a decision, directly.
fn modes(summary: &Summary) -> Vec<Mode> {
    match &summary.nat {
        Some(decision) => {
            let mut modes = vec![decision.mode];
            for mode in &decision.fallbacks {
                if !modes.contains(mode) {
                    modes.push(*mode);
                }
            }
            // Waiting for a short Inform only helps where the device was told to send it.
            if decision.mode != Mode::ShortInform {
                modes.retain(|mode| *mode != Mode::ShortInform);
            }
            modes
        }
        None => vec![Mode::DirectHttp],
    }
}
