//! What an operation is called: its tag (`op`) in JSON.

use crate::work::task::Operation;

impl Operation {
    /// `get`, `set`, `reboot`, …: as `op` says it.
    pub fn name(&self) -> &'static str {
        match self {
            Operation::Get { .. } => "get",
            Operation::Set { .. } => "set",
            Operation::Names { .. } => "names",
            Operation::Attributes { .. } => "attributes",
            Operation::SetAttributes { .. } => "set-attributes",
            Operation::AddObject { .. } => "add-object",
            Operation::DeleteObject { .. } => "delete-object",
            Operation::RpcMethods => "rpc-methods",
            Operation::Reboot => "reboot",
            Operation::FactoryReset => "factory-reset",
            Operation::Download { .. } => "download",
            Operation::Upload { .. } => "upload",
            Operation::Diagnostics(_) => "diagnostics",
            Operation::ScheduleInform { .. } => "schedule-inform",
            Operation::QueuedTransfers => "queued-transfers",
            Operation::ScheduleDownload { .. } => "schedule-download",
            Operation::CancelTransfer { .. } => "cancel-transfer",
            Operation::ChangeDuState { .. } => "change-du-state",
            Operation::SetVouchers { .. } => "set-vouchers",
            Operation::GetOptions { .. } => "get-options",
            Operation::Flow { .. } => "flow",
            Operation::Raw { .. } => "raw",
        }
    }
}
