//! THE NORTHBOUND INTERFACE: JSON over HTTP for the operator's other systems.
//!
//! Times are RFC 3339 texts, lists come in pages (`items`, and `next` to be given back as
//! `after`), errors are `{"error": {"code", "message"}}`. Every object names its instance.

mod backups;
mod credentials;
mod devices;
mod error;
mod files;
mod leases;
mod links;
mod models;
mod plugins;
mod reachability;
mod refusals;
mod sessions;
mod status;
mod tasks;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use http::header;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::Acs;
use error::ApiError;
pub(crate) use error::time;

/// Bytes of a request's body.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Items of a page if the request names no number, and at most.
const PAGE: (usize, usize) = (100, 1_000);

/// Serves the API on one listener until `shutdown`.
pub async fn serve(acs: Arc<Acs>, listener: TcpListener, mut shutdown: watch::Receiver<bool>) {
    let stop = async move {
        let _ = shutdown.wait_for(|stop| *stop).await;
    };
    let served = axum::serve(listener, router(acs))
        .with_graceful_shutdown(stop)
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the API ended");
    }
}

/// All routes, behind the token.
pub fn router(acs: Arc<Acs>) -> Router {
    Router::new()
        .route("/v1/status", get(status::status))
        .route("/v1/links", get(links::links))
        .route("/v1/snippets", get(links::list))
        .route("/v1/snippets/{kind}", get(links::one))
        .route("/v1/backups", post(backups::create))
        .route("/v1/devices", get(devices::list))
        .route(
            "/v1/devices/{id}",
            get(devices::one).delete(devices::forget),
        )
        .route(
            "/v1/devices/{id}/faults",
            get(devices::faults).delete(devices::clear_faults),
        )
        .route(
            "/v1/devices/{id}/tags/{tag}",
            put(devices::tag).delete(devices::untag),
        )
        .route("/v1/devices/{id}/sessions", get(sessions::of_device))
        .route(
            "/v1/devices/{id}/sessions/export",
            get(sessions::export_last),
        )
        .route("/v1/devices/{id}/trace", put(sessions::keep))
        .route(
            "/v1/devices/{id}/credentials",
            get(credentials::one)
                .put(credentials::expect)
                .delete(credentials::forget),
        )
        .route("/v1/devices/{id}/wake", post(devices::wake))
        .route(
            "/v1/devices/{id}/lease",
            post(leases::lease).delete(leases::release),
        )
        .route(
            "/v1/devices/{id}/tasks",
            get(tasks::of_device).post(tasks::create),
        )
        .route("/v1/sessions/{id}", get(sessions::one))
        .route("/v1/sessions/{id}/export", get(sessions::export))
        .route("/v1/tasks", get(tasks::list))
        .route("/v1/tasks/{id}", get(tasks::one))
        .route("/v1/tasks/{id}/cancel", post(tasks::cancel))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{id}", delete(models::forget))
        .route("/v1/refusals", get(refusals::list))
        .route(
            "/v1/files",
            get(files::list).post(files::create).put(files::create),
        )
        .route(
            "/v1/files/{id}",
            get(files::one).patch(files::change).delete(files::remove),
        )
        .route("/v1/files/{id}/content", get(files::content))
        .route("/v1/plugins", get(plugins::list))
        .route("/v1/plugins/reload", post(plugins::reload))
        .route("/v1/plugins/{name}", get(plugins::one))
        .route("/v1/plugins/{name}/rollback", post(plugins::rollback))
        .route(
            "/v1/{*rest}",
            delete(unknown).get(unknown).post(unknown).put(unknown),
        )
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(&acs), audit))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&acs),
            authenticate,
        ))
        .with_state(acs)
}

async fn unknown(request: Request) -> ApiError {
    ApiError::not_found(format!("there is nothing at {}", request.uri().path()))
}

async fn wrong_method(request: Request) -> ApiError {
    ApiError::method(format!(
        "{} is not for {}",
        request.method(),
        request.uri().path()
    ))
}

/// Nothing is reachable without the token.
async fn authenticate(State(acs): State<Arc<Acs>>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split_once(' '));
    let allowed = match (given, acs.config.api.token.as_deref()) {
        (Some((scheme, given)), Some(token)) => {
            scheme.eq_ignore_ascii_case("bearer")
                && bool::from(given.trim().as_bytes().ct_eq(token.as_bytes()))
        }
        _ => false,
    };
    if allowed {
        return next.run(request).await;
    }
    ApiError::unauthorized().into_response()
}

/// Every request that changes something goes to the audit log, with its result, before
/// the caller hears of it.
async fn audit(State(acs): State<Arc<Acs>>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let (method, path) = (
        request.method().to_string(),
        request.uri().path().to_owned(),
    );
    let response = next.run(request).await;
    let at = acs.clock.unix();
    let record = serde_json::json!({
        "at": error::time(at), "actor": "api", "method": method, "path": path,
        "status": response.status().as_u16(),
    });
    match acs.store.audit(at, record.to_string().as_bytes()).await {
        Ok(_) => response,
        Err(error) => {
            tracing::error!(%error, method, path, "cannot write the audit log");
            ApiError::internal(format!(
                "done, but the audit log cannot be written: {error}"
            ))
            .into_response()
        }
    }
}
