//! ChangeDUState up to its DUStateChangeComplete, vouchers, and what a device tells by itself.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cwmp::{
    AutonomousDuResult, AutonomousTransferComplete, ChangeDuState, DuOperation, DuResult, Kicked,
    Request, Response,
};

use super::pair::{Pair, codes};
use crate::{CpeConfig, Oddity, Vendor};

const UUID: &str = "00000000-0000-5000-8000-000000000001";
const OTHER: &str = "00000000-0000-5000-8000-000000000002";

fn install(uuid: &str, file: &str, execution_env: &str) -> DuOperation {
    DuOperation::Install {
        url: format!("http://files/{file}"),
        uuid: uuid.to_owned(),
        username: "u".to_owned(),
        password: "p".to_owned(),
        execution_env: execution_env.to_owned(),
    }
}

fn update(uuid: &str, file: &str) -> DuOperation {
    DuOperation::Update {
        uuid: uuid.to_owned(),
        version: String::new(),
        url: format!("http://files/{file}"),
        username: String::new(),
        password: String::new(),
    }
}

fn uninstall(uuid: &str) -> DuOperation {
    DuOperation::Uninstall {
        uuid: uuid.to_owned(),
        version: String::new(),
        execution_env: String::new(),
    }
}

/// Has these done, and gives state and fault code of each.
fn change(pair: &mut Pair, operations: Vec<DuOperation>) -> Vec<(String, u32)> {
    let results = results(pair, operations);
    let states = results.into_iter();
    states
        .map(|result| (result.state, result.fault.code))
        .collect()
}

fn results(pair: &mut Pair, operations: Vec<DuOperation>) -> Vec<DuResult> {
    pair.ask(Request::ChangeDuState(ChangeDuState {
        operations,
        command_key: "c1".to_owned(),
    }))
    .unwrap();
    let events = codes(&pair.next_session());
    assert_eq!(
        events,
        ["11 DU STATE CHANGE COMPLETE", "M ChangeDUState c1"]
    );
    match pair.requests.pop().unwrap() {
        Request::DuStateChangeComplete(complete) => {
            assert_eq!(complete.command_key, "c1");
            complete.results
        }
        other => panic!("{other:?}"),
    }
}

fn ready() -> Pair {
    let mut pair = Pair::tr181();
    pair.next_session();
    pair.files.push(("a_1.0.ipk", b"module".to_vec()));
    pair.files.push(("a_1.1.ipk", b"module".to_vec()));
    pair
}

fn said(state: &str, code: u32) -> (String, u32) {
    (state.to_owned(), code)
}

#[test]
fn installed_updated_uninstalled() {
    let mut pair = ready();
    let result = results(&mut pair, vec![install(UUID, "a_1.0.ipk", "")]).remove(0);
    let unit = "Device.SoftwareModules.DeploymentUnit.1.";
    assert_eq!(
        (result.state.as_str(), result.version.as_str()),
        ("Installed", "1.0")
    );
    assert_eq!(result.deployment_unit, unit);
    assert_eq!(pair.transfers[0].username, "u");
    assert_eq!(pair.get(&format!("{unit}UUID")).unwrap(), UUID);
    assert_eq!(pair.get(&format!("{unit}Version")).unwrap(), "1.0");
    let count = "Device.SoftwareModules.DeploymentUnitNumberOfEntries";
    assert_eq!(pair.get(count).unwrap(), "1");

    let states = change(&mut pair, vec![update(UUID, "a_1.1.ipk")]);
    assert_eq!(states, [said("Installed", 0)]);
    assert_eq!(pair.get(&format!("{unit}Version")).unwrap(), "1.1");

    let states = change(&mut pair, vec![uninstall(UUID)]);
    assert_eq!(states, [said("Uninstalled", 0)]);
    assert_eq!(pair.get(count).unwrap(), "0");
    assert_eq!(pair.get(&format!("{unit}UUID")), None);
}

#[test]
fn what_cannot_be_done_is_told_one_by_one() {
    let mut pair = ready();
    let states = change(
        &mut pair,
        vec![
            install(UUID, "a_1.1.ipk", "Device.SoftwareModules.ExecEnv.1."),
            install(UUID, "a_1.1.ipk", ""),
            install(OTHER, "a_1.1.ipk", "Device.SoftwareModules.ExecEnv.2."),
            install(OTHER, "a_1.1.ipk", "Device.SoftwareModules.ExecEnv.9."),
            install("no uuid", "a_1.1.ipk", ""),
            install(OTHER, "missing", ""),
            update(UUID, "a_1.0.ipk"),
            update(UUID, "a_1.1.ipk"),
            update(OTHER, "a_1.1.ipk"),
            uninstall(OTHER),
        ],
    );
    let codes: Vec<u32> = states.iter().map(|(_, code)| *code).collect();
    assert_eq!(
        codes,
        [0, 9026, 9024, 9023, 9022, 9016, 9030, 9032, 9028, 9028]
    );
    assert!(states[1..].iter().all(|(state, _)| state == "Failed"));
}

