//! TR-069 (CWMP): messages, the session and the pure halves of authentication.
//!
//! This crate does no I/O, reads no clock and draws no random numbers: bytes and
//! values go in, bytes and values come out. It is liberal in what it reads (any
//! prefix, wrong counts, missing headers, odd dates kept as text) and strict in
//! what it writes.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test that fails may panic"
    )
)]

mod event;
mod message;
pub mod path;
mod request;
mod response;
pub mod rpc;
pub mod value;
mod version;

mod session;

pub mod authentication;
pub mod connection_request;
pub mod stun;

mod envelope;
mod error;

mod charset;
mod write;
mod xml;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod quirks;
#[cfg(test)]
mod testing;

pub use error::{Blame, Error};
pub use event::{Event, EventKind};
pub use message::{Body, Header, Message};
pub use path::Path;
pub use request::Request;
pub use response::Response;
pub use rpc::{
    add_object::AddObject,
    autonomous_du_state_change_complete::AutonomousDuResult,
    autonomous_transfer_complete::AutonomousTransferComplete,
    change_du_state::{ChangeDuState, DuOperation},
    delete_object::DeleteObject,
    download::{Download, TransferStarted},
    du_state_change_complete::{DuResult, DuStateChangeComplete},
    fault::{Fault, ParameterFault},
    get_all_queued_transfers::AnyQueuedTransfer,
    get_options::VoucherOption,
    get_parameter_attributes::ParameterAttributes,
    get_parameter_names::{GetParameterNames, ParameterInfo},
    get_queued_transfers::{QueuedTransfer, TransferState},
    inform::{DeviceId, Inform},
    kicked::Kicked,
    raw::RawRpc,
    request_download::RequestDownload,
    schedule_download::{ScheduleDownload, TimeWindow},
    schedule_inform::ScheduleInform,
    set_parameter_attributes::SetParameterAttributes,
    set_parameter_values::SetParameterValues,
    transfer_complete::{TransferComplete, TransferFault},
    upload::Upload,
};
pub use session::{Limits, Received, Session};
pub use value::{Applied, DateTime, ParameterValue, XsdType};
pub use version::Version;
