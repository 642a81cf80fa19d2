//! The shipped profiles: a device's message in, the record out. Each message is one of our own in
//! the manner of the device; all profiles are loaded together, so each must be for its own alone.

use cwmp::{Body, Inform, Message, ParameterValue, Request, Response};

use super::*;
use crate::plugins::overrides::Override;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const HARDWARE: &str = "InternetGatewayDevice.DeviceInfo.HardwareVersion";
const KEY: &str = "InternetGatewayDevice.ManagementServer.ParameterKey";

/// What a profile makes of the Inform of one of its devices.
struct Vendor {
    /// Of the profile and of the message.
    name: &'static str,
    /// What is changed in the Inform.
    changes: &'static [&'static str],
    overrides: &'static [(&'static str, &'static str)],
    hooks: &'static [&'static str],
}

const VENDORS: [Vendor; 19] = [
    Vendor {
        name: "adtran",
        changes: &[],
        overrides: &[("names-by-level", "true")],
        hooks: &[],
    },
    Vendor {
        name: "avm",
        changes: &[
            "- InternetGatewayDevice.DeviceInfo.HardwareVersion = AVM FRITZ!Box Fon WLAN 7170 ( ) 29.05.01",
            "+ InternetGatewayDevice.DeviceInfo.HardwareVersion = AVM FRITZ!Box Fon WLAN 7170",
        ],
        overrides: &[],
        hooks: &["on-inform", "on-response"],
    },
    Vendor {
        name: "china-telecom",
        changes: &["+ event 4 VALUE CHANGE", "- event X CT-COM BIND"],
        overrides: &[],
        hooks: &["on-inform", "map-path"],
    },
    Vendor {
        name: "cisco-isr",
        changes: &[],
        overrides: &[("names-by-level", "true")],
        hooks: &[],
    },
    Vendor {
        name: "cisco-spa",
        changes: &[],
        overrides: &[],
        hooks: &["on-inform", "on-response"],
    },
    Vendor {
        name: "easycwmp",
        changes: &[
            "- Manufacturer = \"OpenWrt\\nhttp___openwrt.org_\"",
            "+ Manufacturer = OpenWrt",
        ],
        overrides: &[],
        hooks: &["on-inform"],
    },
    Vendor {
        name: "grandstream",
        changes: &[],
        overrides: &[("max-names-per-get", "16")],
        hooks: &["on-fault"],
    },
    Vendor {
        name: "huawei",
        changes: &[],
        overrides: &[],
        hooks: &["map-path"],
    },
    Vendor {
        name: "mikrotik",
        changes: &[],
        overrides: &[],
        hooks: &["map-path"],
    },
    Vendor {
        name: "netcwmp",
        changes: &[],
        overrides: &[("no-xml-declaration", "true")],
        hooks: &[],
    },
    Vendor {
        name: "phicomm",
        changes: &["- event "],
        overrides: &[],
        hooks: &["on-inform"],
    },
    Vendor {
        name: "sagemcom",
        changes: &[],
        overrides: &[("skip-root-names", "true")],
        hooks: &[],
    },
    Vendor {
        name: "thomson",
        changes: &[],
        overrides: &[("no-parameter-key", "true")],
        hooks: &[],
    },
    Vendor {
        name: "tp-link",
        changes: &[],
        overrides: &[("boolean-words", "0/1")],
        hooks: &[],
    },
    Vendor {
        name: "tp-link-w8980",
        // It has told of "1 BOOT" as well: that is told once.
        changes: &["- event 0 BOOTSTRAP"],
        overrides: &[],
        hooks: &["on-inform"],
    },
    Vendor {
        name: "ubiquiti",
        changes: &[
            "- Device.X_UI.Stats = {\"up\":1} (json)",
            "+ Device.X_UI.Stats = {\"up\":1} (string)",
        ],
        overrides: &[],
        hooks: &["on-inform", "on-response"],
    },
    Vendor {
        name: "zhone",
        changes: &[
            "- InternetGatewayDevice.ManagementServer.ParameterKey = (null)",
            "+ InternetGatewayDevice.ManagementServer.ParameterKey = \"\"",
        ],
        overrides: &[],
        hooks: &["on-inform", "on-response"],
    },
    Vendor {
        name: "zte",
        changes: &[],
        overrides: &[],
        hooks: &["map-path"],
    },
    Vendor {
        name: "zyxel",
        changes: &[],
        overrides: &[("no-parameter-key", "true")],
        hooks: &[],
    },
];

