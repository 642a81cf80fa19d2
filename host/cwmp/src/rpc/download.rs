//! Download (TR-069 A.3.2.8), and the answer it shares with Upload.

use crate::write::Writer;
use crate::xml::Reader;
use crate::{Applied, DateTime, Error};

/// Download (A.3.2.8).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Download {
    /// Comes back in TransferComplete; at most 32 characters.
    pub command_key: String,
    /// `1 Firmware Upgrade Image`, ….
    pub file_type: String,
    /// Where the file is.
    pub url: String,
    /// Of the file server; may be empty.
    pub username: String,
    /// Of the file server; may be empty.
    pub password: String,
    /// Bytes; 0 = not known.
    pub file_size: u32,
    /// May be empty.
    pub target_file_name: String,
    /// Seconds from now.
    pub delay_seconds: u32,
    /// Where the subscriber is sent on success; may be empty.
    pub success_url: String,
    /// Where the subscriber is sent on failure; may be empty.
    pub failure_url: String,
}

/// The answer to Download and Upload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransferStarted {
    /// `Now`: done. `Later`: TransferComplete follows.
    pub applied: Applied,
    /// Unknown Time while not done.
    pub start_time: DateTime,
    /// Unknown Time while not done.
    pub complete_time: DateTime,
}

impl Download {
    pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<Download, Error> {
        let mut rpc = Download::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "CommandKey" => rpc.command_key = xml.string()?,
                "FileType" => rpc.file_type = xml.string()?,
                "URL" => rpc.url = xml.string()?,
                "Username" => rpc.username = xml.string()?,
                "Password" => rpc.password = xml.string()?,
                "FileSize" => rpc.file_size = xml.unsigned()?,
                "TargetFileName" => rpc.target_file_name = xml.string()?,
                "DelaySeconds" => rpc.delay_seconds = xml.unsigned()?,
                "SuccessURL" => rpc.success_url = xml.string()?,
                "FailureURL" => rpc.failure_url = xml.string()?,
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
        out.unsigned("FileSize", self.file_size);
        out.element("TargetFileName", &self.target_file_name);
        out.unsigned("DelaySeconds", self.delay_seconds);
        out.element("SuccessURL", &self.success_url);
        out.element("FailureURL", &self.failure_url);
    }
}

impl TransferStarted {
    pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<TransferStarted, Error> {
        let mut started = TransferStarted::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "Status" => started.applied = Applied::from_status(&xml.text()?),
                "StartTime" => started.start_time = xml.date_time()?,
                "CompleteTime" => started.complete_time = xml.date_time()?,
                _ => xml.skip()?,
            }
        }
        Ok(started)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.element("Status", self.applied.status());
        out.date_time("StartTime", &self.start_time);
        out.date_time("CompleteTime", &self.complete_time);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:Download><CommandKey>fw-17</CommandKey>\
             <FileType>1 Firmware Upgrade Image </FileType>\
             <URL>http://files.example/fw.bin?a=1&amp;b=2</URL><Username>u</Username>\
             <Password>p</Password><FileSize>1024</FileSize><TargetFileName>fw.bin</TargetFileName>\
             <DelaySeconds>5</DelaySeconds><SuccessURL/><FailureURL/></cwmp:Download>",
            expect![[r#"
                Request(
                    Download(
                        Download {
                            command_key: "fw-17",
                            file_type: "1 Firmware Upgrade Image ",
                            url: "http://files.example/fw.bin?a=1&b=2",
                            username: "u",
                            password: "p",
                            file_size: 1024,
                            target_file_name: "fw.bin",
                            delay_seconds: 5,
                            success_url: "",
                            failure_url: "",
                        },
                    ),
                )
                <cwmp:Download>
                <CommandKey>fw-17</CommandKey>
                <FileType>1 Firmware Upgrade Image </FileType>
                <URL>http://files.example/fw.bin?a=1&amp;b=2</URL>
                <Username>u</Username>
                <Password>p</Password>
                <FileSize>1024</FileSize>
                <TargetFileName>fw.bin</TargetFileName>
                <DelaySeconds>5</DelaySeconds>
                <SuccessURL></SuccessURL>
                <FailureURL></FailureURL>
                </cwmp:Download>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:DownloadResponse><Status>1</Status><StartTime>0001-01-01T00:00:00Z</StartTime>\
             <CompleteTime>0001-01-01T00:00:00Z</CompleteTime></cwmp:DownloadResponse>",
            expect![[r#"
                Response(
                    Download(
                        TransferStarted {
                            applied: Later,
                            start_time: DateTime(
                                "0001-01-01T00:00:00Z",
                            ),
                            complete_time: DateTime(
                                "0001-01-01T00:00:00Z",
                            ),
                        },
                    ),
                )
                <cwmp:DownloadResponse>
                <Status>1</Status>
                <StartTime>0001-01-01T00:00:00Z</StartTime>
                <CompleteTime>0001-01-01T00:00:00Z</CompleteTime>
                </cwmp:DownloadResponse>
            "#]],
        );
    }

    #[test]
    fn response_without_times() {
        check(
            "<cwmp:DownloadResponse><Status>0</Status></cwmp:DownloadResponse>",
            expect![[r#"
                Response(
                    Download(
                        TransferStarted {
                            applied: Now,
                            start_time: DateTime(
                                "",
                            ),
                            complete_time: DateTime(
                                "",
                            ),
                        },
                    ),
                )
                <cwmp:DownloadResponse>
                <Status>0</Status>
                <StartTime>0001-01-01T00:00:00Z</StartTime>
                <CompleteTime>0001-01-01T00:00:00Z</CompleteTime>
                </cwmp:DownloadResponse>
            "#]],
        );
    }
}
