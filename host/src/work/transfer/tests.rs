use cwmp::{DateTime, TransferFault};

use super::*;
use crate::device::DeviceKey;
use crate::work::task::END_SECONDS_MAX;

const SENT: UnixTime = 1_800_000_000;

fn task(operation: Operation, progress: Progress) -> Task {
    let device = DeviceKey {
        instance: "default".into(),
        id: "d".into(),
    };
    Task {
        state: TaskState::Sent,
        accepted: Some(SENT),
        progress: Some(progress),
        ..Task::queued(TaskId(1), &device, operation, SENT)
    }
}

/// A firmware from 1.0 to 2.0.
fn firmware(change: impl FnOnce(&mut Progress)) -> Task {
    let mut operation = Operation::download(FileId(1));
    if let Operation::Download { file_type, .. } = &mut operation {
        *file_type = "1 Firmware Upgrade Image ".to_owned();
    }
    let mut progress = Progress {
        version_before: "1.0".into(),
        version: "2.0".into(),
        size: Some(9),
        ..Progress::default()
    };
    change(&mut progress);
    task(operation, progress)
}

fn upload(change: impl FnOnce(&mut Progress)) -> Task {
    let mut progress = Progress::default();
    change(&mut progress);
    task(Operation::upload("1 Vendor Configuration File"), progress)
}

fn complete(code: u32) -> TransferComplete {
    TransferComplete {
        command_key: "t-1".into(),
        fault: TransferFault {
            code,
            text: String::new(),
        },
        start_time: DateTime::from_unix(SENT),
        complete_time: DateTime::from_unix(SENT + 60),
    }
}

fn state(end: Option<End>) -> Option<TaskState> {
    end.map(|end| end.state)
}

fn note(end: Option<End>) -> String {
    end.unwrap().result.unwrap()["note"].to_string()
}

const DONE: Option<TaskState> = Some(TaskState::Done);
const FAILED: Option<TaskState> = Some(TaskState::Failed);

#[test]
fn what_a_transfer_complete_means() {
    let plain = firmware(|_| {});
    assert_eq!(state(completed(&plain, &complete(0), "1.0", false)), DONE);
    // Told before the file was whole, or of a file that was refused: that is the end.
    for (code, running, moved, expected) in [
        (9010, "1.0", false, FAILED),
        (9010, "1.0", true, None),
        (9017, "1.0", true, None),
        (9018, "1.0", true, FAILED),
        (9010, "2.0", true, DONE),
        (9018, "2.0", false, DONE),
    ] {
        let end = completed(&plain, &complete(code), running, moved);
        assert_eq!(state(end), expected, "{code} {running} {moved}");
    }
    // Without a version there is nothing to wait for.
    let unknown = firmware(|progress| progress.version.clear());
    assert_eq!(
        state(completed(&unknown, &complete(9010), "", true)),
        FAILED
    );
}

#[test]
fn an_upload_without_a_file_is_no_success() {
    let came = upload(|progress| progress.file = Some(FileId(5)));
    let end = completed(&came, &complete(0), "", true).unwrap();
    assert_eq!(end.result.unwrap()["file"], "f-5");
    let end = completed(&upload(|_| {}), &complete(0), "", false).unwrap();
    assert_eq!(
        end.error.unwrap().text,
        "the device tells that it has sent its file, but none came"
    );
    // Where the file went elsewhere, the device's word is all there is.
    let mut elsewhere = upload(|_| {});
    elsewhere.operation = match elsewhere.operation {
        Operation::Upload { file_type, .. } => Operation::Upload {
            file_type,
            url: "http://192.0.2.1/".into(),
            username: String::new(),
            password: String::new(),
            delay_seconds: 0,
        },
        other => other,
    };
    assert_eq!(state(completed(&elsewhere, &complete(0), "", false)), DONE);
}