/// All shipped profiles, as they stand in the source.
async fn shipped() -> Host {
    let mut files = vec![
        ("profile.wasm".to_owned(), guest("shipped/profile")),
        ("zhone.wasm".to_owned(), guest("shipped/zhone")),
    ];
    for entry in std::fs::read_dir(format!("{ROOT}/plugins/profiles")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        files.push((name, std::fs::read(&path).unwrap()));
    }
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, bytes)| (&**name, &**bytes))
        .collect();
    Host::with(&files).await
}

fn inform(name: &str) -> Inform {
    let file = format!("{ROOT}/tests/fixtures/profiles/{name}.xml");
    let bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    match Message::parse(&bytes).unwrap().body {
        Body::Request(Request::Inform(inform)) => *inform,
        other => panic!("{name}: {other:?}"),
    }
}

/// As the host does: from the DeviceId, and from the parameters of the Inform.
fn summary(inform: &Inform) -> Summary {
    let id = &inform.device_id;
    let parameter = |name: &str| {
        let mut found = inform.parameters.iter();
        let found = found.find(|one| one.path.ends_with(name));
        found.map(|one| one.value.clone()).unwrap_or_default()
    };
    let is_tr181 = inform.parameters[0].path.starts_with("Device.");
    Summary {
        manufacturer: id.manufacturer.trim().to_owned(),
        oui: id.oui.clone(),
        product_class: id.product_class.clone(),
        serial_number: id.serial_number.clone(),
        software_version: parameter(".SoftwareVersion"),
        hardware_version: parameter(".HardwareVersion"),
        data_model: if is_tr181 {
            DataModel::Tr181
        } else {
            DataModel::Tr098
        },
        ..Summary::default()
    }
}

/// What the profiles are for one vendor's device, and the device.
async fn matched(host: &Host, name: &str) -> (Matched, Summary) {
    let device = summary(&inform(name));
    (host.plugins.table().matched("default", &device), device)
}

#[tokio::test]
async fn every_profile_is_tested_and_names_its_source() {
    let host = shipped().await;
    let mut tested: Vec<&str> = VENDORS.iter().map(|vendor| vendor.name).collect();
    tested.push("profile");
    tested.sort_unstable();
    let statuses = host.plugins.statuses();
    let loaded: Vec<&str> = statuses.iter().map(|status| &*status.name).collect();
    assert_eq!(loaded, tested);
    for status in &statuses {
        assert_eq!(status.state, PluginState::Running, "{status:?}");
        assert!(!status.matches.contains(&"profile: any device".to_owned()));
        let Some(name) = status.file.strip_suffix(".profile.toml") else {
            continue;
        };
        let file = format!("{ROOT}/plugins/profiles/{}", status.file);
        let text = std::fs::read_to_string(file).unwrap();
        let head: String = text
            .lines()
            .take_while(|line| line.starts_with('#'))
            .collect();
        let source = [".com", ".org", ".de", ".net"];
        assert!(
            source.iter().any(|end| head.contains(end)),
            "{name}: {head}"
        );
        assert!(
            text.contains("\nabout = \""),
            "{name} does not say what it is about"
        );
    }
}

