//! Traces for a collector: OTLP over HTTP, gathered and sent by a thread of its own. When the collector does not
//! answer they are thrown away, and one line says so.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::config::Telemetry;

/// Of the URL that the operator names.
const PATH: &str = "/v1/traces";
/// Spans that wait to be sent; more are thrown away.
const QUEUE_SPANS_MAX: usize = 8_192;
/// Spans of one request to the collector.
const REQUEST_SPANS_MAX: usize = 512;
/// How long spans may wait for others to go with.
const GATHER: Duration = Duration::from_secs(2);
/// How long the collector may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long what is left may take at the end.
const LAST_MAX: Duration = Duration::from_secs(3);
/// Events (log lines) of one span; a long session has more.
const EVENTS_MAX: u32 = 256;

/// Exports until it is dropped; what is left is sent then.
#[derive(Debug)]
pub struct Exporting(SdkTracerProvider);

impl Drop for Exporting {
    fn drop(&mut self) {
        let _ = self.0.shutdown_with_timeout(LAST_MAX);
    }
}

/// What sends traces, and what makes them; `None`: no collector is named.
pub(super) fn start(settings: &Telemetry) -> anyhow::Result<Option<(Exporting, SdkTracer)>> {
    let Some(endpoint) = &settings.otlp_endpoint else {
        return Ok(None);
    };
    let client = Client {
        http: crate::http_client::new(ANSWER_MAX)?,
        runtime: tokio::runtime::Handle::current(),
        is_down: AtomicBool::new(false),
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(format!("{}{PATH}", endpoint.trim_end_matches('/')))
        .with_timeout(ANSWER_MAX)
        .build()
        .context("telemetry.otlp_endpoint")?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_SPANS_MAX)
        .with_max_export_batch_size(REQUEST_SPANS_MAX)
        .with_scheduled_delay(GATHER)
        .build();
    let processor = BatchSpanProcessor::builder(exporter)
        .with_batch_config(batches)
        .build();
    let resource = Resource::builder_empty()
        .with_service_name(settings.service_name.clone())
        .with_attribute(opentelemetry::KeyValue::new(
            "service.version",
            env!("CARGO_PKG_VERSION"),
        ))
        .build();
    let sampled = Sampler::TraceIdRatioBased(settings.sampled_percent / 100.0);
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(Sampler::ParentBased(Box::new(sampled)))
        .with_max_events_per_span(EVENTS_MAX)
        .with_resource(resource)
        .build();
    let tracer = provider.tracer("patchbay");
    Ok(Some((Exporting(provider), tracer)))
}

/// Makes the span a part of the trace that the headers name.
pub(super) fn continue_trace(span: &Span, headers: &http::HeaderMap) {
    let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    // Fails only for a span that nobody exports.
    let _ = span.set_parent(parent);
}

/// HTTP for the thread that sends, which is none of the runtime's.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: tokio::runtime::Handle,
    /// The last request failed, and the log says so.
    is_down: AtomicBool,
}

type Sent<'a> = Pin<Box<dyn Future<Output = Result<http::Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Client {
    fn send_bytes<'life0, 'async_trait>(
        &'life0 self,
        request: http::Request<Bytes>,
    ) -> Sent<'async_trait>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let http = self.http.clone();
        let answer = self.runtime.spawn(async move {
            let request = request.map(reqwest::Body::from).try_into()?;
            let answer = http.execute(request).await?;
            let status = answer.status();
            let mut whole = http::Response::new(answer.bytes().await?);
            *whole.status_mut() = status;
            Ok::<_, HttpError>(whole)
        });
        Box::pin(async move {
            let answer = answer.await.map_err(HttpError::from).flatten();
            match &answer {
                Ok(answer) if answer.status().is_success() => self.told(None),
                Ok(answer) => self.told(Some(answer.status().to_string())),
                Err(error) => self.told(Some(format!("{error:#}"))),
            }
            answer
        })
    }
}

impl Client {
    /// Says once that the collector does not take what it is sent, and once that it does again.
    fn told(&self, error: Option<String>) {
        let was_down = self.is_down.swap(error.is_some(), Ordering::Relaxed);
        match error {
            Some(error) if !was_down => {
                tracing::warn!(
                    error,
                    "traces do not reach the collector: they are thrown away"
                );
            }
            None if was_down => tracing::info!("traces reach the collector again"),
            _ => {}
        }
    }
}
