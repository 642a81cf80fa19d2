//! Plugins replaced, broken, removed and dropped in while devices are in their sessions.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use cpe_sim::CpeConfig;
use serde_json::{Value, json};

use crate::harness::{Host, PATIENCE, Setup, Sim, guest, put_plugin, put_plugin_as, rpcs};

/// Sessions open at the same time.
const DEVICES: usize = 200;
/// From the moment that a file is in place to the first session with it. It is well below a
/// second, unless the machine has much else to do.
const SOON: Duration = Duration::from_secs(10);

/// A host with the first release of the plugin `version`.
async fn host() -> Host {
    let host = Setup::new().start().await;
    put_release(&host, 1);
    host.reload().await;
    assert_eq!(host.plugin("version").await["version"], "1.0.0");
    host
}

fn put_release(host: &Host, release: u32) {
    let file = guest("test", &format!("version-{release}"));
    put_plugin_as(&host.plugins, "version", &file, None);
}

/// A device that the host is able to call, so that each session has all of its logic.
fn device(host: &Host, serial: &str) -> Sim {
    Sim::new(CpeConfig {
        connection_request_url: "http://127.0.0.1:7547/cr".into(),
        ..CpeConfig::tr181(serial, &host.url())
    })
}

async fn tags(host: &Host, sim: &Sim) -> Value {
    host.get(&sim.at()).await["tags"].clone()
}

#[tokio::test]
async fn a_version_replaced_under_two_hundred_open_sessions() {
    let host = host().await;
    let mut devices: Vec<Sim> = (0..DEVICES)
        .map(|number| device(&host, &format!("R{number}")))
        .collect();
    for sim in &mut devices {
        sim.post_until(&host, "GetParameterValues").await;
    }
    let status = host.plugin("version").await;
    assert_eq!(status["counters"]["in_flight"], DEVICES);

    put_release(&host, 2);
    let placed = Instant::now();
    host.plugin_until("version", |plugin| plugin["version"] == "2.0.0")
        .await;
    let mut new = device(&host, "NEW");
    new.session().await;
    let took = placed.elapsed();
    assert!(took < SOON, "{took:?}");
    assert_eq!(tags(&host, &new).await, json!(["v2"]));

    // Those under way go on with the version that they began with.
    for sim in &mut devices {
        sim.post_rest(&host).await;
        assert_eq!(sim.value("DeviceInfo.ProvisioningCode"), "v1");
        assert_eq!(tags(&host, sim).await, json!(["v1"]));
    }
    let status = host.get("/v1/status").await;
    assert_eq!(status["counters"]["sessions_done"], DEVICES + 1);
    assert_eq!(
        (
            &status["counters"]["sessions_abandoned"],
            &status["counters"]["requests_refused"]
        ),
        (&0.into(), &0.into())
    );
    // Their next session has the new one.
    devices[0].periodic().await;
    assert_eq!(tags(&host, &devices[0]).await, json!(["v2"]));
    assert_eq!(host.plugin("version").await["counters"]["errors"], 0);
    host.stop().await;
}

#[tokio::test]
async fn versions_replaced_again_and_again_while_devices_come_and_go() {
    let host = host().await;
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let mut devices: Vec<Sim> = (0..5)
                .map(|n| device(&host, &format!("W{worker}{n}")))
                .collect();
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                let mut sessions = 0;
                while !stop.load(Ordering::Relaxed) {
                    for sim in &mut devices {
                        // A session that fails panics.
                        let report = sim.session().await;
                        let code = sim.value("DeviceInfo.ProvisioningCode");
                        assert!(["v1", "v2"].contains(&code.as_str()), "{code}");
                        assert_eq!(rpcs(&report)[0], "GetParameterValues");
                        sessions += 1;
                    }
                }
                sessions
            })
        })
        .collect();
    for release in [2, 1, 2, 1] {
        put_release(&host, release);
        host.plugin_until("version", |plugin| {
            plugin["version"] == format!("{release}.0.0")
        })
        .await;
        let mut new = device(&host, &format!("N{release}"));
        new.session().await;
        assert_eq!(tags(&host, &new).await, json!([format!("v{release}")]));
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        assert!(worker.await.unwrap() > 0);
    }
    let plugin = host.plugin("version").await;
    assert_eq!(
        (&plugin["generation"], &plugin["last_error"]),
        (&5.into(), &Value::Null),
        "{plugin}"
    );
    let counters = &host.get("/v1/status").await["counters"];
    assert_eq!(
        (&counters["sessions_abandoned"], &counters["faults"]),
        (&0.into(), &0.into())
    );
    host.stop().await;
}

