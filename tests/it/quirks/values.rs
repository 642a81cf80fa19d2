//! Rows about how something is written, seen in the bytes that the device gets.

use serde_json::{Value, json};

use super::with;
use crate::harness::{Answer, Host, Setup, http, inform};

const AT: &str = "/v1/devices/00AABB-Box-1";

async fn post(host: &Host, cookie: &str, body: &str) -> Answer {
    let headers = match cookie {
        "" => String::new(),
        cookie => format!("Cookie: {cookie}\r\n"),
    };
    http(host.cwmp, "POST", "/", &headers, body.as_bytes()).await
}

/// What the device gets for a task, and its cookie. It has told of a time and a number.
async fn asked(host: &Host, operation: Value) -> (String, String) {
    let more = "<ParameterValueStruct><Name>InternetGatewayDevice.Time.CurrentLocalTime</Name>\
        <Value xsi:type=\"xsd:dateTime\">2026-01-01T00:00:00Z</Value></ParameterValueStruct>\
        <ParameterValueStruct><Name>InternetGatewayDevice.X_Number</Name>\
        <Value xsi:type=\"xsd:int\">1</Value></ParameterValueStruct></ParameterList>";
    let body = inform("1", &["2 PERIODIC"]).replace("</ParameterList>", more);
    let answer = post(host, "", &body).await;
    let cookie = answer
        .head
        .lines()
        .find_map(|line| line.strip_prefix("Set-Cookie: "));
    let cookie = cookie.unwrap().split(';').next().unwrap().to_owned();
    host.post(&format!("{AT}/tasks"), json!({ "operation": operation }))
        .await;
    let answer = post(host, &cookie, "").await;
    (answer.text(), cookie)
}

fn set(path: &str, value: &str) -> Value {
    json!({ "op": "set", "parameters": [{ "path": format!("InternetGatewayDevice.{path}"), "value": value }] })
}

async fn check(profile: &str, operation: Value, expected: &str) {
    let host = with(profile).start().await;
    let (text, _) = asked(&host, operation).await;
    assert!(
        text.contains(expected),
        "{profile}: {expected} is not in {text}"
    );
    host.stop().await;
}

/// What the parser cannot tell from a tag, a profile can.
#[tokio::test]
async fn b2_an_unescaped_angle_bracket() {
    let path = "InternetGatewayDevice.DeviceInfo.SoftwareVersion";
    let body = inform("1", &["2 PERIODIC"]).replace(">1.0<", ">1 < 2 <3<");
    for (profile, status) in [("[repair]\nangle_brackets = true\n", 200), ("", 400)] {
        let host = with(profile).start().await;
        assert_eq!(post(&host, "", &body).await.status, status, "{profile}");
        if status == 200 {
            let shown = host.get(&format!("{AT}?parameters={path}")).await;
            assert_eq!(shown["parameters"][path]["value"], "1 < 2 <3", "{shown}");
        }
        host.stop().await;
    }
}

