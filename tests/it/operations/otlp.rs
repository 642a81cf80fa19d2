//! Traces, as a collector gets them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use cpe_sim::CpeConfig;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::Value as Json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::served::Served;
use crate::harness::{PATIENCE, Sim, TOKEN, free_address, http};

/// What a collector was sent.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

impl Collected {
    /// All spans, each with the name of its service.
    fn spans(&self) -> Vec<(String, Span)> {
        let mut spans = Vec::new();
        for request in self.0.lock().unwrap().iter() {
            for resource in &request.resource_spans {
                let attributes = &resource.resource.as_ref().unwrap().attributes;
                let service = text(attributes, "service.name").unwrap();
                for scope in &resource.scope_spans {
                    spans.extend(
                        scope
                            .spans
                            .iter()
                            .map(|span| (service.clone(), span.clone())),
                    );
                }
            }
        }
        spans
    }
}

/// An attribute as text.
fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        Value::DoubleValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

/// A collector on loopback: HTTP/1.1, protobuf.
async fn collector(listener: TcpListener, collected: Collected) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let collected = collected.clone();
        tokio::spawn(async move {
            let mut stream = BufReader::new(stream);
            loop {
                let (mut head, mut length) = (String::new(), 0);
                while !head.ends_with("\r\n\r\n") {
                    if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                assert!(head.starts_with("POST /v1/traces "), "{head}");
                let head = head.to_lowercase();
                assert!(
                    head.contains("content-type: application/x-protobuf"),
                    "{head}"
                );
                for line in head.lines() {
                    if let Some(value) = line.strip_prefix("content-length: ") {
                        length = value.trim().parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).await.unwrap();
                let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
                collected.0.lock().unwrap().push(request);
                let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
                stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
            }
        });
    }
}

fn settings(collector: SocketAddr) -> String {
    format!("[telemetry]\notlp_endpoint = \"http://{collector}\"\nservice_name = \"acs-test\"\n")
}

#[tokio::test]
async fn sessions_and_requests_are_traced() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let collected = Collected::default();
    let collecting = tokio::spawn(collector(listener, collected.clone()));
    let served = Served::start(&settings(address), &[]).await;
    let mut sim = Sim::new(CpeConfig::tr181("1", &served.url()));
    sim.settle().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let headers =
        format!("Authorization: Bearer {TOKEN}\r\ntraceparent: 00-{trace}-b7ad6b7169203331-01\r\n");
    let answer = http(served.api, "GET", "/v1/devices", &headers, b"").await;
    assert_eq!(answer.status, 200);
    let task = serde_json::json!({ "operation": { "op": "get", "paths": [sim.path("DeviceInfo.SoftwareVersion")] } });
    let task = served
        .api("POST", &format!("{}/tasks", sim.at()), &task)
        .await;
    assert_eq!(task.0, 201, "{task:?}");
    sim.session().await;
    // What is left is sent at the end.
    served.terminate();
    served.ended().await;
    collecting.abort();
    let spans = collected.spans();
    assert!(spans.iter().all(|(service, _)| service == "acs-test"));
    let named = |name: &str| -> Vec<&Span> {
        let spans = spans.iter().map(|(_, span)| span);
        spans.filter(|span| span.name == name).collect()
    };
    let device = sim.at().replace("/v1/devices/", "default/");
    let sessions = named("session");
    assert!(sessions.len() >= 2, "{spans:#?}");
    for session in &sessions {
        assert_eq!(
            text(&session.attributes, "device").as_deref(),
            Some(device.as_str())
        );
        assert!(
            text(&session.attributes, "session")
                .unwrap()
                .starts_with("s-")
        );
        assert_eq!(text(&session.attributes, "how").as_deref(), Some("done"));
        assert!(text(&session.attributes, "device_seconds").is_some());
        assert!(session.end_time_unix_nano >= session.start_time_unix_nano);
    }
    let rpcs = named("rpc");
    let asked = rpcs
        .iter()
        .find(|rpc| text(&rpc.attributes, "method").as_deref() == Some("GetParameterValues"));
    let asked = asked.unwrap_or_else(|| panic!("{rpcs:#?}"));
    assert!(
        sessions
            .iter()
            .any(|session| session.span_id == asked.parent_span_id)
    );
    let requests = named("request");
    let listed = requests
        .iter()
        .find(|request| text(&request.attributes, "path").as_deref() == Some("/v1/devices"));
    let hex: String = listed
        .unwrap()
        .trace_id
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(hex, trace, "the caller's trace goes on");
}

/// Neither devices nor people notice.
#[tokio::test]
async fn a_collector_that_is_dead_harms_nothing() {
    let nobody = free_address();
    let served = Served::start(&settings(nobody), &[]).await;
    let mut sim = Sim::new(CpeConfig::tr181("1", &served.url()));
    sim.settle().await;
    let (status, devices) = served.api("GET", "/v1/devices", &Json::Null).await;
    assert_eq!(
        (status, devices["items"].as_array().unwrap().len()),
        (200, 1)
    );
    served
        .line(&["WARN", "traces do not reach the collector"])
        .await;
    sim.session().await;
    served.terminate();
    let ended = tokio::time::timeout(PATIENCE, served.ended()).await;
    let log = ended.expect("it stops all the same");
    assert_eq!(log.matches("traces do not reach").count(), 1, "{log}");
}
