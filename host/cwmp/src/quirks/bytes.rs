//! B: the bytes.

use super::*;

#[test]
fn b1_control_characters_in_a_value() {
    let xml = envelope(
        "<cwmp:GetParameterValuesResponse><ParameterList><ParameterValueStruct><Name>Log</Name>\
         <Value>a\u{1}b&#2;c</Value></ParameterValueStruct></ParameterList>\
         </cwmp:GetParameterValuesResponse>",
    );
    let message = Message::parse(xml.as_bytes()).unwrap();
    let Body::Response(Response::GetParameterValues(values)) = message.body else {
        panic!("{message:?}")
    };
    assert_eq!(values[0].value, "a\u{1}b\u{2}c");
}

#[test]
fn b2_an_unescaped_ampersand() {
    let inform = inform(&envelope(
        "<cwmp:Inform><DeviceId><Manufacturer>A & B</Manufacturer></DeviceId></cwmp:Inform>",
    ));
    assert_eq!(inform.device_id.manufacturer, "A & B");
}

#[test]
fn b3_latin_1_that_says_so_nowhere() {
    let mut bytes =
        envelope("<cwmp:Inform><DeviceId><Manufacturer>M?</Manufacturer></DeviceId></cwmp:Inform>")
            .into_bytes();
    let at = bytes.windows(2).position(|pair| pair == b"M?").unwrap();
    bytes[at + 1] = 0xFC;
    let message = Message::parse(&bytes).unwrap();
    let Body::Request(Request::Inform(inform)) = message.body else {
        panic!("{message:?}")
    };
    assert_eq!(inform.device_id.manufacturer, "Mü");
}

#[test]
fn b13_what_is_no_envelope() {
    read(
        b"",
        expect!["no CWMP message: expected a SOAP Envelope, got no XML element at byte 0"],
    );
    read(
        b" \r\n",
        expect!["no CWMP message: expected a SOAP Envelope, got no XML element at byte 3"],
    );
    read(
        b"hello",
        expect!["no CWMP message: expected a SOAP Envelope, got no XML element at byte 5"],
    );
    read(
        b"<html><body>502 Bad Gateway</body></html>",
        expect!["no CWMP message: expected a SOAP Envelope, got html at byte 6"],
    );
    read(
        b"<Envelope/>",
        expect!["no CWMP message: expected a SOAP Body, got none at byte 11"],
    );
    read(
        b"<Envelope><Body/></Envelope>",
        expect!["no CWMP message: expected an RPC in the Body, got none at byte 17"],
    );
    read(
        b"<Envelope><Body> no RPC </Body></Envelope>",
        expect!["no CWMP message: expected an RPC in the Body, got none at byte 31"],
    );
    read(
        b"{\"a\":1}",
        expect!["no CWMP message: expected a SOAP Envelope, got no XML element at byte 7"],
    );
    read(
        b"\x1f\x8b\x08\x00\x00",
        expect!["no CWMP message: expected a SOAP Envelope, got no XML element at byte 7"],
    );
    read(
        b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><Envelope/>",
        expect!["a DOCTYPE at byte 54, which SOAP forbids"],
    );
}

#[test]
fn an_rpc_has_a_name() {
    read(
        b"<Envelope><Body><c:Get\0~ xmlns:c='urn:dslforum-org:cwmp-1-2'/></Body></Envelope>",
        expect![[r#"no CWMP message: expected an RPC in the Body, got Get\0~ at byte 62"#]],
    );
}

#[test]
fn trailing_bytes_after_the_envelope_do_not_matter() {
    read(
        b"\xEF\xBB\xBF\r\n<Envelope><Body><Inform/></Body></Envelope>\0\0<junk",
        expect!["1.0 Inform #-"],
    );
}
