//! Plugins that do harm: the session ends as it should, the other plugins run, the host stays
//! well, and the operator is told which plugin it was.

use std::time::{Duration, Instant};

use cpe_sim::{CpeConfig, SessionReport};
use serde_json::{Value, json};

use crate::harness::{Host, PATIENCE, Setup, Sim, guest, http, put_plugin, rpcs};

/// No session takes longer, whatever a plugin does; by far, unless the machine is busy.
const SESSION_MAX: Duration = Duration::from_secs(20);
/// What `desired-state` writes after all other flows.
const MARK: &str = "[settings]\n[[settings.rules]]\n[settings.rules.values]\n\
    \"Device.DeviceInfo.ProvisioningCode\" = \"marked\"\n";

/// Flows before and after the one that misbehaves.
fn setup() -> Setup {
    Setup::new()
        .plugin("shipped", "nat-default")
        .plugin("shipped", "first-contact")
        .plugin_with("shipped", "desired-state", MARK)
}

fn device(host: &Host, serial: &str) -> Sim {
    Sim::new(CpeConfig {
        connection_request_url: "http://127.0.0.1:7547/cr".into(),
        ..CpeConfig::tr181(serial, &host.url())
    })
}

/// A session of a device that nobody has seen before, with all that the good plugins do.
async fn session(host: &Host, serial: &str) -> (Sim, SessionReport) {
    let mut sim = device(host, serial);
    let begun = Instant::now();
    let report = sim.session().await;
    let took = begun.elapsed();
    assert!(took < SESSION_MAX, "{serial}: {took:?}");
    let shown = host.get(&sim.at()).await;
    assert!(
        shown["tags"]
            .as_array()
            .unwrap()
            .contains(&"contacted".into()),
        "{serial}: {shown}"
    );
    assert_eq!(
        shown["connection_request"]["has_credentials"], true,
        "{serial}"
    );
    assert_eq!(
        sim.value("DeviceInfo.ProvisioningCode"),
        "marked",
        "{serial}"
    );
    (sim, report)
}

/// What is told of a device's plugins.
async fn faults(host: &Host, sim: &Sim) -> Vec<Value> {
    let faults = host.get(&format!("{}/faults", sim.at())).await;
    faults["items"].as_array().unwrap().clone()
}

/// Which counter a failure counts in.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Well,
    /// The flow returned an error.
    Error,
    Trap,
    Timeout,
}

/// One behaviour of the plugin `misbehave` after the other: what it is said to have done.
async fn behaves(rows: &[(&str, Kind, &str)]) {
    let host = setup().plugin("test", "misbehave").start().await;
    for (behaviour, kind, error) in rows {
        // A slow machine must not make it the time that is over first.
        let milliseconds = if *kind == Kind::Timeout { 1000 } else { 60_000 };
        let toml = format!(
            "[settings]\nbehaviour = {behaviour:?}\n[budgets]\nflow_milliseconds = {milliseconds}\n"
        );
        put_plugin(&host.plugins, &guest("test", "misbehave"), Some(&toml));
        host.reload().await;
        let (sim, _) = session(&host, behaviour).await;
        let plugin = host.plugin("misbehave").await;
        let count = |counter: &str| plugin["counters"][counter].as_u64().unwrap();
        let told = [
            count("calls"),
            count("errors"),
            count("traps"),
            count("timeouts"),
            count("in_flight"),
        ];
        let failed = u64::from(*kind != Kind::Well);
        let [trap, timeout] = [Kind::Trap, Kind::Timeout].map(|one| u64::from(one == *kind));
        assert_eq!(told, [1, failed, trap, timeout, 0], "{behaviour}: {plugin}");
        let faults = faults(&host, &sim).await;
        if *kind == Kind::Well {
            assert_eq!(
                (&plugin["last_error"], faults.len()),
                (&Value::Null, 0),
                "{behaviour}: {faults:?}"
            );
            continue;
        }
        let last_error = plugin["last_error"].as_str().unwrap();
        assert!(last_error.contains(error), "{behaviour}: {last_error}");
        assert!(
            last_error.len() < 1000 && !last_error.contains('\n'),
            "{behaviour}: {last_error}"
        );
        let fault = faults.iter().find(|fault| fault["rpc"] == "flow");
        let fault = fault.unwrap_or_else(|| panic!("{behaviour}: {faults:?}"));
        assert!(
            fault["plugin"].as_str().unwrap().starts_with("misbehave"),
            "{fault}"
        );
        assert!(fault["text"].as_str().unwrap().contains(error), "{fault}");
        // Not in the next session: it has failed on this device a moment ago.
        let mut sim = sim;
        assert!(rpcs(&sim.periodic().await).is_empty(), "{behaviour}");
        assert_eq!(
            host.plugin("misbehave").await["counters"]["calls"],
            1,
            "{behaviour}"
        );
    }
    // Its own version is fine again, and nothing has stayed behind.
    put_plugin(&host.plugins, &guest("test", "misbehave"), Some(""));
    host.reload().await;
    session(&host, "after").await;
    let plugin = host.plugin("misbehave").await;
    assert_eq!(
        (&plugin["state"], &plugin["last_error"]),
        (&"running".into(), &Value::Null)
    );
    let status = host.get("/v1/status").await;
    assert_eq!(
        (&status["sessions_open"], &status["store"]["failed"]),
        (&0.into(), &Value::Null)
    );
    assert_eq!(status["counters"]["sessions_abandoned"], 0);
    host.stop().await;
}

