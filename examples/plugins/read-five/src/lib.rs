//! Reads five parameters in every session and logs them.

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
        for parameter in session::get(FIVE.map(|name| occasion.device.path(name)))? {
            info!("{} = {}", parameter.path, parameter.value);
        }
        Ok(())
    }
}

export_flow!(ReadFive);
