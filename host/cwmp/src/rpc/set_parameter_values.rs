//! SetParameterValues (TR-069 A.3.2.1).

use crate::write::Writer;
use crate::xml::Reader;
use crate::{Error, ParameterValue};

/// SetParameterValues (A.3.2.1).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SetParameterValues {
    /// What to write, in this order.
    pub parameters: Vec<ParameterValue>,
    /// At most 32 characters.
    pub parameter_key: String,
}

impl SetParameterValues {
    pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<SetParameterValues, Error> {
        let mut rpc = SetParameterValues::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "ParameterList" => rpc.parameters = xml.list(ParameterValue::parse)?,
                "ParameterKey" => rpc.parameter_key = xml.string()?,
                _ => xml.skip()?,
            }
        }
        Ok(rpc)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        ParameterValue::write_list(&self.parameters, out);
        out.element("ParameterKey", &self.parameter_key);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:SetParameterValues><ParameterList soap-enc:arrayType='cwmp:ParameterValueStruct[2]'>\
             <ParameterValueStruct><Name>Device.ManagementServer.PeriodicInformInterval</Name>\
             <Value xsi:type='xsd:unsignedInt'>300</Value></ParameterValueStruct>\
             <ParameterValueStruct><Name>Device.ManagementServer.PeriodicInformTime</Name>\
             <Value xsi:type='xsd:dateTime'>2024-03-01T10:00:00Z</Value></ParameterValueStruct>\
             </ParameterList><ParameterKey>k</ParameterKey></cwmp:SetParameterValues>",
            expect![[r#"
                Request(
                    SetParameterValues(
                        SetParameterValues {
                            parameters: [
                                ParameterValue {
                                    path: "Device.ManagementServer.PeriodicInformInterval",
                                    value: "300",
                                    xsd_type: XsdType(
                                        "unsignedInt",
                                    ),
                                },
                                ParameterValue {
                                    path: "Device.ManagementServer.PeriodicInformTime",
                                    value: "2024-03-01T10:00:00Z",
                                    xsd_type: XsdType(
                                        "dateTime",
                                    ),
                                },
                            ],
                            parameter_key: "k",
                        },
                    ),
                )
                <cwmp:SetParameterValues>
                <ParameterList soap-enc:arrayType="cwmp:ParameterValueStruct[2]">
                <ParameterValueStruct>
                <Name>Device.ManagementServer.PeriodicInformInterval</Name>
                <Value xsi:type="xsd:unsignedInt">300</Value>
                </ParameterValueStruct>
                <ParameterValueStruct>
                <Name>Device.ManagementServer.PeriodicInformTime</Name>
                <Value xsi:type="xsd:dateTime">2024-03-01T10:00:00Z</Value>
                </ParameterValueStruct>
                </ParameterList>
                <ParameterKey>k</ParameterKey>
                </cwmp:SetParameterValues>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:SetParameterValuesResponse><Status>1</Status></cwmp:SetParameterValuesResponse>",
            expect![[r#"
                Response(
                    SetParameterValues(
                        Later,
                    ),
                )
                <cwmp:SetParameterValuesResponse>
                <Status>1</Status>
                </cwmp:SetParameterValuesResponse>
            "#]],
        );
    }
}