#[tokio::test]
async fn a_broken_file_leaves_the_old_one_running() {
    let host = host().await;
    let file = host.plugins.join("version.wasm");
    let good = std::fs::read(guest("test", "version-2")).unwrap();
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xff);
    for (number, (bytes, why)) in [
        (
            b"garbage, not wasm".as_slice(),
            "not a WebAssembly component",
        ),
        (b"", "empty"),
        (b"\0asm\x01\0\0\0", "a core module, not a component"),
        (&good[..good.len() / 2], "not a valid component"),
        (&damaged, "not a valid component"),
    ]
    .into_iter()
    .enumerate()
    {
        // Not by a rename: as an operator does it who does not know better.
        std::fs::write(&file, bytes).unwrap();
        let told = |plugin: &Value| {
            plugin["last_error"]
                .as_str()
                .is_some_and(|error| error.contains(why))
        };
        let plugin = host.plugin_until("version", told).await;
        assert_eq!(
            (&plugin["state"], &plugin["version"]),
            (&"outdated".into(), &"1.0.0".into()),
            "{plugin}"
        );
        assert_eq!(plugin["last_error"].as_str().unwrap().lines().count(), 1);
        let mut sim = device(&host, &format!("B{number}"));
        sim.session().await;
        assert_eq!(tags(&host, &sim).await, json!(["v1"]));
    }
    std::fs::write(&file, &good).unwrap();
    let plugin = host
        .plugin_until("version", |plugin| plugin["state"] == "running")
        .await;
    assert_eq!(
        (&plugin["version"], &plugin["last_error"]),
        (&"2.0.0".into(), &Value::Null)
    );

    // One that never ran is shown too, and is nobody's.
    std::fs::write(host.plugins.join("broken.wasm"), b"garbage").unwrap();
    let plugin = host.plugin_until("broken", |_| true).await;
    assert_eq!(plugin["state"], "failed", "{plugin}");
    host.stop().await;
}

#[tokio::test]
async fn a_copy_that_takes_its_time() {
    use std::io::Write;
    let host = host().await;
    let bytes = std::fs::read(guest("test", "version-2")).unwrap();
    let mut file = std::fs::File::create(host.plugins.join("version.wasm")).unwrap();
    for part in bytes.chunks(bytes.len() / 4 + 1) {
        file.write_all(part).unwrap();
        file.flush().unwrap();
        // Whatever the host makes of a part of it.
        host.reload().await;
        let mut sim = device(&host, "C1");
        sim.session().await;
        let expected = if file.metadata().unwrap().len() == bytes.len() as u64 {
            "v2"
        } else {
            "v1"
        };
        assert_eq!(tags(&host, &sim).await, json!([expected]));
    }
    drop(file);
    let plugin = host
        .plugin_until("version", |plugin| plugin["state"] == "running")
        .await;
    assert_eq!(
        (&plugin["version"], &plugin["last_error"]),
        (&"2.0.0".into(), &Value::Null)
    );
    host.stop().await;
}

#[tokio::test]
async fn touched_and_copied_again_is_not_changed() {
    let host = host().await;
    let mut sim = device(&host, "T1");
    sim.session().await;
    let file = host.plugins.join("version.wasm");
    let touch = |path: &Path, seconds| {
        let file = std::fs::File::options().append(true).open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
            .unwrap();
    };
    touch(&file, 1_000_000_000);
    host.reload().await;
    put_release(&host, 1);
    host.reload().await;
    let plugin = host.plugin("version").await;
    assert_eq!(
        (&plugin["generation"], &plugin["counters"]["calls"]),
        (&1.into(), &1.into()),
        "{plugin}"
    );
    host.stop().await;
}

