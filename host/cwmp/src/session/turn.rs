//! Whose turn it is, and what is owed to the device.

use crate::rpc::fault;
use crate::{Fault, Header, Request, Response, Version};

/// What an ACS can be asked (A.3.1.1).
const METHODS: [&str; 8] = [
    "Inform",
    "GetRPCMethods",
    "TransferComplete",
    "AutonomousTransferComplete",
    "Kicked",
    "RequestDownload",
    "DUStateChangeComplete",
    "AutonomousDUStateChangeComplete",
];

/// Whose turn it is.
#[derive(Debug)]
pub(super) enum Turn {
    /// The device's, to begin.
    Begin,
    /// Ours, to answer the device's request.
    Answer(Pending),
    /// Ours, to ask or to end.
    Ask,
    /// The device's: it answers `outstanding`, or asks, or has nothing to say.
    Listen,
    /// Nobody's: the end was sent.
    Over,
    /// Nobody's: the device broke a rule or a limit.
    Failed,
}

/// A request of the device that is not answered yet.
#[derive(Debug)]
pub(super) struct Pending {
    /// Its ID, to be sent back.
    pub(super) id: Option<String>,
    pub(super) reply: Reply,
    pub(super) method: String,
}

/// How a request of the device is answered, unless the caller knows better.
#[derive(Debug)]
pub(super) enum Reply {
    Response(Response),
    Fault(Fault),
}

/// What came of the device's SupportedCWMPVersions.
#[derive(Debug, Clone, Copy)]
pub(super) enum Negotiated {
    /// The device did not offer versions: it gets its own.
    Not,
    /// The newest in common.
    Common(Version),
    /// The device offered only versions that we do not know.
    Nothing,
}

impl Negotiated {
    /// From the header of an Inform. An empty SupportedCWMPVersions offers nothing and asks nothing.
    pub(super) fn new(header: &Header) -> Negotiated {
        let supported = header.supported_versions.as_deref().unwrap_or_default();
        if supported.trim().is_empty() {
            return Negotiated::Not;
        }
        match Version::newest_common(supported) {
            Some(version) => Negotiated::Common(version),
            None => Negotiated::Nothing,
        }
    }
}

impl Pending {
    /// A request other than Inform, with the answer it gets unless the caller knows better.
    pub(super) fn new(id: Option<String>, request: &Request) -> Pending {
        let reply = match request {
            Request::GetRpcMethods => {
                Reply::Response(Response::GetRpcMethods(METHODS.map(str::to_owned).to_vec()))
            }
            Request::TransferComplete(_) => Reply::Response(Response::TransferComplete),
            Request::AutonomousTransferComplete(_) => {
                Reply::Response(Response::AutonomousTransferComplete)
            }
            // "Under normal conditions", where it wants to be sent (A.4.2.1).
            Request::Kicked(kicked) => Reply::Response(Response::Kicked(kicked.next.clone())),
            Request::RequestDownload(_) => Reply::Response(Response::RequestDownload),
            Request::DuStateChangeComplete(_) => Reply::Response(Response::DuStateChangeComplete),
            Request::AutonomousDuStateChangeComplete(_) => {
                Reply::Response(Response::AutonomousDuStateChangeComplete)
            }
            _ => Reply::Fault(Fault::new(fault::METHOD_NOT_SUPPORTED)),
        };
        Pending {
            id,
            reply,
            method: request.method().to_owned(),
        }
    }
}
