//! All metrics of the host as one text. What each means to an operator: `docs/metrics.md`.

use std::sync::Arc;

use super::{Exposition, process};
use crate::Acs;

impl Acs {
    /// All that is counted, as OpenMetrics.
    pub async fn metrics(self: &Arc<Self>) -> String {
        let acs = Arc::clone(self);
        // The store looks at the disk, the process at /proc.
        let text = tokio::task::spawn_blocking(move || {
            let mut out = Exposition::default();
            acs.tell_sessions(&mut out);
            acs.tell_devices(&mut out);
            acs.tell_wakes(&mut out);
            acs.tell_stun(&mut out);
            acs.tell_xmpp(&mut out);
            acs.tell_plugins(&mut out);
            acs.tell_tasks(&mut out);
            acs.tell_store(&mut out);
            acs.counters.api.tell(&mut out);
            acs.tell_searches(&mut out);
            acs.tell_events(&mut out);
            acs.tell_webhooks(&mut out);
            acs.tell_campaigns(&mut out);
            acs.tell_audit(&mut out);
            acs.tell_backups(&mut out);
            acs.tell_host(&mut out);
            process::tell(&mut out);
            out.finish()
        });
        text.await.unwrap_or_default()
    }

    fn tell_sessions(&self, out: &mut Exposition) {
        let (counters, protocol) = (&self.counters, &self.counters.protocol);
        out.counter(
            "patchbay_sessions_begun",
            "Informs that were answered.",
            counters.sessions_begun.get(),
        );
        let mut ended = out.counters("patchbay_sessions_ended", "Sessions by how they ended.");
        ended.sample(&[("how", "done")], counters.sessions_done.get());
        ended.sample(&[("how", "abandoned")], counters.sessions_abandoned.get());
        out.gauge(
            "patchbay_sessions_open",
            "Sessions under way.",
            self.sessions.count(),
        );
        out.histogram(
            "patchbay_inform_seconds",
            "From an Inform that has come to its answer: what the host takes.",
            &protocol.inform_seconds,
        );
        out.histogram(
            "patchbay_session_seconds",
            "From the Inform to the end of the session.",
            &protocol.session_seconds,
        );
        let mut rpcs = out.counters("patchbay_rpcs", "RPCs sent to devices, by method.");
        for (method, count) in protocol.rpcs.iter() {
            rpcs.sample(&[("method", method)], count.get());
        }
        out.labelled_histograms(
            "patchbay_rpc_seconds",
            "From an RPC to the device's answer, by method.",
            "method",
            &protocol.rpc_seconds,
        );
        let mut faults = out.counters("patchbay_faults", "Faults of devices, by code.");
        for (code, count) in protocol.faults() {
            faults.sample(&[("code", code)], count.get());
        }
        let help = "What devices asked by themselves, by method.";
        let mut requests = out.counters("patchbay_device_requests", help);
        for (method, count) in protocol.requests.iter() {
            requests.sample(&[("method", method)], count.get());
        }
        let help = "Requests of devices that were refused, by reason.";
        let mut refusals = out.counters("patchbay_refusals", help);
        for (why, count) in self.refusals.counts() {
            refusals.sample(&[("reason", why.name())], count);
        }
        out.counter(
            "patchbay_challenges",
            "Informs that were answered by asking for credentials.",
            counters.requests_challenged.get(),
        );
        out.counter(
            "patchbay_turned_away",
            "Connections and requests turned away because there were too many.",
            counters.requests_turned_away.get(),
        );
    }

    fn tell_devices(&self, out: &mut Exposition) {
        let mut devices = out.gauges("patchbay_devices", "Devices by instance.");
        let instances = self.instances.all();
        for instance in &instances {
            let count = self.store.count(&instance.name);
            devices.sample(&[("instance", &instance.name)], count);
        }
        out.counter(
            "patchbay_devices_new",
            "Devices seen for the first time.",
            self.counters.devices_new.get(),
        );
        let help = "Devices by the way that leads to them.";
        let mut modes = out.gauges("patchbay_devices_by_mode", help);
        for (mode, count) in self.store.devices_by_mode() {
            modes.sample(&[("mode", mode.name())], count);
        }
        let help = "Informs in an hour of devices that cannot be woken, by instance.";
        let mut short = out.gauges("patchbay_short_informs_per_hour", help);
        for instance in &instances {
            let load = self.short_inform_load(instance);
            short.sample(&[("instance", &instance.name)], load.informs_per_hour);
        }
    }

