//! `/v1/audit`: who did what; and the middleware that writes it down.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::Arc;

use axum::Json;
use axum::RequestExt;
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Method, StatusCode, header};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::openapi::OpenApi;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, Page, Query, limit, time};
use super::openapi::{Needs, needs, operations};
use super::request_id::RequestId;
use super::scope::Scope;
use crate::access::{Access, Action, Permission, Resource};
use crate::audit::{AUDIT, Entry, Recorded, Sides, kept};
use crate::device::{DeviceKey, UnixTime};
use crate::door::{Ends, Peer, Trust};
use crate::query;
use crate::store::AuditHead;
use crate::{Acs, export};

/// Records that one page looks at: of a rare kind there may be more although fewer came.
const EXAMINED_MAX: usize = 200_000;
/// Where the id of a device stands in a path.
const DEVICE_PATH: &str = "/v1/devices/{id}";

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(export_all))
}

/// What a handler tells the audit log beyond the request. An extractor:
/// `trail.between(Some(&before), Some(&after))`.
#[derive(Debug, Clone, Default)]
pub(super) struct Trail(Arc<Mutex<Told>>);

/// What was told.
#[derive(Debug, Default)]
struct Told {
    actor: Option<Arc<str>>,
    instance: Option<Arc<str>>,
    device: Option<Arc<str>>,
    sides: Sides,
}

impl Trail {
    /// Who asks. Told for every request that was let in; a login tells it itself.
    pub(super) fn by(&self, actor: &str) {
        self.0.lock().actor = Some(actor.into());
    }

    /// In which instance. Told for every request that was let in.
    pub(super) fn within(&self, instance: &Arc<str>) {
        self.0.lock().instance = Some(Arc::clone(instance));
    }

    /// Of which device; not needed where its id is in the path.
    pub(super) fn of(&self, device: &DeviceKey) {
        self.0.lock().device = Some(Arc::clone(&device.id));
    }

    /// From what to what, as JSON: `None` where there was or is nothing. Secrets may be in it
    /// under names that tell so: they are not written.
    pub(super) fn between(&self, before: Option<impl Serialize>, after: Option<impl Serialize>) {
        let before = before.and_then(|side| serde_json::to_value(side).ok());
        let after = after.and_then(|side| serde_json::to_value(side).ok());
        self.0.lock().sides = Sides::of(before, after);
    }

    /// Something was made, or asked for.
    pub(super) fn made(&self, after: impl Serialize) {
        self.between(None::<Value>, Some(after));
    }

