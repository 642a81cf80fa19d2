//! The RPCs of both sides.

use crate::rpc::{
    autonomous_du_state_change_complete, get_options, get_parameter_values, reboot,
    set_parameter_attributes, set_vouchers,
};
use crate::write::Writer;
use crate::xml::Reader;
use crate::{
    AddObject, AutonomousDuResult, AutonomousTransferComplete, ChangeDuState, DeleteObject,
    Download, DuStateChangeComplete, Error, GetParameterNames, Inform, Kicked, RawRpc,
    RequestDownload, ScheduleDownload, ScheduleInform, SetParameterAttributes, SetParameterValues,
    TransferComplete, Upload,
};

/// An RPC of either side (TR-069 Annex A.3 and A.4).
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// A.3.1.1, in both directions.
    GetRpcMethods,
    /// A.3.3.1, device to ACS: begins each session.
    Inform(Box<Inform>),
    /// A.3.3.2, device to ACS.
    TransferComplete(TransferComplete),
    /// A.3.3.3, device to ACS.
    AutonomousTransferComplete(Box<AutonomousTransferComplete>),
    /// A.4.2.1, device to ACS.
    Kicked(Box<Kicked>),
    /// A.4.2.2, device to ACS.
    RequestDownload(RequestDownload),
    /// A.4.2.3, device to ACS.
    DuStateChangeComplete(DuStateChangeComplete),
    /// A.4.2.4, device to ACS.
    AutonomousDuStateChangeComplete(Vec<AutonomousDuResult>),
    /// A.3.2.1.
    SetParameterValues(SetParameterValues),
    /// A.3.2.2: full names, or partial paths that end in a dot.
    GetParameterValues(Vec<String>),
    /// A.3.2.3.
    GetParameterNames(GetParameterNames),
    /// A.3.2.4.
    SetParameterAttributes(Vec<SetParameterAttributes>),
    /// A.3.2.5: full names, or partial paths that end in a dot.
    GetParameterAttributes(Vec<String>),
    /// A.3.2.6.
    AddObject(AddObject),
    /// A.3.2.7.
    DeleteObject(DeleteObject),
    /// A.3.2.8.
    Download(Box<Download>),
    /// A.3.2.9, with its CommandKey.
    Reboot(String),
    /// A.4.1.1.
    GetQueuedTransfers,
    /// A.4.1.2.
    ScheduleInform(ScheduleInform),
    /// A.4.1.3: vouchers, each in base64.
    SetVouchers(Vec<String>),
    /// A.4.1.4: the name of an option, empty for all.
    GetOptions(String),
    /// A.4.1.5.
    Upload(Box<Upload>),
    /// A.4.1.6.
    FactoryReset,
    /// A.4.1.7.
    GetAllQueuedTransfers,
    /// A.4.1.8.
    ScheduleDownload(Box<ScheduleDownload>),
    /// A.4.1.9, with the CommandKey of the transfer.
    CancelTransfer(String),
    /// A.4.1.10.
    ChangeDuState(ChangeDuState),
    /// An RPC of a vendor, as its name and the XML inside it.
    Other(RawRpc),
}

impl Request {
    /// The method's name: `GetParameterValues`.
    pub fn method(&self) -> &str {
        match self {
            Request::GetRpcMethods => "GetRPCMethods",
            Request::Inform(_) => "Inform",
            Request::TransferComplete(_) => "TransferComplete",
            Request::AutonomousTransferComplete(_) => "AutonomousTransferComplete",
            Request::Kicked(_) => "Kicked",
            Request::RequestDownload(_) => "RequestDownload",
            Request::DuStateChangeComplete(_) => "DUStateChangeComplete",
            Request::AutonomousDuStateChangeComplete(_) => "AutonomousDUStateChangeComplete",
            Request::SetParameterValues(_) => "SetParameterValues",
            Request::GetParameterValues(_) => "GetParameterValues",
            Request::GetParameterNames(_) => "GetParameterNames",
            Request::SetParameterAttributes(_) => "SetParameterAttributes",
            Request::GetParameterAttributes(_) => "GetParameterAttributes",
            Request::AddObject(_) => "AddObject",
            Request::DeleteObject(_) => "DeleteObject",
            Request::Download(_) => "Download",
            Request::Reboot(_) => "Reboot",
            Request::GetQueuedTransfers => "GetQueuedTransfers",
            Request::ScheduleInform(_) => "ScheduleInform",
            Request::SetVouchers(_) => "SetVouchers",
            Request::GetOptions(_) => "GetOptions",
            Request::Upload(_) => "Upload",
            Request::FactoryReset => "FactoryReset",
            Request::GetAllQueuedTransfers => "GetAllQueuedTransfers",
            Request::ScheduleDownload(_) => "ScheduleDownload",
            Request::CancelTransfer(_) => "CancelTransfer",
            Request::ChangeDuState(_) => "ChangeDUState",
            Request::Other(raw) => &raw.method,
        }
    }

