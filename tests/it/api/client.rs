//! A client that is made of the API's text alone, by a generator that nobody here wrote, does
//! what an operator's program does.

use std::time::Duration;

use cpe_sim::{FleetConfig, Vendor};
use tokio::process::Command;

use super::schemathesis::program;
use crate::harness::{Live, Setup, TOKEN};

/// Longer than any of its steps.
const PATIENCE: Duration = Duration::from_secs(120);
/// The package that it becomes.
const PACKAGE: &str = "patchbay_client";

const STORY: &str = include_str!("story.py");

async fn run(command: &mut Command) {
    let output = tokio::time::timeout(PATIENCE, command.kill_on_drop(true).output())
        .await
        .expect("it does not end")
        .unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_made_of_the_text_does_its_work() {
    let host = Setup::shipped().start().await;
    let _device = Live::start(FleetConfig {
        boot_time: Duration::from_millis(50),
        ..FleetConfig::single(&host.url(), Vendor::tr098())
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let url = format!("http://{}", host.api);
    let text = format!("{url}/v1/openapi.json");
    run(Command::new(program("openapi-python-client"))
        .current_dir(directory.path())
        .args(["generate", "--url", &text, "--meta", "none"])
        .args(["--output-path", PACKAGE]))
    .await;
    let story = directory.path().join("story.py");
    std::fs::write(&story, STORY).unwrap();
    run(Command::new(program("python"))
        .current_dir(directory.path())
        .arg(&story)
        .args([&format!("{url}/v1"), TOKEN]))
    .await;
    host.stop().await;
}
