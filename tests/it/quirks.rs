//! The rows of `docs/quirks.md` about RPCs and values that have no better place: one small test each, named by its
//! row. What a profile says here is written down the way an operator would, in a `NAME.profile.toml`.

mod values;

use std::time::Duration;

use cpe_sim::{CpeConfig, FleetConfig, Oddities, Oddity, SessionReport, Vendor};
use cwmp::Request;
use serde_json::{Value, json};

use crate::harness::{Host, Live, Setup, Sim, inform};

/// A host with one profile, for all devices.
async fn host(profile: &str) -> Host {
    with(profile).start().await
}

fn with(profile: &str) -> Setup {
    let all = "[[matches]]\nmanufacturer = \"*\"\n";
    Setup::new().profile("quirk", &format!("{all}{profile}"))
}

/// A device with these oddities that has had its first session.
async fn device(host: &Host, oddities: &[Oddity]) -> Sim {
    let config = CpeConfig {
        connection_request_url: "http://127.0.0.1:7547/cr".into(),
        ..CpeConfig::tr098("Q1", &host.url())
    };
    let mut sim = Sim::new(
        oddities
            .iter()
            .fold(config, |config, one| config.with(*one)),
    );
    sim.session().await;
    sim
}

/// A task, and the session that does it.
async fn run(host: &Host, sim: &mut Sim, operation: Value) -> (Value, SessionReport) {
    let task = host
        .post(
            &format!("{}/tasks", sim.at()),
            json!({ "operation": operation }),
        )
        .await;
    let session = sim.periodic().await;
    let id = task["id"].as_str().unwrap();
    (host.get(&format!("/v1/tasks/{id}")).await, session)
}

async fn done(host: &Host, sim: &mut Sim, operation: Value) -> (Value, SessionReport) {
    let (task, session) = run(host, sim, operation).await;
    assert_eq!(task["state"], "done", "{task}");
    (task, session)
}

fn names(session: &SessionReport) -> Vec<(String, bool)> {
    let served = session.served("GetParameterNames");
    let names = served.map(|served| match &served.request {
        Request::GetParameterNames(get) => (get.path.clone(), get.next_level),
        other => panic!("{other:?}"),
    });
    names.collect()
}

/// The names of the values in each SetParameterValues.
fn sets(session: &SessionReport) -> Vec<Vec<String>> {
    let served = session.served("SetParameterValues");
    let sets = served.map(|served| match &served.request {
        Request::SetParameterValues(set) => {
            set.parameters.iter().map(|one| one.path.clone()).collect()
        }
        other => panic!("{other:?}"),
    });
    sets.collect()
}

#[tokio::test]
async fn r1_names_begin_at_the_root_object() {
    let host = host("[overrides]\nskip-root-names = true\n").await;
    let mut sim = device(&host, &[Oddity::RootNamesRefused]).await;
    let all = json!({ "op": "names", "path": "", "next_level": false });
    let (_, session) = done(&host, &mut sim, all).await;
    assert_eq!(
        names(&session),
        [("InternetGatewayDevice.".to_owned(), false)]
    );
    host.stop().await;
}

#[tokio::test]
async fn r3_a_tree_that_is_too_big_is_read_by_level() {
    let host = host("[overrides]\nnames-by-level = true\n").await;
    let mut sim = device(&host, &[Oddity::FullNamesExhaust]).await;
    let part = json!({ "op": "names", "path": "InternetGatewayDevice.", "next_level": false });
    let (_, session) = done(&host, &mut sim, part).await;
    let asked = names(&session);
    assert!(asked.len() > 10, "{asked:?}");
    assert!(asked.iter().all(|(_, next_level)| *next_level));
    host.stop().await;
}

