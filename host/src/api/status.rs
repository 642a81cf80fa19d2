//! `/v1/status`: how the host is doing.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::Acs;

pub(super) async fn status(State(acs): State<Arc<Acs>>) -> Json<Value> {
    let (under_way, waiting, calling) = acs.wakes.counts();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "instance": &*acs.instance.name,
        "devices": acs.store.count(&acs.instance.name),
        "sessions_open": acs.sessions.count(),
        "counters": &acs.counters,
        "short_inform": acs.short_inform_load(&acs.instance),
        "advice": Vec::from_iter(acs.short_inform_advice(&acs.instance)),
        "stun": { "serving": acs.stun.is_serving(), "counters": &acs.stun.counters },
        "xmpp": acs.xmpp.as_ref().map(|xmpp| xmpp.status()),
        "wakes": {
            "under_way": under_way, "waiting": waiting, "calling": calling,
            "probes_planned": acs.probes.count(), "counters": &acs.wakes.tally,
        },
        "plugins_milliseconds": acs.plugins.time_spent().as_millis(),
        "traces": {
            "sessions": acs.traces.count(),
            "written": &acs.traces.counters().written,
            "lost": &acs.traces.counters().lost,
        },
        "store": acs.store.stats(),
    }))
}