    /// Something is gone.
    pub(super) fn removed(&self, before: impl Serialize) {
        self.between(Some(before), None::<Value>);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Trail {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Trail, ApiError> {
        // A request that only looks has none: what is told is for nobody.
        Ok(parts.extensions.get::<Trail>().cloned().unwrap_or_default())
    }
}

/// Why a request was refused, as an extension of the answer.
#[derive(Debug, Clone)]
pub(super) struct Refused(pub(super) String);

/// Writes down what passes.
#[derive(Clone)]
pub(super) struct Recorder {
    acs: Arc<Acs>,
    /// By path as it is routed, and method.
    operations: Arc<BTreeMap<(String, String), Operation>>,
}

/// What is told of an operation.
#[derive(Debug, Clone)]
struct Operation {
    id: String,
    needs: Option<Needs>,
}

impl Recorder {
    /// The paths of the text are below `prefix`.
    pub(super) fn new(acs: Arc<Acs>, openapi: &OpenApi, prefix: &str) -> Recorder {
        let paths = openapi.paths.paths.iter();
        let all = paths.flat_map(|(path, item)| {
            operations(item).map(move |(method, operation)| {
                let told = Operation {
                    id: operation.operation_id.clone().unwrap_or_default(),
                    needs: needs(operation),
                };
                ((format!("{prefix}{path}"), method.to_string()), told)
            })
        });
        Recorder {
            acs,
            operations: Arc::new(all.collect()),
        }
    }

    fn operation(&self, path: Option<&str>, method: &Method) -> Option<&Operation> {
        self.operations.get(&(path?.to_owned(), method.to_string()))
    }
}

/// Every request that changes something goes to the audit log, with its result, before the
/// caller hears of it. Requests of nobody who is known do not, except logins: strangers must
/// not be able to fill the disk.
pub(super) async fn record(
    State(recorder): State<Recorder>,
    mut request: Request,
    next: Next,
) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let matched = matched.as_ref().map(MatchedPath::as_str);
    let operation = recorder.operation(matched, request.method()).cloned();
    let mut entry = asked(&recorder.acs, &request);
    entry.action = operation
        .as_ref()
        .map_or_else(String::new, |known| known.id.clone());
    if matched.is_some_and(|path| path.starts_with(DEVICE_PATH))
        && let Ok(parameters) = request.extract_parts::<RawPathParams>().await
    {
        let id = parameters.iter().find(|(name, _)| *name == "id");
        entry.device = id.map(|(_, id)| kept(id));
    }
    let trail = Trail::default();
    request.extensions_mut().insert(trail.clone());
    let mut response = next.run(request).await;
    let told = std::mem::take(&mut *trail.0.lock());
    let needs = operation.and_then(|operation| operation.needs);
    let is_stranger = told.actor.is_none() && needs != Some(Needs::Nothing);
    if is_stranger || response.status() == StatusCode::TOO_MANY_REQUESTS {
        return response;
    }
    let text = |text: Arc<str>| text.to_string();
    entry.actor = told.actor.map_or_else(String::new, text);
    let instance = told.instance.as_deref();
    let instance = instance.and_then(|instance| place(needs, instance));
    entry.instance = instance.map(str::to_owned);
    entry.device = told.device.map(text).or(entry.device);
    let refused = response.extensions_mut().remove::<Refused>();
    entry.error = refused.map(|refused| kept(&refused.0));
    entry.status = Some(response.status().as_u16());
    let at = recorder.acs.clock.unix();
    match recorder.acs.audit(at, &entry, &told.sides).await {
        Ok(_) => response,
        Err(error) => {
            tracing::error!(%error, action = entry.action, "cannot write the audit log");
            ApiError::internal(format!(
                "done, but the audit log cannot be written: {error}"
            ))
            .into_response()
        }
    }
}

/// The instance that it is about, if it is about one.
fn place(needs: Option<Needs>, instance: &str) -> Option<&str> {
    match needs {
        Some(Needs::Permission(permission)) => permission.place(instance),
        // A login is for all instances.
        _ => None,
    }
}

/// What the request itself tells.
fn asked(acs: &Acs, request: &Request) -> Entry {
    let text = |name| {
        let value = request.headers().get(name)?;
        value.to_str().ok().map(kept)
    };
    let id = request.extensions().get::<RequestId>();
    Entry {
        address: Some(client(acs, request).to_string()),
        user_agent: text(header::USER_AGENT),
        request: id.map(|id| id.0.clone()),
        method: Some(request.method().to_string()),
        path: Some(kept(request.uri().path())),
        ..Entry::default()
    }
}

fn client(acs: &Acs, request: &Request) -> IpAddr {
    let connected = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let tcp = connected.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
    let ends = Ends {
        tcp,
        stated: None,
        tls: false,
    };
    Peer::of(ends, request.headers(), Trust::new(&acs.config.cwmp, None)).address
}

/// A record of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditRecord {
    /// Grows by one with each record of the host.
    number: u64,
    /// When it was written: when what it tells had ended.
    #[schema(format = DateTime)]
    at: String,
    #[serde(flatten)]
    entry: Entry,
    #[serde(flatten)]
    sides: Sides,
}

/// Which records.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// Such as `actor = user:anna and age(at) < 1d`; fields: `at`, `actor`, `action`, `device`,
    /// `status`, `error`, `method`, `path`, `instance`, `address`, `user_agent`, `request`.
    #[serde(default)]
    query: String,
    /// Of all instances; for who may see the audit log of the host.
    #[serde(default)]
    all_instances: bool,
    /// The `next` of the page before.
    after: Option<u64>,
    /// Records of a page, 1 to 1000; 100 if absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// What comes first.
    #[serde(default)]
    #[param(inline)]
    order: Order,
}

/// What comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Order {
    /// The newest record.
    #[default]
    Newest,
    /// The oldest record.
    Oldest,
}

/// Who did what, a page of it. A page may be short, or empty, and have a `next` nevertheless: then
/// there was much to look at for few records.
#[utoipa::path(
    get, path = "/audit", operation_id = "list_audit", tag = "Audit", params(AuditQuery),
    responses((status = 200, body = Page<AuditRecord>)),
    security(("token" = ["audit:read"]))
)]
async fn list(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Query(asked): Query<AuditQuery>,
) -> Result<Json<Page<AuditRecord>>, ApiError> {
    let limit = limit(asked.limit)?;
    let wanted = Wanted::new(acs, scope, &asked.query, asked.all_instances)?;
    let page = tokio::task::spawn_blocking(move || {
        let (mut items, mut examined, mut next) = (Vec::new(), 0, None);
        let visit = |head: AuditHead<'_>| {
            if items.len() == limit || examined == EXAMINED_MAX {
                return ControlFlow::Break(());
            }
            examined += 1;
            next = Some(head.number);
            items.extend(wanted.record(&head));
            ControlFlow::Continue(())
        };
        let store = &wanted.acs.store;
        match asked.order {
            Order::Newest => store.audit_backwards(asked.after, visit)?,
            Order::Oldest => store.audit_forwards(asked.after, visit)?,
        }
        let is_whole = items.len() < limit && examined < EXAMINED_MAX;
        let next = next.filter(|_| !is_whole).map(|next| next.to_string());
        Ok::<_, ApiError>(Page { items, next })
    });
    let page = page
        .await
        .map_err(|error| ApiError::internal(error.to_string()))??;
    Ok(Json(page))
}