    fn tell_wakes(&self, out: &mut Exposition) {
        let tally = &self.wakes.tally;
        let mut wakes = out.counters("patchbay_wakes", "Wake-ups, by how they ended.");
        for (how, count) in [
            ("opened", &tally.opened),
            ("failed", &tally.failed),
            ("refused", &tally.refused),
            ("joined", &tally.joined),
        ] {
            wakes.sample(&[("how", how)], count.get());
        }
        let help = "Tries to wake a device, probes included, by mode and outcome.";
        let mut attempts = out.counters("patchbay_wake_attempts", help);
        for (mode, outcome, count) in tally.attempts() {
            attempts.sample(&[("mode", mode.name()), ("outcome", outcome.name())], count);
        }
        out.labelled_histograms(
            "patchbay_wake_seconds",
            "From a connection request to the session that it opened, by mode.",
            "mode",
            &self.counters.protocol.wake_seconds,
        );
        let (under_way, waiting, calling) = self.wakes.counts();
        let mut now = out.gauges("patchbay_wakes_under_way", "Wake-ups, by where they stand.");
        now.sample(&[("state", "waiting")], waiting);
        now.sample(&[("state", "calling")], calling);
        let listening = under_way.saturating_sub(waiting + calling);
        now.sample(&[("state", "awaiting-session")], listening);
        let mut probes = out.counters("patchbay_wake_probes", "Quiet probes, by result.");
        let opened = tally.probes_opened.get();
        probes.sample(&[("result", "opened")], opened);
        let failed = tally.probes.get().saturating_sub(opened);
        probes.sample(&[("result", "failed")], failed);
        out.gauge(
            "patchbay_wake_probes_planned",
            "Devices whose former way will be tried again.",
            self.probes.count(),
        );
        out.counter(
            "patchbay_connection_requests_blocked",
            "Connection requests not sent because of the address that the device had named.",
            self.counters.connection_requests_blocked.get(),
        );
    }

    fn tell_stun(&self, out: &mut Exposition) {
        let counters = &self.stun.counters;
        let help = "Datagrams at the STUN server, by what came of them.";
        let mut requests = out.counters("patchbay_stun_requests", help);
        for (result, count) in [
            ("answered", &counters.answered),
            ("unauthorized", &counters.unauthorized),
            ("integrity-failed", &counters.integrity_failed),
            ("unknown-attributes", &counters.unknown_attributes),
            ("limited", &counters.limited),
            ("reflection-refused", &counters.reflections_refused),
            ("garbage", &counters.garbage),
        ] {
            requests.sample(&[("result", result)], count.get());
        }
        out.counter(
            "patchbay_stun_keepalives",
            "Binding requests that told where a device is.",
            counters.bindings.get(),
        );
        out.gauge(
            "patchbay_stun_bindings",
            "Devices whose binding is known.",
            self.stun.bindings(),
        );
        out.counter(
            "patchbay_stun_connection_requests",
            "Connection requests sent by UDP, each in its three copies.",
            counters.connection_requests.get(),
        );
    }

    fn tell_xmpp(&self, out: &mut Exposition) {
        let gauge = self.xmpp.as_ref().map(|xmpp| xmpp.gauge());
        let mut up = out.gauges(
            "patchbay_xmpp_up",
            "1: the embedded server runs, or the link to the other one is up. 0: it is not.",
        );
        if let Some(gauge) = &gauge {
            up.sample(&[], u8::from(gauge.is_up));
        }
        let embedded = gauge.as_ref().and_then(|gauge| gauge.embedded.as_ref());
        let help = "XMPP streams: connections, and devices that are logged in.";
        let mut streams = out.gauges("patchbay_xmpp_streams", help);
        if let Some(server) = embedded {
            streams.sample(&[("state", "connected")], server.connections());
            streams.sample(&[("state", "online")], server.online());
        }
        let help = "Events at the embedded XMPP server.";
        let mut events = out.counters("patchbay_xmpp_events", help);
        if let Some(server) = embedded {
            let counters = server.counters();
            for (event, count) in [
                ("login", &counters.logins),
                ("login-refused", &counters.logins_refused),
                ("login-late", &counters.logins_late),
                ("stream-refused", &counters.streams_refused),
                ("stanza-refused", &counters.stanzas_refused),
                ("turned-away", &counters.turned_away),
            ] {
                events.sample(&[("event", event)], count.get());
            }
        }
    }

