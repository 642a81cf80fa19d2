//! The answers to RPCs.

use crate::rpc::{
    get_all_queued_transfers, get_options, get_parameter_attributes, get_parameter_names,
    get_parameter_values, get_queued_transfers, get_rpc_methods, kicked,
};
use crate::write::Writer;
use crate::xml::Reader;
use crate::{
    AddObject, AnyQueuedTransfer, Applied, Error, ParameterAttributes, ParameterInfo,
    ParameterValue, QueuedTransfer, RawRpc, Request, TransferStarted, VoucherOption,
};

/// The answer to an RPC, named like its request.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    /// The method names, in the order given.
    GetRpcMethods(Vec<String>),
    /// The only content is MaxEnvelopes, always 1 (A.3.3.1).
    Inform,
    /// Without content.
    TransferComplete,
    /// Without content.
    AutonomousTransferComplete,
    /// The NextURL.
    Kicked(String),
    /// Without content.
    RequestDownload,
    /// Without content.
    DuStateChangeComplete,
    /// Without content.
    AutonomousDuStateChangeComplete,
    /// Status 0 or 1.
    SetParameterValues(Applied),
    /// The values, in the order given.
    GetParameterValues(Vec<ParameterValue>),
    /// The names, in the order given; objects end in a dot.
    GetParameterNames(Vec<ParameterInfo>),
    /// Without content.
    SetParameterAttributes,
    /// The attributes, in the order given.
    GetParameterAttributes(Vec<ParameterAttributes>),
    /// The new instance number and Status 0 or 1.
    AddObject(u32, Applied),
    /// Status 0 or 1.
    DeleteObject(Applied),
    /// Done already, or begun.
    Download(TransferStarted),
    /// Without content.
    Reboot,
    /// The transfers that were asked for, at most 16.
    GetQueuedTransfers(Vec<QueuedTransfer>),
    /// Without content.
    ScheduleInform,
    /// Without content.
    SetVouchers,
    /// The options, in the order given.
    GetOptions(Vec<VoucherOption>),
    /// Done already, or begun.
    Upload(TransferStarted),
    /// Without content.
    FactoryReset,
    /// All transfers, at most 16.
    GetAllQueuedTransfers(Vec<AnyQueuedTransfer>),
    /// Without content: TransferComplete follows.
    ScheduleDownload,
    /// Without content.
    CancelTransfer,
    /// Without content: DUStateChangeComplete follows.
    ChangeDuState,
    /// A response of a vendor, as its name (`…Response`) and the XML inside it.
    Other(RawRpc),
}

impl Response {
    /// The method's name: `GetParameterValuesResponse`.
    pub fn method(&self) -> &str {
        match self {
            Response::GetRpcMethods(_) => "GetRPCMethodsResponse",
            Response::Inform => "InformResponse",
            Response::TransferComplete => "TransferCompleteResponse",
            Response::AutonomousTransferComplete => "AutonomousTransferCompleteResponse",
            Response::Kicked(_) => "KickedResponse",
            Response::RequestDownload => "RequestDownloadResponse",
            Response::DuStateChangeComplete => "DUStateChangeCompleteResponse",
            Response::AutonomousDuStateChangeComplete => "AutonomousDUStateChangeCompleteResponse",
            Response::SetParameterValues(_) => "SetParameterValuesResponse",
            Response::GetParameterValues(_) => "GetParameterValuesResponse",
            Response::GetParameterNames(_) => "GetParameterNamesResponse",
            Response::SetParameterAttributes => "SetParameterAttributesResponse",
            Response::GetParameterAttributes(_) => "GetParameterAttributesResponse",
            Response::AddObject(..) => "AddObjectResponse",
            Response::DeleteObject(_) => "DeleteObjectResponse",
            Response::Download(_) => "DownloadResponse",
            Response::Reboot => "RebootResponse",
            Response::GetQueuedTransfers(_) => "GetQueuedTransfersResponse",
            Response::ScheduleInform => "ScheduleInformResponse",
            Response::SetVouchers => "SetVouchersResponse",
            Response::GetOptions(_) => "GetOptionsResponse",
            Response::Upload(_) => "UploadResponse",
            Response::FactoryReset => "FactoryResetResponse",
            Response::GetAllQueuedTransfers(_) => "GetAllQueuedTransfersResponse",
            Response::ScheduleDownload => "ScheduleDownloadResponse",
            Response::CancelTransfer => "CancelTransferResponse",
            Response::ChangeDuState => "ChangeDUStateResponse",
            Response::Other(raw) => &raw.method,
        }
    }

    /// Whether it has no content, whoever sends it.
    pub fn is_empty(&self) -> bool {
        matches!(
            self,
            Response::Inform
                | Response::TransferComplete
                | Response::AutonomousTransferComplete
                | Response::RequestDownload
                | Response::DuStateChangeComplete
                | Response::AutonomousDuStateChangeComplete
                | Response::SetParameterAttributes
                | Response::Reboot
                | Response::ScheduleInform
                | Response::SetVouchers
                | Response::FactoryReset
                | Response::ScheduleDownload
                | Response::CancelTransfer
                | Response::ChangeDuState
        )
    }

