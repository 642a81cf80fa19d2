//! Standard names: one task and one setting for devices of either data model and of any vendor.

use cpe_sim::{CpeConfig, Vendor};
use cwmp::Request;
use serde_json::{Value, json};

use super::{callable, written};
use crate::harness::{Host, Setup, Sim};

const ZTE: Vendor = Vendor {
    manufacturer: "ZTE",
    product_class: "F660",
    ..Vendor::ALL[1]
};

/// A task, done in the device's next session.
async fn done(host: &Host, sim: &mut Sim, operation: Value) -> (Value, Vec<Request>) {
    let task = host
        .post(
            &format!("{}/tasks", sim.at()),
            json!({ "operation": operation }),
        )
        .await;
    let session = sim.periodic().await;
    let id = task["id"].as_str().unwrap();
    let task = host.get(&format!("/v1/tasks/{id}")).await;
    let served = session.record.served;
    (task, served.into_iter().map(|one| one.request).collect())
}

#[tokio::test]
async fn the_same_task_for_both_data_models() {
    let host = Setup::new().start().await;
    for (vendor, own) in [
        (Vendor::tr181(), "Device.WiFi.SSID.1.SSID"),
        (
            Vendor::tr098(),
            "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.SSID",
        ),
    ] {
        let mut sim = callable(CpeConfig::of(vendor, "S1", &host.url()));
        sim.session().await;
        let names = ["WiFi.SSID.1.SSID", "DeviceInfo.SoftwareVersion", "Hosts."];
        let (task, asked) = done(&host, &mut sim, json!({ "op": "get", "paths": names })).await;
        assert_eq!(task["state"], "done", "{task}");
        assert!(
            matches!(&asked[0], Request::GetParameterValues(names) if names.contains(&own.into())),
            "{asked:?}"
        );
        let parameters = task["result"]["parameters"].as_array().unwrap();
        let value = |path: &str| {
            let found = parameters.iter().find(|one| one["path"] == path);
            found.map(|one| one["value"].as_str().unwrap().to_owned())
        };
        let now = sim.now();
        assert_eq!(value(names[0]), sim.cpe.get(own, now));
        assert_eq!(value(names[1]).as_deref(), Some(vendor.software_version));
        for one in parameters {
            let path = one["path"].as_str().unwrap();
            assert!(names.iter().any(|name| path.starts_with(name)), "{path}");
        }

        let parameters = json!([{ "path": "WiFi.SSID.1.SSID", "value": "guests" }]);
        let (task, _) = done(
            &host,
            &mut sim,
            json!({ "op": "set", "parameters": parameters }),
        )
        .await;
        assert_eq!(task["state"], "done", "{task}");
        let now = sim.now();
        assert_eq!(sim.cpe.get(own, now).as_deref(), Some("guests"));
        // What is kept of it is kept under the device's own name.
        let at = format!("{}?parameters={own}", sim.at());
        assert_eq!(host.get(&at).await["parameters"][own]["value"], "guests");

        // A fault names what was asked.
        let parameters = json!([{ "path": "WiFi.SSID.1.Status", "value": "Up" }]);
        let (task, _) = done(
            &host,
            &mut sim,
            json!({ "op": "set", "parameters": parameters }),
        )
        .await;
        assert_eq!(task["state"], "failed", "{task}");
        assert_eq!(
            task["error"]["parameters"][0]["path"], "WiFi.SSID.1.Status",
            "{task}"
        );
    }
    host.stop().await;
}

/// The profile's own name goes before the built-in one, in tasks and in what flows read and keep.
#[tokio::test]
async fn r26_a_vendors_own_name() {
    let settings = "[[settings.rules]]\n[settings.rules.values]\n\
        \"WiFi.AccessPoint.1.Security.KeyPassphrase\" = \"a-long-passphrase\"\n\
        \"WiFi.SSID.1.SSID\" = \"home\"\n";
    let host = Setup::new()
        .plugin("shipped", "zte")
        .plugin_with("shipped", "desired-state", settings)
        .start()
        .await;
    let wlan = "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.";
    for (vendor, key) in [
        (ZTE, format!("{wlan}KeyPassphrase")),
        (
            Vendor::tr098(),
            format!("{wlan}PreSharedKey.1.KeyPassphrase"),
        ),
    ] {
        let mut sim = callable(CpeConfig::of(vendor, "K1", &host.url()));
        let first = sim.session().await;
        let expected = [
            (key, "a-long-passphrase".to_owned()),
            (format!("{wlan}SSID"), "home".to_owned()),
        ];
        let mut found = written(&first);
        found.sort();
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(found, expected);
        // The SSID is known to be right, and need not be read again.
        assert!(written(&sim.periodic().await).is_empty());
    }
    host.stop().await;
}
