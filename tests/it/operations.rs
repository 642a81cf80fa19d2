//! What those who run the host see of it: metrics, health, the log, traces, backups, the configuration, packages.

mod backups;
mod config;
mod health;
mod log;
mod metrics;
mod otlp;
mod packaging;
mod reload;
mod served;
