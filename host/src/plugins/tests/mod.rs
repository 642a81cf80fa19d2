//! Against real components. `tests/run` builds them and sets `PATCHBAY_GUESTS`.

mod flows;
mod hooks;
mod refused;
mod reload;
mod vendors;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::*;
use crate::device::DataModel;

pub(super) const NOW: UnixTime = 1_750_000_000;

/// A built guest: `test/misbehave`.
pub(super) fn guest(name: &str) -> Vec<u8> {
    let Some(directory) = std::env::var_os("PATCHBAY_GUESTS") else {
        panic!(
            "PATCHBAY_GUESTS is not set: run the tests by tests/run, which builds the guests and sets it"
        );
    };
    let path = Path::new(&directory).join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[derive(Default)]
pub(super) struct Memory(Mutex<BTreeMap<(String, String, String), Vec<u8>>>);

fn memory_key(plugin: &str, device: &DeviceKey, key: &str) -> (String, String, String) {
    (plugin.to_owned(), device.to_string(), key.to_owned())
}

impl PluginMemory for Memory {
    fn get(&self, plugin: &str, device: &DeviceKey, key: &str) -> Option<Vec<u8>> {
        self.0.lock().get(&memory_key(plugin, device, key)).cloned()
    }
    fn set(
        &self,
        plugin: &str,
        device: &DeviceKey,
        key: &str,
        value: Vec<u8>,
    ) -> Result<(), String> {
        self.0.lock().insert(memory_key(plugin, device, key), value);
        Ok(())
    }
    fn remove(&self, plugin: &str, device: &DeviceKey, key: &str) {
        self.0.lock().remove(&memory_key(plugin, device, key));
    }
    fn keys(&self, plugin: &str, device: &DeviceKey, key: &str) -> (usize, bool) {
        let all = self.0.lock();
        let mine = |(of, whose, _): &&(String, String, String)| {
            of == plugin && *whose == device.to_string()
        };
        (
            all.keys().filter(mine).count(),
            all.contains_key(&memory_key(plugin, device, key)),
        )
    }
}

/// What a flow sees of its device.
#[derive(Default)]
pub(super) struct Record {
    pub(super) known: Mutex<Vec<(cwmp::ParameterValue, UnixTime)>>,
    pub(super) tags: Mutex<BTreeSet<String>>,
}

impl DeviceRecord for Record {
    fn known<'a>(&'a self, path: &'a str) -> KnownFuture<'a> {
        Box::pin(async move {
            let known = self.known.lock();
            let below = |one: &str| one == path || (path.ends_with('.') && one.starts_with(path));
            known
                .iter()
                .filter(|(value, _)| below(&value.path))
                .cloned()
                .collect()
        })
    }
    fn tag(&self, name: &str) {
        self.tags.lock().insert(name.to_owned());
    }
    fn untag(&self, name: &str) {
        self.tags.lock().remove(name);
    }
    fn tags(&self) -> Vec<String> {
        self.tags.lock().iter().cloned().collect()
    }
}

/// Plugins in a directory of their own.
pub(super) struct Host {
    pub(super) directory: tempfile::TempDir,
    pub(super) memory: Arc<Memory>,
    pub(super) plugins: Arc<Plugins>,
}

impl Host {
    /// Files with these names and contents.
    pub(super) async fn with(files: &[(&str, &[u8])]) -> Host {
        Host::with_limits(files, Limits::default()).await
    }

    pub(super) async fn with_limits(files: &[(&str, &[u8])], limits: Limits) -> Host {
        let directory = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(directory.path().join(name), bytes).unwrap();
        }
        let memory = Arc::new(Memory::default());
        let mut config = PluginsConfig::new(directory.path());
        config.limits = limits;
        config.cache_directory = Some(cache());
        let plugins = Plugins::start(config, memory.clone()).await.unwrap();
        Host {
            directory,
            memory,
            plugins,
        }
    }

    pub(super) async fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.directory.path().join(name), bytes).unwrap();
        self.plugins.reload().await;
    }

    pub(super) fn status(&self, name: &str) -> PluginStatus {
        let statuses = self.plugins.statuses();
        statuses
            .into_iter()
            .find(|status| status.name == name)
            .unwrap_or_else(|| panic!("no plugin {name}"))
    }

    pub(super) fn error(&self, name: &str) -> String {
        self.status(name).last_error.unwrap_or_default()
    }

    pub(super) fn matched(&self) -> Matched {
        self.plugins.table().matched("default", &device())
    }

    pub(super) fn start(&self, plugin: &str, record: &Arc<Record>) -> FlowRun {
        let matched = self.matched();
        let flow = matched.flows.iter().find(|flow| &**flow.plugin() == plugin);
        let flow = flow.unwrap_or_else(|| panic!("no flow {plugin}: {}", self.error(plugin)));
        let occasion = Occasion {
            events: events(&["2 PERIODIC"]),
            ..Occasion::default()
        };
        FlowRun::start(flow, &about(&key(), &device()), occasion, record.clone())
    }
}

/// Compiled guests, shared by all tests and kept for the next run.
fn cache() -> PathBuf {
    std::env::temp_dir().join(format!(
        "patchbay-test-cache-{}",
        std::env::var("USER").unwrap_or_default()
    ))
}

pub(super) fn key() -> DeviceKey {
    DeviceKey {
        instance: "default".into(),
        id: "00AABB-HG1-123".into(),
    }
}

pub(super) fn device() -> Summary {
    Summary {
        manufacturer: "Zhone".into(),
        oui: "00AABB".into(),
        product_class: "ZNID24xxA1".into(),
        serial_number: "123".into(),
        software_version: "S4.1.224".into(),
        data_model: DataModel::Tr098,
        ..Summary::default()
    }
}

pub(super) fn about<'a>(key: &'a DeviceKey, device: &'a Summary) -> About<'a> {
    About {
        key,
        device,
        now: NOW,
    }
}

pub(super) fn events(codes: &[&str]) -> Vec<cwmp::Event> {
    codes
        .iter()
        .map(|code| cwmp::Event {
            code: (*code).into(),
            command_key: String::new(),
        })
        .collect()
}

/// Answers GetParameterValues with `value of NAME`, all else with what it takes.
pub(super) fn answer(request: &cwmp::Request) -> Result<cwmp::Response, AskError> {
    use cwmp::{Request, Response};
    Ok(match request {
        Request::GetParameterValues(names) => Response::GetParameterValues(
            names
                .iter()
                .map(|name| cwmp::ParameterValue::string(name, format!("value of {name}")))
                .collect(),
        ),
        Request::SetParameterValues(_) => Response::SetParameterValues(cwmp::Applied::Now),
        other => panic!("not expected: {other:?}"),
    })
}

/// Runs a flow to its end; what it asked, and how it ended.
pub(super) async fn drive(run: &mut FlowRun) -> (Vec<cwmp::Request>, FlowStep) {
    let mut asked = Vec::new();
    let mut reply = None;
    loop {
        match run.next(reply.take()).await {
            FlowStep::Ask(request) => {
                reply = Some(answer(&request));
                asked.push(request);
            }
            end => return (asked, end),
        }
    }
}

/// Waits for something that the watcher does.
pub(super) async fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    for _ in 0..500 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("did not happen in 10 s: {what}");
}
