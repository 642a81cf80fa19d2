//! What a plugin costs: one call of each kind, in the shipped and example plugins, as the host
//! calls them. Set `PATCHBAY_GUESTS` to the directory of built plugins (tests/run builds them
//! into target/guests); `target/guests` if it is not set.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a benchmark that cannot run says so by panicking"
)]

use std::path::PathBuf;
use std::sync::Arc;

use divan::Bencher;
use patchbay::device::{DataModel, DeviceKey, Summary};
use patchbay::plugins::{
    About, DeviceRecord, Facts, FlowRun, FlowStep, KnownFuture, Matched, Occasion, PluginMemory,
    Plugins, PluginsConfig,
};
use tokio::runtime::Runtime;

fn main() {
    divan::main();
}

/// No plugin of these remembers anything.
struct NoMemory;

impl PluginMemory for NoMemory {
    fn get(&self, _: &str, _: &DeviceKey, _: &str) -> Option<Vec<u8>> {
        None
    }
    fn set(&self, _: &str, _: &DeviceKey, _: &str, _: Vec<u8>) -> Result<(), String> {
        Ok(())
    }
    fn remove(&self, _: &str, _: &DeviceKey, _: &str) {}
    fn keys(&self, _: &str, _: &DeviceKey, _: &str) -> (usize, bool) {
        (0, true)
    }
}

/// A device that nothing is known of.
struct NoRecord;

impl DeviceRecord for NoRecord {
    fn known<'a>(&'a self, _: &'a str) -> KnownFuture<'a> {
        Box::pin(std::future::ready(Vec::new()))
    }
    fn tag(&self, _: &str) {}
    fn untag(&self, _: &str) {}
    fn tags(&self) -> Vec<String> {
        Vec::new()
    }
}

struct Bench {
    runtime: Runtime,
    matched: Matched,
    key: DeviceKey,
    summary: Summary,
    _plugins: Arc<Plugins>,
    _directory: tempfile::TempDir,
}

impl Bench {
    fn about(&self) -> About<'_> {
        About {
            key: &self.key,
            device: &self.summary,
            now: 1_700_000_000,
        }
    }
}

/// The host's plugin side with one plugin in it.
fn bench(kind: &str, name: &str, isolation: &str) -> Bench {
    let guests = std::env::var_os("PATCHBAY_GUESTS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/guests")),
        PathBuf::from,
    );
    let file = guests.join(kind).join(format!("{name}.wasm"));
    let directory = tempfile::tempdir().unwrap();
    if let Err(error) = std::fs::copy(&file, directory.path().join(format!("{name}.wasm"))) {
        panic!(
            "{}: {error}: build the plugins first (tests/run does)",
            file.display()
        );
    }
    std::fs::write(
        directory.path().join(format!("{name}.toml")),
        format!("isolation = \"{isolation}\"\n"),
    )
    .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let config = PluginsConfig::new(directory.path());
    let plugins = runtime
        .block_on(Plugins::start(config, Arc::new(NoMemory)))
        .unwrap();
    let summary = Summary {
        manufacturer: "Zhone".into(),
        oui: "00AABB".into(),
        product_class: "znid24".into(),
        serial_number: "1".into(),
        software_version: "1.0".into(),
        data_model: DataModel::Tr181,
        ..Summary::default()
    };
    let matched = plugins.table().matched("default", &summary);
    let key = DeviceKey {
        instance: "default".into(),
        id: "00AABB-znid24-1".into(),
    };
    Bench {
        runtime,
        matched,
        key,
        summary,
        _plugins: plugins,
        _directory: directory,
    }
}

/// A flow that asks the device for five parameters once; how the instance is come by is the argument.
#[divan::bench(args = ["reuse", "session"])]
fn flow_of_one_rpc(bencher: Bencher<'_, '_>, isolation: &str) {
    let bench = bench("examples", "read-five", isolation);
    let flow = bench.matched.flows.first().expect("read-five is a flow");
    bencher.bench_local(|| {
        bench.runtime.block_on(async {
            let occasion = Occasion {
                events: vec![],
                ..Occasion::default()
            };
            let mut run = FlowRun::start(flow, &bench.about(), occasion, Arc::new(NoRecord));
            let mut answer = None;
            loop {
                match run.next(answer.take()).await {
                    FlowStep::Ask(cwmp::Request::GetParameterValues(names)) => {
                        let values = names
                            .into_iter()
                            .map(|name| cwmp::ParameterValue::string(name, "1"));
                        answer = Some(Ok(cwmp::Response::GetParameterValues(values.collect())));
                    }
                    FlowStep::Ended(Ok(())) => break,
                    other => panic!("{other:?}"),
                }
            }
        });
    });
}

/// The shipped policy decides.
#[divan::bench(args = ["reuse", "session"])]
fn policy_decides(bencher: Bencher<'_, '_>, isolation: &str) {
    let bench = bench("shipped", "nat-default", isolation);
    let policy = bench
        .matched
        .policy
        .clone()
        .expect("nat-default is a policy");
    let facts = Facts {
        connection_request_url: "http://10.0.0.1:7547/".into(),
        ..Facts::default()
    };
    bencher.bench_local(|| {
        bench
            .runtime
            .block_on(async { policy.decide(&bench.about(), &facts).await.unwrap() })
    });
}

/// A profile looks through an Inform of thirty parameters.
#[divan::bench(args = ["reuse", "session"])]
fn profile_corrects_an_inform(bencher: Bencher<'_, '_>, isolation: &str) {
    let bench = bench("shipped", "zhone", isolation);
    assert!(
        bench.matched.has_on_inform(),
        "the profile zhone matches this device and has on-inform"
    );
    let inform = cwmp::Inform {
        parameters: (0..30)
            .map(|n| {
                cwmp::ParameterValue::string(
                    format!("Device.DeviceInfo.Parameter{n}"),
                    "some value",
                )
            })
            .collect(),
        ..cwmp::Inform::default()
    };
    bencher
        .with_inputs(|| inform.clone())
        .bench_local_values(|inform| {
            bench.runtime.block_on(async {
                bench
                    .matched
                    .on_inform(&bench.about(), inform, &mut Vec::new())
                    .await
            })
        });
}
