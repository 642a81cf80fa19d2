//! Patchbay, an Auto Configuration Server for TR-069 (CWMP).
//!
//! The table of contents, in reading order: a device's POST comes in at the [`door`], becomes
//! a [`conversation`], which asks [`plugins`] what to do, does [`work`] that somebody asked
//! for, keeps what it learns in the [`store`] and, between sessions, wakes the device
//! ([`nat`]). People and systems come in at the [`api`].
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing),
    // A test that fails by panicking says where; that is what it is for.
)]

pub mod config;

pub mod clock;
pub mod device;
pub mod instance;
pub mod instances;
pub mod secrets;

pub mod door;

pub mod conversation;

pub mod matches;
pub mod nat;
pub mod plugins;
pub mod work;

pub mod files;

pub mod query;
pub mod search;
pub mod store;
pub mod traces;

pub mod audit;
pub mod events;

pub mod links;
pub mod snippets;

pub mod access;
pub mod api;
pub(crate) mod export;

pub mod backup;
pub mod health;
pub mod http_client;
pub mod metrics;
pub mod reload;
pub mod spent;
pub mod telemetry;

pub mod cli;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use config::Config;
use device::DeviceKey;
use plugins::{PluginMemory, Plugins, PluginsConfig};
use store::{SegmentsConfig, Store, StoreConfig};

/// How often silent sessions, expired tasks and old records are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Of those, how often the slow ones: old tasks and traces.
const SLOW_SWEEP_EVERY: u64 = 60;
/// How long kept connections may finish what they are at when the host stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// The host: everything that lives as long as it runs, behind one cheap handle.
pub struct Acs {
    /// What the operator decided.
    pub config: Config,
    /// All instances.
    pub instances: instances::Instances,
    /// The time.
    pub clock: clock::Clock,
    /// What is remembered.
    pub store: Store,
    /// What devices download and upload.
    pub files: files::Files,
    /// The plugins.
    pub plugins: Arc<Plugins>,
    /// Which plugins a device has.
    pub matches: matches::Matches,
    /// Failures of flows.
    pub flow_retries: work::retries::Retries,
    /// What was learned of models by asking their devices.
    pub lessons: work::lessons::Lessons,
    /// The objects that devices would not add to.
    pub additions: work::additions::Additions,
    /// The certificate for devices; `None`: no TLS.
    pub tls: Option<Arc<door::Tls>>,
    /// The sessions under way.
    pub sessions: door::Sessions,
    /// Devices whose sessions are told by their URL.
    pub by_url: door::ByUrl,
    /// Who tells devices from others.
    pub doorkeeper: door::Doorkeeper,
    /// What was refused at the door.
    pub refusals: door::Refusals,
    /// What happened in the sessions that are kept.
    pub traces: traces::Traces,
    /// The wake-ups under way.
    pub wakes: nat::wake::Wakes,
    /// The devices that inform every few seconds because they cannot be woken.
    pub short_informs: nat::short_inform::ShortInforms,
    /// The ways that are tried again later.
    pub probes: nat::probe::Probes,
    /// The way over XMPP; `None`: it is off.
    pub xmpp: Option<nat::xmpp::Xmpp>,
    /// The STUN server.
    pub stun: Arc<nat::stun::Stun>,
    /// Which names devices of a model have below ManagementServer.
    pub models: nat::supports::Models,
    /// The campaigns that are under way.
    pub campaigns: work::campaign::Campaigns,
    /// Who is let in to the API.
    pub gate: access::Gate,
    /// Where events are sent.
    pub webhooks: events::Webhooks,
    /// What happened, for the systems around.
    pub events: Arc<events::Events>,
    /// The searches of devices under way.
    pub searches: search::Searches,
    /// What is counted.
    pub counters: metrics::Counters,
    /// Whether all this can do its work.
    pub health: health::Health,
    /// Copies of what is remembered.
    pub backups: backup::Backups,
}

/// The sockets that the host serves; made by the caller, so that tests can choose.
pub struct Listeners {
    /// For devices.
    pub cwmp: Vec<TcpListener>,
    /// For devices, over TLS.
    pub cwmp_tls: Vec<TcpListener>,
    /// For devices, files only.
    pub files: Option<TcpListener>,
    /// For the STUN requests of devices behind NAT; none: STUN is off.
    pub stun: Vec<nat::stun::Group>,
    /// For devices' XMPP streams.
    pub xmpp: nat::xmpp::Listeners,
    /// For people and systems.
    pub api: TcpListener,
    /// For those who scrape and probe; `None`: they ask the API.
    pub metrics: Option<TcpListener>,
}

