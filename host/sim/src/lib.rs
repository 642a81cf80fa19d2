//! A simulated CPE: a library, and fleets of thousands in one process.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod client;
mod clock;
mod config;
mod cpe;
mod fleet;
mod http;
mod listener;
mod load;
mod model;
mod oddity;
mod seed;
mod transfer;
mod vendor;

pub use client::{SessionError, SessionFailure, SessionOptions, SessionReport, run_session};
pub use clock::{Clock, UnixTime};
pub use config::CpeConfig;
pub use cpe::{
    Cpe, Due, METHODS, ProtocolError, Served, SessionRecord, Step, TransferJob, TransferResult, method_name,
};
pub use fleet::{Device, Fleet, FleetConfig, FleetEvent, FleetStats, Histogram, Listen};
pub use http::{Connection, Framing, HttpError, HttpResponse, Url};
pub use listener::{RequestListener, RequestTarget, TargetState};
pub use load::{Load, LoadConfig, LoadReport};
pub use oddity::{Oddities, Oddity};
pub use seed::Seed;
pub use transfer::run_transfer;
pub use vendor::{DataModel, Vendor};
