//! What the host knows inside a call: the data of a guest's store.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::flow::{DeviceRecord, Slot};
use super::limits::{Limits, ticks};
use super::lookup::Allowed;
use super::{About, PluginMemory};
use crate::device::{DeviceKey, UnixTime};
use crate::events::Events;

/// What a plugin is to its instances; the same for all of them.
pub(super) struct Identity {
    pub(super) name: Arc<str>,
    pub(super) version: Arc<str>,
    pub(super) limits: Limits,
    /// JSON.
    pub(super) settings: Arc<str>,
    /// Instead of them, for devices of these instances.
    pub(super) settings_of: BTreeMap<Box<str>, Arc<str>>,
    pub(super) lookup: Vec<Allowed>,
    pub(super) memory: Arc<dyn PluginMemory>,
    pub(super) events: Arc<Events>,
}

/// The data of a store: configured per plugin, filled in per call.
pub(super) struct Guest {
    pub(super) identity: Arc<Identity>,
    pub(super) growth: Growth,
    pub(super) call: Call,
    /// Made when the component imports WASI: empty, without files, network, environment or arguments.
    wasi: Option<Box<(WasiCtx, ResourceTable)>>,
}

/// The state of one call or one flow.
pub(super) struct Call {
    /// `None` while the plugin describes itself.
    pub(super) device: Option<DeviceKey>,
    pub(super) now: UnixTime,
    pub(super) ticks_left: u32,
    /// The budget that `ticks_left` began with.
    pub(super) milliseconds: u64,
    /// The guest slept since the last tick, so that the next one says nothing.
    pub(super) slept: bool,
    pub(super) host_calls_left: u32,
    pub(super) log_lines_left: u32,
    pub(super) rpcs_left: u32,
    /// Only a flow has these.
    pub(super) flow: Option<FlowCall>,
}

/// What only a flow has.
pub(super) struct FlowCall {
    pub(super) slot: Arc<Slot>,
    pub(super) record: Arc<dyn DeviceRecord>,
    /// Changes of tags that it may still make.
    pub(super) tags_left: u32,
    pub(super) tags_refused: bool,
    /// Readings from before this are read again by `ensure`.
    pub(super) trusted_since: UnixTime,
}

/// A budget that was used up inside a call; found again in the error of the call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum UsedUp {
    #[error("the computing time is used up")]
    Ticks { milliseconds: u64 },
    #[error("the host was called more than {0} times")]
    HostCalls(u32),
}

impl Guest {
    pub(super) fn new(identity: Arc<Identity>, call: Call) -> Guest {
        let growth = Growth {
            bytes: 0,
            bytes_max: identity.limits.memory_bytes_max,
            table_elements_max: identity.limits.table_elements_max,
            refused: false,
        };
        Guest {
            identity,
            growth,
            call,
            wasi: None,
        }
    }

    /// The operator's settings, for the device of this call.
    pub(super) fn settings(&self) -> &Arc<str> {
        let device = self.call.device.as_ref();
        let own = device.and_then(|device| self.identity.settings_of.get(&*device.instance));
        own.unwrap_or(&self.identity.settings)
    }

    /// Every import begins with this.
    pub(super) fn count(&mut self) -> wasmtime::Result<()> {
        match self.call.host_calls_left.checked_sub(1) {
            Some(left) => {
                self.call.host_calls_left = left;
                Ok(())
            }
            None => Err(wasmtime::Error::new(UsedUp::HostCalls(
                self.identity.limits.host_calls_max,
            ))),
        }
    }
}

impl Call {
    /// While the plugin is loaded: no device.
    pub(super) fn describing(limits: &Limits, milliseconds: u64) -> Call {
        let budget = std::time::Duration::from_millis(milliseconds);
        Call::new(limits, None, 0, budget, None)
    }

    pub(super) fn hook(limits: &Limits, about: &About<'_>) -> Call {
        Call::new(
            limits,
            Some(about.key.clone()),
            about.now,
            limits.call_deadline,
            None,
        )
    }

    pub(super) fn flow(limits: &Limits, about: &About<'_>, flow: FlowCall) -> Call {
        Call::new(
            limits,
            Some(about.key.clone()),
            about.now,
            limits.flow_deadline,
            Some(flow),
        )
    }

    fn new(
        limits: &Limits,
        device: Option<DeviceKey>,
        now: UnixTime,
        budget: std::time::Duration,
        flow: Option<FlowCall>,
    ) -> Call {
        Call {
            device,
            now,
            ticks_left: ticks(budget),
            milliseconds: u64::try_from(budget.as_millis()).unwrap_or(u64::MAX),
            slept: false,
            host_calls_left: limits.host_calls_max,
            log_lines_left: limits.log_lines_max,
            rpcs_left: if flow.is_some() { limits.rpcs_max } else { 0 },
            flow,
        }
    }

    /// Holds nothing of the session, for an instance that waits in the pool.
    pub(super) fn idle() -> Call {
        Call {
            device: None,
            now: 0,
            ticks_left: 0,
            milliseconds: 0,
            slept: false,
            host_calls_left: 0,
            log_lines_left: 0,
            rpcs_left: 0,
            flow: None,
        }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let both = self.wasi.get_or_insert_with(|| {
            let mut builder = WasiCtxBuilder::new();
            builder
                .allow_tcp(false)
                .allow_udp(false)
                .allow_ip_name_lookup(false);
            Box::new((builder.build(), ResourceTable::new()))
        });
        let (ctx, table) = &mut **both;
        WasiCtxView { ctx, table }
    }
}

/// The memory of an instance, counted over all of its linear memories.
pub(super) struct Growth {
    pub(super) bytes: usize,
    bytes_max: usize,
    table_elements_max: usize,
    /// The guest wanted more; what it does next is probably to crash.
    pub(super) refused: bool,
}

impl wasmtime::ResourceLimiter for Growth {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.bytes.saturating_add(desired.saturating_sub(current));
        if total > self.bytes_max || maximum.is_some_and(|maximum| desired > maximum) {
            self.refused = true;
            return Ok(false);
        }
        self.bytes = total;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= self.table_elements_max && maximum.is_none_or(|maximum| desired <= maximum))
    }

    fn instances(&self) -> usize {
        super::engine::CORE_INSTANCES_PER_COMPONENT_MAX as usize
    }

    fn memories(&self) -> usize {
        super::engine::MEMORIES_PER_COMPONENT_MAX as usize
    }

    fn tables(&self) -> usize {
        super::engine::TABLES_PER_COMPONENT_MAX as usize
    }
}
