//! One suite for every backend: what the store promises, whatever is below it.

mod campaigns;
mod devices;
mod model;
mod rest;
mod tasks;

use std::time::Duration;

use super::backend::MemoryBackend;
use super::{Store, StoreConfig, start};
use crate::device::{DeviceKey, Summary};

/// Records that can be opened again and again.
enum Records {
    Memory(MemoryBackend),
    Sled(tempfile::TempDir),
}

impl Records {
    fn open(&self) -> Store {
        self.open_with(|_| {})
    }

    fn open_with(&self, change: impl FnOnce(&mut StoreConfig)) -> Store {
        let mut config = config(match self {
            Records::Memory(_) => std::path::Path::new(""),
            Records::Sled(directory) => directory.path(),
        });
        change(&mut config);
        match self {
            Records::Memory(records) => start::memory(records.clone(), config).unwrap(),
            Records::Sled(_) => Store::open(config).unwrap(),
        }
    }
}

fn config(directory: &std::path::Path) -> StoreConfig {
    let mut config = StoreConfig::new(directory);
    config.cache_bytes = 16 << 20;
    // Rounds happen when a test asks for one.
    config.readings_flush_interval = Duration::from_secs(3600);
    config
}

/// Runs a test with each backend.
fn check(test: impl AsyncFn(&Records)) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    for records in [
        Records::Memory(MemoryBackend::default()),
        Records::Sled(tempfile::tempdir().unwrap()),
    ] {
        runtime.block_on(test(&records));
    }
}

fn key(instance: &str, id: &str) -> DeviceKey {
    DeviceKey {
        instance: instance.into(),
        id: id.into(),
    }
}

fn summary(serial_number: &str) -> Summary {
    Summary {
        serial_number: serial_number.to_owned(),
        ..Summary::default()
    }
}
