//! Reads five parameters in every session, so that the server's record of them is never old.

use patchbay_plugin::prelude::*;

const FIVE: [&str; 5] = [
    "DeviceInfo.SoftwareVersion",
    "DeviceInfo.HardwareVersion",
    "DeviceInfo.UpTime",
    "ManagementServer.PeriodicInformInterval",
    "ManagementServer.ConnectionRequestURL",
];

struct ReadFive;

impl Flow for ReadFive {
    fn triggers() -> Vec<Trigger> {
        vec![Trigger::every_session()]
    }

    fn run(occasion: &Occasion) -> Result {
        let values = session::get(FIVE.map(|name| occasion.device.path(name)))?;
        if values.len() < FIVE.len() {
            warn!("asked for {} parameters, got {}", FIVE.len(), values.len());
        }
        Ok(())
    }
}

export_flow!(ReadFive);
