//! Tags by provisioning code. An operator, or his DHCP server, gives a device a code
//! (`DeviceInfo.ProvisioningCode`); the device tells it; flows are for the tags that
//! `[instance.provisioning_codes]` has for it.

use super::{Conversation, Depth};
use crate::clock::Now;

impl Conversation {
    /// Gives the device the tags of its code, and takes those that another code gave.
    pub(super) fn tag_by_code(&mut self, now: Now) {
        if self.depth != Depth::Full {
            return;
        }
        let code = &self.summary.provisioning_code;
        let wanted = self.instance.tags_of_code(code);
        if wanted == self.summary.tags_of_code {
            return;
        }
        let list = wanted.iter().cloned().collect::<Vec<_>>().join(", ");
        tracing::info!(device = %self.device(), code, tags = list, "tags by provisioning code");
        self.trace.eventful();
        self.trace
            .note(now, format!("provisioning code {code:?}: tags {list:?}"));
        let before = self.summary.tags.clone();
        self.change_summary(|summary| {
            for tag in summary.tags_of_code.difference(&wanted) {
                summary.tags.remove(tag);
            }
            summary.tags.extend(wanted.iter().cloned());
            summary.tags_of_code = wanted;
        });
        let after = &self.summary.tags;
        self.acs
            .events
            .tags(now.unix, self.device(), &before, after);
    }
}
