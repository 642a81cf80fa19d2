//! Events that are sent to the systems around.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::access::{ask, token};
use crate::harness::{Host, PATIENCE, Setup, free_address};

/// A receiver that answers the first requests with these statuses, all others with 204.
struct Receiver {
    address: SocketAddr,
    came: mpsc::UnboundedReceiver<(String, Value)>,
}

impl Receiver {
    async fn start(first: &'static [u16]) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, came) = mpsc::unbounded_channel();
        let mut first = first.iter().copied();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut bytes = Vec::new();
                let (head, body) = loop {
                    let mut piece = [0; 4096];
                    let read = connection.read(&mut piece).await.unwrap_or(0);
                    bytes.extend(&piece[..read]);
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    if let Some((head, body)) = text.split_once("\r\n\r\n")
                        && let Ok(body) = serde_json::from_str::<Value>(body)
                    {
                        break (head.to_ascii_lowercase(), body);
                    }
                    assert!(read > 0, "{text}");
                };
                let status = first.next().unwrap_or(204);
                let answer = format!(
                    "HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                connection.write_all(answer.as_bytes()).await.unwrap();
                if sender.send((head, body)).is_err() {
                    return;
                }
            }
        });
        Receiver { address, came }
    }

    async fn next(&mut self) -> (String, Value) {
        let next = tokio::time::timeout(PATIENCE, self.came.recv()).await;
        next.expect("nothing comes").unwrap()
    }
}

fn setup() -> Setup {
    Setup::new().config(|config| config.webhooks.allow = vec!["127.0.0.0/8".parse().unwrap()])
}

async fn put(host: &Host, to: SocketAddr, query: &str) {
    let body = json!({
        "url": format!("http://{to}/hook?a=b"), "secret": "a-secret-of-the-test",
        "query": query, "headers": { "X-Crm": "7" },
    });
    let (status, hook) = host.api("PUT", "/v1/webhooks/crm", Some(body)).await;
    assert_eq!(status, 201, "{hook}");
    assert!(!hook.to_string().contains("a-secret"), "{hook}");
}

#[tokio::test]
async fn an_event_arrives_signed_and_again_if_it_has_not() {
    let host = setup().start().await;
    let mut receiver = Receiver::start(&[500]).await;
    put(&host, receiver.address, "kind = webhook.test").await;
    host.api("POST", "/v1/webhooks/crm/test", None).await;
    let (head, event) = receiver.next().await;
    assert!(head.starts_with("post /hook?a=b http/1.1\r\n"), "{head}");
    for header in [
        "x-crm: 7",
        "x-patchbay-timestamp: ",
        "x-patchbay-signature: v1=",
    ] {
        assert!(head.contains(header), "{head}");
    }
    let number = format!("x-patchbay-event: {}", event["number"]);
    assert!(head.contains(&number), "{head}");
    assert_eq!(event["kind"], "webhook.test");
    assert_eq!(receiver.next().await.1, event);
    let at = "/v1/webhooks/crm";
    let hook = host.until(at, |hook| hook["delivered"] == 1).await;
    assert_eq!(
        (&hook["failed"], &hook["last_status"]),
        (&json!(1), &json!(204))
    );
    host.until(at, |hook| hook["waiting"] == 0).await;
    // What changed stands in the audit log, without its secret.
    let audit = host.get("/v1/audit?query=action%20=%20put_webhook").await;
    assert_eq!(audit["items"][0]["after"]["secret"], "(secret)");
}

#[tokio::test]
async fn what_waits_survives_a_restart() {
    let host = setup().start().await;
    // Nobody is there yet.
    let address = free_address();
    put(&host, address, "kind = webhook.test").await;
    host.api("POST", "/v1/webhooks/crm/test", None).await;
    host.until("/v1/webhooks/crm", |hook| hook["failed"] != 0)
        .await;
    let host = host.restart(|_| {}).await;
    let hook = host
        .until("/v1/webhooks/crm", |hook| hook["waiting"] == 1)
        .await;
    assert_eq!(hook["enabled"], true);
    let mut receiver = Receiver::start(&[]).await;
    let body = json!({ "url": format!("http://{}/", receiver.address) });
    let (status, hook) = host.api("PUT", "/v1/webhooks/crm", Some(body)).await;
    assert_eq!(status, 200, "{hook}");
    assert_eq!(receiver.next().await.1["kind"], "webhook.test");
}

