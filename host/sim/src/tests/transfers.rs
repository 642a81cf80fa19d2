//! Download and Upload up to their TransferComplete.

use cwmp::{Download, Request, TransferComplete, Upload};

use super::pair::{Pair, codes};
use crate::{CpeConfig, Oddity};

fn download(file_type: &str, url: &str) -> Request {
    Request::Download(Box::new(Download {
        command_key: "d1".to_owned(),
        file_type: file_type.to_owned(),
        url: url.to_owned(),
        ..Download::default()
    }))
}

fn firmware() -> Request {
    download("1 Firmware Upgrade Image", "http://files/nl_3.9.bin")
}

fn complete(pair: &Pair) -> Vec<&TransferComplete> {
    let requests = pair.requests.iter();
    requests
        .map(|request| match request {
            Request::TransferComplete(complete) => complete,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn firmware_changes_the_version_and_boots() {
    let mut pair = Pair::tr181();
    pair.next_session();
    pair.files.push(("nl_3.9.bin", b"image".to_vec()));
    pair.ask(firmware()).unwrap();
    assert_eq!(
        codes(&pair.next_session()),
        ["1 BOOT", "7 TRANSFER COMPLETE", "M Download d1"]
    );
    let inform = pair.informs.last().unwrap();
    let version = inform
        .parameters
        .iter()
        .find(|parameter| parameter.path.ends_with(".SoftwareVersion"));
    assert_eq!(version.unwrap().value, "3.9");
    assert_eq!(complete(&pair).len(), 1);
    assert_eq!(complete(&pair)[0].fault.code, 0);
    assert_eq!(complete(&pair)[0].command_key, "d1");
}

#[test]
fn a_file_that_is_not_there_is_told_too() {
    let mut pair = Pair::tr181();
    pair.next_session();
    pair.ask(firmware()).unwrap();
    assert_eq!(
        codes(&pair.next_session()),
        ["7 TRANSFER COMPLETE", "M Download d1"]
    );
    assert_eq!(complete(&pair)[0].fault.code, 9016);
    assert_eq!(pair.cpe.software_version(), "3.4.1");
}

#[test]
fn refused_at_once() {
    let mut pair = Pair::tr181();
    pair.next_session();
    for (request, code) in [
        (download("1 Firmware Upgrade Image", "ftp://files/x"), 9013),
        (download("9 Nonsense", "http://files/x"), 9003),
    ] {
        assert_eq!(pair.ask(request).unwrap_err().code, code);
    }
    for _ in 0..9 {
        pair.queue.push_back(firmware());
    }
    pair.cpe.connection_request(pair.now);
    pair.next_session();
    let faults = pair
        .answers
        .iter()
        .flatten()
        .filter_map(|answer| answer.as_ref().err());
    assert_eq!(faults.map(|fault| fault.code).collect::<Vec<_>>(), [9004]);
}

#[test]
fn transfer_complete_is_told_until_it_is_answered() {
    let mut pair = Pair::tr181();
    pair.next_session();
    pair.ask(firmware()).unwrap();
    // The Inform is answered, TransferComplete is not.
    pair.breaks_after = Some(1);
    pair.next_session();
    assert_eq!(complete(&pair).len(), 0);
    assert_eq!(
        codes(&pair.next_session()),
        ["7 TRANSFER COMPLETE", "M Download d1"]
    );
    assert_eq!(complete(&pair).len(), 1);
}

#[test]
fn oddities_of_transfers() {
    for (oddity, keys) in [
        (Oddity::TransferWithoutKey, vec![""]),
        (Oddity::TransferTwice, vec!["d1", "d1"]),
        (Oddity::TransferNever, vec![]),
    ] {
        let mut pair = Pair::new(CpeConfig::tr181("A1", "http://acs/").with(oddity));
        pair.next_session();
        pair.files.push(("nl_3.9.bin", b"image".to_vec()));
        pair.ask(firmware()).unwrap();
        let boot = codes(&pair.next_session());
        assert_eq!(boot[0], "1 BOOT");
        assert_eq!(boot.len() == 1, oddity == Oddity::TransferNever);
        let told: Vec<&str> = complete(&pair)
            .iter()
            .map(|complete| complete.command_key.as_str())
            .collect();
        assert_eq!(told, keys, "{oddity:?}");
        assert_eq!(pair.cpe.software_version(), "3.9");
    }
}

#[test]
fn a_configuration_goes_up_and_comes_down_again() {
    let mut pair = Pair::tr181();
    pair.next_session();
    let code = "Device.DeviceInfo.ProvisioningCode";
    pair.cpe.set(code, "before", pair.now);
    pair.ask(Request::Upload(Box::new(Upload {
        command_key: "u1".to_owned(),
        file_type: "3 Vendor Configuration File 1".to_owned(),
        url: "http://files/up".to_owned(),
        ..Upload::default()
    })))
    .unwrap();
    assert_eq!(
        codes(&pair.next_session()),
        ["7 TRANSFER COMPLETE", "M Upload u1"]
    );
    let sent = pair.transfers[0].upload.clone().unwrap();
    assert!(
        String::from_utf8(sent.clone())
            .unwrap()
            .contains(&format!("{code}=before\n"))
    );
    pair.cpe.set(code, "after", pair.now);
    pair.files.push(("cfg", sent));
    pair.ask(download("3 Vendor Configuration File", "http://files/cfg"))
        .unwrap();
    pair.next_session();
    assert_eq!(pair.get(code).unwrap(), "before");
}