#[tokio::test]
async fn flows_that_fail_and_crash() {
    behaves(&[
        ("behave", Kind::Well, ""),
        ("fail", Kind::Error, "failed on purpose"),
        (
            "fail-at-length",
            Kind::Error,
            "failed on purpose failed on purpose",
        ),
        ("panic", Kind::Trap, "crashed: "),
        ("out-of-bounds", Kind::Trap, "crashed: "),
        (
            "eat-memory",
            Kind::Trap,
            "wanted more than its 16777216 bytes of memory",
        ),
        ("deep-recursion", Kind::Trap, "crashed: "),
        ("ask-then-panic", Kind::Trap, "crashed: "),
    ])
    .await;
}

#[tokio::test]
async fn flows_that_do_not_end() {
    behaves(&[
        ("loop", Kind::Timeout, "did not return within its 1000 ms"),
        (
            "flood-host",
            Kind::Trap,
            "called the host more than 10000 times",
        ),
        (
            "flood-log",
            Kind::Trap,
            "called the host more than 10000 times",
        ),
        (
            "flood-random",
            Kind::Trap,
            "called the host more than 10000 times",
        ),
        (
            "flood-memory",
            Kind::Trap,
            "called the host more than 10000 times",
        ),
        (
            "flood-tags",
            Kind::Trap,
            "called the host more than 10000 times",
        ),
    ])
    .await;
}

#[tokio::test]
async fn flows_that_ask_too_much() {
    behaves(&[
        ("many-rpcs", Kind::Error, "budget of 200 RPCs"),
        ("deaf", Kind::Trap, "called the host more than 10000 times"),
        ("bad-names", Kind::Error, "is not a path"),
        ("bad-xml", Kind::Error, "X_Bad><Method"),
    ])
    .await;
}

/// Either of its budgets ends it first, as the machine is fast or slow.
#[tokio::test]
async fn flows_that_spend_all_they_have() {
    let host = setup().plugin("test", "misbehave").start().await;
    for behaviour in ["flood-log-long", "huge-request"] {
        let toml =
            format!("[settings]\nbehaviour = {behaviour:?}\n[budgets]\nflow_milliseconds = 300\n");
        put_plugin(&host.plugins, &guest("test", "misbehave"), Some(&toml));
        host.reload().await;
        let (sim, _) = session(&host, behaviour).await;
        let plugin = host.plugin("misbehave").await;
        assert_eq!(plugin["counters"]["errors"], 1, "{behaviour}: {plugin}");
        let faults = faults(&host, &sim).await;
        assert!(
            faults[0]["plugin"]
                .as_str()
                .unwrap()
                .starts_with("misbehave"),
            "{faults:?}"
        );
    }
    host.stop().await;
}

#[tokio::test]
async fn what_a_flood_leaves_behind_is_bounded() {
    let toml = "[settings]\nbehaviour = \"flood-tags\"\n";
    let host = setup().plugin_with("test", "misbehave", toml).start().await;
    let (sim, _) = session(&host, "F1").await;
    let tags = host.get(&sim.at()).await["tags"].as_array().unwrap().len();
    assert_eq!(tags, 64 + 1, "its own and `contacted`");
    host.stop().await;
}

