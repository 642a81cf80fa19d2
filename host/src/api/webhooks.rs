//! `/v1/webhooks`: where events are sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::Trail;
use super::error::{ApiError, Body, Page, Path, Time};
use super::scope::Scope;
use crate::Acs;
use crate::access::{Access, Action, Permission, Resource};
use crate::audit::SECRET;
use crate::events::{Event, HOOKS_MAX, Hook, Webhook, What};

/// Characters of a name.
const NAME_CHARS_MAX: usize = 64;

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one, put, remove))
        .routes(routes!(test))
        .routes(routes!(dead_letters, clear))
        .routes(routes!(retry))
}

/// A webhook to write.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookRequest {
    /// http or https; to a public address, or one that `[webhooks]` allows.
    url: String,
    /// Which events, such as `kind = "task.*"`; empty: all of the instance.
    #[serde(default)]
    query: String,
    /// What each request is signed with, 16 to 256 characters; absent: as it was.
    #[schema(format = Password)]
    secret: Option<String>,
    /// Whether events are sent.
    #[serde(default = "yes")]
    enabled: bool,
    /// Headers of each request beside ours.
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

/// A webhook; its secret and the values of its headers are not shown, and of its URL what follows the
/// host only to who may write webhooks.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookView {
    name: String,
    url: String,
    query: String,
    enabled: bool,
    /// Their names.
    headers: Vec<String>,
    /// Events that wait to be sent.
    waiting: u64,
    /// Events that were given up and are kept.
    dead_letters: usize,
    /// Events that have arrived since the host started.
    delivered: u64,
    /// Requests that failed since the host started.
    failed: u64,
    /// Events that there was no room for since the host started.
    dropped: u64,
    /// Of the last answer.
    last_status: Option<u16>,
    /// Why the last request failed.
    last_error: Option<String>,
    /// When the last request ended.
    last_at: Option<Time>,
    /// How long it took.
    last_took_ms: u64,
}

/// `whole`: with what may be a secret in its URL.
fn view(name: &str, hook: &Hook, whole: bool) -> WebhookView {
    let (webhook, doing) = (&hook.webhook, hook.doing.lock().clone());
    let (host, rest) = webhook.split_url();
    WebhookView {
        name: name.to_owned(),
        url: match whole || rest.is_empty() {
            true => webhook.url.clone(),
            false => format!("{host}/{SECRET}"),
        },
        query: webhook.query.clone(),
        enabled: webhook.enabled,
        headers: webhook.headers.keys().cloned().collect(),
        waiting: doing.waiting,
        dead_letters: doing.dead,
        delivered: doing.delivered,
        failed: doing.failed,
        dropped: doing.dropped,
        last_status: doing.last_status,
        last_error: doing.last_error,
        last_at: Time::maybe(doing.last_at),
        last_took_ms: doing.last_took_ms,
    }
}

fn find(acs: &Acs, scope: &Scope, name: &str) -> Result<Arc<Hook>, ApiError> {
    let hook = acs.webhooks.get(&scope.instance.name, name);
    hook.ok_or_else(|| ApiError::not_found(format!("there is no webhook {name:?}")))
}

/// Whether somebody may see the whole URL: who may write another one.
fn sees_url(scope: &Scope) -> bool {
    let write = Permission::new(Resource::Events, Action::Write);
    let access = scope.principal.on(Some(&scope.instance.name), write);
    matches!(access, Access::All)
}

/// For the audit log, in which what is called a secret is hidden: values of headers may be secrets
/// too, and what follows the host in a URL.
fn told(webhook: &Webhook) -> Value {
    let (host, rest) = webhook.split_url();
    let headers = webhook.headers.iter();
    let headers = headers.map(|(name, value)| (name.clone(), json!({ "secret": value })));
    json!({
        "url": host,
        "url_secret": rest,
        "query": webhook.query,
        "secret": webhook.secret,
        "enabled": webhook.enabled,
        "headers": headers.collect::<Map<String, Value>>(),
    })
}

/// All webhooks of the instance.
#[utoipa::path(
    get, path = "/webhooks", operation_id = "list_webhooks", tag = "Events",
    responses((status = 200, description = "By name", body = Page<WebhookView>)),
    security(("token" = ["events:read"]))
)]
async fn list(State(acs): State<Arc<Acs>>, scope: Scope) -> Json<Page<WebhookView>> {
    let hooks = acs.webhooks.of(&scope.instance.name);
    let whole = sees_url(&scope);
    let items = hooks.iter().map(|(name, hook)| view(name, hook, whole));
    let items = items.collect();
    Json(Page { items, next: None })
}

/// A webhook and how it does.
#[utoipa::path(
    get, path = "/webhooks/{name}", operation_id = "get_webhook", tag = "Events",
    params(("name" = String, Path, description = "Of the webhook")),
    responses((status = 200, description = "The webhook", body = WebhookView)),
    security(("token" = ["events:read"]))
)]
async fn one(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(name): Path<String>,
) -> Result<Json<WebhookView>, ApiError> {
    let hook = find(&acs, &scope, &name)?;
    Ok(Json(view(&name, &hook, sees_url(&scope))))
}

