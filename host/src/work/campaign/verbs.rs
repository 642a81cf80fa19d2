//! What people do with campaigns: make, change, start, steer, look, remove.

use std::sync::Arc;
use std::time::Duration;

use super::driver::{Command, Going};
use super::engine::{Changes, Engine};
use super::plan::{Plan, Wanted};
use super::record::{CampaignId, CampaignState, Counts, Head, Phase, Record, Waits};
use super::{Definition, facts, plan, waves};
use crate::Acs;
use crate::device::{DeviceKey, UnixTime};
use crate::events::{Event, What};
use crate::files::FilesError;
use crate::query::Query;
use crate::store::{CampaignDeviceFilter, DevicesPage, StoreError};
use crate::work::task::Operation;

/// Campaigns that an instance may have, ended ones included.
const CAMPAIGNS_MAX: usize = 1_000;
/// A campaign that has ended is waited for so long before it is removed.
const ENDING_MAX: Duration = Duration::from_secs(5);
/// And looked at so often.
const ENDING_LOOK: Duration = Duration::from_millis(50);
/// Bytes of an operation's JSON: each task of the campaign has a copy of it.
const OPERATION_BYTES_MAX: usize = 64 << 10;
/// Devices whose records are written in one batch.
pub(super) const WRITTEN_AT_ONCE: usize = 1_000;

/// Why a campaign does not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// There is none.
    #[error("there is no campaign {0}")]
    NotFound(CampaignId),
    /// What was asked for cannot be.
    #[error("{0}")]
    Bad(String),
    /// Not as it stands.
    #[error("{0}")]
    Conflict(String),
    /// Its records cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A campaign as it is shown.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its number.
    pub id: CampaignId,
    /// What it is to do.
    pub definition: Arc<Definition>,
    /// How far it is.
    pub head: Head,
    /// Where it stands.
    pub state: CampaignState,
    /// What it waits for.
    pub waits: Option<Waits>,
    /// When a window opens or closes next, where that matters.
    pub next_change: Option<UnixTime>,
}

/// A campaign to be made.
#[derive(Debug, Clone)]
pub struct NewCampaign {
    /// What it is to do.
    pub definition: Definition,
    /// Who makes it.
    pub by: String,
}

impl Acs {
    /// Makes a campaign; it does nothing before it is started.
    ///
    /// # Errors
    /// [`CampaignError::Bad`] says what was expected and what came.
    pub async fn create_campaign(
        &self,
        instance: &str,
        new: NewCampaign,
    ) -> Result<Shown, CampaignError> {
        let definition = self.checked(instance, new.definition)?;
        let known = self.store.campaigns(instance, None, CAMPAIGNS_MAX)?;
        if known.len() >= CAMPAIGNS_MAX {
            return Err(CampaignError::Conflict(format!(
                "expected at most {CAMPAIGNS_MAX} campaigns in an instance: remove some that have ended"
            )));
        }
        let now = self.clock.unix();
        let id = loop {
            let id = CampaignId::new(now, rand::random());
            if self.store.campaign_head(instance, id)?.is_none() {
                break id;
            }
        };
        let head = Head {
            created: now,
            created_by: new.by,
            ..Head::default()
        };
        let kept = self.store.put_campaign(instance, id, &definition, &head);
        kept.await?;
        tracing::info!(campaign = %id, name = %definition.name, by = %head.created_by, "a campaign was made");
        self.campaign(instance, id)
    }

    /// Changes a campaign that was not started yet.
    ///
    /// # Errors
    /// [`CampaignError::Conflict`] when it was.
    pub async fn change_campaign(
        &self,
        instance: &str,
        id: CampaignId,
        definition: Definition,
    ) -> Result<Shown, CampaignError> {
        let definition = self.checked(instance, definition)?;
        let _busy = self.campaigns.busy(instance, id)?;
        let head = self.draft(instance, id)?;
        let kept = self.store.put_campaign(instance, id, &definition, &head);
        kept.await?;
        self.campaign(instance, id)
    }

    /// Removes a campaign that was not started, or has ended. Its tasks stay.
    ///
    /// # Errors
    /// [`CampaignError::Conflict`] when it is under way.
    pub async fn remove_campaign(
        &self,
        instance: &str,
        id: CampaignId,
    ) -> Result<(), CampaignError> {
        let _busy = self.campaigns.busy(instance, id)?;
        let shown = self.campaign(instance, id)?;
        if shown.head.phase.is_live() {
            return Err(CampaignError::Conflict(format!(
                "campaign {id} is under way: abort it first"
            )));
        }
        // Its last records may still be on their way to the store.
        let looks = ENDING_MAX.as_millis() / ENDING_LOOK.as_millis();
        for _ in 0..looks {
            if !self.campaigns.is_going(instance, id) {
                break;
            }
            tokio::time::sleep(ENDING_LOOK).await;
        }
        if self.campaigns.is_going(instance, id) {
            return Err(CampaignError::Conflict(format!(
                "campaign {id} is just ending: try again"
            )));
        }
        self.store.remove_campaign(instance, id).await?;
        Ok(())
    }

