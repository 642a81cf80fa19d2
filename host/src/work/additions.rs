//! AddObject that a device refuses: flows are not let try it for ever.
//!
//! Three refusals of one object in a session, then no more; in later sessions it is tried later
//! and later. Kept in memory only. What a person asks for by a task is always tried.

use std::num::NonZeroUsize;

use cwmp::Fault;
use lru::LruCache;
use parking_lot::Mutex;

use crate::device::{DeviceKey, UnixTime};

/// Refusals of one object in one session.
const REFUSALS_PER_SESSION_MAX: u32 = 3;
/// The first wait after a session with refusals, doubled with each.
const FIRST_WAIT_SECONDS: u64 = 60;
/// The longest.
const WAIT_SECONDS_MAX: u64 = 86_400;
/// Objects remembered, of all devices.
const REMEMBERED_MAX: usize = 50_000;

/// The objects that devices would not add to.
pub struct Additions {
    refused: Mutex<LruCache<(DeviceKey, String), Refused>>,
}

#[derive(Clone)]
struct Refused {
    /// When the session began that it was last refused in.
    session: UnixTime,
    in_session: u32,
    sessions: u32,
    next: UnixTime,
    fault: Fault,
}

impl Default for Additions {
    fn default() -> Additions {
        let size = NonZeroUsize::new(REMEMBERED_MAX).unwrap_or(NonZeroUsize::MIN);
        Additions {
            refused: Mutex::new(LruCache::new(size)),
        }
    }
}

impl Additions {
    /// The device's last fault, where it is too early to ask again. `session` is when the
    /// session began.
    pub fn too_early(&self, device: &DeviceKey, object: &str, session: UnixTime) -> Option<Fault> {
        let mut refused = self.refused.lock();
        if refused.is_empty() {
            return None;
        }
        let known = refused.get(&(device.clone(), object.to_owned()))?;
        let again = if known.session == session {
            known.in_session < REFUSALS_PER_SESSION_MAX
        } else {
            session >= known.next
        };
        (!again).then(|| known.fault.clone())
    }

    /// Notes a refusal; how many seconds a later session has to wait.
    pub fn refused(
        &self,
        device: &DeviceKey,
        object: &str,
        session: UnixTime,
        fault: &Fault,
    ) -> u64 {
        let mut refused = self.refused.lock();
        let key = (device.clone(), object.to_owned());
        let mut known = refused.pop(&key).unwrap_or_else(|| Refused {
            session,
            in_session: 0,
            sessions: 1,
            next: session,
            fault: fault.clone(),
        });
        if known.session != session {
            known.session = session;
            known.in_session = 0;
            known.sessions = known.sessions.saturating_add(1);
        }
        known.in_session += 1;
        let factor = 1u64.checked_shl(known.sessions - 1).unwrap_or(u64::MAX);
        let wait = FIRST_WAIT_SECONDS
            .saturating_mul(factor)
            .min(WAIT_SECONDS_MAX);
        known.next = session.saturating_add_unsigned(wait);
        known.fault = fault.clone();
        refused.put(key, known);
        wait
    }

    /// It was added.
    pub fn added(&self, device: &DeviceKey, object: &str) {
        let mut refused = self.refused.lock();
        if !refused.is_empty() {
            refused.pop(&(device.clone(), object.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_times_in_a_session_then_later_and_later() {
        let device = DeviceKey {
            instance: "default".into(),
            id: "x".into(),
        };
        let additions = Additions::default();
        let fault = Fault::new(9002);
        for _ in 0..3 {
            assert_eq!(additions.too_early(&device, "D.N.", 1000), None);
            assert_eq!(additions.refused(&device, "D.N.", 1000, &fault), 60);
        }
        assert_eq!(
            additions.too_early(&device, "D.N.", 1000),
            Some(fault.clone())
        );
        assert_eq!(additions.too_early(&device, "D.M.", 1000), None);
        assert!(additions.too_early(&device, "D.N.", 1059).is_some());
        assert_eq!(additions.too_early(&device, "D.N.", 1060), None);
        assert_eq!(additions.refused(&device, "D.N.", 1060, &fault), 120);
        assert!(additions.too_early(&device, "D.N.", 1179).is_some());
        additions.added(&device, "D.N.");
        assert_eq!(additions.too_early(&device, "D.N.", 1061), None);
    }
}
