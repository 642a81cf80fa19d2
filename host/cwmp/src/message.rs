//! One SOAP envelope: what its header says and the one thing in its body.

use crate::rpc::{
    get_parameter_attributes, get_parameter_names, get_parameter_values, get_rpc_methods, reboot,
    set_parameter_attributes,
};
use crate::write::Writer;
use crate::xml::Reader;
use crate::{
    AddObject, Applied, AutonomousTransferComplete, DeleteObject, Download, Error, Fault,
    GetParameterNames, Inform, ParameterAttributes, ParameterInfo, ParameterValue, RawRpc,
    ScheduleInform, SetParameterAttributes, SetParameterValues, TransferComplete, TransferStarted,
    Upload, Version,
};

/// One SOAP envelope (TR-069 §3.5).
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The protocol version its namespace names; see [`Version`].
    pub version: Version,
    /// The SOAP header elements of CWMP.
    pub header: Header,
    /// The request, response or fault.
    pub body: Body,
}

/// The SOAP header elements of CWMP (TR-069 §3.5, table "SOAP Header Elements").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// `cwmp:ID`; a response echoes its request's. Absent in messages of some devices.
    pub id: Option<String>,
    /// `cwmp:HoldRequests`: the device must not send requests of its own.
    pub hold_requests: bool,
    /// `cwmp:SessionTimeout`, seconds (1.3 and later, in the Inform).
    pub session_timeout: Option<u32>,
    /// `cwmp:SupportedCWMPVersions` as sent (1.4 and later, in the Inform).
    pub supported_versions: Option<String>,
    /// `cwmp:UseCWMPVersion` (1.4 and later, in the InformResponse).
    pub use_version: Option<String>,
}

/// What an envelope carries.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// An RPC, of either side.
    Request(Request),
    /// The answer to an RPC.
    Response(Response),
    /// The RPC failed.
    Fault(Fault),
}

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
    /// A.4.1.2.
    ScheduleInform(ScheduleInform),
    /// A.4.1.5.
    Upload(Box<Upload>),
    /// A.4.1.6.
    FactoryReset,
    /// Any other RPC, as its name and the XML inside it.
    Other(RawRpc),
}

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
    /// Without content.
    ScheduleInform,
    /// Done already, or begun.
    Upload(TransferStarted),
    /// Without content.
    FactoryReset,
    /// Any other response, as its name (`…Response`) and the XML inside it.
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
            Request::SetParameterValues(_) => "SetParameterValues",
            Request::GetParameterValues(_) => "GetParameterValues",
            Request::GetParameterNames(_) => "GetParameterNames",
            Request::SetParameterAttributes(_) => "SetParameterAttributes",
            Request::GetParameterAttributes(_) => "GetParameterAttributes",
            Request::AddObject(_) => "AddObject",
            Request::DeleteObject(_) => "DeleteObject",
            Request::Download(_) => "Download",
            Request::Reboot(_) => "Reboot",
            Request::ScheduleInform(_) => "ScheduleInform",
            Request::Upload(_) => "Upload",
            Request::FactoryReset => "FactoryReset",
            Request::Other(raw) => &raw.method,
        }
    }

    fn parse(name: &str, xml: &mut Reader<'_>) -> Result<Request, Error> {
        Ok(match name {
            "GetRPCMethods" => {
                xml.skip()?;
                Request::GetRpcMethods
            }
            "Inform" => Request::Inform(Box::new(Inform::parse(xml)?)),
            "TransferComplete" => Request::TransferComplete(TransferComplete::parse(xml)?),
            "AutonomousTransferComplete" => Request::AutonomousTransferComplete(Box::new(
                AutonomousTransferComplete::parse(xml)?,
            )),
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
            "ScheduleInform" => Request::ScheduleInform(ScheduleInform::parse(xml)?),
            "Upload" => Request::Upload(Box::new(Upload::parse(xml)?)),
            "FactoryReset" => {
                xml.skip()?;
                Request::FactoryReset
            }
            other => Request::Other(RawRpc::parse(other, xml)?),
        })
    }

    fn write(&self, out: &mut Writer) {
        match self {
            Request::GetRpcMethods | Request::FactoryReset => {}
            Request::Inform(rpc) => rpc.write(out),
            Request::TransferComplete(rpc) => rpc.write(out),
            Request::AutonomousTransferComplete(rpc) => rpc.write(out),
            Request::SetParameterValues(rpc) => rpc.write(out),
            Request::GetParameterValues(names) | Request::GetParameterAttributes(names) => {
                out.strings("ParameterNames", names);
            }
            Request::GetParameterNames(rpc) => rpc.write(out),
            Request::SetParameterAttributes(rpc) => set_parameter_attributes::write(rpc, out),
            Request::AddObject(rpc) => rpc.write(out),
            Request::DeleteObject(rpc) => rpc.write(out),
            Request::Download(rpc) => rpc.write(out),
            Request::Reboot(command_key) => out.element("CommandKey", command_key),
            Request::ScheduleInform(rpc) => rpc.write(out),
            Request::Upload(rpc) => rpc.write(out),
            Request::Other(raw) => out.raw(&raw.xml),
        }
    }
}

