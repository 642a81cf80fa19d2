//! `GET /v1/devices`: a page of the devices that match a query, or all of them as a table.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::openapi::schema::{AdditionalProperties, AnyOfBuilder, ObjectBuilder};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::Trail;
use super::devices::{DeviceView, view};
use super::error::{ApiError, Query, limit};
use super::projection::Columns;
use super::scope::{PARAMETERS_READ, Scope};
use crate::Acs;
use crate::access::{Access, Action, Permission, Resource};
use crate::device::{DeviceKey, UnixTime};
use crate::export;
use crate::query;
use crate::store::{Listed, Sort, StoreError};

/// Who may have a backup has all passwords anyway.
const PASSWORDS: Permission = Permission::new(Resource::Backups, Action::Read);

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Which devices, and what of them.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// In the query language: `tag = vip and Device.DeviceInfo.UpTime > 86400`; all if absent.
    query: Option<String>,
    /// Fields to sort by, `-` before those whose last values come first: `-last_contact,id`; by id if
    /// absent.
    sort: Option<String>,
    /// The `next` of the page before, of the same `sort`.
    after: Option<String>,
    /// Items of the page; 100 if absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// What to show of each: fields and paths of parameters, with commas between; everything but
    /// parameters if absent.
    fields: Option<String>,
    /// Count all that match, too.
    #[serde(default)]
    #[param(required = false)]
    count: bool,
    /// A page of JSON, or all that match as a table; if absent, as the header Accept says.
    #[param(inline)]
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// A page.
    Json,
    /// All that match, a row each.
    Csv,
    /// All that match, an object on a line each.
    Ndjson,
}

impl Format {
    fn accepted(headers: &HeaderMap) -> Format {
        let accept = headers.get(header::ACCEPT);
        let accept = accept.and_then(|accept| accept.to_str().ok());
        let mut wanted = accept.unwrap_or_default().split(',').map(|range| {
            let range = range.split(';').next().unwrap_or_default();
            range.trim().to_ascii_lowercase()
        });
        match wanted.next().as_deref() {
            Some("text/csv") => Format::Csv,
            Some("application/x-ndjson") => Format::Ndjson,
            _ => Format::Json,
        }
    }
}

/// A page of devices.
#[derive(Serialize, ToSchema)]
struct DevicesPage {
    /// In order.
    items: Vec<DeviceItem>,
    /// To be given back as `after`; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
    /// How many match; absent if nobody asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    total: Option<usize>,
}

/// A device, or what was asked for of it.
#[derive(Serialize)]
#[serde(untagged)]
enum DeviceItem {
    Whole(Box<DeviceView>),
    Fields(BTreeMap<String, Value>),
}

// Not derived: a whole device is also an object with any fields, and `oneOf` would refuse that.
impl PartialSchema for DeviceItem {
    fn schema() -> RefOr<Schema> {
        let fields = ObjectBuilder::new()
            .description(Some("The `fields` that were asked for"))
            .additional_properties(Some(AdditionalProperties::FreeForm(true)));
        AnyOfBuilder::new()
            .item(Ref::from_schema_name(DeviceView::name()))
            .item(fields)
            .into()
    }
}

impl ToSchema for DeviceItem {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((DeviceView::name().into_owned(), DeviceView::schema()));
        DeviceView::schemas(schemas);
    }
}

/// The devices that match a query.
///
/// A page of them as JSON; with `format` or the header Accept all of them as CSV or NDJSON.
#[utoipa::path(
    get, path = "/devices", operation_id = "list_devices", params(ListQuery),
    responses((
        status = 200, description = "A page of them, or all as a table", content(
            (DevicesPage = "application/json"), (String = "text/csv"), (String = "application/x-ndjson")
        )
    )),
    tag = "Devices", security(("token" = ["devices:read"]))
)]
async fn list(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    trail: Trail,
    Query(asked): Query<ListQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let query = parse(asked.query.as_deref().unwrap_or_default())?;
    let reads_parameters = !query.paths().is_empty();
    let mut query = match &scope.devices {
        None => query,
        Some(devices) => query.and((**devices).clone()),
    };
    let sort = Sort::parse(asked.sort.as_deref().unwrap_or_default()).map_err(ApiError::bad)?;
    let format = asked.format.unwrap_or_else(|| Format::accepted(&headers));
    let fields = asked.fields.as_deref();
    let columns = match format {
        Format::Json => fields.map(Columns::parse).transpose()?,
        Format::Csv | Format::Ndjson => Some(Columns::of_table(fields)?),
    };
    let shows = |asks: fn(&Columns) -> bool| columns.as_ref().is_some_and(asks);
    if shows(Columns::has_passwords) {
        trail.act();
        check_passwords(&scope)?;
    }
    if reads_parameters || shows(|columns| !columns.paths().is_empty()) {
        query = match scope.parameters() {
            Access::All => query,
            Access::Devices(devices) => query.and((*devices).clone()),
            Access::Denied => return Err(scope.lacks(PARAMETERS_READ)),
        };
    }
    let columns = match (format, columns) {
        (Format::Csv | Format::Ndjson, Some(columns)) => columns,
        (_, columns) => return page(&acs, &scope, &asked, (&query, &sort), columns).await,
    };
    if asked.after.is_some() || asked.limit.is_some() || asked.count {
        return Err(ApiError::bad(
            "expected `after`, `limit` and `count` with pages of JSON only: a table has all that match",
        ));
    }
    let devices = acs.sorted(&scope.instance.name, &query, &sort).await?;
    table(&acs, &scope.principal.name, devices, columns, format)
}