/// Makes a webhook or changes one.
#[utoipa::path(
    put, path = "/webhooks/{name}", operation_id = "put_webhook", tag = "Events",
    params(("name" = String, Path, description = "Letters, digits, `-`, `_` and `.`")),
    request_body = WebhookRequest,
    responses(
        (status = 200, description = "Changed", body = WebhookView),
        (status = 201, description = "Made", body = WebhookView),
    ),
    security(("token" = ["events:write"]))
)]
async fn put(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(name): Path<String>,
    trail: Trail,
    Body(request): Body<WebhookRequest>,
) -> Result<(StatusCode, Json<WebhookView>), ApiError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !(1..=NAME_CHARS_MAX).contains(&name.len()) || !name.bytes().all(plain) {
        return Err(ApiError::bad(format!(
            "expected a name of 1 to {NAME_CHARS_MAX} letters, digits, -, _ and ., got {name:?}"
        )));
    }
    let instance = &scope.instance.name;
    let before = acs.webhooks.get(instance, &name);
    if before.is_none() && acs.webhooks.of(instance).len() >= HOOKS_MAX {
        return Err(ApiError::conflict(format!(
            "there are {HOOKS_MAX} webhooks already"
        )));
    }
    let kept = before.as_ref().map(|hook| hook.webhook.secret.clone());
    let secret = request.secret.or(kept);
    let webhook = Webhook {
        url: request.url,
        query: request.query,
        secret: secret.ok_or_else(|| ApiError::bad("expected a secret"))?,
        enabled: request.enabled,
        headers: request.headers,
    };
    webhook.check(&acs.webhooks.allow).map_err(ApiError::bad)?;
    let former = before.as_ref().map(|hook| told(&hook.webhook));
    trail.between(former, Some(told(&webhook)));
    acs.put_webhook(instance, &name, webhook).await?;
    let status = match before {
        Some(_) => StatusCode::OK,
        None => StatusCode::CREATED,
    };
    let hook = find(&acs, &scope, &name)?;
    Ok((status, Json(view(&name, &hook, true))))
}

/// Removes a webhook, with the events that wait for it.
#[utoipa::path(
    delete, path = "/webhooks/{name}", operation_id = "remove_webhook", tag = "Events",
    params(("name" = String, Path, description = "Of the webhook")),
    responses((status = 204, description = "Removed")),
    security(("token" = ["events:write"]))
)]
async fn remove(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(name): Path<String>,
    trail: Trail,
) -> Result<StatusCode, ApiError> {
    let hook = find(&acs, &scope, &name)?;
    trail.removed(told(&hook.webhook));
    acs.remove_webhook(&scope.instance.name, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Emits an event `webhook.test`, which goes where the queries of the webhooks let it.
#[utoipa::path(
    post, path = "/webhooks/{name}/test", operation_id = "test_webhook", tag = "Events",
    params(("name" = String, Path, description = "Of the webhook")),
    responses((status = 202, description = "It is on its way; the webhook shows what came of it")),
    security(("token" = ["events:write"]))
)]
async fn test(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    find(&acs, &scope, &name)?;
    let what = What::WebhookTest { webhook: name };
    let event = Event::of_instance(acs.clock.unix(), &scope.instance.name, what);
    acs.events.emit(event);
    Ok(StatusCode::ACCEPTED)
}

/// An event that was given up.
#[derive(Serialize, ToSchema)]
pub(super) struct DeadLetterView {
    number: u64,
    /// As it would have been sent.
    event: Value,
    /// Why the last request failed.
    error: String,
    /// When it was given up.
    at: Time,
}

/// Events that were given up, the oldest first.
#[utoipa::path(
    get, path = "/webhooks/{name}/dead-letters", operation_id = "list_dead_letters",
    tag = "Events", params(("name" = String, Path, description = "Of the webhook")),
    responses((status = 200, description = "At most 1000", body = Page<DeadLetterView>)),
    security(("token" = ["events:read"]))
)]
async fn dead_letters(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(name): Path<String>,
) -> Result<Json<Page<DeadLetterView>>, ApiError> {
    let letters = find(&acs, &scope, &name)?.dead_letters(&acs.store)?;
    let items = letters.into_iter().map(|(number, dead)| DeadLetterView {
        number,
        event: serde_json::from_str(dead.event.get()).unwrap_or_default(),
        error: dead.error,
        at: Time(dead.at),
    });
    let items = items.collect();
    Ok(Json(Page { items, next: None }))
}

/// Forgets the events that were given up.
#[utoipa::path(
    delete, path = "/webhooks/{name}/dead-letters", operation_id = "clear_dead_letters",
    tag = "Events", params(("name" = String, Path, description = "Of the webhook")),
    responses((status = 204, description = "There is none any more")),
    security(("token" = ["events:write"]))
)]
async fn clear(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(name): Path<String>,
    trail: Trail,
) -> Result<StatusCode, ApiError> {
    let hook = find(&acs, &scope, &name)?;
    trail.removed(json!({ "dead_letters": hook.doing.lock().dead }));
    acs.take_dead_letters(&hook, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends the events that were given up once more.
#[utoipa::path(
    post, path = "/webhooks/{name}/dead-letters/retry", operation_id = "retry_dead_letters",
    tag = "Events", params(("name" = String, Path, description = "Of the webhook")),
    responses((status = 202, description = "They wait to be sent")),
    security(("token" = ["events:write"]))
)]
async fn retry(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let hook = find(&acs, &scope, &name)?;
    acs.take_dead_letters(&hook, true).await?;
    Ok(StatusCode::ACCEPTED)
}
