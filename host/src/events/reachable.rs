//! Which devices could not be woken and have not come since: what makes two events of many
//! attempts. In memory: after a restart a device counts as reachable until a wake-up fails.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::device::{DeviceKey, UnixTime};

/// Devices that are remembered; those beyond are told as unreachable each time.
const REMEMBERED_MAX: usize = 200_000;

/// The devices that are not reachable.
#[derive(Debug, Default)]
pub struct Unreachable {
    since: Mutex<HashMap<DeviceKey, UnixTime>>,
    /// So that a session that begins looks at a number and no more.
    count: AtomicUsize,
}

impl Unreachable {
    /// No way led to the device; whether that is news.
    pub fn lost(&self, device: &DeviceKey, at: UnixTime) -> bool {
        let mut since = self.since.lock();
        if since.contains_key(device) {
            return false;
        }
        if since.len() < REMEMBERED_MAX {
            since.insert(device.clone(), at);
            self.count.store(since.len(), Relaxed);
        }
        true
    }

    /// The device has come, or is gone for good; `Some`: since when it could not be woken.
    pub fn came(&self, device: &DeviceKey) -> Option<UnixTime> {
        if self.count.load(Relaxed) == 0 {
            return None;
        }
        let mut since = self.since.lock();
        let lost = since.remove(device);
        self.count.store(since.len(), Relaxed);
        lost
    }
}