#[tokio::test]
async fn more_rpcs_than_a_session_may_have() {
    let toml = "[settings]\nbehaviour = \"many-rpcs\"\n";
    let host = setup()
        .plugin_with("test", "misbehave", toml)
        .config(|config| config.cwmp.rpcs_per_session_max = 20)
        .start()
        .await;
    let mut sim = device(&host, "R1");
    let session = sim.session().await;
    assert_eq!(rpcs(&session).len(), 20);
    // What is left of the session's work is done in the next.
    sim.periodic().await;
    assert_eq!(sim.value("DeviceInfo.ProvisioningCode"), "marked");
    let counters = &host.get("/v1/status").await["counters"];
    assert_eq!(
        (&counters["sessions_done"], &counters["requests_refused"]),
        (&2.into(), &0.into())
    );
    host.stop().await;
}

#[tokio::test]
async fn a_flow_that_failed_is_tried_again_later() {
    let toml = "[settings]\nbehaviour = \"panic\"\n";
    let host = setup()
        .plugin_with("test", "misbehave", toml)
        .config(|config| config.plugins.flow_retry_seconds = 2)
        .start()
        .await;
    let mut sim = device(&host, "L1");
    let begun = Instant::now();
    sim.session().await;
    let mut sessions = 0;
    while host.plugin("misbehave").await["counters"]["calls"] == 1 {
        assert!(begun.elapsed() < PATIENCE, "it is not tried again");
        tokio::time::sleep(Duration::from_millis(20)).await;
        sim.periodic().await;
        sessions += 1;
    }
    assert!(
        begun.elapsed() > Duration::from_secs(1),
        "tried again at once"
    );
    assert!(sessions > 1);
    // Another device does not wait for this one.
    session(&host, "L2").await;
    assert_eq!(host.plugin("misbehave").await["counters"]["calls"], 3);
    let faults = faults(&host, &sim).await;
    assert!(
        faults[0]["text"]
            .as_str()
            .unwrap()
            .contains("tried again after 4 s"),
        "{faults:?}"
    );
    assert!(
        faults[1]["text"]
            .as_str()
            .unwrap()
            .contains("tried again after 2 s"),
        "{faults:?}"
    );
    host.stop().await;
}

#[tokio::test]
async fn a_plugin_that_cannot_describe_itself_is_refused() {
    let host = setup().plugin("test", "bad-describe").start().await;
    let plugin = host.plugin("bad-describe").await;
    assert_eq!(plugin["state"], "failed", "{plugin}");
    assert!(
        plugin["last_error"]
            .as_str()
            .unwrap()
            .contains("describe failed: crashed"),
        "{plugin}"
    );
    let unknown = "[settings.overrides]\nmax-name-per-get = \"1\"\n";
    put_plugin(&host.plugins, &guest("test", "bad-hooks"), Some(unknown));
    let plugin = host.plugin_until("bad-hooks", |_| true).await;
    assert_eq!(plugin["state"], "failed", "{plugin}");
    assert!(
        plugin["last_error"]
            .as_str()
            .unwrap()
            .contains("max-names-per-get"),
        "{plugin}"
    );
    session(&host, "D1").await;
    host.stop().await;
}

/// The time that a call may take: what does not end by itself ends soon.
fn patience(how: &str) -> String {
    let milliseconds = if how == "loop" { 100 } else { 5000 };
    format!("[budgets]\ncall_milliseconds = {milliseconds}\n")
}

