//! Tests of the crate as a whole: devices against the ACS half of `cwmp`.

mod acs;
mod pair;

mod addressing;
mod events;
mod fleet;
mod listener;
mod load;
mod oddities;
mod over_http;
mod properties;
mod queue;
mod rpcs;
mod session;
mod size;
mod software_modules;
mod transfers;
