//! Reboot (A.3.2.9), FactoryReset (A.4.1.6), ScheduleInform (A.4.1.2), Download (A.3.2.8),
//! ScheduleDownload (A.4.1.8) and Upload (A.4.1.5): what is ordered now and happens after the
//! session; and the queue of the transfers, GetQueuedTransfers (A.4.1.1),
//! GetAllQueuedTransfers (A.4.1.7) and CancelTransfer (A.4.1.9).

use std::time::Duration;

use cwmp::{
    Applied, DateTime, Download, EventKind, Fault, QueuedTransfer, Response, ScheduleDownload,
    ScheduleInform, TransferStarted, Upload,
};

use super::fault;
use crate::UnixTime;
use crate::cpe::Cpe;

impl Cpe {
    pub(super) fn reboot(&mut self, command_key: &str) -> Response {
        self.events
            .happened(EventKind::Method("Reboot"), command_key);
        self.after_session.reboot = true;
        Response::Reboot
    }

    pub(super) fn reset_after_session(&mut self) -> Response {
        self.after_session.factory_reset = true;
        Response::FactoryReset
    }

    pub(super) fn schedule_inform(
        &mut self,
        asked: &ScheduleInform,
        now: UnixTime,
    ) -> Result<Response, Fault> {
        if asked.delay_seconds == 0 {
            return Err(fault(9003));
        }
        let at = now + Duration::from_secs(asked.delay_seconds.into());
        self.schedule.inform_at(at, &asked.command_key);
        Ok(Response::ScheduleInform)
    }

    pub(super) fn download(
        &mut self,
        download: &Download,
        now: UnixTime,
    ) -> Result<Response, Fault> {
        self.queue_download(download, now).map_err(fault)?;
        Ok(Response::Download(begun_later()))
    }

    pub(super) fn upload(&mut self, upload: &Upload, now: UnixTime) -> Result<Response, Fault> {
        self.queue_upload(upload, now).map_err(fault)?;
        Ok(Response::Upload(begun_later()))
    }

    pub(super) fn schedule_download(
        &mut self,
        download: &ScheduleDownload,
        now: UnixTime,
    ) -> Result<Response, Fault> {
        self.queue_scheduled(download, now).map_err(fault)?;
        Ok(Response::ScheduleDownload)
    }

    pub(super) fn cancel(&mut self, command_key: &str) -> Result<Response, Fault> {
        self.cancel_transfer(command_key).map_err(fault)?;
        Ok(Response::CancelTransfer)
    }

    pub(super) fn get_queued_transfers(&self) -> Response {
        let transfers = self.queued_transfers().into_iter();
        let transfers = transfers.map(|transfer| QueuedTransfer {
            command_key: transfer.command_key,
            state: transfer.state,
        });
        Response::GetQueuedTransfers(transfers.collect())
    }

    pub(super) fn get_all_queued_transfers(&self) -> Response {
        Response::GetAllQueuedTransfers(self.queued_transfers())
    }
}

/// A device never transfers within the session that ordered it.
fn begun_later() -> TransferStarted {
    TransferStarted {
        applied: Applied::Later,
        start_time: DateTime::unknown(),
        complete_time: DateTime::unknown(),
    }
}
