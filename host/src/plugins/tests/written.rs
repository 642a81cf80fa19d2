//! Profiles that are written down: `NAME.profile.toml` and the shipped component `profile`.

use cwmp::{ParameterValue, Request, Response};

use super::*;

const ACME: &str = "version = '7'\n[[matches]]\nmanufacturer = 'Zhone'\n";

fn text(rest: &str) -> Vec<u8> {
    format!("{ACME}{rest}").into_bytes()
}

async fn host(rest: &str) -> Host {
    Host::with(&[
        ("profile.wasm", &guest("shipped/profile")),
        ("acme.profile.toml", &text(rest)),
    ])
    .await
}

#[tokio::test]
async fn overrides_alone_call_nothing() {
    let host = host("[overrides]\nmax-names-per-get = 7\n").await;
    let status = host.status("acme");
    assert_eq!(status.state, PluginState::Running);
    assert_eq!(
        (&*status.version, &*status.file),
        ("7", "acme.profile.toml")
    );
    assert_eq!(status.matches, ["profile: manufacturer Zhone"]);
    let matched = host.matched();
    assert_eq!(matched.overrides.max_names_per_get, Some(7));
    assert_eq!(matched.profiles().count(), 0);
    let (key, device) = (key(), device());
    let mut calls = Vec::new();
    let inform = cwmp::Inform::default();
    let same = matched
        .on_inform(&about(&key, &device), inform.clone(), &mut calls)
        .await;
    assert_eq!((same, calls.len()), (inform, 0));
    assert_eq!(host.status("acme").counters, CountersSnapshot::default());
    // The component by itself is for no device.
    assert_eq!(host.status("profile").state, PluginState::Running);
    assert_eq!(host.status("profile").matches, ["profile: oui -"]);
}

#[tokio::test]
async fn a_change_of_the_file_counts_at_once() {
    let host = host("[overrides]\nmax-names-per-get = 7\n").await;
    let names = |host: &Host| host.matched().overrides.max_names_per_get;
    host.put(
        "acme.profile.toml",
        &text("[overrides]\nmax-names-per-get = 8\n"),
    )
    .await;
    assert_eq!((names(&host), host.status("acme").generation), (Some(8), 2));

    // What is wrong names file and line, and what ran goes on.
    host.put("acme.profile.toml", &text("[overrides]\nmax-names = 9\n"))
        .await;
    assert_eq!(names(&host), Some(8));
    assert_eq!(host.status("acme").state, PluginState::Outdated);
    let error = host.error("acme");
    assert!(
        error.starts_with(
            "acme.profile.toml: line 5: override \"max-names\" is not known; expected"
        ),
        "{error}"
    );

    host.plugins.rollback("acme").await.unwrap();
    assert_eq!(names(&host), Some(7));

    // The operator's part is that of any plugin.
    host.put(
        "acme.profile.toml",
        &text("[overrides]\nmax-names-per-get = 8\n"),
    )
    .await;
    host.put("acme.toml", b"instances = ['north']").await;
    assert_eq!(names(&host), None);
    host.put("acme.toml", b"enabled = false").await;
    assert_eq!(host.status("acme").state, PluginState::Disabled);
    host.put("acme.toml", b"[settings]\nx = 1").await;
    let error = host.error("acme");
    assert!(error.contains("stands in acme.profile.toml"), "{error}");

    std::fs::remove_file(host.directory.path().join("acme.profile.toml")).unwrap();
    host.plugins.reload().await;
    assert_eq!(names(&host), None);
    assert_eq!(host.plugins.statuses().len(), 1);
}

#[tokio::test]
async fn nothing_goes_without_the_component() {
    let profile = text("[overrides]\nmax-names-per-get = 7\n");
    let host = Host::with(&[("acme.profile.toml", &profile)]).await;
    assert_eq!(host.status("acme").state, PluginState::Failed);
    let error = host.error("acme");
    assert!(
        error.starts_with("expected profile.wasm in the same directory"),
        "{error}"
    );
    host.put("profile.wasm", b"rubbish").await;
    assert_eq!(
        host.error("acme"),
        "profile.wasm: not a WebAssembly component: only a few bytes long"
    );
    host.put("profile.wasm", &guest("shipped/profile")).await;
    assert_eq!(host.status("acme").state, PluginState::Running);
    // It goes on with the code it has.
    std::fs::remove_file(host.directory.path().join("profile.wasm")).unwrap();
    host.plugins.reload().await;
    assert_eq!(host.status("acme").state, PluginState::Outdated);
    assert_eq!(host.matched().overrides.max_names_per_get, Some(7));
    // The component may be off as a plugin of its own.
    host.put("profile.toml", b"enabled = false").await;
    host.put("profile.wasm", &guest("shipped/profile")).await;
    assert_eq!(host.status("profile").state, PluginState::Disabled);
    assert_eq!(host.status("acme").state, PluginState::Running);
}

