//! GetParameterNames (TR-069 A.3.2.3).

use crate::Error;
use crate::write::Writer;
use crate::xml::Reader;

/// GetParameterNames (A.3.2.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GetParameterNames {
    /// A full name, a partial path, or empty for the whole tree.
    pub path: String,
    /// Only the level below `path`.
    pub next_level: bool,
}

/// ParameterInfoStruct.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParameterInfo {
    /// Objects end in a dot.
    pub path: String,
    /// A parameter that can be set; an object that can be added to or deleted.
    pub writable: bool,
}

impl GetParameterNames {
    pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<GetParameterNames, Error> {
        let mut rpc = GetParameterNames::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "ParameterPath" => rpc.path = xml.name()?,
                "NextLevel" => rpc.next_level = xml.boolean()?,
                _ => xml.skip()?,
            }
        }
        Ok(rpc)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.element("ParameterPath", &self.path);
        out.boolean("NextLevel", self.next_level);
    }
}

impl ParameterInfo {
    fn parse(xml: &mut Reader<'_>) -> Result<ParameterInfo, Error> {
        let mut info = ParameterInfo::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "Name" => info.path = xml.name()?,
                "Writable" => info.writable = xml.boolean()?,
                _ => xml.skip()?,
            }
        }
        Ok(info)
    }

    fn write(&self, out: &mut Writer) {
        out.open("ParameterInfoStruct");
        out.element("Name", &self.path);
        out.boolean("Writable", self.writable);
        out.close("ParameterInfoStruct");
    }
}

pub(crate) fn parse_response(xml: &mut Reader<'_>) -> Result<Vec<ParameterInfo>, Error> {
    let mut names = Vec::new();
    while let Some(child) = xml.child()? {
        match child.name() {
            "ParameterList" => names = xml.list(ParameterInfo::parse)?,
            _ => xml.skip()?,
        }
    }
    Ok(names)
}

pub(crate) fn write_response(names: &[ParameterInfo], out: &mut Writer) {
    out.list(
        "ParameterList",
        "cwmp:ParameterInfoStruct",
        names,
        |out, info| info.write(out),
    );
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:GetParameterNames><ParameterPath></ParameterPath><NextLevel>true</NextLevel>\
             </cwmp:GetParameterNames>",
            expect![[r#"
                Request(
                    GetParameterNames(
                        GetParameterNames {
                            path: "",
                            next_level: true,
                        },
                    ),
                )
                <cwmp:GetParameterNames>
                <ParameterPath></ParameterPath>
                <NextLevel>1</NextLevel>
                </cwmp:GetParameterNames>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:GetParameterNamesResponse>\
             <ParameterList soap-enc:arrayType='cwmp:ParameterInfoStruct[2]'>\
             <ParameterInfoStruct><Name>Device.</Name><Writable>false</Writable></ParameterInfoStruct>\
             <ParameterInfoStruct><Name>Device.DeviceInfo.ProvisioningCode</Name>\
             <Writable>1</Writable></ParameterInfoStruct></ParameterList>\
             </cwmp:GetParameterNamesResponse>",
            expect![[r#"
                Response(
                    GetParameterNames(
                        [
                            ParameterInfo {
                                path: "Device.",
                                writable: false,
                            },
                            ParameterInfo {
                                path: "Device.DeviceInfo.ProvisioningCode",
                                writable: true,
                            },
                        ],
                    ),
                )
                <cwmp:GetParameterNamesResponse>
                <ParameterList soap-enc:arrayType="cwmp:ParameterInfoStruct[2]">
                <ParameterInfoStruct>
                <Name>Device.</Name>
                <Writable>0</Writable>
                </ParameterInfoStruct>
                <ParameterInfoStruct>
                <Name>Device.DeviceInfo.ProvisioningCode</Name>
                <Writable>1</Writable>
                </ParameterInfoStruct>
                </ParameterList>
                </cwmp:GetParameterNamesResponse>
            "#]],
        );
    }
}
