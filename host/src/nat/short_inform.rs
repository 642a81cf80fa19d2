//! Short periodic Inform: devices that cannot be woken inform every few seconds instead, most of
//! the time for nothing.
//!
//! How often each does, at which second, when it has a full session nevertheless, and what all of
//! them cost.

use std::collections::BTreeMap;
use std::sync::Arc;

use cwmp::DateTime;
use hashbrown::HashMap;
use parking_lot::Mutex;
use serde::Serialize;

use crate::Acs;
use crate::device::{DeviceKey, Mode, Summary, UnixTime};
use crate::instance::Instance;

/// 2000-01-01T00:00:00Z: what devices are told counts from about then.
const EPOCH: UnixTime = 946_684_800;
/// The standard interval divided by this: over so long the full sessions are spread that a host
/// that was away has to make up for, and so long no device has another.
const SHARE: i64 = 16;
/// Devices that are read at once when the host starts.
const PAGE: usize = 500;
/// The advice is given up when the devices have become fewer than so many hundredths of what it
/// takes, so that it does not come and go.
const ADVICE_STAYS_PERCENT: usize = 90;
const SECONDS_PER_HOUR: u64 = 3_600;

/// Why a device is wanted within seconds although nothing is queued for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Until when.
    pub until: UnixTime,
    /// For the operator: `a page is open`.
    pub why: String,
}

/// Who needs a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// A task waits for it.
    Task,
    /// Somebody has leased it.
    Lease(Lease),
}

/// What short Informs cost the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Load {
    /// Devices that inform because they cannot be woken.
    pub devices: usize,
    /// Of those, at the longer interval because nobody needs them.
    pub idle: usize,
    /// Informs of all of them.
    pub informs_per_hour: u64,
    /// More Informs that there would be if all kept the short interval.
    pub informs_per_hour_saved: u64,
}

/// The devices that inform every few seconds.
#[derive(Debug)]
pub struct ShortInforms {
    /// When the host began.
    since: UnixTime,
    leases: Mutex<HashMap<DeviceKey, Lease>>,
    censuses: Mutex<HashMap<Arc<str>, Census>>,
}

/// How many there are in an instance, by the interval that they were told.
#[derive(Debug, Default)]
struct Census {
    by_device: HashMap<Arc<str>, u32>,
    by_interval: BTreeMap<u32, usize>,
    /// The operator has read the advice.
    advised: bool,
}

impl Census {
    fn note(&mut self, id: &Arc<str>, interval: Option<u32>) {
        let before = match interval {
            Some(interval) => {
                *self.by_interval.entry(interval).or_default() += 1;
                self.by_device.insert(Arc::clone(id), interval)
            }
            None => self.by_device.remove(id),
        };
        if let Some(count) = before.and_then(|before| self.by_interval.get_mut(&before)) {
            *count = count.saturating_sub(1);
        }
    }
}

impl ShortInforms {
    /// None yet, at a host that begins now.
    pub fn new(now: UnixTime) -> ShortInforms {
        ShortInforms {
            since: now,
            leases: Mutex::default(),
            censuses: Mutex::default(),
        }
    }

    /// Keeps a device at the short interval until then. A lease that ends later stays. It is
    /// forgotten when the host stops: whoever needs the device for long asks again.
    pub fn lease(&self, device: &DeviceKey, lease: Lease) {
        let mut leases = self.leases.lock();
        let longer = leases.get(device).is_some_and(|l| l.until > lease.until);
        if !longer {
            leases.insert(device.clone(), lease);
        }
    }

    /// Nobody needs the device any more.
    pub fn release(&self, device: &DeviceKey) {
        self.leases.lock().remove(device);
    }

    /// The lease in force.
    pub fn leased(&self, device: &DeviceKey, now: UnixTime) -> Option<Lease> {
        let leases = self.leases.lock();
        leases.get(device).filter(|l| l.until > now).cloned()
    }

    /// Takes down how often a device was told to inform because it cannot be woken; `None`: it
    /// can, or is gone.
    pub fn note(&self, device: &DeviceKey, interval: Option<u32>) {
        self.census(&device.instance, |census| census.note(&device.id, interval));
    }

    /// The same at the start, for devices that no session has told of yet.
    fn note_known(&self, device: &DeviceKey, interval: u32) {
        self.census(&device.instance, |census| {
            if !census.by_device.contains_key(&device.id) {
                census.note(&device.id, Some(interval));
            }
        });
    }

    fn census<R>(&self, instance: &Arc<str>, look: impl FnOnce(&mut Census) -> R) -> R {
        let mut censuses = self.censuses.lock();
        match censuses.get_mut(instance) {
            Some(census) => look(census),
            None => look(censuses.entry(Arc::clone(instance)).or_default()),
        }
    }

    /// Whether a full session of a device is due: one in each standard interval, which begins at
    /// another time for each device, though not right after the last one. After the host was away
    /// they do not all come at once.
    pub fn is_full_due(&self, id: &str, last: UnixTime, now: UnixTime, standard: u32) -> bool {
        let (phase, standard) = (i64::from(phase(id, standard)), i64::from(standard));
        let began = |at: UnixTime| at - (at - phase).rem_euclid(standard);
        let share = (standard / SHARE).max(1);
        if began(last) == began(now) || (0..share).contains(&(now - last)) {
            return false;
        }
        let was_away = began(now) < self.since;
        !was_away || now >= self.since + phase % share
    }

