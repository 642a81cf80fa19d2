//! The RPCs of the ACS, their answers and faults.

use cwmp::{
    AddObject, Applied, DeleteObject, GetParameterNames, ParameterInfo, ParameterValue, RawRpc,
    Request, Response, SetParameterValues, XsdType,
};
use expect_test::{Expect, expect};

use super::pair::Pair;
use crate::{CpeConfig, Vendor};

fn ready() -> Pair {
    let mut pair = Pair::tr181();
    pair.next_session();
    pair
}

fn set(parameters: Vec<ParameterValue>) -> Request {
    Request::SetParameterValues(SetParameterValues {
        parameters,
        parameter_key: "k2".to_owned(),
    })
}

fn names(pair: &mut Pair, path: &str, next_level: bool) -> Result<Vec<ParameterInfo>, u32> {
    let asked = GetParameterNames {
        path: path.to_owned(),
        next_level,
    };
    match pair.ask(Request::GetParameterNames(asked)) {
        Ok(Response::GetParameterNames(names)) => Ok(names),
        Err(fault) => Err(fault.code),
        other => panic!("{other:?}"),
    }
}

fn values(pair: &mut Pair, paths: &[&str]) -> Result<Vec<ParameterValue>, u32> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    match pair.ask(Request::GetParameterValues(paths)) {
        Ok(Response::GetParameterValues(values)) => Ok(values),
        Err(fault) => Err(fault.code),
        other => panic!("{other:?}"),
    }
}

fn check_names(path: &str, next_level: bool, expected: Expect) {
    let names = names(&mut ready(), path, next_level);
    let text = match names {
        Err(code) => format!("fault {code}\n"),
        Ok(names) => {
            let lines = names.iter();
            let lines = lines
                .map(|name| format!("{} {}\n", if name.writable { "w" } else { "-" }, name.path));
            lines.collect()
        }
    };
    expected.assert_eq(&text);
}

