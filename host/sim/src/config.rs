//! What a simulated device is made from.

use crate::{Oddities, Oddity, UnixTime, Vendor};
use std::time::Duration;

/// A device to simulate. Built with [`CpeConfig::tr181`] or [`CpeConfig::tr098`] and the
/// struct's fields; everything else follows from `seed`.
#[derive(Debug, Clone)]
pub struct CpeConfig {
    /// The maker and model.
    pub vendor: Vendor,
    /// DeviceId.SerialNumber.
    pub serial: String,
    /// ManagementServer.URL, as delivered (a factory reset comes back to the one last set).
    pub acs_url: String,
    /// Towards the ACS; empty = none.
    pub acs_username: String,
    /// Towards the ACS.
    pub acs_password: String,
    /// ManagementServer.ConnectionRequestURL; empty until a listener is there.
    pub connection_request_url: String,
    /// As delivered; the ACS may set another.
    pub connection_request_username: String,
    /// As delivered; the ACS may set another.
    pub connection_request_password: String,
    /// ManagementServer.PeriodicInformInterval as delivered.
    pub periodic_interval: Duration,
    /// The address on the WAN side.
    pub wan_address: String,
    /// Was bootstrapped in an earlier life: it begins with `1 BOOT` only.
    pub bootstrapped: bool,
    /// How long a boot takes: nothing answers meanwhile.
    pub boot_time: Duration,
    /// The RPCs it has; all others are fault 9000.
    pub methods: &'static [&'static str],
    /// Beside those of the vendor.
    pub oddities: Oddities,
    /// All that is random in this device.
    pub seed: u64,
}

impl CpeConfig {
    /// A TR-181 device without oddities, with Annexes G and K.
    pub fn tr181(serial: &str, acs_url: &str) -> CpeConfig {
        CpeConfig::of(Vendor::tr181(), serial, acs_url)
    }

    /// A TR-098 device without oddities, with Annex G.
    pub fn tr098(serial: &str, acs_url: &str) -> CpeConfig {
        CpeConfig::of(Vendor::tr098(), serial, acs_url)
    }

    /// A device of this vendor.
    pub fn of(vendor: Vendor, serial: &str, acs_url: &str) -> CpeConfig {
        CpeConfig {
            vendor,
            serial: serial.to_owned(),
            acs_url: acs_url.to_owned(),
            acs_username: String::new(),
            acs_password: String::new(),
            connection_request_url: String::new(),
            connection_request_username: String::new(),
            connection_request_password: String::new(),
            periodic_interval: Duration::from_secs(86_400),
            wan_address: "198.51.100.20".to_owned(),
            bootstrapped: false,
            boot_time: Duration::from_secs(3),
            methods: crate::cpe::methods(vendor.cwmp_version),
            oddities: Oddities::NONE,
            seed: 1,
        }
    }

    /// With this oddity too.
    #[must_use]
    pub fn with(mut self, oddity: Oddity) -> CpeConfig {
        self.oddities = self.oddities.with(oddity);
        self
    }

    /// Logs in to the ACS like this.
    #[must_use]
    pub fn acs_login(mut self, username: &str, password: &str) -> CpeConfig {
        self.acs_username = username.to_owned();
        self.acs_password = password.to_owned();
        self
    }

    /// Takes connection requests with these credentials until the ACS sets others.
    #[must_use]
    pub fn request_login(mut self, username: &str, password: &str) -> CpeConfig {
        self.connection_request_username = username.to_owned();
        self.connection_request_password = password.to_owned();
        self
    }

    /// The device, switched on at `now`.
    pub fn start(self, now: UnixTime) -> crate::Cpe {
        crate::Cpe::new(self, now)
    }
}
