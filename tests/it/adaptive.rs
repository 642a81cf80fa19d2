//! Devices that refuse what the standard has them take: asked otherwise, without any plugin,
//! and remembered by model and firmware.

use std::time::Duration;

use cpe_sim::{CpeConfig, Due, Oddity, SessionReport, Vendor, run_session};
use serde_json::{Value, json};

use crate::harness::{Host, Setup, Sim};

/// Sessions that a task may take.
const SESSIONS_MAX: usize = 6;

async fn device(host: &Host, serial: &str, oddities: &[Oddity]) -> Sim {
    let config = CpeConfig {
        acs_url: host.url(),
        ..CpeConfig::of(Vendor::tr181(), serial, "")
    };
    let config = oddities
        .iter()
        .fold(config, |config, one| config.with(*one));
    let mut sim = Sim::new(config);
    sim.settle().await;
    sim
}

/// Has the task done, in as many sessions as the device drops; what came of it, and the
/// requests that the device got.
async fn run(host: &Host, sim: &mut Sim, operation: Value) -> (Value, Vec<SessionReport>) {
    let path = format!("{}/tasks", sim.at());
    let task = host.post(&path, json!({ "operation": operation })).await;
    let path = format!("/v1/tasks/{}", task["id"].as_str().unwrap());
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS_MAX {
        sessions.push(next_session(sim).await);
        let task = host.get(&path).await;
        if !["queued", "sent"].contains(&task["state"].as_str().unwrap()) {
            return (task, sessions);
        }
    }
    panic!("{} after {SESSIONS_MAX} sessions", host.get(&path).await);
}

/// The next session, whether it breaks off or not.
async fn next_session(sim: &mut Sim) -> SessionReport {
    loop {
        match sim.cpe.poll(sim.now()) {
            Due::Session => break,
            Due::Later(Some(at)) => sim.later(at.saturating_sub(sim.now())),
            due => panic!("{due:?}"),
        }
    }
    match run_session(&mut sim.cpe, &sim.options).await {
        Ok(report) => report,
        Err(error) => *error.report,
    }
}

async fn done(host: &Host, sim: &mut Sim, operation: Value) -> (Value, Vec<SessionReport>) {
    let (task, sessions) = run(host, sim, operation).await;
    assert_eq!(task["state"], "done", "{task}");
    (task["result"].clone(), sessions)
}

/// How many names each get had, and whether it was refused.
fn gets(sessions: &[SessionReport]) -> Vec<(usize, Option<u32>)> {
    let served = sessions.iter().flat_map(|s| &s.record.served);
    served
        .filter_map(|served| match &served.request {
            cwmp::Request::GetParameterValues(names) => Some((names.len(), served.fault)),
            _ => None,
        })
        .collect()
}

fn methods(sessions: &[SessionReport]) -> Vec<&str> {
    let served = sessions.iter().flat_map(|s| &s.record.served);
    served.map(|served| served.method()).collect()
}

/// Full names that the device has.
async fn names(host: &Host, sim: &mut Sim, count: usize) -> Vec<String> {
    let operation = json!({ "op": "names", "path": "Device.", "next_level": false });
    let (result, _) = done(host, sim, operation).await;
    let all = result["names"].as_array().unwrap().iter();
    let names: Vec<String> = all
        .map(|name| name["path"].as_str().unwrap().to_owned())
        .filter(|path| !path.ends_with('.'))
        .take(count)
        .collect();
    assert_eq!(names.len(), count);
    names
}

/// What was learned: of one model, or of none.
async fn model(host: &Host) -> Value {
    let models = host.get("/v1/models").await;
    let items = models["items"].as_array().unwrap();
    assert!(items.len() <= 1, "{models}");
    items.first().cloned().unwrap_or(Value::Null)
}

