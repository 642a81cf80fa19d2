//! The northbound interface as its callers see it: who is let in, under which address, and what
//! it says of itself.

mod asking;
mod client;
mod schemathesis;

use serde_json::{Value, json};

use crate::harness::{Host, Setup, TOKEN, http};

async fn get(host: &Host, path: &str, headers: &str) -> crate::harness::Answer {
    http(host.api, "GET", path, headers, b"").await
}

fn token() -> String {
    format!("Authorization: Bearer {TOKEN}\r\n")
}

#[tokio::test]
async fn the_text_and_its_page_are_for_everybody() {
    let host = Setup::new().start().await;
    let text = get(&host, "/v1/openapi.json", "").await;
    assert_eq!(text.status, 200);
    let text: Value = serde_json::from_slice(&text.body).unwrap();
    assert_eq!(text["openapi"], "3.1.0");
    let list = &text["paths"]["/devices"]["get"];
    assert_eq!(list["security"], json!([{ "token": ["devices:read"] }]));
    assert_eq!(text["servers"][0]["url"], "/v1");
    assert_eq!(text["servers"][1]["url"], "/v1/instances/{instance}");

    let page = get(&host, "/docs/", "").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("swagger-ui"), "{}", page.text());
    let settings = get(&host, "/docs/swagger-initializer.js", "").await;
    assert!(settings.text().contains("/v1/openapi.json"));
    host.stop().await;
}

#[tokio::test]
async fn nothing_else_is() {
    let host = Setup::new().start().await;
    let text = get(&host, "/v1/openapi.json", "").await;
    let text: Value = serde_json::from_slice(&text.body).unwrap();
    let wrong = "Authorization: Bearer another-token\r\n";
    for (path, operations) in text["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            if operation["security"] == json!([{}]) {
                continue;
            }
            let path = format!("/v1{}", path.replace(['{', '}'], ""));
            for headers in ["", wrong] {
                let answer = http(host.api, &method.to_uppercase(), &path, headers, b"").await;
                assert_eq!(answer.status, 401, "{method} {path}: {answer:?}");
            }
        }
    }
    assert_eq!(get(&host, "/v1/no/such/thing", "").await.status, 401);
    host.stop().await;
}

#[tokio::test]
async fn the_instance_may_stand_in_the_path() {
    let host = Setup::new().start().await;
    host.get("/v1/instances/default/devices?limit=5").await;
    let (status, tagged) = host
        .api("PUT", "/v1/instances/default/devices/00AABB-1/tags/x", None)
        .await;
    assert_eq!(status, 404, "{tagged}");
    let (status, answer) = host.api("GET", "/v1/instances/acme/devices", None).await;
    assert_eq!(status, 404);
    let message = answer["error"]["message"].as_str().unwrap();
    assert_eq!(message, "there is no instance \"acme\"");
    host.stop().await;
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let host = Setup::new().start().await;
    let answer = http(host.api, "PUT", "/v1/devices/x", &token(), b"").await;
    assert_eq!(answer.status, 405);
    let head = answer.head.to_ascii_lowercase();
    assert!(head.contains("allow: delete, get, patch"), "{head}");
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["error"]["code"], "method-not-allowed");
    host.stop().await;
}

#[tokio::test]
async fn a_request_keeps_its_id() {
    let host = Setup::new().start().await;
    let asked = format!("{}X-Request-Id: order-4711\r\n", token());
    let answer = get(&host, "/v1/status", &asked).await;
    assert!(answer.head.contains("x-request-id: order-4711"));
    // What would not do in a log is replaced.
    for odd in ["", "a b", &"x".repeat(65)] {
        let asked = format!("{}X-Request-Id: {odd}\r\n", token());
        let answer = get(&host, "/v1/status", &asked).await;
        let id = answer.head.split("x-request-id: ").nth(1).unwrap();
        let id = id.split("\r\n").next().unwrap();
        assert_eq!(id.len(), 16, "{id}");
    }
    host.stop().await;
}
