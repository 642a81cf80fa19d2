//! Download, ScheduleDownload and Upload: the queue, and what a finished transfer does to the
//! device.

use std::time::Duration;

use cwmp::{
    AnyQueuedTransfer, Download, EventKind, Request, ScheduleDownload, TimeWindow,
    TransferComplete, TransferFault, TransferState, Upload,
};

use super::Cpe;
use crate::model::{Node, date_time};
use crate::{Oddity, UnixTime};

/// How many transfers wait before fault 9004 (A.3.2.8 asks for at least 3).
const TRANSFERS_QUEUED_MAX: usize = 8;
/// How long after a failure a scheduled download is tried again.
const RETRY_TIME: Duration = Duration::from_secs(30);

/// A file to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferJob {
    /// Where from, or where to.
    pub url: String,
    /// Of the file server; may be empty.
    pub username: String,
    /// Of the file server.
    pub password: String,
    /// What to send; `None`: a download.
    pub upload: Option<Vec<u8>>,
}

/// How a [`TransferJob`] ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferResult {
    /// The file, empty after an upload.
    Done(Vec<u8>),
    /// A fault code of A.5 (9010–9019) and its text.
    Failed(u32, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Firmware,
    Configuration,
    OtherDownload,
    ConfigurationUpload,
    LogUpload,
}

#[derive(Debug, Clone)]
struct Transfer {
    kind: Kind,
    method: &'static str,
    due: UnixTime,
    started: UnixTime,
    command_key: Box<str>,
    file_type: Box<str>,
    url: Box<str>,
    username: Box<str>,
    password: Box<str>,
    file_size: u32,
    target_file_name: Box<str>,
    /// Of a ScheduleDownload: those that are not over, the next one first.
    windows: Vec<Window>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    start: UnixTime,
    end: UnixTime,
    /// Negative: no limit.
    retries: i32,
}

/// Transfers that wait, the one that runs, and those that nobody was told of yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Transfers {
    waiting: Vec<Transfer>,
    running: Option<Box<Transfer>>,
    /// Those whose TransferComplete waits, in that order.
    completed: Vec<AnyQueuedTransfer>,
    /// The version of a firmware that is flashed once its TransferComplete is told.
    flashing: Option<Box<str>>,
}

impl Kind {
    fn is_upload(self) -> bool {
        matches!(self, Kind::ConfigurationUpload | Kind::LogUpload)
    }

    fn of_download(file_type: &str) -> Result<Kind, u32> {
        match file_type.trim() {
            "1 Firmware Upgrade Image" => Ok(Kind::Firmware),
            "3 Vendor Configuration File" => Ok(Kind::Configuration),
            "2 Web Content" | "4 Tone File" | "5 Ringer File" => Ok(Kind::OtherDownload),
            vendor if vendor.starts_with("X ") => Ok(Kind::OtherDownload),
            _ => Err(9003),
        }
    }

    /// `1 Vendor Configuration File`, `4 Vendor Log File 2`, ….
    fn of_upload(file_type: &str) -> Result<Kind, u32> {
        match file_type.trim().split(' ').nth(2) {
            Some("Configuration") => Ok(Kind::ConfigurationUpload),
            Some("Log") => Ok(Kind::LogUpload),
            _ => Err(9003),
        }
    }
}

impl Transfer {
    /// Whether a failed transfer goes back into the queue, as its window allows.
    fn try_again(&mut self, now: UnixTime) -> bool {
        let Some(window) = self.windows.first_mut() else {
            return false;
        };
        if window.retries == 0 || now + RETRY_TIME >= window.end {
            self.windows.remove(0);
        } else {
            window.retries -= window.retries.signum();
        }
        match self.windows.first() {
            Some(window) => self.due = window.start.max(now + RETRY_TIME),
            None => return false,
        }
        true
    }

    fn queued(&self, state: TransferState) -> AnyQueuedTransfer {
        AnyQueuedTransfer {
            command_key: self.command_key.to_string(),
            state,
            is_download: !self.kind.is_upload(),
            file_type: self.file_type.to_string(),
            file_size: self.file_size,
            target_file_name: self.target_file_name.to_string(),
        }
    }
}

