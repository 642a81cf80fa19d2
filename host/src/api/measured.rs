//! Each request is counted by its route, and one that takes long says where the time went.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::conversation::times::rounded;
use crate::{Acs, spent};

/// Around all that is routed.
pub(super) async fn measure(State(acs): State<Arc<Acs>>, request: Request, next: Next) -> Response {
    let began = acs.clock.now().instant;
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let run = async { (next.run(request).await, spent::so_far()) };
    let (response, spent) = spent::scope(run).await;
    let took = acs.clock.now().instant.saturating_duration_since(began);
    let route = route.as_ref().map(MatchedPath::as_str);
    let status = response.status();
    // Who waits for a device has asked for that.
    let own = took.saturating_sub(spent.devices);
    acs.counters.api.answered(&method, route, status, own);
    let slow = acs.config.log.slow_request_seconds;
    if slow > 0.0 && own.as_secs_f64() >= slow {
        let seconds = |of: Duration| rounded(of.as_secs_f64());
        tracing::warn!(
            route,
            status = status.as_u16(),
            seconds = seconds(took),
            device_seconds = seconds(spent.devices),
            store_seconds = seconds(spent.store),
            plugin_seconds = seconds(spent.plugins),
            own_seconds = seconds(own.saturating_sub(spent.store + spent.plugins)),
            "a slow request"
        );
    }
    response
}
