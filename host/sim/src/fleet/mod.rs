//! Thousands of devices in one process.

mod config;
mod device;
mod histogram;
mod scheduler;
mod stats;

pub use config::{FleetConfig, Listen};
pub use device::Device;
pub(crate) use device::Slot;
pub use histogram::Histogram;
pub use stats::{FleetEvent, FleetStats};

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{broadcast, mpsc, watch};

use crate::Clock;
use crate::listener::RequestListener;
use scheduler::Scheduler;

/// Events that a slow reader may be behind before it misses some.
const EVENTS_KEPT: usize = 4096;

/// A fleet that runs: its devices boot, inform, take connection requests and do what the ACS
/// asks, until a limit of its [`FleetConfig`] is reached or [`Fleet::stop`] is called.
#[derive(Debug)]
pub struct Fleet {
    slots: Arc<[Arc<Slot>]>,
    clock: Clock,
    stats: Arc<Mutex<FleetStats>>,
    events: broadcast::Sender<FleetEvent>,
    stop: watch::Sender<bool>,
    finished: watch::Receiver<bool>,
    /// Dropped with the fleet: connection requests are taken as long as it is there.
    _listeners: Vec<RequestListener>,
}

impl Fleet {
    /// Makes the devices and switches them on. The only thing that can fail is to listen for
    /// connection requests.
    pub async fn start(config: FleetConfig) -> std::io::Result<Fleet> {
        let clock = config.session.clock;
        let (wake, woken) = mpsc::unbounded_channel();
        let (slots, listeners) = device::make(&config, &wake).await?;
        let slots: Arc<[Arc<Slot>]> = slots.into();
        let stats = Arc::new(Mutex::new(FleetStats {
            devices: slots.len(),
            ..FleetStats::default()
        }));
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let (stop, stopped) = watch::channel(false);
        let (finish, finished) = watch::channel(false);
        let scheduler = Scheduler::new(
            &config,
            Arc::clone(&slots),
            Arc::clone(&stats),
            events.clone(),
        );
        tokio::spawn(scheduler.run(woken, stopped, finish));
        Ok(Fleet {
            slots,
            clock,
            stats,
            events,
            stop,
            finished,
            _listeners: listeners,
        })
    }

    /// Runs a fleet to its end, or until `shutdown` is there.
    pub async fn run(
        config: FleetConfig,
        shutdown: impl Future<Output = ()>,
    ) -> std::io::Result<FleetStats> {
        let fleet = Fleet::start(config).await?;
        tokio::select! {
            () = shutdown => fleet.stop(),
            () = fleet.wait() => {}
        }
        fleet.wait().await;
        Ok(fleet.stats())
    }

    /// What happens from now on, as it happens.
    pub fn events(&self) -> broadcast::Receiver<FleetEvent> {
        self.events.subscribe()
    }

    /// What has happened so far.
    pub fn stats(&self) -> FleetStats {
        self.stats.lock().clone()
    }

    /// The device with this serial number.
    pub fn device(&self, serial: &str) -> Option<Device> {
        let mut devices = self.devices();
        devices.find(|device| device.serial() == serial)
    }

    /// All devices, in the order they were made.
    pub fn devices(&self) -> impl Iterator<Item = Device> {
        let clock = self.clock;
        self.slots
            .iter()
            .map(move |slot| Device::new(Arc::clone(slot), clock))
    }

    /// No further sessions. Those that run may end.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Comes back when the fleet has stopped.
    pub async fn wait(&self) {
        let mut finished = self.finished.clone();
        // An error means that the scheduler is gone, which is an end too.
        let _ = finished.wait_for(|finished| *finished).await;
    }
}