#[tokio::test]
async fn b11_authorization_headers_of_all_kinds() {
    let host = Setup::new().start().await;
    for header in [
        "Digest",
        "Digest username=\"a b\", realm=, qop=\"auth",
        "Digest username=\"a\", algorithm=\"MD5\", qop=\"auth\", nc=1",
        "Basic",
        "Basic !!!",
        "Bearer x",
        ",,,",
    ] {
        let headers = format!("Authorization: {header}\r\n");
        let body = inform("1", &["2 PERIODIC"]);
        let answer = http(host.cwmp, "POST", "/", &headers, body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{header}: {answer:?}");
    }
    host.stop().await;
}

#[tokio::test]
async fn r2_next_level_is_a_digit() {
    for (next_level, expected) in [(true, "<NextLevel>1<"), (false, "<NextLevel>0<")] {
        let path = "InternetGatewayDevice.Time.";
        let operation = json!({ "op": "names", "path": path, "next_level": next_level });
        check("", operation, expected).await;
    }
}

#[tokio::test]
async fn r8_booleans_times_and_types_as_the_device_takes_them() {
    let boolean = json!({ "op": "set", "parameters": [
        { "path": "InternetGatewayDevice.Time.Enable", "value": "false", "type": "boolean" },
    ] });
    let time = || set("Time.CurrentLocalTime", "2026-02-03T04:05:06Z");
    for (profile, operation, expected) in [
        ("", boolean.clone(), "\"xsd:boolean\">0<"),
        (
            "[overrides]\nboolean-words = \"false/true\"\n",
            boolean,
            "\"xsd:boolean\">false<",
        ),
        ("", time(), "\"xsd:dateTime\">2026-02-03T04:05:06Z<"),
        (
            "[overrides]\ndate-time-milliseconds = true\n",
            time(),
            "\"xsd:dateTime\">2026-02-03T04:05:06.000Z<",
        ),
        // The type is the one that the device gave it.
        ("", set("X_Number", "7"), "\"xsd:int\">7<"),
    ] {
        check(profile, operation, expected).await;
    }
}

#[tokio::test]
async fn r11_no_parameter_key_for_whom_keeps_none() {
    let host = Setup::new().start().await;
    let (text, _) = asked(&host, set("X_Number", "7")).await;
    assert!(
        text.contains("<ParameterKey>") && !text.contains("<ParameterKey></ParameterKey>"),
        "{text}"
    );
    host.stop().await;
    let profile = "[overrides]\nno-parameter-key = true\n";
    check(
        profile,
        set("X_Number", "7"),
        "<ParameterKey></ParameterKey>",
    )
    .await;
}

#[tokio::test]
async fn e7_a_version_that_the_device_does_not_mean() {
    // Its Inform says 1.0.
    let get = || json!({ "op": "get", "paths": ["InternetGatewayDevice.Time."] });
    check("", get(), "urn:dslforum-org:cwmp-1-0").await;
    check(
        "[overrides]\ncwmp-version = \"1.2\"\n",
        get(),
        "urn:dslforum-org:cwmp-1-2",
    )
    .await;
}

#[tokio::test]
async fn r15_downloads_as_the_device_wants_to_be_asked() {
    let profile = "[downloads]\ntarget_file_name = true\ndelay_seconds_min = 2\ncredentials_in_url = true\n\
        file_types = { \"1 Firmware Upgrade Image\" = \"X 00AABB Firmware \" }\n";
    let download = json!({ "op": "download", "file_type": "1 Firmware Upgrade Image",
        "url": "http://files.example/fw-2.bin", "username": "me", "password": "p@ss" });
    let host = with(profile).start().await;
    let (text, _) = asked(&host, download).await;
    for expected in [
        "<FileType>X 00AABB Firmware </FileType>",
        "<URL>http://me:p%40ss@files.example/fw-2.bin</URL>",
        "<Username></Username>",
        "<TargetFileName>fw-2.bin</TargetFileName>",
        "<DelaySeconds>2</DelaySeconds>",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    host.stop().await;
}

/// A value that the vendor gives in a unit of its own.
#[tokio::test]
async fn r27_values_in_other_units() {
    let profile = "[[values]]\npath = \"*.RXPower\"\nunit = \"dBm\"\nmultiply = 0.001\n";
    let host = with(profile).start().await;
    let path = "InternetGatewayDevice.X_Optics.RXPower";
    let (text, cookie) = asked(&host, json!({ "op": "get", "paths": [path] })).await;
    let id = text.split("mustUnderstand=\"1\">").nth(1).unwrap();
    let id = id.split('<').next().unwrap();
    let response = format!(
        r#"<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:c="urn:dslforum-org:cwmp-1-0"><e:Header><c:ID>{id}</c:ID></e:Header><e:Body><c:GetParameterValuesResponse><ParameterList><ParameterValueStruct><Name>{path}</Name><Value>-21300 dBm</Value></ParameterValueStruct></ParameterList></c:GetParameterValuesResponse></e:Body></e:Envelope>"#
    );
    assert_eq!(post(&host, &cookie, &response).await.status, 204);
    let shown = host.get(&format!("{AT}?parameters={path}")).await;
    assert_eq!(shown["parameters"][path]["value"], "-21.3", "{shown}");
    host.stop().await;
}
