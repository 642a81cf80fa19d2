//! How many campaigns there are, and where the devices of those that are under way stand.

use std::collections::HashMap;

use super::record::{CampaignState, Counts, Phase};
use crate::Acs;
use crate::device::UnixTime;
use crate::store::StoreError;

/// Of all instances.
#[derive(Debug, Default)]
pub struct Census {
    campaigns: HashMap<CampaignState, usize>,
    /// Devices of the campaigns that are under way.
    pub devices: Counts,
}

impl Census {
    /// How many campaigns stand there.
    pub fn campaigns(&self, state: CampaignState) -> usize {
        self.campaigns.get(&state).copied().unwrap_or_default()
    }

    fn add(&mut self, state: CampaignState) {
        *self.campaigns.entry(state).or_default() += 1;
    }
}

impl Acs {
    /// Counts the campaigns. Reads what is kept of each: not for a thread that serves others.
    ///
    /// # Errors
    /// When records cannot be read.
    pub fn campaign_census(&self, now: UnixTime) -> Result<Census, StoreError> {
        let mut census = Census::default();
        for instance in self.store.instances_with_campaigns()? {
            for (_, head) in self.store.campaigns(&instance, None, usize::MAX)? {
                match head.phase {
                    Phase::Draft => census.add(CampaignState::Draft),
                    Phase::Aborted => census.add(CampaignState::Aborted),
                    Phase::Done => census.add(CampaignState::Done),
                    // Their engines know better where they stand.
                    Phase::Active | Phase::Paused | Phase::Aborting | Phase::RollingBack => {}
                }
            }
            for going in self.campaigns.of_instance(&instance) {
                let mut engine = going.engine.lock();
                let head = engine.head();
                if head.phase.is_end() {
                    continue;
                }
                census.add(engine.state(now).0);
                let devices = head.counts.iter();
                census.devices = devices.fold(census.devices, |all, wave| all.plus(wave));
            }
        }
        Ok(census)
    }
}
