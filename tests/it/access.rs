//! Who may do what at the API, over every operation that its OpenAPI text names.

mod expected;
mod isolation;
mod oidc;
mod own_settings;
mod people;
mod routes;
mod some_devices;

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Host, PATIENCE, TOKEN};

/// An operation of the OpenAPI text.
#[derive(Debug, Clone)]
pub struct Operation {
    pub method: String,
    /// As the text has it, without `/v1`.
    pub path: String,
    /// `devices:read`; empty: whoever is signed in; `None`: anybody.
    pub permission: Option<String>,
}

impl Operation {
    /// `GET /devices/{id}`
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The path of a request, each parameter as `of` has it.
    pub fn url(&self, of: impl Fn(&str) -> String) -> String {
        let mut url = String::from("/v1");
        let mut rest = self.path.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap();
            url.push_str(before);
            url.push_str(&of(name));
            rest = after;
        }
        url.push_str(rest);
        url
    }
}

/// All operations of the text that the host serves to anybody.
pub async fn operations(host: &Host) -> Vec<Operation> {
    let answer = crate::harness::http(host.api, "GET", "/v1/openapi.json", "", b"").await;
    assert_eq!(answer.status, 200);
    let text: Value = serde_json::from_slice(&answer.body).unwrap();
    let mut found = Vec::new();
    for (path, item) in text["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if !["get", "put", "post", "delete", "patch"].contains(&method.as_str()) {
                continue;
            }
            let security = operation["security"].as_array();
            let requirement = security.and_then(|all| all.first());
            let requirement = requirement.unwrap_or_else(|| panic!("{method} {path}: no security"));
            let permission = requirement.get("token").map(|scopes| {
                let scope = scopes.as_array().unwrap().first();
                scope.map_or("", |scope| scope.as_str().unwrap()).to_owned()
            });
            found.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                permission,
            });
        }
    }
    assert!(found.len() > 40, "{found:?}");
    found
}

/// The status of an answer, without waiting for the end of its body: some never end.
pub async fn status(api: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> u16 {
    let work = async {
        let mut stream = TcpStream::connect(api).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.windows(2).any(|end| end == b"\r\n") {
            let mut some = [0; 512];
            let read = stream.read(&mut some).await.unwrap();
            assert_ne!(read, 0, "{method} {path}: no answer");
            head.extend_from_slice(&some[..read]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        head.split(' ').nth(1).unwrap().parse().unwrap()
    };
    tokio::time::timeout(PATIENCE, work).await.unwrap()
}

/// The header that shows a token.
pub fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// A token with these grants: role, and instance or all.
pub async fn token(host: &Host, grants: &[(&str, Option<&str>)]) -> String {
    let grants: Vec<Value> = grants
        .iter()
        .map(|(role, instance)| match instance {
            Some(instance) => json!({ "role": role, "instance": instance }),
            None => json!({ "role": role }),
        })
        .collect();
    let made = host
        .post(
            "/v1/tokens",
            json!({ "name": "of a test", "grants": grants }),
        )
        .await;
    made["token"].as_str().unwrap().to_owned()
}

/// A request with this token; the body of the answer as JSON.
pub async fn ask(
    host: &Host,
    token: &str,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let headers = format!("{}Content-Type: application/json\r\n", bearer(token));
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let answer = crate::harness::http(host.api, method, path, &headers, body.as_bytes()).await;
    let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    (answer.status, body)
}

/// The token of the file.
pub fn admin() -> String {
    bearer(TOKEN)
}