    fn tell_plugins(&self, out: &mut Exposition) {
        let statuses = self.plugins.statuses();
        let mut up = out.gauges(
            "patchbay_plugin_up",
            "1: the file as it is runs. 0: it was refused or is disabled.",
        );
        for plugin in &statuses {
            let running = u8::from(plugin.state.is_running());
            up.sample(&[("plugin", &plugin.name)], running);
        }
        type Read = fn(&crate::plugins::CountersSnapshot) -> u64;
        let counts: [(&str, &str, Read); 4] = [
            (
                "patchbay_plugin_calls",
                "Hooks, decisions and flows, by plugin, since its version was loaded.",
                |counters| counters.calls,
            ),
            (
                "patchbay_plugin_errors",
                "Calls that failed in any way, errors that flows returned included.",
                |counters| counters.errors,
            ),
            ("patchbay_plugin_traps", "Calls that crashed.", |counters| {
                counters.traps
            }),
            (
                "patchbay_plugin_timeouts",
                "Calls that computed or waited for too long.",
                |counters| counters.timeouts,
            ),
        ];
        for (name, help, read) in counts {
            let mut family = out.counters(name, help);
            for plugin in &statuses {
                family.sample(&[("plugin", &plugin.name)], read(&plugin.counters));
            }
        }
        let mut seconds = out.counters("patchbay_plugin_seconds", "Time computed in a plugin.");
        for plugin in &statuses {
            let spent = plugin.counters.time_total_us as f64 / 1e6;
            seconds.sample(&[("plugin", &plugin.name)], spent);
        }
        let help = "Instances of a plugin, in use and waiting.";
        let mut instances = out.gauges("patchbay_plugin_instances", help);
        for plugin in &statuses {
            let counters = &plugin.counters;
            for (state, count) in [("in-use", counters.in_flight), ("warm", counters.warm)] {
                instances.sample(&[("plugin", &plugin.name), ("state", state)], count);
            }
        }
        let help = "How often a plugin was loaded since the host started.";
        let mut loads = out.counters("patchbay_plugin_loads", help);
        for plugin in &statuses {
            loads.sample(&[("plugin", &plugin.name)], plugin.generation);
        }
        let help = "How often a plugin was put back to its version before.";
        let mut rollbacks = out.counters("patchbay_plugin_rollbacks", help);
        for plugin in &statuses {
            rollbacks.sample(&[("plugin", &plugin.name)], plugin.rollbacks);
        }
    }

    fn tell_tasks(&self, out: &mut Exposition) {
        let mut tasks = out.gauges("patchbay_tasks", "Unfinished tasks, by state.");
        for (state, count) in self.store.unfinished_tasks() {
            let state = serde_json::json!(state);
            tasks.sample(&[("state", state.as_str().unwrap_or_default())], count);
        }
    }

    fn tell_store(&self, out: &mut Exposition) {
        let stats = self.store.stats();
        out.gauge(
            "patchbay_store_up",
            "1: the store takes writes. 0: a write has failed, and it takes none any more.",
            u8::from(self.store.takes_writes()),
        );
        let mut bytes = out.gauges("patchbay_store_bytes", "Bytes on disk.");
        bytes.sample(&[("of", "records")], stats.disk_bytes);
        bytes.sample(&[("of", "audit-and-traces")], stats.segment_bytes);
        out.counter(
            "patchbay_store_batches",
            "Batches that were written.",
            stats.batches,
        );
        out.histogram(
            "patchbay_store_sync_seconds",
            "How long the disk took to make a batch durable.",
            self.store.sync_seconds(),
        );
        out.gauge(
            "patchbay_store_commits_waiting",
            "Writes that wait for the thread that commits.",
            stats.commits_waiting,
        );
        let mut devices = out.gauges("patchbay_store_devices", "Devices by where they are.");
        devices.sample(&[("state", "cached")], stats.devices_cached);
        devices.sample(&[("state", "to-be-written")], stats.devices_dirty);
        out.counter(
            "patchbay_store_write_behind_rounds",
            "Rounds of write-behind that wrote something.",
            stats.write_behind_rounds,
        );
        out.counter(
            "patchbay_store_readings_refused",
            "Summaries that could not be written because they were over their limit.",
            stats.readings_refused,
        );
        let traces = self.traces.counters();
        let mut sessions = out.counters("patchbay_traces", "Traces of sessions.");
        sessions.sample(&[("result", "written")], traces.written.get());
        sessions.sample(&[("result", "lost")], traces.lost.get());
    }

    fn tell_host(&self, out: &mut Exposition) {
        out.info(
            "patchbay_build",
            "Which version runs.",
            &[("version", env!("CARGO_PKG_VERSION"))],
        );
        out.gauge(
            "patchbay_ready",
            "1: /health/ready says so. 0: it does not.",
            u8::from(self.readiness().ready),
        );
    }
}