impl Listeners {
    /// Binds what the configuration names.
    pub async fn bind(config: &Config) -> anyhow::Result<Listeners> {
        use anyhow::Context;
        let bind = async |address: SocketAddr| {
            TcpListener::bind(address)
                .await
                .with_context(|| format!("cannot listen on {address}"))
        };
        for address in &config.instance.connection_request_from {
            let from = TcpListener::bind((*address, 0)).await;
            from.with_context(|| {
                format!("instance.connection_request_from: expected an address of this host, got {address}")
            })?;
        }
        let mut cwmp = Vec::new();
        for address in &config.cwmp.listen {
            cwmp.push(bind(*address).await?);
        }
        let mut cwmp_tls = Vec::new();
        for address in &config.cwmp.tls.listen {
            cwmp_tls.push(bind(*address).await?);
        }
        let files = match config.files.listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let api = bind(config.api.listen).await?;
        let metrics = match config.metrics.listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let mut stun = Vec::new();
        for address in config.stun.listen.iter().filter(|_| config.stun.enabled) {
            let group = nat::stun::bind(*address, config.stun.second_of(*address));
            stun.push(group.with_context(|| {
                format!("cannot listen on UDP {address} (stun.enabled = false does without)")
            })?);
        }
        let xmpp = nat::xmpp::Listeners::bind(&config.xmpp).await?;
        Ok(Listeners {
            cwmp,
            cwmp_tls,
            files,
            stun,
            xmpp,
            api,
            metrics,
        })
    }
}

impl Acs {
    /// Opens the store and loads the plugins. Devices are served by [`Acs::run`].
    pub async fn open(config: Config) -> anyhow::Result<Arc<Acs>> {
        let store_config = store_config(&config);
        let store = tokio::task::spawn_blocking(move || Store::open(store_config)).await??;
        Acs::with_store(config, store).await
    }

    /// As [`Acs::open`], with a store that is open already.
    pub async fn with_store(config: Config, store: Store) -> anyhow::Result<Arc<Acs>> {
        let limits = traces::Limits {
            sessions_per_device_max: config.traces.sessions_per_device_max,
            age_seconds_max: config.traces.age_days_max * 86_400,
        };
        let traced = store.clone();
        let traces = tokio::task::spawn_blocking(move || traces::Traces::open(traced, limits));
        let memory = Arc::new(DeviceMemory {
            store: store.clone(),
        });
        let clock = clock::Clock;
        let events = Arc::new(events::Events::new(clock.unix()));
        let told = Arc::clone(&events);
        let webhooks = events::Webhooks::open(&store, &config.webhooks.allow)?;
        store.observe_tasks(Box::new(move |task| told.task(task)));
        let plugins = PluginsConfig {
            events: Arc::clone(&events),
            ..plugins_config(&config)
        };
        let plugins = Plugins::start(plugins, memory).await?;
        let tls = door::Tls::load(&config.cwmp.tls)?.map(Arc::new);
        let retries = work::retries::Retries::new(
            config.plugins.flow_retry_seconds,
            config.plugins.flow_retry_seconds_max,
        );
        let instances = instances::Instances::open(&config, &store)?;
        let secret = nat::stun::secret(&store).await?;
        let known = store.clone();
        let is_known = move |account: &str| known.is_known(&DeviceKey::of_account(account));
        let stun = nat::stun::Stun::new(config.stun.clone(), &secret, clock, Box::new(is_known));
        for instance in instances.all() {
            let ids = store.device_ids(&instance.name, None, usize::MAX);
            let keys = ids.into_iter().map(|id| DeviceKey {
                instance: Arc::clone(&instance.name),
                id,
            });
            stun.learn_accounts(keys.map(|key| key.account()));
        }
        let xmpp = nat::xmpp::Xmpp::new(&config.xmpp, &store, clock)?;
        let (kept, api) = (store.clone(), config.api.clone());
        let gate = tokio::task::spawn_blocking(move || access::Gate::open(kept, &api));
        Ok(Arc::new(Acs {
            gate: gate.await??,
            lessons: work::lessons::Lessons::open(store.clone(), &instances.names())?,
            additions: work::additions::Additions::default(),
            instances,
            clock,
            files: files::Files::open(&config, &store).await?,
            store,
            plugins,
            matches: matches::Matches::default(),
            flow_retries: retries,
            tls,
            sessions: door::Sessions::new(clock.now().instant),
            by_url: door::ByUrl::default(),
            doorkeeper: door::Doorkeeper::default(),
            refusals: door::Refusals::default(),
            traces: traces.await??,
            short_informs: nat::short_inform::ShortInforms::new(clock.unix()),
            wakes: nat::wake::Wakes::default(),
            probes: nat::probe::Probes::default(),
            xmpp,
            stun: Arc::new(stun),
            models: nat::supports::Models::default(),
            campaigns: work::campaign::Campaigns::default(),
            webhooks,
            events,
            searches: search::Searches::default(),
            counters: metrics::Counters::default(),
            health: health::Health::default(),
            backups: backup::Backups::default(),
            config,
        }))
    }

