//! GetAllQueuedTransfers (TR-069 A.4.1.7): all transfers that are not over, those that the ACS
//! did not ask for too.

use crate::write::Writer;
use crate::xml::Reader;
use crate::{Error, TransferState};

/// AllQueuedTransferStruct.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnyQueuedTransfer {
    /// That of the RPC which asked for it; empty if none did.
    pub command_key: String,
    /// How far it is.
    pub state: TransferState,
    /// Download rather than upload.
    pub is_download: bool,
    /// `1 Firmware Upgrade Image`, ….
    pub file_type: String,
    /// Bytes; 0 = not known.
    pub file_size: u32,
    /// May be empty.
    pub target_file_name: String,
}

impl AnyQueuedTransfer {
    fn parse(xml: &mut Reader<'_>) -> Result<AnyQueuedTransfer, Error> {
        let mut transfer = AnyQueuedTransfer::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "CommandKey" => transfer.command_key = xml.string()?,
                "State" => transfer.state = TransferState::parse(xml)?,
                "IsDownload" => transfer.is_download = xml.boolean()?,
                "FileType" => transfer.file_type = xml.string()?,
                "FileSize" => transfer.file_size = xml.unsigned()?,
                "TargetFileName" => transfer.target_file_name = xml.string()?,
                _ => xml.skip()?,
            }
        }
        Ok(transfer)
    }

    fn write(&self, out: &mut Writer) {
        out.open("AllQueuedTransferStruct");
        out.element("CommandKey", &self.command_key);
        self.state.write(out);
        out.boolean("IsDownload", self.is_download);
        out.element("FileType", &self.file_type);
        out.unsigned("FileSize", self.file_size);
        out.element("TargetFileName", &self.target_file_name);
        out.close("AllQueuedTransferStruct");
    }
}

pub(crate) fn parse_response(xml: &mut Reader<'_>) -> Result<Vec<AnyQueuedTransfer>, Error> {
    let mut transfers = Vec::new();
    while let Some(child) = xml.child()? {
        match child.name() {
            "TransferList" => transfers = xml.list(AnyQueuedTransfer::parse)?,
            _ => xml.skip()?,
        }
    }
    Ok(transfers)
}

pub(crate) fn write_response(transfers: &[AnyQueuedTransfer], out: &mut Writer) {
    out.list(
        "TransferList",
        "cwmp:AllQueuedTransferStruct",
        transfers,
        |out, transfer| transfer.write(out),
    );
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:GetAllQueuedTransfers></cwmp:GetAllQueuedTransfers>",
            expect![[r#"
                Request(
                    GetAllQueuedTransfers,
                )
                <cwmp:GetAllQueuedTransfers></cwmp:GetAllQueuedTransfers>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:GetAllQueuedTransfersResponse>\
             <TransferList soap-enc:arrayType='cwmp:AllQueuedTransferStruct[01]'>\
             <AllQueuedTransferStruct><CommandKey>t-1</CommandKey><State>3</State>\
             <IsDownload>true</IsDownload><FileType>1 Firmware Upgrade Image</FileType>\
             <FileSize>4096</FileSize><TargetFileName>fw.bin</TargetFileName>\
             </AllQueuedTransferStruct></TransferList></cwmp:GetAllQueuedTransfersResponse>",
            expect![[r#"
                Response(
                    GetAllQueuedTransfers(
                        [
                            AnyQueuedTransfer {
                                command_key: "t-1",
                                state: Completed,
                                is_download: true,
                                file_type: "1 Firmware Upgrade Image",
                                file_size: 4096,
                                target_file_name: "fw.bin",
                            },
                        ],
                    ),
                )
                <cwmp:GetAllQueuedTransfersResponse>
                <TransferList soap-enc:arrayType="cwmp:AllQueuedTransferStruct[1]">
                <AllQueuedTransferStruct>
                <CommandKey>t-1</CommandKey>
                <State>3</State>
                <IsDownload>1</IsDownload>
                <FileType>1 Firmware Upgrade Image</FileType>
                <FileSize>4096</FileSize>
                <TargetFileName>fw.bin</TargetFileName>
                </AllQueuedTransferStruct>
                </TransferList>
                </cwmp:GetAllQueuedTransfersResponse>
            "#]],
        );
    }
}
