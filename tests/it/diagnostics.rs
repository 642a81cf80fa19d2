//! Diagnostics that devices run between two sessions, on both data models.

use std::time::Duration;

use cpe_sim::{CpeConfig, Oddity, Vendor};
use patchbay::work::diagnostics::DIAGNOSTICS_SECONDS_MAX;
use serde_json::{Value, json};

use crate::harness::{Host, Setup, Sim, codes, rpcs};
use crate::tasks::{both, device, of, queue, task};

fn ping() -> Value {
    json!({ "op": "diagnostics", "kind": "ping", "host": "192.0.2.1", "count": 4 })
}

/// Asks for diagnostics and lives through them: the task at its end.
async fn run(host: &Host, sim: &mut Sim, operation: Value) -> Value {
    let id = queue(host, sim, operation).await;
    sim.periodic().await;
    let waiting = task(host, &id).await;
    assert_eq!(waiting["state"], "sent", "{waiting}");
    sim.later(Duration::from_secs(5));
    let sessions = sim.settle().await;
    assert_eq!(codes(&sessions[0]), ["8 DIAGNOSTICS COMPLETE"]);
    assert_eq!(rpcs(&sessions[0]), ["GetParameterValues"]);
    task(host, &id).await
}

#[tokio::test]
async fn every_kind_on_both_models() {
    let host = Setup::new().start().await;
    for vendor in both() {
        let sim = &mut of(&host, vendor).await;
        let is_tr098 = vendor == Vendor::tr098();
        for (operation, expected) in [
            (
                ping(),
                json!({
                    "success_count": 4, "failure_count": 0, "average_response_milliseconds": 21,
                    "minimum_response_milliseconds": 18, "maximum_response_milliseconds": 27
                }),
            ),
            (
                json!({ "op": "diagnostics", "kind": "traceroute", "host": "far.example", "hops_max": 9 }),
                json!({ "hop_count": 3, "response_milliseconds": 24, "hops": [
                    { "host": "gateway.example", "address": "192.0.2.1", "icmp_error_code": 11,
                      "round_trip_milliseconds": [1, 1, 2] },
                    { "host": "", "address": "198.51.100.7", "icmp_error_code": 11,
                      "round_trip_milliseconds": [8, 9, 8] },
                    { "host": "far.example", "address": "203.0.113.9", "icmp_error_code": 0,
                      "round_trip_milliseconds": [21, 20, 24] },
                ] }),
            ),
            (
                json!({ "op": "diagnostics", "kind": "nslookup", "host": "a.example", "count": 1 }),
                json!({ "success_count": 1, "answers": [{
                    "status": "Success", "answer_type": "NonAuthoritative", "host": "a.example",
                    "addresses": ["203.0.113.9", "203.0.113.10"], "dns_server": "192.0.2.53",
                    "response_milliseconds": 12
                }] }),
            ),
        ] {
            let task = run(&host, sim, operation).await;
            assert_eq!(
                (&task["state"], &task["result"]),
                (&json!("done"), &expected),
                "{task}"
            );
        }
        let download =
            json!({ "op": "diagnostics", "kind": "download", "url": "http://t.example/f" });
        let result = run(&host, sim, download).await["result"].clone();
        assert_eq!(
            (
                &result["throughput_bits_per_second"],
                &result["duration_milliseconds"],
                &result["test_bytes"]
            ),
            (&json!(100_000_000), &json!(800), &json!(10_000_000)),
            "{result}"
        );
        let upload = json!({
            "op": "diagnostics", "kind": "upload", "url": "http://t.example/u", "bytes": 1_000_000
        });
        let result = run(&host, sim, upload).await["result"].clone();
        assert_eq!(result["throughput_bits_per_second"], 10_000_000, "{result}");

        let neighbours = json!({ "op": "diagnostics", "kind": "wifi-neighbours" });
        if is_tr098 {
            let tasks = format!("{}/tasks", sim.at());
            let body = json!({ "operation": neighbours });
            let (status, error) = host.api("POST", &tasks, Some(body)).await;
            assert_eq!(status, 400, "{error}");
            assert!(error.to_string().contains("TR-098"), "{error}");
        } else {
            let result = run(&host, sim, neighbours).await["result"].clone();
            assert_eq!(result["neighbour_count"], 2, "{result}");
            let first = &result["neighbours"][0];
            assert_eq!(
                (&first["ssid"], &first["channel"], &first["signal_dbm"]),
                (&json!("Upstairs"), &json!(6), &json!(-61))
            );
        }
    }
    host.stop().await;
}