#[tokio::test]
async fn r4_no_more_names_at_once_than_the_device_takes() {
    let host = host("[overrides]\nmax-names-per-get = 16\nmax-parameters-per-set = 1\n").await;
    let mut sim = device(&host, &[Oddity::GetLimit16]).await;
    let paths = vec!["InternetGatewayDevice.DeviceInfo.SoftwareVersion"; 40];
    let (_, session) = done(&host, &mut sim, json!({ "op": "get", "paths": paths })).await;
    let sizes = session
        .served("GetParameterValues")
        .map(|served| match &served.request {
            Request::GetParameterValues(names) => names.len(),
            other => panic!("{other:?}"),
        });
    let sizes: Vec<usize> = sizes.collect();
    assert!(
        !sizes.is_empty() && sizes.iter().all(|size| *size <= 16),
        "{sizes:?}"
    );
    let two = json!({ "op": "set", "parameters": [
        { "path": "InternetGatewayDevice.Time.NTPServer1", "value": "a" },
        { "path": "InternetGatewayDevice.Time.NTPServer2", "value": "b" },
    ] });
    let (_, session) = done(&host, &mut sim, two).await;
    assert_eq!(sets(&session).len(), 2);
    host.stop().await;
}

/// An empty table is answered with fault 9005: an answer without content.
#[tokio::test]
async fn r5_a_fault_that_means_nothing_there() {
    let host = host(
        "[[faults]]\nrpc = \"GetParameterValues\"\ncodes = [9005]\npath = \"*.X_Table.\"\nthen = \"skip\"\n",
    )
    .await;
    let mut sim = device(&host, &[]).await;
    let get = |path: &str| json!({ "op": "get", "paths": [path] });
    let table = "InternetGatewayDevice.DeviceInfo.X_Table.";
    let (task, _) = done(&host, &mut sim, get(table)).await;
    assert_eq!(task["result"]["parameters"], json!([]), "{task}");
    let (task, _) = run(&host, &mut sim, get("InternetGatewayDevice.Nothing.")).await;
    assert_eq!(task["error"]["code"], 9005, "{task}");
    host.stop().await;
}

#[tokio::test]
async fn r5_full_names_only() {
    let host = host("[overrides]\nno-partial-paths = true\n").await;
    let mut sim = device(&host, &[Oddity::PartialPathsRefused]).await;
    let get = json!({ "op": "get", "paths": [sim.path("Time.")] });
    let (task, session) = done(&host, &mut sim, get).await;
    assert!(task["result"]["parameters"].as_array().unwrap().len() > 3);
    for served in session.served("GetParameterValues") {
        let Request::GetParameterValues(names) = &served.request else {
            panic!("{served:?}")
        };
        assert!(names.iter().all(|name| !name.ends_with('.')), "{names:?}");
    }
    host.stop().await;
}

#[tokio::test]
async fn r6_one_bad_name_spoils_no_others() {
    let host = Setup::new().start().await;
    let mut sim = device(&host, &[Oddity::BadNamesLeftOut]).await;
    let good = sim.path("DeviceInfo.SoftwareVersion");
    let get = json!({ "op": "get", "paths": [good, sim.path("DeviceInfo.Nothing")] });
    let (task, _) = done(&host, &mut sim, get).await;
    let parameters = task["result"]["parameters"].as_array().unwrap();
    assert_eq!(parameters.len(), 1, "{task}");
    assert_eq!(parameters[0]["path"], good);
    host.stop().await;
}

#[tokio::test]
async fn r14_an_object_that_cannot_be_added_is_asked_for_once() {
    let host = Setup::new().start().await;
    let mut sim = device(&host, &[]).await;
    let add = json!({ "op": "add-object", "object": "InternetGatewayDevice.DeviceInfo." });
    let (task, session) = run(&host, &mut sim, add).await;
    assert_eq!(task["state"], "failed", "{task}");
    assert_eq!(session.served("AddObject").count(), 1);
    assert_eq!(sim.periodic().await.served("AddObject").count(), 0);
    host.stop().await;
}

#[tokio::test]
async fn r9_values_in_the_order_and_the_pieces_that_the_device_takes() {
    let host = host(
        "[sets]\nfirst = [\"*.SSID\", \"*.BeaconType\"]\nlast = [\"*.Enable\"]\none_object_each = true\n",
    )
    .await;
    let mut sim = device(&host, &[]).await;
    let wlan = |name: &str| format!("InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.{name}");
    let ntp = "InternetGatewayDevice.Time.NTPServer1".to_owned();
    let set = json!({ "op": "set", "parameters": [
        { "path": wlan("Enable"), "value": "1", "type": "boolean" },
        { "path": ntp, "value": "ntp.example" },
        { "path": wlan("BeaconType"), "value": "11i" },
        { "path": wlan("SSID"), "value": "home" },
    ] });
    let (_, session) = done(&host, &mut sim, set).await;
    assert_eq!(
        sets(&session),
        [
            vec![wlan("SSID"), wlan("BeaconType"), wlan("Enable")],
            vec![ntp]
        ]
    );
    host.stop().await;
}

