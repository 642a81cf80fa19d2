//! The content of each RPC and response: the first byte chooses the element, the rest is in it.

#![no_main]

use cwmp::{Body, Message, Request, Response};
use libfuzzer_sys::fuzz_target;

const METHODS: [&str; 29] = [
    "GetRPCMethods",
    "Inform",
    "TransferComplete",
    "AutonomousTransferComplete",
    "Kicked",
    "RequestDownload",
    "DUStateChangeComplete",
    "AutonomousDUStateChangeComplete",
    "SetParameterValues",
    "GetParameterValues",
    "GetParameterNames",
    "SetParameterAttributes",
    "GetParameterAttributes",
    "AddObject",
    "DeleteObject",
    "Download",
    "Reboot",
    "GetQueuedTransfers",
    "ScheduleInform",
    "SetVouchers",
    "GetOptions",
    "Upload",
    "FactoryReset",
    "GetAllQueuedTransfers",
    "ScheduleDownload",
    "CancelTransfer",
    "ChangeDUState",
    "X_00005E_Vendor",
    "Fault",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((first, content)) = bytes.split_first() else {
        return;
    };
    let (method, response) = (usize::from(*first) / 2, usize::from(*first) % 2 == 1);
    let Some(method) = METHODS.get(method) else {
        return;
    };
    let suffix = if response { "Response" } else { "" };
    let (head, tail) = (
        format!("<e:Envelope xmlns:c='urn:dslforum-org:cwmp-1-2'><e:Body><c:{method}{suffix}>"),
        format!("</c:{method}{suffix}></e:Body></e:Envelope>"),
    );
    let envelope = [head.as_bytes(), content, tail.as_bytes()].concat();
    let Ok(message) = Message::parse(&envelope) else {
        return;
    };
    let written = message.to_xml();
    let again = Message::parse(written.as_bytes()).expect("what was written is read");
    // As for whole envelopes: the second time white space may go from the ends of names.
    let written = again.to_xml();
    let again = Message::parse(written.as_bytes()).expect("what was written is read");
    assert_eq!(again.to_xml(), written);
    match again.body {
        Body::Request(request) => {
            assert_eq!(
                Request::from_raw(request.to_raw()).to_raw(),
                request.to_raw()
            );
        }
        Body::Response(response) => {
            assert_eq!(
                Response::from_raw(response.to_raw()).to_raw(),
                response.to_raw()
            );
        }
        Body::Fault(_) => {}
    }
});
