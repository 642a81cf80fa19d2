//! DeleteObject (TR-069 A.3.2.7): an instance of a table goes.

use crate::Error;
use crate::write::Writer;
use crate::xml::Reader;

/// DeleteObject (A.3.2.7).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeleteObject {
    /// Ends in a dot, with its instance number.
    pub object_name: String,
    /// At most 32 characters.
    pub parameter_key: String,
}

impl DeleteObject {
    pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<DeleteObject, Error> {
        let mut rpc = DeleteObject::default();
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
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:DeleteObject><ObjectName>Device.NAT.PortMapping.3.</ObjectName>\
             <ParameterKey></ParameterKey></cwmp:DeleteObject>",
            expect![[r#"
                Request(
                    DeleteObject(
                        DeleteObject {
                            object_name: "Device.NAT.PortMapping.3.",
                            parameter_key: "",
                        },
                    ),
                )
                <cwmp:DeleteObject>
                <ObjectName>Device.NAT.PortMapping.3.</ObjectName>
                <ParameterKey></ParameterKey>
                </cwmp:DeleteObject>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:DeleteObjectResponse><Status> 0 </Status></cwmp:DeleteObjectResponse>",
            expect![[r#"
                Response(
                    DeleteObject(
                        Now,
                    ),
                )
                <cwmp:DeleteObjectResponse>
                <Status>0</Status>
                </cwmp:DeleteObjectResponse>
            "#]],
        );
    }
}
