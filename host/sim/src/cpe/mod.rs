//! A device: its state and the device's half of the protocol, without I/O.

mod addressing;
mod diagnostics;
mod events;
mod inform;
mod own_requests;
mod retry;
mod rpc;
mod schedule;
mod session;
mod software_modules;
mod transfer;
mod vouchers;
mod wire;

pub use rpc::METHODS;
pub(crate) use rpc::methods;
pub use schedule::Due;
pub use session::{ProtocolError, Served, SessionRecord, Step};
pub use transfer::{TransferJob, TransferResult};

use std::collections::{BTreeMap, BTreeSet};

use cwmp::{DeviceId, EventKind, VoucherOption};

use crate::model::{Facts, Features, Identity, Tree};
use crate::seed::Seed;
use crate::{CpeConfig, DataModel, Oddities, Oddity, UnixTime};
use events::Events;
use own_requests::OwnRequests;
use schedule::Schedule;
use session::Running;
use software_modules::SoftwareModules;
use transfer::Transfers;

/// One simulated device: its data model, its events and timers, and its half of a session.
///
/// It does nothing by itself: ask [`Cpe::poll`] what is due, run sessions with
/// [`Cpe::begin_session`] and [`Cpe::receive`] (or [`crate::run_session`], which does it over
/// TCP), and tell it about connection requests. The same calls at the same times make the
/// same device.
#[derive(Debug)]
pub struct Cpe {
    identity: Identity,
    oddities: Oddities,
    methods: &'static [&'static str],
    tree: Tree,
    events: Events,
    schedule: Schedule,
    transfers: Transfers,
    software: SoftwareModules,
    options: Vec<VoucherOption>,
    own_requests: OwnRequests,
    kicked_to: Option<String>,
    /// The ACS has asked for nothing while there was something to tell.
    tells_first: bool,
    /// Parameters with notification, changed since they were last told.
    changed: BTreeSet<Box<str>>,
    session: Option<Box<Running>>,
    retry_count: u32,
    booted_at: UnixTime,
    /// Between sessions: what is to happen once the session is over.
    after_session: AfterSession,
    /// Faults to answer with instead, by method.
    failing: Vec<(String, u32)>,
    served: BTreeMap<Box<str>, u32>,
    random: Seed,
}

/// What an RPC has ordered for the time after its session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct AfterSession {
    reboot: bool,
    factory_reset: bool,
    /// Paths of the DiagnosticsState parameters set to Requested.
    diagnostics: Vec<Box<str>>,
    /// The ACS URL was changed: the next Inform is a bootstrap.
    new_acs: bool,
}

impl Cpe {
    /// A device that is switched on at `now` and has booted: `0 BOOTSTRAP` and `1 BOOT` wait
    /// to be told.
    pub fn new(config: CpeConfig, now: UnixTime) -> Cpe {
        let vendor = config.vendor;
        let periodic = config.periodic_interval.as_secs();
        let identity = Identity {
            vendor,
            serial: config.serial.into(),
            software_version: vendor.software_version.into(),
            acs_url: config.acs_url.into(),
            acs_username: config.acs_username.into(),
            acs_password: config.acs_password.into(),
            connection_request_url: config.connection_request_url.into(),
            connection_request_username: config.connection_request_username.into(),
            connection_request_password: config.connection_request_password.into(),
            periodic_interval_s: u32::try_from(periodic).unwrap_or(u32::MAX).max(1),
            wan_address: config.wan_address.into(),
            seed: config.seed,
        };
        let features = Features {
            data_model: vendor.data_model,
            xmpp: vendor.supports_xmpp,
            stun: vendor.supports_stun,
        };
        let mut cpe = Cpe {
            identity,
            oddities: vendor.oddities.and(config.oddities),
            methods: config.methods,
            tree: Tree::new(features),
            events: Events::default(),
            schedule: Schedule::new(config.boot_time),
            transfers: Transfers::default(),
            software: SoftwareModules::default(),
            options: Vec::new(),
            own_requests: OwnRequests::default(),
            kicked_to: None,
            tells_first: false,
            changed: BTreeSet::new(),
            session: None,
            retry_count: 0,
            booted_at: now,
            after_session: AfterSession::default(),
            failing: Vec::new(),
            served: BTreeMap::new(),
            random: Seed::new(config.seed),
        };
        cpe.come_up(now, !config.bootstrapped);
        cpe
    }

    /// How it names itself in an Inform.
    pub fn device_id(&self) -> DeviceId {
        let vendor = &self.identity.vendor;
        let oui = if self.oddities.has(Oddity::LowerCaseOui) {
            vendor.oui.to_ascii_lowercase()
        } else {
            vendor.oui.to_owned()
        };
        let product_class = if self.oddities.has(Oddity::NoProductClass) {
            String::new()
        } else {
            vendor.product_class.to_owned()
        };
        DeviceId {
            manufacturer: vendor.manufacturer.to_owned(),
            oui,
            product_class,
            serial_number: self.serial().to_owned(),
        }
    }