    fn load(&self, instance: &Arc<str>, short: u32) -> Load {
        self.census(instance, |census| census.load(short))
    }
}

impl Census {
    fn load(&self, short: u32) -> Load {
        let mut load = Load::default();
        let per_hour = |interval: u32, count: usize| {
            SECONDS_PER_HOUR * count as u64 / u64::from(interval.max(1))
        };
        for (interval, count) in &self.by_interval {
            load.devices += count;
            load.informs_per_hour += per_hour(*interval, *count);
            if *interval > short {
                load.idle += count;
                let saved = per_hour(short, *count).saturating_sub(per_hour(*interval, *count));
                load.informs_per_hour_saved += saved;
            }
        }
        load
    }
}

/// Which second of the standard interval is the device's own.
fn phase(id: &str, standard: u32) -> u32 {
    crc32fast::hash(id.as_bytes()) % standard.max(1)
}

/// `PeriodicInformTime` of a device: any interval counts from there.
pub fn inform_time(id: &str, standard: u32) -> String {
    DateTime::from_unix(EPOCH + i64::from(phase(id, standard))).0
}

/// How often a device was told to inform because it cannot be woken; `None`: it can.
pub fn told(summary: &Summary) -> Option<u32> {
    let configured = summary.configured.as_ref()?;
    let is_short = configured.mode == Mode::ShortInform && configured.error.is_none();
    configured.informs_every.filter(|_| is_short)
}

impl Acs {
    /// Keeps a device that cannot be woken at the short interval, as far as leases are on: a page
    /// that shows it, a campaign that will come to it within the hour.
    pub fn lease(&self, device: &DeviceKey, until: UnixTime, why: &str) {
        let why = why.to_owned();
        self.short_informs.lease(device, Lease { until, why });
    }

    /// Who needs a device within seconds.
    pub fn need(&self, device: &DeviceKey, now: UnixTime) -> Option<Need> {
        if self.store.has_pending(device) {
            return Some(Need::Task);
        }
        self.short_informs.leased(device, now).map(Need::Lease)
    }

    /// How often a device should inform while it cannot be woken, in seconds.
    pub fn short_interval(&self, device: &DeviceKey, now: UnixTime) -> u32 {
        let instance = self.instances.of(device);
        let settings = &instance.settings;
        if settings.short_inform.lease && self.need(device, now).is_none() {
            return settings.short_inform.idle_seconds;
        }
        settings.short_periodic_inform_seconds
    }

    /// What short Informs of an instance cost.
    pub fn short_inform_load(&self, instance: &Instance) -> Load {
        let short = instance.settings.short_periodic_inform_seconds;
        self.short_informs.load(&instance.name, short)
    }

    /// That a proxy would save the short Informs of many devices.
    pub fn short_inform_advice(&self, instance: &Instance) -> Option<String> {
        let enough = instance.settings.short_inform.advice_devices;
        let load = self.short_inform_load(instance);
        (enough > 0 && load.devices >= enough).then(|| {
            format!(
                "{} devices cannot be woken and inform every few seconds, {} times an hour: an \
                 HTTP proxy in their network that passes connection requests on saves most of \
                 that, for them and for this host (see docs/short-inform.md)",
                load.devices, load.informs_per_hour
            )
        })
    }

    /// Says so in the log when it becomes true, once.
    pub(crate) fn log_short_inform_advice(&self) {
        for instance in self.instances.all() {
            let enough = instance.settings.short_inform.advice_devices;
            let advice = self.short_inform_advice(&instance);
            let few =
                self.short_inform_load(&instance).devices < enough * ADVICE_STAYS_PERCENT / 100;
            let is_advised = advice.is_some();
            let was_advised = self.short_informs.census(&instance.name, |census| {
                let before = census.advised;
                census.advised = is_advised || (before && !few);
                before
            });
            if let Some(advice) = advice.filter(|_| !was_advised) {
                tracing::warn!(instance = &*instance.name, "{advice}");
            }
        }
    }

    /// Looks through the devices that are known when the host starts. Blocks.
    pub(crate) fn count_short_informs(&self) {
        for instance in self.instances.all() {
            self.count_short_informs_of(&instance.name);
        }
    }

    fn count_short_informs_of(&self, name: &str) {
        let mut after: Option<Arc<str>> = None;
        loop {
            let listed = match self.store.devices(name, after.as_deref(), PAGE) {
                Ok(listed) => listed,
                Err(error) => {
                    tracing::error!(%error, "cannot count the devices that inform every few seconds");
                    return;
                }
            };
            for device in &listed {
                if let Some(interval) = told(&device.summary) {
                    self.short_informs.note_known(&device.key, interval);
                }
            }
            match listed.last() {
                Some(last) => after = Some(Arc::clone(&last.key.id)),
                None => return,
            }
        }
    }

    /// Forgets leases that have ended.
    pub(crate) fn sweep_leases(&self, now: UnixTime) {
        let mut leases = self.short_informs.leases.lock();
        leases.retain(|_, lease| lease.until > now);
    }
}

#[cfg(test)]
mod tests;
