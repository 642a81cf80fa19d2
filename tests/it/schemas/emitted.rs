//! All messages that the server sends, made the way it makes them: an operation of the API
//! becomes an RPC, and [`Session`] puts it into its envelope.

use std::time::{Duration, Instant};

use cwmp::rpc::fault;
use cwmp::{
    Body, Download, Fault, Header, Inform, Kicked, Limits, Message, ParameterValue, RawRpc,
    Request, RequestDownload, Session, SetParameterAttributes, SetParameterValues, Upload, Version,
    XsdType,
};
use patchbay::work::operation;
use patchbay::work::task::{Operation, Task, TaskId, TaskState};
use serde_json::{Value, json};

/// Every message for devices of this version, by a name for people.
pub fn all(version: Version) -> Vec<(String, Message)> {
    let mut messages = Vec::new();
    let mut keep = |name: &str, message: Message| {
        assert_eq!(message.version.namespace(), version.namespace());
        messages.push((name.to_owned(), message));
    };
    let (mut session, opened) = open(version, Some("4711"));
    keep("InformResponse", opened);
    keep("InformResponse-without-ID", open(version, None).1);
    keep(
        "InformResponse-odd-ID",
        open(version, Some("a<b>&\"c\" \r\n ü")).1,
    );

    for request in of_the_device(version) {
        let name = format!("to-{}", request.method());
        let answered = Some(device(version, header("12"), Body::Request(request)));
        session.receive(now(), answered.as_ref()).unwrap();
        keep(&name, session.reply(None).unwrap().unwrap());
    }
    for code in [8000, 8001, 8002, 8003, 8004, 8005, 8899] {
        let asked = Some(device(
            version,
            header("13"),
            Body::Request(Request::GetRpcMethods),
        ));
        session.receive(now(), asked.as_ref()).unwrap();
        keep(
            &format!("fault-{code}"),
            session.refuse(Fault::new(code)).unwrap(),
        );
    }
    if version == Version::V1_4 {
        keep("fault-8006", not_in_common());
    }
    for (name, request) in of_the_server(version) {
        // An empty POST makes it our turn, whatever was asked before.
        session.receive(now(), None).unwrap();
        keep(&name, session.reply(Some(request)).unwrap().unwrap());
    }
    // Asked out of turn: ours is to be answered first.
    let early = device(
        version,
        header("14"),
        Body::Request(Request::TransferComplete(Default::default())),
    );
    session.receive(now(), Some(&early)).unwrap();
    let held = session.reply(None).unwrap().unwrap();
    assert!(held.header.hold_requests);
    keep("to-TransferComplete-with-HoldRequests", held);
    messages
}

fn now() -> Instant {
    Instant::now()
}

fn header(id: &str) -> Header {
    Header {
        id: Some(id.to_owned()),
        ..Header::default()
    }
}

fn device(version: Version, header: Header, body: Body) -> Message {
    Message {
        version,
        header,
        body,
    }
}

/// A session that has begun, and the answer to its Inform.
fn open(version: Version, id: Option<&str>) -> (Session, Message) {
    let header = Header {
        id: id.map(str::to_owned),
        session_timeout: (version >= Version::V1_3).then_some(60),
        supported_versions: (version >= Version::V1_4).then(|| "1.0,1.1,1.2,1.3,1.4".to_owned()),
        ..Header::default()
    };
    let limits = Limits {
        session_timeout: Duration::from_secs(86_400),
        ..Limits::default()
    };
    let mut session = Session::new(now(), limits);
    let inform = device(
        version,
        header,
        Body::Request(Request::Inform(Box::<Inform>::default())),
    );
    session.receive(now(), Some(&inform)).unwrap();
    let reply = session.reply(None).unwrap().unwrap();
    assert_eq!(reply.header.use_version.is_some(), version == Version::V1_4);
    (session, reply)
}

/// The answer to a device that only speaks what is not there yet.
fn not_in_common() -> Message {
    let header = Header {
        supported_versions: Some("3.0".to_owned()),
        ..header("1")
    };
    let inform = device(
        Version::V1_4,
        header,
        Body::Request(Request::Inform(Box::<Inform>::default())),
    );
    let mut session = Session::new(now(), Limits::default());
    session.receive(now(), Some(&inform)).unwrap();
    let refused = session.reply(None).unwrap().unwrap();
    assert!(
        matches!(&refused.body, Body::Fault(fault) if fault.code == fault::VERSION_INCOMPATIBLE)
    );
    refused
}

