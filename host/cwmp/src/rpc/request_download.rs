//! RequestDownload (TR-069 A.4.2.2): a device asks to be given a file, which the ACS may do by a
//! Download.

use crate::Error;
use crate::write::Writer;
use crate::xml::Reader;

/// RequestDownload (A.4.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestDownload {
    /// `1 Firmware Upgrade Image`, ….
    pub file_type: String,
    /// Names and values that say more of it; the standard knows `Version`.
    pub arguments: Vec<(String, String)>,
}

impl RequestDownload {
    pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<RequestDownload, Error> {
        let mut rpc = RequestDownload::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "FileType" => rpc.file_type = xml.string()?,
                "FileTypeArg" => rpc.arguments = xml.list(parse_argument)?,
                _ => xml.skip()?,
            }
        }
        Ok(rpc)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.element("FileType", &self.file_type);
        out.list(
            "FileTypeArg",
            "cwmp:ArgStruct",
            &self.arguments,
            |out, (name, value)| {
                out.open("ArgStruct");
                out.element("Name", name);
                out.element("Value", value);
                out.close("ArgStruct");
            },
        );
    }
}

fn parse_argument(xml: &mut Reader<'_>) -> Result<(String, String), Error> {
    let (mut name, mut value) = Default::default();
    while let Some(child) = xml.child()? {
        match child.name() {
            "Name" => name = xml.name()?,
            "Value" => value = xml.string()?,
            _ => xml.skip()?,
        }
    }
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:RequestDownload><FileType>2 Web Content</FileType>\
             <FileTypeArg soap-enc:arrayType='cwmp:ArgStruct[1]'>\
             <ArgStruct><Name>Version</Name><Value>v2.0</Value></ArgStruct></FileTypeArg>\
             </cwmp:RequestDownload>",
            expect![[r#"
                Request(
                    RequestDownload(
                        RequestDownload {
                            file_type: "2 Web Content",
                            arguments: [
                                (
                                    "Version",
                                    "v2.0",
                                ),
                            ],
                        },
                    ),
                )
                <cwmp:RequestDownload>
                <FileType>2 Web Content</FileType>
                <FileTypeArg soap-enc:arrayType="cwmp:ArgStruct[1]">
                <ArgStruct>
                <Name>Version</Name>
                <Value>v2.0</Value>
                </ArgStruct>
                </FileTypeArg>
                </cwmp:RequestDownload>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:RequestDownloadResponse/>",
            expect![[r#"
            Response(
                RequestDownload,
            )
            <cwmp:RequestDownloadResponse></cwmp:RequestDownloadResponse>
        "#]],
        );
    }
}
