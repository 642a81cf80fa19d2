//! What a fleet is made of, and when it stops.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::{Oddities, SessionOptions, Vendor};

/// A fleet. All that is random in it follows from `seed`.
#[derive(Debug, Clone)]
pub struct FleetConfig {
    /// Where all devices inform.
    pub acs_url: String,
    /// How many devices.
    pub count: usize,
    /// The kinds of devices, dealt out in turn; a kind may be named more than once.
    pub vendors: Vec<Vendor>,
    /// Beside those of the vendors.
    pub oddities: Oddities,
    /// Each device has as many further oddities, drawn so that the fleet has all of them.
    pub odd: usize,
    /// Serial numbers are this and six digits, from 000001 on.
    pub serial_prefix: String,
    /// PeriodicInformInterval as delivered; the ACS may set another.
    pub periodic_interval: Duration,
    /// The first periodic Inform comes at a random point of the interval; 0 = all in step.
    pub periodic_jitter: bool,
    /// The devices are switched on at random within this time.
    pub boot_spread: Duration,
    /// How long a reboot takes.
    pub boot_time: Duration,
    /// All have been at this ACS before: they begin with `1 BOOT`.
    pub bootstrapped: bool,
    /// Towards the ACS: user name and password; `{serial}` stands for the serial number.
    pub acs_login: Option<(String, String)>,
    /// Where connection requests are taken.
    pub listen: Listen,
    /// Said in ConnectionRequestURL instead of the address listened on.
    pub announce_host: Option<String>,
    /// How sessions are run.
    pub session: SessionOptions,
    /// Sessions at once; further ones wait.
    pub sessions_at_once_max: usize,
    /// Stops after as many sessions, failed ones counted.
    pub sessions_max: Option<u64>,
    /// Stops after this time.
    pub time_max: Option<Duration>,
    /// See above.
    pub seed: u64,
}

/// Where a fleet takes connection requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere: ConnectionRequestURL is empty.
    Nowhere,
    /// All devices on one port; the path, `/cr/<serial number>`, picks the device.
    Shared(SocketAddr),
    /// Each device on a port of its own, any free one.
    Own(IpAddr),
}

impl FleetConfig {
    /// `count` devices of all kinds that inform `acs_url` once an hour, all switched on within
    /// ten seconds, with one listener on the loopback address.
    pub fn new(acs_url: &str, count: usize) -> FleetConfig {
        FleetConfig {
            acs_url: acs_url.to_owned(),
            count,
            vendors: Vendor::ALL.to_vec(),
            oddities: Oddities::NONE,
            odd: 0,
            serial_prefix: "SIM".to_owned(),
            periodic_interval: Duration::from_secs(3600),
            periodic_jitter: true,
            boot_spread: Duration::from_secs(10),
            boot_time: Duration::from_secs(3),
            bootstrapped: false,
            acs_login: None,
            listen: Listen::Shared(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)),
            announce_host: None,
            session: SessionOptions::default(),
            sessions_at_once_max: 256,
            sessions_max: None,
            time_max: None,
            seed: 1,
        }
    }

    /// One plain device of this kind that informs at once.
    pub fn single(acs_url: &str, vendor: Vendor) -> FleetConfig {
        FleetConfig {
            vendors: vec![vendor],
            boot_spread: Duration::ZERO,
            ..FleetConfig::new(acs_url, 1)
        }
    }
}
