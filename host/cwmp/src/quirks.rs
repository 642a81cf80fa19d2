//! Every vendor's surprise is a small test. Identities are made up; the numbers (E1, R12, …)
//! are those of the catalogue of quirks that the project keeps.

use expect_test::{Expect, expect};

use crate::testing::{check, envelope};
use crate::*;

fn inform(xml: &str) -> Inform {
    let message = Message::parse(xml.as_bytes()).unwrap();
    match message.body {
        Body::Request(Request::Inform(inform)) => *inform,
        other => panic!("{other:?}"),
    }
}

fn read(bytes: &[u8], expected: Expect) {
    let line = match Message::parse(bytes) {
        Ok(message) => {
            let id = message.header.id.as_deref().unwrap_or("-");
            format!("{} {} #{id}", message.version, message.body.name())
        }
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&line);
}

#[test]
fn e1_any_prefix_even_the_encoding_as_soap() {
    read(
        b"<soapenv:Envelope xmlns:soap='http://schemas.xmlsoap.org/soap/encoding/' \
          xmlns:m='urn:dslforum-org:cwmp-1-1' \
          xmlns:soapenv='http://schemas.xmlsoap.org/soap/envelope/'><soapenv:Header>\
          <m:ID soap:mustUnderstand='1'>a</m:ID></soapenv:Header><soapenv:Body>\
          <m:Inform/></soapenv:Body></soapenv:Envelope>",
        expect!["1.1 Inform #a"],
    );
    read(
        b"<soap_env:Envelope xmlns:soap_env='e' xmlns:cwmp_='urn:dslforum-org:cwmp-1-2'>\
          <soap_env:Body><cwmp_:Inform/></soap_env:Body></soap_env:Envelope>",
        expect!["1.2 Inform #-"],
    );
    read(
        b"<Envelope xmlns='e'><Body><Inform xmlns='urn:dslforum-org:cwmp-1-0'/></Body></Envelope>",
        expect!["1.0 Inform #-"],
    );
}

#[test]
fn e2_old_schema_and_a_type_on_every_leaf() {
    let inform = inform(
        "<S:Envelope xmlns:S='e' xmlns:xsi='http://www.w3.org/1999/XMLSchema-instance' \
         xmlns:xsd='http://www.w3.org/1999/XMLSchema' xmlns:cwmp='urn:dslforum-org:cwmp-1-2'>\
         <S:Body><cwmp:Inform><DeviceId xsi:type='cwmp:DeviceIdStruct'>\
         <OUI xsi:type='xsd:string'>00005E</OUI></DeviceId>\
         <RetryCount xsi:type='xsd:unsignedInt'>2</RetryCount></cwmp:Inform></S:Body></S:Envelope>",
    );
    assert_eq!(inform.device_id.oui, "00005E");
    assert_eq!(inform.retry_count, 2);
}

#[test]
fn e3_no_header_no_id_an_empty_id_or_text() {
    let with_header = |header: &str| {
        format!("<e:Envelope>{header}<e:Body><c:Inform/></e:Body></e:Envelope>").into_bytes()
    };
    read(&with_header(""), expect!["1.0 Inform #-"]);
    read(&with_header("<e:Header/>"), expect!["1.0 Inform #-"]);
    read(
        &with_header("<e:Header><c:ID/></e:Header>"),
        expect!["1.0 Inform #"],
    );
    read(
        &with_header("<e:Header><c:ID>inform</c:ID></e:Header>"),
        expect!["1.0 Inform #inform"],
    );
}

#[test]
fn e4_no_more_requests_is_ignored() {
    read(
        b"<e:Envelope><e:Header><c:NoMoreRequests e:mustUnderstand='1'>1</c:NoMoreRequests>\
          <c:ID>1</c:ID></e:Header><e:Body><c:Inform/></e:Body></e:Envelope>",
        expect!["1.0 Inform #1"],
    );
}

#[test]
fn e5_e6_numbers_with_zeros_and_wrong_counts() {
    let inform = inform(&envelope(
        "<cwmp:Inform><MaxEnvelopes>2</MaxEnvelopes><RetryCount>05</RetryCount>\
         <Event soap-enc:arrayType='cwmp:EventStruct[09]'><EventStruct><EventCode>2 PERIODIC</EventCode>\
         </EventStruct></Event>\
         <ParameterList soap-enc:arrayType='cwmp:ParameterValueStruct[0]'>\
         <ParameterValueStruct><Name>A</Name><Value>1</Value></ParameterValueStruct>\
         <ParameterValueStruct><Name>B</Name><Value>2</Value></ParameterValueStruct>\
         </ParameterList></cwmp:Inform>",
    ));
    assert_eq!(inform.retry_count, 5);
    assert!(inform.has_event("2 PERIODIC"));
    assert_eq!(inform.parameter("B"), Some("2"));
}

