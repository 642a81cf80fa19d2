//! Whose session a POST belongs to: by cookie, else by connection; kept, closed and shared ones.

use crate::harness::{Host, PATIENCE, Setup, http, inform};
use crate::kept::Kept;

const METHODS: &str = r#"<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:cwmp="urn:dslforum-org:cwmp-1-0"><e:Header><cwmp:ID>9</cwmp:ID></e:Header><e:Body><cwmp:GetRPCMethodsResponse><MethodList><string>Reboot</string></MethodList></cwmp:GetRPCMethodsResponse></e:Body></e:Envelope>"#;

async fn known(host: &Host, serial: &str) {
    let mut first = Kept::open(host.cwmp).await;
    assert_eq!(
        first.post(None, &inform(serial, &["0 BOOTSTRAP"])).await.0,
        200
    );
    assert_eq!(first.post(None, "").await.0, 204);
}

async fn ask_methods(host: &Host, serial: &str) -> String {
    let body = serde_json::json!({ "operation": { "op": "rpc-methods" } });
    let task = host
        .post(&format!("/v1/devices/00AABB-Box-{serial}/tasks"), body)
        .await;
    task["id"].as_str().unwrap().to_owned()
}

async fn state(host: &Host, task: &str) -> String {
    host.get(&format!("/v1/tasks/{task}")).await["state"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_session_on_one_kept_connection_with_its_cookie() {
    let host = Setup::new().start().await;
    known(&host, "1").await;
    let task = ask_methods(&host, "1").await;
    let mut device = Kept::open(host.cwmp).await;
    let (_, cookie, _) = device.post(None, &inform("1", &["2 PERIODIC"])).await;
    let cookie = cookie.expect("a cookie");
    let (status, _, body) = device.post(Some(&cookie), "").await;
    assert!(
        status == 200 && body.contains("GetRPCMethods"),
        "{status} {body}"
    );
    assert_eq!(device.post(Some(&cookie), METHODS).await.0, 204);
    assert_eq!(state(&host, &task).await, "done");
    // The next session of the same device, on the same connection, with the old cookie.
    assert_eq!(
        device
            .post(Some(&cookie), &inform("1", &["2 PERIODIC"]))
            .await
            .0,
        200
    );
    host.stop().await;
}

#[tokio::test]
async fn a_device_that_keeps_no_cookies_is_known_by_its_connection() {
    let host = Setup::new().start().await;
    known(&host, "1").await;
    let task = ask_methods(&host, "1").await;
    let mut device = Kept::open(host.cwmp).await;
    device.post(None, &inform("1", &["2 PERIODIC"])).await;
    assert!(device.post(None, "").await.2.contains("GetRPCMethods"));
    assert_eq!(device.post(None, METHODS).await.0, 204);
    assert_eq!(state(&host, &task).await, "done");
    host.stop().await;
}

#[tokio::test]
async fn a_device_that_opens_a_connection_for_each_post_is_known_by_its_cookie() {
    let host = Setup::new().start().await;
    known(&host, "1").await;
    let task = ask_methods(&host, "1").await;
    let (_, cookie, _) = Kept::open(host.cwmp)
        .await
        .post(None, &inform("1", &["1 BOOT"]))
        .await;
    let cookie = cookie.unwrap();
    assert!(
        Kept::open(host.cwmp)
            .await
            .post(Some(&cookie), "")
            .await
            .2
            .contains("GetRPCMethods")
    );
    assert_eq!(
        Kept::open(host.cwmp)
            .await
            .post(Some(&cookie), METHODS)
            .await
            .0,
        204
    );
    assert_eq!(state(&host, &task).await, "done");
    host.stop().await;
}

#[tokio::test]
async fn two_devices_on_one_connection_are_told_apart_by_their_cookies() {
    let host = Setup::new().start().await;
    known(&host, "1").await;
    known(&host, "2").await;
    let task = ask_methods(&host, "2").await;
    let mut shared = Kept::open(host.cwmp).await;
    let (_, one, _) = shared.post(None, &inform("1", &["2 PERIODIC"])).await;
    let (_, two, _) = shared.post(None, &inform("2", &["2 PERIODIC"])).await;
    assert!(
        shared
            .post(two.as_deref(), "")
            .await
            .2
            .contains("GetRPCMethods")
    );
    assert_eq!(
        shared.post(one.as_deref(), "").await.0,
        204,
        "nothing was asked of the first"
    );
    assert_eq!(shared.post(two.as_deref(), METHODS).await.0, 204);
    assert_eq!(state(&host, &task).await, "done");
    host.stop().await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_a_connection_is_nobodys_session() {
    let host = Setup::new()
        .config(|c| c.cwmp.trusted_proxies = vec!["127.0.0.1".parse().unwrap()])
        .start()
        .await;
    let mut proxy = Kept::open(host.cwmp).await;
    let headers = "X-Forwarded-For: 203.0.113.7\r\n";
    let (status, cookie, _) = proxy
        .post_with(headers, &inform("1", &["2 PERIODIC"]))
        .await;
    assert_eq!(status, 200);
    let (status, _, reason) = proxy.post_with(headers, "").await;
    assert_eq!(
        status, 400,
        "without its cookie nobody knows whose POST that is"
    );
    assert!(reason.contains("Inform"), "{reason}");
    let with_cookie = format!("{headers}Cookie: {}\r\n", cookie.unwrap());
    assert_eq!(proxy.post_with(&with_cookie, "").await.0, 204);
    let device = host.get("/v1/devices/00AABB-Box-1").await;
    assert_eq!(device["peer_address"], "203.0.113.7");
    host.stop().await;
}

#[tokio::test]
async fn a_second_inform_of_a_device_supersedes_its_first_session() {
    let host = Setup::new().start().await;
    known(&host, "1").await;
    let task = ask_methods(&host, "1").await;
    let mut first = Kept::open(host.cwmp).await;
    let mut second = Kept::open(host.cwmp).await;
    let (_, old, _) = first.post(None, &inform("1", &["2 PERIODIC"])).await;
    assert!(
        first
            .post(old.as_deref(), "")
            .await
            .2
            .contains("GetRPCMethods")
    );
    // The answer never comes: the device begins again.
    let (_, new, _) = second.post(None, &inform("1", &["1 BOOT"])).await;
    let (status, _, reason) = first.post(old.as_deref(), METHODS).await;
    assert_eq!(status, 400, "{reason}");
    // GetRPCMethods may be asked twice, and is.
    assert!(
        second
            .post(new.as_deref(), "")
            .await
            .2
            .contains("GetRPCMethods")
    );
    assert_eq!(second.post(new.as_deref(), METHODS).await.0, 204);
    let task = host.get(&format!("/v1/tasks/{task}")).await;
    assert_eq!(
        (&task["state"], &task["attempts"]),
        (&"done".into(), &2.into())
    );
    host.stop().await;
}

#[tokio::test]
async fn two_informs_of_a_device_at_once_leave_one_session_that_works() {
    let host = Setup::new().start().await;
    for _ in 0..50 {
        let both = [Kept::open(host.cwmp).await, Kept::open(host.cwmp).await];
        let started = both.map(|mut connection| {
            tokio::spawn(async move {
                let (status, cookie, _) =
                    connection.post(None, &inform("1", &["2 PERIODIC"])).await;
                assert_eq!(status, 200);
                connection.post(cookie.as_deref(), "").await.0
            })
        });
        let mut ends = Vec::new();
        for session in started {
            ends.push(session.await.unwrap());
        }
        // At least the one that came last goes on; the other was superseded or was over by then.
        assert!(ends.contains(&204), "{ends:?}");
        assert!(ends.iter().all(|end| [204, 400].contains(end)), "{ends:?}");
    }
    let devices = host.get("/v1/devices").await;
    assert_eq!(devices["items"].as_array().unwrap().len(), 1);
    assert_eq!(host.get("/v1/status").await["sessions_open"], 0);
    host.stop().await;
}

#[tokio::test]
async fn the_cookie_is_short_and_has_a_path_and_nothing_else() {
    let host = Setup::new().start().await;
    let body = inform("1", &["2 PERIODIC"]);
    let answer = http(host.cwmp, "POST", "/", "", body.as_bytes()).await;
    let cookie = answer
        .head
        .lines()
        .find(|l| l.starts_with("Set-Cookie:"))
        .expect("a cookie, in title case");
    let value = cookie.split_once(':').unwrap().1.trim();
    let (pair, attributes) = value.split_once(';').unwrap();
    assert_eq!(attributes.trim(), "Path=/");
    assert!(pair.len() < 64, "{pair}");
    assert!(
        pair.chars()
            .all(|c| c.is_ascii_alphanumeric() || "=_-".contains(c)),
        "{pair}"
    );
    assert!(
        answer
            .head
            .contains("Content-Type: text/xml; charset=\"utf-8\""),
        "{}",
        answer.head
    );
    assert!(answer.head.contains("Content-Length:"), "{}", answer.head);
    host.stop().await;
}

#[tokio::test]
async fn a_session_that_falls_silent_is_given_up() {
    let host = Setup::new()
        .config(|c| c.cwmp.session_silence_seconds_max = 1)
        .start()
        .await;
    let mut device = Kept::open(host.cwmp).await;
    device.post(None, &inform("1", &["2 PERIODIC"])).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while host.get("/v1/status").await["counters"]["sessions_abandoned"] != 1 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(host.get("/v1/status").await["sessions_open"], 0);
    host.stop().await;
}
