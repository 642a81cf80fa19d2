//! PyPI's CwmpClient, a TR-069 client that nobody here wrote, completes its sessions.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::{Host, PATIENCE, Setup};

/// Where its plugin sends everything: the address is written in the code.
const ITS_URL: &str = "http://acs.dites.team/";
const DEVICE: &str = "FFFFFF-DTBox1-0123456";

/// A copy of the client that knows our address. The installed one stays as it is.
struct Client {
    python: PathBuf,
    path: TempDir,
}

impl Client {
    async fn new(host: &Host) -> Client {
        let Some(python) = std::env::var_os("PATCHBAY_PYTHON").map(PathBuf::from) else {
            panic!(
                "PATCHBAY_PYTHON names no Python with CwmpClient: run these tests with tests/run"
            );
        };
        let where_it_is =
            "import aiohttp, CwmpClient, os; print(os.path.dirname(CwmpClient.__file__))";
        let found = Command::new(&python)
            .args(["-c", where_it_is])
            .output()
            .await
            .unwrap();
        assert!(
            found.status.success(),
            "{}: tests/run installs CwmpClient",
            python.display()
        );
        let installed = String::from_utf8(found.stdout).unwrap();
        let path = tempfile::tempdir().unwrap();
        copy_sources(Path::new(installed.trim()), &path.path().join("CwmpClient"));
        // By name: its cookie jar keeps no cookies of servers that it knows by address only.
        let url = format!("http://localhost:{}/", host.cwmp.port());
        patch(
            &path.path().join("CwmpClient/plugins/tr069.py"),
            ITS_URL,
            &url,
        );
        Client { python, path }
    }

    /// One session, as `python -m CwmpClient` has it; what it wrote.
    async fn run(&self) -> String {
        let child = Command::new(&self.python)
            .args(["-m", "CwmpClient"])
            .current_dir(self.path.path())
            .env("PYTHONPATH", self.path.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("NO_PROXY", "localhost")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(PATIENCE, child)
            .await
            .expect("the session does not end")
            .unwrap();
        let said = format!(
            "{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            output.status.success() && said.contains("End session"),
            "{said}"
        );
        said
    }
}

fn copy_sources(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_dir() && name != "__pycache__" {
            copy_sources(&path, &to.join(name));
        } else if path.extension().is_some_and(|extension| extension == "py") {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

fn patch(file: &Path, old: &str, new: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert_eq!(
        text.matches(old).count(),
        1,
        "{} is not as expected",
        file.display()
    );
    std::fs::write(file, text.replace(old, new)).unwrap();
}

#[tokio::test]
async fn it_is_provisioned_and_does_a_task() {
    let host = Setup::shipped().start().await;
    let client = Client::new(&host).await;

    let said = client.run().await;
    let device = host.get(&format!("/v1/devices/{DEVICE}")).await;
    assert_eq!(device["manufacturer"], "Dites Telecom", "{said}");
    assert_eq!(device["software_version"], "0.0.1");
    assert_eq!(device["data_model"], "tr181");
    assert_eq!(device["cwmp_version"], "1.0");
    let parameters = &device["parameters"];
    assert_eq!(parameters["Device.RootDataModelVersion"]["value"], "2.15");
    assert_eq!(
        parameters["Device.DeviceInfo.HardwareVersion"]["value"],
        "1.0.0"
    );
    // What first-contact has set, although the client answers with a list instead of a Status.
    assert_eq!(
        device["connection_request"]["has_credentials"], true,
        "{said}"
    );
    assert_eq!(device["tags"], json!(["contacted"]));

    let get =
        json!({ "op": "get", "paths": ["Device.ManagementServer.URL", "Device.DeviceInfo."] });
    let names = json!({ "op": "names", "path": "Device.DeviceInfo.", "next_level": true });
    let mut tasks = Vec::new();
    for operation in [get, names] {
        let body = json!({ "operation": operation });
        let task = host
            .post(&format!("/v1/devices/{DEVICE}/tasks"), body)
            .await;
        tasks.push(task["id"].as_str().unwrap().to_owned());
    }
    let said = client.run().await;
    let mut done = Vec::new();
    for task in tasks {
        let task = host.get(&format!("/v1/tasks/{task}")).await;
        assert_eq!(task["state"], "done", "{task}\n{said}");
        done.push(task);
    }
    let read = done[0]["result"]["parameters"].as_array().unwrap();
    let value = |path: &str| {
        read.iter()
            .find(|read| read["path"] == path)
            .map(|read| &read["value"])
    };
    let url = json!(format!("http://localhost:{}/", host.cwmp.port()));
    assert_eq!(value("Device.ManagementServer.URL"), Some(&url));
    assert_eq!(
        value("Device.DeviceInfo.SerialNumber"),
        Some(&json!("0123456"))
    );
    let names = done[1]["result"]["names"].as_array().unwrap();
    let code = names
        .iter()
        .find(|name| name["path"] == "Device.DeviceInfo.ProvisioningCode");
    assert_eq!(code.expect("ProvisioningCode")["writable"], true);
    let status = host.get("/v1/status").await;
    assert_eq!(status["sessions_open"], 0);
    assert_eq!(status["counters"]["sessions_done"], 2, "{status}");
    host.stop().await;
}
