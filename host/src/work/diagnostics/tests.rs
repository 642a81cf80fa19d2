use serde_json::json;

use super::*;

fn asked(json: serde_json::Value) -> Diagnostics {
    let mut whole = json!({ "op": "diagnostics" });
    let object = whole.as_object_mut().unwrap();
    object.extend(json.as_object().unwrap().clone());
    match serde_json::from_value(whole) {
        Ok(Operation::Diagnostics(diagnostics)) => diagnostics,
        other => panic!("{other:?}"),
    }
}

/// The parameters set, without their root, and their types.
fn set(json: serde_json::Value, model: DataModel) -> Vec<String> {
    let Request::SetParameterValues(set) = asked(json).request(model, "t-1".into()) else {
        panic!()
    };
    let root = model.root();
    set.parameters
        .iter()
        .map(|p| {
            let path = p.path.strip_prefix(root).unwrap();
            format!("{path}={} {}", p.value, p.xsd_type.as_str())
        })
        .collect()
}

#[test]
fn the_same_request_in_both_models() {
    let traceroute = json!({
        "kind": "traceroute", "host": "example.net", "count": 2, "timeout_milliseconds": 900,
        "data_bytes": 60, "hops_max": 12, "interface": "Device.IP.Interface.1"
    });
    let expected = [
        "Host=example.net string",
        "Interface=Device.IP.Interface.1 string",
        "NumberOfTries=2 unsignedInt",
        "Timeout=900 unsignedInt",
        "DataBlockSize=60 unsignedInt",
        "MaxHopCount=12 unsignedInt",
        "DiagnosticsState=Requested string",
    ];
    for (model, object) in [
        (DataModel::Tr098, "TraceRouteDiagnostics."),
        (DataModel::Tr181, "IP.Diagnostics.TraceRoute."),
    ] {
        let expected: Vec<String> = expected.iter().map(|p| format!("{object}{p}")).collect();
        assert_eq!(set(traceroute.clone(), model), expected);
    }
    let upload = json!({ "kind": "upload", "url": "http://t.example/u", "bytes": 1000 });
    assert_eq!(
        set(upload, DataModel::Tr181),
        [
            "IP.Diagnostics.UploadDiagnostics.UploadURL=http://t.example/u string",
            "IP.Diagnostics.UploadDiagnostics.TestFileLength=1000 unsignedInt",
            "IP.Diagnostics.UploadDiagnostics.DiagnosticsState=Requested string",
        ]
    );
    let lookup = json!({ "kind": "nslookup", "host": "a.example", "dns_server": "192.0.2.53" });
    assert_eq!(
        set(lookup, DataModel::Tr098),
        [
            "NSLookupDiagnostics.HostName=a.example string",
            "NSLookupDiagnostics.DNSServer=192.0.2.53 string",
            "NSLookupDiagnostics.DiagnosticsState=Requested string",
        ]
    );
}

#[test]
fn what_cannot_be_asked_for() {
    for (json, expected) in [
        (json!({ "kind": "ping", "host": "" }), "expected a host"),
        (json!({ "kind": "ping", "host": "a b" }), "without spaces"),
        (
            json!({ "kind": "ping", "host": "a", "count": 0 }),
            "a count of at least 1",
        ),
        (
            json!({ "kind": "download", "url": "gopher://x" }),
            "an http or ftp URL",
        ),
    ] {
        let error = asked(json).check().unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let neighbours = asked(json!({ "kind": "wifi-neighbours" }));
    assert_eq!(neighbours.check_model(DataModel::Tr181), Ok(()));
    let error = neighbours.check_model(DataModel::Tr098).unwrap_err();
    assert!(error.contains("TR-098"), "{error}");
    for unknown in [
        json!({ "op": "diagnostics", "kind": "ping", "host": "a", "colour": 1 }),
        json!({ "op": "diagnostics", "kind": "dance" }),
        json!({ "op": "diagnostics", "kind": "wifi-neighbours", "host": "a" }),
    ] {
        assert!(serde_json::from_value::<Operation>(unknown).is_err());
    }
}

/// What an answer of these values says.
fn found(json: serde_json::Value, values: &[(&str, &str)]) -> Outcome {
    let diagnostics = asked(json);
    let object = diagnostics.object(DataModel::Tr181);
    let values: Vec<ParameterValue> = values
        .iter()
        .map(|(name, value)| ParameterValue::string(format!("{object}{name}"), *value))
        .collect();
    diagnostics.outcome(DataModel::Tr181, &values)
}

#[test]
fn states() {
    let state = |state| {
        found(
            json!({ "kind": "ping", "host": "a" }),
            &[("DiagnosticsState", state)],
        )
    };
    assert_eq!(state("Requested"), Outcome::Running);
    assert_eq!(state(""), Outcome::Running);
    assert!(matches!(state("Complete"), Outcome::Done(_)));
    assert!(matches!(state("Completed"), Outcome::Done(_)));
    assert_eq!(
        state("Error_CannotResolveHostName"),
        Outcome::Failed("the device tells Error_CannotResolveHostName".into())
    );
    assert!(matches!(state("None"), Outcome::Failed(_)));
    let nothing = found(json!({ "kind": "ping", "host": "a" }), &[]);
    assert!(matches!(nothing, Outcome::Failed(_)));
}

#[test]
fn rows_come_in_their_order_and_odd_values_as_null() {
    let outcome = found(
        json!({ "kind": "traceroute", "host": "a" }),
        &[
            ("DiagnosticsState", "Complete"),
            ("ResponseTime", "fast"),
            ("RouteHops.10.Host", "far"),
            ("RouteHops.10.RTTimes", "30, x,31"),
            ("RouteHops.2.Host", "near"),
            ("RouteHops.2.RTTimes", ""),
            ("RouteHops.x.Host", "nowhere"),
        ],
    );
    let Outcome::Done(result) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(result["response_milliseconds"], serde_json::Value::Null);
    assert_eq!(result["hop_count"], 2);
    assert_eq!(result["hops"][0]["host"], "near");
    assert_eq!(
        result["hops"][1]["round_trip_milliseconds"],
        json!([30, 31])
    );
}

#[test]
fn throughput() {
    let times = |begin: &'static str, end: &'static str| {
        let outcome = found(
            json!({ "kind": "download", "url": "http://a/" }),
            &[
                ("DiagnosticsState", "Complete"),
                ("BOMTime", begin),
                ("EOMTime", end),
                ("TestBytesReceived", "10000000"),
            ],
        );
        match outcome {
            Outcome::Done(result) => result["throughput_bits_per_second"].clone(),
            other => panic!("{other:?}"),
        }
    };
    let expected = json!(100_000_000);
    assert_eq!(
        times("2026-01-01T00:00:00.100000Z", "2026-01-01T00:00:00.900000Z"),
        expected
    );
    assert_eq!(
        times("2026-01-01T00:00:00.100000", "2026-01-01T00:00:00.900000"),
        expected
    );
    let null = serde_json::Value::Null;
    assert_eq!(times("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"), null);
    assert_eq!(times("later", "sooner"), null);
}

#[test]
fn how_long_a_device_is_left_alone() {
    let ping = json!({ "kind": "ping", "host": "a", "count": 100, "timeout_milliseconds": 2000 });
    assert_eq!(asked(ping).seconds(), 260);
    assert_eq!(asked(json!({ "kind": "wifi-neighbours" })).seconds(), 60);
    let most = json!({
        "kind": "traceroute", "host": "a", "count": u32::MAX, "hops_max": u32::MAX,
        "timeout_milliseconds": u32::MAX
    });
    assert!(asked(most).seconds() > 0);
}
