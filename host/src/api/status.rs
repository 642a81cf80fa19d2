//! `/v1/status`: how the host is doing.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::scope::Scope;
use crate::Acs;

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new().routes(routes!(status))
}

#[utoipa::path(
    get, path = "/status", operation_id = "get_status", tag = "Host",
    security(("token" = ["status:read"]))
)]
pub(super) async fn status(State(acs): State<Arc<Acs>>, scope: Scope) -> Json<Value> {
    let (under_way, waiting, calling) = acs.wakes.counts();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "instance": &*scope.instance.name,
        "devices": acs.store.count(&scope.instance.name),
        "sessions_open": acs.sessions.count(),
        "counters": &acs.counters,
        "short_inform": acs.short_inform_load(),
        "advice": Vec::from_iter(acs.short_inform_advice()),
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
