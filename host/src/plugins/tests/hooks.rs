//! Profiles and policies, good and bad.

use cwmp::{ParameterValue, Request, Response};

use super::*;

const KEY: &str = "InternetGatewayDevice.ManagementServer.ParameterKey";

fn inform() -> cwmp::Inform {
    cwmp::Inform {
        device_id: cwmp::DeviceId {
            manufacturer: "Zhone".into(),
            oui: "00AABB".into(),
            product_class: "ZNID24xxA1".into(),
            serial_number: "123".into(),
        },
        events: events(&["2 PERIODIC"]),
        current_time: cwmp::DateTime("0000-00-00T00:00:00".into()),
        retry_count: 3,
        parameters: vec![
            ParameterValue::string(KEY, "(null)"),
            ParameterValue::new("InternetGatewayDevice.X", "1", cwmp::XsdType::new("odd")),
        ],
        unknown: vec![("Inform/X_New".into(), "text".into())],
    }
}

fn get() -> Request {
    Request::GetParameterValues(vec![KEY.into()])
}

fn values(value: &str) -> Response {
    Response::GetParameterValues(vec![ParameterValue::string(KEY, value)])
}

#[tokio::test]
async fn a_profile_corrects_its_devices() {
    let host = Host::with(&[("zhone.wasm", &guest("shipped/zhone"))]).await;
    let (key, device) = (key(), device());
    let matched = host.matched();
    let mut calls = Vec::new();
    let corrected = matched
        .on_inform(&about(&key, &device), inform(), &mut calls)
        .await;
    let mut expected = inform();
    expected.parameters[0].value.clear();
    assert_eq!(corrected, expected, "nothing else may be lost or changed");
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].hook, "on-inform");
    assert_eq!(
        calls[0].changes,
        [format!("- {KEY} = (null)"), format!("+ {KEY} = \"\"")]
    );
    assert!(calls[0].plugin.starts_with("zhone "));
    let response = matched
        .on_response(&about(&key, &device), &get(), values("(null)"), &mut calls)
        .await;
    assert_eq!(response, values(""));
    assert_eq!((calls[1].hook, calls[1].changes.len()), ("on-response", 2));
    // Hooks it does not have are not called.
    let counted = host.status("zhone").counters.calls;
    assert_eq!(
        matched
            .on_request(&about(&key, &device), get(), &mut calls)
            .await,
        [get()]
    );
    assert_eq!(calls.len(), 2);
    assert_eq!(host.status("zhone").counters.calls, counted);
    assert!(host.plugins.time_spent() > Duration::ZERO);

    let other = Summary {
        manufacturer: "Other".into(),
        ..device
    };
    let matched = host.plugins.table().matched("default", &other);
    let same = matched
        .on_inform(&about(&key, &other), inform(), &mut calls)
        .await;
    assert_eq!((same, calls.len()), (inform(), 2));
}

#[tokio::test]
async fn overrides_and_the_operators_narrower_matches() {
    let host = Host::with(&[("both.wasm", &guest("test/both"))]).await;
    let overrides = |host: &Host, instance: &str| {
        host.plugins
            .table()
            .matched(instance, &device())
            .overrides
            .max_names_per_get
    };
    assert_eq!(overrides(&host, "default"), Some(2));
    host.put("both.toml", b"instances = ['north']").await;
    assert_eq!(overrides(&host, "default"), None);
    assert_eq!(overrides(&host, "north"), Some(2));
    host.put("both.toml", b"[[matches]]\nproduct_class = 'F6*'\n")
        .await;
    assert_eq!(overrides(&host, "default"), None);
    assert!(host.matched().flows.is_empty());
    host.put(
        "both.toml",
        b"[[matches]]\noui = '00aabb'\nproduct_class = 'znid*'\n",
    )
    .await;
    assert_eq!(overrides(&host, "default"), Some(2));
    assert_eq!(host.status("both").generation, 4);
}

/// Every hook in every bad way: the message goes on as it was.
#[tokio::test]
async fn a_bad_hook_changes_nothing() {
    let limits = Limits {
        call_deadline: Duration::from_millis(30),
        ..Limits::default()
    };
    let host = Host::with_limits(&[("bad-hooks.wasm", &guest("test/bad-hooks"))], limits).await;
    let (key, device) = (key(), device());
    let about = about(&key, &device);
    let fault = cwmp::Fault {
        code: 9005,
        ..cwmp::Fault::default()
    };
    let meta = HttpMeta::default();
    let mut calls = 0;
    for how in ["trap", "loop"] {
        for hook in [
            "repair",
            "on-inform",
            "on-request",
            "on-response",
            "on-fault",
            "map-path",
        ] {
            let settings = format!("[settings]\nhook = '{hook}'\nhow = '{how}'\n");
            host.put("bad-hooks.toml", settings.as_bytes()).await;
            let matched = host.matched();
            let mut told = Vec::new();
            let told = &mut told;
            assert_eq!(matched.repair(&about, b"<x", &meta, told).await, None);
            assert_eq!(matched.on_inform(&about, inform(), told).await, inform());
            assert_eq!(matched.on_request(&about, get(), told).await, [get()]);
            assert_eq!(
                matched.on_response(&about, &get(), values("a"), told).await,
                values("a")
            );
            assert_eq!(
                matched.on_fault(&about, &get(), &fault, told).await,
                AfterFault::GiveUp
            );
            assert_eq!(matched.map_path(&about, KEY, told).await, None);
            // Every call is told, and which of them failed.
            assert_eq!(told.len(), 6);
            for call in told {
                assert!(call.changes.is_empty());
                assert_eq!(call.failed.is_some(), call.hook == hook, "{call}");
            }
            let status = host.status("bad-hooks");
            assert_eq!(status.counters.calls, 6, "{hook} {how}");
            assert_eq!(status.counters.errors, 1, "{hook} {how}");
            assert_eq!(status.counters.in_flight, 0);
            let error = status.last_error.unwrap();
            if how == "trap" {
                assert_eq!(status.counters.traps, 1);
                assert!(error.starts_with("crashed: wasm `unreachable`"), "{error}");
            } else {
                assert_eq!(status.counters.timeouts, 1);
                assert_eq!(error, "did not return within its 30 ms of computing time");
            }
            calls += 6;
        }
    }
    assert_eq!(calls, 72);
}