    /// Whether only devices send it.
    pub fn is_of_device(&self) -> bool {
        matches!(
            self,
            Request::Inform(_)
                | Request::TransferComplete(_)
                | Request::AutonomousTransferComplete(_)
                | Request::Kicked(_)
                | Request::RequestDownload(_)
                | Request::DuStateChangeComplete(_)
                | Request::AutonomousDuStateChangeComplete(_)
        )
    }

    pub(crate) fn parse(name: &str, xml: &mut Reader<'_>) -> Result<Request, Error> {
        let nothing = |xml: &mut Reader<'_>, request| xml.skip().map(|()| request);
        Ok(match name {
            "GetRPCMethods" => nothing(xml, Request::GetRpcMethods)?,
            "Inform" => Request::Inform(Box::new(Inform::parse(xml)?)),
            "TransferComplete" => Request::TransferComplete(TransferComplete::parse(xml)?),
            "AutonomousTransferComplete" => Request::AutonomousTransferComplete(Box::new(
                AutonomousTransferComplete::parse(xml)?,
            )),
            "Kicked" => Request::Kicked(Box::new(Kicked::parse(xml)?)),
            "RequestDownload" => Request::RequestDownload(RequestDownload::parse(xml)?),
            "DUStateChangeComplete" => {
                Request::DuStateChangeComplete(DuStateChangeComplete::parse(xml)?)
            }
            "AutonomousDUStateChangeComplete" => Request::AutonomousDuStateChangeComplete(
                autonomous_du_state_change_complete::parse(xml)?,
            ),
            "SetParameterValues" => Request::SetParameterValues(SetParameterValues::parse(xml)?),
            "GetParameterValues" => Request::GetParameterValues(get_parameter_values::parse(xml)?),
            "GetParameterNames" => Request::GetParameterNames(GetParameterNames::parse(xml)?),
            "SetParameterAttributes" => {
                Request::SetParameterAttributes(set_parameter_attributes::parse(xml)?)
            }
            "GetParameterAttributes" => {
                Request::GetParameterAttributes(get_parameter_values::parse(xml)?)
            }
            "AddObject" => Request::AddObject(AddObject::parse(xml)?),
            "DeleteObject" => Request::DeleteObject(DeleteObject::parse(xml)?),
            "Download" => Request::Download(Box::new(Download::parse(xml)?)),
            "Reboot" => Request::Reboot(reboot::parse(xml)?),
            "GetQueuedTransfers" => nothing(xml, Request::GetQueuedTransfers)?,
            "ScheduleInform" => Request::ScheduleInform(ScheduleInform::parse(xml)?),
            "SetVouchers" => Request::SetVouchers(set_vouchers::parse(xml)?),
            "GetOptions" => Request::GetOptions(get_options::parse(xml)?),
            "Upload" => Request::Upload(Box::new(Upload::parse(xml)?)),
            "FactoryReset" => nothing(xml, Request::FactoryReset)?,
            "GetAllQueuedTransfers" => nothing(xml, Request::GetAllQueuedTransfers)?,
            "ScheduleDownload" => {
                Request::ScheduleDownload(Box::new(ScheduleDownload::parse(xml)?))
            }
            "CancelTransfer" => Request::CancelTransfer(reboot::parse(xml)?),
            "ChangeDUState" => Request::ChangeDuState(ChangeDuState::parse(xml)?),
            other => Request::Other(RawRpc::parse(other, xml)?),
        })
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        match self {
            Request::GetRpcMethods
            | Request::FactoryReset
            | Request::GetQueuedTransfers
            | Request::GetAllQueuedTransfers => {}
            Request::Inform(rpc) => rpc.write(out),
            Request::TransferComplete(rpc) => rpc.write(out),
            Request::AutonomousTransferComplete(rpc) => rpc.write(out),
            Request::Kicked(rpc) => rpc.write(out),
            Request::RequestDownload(rpc) => rpc.write(out),
            Request::DuStateChangeComplete(rpc) => rpc.write(out),
            Request::AutonomousDuStateChangeComplete(results) => {
                autonomous_du_state_change_complete::write(results, out);
            }
            Request::SetParameterValues(rpc) => rpc.write(out),
            Request::GetParameterValues(names) | Request::GetParameterAttributes(names) => {
                out.strings("ParameterNames", names);
            }
            Request::GetParameterNames(rpc) => rpc.write(out),
            Request::SetParameterAttributes(rpc) => set_parameter_attributes::write(rpc, out),
            Request::AddObject(rpc) => rpc.write(out),
            Request::DeleteObject(rpc) => rpc.write(out),
            Request::Download(rpc) => rpc.write(out),
            Request::Reboot(command_key) | Request::CancelTransfer(command_key) => {
                out.element("CommandKey", command_key);
            }
            Request::ScheduleInform(rpc) => rpc.write(out),
            Request::SetVouchers(vouchers) => set_vouchers::write(vouchers, out),
            Request::GetOptions(name) => out.element("OptionName", name),
            Request::Upload(rpc) => rpc.write(out),
            Request::ScheduleDownload(rpc) => rpc.write(out),
            Request::ChangeDuState(rpc) => rpc.write(out),
            Request::Other(raw) => out.raw(&raw.xml),
        }
    }
}
