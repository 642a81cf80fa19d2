//! AddObject (TR-069 A.3.2.6): a new instance of a table.

use crate::write::Writer;
use crate::xml::Reader;
use crate::{Applied, Error};

/// AddObject (A.3.2.6).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddObject {
    /// Ends in a dot.
    pub object_name: String,
    /// At most 32 characters.
    pub parameter_key: String,
}

impl AddObject {
    pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<AddObject, Error> {
        let mut rpc = AddObject::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "ObjectName" => rpc.object_name = xml.name()?,
                "ParameterKey" => rpc.parameter_key = xml.string()?,
                _ => xml.skip()?,
            }
        }
        Ok(rpc)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.element("ObjectName", &self.object_name);
        out.element("ParameterKey", &self.parameter_key);
    }

    /// The instance number (0 where the device sent none) and the status.
    pub(crate) fn parse_response(xml: &mut Reader<'_>) -> Result<(u32, Applied), Error> {
        let mut instance = 0;
        let mut applied = Applied::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "InstanceNumber" => instance = xml.unsigned()?,
                "Status" => applied = Applied::from_status(&xml.text()?),
                _ => xml.skip()?,
            }
        }
        Ok((instance, applied))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:AddObject><ObjectName> Device.NAT.PortMapping. </ObjectName>\
             <ParameterKey>k</ParameterKey></cwmp:AddObject>",
            expect![[r#"
                Request(
                    AddObject(
                        AddObject {
                            object_name: "Device.NAT.PortMapping.",
                            parameter_key: "k",
                        },
                    ),
                )
                <cwmp:AddObject>
                <ObjectName>Device.NAT.PortMapping.</ObjectName>
                <ParameterKey>k</ParameterKey>
                </cwmp:AddObject>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:AddObjectResponse><InstanceNumber>3</InstanceNumber><Status>1</Status>\
             </cwmp:AddObjectResponse>",
            expect![[r#"
                Response(
                    AddObject(
                        3,
                        Later,
                    ),
                )
                <cwmp:AddObjectResponse>
                <InstanceNumber>3</InstanceNumber>
                <Status>1</Status>
                </cwmp:AddObjectResponse>
            "#]],
        );
    }

    #[test]
    fn response_without_instance_number() {
        check(
            "<cwmp:AddObjectResponse/>",
            expect![[r#"
            Response(
                AddObject(
                    0,
                    Now,
                ),
            )
            <cwmp:AddObjectResponse>
            <InstanceNumber>0</InstanceNumber>
            <Status>0</Status>
            </cwmp:AddObjectResponse>
        "#]],
        );
    }
}
