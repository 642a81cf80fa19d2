//! Devices that come to match the query of a campaign that is under way.

use std::sync::Arc;

use super::conflicts::{Conflict, conflict};
use super::driver::Going;
use super::engine::Candidate;
use super::record::DeviceState;
use crate::Acs;
use crate::device::UnixTime;

/// How often they are looked for, seconds.
const NEWCOMERS_SECONDS: i64 = 300;
/// The same after a device was registered.
const NEWCOMERS_SECONDS_MIN: i64 = 5;

/// When devices were last looked for, and how many there were.
#[derive(Default)]
pub(super) struct Newcomers {
    looked: UnixTime,
    devices: usize,
}

impl Acs {
    /// Devices that have come to match the query belong to a campaign that wants them.
    pub(super) async fn look_for_newcomers(self: &Arc<Self>, going: &Arc<Going>, now: UnixTime) {
        let definition = Arc::clone(going.engine.lock().definition());
        if !definition.also_new_devices {
            return;
        }
        let devices = self.store.count(&going.instance);
        {
            let mut newcomers = going.newcomers.lock();
            let seconds = match newcomers.devices == devices {
                true => NEWCOMERS_SECONDS,
                false => NEWCOMERS_SECONDS_MIN,
            };
            // Also after the clock was set back.
            if (newcomers.looked..newcomers.looked + seconds).contains(&now) {
                return;
            }
            *newcomers = Newcomers {
                looked: now,
                devices,
            };
        }
        let found = match self.devices_of(&going.instance, &definition.query).await {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(campaign = %going.id, %error, "cannot look for further devices");
                return;
            }
        };
        let is_new = |device: &Arc<str>| going.engine.lock().device(device).is_none();
        let found: Vec<Arc<str>> = found.into_iter().filter(is_new).collect();
        if found.is_empty() {
            return;
        }
        let by_device = definition.schedule.is_by_device();
        let zoned = found.into_iter().map(|device| {
            let zone = match by_device {
                true => self.zone_of(&going.instance, &device),
                false => None,
            };
            (device, zone)
        });
        let zoned: Vec<_> = zoned.collect();
        going.engine.lock().add(zoned);
    }

    /// Which campaign is in the way of a device that has come to match the query after the start.
    /// Those that were there at the start have been looked at then.
    pub(super) fn in_the_way(&self, going: &Going, candidate: &Candidate) -> Option<String> {
        if !candidate.is_late {
            return None;
        }
        let own = Arc::clone(going.engine.lock().definition());
        let mut others = self.campaigns.of_instance(&going.instance);
        others.retain(|other| other.id != going.id);
        others.iter().find_map(|other| {
            let engine = other.engine.lock();
            let record = engine.device(&candidate.device)?;
            // Two that wait for each other would wait for ever.
            if record.state.is_end() || record.state == DeviceState::Conflict {
                return None;
            }
            let definition = engine.definition();
            let Conflict(why) = conflict(&own.operation, &definition.operation)?;
            let name = &definition.name;
            Some(format!(
                "in conflict with campaign {} ({name:?}): {why}",
                other.id
            ))
        })
    }
}
