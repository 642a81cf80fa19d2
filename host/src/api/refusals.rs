//! `/v1/refusals`: who was refused at the door, and why.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, Query, limit, time};
use super::scope::Scope;
use crate::Acs;
use crate::door::refusals::{Entry, Why};

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A client that was refused. The same again is the same item.
#[derive(Serialize)]
struct RefusalView {
    address: String,
    why: Why,
    status: u16,
    reason: String,
    device: Option<String>,
    username: Option<String>,
    path: String,
    user_agent: String,
    first: String,
    last: String,
    times: u64,
}

impl From<Entry> for RefusalView {
    fn from(entry: Entry) -> RefusalView {
        let refused = entry.refused;
        RefusalView {
            address: refused.address.to_string(),
            why: refused.why,
            status: refused.status,
            reason: refused.reason,
            device: refused.device,
            username: refused.username,
            path: refused.path,
            user_agent: refused.user_agent,
            first: time(entry.first),
            last: time(entry.last),
            times: entry.times,
        }
    }
}

/// How many to show.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefusalsQuery {
    limit: Option<usize>,
}

#[utoipa::path(
    get, path = "/refusals", operation_id = "list_refusals", tag = "Devices",
    security(("token" = ["devices:read"]))
)]
pub(super) async fn list(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Query(query): Query<RefusalsQuery>,
) -> Result<Json<Value>, ApiError> {
    let entries = acs.refusals.last(limit(query.limit)?);
    let items: Vec<RefusalView> = entries.into_iter().map(RefusalView::from).collect();
    let mut counts = Map::new();
    for (why, count) in acs.refusals.counts().filter(|(_, count)| *count > 0) {
        if let Value::String(name) = json!(why) {
            counts.insert(name, count.into());
        }
    }
    Ok(Json(json!({
        "instance": &*scope.instance.name, "counts": counts, "items": items,
    })))
}