    /// Serves until `shutdown` becomes true (or its sender is gone), then ends open sessions
    /// and closes the store.
    pub async fn run(
        self: Arc<Self>,
        listeners: Listeners,
        mut shutdown: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        self.stun.open(listeners.stun)?;
        // What is served ends later than the host is told to stop: first it says that it is not ready.
        let (close, closing) = watch::channel(false);
        let mut tasks = tokio::task::JoinSet::new();
        for listener in listeners.cwmp {
            let entrance = door::Entrance::of_all(door::To::Plain);
            let name = named("devices", &listener);
            let serving = door::serve(Arc::clone(&self), listener, entrance, closing.clone());
            tasks.spawn(self.health.watch(name, serving));
        }
        for listener in listeners.cwmp_tls {
            // Only where the configuration names a certificate are there such listeners.
            let Some(tls) = &self.tls else { continue };
            let entrance = door::Entrance::of_all(door::To::Tls(Arc::clone(tls)));
            let name = named("devices over TLS", &listener);
            let serving = door::serve(Arc::clone(&self), listener, entrance, closing.clone());
            tasks.spawn(self.health.watch(name, serving));
        }
        if let Some(listener) = listeners.files {
            let entrance = door::Entrance::of_all(door::To::Files);
            let name = named("files", &listener);
            let serving = door::serve(Arc::clone(&self), listener, entrance, closing.clone());
            tasks.spawn(self.health.watch(name, serving));
        }
        tasks.spawn(door::serve_instances(Arc::clone(&self), closing.clone()));
        if self.stun.is_serving() {
            let serving = Arc::clone(&self.stun).serve(closing.clone());
            tasks.spawn(self.health.watch("STUN".into(), serving));
        }
        let name = named("the API", &listeners.api);
        let serving = api::serve(Arc::clone(&self), listeners.api, closing.clone());
        tasks.spawn(self.health.watch(name, serving));
        if let Some(listener) = listeners.metrics {
            let name = named("metrics", &listener);
            let serving = metrics::serve(Arc::clone(&self), listener, closing.clone());
            tasks.spawn(self.health.watch(name, serving));
        }
        if let Some(xmpp) = &self.xmpp {
            xmpp.run(listeners.xmpp, &mut tasks, &closing);
        }
        let follower = self.events.follow();
        tasks.spawn(Arc::clone(&self).audit_events(follower));
        tasks.spawn(Arc::clone(&self).serve_webhooks());
        let counting = Arc::clone(&self);
        let counting = tokio::task::spawn_blocking(move || counting.count_short_informs());
        tasks.spawn(Arc::clone(&self).run_campaigns(shutdown.clone()));
        let sweeper = tokio::spawn(sweep(Arc::clone(&self)));
        let watcher = self.tls.clone().map(|tls| {
            let clock = self.clock;
            tokio::spawn(async move { tls.watch(clock).await })
        });
        let _ = shutdown.wait_for(|stop| *stop).await;
        self.health.stops();
        let drain_seconds = self.config.shutdown.drain_seconds;
        tracing::info!(drain_seconds, "the host is about to stop");
        tokio::time::sleep(Duration::from_secs(drain_seconds)).await;
        close.send_replace(true);
        self.events.close();
        let grace = async { while tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(SHUTDOWN_GRACE, grace).await;
        tasks.abort_all();
        sweeper.abort();
        if let Some(watcher) = watcher {
            watcher.abort();
        }
        // Only it could fail by panicking, and then there is nothing to wait for.
        let _ = counting.await;
        let now = self.clock.now();
        for open in self.sessions.drain() {
            open.conversation
                .lock()
                .await
                .abandon("the host stops", now)
                .await;
        }
        self.plugins.shutdown();
        self.gate.sweep(now.unix).await?;
        let closing = Arc::clone(&self);
        tokio::task::spawn_blocking(move || closing.traces.close()).await?;
        self.store.close().await?;
        Ok(())
    }
}

/// What a listener is called when it has ended.
fn named(what: &str, listener: &TcpListener) -> String {
    match listener.local_addr() {
        Ok(address) => format!("{what} at {address}"),
        Err(_) => what.to_owned(),
    }
}

/// Sees to what ends by itself: silent sessions, tasks whose time is over, old records.
async fn sweep(acs: Arc<Acs>) {
    let mut interval = tokio::time::interval(SWEEP_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    for round in 1u64.. {
        interval.tick().await;
        let now = acs.clock.now();
        for open in acs.sessions.expired(now.instant) {
            open.conversation
                .lock()
                .await
                .lost("the device fell silent", now)
                .await;
        }
        acs.probe_quietly(now.unix);
        if let Err(error) = acs.store.expire(now.unix).await {
            tracing::error!(%error, "cannot end the tasks whose time is over");
        }
        if round % SLOW_SWEEP_EVERY == 0 {
            if let Err(error) = acs.store.sweep_finished_tasks(now.unix).await {
                tracing::error!(%error, "cannot remove old tasks");
            }
            acs.end_overdue_transfers(now.unix).await;
            acs.ask_for_diagnostics(now.unix).await;
            for instance in acs.instances.all() {
                acs.files.sweep(&instance.name, now.unix).await;
            }
            acs.stun.sweep(now.unix);
            if let Err(error) = acs.gate.sweep(now.unix).await {
                tracing::error!(%error, "cannot write when sessions and tokens were used");
            }
            acs.sweep_leases(now.unix);
            acs.log_short_inform_advice();
            let backing_up = Arc::clone(&acs);
            tokio::spawn(async move { backing_up.back_up_if_due(now.unix).await });
            let sweeping = Arc::clone(&acs);
            let swept = tokio::task::spawn_blocking(move || {
                let audit = sweeping.store.sweep_audit(now.unix);
                sweeping.traces.sweep(now.unix).and(audit)
            });
            if let Ok(Err(error)) = swept.await {
                tracing::error!(%error, "cannot remove old traces or audit records");
            }
        }
    }
}

/// What `[store]` and `[traces]` say, in the words of the store.
pub(crate) fn store_config(config: &Config) -> StoreConfig {
    let defaults = StoreConfig::new(config.data_directory.join("store"));
    StoreConfig {
        cache_bytes: config.store.cache_bytes,
        devices_cached_max: config.store.cached_devices_max,
        readings_flush_interval: Duration::from_secs(config.store.readings_flush_seconds),
        traces: SegmentsConfig {
            total_bytes_max: config.traces.bytes_max,
            age_seconds_max: config.traces.age_days_max * 86_400,
            ..defaults.traces.clone()
        },
        ..defaults
    }
}

/// What `[plugins]` says, in the words of the plugin side.
pub fn plugins_config(config: &Config) -> PluginsConfig {
    let settings = &config.plugins;
    let mut plugins = PluginsConfig::new(&config.plugin_directory);
    plugins.cache_directory = Some(config.data_directory.join("compiled-plugins"));
    plugins.poll_interval =
        (settings.poll_seconds > 0).then(|| Duration::from_secs(settings.poll_seconds));
    plugins.limits.memory_bytes_max = settings.memory_bytes_max;
    plugins.limits.call_deadline = Duration::from_millis(settings.call_milliseconds_max);
    plugins
}

/// What plugins remember of devices, in the store.
struct DeviceMemory {
    store: Store,
}

impl PluginMemory for DeviceMemory {
    fn get(&self, plugin: &str, device: &DeviceKey, key: &str) -> Option<Vec<u8>> {
        self.store
            .memory_get(plugin, device, key)
            .unwrap_or_else(|error| {
                tracing::error!(plugin, %device, %error, "cannot read a plugin's memory");
                None
            })
    }

    fn set(
        &self,
        plugin: &str,
        device: &DeviceKey,
        key: &str,
        value: Vec<u8>,
    ) -> Result<(), String> {
        self.store
            .memory_set(plugin, device, key, value)
            .map_err(|error| error.to_string())
    }

    fn remove(&self, plugin: &str, device: &DeviceKey, key: &str) {
        if let Err(error) = self.store.memory_remove(plugin, device, key) {
            tracing::error!(plugin, %device, %error, "cannot remove from a plugin's memory");
        }
    }

    fn keys(&self, plugin: &str, device: &DeviceKey, key: &str) -> (usize, bool) {
        // The store has the quota of keys and refuses what is over it.
        let _ = (plugin, device, key);
        (0, true)
    }
}
