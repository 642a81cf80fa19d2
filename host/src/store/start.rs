//! How a store begins and ends: the directory's lock, the format, the threads.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::backend::{Backend, Batch, MemoryBackend, Start};
use super::commit::Committer;
use super::keys::{Key, Kind};
use super::registry::Registry;
use super::write_behind::{self, Dirty};
use super::{Core, Segments, Store, StoreConfig, StoreError, task_records};

/// What this version reads and writes.
pub(super) const FORMAT: u32 = 1;

/// What keeps a directory ours.
#[derive(Debug)]
pub(super) enum Claim {
    /// Locked by the operating system for as long as it is open.
    Lock { _file: File },
    /// Removed at the end.
    Temporary { _directory: tempfile::TempDir },
}

/// The store with its threads. Ends them when the last handle goes.
#[derive(Debug)]
pub(super) struct Running {
    core: Arc<Core>,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The committer last: others wait for it.
        self.core.built.stop();
        self.core.dirty.close();
        for thread in self.threads.drain(..) {
            if thread.thread().name() == Some(COMMIT_THREAD) {
                self.core.committer.close();
            }
            let _ = thread.join();
        }
        self.core.committer.close();
    }
}

const COMMIT_THREAD: &str = "store-commit";
const WRITE_BEHIND_THREAD: &str = "store-readings";
const SEARCH_THREAD: &str = "store-search";

pub(super) fn open(config: StoreConfig) -> Result<Store, StoreError> {
    let directory = config.directory.clone();
    std::fs::create_dir_all(&directory).map_err(|e| StoreError::io("create", &directory, &e))?;
    let lock = lock(&directory)?;
    let backend = Backend::open(&directory, config.cache_bytes)?;
    for made in [&directory.join("records"), &directory] {
        let synced = File::open(made).and_then(|directory| directory.sync_all());
        synced.map_err(|cause| StoreError::io("sync", made, &cause))?;
    }
    start(backend, config, Claim::Lock { _file: lock }, &directory)
}

/// Over records that outlive it, so that a test can open them again.
pub(super) fn memory(records: MemoryBackend, config: StoreConfig) -> Result<Store, StoreError> {
    let directory = tempfile::tempdir()
        .map_err(|cause| StoreError::io("create", &std::env::temp_dir(), &cause))?;
    let path = directory.path().to_owned();
    start(
        Backend::Memory(records),
        config,
        Claim::Temporary {
            _directory: directory,
        },
        &path,
    )
}

fn start(
    backend: Backend,
    config: StoreConfig,
    claim: Claim,
    directory: &Path,
) -> Result<Store, StoreError> {
    check_format(&backend, directory)?;
    let backend = Arc::new(backend);
    let devices = Registry::open(&backend, config.devices_cached_max)?;
    let (tasks, queued_again) = task_records::open(&backend)?;
    if !queued_again.is_empty() {
        backend.apply(queued_again)?;
        backend.sync()?;
    }
    let interval = config.readings_flush_interval;
    let audit = Segments::open(directory.join("audit"), config.audit.clone())?;
    let traces = Segments::open(directory.join("traces"), config.traces.clone())?;
    let core = Arc::new(Core {
        committer: Committer::new(Arc::clone(&backend)),
        backend,
        devices,
        built: super::search::Built::default(),
        tasks,
        sweep: super::task_list::Sweep::default(),
        faults: Arc::default(),
        memory: Arc::default(),
        dirty: Dirty::default(),
        chain: super::audit::Chain::open(&audit)?,
        audit: Arc::new(audit),
        traces,
        config,
        _claim: claim,
    });
    // Made first, so that a thread that does not start leaves none behind.
    let mut running = Running {
        core: Arc::clone(&core),
        threads: Vec::with_capacity(3),
    };
    let searched = Arc::clone(&core);
    running
        .threads
        .push(spawn(SEARCH_THREAD, directory, move || {
            super::search::build(&searched);
        })?);
    let behind = Arc::clone(&core);
    running
        .threads
        .push(spawn(WRITE_BEHIND_THREAD, directory, move || {
            write_behind::run(&behind, interval);
        })?);
    let committer = core.committer.clone();
    running
        .threads
        .push(spawn(COMMIT_THREAD, directory, move || committer.run())?);
    Ok(Store {
        running: Arc::new(running),
    })
}

fn spawn(
    name: &str,
    directory: &Path,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|cause| StoreError::io("start a thread for", directory, &cause))
}

pub(super) fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = file.map_err(|cause| StoreError::io("create", &path, &cause))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse {
            directory: PathBuf::from(directory),
        }),
        Err(std::fs::TryLockError::Error(cause)) => Err(StoreError::io("lock", &path, &cause)),
    }
}

/// Refuses records of another format; an empty store becomes one of this.
fn check_format(backend: &Backend, directory: &Path) -> Result<(), StoreError> {
    let key = Key::new(Kind::Version).bytes();
    let found = match backend.get(&key)? {
        Some(found) if found == FORMAT.to_string().into_bytes() => return Ok(()),
        Some(found) => String::from_utf8_lossy(&found).into_owned(),
        None if backend.scan(&[], Start::First, 1)?.is_empty() => {
            let mut batch = Batch::default();
            batch.put(key, FORMAT.to_string().into_bytes());
            backend.apply(batch)?;
            return backend.sync();
        }
        None => "none (records that are not patchbay's)".to_owned(),
    };
    Err(StoreError::Format {
        directory: directory.to_owned(),
        expected: FORMAT,
        found,
    })
}
