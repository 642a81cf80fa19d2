//! How devices find the instance: the addresses that it tells, configuration of other systems made of them, and the
//! provisioning codes that come with it. The other systems are Debian's: nginx, Squid, Kea, ISC dhcpd and its clients.

mod dhcp;
pub mod nginx;
mod squid;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use cpe_sim::{CpeConfig, Vendor};
use serde_json::{Value, json};

use crate::harness::{Host, PATIENCE, Setup, Sim, TOKEN, http, rpcs};

/// Runs `patchbay snippet` with this configuration; what it printed.
#[track_caller]
pub fn snippet(kind: &str, toml: &str, options: &[&str]) -> String {
    let output = try_snippet(kind, toml, options);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{kind}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn try_snippet(kind: &str, toml: &str, options: &[&str]) -> Output {
    let Some(binary) = std::env::var_os("PATCHBAY_BIN") else {
        panic!("PATCHBAY_BIN names no patchbay binary: run these tests with tests/run")
    };
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), toml).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(root.join(binary));
    command
        .args(["snippet", kind, "--config"])
        .arg(config.path());
    for option in options {
        command.args(["--option", option]);
    }
    command.output().unwrap()
}

/// A server that is not ours; ended with the test.
pub struct Peer(Child);

impl Peer {
    #[track_caller]
    pub fn start(command: &mut Command, package: &str) -> Peer {
        match command.stdin(Stdio::null()).spawn() {
            Ok(child) => Peer(child),
            Err(error) => panic!("{command:?}: {error}; tests/run installs the package {package}"),
        }
    }

