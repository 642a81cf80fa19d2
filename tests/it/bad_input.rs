//! What is no TR-069 message, or not its turn: 4xx with one line of reason, and nothing else suffers.

use crate::harness::{Answer, Host, Setup, http, inform, raw};

async fn post(host: &Host, headers: &str, body: &str) -> Answer {
    http(host.cwmp, "POST", "/", headers, body.as_bytes()).await
}

fn cookie(answer: &Answer) -> String {
    let line = answer
        .head
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("set-cookie:"));
    let value = line.unwrap_or_else(|| panic!("no cookie in {answer:?}"));
    value
        .split_once(':')
        .unwrap()
        .1
        .split(';')
        .next()
        .unwrap()
        .trim()
        .to_owned()
}

fn one_line(answer: &Answer) -> String {
    let text = answer.text();
    assert_eq!(
        text.trim_end().lines().count(),
        1,
        "one line of reason: {text:?}"
    );
    text.trim_end().to_owned()
}

#[tokio::test]
async fn a_browser_is_told_that_this_is_not_for_it() {
    let host = Setup::new().start().await;
    for path in ["/", "/acs", "/i/default"] {
        let answer = http(host.cwmp, "GET", path, "", b"").await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("Bad Request"));
        assert!(answer.text().contains("TR-069"));
    }
    let answer = http(host.cwmp, "PUT", "/", "", b"x").await;
    assert_eq!(answer.status, 405);
    assert!(answer.head.to_ascii_lowercase().contains("allow: post"));
    host.stop().await;
}

#[tokio::test]
async fn what_is_no_message_gets_400_with_one_line_of_reason() {
    let host = Setup::new().start().await;
    let gpv = r#"<?xml version="1.0"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:cwmp="urn:dslforum-org:cwmp-1-0"><e:Body><cwmp:GetParameterValuesResponse><ParameterList/></cwmp:GetParameterValuesResponse></e:Body></e:Envelope>"#;
    let cut = inform("1", &["1 BOOT"]);
    for (body, says) in [
        ("hello", ""),
        ("<html><body>hi</body></html>", "Envelope"),
        ("{\"json\": true}", ""),
        ("<a><b></a>", ""),
        (&cut[..cut.len() / 2], ""),
        ("<!DOCTYPE x [<!ENTITY a \"b\">]><x>&a;</x>", ""),
        (gpv, "Inform"),
        ("", "Inform"),
        ("  \r\n ", "Inform"),
    ] {
        let answer = post(&host, "", body).await;
        assert_eq!(answer.status, 400, "{body:?} got {answer:?}");
        let line = one_line(&answer);
        assert!(line.contains(says), "{body:?} got {line:?}");
    }
    let status = host.get("/v1/status").await;
    assert_eq!(status["counters"]["requests_refused"], 9);
    assert_eq!(status["sessions_open"], 0);
    host.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_gets_413() {
    let host = Setup::new()
        .config(|c| c.cwmp.body_bytes_max = 65_536)
        .start()
        .await;
    let large = "x".repeat(70_000);
    let answer = post(&host, "", &large).await;
    assert_eq!(answer.status, 413);
    assert!(one_line(&answer).contains("65536"));
    // The same without a length to be judged by.
    let mut bytes =
        b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    bytes.extend_from_slice(format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len()).as_bytes());
    assert_eq!(raw(host.cwmp, &bytes).await.status, 413);
    host.stop().await;
}

#[tokio::test]
async fn a_device_that_never_ends_its_message_is_not_waited_for() {
    let host = Setup::new()
        .config(|c| c.cwmp.request_seconds_max = 1)
        .start()
        .await;
    let answer = raw(
        host.cwmp,
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n<half",
    )
    .await;
    assert_eq!(answer.status, 408);
    host.stop().await;
}

#[tokio::test]
async fn an_unknown_cookie_is_taken_on_an_inform_only() {
    let host = Setup::new().start().await;
    let unknown = "Cookie: session=0123456789abcdef0123456789abcdef\r\n";
    let answer = post(&host, unknown, "").await;
    assert_eq!(answer.status, 400);
    assert!(one_line(&answer).contains("cookie"));
    let answer = post(&host, unknown, &inform("1", &["2 PERIODIC"])).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("InformResponse"));
    host.stop().await;
}

