//! E10 to E13: values, their types and names.

use super::*;

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