#[tokio::test]
async fn fewer_names_at_once_after_a_fault_and_the_model_is_remembered() {
    for (oddity, code) in [
        (Oddity::GetLimit16, 9004),
        (Oddity::GetLimit16Internal, 9002),
        (Oddity::GetLimit16Arguments, 9003),
    ] {
        let host = Setup::new().start().await;
        let mut first = device(&host, "A1", &[oddity]).await;
        let names = names(&host, &mut first, 40).await;
        let get = json!({ "op": "get", "paths": names });
        let (result, sessions) = done(&host, &mut first, get.clone()).await;
        assert_eq!(result["count"], 40);
        assert_eq!(result["missing"], Value::Null);
        let mut sizes = vec![(40, Some(code)), (20, Some(code))];
        sizes.extend([(10, None); 4]);
        assert_eq!(gets(&sessions), sizes);

        let model = model(&host).await;
        assert_eq!(model["names_per_get"]["most"], 10, "{model}");
        assert_eq!(model["names_per_get"]["too_many"], 20);
        assert_eq!(model["software_version"], Vendor::tr181().software_version);
        assert!(
            first
                .at()
                .ends_with(model["names_per_get"]["learned_from"].as_str().unwrap())
        );
        // Another of its kind is asked right at once.
        let mut second = device(&host, "A2", &[oddity]).await;
        let (_, sessions) = done(&host, &mut second, get.clone()).await;
        assert_eq!(gets(&sessions), [(10, None); 4]);
        // No fault of the device is shown: nothing failed.
        let faults = host.get(&format!("{}/faults", first.at())).await;
        assert_eq!(faults["items"], json!([]));

        let id = model["id"].as_str().unwrap();
        let (status, _) = host.api("DELETE", &format!("/v1/models/{id}"), None).await;
        assert_eq!(status, 204);
        let (status, _) = host.api("DELETE", &format!("/v1/models/{id}"), None).await;
        assert_eq!(status, 404);
        let (_, sessions) = done(&host, &mut second, get).await;
        assert_eq!(gets(&sessions)[0], (40, Some(code)));
        host.stop().await;
    }
}

#[tokio::test]
async fn fewer_names_in_the_next_session_after_one_that_broke_off() {
    for oddity in [Oddity::GetLimit16Drops, Oddity::GetLimit16Reboots] {
        let host = Setup::new().start().await;
        let mut first = device(&host, "A1", &[oddity]).await;
        let names = names(&host, &mut first, 40).await;
        let get = json!({ "op": "get", "paths": names });
        let (result, sessions) = done(&host, &mut first, get.clone()).await;
        assert_eq!(result["count"], 40);
        // Half, then a quarter of that.
        let sizes: Vec<usize> = gets(&sessions).into_iter().map(|(size, _)| size).collect();
        assert_eq!(sizes[..3], [40, 20, 5], "{oddity:?}");
        assert_eq!(sessions.len(), 3);
        assert!(
            model(&host).await["names_per_get"]["most"]
                .as_u64()
                .unwrap()
                <= 10
        );
        let mut second = device(&host, "A2", &[oddity]).await;
        let (_, sessions) = done(&host, &mut second, get).await;
        assert_eq!(sessions.len(), 1, "{oddity:?}");
        host.stop().await;
    }
}

#[tokio::test]
async fn a_device_that_hangs_is_asked_for_less() {
    let host = Setup::new().start().await;
    let mut sim = device(&host, "A1", &[Oddity::GetLimit16Hangs]).await;
    let names = names(&host, &mut sim, 30).await;
    let (result, sessions) = done(&host, &mut sim, json!({ "op": "get", "paths": names })).await;
    assert_eq!((result["count"].as_u64(), sessions.len()), (Some(30), 2));
    host.stop().await;
}