#[tokio::test]
async fn a_message_out_of_turn_ends_its_session_and_no_other() {
    let host = Setup::new().start().await;
    let first = post(&host, "", &inform("1", &["2 PERIODIC"])).await;
    let other = post(&host, "", &inform("2", &["2 PERIODIC"])).await;
    let header = format!("Cookie: {}\r\n", cookie(&first));
    let out_of_turn = inform("1", &[]).replace("Inform>", "RebootResponse>");
    let answer = post(&host, &header, &out_of_turn).await;
    assert_eq!(answer.status, 400);
    assert!(one_line(&answer).contains("Reboot"), "{answer:?}");
    let answer = post(&host, &header, "").await;
    assert_eq!(answer.status, 400, "the session is over: {answer:?}");
    let answer = post(&host, &format!("Cookie: {}\r\n", cookie(&other)), "").await;
    assert_eq!(answer.status, 204);
    host.stop().await;
}

#[tokio::test]
async fn an_extra_empty_post_after_the_end_gets_another_204() {
    let host = Setup::new().start().await;
    let first = post(&host, "", &inform("1", &["2 PERIODIC"])).await;
    let header = format!("Cookie: {}\r\n", cookie(&first));
    assert_eq!(post(&host, &header, "").await.status, 204);
    assert_eq!(post(&host, &header, "").await.status, 204);
    assert_eq!(post(&host, &header, " \r\n").await.status, 204);
    host.stop().await;
}

#[tokio::test]
async fn nothing_is_reachable_without_the_token() {
    let host = Setup::new().start().await;
    for path in [
        "/",
        "/v1/devices",
        "/v1/status",
        "/v1/plugins",
        "/v1/tasks/t-1",
        "/nothing",
    ] {
        for header in [
            "",
            "Authorization: Bearer wrong\r\n",
            "Authorization: Basic YTpi\r\n",
        ] {
            let answer = http(host.api, "GET", path, header, b"").await;
            assert_eq!(answer.status, 401, "{path} {header}");
        }
    }
    host.stop().await;
}

#[tokio::test]
async fn errors_of_the_api_name_what_was_expected() {
    let host = Setup::new().start().await;
    post(&host, "", &inform("1", &["2 PERIODIC"])).await;
    let tasks = "/v1/devices/00AABB-Box-1/tasks";
    for (method, path, body, status, says) in [
        ("GET", "/v1/devices/none", None, 404, "none"),
        ("GET", "/v1/devices?limit=0", None, 400, "1 to 1000"),
        ("GET", "/v1/devices?limt=1", None, 400, "limt"),
        ("GET", "/v1/tasks/1", None, 400, "t- and hexadecimal"),
        ("GET", "/v1/tasks/t-99", None, 404, "t-99"),
        ("GET", "/v1/plugins/none", None, 404, "none"),
        ("GET", "/v1/nothing", None, 404, "/v1/nothing"),
        ("PUT", "/v1/devices", None, 405, "PUT"),
        ("POST", tasks, Some("{"), 400, ""),
        (
            "POST",
            tasks,
            Some(r#"{"operation":{"op":"dance"}}"#),
            422,
            "dance",
        ),
        (
            "POST",
            tasks,
            Some(r#"{"operation":{"op":"get","paths":[]}}"#),
            400,
            "at least one",
        ),
        (
            "POST",
            tasks,
            Some(r#"{"operation":{"op":"reboot"},"wake":1}"#),
            422,
            "boolean",
        ),
        (
            "POST",
            tasks,
            Some(r#"{"operation":{"op":"add-object","object":"A.B"}}"#),
            400,
            "dot",
        ),
        (
            "POST",
            tasks,
            Some(r#"{"operation":{"op":"raw","method":"a b","xml":""}}"#),
            400,
            "a b",
        ),
        (
            "POST",
            tasks,
            Some(r#"{"operation":{"op":"reboot"},"expires_seconds":0}"#),
            400,
            "expires_seconds",
        ),
        (
            "POST",
            tasks,
            Some(r#"{"operation":{"op":"reboot"},"wait_seconds":9999}"#),
            400,
            "wait_seconds",
        ),
    ] {
        let headers = format!(
            "Authorization: Bearer {}\r\nContent-Type: application/json\r\n",
            crate::harness::TOKEN
        );
        let answer = http(
            host.api,
            method,
            path,
            &headers,
            body.unwrap_or("").as_bytes(),
        )
        .await;
        assert_eq!(
            answer.status, status,
            "{method} {path} {body:?}: {answer:?}"
        );
        let text = answer.text();
        assert!(
            text.contains("\"error\"") && text.contains(says),
            "{method} {path} {body:?}: {text}"
        );
    }
    host.stop().await;
}
