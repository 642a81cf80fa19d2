//! What a campaign would do: which devices, in which waves, what would change, and which other
//! campaigns are in its way.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::conflicts::{Conflict, conflict, what_is_unknown};
use super::facts::{self, Change, SOFTWARE_VERSION};
use super::record::{CampaignId, Head};
use super::verbs::CampaignError;
use super::{Definition, waves};
use crate::Acs;
use crate::device::{DeviceKey, Summary};
use crate::query::Query;
use crate::work::task::Operation;

/// Devices whose summaries are read at once.
const PAGE: usize = 500;
/// Devices that are named of a conflict.
const NAMED_MAX: usize = 20;

/// What a campaign would do.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Plan {
    /// Devices that match its query.
    pub devices: u32,
    /// Of these, those to which nothing would be done.
    pub skipped: u32,
    /// How many devices each wave has.
    pub waves: Vec<u32>,
    /// Campaigns that would touch the same devices.
    pub conflicts: Vec<PlannedConflict>,
    /// Campaigns with the same devices of which nobody knows beforehand whether the two go together.
    pub possible_conflicts: Vec<PlannedConflict>,
    /// Why the changes of devices are not all there; null: they are.
    pub unknown: Option<String>,
    /// Some of the devices, in the order in which they would be begun.
    pub items: Vec<PlannedDevice>,
    /// To be given back as `after`; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Plan {
    /// For who may not see the values of parameters: what they are by now is left out.
    pub fn hide_values(&mut self) {
        let changes = self.items.iter_mut().flat_map(|item| &mut item.changes);
        for change in changes.filter(|change| change.what != SOFTWARE_VERSION) {
            change.from = None;
        }
    }
}

/// A device as a campaign would treat it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PlannedDevice {
    /// Its id.
    #[schema(value_type = String)]
    pub device: Arc<str>,
    /// Its wave, from 1.
    pub wave: u32,
    /// What would change.
    pub changes: Vec<Change>,
    /// Why nothing would be done to it; null: something would.
    pub skipped: Option<String>,
    /// Its time zone, where the windows are those of devices and it has one.
    pub time_zone: Option<String>,
}

/// A campaign that would touch the same devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PlannedConflict {
    /// Its number.
    #[schema(value_type = String)]
    pub campaign: CampaignId,
    /// Its name.
    pub name: String,
    /// Why the two do not go together.
    pub why: String,
    /// How many devices both have.
    pub devices: u32,
    /// Some of them.
    #[schema(value_type = Vec<String>)]
    pub examples: Vec<Arc<str>>,
}

/// Conflicts in one sentence.
pub(super) fn in_words(conflicts: &[PlannedConflict]) -> String {
    let words = conflicts.iter().map(|found| {
        let PlannedConflict {
            campaign,
            name,
            why,
            devices,
            ..
        } = found;
        format!("{devices} devices are in campaign {campaign} ({name:?}) too, and {why}")
    });
    words.collect::<Vec<_>>().join("; ")
}

/// Which devices of a plan are wanted in full.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Those after this one.
    pub after: Option<&'a str>,
    /// So many.
    pub limit: usize,
}

impl Acs {
    /// The devices of an instance that a query means.
    pub(super) async fn devices_of(
        self: &Arc<Self>,
        instance: &Arc<str>,
        query: &str,
    ) -> Result<Vec<Arc<str>>, CampaignError> {
        let query = Query::parse(query).map_err(|error| CampaignError::Bad(error.to_string()))?;
        let found = self.matching(instance, &query).await?;
        Ok(found.into_iter().map(|key| key.id).collect())
    }

    /// What a campaign would do if it were started now.
    ///
    /// # Errors
    /// [`CampaignError::Bad`] for a query that cannot be read.
    pub async fn plan_campaign(
        self: &Arc<Self>,
        instance: &Arc<str>,
        id: CampaignId,
        definition: &Definition,
        wanted: Wanted<'_>,
    ) -> Result<Plan, CampaignError> {
        let devices = self.devices_of(instance, &definition.query).await?;
        let conflicts = self.conflicts(instance, id, definition, &devices);
        let possible_conflicts = self.possible_conflicts(instance, id, definition, &devices);
        let target_version = self.target_version(instance, &definition.operation)?;
        let unknown = what_is_unknown(&definition.operation);
        let dealt = waves::deal(id, &definition.waves, devices);
        let mut sizes: Vec<u32> = Vec::new();
        for (_, wave) in &dealt {
            let place = usize::from(*wave);
            sizes.resize(sizes.len().max(place + 1), 0);
            if let Some(size) = sizes.get_mut(place) {
                *size += 1;
            }
        }
        let total = u32::try_from(dealt.len()).unwrap_or(u32::MAX);
        let from = match wanted.after {
            Some(after) => dealt
                .iter()
                .position(|(device, _)| **device == *after)
                .map_or(dealt.len(), |at| at + 1),
            None => 0,
        };
        let page: Vec<(Arc<str>, u16)> = dealt
            .iter()
            .skip(from)
            .take(wanted.limit)
            .cloned()
            .collect();
        let is_last = from + page.len() >= dealt.len();
        let head = Head {
            target_version,
            ..Head::default()
        };
        let (acs, instance, definition) =
            (Arc::clone(self), Arc::clone(instance), definition.clone());
        let looking = tokio::task::spawn_blocking(move || {
            let skipped = acs.count_skipped(&instance, &definition, &head, &dealt)?;
            let items = page
                .into_iter()
                .map(|(device, wave)| acs.planned(&instance, &definition, &head, device, wave));
            let items = items.collect::<Result<Vec<_>, CampaignError>>()?;
            Ok::<_, CampaignError>((skipped, items))
        });
        let (skipped, items) = looking
            .await
            .map_err(|error| CampaignError::Bad(error.to_string()))??;
        let next = items.last().filter(|_| !is_last);
        let unknown = unknown.map(|unknown| format!("{unknown}: no changes are shown"));
        Ok(Plan {
            devices: total,
            skipped,
            waves: sizes,
            conflicts,
            possible_conflicts,
            unknown,
            next: next.map(|item| item.device.to_string()),
            items,
        })
    }