/// One or two windows that follow each other, in a mode of the standard or of a vendor. The
/// simulated user confirms whatever is to be confirmed.
fn windows(asked: &[TimeWindow], now: UnixTime) -> Result<Vec<Window>, u32> {
    let known = |mode: &str| {
        let standard = [
            "1 At Any Time",
            "2 Immediately",
            "3 When Idle",
            "4 Confirmation Needed",
        ];
        standard.contains(&mode) || mode.starts_with("X ")
    };
    let mut windows: Vec<Window> = Vec::new();
    let mut free_from = 0;
    for one in asked {
        if one.start_seconds < free_from
            || one.end_seconds <= one.start_seconds
            || !known(&one.mode)
        {
            return Err(9003);
        }
        free_from = one.end_seconds;
        windows.push(Window {
            start: now + Duration::from_secs(one.start_seconds.into()),
            end: now + Duration::from_secs(one.end_seconds.into()),
            retries: one.max_retries,
        });
    }
    match windows.len() {
        1 | 2 => Ok(windows),
        _ => Err(9003),
    }
}

impl Transfers {
    pub(super) fn due(&self, now: UnixTime) -> Option<TransferJob> {
        if self.running.is_some() {
            return None;
        }
        let next = self.waiting.iter().find(|transfer| transfer.due <= now)?;
        Some(TransferJob {
            url: next.url.to_string(),
            username: next.username.to_string(),
            password: next.password.to_string(),
            upload: next.kind.is_upload().then(Vec::new),
        })
    }

    pub(super) fn next_due(&self) -> Option<UnixTime> {
        self.waiting.iter().map(|transfer| transfer.due).min()
    }

    fn queue(&mut self, transfer: Transfer) -> Result<(), u32> {
        if !(transfer.url.starts_with("http://")) {
            return Err(9013);
        }
        if self.waiting.len() >= TRANSFERS_QUEUED_MAX {
            return Err(9004);
        }
        self.waiting.push(transfer);
        Ok(())
    }
}

impl Cpe {
    pub(super) fn queue_download(&mut self, download: &Download, now: UnixTime) -> Result<(), u32> {
        if download.delay_seconds == 0 && self.oddities.has(Oddity::TransferDelayNeeded) {
            return Err(9003);
        }
        self.transfers.queue(Transfer {
            kind: Kind::of_download(&download.file_type)?,
            method: "Download",
            due: now + Duration::from_secs(download.delay_seconds.into()),
            started: now,
            command_key: download.command_key.as_str().into(),
            file_type: download.file_type.as_str().into(),
            url: download.url.as_str().into(),
            username: download.username.as_str().into(),
            password: download.password.as_str().into(),
            file_size: download.file_size,
            target_file_name: download.target_file_name.as_str().into(),
            windows: Vec::new(),
        })
    }

    pub(super) fn queue_scheduled(
        &mut self,
        download: &ScheduleDownload,
        now: UnixTime,
    ) -> Result<(), u32> {
        let windows = windows(&download.windows, now)?;
        let first = windows.first().ok_or(9003_u32)?.start;
        self.transfers.queue(Transfer {
            kind: Kind::of_download(&download.file_type)?,
            method: "ScheduleDownload",
            due: first,
            started: now,
            command_key: download.command_key.as_str().into(),
            file_type: download.file_type.as_str().into(),
            url: download.url.as_str().into(),
            username: download.username.as_str().into(),
            password: download.password.as_str().into(),
            file_size: download.file_size,
            target_file_name: download.target_file_name.as_str().into(),
            windows,
        })
    }

    pub(super) fn queue_upload(&mut self, upload: &Upload, now: UnixTime) -> Result<(), u32> {
        self.transfers.queue(Transfer {
            kind: Kind::of_upload(&upload.file_type)?,
            method: "Upload",
            due: now + Duration::from_secs(upload.delay_seconds.into()),
            started: now,
            command_key: upload.command_key.as_str().into(),
            file_type: upload.file_type.as_str().into(),
            url: upload.url.as_str().into(),
            username: upload.username.as_str().into(),
            password: upload.password.as_str().into(),
            file_size: 0,
            target_file_name: "".into(),
            windows: Vec::new(),
        })
    }

