//! `/v1/login`, `/v1/logout`, `/v1/me`, `/v1/logins`: who is there, and how they came in.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::Trail;
use super::error::{ApiError, Body, Page, Path, Query, maybe_time, time};
use super::scope::Scope;
use crate::Acs;
use crate::access::{self, Client, Grant, Permission, Person, Proof, Refusal};
use crate::door::{Ends, Peer, Trust};

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(login))
        .routes(routes!(logout))
        .routes(routes!(me))
        .routes(routes!(change_password))
        .routes(routes!(depart))
        .routes(routes!(arrive))
        .routes(routes!(list))
        .routes(routes!(end))
}

/// Where a request comes from, by the word of trusted proxies.
pub(super) struct From(pub(super) Client);

impl FromRequestParts<Arc<Acs>> for From {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        acs: &Arc<Acs>,
    ) -> Result<From, Self::Rejection> {
        let connected = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let tcp = connected.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip());
        let ends = Ends {
            tcp,
            stated: None,
            tls: false,
        };
        let peer = Peer::of(ends, &parts.headers, Trust::new(&acs.config.cwmp, None));
        Ok(From(Client {
            address: peer.address,
            tls: peer.tls,
        }))
    }
}

/// Who asks, and what they may do.
#[derive(Serialize, ToSchema)]
pub(super) struct MeView {
    /// `user:anna`, `oidc:anna@example.net`, `token:ci`: as in the audit log.
    name: String,
    /// Until it is changed (`POST /me/password`), nothing else is allowed.
    must_change_password: bool,
    /// Roles, each in one instance or in all.
    grants: Vec<Grant>,
    /// The instance that `/v1/…` means.
    instance: String,
    /// What may be done there, for some devices at least.
    #[schema(value_type = Vec<String>, example = json!(["devices:read"]))]
    permissions: Vec<Permission>,
    /// When the token ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    expires: Option<String>,
}

fn view(acs: &Acs, scope: &Scope) -> MeView {
    let principal = &scope.principal;
    let instance = &scope.instance.name;
    let may = |permission: &Permission| {
        let place = permission.place(instance);
        principal.on(place, *permission).is_any()
    };
    MeView {
        name: principal.name.to_string(),
        must_change_password: principal.must_change_password,
        grants: principal.grants().collect(),
        instance: instance.to_string(),
        permissions: Permission::all().filter(may).collect(),
        expires: acs.gate.expires(principal).and_then(maybe_time),
    }
}

/// A name and a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginRequest {
    /// Upper and lower case are the same.
    #[schema(example = "anna")]
    username: String,
    /// As it was typed.
    #[schema(format = Password)]
    password: String,
}

/// Who has logged in.
#[derive(Serialize, ToSchema)]
pub(super) struct LoggedIn {
    /// As in the audit log.
    name: String,
    /// Until it is changed (`POST /me/password`), nothing else is allowed.
    must_change_password: bool,
}

/// Begins a session of a person: its cookie is the answer.
///
/// Requests that change something send the header `X-Patchbay: 1` beside the cookie.
#[utoipa::path(
    post, path = "/login", operation_id = "login", tag = "Access", security(()),
    request_body = LoginRequest,
    responses(
        (status = 200, description = "Logged in", body = LoggedIn),
        (status = 401, description = "The name or the password is wrong"),
        (status = 403, description = "Sent by a page of another host"),
        (status = 429, description = "Too many failures; `Retry-After` says how long to wait"),
    )
)]
pub(super) async fn login(
    State(acs): State<Arc<Acs>>,
    From(client): From,
    headers: HeaderMap,
    trail: Trail,
    Body(request): Body<LoginRequest>,
) -> Result<Response, ApiError> {
    acs.gate.check_site(&headers)?;
    let (name, password) = (&request.username, &request.password);
    let now = acs.clock.now();
    let name = &name.to_ascii_lowercase();
    trail.by(&format!("user:{name}"));
    let cookie = acs.gate.login(name, password, client, now).await?;
    let body = LoggedIn {
        must_change_password: acs.gate.must_change_password(name),
        name: format!("user:{name}"),
    };
    let cookie = acs.gate.session_cookie(&cookie, client);
    Ok((set_cookie(&cookie)?, Json(body)).into_response())
}

