//! GetRPCMethods (TR-069 A.3.1.1), which both sides may ask.

use crate::Error;
use crate::xml::Reader;

pub(crate) fn parse_response(xml: &mut Reader<'_>) -> Result<Vec<String>, Error> {
    let mut methods = Vec::new();
    while let Some(child) = xml.child()? {
        match child.name() {
            "MethodList" => methods = xml.list(Reader::name)?,
            _ => xml.skip()?,
        }
    }
    Ok(methods)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:GetRPCMethods/>",
            expect![[r#"
                Request(
                    GetRpcMethods,
                )
                <cwmp:GetRPCMethods></cwmp:GetRPCMethods>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:GetRPCMethodsResponse><MethodList soap-enc:arrayType='xsd:string[02]'>\
             <string>GetRPCMethods</string> <xsd:string>\nReboot\n</xsd:string></MethodList>\
             </cwmp:GetRPCMethodsResponse>",
            expect![[r#"
                Response(
                    GetRpcMethods(
                        [
                            "GetRPCMethods",
                            "Reboot",
                        ],
                    ),
                )
                <cwmp:GetRPCMethodsResponse>
                <MethodList soap-enc:arrayType="xsd:string[2]">
                <string>GetRPCMethods</string>
                <string>Reboot</string>
                </MethodList>
                </cwmp:GetRPCMethodsResponse>
            "#]],
        );
    }
}