#[tokio::test]
async fn deleted_disabled_and_settings_changed() {
    let host = Setup::new()
        .plugin_with("test", "misbehave", "")
        .start()
        .await;
    let mut sim = device(&host, "S1");
    let toml = host.plugins.join("misbehave.toml");
    let begin = |plugin: &Value| plugin["generation"].as_u64().unwrap();
    sim.session().await;
    assert_eq!(host.plugin("misbehave").await["counters"]["calls"], 1);

    // Other settings.
    let before = begin(&host.plugin("misbehave").await);
    std::fs::write(
        &toml,
        "[settings]\nbehaviour = \"flood-tags\"\n[budgets]\nhost_calls = 3\n",
    )
    .unwrap();
    host.plugin_until("misbehave", |plugin| begin(plugin) > before)
        .await;
    sim.periodic().await;
    // One host call for the settings, two for tags.
    assert_eq!(tags(&host, &sim).await, json!(["flood-0", "flood-1"]));

    // Settings that are no TOML: the ones before stay in force.
    std::fs::write(&toml, "enabled = true\nenable = 1\n").unwrap();
    let plugin = host
        .plugin_until("misbehave", |plugin| plugin["state"] == "outdated")
        .await;
    let error = plugin["last_error"].as_str().unwrap();
    assert!(
        error.contains("misbehave.toml: line 2: unknown field `enable`"),
        "{error}"
    );
    let mut other = device(&host, "S2");
    other.session().await;
    assert_eq!(tags(&host, &other).await, json!(["flood-0", "flood-1"]));

    for (text, state, calls) in [("enabled = false\n", "disabled", 0), ("", "running", 1)] {
        std::fs::write(&toml, text).unwrap();
        host.plugin_until("misbehave", |plugin| plugin["state"] == state)
            .await;
        device(&host, state).session().await;
        assert_eq!(
            host.plugin("misbehave").await["counters"]["calls"],
            calls,
            "{text}"
        );
    }

    let wasm = host.plugins.join("misbehave.wasm");
    std::fs::remove_file(&wasm).unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while host.api("GET", "/v1/plugins/misbehave", None).await.0 != 404 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(host.get("/v1/plugins").await["items"], json!([]));
    device(&host, "S4").session().await;
    host.stop().await;
}

#[tokio::test]
async fn a_plugin_dropped_in() {
    let host = Setup::new().start().await;
    let mut sim = device(&host, "D1");
    assert!(rpcs(&sim.session().await).is_empty());
    put_plugin(&host.plugins, &guest("examples", "read-five"), None);
    let plugin = host
        .plugin_until("read-five", |plugin| plugin["state"] == "running")
        .await;
    assert_eq!(
        (&plugin["kinds"], &plugin["file"]),
        (&json!(["flow"]), &"read-five.wasm".into())
    );
    assert_eq!(rpcs(&sim.periodic().await), ["GetParameterValues"]);
    assert_eq!(host.plugin("read-five").await["counters"]["calls"], 1);

    // Files that are on their way, and other files, are none.
    std::fs::write(host.plugins.join(".read-six.wasm"), b"x").unwrap();
    std::fs::write(host.plugins.join("notes.txt"), b"x").unwrap();
    host.reload().await;
    assert_eq!(
        host.get("/v1/plugins").await["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    host.stop().await;
}

#[tokio::test]
async fn an_operators_policy_beside_the_shipped_one_takes_over() {
    let host = Setup::new().plugin("shipped", "nat-default").start().await;
    let mut sim = device(&host, "P1");
    sim.session().await;
    let decided_by =
        async |sim: &Sim| host.get(&sim.at()).await["reachability"]["decided_by"].clone();
    assert_eq!(decided_by(&sim).await, "nat-default 0.1.0");
    assert_eq!(host.plugin("nat-default").await["policy_in_force"], true);

    put_plugin(&host.plugins, &guest("examples", "my-policy"), None);
    host.plugin_until("my-policy", |plugin| plugin["policy_in_force"] == true)
        .await;
    assert_eq!(host.plugin("nat-default").await["policy_in_force"], false);
    sim.periodic().await;
    assert_eq!(decided_by(&sim).await, "my-policy 0.1.0");

    std::fs::remove_file(host.plugins.join("my-policy.wasm")).unwrap();
    host.plugin_until("nat-default", |plugin| plugin["policy_in_force"] == true)
        .await;
    sim.periodic().await;
    assert_eq!(decided_by(&sim).await, "nat-default 0.1.0");
    host.stop().await;
}

#[tokio::test]
async fn back_to_the_version_before() {
    let host = host().await;
    let rollback = "/v1/plugins/version/rollback";
    assert_eq!(
        host.api("POST", rollback, None).await.0,
        409,
        "there was none before"
    );
    put_release(&host, 2);
    host.reload().await;
    let plugin = host.post(rollback, Value::Null).await;
    assert_eq!(
        (&plugin["version"], &plugin["state"]),
        (&"1.0.0".into(), &"outdated".into()),
        "{plugin}"
    );
    let mut sim = device(&host, "V1");
    sim.session().await;
    assert_eq!(tags(&host, &sim).await, json!(["v1"]));
    // Looking at the directory again does not bring it back, a new file does.
    host.reload().await;
    assert_eq!(host.plugin("version").await["version"], "1.0.0");
    put_release(&host, 2);
    host.reload().await;
    let plugin = host.plugin("version").await;
    assert_eq!(
        (&plugin["version"], &plugin["state"]),
        (&"2.0.0".into(), &"running".into()),
        "{plugin}"
    );
    host.stop().await;
}
