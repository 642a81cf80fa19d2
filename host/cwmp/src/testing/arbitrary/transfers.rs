//! Transfers of files, and what devices tell of them.

use proptest::prelude::*;
use proptest::sample::select;

use super::{Make, applied};
use crate::*;

impl Make {
    pub(super) fn transfer_fault(self) -> BoxedStrategy<TransferFault> {
        (any::<u32>(), self.text())
            .prop_map(|(code, text)| TransferFault { code, text })
            .boxed()
    }

    pub(super) fn started(self) -> BoxedStrategy<TransferStarted> {
        (applied(), self.time(), self.time())
            .prop_map(|(applied, start_time, complete_time)| TransferStarted {
                applied,
                start_time,
                complete_time,
            })
            .boxed()
    }

    pub(super) fn download(self) -> BoxedStrategy<Download> {
        let texts = prop::collection::vec(self.text(), 8);
        (texts, any::<u32>(), any::<u32>())
            .prop_map(|(mut texts, file_size, delay_seconds)| {
                let mut next = || texts.pop().unwrap();
                Download {
                    command_key: next(),
                    file_type: next(),
                    url: next(),
                    username: next(),
                    password: next(),
                    file_size,
                    target_file_name: next(),
                    delay_seconds,
                    success_url: next(),
                    failure_url: next(),
                }
            })
            .boxed()
    }

    pub(super) fn upload(self) -> BoxedStrategy<Upload> {
        let texts = (
            self.text(),
            self.text(),
            self.text(),
            self.text(),
            self.text(),
        );
        (texts, any::<u32>())
            .prop_map(
                |((command_key, file_type, url, username, password), delay_seconds)| Upload {
                    command_key,
                    file_type,
                    url,
                    username,
                    password,
                    delay_seconds,
                },
            )
            .boxed()
    }

    pub(super) fn transfer_complete(self) -> BoxedStrategy<TransferComplete> {
        (self.text(), self.transfer_fault(), self.time(), self.time())
            .prop_map(
                |(command_key, fault, start_time, complete_time)| TransferComplete {
                    command_key,
                    fault,
                    start_time,
                    complete_time,
                },
            )
            .boxed()
    }

    pub(super) fn autonomous(self) -> BoxedStrategy<AutonomousTransferComplete> {
        let texts = (self.text(), self.text(), self.text(), self.text());
        let rest = (
            any::<bool>(),
            any::<u32>(),
            self.transfer_fault(),
            self.time(),
            self.time(),
        );
        (texts, rest)
            .prop_map(
                |(texts, (is_download, file_size, fault, start_time, complete_time))| {
                    let (announce_url, transfer_url, file_type, target_file_name) = texts;
                    AutonomousTransferComplete {
                        announce_url,
                        transfer_url,
                        is_download,
                        file_type,
                        file_size,
                        target_file_name,
                        fault,
                        start_time,
                        complete_time,
                    }
                },
            )
            .boxed()
    }

    pub(super) fn queued(self) -> BoxedStrategy<QueuedTransfer> {
        (self.text(), state())
            .prop_map(|(command_key, state)| QueuedTransfer { command_key, state })
            .boxed()
    }

    pub(super) fn any_queued(self) -> BoxedStrategy<AnyQueuedTransfer> {
        let texts = (self.text(), self.text(), self.text());
        (texts, state(), any::<bool>(), any::<u32>())
            .prop_map(
                |((command_key, file_type, target_file_name), state, is_download, file_size)| {
                    AnyQueuedTransfer {
                        command_key,
                        state,
                        is_download,
                        file_type,
                        file_size,
                        target_file_name,
                    }
                },
            )
            .boxed()
    }

    pub(super) fn schedule_download(self) -> BoxedStrategy<ScheduleDownload> {
        let seconds = (any::<u32>(), any::<u32>(), any::<i32>());
        let window = (seconds, self.text(), self.text()).prop_map(
            |((start_seconds, end_seconds, max_retries), mode, user_message)| TimeWindow {
                start_seconds,
                end_seconds,
                mode,
                user_message,
                max_retries,
            },
        );
        let windows = prop::collection::vec(window, 0..3);
        (self.download(), windows)
            .prop_map(|(download, windows)| ScheduleDownload {
                command_key: download.command_key,
                file_type: download.file_type,
                url: download.url,
                username: download.username,
                password: download.password,
                file_size: download.file_size,
                target_file_name: download.target_file_name,
                windows,
            })
            .boxed()
    }

    pub(super) fn request_download(self) -> BoxedStrategy<RequestDownload> {
        let argument = (self.name(), self.text());
        (self.text(), prop::collection::vec(argument, 0..3))
            .prop_map(|(file_type, arguments)| RequestDownload {
                file_type,
                arguments,
            })
            .boxed()
    }
}

fn state() -> BoxedStrategy<TransferState> {
    select(vec![
        TransferState::NotStarted,
        TransferState::InProgress,
        TransferState::Completed,
    ])
    .boxed()
}