    /// Starts a campaign: its devices are those that match its query now.
    ///
    /// # Errors
    /// [`CampaignError::Conflict`] when it was started already, or when other campaigns would
    /// touch its devices and `force` is not given.
    pub async fn start_campaign(
        self: &Arc<Self>,
        instance: &Arc<str>,
        id: CampaignId,
        force: bool,
    ) -> Result<Shown, CampaignError> {
        let (acs, instance) = (Arc::clone(self), Arc::clone(instance));
        // Whoever asked for it may go away: it is started all the same, or not at all.
        let starting = tokio::spawn(async move { acs.begin_campaign(&instance, id, force).await });
        let joined = starting.await;
        joined.map_err(|error| CampaignError::Bad(error.to_string()))?
    }

    async fn begin_campaign(
        self: &Arc<Self>,
        instance: &Arc<str>,
        id: CampaignId,
        force: bool,
    ) -> Result<Shown, CampaignError> {
        let _busy = self.campaigns.busy(instance, id)?;
        let head = self.draft(instance, id)?;
        let definition = self.definition(instance, id)?;
        self.expect_all(instance, &definition.operation)?;
        let now = self.clock.unix();
        if definition.schedule.is_over(now) {
            let end = definition.schedule.end.unwrap_or_default();
            return Err(CampaignError::Bad(format!(
                "expected a schedule.end that is to come, got {end}"
            )));
        }
        let devices = self.devices_of(instance, &definition.query).await?;
        if devices.is_empty() && !definition.also_new_devices {
            return Err(CampaignError::Bad(
                "expected a query that some device matches, got one that none does".to_owned(),
            ));
        }
        // Of two that start at once, one has to see the other.
        let _alone = self.campaigns.starting.lock().await;
        let conflicts = self.conflicts(instance, id, &definition, &devices);
        if !conflicts.is_empty() && !force {
            let words = plan::in_words(&conflicts);
            return Err(CampaignError::Conflict(format!(
                "{words}; \"force\": true starts it all the same"
            )));
        }
        let target_version = self.target_version(instance, &definition.operation)?;
        let dealt = waves::deal(id, &definition.waves, devices);
        let acs = Arc::clone(self);
        let (name, by_device) = (Arc::clone(instance), definition.schedule.is_by_device());
        let records = tokio::task::spawn_blocking(move || {
            let records = dealt.into_iter().map(|(device, wave)| {
                let zone = match by_device {
                    true => acs.zone_of(&name, &device),
                    false => None,
                };
                let record = Record {
                    wave,
                    zone,
                    ..Record::default()
                };
                (device, record)
            });
            records.collect::<Vec<_>>()
        });
        let records = records
            .await
            .map_err(|error| CampaignError::Bad(error.to_string()))?;
        let mut engine = Engine::new(id, definition, head, records);
        engine.start(target_version, now);
        let changes = engine.take_changes();
        let started = changes.log.first().map(|(_, line)| line.text.clone());
        // Until the last batch it is a draft, whatever happens.
        self.store.clear_campaign_devices(instance, id).await?;
        self.keep_campaign(instance, id, changes).await?;
        let (name, text) = (&engine.definition().name, started.unwrap_or_default());
        tracing::info!(campaign = %id, %name, "{text}");
        for event in engine.take_events() {
            self.events
                .emit(Event::of_instance(now, instance, What::Campaign(event)));
        }
        self.campaigns.go(instance, engine);
        self.campaign(instance, id)
    }

