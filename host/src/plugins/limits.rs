//! A limit on everything a plugin can use. The defaults hold for all plugins; the budgets
//! in `<plugin>.toml` change some of them for one.

use std::time::Duration;

/// One tick of the epoch clock: the granularity of computing time.
pub const TICK: Duration = Duration::from_millis(10);

/// Limits of one plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// A component's file.
    pub file_bytes_max: u64,
    /// Linear memory of one instance.
    pub memory_bytes_max: usize,
    /// An instance that has grown beyond this is not used again.
    pub warm_memory_bytes_max: usize,
    /// Elements of one table.
    pub table_elements_max: usize,
    /// Computing time of one hook, decision or `describe`.
    pub call_deadline: Duration,
    /// Computing time of a flow, summed up over its session.
    pub flow_deadline: Duration,
    /// How long a call may take by the clock without asking the device anything.
    pub step_wall_max: Duration,
    /// Imports called, in a call or a flow.
    pub host_calls_max: u32,
    /// Log lines of a call or a flow; further ones are dropped.
    pub log_lines_max: u32,
    /// A log line is cut here.
    pub log_line_bytes_max: usize,
    /// RPCs that a flow may send in a session.
    pub rpcs_max: u32,
    /// Hooks and decisions running at the same time.
    pub calls_in_flight_max: u32,
    /// Flows running, most of them asleep, at the same time.
    pub flows_in_flight_max: u32,
    /// How long a hook waits for a free instance.
    pub call_wait_max: Duration,
    /// How long a flow waits for a free instance.
    pub flow_wait_max: Duration,
    /// Instances kept for the next call.
    pub warm_max: usize,
    /// An instance that was not used for this long is freed.
    pub warm_idle_max: Duration,
    /// After about this many calls an instance is replaced.
    pub calls_per_instance_max: u32,
    /// Requests that `on-request` may make of one, and `retry` may return.
    pub requests_max: usize,
    /// `session.ensure` reads a value again when the last reading is older than this; after a
    /// `0 BOOTSTRAP` all of an earlier session's are too old.
    pub ensure_trust_seconds: i64,
    /// Tags that a flow may set or remove in a session.
    pub tags_max: u32,
    /// Parameters of an Inform or response that a hook gives back.
    pub parameters_max: usize,
    /// Length of a repaired message.
    pub repaired_bytes_max: usize,
    /// Keys in `memory` for one device.
    pub memory_keys_max: usize,
    /// Length of a key in `memory`.
    pub memory_key_bytes_max: usize,
    /// Length of a value in `memory`.
    pub memory_value_bytes_max: usize,
    /// A lookup, from connecting to its last byte.
    pub lookup_timeout: Duration,
    /// The answer of a lookup.
    pub lookup_answer_bytes_max: usize,
}

/// What a plugin gets without budgets in its `<plugin>.toml`.
pub type DefaultLimits = Limits;

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            file_bytes_max: 64 << 20,
            memory_bytes_max: 16 << 20,
            warm_memory_bytes_max: 8 << 20,
            table_elements_max: 20_000,
            call_deadline: Duration::from_millis(100),
            flow_deadline: Duration::from_millis(1000),
            step_wall_max: Duration::from_secs(15),
            host_calls_max: 10_000,
            log_lines_max: 100,
            log_line_bytes_max: 2048,
            rpcs_max: 200,
            calls_in_flight_max: 64,
            flows_in_flight_max: 512,
            call_wait_max: Duration::from_secs(1),
            flow_wait_max: Duration::from_secs(10),
            warm_max: 256,
            warm_idle_max: Duration::from_secs(60),
            calls_per_instance_max: 1000,
            requests_max: 256,
            ensure_trust_seconds: 24 * 60 * 60,
            tags_max: 64,
            parameters_max: 20_000,
            repaired_bytes_max: 4 << 20,
            memory_keys_max: 64,
            memory_key_bytes_max: 128,
            memory_value_bytes_max: 16 << 10,
            lookup_timeout: Duration::from_secs(5),
            lookup_answer_bytes_max: 256 << 10,
        }
    }
}

/// How many ticks a budget of computing time is; the first one may be a short one.
pub(super) fn ticks(budget: Duration) -> u32 {
    let ticks = budget.as_millis().div_ceil(TICK.as_millis());
    u32::try_from(ticks).unwrap_or(u32::MAX).max(1)
}
