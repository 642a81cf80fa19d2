//! Prosody and ejabberd in the place of the embedded server, in both roles of the ACS, with a
//! simulated device and with slixmpp behind them.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use patchbay::config::XmppMode;
use patchbay::nat::xmpp::RequestError;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::peers::{Connect, Slixmpp, key, request};
use super::{behind_nat, opened, setup, wake};
use crate::harness::{Host, Live, PATIENCE, free_port};

const SECRET: &str = "secret-of-the-acs";

/// Another server, while it runs.
struct Server {
    c2s: u16,
    component: u16,
    process: Child,
    _directory: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // The whole group that was started, by its number: a launcher and the server itself.
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.process.wait();
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Prosody,
    Ejabberd,
}

fn run(mut command: Command) {
    let program = format!("{command:?}");
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; tests/run installs it"));
    assert!(output.status.success(), "{program}: {output:?}");
}

impl Server {
    async fn start(kind: Kind) -> Server {
        let directory = tempfile::tempdir().unwrap();
        let (c2s, component) = (free_port(), free_port());
        let process = match kind {
            Kind::Prosody => prosody(directory.path(), c2s, component),
            Kind::Ejabberd => ejabberd(directory.path(), c2s, component, free_port()),
        };
        let server = Server {
            c2s,
            component,
            process,
            _directory: directory,
        };
        for port in [c2s, component] {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let connected = async {
                while TcpStream::connect(address).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            let connected = tokio::time::timeout(PATIENCE, connected).await;
            connected.unwrap_or_else(|_| panic!("{kind:?} does not listen on {address}"));
        }
        if let Kind::Ejabberd = kind {
            let at = server._directory.path().to_owned();
            tokio::task::spawn_blocking(move || {
                let mut command = ejabberdctl(&at);
                command.args(["register", "acs", "localhost", SECRET]);
                run(command);
            })
            .await
            .unwrap();
        }
        server
    }
}

fn spawn(mut command: Command, package: &str) -> Child {
    use std::os::unix::process::CommandExt;
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("{package}: {error}; tests/run installs it"))
}

fn prosody(at: &Path, c2s: u16, component: u16) -> Child {
    let file = at.join("prosody.cfg.lua");
    let at = at.display();
    let text = format!(
        r#"daemonize = false
run_as_root = true
data_path = "{at}/data"
pidfile = "{at}/pid"
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {c2s} }}
component_ports = {{ {component} }}
component_interfaces = {{ "127.0.0.1" }}
s2s_ports = {{}}
http_ports = {{}}
https_ports = {{}}
modules_enabled = {{ "saslauth", "disco", "ping", "adhoc", "admin_adhoc" }}
modules_disabled = {{ "s2s", "offline", "posix", "tls" }}
admins = {{ "acs@patchbay.localhost", "acs@localhost" }}
authentication = "internal_hashed"
c2s_require_encryption = false
log = {{ error = "{at}/log" }}
VirtualHost "localhost"
Component "patchbay.localhost"
  component_secret = "{SECRET}"
"#
    );
    std::fs::create_dir(file.with_file_name("data")).unwrap();
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let mut register = Command::new("prosodyctl");
    register.args(["--config", file, "register", "acs", "localhost", SECRET]);
    run(register);
    let mut command = Command::new("prosody");
    command.args(["--config", file, "-F"]);
    spawn(command, "prosody")
}

/// As its own user from the start: the script would else leave our process group.
fn ejabberdctl(at: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=ejabberd",
        "--regid=ejabberd",
        "--init-groups",
        "ejabberdctl",
    ]);
    command.env("HOME", at.join("spool"));
    let at = at.display();
    let node = at
        .to_string()
        .replace(|c: char| !c.is_ascii_alphanumeric(), "");
    for (name, value) in [
        ("--config", format!("{at}/ejabberd.yml")),
        ("--ctl-config", format!("{at}/ejabberdctl.cfg")),
        ("--spool", format!("{at}/spool")),
        ("--logs", format!("{at}/logs")),
        ("--node", format!("{node}@localhost")),
    ] {
        command.args([name, &value]);
    }
    command
}

fn ejabberd(at: &Path, c2s: u16, component: u16, distribution: u16) -> Child {
    let text = format!(
        r#"hosts: ["localhost"]
loglevel: 3
listen:
  - port: {c2s}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    access: all
  - port: {component}
    ip: "127.0.0.1"
    module: ejabberd_service
    access: all
    hosts:
      "patchbay.localhost":
        password: "{SECRET}"
auth_method: [internal]
auth_password_format: scram
acl:
  admin:
    user: ["acs@localhost", "acs@patchbay.localhost"]
access_rules:
  configure:
    - allow: admin
modules:
  mod_adhoc: {{}}
  mod_configure: {{}}
  mod_ping: {{send_pings: false}}
"#
    );
    std::fs::write(at.join("ejabberd.yml"), text).unwrap();
    // Nothing but loopback, and no name server of Erlang's beside it.
    let text = format!("INET_DIST_INTERFACE=127.0.0.1\nERL_DIST_PORT={distribution}\n");
    std::fs::write(at.join("ejabberdctl.cfg"), text).unwrap();
    for directory in ["spool", "logs"] {
        std::fs::create_dir(at.join(directory)).unwrap();
    }
    let mut own = Command::new("chown");
    own.args(["-R", "ejabberd"]).arg(at);
    run(own);
    let mut command = ejabberdctl(at);
    command.arg("foreground");
    spawn(command, "ejabberd")
}

