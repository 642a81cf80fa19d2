//! ScheduleDownload (TR-069 A.4.1.8): a Download within one or two windows of time.

use crate::Error;
use crate::write::Writer;
use crate::xml::Reader;

/// ScheduleDownload (A.4.1.8).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScheduleDownload {
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
    /// One or two, which must not overlap.
    pub windows: Vec<TimeWindow>,
}

/// TimeWindowStruct.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TimeWindow {
    /// Seconds from now.
    pub start_seconds: u32,
    /// Seconds from now.
    pub end_seconds: u32,
    /// `1 At Any Time`, `2 Immediately`, `3 When Idle`, `4 Confirmation Needed` or a vendor's.
    pub mode: String,
    /// Shown to the user who has to confirm.
    pub user_message: String,
    /// Within the window; -1 = as often as the device likes.
    pub max_retries: i32,
}

impl ScheduleDownload {
    pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<ScheduleDownload, Error> {
        let mut rpc = ScheduleDownload::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "CommandKey" => rpc.command_key = xml.string()?,
                "FileType" => rpc.file_type = xml.string()?,
                "URL" => rpc.url = xml.string()?,
                "Username" => rpc.username = xml.string()?,
                "Password" => rpc.password = xml.string()?,
                "FileSize" => rpc.file_size = xml.unsigned()?,
                "TargetFileName" => rpc.target_file_name = xml.string()?,
                "TimeWindowList" => rpc.windows = xml.list(TimeWindow::parse)?,
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
        out.list(
            "TimeWindowList",
            "cwmp:TimeWindowStruct",
            &self.windows,
            |out, window| window.write(out),
        );
    }
}

impl TimeWindow {
    fn parse(xml: &mut Reader<'_>) -> Result<TimeWindow, Error> {
        let mut window = TimeWindow::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "WindowStart" => window.start_seconds = xml.unsigned()?,
                "WindowEnd" => window.end_seconds = xml.unsigned()?,
                "WindowMode" => window.mode = xml.string()?,
                "UserMessage" => window.user_message = xml.string()?,
                "MaxRetries" => window.max_retries = xml.int()?,
                _ => xml.skip()?,
            }
        }
        Ok(window)
    }

    fn write(&self, out: &mut Writer) {
        out.open("TimeWindowStruct");
        out.unsigned("WindowStart", self.start_seconds);
        out.unsigned("WindowEnd", self.end_seconds);
        out.element("WindowMode", &self.mode);
        out.element("UserMessage", &self.user_message);
        out.element("MaxRetries", &self.max_retries.to_string());
        out.close("TimeWindowStruct");
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:ScheduleDownload><CommandKey>t-1</CommandKey>\
             <FileType>1 Firmware Upgrade Image</FileType><URL>http://files.example/fw?a=1&amp;b=2</URL>\
             <Username/><Password/><FileSize>7</FileSize><TargetFileName/>\
             <TimeWindowList soap-enc:arrayType='cwmp:TimeWindowStruct[1]'>\
             <TimeWindowStruct><WindowStart>60</WindowStart><WindowEnd>3600</WindowEnd>\
             <WindowMode>4 Confirmation Needed</WindowMode><UserMessage>May I?</UserMessage>\
             <MaxRetries>-1</MaxRetries></TimeWindowStruct></TimeWindowList></cwmp:ScheduleDownload>",
            expect![[r#"
                Request(
                    ScheduleDownload(
                        ScheduleDownload {
                            command_key: "t-1",
                            file_type: "1 Firmware Upgrade Image",
                            url: "http://files.example/fw?a=1&b=2",
                            username: "",
                            password: "",
                            file_size: 7,
                            target_file_name: "",
                            windows: [
                                TimeWindow {
                                    start_seconds: 60,
                                    end_seconds: 3600,
                                    mode: "4 Confirmation Needed",
                                    user_message: "May I?",
                                    max_retries: -1,
                                },
                            ],
                        },
                    ),
                )
                <cwmp:ScheduleDownload>
                <CommandKey>t-1</CommandKey>
                <FileType>1 Firmware Upgrade Image</FileType>
                <URL>http://files.example/fw?a=1&amp;b=2</URL>
                <Username></Username>
                <Password></Password>
                <FileSize>7</FileSize>
                <TargetFileName></TargetFileName>
                <TimeWindowList soap-enc:arrayType="cwmp:TimeWindowStruct[1]">
                <TimeWindowStruct>
                <WindowStart>60</WindowStart>
                <WindowEnd>3600</WindowEnd>
                <WindowMode>4 Confirmation Needed</WindowMode>
                <UserMessage>May I?</UserMessage>
                <MaxRetries>-1</MaxRetries>
                </TimeWindowStruct>
                </TimeWindowList>
                </cwmp:ScheduleDownload>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:ScheduleDownloadResponse/>",
            expect![[r#"
            Response(
                ScheduleDownload,
            )
            <cwmp:ScheduleDownloadResponse></cwmp:ScheduleDownloadResponse>
        "#]],
        );
    }
}
