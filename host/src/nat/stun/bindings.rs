//! Where devices are, as their binding requests tell. Readings, in memory only: after a restart
//! each device tells again within its keepalive.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Way;
use crate::device::UnixTime;

/// What is that old is not even shown any more.
const KEPT_SECONDS: i64 = 86_400;

/// The address from which a device's binding requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// The device's own, or that of the NAT before it.
    pub address: SocketAddr,
    /// The way back.
    pub way: Way,
    /// The last request.
    pub seen: UnixTime,
    /// Since when it has been this address.
    pub since: UnixTime,
}

/// By device id. Only devices with credentials get in: there are no more entries than devices.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    by_id: Mutex<HashMap<Arc<str>, Binding>>,
}

impl Bindings {
    pub(super) fn get(&self, id: &str) -> Option<Binding> {
        self.by_id.lock().get(id).copied()
    }

    /// Takes the address of a device. `is_known` is asked before a new entry is made.
    /// Whether it is another address than before; `None`: there is no such device.
    pub(super) fn put(
        &self,
        id: &str,
        address: SocketAddr,
        way: Way,
        now: UnixTime,
        is_known: impl FnOnce(&str) -> bool,
    ) -> Option<bool> {
        let fresh = Binding {
            address,
            way,
            seen: now,
            since: now,
        };
        if let Some(binding) = self.by_id.lock().get_mut(id) {
            let changed = binding.address != address;
            let since = if changed { now } else { binding.since };
            *binding = Binding { since, ..fresh };
            return Some(changed);
        }
        if !is_known(id) {
            return None;
        }
        self.by_id.lock().insert(id.into(), fresh);
        Some(true)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_id.lock().len()
    }

    pub(super) fn sweep(&self, now: UnixTime) {
        self.by_id
            .lock()
            .retain(|_, binding| now - binding.seen <= KEPT_SECONDS);
    }
}
