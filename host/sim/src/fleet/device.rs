//! The devices of a fleet, and the handle to one of them.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedSender;

use super::{FleetConfig, Listen};
use crate::listener::{RequestListener, RequestTarget, TargetState};
use crate::seed::Seed;
use crate::stun::{Agent, UdpCounts};
use crate::xmpp::{self, XmppCounts};
use crate::{Clock, Cpe, CpeConfig, Oddities, Oddity, UnixTime, Vendor};

/// Set in a number that wakes the scheduler: not a connection request, just look at the device.
pub(super) const POKE: u32 = 1 << 31;

/// Which of a device's streams of randomness its oddities are drawn from.
const ODDITIES: u64 = 0x0DD;

/// A device's place in the fleet.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(super) number: u32,
    pub(super) serial: Arc<str>,
    /// Locked for as long as a session lasts.
    pub(super) cpe: Mutex<Cpe>,
    pub(super) target: Arc<RequestTarget>,
    /// Its half of Annex G, while the ACS wants that.
    stun: Agent,
    /// Its half of Annex K, while the ACS wants that.
    xmpp: xmpp::Agent,
    connection_request_url: Box<str>,
    wake: UnboundedSender<u32>,
}

impl Slot {
    /// Tells the listener what it must know after something may have changed.
    pub(super) fn refresh(&self, cpe: &Cpe, now: UnixTime) {
        self.target.set_login(cpe.connection_request_login(now));
        self.target.set_state(match cpe {
            cpe if cpe.in_session() => TargetState::InSession,
            cpe if cpe.is_down(now) => TargetState::Down,
            _ => TargetState::Idle,
        });
        self.stun.refresh(cpe, now);
        self.xmpp.refresh(cpe, now);
    }

    /// Sets parameters from the inside.
    pub(crate) async fn set_all(&self, values: &[(String, String)], now: UnixTime) {
        let mut cpe = self.cpe.lock().await;
        for (path, value) in values {
            cpe.set(path, value, now);
        }
        drop(cpe);
        // No scheduler any more: the fleet has stopped.
        let _ = self.wake.send(self.number | POKE);
    }

    /// What its STUN client has found out: how it looks from outside.
    pub(crate) async fn mapped(&self, address: SocketAddr, nat_detected: bool, now: UnixTime) {
        let mut cpe = self.cpe.lock().await;
        for (name, value) in [
            ("UDPConnectionRequestAddress", address.to_string()),
            ("NATDetected", u8::from(nat_detected).to_string()),
        ] {
            let path = cpe.management_server(name);
            cpe.set(&path, &value, now);
        }
        drop(cpe);
        // No scheduler any more: the fleet has stopped.
        let _ = self.wake.send(self.number | POKE);
    }
}

/// One device of a [`super::Fleet`].
#[derive(Debug, Clone)]
pub struct Device {
    slot: Arc<Slot>,
    clock: Clock,
}

impl Device {
    pub(super) fn new(slot: Arc<Slot>, clock: Clock) -> Device {
        Device { slot, clock }
    }

    /// DeviceId.SerialNumber.
    pub fn serial(&self) -> &str {
        &self.slot.serial
    }

    /// Where it takes connection requests; empty: nowhere.
    pub fn connection_request_url(&self) -> &str {
        &self.slot.connection_request_url
    }

    /// Connection requests accepted and refused.
    pub fn connection_requests(&self) -> (u64, u64) {
        (self.slot.target.accepted(), self.slot.target.refused())
    }

    /// What its STUN client and its listener for connection requests by UDP have seen.
    pub fn udp(&self) -> &UdpCounts {
        self.slot.stun.counts()
    }

    /// What its XMPP client has seen.
    pub fn xmpp(&self) -> &XmppCounts {
        self.slot.xmpp.counts()
    }

    /// Cuts its XMPP stream; it comes back by itself.
    pub fn cut_xmpp(&self) {
        self.slot.xmpp.cut();
    }

    /// Looks at the device or does something to it, between its sessions: waits for the end of
    /// one that runs. What follows from it (a `4 VALUE CHANGE`, a boot) happens at once.
    pub async fn with<T>(&self, act: impl FnOnce(&mut Cpe, UnixTime) -> T) -> T {
        let mut cpe = self.slot.cpe.lock().await;
        let now = self.clock.now();
        let result = act(&mut cpe, now);
        self.slot.refresh(&cpe, now);
        drop(cpe);
        // No scheduler any more: the fleet has stopped.
        let _ = self.slot.wake.send(self.slot.number | POKE);
        result
    }
}