/// What devices of this version ask, known to the server or not.
fn of_the_device(version: Version) -> Vec<Request> {
    let mut requests = vec![
        Request::GetRpcMethods,
        Request::TransferComplete(Default::default()),
        Request::RequestDownload(RequestDownload::default()),
        Request::Kicked(Box::new(Kicked {
            next: "http://203.0.113.1/next?a=1&b=2".to_owned(),
            ..Kicked::default()
        })),
        Request::Other(RawRpc {
            method: "X_Unheard".to_owned(),
            xml: String::new(),
        }),
    ];
    // What a version does not have is answered in kind, which no schema can allow.
    if version >= Version::V1_1 {
        requests.push(Request::AutonomousTransferComplete(Box::default()));
    }
    if version >= Version::V1_2 {
        requests.push(Request::DuStateChangeComplete(Default::default()));
        requests.push(Request::AutonomousDuStateChangeComplete(Vec::new()));
    }
    requests
}

fn of_the_server(version: Version) -> Vec<(String, Request)> {
    let mut requests: Vec<(String, Request)> = operations(version)
        .into_iter()
        .map(|operation| {
            let name = operation["op"].as_str().unwrap().to_owned();
            (format!("task-{name}"), asked(operation, version))
        })
        .collect();
    let typed = Request::SetParameterValues(SetParameterValues {
        parameters: values_of_all_types(),
        parameter_key: String::new(),
    });
    requests.push(("set-all-types".to_owned(), typed));
    // Values that a flow hands over, which the API would not take.
    let downloads = [
        "1 Firmware Upgrade Image",
        "2 Web Content",
        "3 Vendor Configuration File",
    ];
    for (file_type, seconds) in downloads.into_iter().zip([0, 1, u32::MAX]) {
        let download = Download {
            file_type: file_type.to_owned(),
            delay_seconds: seconds,
            success_url: "http://203.0.113.1/a?b=c&d=e".to_owned(),
            ..Download::default()
        };
        requests.push(("download".to_owned(), Request::Download(Box::new(download))));
    }
    let upload = Upload {
        file_type: "2 Vendor Log File".to_owned(),
        delay_seconds: 7,
        ..Upload::default()
    };
    requests.push(("upload".to_owned(), Request::Upload(Box::new(upload))));
    let notifications = if version >= Version::V1_4 {
        0..=6
    } else {
        0..=2
    };
    let attributes = notifications.map(|notification| SetParameterAttributes {
        path: "Device.".to_owned(),
        notification: Some(notification),
        access_list: None,
    });
    requests.push((
        "set-attributes".to_owned(),
        Request::SetParameterAttributes(attributes.collect()),
    ));
    for (method, xml) in raw(version) {
        requests.push((
            format!("raw-{method}"),
            asked(
                json!({ "op": "raw", "method": method, "xml": xml }),
                version,
            ),
        ));
    }
    requests
}

/// An operation of the API as the RPC that it becomes.
fn asked(operation: Value, version: Version) -> Request {
    let operation: Operation = serde_json::from_value(operation).unwrap();
    operation::check(&operation).unwrap();
    let task = Task {
        id: TaskId(u64::MAX),
        device: "00AABB-Box-1".to_owned(),
        instance: "default".to_owned(),
        operation,
        state: TaskState::Sent,
        attempts: 1,
        created: 0,
        expires: None,
        priority: 0,
        idempotency_key: None,
        sent: None,
        accepted: None,
        progress: None,
        ended: None,
        result: None,
        error: None,
        campaign: None,
    };
    let known = operation::Known {
        data_model: patchbay::device::DataModel::Tr181,
        version,
        rpc_methods: &[],
        instance_wildcards: false,
    };
    let request = operation::request(&task, &known, |path| {
        path.ends_with("Enable").then_some(XsdType::BOOLEAN)
    });
    request.expect("an operation with an RPC")
}

