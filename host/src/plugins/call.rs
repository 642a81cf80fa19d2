//! What happens around a call: its time is measured, its errors are named, counted and told.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Instant;

use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};

use super::guest::{Guest, UsedUp};
use super::plugin::LoadedPlugin;
use super::{PluginError, PluginErrorKind};
use crate::clock::Clock;
use crate::events::{Event, PluginEvent, PluginStep, What, short};

/// Frames of a crash that are told.
const FRAMES_MAX: usize = 4;
const TEXT_BYTES_MAX: usize = 600;

impl LoadedPlugin {
    /// Runs a call to its end. Only the time of its polls counts; one that neither ends nor
    /// computes is given up after a while by the clock.
    pub(super) async fn metered<F: Future>(&self, call: F) -> Result<F::Output, PluginErrorKind> {
        let mut call = pin!(call);
        let mut spent = 0;
        let mut poll = |context: &mut Context<'_>| {
            let begun = Instant::now();
            let polled = call.as_mut().poll(context);
            spent += nanoseconds(begun);
            polled
        };
        // Nearly all calls end in their first poll, and need no timer.
        let outcome = match poll_fn(|context| Poll::Ready(poll(context))).await {
            Poll::Ready(output) => Ok(output),
            Poll::Pending => {
                let wall_max = self.limits().step_wall_max;
                tokio::time::timeout(wall_max, poll_fn(poll))
                    .await
                    .map_err(|_| PluginErrorKind::Stuck {
                        seconds: wall_max.as_secs(),
                    })
            }
        };
        self.counters.spent(spent);
        self.counters.ended(spent);
        outcome
    }

    /// Records an error under the plugin's name and version.
    pub(super) fn failed(&self, kind: PluginErrorKind) -> PluginError {
        let error = PluginError {
            plugin: self.identity.name.clone(),
            version: self.identity.version.clone(),
            kind,
        };
        if let Some(left_out) = self.counters.failed(&error) {
            tracing::warn!(
                target: "patchbay::plugin",
                plugin = &*error.plugin,
                version = &*error.version,
                left_out,
                "a call failed: {}",
                error.kind
            );
            let event = PluginEvent {
                plugin: error.plugin.to_string(),
                version: error.version.to_string(),
                error: Some(short(&error.kind.to_string())),
                left_out,
                step: PluginStep::Trapped,
            };
            let event = Event::of_host(Clock.unix(), What::Plugin(event));
            self.identity.events.emit(event);
        }
        error
    }
}

pub(super) fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// What an error of wasmtime says about the guest.
pub(super) fn classify(error: &wasmtime::Error, guest: &Guest) -> PluginErrorKind {
    match error.downcast_ref::<UsedUp>() {
        Some(UsedUp::Ticks { milliseconds }) => {
            return PluginErrorKind::Deadline {
                milliseconds: *milliseconds,
            };
        }
        Some(UsedUp::HostCalls(most)) => return PluginErrorKind::HostCalls(*most),
        None => {}
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return PluginErrorKind::Busy;
    }
    if guest.growth.refused {
        return PluginErrorKind::Memory {
            bytes: guest.identity.limits.memory_bytes_max,
        };
    }
    PluginErrorKind::Trap(crash(error))
}

/// One line: what happened and in which functions of the guest.
fn crash(error: &wasmtime::Error) -> String {
    let what = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    let mut text = one_line(what.trim_start_matches("wasm trap: "));
    let frames = error
        .downcast_ref::<WasmBacktrace>()
        .map_or(&[][..], |backtrace| backtrace.frames());
    let mut names: Vec<String> = frames.iter().filter_map(frame_name).collect();
    names.dedup();
    for (at, name) in names.iter().take(FRAMES_MAX).enumerate() {
        text.push_str(if at == 0 { " in " } else { " < " });
        text.push_str(name);
    }
    text
}

/// The function's name, but for the machinery of a panic.
fn frame_name(frame: &wasmtime::FrameInfo) -> Option<String> {
    let name = format!("{:#}", rustc_demangle::demangle(frame.func_name()?));
    let machinery = [
        "core::panicking",
        "std::panicking",
        "std::sys",
        "__rust",
        "rust_",
    ];
    (!machinery.iter().any(|part| name.contains(part))).then_some(name)
}

/// A chain of errors as one line of bounded length.
pub(super) fn one_line(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX)
            .rev()
            .find(|at| line.is_char_boundary(*at))
            .unwrap_or(0);
        line.truncate(end);
        line.push('…');
    }
    line
}
