//! The queue of transfers: what is in it, windows, and taking something out.

use std::time::Duration;

use cwmp::{
    AnyQueuedTransfer, Download, Request, Response, ScheduleDownload, TimeWindow, TransferComplete,
    TransferState,
};

use super::pair::{Pair, codes};

fn window(start_seconds: u32, end_seconds: u32, max_retries: i32) -> TimeWindow {
    TimeWindow {
        start_seconds,
        end_seconds,
        mode: "3 When Idle".to_owned(),
        user_message: String::new(),
        max_retries,
    }
}

fn scheduled(windows: Vec<TimeWindow>) -> Request {
    Request::ScheduleDownload(Box::new(ScheduleDownload {
        command_key: "s1".to_owned(),
        file_type: "1 Firmware Upgrade Image".to_owned(),
        url: "http://files/nl_3.9.bin".to_owned(),
        windows,
        ..ScheduleDownload::default()
    }))
}

fn download(command_key: &str, delay_seconds: u32) -> Request {
    Request::Download(Box::new(Download {
        command_key: command_key.to_owned(),
        file_type: "2 Web Content".to_owned(),
        url: "http://files/page".to_owned(),
        file_size: 4,
        target_file_name: "page".to_owned(),
        delay_seconds,
        ..Download::default()
    }))
}

fn cancel(command_key: &str) -> Request {
    Request::CancelTransfer(command_key.to_owned())
}

fn told(pair: &Pair) -> Vec<&TransferComplete> {
    let requests = pair.requests.iter();
    requests
        .filter_map(|request| match request {
            Request::TransferComplete(complete) => Some(complete),
            _ => None,
        })
        .collect()
}

fn ready() -> Pair {
    let mut pair = Pair::tr181();
    pair.next_session();
    pair
}

#[test]
fn a_download_waits_for_its_window() {
    let mut pair = ready();
    pair.files.push(("nl_3.9.bin", b"image".to_vec()));
    let asked = pair.now;
    pair.ask(scheduled(vec![window(600, 900, 0)])).unwrap();
    let events = codes(&pair.next_session());
    assert_eq!(
        events,
        ["1 BOOT", "7 TRANSFER COMPLETE", "M ScheduleDownload s1"]
    );
    assert!(pair.now >= asked + Duration::from_secs(600));
    assert!(pair.now < asked + Duration::from_secs(900));
    assert_eq!(told(&pair)[0].fault.code, 0);
    assert_eq!(pair.cpe.software_version(), "3.9");
}

#[test]
fn a_download_that_fails_is_tried_again_within_its_windows() {
    let mut pair = ready();
    let windows = vec![window(10, 100, 1), window(1000, 1010, -1)];
    pair.ask(scheduled(windows)).unwrap();
    pair.next_session();
    // Twice in the first window, and once in the second, which is too short for more.
    assert_eq!(pair.transfers.len(), 3);
    assert_eq!(told(&pair)[0].fault.code, 9016);
}

#[test]
fn a_window_that_was_slept_through() {
    let mut pair = ready();
    pair.ask(scheduled(vec![window(10, 20, 0)])).unwrap();
    pair.now += Duration::from_secs(30);
    pair.next_session();
    assert_eq!(told(&pair)[0].fault.code, 9020);
    assert!(pair.transfers.is_empty());
}

#[test]
fn windows_that_make_no_sense() {
    let mut pair = ready();
    for windows in [
        vec![],
        vec![window(10, 10, 0)],
        vec![window(10, 30, 0), window(20, 40, 0)],
        vec![window(1, 2, 0), window(2, 3, 0), window(3, 4, 0)],
        vec![TimeWindow {
            mode: "5 Never".to_owned(),
            ..window(1, 2, 0)
        }],
    ] {
        assert_eq!(pair.ask(scheduled(windows)).unwrap_err().code, 9003);
    }
}

#[test]
fn what_is_queued() {
    let mut pair = ready();
    pair.ask(download("d1", 5)).unwrap();
    pair.ask(download("d2", 1000)).unwrap();
    // d1 has failed, and its TransferComplete is not answered: the session broke.
    pair.breaks_after = Some(1);
    pair.next_session();
    pair.cpe.connection_request(pair.now);
    pair.breaks_after = None;
    pair.queue.extend([
        Request::GetAllQueuedTransfers,
        Request::GetQueuedTransfers,
        cancel("d1"),
        cancel("d2"),
        cancel("never heard of"),
        Request::GetAllQueuedTransfers,
    ]);
    pair.next_session();
    let d2 = AnyQueuedTransfer {
        command_key: "d2".to_owned(),
        state: TransferState::NotStarted,
        is_download: true,
        file_type: "2 Web Content".to_owned(),
        file_size: 4,
        target_file_name: "page".to_owned(),
    };
    let answers: Vec<_> = pair.answers.iter().rev().take(6).rev().flatten().collect();
    // TransferComplete was told first in this session.
    assert_eq!(told(&pair)[0].command_key, "d1");
    assert_eq!(
        answers[0],
        &Ok(Response::GetAllQueuedTransfers(vec![d2.clone()]))
    );
    assert!(matches!(
        answers[1],
        Ok(Response::GetQueuedTransfers(transfers)) if transfers[0].command_key == "d2"
    ));
    assert_eq!(answers[2], &Ok(Response::CancelTransfer));
    assert_eq!(answers[3], &Ok(Response::CancelTransfer));
    assert_eq!(answers[4], &Ok(Response::CancelTransfer));
    assert_eq!(answers[5], &Ok(Response::GetAllQueuedTransfers(vec![])));
    assert_eq!(pair.session_before(Duration::from_secs(2000)), None);
}

#[test]
fn what_is_over_cannot_be_cancelled() {
    let mut pair = ready();
    pair.ask(download("d1", 0)).unwrap();
    pair.cpe.poll(pair.now);
    let crate::Due::Transfer(mut job) = pair.cpe.poll(pair.now) else {
        panic!("no transfer");
    };
    pair.cpe.transfer_begun(&mut job, pair.now);
    pair.queue
        .extend([Request::GetAllQueuedTransfers, cancel("d1")]);
    pair.cpe.connection_request(pair.now);
    pair.next_session();
    let answers: Vec<_> = pair.answers.iter().rev().take(2).rev().flatten().collect();
    let Ok(Response::GetAllQueuedTransfers(transfers)) = answers[0] else {
        panic!("{answers:?}");
    };
    assert_eq!(transfers[0].state, TransferState::InProgress);
    assert_eq!(answers[1].as_ref().unwrap_err().code, 9021);
}
