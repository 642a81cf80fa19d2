//! Who may see devices sees the values of their parameters only with a permission of their own.

use serde_json::json;

use super::{ask, token};
use crate::harness::{Setup, http, inform};

#[tokio::test(flavor = "multi_thread")]
async fn values_of_parameters_take_a_permission() {
    let host = Setup::new().start().await;
    for serial in ["1", "2"] {
        let body = inform(serial, &["2 PERIODIC"]).replace(">1.0<", ">marker-7<");
        http(host.cwmp, "POST", "/", "", body.as_bytes()).await;
    }
    let (status, _) = host
        .api("PUT", "/v1/devices/00AABB-Box-1/tags/own", None)
        .await;
    assert_eq!(status, 204);
    for (name, permissions, devices) in [
        ("lister", json!(["devices:read"]), json!(null)),
        ("reader", json!(["parameters:read"]), json!("tag = own")),
    ] {
        let role = json!({ "permissions": permissions, "devices": devices });
        let (status, made) = host
            .api("PUT", &format!("/v1/roles/{name}"), Some(role))
            .await;
        assert_eq!(status, 201, "{made}");
    }
    let lister = token(&host, &[("lister", Some("default"))]).await;
    let both = token(
        &host,
        &[("lister", Some("default")), ("reader", Some("default"))],
    )
    .await;
    let path = "InternetGatewayDevice.DeviceInfo.SoftwareVersion";
    let by_field = format!("/v1/devices?fields=id,{path}");
    let by_query = format!("/v1/devices?fields=id&query={path}%20=%20marker-7");
    let table = format!("{by_field}&format=ndjson");
    for closed in [&by_field, &by_query, &table] {
        let (status, answer) = ask(&host, &lister, "GET", closed, None).await;
        assert_eq!(status, 403, "{closed}: {answer}");
        assert!(answer.to_string().contains("parameters:read"), "{answer}");
        // With the permission for one device, that one is told.
        let headers = super::bearer(&both);
        let text = http(host.api, "GET", closed, &headers, b"").await.text();
        assert!(
            text.contains("00AABB-Box-1") && !text.contains("00AABB-Box-2"),
            "{text}"
        );
    }
    let all = "/v1/devices?fields=id&query=software_version%20=%20marker-7";
    let (_, page) = ask(&host, &lister, "GET", all, None).await;
    assert_eq!(
        page["items"].as_array().unwrap().len(),
        2,
        "what a list shows it sees"
    );
    for (device, who, sees) in [
        ("1", &lister, false),
        ("1", &both, true),
        ("2", &both, false),
    ] {
        let at = format!("/v1/devices/00AABB-Box-{device}");
        let (status, shown) = ask(&host, who, "GET", &at, None).await;
        assert_eq!(
            (status, shown.get("parameters").is_some()),
            (200, sees),
            "{shown}"
        );
        let named = format!("{at}?parameters={path}");
        let (status, _) = ask(&host, who, "GET", &named, None).await;
        assert_eq!(status == 200, sees, "{named}");
    }
    host.stop().await;
}
