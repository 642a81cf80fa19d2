//! What the host tells of what it is doing: lines of the log, and traces for OpenTelemetry.
//!
//! Both are made from the spans of `tracing`: a session is one, from its Inform to its end (`session`, `device`),
//! a request at the API another (`request`). Every line inside carries their fields.

mod lines;
mod otlp;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::{Log, LogFormat, Telemetry};
use crate::store;
use lines::Lines;
pub use otlp::Exporting;

/// The spans that only traces have: one for each RPC of a session.
pub const RPC: &str = "patchbay::rpc";

/// How the filter is changed while the host runs; none: the log is not ours (in tests).
static FILTER: OnceLock<(reload::Handle<EnvFilter, Registry>, Now)> = OnceLock::new();
/// Whether traces are exported.
static EXPORTS: AtomicBool = AtomicBool::new(false);

/// The filter as it was last set.
type Now = parking_lot::Mutex<String>;

/// Begins to write the log, as the configuration and the environment say: `PATCHBAY_LOG` chooses the lines,
/// `PATCHBAY_LOG_FORMAT=json` is for machines. What is handed back exports traces until it is dropped.
///
/// # Errors
/// When the collector's address cannot be used, or `PATCHBAY_LOG` is no filter.
pub fn start(log: &Log, telemetry: &Telemetry) -> anyhow::Result<Option<Exporting>> {
    let text = match std::env::var("PATCHBAY_LOG") {
        Ok(text) if !text.is_empty() => text,
        _ => log.filter.clone(),
    };
    let chosen = filter(&text).map_err(|error| anyhow::anyhow!("PATCHBAY_LOG: {error}"))?;
    let format = match std::env::var("PATCHBAY_LOG_FORMAT").as_deref() {
        Ok("json") => LogFormat::Json,
        Ok("text") => LogFormat::Text,
        _ => log.format,
    };
    let (chosen, handle) = reload::Layer::new(chosen);
    let lines = Lines::new(format).with_filter(chosen);
    let (exporting, tracer) = otlp::start(telemetry)?.unzip();
    let traces = tracer.map(|tracer| {
        let ours = Targets::new()
            .with_target("patchbay", tracing::Level::INFO)
            .with_target(RPC, tracing::Level::TRACE);
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(ours)
    });
    EXPORTS.store(traces.is_some(), Ordering::Relaxed);
    // Fails only if there is a log already, as in tests.
    if tracing_subscriber::registry()
        .with(lines)
        .with(traces)
        .try_init()
        .is_ok()
    {
        let _ = FILTER.set((handle, parking_lot::Mutex::new(text)));
    }
    Ok(exporting)
}

/// Reads a filter: `info`, `warn,patchbay::door=debug`.
///
/// # Errors
/// What is wrong with it.
pub fn filter(text: &str) -> Result<EnvFilter, String> {
    if text.trim().is_empty() {
        return Err("an empty text".into());
    }
    let quiet = format!("{text},{}", store::ENGINE_QUIET);
    EnvFilter::builder()
        .parse(quiet)
        .map_err(|error| format!("{text:?} ({error})"))
}

/// The filter in force; `None`: the log is not ours.
pub fn current_filter() -> Option<String> {
    FILTER.get().map(|(_, text)| text.lock().clone())
}

/// Changes the filter until the host ends.
///
/// # Errors
/// When it is no filter, or the log is not ours.
pub fn change_filter(text: &str) -> Result<(), String> {
    let new = filter(text)?;
    let Some((handle, current)) = FILTER.get() else {
        return Err("the log of this process is not Patchbay's".into());
    };
    let mut current = current.lock();
    handle.reload(new).map_err(|error| error.to_string())?;
    text.clone_into(&mut current);
    Ok(())
}

/// Whether traces are exported: who would compute something for them only asks first.
pub fn exports() -> bool {
    EXPORTS.load(Ordering::Relaxed)
}

/// Notes something of a span that only traces show.
pub fn annotate(span: &Span, name: &'static str, value: impl Into<opentelemetry::Value>) {
    if exports() {
        span.set_attribute(name, value);
    }
}

/// The span is part of what the caller traces, if its headers say so (W3C Trace Context).
pub fn continue_trace(span: &Span, headers: &http::HeaderMap) {
    if exports() && headers.contains_key("traceparent") {
        otlp::continue_trace(span, headers);
    }
}
