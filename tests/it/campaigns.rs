//! Campaigns over fleets in four NAT modes, against the host as a process of its own that is
//! killed in the middle.

mod fleet;
mod flows;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::crash::server::{Api, Server};
use fleet::{Fleets, Role};

/// Devices; 5,000 with `PATCHBAY_CAMPAIGN_DEVICES=5000`, in about ten minutes.
const DEVICES: usize = 90;
/// One in so many refuses its firmware.
const REFUSES_EVERY: usize = 10;
/// One in so many takes its firmware and never comes back.
const STAYS_AWAY_EVERY: usize = 33;
/// How often the host is killed.
const KILLS: usize = 2;
/// For each hundred devices, until a campaign has ended.
const TIME_MAX: Duration = Duration::from_secs(120);
/// What devices say of a file server that is killed: interrupted, and not to be reached.
const FILE_SERVER_GONE: [&str; 2] = ["fault 9017", "fault 9015"];
const NEW: &str = "2.0-new";

/// How long a device may take to come back, and how many are under way at once.
fn limits(devices: usize) -> (u64, u64) {
    match devices {
        0..=200 => (15, 12),
        _ => (90, 250),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_firmware_for_a_fleet_whatever_befalls_the_host() {
    let devices = std::env::var("PATCHBAY_CAMPAIGN_DEVICES")
        .map_or(DEVICES, |count| count.parse().expect("a number"));
    let began = Instant::now();
    let directory = tempfile::tempdir().unwrap();
    let short = if devices > 200 { 15 } else { 3 };
    let settings = format!(
        "short_periodic_inform_seconds = {short}\n[instance.short_inform]\nlease = false\n"
    );
    let mut server = Server::behind_nat(directory.path(), &settings);
    server.start();
    server.ready().await;
    let api = server.api();
    let fleets = Fleets::start(&server.url(), devices).await;
    fleets.are_reached(api).await;
    println!(
        "{devices} devices are reached after {:.0?}",
        began.elapsed()
    );

    let new = upload(&server, NEW).await;
    let (not_back, at_once) = limits(devices);
    fleets.assign(|number| match number {
        n if n % REFUSES_EVERY == 3 => Role::Refuses,
        n if n % STAYS_AWAY_EVERY == 5 => Role::StaysAway,
        _ => Role::Good,
    });
    let refusing = fleets.prepare().await;
    let definition = json!({
        "name": "2.0 for all",
        "operation": { "op": "download", "file": new },
        "waves": [{ "devices": devices / 10 }, { "percent": 50 }],
        "between_waves": { "ended_percent": 80 },
        "pace": { "at_once": at_once, "devices_per_minute": 100_000 },
        "stop": { "failed": { "percent": 60, "at_least": devices / 10 } },
        "not_back_seconds": not_back,
        "unreachable_seconds": 600,
    });
    let id = create(api, &definition).await;
    let preview = api
        .get(&format!("/v1/campaigns/{id}/preview?limit=5"))
        .await;
    assert_eq!(preview["devices"], devices, "{preview}");
    assert_eq!(preview["items"][0]["changes"][0]["to"], NEW, "{preview}");
    assert_eq!(
        preview["items"].as_array().map(Vec::len),
        Some(5),
        "{preview}"
    );
    assert_eq!(preview["skipped"], 0, "{preview}");
    let begun = Instant::now();
    post(api, &format!("/v1/campaigns/{id}/start"), None).await;

    // Another one with the same devices is not started.
    let other = create(
        api,
        &json!({ "name": "too", "operation": { "op": "reboot" } }),
    )
    .await;
    let refused = api
        .request("POST", &format!("/v1/campaigns/{other}/start"), None)
        .await;
    let Some((409, told)) = refused else {
        panic!("{refused:?}")
    };
    let text = told["error"]["message"].as_str().unwrap();
    assert!(
        text.contains("are in campaign") && text.contains("restarts the device"),
        "{text}"
    );

    let deadline = Instant::now() + TIME_MAX * u32::try_from(devices / 100 + 1).unwrap();
    let mut kills = 0;
    let ended = loop {
        let campaign = api.get(&format!("/v1/campaigns/{id}")).await;
        let over = ended(&campaign);
        if campaign["state"] == "done" {
            break campaign;
        }
        assert_ne!(campaign["state"], "paused", "{campaign}");
        assert!(Instant::now() < deadline, "{campaign}");
        if kills < KILLS && over > devices * (kills + 1) / (KILLS + 2) {
            kills += 1;
            server.kill();
            server.start();
            server.ready().await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    println!(
        "campaign done after {:.0?}, {kills} kills: {}",
        begun.elapsed(),
        ended["counts"]
    );
    assert_eq!(kills, KILLS, "{ended}");
    let results = results(api, &id).await;
    assert_eq!(results.len(), devices);
    fleets.had_their_download_once(api, &results).await;
    outcomes_are_those_of_the_roles(&fleets, &results, refusing).await;
    waves_follow_each_other(&results);
    let most = most_at_once(&results);
    println!("at most {most} at once of {at_once}");
    assert!(most <= at_once as usize, "{most} at once");
    let left = api.get("/v1/tasks?state=queued").await;
    assert_eq!(left["items"], json!([]), "a task waits");

    // A wave that fails is rolled back.
    fleets.come_back().await;
    a_failed_wave_is_rolled_back(api, &fleets, devices, &server).await;
    println!("all after {:.0?}", began.elapsed());
    fleets.stop().await;
    server.kill();
}

/// A third version, which half of the first wave refuses.
async fn a_failed_wave_is_rolled_back(api: Api, fleets: &Fleets, devices: usize, server: &Server) {
    let third = upload(server, "3.0-bad").await;
    let first_wave = devices / 5;
    fleets.assign(|number| match number % 2 {
        0 => Role::Refuses,
        _ => Role::Good,
    });
    fleets.prepare().await;
    let before = fleets.versions().await;
    // Who comes first is chance; each of them can get back what it has.
    for version in before.values().collect::<BTreeSet<_>>() {
        if version != NEW {
            upload(server, version).await;
        }
    }
    let (not_back, at_once) = limits(devices);
    let id = create(
        api,
        &json!({
            "name": "3.0 for all",
            "operation": { "op": "download", "file": third },
            "waves": [{ "devices": first_wave }],
            "pace": { "at_once": at_once, "devices_per_minute": 100_000 },
            "stop": { "failed": { "percent": 20, "at_least": 3 } },
            "on_failed_wave": "roll-back",
            "not_back_seconds": not_back,
        }),
    )
    .await;
    let start = format!("/v1/campaigns/{id}/start");
    post(api, &start, Some(json!({ "force": true }))).await;
    let deadline = Instant::now() + TIME_MAX * u32::try_from(devices / 100 + 1).unwrap();
    let ended = loop {
        let campaign = api.get(&format!("/v1/campaigns/{id}")).await;
        if campaign["state"] == "aborted" {
            break campaign;
        }
        assert!(Instant::now() < deadline, "{campaign}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    println!("rolled back: {}", ended["counts"]);
    let log = api
        .get(&format!("/v1/campaigns/{id}/log"))
        .await
        .to_string();
    assert!(
        log.contains("devices of wave 1 failed, more than 20 %"),
        "{log}"
    );
    assert_eq!(ended["counts"]["done"], 0, "{ended}");
    assert!(ended["counts"]["rolled_back"].as_u64() > Some(0), "{ended}");
    let skipped = ended["waves"][1]["skipped"].as_u64();
    assert_eq!(skipped, Some((devices - first_wave) as u64), "{ended}");
    for result in results(api, &id).await {
        let device = result["device"].as_str().unwrap();
        if result["state"] == "rolled-back" {
            assert_eq!(fleets.versions().await[device], before[device], "{result}");
        }
    }
}

async fn outcomes_are_those_of_the_roles(fleets: &Fleets, results: &[Value], refusing: usize) {
    let mut unknown = 0;
    let (mut refused, mut done) = (0, 0);
    let versions = fleets.versions().await;
    for result in results {
        let device = result["device"].as_str().unwrap();
        let (state, reason) = (result["state"].as_str().unwrap(), &result["reason"]);
        let reason = reason.as_str().unwrap_or_default();
        let is_unknown = reason.contains("outcome unknown");
        match (fleets.role(device), state) {
            (Role::Good, "done") => {
                assert_eq!(versions[device], NEW, "{result}");
                done += 1;
            }
            (Role::Refuses, "failed") if reason.starts_with("fault 9010") => refused += 1,
            // Those that have their firmware are away before they can tell anything.
            (Role::StaysAway, "not-back") => {}
            (_, "failed") if is_unknown => unknown += 1,
            // It was fetching its file when the host was killed, or was to.
            (Role::Good, "failed") if FILE_SERVER_GONE.iter().any(|f| reason.starts_with(f)) => {
                unknown += 1;
            }
            // Called before the host was killed, or while it was.
            (_, "not-back") if versions[device] != NEW => unknown += 1,
            _ => panic!("{:?}: {result}", fleets.role(device)),
        }
    }
    println!("{done} done, {refused} refused, {unknown} of which the host knows nothing");
    // What was under way when the host was killed, at most.
    assert!(
        unknown <= results.len() / 10,
        "{unknown} outcomes are unknown"
    );
    assert!(
        refused + unknown >= refusing,
        "{refused} of {refusing} refused"
    );
}

fn seconds(result: &Value, field: &str) -> Option<i64> {
    let text = result[field].as_str()?;
    Some(text.parse::<jiff::Timestamp>().unwrap().as_second())
}

/// No device of a wave has begun before four fifths of the one before had ended.
fn waves_follow_each_other(results: &[Value]) {
    let mut waves: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
    for result in results {
        let wave = result["wave"].as_u64().unwrap();
        waves.entry(wave).or_default().push(result);
    }
    assert_eq!(waves.len(), 3);
    for (number, wave) in &waves {
        let Some(next) = waves.get(&(number + 1)) else {
            continue;
        };
        let mut ends: Vec<i64> = wave.iter().filter_map(|r| seconds(r, "ended")).collect();
        ends.sort_unstable();
        let four_fifths = ends[(ends.len() * 4).div_ceil(5) - 1];
        let first = next
            .iter()
            .filter_map(|r| seconds(r, "begun"))
            .min()
            .unwrap();
        assert!(
            first >= four_fifths,
            "wave {number} had not ended: {first} < {four_fifths}"
        );
    }
}

/// Devices under way in the same second, those that begin and end in it not counted twice.
fn most_at_once(results: &[Value]) -> usize {
    let mut steps: Vec<(i64, i64)> = Vec::new();
    for result in results {
        if let (Some(begun), Some(ended)) = (seconds(result, "begun"), seconds(result, "ended")) {
            steps.push((begun, 1));
            steps.push((ended, -1));
        }
    }
    steps.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, step) in steps {
        now += step;
        most = most.max(now);
    }
    usize::try_from(most).unwrap()
}

fn ended(campaign: &Value) -> usize {
    let ends = ["done", "failed", "unreachable", "not_back", "skipped"];
    let numbers = ends
        .iter()
        .filter_map(|end| campaign["counts"][end].as_u64());
    usize::try_from(numbers.sum::<u64>()).unwrap()
}

/// All devices of a campaign, as the API shows them.
async fn results(api: Api, id: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let page = api
            .get(&format!("/v1/campaigns/{id}/devices?limit=1000{after}"))
            .await;
        found.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else {
            return found;
        };
        after = format!("&after={next}");
    }
}

async fn create(api: Api, definition: &Value) -> String {
    let made = api.request("POST", "/v1/campaigns", Some(definition)).await;
    match made {
        Some((201, campaign)) => campaign["id"].as_str().unwrap().to_owned(),
        other => panic!("{other:?}"),
    }
}

async fn post(api: Api, path: &str, body: Option<Value>) -> Value {
    match api.request("POST", path, body.as_ref()).await {
        Some((200, answer)) => answer,
        other => panic!("{path}: {other:?}"),
    }
}

/// A firmware of that version, for any device.
async fn upload(server: &Server, version: &str) -> String {
    let path = format!("/v1/files?name=image-{version}.bin&type=firmware&version={version}");
    let made = server
        .api()
        .upload(&path, &format!("version={version}"))
        .await;
    made["id"].as_str().unwrap().to_owned()
}
