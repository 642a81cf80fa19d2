//! A host of our own for each test: ports of the system's choice, a store in a temporary
//! directory, the plugins that the test names.

mod http;
mod sim;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use patchbay::config::{Config, XmppMode};
use patchbay::device::{DeviceKey, Summary};
use patchbay::{Acs, Listeners};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

pub use self::http::{Answer, http, http_from, raw};
pub use self::sim::{Live, Sim, codes, rpcs};

/// The API's token in tests.
pub const TOKEN: &str = "a-token-for-tests-only";
/// Nothing in these tests takes longer unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Compiled plugins, shared by all tests: nobody waits for the same compilation twice.
const COMPILED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/compiled-plugins");

/// What the names of profiles that are written down end with.
const PROFILE: &str = ".profile.toml";

/// Where the built components lie: `shipped`, `examples` and `test` below it.
pub fn guests() -> PathBuf {
    match std::env::var_os("PATCHBAY_GUESTS") {
        Some(directory) => directory.into(),
        None => panic!(
            "PATCHBAY_GUESTS names no directory of built plugins: run these tests with tests/run"
        ),
    }
}

/// A port for a program that has to be told one. Not of the range that the system chooses from: between here and there
/// nobody else gets it.
pub fn free_port() -> u16 {
    const RANGE: std::ops::Range<u32> = 12_000..32_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    loop {
        // Another run of the tests begins elsewhere.
        let offset = std::process::id() * 97 + TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = (RANGE.start + offset % (RANGE.end - RANGE.start)) as u16;
        if std::net::TcpListener::bind(("::", port)).is_ok() {
            return port;
        }
    }
}

/// The same on loopback.
pub fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}

/// A built component, or a profile that is written down.
pub fn guest(kind: &str, name: &str) -> PathBuf {
    let directory = guests().join(kind);
    let profile = directory.join(format!("{name}{PROFILE}"));
    if profile.exists() {
        return profile;
    }
    let file = directory.join(format!("{name}.wasm"));
    assert!(
        file.exists(),
        "{} is missing: tests/run builds it",
        file.display()
    );
    file
}

/// Lets a host with this data directory find what others have compiled.
pub fn share_compiled_plugins(data: &Path) {
    std::fs::create_dir_all(COMPILED).unwrap();
    std::os::unix::fs::symlink(COMPILED, data.join("compiled-plugins")).unwrap();
}

/// A host under test.
pub struct Host {
    pub acs: Arc<Acs>,
    pub cwmp: SocketAddr,
    pub api: SocketAddr,
    /// For devices over TLS, if there is a certificate.
    pub tls: Option<SocketAddr>,
    /// For those who scrape, if it is at an address of its own.
    pub metrics: Option<SocketAddr>,
    pub plugins: PathBuf,
    directory: TempDir,
    stop: watch::Sender<bool>,
    running: Option<tokio::task::JoinHandle<anyhow::Result<()>>>,
}

/// Changes the settings a host starts with.
type Change = Box<dyn FnOnce(&mut Config)>;

/// The plugins and settings a host starts with.
#[derive(Default)]
pub struct Setup {
    plugins: Vec<(PathBuf, Option<String>)>,
    config: Vec<Change>,
    stun: bool,
}

impl Setup {
    /// No plugin, and connection requests to loopback allowed.
    pub fn new() -> Setup {
        Setup::default()
    }

    /// With all shipped plugins.
    pub fn shipped() -> Setup {
        [
            "nat-default",
            "first-contact",
            "desired-state",
            "tp-link",
            "zhone",
        ]
        .into_iter()
        .fold(Setup::new(), |setup, name| setup.plugin("shipped", name))
    }

    /// With this plugin too.
    pub fn plugin(mut self, kind: &str, name: &str) -> Setup {
        self.plugins.push((guest(kind, name), None));
        self
    }

    /// With this plugin too, and its operator's file.
    pub fn plugin_with(mut self, kind: &str, name: &str, toml: &str) -> Setup {
        self.plugins
            .push((guest(kind, name), Some(toml.to_owned())));
        self
    }

    /// With a profile that is written down, and the component that acts on it.
    pub fn profile(self, name: &str, text: &str) -> Setup {
        let file = format!("{name}{PROFILE}");
        let text = text.to_owned();
        self.plugin("shipped", "profile").config(move |config| {
            std::fs::write(config.plugin_directory.join(file), text).unwrap();
        })
    }

    /// With other settings.
    pub fn config(mut self, change: impl FnOnce(&mut Config) + 'static) -> Setup {
        self.config.push(Box::new(change));
        self
    }

