//! How many devices there are of each mode, for the metrics: counted once when the host starts, then kept as modes
//! change.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::device::Mode;

/// Devices by mode. Those of which nothing was decided are not among them.
#[derive(Debug, Default)]
pub struct Modes([AtomicI64; Mode::ALL.len()]);

impl Modes {
    /// A device had one mode and has another; `None`: it had none, or is gone.
    pub fn changed(&self, before: Option<Mode>, after: Option<Mode>) {
        for (mode, by) in [(before, -1), (after, 1)] {
            let place = Mode::ALL.iter().position(|known| Some(*known) == mode);
            if let Some(count) = place.and_then(|place| self.0.get(place)) {
                count.fetch_add(by, Ordering::Relaxed);
            }
        }
    }

    /// How many there are of each.
    pub fn counts(&self) -> impl Iterator<Item = (Mode, u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        Mode::ALL
            .into_iter()
            .zip(counts.map(|count| u64::try_from(count).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_counted_once() {
        let modes = Modes::default();
        modes.changed(None, Some(Mode::Stun));
        modes.changed(None, Some(Mode::Stun));
        modes.changed(Some(Mode::Stun), Some(Mode::Xmpp));
        modes.changed(Some(Mode::Stun), None);
        let some: Vec<_> = modes.counts().filter(|(_, count)| *count > 0).collect();
        assert_eq!(some, [(Mode::Xmpp, 1)]);
    }
}