/// Ends the session of who asks.
#[utoipa::path(
    post, path = "/logout", operation_id = "logout", tag = "Access", security(("token" = [])),
    responses((status = 204, description = "It is over"))
)]
pub(super) async fn logout(
    State(acs): State<Arc<Acs>>,
    From(client): From,
    scope: Scope,
) -> Result<Response, ApiError> {
    acs.gate.logout(&scope.principal).await?;
    let cookie = acs.gate.no_session_cookie(client);
    Ok((set_cookie(&cookie)?, StatusCode::NO_CONTENT).into_response())
}

/// Who asks, and what they may do.
#[utoipa::path(
    get, path = "/me", operation_id = "get_me", tag = "Access", security(("token" = [])),
    responses((status = 200, description = "You", body = MeView))
)]
pub(super) async fn me(State(acs): State<Arc<Acs>>, scope: Scope) -> Json<MeView> {
    Json(view(&acs, &scope))
}

/// Another password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordChange {
    /// The present one.
    #[schema(format = Password)]
    present: String,
    /// 12 to 256 characters.
    #[schema(format = Password, min_length = 12, max_length = 256)]
    password: String,
}

/// Changes the password of who asks. All other sessions of theirs are over.
#[utoipa::path(
    post, path = "/me/password", operation_id = "change_password", tag = "Access",
    security(("token" = [])), request_body = PasswordChange,
    responses(
        (status = 204, description = "Changed"),
        (status = 429, description = "Too many failures; `Retry-After` says how long to wait"),
    )
)]
pub(super) async fn change_password(
    State(acs): State<Arc<Acs>>,
    From(client): From,
    scope: Scope,
    trail: Trail,
    Body(request): Body<PasswordChange>,
) -> Result<StatusCode, ApiError> {
    let (present, wanted) = (&request.present, &request.password);
    let now = acs.clock.now();
    let principal = &scope.principal;
    acs.gate
        .change_password(principal, present, wanted, client, now)
        .await?;
    // That it is another one is told, and neither of them.
    let side = |which: &str| json!({ "password": which });
    trail.between(Some(side("before")), Some(side("after")));
    Ok(StatusCode::NO_CONTENT)
}

/// Where to go after the login.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Departing {
    /// A path of this host; without one `/`.
    back: Option<String>,
}

/// Sends a person to the OpenID Connect provider of the configuration.
#[utoipa::path(
    get, path = "/login/oidc", operation_id = "login_oidc", tag = "Access", security(()),
    params(Departing),
    responses(
        (status = 303, description = "To the provider"),
        (status = 404, description = "The configuration names none"),
        (status = 502, description = "The provider does not answer"),
    )
)]
pub(super) async fn depart(
    State(acs): State<Arc<Acs>>,
    From(client): From,
    Query(query): Query<Departing>,
) -> Result<Response, ApiError> {
    let back = query.back.unwrap_or_default();
    let departure = acs.gate.depart(&back, client, acs.clock.now()).await?;
    Ok((set_cookie(&departure.cookie)?, see_other(&departure.url)?).into_response())
}

/// What the provider answers.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Arriving {
    /// The authorization code.
    code: Option<String>,
    /// What was sent along.
    state: Option<String>,
    /// Why there is no code.
    error: Option<String>,
    /// For people.
    error_description: Option<String>,
}

