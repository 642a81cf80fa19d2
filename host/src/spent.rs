//! Where the time of a message or request goes: added up while it is handled, told in the log when it took long.
//!
//! Whoever handles one gives it a purse ([`scope`]); what runs inside pays from it. Outside of one, nobody counts.

use std::cell::Cell;
use std::time::{Duration, Instant};

tokio::task_local! {
    static PURSE: Purse;
}

/// What was spent so far, in nanoseconds.
#[derive(Debug, Default)]
struct Purse {
    plugins: Cell<u64>,
    store: Cell<u64>,
    devices: Cell<u64>,
}

/// What was spent, and on what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Computing in plugins.
    pub plugins: Duration,
    /// Waiting until the store has made something durable.
    pub store: Duration,
    /// Waiting for devices.
    pub devices: Duration,
}

impl std::ops::AddAssign for Spent {
    fn add_assign(&mut self, more: Spent) {
        self.plugins += more.plugins;
        self.store += more.store;
        self.devices += more.devices;
    }
}

/// Runs something with a purse of its own.
pub fn scope<F: Future>(work: F) -> impl Future<Output = F::Output> {
    PURSE.scope(Purse::default(), work)
}

/// What was spent in this scope so far.
pub fn so_far() -> Spent {
    let read = |purse: &Purse| Spent {
        plugins: Duration::from_nanos(purse.plugins.get()),
        store: Duration::from_nanos(purse.store.get()),
        devices: Duration::from_nanos(purse.devices.get()),
    };
    PURSE.try_with(read).unwrap_or_default()
}

/// A plugin has computed.
pub fn on_plugins(nanoseconds: u64) {
    let _ = PURSE.try_with(|purse| add(&purse.plugins, nanoseconds));
}

/// Waits for the store.
pub async fn on_store<F: Future>(wait: F) -> F::Output {
    timed(wait, |purse| &purse.store).await
}

/// Waits for a device.
pub async fn on_devices<F: Future>(wait: F) -> F::Output {
    timed(wait, |purse| &purse.devices).await
}

async fn timed<F: Future>(wait: F, cell: impl Fn(&Purse) -> &Cell<u64>) -> F::Output {
    let begun = Instant::now();
    let output = wait.await;
    let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let _ = PURSE.try_with(|purse| add(cell(purse), took));
    output
}

fn add(cell: &Cell<u64>, nanoseconds: u64) {
    cell.set(cell.get().saturating_add(nanoseconds));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_scope_has_its_own() {
        on_plugins(5);
        assert_eq!(so_far(), Spent::default(), "nobody counts outside");
        let inside = scope(async {
            on_plugins(5);
            on_plugins(7);
            let within = scope(async {
                on_store(tokio::time::sleep(Duration::from_millis(2))).await;
                so_far()
            });
            let within = within.await;
            assert!(within.store >= Duration::from_millis(2), "{within:?}");
            so_far()
        });
        let plugins = Duration::from_nanos(12);
        let expected = Spent {
            plugins,
            ..Spent::default()
        };
        assert_eq!(inside.await, expected);
    }
}