/// Makes the devices of a fleet and their listeners.
pub(super) async fn make(
    config: &FleetConfig,
    wake: &UnboundedSender<u32>,
) -> std::io::Result<(Vec<Arc<Slot>>, Vec<RequestListener>)> {
    let mut listeners = Vec::new();
    if let Listen::Shared(address) = config.listen {
        listeners.push(RequestListener::bind(address, config.seed).await?);
    }
    let seeds = Seed::new(config.seed);
    let vendors: &[Vendor] = if config.vendors.is_empty() {
        &Vendor::ALL
    } else {
        &config.vendors
    };
    let now = config.session.clock.now();
    let mut slots = Vec::with_capacity(config.count);
    let numbers =
        (0..u32::try_from(config.count).unwrap_or(u32::MAX) & !POKE).zip(vendors.iter().cycle());
    for (number, vendor) in numbers {
        if let Listen::Own(address) = config.listen {
            listeners.push(RequestListener::bind(SocketAddr::new(address, 0), config.seed).await?);
        }
        let seed = seeds.of(number.into());
        let listener = listeners.last();
        slots.push(Arc::new_cyclic(|me| {
            make_one(config, number, *vendor, seed, listener, wake, now, me)
        }));
    }
    Ok((slots, listeners))
}

/// The oddities of one device: in turn, so that none is left out, and at random.
fn drawn(config: &FleetConfig, number: u32) -> Oddities {
    let mut seed = Seed::new(config.seed).of(number.into()).of(ODDITIES);
    let all = Oddity::ALL.len();
    let turns = (0..config.odd).map(|turn| match turn {
        0 => number as usize % all,
        _ => usize::try_from(seed.below(all as u64)).unwrap_or_default(),
    });
    let drawn: Oddities = turns
        .filter_map(|at| Oddity::ALL.get(at).copied())
        .collect();
    // With neither cookie nor connection nobody could tell whose message it is.
    if drawn.has(Oddity::ConnectionPerPost) {
        drawn.without(Oddity::CookieIgnored)
    } else {
        drawn
    }
}

#[allow(
    clippy::too_many_arguments,
    reason = "called from one place, where all of them are at hand"
)]
fn make_one(
    config: &FleetConfig,
    number: u32,
    vendor: Vendor,
    mut seed: Seed,
    listener: Option<&RequestListener>,
    wake: &UnboundedSender<u32>,
    now: UnixTime,
    me: &Weak<Slot>,
) -> Slot {
    let serial = format!("{}{:06}", config.serial_prefix, number + 1);
    let path = format!("/cr/{serial}");
    let url = listener.map_or(String::new(), |listener| {
        let address = listener.address();
        match &config.announce_host {
            Some(host) => format!("http://{host}:{}{path}", address.port()),
            None => format!("http://{address}{path}"),
        }
    });
    let (acs_username, acs_password) = match &config.acs_login {
        Some((username, password)) => (
            username.replace("{serial}", &serial),
            password.replace("{serial}", &serial),
        ),
        None => (String::new(), String::new()),
    };
    let mut cpe = Cpe::new(
        CpeConfig {
            acs_username,
            acs_password,
            connection_request_url: url.clone(),
            connection_request_username: serial.clone(),
            connection_request_password: seed.hex(12),
            periodic_interval: config.periodic_interval,
            wan_address: format!("198.51.{}.{}", 100 + (number / 250) % 100, 2 + number % 250),
            bootstrapped: config.bootstrapped,
            boot_time: config.boot_time,
            oddities: config.oddities.and(drawn(config, number)),
            seed: seed.draw(),
            ..CpeConfig::of(vendor, &serial, &config.acs_url)
        },
        now,
    );
    if !config.boot_spread.is_zero() {
        cpe.stay_down_until(now + config.boot_spread.mul_f64(seed.fraction()));
    }
    let target = Arc::new(RequestTarget::new(number, cpe.oddities(), wake.clone()));
    if let Some(listener) = listener {
        listener.add(&path, Arc::clone(&target));
    }
    let stun = Agent::new(
        me.clone(),
        Arc::clone(&target),
        &config.session,
        seed.draw(),
    );
    let xmpp = xmpp::Agent::new(
        me.clone(),
        Arc::clone(&target),
        &config.session,
        seed.draw(),
    );
    let slot = Slot {
        number,
        serial: serial.into(),
        cpe: Mutex::new(cpe),
        target,
        stun,
        xmpp,
        connection_request_url: url.into(),
        wake: wake.clone(),
    };
    if let Ok(cpe) = slot.cpe.try_lock() {
        slot.refresh(&cpe, now);
    }
    slot
}