    /// Takes a transfer that has not begun out of the queue; 9021 for one that has. What is
    /// not there need not be cancelled.
    pub(super) fn cancel_transfer(&mut self, command_key: &str) -> Result<(), u32> {
        let under_way = self.queued_transfers().into_iter().any(|transfer| {
            transfer.command_key == command_key && transfer.state != TransferState::NotStarted
        });
        if under_way {
            return Err(9021);
        }
        let waiting = &mut self.transfers.waiting;
        waiting.retain(|transfer| *transfer.command_key != *command_key);
        Ok(())
    }

    /// All transfers whose TransferComplete was not answered.
    pub(super) fn queued_transfers(&self) -> Vec<AnyQueuedTransfer> {
        let completed = self.transfers.completed.iter().cloned();
        let running = self.transfers.running.iter();
        let running = running.map(|transfer| transfer.queued(TransferState::InProgress));
        let waiting = self.transfers.waiting.iter();
        let waiting = waiting.map(|transfer| transfer.queued(TransferState::NotStarted));
        completed.chain(running).chain(waiting).collect()
    }

    /// Moves scheduled downloads whose window is over to their next one, or tells that there
    /// is none.
    pub(super) fn leave_windows(&mut self, now: UnixTime) {
        let mut late = Vec::new();
        self.transfers.waiting.retain_mut(|transfer| {
            let was_scheduled = !transfer.windows.is_empty();
            transfer.windows.retain(|window| window.end > now);
            match transfer.windows.first() {
                Some(window) => transfer.due = transfer.due.max(window.start),
                None if was_scheduled => {
                    late.push(transfer.clone());
                    return false;
                }
                None => {}
            }
            true
        });
        for transfer in late {
            self.remember_complete(&transfer, TransferFault::new(9020), now);
            self.schedule.want_session();
        }
    }

    /// The transfer that [`Cpe::poll`] named begins. Fills in what an upload sends.
    pub fn transfer_begun(&mut self, job: &mut TransferJob, now: UnixTime) {
        let mut waiting = self.transfers.waiting.iter();
        let at = waiting.position(|transfer| transfer.due <= now && *transfer.url == *job.url);
        match at {
            Some(at) => {
                let mut transfer = self.transfers.waiting.remove(at);
                transfer.started = now;
                self.transfers.running = Some(Box::new(transfer));
            }
            None => self.software.fetch_begun(),
        }
        if job.upload.is_some() {
            let running = self.transfers.running.as_ref();
            let content = match running.map(|transfer| transfer.kind) {
                Some(Kind::LogUpload) => self.log(now),
                _ => self.configuration(now),
            };
            job.upload = Some(content.into_bytes());
        }
    }

    /// The transfer is over: the file is applied, and TransferComplete waits for a session.
    pub fn transfer_done(&mut self, result: TransferResult, now: UnixTime) {
        let Some(mut transfer) = self.transfers.running.take() else {
            return self.module_fetched(result, now);
        };
        if matches!(result, TransferResult::Failed(..)) && transfer.try_again(now) {
            self.transfers.waiting.push(*transfer);
            return;
        }
        let mut fault = match &result {
            TransferResult::Failed(code, text) => TransferFault {
                code: *code,
                text: text.clone(),
            },
            TransferResult::Done(file) if !size_is_right(file, &transfer) => TransferFault {
                code: 9018,
                text: "the file has not the size announced".to_owned(),
            },
            TransferResult::Done(_) => TransferFault::default(),
        };
        let mut reboots = false;
        if let TransferResult::Done(file) = &result
            && fault.code == 0
        {
            match transfer.kind {
                Kind::Firmware => {
                    let version = firmware_version(file, &transfer.url);
                    let told_first = [Oddity::TransferBeforeBoot, Oddity::TransferFaultFlashed];
                    if told_first.iter().any(|oddity| self.oddities.has(*oddity)) {
                        self.transfers.flashing = Some(version.into());
                    } else {
                        self.identity.software_version = version.into();
                        reboots = true;
                    }
                    if self.oddities.has(Oddity::TransferFaultFlashed) {
                        fault = TransferFault {
                            code: 9010,
                            text: "Download failure".to_owned(),
                        };
                    }
                }
                Kind::Configuration => self.apply_configuration(file),
                _ => {}
            }
        }
        self.remember_complete(&transfer, fault, now);
        if reboots {
            self.power_cycle(now);
        } else if self.tells_transfers() {
            self.schedule.want_session();
        }
    }