/// What of the log is exported, and how.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportQuery {
    /// As in the list.
    #[serde(default)]
    query: String,
    /// As in the list.
    #[serde(default)]
    all_instances: bool,
    /// `ndjson` if absent.
    #[serde(default)]
    #[param(inline)]
    format: Format,
}

/// How records are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    /// A line of JSON for each.
    #[default]
    Ndjson,
    /// With a line of names; `before` and `after` are JSON.
    Csv,
}

/// The whole log, the oldest record first.
#[utoipa::path(
    get, path = "/audit/export", operation_id = "export_audit", tag = "Audit", params(ExportQuery),
    responses((status = 200, description = "All records that match", content(
        (String = "application/x-ndjson"), (String = "text/csv")
    ))),
    security(("token" = ["audit:read"]))
)]
async fn export_all(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Query(asked): Query<ExportQuery>,
) -> Result<Response, ApiError> {
    let wanted = Wanted::new(acs, scope, &asked.query, asked.all_instances)?;
    let kind = match asked.format {
        Format::Ndjson => "application/x-ndjson",
        Format::Csv => "text/csv; charset=utf-8",
    };
    let body = export::stream(move |sink| {
        if asked.format == Format::Csv {
            sink.csv(&COLUMNS)?;
        }
        let mut result = Ok(());
        let visit = |head: AuditHead<'_>| {
            let Some(record) = wanted.record(&head) else {
                return ControlFlow::Continue(());
            };
            result = match asked.format {
                Format::Ndjson => sink.json(&record),
                Format::Csv => sink.csv(&record.columns()),
            };
            match result {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        };
        let read = wanted.acs.store.audit_forwards(None, visit);
        read.map_err(std::io::Error::other).and(result)
    });
    let body = body.ok_or_else(ApiError::busy)?;
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

const COLUMNS: [&str; 15] = [
    "number",
    "at",
    "actor",
    "action",
    "instance",
    "device",
    "status",
    "error",
    "method",
    "path",
    "address",
    "user_agent",
    "request",
    "before",
    "after",
];

impl AuditRecord {
    fn columns(self) -> [String; 15] {
        let entry = self.entry;
        let text = |text: Option<String>| text.unwrap_or_default();
        let json = |side: Option<Value>| side.map_or_else(String::new, |side| side.to_string());
        [
            self.number.to_string(),
            self.at,
            entry.actor,
            entry.action,
            text(entry.instance),
            text(entry.device),
            text(entry.status.map(|status| status.to_string())),
            text(entry.error),
            text(entry.method),
            text(entry.path),
            text(entry.address),
            text(entry.user_agent),
            text(entry.request),
            json(self.sides.before),
            json(self.sides.after),
        ]
    }
}

/// Which records somebody asks for and may see.
struct Wanted {
    acs: Arc<Acs>,
    scope: Scope,
    query: query::Query,
    of_host: bool,
    all_instances: bool,
    now: UnixTime,
}

impl Wanted {
    fn new(
        acs: Arc<Acs>,
        scope: Scope,
        query: &str,
        all_instances: bool,
    ) -> Result<Wanted, ApiError> {
        let query = query::Query::parse_for(&AUDIT, query)
            .map_err(|error| ApiError::bad(error.to_string()))?;
        let permission = Permission {
            resource: Resource::Audit,
            action: Action::Read,
        };
        let of_host = matches!(scope.principal.on(None, permission), Access::All);
        if all_instances && !of_host {
            return Err(ApiError::forbidden(format!(
                "{} may not see the audit log of all instances",
                scope.principal.name
            )));
        }
        Ok(Wanted {
            now: acs.clock.unix(),
            acs,
            scope,
            query,
            of_host,
            all_instances,
        })
    }

    fn record(&self, head: &AuditHead<'_>) -> Option<AuditRecord> {
        let entry: Entry = serde_json::from_slice(head.head).ok()?;
        let recorded = Recorded {
            at: head.at,
            entry: &entry,
        };
        if !self.may_see(&entry) || !self.query.matches(&recorded, self.now) {
            return None;
        }
        let body = head.body().unwrap_or_default();
        Some(AuditRecord {
            number: head.number,
            at: time(head.at),
            entry,
            sides: serde_json::from_slice(&body).unwrap_or_default(),
        })
    }

    fn may_see(&self, entry: &Entry) -> bool {
        match entry.instance.as_deref() {
            None => self.of_host,
            Some(instance) if *instance != *self.scope.instance.name => self.all_instances,
            Some(_) if self.scope.devices.is_none() => true,
            Some(_) => {
                let id = entry.device.as_deref();
                id.is_some_and(|id| self.scope.cell(&self.acs, id).is_ok())
            }
        }
    }
}
