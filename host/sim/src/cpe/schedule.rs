//! What a device does when: sessions, transfers, boots.

use std::time::Duration;

use cwmp::{DateTime, EventKind};

use super::{Cpe, TransferJob, retry};
use crate::{Oddity, UnixTime};

/// How long a diagnostic takes.
const DIAGNOSTIC_TIME: Duration = Duration::from_secs(2);

/// What [`Cpe::poll`] found to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Nothing before then; `None`: nothing at all until something happens to it.
    Later(Option<UnixTime>),
    /// A session with the ACS.
    Session,
    /// A file transfer; [`Cpe::transfer_done`] when it is over.
    Transfer(Box<TransferJob>),
}

/// Timers.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    boot_time: Duration,
    down_until: Option<UnixTime>,
    bootstrap_at_boot: bool,
    wants_session: bool,
    /// Whatever the retry timer says.
    urgent: bool,
    retry_at: Option<UnixTime>,
    periodic_at: Option<UnixTime>,
    scheduled: Vec<(UnixTime, Box<str>)>,
    diagnostics: Vec<(UnixTime, Box<str>)>,
}

impl Schedule {
    pub(super) fn new(boot_time: Duration) -> Schedule {
        Schedule {
            boot_time,
            down_until: None,
            bootstrap_at_boot: false,
            wants_session: false,
            urgent: false,
            retry_at: None,
            periodic_at: None,
            scheduled: Vec::new(),
            diagnostics: Vec::new(),
        }
    }

    pub(super) fn want_session(&mut self) {
        self.wants_session = true;
    }

    pub(super) fn bootstrap_next(&mut self) {
        self.bootstrap_at_boot = true;
    }

    /// Forgets all that was ordered.
    pub(super) fn forget(&mut self) {
        *self = Schedule::new(self.boot_time);
    }

    pub(super) fn go_down(&mut self, now: UnixTime) {
        self.down_until = Some(now + self.boot_time);
        self.wants_session = false;
        self.urgent = false;
        self.retry_at = None;
        self.diagnostics.clear();
    }

    pub(super) fn come_up(&mut self, periodic_at: Option<UnixTime>) {
        self.down_until = None;
        self.bootstrap_at_boot = false;
        self.wants_session = true;
        self.periodic_at = periodic_at;
    }

    pub(super) fn inform_at(&mut self, at: UnixTime, command_key: &str) {
        self.scheduled.push((at, command_key.into()));
    }

    /// A session begins: whatever asked for one is served by it.
    pub(super) fn session_begun(&mut self) {
        self.wants_session = false;
        self.urgent = false;
        self.retry_at = None;
    }
}

impl Cpe {
    /// What there is to do at `now`. Fires the timers that are over.
    pub fn poll(&mut self, now: UnixTime) -> Due {
        if let Some(up_at) = self.schedule.down_until {
            if now < up_at {
                return Due::Later(Some(up_at));
            }
            let bootstrap = self.schedule.bootstrap_at_boot;
            self.come_up(now, bootstrap);
        }
        self.fire_timers(now);
        if self.session.is_some() {
            return Due::Later(None);
        }
        let waiting = self.schedule.retry_at.is_some_and(|at| now < at);
        let retry = self.schedule.retry_at.is_some_and(|at| now >= at);
        if self.schedule.urgent || retry || (self.schedule.wants_session && !waiting) {
            return Due::Session;
        }
        let job = self.transfers.due(now).or_else(|| self.software.due());
        if let Some(job) = job {
            return Due::Transfer(Box::new(job));
        }
        Due::Later(self.next_timer())
    }

    /// An authenticated connection request came. False: it is down and cannot take one.
    pub fn connection_request(&mut self, now: UnixTime) -> bool {
        if self.is_down(now) {
            return false;
        }
        self.events.happened(EventKind::ConnectionRequest, "");
        self.schedule.wants_session = true;
        self.schedule.urgent = true;
        true
    }

    /// It boots at the moment: nothing answers.
    pub fn is_down(&self, now: UnixTime) -> bool {
        self.schedule.down_until.is_some_and(|up_at| now < up_at)
    }

    /// A session is open.
    pub fn in_session(&self) -> bool {
        self.session.is_some()
    }

    /// The RetryCount of the next Inform.
    pub fn retry_count(&self) -> u32 {
        self.retry_count
    }

    /// Moves the next periodic Inform to `fraction` of its interval from `now`, so that a fleet
    /// does not march in step.
    pub fn scatter_periodic(&mut self, now: UnixTime, fraction: f64) {
        let interval = self.periodic_interval(now);
        self.schedule.periodic_at =
            interval.map(|interval| now + interval.mul_f64(fraction.clamp(0.0, 1.0)));
    }