    /// Campaigns that are under way and would touch some of these devices.
    pub(super) fn conflicts(
        &self,
        instance: &str,
        id: CampaignId,
        definition: &Definition,
        devices: &[Arc<str>],
    ) -> Vec<PlannedConflict> {
        self.meeting(instance, id, devices, |other| {
            conflict(&definition.operation, other).map(|Conflict(why)| why)
        })
    }

    /// Those of which nobody can tell.
    fn possible_conflicts(
        &self,
        instance: &str,
        id: CampaignId,
        definition: &Definition,
        devices: &[Arc<str>],
    ) -> Vec<PlannedConflict> {
        let operation = &definition.operation;
        self.meeting(instance, id, devices, |other| {
            if conflict(operation, other).is_some() {
                return None;
            }
            what_is_unknown(operation).or_else(|| what_is_unknown(other))
        })
    }

    /// Campaigns that are under way with some of these devices, as far as there is a `why`.
    fn meeting(
        &self,
        instance: &str,
        id: CampaignId,
        devices: &[Arc<str>],
        why: impl Fn(&Operation) -> Option<String>,
    ) -> Vec<PlannedConflict> {
        let mut found = Vec::new();
        for going in self.campaigns.of_instance(instance) {
            let engine = going.engine.lock();
            let other = engine.definition();
            if engine.id() == id {
                continue;
            }
            let Some(why) = why(&other.operation) else {
                continue;
            };
            let is_both = |device: &&Arc<str>| {
                let record = engine.device(device);
                record.is_some_and(|record| !record.state.is_end())
            };
            let both: Vec<&Arc<str>> = devices.iter().filter(is_both).collect();
            if !both.is_empty() {
                found.push(PlannedConflict {
                    campaign: engine.id(),
                    name: other.name.clone(),
                    why,
                    devices: u32::try_from(both.len()).unwrap_or(u32::MAX),
                    examples: both.into_iter().take(NAMED_MAX).cloned().collect(),
                });
            }
        }
        found
    }

    fn count_skipped(
        &self,
        instance: &str,
        definition: &Definition,
        head: &Head,
        dealt: &[(Arc<str>, u16)],
    ) -> Result<u32, CampaignError> {
        let wanted: HashMap<&str, ()> = dealt.iter().map(|(device, _)| (&**device, ())).collect();
        let (mut after, mut skipped) = (None::<Arc<str>>, 0);
        loop {
            let page = self.store.devices(instance, after.as_deref(), PAGE)?;
            let Some(last) = page.last() else {
                return Ok(skipped);
            };
            after = Some(Arc::clone(&last.key.id));
            for listed in &page {
                if wanted.contains_key(&*listed.key.id) {
                    let why = self.skips(definition, head, &listed.key, &listed.summary);
                    skipped += u32::from(why.is_some());
                }
            }
        }
    }

    /// Why nothing would be done to a device.
    fn skips(
        &self,
        definition: &Definition,
        head: &Head,
        key: &DeviceKey,
        summary: &Summary,
    ) -> Option<String> {
        facts::has_already(definition, head, summary).or_else(|| {
            let mut operation = definition.operation.clone();
            self.fit(&mut operation, key, summary).err()
        })
    }

    fn planned(
        &self,
        instance: &str,
        definition: &Definition,
        head: &Head,
        device: Arc<str>,
        wave: u16,
    ) -> Result<PlannedDevice, CampaignError> {
        let key = DeviceKey {
            instance: instance.into(),
            id: Arc::clone(&device),
        };
        let mut planned = PlannedDevice {
            device,
            wave: u32::from(wave) + 1,
            changes: Vec::new(),
            skipped: Some("there is no such device any more".to_owned()),
            time_zone: None,
        };
        let Some(cell) = self.store.device(&key)? else {
            return Ok(planned);
        };
        let summary = cell.lock().shared_summary();
        planned.skipped = self.skips(definition, head, &key, &summary);
        let device = cell.lock();
        let target = head.target_version.as_deref();
        planned.changes = facts::changes(&definition.operation, target, &summary, device.tree());
        if definition.schedule.is_by_device() {
            planned.time_zone = facts::time_zone(&summary, device.tree());
        }
        Ok(planned)
    }
}