#[test]
fn what_an_inform_tells_of_a_transfer() {
    let events = |codes: &[&str]| -> Vec<Event> {
        let event = |code: &&str| Event {
            code: (*code).to_owned(),
            command_key: String::new(),
        };
        codes.iter().map(event).collect()
    };
    let (boot, periodic) = (events(&["1 BOOT"]), events(&["2 PERIODIC"]));
    let told = events(&["1 BOOT", "7 TRANSFER COMPLETE"]);
    let plain = firmware(|_| {});
    assert!(note(informed(&plain, &boot, "2.0", true)).contains("no TransferComplete came"));
    assert!(note(informed(&plain, &periodic, "2.0", true)).contains("no TransferComplete came"));
    assert_eq!(informed(&plain, &told, "2.0", true), None);
    assert_eq!(informed(&plain, &boot, "1.0", true), None);
    assert_eq!(informed(&plain, &boot, "2.0", false), None);
    // The same version again: only a boot after the whole file shows it.
    let again = firmware(|progress| progress.version_before = "2.0".into());
    assert_eq!(informed(&again, &periodic, "2.0", true), None);
    assert_eq!(state(informed(&again, &boot, "2.0", true)), DONE);
    // After a fault that may be wrong.
    let fault = firmware(|progress| {
        progress.complete = Some(SENT);
        progress.fault = Some(TaskError::new("Download failure"));
    });
    assert!(note(informed(&fault, &boot, "2.0", true)).contains("told a fault, but"));
    assert_eq!(informed(&fault, &periodic, "1.0", true), None);
    let end = informed(&fault, &boot, "1.0", true).unwrap();
    assert_eq!(end.error.unwrap().text, "Download failure");
}

#[test]
fn times_that_are_over() {
    let plain = firmware(|_| {});
    assert_eq!(overdue(&plain, SENT + END_SECONDS_MAX), None);
    let end = overdue(&plain, SENT + END_SECONDS_MAX + 1).unwrap();
    assert_eq!(
        end.error.unwrap().text,
        "no TransferComplete within 86400 s"
    );

    let fault = firmware(|progress| {
        progress.complete = Some(SENT);
        progress.fault = Some(TaskError::new("Download failure"));
    });
    assert_eq!(overdue(&fault, SENT + CONFIRM_SECONDS_MAX), None);
    assert_eq!(
        state(overdue(&fault, SENT + CONFIRM_SECONDS_MAX + 1)),
        FAILED
    );

    let came = upload(|progress| {
        progress.moved = Some(SENT);
        progress.file = Some(FileId(5));
    });
    assert_eq!(overdue(&came, SENT + COMPLETE_SECONDS_MAX), None);
    assert!(note(overdue(&came, SENT + COMPLETE_SECONDS_MAX + 1)).contains("but the file did"));

    let silent = firmware(|progress| {
        progress.ends_when_moved = true;
        progress.moved = Some(SENT);
    });
    assert_eq!(state(overdue(&silent, SENT)), DONE);
    // One that waits in the device for its time.
    let mut delayed = firmware(|_| {});
    if let Operation::Download { delay_seconds, .. } = &mut delayed.operation {
        *delay_seconds = 3600;
    }
    assert_eq!(overdue(&delayed, SENT + END_SECONDS_MAX + 3600), None);
    assert_eq!(
        state(overdue(&delayed, SENT + END_SECONDS_MAX + 3601)),
        FAILED
    );
    let ended = Task {
        state: TaskState::Done,
        ..plain
    };
    assert_eq!(overdue(&ended, i64::MAX), None);
}

#[test]
fn stages() {
    let mut task = firmware(|_| {});
    (task.accepted, task.sent) = (None, None);
    assert_eq!(stage(&task), Stage::Requested);
    task.sent = Some(SENT);
    assert_eq!(stage(&task), Stage::Sent);
    task.accepted = Some(SENT);
    assert_eq!(stage(&task), Stage::Accepted);
    for (change, expected) in [
        (
            (|p| p.begun = Some(SENT)) as fn(&mut Progress),
            Stage::Fetching,
        ),
        (|p| p.moved = Some(SENT), Stage::Fetched),
        (|p| p.complete = Some(SENT), Stage::Complete),
        (|p| p.confirmed = Some(SENT), Stage::Confirmed),
    ] {
        change(task.progress.as_mut().unwrap());
        assert_eq!(stage(&task), expected);
    }
    // Nobody counts them any more; all of them have moved.
    assert_eq!(bytes(&task, None), Some(9));
}