#[tokio::test]
async fn informs() {
    let host = shipped().await;
    for vendor in &VENDORS {
        let name = vendor.name;
        let (matched, device) = matched(&host, name).await;
        let mut overrides = Overrides::default();
        for (key, value) in vendor.overrides {
            overrides.apply(Override::parse(key, value).unwrap());
        }
        assert_eq!(*matched.overrides, overrides, "{name}");
        let hooks: Vec<&str> = matched.hooks.names();
        assert_eq!(hooks, vendor.hooks, "{name}");
        let its_own = matched
            .profiles()
            .all(|title| title.starts_with(&format!("{name} ")));
        assert!(
            its_own,
            "{name}: {:?}",
            matched.profiles().collect::<Vec<_>>()
        );

        let mut calls = Vec::new();
        let before = inform(name);
        let after = matched
            .on_inform(&about(&key(), &device), before.clone(), &mut calls)
            .await;
        let changes: Vec<&String> = calls.iter().flat_map(|call| &call.changes).collect();
        assert_eq!(changes, vendor.changes, "{name}");
        assert!(
            calls.iter().all(|call| call.failed.is_none()),
            "{name}: {calls:?}"
        );
        assert_eq!(after == before, vendor.changes.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn values_in_answers() {
    let host = shipped().await;
    let value = |path: &str, value: &str, xsd_type: &str| {
        Response::GetParameterValues(vec![ParameterValue::new(
            path,
            value,
            cwmp::XsdType::new(xsd_type),
        )])
    };
    for (name, before, after) in [
        (
            "avm",
            value(HARDWARE, "AVM FRITZ!Box 7270 ( ) 54.04", "string"),
            value(HARDWARE, "AVM FRITZ!Box 7270", "string"),
        ),
        (
            "cisco-spa",
            value("Device.DeviceInfo.DeviceLog", "", ""),
            value("Device.DeviceInfo.DeviceLog", "", "string"),
        ),
        (
            "ubiquiti",
            value("Device.X_UI.Stats", "[]", "json"),
            value("Device.X_UI.Stats", "[]", "string"),
        ),
        (
            "zhone",
            value(KEY, "(null)", "string"),
            value(KEY, "", "string"),
        ),
    ] {
        let (matched, device) = matched(&host, name).await;
        let get = Request::GetParameterValues(vec!["X".into()]);
        let corrected = matched
            .on_response(&about(&key(), &device), &get, before, &mut Vec::new())
            .await;
        assert_eq!(corrected, after, "{name}");
    }
}

#[tokio::test]
async fn names_of_their_own() {
    let host = shipped().await;
    let key_of = "WiFi.AccessPoint.1.Security.KeyPassphrase";
    let optics = "Optical.Interface.1.OpticalSignalLevel";
    for (name, standard, own) in [
        (
            "zte",
            key_of,
            "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.KeyPassphrase",
        ),
        (
            "zte",
            optics,
            "InternetGatewayDevice.WANDevice.1.X_ZTE-COM_WANPONInterfaceConfig.RXPower",
        ),
        (
            "huawei",
            key_of,
            "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.PreSharedKey.1.PreSharedKey",
        ),
        (
            "huawei",
            optics,
            "InternetGatewayDevice.WANDevice.1.X_GponInterafceConfig.RXPower",
        ),
        (
            "china-telecom",
            optics,
            "InternetGatewayDevice.WANDevice.1.X_CT-COM_GponInterfaceConfig.RXPower",
        ),
        (
            "mikrotik",
            "DeviceInfo.FriendlyName",
            "Device.DeviceInfo.X_MIKROTIK_SystemIdentity",
        ),
    ] {
        let (matched, device) = matched(&host, name).await;
        let (key, calls) = (key(), &mut Vec::new());
        let about = about(&key, &device);
        let mapped = matched.map_path(&about, standard, calls).await;
        assert_eq!(mapped.as_deref(), Some(own), "{name}");
        assert_eq!(
            matched.map_path(&about, "WiFi.SSID.1.SSID", calls).await,
            None
        );
    }
}

#[tokio::test]
async fn grandstream_is_asked_for_half() {
    let host = shipped().await;
    let (matched, device) = matched(&host, "grandstream").await;
    let get = |names: &[&str]| {
        Request::GetParameterValues(names.iter().map(|&name| name.into()).collect())
    };
    let fault = cwmp::Fault {
        code: 9002,
        text: "GPV handler error (code -1)".into(),
        parameters: Vec::new(),
    };
    let after = matched
        .on_fault(
            &about(&key(), &device),
            &get(&["A", "B"]),
            &fault,
            &mut Vec::new(),
        )
        .await;
    assert_eq!(after, AfterFault::Retry(vec![get(&["A"]), get(&["B"])]));
}