#[tokio::test]
async fn one_name_is_one_plugin() {
    let host = host("").await;
    host.put("acme.wasm", &guest("test/version-1")).await;
    assert_eq!(host.status("acme").state, PluginState::Outdated);
    assert_eq!(
        host.error("acme"),
        "there are acme.wasm and acme.profile.toml; expected one of them"
    );
}

/// Every hook, from a file: what it does, and what it says it did.
#[tokio::test]
async fn every_hook() {
    let host = host(
        "[[values]]\nis = '(null)'\nbecomes = ''\n\
         [[events]]\nis = 'X VENDOR *'\n\
         [sets]\none_object_each = true\n\
         [[faults]]\ncodes = [9005]\nthen = 'skip'\n\
         [paths]\n'WiFi.SSID.*.SSID' = 'LANDevice.1.WLANConfiguration.*.SSID'\n\
         [repair]\nangle_brackets = true\n",
    )
    .await;
    assert_eq!(host.status("acme").state, PluginState::Running);
    let (key, device) = (key(), device());
    let about = about(&key, &device);
    let matched = host.matched();
    let calls = &mut Vec::new();

    let inform = cwmp::Inform {
        device_id: cwmp::DeviceId {
            oui: "00AABB".into(),
            ..cwmp::DeviceId::default()
        },
        events: events(&["1 BOOT", "X VENDOR Bind"]),
        parameters: vec![ParameterValue::string("A", "(null)")],
        ..cwmp::Inform::default()
    };
    let corrected = matched.on_inform(&about, inform, calls).await;
    assert_eq!(corrected.events, events(&["1 BOOT"]));
    assert_eq!(corrected.parameters, [ParameterValue::string("A", "")]);

    let get = Request::GetParameterValues(vec!["A".into()]);
    let values =
        |value: &str| Response::GetParameterValues(vec![ParameterValue::string("A", value)]);
    let response = matched
        .on_response(&about, &get, values("(null)"), calls)
        .await;
    assert_eq!(response, values(""));

    let set = |paths: &[&str]| {
        Request::SetParameterValues(cwmp::SetParameterValues {
            parameters: paths
                .iter()
                .map(|path| ParameterValue::string(*path, "x"))
                .collect(),
            parameter_key: "key".into(),
        })
    };
    assert_eq!(
        matched
            .on_request(&about, set(&["A.B", "C.D"]), calls)
            .await,
        [set(&["A.B"]), set(&["C.D"])]
    );
    let fault = cwmp::Fault {
        code: 9005,
        ..cwmp::Fault::default()
    };
    assert_eq!(
        matched.on_fault(&about, &get, &fault, calls).await,
        AfterFault::Skip
    );
    assert_eq!(
        matched
            .map_path(&about, "WiFi.SSID.3.SSID", calls)
            .await
            .unwrap(),
        "InternetGatewayDevice.LANDevice.1.WLANConfiguration.3.SSID"
    );
    let meta = HttpMeta::default();
    assert_eq!(
        matched
            .repair(&about, b"<V>a < b</V>", &meta, calls)
            .await
            .unwrap(),
        b"<V>a &lt; b</V>"
    );

    let told: Vec<String> = calls
        .iter()
        .map(|call| {
            format!(
                "{} {}: {}",
                call.plugin,
                call.hook,
                call.changes.join(" | ")
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "acme 7 on-inform: - A = (null) | + A = \"\" | - event X VENDOR Bind",
            "acme 7 on-response: - A = (null) | + A = \"\"",
            "acme 7 on-request: + SetParameterValues of 1 | + SetParameterValues of 1 | - SetParameterValues of 2",
            "acme 7 on-fault: skipped",
            "acme 7 map-path: - WiFi.SSID.3.SSID | + InternetGatewayDevice.LANDevice.1.WLANConfiguration.3.SSID",
            "acme 7 repair: - 12 bytes | + 15 bytes",
        ]
    );
}
