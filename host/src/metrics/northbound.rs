//! What is counted of the systems around: what they ask, what they are told, what is done for them.

use super::Exposition;
use crate::Acs;
use crate::events::{Doing, Hook};
use crate::work::campaign::{CampaignState, DeviceState};

/// What is told of a webhook's numbers.
type Read = fn(&Doing) -> u64;

impl Acs {
    pub(super) fn tell_searches(&self, out: &mut Exposition) {
        out.labelled_histograms(
            "patchbay_search_seconds",
            "Searches of devices, by what they looked at; waiting for their turn included.",
            "looked_at",
            &self.searches.seconds,
        );
        out.gauge(
            "patchbay_searches_waiting",
            "Searches of parameters that wait for their turn.",
            self.searches.waiting(),
        );
        out.counter(
            "patchbay_search_devices_read",
            "Devices whose parameters were looked at by searches.",
            self.store.trees_searched(),
        );
    }

    pub(super) fn tell_events(&self, out: &mut Exposition) {
        let mut emitted = out.counters("patchbay_events", "Events, by what they are about.");
        for (about, count) in self.events.emitted.iter() {
            emitted.sample(&[("about", about)], count.get());
        }
        out.counter(
            "patchbay_events_lost",
            "Events that a reader was too slow for: a stream, the webhooks, the audit log.",
            self.events.lost.get(),
        );
        out.gauge(
            "patchbay_event_streams",
            "Readers of the stream of events.",
            self.events.streams.count(),
        );
    }

    pub(super) fn tell_webhooks(&self, out: &mut Exposition) {
        let hooks = self.webhooks.all();
        let hooks: Vec<(&Hook, Doing)> = hooks
            .iter()
            .map(|hook| (&**hook, hook.doing.lock().clone()))
            .collect();
        let help = "Requests to webhooks, by result.";
        let mut requests = out.counters("patchbay_webhook_requests", help);
        for (hook, doing) in &hooks {
            let (instance, name) = hook.names();
            for (result, count) in [("delivered", doing.delivered), ("failed", doing.failed)] {
                let labels = [
                    ("instance", instance),
                    ("webhook", name),
                    ("result", result),
                ];
                requests.sample(&labels, count);
            }
        }
        let help = "Events that there was no room for in the queue of a webhook.";
        let mut dropped = out.counters("patchbay_webhook_dropped", help);
        for (hook, doing) in &hooks {
            dropped.sample(&labels(hook), doing.dropped);
        }
        let gauges: [(&str, &str, Read); 2] = [
            (
                "patchbay_webhook_waiting",
                "Events in the outbox, by webhook.",
                |doing| doing.waiting,
            ),
            (
                "patchbay_webhook_dead_letters",
                "Events that were given up and are kept, by webhook.",
                |doing| doing.dead as u64,
            ),
        ];
        for (name, help, read) in gauges {
            let mut family = out.gauges(name, help);
            for (hook, doing) in &hooks {
                family.sample(&labels(hook), read(doing));
            }
        }
        let now = self.clock.unix();
        let help = "Since the event happened that has waited longest, by webhook; 0: none waits.";
        let mut oldest = out.gauges("patchbay_webhook_oldest_seconds", help);
        for (hook, _) in &hooks {
            // One that cannot be read is in the log: its webhook reads it, too.
            let at = hook.oldest(&self.store).unwrap_or_default();
            oldest.sample(&labels(hook), at.map_or(0, |at| (now - at).max(0)));
        }
    }

    pub(super) fn tell_campaigns(&self, out: &mut Exposition) {
        let census = match self.campaign_census(self.clock.unix()) {
            Ok(census) => census,
            // Nothing is better than a wrong number.
            Err(error) => return tracing::error!(%error, "cannot count the campaigns"),
        };
        let name = |state: serde_json::Value| state.as_str().unwrap_or_default().to_owned();
        let mut campaigns = out.gauges("patchbay_campaigns", "Campaigns, by state.");
        for state in CampaignState::ALL {
            let label = name(serde_json::json!(state));
            campaigns.sample(&[("state", &label)], census.campaigns(state));
        }
        let help = "Devices of the campaigns that are under way, by state.";
        let mut devices = out.gauges("patchbay_campaign_devices", help);
        for state in DeviceState::ALL {
            let label = name(serde_json::json!(state));
            devices.sample(&[("state", &label)], census.devices.of(state));
        }
    }

    pub(super) fn tell_audit(&self, out: &mut Exposition) {
        out.counter(
            "patchbay_audit_records",
            "Records that were written to the audit log.",
            self.store.audit_written(),
        );
    }

    pub(super) fn tell_backups(&self, out: &mut Exposition) {
        let help = "Backups since the host started, by result.";
        let mut backups = out.counters("patchbay_backups", help);
        backups.sample(&[("result", "made")], self.backups.made.get());
        backups.sample(&[("result", "failed")], self.backups.failed.get());
        out.gauge(
            "patchbay_backup_last_seconds",
            "How long the last backup took that was tried; 0: none was since the host started.",
            self.backups.last().took.as_secs_f64(),
        );
        let last = self.kept_backups().into_iter().next();
        let age = last
            .as_ref()
            .map(|last| (self.clock.unix() - last.made).max(0));
        out.gauge(
            "patchbay_backup_age_seconds",
            "Since the last backup below the data directory was made; -1: there is none.",
            age.unwrap_or(-1),
        );
        out.gauge(
            "patchbay_backup_made_timestamp_seconds",
            "When the last backup below the data directory was made, since the epoch; 0: there is none.",
            last.as_ref().map_or(0, |last| last.made),
        );
        out.gauge(
            "patchbay_backup_bytes",
            "Bytes of the last backup below the data directory.",
            last.map_or(0, |last| last.bytes),
        );
    }
}

fn labels(hook: &Hook) -> [(&'static str, &str); 2] {
    let (instance, name) = hook.names();
    [("instance", instance), ("webhook", name)]
}
