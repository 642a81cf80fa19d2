//! Instances: taken for a call, given back, dropped after any error, after a number of calls or
//! when grown.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{Store, UpdateDeadline};

use super::guest::{Call, Guest, UsedUp};
use super::limits::Limits;
use super::load::Code;
use super::plugin::LoadedPlugin;
use super::v0_1::Exports;
use super::{PluginError, PluginErrorKind};

/// What an instance is wanted for. Each has its own limit: flows that sleep must not keep a
/// hook of the same plugin waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Call,
    Flow,
}

/// The instances of one plugin that wait for a call, and how many may be in use.
pub(super) struct Pool {
    warm: Mutex<Vec<Instance>>,
    calls: Arc<Semaphore>,
    flows: Arc<Semaphore>,
}

/// An instance in its store.
pub(super) struct Instance {
    store: Store<Guest>,
    exports: Exports,
    calls_left: u32,
    last_used: Instant,
}

/// An instance in use. Dropping it without [`Lease::finish`] frees the instance.
pub(super) struct Lease {
    instance: Instance,
    in_use: InUse,
    _permit: OwnedSemaphorePermit,
}

/// Counts an instance in use.
struct InUse(Arc<LoadedPlugin>);

impl Pool {
    pub(super) fn new(limits: &Limits) -> Pool {
        let semaphore = |most: u32| {
            Arc::new(Semaphore::new(
                usize::try_from(most).unwrap_or(usize::MAX >> 4),
            ))
        };
        Pool {
            warm: Mutex::default(),
            calls: semaphore(limits.calls_in_flight_max),
            flows: semaphore(limits.flows_in_flight_max),
        }
    }

    fn give_back(&self, mut instance: Instance, plugin: &LoadedPlugin) {
        let limits = plugin.limits();
        let growth = &instance.store.data().growth;
        let worn = instance.calls_left == 0
            || growth.refused
            || growth.bytes > limits.warm_memory_bytes_max
            || plugin.fresh_instances;
        if worn {
            return;
        }
        instance.store.data_mut().call = Call::idle();
        instance.last_used = Instant::now();
        let mut warm = self.warm.lock();
        if warm.len() < limits.warm_max {
            warm.push(instance);
            return;
        }
        drop(warm);
        drop(instance);
    }

    pub(super) fn warm(&self) -> usize {
        self.warm.lock().len()
    }

    /// Frees instances that were not used for a while.
    pub(super) fn trim(&self, limits: &Limits) {
        let mut warm = self.warm.lock();
        // The oldest are at the bottom.
        let idle = warm
            .iter()
            .take_while(|one| one.last_used.elapsed() > limits.warm_idle_max)
            .count();
        let old: Vec<Instance> = warm.drain(..idle).collect();
        drop(warm);
        drop(old);
    }
}

impl Instance {
    /// A new instance, under the budget of `call`. The error comes with what the guest's data
    /// says about it.
    pub(super) async fn new(code: &Code, guest: Guest) -> Result<Instance, PluginErrorKind> {
        let calls_max = guest.identity.limits.calls_per_instance_max;
        // Not all at the same time.
        let calls_left = calls_max - calls_max / 4 + rand::random_range(0..=calls_max / 2);
        let mut store = Store::new(code.engine(), guest);
        store.limiter(|guest| &mut guest.growth);
        store.epoch_deadline_callback(|mut context| {
            let call = &mut context.data_mut().call;
            if std::mem::take(&mut call.slept) {
                return Ok(UpdateDeadline::Continue(1));
            }
            match call.ticks_left.checked_sub(1) {
                Some(left) => {
                    call.ticks_left = left;
                    Ok(UpdateDeadline::Yield(1))
                }
                None => Err(wasmtime::Error::new(UsedUp::Ticks {
                    milliseconds: call.milliseconds,
                })),
            }
        });
        store.set_epoch_deadline(1);
        let made = match code.pre().instantiate_async(&mut store).await {
            Ok(instance) => code.indices().load(&mut store, &instance),
            Err(error) => Err(error),
        };
        match made {
            Ok(exports) => Ok(Instance {
                store,
                exports,
                calls_left,
                last_used: Instant::now(),
            }),
            Err(error) => Err(super::call::classify(&error, store.data())),
        }
    }

    pub(super) fn parts(&mut self) -> (&Exports, &mut Store<Guest>) {
        (&self.exports, &mut self.store)
    }

    fn begin(&mut self, call: Call) {
        self.store.data_mut().call = call;
        self.store.set_epoch_deadline(1);
    }
}

impl LoadedPlugin {
    /// A warm instance or a new one; waits while too many are in use.
    pub(super) async fn lease(
        self: &Arc<Self>,
        purpose: Use,
        call: Call,
    ) -> Result<Lease, PluginError> {
        let limits = self.limits();
        let (semaphore, wait_max) = match purpose {
            Use::Call => (&self.pool.calls, limits.call_wait_max),
            Use::Flow => (&self.pool.flows, limits.flow_wait_max),
        };
        let permit = match Arc::clone(semaphore).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                match tokio::time::timeout(wait_max, Arc::clone(semaphore).acquire_owned()).await {
                    Ok(Ok(permit)) => permit,
                    Ok(Err(_)) | Err(_) => return Err(self.failed(PluginErrorKind::Busy)),
                }
            }
        };
        let in_use = InUse::begin(self);
        let warm = self.pool.warm.lock().pop();
        let instance = match warm {
            Some(mut instance) => {
                instance.begin(call);
                instance
            }
            None => {
                let guest = Guest::new(Arc::clone(&self.identity), call);
                let making = Instance::new(&self.code, guest);
                let made = match purpose {
                    Use::Call => self.metered(making).await.and_then(|made| made),
                    // The polls of a flow are measured as they are.
                    Use::Flow => making.await,
                };
                made.map_err(|kind| self.failed(kind))?
            }
        };
        Ok(Lease {
            instance,
            in_use,
            _permit: permit,
        })
    }
}

impl InUse {
    fn begin(plugin: &Arc<LoadedPlugin>) -> InUse {
        plugin.counters.begin();
        InUse(Arc::clone(plugin))
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.counters.end();
    }
}

impl Lease {
    pub(super) fn parts(&mut self) -> (&Exports, &mut Store<Guest>) {
        self.instance.parts()
    }

    /// Gives the instance back, or drops it and records what went wrong.
    pub(super) fn finish<R>(
        self,
        outcome: Result<wasmtime::Result<R>, PluginErrorKind>,
    ) -> Result<R, PluginError> {
        let Lease {
            mut instance,
            in_use,
            _permit,
        } = self;
        let plugin = &in_use.0;
        match outcome {
            Ok(Ok(result)) => {
                instance.calls_left = instance.calls_left.saturating_sub(1);
                plugin.pool.give_back(instance, plugin);
                Ok(result)
            }
            Ok(Err(error)) => {
                Err(plugin.failed(super::call::classify(&error, instance.store.data())))
            }
            Err(kind) => Err(plugin.failed(kind)),
        }
    }
}