#[tokio::test]
async fn dead_letters_are_listed_sent_again_and_cleared() {
    let host = setup().start().await;
    let mut receiver = Receiver::start(&[]).await;
    put(&host, receiver.address, "kind = webhook.test").await;
    let letter = json!({
        "event": { "number": 5, "kind": "webhook.test" }, "error": "500", "at": 7,
    });
    let store = Arc::new(host.acs.store.clone());
    let letter = letter.to_string().into_bytes();
    store
        .outbox_bury("default", "crm", 5, &letter, false)
        .await
        .unwrap();
    let at = "/v1/webhooks/crm/dead-letters";
    let dead = host.get(at).await;
    assert_eq!(dead["items"][0]["event"]["number"], 5, "{dead}");
    let (status, _) = host.api("POST", &format!("{at}/retry"), None).await;
    assert_eq!(status, 202);
    assert_eq!(receiver.next().await.1["number"], 5);
    assert_eq!(host.get(at).await["items"], json!([]));
    store
        .outbox_bury("default", "crm", 6, &letter, false)
        .await
        .unwrap();
    assert_eq!(host.api("DELETE", at, None).await.0, 204);
    assert_eq!(host.get(at).await["items"], json!([]));
    assert_eq!(host.api("DELETE", "/v1/webhooks/crm", None).await.0, 204);
    assert_eq!(host.api("GET", "/v1/webhooks/crm", None).await.0, 404);
}

#[tokio::test]
async fn events_do_not_go_to_what_only_the_host_can_reach() {
    let host = Setup::new().start().await;
    let body = json!({ "url": "http://127.0.0.1:80/", "secret": "a-secret-of-the-test" });
    let (status, error) = host.api("PUT", "/v1/webhooks/crm", Some(body)).await;
    assert_eq!(status, 400, "{error}");
    let body = json!({ "url": "http://localhost:9/", "secret": "a-secret-of-the-test" });
    assert_eq!(host.api("PUT", "/v1/webhooks/crm", Some(body)).await.0, 201);
    host.api("POST", "/v1/webhooks/crm/test", None).await;
    let hook = host
        .until("/v1/webhooks/crm", |hook| hook["failed"] == 1)
        .await;
    let error = hook["last_error"].as_str().unwrap();
    assert!(error.contains("events do not go to"), "{error}");
}

#[tokio::test]
async fn what_follows_the_host_in_a_url_is_for_those_who_may_write_it() {
    let host = setup().start().await;
    let url = "https://me:pw@hooks.example:8443/T0/key-in-the-path?key=of-the-query";
    let hook = json!({ "url": url, "secret": "a-secret-of-the-test", "enabled": false });
    let (status, made) = host.api("PUT", "/v1/webhooks/crm", Some(hook)).await;
    assert_eq!((status, &made["url"]), (201, &json!(url)));
    let reader = token(&host, &[("read-only", Some("default"))]).await;
    let operator = token(&host, &[("operator", Some("default"))]).await;
    for path in ["/v1/webhooks", "/v1/webhooks/crm"] {
        let (_, shown) = ask(&host, &reader, "GET", path, None).await;
        let hidden = "\"https://hooks.example:8443/(secret)\"";
        assert!(shown.to_string().contains(hidden), "{shown}");
        let (_, shown) = ask(&host, &operator, "GET", path, None).await;
        assert!(shown.to_string().contains(url), "{shown}");
    }
}

/// Nor does it stand in the reason why it could not be reached.
#[tokio::test]
async fn a_failure_does_not_tell_the_url() {
    let host = setup().start().await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let url = format!("http://{address}/key-in-the-path");
    let hook = json!({ "url": url, "secret": "a-secret-of-the-test" });
    host.api("PUT", "/v1/webhooks/crm", Some(hook)).await;
    host.post("/v1/webhooks/crm/test", Value::Null).await;
    let failed = host.until("/v1/webhooks/crm", |hook| hook["failed"] != 0);
    let error = failed.await["last_error"].as_str().unwrap().to_owned();
    assert!(!error.contains("key-in-the-path"), "{error}");
}