    /// With a STUN server on loopback, whose devices send a keepalive each second.
    pub fn stun(mut self) -> Setup {
        self.stun = true;
        self.config(|config| {
            config.stun.listen = vec![free_address()];
            config.stun.host = "127.0.0.1".into();
            config.stun.keepalive_seconds_min = 1;
            config.stun.keepalive_seconds_max = 1;
        })
    }

    /// With an XMPP server of its own on loopback.
    pub fn xmpp(self) -> Setup {
        self.config(|config| {
            config.xmpp.mode = XmppMode::Embedded;
            config.xmpp.domain = "acs.example".into();
            config.xmpp.host = "127.0.0.1".into();
            config.xmpp.listen = vec![free_address()];
        })
    }

    /// Starts the host.
    pub async fn start(self) -> Host {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(
                tracing_subscriber::EnvFilter::try_from_env("PATCHBAY_LOG")
                    .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn")),
            )
            .with_test_writer()
            .try_init();
        let directory = tempfile::tempdir().unwrap();
        let plugins = directory.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        share_compiled_plugins(&data);
        for (file, toml) in &self.plugins {
            put_plugin(&plugins, file, toml.as_deref());
        }
        let mut config = Config {
            data_directory: data,
            plugin_directory: plugins.clone(),
            ..Config::default()
        };
        config.api.token = Some(TOKEN.into());
        config.xmpp.mode = XmppMode::Off;
        // The tests share their processors: no plugin is late because another test computes.
        config.plugins.call_milliseconds_max = 2000;
        config.instance.connection_request_allow = vec!["127.0.0.0/8".parse().unwrap()];
        for change in self.config {
            change(&mut config);
        }
        config.cwmp.listen = vec![free_address()];
        if config.cwmp.tls.certificate.is_some() {
            config.cwmp.tls.listen = vec![free_address()];
        }
        config.api.listen = free_address();
        config.stun.enabled = self.stun;
        serve(config, directory).await
    }
}

/// Serves what is in the directory.
async fn serve(mut config: Config, directory: TempDir) -> Host {
    let listeners = Listeners::bind(&config).await.unwrap();
    let cwmp = listeners.cwmp[0].local_addr().unwrap();
    let api = listeners.api.local_addr().unwrap();
    let tls = listeners.cwmp_tls.first();
    let tls = tls.map(|listener| listener.local_addr().unwrap());
    let metrics = listeners.metrics.as_ref();
    let metrics = metrics.map(|listener| listener.local_addr().unwrap());
    // These too are found at the same place after a restart.
    if let Some(stun) = listeners.stun.first() {
        config.stun.listen = vec![stun.address().unwrap()];
    }
    if let Some(xmpp) = listeners.xmpp.plain.first() {
        let address = xmpp.local_addr().unwrap();
        (config.xmpp.listen, config.xmpp.port) = (vec![address], address.port());
    }
    if let Some(xmpp) = listeners.xmpp.tls.first() {
        config.xmpp.listen_tls = vec![xmpp.local_addr().unwrap()];
    }
    let plugins = config.plugin_directory.clone();
    let acs = Acs::open(config).await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&acs).run(listeners, stopped));
    Host {
        acs,
        cwmp,
        api,
        tls,
        metrics,
        plugins,
        directory,
        stop,
        running: Some(running),
    }
}

/// Puts a plugin into a directory the way an operator should: complete, by a rename. With a profile that is written
/// down goes the component that acts on it.
pub fn put_plugin(directory: &Path, file: &Path, toml: Option<&str>) {
    let name = file.file_name().unwrap().to_str().unwrap();
    let Some(stem) = name.strip_suffix(PROFILE) else {
        put_plugin_as(directory, name.trim_end_matches(".wasm"), file, toml);
        return;
    };
    if !directory.join("profile.wasm").exists() {
        put_plugin_as(directory, "profile", &guest("shipped", "profile"), None);
    }
    if let Some(toml) = toml {
        std::fs::write(directory.join(format!("{stem}.toml")), toml).unwrap();
    }
    let temporary = directory.join(format!(".{name}.tmp"));
    std::fs::copy(file, &temporary).unwrap();
    std::fs::rename(&temporary, directory.join(name)).unwrap();
}

/// [`put_plugin`] under another name.
pub fn put_plugin_as(directory: &Path, name: &str, file: &Path, toml: Option<&str>) {
    if let Some(toml) = toml {
        std::fs::write(directory.join(format!("{name}.toml")), toml).unwrap();
    }
    let temporary = directory.join(format!(".{name}.tmp"));
    std::fs::copy(file, &temporary).unwrap();
    std::fs::rename(&temporary, directory.join(format!("{name}.wasm"))).unwrap();
}

