//! Several instances on one host: whose an Inform is, and that they know nothing of each other.

use std::net::SocketAddr;

use patchbay::config::{Config, Instance};
use patchbay::device::DeviceKey;
use serde_json::json;

use crate::harness::{Host, PATIENCE, Setup, free_port, inform};
use crate::kept::{Kept, cookie};

fn hosts(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// `default` at `one.example`, `acme` at `two.example`.
fn two(config: &mut Config) {
    config.instance.hosts = hosts(&["one.example"]);
    let acme = Instance {
        hosts: hosts(&["two.example"]),
        connection_request_allow: config.instance.connection_request_allow.clone(),
        ..Instance::default()
    };
    config.instances.insert("acme".into(), acme);
}

/// Posts an Inform to this address: the status, the cookie, the text of the answer.
async fn informs(
    to: SocketAddr,
    host: &str,
    path: &str,
    headers: &str,
    serial: &str,
) -> (u16, Option<String>, String) {
    let mut connection = Kept::open(to).await;
    let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n{headers}");
    let body = inform(serial, &["2 PERIODIC"]);
    let answer = connection.request(&head, body.as_bytes()).await;
    (answer.status, cookie(&answer), answer.text())
}

/// The instances that know the device.
fn known_in(host: &Host, serial: &str) -> Vec<String> {
    let mut names = Vec::new();
    for instance in host.acs.instances.all() {
        let key = DeviceKey {
            instance: instance.name.clone(),
            id: format!("00AABB-Box-{serial}").into(),
        };
        if host.acs.store.is_known(&key) {
            names.push(instance.name.to_string());
        }
    }
    names
}

#[tokio::test]
async fn an_inform_is_of_the_instance_whose_url_it_came_to() {
    let host = Setup::new().config(two).start().await;
    let to = host.cwmp;
    for (serial, name, path, expected) in [
        ("1", "one.example", "/", "default"),
        ("2", "two.example:7547", "/acs", "acme"),
        ("3", "TWO.example", "/", "acme"),
        ("4", "192.0.2.1", "/i/acme", "acme"),
        ("5", "two.example", "/i/default/x", "default"),
    ] {
        let (status, _, text) = informs(to, name, path, "", serial).await;
        assert_eq!(status, 200, "{text}");
        assert_eq!(known_in(&host, serial), [expected], "{name}{path}");
    }
    let (status, _, text) = informs(to, "three.example", "/", "", "6").await;
    assert_eq!(status, 404);
    assert!(text.contains("\"three.example\""), "{text}");
    let (status, _, text) = informs(to, "one.example", "/i/nobody", "", "6").await;
    assert_eq!((status, text.contains("/i/nobody")), (404, true), "{text}");
    assert!(known_in(&host, "6").is_empty());
    let refused = host.get("/v1/refusals").await;
    assert_eq!(refused["items"][0]["why"], "no-instance");
    host.stop().await;
}

#[tokio::test]
async fn a_session_of_one_instance_is_none_in_another() {
    let host = Setup::new().config(two).start().await;
    let (_, cookie, _) = informs(host.cwmp, "one.example", "/", "", "1").await;
    let cookie = cookie.unwrap();
    let post = async |name: &str| {
        let head = format!("POST / HTTP/1.1\r\nHost: {name}\r\nCookie: {cookie}\r\n");
        let mut connection = Kept::open(host.cwmp).await;
        connection.request(&head, b"").await.status
    };
    assert_eq!(post("two.example").await, 400);
    assert_eq!(post("one.example").await, 204);
    host.stop().await;
}

#[tokio::test]
async fn the_same_device_in_two_instances_is_two() {
    let host = Setup::new().config(two).stun().xmpp().start().await;
    for name in ["one.example", "two.example"] {
        informs(host.cwmp, name, "/", "", "1").await;
    }
    assert_eq!(known_in(&host, "1"), ["acme", "default"]);
    let key = |instance: &str| DeviceKey {
        instance: instance.into(),
        id: "00AABB-Box-1".into(),
    };
    let stun = &host.acs.stun;
    let (own, other) = (stun.account(&key("default")), stun.account(&key("acme")));
    assert_eq!(
        (&*own.username, &*other.username),
        ("00AABB-Box-1", "acme+00AABB-Box-1")
    );
    assert_ne!(own.password, other.password);
    let xmpp = host.acs.xmpp.as_ref().unwrap();
    let name = |instance| xmpp.wanted(&key(instance), Some("a")).unwrap().username;
    assert_ne!(name("default"), name("acme"));
    // What is asked of one is not asked of the other.
    host.post(
        "/v1/devices/00AABB-Box-1/tasks",
        json!({ "operation": { "op": "reboot" } }),
    )
    .await;
    let pending = |instance| host.acs.store.pending(&key(instance)).len();
    assert_eq!((pending("default"), pending("acme")), (1, 0));
    host.stop().await;
}

#[tokio::test]
async fn settings_are_each_instances_own() {
    let host = Setup::new()
        .config(two)
        .config(|config| {
            let acme = config.instances.get_mut("acme").unwrap();
            acme.device_authentication.require = patchbay::config::Require::Password;
            acme.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        })
        .start()
        .await;
    let forwarded = "X-Forwarded-For: 203.0.113.9\r\n";
    let (status, ..) = informs(host.cwmp, "one.example", "/", forwarded, "1").await;
    assert_eq!(status, 200);
    let (status, ..) = informs(host.cwmp, "two.example", "/", forwarded, "2").await;
    assert_eq!(status, 401);
    assert!(known_in(&host, "2").is_empty());
    // Only one of them trusts the proxy.
    let refused = host.acs.refusals.last(1);
    assert_eq!(refused[0].refused.address.to_string(), "203.0.113.9");
    let one = host.get("/v1/devices/00AABB-Box-1").await;
    assert_eq!(one["peer_address"], "127.0.0.1");
    host.stop().await;
}

#[tokio::test]
async fn listeners_come_and_go_with_the_settings() {
    let host = Setup::new().config(two).start().await;
    let port = free_port();
    let at = SocketAddr::from(([127, 0, 0, 1], port));
    let listen = json!({ "listen": [at.to_string()] });
    let changed = host
        .acs
        .instances
        .change("acme", listen.as_object().unwrap())
        .await;
    changed.unwrap();
    let until = async |up: bool| {
        let waiting = async {
            while tokio::net::TcpStream::connect(at).await.is_ok() != up {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    };
    until(true).await;
    // Whatever the URL says.
    let (status, ..) = informs(at, "one.example", "/i/default", "", "1").await;
    assert_eq!(
        (status, known_in(&host, "1")),
        (200, vec!["acme".to_owned()])
    );
    let none = json!({ "listen": null });
    let changed = host
        .acs
        .instances
        .change("acme", none.as_object().unwrap())
        .await;
    changed.unwrap();
    until(false).await;
    host.stop().await;
}

#[tokio::test]
async fn made_and_changed_over_the_api() {
    let host = Setup::new().start().await;
    let made = host
        .post(
            "/v1/instances",
            json!({ "name": "acme", "settings": { "hosts": ["two.example"] } }),
        )
        .await;
    assert_eq!(
        (&made["devices"], &made["in_file"]),
        (&json!(0), &json!(false))
    );
    let urls = made["acs_urls"].as_array().unwrap();
    assert!(
        urls[0].as_str().unwrap().starts_with("http://two.example:"),
        "{made}"
    );
    informs(host.cwmp, "two.example", "/", "", "1").await;
    informs(host.cwmp, "192.0.2.1", "/i/default", "", "2").await;

    // Each is seen below its own path alone.
    let ids = async |path: &str| {
        let listed = host.get(path).await;
        let items = listed["items"].as_array().unwrap().clone();
        let ids = items
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(ids("/v1/instances/acme/devices").await, ["00AABB-Box-1"]);
    assert_eq!(ids("/v1/devices").await, ["00AABB-Box-2"]);
    for path in ["/v1/devices/00AABB-Box-1", "/v1/instances/nobody/devices"] {
        assert_eq!(host.api("GET", path, None).await.0, 404, "{path}");
    }

    let secret = json!({ "http_proxy": {
        "address": "192.0.2.10:3128", "username": "acs", "password": "not to be shown"
    } });
    let (status, changed) = host.api("PATCH", "/v1/instances/acme", Some(secret)).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(changed["settings"]["http_proxy"]["password"], "");
    assert_eq!(changed["changed"], json!(["hosts", "http_proxy"]));
    let links = host.get("/v1/instances/acme/links").await;
    assert_eq!(links["http_proxy"], "192.0.2.10:3128");
    let wrong = json!({ "short_periodic_inform_seconds": 0 });
    let (status, error) = host.api("PATCH", "/v1/instances/acme", Some(wrong)).await;
    let message = error["error"]["message"].as_str().unwrap();
    assert_eq!(status, 400);
    assert!(
        message.contains("instance.short_periodic_inform_seconds = 0"),
        "{message}"
    );

    let host = host.restart(|_| ()).await;
    assert_eq!(
        host.get("/v1/instances").await["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let (status, error) = host.api("DELETE", "/v1/instances/acme", None).await;
    assert_eq!(status, 409, "{error}");
    let (status, _) = host
        .api("DELETE", "/v1/instances/acme/devices/00AABB-Box-1", None)
        .await;
    assert_eq!(status, 204);
    assert_eq!(host.api("DELETE", "/v1/instances/acme", None).await.0, 204);
    assert_eq!(host.api("GET", "/v1/instances/acme", None).await.0, 404);
    host.stop().await;
}
