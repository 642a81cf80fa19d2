//! The API against its own text: Schemathesis makes requests of the text, right ones and wrong
//! ones, and holds each answer against it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cpe_sim::{CpeConfig, Vendor};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::{Host, Setup, Sim, TOKEN, http};

/// Requests of one operation in one phase.
const EXAMPLES: &str = "10";
/// How long it looks.
const SECONDS: &str = "90";
/// Another one makes other requests.
const SEED: &str = "20261123";
/// Longer than it takes to look, load and sum up.
const PATIENCE: Duration = Duration::from_secs(240);

/// A program beside the Python that tests/run has made.
pub(super) fn program(name: &str) -> PathBuf {
    let Some(python) = std::env::var_os("PATCHBAY_PYTHON").map(PathBuf::from) else {
        panic!("PATCHBAY_PYTHON names no Python with {name}: run these tests with tests/run");
    };
    let program = python.with_file_name(name);
    assert!(
        program.exists(),
        "{} is missing: tests/run installs it",
        program.display()
    );
    program
}

async fn sim(host: &Host, serial: &str) -> Sim {
    let mut sim = Sim::new(CpeConfig {
        acs_url: host.url(),
        ..CpeConfig::of(Vendor::tr098(), serial, "")
    });
    sim.settle().await;
    sim
}

fn id(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

/// A file of the store; its id.
async fn file(host: &Host, name: &str) -> String {
    let headers = format!("Authorization: Bearer {TOKEN}\r\n");
    let path = format!("/v1/files?name={name}&type=configuration");
    let answer = http(host.api, "POST", &path, &headers, b"a configuration").await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let file: Value = serde_json::from_slice(&answer.body).unwrap();
    file["id"].as_str().unwrap().to_owned()
}

/// What there is to be found, and what would be no fault.
async fn settings(host: &Host) -> String {
    let mut kept = sim(host, "K1").await;
    let gone = sim(host, "G1").await;
    let tasks = format!("{}/tasks", kept.at());
    let get =
        json!({ "operation": { "op": "get", "paths": ["InternetGatewayDevice.DeviceInfo."] } });
    let task = host.post(&tasks, get).await;
    let wrong = json!({ "operation": { "op": "get", "paths": ["InternetGatewayDevice.NoSuch"] } });
    host.post(&tasks, wrong).await;
    kept.periodic().await;
    host.get(&format!(
        "/v1/tasks/{}?wait_seconds=1",
        task["id"].as_str().unwrap()
    ))
    .await;
    let trace = json!({ "hours": 1 });
    let (status, _) = host
        .api("PUT", &format!("{}/trace", kept.at()), Some(trace))
        .await;
    assert_eq!(status, 200);
    kept.periodic().await;
    let sessions = host.get(&format!("{}/sessions", kept.at())).await;
    let session = sessions["items"][0]["id"].as_str().unwrap().to_owned();
    let (file_kept, file_gone) = (file(host, "kept.xml").await, file(host, "gone.xml").await);
    let (kept, gone) = (kept.at(), gone.at());
    let parameters = [
        (r#"include-operation-id = "forget_device""#, "id", id(&gone)),
        (r#"include-operation-id = "delete_file""#, "id", &file_gone),
        (r#"include-path-regex = "^/devices/.id""#, "id", id(&kept)),
        (
            r#"include-path-regex = "^/tasks/""#,
            "id",
            task["id"].as_str().unwrap(),
        ),
        (r#"include-path-regex = "^/files/""#, "id", &file_kept),
        (r#"include-path-regex = "^/sessions/""#, "id", &session),
        (
            r#"include-path-regex = "^/plugins/.name""#,
            "name",
            "nat-default",
        ),
    ];
    let mut text = String::new();
    for (which, name, value) in parameters {
        text +=
            &format!("[[operations]]\n{which}\nparameters = {{ \"path.{name}\" = {value:?} }}\n");
    }
    // What a device has is a question that has an answer even after it was forgotten.
    text + "[[operations]]\ninclude-operation-id = [\"forget_credentials\", \"release_device\"]\n\
            checks.use_after_free.enabled = false\n"
}

async fn run(directory: &Path, host: &Host) -> std::process::Output {
    let text = format!("http://{}/v1/openapi.json", host.api);
    let running = Command::new(program("st"))
        .current_dir(directory)
        .args(["run", &text, "--seed", SEED, "--max-examples", EXAMPLES])
        .args(["--url", &format!("http://{}/v1", host.api)])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        .args(["--max-time", SECONDS, "--request-timeout", "20"])
        // What is well-formed may still be wrong: a path of no device, a time that is over.
        .args([
            "--checks",
            "all",
            "--exclude-checks",
            "positive_data_acceptance",
        ])
        // A stream that does not end.
        .args(["--exclude-path", "/events"])
        .args(["--continue-on-failure", "--warnings", "off"])
        .kill_on_drop(true)
        .output();
    tokio::time::timeout(PATIENCE, running)
        .await
        .expect("Schemathesis does not end")
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_as_the_text_says() {
    // Nobody waits for long.
    let brief = |config: &mut patchbay::config::Config| config.api.wait_seconds_max = 1;
    let host = Setup::shipped().config(brief).start().await;
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&host).await;
    std::fs::write(directory.path().join("schemathesis.toml"), settings).unwrap();
    let output = run(directory.path(), &host).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    // It must have done something.
    assert!(said.contains("No issues found"), "{said}");
    host.stop().await;
}