    /// Does not inform by itself before `at`: switched on later than the others.
    pub fn stay_down_until(&mut self, at: UnixTime) {
        self.schedule.down_until = Some(at);
        self.schedule.bootstrap_at_boot = self
            .events
            .pending()
            .iter()
            .any(|event| event.kind() == EventKind::Bootstrap);
        self.schedule.wants_session = false;
    }

    /// PeriodicInformInterval, if PeriodicInformEnable is set.
    pub(super) fn periodic_interval(&self, now: UnixTime) -> Option<Duration> {
        if self.of_management_server("PeriodicInformEnable", now) != "1" {
            return None;
        }
        let interval = self.of_management_server("PeriodicInformInterval", now);
        let seconds: u64 = interval.parse().ok()?;
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// The interval, its switch or its time was written.
    pub(super) fn restart_periodic(&mut self, now: UnixTime) {
        self.schedule.periodic_at = self.next_periodic(now);
    }

    /// The next periodic Inform: whole intervals from PeriodicInformTime, or if that is unknown
    /// one interval from now.
    pub(super) fn next_periodic(&self, now: UnixTime) -> Option<UnixTime> {
        let interval = self.periodic_interval(now)?;
        let time = self.of_management_server("PeriodicInformTime", now);
        let Some(from) = DateTime(time).to_unix() else {
            return Some(now + interval);
        };
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let whole = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX);
        let over = (seconds - from).rem_euclid(whole).unsigned_abs();
        Some(UnixTime::from_secs(now.as_secs() - over) + interval)
    }

    /// The session failed: it is tried again, later and later.
    pub(super) fn schedule_retry(&mut self, now: UnixTime) {
        self.retry_count += 1;
        let number = |name, default| {
            self.of_management_server(name, now)
                .parse()
                .unwrap_or(default)
        };
        let minimum = number("CWMPRetryMinimumWaitInterval", 5);
        let multiplier = number("CWMPRetryIntervalMultiplier", 2000);
        let wait = retry::wait(self.retry_count, minimum, multiplier, &mut self.random);
        self.schedule.retry_at = Some(now + wait);
    }

    /// What the RPCs of the session have ordered happens now.
    pub(super) fn after_session(&mut self, now: UnixTime) {
        let after = std::mem::take(&mut self.after_session);
        for path in after.diagnostics {
            self.schedule
                .diagnostics
                .push((now + DIAGNOSTIC_TIME, path));
        }
        if after.new_acs {
            self.events.bootstrap();
            self.schedule.want_session();
        }
        if after.factory_reset {
            self.factory_reset(now);
        } else if after.reboot {
            self.events.forget_volatile();
            self.schedule.go_down(now);
        } else if !self.events.is_empty() && self.schedule.retry_at.is_none() {
            // Something happened while the session ran.
            self.schedule.want_session();
        }
        self.flash(now);
    }

    fn fire_timers(&mut self, now: UnixTime) {
        if let Some(at) = self.schedule.periodic_at
            && at <= now
        {
            self.events.happened(EventKind::Periodic, "");
            self.schedule.want_session();
            let interval = self.periodic_interval(now);
            // From the due time, not from now: the phase is kept. Missed ones are not made up for.
            self.schedule.periodic_at = interval.map(|interval| {
                let missed = (now - at).as_secs_f64() / interval.as_secs_f64();
                at + interval.mul_f64(missed.floor() + 1.0)
            });
        }
        let due = take_due(&mut self.schedule.scheduled, now);
        for command_key in due {
            self.events.scheduled(&command_key);
            self.schedule.want_session();
        }
        self.leave_windows(now);
        if self.session.is_none() {
            self.change_modules(now);
        }
        for path in take_due(&mut self.schedule.diagnostics, now) {
            self.diagnose(&path, now);
            if !self.oddities.has(Oddity::DiagnosticsSilent) {
                self.events.happened(EventKind::DiagnosticsComplete, "");
                self.schedule.want_session();
            }
        }
    }

    fn next_timer(&self) -> Option<UnixTime> {
        let schedule = &self.schedule;
        let lists = schedule.scheduled.iter().chain(&schedule.diagnostics);
        lists
            .map(|(at, _)| *at)
            .chain(schedule.retry_at)
            .chain(schedule.periodic_at)
            .chain(self.transfers.next_due())
            .min()
    }

    /// Whether TransferComplete is ever told.
    pub(super) fn tells_transfers(&self) -> bool {
        !self.oddities.has(Oddity::TransferNever)
    }
}

fn take_due(list: &mut Vec<(UnixTime, Box<str>)>, now: UnixTime) -> Vec<Box<str>> {
    if list.iter().all(|(at, _)| *at > now) {
        return Vec::new();
    }
    let (due, later) = std::mem::take(list)
        .into_iter()
        .partition(|(at, _)| *at <= now);
    *list = later;
    let due: Vec<(UnixTime, Box<str>)> = due;
    due.into_iter().map(|(_, what)| what).collect()
}