impl Response {
    /// The method's name: `GetParameterValuesResponse`.
    pub fn method(&self) -> &str {
        match self {
            Response::GetRpcMethods(_) => "GetRPCMethodsResponse",
            Response::Inform => "InformResponse",
            Response::TransferComplete => "TransferCompleteResponse",
            Response::AutonomousTransferComplete => "AutonomousTransferCompleteResponse",
            Response::SetParameterValues(_) => "SetParameterValuesResponse",
            Response::GetParameterValues(_) => "GetParameterValuesResponse",
            Response::GetParameterNames(_) => "GetParameterNamesResponse",
            Response::SetParameterAttributes => "SetParameterAttributesResponse",
            Response::GetParameterAttributes(_) => "GetParameterAttributesResponse",
            Response::AddObject(..) => "AddObjectResponse",
            Response::DeleteObject(_) => "DeleteObjectResponse",
            Response::Download(_) => "DownloadResponse",
            Response::Reboot => "RebootResponse",
            Response::ScheduleInform => "ScheduleInformResponse",
            Response::Upload(_) => "UploadResponse",
            Response::FactoryReset => "FactoryResetResponse",
            Response::Other(raw) => &raw.method,
        }
    }

    /// Whether this is the kind of response that answers `request`.
    pub fn answers(&self, request: &Request) -> bool {
        self.method().strip_suffix("Response") == Some(request.method())
    }

    fn parse(name: &str, xml: &mut Reader<'_>) -> Result<Response, Error> {
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
            "ScheduleInformResponse" => nothing(xml, Response::ScheduleInform),
            "UploadResponse" => TransferStarted::parse(xml).map(Response::Upload),
            "FactoryResetResponse" => nothing(xml, Response::FactoryReset),
            other => RawRpc::parse(other, xml).map(Response::Other),
        }
    }

    fn write(&self, out: &mut Writer) {
        match self {
            Response::GetRpcMethods(methods) => out.strings("MethodList", methods),
            Response::Inform => out.unsigned("MaxEnvelopes", 1),
            Response::TransferComplete
            | Response::AutonomousTransferComplete
            | Response::SetParameterAttributes
            | Response::Reboot
            | Response::ScheduleInform
            | Response::FactoryReset => {}
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
            Response::Other(raw) => out.raw(&raw.xml),
        }
    }
}

impl Body {
    /// The local name of the element: `Inform`, `RebootResponse`, `Fault`.
    pub fn name(&self) -> &str {
        match self {
            Body::Request(request) => request.method(),
            Body::Response(response) => response.method(),
            Body::Fault(_) => "Fault",
        }
    }

    pub(crate) fn parse(name: &str, xml: &mut Reader<'_>) -> Result<Body, Error> {
        if name == "Fault" {
            Fault::parse(xml).map(Body::Fault)
        } else if name.ends_with("Response") {
            Response::parse(name, xml).map(Body::Response)
        } else {
            Request::parse(name, xml).map(Body::Request)
        }
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        if let Body::Fault(fault) = self {
            return fault.write(out);
        }
        out.raw("<cwmp:");
        out.raw(self.name());
        out.raw(">");
        match self {
            Body::Request(request) => request.write(out),
            Body::Response(response) => response.write(out),
            Body::Fault(_) => {}
        }
        out.raw("</cwmp:");
        out.raw(self.name());
        out.raw(">");
    }

    /// About how much XML the lists will take, so that the buffer need not grow.
    pub(crate) fn content_bytes(&self) -> usize {
        const MEMBER_BYTES: usize = 192;
        let members = match self {
            Body::Request(Request::Inform(inform)) => inform.parameters.len(),
            Body::Request(Request::SetParameterValues(rpc)) => rpc.parameters.len(),
            Body::Request(Request::GetParameterValues(names)) => names.len(),
            Body::Response(Response::GetParameterValues(values)) => values.len(),
            Body::Response(Response::GetParameterNames(names)) => names.len(),
            Body::Response(Response::GetParameterAttributes(attributes)) => attributes.len(),
            Body::Request(Request::Other(raw)) | Body::Response(Response::Other(raw)) => {
                return raw.xml.len();
            }
            _ => 0,
        };
        members.saturating_mul(MEMBER_BYTES)
    }
}
