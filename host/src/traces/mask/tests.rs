//! What is hidden and what is not; and that nothing that is wrong with a message shows a secret.

use cwmp::{
    Body, Download, Header, Inform, Message, ParameterValue, RawRpc, Request, Response,
    SetParameterValues, Upload, Version, XsdType,
};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

fn masked(body: &str) -> String {
    let mut masks = Masks::default();
    masks.learn(body.as_bytes());
    String::from_utf8(masks.body(body.as_bytes()).unwrap()).unwrap()
}

fn check(body: &str, expected: Expect) {
    expected.assert_eq(&masked(body));
}

#[test]
fn values_of_secret_parameters() {
    check(
        "<P:ParameterValueStruct><Name>Device.WiFi.KeyPassphrase</Name><Value xsi:type=\"xsd:string\">hunter22</Value></P:ParameterValueStruct>\
         <P:ParameterValueStruct><Name>Device.WiFi.SSID</Name><Value>open</Value></P:ParameterValueStruct>",
        expect![[
            r#"<P:ParameterValueStruct><Name>Device.WiFi.KeyPassphrase</Name><Value xsi:type="xsd:string">***</Value></P:ParameterValueStruct><P:ParameterValueStruct><Name>Device.WiFi.SSID</Name><Value>open</Value></P:ParameterValueStruct>"#
        ]],
    );
    check(
        "<x:Name>\n Device.WiFi.Key&#80;assphrase </x:Name>\n<x:Value a='>'><![CDATA[a<b>&c]]></x:Value>",
        expect![[r#"
            <x:Name>
             Device.WiFi.Key&#80;assphrase </x:Name>
            <x:Value a='>***</x:Value>"#]],
    );
    check(
        "<ParameterValueStruct><Value>abc</Value><Name>A.Password</Name></ParameterValueStruct>",
        expect![
            "<ParameterValueStruct><Value>***</Value><Name>A.Password</Name></ParameterValueStruct>"
        ],
    );
    check(
        "<Name>A.Password</Name><Value></Value><Name>B.C</Name><Value>Device.X</Value>",
        expect!["<Name>A.Password</Name><Value></Value><Name>B.C</Name><Value>Device.X</Value>"],
    );
}

#[test]
fn passwords_of_transfers_and_vouchers() {
    check(
        "<cwmp:Download><CommandKey>t-1</CommandKey><URL>ftp://u:p@h/f?sig=1</URL><Username>u</Username><Password>a&lt;b</Password><FileSize>3</FileSize></cwmp:Download>",
        expect![
            "<cwmp:Download><CommandKey>t-1</CommandKey><URL>ftp://***@h/f?sig=***</URL><Username>u</Username><Password>***</Password><FileSize>3</FileSize></cwmp:Download>"
        ],
    );
    check(
        "<VoucherList soap-enc:arrayType=\"xsd:base64[2]\"><base64>QUJD</base64><base64>REVG</base64></VoucherList><x/>",
        expect![[r#"<VoucherList soap-enc:arrayType="xsd:base64[2]">***</VoucherList><x/>"#]],
    );
    check(
        "<Name>A.PIN</Name><Value type=\"<sd:string>s\"t</Value></Body>",
        expect![[r#"<Name>A.PIN</Name><Value ***</Value></Body>"#]],
    );
    check(
        "<Password>a<b></Password><FileSize>1</FileSize><Password>c</Pasword><FileSize>1",
        expect!["<Password>***</Password><FileSize>1</FileSize><Password>***<FileSize>1"],
    );
}

#[test]
fn what_only_names_a_secret_stays() {
    for body in [
        "<ParameterNames><string>Device.A.Password</string><string>Device.B</string></ParameterNames><ParameterKey>k</ParameterKey>",
        "<ParameterInfoStruct><Name>Device.A.Password</Name><Writable>1</Writable></ParameterInfoStruct>",
        "<SetParameterAttributesStruct><Name>Device.A.Password</Name><NotificationChange>1</NotificationChange><Notification>2</Notification><AccessList><string>Subscriber</string></AccessList></SetParameterAttributesStruct>",
        "<SetParameterValuesFault><ParameterName>Device.A.Password</ParameterName><FaultCode>9007</FaultCode><FaultString>too short</FaultString></SetParameterValuesFault>",
        "<ObjectName>Device.A.PreSharedKey.</ObjectName><ParameterKey>5</ParameterKey>",
    ] {
        assert_eq!(masked(body), body);
    }
}

#[test]
fn a_fault_that_quotes_the_secret() {
    let mut masks = Masks::default();
    masks.learn(b"<Name>A.Password</Name><Value>s&amp;cret-1</Value>");
    let shown = |text: &str| String::from_utf8(masks.body(text.as_bytes()).unwrap()).unwrap();
    assert_eq!(
        shown("<FaultString>bad value \"s&amp;cret-1\"</FaultString>"),
        "<FaultString>bad value \"***\"</FaultString>"
    );
    assert_eq!(masks.text("it said s&cret-1"), "it said ***");
}

#[test]
fn bytes_that_are_no_text_are_not_kept() {
    let masks = Masks::default();
    assert_eq!(masks.body(&[0x1F, 0x8B, 8, 0, 1, 2, 3]), None);
    assert_eq!(masks.body(&[1; 40]), None);
    assert_eq!(masks.body(b"").unwrap(), b"");
    // Control characters in a value are one device's habit (no others).
    let odd = b"<Name>A.B</Name><Value>x\x01y</Value>";
    assert_eq!(masks.body(odd).unwrap(), odd);
    let latin = b"<Name>A.Password</Name><Value>\xE9\xE8</Value></Body>\xE9";
    assert_eq!(
        masks.body(latin).unwrap(),
        b"<Name>A.Password</Name><Value>***</Value></Body>\xE9"
    );
}

#[test]
fn utf_16_is_read() {
    let text = "\u{FEFF}<Name>A.Password</Name><Value>secret</Value>";
    for bytes in [
        text.encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<_>>(),
        text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
    ] {
        let masked = Masks::default().body(&bytes).unwrap();
        assert_eq!(
            String::from_utf8(masked).unwrap(),
            "\u{FEFF}<Name>A.Password</Name><Value>***</Value>"
        );
    }
}

const NAMES: [&str; 8] = [
    "Device.ManagementServer.ConnectionRequestPassword",
    "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.KeyPassphrase",
    "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.WEPKey.1.WEPKey",
    "Device.WiFi.AccessPoint.10000.Security.PreSharedKey",
    "Device.WiFi.EndPoint.1.WPS.PIN",
    "InternetGatewayDevice.X_ACME_COM_Snmp.ROCommunity",
    "Device.X_00AABB_Thing.AuthToken",
    "Device.Users.User.1.Password",
];

/// A secret that stands nowhere else by accident, with what XML treats specially in it.
fn secret() -> impl Strategy<Value = String> {
    ("[a-z]{4}", "[<>&\"';= .\\]é-]{0,4}", "[A-Z0-9]{6}")
        .prop_map(|(a, wild, b)| format!("{a}{wild}{b}"))
}

/// A message with this secret at a secret place, among others that are none.
fn message(secret: &str, name: &str, version: Version, shape: usize) -> Message {
    let value = |path: &str, value: &str| {
        ParameterValue::new(path.to_owned(), value.to_owned(), XsdType::new("string"))
    };
    let values = vec![
        value("Device.DeviceInfo.SoftwareVersion", "1.2.3"),
        value(name, secret),
        value("Device.DeviceInfo.UpTime", "17"),
    ];
    let (secret, url) = (secret.to_owned(), "http://192.0.2.1/f".to_owned());
    let body = match shape {
        0 => Body::Request(Request::SetParameterValues(SetParameterValues {
            parameters: values,
            parameter_key: "k".into(),
        })),
        1 => Body::Response(Response::GetParameterValues(values)),
        2 => Body::Request(Request::Inform(Box::new(Inform {
            parameters: values,
            ..Inform::default()
        }))),
        3 => Body::Request(Request::Download(Box::new(Download {
            url,
            password: secret,
            ..Download::default()
        }))),
        4 => Body::Request(Request::Upload(Box::new(Upload {
            url,
            password: secret,
            ..Upload::default()
        }))),
        _ => Body::Request(Request::Other(RawRpc {
            method: "ChangeDUState".into(),
            xml: format!(
                "<Operations><InstallOpStruct><URL>{url}</URL><Username>u</Username><Password>{}</Password><ExecutionEnvRef/></InstallOpStruct></Operations>",
                escaped(&secret)
            ),
        })),
    };
    Message {
        version,
        header: Header::default(),
        body,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn any_message() -> impl Strategy<Value = (String, String)> {
    let versions = select(vec![
        Version::V1_0,
        Version::V1_1,
        Version::V1_2,
        Version::V1_4,
    ]);
    (secret(), select(NAMES.to_vec()), versions, 0..6usize).prop_map(
        |(secret, name, version, shape)| {
            let xml = message(&secret, name, version, shape).to_xml();
            (xml, secret)
        },
    )
}

/// Something that devices do to XML without changing what it says.
fn dialect(xml: String, which: usize) -> String {
    match which {
        0 => xml
            .replace("<Name>", "<q:Name xmlns:q='u'>")
            .replace("</Name>", "</q:Name>"),
        1 => xml
            .replace("<Value ", "\r\n\t<v:Value\n")
            .replace("</Value>", "</v:Value >"),
        2 => xml
            .replace("Pass", "P&#97;ss")
            .replace("<P&#97;ss", "<Pass")
            .replace("</P&#97;ss", "</Pass"),
        3 => xml.replace("2001/XMLSchema", "1999/XMLSchema"),
        4 => xml.replace("</Name>", "<!-- x --></Name>"),
        5 => xml
            .replace("</ParameterValueStruct>", "")
            .replace("<ParameterValueStruct>", ""),
        6 => xml.replace("</Value>", ""),
        7 => xml
            .replace("<Password>", "<Password><![CDATA[")
            .replace("</Password>", "]]></Password>"),
        8 => xml
            .replace("<soap-env:Body>", "<soap-env:Body><!-- ")
            .replace("</soap-env:Body>", "-->"),
        9 => xml.replace("&lt;", "<").replace("&amp;", "&"),
        10 => xml.replace("</Name>", "").replace("</Password>", ""),
        _ => xml,
    }
}

/// The secret as it is, and as XML may write it.
fn shows(out: &[u8], secret: &str) -> bool {
    let text = String::from_utf8_lossy(out);
    [secret, &escaped(secret)].iter().any(|s| text.contains(*s)) || unescaped(out).contains(secret)
}

proptest! {
    #[test]
    fn no_message_shows_its_secret((xml, secret) in any_message(), ways in prop::collection::vec(0..12usize, 0..4)) {
        let xml = ways.iter().fold(xml, |xml, which| dialect(xml, *which));
        let out = Masks::default().body(xml.as_bytes()).unwrap();
        prop_assert!(!shows(&out, &secret), "{xml}\n{}", String::from_utf8_lossy(&out));
    }

    #[test]
    fn no_cut_message_shows_its_secret((xml, secret) in any_message(), at in any::<Index>()) {
        let cut = &xml.as_bytes()[..at.index(xml.len())];
        let out = Masks::default().body(cut).unwrap();
        prop_assert!(!shows(&out, &secret));
    }

    /// As long as the name of the secret and the secret itself are what they were.
    #[test]
    fn no_accident_shows_a_secret(
        (xml, secret) in any_message(),
        accidents in prop::collection::vec((any::<Index>(), select(b"<>/\"'=! x\0&:".to_vec()), 0..3usize), 1..4),
    ) {
        let mut bytes = xml.into_bytes();
        for (at, byte, what) in accidents {
            let at = at.index(bytes.len());
            if protected(&bytes, &secret).iter().any(|range| range.contains(&at)) {
                continue;
            }
            match what {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        if let Some(out) = Masks::default().body(&bytes) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            prop_assert!(!shows(&out, &secret), "{text}\n{}", String::from_utf8_lossy(&out));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,60}") {
        let mut masks = Masks::default();
        masks.learn(&bytes);
        let _ = masks.body(&bytes);
        let _ = masks.text(&text);
        let _ = header("authorization", &text);
        let _ = header("cookie", &text);
        let _ = target(&text);
    }

    #[test]
    fn what_has_no_secret_stays_byte_for_byte(values in prop::collection::vec("[ -~]{0,20}", 0..5)) {
        let parameters = values
            .iter()
            .map(|v| ParameterValue::new("Device.A.Name", v.clone(), XsdType::new("string")))
            .collect();
        let body = Body::Response(Response::GetParameterValues(parameters));
        let xml = Message { version: Version::V1_0, header: Header::default(), body }.to_xml();
        prop_assume!(!xml.contains("://") || !values.iter().any(|v| v.contains("://")));
        prop_assert_eq!(masked(&xml), xml);
    }
}

/// Where an accident would change the secret, or what names it.
fn protected(bytes: &[u8], secret: &str) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let secrets = [secret.to_owned(), escaped(secret)];
    for what in NAMES
        .iter()
        .map(|n| (*n).to_owned())
        .chain(["Password".to_owned()])
        .chain(secrets)
    {
        let mut from = 0;
        while let Some(at) = memchr::memmem::find(&bytes[from..], what.as_bytes()) {
            let at = from + at;
            ranges.push(at.saturating_sub(1)..at + what.len() + 1);
            from = at + 1;
        }
    }
    ranges
}
