//! SetParameterAttributes (TR-069 A.3.2.4).

use super::get_parameter_attributes::notification;
use crate::Error;
use crate::write::Writer;
use crate::xml::Reader;

/// SetParameterAttributesStruct (A.3.2.4). `None` = leave as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SetParameterAttributes {
    /// A full name or a partial path.
    pub path: String,
    /// 0 off, 1 passive, 2 active, 3–6 their lightweight variants (1.4).
    pub notification: Option<u8>,
    /// Who else may write: `Subscriber` or nobody.
    pub access_list: Option<Vec<String>>,
}

impl SetParameterAttributes {
    fn parse(xml: &mut Reader<'_>) -> Result<SetParameterAttributes, Error> {
        let mut attributes = SetParameterAttributes::default();
        let mut notification_change = false;
        let mut access_list_change = false;
        while let Some(child) = xml.child()? {
            match child.name() {
                "Name" => attributes.path = xml.name()?,
                "NotificationChange" => notification_change = xml.boolean()?,
                "Notification" => attributes.notification = Some(notification(xml)?),
                "AccessListChange" => access_list_change = xml.boolean()?,
                "AccessList" => attributes.access_list = Some(xml.list(Reader::name)?),
                _ => xml.skip()?,
            }
        }
        attributes.notification = attributes.notification.filter(|_| notification_change);
        attributes.access_list = attributes.access_list.filter(|_| access_list_change);
        Ok(attributes)
    }

    fn write(&self, out: &mut Writer) {
        out.open("SetParameterAttributesStruct");
        out.element("Name", &self.path);
        out.boolean("NotificationChange", self.notification.is_some());
        out.unsigned("Notification", self.notification.unwrap_or_default().into());
        out.boolean("AccessListChange", self.access_list.is_some());
        out.strings(
            "AccessList",
            self.access_list.as_deref().unwrap_or_default(),
        );
        out.close("SetParameterAttributesStruct");
    }
}

pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<Vec<SetParameterAttributes>, Error> {
    let mut attributes = Vec::new();
    while let Some(child) = xml.child()? {
        match child.name() {
            "ParameterList" => attributes = xml.list(SetParameterAttributes::parse)?,
            _ => xml.skip()?,
        }
    }
    Ok(attributes)
}

pub(crate) fn write(attributes: &[SetParameterAttributes], out: &mut Writer) {
    out.list(
        "ParameterList",
        "cwmp:SetParameterAttributesStruct",
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
            "<cwmp:SetParameterAttributes>\
             <ParameterList soap-enc:arrayType='cwmp:SetParameterAttributesStruct[2]'>\
             <SetParameterAttributesStruct><Name>Device.A</Name>\
             <NotificationChange>1</NotificationChange><Notification>2</Notification>\
             <AccessListChange>0</AccessListChange><AccessList soap-enc:arrayType='xsd:string[0]'/>\
             </SetParameterAttributesStruct>\
             <SetParameterAttributesStruct><Name>Device.B.</Name>\
             <NotificationChange>false</NotificationChange><Notification>0</Notification>\
             <AccessListChange>true</AccessListChange>\
             <AccessList soap-enc:arrayType='xsd:string[1]'><string>Subscriber</string></AccessList>\
             </SetParameterAttributesStruct></ParameterList></cwmp:SetParameterAttributes>",
            expect![[r#"
                Request(
                    SetParameterAttributes(
                        [
                            SetParameterAttributes {
                                path: "Device.A",
                                notification: Some(
                                    2,
                                ),
                                access_list: None,
                            },
                            SetParameterAttributes {
                                path: "Device.B.",
                                notification: None,
                                access_list: Some(
                                    [
                                        "Subscriber",
                                    ],
                                ),
                            },
                        ],
                    ),
                )
                <cwmp:SetParameterAttributes>
                <ParameterList soap-enc:arrayType="cwmp:SetParameterAttributesStruct[2]">
                <SetParameterAttributesStruct>
                <Name>Device.A</Name>
                <NotificationChange>1</NotificationChange>
                <Notification>2</Notification>
                <AccessListChange>0</AccessListChange>
                <AccessList soap-enc:arrayType="xsd:string[0]"></AccessList>
                </SetParameterAttributesStruct>
                <SetParameterAttributesStruct>
                <Name>Device.B.</Name>
                <NotificationChange>0</NotificationChange>
                <Notification>0</Notification>
                <AccessListChange>1</AccessListChange>
                <AccessList soap-enc:arrayType="xsd:string[1]">
                <string>Subscriber</string>
                </AccessList>
                </SetParameterAttributesStruct>
                </ParameterList>
                </cwmp:SetParameterAttributes>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:SetParameterAttributesResponse/>",
            expect![[r#"
                Response(
                    SetParameterAttributes,
                )
                <cwmp:SetParameterAttributesResponse></cwmp:SetParameterAttributesResponse>
            "#]],
        );
    }
}
