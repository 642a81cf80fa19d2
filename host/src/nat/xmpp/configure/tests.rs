use std::collections::BTreeMap;

use cwmp::{Applied, ParameterFault, ParameterInfo};
use expect_test::{Expect, expect};

use super::*;

/// A device without a model: rows and values.
#[derive(Default)]
struct Device {
    values: BTreeMap<String, String>,
    rows: BTreeMap<String, u32>,
    /// AddObject and GetParameterNames of an empty table are faults.
    fixed: bool,
    /// Has no parameter of these names.
    lacks: Vec<&'static str>,
}

fn fault(code: u32, paths: &[String]) -> Fault {
    Fault {
        code,
        text: "no".into(),
        parameters: paths
            .iter()
            .map(|path| ParameterFault {
                path: path.clone(),
                code: 9005,
                text: String::new(),
            })
            .collect(),
    }
}

impl Device {
    fn answer(&mut self, request: &Request) -> Result<Response, Fault> {
        match request {
            Request::GetParameterNames(asked) => match self.rows.get(&asked.path) {
                None if self.fixed => Err(fault(9005, &[])),
                None => Ok(Response::GetParameterNames(Vec::new())),
                Some(row) => Ok(Response::GetParameterNames(vec![ParameterInfo {
                    path: format!("{}{row}.", asked.path),
                    writable: true,
                }])),
            },
            Request::AddObject(_) if self.fixed => Err(fault(9000, &[])),
            Request::AddObject(add) => {
                self.rows.insert(add.object_name.clone(), 3);
                Ok(Response::AddObject(3, Applied::Now))
            }
            Request::SetParameterValues(set) => {
                let lacks: Vec<String> = set
                    .parameters
                    .iter()
                    .filter(|p| self.lacks.iter().any(|name| p.path.ends_with(name)))
                    .map(|p| p.path.clone())
                    .collect();
                if !lacks.is_empty() {
                    return Err(fault(9003, &lacks));
                }
                for parameter in &set.parameters {
                    self.values
                        .insert(parameter.path.clone(), parameter.value.clone());
                }
                Ok(Response::SetParameterValues(Applied::Now))
            }
            other => panic!("{other:?}"),
        }
    }

    /// Follows a plan to its end; what was asked, a line each.
    fn follow(&mut self, plan: &mut Plan) -> (String, Step) {
        let mut asked = String::new();
        let mut answer: Option<Result<Response, Fault>> = None;
        loop {
            let step = {
                let value = |path: &str| self.values.get(path).cloned();
                let rows = |table: &str| {
                    let mut rows: Vec<u32> = self
                        .values
                        .keys()
                        .filter_map(|path| row_of(path, table))
                        .collect();
                    rows.dedup();
                    rows
                };
                let known = Known {
                    value: &value,
                    rows: &rows,
                };
                plan.next(answer.as_ref().map(Result::as_ref), &known)
            };
            let Step::Ask(request) = step else {
                return (asked, step);
            };
            match &request {
                Request::SetParameterValues(set) => {
                    for parameter in &set.parameters {
                        asked += &format!("{} = {}\n", parameter.path, parameter.value);
                    }
                }
                Request::GetParameterNames(names) => asked += &format!("names {}\n", names.path),
                Request::AddObject(add) => asked += &format!("add {}\n", add.object_name),
                other => panic!("{other:?}"),
            }
            answer = Some(self.answer(&request));
        }
    }
}

fn wanted() -> Wanted {
    Wanted {
        username: "cpe1".into(),
        domain: "acs.example".into(),
        acs: "acs@acs.example".into(),
        server: Some(("198.51.100.3".into(), 5222)),
        tls: false,
        keep_alive_seconds: 120,
    }
}

fn connect(connection: &str, password: Option<&str>) -> Plan {
    Plan::connect("Device.", wanted(), password.map(str::to_owned), connection)
}

fn check(device: &mut Device, plan: &mut Plan, expected: Expect) -> Step {
    let (asked, step) = device.follow(plan);
    expected.assert_eq(&asked);
    step
}