#[tokio::test]
async fn a_flooding_hook_changes_nothing() {
    let limits = Limits {
        call_deadline: Duration::from_secs(10),
        ..Limits::default()
    };
    let host = Host::with_limits(&[("bad-hooks.wasm", &guest("test/bad-hooks"))], limits).await;
    let (key, device) = (key(), device());
    let about = about(&key, &device);
    let set = |hook: &str, how: &str| format!("[settings]\nhook = '{hook}'\nhow = '{how}'\n");

    host.put("bad-hooks.toml", set("on-request", "flood").as_bytes())
        .await;
    let told = &mut Vec::new();
    assert_eq!(
        host.matched().on_request(&about, get(), told).await,
        [get()]
    );
    assert_eq!(
        host.error("bad-hooks"),
        "gave back 1000 requests; at most 256"
    );
    host.put("bad-hooks.toml", set("on-request", "empty").as_bytes())
        .await;
    assert!(
        host.matched()
            .on_request(&about, get(), told)
            .await
            .is_empty()
    );
    assert_eq!(
        told[1].changes,
        ["- GetParameterValues of 1".to_owned(), format!("- {KEY}")]
    );

    host.put("bad-hooks.toml", set("map-path", "flood").as_bytes())
        .await;
    assert_eq!(host.matched().map_path(&about, KEY, told).await, None);
    host.put("bad-hooks.toml", set("map-path", "empty").as_bytes())
        .await;
    assert_eq!(host.matched().map_path(&about, KEY, told).await, None);

    // A response of another kind than the request.
    host.put("bad-hooks.toml", set("on-response", "empty").as_bytes())
        .await;
    let response = Response::SetParameterValues(cwmp::Applied::Later);
    assert_eq!(
        host.matched()
            .on_response(&about, &get(), response.clone(), told)
            .await,
        response
    );
    assert_eq!(
        host.error("bad-hooks"),
        "made another kind of response of a SetParameterValuesResponse"
    );

    host.put("bad-hooks.toml", set("on-inform", "flood").as_bytes())
        .await;
    let mut big = inform();
    big.parameters = vec![big.parameters[0].clone(); 50];
    assert_eq!(
        host.matched().on_inform(&about, big.clone(), told).await,
        big
    );
    let error = host.error("bad-hooks");
    assert!(
        error.contains("gave back 50000 parameters") || error.contains("memory"),
        "{error}"
    );
}

#[tokio::test]
async fn policies() {
    let host = Host::with(&[
        ("nat-default.wasm", &guest("shipped/nat-default")),
        ("my-policy.wasm", &guest("examples/my-policy")),
        ("zz-policy.wasm", &guest("test/bad-policy")),
    ])
    .await;
    let (key, device) = (key(), device());
    let about = about(&key, &device);
    let facts = Facts {
        peer_address: Some([203, 0, 113, 7].into()),
        connection_request_url: "http://10.0.0.2:7547/".into(),
        wan_addresses: vec!["10.0.0.2".into()],
        history: vec![(
            crate::device::Mode::Stun,
            crate::device::ModeHistory::default(),
        )],
        ..Facts::default()
    };
    // The shipped one gives way, then the name decides, then the operator.
    assert!(
        host.matched()
            .policy
            .unwrap()
            .decided_by()
            .starts_with("my-policy ")
    );
    assert!(host.status("my-policy").policy_in_force);
    host.put("zz-policy.toml", b"priority = 10").await;
    let policy = host.matched().policy.unwrap();
    assert!(policy.decided_by().starts_with("zz-policy "));
    let error = policy.decide(&about, &facts).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("plugin zz-policy 0.1.0: crashed: wasm `unreachable`"),
        "{error}"
    );
    host.put(
        "zz-policy.toml",
        b"priority = 10\n[settings]\nhow = 'nonsense'",
    )
    .await;
    let decision = host
        .matched()
        .policy
        .unwrap()
        .decide(&about, &facts)
        .await
        .unwrap();
    assert_eq!(decision.fallbacks, [crate::device::Mode::Xmpp]);
    assert!(decision.reason.len() < 1000);
    host.put("nat-default.toml", b"priority = 11").await;
    let decision = host
        .matched()
        .policy
        .unwrap()
        .decide(&about, &facts)
        .await
        .unwrap();
    assert!(decision.behind_nat, "{decision:?}");
}