/// A secret reads back as empty: that is no reason to write it again.
#[tokio::test]
async fn r10_a_secret_that_reads_back_empty_is_no_drift() {
    let key = "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.KeyPassphrase";
    let settings =
        format!("[[settings.rules]]\n[settings.rules.values]\n\"{key}\" = \"a-long-passphrase\"\n");
    let host = Setup::new()
        .plugin_with("shipped", "desired-state", &settings)
        .start()
        .await;
    let mut sim = Sim::new(CpeConfig::tr098("Q1", &host.url()));
    assert_eq!(sets(&sim.session().await), [[key]]);
    let get = json!({ "op": "get", "paths": [key] });
    let (task, session) = done(&host, &mut sim, get).await;
    assert_eq!(task["result"]["parameters"][0]["value"], "", "{task}");
    assert!(sets(&session).is_empty());
    assert!(sets(&sim.periodic().await).is_empty());
    host.stop().await;
}

/// A reboot that drops the line where its answer is due is done when the device boots.
#[tokio::test]
async fn r18_a_reboot_without_an_answer() {
    let host = Setup::new().start().await;
    let mut sim = device(&host, &[Oddity::DropsAtReboot]).await;
    let task = host
        .post(
            &format!("{}/tasks", sim.at()),
            json!({ "operation": { "op": "reboot" } }),
        )
        .await;
    let interval = sim.value("ManagementServer.PeriodicInformInterval");
    sim.later(Duration::from_secs(interval.parse().unwrap()));
    let broken = cpe_sim::run_session(&mut sim.cpe, &sim.options).await;
    assert!(broken.is_err(), "{broken:?}");
    sim.settle().await;
    let task = host
        .get(&format!("/v1/tasks/{}", task["id"].as_str().unwrap()))
        .await;
    assert_eq!(task["state"], "done", "{task}");
    host.stop().await;
}

#[tokio::test]
async fn r20_no_shorter_interval_than_the_device_takes() {
    let host = host("[overrides]\nmin-periodic-inform-interval = 60\n").await;
    let mut sim = device(&host, &[]).await;
    for (asked, written) in [("30", "60"), ("300", "300")] {
        let path = sim.path("ManagementServer.PeriodicInformInterval");
        let set = json!({ "op": "set", "parameters": [
            { "path": path, "value": asked, "type": "unsignedInt" },
        ] });
        done(&host, &mut sim, set).await;
        assert_eq!(
            sim.value("ManagementServer.PeriodicInformInterval"),
            written
        );
    }
    host.stop().await;
}

/// What the device makes of a connection request, and what the profile says to that.
#[tokio::test]
async fn r21_connection_requests_that_need_basic_authentication() {
    let profile = "[overrides]\nconnection-request-basic-auth = true\n";
    for (profile, state) in [(profile, "session-opened"), ("", "failed")] {
        let host = with(profile)
            .plugin("shipped", "first-contact")
            .config(|config| {
                config.instance.connection_request_seconds_max = 2;
                config.instance.session_after_wake_seconds_max = 1;
            })
            .start()
            .await;
        let live = Live::start(FleetConfig {
            oddities: [Oddity::RequestBasic].into_iter().collect::<Oddities>(),
            ..FleetConfig::single(&host.url(), Vendor::tr181())
        })
        .await;
        let report = host
            .post(&format!("{}/wake", live.at), json!({ "wait_seconds": 20 }))
            .await;
        assert_eq!(report["state"], state, "{report}");
        host.stop().await;
    }
}