    fn remember_complete(&mut self, transfer: &Transfer, fault: TransferFault, now: UnixTime) {
        if !self.tells_transfers() {
            return;
        }
        let command_key = if self.oddities.has(Oddity::TransferWithoutKey) {
            String::new()
        } else {
            transfer.command_key.to_string()
        };
        let complete = TransferComplete {
            command_key,
            fault,
            start_time: date_time(transfer.started),
            complete_time: date_time(now),
        };
        let copies = if self.oddities.has(Oddity::TransferTwice) {
            2
        } else {
            1
        };
        let command_key = complete.command_key.clone();
        let events = [
            (EventKind::TransferComplete, ""),
            (EventKind::Method(transfer.method), command_key.as_str()),
        ];
        for _ in 0..copies {
            let told_later = transfer.queued(TransferState::Completed);
            self.transfers.completed.push(told_later);
            self.tell(Request::TransferComplete(complete.clone()), &events);
        }
    }

    /// The answer to the first TransferComplete came.
    pub(super) fn transfer_told(&mut self) {
        if !self.transfers.completed.is_empty() {
            self.transfers.completed.remove(0);
        }
    }

    /// A firmware whose TransferComplete was told before is flashed now.
    pub(super) fn flash(&mut self, now: UnixTime) {
        if self.transfers.completed.is_empty()
            && let Some(version) = self.transfers.flashing.take()
        {
            self.identity.software_version = version;
            self.power_cycle(now);
        }
    }

    /// What Upload sends as the log.
    fn log(&self, now: UnixTime) -> String {
        let (boot, now) = (date_time(self.booted_at).0, date_time(now).0);
        let version = self.software_version();
        format!("{boot} kernel: boot, version {version}\n{now} cwmpd: upload of the log\n")
    }

    /// What Upload sends as the configuration: a line `name=value` for each parameter that can be written and read.
    fn configuration(&self, now: UnixTime) -> String {
        let facts = self.facts(now);
        let mut text = String::new();
        self.tree.walk("", &mut |path, node| {
            if let Node::Parameter(parameter) = node
                && parameter.leaf.writable
                && !parameter.leaf.hidden
            {
                let value = self.tree.value(path, parameter, &facts);
                text.push_str(&format!("{path}={value}\n"));
            }
        });
        text
    }

    /// Takes what [`Cpe::configuration`] wrote; lines that fit to nothing are left out.
    fn apply_configuration(&mut self, file: &[u8]) {
        for line in String::from_utf8_lossy(file).lines() {
            if let Some((path, value)) = line.split_once('=')
                && self
                    .tree
                    .parameter(path)
                    .is_some_and(|parameter| parameter.leaf.writable)
            {
                self.tree.set(path, value.into());
            }
        }
    }
}

fn size_is_right(file: &[u8], transfer: &Transfer) -> bool {
    let announced = usize::try_from(transfer.file_size).unwrap_or(usize::MAX);
    transfer.kind.is_upload() || announced == 0 || announced == file.len()
}

/// The version a firmware file holds: its first line `version=…`, else the version number in
/// its name, else something of its own.
pub(super) fn firmware_version(file: &[u8], url: &str) -> String {
    let first_line = file.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if let Some(version) = first_line.strip_prefix(b"version=") {
        let version = String::from_utf8_lossy(version);
        return version.trim().chars().take(64).collect();
    }
    let name = url.split(['?', '#']).next().unwrap_or_default();
    let name = name.rsplit('/').next().unwrap_or_default();
    let pieces = name.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    let version = pieces
        .map(|piece| piece.trim_matches('.'))
        .find(|piece| piece.contains('.'));
    match version {
        Some(version) => version.to_owned(),
        None => format!("fw-{}", file.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_firmware_names_its_version() {
        let cases: [(&[u8], &str, &str); 4] = [
            (b"version=7.1\nrest", "http://f/image.bin", "7.1"),
            (b"\x7fELF", "http://f/nl-home6_3.5.0.bin?x=1.2", "3.5.0"),
            (b"\x7fELF", "http://f/v2.bin", "fw-4"),
            (b"", "http://f/", "fw-0"),
        ];
        for (file, url, version) in cases {
            assert_eq!(firmware_version(file, url), version, "{url}");
        }
    }
}
