//! TransferComplete (TR-069 A.3.3.2): a Download or Upload is over.

use crate::rpc::fault;
use crate::write::Writer;
use crate::xml::Reader;
use crate::{DateTime, Error};

/// TransferComplete (A.3.3.2).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TransferComplete {
    /// That of the Download or Upload; some devices leave it empty.
    pub command_key: String,
    /// Code 0 = success.
    pub fault: TransferFault,
    /// When the transfer began; Unknown Time allowed.
    pub start_time: DateTime,
    /// When the file was in use.
    pub complete_time: DateTime,
}

/// FaultStruct of a transfer, and Fault of a change of software modules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransferFault {
    /// 0 = success.
    pub code: u32,
    /// For people.
    pub text: String,
}

impl TransferComplete {
    pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<TransferComplete, Error> {
        let mut rpc = TransferComplete::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "CommandKey" => rpc.command_key = xml.string()?,
                "FaultStruct" => rpc.fault = TransferFault::parse(xml)?,
                "StartTime" => rpc.start_time = xml.date_time()?,
                "CompleteTime" => rpc.complete_time = xml.date_time()?,
                _ => xml.skip()?,
            }
        }
        Ok(rpc)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.element("CommandKey", &self.command_key);
        self.fault.write("FaultStruct", out);
        out.date_time("StartTime", &self.start_time);
        out.date_time("CompleteTime", &self.complete_time);
    }
}

impl TransferFault {
    /// A fault with the standard's text.
    pub fn new(code: u32) -> TransferFault {
        TransferFault {
            code,
            text: fault::name(code).unwrap_or_default().to_owned(),
        }
    }

    pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<TransferFault, Error> {
        let mut fault = TransferFault::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "FaultCode" => fault.code = xml.code()?,
                "FaultString" => fault.text = xml.string()?,
                // Some devices wrap it once more.
                "FaultStruct" => fault = TransferFault::parse(xml)?,
                _ => xml.skip()?,
            }
        }
        Ok(fault)
    }

    pub(crate) fn write(&self, name: &str, out: &mut Writer) {
        out.open(name);
        out.unsigned("FaultCode", self.code);
        out.element("FaultString", &self.text);
        out.close(name);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:TransferComplete><CommandKey>fw-17</CommandKey><FaultStruct>\
             <FaultCode>0</FaultCode><FaultString></FaultString></FaultStruct>\
             <StartTime>2024-03-01T10:00:00Z</StartTime>\
             <CompleteTime>2024-03-01T10:01:00Z</CompleteTime></cwmp:TransferComplete>",
            expect![[r#"
                Request(
                    TransferComplete(
                        TransferComplete {
                            command_key: "fw-17",
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
                <cwmp:TransferComplete>
                <CommandKey>fw-17</CommandKey>
                <FaultStruct>
                <FaultCode>0</FaultCode>
                <FaultString></FaultString>
                </FaultStruct>
                <StartTime>2024-03-01T10:00:00Z</StartTime>
                <CompleteTime>2024-03-01T10:01:00Z</CompleteTime>
                </cwmp:TransferComplete>
            "#]],
        );
    }

    #[test]
    fn failed_without_key_and_time() {
        check(
            "<cwmp:TransferComplete><CommandKey/><FaultStruct><FaultCode>9015</FaultCode>\
             <FaultString>Unable to contact file server</FaultString></FaultStruct>\
             <StartTime>0001-01-01T00:00:00Z</StartTime></cwmp:TransferComplete>",
            expect![[r#"
                Request(
                    TransferComplete(
                        TransferComplete {
                            command_key: "",
                            fault: TransferFault {
                                code: 9015,
                                text: "Unable to contact file server",
                            },
                            start_time: DateTime(
                                "0001-01-01T00:00:00Z",
                            ),
                            complete_time: DateTime(
                                "",
                            ),
                        },
                    ),
                )
                <cwmp:TransferComplete>
                <CommandKey></CommandKey>
                <FaultStruct>
                <FaultCode>9015</FaultCode>
                <FaultString>Unable to contact file server</FaultString>
                </FaultStruct>
                <StartTime>0001-01-01T00:00:00Z</StartTime>
                <CompleteTime>0001-01-01T00:00:00Z</CompleteTime>
                </cwmp:TransferComplete>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:TransferCompleteResponse/>",
            expect![[r#"
                Response(
                    TransferComplete,
                )
                <cwmp:TransferCompleteResponse></cwmp:TransferCompleteResponse>
            "#]],
        );
    }
}
