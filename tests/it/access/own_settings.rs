//! The administrator of an instance, and the settings that are the instance's own affair.

use serde_json::{Value, json};

use super::{ask, token};
use crate::harness::{Host, Setup};

async fn two() -> Host {
    let setup = Setup::new().config(|config| {
        for name in ["north", "south"] {
            config
                .instances
                .insert(name.into(), config.instance.clone());
        }
    });
    setup.start().await
}

/// A setting that may be changed, for each that may.
fn own() -> Value {
    json!({
        "acs_url": "http://acs.north.example/",
        "connection_request_seconds_max": 5,
        "device_authentication": {
            "require": "password", "factory_credentials": [{ "username": "acs", "password": "hidden-one" }]
        },
        "file_base_url": "https://files.north.example",
        "provisioning_codes": { "gold*": ["tier-gold"] },
        "session_after_wake_seconds_max": 20,
        "short_inform": { "lease": true },
        "standard_periodic_inform_seconds": 7200,
        "stun": false,
        "unknown_devices": "quarantine",
        "waking": {
            "calls_at_once_per_network_max": 2, "calls_per_second_max": 3,
            "probe_seconds_max": 7200, "probe_seconds_min": 60
        },
        "xmpp": false,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_changes_what_is_the_instances_own_affair() {
    let host = two().await;
    let north = token(&host, &[("admin", Some("north"))]).await;
    let at = "/v1/instances/north";
    let own = own();
    let names: Vec<&String> = own.as_object().unwrap().keys().collect();
    for (name, value) in own.as_object().unwrap() {
        let patch = json!({ name: value });
        let (status, answer) = ask(&host, &north, "PATCH", at, Some(patch)).await;
        assert_eq!(status, 200, "{name}: {answer}");
        assert!(!answer.to_string().contains("hidden-one"), "{answer}");
    }
    let (_, shown) = ask(&host, &north, "GET", at, None).await;
    assert_eq!(json!(names), shown["changed"]);
    assert_eq!(shown["settings"]["waking"]["calls_per_second_max"], 3);
    assert_eq!(shown["settings"]["unknown_devices"], "quarantine");
    let (_, links) = ask(&host, &north, "GET", "/v1/links", None).await;
    assert_eq!(links["cwmp"][0], "http://acs.north.example/");
    // Back to the file.
    let patch = json!({ "stun": null, "unknown_devices": null });
    let (status, answer) = ask(&host, &north, "PATCH", at, Some(patch)).await;
    assert_eq!(
        (status, &answer["settings"]["stun"]),
        (200, &json!(true)),
        "{answer}"
    );
    let wrong = json!({ "standard_periodic_inform_seconds": 5 });
    assert_eq!(ask(&host, &north, "PATCH", at, Some(wrong)).await.0, 400);
    // It is in the audit log of the instance.
    let (_, page) = ask(
        &host,
        &north,
        "GET",
        "/v1/audit?query=action%20=%20change_instance",
        None,
    )
    .await;
    assert_eq!(page["items"][0]["status"], 400);
    assert_eq!(
        page["items"][1]["before"],
        json!({ "stun": false, "unknown_devices": "quarantine" })
    );
    assert_eq!(
        page["items"][1]["after"],
        json!({ "stun": true, "unknown_devices": "accept" })
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_concerns_the_host_takes_the_host() {
    let host = two().await;
    let north = token(&host, &[("admin", Some("north"))]).await;
    let at = "/v1/instances/north";
    let before = host.get(at).await;
    for (name, value) in [
        ("connection_request_allow", json!(["10.0.0.0/8"])),
        ("connection_request_from", json!(["192.0.2.1"])),
        ("hosts", json!(["acs.south.example"])),
        ("http_proxy", json!({ "address": "192.0.2.1:80" })),
        ("listen", json!(["127.0.0.1:1"])),
        ("listen_tls", json!(["127.0.0.1:1"])),
        ("short_periodic_inform_seconds", json!(1)),
        ("trusted_proxies", json!(["0.0.0.0/0"])),
        (
            "waking.calls_at_once_max",
            json!({ "calls_at_once_max": 10_000 }),
        ),
        ("waking.waiting_max", json!({ "waiting_max": 1_000_000 })),
        ("waking.waiting_max", Value::Null),
    ] {
        // With something that it may change, which it does not then.
        let setting = name.split('.').next().unwrap();
        let patch = json!({ setting: value, "stun": false });
        let (status, answer) = ask(&host, &north, "PATCH", at, Some(patch)).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert_eq!(status, 403, "{name}: {answer}");
        assert!(
            message.contains(name) && message.contains("instances:write in all instances"),
            "{message}"
        );
    }
    assert_eq!(host.get(at).await, before);
    let page = host
        .get("/v1/audit?query=instance%20=%20north&all_instances=true")
        .await;
    assert_eq!(page["items"][0]["status"], 403, "{page}");
    assert_eq!(page["items"][0].get("after"), None);
    // Nor does anybody without the permission, and nobody an instance that is not theirs.
    for role in ["operator", "support", "read-only"] {
        let token = token(&host, &[(role, Some("north"))]).await;
        let (status, _) = ask(&host, &token, "PATCH", at, Some(json!({ "stun": false }))).await;
        assert_eq!(status, 403, "{role}");
    }
    for (method, path) in [
        ("GET", "/v1/instances/south"),
        ("PATCH", "/v1/instances/south"),
        ("PATCH", "/v1/instances/north/instances/south"),
        ("DELETE", "/v1/instances/south"),
        ("GET", "/v1/instances/south/links"),
        ("GET", "/v1/instances/nothing"),
    ] {
        let body = (method == "PATCH").then(|| json!({ "stun": false }));
        let (status, answer) = ask(&host, &north, method, path, body).await;
        assert_eq!(status, 404, "{method} {path}: {answer}");
    }
    for method in ["DELETE", "POST"] {
        let path = if method == "POST" {
            "/v1/instances"
        } else {
            at
        };
        let (status, answer) = ask(&host, &north, method, path, Some(json!({ "name": "x" }))).await;
        assert_eq!(status, 403, "{method} {path}: {answer}");
    }
    // Where somebody is administrator counts, and not which of their instances comes first.
    let both = token(
        &host,
        &[("support", Some("north")), ("admin", Some("south"))],
    )
    .await;
    let patch = || Some(json!({ "stun": false }));
    assert_eq!(ask(&host, &both, "PATCH", at, patch()).await.0, 403);
    assert_eq!(
        ask(&host, &both, "PATCH", "/v1/instances/south", patch())
            .await
            .0,
        200
    );
    // The host's may all of it.
    let patch = json!({ "trusted_proxies": ["192.0.2.0/24"], "waking": { "waiting_max": 7 } });
    let (status, answer) = host.api("PATCH", at, Some(patch)).await;
    assert_eq!(
        (status, &answer["settings"]["waking"]["waiting_max"]),
        (200, &json!(7)),
        "{answer}"
    );
    host.stop().await;
}
