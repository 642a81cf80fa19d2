//! Acknowledged is durable: a writer is killed while `tests/power_cut/shim.c` keeps the bytes
//! that a disk must have kept, and the store is opened from those, round after round.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use patchbay::device::{DeviceKey, Summary};
use patchbay::store::{AuditHead, Store, StoreConfig};
use patchbay::work::task::{NewTask, Operation, TaskId, TaskState};

const ROUNDS: u64 = 5;
/// A round ends after so many acknowledgements, and a few more milliseconds by its number.
const ACKNOWLEDGEMENTS: usize = 1_500;
const WRITERS: u64 = 8;
const DEVICES: u64 = 40;
const PARAMETERS: u64 = 60;
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn what_was_acknowledged_survives_a_power_cut() {
    let directory = tempfile::tempdir().unwrap();
    let shim = compile_shim(directory.path());
    let mut acknowledged = Acknowledged::default();
    let mut kept = directory.path().join("kept-0");
    std::fs::create_dir(&kept).unwrap();
    for round in 1..=ROUNDS {
        // The disk as the cut before left it.
        let root = directory.path().join(format!("root-{round}"));
        let shadow = directory.path().join(format!("kept-{round}"));
        copy(&kept, &root);
        copy(&kept, &shadow);
        let log = directory.path().join(format!("acknowledged-{round}"));
        let mut writer = spawn_writer(&shim, &root, &shadow, &log, round);
        wait_for_lines(&log, ACKNOWLEDGEMENTS, &mut writer);
        std::thread::sleep(Duration::from_millis(round * 3));
        writer.kill().unwrap(); // SIGKILL
        writer.wait().unwrap();
        acknowledged.read(&log);
        verify(&shadow, &acknowledged);
        kept = shadow;
    }
    assert!(acknowledged.tasks.len() as u64 > ROUNDS * 100);
}

/// The writer; started by the test above, killed by it.
#[test]
#[ignore = "the other test starts it"]
fn writer() {
    let Ok(root) = std::env::var("PC_ROOT") else {
        return;
    };
    let round: u64 = std::env::var("PC_ROUND").unwrap().parse().unwrap();
    let log = std::env::var("PC_LOG").unwrap();
    let log = std::fs::File::options()
        .append(true)
        .create(true)
        .open(log)
        .unwrap();
    let log = Arc::new(Mutex::new(log));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let store = Store::open(config(Path::new(&root))).unwrap();
        for device in 0..DEVICES {
            let (cell, _) = store.register(&key(device), Summary::default()).unwrap();
            store.persist(&cell).await.unwrap();
        }
        let mut writers = Vec::new();
        for number in 0..WRITERS {
            let writer = Writer {
                store: store.clone(),
                log: Arc::clone(&log),
                round,
                number,
            };
            writers.push(tokio::spawn(writer.run()));
        }
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

struct Writer {
    store: Store,
    log: Arc<Mutex<std::fs::File>>,
    round: u64,
    number: u64,
}

impl Writer {
    async fn run(self) {
        let mut made = Vec::new();
        for step in 0.. {
            let device = (self.number + step * WRITERS) % DEVICES;
            self.change_readings(device, step);
            let task = self.store.enqueue(new_task(device, step), 1).await.unwrap();
            self.acknowledge(format_args!("queued {} {step}", task.id));
            made.push((task.id, step));
            if step % 3 == 0 {
                let (id, step) = made.swap_remove((step as usize / 3) % made.len());
                self.store.mark_sent(id, 2).await.unwrap();
                self.acknowledge(format_args!("sent {id} {step}"));
                let result = serde_json::json!({ "step": step });
                self.store
                    .finish(id, TaskState::Done, Some(result), None, 3)
                    .await
                    .unwrap();
                self.acknowledge(format_args!("done {id} {step}"));
            }
            if step % 10 == 0 {
                let record = format!("{} {} {step}", self.round, self.number);
                let number = self.store.audit(1, record.as_bytes(), b"").await.unwrap();
                self.acknowledge(format_args!("audit {number} {record}"));
                let name = format!("setting-{}", self.number);
                let value = self.round * 1_000_000 + step;
                self.store.put_setting(&name, &value.into()).await.unwrap();
                self.acknowledge(format_args!("setting {name} {value}"));
            }
        }
    }

    /// All parameters of a device and its summary get one value, at once.
    fn change_readings(&self, device: u64, step: u64) {
        let cell = self.store.device(&key(device)).unwrap().unwrap();
        let mut locked = cell.lock();
        let value = format!("{}-{step}", self.round);
        for parameter in 0..PARAMETERS {
            let path =
                format!("Device.Some.Long.Object.{parameter}.Of.A.Device.{device}.Parameter");
            // Several parts, and not always the same number of them.
            let value = format!("{value} {}", "x".repeat((step * 37 % 400) as usize));
            locked
                .tree_mut()
                .set(&path, &value, &cwmp::XsdType::STRING, 1)
                .unwrap();
        }
        locked.set(|summary| &mut summary.provisioning_code, value.clone());
        drop(locked);
        cell.contacted(1_700_000_000 + step as i64);
        self.store.touched(&cell);
    }

    fn acknowledge(&self, line: std::fmt::Arguments<'_>) {
        // One write: a line is there whole or not at all.
        self.log
            .lock()
            .unwrap()
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
    }
}

fn new_task(device: u64, step: u64) -> NewTask {
    // Some operations are larger than a stored value may be.
    let xml = format!("<step>{step}</step>").repeat(if step % 50 == 7 { 20_000 } else { 5 });
    let operation = match step % 2 {
        0 => Operation::Raw {
            method: format!("X_{step}"),
            xml,
        },
        _ => Operation::Get {
            paths: vec![format!("Device.{step}.")],
        },
    };
    NewTask::new(key(device), operation)
}

#[derive(Default)]
struct Acknowledged {
    /// The last word on each task, and its step.
    tasks: BTreeMap<TaskId, (String, u64)>,
    audit: BTreeMap<u64, String>,
    settings: BTreeMap<String, u64>,
}

impl Acknowledged {
    fn read(&mut self, log: &Path) {
        for line in std::fs::read_to_string(log).unwrap().lines() {
            let mut words = line.splitn(3, ' ');
            let mut word = || words.next().unwrap();
            let (what, name, rest) = (word(), word(), word());
            match what {
                "audit" => {
                    let twice = self.audit.insert(name.parse().unwrap(), rest.to_owned());
                    assert_eq!(twice, None, "audit record {name} was acknowledged twice");
                }
                "setting" => {
                    self.settings.insert(name.to_owned(), rest.parse().unwrap());
                }
                _ => {
                    let id = name.parse().unwrap();
                    let before = self
                        .tasks
                        .insert(id, (what.to_owned(), rest.parse().unwrap()));
                    assert!(what != "queued" || before.is_none(), "{id} was given twice");
                }
            }
        }
    }
}

fn verify(shadow: &Path, acknowledged: &Acknowledged) {
    let store = Store::open(config(shadow)).unwrap();
    for (id, (what, step)) in &acknowledged.tasks {
        let task = store.task("a", *id).unwrap();
        let task = task.unwrap_or_else(|| panic!("{id} was acknowledged as {what} and is gone"));
        assert_eq!(task.operation, new_task(0, *step).operation, "{id}");
        match what.as_str() {
            "queued" => {}
            "sent" => assert!(task.attempts == 1, "{id} was sent, and is {task:?}"),
            _ => {
                assert_eq!(task.state, TaskState::Done, "{id}");
                assert_eq!(
                    task.result,
                    Some(serde_json::json!({ "step": step })),
                    "{id}"
                );
            }
        }
    }
    for device in 0..DEVICES {
        let cell = store
            .device(&key(device))
            .unwrap()
            .expect("it was made durable");
        let locked = cell.lock();
        let expected = &locked.summary().provisioning_code;
        let mut read = 0;
        for (path, reading) in locked.tree().prefix("") {
            let value = reading.value.split_once(' ').map(|(value, _)| value);
            assert_eq!(
                value,
                Some(expected.as_str()),
                "device {device} is torn at {path}"
            );
            read += 1;
        }
        assert!(
            read == 0 || read == PARAMETERS,
            "device {device} has {read} parameters"
        );
        // Its tasks are listed whole.
        for task in store.pending(cell.key()) {
            assert_eq!(task.device, device.to_string());
        }
    }
    let mut audit: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let visit = |record: AuditHead<'_>| {
        audit.insert(record.number, record.head.to_vec());
        ControlFlow::Continue(())
    };
    store.audit_forwards(None, visit).unwrap();
    for (number, record) in &acknowledged.audit {
        assert_eq!(
            audit.get(number).map(Vec::as_slice),
            Some(record.as_bytes()),
            "audit record {number}"
        );
    }
    for (name, value) in &acknowledged.settings {
        let found = store
            .setting(name)
            .unwrap()
            .and_then(|found| found.as_u64());
        assert!(
            found >= Some(*value),
            "{name} is {found:?}, {value} was acknowledged"
        );
    }
    assert_eq!(store.stats().blob_files, 0);
}

