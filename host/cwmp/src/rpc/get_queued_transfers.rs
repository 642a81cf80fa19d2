//! GetQueuedTransfers (TR-069 A.4.1.1, deprecated): the transfers that the ACS has asked for and
//! that are not over.

use crate::Error;
use crate::write::Writer;
use crate::xml::Reader;

/// QueuedTransferStruct.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueuedTransfer {
    /// That of the Download, ScheduleDownload or Upload.
    pub command_key: String,
    /// How far it is.
    pub state: TransferState,
}

/// How far a transfer in the queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransferState {
    /// 1; also what an unknown number is taken for.
    #[default]
    NotStarted,
    /// 2.
    InProgress,
    /// 3: over, but TransferComplete is not told yet.
    Completed,
}

impl TransferState {
    pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<TransferState, Error> {
        Ok(match xml.unsigned()? {
            2 => TransferState::InProgress,
            3 => TransferState::Completed,
            _ => TransferState::NotStarted,
        })
    }

    pub(crate) fn write(self, out: &mut Writer) {
        let number = match self {
            TransferState::NotStarted => 1,
            TransferState::InProgress => 2,
            TransferState::Completed => 3,
        };
        out.unsigned("State", number);
    }
}

impl QueuedTransfer {
    fn parse(xml: &mut Reader<'_>) -> Result<QueuedTransfer, Error> {
        let mut transfer = QueuedTransfer::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "CommandKey" => transfer.command_key = xml.string()?,
                "State" => transfer.state = TransferState::parse(xml)?,
                _ => xml.skip()?,
            }
        }
        Ok(transfer)
    }
}

pub(crate) fn parse_response(xml: &mut Reader<'_>) -> Result<Vec<QueuedTransfer>, Error> {
    let mut transfers = Vec::new();
    while let Some(child) = xml.child()? {
        match child.name() {
            "TransferList" => transfers = xml.list(QueuedTransfer::parse)?,
            _ => xml.skip()?,
        }
    }
    Ok(transfers)
}

pub(crate) fn write_response(transfers: &[QueuedTransfer], out: &mut Writer) {
    out.list(
        "TransferList",
        "cwmp:QueuedTransferStruct",
        transfers,
        |out, transfer| {
            out.open("QueuedTransferStruct");
            out.element("CommandKey", &transfer.command_key);
            transfer.state.write(out);
            out.close("QueuedTransferStruct");
        },
    );
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:GetQueuedTransfers/>",
            expect![[r#"
            Request(
                GetQueuedTransfers,
            )
            <cwmp:GetQueuedTransfers></cwmp:GetQueuedTransfers>
        "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:GetQueuedTransfersResponse>\
             <TransferList soap-enc:arrayType='cwmp:QueuedTransferStruct[1]'>\
             <QueuedTransferStruct><CommandKey>t-1</CommandKey><State> 2 </State></QueuedTransferStruct>\
             <QueuedTransferStruct><State>9</State></QueuedTransferStruct>\
             </TransferList></cwmp:GetQueuedTransfersResponse>",
            expect![[r#"
                Response(
                    GetQueuedTransfers(
                        [
                            QueuedTransfer {
                                command_key: "t-1",
                                state: InProgress,
                            },
                            QueuedTransfer {
                                command_key: "",
                                state: NotStarted,
                            },
                        ],
                    ),
                )
                <cwmp:GetQueuedTransfersResponse>
                <TransferList soap-enc:arrayType="cwmp:QueuedTransferStruct[2]">
                <QueuedTransferStruct>
                <CommandKey>t-1</CommandKey>
                <State>2</State>
                </QueuedTransferStruct>
                <QueuedTransferStruct>
                <CommandKey></CommandKey>
                <State>1</State>
                </QueuedTransferStruct>
                </TransferList>
                </cwmp:GetQueuedTransfersResponse>
            "#]],
        );
    }
}
