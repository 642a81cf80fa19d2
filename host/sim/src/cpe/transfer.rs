//! Download and Upload: the queue, and what a finished transfer does to the device.

use cwmp::{Download, TransferComplete, TransferFault, Upload};

use super::Cpe;
use crate::model::{Node, date_time};
use crate::{Oddity, UnixTime};

/// How many transfers wait before fault 9004 (A.3.2.8 asks for at least 3).
const TRANSFERS_QUEUED_MAX: usize = 8;

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
    Upload,
}

#[derive(Debug, Clone)]
struct Transfer {
    kind: Kind,
    due: UnixTime,
    started: UnixTime,
    command_key: Box<str>,
    url: Box<str>,
    username: Box<str>,
    password: Box<str>,
    file_size: u32,
}

/// Transfers that wait, the one that runs, and those whose TransferComplete waits.
#[derive(Debug, Clone, Default)]
pub(super) struct Transfers {
    waiting: Vec<Transfer>,
    running: Option<Box<Transfer>>,
    pub(super) complete: Vec<(&'static str, TransferComplete)>,
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
            upload: (next.kind == Kind::Upload).then(Vec::new),
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
        let kind = match download.file_type.trim() {
            "1 Firmware Upgrade Image" => Kind::Firmware,
            "3 Vendor Configuration File" => Kind::Configuration,
            "2 Web Content" | "4 Tone File" | "5 Ringer File" => Kind::OtherDownload,
            vendor if vendor.starts_with("X ") => Kind::OtherDownload,
            _ => return Err(9003),
        };
        self.transfers.queue(Transfer {
            kind,
            due: now + std::time::Duration::from_secs(download.delay_seconds.into()),
            started: now,
            command_key: download.command_key.as_str().into(),
            url: download.url.as_str().into(),
            username: download.username.as_str().into(),
            password: download.password.as_str().into(),
            file_size: download.file_size,
        })
    }

    pub(super) fn queue_upload(&mut self, upload: &Upload, now: UnixTime) -> Result<(), u32> {
        self.transfers.queue(Transfer {
            kind: Kind::Upload,
            due: now + std::time::Duration::from_secs(upload.delay_seconds.into()),
            started: now,
            command_key: upload.command_key.as_str().into(),
            url: upload.url.as_str().into(),
            username: upload.username.as_str().into(),
            password: upload.password.as_str().into(),
            file_size: 0,
        })
    }

    /// The transfer that [`Cpe::poll`] named begins. Fills in what an upload sends.
    pub fn transfer_begun(&mut self, job: &mut TransferJob, now: UnixTime) {
        let waiting = self.transfers.waiting.iter();
        let at = waiting.take_while(|transfer| transfer.due > now).count();
        if at < self.transfers.waiting.len() {
            let mut transfer = self.transfers.waiting.remove(at);
            transfer.started = now;
            self.transfers.running = Some(Box::new(transfer));
        }
        if job.upload.is_some() {
            job.upload = Some(self.configuration(now).into_bytes());
        }
    }

    /// The transfer is over: the file is applied, and TransferComplete waits for a session.
    pub fn transfer_done(&mut self, result: TransferResult, now: UnixTime) {
        let Some(transfer) = self.transfers.running.take() else {
            return;
        };
        let fault = match &result {
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
                    self.identity.software_version = firmware_version(file, &transfer.url).into();
                    reboots = true;
                }
                Kind::Configuration => self.apply_configuration(file),
                Kind::OtherDownload | Kind::Upload => {}
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
        let method = match transfer.kind {
            Kind::Upload => "M Upload",
            _ => "M Download",
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
        for _ in 0..copies {
            self.transfers.complete.push((method, complete.clone()));
        }
        self.events.transfer_complete(method, &complete.command_key);
    }

    /// The answer to the first waiting TransferComplete came.
    pub(super) fn transfer_told(&mut self) {
        if !self.transfers.complete.is_empty() {
            self.transfers.complete.remove(0);
        }
    }

    /// As long as a TransferComplete waits, its events belong into each Inform.
    pub(super) fn repeat_transfer_events(&mut self) {
        for (method, complete) in &self.transfers.complete {
            self.events.transfer_complete(method, &complete.command_key);
        }
    }

    /// What Upload sends: a line `name=value` for each parameter that can be written and read.
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
    transfer.kind == Kind::Upload || announced == 0 || announced == file.len()
}

/// The version a firmware file holds: its first line `version=…`, else the version number in
/// its name, else something of its own.
fn firmware_version(file: &[u8], url: &str) -> String {
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
