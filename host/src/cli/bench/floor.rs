//! What the host is measured against: servers that know nothing and keep nothing.

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::Context;
use axum::body::{Body, Bytes};
use axum::response::Response;
use cwmp::{Message, Request};
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::door;

macro_rules! envelope {
    ($body:expr) => {
        concat!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soap-env:Envelope ",
            "xmlns:soap-env=\"http://schemas.xmlsoap.org/soap/envelope/\" ",
            "xmlns:soap-enc=\"http://schemas.xmlsoap.org/soap/encoding/\" ",
            "xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" ",
            "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" ",
            "xmlns:cwmp=\"urn:dslforum-org:cwmp-1-2\"><soap-env:Header>",
            "<cwmp:ID soap-env:mustUnderstand=\"1\">1</cwmp:ID></soap-env:Header><soap-env:Body>",
            $body,
            "</soap-env:Body></soap-env:Envelope>"
        )
    };
}

/// Serves fixed answers until it is killed: what HTTP alone costs.
pub(in crate::cli) async fn serve_fixed(address: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let router = axum::Router::new().fallback(answer);
    axum::serve(listener, router).await?;
    Ok(())
}

/// Reads each Inform as the host does, answers it, and ends the session, until it is killed: what
/// a short Inform costs at least.
pub(in crate::cli) async fn serve_parsed(address: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let http = door::http(&crate::config::Cwmp::default());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let serving = http.serve_connection(TokioIo::new(stream), service_fn(answer_inform));
        tokio::spawn(serving);
    }
}

async fn answer_inform(request: http::Request<Incoming>) -> Result<Response, Infallible> {
    Ok(inform_answer(request).await.unwrap_or_else(|_| {
        let mut refused = Response::new(Body::empty());
        *refused.status_mut() = StatusCode::BAD_REQUEST;
        refused
    }))
}

async fn inform_answer(request: http::Request<Incoming>) -> anyhow::Result<Response> {
    let body = request.into_body().collect().await?.to_bytes();
    if body.is_empty() {
        return Ok(end());
    }
    let message = Message::parse(&body)?;
    let cwmp::Body::Request(Request::Inform(inform)) = &message.body else {
        anyhow::bail!("expected an Inform");
    };
    inform.events.first().context("expected an event")?;
    let answer = Message {
        body: cwmp::Body::Response(cwmp::Response::Inform),
        ..message
    };
    Ok(with_cookie(xml(answer.to_xml())))
}

async fn answer(body: Bytes) -> Response {
    const INFORM_RESPONSE: &str =
        envelope!("<cwmp:InformResponse><MaxEnvelopes>1</MaxEnvelopes></cwmp:InformResponse>");
    const GET: &str = envelope!(
        "<cwmp:GetParameterValues><ParameterNames soap-enc:arrayType=\"xsd:string[5]\">\
         <string>Device.DeviceInfo.SoftwareVersion</string><string>Device.DeviceInfo.HardwareVersion</string>\
         <string>Device.DeviceInfo.UpTime</string><string>Device.ManagementServer.PeriodicInformInterval</string>\
         <string>Device.ManagementServer.ConnectionRequestURL</string></ParameterNames></cwmp:GetParameterValues>"
    );
    if body.is_empty() {
        return xml(GET);
    }
    let head = body.get(..body.len().min(1024)).unwrap_or_default();
    if head
        .windows(b"GetParameterValuesResponse".len())
        .any(|w| w == b"GetParameterValuesResponse")
    {
        return end();
    }
    with_cookie(xml(INFORM_RESPONSE))
}

fn end() -> Response {
    let mut end = Response::new(Body::empty());
    *end.status_mut() = StatusCode::NO_CONTENT;
    end
}

fn with_cookie(mut response: Response) -> Response {
    let cookie = HeaderValue::from_static("session=0123456789abcdef0123456789abcdef; Path=/");
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

fn xml(text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    let kind = HeaderValue::from_static("text/xml; charset=\"utf-8\"");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