#[test]
fn e7_unknown_or_no_namespace_is_1_0() {
    for namespace in [
        "",
        " xmlns:cwmp='urn:example'",
        " xmlns:cwmp='urn:dslforum-org:cwmp-1-9'",
    ] {
        let xml = format!("<Envelope{namespace}><Body><cwmp:Inform/></Body></Envelope>");
        let message = Message::parse(xml.as_bytes()).unwrap();
        assert_eq!(message.version, Version::V1_0, "{namespace}");
    }
}

#[test]
fn e8_children_wrongly_qualified() {
    let inform = inform(&envelope(
        "<cwmp:Inform><cwmp:DeviceId><cwmp:SerialNumber>1</cwmp:SerialNumber></cwmp:DeviceId>\
         <cwmp:ParameterList><cwmp:ParameterValueStruct><cwmp:Name>A</cwmp:Name>\
         <cwmp:Value xsi:type='xsd:int'>3</cwmp:Value></cwmp:ParameterValueStruct>\
         </cwmp:ParameterList></cwmp:Inform>",
    ));
    assert_eq!(inform.device_id.serial_number, "1");
    assert_eq!(
        inform.parameters,
        [ParameterValue::new("A", "3", XsdType::INT)]
    );
}

#[test]
fn e9_extra_elements_missing_codes_no_events_other_order() {
    let inform = inform(&envelope(
        "<cwmp:Inform><RetryCount>1</RetryCount><Event><EventStruct><CommandKey>k</CommandKey>\
         </EventStruct></Event><X_Extra><A>1</A></X_Extra><DeviceId><WanIPAddress>192.0.2.1 &amp; on\
         </WanIPAddress><OUI>00005E</OUI></DeviceId></cwmp:Inform>",
    ));
    assert_eq!(inform.device_id.oui, "00005E");
    assert_eq!(inform.retry_count, 1);
    assert_eq!(
        inform.events,
        [Event {
            code: String::new(),
            command_key: "k".to_owned()
        }]
    );
    expect![[r#"[("X_Extra", "<A>1</A>"), ("DeviceId.WanIPAddress", "192.0.2.1 & on")]"#]]
        .assert_eq(&format!("{:?}", inform.unknown));
    let none = self::inform(&envelope("<cwmp:Inform><Event/></cwmp:Inform>"));
    assert!(none.events.is_empty());
}

#[test]
fn e9_two_event_codes_in_one_struct() {
    let inform = inform(&envelope(
        "<cwmp:Inform><Event><EventStruct><EventCode>1 BOOT</EventCode>\
         <EventCode>4 VALUE CHANGE</EventCode><CommandKey></CommandKey></EventStruct></Event>\
         </cwmp:Inform>",
    ));
    let codes: Vec<&str> = inform
        .events
        .iter()
        .map(|event| event.code.as_str())
        .collect();
    assert_eq!(codes, ["1 BOOT", "4 VALUE CHANGE"]);
}

#[test]
fn e9_unknown_elements_are_kept_up_to_a_limit() {
    let many = "<X>1</X>".repeat(1000);
    let inform = inform(&envelope(&format!("<cwmp:Inform>{many}</cwmp:Inform>")));
    assert_eq!(inform.unknown.len(), 64);
}

#[test]
fn e10_times_are_kept_as_sent() {
    for time in [
        "2019-03-05T11:54::14",
        "0000-00-00T00:00:00",
        "2024-03-01T10:00:00",
    ] {
        let xml = format!("<cwmp:Inform><CurrentTime> {time}\n</CurrentTime></cwmp:Inform>");
        assert_eq!(inform(&envelope(&xml)).current_time.0, time);
    }
}

#[test]
fn e11_booleans_in_words() {
    check(
        "<cwmp:GetParameterNamesResponse><ParameterList>\
         <ParameterInfoStruct><Name>A</Name><Writable>TRUE</Writable></ParameterInfoStruct>\
         <ParameterInfoStruct><Name>B</Name><Writable>yes</Writable></ParameterInfoStruct>\
         <ParameterInfoStruct><Name>C</Name><Writable></Writable></ParameterInfoStruct>\
         <ParameterInfoStruct><Name>D</Name></ParameterInfoStruct>\
         </ParameterList></cwmp:GetParameterNamesResponse>",
        expect![[r#"
            Response(
                GetParameterNames(
                    [
                        ParameterInfo {
                            path: "A",
                            writable: true,
                        },
                        ParameterInfo {
                            path: "B",
                            writable: true,
                        },
                        ParameterInfo {
                            path: "C",
                            writable: false,
                        },
                        ParameterInfo {
                            path: "D",
                            writable: false,
                        },
                    ],
                ),
            )
            <cwmp:GetParameterNamesResponse>
            <ParameterList soap-enc:arrayType="cwmp:ParameterInfoStruct[4]">
            <ParameterInfoStruct>
            <Name>A</Name>
            <Writable>1</Writable>
            </ParameterInfoStruct>
            <ParameterInfoStruct>
            <Name>B</Name>
            <Writable>1</Writable>
            </ParameterInfoStruct>
            <ParameterInfoStruct>
            <Name>C</Name>
            <Writable>0</Writable>
            </ParameterInfoStruct>
            <ParameterInfoStruct>
            <Name>D</Name>
            <Writable>0</Writable>
            </ParameterInfoStruct>
            </ParameterList>
            </cwmp:GetParameterNamesResponse>
        "#]],
    );
}

#[test]
fn e12_types_missing_or_unknown_no_value_names_with_space_around() {
    check(
        "<cwmp:GetParameterValuesResponse><ParameterList>\
         <ParameterValueStruct><Name>\n A </Name><Value> x </Value></ParameterValueStruct>\
         <ParameterValueStruct><Name>B</Name><Value xsi:type='xsd:json'>{}</Value></ParameterValueStruct>\
         <ParameterValueStruct><Name>C</Name></ParameterValueStruct>\
         <ParameterValueStruct><Value type='string'/></ParameterValueStruct>\
         </ParameterList></cwmp:GetParameterValuesResponse>",
        expect![[r#"
            Response(
                GetParameterValues(
                    [
                        ParameterValue {
                            path: "A",
                            value: " x ",
                            xsd_type: XsdType(
                                "string",
                            ),
                        },
                        ParameterValue {
                            path: "B",
                            value: "{}",
                            xsd_type: XsdType(
                                "json",
                            ),
                        },
                        ParameterValue {
                            path: "C",
                            value: "",
                            xsd_type: XsdType(
                                "string",
                            ),
                        },
                        ParameterValue {
                            path: "",
                            value: "",
                            xsd_type: XsdType(
                                "string",
                            ),
                        },
                    ],
                ),
            )
            <cwmp:GetParameterValuesResponse>
            <ParameterList soap-enc:arrayType="cwmp:ParameterValueStruct[4]">
            <ParameterValueStruct>
            <Name>A</Name>
            <Value xsi:type="xsd:string"> x </Value>
            </ParameterValueStruct>
            <ParameterValueStruct>
            <Name>B</Name>
            <Value xsi:type="xsd:json">{}</Value>
            </ParameterValueStruct>
            <ParameterValueStruct>
            <Name>C</Name>
            <Value xsi:type="xsd:string"></Value>
            </ParameterValueStruct>
            <ParameterValueStruct>
            <Name></Name>
            <Value xsi:type="xsd:string"></Value>
            </ParameterValueStruct>
            </ParameterList>
            </cwmp:GetParameterValuesResponse>
        "#]],
    );
}

#[test]
fn e13_null_in_brackets_stays_text() {
    let inform = inform(&envelope(
        "<cwmp:Inform><ParameterList><ParameterValueStruct>\
         <Name>InternetGatewayDevice.ManagementServer.ParameterKey</Name>\
         <Value xsi:type='xsd:string'>(null)</Value></ParameterValueStruct></ParameterList>\
         </cwmp:Inform>",
    ));
    assert_eq!(
        inform.parameter("InternetGatewayDevice.ManagementServer.ParameterKey"),
        Some("(null)")
    );
}

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
fn trailing_bytes_after_the_envelope_do_not_matter() {
    read(
        b"\xEF\xBB\xBF\r\n<Envelope><Body><Inform/></Body></Envelope>\0\0<junk",
        expect!["1.0 Inform #-"],
    );
}

#[test]
fn a_header_behind_the_body_counts() {
    read(
        b"<Envelope xmlns:c='urn:dslforum-org:cwmp-1-2'><Body><c:Inform/></Body>\
          <Header><c:ID>9</c:ID><c:SessionTimeout>40</c:SessionTimeout></Header></Envelope>",
        expect!["1.3 Inform #9"],
    );
}

#[test]
fn versions_1_3_and_1_4_show_in_their_headers() {
    let with_header = |header: &str| {
        format!(
            "<Envelope xmlns:c='urn:dslforum-org:cwmp-1-2'><Header>{header}</Header>\
             <Body><c:Inform/></Body></Envelope>"
        )
        .into_bytes()
    };
    read(&with_header(""), expect!["1.2 Inform #-"]);
    read(
        &with_header("<c:SessionTimeout>60</c:SessionTimeout>"),
        expect!["1.3 Inform #-"],
    );
    read(
        &with_header("<c:SupportedCWMPVersions>1.0,1.4</c:SupportedCWMPVersions>"),
        expect!["1.4 Inform #-"],
    );
}