#[test]
fn a_device_without_a_row() {
    let mut device = Device::default();
    let mut plan = connect("", Some("secret"));
    let step = check(
        &mut device,
        &mut plan,
        expect![[r#"
            names Device.XMPP.Connection.
            add Device.XMPP.Connection.
            names Device.XMPP.Connection.3.Server.
            add Device.XMPP.Connection.3.Server.
            Device.XMPP.Connection.3.Enable = 1
            Device.XMPP.Connection.3.Username = cpe1
            Device.XMPP.Connection.3.Domain = acs.example
            Device.XMPP.Connection.3.Resource = cwmp
            Device.XMPP.Connection.3.UseTLS = 0
            Device.XMPP.Connection.3.KeepAliveInterval = 120
            Device.XMPP.Connection.3.Password = secret
            Device.XMPP.Connection.3.Server.3.Enable = 1
            Device.XMPP.Connection.3.Server.3.ServerAddress = 198.51.100.3
            Device.XMPP.Connection.3.Server.3.Port = 5222
            Device.XMPP.Connection.3.ServerConnectAlgorithm = ServerTable
            Device.ManagementServer.ConnReqXMPPConnection = Device.XMPP.Connection.3
            Device.ManagementServer.ConnReqAllowedJabberIDs = acs@acs.example
        "#]],
    );
    assert_eq!(step, Step::Done);
    assert_eq!(plan.connection(), "Device.XMPP.Connection.3.");

    // Again: nothing is asked. The password is not told twice.
    let step = check(
        &mut device,
        &mut connect(plan.connection(), None),
        expect![""],
    );
    assert_eq!(step, Step::Done);
    // Even where the row was forgotten.
    assert_eq!(
        check(&mut device, &mut connect("", None), expect![""]),
        Step::Done
    );

    // One thing is another.
    let mut other = wanted();
    other.server = Some(("198.51.100.4".into(), 5222));
    let mut plan = Plan::connect("Device.", other.clone(), None, plan.connection());
    assert_ne!(other.fingerprint(), wanted().fingerprint());
    check(
        &mut device,
        &mut plan,
        expect![[r#"
            Device.XMPP.Connection.3.Server.3.ServerAddress = 198.51.100.4
        "#]],
    );

    // And away.
    let step = check(
        &mut device,
        &mut Plan::disconnect("Device.", plan.connection()),
        expect![[r#"
            Device.XMPP.Connection.3.Enable = 0
            Device.ManagementServer.ConnReqXMPPConnection = 
            Device.ManagementServer.ConnReqAllowedJabberIDs = 
        "#]],
    );
    assert_eq!(step, Step::Done);
    let mut again = Plan::disconnect("Device.", plan.connection());
    assert_eq!(check(&mut device, &mut again, expect![""]), Step::Done);
}

#[test]
fn a_row_that_is_there_is_used() {
    let mut device = Device {
        fixed: true,
        ..Device::default()
    };
    let table = "InternetGatewayDevice.XMPP.Connection.";
    device.rows.insert(table.into(), 1);
    // No table of servers: the DNS has to do.
    let mut plan = Plan::connect("InternetGatewayDevice.", wanted(), None, "");
    let step = check(
        &mut device,
        &mut plan,
        expect![[r#"
            names InternetGatewayDevice.XMPP.Connection.
            names InternetGatewayDevice.XMPP.Connection.1.Server.
            add InternetGatewayDevice.XMPP.Connection.1.Server.
            InternetGatewayDevice.XMPP.Connection.1.Enable = 1
            InternetGatewayDevice.XMPP.Connection.1.Username = cpe1
            InternetGatewayDevice.XMPP.Connection.1.Domain = acs.example
            InternetGatewayDevice.XMPP.Connection.1.Resource = cwmp
            InternetGatewayDevice.XMPP.Connection.1.UseTLS = 0
            InternetGatewayDevice.XMPP.Connection.1.KeepAliveInterval = 120
            InternetGatewayDevice.XMPP.Connection.1.ServerConnectAlgorithm = DNS
            InternetGatewayDevice.ManagementServer.ConnReqXMPPConnection = InternetGatewayDevice.XMPP.Connection.1
            InternetGatewayDevice.ManagementServer.ConnReqAllowedJabberIDs = acs@acs.example
        "#]],
    );
    assert_eq!(step, Step::Done);
}

#[test]
fn what_a_device_lacks_is_left_out_if_it_can_be() {
    let mut device = Device {
        lacks: vec!["KeepAliveInterval", "UseTLS"],
        ..Device::default()
    };
    let (asked, step) = device.follow(&mut connect("", Some("secret")));
    assert_eq!(step, Step::Done);
    assert_eq!(asked.matches("Username").count(), 2, "{asked}");
    assert_eq!(asked.matches("KeepAliveInterval").count(), 1, "{asked}");

    let mut tls = wanted();
    tls.tls = true;
    let mut plan = Plan::connect("Device.", tls, None, "");
    let mut device = Device {
        lacks: vec!["UseTLS"],
        ..Device::default()
    };
    let (_, step) = device.follow(&mut plan);
    assert_eq!(
        step,
        Step::Failed("9003 no Device.XMPP.Connection.3.UseTLS".into())
    );
    let mut device = Device {
        fixed: true,
        ..Device::default()
    };
    let (_, step) = device.follow(&mut connect("", None));
    assert_eq!(
        step,
        Step::Failed("no row can be added to Device.XMPP.Connection.: 9000 no".into())
    );
}
