//! All requests and all responses.

use proptest::prelude::*;
use proptest::sample::select;

use super::{Make, applied, raw};
use crate::*;

impl Make {
    pub(super) fn request(self) -> BoxedStrategy<Request> {
        let set = (self.values(), self.text()).prop_map(|(parameters, parameter_key)| {
            Request::SetParameterValues(SetParameterValues {
                parameters,
                parameter_key,
            })
        });
        let get_names = (self.name(), any::<bool>()).prop_map(|(path, next_level)| {
            Request::GetParameterNames(GetParameterNames { path, next_level })
        });
        let object = (self.name(), self.text());
        let add = object.clone().prop_map(|(object_name, parameter_key)| {
            Request::AddObject(AddObject {
                object_name,
                parameter_key,
            })
        });
        let delete = object.prop_map(|(object_name, parameter_key)| {
            Request::DeleteObject(DeleteObject {
                object_name,
                parameter_key,
            })
        });
        let schedule = (any::<u32>(), self.text()).prop_map(|(delay_seconds, command_key)| {
            Request::ScheduleInform(ScheduleInform {
                delay_seconds,
                command_key,
            })
        });
        prop_oneof![
            select(vec![
                Request::GetRpcMethods,
                Request::FactoryReset,
                Request::GetQueuedTransfers,
                Request::GetAllQueuedTransfers,
            ]),
            self.inform().prop_map(|rpc| Request::Inform(Box::new(rpc))),
            self.transfer_complete().prop_map(Request::TransferComplete),
            self.autonomous()
                .prop_map(|rpc| Request::AutonomousTransferComplete(Box::new(rpc))),
            set,
            self.names().prop_map(Request::GetParameterValues),
            get_names,
            prop::collection::vec(self.attributes_to_set(), 0..3)
                .prop_map(Request::SetParameterAttributes),
            self.names().prop_map(Request::GetParameterAttributes),
            add,
            delete,
            self.download()
                .prop_map(|rpc| Request::Download(Box::new(rpc))),
            self.text().prop_map(Request::Reboot),
            schedule,
            self.upload().prop_map(|rpc| Request::Upload(Box::new(rpc))),
            self.schedule_download()
                .prop_map(|rpc| Request::ScheduleDownload(Box::new(rpc))),
            self.text().prop_map(Request::CancelTransfer),
            self.change_du_state().prop_map(Request::ChangeDuState),
            self.names().prop_map(Request::SetVouchers),
            self.name().prop_map(Request::GetOptions),
            self.request_download().prop_map(Request::RequestDownload),
            self.kicked().prop_map(|rpc| Request::Kicked(Box::new(rpc))),
            self.du_complete().prop_map(Request::DuStateChangeComplete),
            self.autonomous_du()
                .prop_map(Request::AutonomousDuStateChangeComplete),
            raw("X_[A-Z]{1,5}").prop_map(Request::Other),
        ]
        .boxed()
    }

    pub(super) fn response(self) -> BoxedStrategy<Response> {
        let info = (self.name(), any::<bool>())
            .prop_map(|(path, writable)| ParameterInfo { path, writable });
        prop_oneof![
            select(vec![
                Response::Inform,
                Response::TransferComplete,
                Response::AutonomousTransferComplete,
                Response::SetParameterAttributes,
                Response::Reboot,
                Response::ScheduleInform,
                Response::FactoryReset,
                Response::RequestDownload,
                Response::DuStateChangeComplete,
                Response::AutonomousDuStateChangeComplete,
                Response::SetVouchers,
                Response::ScheduleDownload,
                Response::CancelTransfer,
                Response::ChangeDuState,
            ]),
            self.names().prop_map(Response::GetRpcMethods),
            applied().prop_map(Response::SetParameterValues),
            self.values().prop_map(Response::GetParameterValues),
            prop::collection::vec(info, 0..4).prop_map(Response::GetParameterNames),
            prop::collection::vec(self.attributes(), 0..3)
                .prop_map(Response::GetParameterAttributes),
            (any::<u32>(), applied())
                .prop_map(|(instance, applied)| Response::AddObject(instance, applied)),
            applied().prop_map(Response::DeleteObject),
            self.started().prop_map(Response::Download),
            self.started().prop_map(Response::Upload),
            self.text().prop_map(Response::Kicked),
            prop::collection::vec(self.queued(), 0..3).prop_map(Response::GetQueuedTransfers),
            prop::collection::vec(self.any_queued(), 0..3)
                .prop_map(Response::GetAllQueuedTransfers),
            prop::collection::vec(self.option(), 0..3).prop_map(Response::GetOptions),
            raw("X_[A-Z]{1,5}Response").prop_map(Response::Other),
        ]
        .boxed()
    }
}
