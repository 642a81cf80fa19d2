use patchbay_plugin::{session::Error as SessionError, testing};

use super::*;

fn occasion() -> Occasion {
    let device = Device {
        id: "000271-ZNID24xxA1-5a4e5453".into(),
        data_model: DataModel::Tr098,
        ..Device::default()
    };
    Occasion {
        device,
        ..Occasion::default()
    }
}

#[test]
fn everything_in_one_set() {
    FirstContact::run(&occasion()).unwrap();
    let [set] = testing::written().try_into().unwrap();
    let set: Vec<_> = set
        .iter()
        .map(|p| (p.path.as_str(), p.value.as_str(), p.xsd_type.as_str()))
        .collect();
    let password = set[1].1;
    assert_eq!(password.len(), PASSWORD_CHARACTERS);
    assert!(password.chars().all(|c| c.is_ascii_alphanumeric()));
    let server = "InternetGatewayDevice.ManagementServer.";
    assert_eq!(
        set.iter()
            .map(|(path, value, xsd)| (path.strip_prefix(server).unwrap(), *value, *xsd))
            .collect::<Vec<_>>(),
        [
            (
                "ConnectionRequestUsername",
                "000271-ZNID24xxA1-5a4e5453",
                "string"
            ),
            ("ConnectionRequestPassword", password, "string"),
            ("PeriodicInformEnable", "1", "boolean"),
            ("PeriodicInformInterval", "14400", "unsignedInt"),
        ]
    );
    assert_eq!(testing::asked(), [], "nothing is read");
    assert_eq!(testing::tags(), ["contacted"]);
    assert!(
        testing::logged()
            .iter()
            .all(|line| !line.contains(password)),
        "the log holds no password"
    );
}

#[test]
fn each_time_another_password() {
    FirstContact::run(&occasion()).unwrap();
    FirstContact::run(&occasion()).unwrap();
    let written = testing::written();
    assert_ne!(written[0][1].value, written[1][1].value);
}

#[test]
fn the_operator_sets_the_interval() {
    testing::settings(r#"{"periodic_inform_interval_seconds": 900}"#);
    FirstContact::run(&occasion()).unwrap();
    assert_eq!(
        testing::value("InternetGatewayDevice.ManagementServer.PeriodicInformInterval").as_deref(),
        Some("900")
    );
}

#[test]
fn a_wrong_setting_is_named() {
    testing::settings(r#"{"periodic_inform_interval": 900}"#);
    let error = FirstContact::run(&occasion()).unwrap_err().to_string();
    assert!(
        error.starts_with("settings: unknown field `periodic_inform_interval`, expected"),
        "{error}"
    );
}

#[test]
fn not_contacted_when_the_device_refuses() {
    testing::fail_next(SessionError::Ended);
    assert!(FirstContact::run(&occasion()).is_err());
    assert_eq!(testing::tags(), [""; 0]);
}

#[test]
fn usernames() {
    for (id, name) in [
        ("000271-ZNID24xxA1-5a4e", "000271-ZNID24xxA1-5a4e"),
        ("ABCDEF-My Router & Co?-1/2", "ABCDEF-My_Router___Co_-1_2"),
        ("", "device"),
        (&"x".repeat(100), &"x".repeat(62)),
    ] {
        assert_eq!(username(id), name);
    }
}
