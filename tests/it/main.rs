//! The workspace's one integration-test binary: the host as its users see it.
//!
//! `tests/run` builds what these tests need (plugins, the `patchbay` binary, Python's CwmpClient)
//! and names it in the environment; a test whose need is missing fails and says so.

mod harness;
mod instances;
mod kept;

mod access;
mod adaptive;
mod api;
mod audit;
mod authentication;
mod backup;
mod bad_input;
mod campaigns;
mod connections;
mod crash;
mod cwmp_client;
mod detection;
mod diagnostics;
mod discovery;
mod events;
mod files;
mod fixtures;
mod floods;
mod http_quirks;
mod misbehave;
mod natlab;
mod odd_fleet;
mod operations;
mod policy;
mod power_cut;
mod proxies;
mod quirks;
mod reload;
mod schemas;
mod search;
mod session_rules;
mod shipped;
mod short_inform;
mod stun;
mod tasks;
mod tidy;
mod tls;
mod tour;
mod traces;
mod transfers;
mod wake;
mod waking;
mod webhooks;
mod xmpp;