/// A host that uses this server.
async fn host(server: &Server, mode: XmppMode) -> Host {
    let (c2s, component) = (server.c2s, server.component);
    let host = setup()
        .config(move |config| {
            let (port, jid) = match mode {
                XmppMode::Client => (c2s, "acs@localhost"),
                _ => (component, "patchbay.localhost"),
            };
            config.xmpp.mode = mode;
            config.xmpp.domain = "localhost".into();
            config.xmpp.server = format!("127.0.0.1:{port}");
            config.xmpp.jid = jid.into();
            config.xmpp.secret = Some(SECRET.into());
            config.xmpp.port = c2s;
        })
        .start()
        .await;
    host.until("/v1/status", |status| status["xmpp"]["link"]["up"] == true)
        .await;
    host
}

async fn both_roles(kind: Kind) {
    let server = Server::start(kind).await;
    for mode in [XmppMode::Component, XmppMode::Client] {
        let host = host(&server, mode).await;
        // The account of the device is made there.
        let mut live = Live::start(behind_nat(&host, [])).await;
        let (events, rpcs) = live.session().await;
        assert_eq!(
            (events, rpcs),
            (vec!["4 VALUE CHANGE".to_owned()], Vec::new())
        );
        opened(&wake(&host, &live).await);
        let device = host.get(&live.at).await;
        assert_eq!(device["xmpp"]["configured"], true, "{device}");
        assert_eq!(device["xmpp"]["online"], serde_json::Value::Null);

        // The same with a device that nobody here wrote.
        let username = format!("00.a.a-slix-{}", format!("{mode:?}").to_lowercase());
        let xmpp = host.acs.xmpp.as_ref().unwrap();
        for password in ["first", "second"] {
            xmpp.make_account(&key(&username), password).await.unwrap();
        }
        let offline = request(&host, &username, "right").await;
        assert_eq!(offline, Err(RequestError::Unavailable), "{kind:?} {mode:?}");
        let jid = format!("{username}@localhost/cwmp");
        let mut connect = Connect {
            jid: &jid,
            password: "second",
            port: server.c2s,
            mode: "plain",
            certificate: None,
            mechanism: "SCRAM-SHA-1",
            misspelt: false,
        };
        let mut device = Slixmpp::start(&connect);
        assert_eq!(device.line().await, format!("online {jid}"));
        assert_eq!(
            request(&host, &username, "right").await,
            Ok(()),
            "{kind:?} {mode:?}"
        );
        assert!(device.line().await.starts_with("request cr-user from acs@"));
        let wrong = request(&host, &username, "wrong").await;
        assert_eq!(wrong, Err(RequestError::Credentials), "{kind:?} {mode:?}");
        drop(device);
        // A component is told of misspelt errors, and its stream goes on; a client is not.
        if mode == XmppMode::Component {
            connect.misspelt = true;
            let mut device = Slixmpp::start(&connect);
            device.line().await;
            let wrong = request(&host, &username, "wrong").await;
            assert_eq!(wrong, Err(RequestError::Credentials), "{kind:?} {mode:?}");
            assert_eq!(request(&host, &username, "right").await, Ok(()));
        }
        host.stop().await;
    }
}

#[tokio::test]
async fn prosody_in_both_roles() {
    both_roles(Kind::Prosody).await;
}

#[tokio::test]
async fn ejabberd_in_both_roles() {
    both_roles(Kind::Ejabberd).await;
}

#[tokio::test]
async fn a_link_that_is_lost_comes_back_and_says_why_it_is_down() {
    let port = free_port();
    let host = setup()
        .config(move |config| {
            config.xmpp.mode = XmppMode::Component;
            config.xmpp.server = format!("127.0.0.1:{port}");
            config.xmpp.jid = "patchbay.localhost".into();
            config.xmpp.secret = Some("another".into());
        })
        .start()
        .await;
    let says = |what: &'static str| {
        move |status: &serde_json::Value| {
            let link = &status["xmpp"]["link"];
            link["error"]
                .as_str()
                .is_some_and(|error| error.contains(what))
                && link["up"] == false
        }
    };
    host.until("/v1/status", says("cannot connect")).await;
    assert!(matches!(
        request(&host, "00-x", "right").await,
        Err(RequestError::NoLink(_))
    ));
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let refusing = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // What stays unread would reset the connection, and the answer with it.
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            let answer = "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='1'><stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    };
    tokio::select! {
        () = refusing => {}
        _ = host.until("/v1/status", says("not-authorized")) => {}
    }
    host.stop().await;
}
