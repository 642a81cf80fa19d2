use patchbay_plugin::testing;
use patchbay_plugin::value::typed;

use super::*;

fn zte() -> Occasion {
    let device = Device {
        manufacturer: "ZTE".into(),
        product_class: "F660".into(),
        tags: vec!["fibre".into()],
        ..Device::default()
    };
    Occasion {
        device,
        ..Occasion::default()
    }
}

#[test]
fn without_rules_it_is_never_called() {
    assert_eq!(DesiredState::triggers(), []);
    testing::settings(r#"{"rules": []}"#);
    assert_eq!(DesiredState::triggers(), []);
}

#[test]
fn types_follow_from_how_values_are_written() {
    testing::settings(
        r#"{"rules": [{"values": {
            "Device.A": "text", "Device.B": true, "Device.C": 300, "Device.D": -5,
            "Device.E": {"value": "2026-01-01T00:00:00Z", "type": "dateTime"}
        }}]}"#,
    );
    DesiredState::run(&zte()).unwrap();
    assert_eq!(
        testing::written(),
        [[
            string("Device.A", "text"),
            boolean("Device.B", true),
            unsigned_int("Device.C", 300),
            int("Device.D", -5),
            typed("Device.E", "2026-01-01T00:00:00Z", "dateTime"),
        ]]
    );
}

#[test]
fn only_the_devices_that_a_rule_is_for() {
    let value_with = |devices: &str| {
        testing::settings(&format!(
            r#"{{"rules": [{{"match": {devices}, "values": {{"Device.A": "x"}}}}]}}"#
        ));
        let before = testing::written().len();
        testing::device([string("Device.A", "")]);
        DesiredState::run(&zte()).unwrap();
        testing::written().len() > before
    };
    assert!(value_with("{}"));
    assert!(value_with(
        r#"{"manufacturer": "zte*", "product_class": "F6?0", "data_model": "tr181", "tags": ["fibre"]}"#
    ));
    assert!(!value_with(r#"{"manufacturer": "Huawei*"}"#));
    assert!(!value_with(r#"{"data_model": "tr098"}"#));
    assert!(!value_with(r#"{"tags": ["fibre", "vip"]}"#));
    assert!(!value_with(r#"{"without_tags": ["fibre"]}"#));
}

#[test]
fn what_is_right_already_is_not_written_and_the_later_rule_holds() {
    testing::settings(
        r#"{"rules": [
            {"values": {"Device.A": "1", "Device.B": "1"}},
            {"match": {"manufacturer": "ZTE"}, "values": {"Device.B": "2"}}
        ]}"#,
    );
    testing::device([string("Device.A", "1"), string("Device.B", "1")]);
    DesiredState::run(&zte()).unwrap();
    assert_eq!(testing::written(), [[string("Device.B", "2")]]);
    DesiredState::run(&zte()).unwrap();
    assert_eq!(testing::written().len(), 1);
}

#[test]
fn wrong_settings_are_named_at_load_and_at_each_device() {
    for (settings, what) in [
        (
            r#"{"rule": []}"#,
            "settings: unknown field `rule`, expected `rules`",
        ),
        (r#"{"rules": [{}]}"#, "settings: missing field `values`"),
        (
            r#"{"rules": [{"values": {}}]}"#,
            "settings: rule 1: expected at least one value",
        ),
        (
            r#"{"rules": [{"values": {"Device.A": [1]}}]}"#,
            r#"settings: a value must be a text, a whole number, a boolean or { value = "…", type = "…" }"#,
        ),
        (
            r#"{"rules": [{"values": {"Device.A": 1}}, {"values": {"WiFi.": 1}}]}"#,
            "settings: rule 2: expected a full parameter name such as Device.Time.NTPServer1 or Time.NTPServer1, got `WiFi.`",
        ),
        (
            r#"{"rules": [{"match": {"data_model": "tr069"}, "values": {}}]}"#,
            "settings: unknown variant `tr069`, expected `tr098` or `tr181`",
        ),
    ] {
        testing::settings(settings);
        assert_eq!(DesiredState::triggers(), [Trigger::every_session()]);
        assert_eq!(
            testing::logged().last(),
            Some(&format!("Level::Error {what}"))
        );
        assert_eq!(DesiredState::run(&zte()).unwrap_err().to_string(), what);
    }
}