/// The challenge to a connection request is answered on a connection of its own, if need be.
#[tokio::test]
async fn b6_the_connection_ends_after_a_401() {
    let host = Setup::new()
        .plugin("shipped", "first-contact")
        .start()
        .await;
    let live = Live::start(FleetConfig {
        oddities: [Oddity::RequestClosedAfter401]
            .into_iter()
            .collect::<Oddities>(),
        ..FleetConfig::single(&host.url(), Vendor::tr181())
    })
    .await;
    let report = host
        .post(&format!("{}/wake", live.at), json!({ "wait_seconds": 20 }))
        .await;
    assert_eq!(report["state"], "session-opened", "{report}");
    host.stop().await;
}

/// Whatever URL a device gives for connection requests: its session goes on, and a wake-up says what is wrong.
#[tokio::test]
async fn r22_connection_request_urls_of_all_kinds() {
    let host = Setup::new()
        .config(|config| {
            config.instance.connection_request_seconds_max = 1;
            config.instance.session_after_wake_seconds_max = 1;
        })
        .start()
        .await;
    for (number, url) in [
        "",
        "http://0.0.0.0:7547/",
        "http://10.0.0.1:7547/cr",
        "http://100.64.0.9:7547/",
        "http://[fe80::1]:7547/x",
        "http://192.0.2.1",
        "http://192.0.2.1:58000",
        "http://:7547/",
        "192.0.2.1:7547",
        "ftp://192.0.2.1/",
        "http://192.0.2.1:99999/",
    ]
    .into_iter()
    .enumerate()
    {
        let serial = format!("U{number}");
        let body = inform(&serial, &["1 BOOT"]).replace("http://127.0.0.1:9/", url);
        let answer = crate::harness::http(host.cwmp, "POST", "/", "", body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{url:?}: {answer:?}");
        let at = format!("/v1/devices/00AABB-Box-{serial}");
        let shown = host.get(&at).await;
        assert_eq!(shown["connection_request"]["url"], url, "{shown}");
        let report = host
            .post(&format!("{at}/wake"), json!({ "wait_seconds": 20 }))
            .await;
        assert_eq!(report["state"], "failed", "{url:?}: {report}");
        let error = report["attempts"][0]["error"].as_str();
        assert!(
            error.is_some_and(|error| error.len() > 10),
            "{url:?}: {report}"
        );
    }
    // Told twice, as some do: the last one counts.
    let parameter = |url: &str| {
        format!(
            "<ParameterValueStruct><Name>InternetGatewayDevice.ManagementServer.ConnectionRequestURL</Name><Value>{url}</Value></ParameterValueStruct></ParameterList>"
        )
    };
    let body = inform("U99", &["1 BOOT"])
        .replace("</ParameterList>", &parameter("http://192.0.2.7:7547/"));
    crate::harness::http(host.cwmp, "POST", "/", "", body.as_bytes()).await;
    let shown = host.get("/v1/devices/00AABB-Box-U99").await;
    assert_eq!(shown["connection_request"]["url"], "http://192.0.2.7:7547/");
    host.stop().await;
}

/// A device whose credentials cannot be known is not called with wrong ones.
#[tokio::test]
async fn r23_connection_requests_without_credentials() {
    let host = Setup::new()
        .config(|config| config.instance.connection_request_seconds_max = 2)
        .start()
        .await;
    let live = Live::start(FleetConfig::single(&host.url(), Vendor::tr181())).await;
    let report = host
        .post(&format!("{}/wake", live.at), json!({ "wait_seconds": 20 }))
        .await;
    assert_eq!(report["state"], "failed", "{report}");
    let error = report["attempts"][0]["error"].as_str().unwrap();
    assert!(error.contains("the ACS has none for it yet"), "{error}");
    host.stop().await;
}

/// The host keeps its own time: a device's clock that was never set spoils nothing.
#[tokio::test]
async fn r28_a_clock_that_was_never_set() {
    let host = Setup::new().start().await;
    let mut sim = device(&host, &[Oddity::Clock1970]).await;
    let get = json!({ "op": "get", "paths": [sim.path("DeviceInfo.SoftwareVersion")] });
    done(&host, &mut sim, get).await;
    let contact = host.get(&sim.at()).await["last_contact"].clone();
    assert!(contact.as_str().unwrap() > "2025", "{contact}");
    host.stop().await;
}
