//! `/v1/refusals`: who was refused at the door, and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, Query, Time, limit};
use super::scope::Scope;
use crate::Acs;
use crate::access::Instances;
use crate::door::refusals::{Entry, Refused, Why};

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A client that was refused. The same again is the same item.
#[derive(Serialize, ToSchema)]
struct RefusalView {
    address: String,
    why: Why,
    status: u16,
    reason: String,
    device: Option<String>,
    username: Option<String>,
    path: String,
    user_agent: String,
    first: Time,
    last: Time,
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
            first: Time(entry.first),
            last: Time(entry.last),
            times: entry.times,
        }
    }
}

/// Who was refused at the door.
#[derive(Serialize, ToSchema)]
pub(super) struct RefusalsView {
    instance: String,
    /// How often, by reason, of those that are remembered.
    counts: BTreeMap<String, u64>,
    /// The last ones.
    items: Vec<RefusalView>,
}

/// How many to show.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RefusalsQuery {
    /// So many of the last; 100 if absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Who was refused at the door, and why.
#[utoipa::path(
    get, path = "/refusals", operation_id = "list_refusals",
    params(RefusalsQuery),
    responses((status = 200, description = "The last ones, and how often", body = RefusalsView)), tag = "Devices",
    security(("token" = ["devices:read"]))
)]
pub(super) async fn list(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Query(query): Query<RefusalsQuery>,
) -> Result<Json<RefusalsView>, ApiError> {
    // Who came to the address of no instance concerns whoever has the host.
    let is_of_host = scope.principal.instances() == Instances::All;
    let name = &scope.instance.name;
    let is_seen = |refused: &Refused| match &refused.instance {
        Some(instance) => instance == name,
        None => is_of_host,
    };
    let limit = limit(query.limit)?;
    let entries = acs.refusals.last_where(limit, is_seen);
    let mut counts = BTreeMap::new();
    for entry in acs.refusals.last_where(usize::MAX, is_seen) {
        if let Value::String(why) = json!(entry.refused.why) {
            *counts.entry(why).or_default() += entry.times;
        }
    }
    Ok(Json(RefusalsView {
        instance: name.to_string(),
        counts,
        items: entries.into_iter().map(RefusalView::from).collect(),
    }))
}
