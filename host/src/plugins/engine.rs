//! The WebAssembly engine: its settings, the pool of instances, the cache of compiled code and
//! the clock that interrupts guests.

use std::num::NonZeroUsize;
use std::path::Path;

use wasmtime::{
    Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
};

use super::PluginsError;
use super::limits::TICK;

/// The linear memory of one instance can never be more, whatever an operator's budget says:
/// the pool reserves this much address space for each.
pub(super) const MEMORY_BYTES_MAX: usize = 64 << 20;
/// Components instantiated at the same time, over all plugins.
const INSTANCES_MAX: u32 = 3000;
/// What a component may be made of. A Python guest consists of 38 core instances.
pub(super) const CORE_INSTANCES_PER_COMPONENT_MAX: u32 = 200;
pub(super) const MEMORIES_PER_COMPONENT_MAX: u32 = 32;
pub(super) const TABLES_PER_COMPONENT_MAX: u32 = 64;
/// The stack of a guest, and of the fiber that holds it and the host functions it calls.
const GUEST_STACK_BYTES: usize = 512 << 10;
const FIBER_STACK_BYTES: usize = 1 << 20;
const BACKTRACE_FRAMES_MAX: usize = 12;

/// The engine that serves, with its ticker running.
pub(super) fn start(
    cache_directory: Option<&Path>,
    table_elements_max: usize,
) -> Result<Engine, PluginsError> {
    let mut config = settings();
    if let Some(directory) = cache_directory {
        config.cache(cache(directory));
    }
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(
        table_elements_max,
    )));
    let engine = match Engine::new(&config) {
        Ok(engine) => engine,
        Err(error) => {
            tracing::warn!(
                error = %format_args!("{error:#}"),
                "cannot reserve the pool of plugin instances; each will be allocated on demand"
            );
            config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
            Engine::new(&config).map_err(PluginsError::Engine)?
        }
    };
    start_ticker(&engine)?;
    Ok(engine)
}

/// A small engine for `patchbay plugin check`.
pub(super) fn for_one() -> Result<Engine, PluginsError> {
    let engine = Engine::new(&settings()).map_err(PluginsError::Engine)?;
    start_ticker(&engine)?;
    Ok(engine)
}

fn settings() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // A guest that waits on an atomic would block the host's thread.
        .wasm_threads(false)
        .max_wasm_stack(GUEST_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES)
        .wasm_backtrace_max_frames(NonZeroUsize::new(BACKTRACE_FRAMES_MAX));
    config
}

fn pool(table_elements_max: usize) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(INSTANCES_MAX)
        // Most components are one to four core instances; few big ones are balanced by many small.
        .total_core_instances(INSTANCES_MAX * 10)
        .total_memories(INSTANCES_MAX)
        .total_tables(INSTANCES_MAX * 4)
        .total_stacks(INSTANCES_MAX)
        .max_memory_size(MEMORY_BYTES_MAX)
        .table_elements(table_elements_max)
        .max_core_instance_size(1 << 20)
        .max_component_instance_size(4 << 20)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT_MAX)
        .max_memories_per_component(MEMORIES_PER_COMPONENT_MAX)
        .max_tables_per_component(TABLES_PER_COMPONENT_MAX)
        .max_tables_per_module(8);
    pool
}

/// Compiled code by content and settings. Without it each start compiles again.
fn cache(directory: &Path) -> Option<Cache> {
    let made = std::fs::create_dir_all(directory)
        .and_then(|()| directory.canonicalize())
        .map_err(wasmtime::Error::from)
        .and_then(|directory| {
            let mut config = CacheConfig::new();
            config.with_directory(directory);
            Cache::new(config)
        });
    match made {
        Ok(cache) => Some(cache),
        Err(error) => {
            tracing::warn!(
                directory = %directory.display(),
                error = %format_args!("{error:#}"),
                "no cache of compiled plugins; each start compiles them again"
            );
            None
        }
    }
}

/// A thread of its own, because the executor's threads may be what a guest keeps busy. It ends
/// when the engine is gone.
fn start_ticker(engine: &Engine) -> Result<(), PluginsError> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("plugin-ticker".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(TICK);
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        })
        .map_err(PluginsError::Thread)?;
    Ok(())
}