#[tokio::test]
async fn the_devices_error_is_the_tasks() {
    let host = Setup::new().start().await;
    let sim = &mut of(&host, Vendor::tr098()).await;
    let operation = json!({ "op": "diagnostics", "kind": "ping", "host": "nowhere.invalid" });
    let failed = run(&host, sim, operation).await;
    assert_eq!(failed["state"], "failed");
    assert_eq!(
        failed["error"]["text"],
        "the device tells Error_CannotResolveHostName"
    );
    // One that the device does not take at all.
    let operation =
        json!({ "op": "diagnostics", "kind": "ping", "host": "a", "interface": "x".repeat(250) });
    let id = queue(&host, sim, operation).await;
    sim.cpe.fail_next("SetParameterValues", 9001);
    sim.periodic().await;
    let refused = task(&host, &id).await;
    assert_eq!(
        (&refused["state"], &refused["error"]["code"]),
        (&json!("failed"), &json!(9001))
    );
    host.stop().await;
}

#[tokio::test]
async fn one_of_a_kind_at_a_time() {
    let host = Setup::new().start().await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    let first = queue(&host, sim, ping()).await;
    let second = queue(&host, sim, ping()).await;
    let lookup = json!({ "op": "diagnostics", "kind": "nslookup", "host": "a.example" });
    let other = queue(&host, sim, lookup).await;
    sim.periodic().await;
    for (id, state) in [(&first, "sent"), (&second, "queued"), (&other, "sent")] {
        assert_eq!(task(&host, id).await["state"], state);
    }
    sim.later(Duration::from_secs(5));
    sim.settle().await;
    // The first has been read in that session, and the second been sent.
    for (id, state) in [(&first, "done"), (&second, "sent"), (&other, "done")] {
        assert_eq!(task(&host, id).await["state"], state, "{id}");
    }
    sim.later(Duration::from_secs(5));
    sim.settle().await;
    assert_eq!(task(&host, &second).await["state"], "done");
    host.stop().await;
}

/// A device that never tells the end is asked in its next session; if it does not come by
/// itself, it is woken.
#[tokio::test]
async fn devices_that_never_tell_the_end() {
    let host = Setup::new().start().await;
    let config = CpeConfig::tr181("S1", "").with(Oddity::DiagnosticsSilent);
    let sim = &mut device(&host, config).await;
    let id = queue(&host, sim, ping()).await;
    sim.periodic().await;
    // Asked too early: the device is not at the end.
    sim.session().await;
    assert_eq!(task(&host, &id).await["state"], "sent");
    sim.later(Duration::from_secs(5));
    assert!(sim.settle().await.is_empty());
    let now = host.acs.clock.unix();
    host.acs.ask_for_diagnostics(now + 30).await;
    assert_eq!(
        host.get(&sim.at()).await["reachability"]["last_wake"],
        Value::Null
    );
    host.acs.ask_for_diagnostics(now + 90).await;
    let woken = host
        .until(&sim.at(), |device| {
            !device["reachability"]["last_wake"].is_null()
        })
        .await;
    let started = woken["reachability"]["last_wake"]["started"].clone();
    sim.session().await;
    assert_eq!(task(&host, &id).await["state"], "done");
    host.acs.ask_for_diagnostics(now + 900).await;
    let again = host.get(&sim.at()).await["reachability"]["last_wake"]["started"].clone();
    assert_eq!(again, started, "woken once");
    host.stop().await;
}

#[tokio::test]
async fn an_end_that_never_comes() {
    let host = Setup::new().start().await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    let id = queue(&host, sim, ping()).await;
    sim.periodic().await;
    let now = host.acs.clock.unix();
    host.acs
        .end_overdue_transfers(now + DIAGNOSTICS_SECONDS_MAX - 10)
        .await;
    assert_eq!(task(&host, &id).await["state"], "sent");
    host.acs
        .end_overdue_transfers(now + DIAGNOSTICS_SECONDS_MAX + 10)
        .await;
    let failed = task(&host, &id).await;
    assert_eq!(failed["state"], "failed");
    assert_eq!(
        failed["error"]["text"],
        "no end of the diagnostics within 3600 s"
    );
    host.stop().await;
}

#[tokio::test]
async fn a_restart_in_the_middle() {
    let directory = tempfile::tempdir().unwrap();
    let start = async || {
        let path = directory.path().to_owned();
        let setup = Setup::new().config(move |config| config.data_directory = path);
        setup.start().await
    };
    let host = start().await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    let id = queue(&host, sim, ping()).await;
    sim.periodic().await;
    host.stop().await;
    let host = start().await;
    sim.options.connect_to = Some(host.cwmp);
    sim.later(Duration::from_secs(5));
    let sessions = sim.settle().await;
    assert_eq!(rpcs(&sessions[0]), ["GetParameterValues"]);
    let task = task(&host, &id).await;
    assert_eq!(
        (&task["state"], &task["result"]["success_count"]),
        (&json!("done"), &json!(4))
    );
    assert_eq!(sim.cpe.times_served("SetParameterValues"), 1);
    host.stop().await;
}
