//! `/v1/refusals`: who was refused at the door, and why.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::error::{ApiError, Query, limit, time};
use crate::Acs;
use crate::door::refusals::{Entry, Why};

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

pub(super) async fn list(
    State(acs): State<Arc<Acs>>,
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
        "instance": &*acs.instance.name, "counts": counts, "items": items,
    })))
}
