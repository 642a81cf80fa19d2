//! Instances by their Alias and by `*`, where the device claims them.

use cwmp::{AddObject, ParameterValue, Request, Response, SetParameterValues, XsdType};

use super::pair::Pair;

fn claiming(name: &str) -> Pair {
    let mut pair = Pair::tr181();
    pair.next_session();
    if !name.is_empty() {
        let path = format!("Device.ManagementServer.{name}");
        assert!(pair.cpe.set(&path, "1", pair.now));
    }
    pair
}

fn get(pair: &mut Pair, path: &str) -> Result<Vec<(String, String)>, u32> {
    match pair.ask(Request::GetParameterValues(vec![path.to_owned()])) {
        Ok(Response::GetParameterValues(values)) => {
            Ok(values.into_iter().map(|v| (v.path, v.value)).collect())
        }
        Err(fault) => Err(fault.code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn aliases() {
    let mut pair = claiming("AliasBasedAddressing");
    let add = |object: &str| {
        Request::AddObject(AddObject {
            object_name: object.to_owned(),
            parameter_key: String::new(),
        })
    };
    let Ok(Response::AddObject(number, _)) = pair.ask(add("Device.NAT.PortMapping.[web].")) else {
        panic!("not added");
    };
    assert_eq!(
        pair.ask(add("Device.NAT.PortMapping.[web]."))
            .unwrap_err()
            .code,
        9003
    );
    let port = "Device.NAT.PortMapping.[web].ExternalPort";
    let set = Request::SetParameterValues(SetParameterValues {
        parameters: vec![ParameterValue::new(port, "8080", XsdType::UNSIGNED_INT)],
        parameter_key: String::new(),
    });
    pair.ask(set).unwrap();
    assert_eq!(
        get(&mut pair, port),
        Ok(vec![(port.to_owned(), "8080".to_owned())])
    );
    let row = format!("Device.NAT.PortMapping.{number}.");
    assert_eq!(pair.get(&format!("{row}ExternalPort")).unwrap(), "8080");
    let all = get(&mut pair, "Device.NAT.PortMapping.[web].").unwrap();
    assert!(all.iter().all(|(path, _)| path.starts_with(&row)) && all.len() > 3);
    assert_eq!(
        get(&mut pair, "Device.NAT.PortMapping.[no].ExternalPort"),
        Err(9005)
    );
}

#[test]
fn any_instance() {
    let mut pair = claiming("InstanceWildcardsSupported");
    let both = get(&mut pair, "Device.SoftwareModules.ExecEnv.*.Name").unwrap();
    assert_eq!(both.len(), 2);
    assert_eq!(both[1].0, "Device.SoftwareModules.ExecEnv.2.Name");
    assert!(
        get(&mut pair, "Device.SoftwareModules.ExecEnv.*.")
            .unwrap()
            .len()
            > 4
    );
    assert_eq!(
        get(&mut pair, "Device.SoftwareModules.DeploymentUnit.*.UUID"),
        Ok(vec![])
    );
}

#[test]
fn who_does_not_claim_them_does_not_know_them() {
    let mut pair = claiming("");
    assert_eq!(
        get(&mut pair, "Device.NAT.PortMapping.[web].ExternalPort"),
        Err(9005)
    );
    assert_eq!(
        get(&mut pair, "Device.SoftwareModules.ExecEnv.*.Name"),
        Err(9005)
    );
}
