//! THE NORTHBOUND INTERFACE: JSON over HTTP for the operator's other systems.
//!
//! Times are RFC 3339 texts, lists come in pages (`items`, and `next` to be given back as
//! `after`), errors are `{"error": {"code", "message"}}`. Every object names its instance. What a route
//! takes, gives and needs is in the OpenAPI text, which is made of the types here.

mod error;
mod measured;
mod openapi;
mod request_id;
mod scope;

mod audit;
mod backups;
mod campaigns;
mod contacts;
mod credentials;
mod devices;
mod events;
mod faults;
mod files;
mod imports;
mod instances;
mod leases;
mod links;
mod login;
mod models;
mod notes;
mod operations;
mod plugins;
mod projection;
mod reachability;
mod refusals;
mod roles;
mod search;
mod sessions;
mod status;
mod task_view;
mod tasks;
mod tokens;
mod users;
mod webhooks;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use http::header;
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::sync::watch;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use crate::Acs;
use crate::access::{Instances, Refusal, Resource};
use error::ApiError;
pub(crate) use error::time;
use openapi::{Needed, Needs, Untold};
use scope::{Scope, WantedInstance};

/// Bytes of a request's body.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Items of a page if the request names no number, and at most.
const PAGE: (usize, usize) = (100, 1_000);
/// How long a client may leave what it was sent unread.
const UNREAD_MAX: Duration = Duration::from_secs(60);
/// Where the API is.
const PREFIX: &str = "/v1";
/// Where its text is.
const TEXT: &str = "/v1/openapi.json";
/// Where its page is.
const PAGE_OF_TEXT: &str = "/docs";

/// Serves the API on one listener until `shutdown`.
pub async fn serve(acs: Arc<Acs>, listener: TcpListener, mut shutdown: watch::Receiver<bool>) {
    let stop = async move {
        let _ = shutdown.wait_for(|stop| *stop).await;
    };
    let service = router(acs).into_make_service_with_connect_info::<SocketAddr>();
    // Who reads a stream of events and does not go on is gone.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = SockRef::from(&*connection).set_tcp_user_timeout(Some(UNREAD_MAX)) {
            tracing::debug!(%error, "a connection to the API without a time limit");
        }
    });
    let served = axum::serve(listener, service)
        .with_graceful_shutdown(stop)
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the API ended");
    }
}

/// What is routed, with what it says of itself.
fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::with_openapi(openapi::document())
        .merge(status::routes())
        .merge(operations::routes())
        .merge(instances::routes())
        .merge(links::routes())
        .merge(backups::routes())
        .merge(campaigns::routes())
        .merge(devices::routes())
        .merge(search::routes())
        .merge(imports::routes())
        .merge(credentials::routes())
        .merge(faults::routes())
        .merge(notes::routes())
        .merge(leases::routes())
        .merge(contacts::routes())
        .merge(sessions::routes())
        .merge(tasks::routes())
        .merge(models::routes())
        .merge(refusals::routes())
        .merge(files::routes())
        .merge(plugins::routes())
        .merge(audit::routes())
        .merge(events::routes())
        .merge(webhooks::routes())
        .merge(login::routes())
        .merge(users::routes())
        .merge(roles::routes())
        .merge(tokens::routes())
}

/// The OpenAPI text.
pub fn openapi() -> OpenApi {
    openapi::with_shared_answers(routes().into_openapi())
}

/// All routes, behind whoever may use them, and the OpenAPI text with its page, for everybody.
pub fn router(acs: Arc<Acs>) -> Router {
    let (routes, openapi) = routes().split_for_parts();
    let guard = Guard {
        acs: Arc::clone(&acs),
        needed: Needed::of(&openapi, PREFIX),
    };
    let recorder = audit::Recorder::new(Arc::clone(&acs), &openapi, PREFIX);
    let guarded = Router::new()
        .nest(PREFIX, routes)
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(guard, let_in))
        .layer(middleware::from_fn_with_state(recorder, audit::record))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&acs),
            measured::measure,
        ))
        .with_state(acs);
    let openapi = openapi::with_shared_answers(openapi);
    let text = openapi.to_json().unwrap_or_default();
    let text = ([(header::CONTENT_TYPE, "application/json")], text);
    let config = utoipa_swagger_ui::Config::from(TEXT);
    let all = guarded
        .route(TEXT, get(async move || text.clone()))
        .merge(SwaggerUi::new(PAGE_OF_TEXT).config(config));
    // What changes the path has to be around what is routed by it.
    Router::new()
        .fallback_service(all)
        .layer(middleware::from_fn(scope::take_instance))
        .layer(middleware::from_fn(operations::at_the_root))
        .layer(middleware::from_fn(request_id::identify))
}

/// Who lets requests in.
#[derive(Clone)]
struct Guard {
    acs: Arc<Acs>,
    needed: Needed,
}

/// Nothing is reachable without what the OpenAPI text says that it needs; a route that is not in
/// the text is not reachable at all.
async fn let_in(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    match admit(&guard, &mut request).await {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

async fn admit(guard: &Guard, request: &mut Request) -> Result<(), ApiError> {
    let matched = request.extensions().get::<MatchedPath>();
    let needs = match matched.map(MatchedPath::as_str) {
        // There is nothing, which only who is signed in is told.
        None => Ok(Needs::Principal),
        Some(path) => guard.needed.by(path, request.method()),
    };
    if needs == Ok(Needs::Nothing) {
        return Ok(());
    }
    let acs = &guard.acs;
    let now = acs.clock.unix();
    let trail = request.extensions().get::<audit::Trail>();
    let trail = trail.cloned().unwrap_or_default();
    let headers = request.headers();
    let principal = acs.gate.authenticate(request.method(), headers, now);
    let name = match &principal {
        Ok(principal) => Some(Arc::clone(&principal.name)),
        Err(Refusal::OtherSite(_)) => acs.gate.name_of_cookie(headers, now),
        Err(_) => None,
    };
    if let Some(name) = name {
        trail.by(&name);
    }
    let principal = principal?;
    let permission = match needs {
        Ok(Needs::Permission(permission)) => Some(permission),
        Ok(Needs::Principal | Needs::Nothing) => None,
        Err(Untold::Method(allowed)) => {
            return Err(ApiError::method(format!(
                "{} is not for {}",
                request.method(),
                request.uri().path()
            ))
            .allowing(&allowed));
        }
        Err(Untold::Path) => {
            return Err(ApiError::forbidden(format!(
                "nobody has said who may use {}: it is not in the OpenAPI text",
                request.uri().path()
            )));
        }
    };
    let wanted = request.extensions().get::<WantedInstance>();
    let wanted = wanted.map(|wanted| &*wanted.0);
    if principal.must_change_password && permission.is_some() {
        return Err(Refusal::PasswordChange.into());
    }
    let path = request.extensions().get::<MatchedPath>();
    let path = path.map(MatchedPath::as_str);
    let scope = Scope::find(acs, wanted, Arc::new(principal), permission, path)?;
    let of_users = permission.is_some_and(|needed| needed.resource == Resource::Users);
    if !(of_users && scope.principal.instances() == Instances::All) {
        trail.within(&scope.instance.name);
    }
    request.extensions_mut().insert(scope);
    Ok(())
}

async fn unknown(request: Request) -> ApiError {
    ApiError::not_found(format!("there is nothing at {}", request.uri().path()))
}
