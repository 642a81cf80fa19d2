//! Upload (TR-069 A.4.1.5); its answer is that of Download.

use crate::Error;
use crate::write::Writer;
use crate::xml::Reader;

/// Upload (A.4.1.5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Upload {
    /// Comes back in TransferComplete; at most 32 characters.
    pub command_key: String,
    /// `3 Vendor Configuration File 1`, ….
    pub file_type: String,
    /// Where the file shall go.
    pub url: String,
    /// Of the file server; may be empty.
    pub username: String,
    /// Of the file server; may be empty.
    pub password: String,
    /// Seconds from now.
    pub delay_seconds: u32,
}

impl Upload {
    pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<Upload, Error> {
        let mut rpc = Upload::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "CommandKey" => rpc.command_key = xml.string()?,
                "FileType" => rpc.file_type = xml.string()?,
                "URL" => rpc.url = xml.string()?,
                "Username" => rpc.username = xml.string()?,
                "Password" => rpc.password = xml.string()?,
                "DelaySeconds" => rpc.delay_seconds = xml.unsigned()?,
                _ => xml.skip()?,
            }
        }
        Ok(rpc)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.element("CommandKey", &self.command_key);
        out.element("FileType", &self.file_type);
        out.element("URL", &self.url);
        out.element("Username", &self.username);
        out.element("Password", &self.password);
        out.unsigned("DelaySeconds", self.delay_seconds);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:Upload><CommandKey>cfg-1</CommandKey><FileType>1 Vendor Configuration File</FileType>\
             <URL>http://files.example/up</URL><Username/><Password/><DelaySeconds>0</DelaySeconds>\
             </cwmp:Upload>",
            expect![[r#"
                Request(
                    Upload(
                        Upload {
                            command_key: "cfg-1",
                            file_type: "1 Vendor Configuration File",
                            url: "http://files.example/up",
                            username: "",
                            password: "",
                            delay_seconds: 0,
                        },
                    ),
                )
                <cwmp:Upload>
                <CommandKey>cfg-1</CommandKey>
                <FileType>1 Vendor Configuration File</FileType>
                <URL>http://files.example/up</URL>
                <Username></Username>
                <Password></Password>
                <DelaySeconds>0</DelaySeconds>
                </cwmp:Upload>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:UploadResponse><Status>0</Status><StartTime>2024-03-01T10:00:00Z</StartTime>\
             <CompleteTime>2024-03-01T10:00:01Z</CompleteTime></cwmp:UploadResponse>",
            expect![[r#"
                Response(
                    Upload(
                        TransferStarted {
                            applied: Now,
                            start_time: DateTime(
                                "2024-03-01T10:00:00Z",
                            ),
                            complete_time: DateTime(
                                "2024-03-01T10:00:01Z",
                            ),
                        },
                    ),
                )
                <cwmp:UploadResponse>
                <Status>0</Status>
                <StartTime>2024-03-01T10:00:00Z</StartTime>
                <CompleteTime>2024-03-01T10:00:01Z</CompleteTime>
                </cwmp:UploadResponse>
            "#]],
        );
    }
}
