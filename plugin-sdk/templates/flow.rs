//! A provisioning flow: straight code that asks the device and waits for its answers.

use patchbay_plugin::prelude::*;
use serde::Deserialize;

/// The table `[settings]` of this plugin's `.toml`, beside the component.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    ntp_server: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ntp_server: "pool.ntp.org".into(),
        }
    }
}

struct MyFlow;

impl Flow for MyFlow {
    /// When it runs. A flow that tags the devices it is done with runs until it succeeded.
    fn triggers() -> Vec<Trigger> {
        vec![Trigger::every_session().without_tag("ntp-set")]
    }

    fn run(occasion: &Occasion) -> Result {
        let settings: Settings = settings()?;
        let device = &occasion.device;
        let path = device.path("Time.NTPServer1");
        let changed = session::ensure([string(path, settings.ntp_server)])?;
        info!("{}: {} values changed", device.id, changed.len());
        session::tag("ntp-set");
        Ok(())
    }
}

export_flow!(MyFlow);

#[cfg(test)]
mod tests {
    use super::*;
    use patchbay_plugin::testing;

    #[test]
    fn the_server_is_set_and_the_device_tagged() {
        testing::settings(r#"{"ntp_server": "ntp.example.net"}"#);
        testing::device([string("Device.Time.NTPServer1", "")]);
        MyFlow::run(&Occasion::default()).unwrap();
        let server = testing::value("Device.Time.NTPServer1");
        assert_eq!(server.as_deref(), Some("ntp.example.net"));
        assert_eq!(testing::tags(), ["ntp-set"]);
    }
}