fn operations(version: Version) -> Vec<Value> {
    let long = "x".repeat(256);
    let firmware = json!({ "op": "download", "file_type": "1 Firmware Upgrade Image",
        "url": "https://203.0.113.1/fw?a=1&b=2", "username": "u<", "password": "p&", "file_size": 4_000_000_000u32,
        "target_file_name": "ü.bin" });
    let own = "X 00AABB Own File";
    let config = if version == Version::V1_0 {
        "1 Vendor Configuration File"
    } else {
        own
    };
    let mut operations = vec![
        json!({ "op": "get", "paths": ["Device.", "Device.A.[alias].B", long] }),
        json!({ "op": "set", "parameters": [
            { "path": "Device.A", "value": "<&>\"'\u{1}ü\r\n\t " }, { "path": "Device.Enable", "value": "1" },
            { "path": "Device.N", "value": "-5", "type": "int" }, { "path": "Device.E", "value": "" },
        ]}),
        json!({ "op": "names", "path": "" }),
        json!({ "op": "names", "path": "Device.", "next_level": true }),
        json!({ "op": "attributes", "paths": ["Device.", "Device.A"] }),
        json!({ "op": "set-attributes", "attributes": [
            { "path": "Device.A", "notification": 2 },
            { "path": "Device.B", "access_list": ["Subscriber"] },
            { "path": "Device.C.", "access_list": [] }, { "path": "Device.D" },
        ]}),
        json!({ "op": "add-object", "object": "Device.A." }),
        json!({ "op": "delete-object", "object": "Device.A.4294967295." }),
        json!({ "op": "rpc-methods" }),
        json!({ "op": "reboot" }),
        json!({ "op": "factory-reset" }),
        firmware,
        json!({ "op": "download", "file_type": own, "url": "http://[2001:db8::1]/x" }),
        json!({ "op": "upload", "file_type": config, "url": "http://203.0.113.1/", "username": "u", "password": "p" }),
        json!({ "op": "schedule-inform", "delay_seconds": 1 }),
        json!({ "op": "queued-transfers" }),
        json!({ "op": "set-vouchers", "vouchers": ["AAEC", "AAECAw=="] }),
        json!({ "op": "get-options" }),
        json!({ "op": "get-options", "option": "<voice & video>" }),
    ];
    if version >= Version::V1_2 {
        operations.extend(since_1_2(&long));
    }
    operations
}

/// What came with 1.2.
fn since_1_2(long: &str) -> Vec<Value> {
    let uuid = "01234567-89AB-cdef-0123-456789abcdef";
    let window = json!({ "start_seconds": 0, "end_seconds": 1 });
    let last = json!({ "start_seconds": 1, "end_seconds": u32::MAX, "mode": "4 Confirmation Needed",
        "user_message": long, "max_retries": -1 });
    vec![
        json!({ "op": "schedule-download", "file_type": "1 Firmware Upgrade Image",
            "url": "http://203.0.113.1/fw?a=1&b=2", "windows": [window] }),
        json!({ "op": "schedule-download", "file_type": "X 00AABB Own File", "url": "https://203.0.113.1/",
            "username": "u", "password": "<p&", "file_size": 1, "target_file_name": "ü", "windows": [window, last] }),
        json!({ "op": "cancel-transfer", "command_key": "t-ffffffffffffffff" }),
        json!({ "op": "change-du-state", "changes": [
            { "change": "install", "url": "http://203.0.113.1/a.ipk?b=1&c=2" },
            { "change": "install", "url": "https://203.0.113.1/a", "uuid": uuid, "username": "u", "password": "p",
              "execution_env": "Device.SoftwareModules.ExecEnv.1." },
            { "change": "update" },
            { "change": "update", "uuid": uuid, "version": "1.0", "url": "http://203.0.113.1/b" },
            { "change": "uninstall", "uuid": uuid },
            { "change": "uninstall", "uuid": uuid, "version": "1.0",
              "execution_env": "Device.SoftwareModules.ExecEnv.1." },
        ] }),
    ]
}

fn values_of_all_types() -> Vec<ParameterValue> {
    [
        ("text ü 😀", XsdType::STRING),
        ("-2147483648", XsdType::INT),
        ("4294967295", XsdType::UNSIGNED_INT),
        ("-9223372036854775808", XsdType::LONG),
        ("18446744073709551615", XsdType::UNSIGNED_LONG),
        ("0", XsdType::BOOLEAN),
        ("2026-02-03T04:05:06Z", XsdType::DATE_TIME),
        ("AAECAw==", XsdType::BASE64_BINARY),
        ("00ff", XsdType::HEX_BINARY),
        ("AAECAw==", XsdType::new("base64")),
        ("anything", XsdType::new("a type with spaces")),
    ]
    .into_iter()
    .map(|(value, xsd_type)| ParameterValue::new("Device.X", value, xsd_type))
    .collect()
}

/// RPCs of the standard as an operator may write them.
fn raw(version: Version) -> Vec<(&'static str, &'static str)> {
    let mut raw = vec![
        ("GetQueuedTransfers", ""),
        ("GetOptions", "<OptionName>o</OptionName>"),
    ];
    if version >= Version::V1_2 {
        raw.push(("CancelTransfer", "<CommandKey>k</CommandKey>"));
    }
    raw
}
