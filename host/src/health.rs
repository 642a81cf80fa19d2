//! Whether the host can do its work: `/health/live` and `/health/ready`, for whatever restarts it or sends it
//! connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use parking_lot::Mutex;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Acs;

/// What the host knows of its own health.
#[derive(Debug, Default)]
pub struct Health {
    /// What serves, and whether it still does.
    serving: Mutex<Vec<Serving>>,
    stopping: AtomicBool,
}

#[derive(Debug)]
struct Serving {
    what: String,
    ended: Arc<AtomicBool>,
}

/// The answer of `/health/ready`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether devices and people are served.
    pub ready: bool,
    /// One of each: what must hold for that.
    pub checks: Vec<Check>,
}

/// One thing that must hold.
#[derive(Debug, Serialize, ToSchema)]
pub struct Check {
    /// `running`, `listeners`, `store`, `plugins`, `backup`.
    #[schema(value_type = String)]
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// What is wrong, or worth knowing though nothing is.
    pub text: Option<String>,
}

impl Health {
    /// Runs what serves; the host is not ready if it ends before the host does.
    pub fn watch<F: Future>(
        &self,
        what: String,
        serve: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        let ended = Arc::new(AtomicBool::new(false));
        let serving = Serving {
            what,
            ended: Arc::clone(&ended),
        };
        self.serving.lock().push(serving);
        async move {
            // Also if it panics.
            let _ended = Ended(ended);
            serve.await
        }
    }

    /// From now on the host is not ready.
    pub fn stops(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn listeners(&self) -> Check {
        let serving = self.serving.lock();
        let ended = serving.iter().filter(|s| s.ended.load(Ordering::Relaxed));
        let ended: Vec<&str> = ended.map(|serving| serving.what.as_str()).collect();
        let text = match (serving.is_empty(), ended.is_empty()) {
            (true, _) => Some("nothing is served yet".to_owned()),
            (false, true) => None,
            (false, false) => Some(format!("ended: {}", ended.join(", "))),
        };
        Check {
            name: "listeners",
            ok: text.is_none(),
            text,
        }
    }
}

struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Acs {
    /// Whether the host can do its work, and what stands against it.
    pub fn readiness(&self) -> Readiness {
        let stopping = self.health.is_stopping();
        let store = (!self.store.takes_writes()).then(|| match self.store.failed() {
            Some(error) => error.to_string(),
            None => "the store is closed".to_owned(),
        });
        let checks = vec![
            Check {
                name: "running",
                ok: !stopping,
                text: stopping.then(|| "the host is about to stop".to_owned()),
            },
            self.health.listeners(),
            Check {
                name: "store",
                ok: store.is_none(),
                text: store,
            },
            self.plugins_loaded(),
            self.last_backup(),
        ];
        Readiness {
            ready: checks.iter().all(|check| check.ok),
            checks,
        }
    }

    /// The plugins are loaded before anything is served. One that was refused takes nothing from the others, and a
    /// host beside this one has the same file: it is said, and does not make the host unready.
    fn plugins_loaded(&self) -> Check {
        let statuses = self.plugins.statuses();
        let refused = statuses.iter().filter(|status| status.state.is_refused());
        let refused: Vec<String> = refused
            .map(|status| {
                let why = status.last_error.as_deref().unwrap_or_default();
                format!("{} was refused: {why}", status.file)
            })
            .collect();
        Check {
            name: "plugins",
            ok: true,
            text: (!refused.is_empty()).then(|| refused.join("; ")),
        }
    }
}

impl Acs {
    /// A host without backups does its work all the same.
    fn last_backup(&self) -> Check {
        let failure = self.backups.last().failure;
        Check {
            name: "backup",
            ok: true,
            text: failure.map(|(at, why)| {
                format!("the last backup failed, at {}: {why}", crate::api::time(at))
            }),
        }
    }
}

/// `/health/live` and `/health/ready`: open to everybody.
pub fn router() -> Router<Arc<Acs>> {
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
}

/// That the process answers is all there is to say.
pub async fn live() -> Json<Live> {
    Json(Live { live: true })
}

/// The answer of `/health/live`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Live {
    /// Always.
    pub live: bool,
}

/// [`Acs::readiness`]; 503 if the host is not ready.
pub async fn ready(State(acs): State<Arc<Acs>>) -> Response {
    let readiness = acs.readiness();
    let status = match readiness.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(readiness)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_ends_too_soon_is_named() {
        let health = Health::default();
        assert!(!health.listeners().ok, "nothing is served yet");
        let devices = health.watch("devices".into(), std::future::pending::<()>());
        let api = health.watch("API".into(), std::future::ready(()));
        assert!(health.listeners().ok);
        api.await;
        let check = health.listeners();
        assert_eq!(
            (check.ok, check.text.as_deref()),
            (false, Some("ended: API"))
        );
        drop(devices);
    }
}
