//! GetParameterValues (TR-069 A.3.2.2).

use crate::write::Writer;
use crate::xml::Reader;
use crate::{Error, ParameterValue};

/// The ParameterNames, which GetParameterAttributes has too.
pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    while let Some(child) = xml.child()? {
        match child.name() {
            "ParameterNames" => names = xml.list(Reader::name)?,
            _ => xml.skip()?,
        }
    }
    Ok(names)
}

pub(crate) fn parse_response(xml: &mut Reader<'_>) -> Result<Vec<ParameterValue>, Error> {
    let mut values = Vec::new();
    while let Some(child) = xml.child()? {
        match child.name() {
            "ParameterList" => values = xml.list(ParameterValue::parse)?,
            _ => xml.skip()?,
        }
    }
    Ok(values)
}

pub(crate) fn write_response(values: &[ParameterValue], out: &mut Writer) {
    ParameterValue::write_list(values, out);
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:GetParameterValues><ParameterNames soap-enc:arrayType='xsd:string[2]'>\
             <string>Device.DeviceInfo.</string><string>Device.ManagementServer.URL</string>\
             </ParameterNames></cwmp:GetParameterValues>",
            expect![[r#"
                Request(
                    GetParameterValues(
                        [
                            "Device.DeviceInfo.",
                            "Device.ManagementServer.URL",
                        ],
                    ),
                )
                <cwmp:GetParameterValues>
                <ParameterNames soap-enc:arrayType="xsd:string[2]">
                <string>Device.DeviceInfo.</string>
                <string>Device.ManagementServer.URL</string>
                </ParameterNames>
                </cwmp:GetParameterValues>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:GetParameterValuesResponse>\
             <ParameterList soap-enc:arrayType='cwmp:ParameterValueStruct[2]'>\
             <ParameterValueStruct><Name>Device.WiFi.SSID.1.SSID</Name>\
             <Value xsi:type='xsd:string'> a &lt;b&gt; &amp; c </Value></ParameterValueStruct>\
             <ParameterValueStruct><Name>Device.WiFi.SSID.1.Enable</Name>\
             <Value xsi:type='xsd:boolean'>1</Value></ParameterValueStruct>\
             </ParameterList></cwmp:GetParameterValuesResponse>",
            expect![[r#"
                Response(
                    GetParameterValues(
                        [
                            ParameterValue {
                                path: "Device.WiFi.SSID.1.SSID",
                                value: " a <b> & c ",
                                xsd_type: XsdType(
                                    "string",
                                ),
                            },
                            ParameterValue {
                                path: "Device.WiFi.SSID.1.Enable",
                                value: "1",
                                xsd_type: XsdType(
                                    "boolean",
                                ),
                            },
                        ],
                    ),
                )
                <cwmp:GetParameterValuesResponse>
                <ParameterList soap-enc:arrayType="cwmp:ParameterValueStruct[2]">
                <ParameterValueStruct>
                <Name>Device.WiFi.SSID.1.SSID</Name>
                <Value xsi:type="xsd:string"> a &lt;b&gt; &amp; c </Value>
                </ParameterValueStruct>
                <ParameterValueStruct>
                <Name>Device.WiFi.SSID.1.Enable</Name>
                <Value xsi:type="xsd:boolean">1</Value>
                </ParameterValueStruct>
                </ParameterList>
                </cwmp:GetParameterValuesResponse>
            "#]],
        );
    }
}