/// A query of a request: who wrote it is shown where it is wrong.
pub(super) fn parse(text: &str) -> Result<query::Query, ApiError> {
    query::Query::parse(text).map_err(|error| ApiError::bad(format!("{error}\n{}", error.caret())))
}

async fn page(
    acs: &Arc<Acs>,
    scope: &Scope,
    asked: &ListQuery,
    (query, sort): (&query::Query, &Sort),
    columns: Option<Columns>,
) -> Result<Response, ApiError> {
    let (instance, limit) = (&scope.instance.name, limit(asked.limit)?);
    let found = acs.search(instance, query, sort, asked.after.as_deref(), limit);
    let found = found.await?;
    let total = match asked.count {
        true => Some(acs.count_matching(instance, query).await?),
        false => None,
    };
    let now = acs.clock.unix();
    let items = match columns {
        None => found
            .items
            .iter()
            .map(|listed| whole(acs, listed, now))
            .collect(),
        Some(columns) => {
            let acs = Arc::clone(acs);
            let projected = move || projected(&acs, &found.items, &columns, now);
            let projected = tokio::task::spawn_blocking(projected).await;
            projected.map_err(|_| ApiError::internal("a page was not made"))??
        }
    };
    let next = found.next;
    Ok(Json(DevicesPage { items, next, total }).into_response())
}

fn whole(acs: &Acs, listed: &Listed, now: UnixTime) -> DeviceItem {
    let udp = acs.udp_address(&listed.key, None, now);
    let view = view(acs, &listed.key, &listed.summary, listed.contacts, udp);
    DeviceItem::Whole(Box::new(view))
}

fn projected(
    acs: &Acs,
    items: &[Listed],
    columns: &Columns,
    now: UnixTime,
) -> Result<Vec<DeviceItem>, StoreError> {
    let paths = columns.paths();
    let items = items.iter().map(|listed| {
        let parameters = match paths.as_slice() {
            [] => Vec::new(),
            paths => acs
                .store
                .look(&listed.key, paths)?
                .map_or_else(Vec::new, |(_, found)| found),
        };
        Ok(DeviceItem::Fields(columns.object(listed, &parameters, now)))
    });
    items.collect()
}

fn check_passwords(scope: &Scope) -> Result<(), ApiError> {
    let place = PASSWORDS.place(&scope.instance.name);
    match scope.principal.on(place, PASSWORDS) {
        Access::All => Ok(()),
        Access::Devices(_) | Access::Denied => Err(scope.lacks(PASSWORDS)),
    }
}

/// All of these devices. One that went meanwhile is left out.
fn table(
    acs: &Arc<Acs>,
    who: &str,
    devices: Vec<DeviceKey>,
    columns: Columns,
    format: Format,
) -> Result<Response, ApiError> {
    let (content_type, name) = match format {
        Format::Csv => ("text/csv; charset=utf-8", "devices.csv"),
        _ => ("application/x-ndjson", "devices.ndjson"),
    };
    let acs = Arc::clone(acs);
    let body = export::stream(who, move |sink| {
        let now = acs.clock.unix();
        if format == Format::Csv {
            let names: Vec<&str> = columns.names().collect();
            sink.csv(&names)?;
        }
        let paths = columns.paths();
        for device in &devices {
            let found = acs.store.look(device, &paths).map_err(io::Error::other)?;
            let Some((listed, parameters)) = found else {
                continue;
            };
            if format == Format::Csv {
                sink.csv(&columns.row(&listed, &parameters, now))?;
            } else {
                sink.json(&columns.object(&listed, &parameters, now))?;
            }
        }
        Ok(())
    });
    let body = body.ok_or_else(ApiError::busy)?;
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [
        (header::CONTENT_TYPE, content_type.to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, body).into_response())
}
