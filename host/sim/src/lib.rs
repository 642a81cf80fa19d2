//! A simulated CPE: a library, and fleets of thousands in one process.
//!
//! A [`Cpe`] is one device without I/O: its data model, events and timers, and its half of a
//! session. It is told the time, and the same calls at the same times make the same device.
//! [`run_session`] runs a session of it over HTTP. [`Fleet`] does all of it for any number of
//! devices: they boot, inform, retry, take connection requests ([`RequestListener`]), download
//! firmware and reboot. [`Load`] is something else: stateless sessions, as many as an ACS can
//! serve, for benchmarks. What real devices do wrong is an [`Oddity`] each.
//!
//! How to use it:
//!
//! ```ignore
//! // A fleet of all kinds for a demo, with a live line of what happens.
//! let fleet = Fleet::start(FleetConfig::new("http://127.0.0.1:7547/", 500)).await?;
//! let mut events = fleet.events();
//! while let Ok(event) = events.recv().await { println!("{event:?}"); }
//!
//! // One device in a test: wait for a session, change something from the inside, count RPCs.
//! let fleet = Fleet::start(FleetConfig::single(&acs_url, Vendor::tr181())).await?;
//! let device = fleet.device("SIM000001").unwrap();
//! device.with(|cpe, now| cpe.set("Device.WiFi.Radio.1.Channel", "11", now)).await;
//! let reboots = device.with(|cpe, _| cpe.times_served("Reboot")).await;
//!
//! // One session by hand.
//! let options = SessionOptions::default();
//! let mut cpe = CpeConfig::tr098("A1", &acs_url).with(Oddity::NoHeader).start(options.clock.now());
//! let report = run_session(&mut cpe, &options).await?;
//! assert_eq!(report.served("GetParameterValues").count(), 1);
//!
//! // A benchmark.
//! let report = Load::run(LoadConfig { sessions_max: Some(50_000), ..LoadConfig::new(address, "/") }).await;
//! println!("{:.0}/s, p99 {:?}", report.sessions_per_s(), report.latency.quantile(0.99));
//! ```

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test that fails may panic"
    )
)]

mod fleet;
mod load;

mod client;
mod listener;
mod stun;
mod transfer;
mod xmpp;

mod config;
mod cpe;
mod model;
mod oddity;
mod vendor;

mod clock;
mod http;
mod seed;

#[cfg(test)]
mod tests;

pub use client::{SessionError, SessionFailure, SessionOptions, SessionReport, run_session};
pub use clock::{Clock, UnixTime};
pub use config::CpeConfig;
pub use cpe::{
    Cpe, Due, METHODS, ProtocolError, Served, SessionRecord, Step, TransferJob, TransferResult,
};
pub use fleet::{Device, Fleet, FleetConfig, FleetEvent, FleetStats, Histogram, Listen};
pub use http::{Connection, Cuts, Framing, HttpError, HttpResponse, Url};
pub use listener::{RequestListener, RequestTarget, TargetState};
pub use load::{Load, LoadConfig, LoadReport};
pub use oddity::{Oddities, Oddity};
pub use seed::Seed;
pub use stun::UdpCounts;
pub use transfer::run_transfer;
pub use vendor::{DataModel, Vendor};
pub use xmpp::XmppCounts;