    /// Whether this is the kind of response that answers `request`.
    pub fn answers(&self, request: &Request) -> bool {
        self.method().strip_suffix("Response") == Some(request.method())
    }

    pub(crate) fn parse(name: &str, xml: &mut Reader<'_>) -> Result<Response, Error> {
        let nothing = |xml: &mut Reader<'_>, response| xml.skip().map(|()| response);
        match name {
            "GetRPCMethodsResponse" => {
                get_rpc_methods::parse_response(xml).map(Response::GetRpcMethods)
            }
            "InformResponse" => nothing(xml, Response::Inform),
            "TransferCompleteResponse" => nothing(xml, Response::TransferComplete),
            "AutonomousTransferCompleteResponse" => {
                nothing(xml, Response::AutonomousTransferComplete)
            }
            "KickedResponse" => kicked::parse_response(xml).map(Response::Kicked),
            "RequestDownloadResponse" => nothing(xml, Response::RequestDownload),
            "DUStateChangeCompleteResponse" => nothing(xml, Response::DuStateChangeComplete),
            "AutonomousDUStateChangeCompleteResponse" => {
                nothing(xml, Response::AutonomousDuStateChangeComplete)
            }
            "SetParameterValuesResponse" => {
                Applied::parse_response(xml).map(Response::SetParameterValues)
            }
            "GetParameterValuesResponse" => {
                get_parameter_values::parse_response(xml).map(Response::GetParameterValues)
            }
            "GetParameterNamesResponse" => {
                get_parameter_names::parse_response(xml).map(Response::GetParameterNames)
            }
            "SetParameterAttributesResponse" => nothing(xml, Response::SetParameterAttributes),
            "GetParameterAttributesResponse" => {
                get_parameter_attributes::parse_response(xml).map(Response::GetParameterAttributes)
            }
            "AddObjectResponse" => AddObject::parse_response(xml)
                .map(|(instance, applied)| Response::AddObject(instance, applied)),
            "DeleteObjectResponse" => Applied::parse_response(xml).map(Response::DeleteObject),
            "DownloadResponse" => TransferStarted::parse(xml).map(Response::Download),
            "RebootResponse" => nothing(xml, Response::Reboot),
            "GetQueuedTransfersResponse" => {
                get_queued_transfers::parse_response(xml).map(Response::GetQueuedTransfers)
            }
            "ScheduleInformResponse" => nothing(xml, Response::ScheduleInform),
            "SetVouchersResponse" => nothing(xml, Response::SetVouchers),
            "GetOptionsResponse" => get_options::parse_response(xml).map(Response::GetOptions),
            "UploadResponse" => TransferStarted::parse(xml).map(Response::Upload),
            "FactoryResetResponse" => nothing(xml, Response::FactoryReset),
            "GetAllQueuedTransfersResponse" => {
                get_all_queued_transfers::parse_response(xml).map(Response::GetAllQueuedTransfers)
            }
            "ScheduleDownloadResponse" => nothing(xml, Response::ScheduleDownload),
            "CancelTransferResponse" => nothing(xml, Response::CancelTransfer),
            "ChangeDUStateResponse" => nothing(xml, Response::ChangeDuState),
            other => RawRpc::parse(other, xml).map(Response::Other),
        }
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        match self {
            Response::GetRpcMethods(methods) => out.strings("MethodList", methods),
            Response::Inform => out.unsigned("MaxEnvelopes", 1),
            Response::TransferComplete
            | Response::AutonomousTransferComplete
            | Response::RequestDownload
            | Response::DuStateChangeComplete
            | Response::AutonomousDuStateChangeComplete
            | Response::SetParameterAttributes
            | Response::Reboot
            | Response::ScheduleInform
            | Response::SetVouchers
            | Response::FactoryReset
            | Response::ScheduleDownload
            | Response::CancelTransfer
            | Response::ChangeDuState => {}
            Response::Kicked(next) => out.element("NextURL", next),
            Response::SetParameterValues(applied) | Response::DeleteObject(applied) => {
                out.element("Status", applied.status());
            }
            Response::GetParameterValues(values) => {
                get_parameter_values::write_response(values, out);
            }
            Response::GetParameterNames(names) => get_parameter_names::write_response(names, out),
            Response::GetParameterAttributes(attributes) => {
                get_parameter_attributes::write_response(attributes, out);
            }
            Response::AddObject(instance, applied) => {
                out.unsigned("InstanceNumber", *instance);
                out.element("Status", applied.status());
            }
            Response::Download(started) | Response::Upload(started) => started.write(out),
            Response::GetQueuedTransfers(transfers) => {
                get_queued_transfers::write_response(transfers, out);
            }
            Response::GetAllQueuedTransfers(transfers) => {
                get_all_queued_transfers::write_response(transfers, out);
            }
            Response::GetOptions(options) => get_options::write_response(options, out),
            Response::Other(raw) => out.raw(&raw.xml),
        }
    }
}
