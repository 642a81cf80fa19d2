//! What those who run the host see of it: metrics, health, the log, traces, backups, the configuration, packages.

mod health;
mod log;
mod metrics;
mod served;