#[tokio::test]
async fn hooks_that_crash_hang_and_answer_nonsense() {
    let host = setup().plugin("test", "bad-hooks").start().await;
    let garbage = b"<Inform><Manufacturer>Northlight</Manufacturer><OUI>02A1B2</OUI>";
    for hook in [
        "on-inform",
        "on-request",
        "on-response",
        "on-fault",
        "repair",
    ] {
        for how in ["trap", "loop", "empty", "flood"] {
            let toml = format!(
                "[settings]\nhook = {hook:?}\nhow = {how:?}\n{}",
                patience(how)
            );
            put_plugin(&host.plugins, &guest("test", "bad-hooks"), Some(&toml));
            host.reload().await;
            let name = format!("{hook}-{how}");
            let mut sim = device(&host, &name);
            let begun = Instant::now();
            sim.session().await;
            let plugin = host.plugin("bad-hooks").await;
            assert_eq!(plugin["state"], "running", "{name}: {plugin}");

            // Something to ask and a fault, and no message at all.
            let get = json!({ "op": "get", "paths": ["Device.Time.Enable"] });
            let wrong = json!({ "op": "get", "paths": ["Device.NoSuch"] });
            let mut tasks = Vec::new();
            for operation in [get, wrong] {
                let body = json!({ "operation": operation });
                let task = host.post(&format!("{}/tasks", sim.at()), body).await;
                tasks.push(format!("/v1/tasks/{}", task["id"].as_str().unwrap()));
            }
            sim.periodic().await;
            let answer = http(host.cwmp, "POST", "/", "", garbage).await;
            assert_eq!(answer.status, 400, "{name}: {answer:?}");
            assert!(begun.elapsed() < SESSION_MAX, "{name}");
            for task in &tasks {
                let task = host.get(task).await;
                assert!(
                    ["done", "failed"].contains(&task["state"].as_str().unwrap()),
                    "{name}: {task}"
                );
            }
            let plugin = host.plugin("bad-hooks").await;
            let count = |counter: &str| plugin["counters"][counter].as_u64().unwrap();
            assert_eq!(count("in_flight"), 0, "{name}");
            match how {
                "trap" | "loop" => {
                    let counter = if how == "trap" { "traps" } else { "timeouts" };
                    let text = if how == "trap" {
                        "crashed: "
                    } else {
                        "did not return within its 100 ms"
                    };
                    assert!(count(counter) > 0, "{name}: {plugin}");
                    assert!(
                        plugin["last_error"].as_str().unwrap().contains(text),
                        "{name}: {plugin}"
                    );
                    // As if there were no such hook: the device is well, and served.
                    let shown = host.get(&sim.at()).await;
                    assert!(
                        shown["tags"]
                            .as_array()
                            .unwrap()
                            .contains(&"contacted".into()),
                        "{name}"
                    );
                    assert_eq!(sim.value("DeviceInfo.ProvisioningCode"), "marked", "{name}");
                    let [get, wrong] = tasks.as_slice() else {
                        unreachable!()
                    };
                    assert_eq!(host.get(get).await["state"], "done", "{name}");
                    assert_eq!(host.get(wrong).await["error"]["code"], 9005, "{name}");
                }
                _ => {}
            }
        }
    }
    std::fs::remove_file(host.plugins.join("bad-hooks.wasm")).unwrap();
    host.reload().await;
    session(&host, "after").await;
    host.stop().await;
}

#[tokio::test]
async fn a_policy_that_fails_keeps_the_mode() {
    let host = setup()
        .plugin_with("test", "bad-policy", "enabled = false\n")
        .start()
        .await;
    let mut sims = Vec::new();
    for how in ["trap", "loop", "nonsense"] {
        let (sim, _) = session(&host, how).await;
        sims.push(sim);
    }
    for (sim, (how, error)) in sims.iter_mut().zip([
        ("trap", "crashed: "),
        ("loop", "did not return within its 100 ms"),
        ("nonsense", "not configured for this instance"),
    ]) {
        let toml = format!("[settings]\nhow = {how:?}\n{}", patience(how));
        put_plugin(&host.plugins, &guest("test", "bad-policy"), Some(&toml));
        host.reload().await;
        assert_eq!(host.plugin("bad-policy").await["policy_in_force"], true);
        assert!(rpcs(&sim.periodic().await).is_empty());
        let shown = host.get(&sim.at()).await;
        assert_eq!(
            shown["reachability"]["mode"], "direct-http",
            "{how}: the one before"
        );
        assert_eq!(shown["reachability"]["decided_by"], "nat-default 0.1.0");
        let faults = faults(&host, sim).await;
        assert_eq!(faults[0]["rpc"], "nat-policy", "{how}: {faults:?}");
        assert_eq!(faults[0]["plugin"], "bad-policy 0.1.0");
        assert!(
            faults[0]["text"].as_str().unwrap().contains(error),
            "{how}: {faults:?}"
        );

        // A device that has no mode yet is served without one.
        let (new, _) = session(&host, &format!("new-{how}")).await;
        assert_eq!(
            host.get(&new.at()).await["reachability"]["mode"],
            Value::Null
        );
        if how != "nonsense" {
            let plugin = host.plugin("bad-policy").await;
            assert!(
                plugin["last_error"].as_str().unwrap().contains(error),
                "{plugin}"
            );
            assert_eq!(plugin["counters"]["errors"], 2, "{plugin}");
        }
    }
    host.stop().await;
}