    /// Writes what has changed: the devices first, how far it is last.
    pub(super) async fn keep_campaign(
        &self,
        instance: &str,
        id: CampaignId,
        changes: Changes,
    ) -> Result<(), StoreError> {
        let Changes { head, devices, log } = changes;
        let mut pieces = devices.chunks(WRITTEN_AT_ONCE).peekable();
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_some() {
                let written = self
                    .store
                    .put_campaign_changes(instance, id, None, piece, &[]);
                written.await?;
            } else {
                let head = head.as_ref();
                let written = self
                    .store
                    .put_campaign_changes(instance, id, head, piece, &log);
                return written.await;
            }
        }
        let head = head.as_ref();
        let written = self
            .store
            .put_campaign_changes(instance, id, head, &[], &log);
        written.await
    }

    /// Steers a campaign that was started.
    ///
    /// # Errors
    /// [`CampaignError::Conflict`] when it does not stand where that is possible.
    pub async fn steer_campaign(
        self: &Arc<Self>,
        instance: &Arc<str>,
        id: CampaignId,
        command: Command,
    ) -> Result<Shown, CampaignError> {
        let head = self.head(instance, id)?;
        if head.phase == Phase::Draft && !self.campaigns.is_going(instance, id) {
            return Err(CampaignError::Conflict(format!(
                "expected a campaign that was started, got {id}, which is a draft"
            )));
        }
        if head.phase.is_end() && matches!(command, Command::RollBack { .. }) {
            self.go_on_with(instance, id)?;
        }
        if !self.campaigns.is_going(instance, id) {
            return Err(CampaignError::Conflict(format!(
                "expected a campaign that is under way, got {id}, which has ended"
            )));
        }
        let done = self.campaigns.command(instance, id, command).await;
        done.map_err(CampaignError::Conflict)?;
        self.campaign(instance, id)
    }

    /// An ended campaign is under way again.
    fn go_on_with(
        self: &Arc<Self>,
        instance: &Arc<str>,
        id: CampaignId,
    ) -> Result<(), CampaignError> {
        let _busy = self.campaigns.busy(instance, id)?;
        if !self.campaigns.is_going(instance, id) {
            let engine = self.load_campaign(instance, id)?;
            self.campaigns.go(instance, engine);
        }
        Ok(())
    }

    /// A campaign as it stands.
    ///
    /// # Errors
    /// [`CampaignError::NotFound`].
    pub fn campaign(&self, instance: &str, id: CampaignId) -> Result<Shown, CampaignError> {
        let now = self.clock.unix();
        if let Some(going) = self.campaigns.get(instance, id) {
            let mut engine = going.engine.lock();
            let (state, waits) = engine.state(now);
            return Ok(Shown {
                id,
                definition: Arc::clone(engine.definition()),
                head: engine.head(),
                state,
                waits,
                next_change: engine.next_change(now),
            });
        }
        let head = self.head(instance, id)?;
        let definition = self.definition(instance, id)?;
        let mut engine = Engine::new(id, Arc::clone(&definition), head.clone(), []);
        let (state, waits) = engine.state(now);
        Ok(Shown {
            id,
            definition,
            head,
            state,
            waits,
            next_change: None,
        })
    }

    /// Campaigns of an instance, the newest first, those older than `before`.
    ///
    /// # Errors
    /// When records cannot be read.
    pub fn campaigns_of(
        &self,
        instance: &str,
        before: Option<CampaignId>,
        limit: usize,
    ) -> Result<Vec<Shown>, CampaignError> {
        let listed = self.store.campaigns(instance, before, limit)?;
        let shown = listed
            .into_iter()
            .map(|(id, _)| self.campaign(instance, id));
        shown.collect()
    }

    /// Devices of a campaign, page by page, as they stand now.
    ///
    /// # Errors
    /// When records cannot be read.
    pub fn campaign_devices(
        &self,
        instance: &str,
        id: CampaignId,
        filter: CampaignDeviceFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<DevicesPage, CampaignError> {
        let Some(going) = self.campaigns.get(instance, id) else {
            let page = self
                .store
                .campaign_devices(instance, id, filter, after, limit)?;
            return Ok(page);
        };
        // What is kept of a device may be a step behind.
        let engine = going.engine.lock();
        let mut found = Vec::new();
        let mut is_after = after.is_none();
        for (device, record) in engine.devices() {
            if is_after && filter.wants(record) {
                if found.len() >= limit {
                    let last = found
                        .last()
                        .map(|(device, _): &(Arc<str>, _)| Arc::clone(device));
                    return Ok((found, last));
                }
                found.push((Arc::clone(device), record.clone()));
            }
            is_after |= after == Some(&**device);
        }
        Ok((found, None))
    }

    /// How a campaign's devices stand, wave by wave.
    pub fn campaign_counts(&self, shown: &Shown) -> (Counts, Vec<Counts>) {
        let waves = shown.head.counts.clone();
        let sum = |sum: Counts, counts: &Counts| sum.plus(counts);
        (waves.iter().fold(Counts::default(), sum), waves)
    }

    /// The definition, completed by what the file store knows.
    fn checked(
        &self,
        instance: &str,
        mut definition: Definition,
    ) -> Result<Definition, CampaignError> {
        if let Operation::Download {
            file: Some(id),
            file_type,
            ..
        } = &mut definition.operation
        {
            let file = self.files.get(instance, *id).map_err(|error| match error {
                FilesError::Store(error) => CampaignError::Store(error),
                error => CampaignError::Bad(format!("operation: {error}")),
            })?;
            if file_type.is_empty() {
                *file_type = file.file_type;
            }
        }
        definition.check().map_err(CampaignError::Bad)?;
        self.expect_all(instance, &definition.operation)?;
        Query::parse(&definition.query).map_err(|error| CampaignError::Bad(error.to_string()))?;
        let bytes = serde_json::to_vec(&definition.operation).map_or(0, |json| json.len());
        if bytes > OPERATION_BYTES_MAX {
            return Err(CampaignError::Bad(format!(
                "expected an operation of at most {OPERATION_BYTES_MAX} bytes, got {bytes}"
            )));
        }
        Ok(definition)
    }

    fn expect_all(&self, instance: &str, operation: &Operation) -> Result<(), CampaignError> {
        match self.lacks(instance, operation)? {
            Some(lack) => Err(CampaignError::Bad(format!("operation: {lack}"))),
            None => Ok(()),
        }
    }

    /// What an operation needs and the host does not have, whatever the device.
    pub(super) fn lacks(
        &self,
        instance: &str,
        operation: &Operation,
    ) -> Result<Option<String>, StoreError> {
        match operation {
            Operation::Download { file: Some(id), .. } => match self.files.get(instance, *id) {
                Ok(_) => Ok(None),
                Err(FilesError::Store(error)) => Err(error),
                Err(error) => Ok(Some(error.to_string())),
            },
            Operation::Flow { flow } => {
                let checked = self.plugins.check_flow(instance, flow, None);
                Ok(checked.err().map(|error| error.to_string()))
            }
            _ => Ok(None),
        }
    }

    /// The version that devices have afterwards.
    pub(super) fn target_version(
        &self,
        instance: &str,
        operation: &Operation,
    ) -> Result<Option<String>, CampaignError> {
        let Operation::Download { file: Some(id), .. } = operation else {
            return Ok(None);
        };
        match self.files.get(instance, *id) {
            Ok(file) if file.is_firmware() && !file.version.is_empty() => Ok(Some(file.version)),
            Ok(_) => Ok(None),
            Err(FilesError::Store(error)) => Err(error.into()),
            Err(error) => Err(CampaignError::Bad(format!("operation: {error}"))),
        }
    }

    fn head(&self, instance: &str, id: CampaignId) -> Result<Head, CampaignError> {
        let head = self.store.campaign_head(instance, id)?;
        head.ok_or(CampaignError::NotFound(id))
    }

    fn draft(&self, instance: &str, id: CampaignId) -> Result<Head, CampaignError> {
        let head = self.head(instance, id)?;
        if head.phase == Phase::Draft {
            return Ok(head);
        }
        Err(CampaignError::Conflict(format!(
            "campaign {id} was started already: a copy of it can be changed and started"
        )))
    }

    pub(super) fn definition(
        &self,
        instance: &str,
        id: CampaignId,
    ) -> Result<Arc<Definition>, CampaignError> {
        let definition = self.store.campaign(instance, id)?;
        definition.map(Arc::new).ok_or(CampaignError::NotFound(id))
    }

    /// The time zone of a device.
    pub(super) fn zone_of(&self, instance: &str, device: &Arc<str>) -> Option<String> {
        let key = DeviceKey {
            instance: instance.into(),
            id: Arc::clone(device),
        };
        let cell = self.store.device(&key).ok()??;
        let device = cell.lock();
        facts::time_zone(device.summary(), device.tree())
    }

    /// A plan, with only what is wanted of its devices.
    ///
    /// # Errors
    /// As [`Acs::plan_campaign`], and those of a definition that cannot be.
    pub async fn preview_campaign(
        self: &Arc<Self>,
        instance: &Arc<str>,
        id: Option<CampaignId>,
        definition: Definition,
        wanted: Wanted<'_>,
    ) -> Result<Plan, CampaignError> {
        let definition = self.checked(instance, definition)?;
        // Of what is no campaign yet nobody knows the order in which its devices will come.
        let id = id.unwrap_or(CampaignId(0));
        self.plan_campaign(instance, id, &definition, wanted).await
    }
}

impl Going {
    /// Its key in the map.
    pub(super) fn key(&self) -> (Arc<str>, CampaignId) {
        (Arc::clone(&self.instance), self.id)
    }
}
