//! `/v1/audit`: who did what.

mod trail;

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, Page, Query, limit, time};
use super::scope::Scope;
use crate::access::{Access, Action, Permission, Resource};
use crate::audit::{AUDIT, Entry, Recorded, Sides};
use crate::device::UnixTime;
use crate::query;
use crate::store::AuditHead;
use crate::{Acs, export};

pub(super) use trail::{Recorder, Refused, Trail, record};

/// Records that one page looks at: of a rare kind there may be more although fewer came.
const EXAMINED_MAX: usize = 200_000;

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(export_all))
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
    let kind = match asked.format {
        Format::Ndjson => "application/x-ndjson",
        Format::Csv => "text/csv; charset=utf-8",
    };
    let who = Arc::clone(&scope.principal.name);
    let wanted = Wanted::new(acs, scope, &asked.query, asked.all_instances)?;
    let body = export::stream(&who, move |sink| {
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
    /// Whether devices may be seen, by their ids: to look at each of them once.
    seen: RefCell<HashMap<String, bool>>,
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
            seen: RefCell::default(),
        })
    }

    fn record(&self, head: &AuditHead<'_>) -> Option<AuditRecord> {
        let entry: Entry = serde_json::from_slice(head.head).ok()?;
        let recorded = Recorded {
            at: head.at,
            entry: &entry,
        };
        if !self.query.matches(&recorded, self.now) || !self.may_see(&entry) {
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
            Some(_) => entry.device.as_deref().is_some_and(|id| self.sees(id)),
        }
    }

    /// Whether a device is there, and among those of the caller's roles, at present.
    fn sees(&self, id: &str) -> bool {
        if let Some(sees) = self.seen.borrow().get(id) {
            return *sees;
        }
        let sees = self.scope.cell(&self.acs, id).is_ok();
        self.seen.borrow_mut().insert(id.to_owned(), sees);
        sees
    }
}