fn config(directory: &Path) -> StoreConfig {
    let mut config = StoreConfig::new(directory);
    config.cache_bytes = 32 << 20;
    config.tasks_pending_per_device_max = usize::MAX;
    // Much writing behind while promises are made.
    config.readings_flush_interval = Duration::from_millis(20);
    config.audit.segment_bytes_max = 4_000;
    config
}

fn key(device: u64) -> DeviceKey {
    DeviceKey {
        instance: "a".into(),
        id: device.to_string().into(),
    }
}

fn compile_shim(directory: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("power_cut/shim.c");
    let shim = directory.join("shim.so");
    let mut compiler = Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".to_owned()));
    let compiler = compiler.args([
        "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o",
    ]);
    let compiled = compiler.arg(&shim).arg(source).arg("-lpthread").status();
    assert!(compiled.expect("a C compiler is needed").success());
    shim
}

fn spawn_writer(shim: &Path, root: &Path, shadow: &Path, log: &Path, round: u64) -> Child {
    let name = format!(
        "{}::writer",
        module_path!().split_once("::").map_or("", |(_, rest)| rest)
    );
    Command::new(std::env::current_exe().unwrap())
        .args([name.as_str(), "--exact", "--ignored", "--nocapture"])
        .env("LD_PRELOAD", shim)
        .env("PC_ROOT", root)
        .env("PC_SHADOW", shadow)
        .env("PC_LOG", log)
        .env("PC_ROUND", round.to_string())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

fn wait_for_lines(log: &Path, lines: usize, writer: &mut Child) {
    let deadline = Instant::now() + DEADLINE;
    let count = || std::fs::read(log).map_or(0, |log| log.iter().filter(|b| **b == b'\n').count());
    while count() < lines {
        assert!(
            writer.try_wait().unwrap().is_none(),
            "the writer ended by itself"
        );
        assert!(
            Instant::now() < deadline,
            "only {} acknowledgements",
            count()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}
