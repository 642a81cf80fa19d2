//! GetParameterAttributes (TR-069 A.3.2.5).

use crate::Error;
use crate::write::Writer;
use crate::xml::Reader;

/// ParameterAttributeStruct (A.3.2.5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParameterAttributes {
    /// The full parameter name.
    pub path: String,
    /// 0 off, 1 passive, 2 active, 3–6 their lightweight variants (1.4).
    pub notification: u8,
    /// Who else may write, as sent.
    pub access_list: Vec<String>,
}

impl ParameterAttributes {
    fn parse(xml: &mut Reader<'_>) -> Result<ParameterAttributes, Error> {
        let mut attributes = ParameterAttributes::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "Name" => attributes.path = xml.name()?,
                "Notification" => attributes.notification = notification(xml)?,
                "AccessList" => attributes.access_list = xml.list(Reader::name)?,
                _ => xml.skip()?,
            }
        }
        Ok(attributes)
    }

    fn write(&self, out: &mut Writer) {
        out.open("ParameterAttributeStruct");
        out.element("Name", &self.path);
        out.unsigned("Notification", self.notification.into());
        out.strings("AccessList", &self.access_list);
        out.close("ParameterAttributeStruct");
    }
}

/// A notification attribute; 255 stands for all that do not fit.
pub(crate) fn notification(xml: &mut Reader<'_>) -> Result<u8, Error> {
    Ok(xml.unsigned()?.try_into().unwrap_or(u8::MAX))
}

pub(crate) fn parse_response(xml: &mut Reader<'_>) -> Result<Vec<ParameterAttributes>, Error> {
    let mut attributes = Vec::new();
    while let Some(child) = xml.child()? {
        match child.name() {
            "ParameterList" => attributes = xml.list(ParameterAttributes::parse)?,
            _ => xml.skip()?,
        }
    }
    Ok(attributes)
}

pub(crate) fn write_response(attributes: &[ParameterAttributes], out: &mut Writer) {
    out.list(
        "ParameterList",
        "cwmp:ParameterAttributeStruct",
        attributes,
        |out, attributes| attributes.write(out),
    );
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:GetParameterAttributes><ParameterNames soap-enc:arrayType='xsd:string[1]'>\
             <string>Device.</string></ParameterNames></cwmp:GetParameterAttributes>",
            expect![[r#"
                Request(
                    GetParameterAttributes(
                        [
                            "Device.",
                        ],
                    ),
                )
                <cwmp:GetParameterAttributes>
                <ParameterNames soap-enc:arrayType="xsd:string[1]">
                <string>Device.</string>
                </ParameterNames>
                </cwmp:GetParameterAttributes>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:GetParameterAttributesResponse>\
             <ParameterList soap-enc:arrayType='cwmp:ParameterAttributeStruct[02]'>\
             <ParameterAttributeStruct><Name>Device.DeviceInfo.SoftwareVersion</Name>\
             <Notification>2</Notification><AccessList soap-enc:arrayType='cwmp:string[01]'>\
             <string>subscriber</string></AccessList></ParameterAttributeStruct>\
             <ParameterAttributeStruct><Name>Device.X</Name><Notification>9999</Notification>\
             </ParameterAttributeStruct></ParameterList></cwmp:GetParameterAttributesResponse>",
            expect![[r#"
                Response(
                    GetParameterAttributes(
                        [
                            ParameterAttributes {
                                path: "Device.DeviceInfo.SoftwareVersion",
                                notification: 2,
                                access_list: [
                                    "subscriber",
                                ],
                            },
                            ParameterAttributes {
                                path: "Device.X",
                                notification: 255,
                                access_list: [],
                            },
                        ],
                    ),
                )
                <cwmp:GetParameterAttributesResponse>
                <ParameterList soap-enc:arrayType="cwmp:ParameterAttributeStruct[2]">
                <ParameterAttributeStruct>
                <Name>Device.DeviceInfo.SoftwareVersion</Name>
                <Notification>2</Notification>
                <AccessList soap-enc:arrayType="xsd:string[1]">
                <string>subscriber</string>
                </AccessList>
                </ParameterAttributeStruct>
                <ParameterAttributeStruct>
                <Name>Device.X</Name>
                <Notification>255</Notification>
                <AccessList soap-enc:arrayType="xsd:string[0]"></AccessList>
                </ParameterAttributeStruct>
                </ParameterList>
                </cwmp:GetParameterAttributesResponse>
            "#]],
        );
    }
}