#[tokio::test]
async fn bad_names_are_left_out_told_and_forgotten() {
    for oddities in [&[][..], &[Oddity::BadNameNamed], &[Oddity::BadNamesLeftOut]] {
        let host = Setup::new().start().await;
        let mut sim = device(&host, "A1", oddities).await;
        let mut asked = names(&host, &mut sim, 12).await;
        asked.insert(5, "Device.No.Such".to_owned());
        let get = json!({ "op": "get", "paths": asked });
        let (result, sessions) = done(&host, &mut sim, get).await;
        assert_eq!(result["count"], 12, "{oddities:?}");
        assert_eq!(result["missing"], json!(["Device.No.Such"]));
        let most = if oddities.is_empty() { 9 } else { 2 };
        assert!(gets(&sessions).len() <= most, "{:?}", gets(&sessions));
        // Alone, it is the device's fault as ever, or nothing.
        let get = json!({ "op": "get", "paths": ["Device.No.Such"] });
        let (task, _) = run(&host, &mut sim, get).await;
        if oddities == [Oddity::BadNamesLeftOut] {
            assert_eq!(task["result"]["missing"], json!(["Device.No.Such"]));
        } else {
            assert_eq!(task["error"]["code"], 9005, "{task}");
        }
        host.stop().await;
    }
    // A parameter that was there and has gone is not shown any longer.
    let host = Setup::new().start().await;
    let mut sim = device(&host, "A1", &[]).await;
    let add = json!({ "op": "add-object", "object": "Device.NAT.PortMapping." });
    let (added, _) = done(&host, &mut sim, add).await;
    let row = format!("Device.NAT.PortMapping.{}.", added["instance_number"]);
    let enable = format!("{row}Enable");
    let paths = json!([enable, "Device.DeviceInfo.UpTime"]);
    let get = json!({ "op": "get", "paths": paths });
    done(&host, &mut sim, get.clone()).await;
    sim.cpe.factory_reset(sim.now());
    // Its boot tells a bootstrap, which forgets all; the get before the reset is what counts.
    let known = host.get(&format!("{}?parameters={row}", sim.at())).await;
    assert!(known["parameters"].get(&enable).is_some(), "{known}");
    let (result, _) = done(&host, &mut sim, get).await;
    assert_eq!(result["missing"], json!([enable]));
    let known = host.get(&format!("{}?parameters={row}", sim.at())).await;
    assert_eq!(known["parameters"], json!({}));
    host.stop().await;
}

#[tokio::test]
async fn partial_paths_that_are_not_understood_are_asked_by_name() {
    let host = Setup::new().start().await;
    let mut plain = device(&host, "A0", &[]).await;
    let get = json!({ "op": "get", "paths": ["Device.DeviceInfo."] });
    let (expected, _) = done(&host, &mut plain, get.clone()).await;
    let mut sim = device(&host, "A1", &[Oddity::PartialPathsRefused]).await;
    let (result, sessions) = done(&host, &mut sim, get).await;
    assert_eq!(result["count"], expected["count"]);
    assert_eq!(
        methods(&sessions),
        [
            "GetParameterValues",
            "GetParameterNames",
            "GetParameterValues"
        ]
    );
    host.stop().await;
}