    /// DeviceId.SerialNumber.
    pub fn serial(&self) -> &str {
        &self.identity.serial
    }

    /// Which tree it speaks.
    pub fn data_model(&self) -> DataModel {
        self.identity.vendor.data_model
    }

    /// What it does differently.
    pub fn oddities(&self) -> Oddities {
        self.oddities
    }

    /// The full name of `ManagementServer.<name>`.
    pub fn management_server(&self, name: &str) -> String {
        format!("{}ManagementServer.{name}", self.data_model().root())
    }

    /// A parameter as the device itself knows it: secrets too. `None`: it has no such parameter.
    pub fn get(&self, path: &str, now: UnixTime) -> Option<String> {
        self.tree.get(path, &self.facts(now))
    }

    /// Changes a parameter from the inside, as the device or its owner would: writable or
    /// not, without a look at the value. With notification, `4 VALUE CHANGE` follows.
    /// False: it has no such parameter.
    pub fn set(&mut self, path: &str, value: &str, now: UnixTime) -> bool {
        let Some(parameter) = self.tree.parameter(path) else {
            return false;
        };
        let before = self.tree.value(path, parameter, &self.facts(now));
        if before == value {
            return true;
        }
        self.tree.set(path, value.into());
        let notification = self.tree.attributes(path, parameter.leaf).notification;
        if notification > 0 {
            self.changed.insert(path.into());
            self.events.happened(EventKind::ValueChange, "");
        }
        // 2 active, 4 and 6 its variants of 1.4.
        if matches!(notification, 2 | 4 | 6) {
            self.schedule.want_session();
        }
        true
    }

    /// Where a connection-request listener was opened for it. Without the event a change of
    /// address would cause: before the first Inform there is nobody to tell.
    pub fn set_connection_request_url(&mut self, url: &str) {
        self.identity.connection_request_url = url.into();
    }

    /// The URL it informs.
    pub fn acs_url(&self, now: UnixTime) -> String {
        self.of_management_server("URL", now)
    }

    /// The address on the WAN side.
    pub fn wan_address(&self) -> &str {
        &self.identity.wan_address
    }

    /// User name and password towards the ACS; both empty = none.
    pub fn acs_login(&self, now: UnixTime) -> (String, String) {
        (
            self.of_management_server("Username", now),
            self.of_management_server("Password", now),
        )
    }

    /// User name and password that a connection request must show.
    pub fn connection_request_login(&self, now: UnixTime) -> (String, String) {
        (
            self.of_management_server("ConnectionRequestUsername", now),
            self.of_management_server("ConnectionRequestPassword", now),
        )
    }

    /// `DeviceInfo.SoftwareVersion`.
    pub fn software_version(&self) -> &str {
        &self.identity.software_version
    }

    /// Answers the next RPC of this name (`GetParameterValues`) with a fault.
    pub fn fail_next(&mut self, method: &str, code: u32) {
        self.failing.push((method.to_owned(), code));
    }

    /// How often an RPC of this name was served, with or without a fault, since it was made.
    pub fn times_served(&self, method: &str) -> u32 {
        self.served.get(method).copied().unwrap_or(0)
    }

    /// Switches it off and on, by hand.
    pub fn power_cycle(&mut self, now: UnixTime) {
        self.events.forget_volatile();
        self.schedule.go_down(now);
    }

    /// The button in its back.
    pub fn factory_reset(&mut self, now: UnixTime) {
        self.identity.acs_url = self.acs_url(now).into();
        self.tree.reset();
        self.changed.clear();
        self.transfers = Transfers::default();
        self.software = SoftwareModules::default();
        self.own_requests = OwnRequests::default();
        self.events = Events::default();
        self.schedule.forget();
        self.schedule.bootstrap_next();
        self.schedule.go_down(now);
    }

    /// Randomness for what is done on its behalf.
    pub(crate) fn fork_random(&mut self) -> Seed {
        Seed::new(self.random.draw())
    }

    fn of_management_server(&self, name: &str, now: UnixTime) -> String {
        self.get(&self.management_server(name), now)
            .unwrap_or_default()
    }

    fn facts(&self, now: UnixTime) -> Facts<'_> {
        let uptime = now.saturating_sub(self.booted_at);
        let clock = if self.oddities.has(Oddity::Clock1970) {
            uptime
        } else {
            now
        };
        Facts {
            identity: &self.identity,
            clock,
            uptime_s: uptime.as_secs(),
        }
    }

    /// It has booted.
    fn come_up(&mut self, now: UnixTime, bootstrap: bool) {
        self.booted_at = now;
        self.retry_count = 0;
        if bootstrap || self.oddities.has(Oddity::BootstrapEveryBoot) {
            self.events.bootstrap();
        }
        self.events.happened(EventKind::Boot, "");
        let periodic_at = self.next_periodic(now);
        self.schedule.come_up(periodic_at);
    }
}
