//! slixmpp as a device, against the embedded server.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use patchbay::device::{Credentials, DeviceKey};
use patchbay::nat::xmpp::{RequestError, account};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::hostile::add_account;
use super::setup;
use crate::harness::{Host, PATIENCE};

/// The script, while it runs.
pub struct Slixmpp {
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

/// How a device connects.
pub struct Connect<'c> {
    pub jid: &'c str,
    pub password: &'c str,
    pub port: u16,
    /// `plain`, `starttls` or `direct`.
    pub mode: &'c str,
    pub certificate: Option<&'c Path>,
    pub mechanism: &'c str,
    /// Answers wrong credentials with a misspelt error.
    pub misspelt: bool,
}

impl Slixmpp {
    /// Starts the device; it takes connection requests with the password `right`.
    pub fn start(connect: &Connect<'_>) -> Slixmpp {
        let Some(python) = std::env::var_os("PATCHBAY_PYTHON") else {
            panic!("PATCHBAY_PYTHON names no Python with slixmpp: run these tests with tests/run")
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/it/xmpp/device.py");
        let mut command = Command::new(python);
        command
            .args([script, connect.jid, connect.password, "127.0.0.1"])
            .arg(connect.port.to_string())
            .arg(connect.mode)
            .arg(connect.certificate.unwrap_or(Path::new("-")))
            .args([connect.mechanism, "right"])
            .args(connect.misspelt.then_some("misspelt"));
        let mut child = command
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{error}; tests/run installs Python with slixmpp"));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Slixmpp {
            lines,
            _child: child,
        }
    }

    /// The next line that it prints.
    pub async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.lines.next_line()).await;
        let line = line.expect("slixmpp says nothing").unwrap();
        line.expect("slixmpp ended; tests/run installs it")
    }
}

pub fn credentials(password: &str) -> Credentials {
    Credentials {
        username: "cr-user".into(),
        password: password.into(),
    }
}

pub fn key(username: &str) -> DeviceKey {
    DeviceKey {
        instance: patchbay::instance::DEFAULT_NAME.into(),
        id: account::of_username(username).unwrap().into(),
    }
}

/// Asks the device for a session.
pub async fn request(host: &Host, username: &str, password: &str) -> Result<(), RequestError> {
    let xmpp = host.acs.xmpp.as_ref().unwrap();
    let wait = Duration::from_secs(10);
    let key = key(username);
    xmpp.connection_request(&key, "", &credentials(password), wait)
        .await
}

#[tokio::test]
async fn every_way_to_log_in() {
    let files = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["acs.example".into()]).unwrap();
    let (certificate, private) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&private, made.signing_key.serialize_pem()).unwrap();
    let (chain, private) = (certificate.clone(), private);
    let host = setup()
        .config(move |config| {
            config.xmpp.certificate = Some(chain);
            config.xmpp.key = Some(private);
            config.xmpp.listen_tls = vec!["127.0.0.1:0".parse().unwrap()];
            config.xmpp.plain_without_tls = true;
        })
        .start()
        .await;
    let username = add_account(&host, "SLIX1", "secret").await;
    let jid = format!("{username}@acs.example/wan");
    let (plain, direct) = (
        host.acs.config.xmpp.listen[0].port(),
        host.acs.config.xmpp.listen_tls[0].port(),
    );
    for (mode, port, mechanism) in [
        ("plain", plain, "PLAIN"),
        ("plain", plain, "SCRAM-SHA-1"),
        ("starttls", plain, "SCRAM-SHA-256"),
        ("starttls", plain, "PLAIN"),
        ("direct", direct, "SCRAM-SHA-1"),
        ("direct", direct, "-"),
    ] {
        let mut connect = Connect {
            jid: &jid,
            password: "secret",
            port,
            mode,
            certificate: (mode != "plain").then_some(certificate.as_path()),
            mechanism,
            misspelt: mechanism == "PLAIN",
        };
        let mut device = Slixmpp::start(&connect);
        assert_eq!(
            device.line().await,
            format!("online {jid}"),
            "{mode} {mechanism}"
        );
        assert_eq!(request(&host, &username, "right").await, Ok(()), "{mode}");
        let said = device.line().await;
        assert_eq!(said, "request cr-user from acs@acs.example/patchbay");
        let wrong = request(&host, &username, "wrong").await;
        assert_eq!(wrong, Err(RequestError::Credentials), "{mode} {mechanism}");
        drop(device);
        connect.password = "wrong";
        let mut refused = Slixmpp::start(&connect);
        assert_eq!(refused.line().await, "failed", "{mode} {mechanism}");
    }
    host.stop().await;
}

#[tokio::test]
async fn tls_where_it_is_required() {
    let files = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["acs.example".into()]).unwrap();
    let (certificate, private) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&private, made.signing_key.serialize_pem()).unwrap();
    let chain = certificate.clone();
    let host = setup()
        .config(move |config| {
            config.xmpp.certificate = Some(chain);
            config.xmpp.key = Some(private);
            config.xmpp.tls_required = true;
            config.xmpp.devices_use_tls = true;
        })
        .start()
        .await;
    // A simulated device does what it is told.
    let mut live = crate::harness::Live::start(super::behind_nat(&host, [])).await;
    super::online(&host, &live).await;
    live.session().await;
    super::opened(&super::wake(&host, &live).await);
    let established = "Device.XMPP.Connection.1.TLSEstablished";
    let told = live.device.with(|cpe, now| cpe.get(established, now)).await;
    assert_eq!(told.unwrap(), "1");
    let address = host.acs.config.xmpp.listen[0];
    let mut raw = super::raw::Raw::connect(address).await;
    raw.send(super::raw::HEADER).await;
    let features = raw.until("</stream:features>").await;
    assert!(
        features.contains("<required/>") && !features.contains("mechanism"),
        "{features}"
    );
    raw.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>")
        .await;
    assert!(raw.rest().await.contains("not-authorized"));
    host.stop().await;
}
