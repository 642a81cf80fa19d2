// A flow of two releases, for tests of replacing a plugin while sessions run: it asks the device once, then leaves
// its release as a tag and in ProvisioningCode.

use patchbay_plugin::prelude::*;

struct Version;

impl Flow for Version {
    fn triggers() -> Vec<Trigger> {
        vec![Trigger::every_session()]
    }

    fn run(occasion: &Occasion) -> Result {
        let device = &occasion.device;
        session::get([device.path("DeviceInfo.UpTime")])?;
        session::ensure([string(device.path("DeviceInfo.ProvisioningCode"), TAG)])?;
        for other in ["v1", "v2"].into_iter().filter(|other| *other != TAG) {
            session::untag(other);
        }
        session::tag(TAG);
        Ok(())
    }
}

export_flow!(Version, "version", VERSION);
