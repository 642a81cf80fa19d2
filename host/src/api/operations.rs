//! What runs the host asks: `/metrics`, `/health/live`, `/health/ready` (at the root, too, where such systems look for
//! them), and how much is logged.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Uri;
use http::uri::PathAndQuery;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::PREFIX;
use super::audit::Trail;
use super::error::{ApiError, Body};
use super::scope::Scope;
use crate::{Acs, health, metrics, telemetry};

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(get_metrics))
        .routes(routes!(live))
        .routes(routes!(ready))
        .routes(routes!(log, change_log))
}

/// What is at the root, too.
const AT_THE_ROOT: [&str; 3] = ["/metrics", "/health/live", "/health/ready"];

/// Takes a path at the root to where it is routed.
pub(super) async fn at_the_root(mut request: Request, next: Next) -> Response {
    if AT_THE_ROOT.contains(&request.uri().path()) {
        let path = format!("{PREFIX}{}", request.uri().path());
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = path.parse::<PathAndQuery>().ok();
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    next.run(request).await
}

/// All that is counted, as OpenMetrics: for Prometheus. Also at `/metrics`.
#[utoipa::path(
    get, path = "/metrics", operation_id = "get_metrics", tag = "Host",
    responses((
        status = 200, description = "All metrics", body = String,
        content_type = "application/openmetrics-text"
    )),
    security(("token" = ["status:read"]))
)]
async fn get_metrics(state: State<Arc<Acs>>, _: Scope) -> Response {
    use axum::response::IntoResponse;
    metrics::answer(state).await.into_response()
}

/// Whether the process answers. Also at `/health/live`.
#[utoipa::path(
    get, path = "/health/live", operation_id = "get_liveness", tag = "Host",
    responses((status = 200, description = "It does", body = health::Live)),
    security(())
)]
async fn live() -> Json<health::Live> {
    health::live().await
}

/// Whether devices and people are served, and what stands against it. Also at `/health/ready`.
#[utoipa::path(
    get, path = "/health/ready", operation_id = "get_readiness", tag = "Host",
    responses(
        (status = 200, description = "They are", body = health::Readiness),
        (status = 503, description = "They are not", body = health::Readiness),
    ),
    security(())
)]
async fn ready(state: State<Arc<Acs>>) -> Response {
    health::ready(state).await
}

/// How much is logged.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Log {
    /// Which lines there are: a level (`error`, `warn`, `info`, `debug`, `trace`), `target=level`, or several with
    /// commas between.
    #[schema(example = "info,patchbay::door=debug")]
    filter: String,
}

/// How much is logged.
#[utoipa::path(
    get, path = "/status/log", operation_id = "get_log_filter", tag = "Host",
    responses(
        (status = 200, description = "The filter in force", body = Log),
        (status = 409, description = "The process has a log that is not Patchbay's"),
    ),
    security(("token" = ["status:read"]))
)]
async fn log(_: Scope) -> Result<Json<Log>, ApiError> {
    let filter = telemetry::current_filter();
    let filter = filter.ok_or_else(|| ApiError::conflict("this process has no log of its own"))?;
    Ok(Json(Log { filter }))
}

/// Changes how much is logged, until the host ends.
#[utoipa::path(
    put, path = "/status/log", operation_id = "set_log_filter", tag = "Host",
    request_body = Log,
    responses(
        (status = 200, description = "The filter in force", body = Log),
        (status = 409, description = "The process has a log that is not Patchbay's"),
    ),
    security(("token" = ["status:write"]))
)]
async fn change_log(
    scope: Scope,
    trail: Trail,
    Body(log): Body<Log>,
) -> Result<Json<Log>, ApiError> {
    telemetry::filter(&log.filter).map_err(|got| {
        ApiError::bad(format!(
            "filter: expected a level, target=level, or several with commas between, got {got}"
        ))
    })?;
    let before = telemetry::current_filter().map(|filter| Log { filter });
    telemetry::change_filter(&log.filter).map_err(ApiError::conflict)?;
    trail.between(before, Some(&log));
    tracing::info!(
        filter = log.filter,
        by = &*scope.principal.name,
        "the log's filter was changed"
    );
    Ok(Json(log))
}