/// Where the provider sends people back to: begins a session, and goes on to where they wanted.
#[utoipa::path(
    get, path = "/login/oidc/callback", operation_id = "login_oidc_callback", tag = "Access",
    security(()), params(Arriving),
    responses(
        (status = 303, description = "Logged in"),
        (status = 401, description = "No login of this browser is under way"),
        (status = 403, description = "The provider, the token or the person is refused; it says why"),
        (status = 404, description = "The configuration names no provider"),
        (status = 502, description = "The provider does not answer as it should"),
    )
)]
pub(super) async fn arrive(
    State(acs): State<Arc<Acs>>,
    From(client): From,
    headers: HeaderMap,
    trail: Trail,
    Query(query): Query<Arriving>,
) -> Result<Response, ApiError> {
    let answer = access::OidcAnswer {
        code: query.code,
        state: query.state,
        error: query.error,
        error_description: query.error_description,
    };
    let now = acs.clock.now();
    let arrival = acs.gate.arrive(&headers, answer, client, now).await;
    // Of the others nobody knows who they are.
    if let Ok(_) | Err(Refusal::NotWelcome(_)) = arrival {
        trail.act();
    }
    let arrival = arrival?;
    trail.by(&arrival.name);
    let cookie = acs.gate.session_cookie(&arrival.session, client);
    Ok((set_cookie(&cookie)?, see_other(&arrival.back)?).into_response())
}

/// A session of a person.
#[derive(Serialize, ToSchema)]
pub(super) struct LoginView {
    id: String,
    /// `user:anna`, `oidc:anna@example.net`
    name: String,
    /// Who it is at the provider even under another name (`sub`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    subject: Option<String>,
    /// From where it began.
    address: String,
    #[schema(format = DateTime)]
    began: String,
    /// When it was last used.
    #[schema(format = DateTime)]
    used: String,
    /// It is the one that asks.
    is_own: bool,
}

fn view_login(scope: &Scope, login: &access::Login) -> LoginView {
    LoginView {
        id: login.id.to_string(),
        name: login.person.to_name().to_string(),
        subject: match &login.person {
            Person::Oidc { subject, .. } => Some(subject.clone()),
            Person::User(_) => None,
        },
        address: login.address.to_string(),
        began: time(login.began),
        used: time(login.used),
        is_own: scope.principal.proof == Proof::Session(Arc::clone(&login.id)),
    }
}

/// The sessions of people that go on, the last begun first.
#[utoipa::path(
    get, path = "/logins", operation_id = "list_logins", tag = "Access",
    security(("token" = ["users:read"])),
    responses((status = 200, description = "All of them", body = Page<LoginView>))
)]
pub(super) async fn list(State(acs): State<Arc<Acs>>, scope: Scope) -> Json<Page<LoginView>> {
    let logins = acs.gate.logins(&scope.principal, acs.clock.unix());
    let items = logins.iter().map(|login| view_login(&scope, login));
    Json(Page {
        items: items.collect(),
        next: None,
    })
}

/// Ends a session of somebody.
#[utoipa::path(
    delete, path = "/logins/{id}", operation_id = "end_login", tag = "Access",
    security(("token" = ["users:write"])),
    params(("id" = String, Path, description = "Of the session")),
    responses(
        (status = 204, description = "It is over"),
        (status = 404, description = "There is none"),
    )
)]
pub(super) async fn end(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
) -> Result<StatusCode, ApiError> {
    let now = acs.clock.unix();
    let logins = acs.gate.logins(&scope.principal, now);
    acs.gate.end_login(&scope.principal, &id, now).await?;
    let ended = logins.iter().find(|login| *login.id == *id);
    trail.removed(ended.map(|login| view_login(&scope, login)));
    Ok(StatusCode::NO_CONTENT)
}

/// One header of an answer.
type One = [(HeaderName, HeaderValue); 1];

fn set_cookie(cookie: &str) -> Result<One, ApiError> {
    one(header::SET_COOKIE, cookie)
}

fn see_other(to: &str) -> Result<(StatusCode, One), ApiError> {
    Ok((StatusCode::SEE_OTHER, one(header::LOCATION, to)?))
}

fn one(name: HeaderName, value: &str) -> Result<One, ApiError> {
    let value = HeaderValue::from_str(value);
    let value = value.map_err(|_| ApiError::internal("a header that is none"))?;
    Ok([(name, value)])
}