impl Host {
    /// The URL that devices are given.
    pub fn url(&self) -> String {
        format!("http://{}/", self.cwmp)
    }

    /// A request of the API; the body of the answer as JSON.
    pub async fn api(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let authorization =
            format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n");
        let answer = http(self.api, method, path, &authorization, body.as_bytes()).await;
        let body = if answer.body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&answer.body)
                .unwrap_or_else(|_| panic!("{answer:?} is not JSON"))
        };
        (answer.status, body)
    }

    /// GET of the API, which must answer 200.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.api("GET", path, None).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// POST of the API, which must succeed.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.api("POST", path, Some(body)).await;
        assert!(
            (200..300).contains(&status),
            "POST {path}: {status} {answer}"
        );
        answer
    }

    /// What the API says of a plugin.
    pub async fn plugin(&self, name: &str) -> Value {
        self.get(&format!("/v1/plugins/{name}")).await
    }

    /// Waits until the API says so of a plugin.
    pub async fn plugin_until(&self, name: &str, what: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let (status, plugin) = self.api("GET", &format!("/v1/plugins/{name}"), None).await;
            if status == 200 && what(&plugin) {
                return plugin;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{name} stays {plugin}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the API says so at a path.
    pub async fn until(&self, path: &str, what: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let (status, found) = self.api("GET", path, None).await;
            if status == 200 && what(&found) {
                return found;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{path} stays {found}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Looks at the plugins' directory now, instead of when the file system has told.
    pub async fn reload(&self) {
        self.post("/v1/plugins/reload", Value::Null).await;
    }

    /// Changes what is known of a device (as the API names it), as only time could.
    pub async fn change(&self, at: &str, change: impl FnOnce(&mut Summary)) {
        let key = DeviceKey {
            instance: patchbay::instance::DEFAULT_NAME.into(),
            id: at.rsplit('/').next().unwrap().into(),
        };
        let cell = self.acs.store.device(&key).unwrap().unwrap();
        cell.lock().summary_mut(change);
        self.acs.store.persist(&cell).await.unwrap();
    }

    /// Stops the host and starts it again with what it has kept, changed settings and all.
    pub async fn restart(mut self, change: impl FnOnce(&mut Config)) -> Host {
        let mut config = self.acs.config.clone();
        change(&mut config);
        self.end().await;
        let Host { acs, directory, .. } = self;
        drop(acs);
        serve(config, directory).await
    }

    /// Stops the host as Ctrl-C does, and waits for its end.
    pub async fn stop(mut self) {
        self.end().await;
    }

    async fn end(&mut self) {
        self.stop.send_replace(true);
        let running = self.running.take().unwrap();
        tokio::time::timeout(PATIENCE, running)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
}

/// An Inform with these events, written by hand.
pub fn inform(serial: &str, events: &[&str]) -> String {
    let events: String = events
        .iter()
        .map(|code| {
            format!(
                "<EventStruct><EventCode>{code}</EventCode><CommandKey></CommandKey></EventStruct>"
            )
        })
        .collect();
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><soap-env:Envelope xmlns:soap-env="http://schemas.xmlsoap.org/soap/envelope/" xmlns:soap-enc="http://schemas.xmlsoap.org/soap/encoding/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:cwmp="urn:dslforum-org:cwmp-1-0"><soap-env:Header><cwmp:ID soap-env:mustUnderstand="1">77</cwmp:ID></soap-env:Header><soap-env:Body><cwmp:Inform><DeviceId><Manufacturer>Acme</Manufacturer><OUI>00AABB</OUI><ProductClass>Box</ProductClass><SerialNumber>{serial}</SerialNumber></DeviceId><Event soap-enc:arrayType="cwmp:EventStruct[1]">{events}</Event><MaxEnvelopes>1</MaxEnvelopes><CurrentTime>2026-01-01T00:00:00Z</CurrentTime><RetryCount>0</RetryCount><ParameterList soap-enc:arrayType="cwmp:ParameterValueStruct[2]"><ParameterValueStruct><Name>InternetGatewayDevice.DeviceInfo.SoftwareVersion</Name><Value xsi:type="xsd:string">1.0</Value></ParameterValueStruct><ParameterValueStruct><Name>InternetGatewayDevice.ManagementServer.ConnectionRequestURL</Name><Value xsi:type="xsd:string">http://127.0.0.1:9/</Value></ParameterValueStruct></ParameterList></cwmp:Inform></soap-env:Body></soap-env:Envelope>"#
    )
}
