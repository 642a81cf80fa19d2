//! AutonomousTransferComplete (TR-069 A.3.3.3): a transfer that the ACS did not ask for is over.

use crate::write::Writer;
use crate::xml::Reader;
use crate::{DateTime, Error, TransferFault};

/// AutonomousTransferComplete (A.3.3.3).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AutonomousTransferComplete {
    /// The URL on which the device listened to the announcement.
    pub announce_url: String,
    /// Where the file came from or went to.
    pub transfer_url: String,
    /// Download rather than upload.
    pub is_download: bool,
    /// `1 Firmware Upgrade Image`, ….
    pub file_type: String,
    /// Bytes.
    pub file_size: u32,
    /// May be empty.
    pub target_file_name: String,
    /// Code 0 = success.
    pub fault: TransferFault,
    /// When the transfer began.
    pub start_time: DateTime,
    /// When the file was in use.
    pub complete_time: DateTime,
}

impl AutonomousTransferComplete {
    pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<AutonomousTransferComplete, Error> {
        let mut rpc = AutonomousTransferComplete::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "AnnounceURL" => rpc.announce_url = xml.string()?,
                "TransferURL" => rpc.transfer_url = xml.string()?,
                "IsDownload" => rpc.is_download = xml.boolean()?,
                "FileType" => rpc.file_type = xml.string()?,
                "FileSize" => rpc.file_size = xml.unsigned()?,
                "TargetFileName" => rpc.target_file_name = xml.string()?,
                "FaultStruct" => rpc.fault = TransferFault::parse(xml)?,
                "StartTime" => rpc.start_time = xml.date_time()?,
                "CompleteTime" => rpc.complete_time = xml.date_time()?,
                _ => xml.skip()?,
            }
        }
        Ok(rpc)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.element("AnnounceURL", &self.announce_url);
        out.element("TransferURL", &self.transfer_url);
        out.boolean("IsDownload", self.is_download);
        out.element("FileType", &self.file_type);
        out.unsigned("FileSize", self.file_size);
        out.element("TargetFileName", &self.target_file_name);
        self.fault.write("FaultStruct", out);
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
            "<cwmp:AutonomousTransferComplete><AnnounceURL></AnnounceURL>\
             <TransferURL>http://files.example/fw.bin</TransferURL><IsDownload>TRUE</IsDownload>\
             <FileType>1 Firmware Upgrade Image</FileType><FileSize>1024</FileSize>\
             <TargetFileName>fw.bin</TargetFileName><FaultStruct><FaultCode>0</FaultCode>\
             <FaultString/></FaultStruct><StartTime>2024-03-01T10:00:00Z</StartTime>\
             <CompleteTime>2024-03-01T10:01:00Z</CompleteTime></cwmp:AutonomousTransferComplete>",
            expect![[r#"
                Request(
                    AutonomousTransferComplete(
                        AutonomousTransferComplete {
                            announce_url: "",
                            transfer_url: "http://files.example/fw.bin",
                            is_download: true,
                            file_type: "1 Firmware Upgrade Image",
                            file_size: 1024,
                            target_file_name: "fw.bin",
                            fault: TransferFault {
                                code: 0,
                                text: "",
                            },
                            start_time: DateTime(
                                "2024-03-01T10:00:00Z",
                            ),
                            complete_time: DateTime(
                                "2024-03-01T10:01:00Z",
                            ),
                        },
                    ),
                )
                <cwmp:AutonomousTransferComplete>
                <AnnounceURL></AnnounceURL>
                <TransferURL>http://files.example/fw.bin</TransferURL>
                <IsDownload>1</IsDownload>
                <FileType>1 Firmware Upgrade Image</FileType>
                <FileSize>1024</FileSize>
                <TargetFileName>fw.bin</TargetFileName>
                <FaultStruct>
                <FaultCode>0</FaultCode>
                <FaultString></FaultString>
                </FaultStruct>
                <StartTime>2024-03-01T10:00:00Z</StartTime>
                <CompleteTime>2024-03-01T10:01:00Z</CompleteTime>
                </cwmp:AutonomousTransferComplete>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:AutonomousTransferCompleteResponse/>",
            expect![[r#"
                Response(
                    AutonomousTransferComplete,
                )
                <cwmp:AutonomousTransferCompleteResponse></cwmp:AutonomousTransferCompleteResponse>
            "#]],
        );
    }
}
