//! Several answers as one.

use cwmp::{Applied, Request, Response};

/// Adds a further answer.
pub(super) fn into(merged: &mut Option<Response>, response: Response) {
    let Some(before) = merged else {
        *merged = Some(response);
        return;
    };
    match (before, response) {
        (Response::GetParameterValues(all), Response::GetParameterValues(more)) => all.extend(more),
        (Response::GetParameterNames(all), Response::GetParameterNames(more)) => all.extend(more),
        (Response::GetParameterAttributes(all), Response::GetParameterAttributes(more)) => {
            all.extend(more);
        }
        (Response::SetParameterValues(all), Response::SetParameterValues(Applied::Later)) => {
            *all = Applied::Later;
        }
        (Response::SetParameterValues(_), Response::SetParameterValues(Applied::Now)) => {}
        (before, response) => *before = response,
    }
}

/// The answer to a request that its profile dropped.
pub(super) fn nothing(asked: &Request) -> Response {
    match asked {
        Request::GetParameterValues(_) => Response::GetParameterValues(Vec::new()),
        Request::GetParameterNames(_) => Response::GetParameterNames(Vec::new()),
        Request::GetParameterAttributes(_) => Response::GetParameterAttributes(Vec::new()),
        Request::SetParameterAttributes(_) => Response::SetParameterAttributes,
        Request::DeleteObject(_) => Response::DeleteObject(Applied::Now),
        Request::Reboot(_) => Response::Reboot,
        Request::FactoryReset => Response::FactoryReset,
        Request::ScheduleInform(_) => Response::ScheduleInform,
        Request::GetRpcMethods => Response::GetRpcMethods(Vec::new()),
        Request::GetQueuedTransfers => Response::GetQueuedTransfers(Vec::new()),
        Request::GetAllQueuedTransfers => Response::GetAllQueuedTransfers(Vec::new()),
        Request::GetOptions(_) => Response::GetOptions(Vec::new()),
        Request::SetVouchers(_) => Response::SetVouchers,
        Request::ScheduleDownload(_) => Response::ScheduleDownload,
        Request::CancelTransfer(_) => Response::CancelTransfer,
        Request::ChangeDuState(_) => Response::ChangeDuState,
        _ => Response::SetParameterValues(Applied::Now),
    }
}
