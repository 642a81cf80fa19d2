//! E1 to E9: the envelope and its elements; headers and versions.

use super::*;

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
    assert!(inform.has_event(EventKind::Periodic));
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
