//! The RPCs of the ACS, as the device answers them.

mod attributes;
mod commands;
mod get_parameter_names;
mod get_parameter_values;
mod objects;
mod set_parameter_values;

use cwmp::{Fault, Request, Response, Version};

use super::Cpe;
use crate::{Oddity, UnixTime};

/// All that a device can, in the order GetRPCMethods tells them.
pub const METHODS: &[&str] = &[
    "GetRPCMethods",
    "SetParameterValues",
    "GetParameterValues",
    "GetParameterNames",
    "SetParameterAttributes",
    "GetParameterAttributes",
    "AddObject",
    "DeleteObject",
    "Reboot",
    "Download",
    "Upload",
    "ScheduleInform",
    "FactoryReset",
    "GetQueuedTransfers",
    "SetVouchers",
    "GetOptions",
    "GetAllQueuedTransfers",
    "ScheduleDownload",
    "CancelTransfer",
    "ChangeDUState",
];

/// Those of [`METHODS`] that this version has: 1.1 brought the fourth from the end, 1.2 the
/// last three.
pub(crate) fn methods(version: Version) -> &'static [&'static str] {
    let later = match version {
        Version::V1_0 => 4,
        Version::V1_1 => 3,
        Version::V1_2 | Version::V1_3 | Version::V1_4 => 0,
    };
    METHODS.get(..METHODS.len() - later).unwrap_or(METHODS)
}

/// How many names the limits of GetParameterValues take.
const NAMES_MAX: usize = 16;
/// How many values [`Oddity::SetLimit4`] takes.
const PARAMETERS_MAX: usize = 4;

/// How a request is answered.
pub(super) enum Reply {
    Response(Response),
    Fault(Fault),
    /// With an empty POST.
    Empty,
    /// Not at all: the connection is dropped.
    Drop,
    /// Not at all: nothing happens.
    Hang,
}

impl Cpe {
    pub(super) fn serve(&mut self, request: &Request, now: UnixTime) -> Reply {
        let method = request.method();
        if let Some(at) = self
            .failing
            .iter()
            .position(|(failing, _)| failing == method)
        {
            let (_, code) = self.failing.remove(at);
            return Reply::Fault(fault(code));
        }
        if !self.methods.contains(&method) {
            return Reply::Fault(fault(9000));
        }
        if matches!(request, Request::GetParameterNames(_))
            && self.oddities.has(Oddity::NamesAnsweredEmpty)
        {
            return Reply::Empty;
        }
        if let Some(reply) = self.exhausted(request) {
            return reply;
        }
        let drops = self.oddities.has(Oddity::DropsAtReboot);
        match self.answer(request, now) {
            Ok(Response::Reboot) if drops => Reply::Drop,
            Ok(response) => Reply::Response(response),
            Err(fault) => Reply::Fault(fault),
        }
    }

    /// What is too much for it, in one of the ways that devices have.
    fn exhausted(&mut self, request: &Request) -> Option<Reply> {
        let has = |oddity| self.oddities.has(oddity);
        match request {
            Request::GetParameterValues(names) if names.len() > NAMES_MAX => {
                if has(Oddity::GetLimit16Hangs) {
                    return Some(Reply::Hang);
                }
                if has(Oddity::GetLimit16Reboots) {
                    self.after_session.reboot = true;
                    return Some(Reply::Drop);
                }
                if has(Oddity::GetLimit16Drops) {
                    return Some(Reply::Drop);
                }
                let codes = [
                    (Oddity::GetLimit16, 9004),
                    (Oddity::GetLimit16Internal, 9002),
                    (Oddity::GetLimit16Arguments, 9003),
                ];
                let code = codes.into_iter().find(|(oddity, _)| has(*oddity));
                code.map(|(_, code)| Reply::Fault(fault(code)))
            }
            Request::GetParameterNames(asked)
                if !asked.next_level
                    && self.is_whole_tree(&asked.path)
                    && has(Oddity::FullNamesDrop) =>
            {
                Some(Reply::Drop)
            }
            Request::SetParameterValues(set)
                if set.parameters.len() > PARAMETERS_MAX && has(Oddity::SetLimit4) =>
            {
                Some(Reply::Fault(fault(9004)))
            }
            Request::AddObject(_) if has(Oddity::AddObjectRefused) => {
                Some(Reply::Fault(fault(9002)))
            }
            Request::GetParameterAttributes(_) if has(Oddity::AttributesUnsupported) => {
                Some(Reply::Fault(fault(9000)))
            }
            _ => None,
        }
    }

    fn answer(&mut self, request: &Request, now: UnixTime) -> Result<Response, Fault> {
        match request {
            Request::GetRpcMethods => {
                let methods = self.methods.iter().map(|method| (*method).to_owned());
                Ok(Response::GetRpcMethods(methods.collect()))
            }
            Request::SetParameterValues(set) => self.set_parameter_values(set, now),
            Request::GetParameterValues(names) => self.get_parameter_values(names, now),
            Request::GetParameterNames(asked) => self.get_parameter_names(asked),
            Request::SetParameterAttributes(attributes) => {
                self.set_parameter_attributes(attributes)
            }
            Request::GetParameterAttributes(names) => self.get_parameter_attributes(names),
            Request::AddObject(add) => self.add_object(add),
            Request::DeleteObject(delete) => self.delete_object(delete),
            Request::Reboot(command_key) => Ok(self.reboot(command_key)),
            Request::FactoryReset => Ok(self.reset_after_session()),
            Request::ScheduleInform(schedule) => self.schedule_inform(schedule, now),
            Request::Download(download) => self.download(download, now),
            Request::Upload(upload) => self.upload(upload, now),
            Request::ScheduleDownload(download) => self.schedule_download(download, now),
            Request::CancelTransfer(command_key) => self.cancel(command_key),
            Request::GetQueuedTransfers => Ok(self.get_queued_transfers()),
            Request::GetAllQueuedTransfers => Ok(self.get_all_queued_transfers()),
            Request::ChangeDuState(change) => self.change_du_state(change, now),
            Request::SetVouchers(vouchers) => self.set_vouchers(vouchers),
            Request::GetOptions(name) => self.get_options(name),
            Request::Inform(_)
            | Request::TransferComplete(_)
            | Request::AutonomousTransferComplete(_)
            | Request::Kicked(_)
            | Request::RequestDownload(_)
            | Request::DuStateChangeComplete(_)
            | Request::AutonomousDuStateChangeComplete(_)
            | Request::Other(_) => Err(fault(9000)),
        }
    }
}

/// A fault with the standard's words (A.5.1).
fn fault(code: u32) -> Fault {
    Fault::new(code)
}
