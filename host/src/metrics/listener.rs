//! `/metrics` and `/health/…` at an address of their own, without a token: for those who scrape, on a network that
//! only they reach.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::CONTENT_TYPE;
use crate::{Acs, health};

/// Serves one listener until `shutdown`.
pub async fn serve(acs: Arc<Acs>, listener: TcpListener, mut shutdown: watch::Receiver<bool>) {
    let router = Router::new()
        .route("/metrics", get(answer))
        .merge(health::router())
        .with_state(acs);
    let stop = async move {
        let _ = shutdown.wait_for(|stop| *stop).await;
    };
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(stop)
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the listener for metrics ended");
    }
}

/// All that is counted.
pub async fn answer(State(acs): State<Arc<Acs>>) -> impl IntoResponse {
    let text = acs.metrics().await;
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text)
}