    /// Waits until it takes connections.
    pub async fn ready(&mut self, port: u16) {
        let deadline = Instant::now() + PATIENCE;
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
        {
            assert_eq!(self.0.try_wait().unwrap(), None, "it has ended");
            assert!(Instant::now() < deadline, "it does not come up");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program that is not ours.
#[track_caller]
fn run(command: &mut Command, package: &str) -> Output {
    match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{command:?}: {error}; tests/run installs the package {package}"),
    }
}

async fn text(host: &Host, path: &str) -> (u16, String) {
    let authorization = format!("Authorization: Bearer {TOKEN}\r\n");
    let answer = http(host.api, "GET", path, &authorization, b"").await;
    (answer.status, answer.text())
}

#[tokio::test]
async fn links_tell_every_address() {
    let host = Setup::new()
        .stun()
        .xmpp()
        .config(|config| {
            config.instance.connection_request_from = vec!["127.0.0.1".parse().unwrap()];
        })
        .start()
        .await;
    let links = host.get("/v1/links").await;
    assert_eq!(links["instance"], "default");
    assert_eq!(links["cwmp"], json!([host.url()]));
    assert_eq!(links["cwmp_tls"], json!([]));
    assert_eq!(links["api"], format!("http://{}/", host.api));
    assert_eq!(links["files"], format!("{}files/", host.url()));
    assert_eq!(links["stun"], host.acs.config.stun.listen[0].to_string());
    let xmpp = host.acs.config.xmpp.listen[0].to_string();
    assert_eq!(
        links["xmpp"],
        json!({ "domain": "acs.example", "server": xmpp })
    );
    assert_eq!(links["connection_requests_from"], json!(["127.0.0.1"]));
    assert_eq!(links["http_proxy"], Value::Null);
    assert_eq!(links["missing"], json!([]));
    // Each answers: the ACS URL as a browser would see it.
    let answer = http(host.cwmp, "GET", "/", "", b"").await;
    assert_eq!(
        (answer.status, answer.text().contains("Bad Request")),
        (400, true)
    );

    let snippets = links["snippets"].as_array().unwrap();
    assert_eq!(snippets.len(), 8);
    for listed in snippets {
        let kind = listed["kind"].as_str().unwrap();
        let path = listed["path"].as_str().unwrap();
        let (query, option) = match kind {
            "squid" => ("?senders=192.0.2.7", vec!["senders=192.0.2.7"]),
            _ => ("", vec![]),
        };
        let (status, text) = text(&host, &format!("{path}{query}")).await;
        assert_eq!(status, 200, "{kind}: {text}");
        let toml = format!("[cwmp]\nlisten = ['{}']", host.cwmp);
        assert_eq!(
            text,
            snippet(kind, &toml, &option),
            "the command prints the same"
        );
        if kind != "squid" {
            assert!(text.contains(&host.cwmp.to_string()), "{text}");
        }
    }
    let (status, error) = text(&host, "/v1/snippets/apache").await;
    assert_eq!(status, 404, "{error}");
    let (status, error) = text(&host, "/v1/snippets/nginx?listen=x%0Ay").await;
    assert_eq!((status, error.contains("listen")), (400, true), "{error}");
    host.stop().await;
}

/// Whoever listens on every address has to say by which one he is known.
#[tokio::test]
async fn an_address_that_is_not_known_is_not_made_up() {
    let host = Setup::new().start().await;
    let mut config = host.acs.config.clone();
    config.cwmp.listen = vec!["[::]:7547".parse().unwrap()];
    let links = json!(patchbay::links::Links::of(&config, ""));
    assert_eq!(
        (&links["cwmp"], &links["files"]),
        (&json!([]), &Value::Null)
    );
    let missing: Vec<_> = links["missing"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["setting"].clone())
        .collect();
    assert_eq!(
        missing,
        [
            "instance.acs_url",
            "instance.file_base_url",
            "instance.connection_request_from"
        ]
    );
    host.stop().await;

    let output = try_snippet("isc-dhcpd", "", &[]);
    assert!(!output.status.success() && output.stdout.is_empty());
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        error.trim(),
        "patchbay: cwmp.listen is [::]:7547, every address of this machine: instance.acs_url or the option acs_url tells it"
    );
}

/// `DeviceInfo.ProvisioningCode` gives tags, and flows are for tags.
#[tokio::test]
async fn a_provisioning_code_chooses_tags_and_flows() {
    let host = Setup::new()
        .plugin("shipped", "nat-default")
        .plugin_with(
            "shipped",
            "desired-state",
            "[[settings.rules]]\nmatch = { tags = [\"tier-gold\"] }\n[settings.rules.values]\n\"Device.Time.NTPServer1\" = \"gold.test\"\n",
        )
        .config(|config| {
            let codes = [("gold*", vec!["tier-gold", "vip"]), ("*-lab", vec!["lab"])];
            config.instance.provisioning_codes = codes
                .into_iter()
                .map(|(code, tags)| (code.to_owned(), tags.into_iter().map(str::to_owned).collect()))
                .collect();
        })
        .start()
        .await;
    let mut sim = Sim::new(CpeConfig {
        connection_request_url: "http://127.0.0.1:7547/cr".into(),
        ..CpeConfig::of(Vendor::tr181(), "G1", &host.url())
    });
    let tags = async |sim: &Sim| host.get(&sim.at()).await["tags"].clone();
    sim.session().await;
    assert_eq!(tags(&sim).await, json!([]));
    assert_eq!(sim.value("Time.NTPServer1"), "0.pool.ntp.org");
    host.api("PUT", &format!("{}/tags/by-hand", sim.at()), None)
        .await;

    for (code, expected) in [
        ("gold-7", json!(["by-hand", "tier-gold", "vip"])),
        ("gold-lab", json!(["by-hand", "lab", "tier-gold", "vip"])),
        ("x-lab", json!(["by-hand", "lab"])),
        ("", json!(["by-hand"])),
    ] {
        let (path, now) = (sim.path("DeviceInfo.ProvisioningCode"), sim.now());
        assert!(sim.cpe.set(&path, code, now));
        let told = sim.periodic().await;
        assert_eq!(tags(&sim).await, expected, "{code}");
        assert_eq!(host.get(&sim.at()).await["provisioning_code"], code);
        // The flow that wants the tag ran in the very session that told the code.
        let gold = sim.value("Time.NTPServer1") == "gold.test";
        assert_eq!(
            (code == "gold-7", gold),
            (!rpcs(&told).is_empty(), true),
            "{told:?}"
        );
        assert_eq!(rpcs(&sim.periodic().await), [""; 0]);
    }
    // What a person took away is not given again.
    let (path, now) = (sim.path("DeviceInfo.ProvisioningCode"), sim.now());
    assert!(sim.cpe.set(&path, "gold-7", now));
    sim.periodic().await;
    host.api("DELETE", &format!("{}/tags/vip", sim.at()), None)
        .await;
    sim.periodic().await;
    assert_eq!(tags(&sim).await, json!(["by-hand", "tier-gold"]));
    host.stop().await;
}

/// A directory for a peer that runs as somebody else.
pub fn open_directory() -> (tempfile::TempDir, PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let everybody = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(directory.path(), everybody).unwrap();
    let path = directory.path().to_owned();
    (directory, path)
}
