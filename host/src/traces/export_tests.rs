use super::*;
use crate::traces::SessionId;

fn session(device: &str, body: &str) -> Session {
    let head = Head {
        id: SessionId(1),
        instance: "default".into(),
        device: device.into(),
        started: 0,
        duration: 0,
        peer: "203.0.113.99".into(),
        events: vec!["1 BOOT".into()],
        rpcs: 0,
        faults: 0,
        ended: Some("done".into()),
        left_out: 0,
    };
    let what = Told::Request {
        method: "POST".into(),
        target: "/".into(),
        version: "HTTP/1.1".into(),
        headers: vec![("host".into(), "acs.isp.example:7547".into())],
        message: None,
        body: Body {
            text: body.into(),
            bytes: body.len(),
            ..Body::default()
        },
    };
    let note = Told::Note {
        text: "10.0.0.7 is S/N-77, ssid Smith & Sons, by acs.isp.example".into(),
    };
    Session {
        head,
        entries: vec![Entry { at: 0, what }, Entry { at: 1, what: note }],
    }
}

#[test]
fn the_same_everywhere_and_nothing_is_left() {
    let body = "<DeviceId><Manufacturer>Acme</Manufacturer><OUI>00AABB</OUI><ProductClass>Box</ProductClass>\
        <SerialNumber>S/N-77</SerialNumber></DeviceId>\
        <Name>Device.DeviceInfo.SoftwareVersion</Name><Value>10.1.2.3</Value>\
        <Name>Device.WiFi.SSID.1.SSID</Name><Value>Smith &amp; Sons</Value>\
        <Name>Device.WiFi.SSID.1.BSSID</Name><Value>00:1A:2B:3C:4D:5E</Value>\
        <Name>Device.Eth.MAC</Name><Value>001A-x 00-1a-2b-3c-4d-5e</Value>\
        <Name>Device.PPP.Username</Name><Value>smith@dsl.isp.example</Value>\
        <Name>Device.A.URL</Name><Value>http://10.0.0.7:7547/S/N-77?x=1</Value>\
        <Name>Device.A.IPv6</Name><Value>2a02:8106::7</Value>\
        <Name>Device.A.Mask</Name><Value>255.255.255.0</Value>\
        <Name>Device.A.Time</Name><Value>2026-01-01T10:20:30Z</Value>";
    let one = session("00AABB-Box-S~2FN~2D77", body);
    let other = session("00AABB-Box-S~2FN~2D78", "<Value>10.0.0.7 10.0.0.8</Value>");
    let out = anonymous(vec![one.clone(), other.clone()]);
    assert_eq!(out, anonymous(vec![one, other]), "twice is the same");
    let told = format!("{out:?}");
    for identity in [
        "S/N-77",
        "S~2FN~2D77",
        "S~2FN~2D78",
        "Smith",
        "smith",
        "isp.example",
        "10.0.0.",
        "1A:2B",
        "1a-2b",
        "2a02",
        "203.0.113.99",
    ] {
        assert!(!told.contains(identity), "{identity} is in {told}");
    }
    for kept in [
        "Acme",
        "00AABB",
        "<ProductClass>Box<",
        "<Value>10.1.2.3<",
        "255.255.255.0",
        "10:20:30Z",
        "Device.WiFi.SSID.1.BSSID",
        "001A-x",
        "<SerialNumber>A/A-01</SerialNumber>",
        "00AABB-Box-A~2FA~2D01",
        "00AABB-Box-A~2FA~2D02",
        "<Value>network-1</Value>",
        "<Value>user-1</Value>",
        "00:00:5E:00:53:00",
        "00-00-5e-00-53-00",
        "http://192.0.2.1:7547/A/A-01?x=1",
        "<Value>192.0.2.1 192.0.2.2</Value>",
        "2001:db8::1",
        "192.0.2.1 is A/A-01, ssid network-1, by host-",
        ".example.net:7547",
        "peer: \"198.51.100.1\"",
    ] {
        assert!(told.contains(kept), "{kept} is not in {told}");
    }
}

#[test]
fn what_is_broken_is_no_reason_to_tell() {
    let body = "<SerialNumber>S/N-77<Value 10.0.0.7<x y=S/N-77";
    let told = format!(
        "{:?}",
        anonymous(vec![session("00AABB-Box-S~2FN~2D77", body)])
    );
    assert!(
        !told.contains("S/N-77") && !told.contains("10.0.0.7"),
        "{told}"
    );
}