#[tokio::test]
async fn the_names_of_the_tree_are_the_same_whatever_the_device_refuses() {
    let whole = json!({ "op": "names", "path": "", "next_level": false });
    let host = Setup::new().start().await;
    let mut plain = device(&host, "A0", &[]).await;
    done(&host, &mut plain, whole.clone()).await;
    let parameters = |device: &Value| -> Vec<String> {
        device["parameters"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    let expected = parameters(&host.get(&plain.at()).await);
    assert!(expected.len() > 100);
    host.stop().await;
    for oddities in [
        &[Oddity::RootNamesRefused][..],
        &[Oddity::FullNamesExhaust],
        &[Oddity::FullNamesDrop],
        &[Oddity::FullNamesExhaust, Oddity::RootNamesRefused],
        &[Oddity::FullNamesExhaust, Oddity::NextLevelIgnored],
        &[Oddity::ObjectsWithoutDots],
        &[Oddity::ObjectsWithoutDots, Oddity::FullNamesExhaust],
    ] {
        let host = Setup::new().start().await;
        let mut sim = device(&host, "A1", oddities).await;
        done(&host, &mut sim, whole.clone()).await;
        let found = parameters(&host.get(&sim.at()).await);
        let lacking = expected.iter().find(|path| !found.contains(path));
        assert_eq!(lacking, None, "{oddities:?}");
        // Without its dot, an empty table looks like a parameter.
        let is_table = |path: &&String| {
            oddities.contains(&Oddity::ObjectsWithoutDots)
                && !path.contains("NumberOfEntries")
                && !found
                    .iter()
                    .any(|other| other.starts_with(&format!("{path}.")))
        };
        let more = found.iter().filter(|path| !expected.contains(path));
        assert_eq!(
            more.clone().count(),
            more.filter(is_table).count(),
            "{oddities:?}"
        );
        host.stop().await;
    }
}

#[tokio::test]
async fn a_new_object_is_found_where_its_number_is_not_told() {
    let host = Setup::new().start().await;
    let mut sim = device(&host, "A1", &[Oddity::AddObjectUncounted]).await;
    let add = json!({ "op": "add-object", "object": "Device.NAT.PortMapping." });
    let (first, _) = done(&host, &mut sim, add.clone()).await;
    let (second, sessions) = done(&host, &mut sim, add).await;
    let number = |result: &Value| result["instance_number"].as_u64().unwrap();
    assert!(number(&first) > 0);
    assert_eq!(number(&second), number(&first) + 1);
    // Known for it, it is asked before and after.
    assert_eq!(
        methods(&sessions),
        ["GetParameterNames", "AddObject", "GetParameterNames"]
    );
    let habit = &model(&host).await["habits"][0]["habit"];
    assert_eq!(habit, "no-instance-number");
    host.stop().await;
}

#[tokio::test]
async fn what_is_refused_is_asked_once_and_told_in_the_devices_words() {
    let host = Setup::new().start().await;
    let odd = [Oddity::AddObjectRefused, Oddity::AttributesUnsupported];
    let mut sim = device(&host, "A1", &odd).await;
    let add = json!({ "op": "add-object", "object": "Device.NAT.PortMapping." });
    let attributes = json!({ "op": "attributes", "paths": ["Device.DeviceInfo.UpTime"] });
    for (operation, code, text) in [
        (add, 9002, "Internal error"),
        (attributes, 9000, "Method not supported"),
    ] {
        // A person's task is tried each time, and once.
        for _ in 0..2 {
            let (task, sessions) = run(&host, &mut sim, operation.clone()).await;
            let error = &task["error"];
            assert_eq!(
                (&error["code"], &error["text"]),
                (&json!(code), &json!(text))
            );
            assert_eq!(methods(&sessions).len(), 1);
        }
    }
    let unsupported = &model(&host).await["unsupported"];
    assert_eq!(unsupported[0]["method"], "GetParameterAttributes");
    host.stop().await;
}

#[tokio::test]
async fn a_set_that_is_too_large_is_split_between_objects() {
    let host = Setup::new().start().await;
    let mut sim = device(&host, "A1", &[Oddity::SetLimit4]).await;
    let values = [
        ("Device.Time.NTPServer1", "a.test"),
        ("Device.Time.NTPServer2", "b.test"),
        ("Device.ManagementServer.CWMPRetryMinimumWaitInterval", "7"),
        (
            "Device.ManagementServer.CWMPRetryIntervalMultiplier",
            "1500",
        ),
        ("Device.DeviceInfo.ProvisioningCode", "x"),
    ];
    let parameters: Vec<Value> = values
        .iter()
        .map(|(path, value)| {
            let kind = if path.contains("Retry") {
                "unsignedInt"
            } else {
                "string"
            };
            json!({ "path": path, "value": value, "type": kind })
        })
        .collect();
    let set = json!({ "op": "set", "parameters": parameters });
    let (result, sessions) = done(&host, &mut sim, set).await;
    assert_eq!(result["applied"], "now");
    for (path, value) in values {
        assert_eq!(sim.value(path.strip_prefix("Device.").unwrap()), value);
    }
    // Refused once; then Time, and the other two together.
    assert_eq!(methods(&sessions).len(), 1 + 2);
    assert_eq!(model(&host).await["parameters_per_set"]["too_many"], 5);
    host.stop().await;
}

#[tokio::test]
async fn a_broken_line_alone_teaches_nothing() {
    let host = Setup::new().start().await;
    let mut sim = device(&host, "A1", &[]).await;
    let names = names(&host, &mut sim, 40).await;
    let body = json!({ "operation": { "op": "get", "paths": names } });
    host.post(&format!("{}/tasks", sim.at()), body).await;
    sim.later(Duration::from_secs(86_400));
    sim.post_until(&host, "GetParameterValues").await;
    sim.hang_up();
    let report = next_session(&mut sim).await;
    assert_eq!(gets(&[report]), [(20, None), (20, None)]);
    assert_eq!(model(&host).await, Value::Null);
    host.stop().await;
}
