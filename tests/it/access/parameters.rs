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
    let planner = json!(["campaigns:read", "campaigns:write"]);
    for (name, permissions, devices) in [
        ("planner", planner, json!(null)),
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
    // Nor does a campaign tell them.
    let planner = token(&host, &[("planner", Some("default"))]).await;
    let set = json!({ "op": "set", "parameters": [{ "path": "DeviceInfo.SoftwareVersion", "value": "2" }] });
    let campaign = json!({ "name": "all", "operation": set });
    let at = "/v1/campaigns/preview";
    let everybody = host.api("POST", at, Some(campaign.clone())).await.1;
    assert_eq!(
        everybody["items"][0]["changes"][0]["from"], "marker-7",
        "{everybody}"
    );
    let (status, plan) = ask(&host, &planner, "POST", at, Some(campaign.clone())).await;
    let change = &plan["items"][0]["changes"][0];
    assert_eq!(
        (status, &change["from"], &change["to"]),
        (200, &json!(null), &json!("2")),
        "{plan}"
    );
    let by_value = json!({ "name": "some", "operation": set, "query": format!("{path} = \"m*\"") });
    let (status, answer) = ask(&host, &planner, "POST", at, Some(by_value)).await;
    assert_eq!(status, 403, "{answer}");
    // Who may not have devices do it does not let others' campaigns go on.
    let (_, made) = host.api("POST", "/v1/campaigns", Some(campaign)).await;
    let at = format!("/v1/campaigns/{}", made["id"].as_str().unwrap());
    for (verb, expected) in [("resume", 403), ("approve", 403), ("abort", 409)] {
        let (status, answer) = ask(&host, &planner, "POST", &format!("{at}/{verb}"), None).await;
        assert_eq!(status, expected, "{verb}: {answer}");
    }
    host.stop().await;
}
