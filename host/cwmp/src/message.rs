//! One SOAP envelope: what its header says and the one thing in its body.

use crate::write::Writer;
use crate::xml::Reader;
use crate::{Error, Fault, Request, Response, Version};

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