#[test]
fn rows_of_modules_are_not_the_acs_to_make() {
    let mut pair = ready();
    change(&mut pair, vec![install("", "a_1.0.ipk", "")]);
    let table = "Device.SoftwareModules.DeploymentUnit.";
    for request in [
        Request::AddObject(cwmp::AddObject {
            object_name: table.to_owned(),
            parameter_key: String::new(),
        }),
        Request::DeleteObject(cwmp::DeleteObject {
            object_name: format!("{table}1."),
            parameter_key: String::new(),
        }),
    ] {
        assert_eq!(pair.ask(request).unwrap_err().code, 9005);
    }
    let uuid = pair.get(&format!("{table}1.UUID")).unwrap();
    assert_eq!(
        change(&mut pair, vec![uninstall(&uuid)]),
        [said("Uninstalled", 0)]
    );
}

#[test]
fn an_old_device_does_not_know_them() {
    let mut pair = Pair::new(CpeConfig::of(Vendor::tr098(), "A1", "http://acs/"));
    pair.next_session();
    let change = Request::ChangeDuState(ChangeDuState {
        operations: vec![uninstall(UUID)],
        command_key: String::new(),
    });
    assert_eq!(pair.ask(change).unwrap_err().code, 9000);
    assert_eq!(
        pair.ask(Request::GetAllQueuedTransfers).unwrap_err().code,
        9000
    );
    assert_eq!(
        pair.ask(Request::GetQueuedTransfers),
        Ok(Response::GetQueuedTransfers(vec![]))
    );
}

#[test]
fn vouchers_become_options() {
    let mut pair = ready();
    let voucher = |text: &str| STANDARD.encode(text);
    let good =
        voucher("<Voucher><VSerialNum>7</VSerialNum><OptionIdent>voice</OptionIdent></Voucher>");
    assert_eq!(
        pair.ask(Request::SetVouchers(vec![good.clone()])),
        Ok(Response::SetVouchers)
    );
    for bad in ["!".to_owned(), voucher("nothing")] {
        let refused = pair.ask(Request::SetVouchers(vec![good.clone(), bad]));
        assert_eq!(refused.unwrap_err().code, 9003);
    }
    let Ok(Response::GetOptions(options)) = pair.ask(Request::GetOptions(String::new())) else {
        panic!("no options");
    };
    assert_eq!((options[0].name.as_str(), options[0].voucher), ("voice", 7));
    assert_eq!(options[0].mode, 2);
    let unknown = pair.ask(Request::GetOptions("video".to_owned()));
    assert_eq!(unknown.unwrap_err().code, 9003);
}

#[test]
fn what_a_device_tells_by_itself() {
    let mut pair = ready();
    pair.cpe
        .request_download("2 Web Content", &[("Version", "2")]);
    pair.cpe.kick(Kicked {
        next: "http://portal/done".to_owned(),
        ..Kicked::default()
    });
    pair.cpe
        .transferred_by_itself(AutonomousTransferComplete::default());
    pair.cpe
        .modules_changed_by_themselves(vec![AutonomousDuResult {
            operation: "Update".to_owned(),
            ..AutonomousDuResult::default()
        }]);
    let session = pair.next_session();
    assert_eq!(
        codes(&session),
        [
            "5 KICKED",
            "9 REQUEST DOWNLOAD",
            "10 AUTONOMOUS TRANSFER COMPLETE",
            "12 AUTONOMOUS DU STATE CHANGE COMPLETE"
        ]
    );
    assert_eq!(session.requests_answered, 4);
    let methods: Vec<&str> = pair.requests.iter().map(Request::method).collect();
    assert_eq!(
        methods,
        [
            "RequestDownload",
            "Kicked",
            "AutonomousTransferComplete",
            "AutonomousDUStateChangeComplete"
        ]
    );
    assert_eq!(pair.cpe.kicked_to(), Some("http://portal/done"));
}

#[test]
fn without_a_key_or_without_an_end() {
    for (oddity, told) in [(Oddity::TransferWithoutKey, 1), (Oddity::TransferNever, 0)] {
        let mut pair = Pair::new(CpeConfig::tr181("A1", "http://acs/").with(oddity));
        pair.next_session();
        pair.ask(Request::ChangeDuState(ChangeDuState {
            operations: vec![uninstall(UUID)],
            command_key: "c1".to_owned(),
        }))
        .unwrap();
        pair.session_before(std::time::Duration::from_secs(60));
        let keys = pair.requests.iter().map(|request| match request {
            Request::DuStateChangeComplete(complete) => complete.command_key.as_str(),
            other => panic!("{other:?}"),
        });
        assert_eq!(keys.collect::<Vec<_>>(), vec![""; told]);
    }
}
