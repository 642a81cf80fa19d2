//! `*` for any instance, in devices that know it and in those that do not.

use cpe_sim::Vendor;
use serde_json::{Value, json};

use super::{done, failed, of, run};
use crate::harness::{Setup, rpcs};

fn paths(result: &Value, list: &str) -> Vec<String> {
    let items = result[list].as_array().unwrap().iter();
    items
        .map(|item| item["path"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn any_instance_is_read_and_set() {
    let host = Setup::new().start().await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    let names = [1, 2].map(|row| format!("Device.SoftwareModules.ExecEnv.{row}.Enable"));
    let any = "Device.SoftwareModules.ExecEnv.*.Enable";

    // Nothing is known of the table: its names are asked for first.
    let set = json!({ "op": "set", "parameters": [{ "path": any, "value": "0" }] });
    let (task, sessions) = run(&host, sim, set).await;
    assert_eq!(task["state"], "failed", "{task}");
    assert_eq!(task["error"]["code"], 9003, "{task}");
    assert_eq!(
        rpcs(&sessions[0]),
        ["GetParameterNames", "SetParameterValues"]
    );
    // Their type was not known either. It is now.
    let result = done(&host, sim, json!({ "op": "get", "paths": [any] })).await;
    assert_eq!(paths(&result, "parameters"), names);
    let set = json!({ "op": "set", "parameters": [{ "path": any, "value": "0" }] });
    let (task, sessions) = run(&host, sim, set).await;
    assert_eq!(task["state"], "done", "{task}");
    assert_eq!(rpcs(&sessions[0]), ["SetParameterValues"]);
    assert_eq!(sim.value("SoftwareModules.ExecEnv.1.Enable"), "0");

    let result = done(&host, sim, json!({ "op": "attributes", "paths": [any] })).await;
    assert_eq!(paths(&result, "attributes"), names);

    let none =
        json!({ "op": "set", "parameters": [{ "path": "Device.DHCPv4.*.Enable", "value": "0" }] });
    let error = failed(&host, sim, none).await;
    let text = error["text"].as_str().unwrap();
    assert!(
        text.contains("no parameter that Device.DHCPv4.*.Enable stands for"),
        "{error}"
    );
    host.stop().await;
}

/// A device that knows `*` is asked with it.
#[tokio::test]
async fn a_device_that_knows_wildcards() {
    let host = Setup::new().start().await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    let claim = sim.path("ManagementServer.InstanceWildcardsSupported");
    let now = sim.now();
    assert!(sim.cpe.set(&claim, "1", now));
    done(&host, sim, json!({ "op": "get", "paths": [claim] })).await;
    let any = "Device.SoftwareModules.ExecEnv.*.Name";
    let (task, sessions) = run(&host, sim, json!({ "op": "get", "paths": [any] })).await;
    assert_eq!(task["result"]["count"], 2, "{task}");
    let asked = &sessions[0].record.served[0].request;
    assert_eq!(
        *asked,
        cwmp::Request::GetParameterValues(vec![any.to_owned()])
    );
    host.stop().await;
}