#[test]
fn names_of_the_next_level() {
    check_names(
        "",
        true,
        expect![[r#"
        - Device.
    "#]],
    );
    check_names(
        "Device.NAT.",
        true,
        expect![[r#"
        - Device.NAT.InterfaceSettingNumberOfEntries
        - Device.NAT.PortMappingNumberOfEntries
        w Device.NAT.InterfaceSetting.
        w Device.NAT.PortMapping.
    "#]],
    );
    check_names(
        "Device.Users.User.",
        true,
        expect![[r#"
        w Device.Users.User.1.
    "#]],
    );
}

#[test]
fn names_of_an_object_and_of_a_parameter() {
    check_names(
        "Device.WiFi.AccessPoint.1.WPS.",
        false,
        expect![[r#"
        - Device.WiFi.AccessPoint.1.WPS.
        w Device.WiFi.AccessPoint.1.WPS.Enable
        - Device.WiFi.AccessPoint.1.WPS.ConfigMethodsSupported
    "#]],
    );
    check_names(
        "Device.DeviceInfo.ProvisioningCode",
        false,
        expect![[r#"
        w Device.DeviceInfo.ProvisioningCode
    "#]],
    );
    check_names(
        "Device.DeviceInfo.ProvisioningCode",
        true,
        expect![[r#"
        fault 9003
    "#]],
    );
    check_names(
        "Device.Nothing.",
        false,
        expect![[r#"
        fault 9005
    "#]],
    );
}

#[test]
fn the_whole_tree_and_all_its_values_agree() {
    let mut pair = ready();
    let all = names(&mut pair, "", false).unwrap();
    let parameters = all.iter().filter(|name| !name.path.ends_with('.'));
    let parameters: Vec<&str> = parameters.map(|name| name.path.as_str()).collect();
    let values = values(&mut pair, &["Device."]).unwrap();
    let named: Vec<&str> = values.iter().map(|value| value.path.as_str()).collect();
    assert_eq!(parameters, named);
    assert!(parameters.len() > 500, "{}", parameters.len());
}

#[test]
fn live_values() {
    let mut pair = ready();
    pair.now += std::time::Duration::from_secs(100);
    let paths = [
        "Device.DeviceInfo.UpTime",
        "Device.DeviceInfo.SerialNumber",
        "Device.Hosts.HostNumberOfEntries",
        "Device.Hosts.Host.2.HostName",
        "Device.Ethernet.Interface.2.MACAddress",
        "Device.IP.Interface.2.IPv4Address.1.IPAddress",
        "Device.Time.CurrentLocalTime",
        "Device.ManagementServer.SupportedConnReqMethods",
        "Device.WiFi.AccessPoint.1.Security.KeyPassphrase",
    ];
    let values = values(&mut pair, &paths).unwrap();
    let text: String = values
        .iter()
        .map(|value| format!("{} {:?}\n", value.xsd_type, value.value))
        .collect();
    expect![[r#"
        unsignedInt "100"
        string "A1"
        unsignedInt "4"
        string "phone"
        string "02:A1:B2:30:7B:02"
        string "192.168.1.1"
        dateTime "2023-11-14T22:15:00Z"
        string "HTTP,STUN,XMPP"
        string ""
    "#]]
    .assert_eq(&text);
}

#[test]
fn one_bad_name_spoils_the_whole_get() {
    let mut pair = ready();
    assert_eq!(
        values(&mut pair, &["Device.DeviceInfo.UpTime", "Device.Bad"]),
        Err(9005)
    );
    assert_eq!(values(&mut pair, &["Device.DeviceInfo"]), Err(9005));
    assert_eq!(values(&mut pair, &["Device.XMPP.Connection."]), Ok(vec![]));
}

#[test]
fn a_set_is_all_or_nothing() {
    let mut pair = ready();
    let code = "Device.DeviceInfo.ProvisioningCode";
    let fault = pair
        .ask(set(vec![
            ParameterValue::string(code, "x"),
            ParameterValue::string("Device.Bad", "x"),
            ParameterValue::string("Device.WiFi.Radio.1.Channel", "6"),
            ParameterValue::unsigned_int("Device.WiFi.Radio.1.Channel", 256),
            ParameterValue::string("Device.DeviceInfo.SerialNumber", "x"),
            ParameterValue::new("Device.Time.Enable", "yes", XsdType::BOOLEAN),
        ]))
        .unwrap_err();
    assert_eq!(fault.code, 9003);
    let inner: Vec<(&str, u32)> = fault
        .parameters
        .iter()
        .map(|bad| (bad.path.as_str(), bad.code))
        .collect();
    assert_eq!(
        inner,
        [
            ("Device.Bad", 9005),
            ("Device.WiFi.Radio.1.Channel", 9006),
            ("Device.WiFi.Radio.1.Channel", 9007),
            ("Device.DeviceInfo.SerialNumber", 9008),
            ("Device.Time.Enable", 9007),
        ]
    );
    assert_eq!(pair.get(code).unwrap(), "");
    let answer = pair.ask(set(vec![ParameterValue::string(code, "x")]));
    assert_eq!(answer, Ok(Response::SetParameterValues(Applied::Now)));
    assert_eq!(pair.get(code).unwrap(), "x");
    assert_eq!(
        pair.get("Device.ManagementServer.ParameterKey").unwrap(),
        "k2"
    );
}

#[test]
fn rows_are_added_and_deleted_and_their_numbers_never_come_again() {
    let mut pair = ready();
    let table = "Device.NAT.PortMapping.";
    let mut add = || {
        let add = AddObject {
            object_name: table.to_owned(),
            parameter_key: "a".to_owned(),
        };
        match pair.ask(Request::AddObject(add)) {
            Ok(Response::AddObject(instance, Applied::Now)) => instance,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((add(), add()), (2, 3));
    let delete = |object_name: &str| {
        Request::DeleteObject(DeleteObject {
            object_name: object_name.to_owned(),
            parameter_key: "d".to_owned(),
        })
    };
    let port = format!("{table}3.ExternalPort");
    pair.ask(set(vec![ParameterValue::unsigned_int(port.clone(), 443)]))
        .unwrap();
    assert_eq!(values(&mut pair, &[&port]).unwrap()[0].value, "443");
    assert_eq!(
        pair.get("Device.NAT.PortMappingNumberOfEntries").unwrap(),
        "3"
    );
    // One of those there at first, and one that was added.
    pair.ask(delete("Device.NAT.PortMapping.1.")).unwrap();
    pair.ask(delete("Device.NAT.PortMapping.3.")).unwrap();
    let rows: Vec<String> = names(&mut pair, table, true)
        .unwrap()
        .into_iter()
        .map(|name| name.path)
        .collect();
    assert_eq!(rows, ["Device.NAT.PortMapping.2."]);
    assert_eq!(
        pair.get("Device.NAT.PortMappingNumberOfEntries").unwrap(),
        "1"
    );
    assert_eq!(pair.get(&port), None);
    assert_eq!(
        pair.ask(delete("Device.NAT.PortMapping.3."))
            .unwrap_err()
            .code,
        9005
    );
    assert_eq!(
        pair.ask(delete("Device.Hosts.Host.1.")).unwrap_err().code,
        9005
    );
    let again = AddObject {
        object_name: table.to_owned(),
        parameter_key: String::new(),
    };
    assert_eq!(
        pair.ask(Request::AddObject(again)),
        Ok(Response::AddObject(4, Applied::Now))
    );
}

#[test]
fn tables_within_an_added_row() {
    let mut pair = ready();
    let add = |name: &str| {
        Request::AddObject(AddObject {
            object_name: name.to_owned(),
            parameter_key: String::new(),
        })
    };
    let connection = "Device.XMPP.Connection.";
    assert_eq!(
        pair.ask(add(connection)),
        Ok(Response::AddObject(1, Applied::Now))
    );
    let servers = format!("{connection}1.Server.");
    assert_eq!(
        pair.ask(add(&servers)),
        Ok(Response::AddObject(1, Applied::Now))
    );
    pair.ask(set(vec![ParameterValue::string(
        format!("{servers}1.ServerAddress"),
        "xmpp.example",
    )]))
    .unwrap();
    let below = values(&mut pair, &[&servers]).unwrap();
    assert!(
        below.iter().any(|value| value.value == "xmpp.example"),
        "{below:?}"
    );
    assert_eq!(
        pair.get(&format!("{connection}1.ServerNumberOfEntries"))
            .unwrap(),
        "1"
    );
    assert_eq!(pair.get(&format!("{connection}1.Alias")).unwrap(), "cpe-1");
}

#[test]
fn variants_without_xmpp_and_stun() {
    let vendor = Vendor {
        supports_xmpp: false,
        supports_stun: false,
        ..Vendor::tr181()
    };
    let mut pair = Pair::new(CpeConfig::of(vendor, "A1", "http://acs/"));
    pair.next_session();
    assert_eq!(
        pair.get("Device.ManagementServer.SupportedConnReqMethods")
            .unwrap(),
        "HTTP"
    );
    assert_eq!(names(&mut pair, "Device.XMPP.", true), Err(9005));
    let server = names(&mut pair, "Device.ManagementServer.", true).unwrap();
    assert!(
        !server
            .iter()
            .any(|name| name.path.contains("STUN") || name.path.contains("XMPP"))
    );
}

#[test]
fn what_it_has_not_and_what_it_was_told_to_refuse() {
    let mut pair = ready();
    let raw = RawRpc {
        method: "X_00_Frobnicate".to_owned(),
        xml: String::new(),
    };
    assert_eq!(pair.ask(Request::Other(raw)).unwrap_err().code, 9000);
    pair.cpe.fail_next("GetParameterValues", 9002);
    assert_eq!(values(&mut pair, &["Device."]), Err(9002));
    assert!(values(&mut pair, &["Device."]).is_ok());
    assert_eq!(pair.cpe.times_served("GetParameterValues"), 2);
    let mut config = CpeConfig::tr181("A1", "http://acs/");
    config.methods = &["GetRPCMethods", "GetParameterValues"];
    let mut pair = Pair::new(config);
    pair.next_session();
    let Ok(Response::GetRpcMethods(methods)) = pair.ask(Request::GetRpcMethods) else {
        panic!("no methods");
    };
    assert_eq!(methods, ["GetRPCMethods", "GetParameterValues"]);
    assert_eq!(names(&mut pair, "", true), Err(9000));
}
