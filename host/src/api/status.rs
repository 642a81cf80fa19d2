//! `/v1/status`: how the host is doing.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::scope::Scope;
use crate::Acs;
use crate::nat::short_inform::Load;
use crate::store::Stats;

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new().routes(routes!(status))
}

/// How the host is doing. Counters grow since it started.
#[derive(Serialize, ToSchema)]
pub(super) struct StatusView {
    /// Of the host.
    #[schema(value_type = String)]
    version: &'static str,
    instance: String,
    devices: usize,
    sessions_open: usize,
    /// By name.
    #[schema(value_type = BTreeMap<String, u64>)]
    counters: Value,
    short_inform: Load,
    /// What the operator should consider.
    advice: Vec<String>,
    stun: StunStatusView,
    /// Null: it is off.
    #[schema(value_type = Option<BTreeMap<String, Value>>)]
    xmpp: Option<Value>,
    wakes: WakesStatusView,
    /// Spent in plugins.
    plugins_milliseconds: u64,
    traces: TracesStatusView,
    store: Stats,
}

/// The STUN server.
#[derive(Serialize, ToSchema)]
struct StunStatusView {
    serving: bool,
    /// By name.
    #[schema(value_type = BTreeMap<String, u64>)]
    counters: Value,
}

/// Wake-ups.
#[derive(Serialize, ToSchema)]
struct WakesStatusView {
    under_way: usize,
    /// Of these wait for their turn.
    waiting: usize,
    /// Of these are being called.
    calling: usize,
    probes_planned: usize,
    /// By name; `outcomes` by mode and outcome.
    #[schema(value_type = BTreeMap<String, Value>)]
    counters: Value,
}

/// Sessions that are kept.
#[derive(Serialize, ToSchema)]
struct TracesStatusView {
    sessions: usize,
    written: u64,
    /// Not kept because writing could not keep up.
    lost: u64,
}

/// How the host is doing.
#[utoipa::path(
    get, path = "/status", operation_id = "get_status", tag = "Host",
    responses((status = 200, description = "How the host is doing", body = StatusView)),
    security(("token" = ["status:read"]))
)]
pub(super) async fn status(State(acs): State<Arc<Acs>>, scope: Scope) -> Json<StatusView> {
    let (under_way, waiting, calling) = acs.wakes.counts();
    let counters = acs.traces.counters();
    Json(StatusView {
        version: env!("CARGO_PKG_VERSION"),
        instance: scope.instance.name.to_string(),
        devices: acs.store.count(&scope.instance.name),
        sessions_open: acs.sessions.count(),
        counters: json!(&acs.counters),
        short_inform: acs.short_inform_load(&scope.instance),
        advice: Vec::from_iter(acs.short_inform_advice(&scope.instance)),
        stun: StunStatusView {
            serving: acs.stun.is_serving(),
            counters: json!(&acs.stun.counters),
        },
        xmpp: acs.xmpp.as_ref().map(|xmpp| xmpp.status()),
        wakes: WakesStatusView {
            under_way,
            waiting,
            calling,
            probes_planned: acs.probes.count(),
            counters: json!(&acs.wakes.tally),
        },
        plugins_milliseconds: u64::try_from(acs.plugins.time_spent().as_millis())
            .unwrap_or(u64::MAX),
        traces: TracesStatusView {
            sessions: acs.traces.count(),
            written: counters.written.get(),
            lost: counters.lost.get(),
        },
        store: acs.store.stats(),
    })
}
