//! Which plugins a device has: computed once per device and plugin table, not per session.

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;

use crate::device::{DeviceKey, Summary};
use crate::plugins::{Matched, Table};

/// Devices remembered; more are computed anew.
const REMEMBERED_MAX: usize = 100_000;

/// The plugins of the devices seen lately.
pub struct Matches {
    remembered: Mutex<LruCache<DeviceKey, Arc<Matched>>>,
}

impl Default for Matches {
    fn default() -> Matches {
        let size = NonZeroUsize::new(REMEMBERED_MAX).unwrap_or(NonZeroUsize::MIN);
        Matches {
            remembered: Mutex::new(LruCache::new(size)),
        }
    }
}

impl Matches {
    /// The plugins of a device. `changed`: what plugins match by is not what it was.
    pub fn of(
        &self,
        table: &Table,
        key: &DeviceKey,
        instance: &str,
        summary: &Summary,
        changed: bool,
    ) -> Arc<Matched> {
        if !changed
            && let Some(matched) = self.remembered.lock().get(key)
            && matched.generation == table.generation()
        {
            return Arc::clone(matched);
        }
        let matched = Arc::new(table.matched(instance, summary));
        self.remembered
            .lock()
            .put(key.clone(), Arc::clone(&matched));
        matched
    }
}
