//! `/v1/campaigns`.

mod views;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::Trail;
use super::error::{ApiError, Body, Optional, Page, PageQuery, Path, Query};
use super::scope::{PARAMETERS_READ, Scope};
use super::search::parse as parse_query;
use crate::Acs;
use crate::access::Access;
use crate::store::CampaignDeviceFilter;
use crate::work::campaign::{
    CampaignError, CampaignId, Command, Definition, DeviceState, NewCampaign, Plan, Wanted,
};
use views::{CampaignDeviceView, CampaignView, Format, LogLineView, Stand, Written};

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(preview))
        .routes(routes!(one, change, remove))
        .routes(routes!(preview_of_one))
        .routes(routes!(start))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(abort))
        .routes(routes!(approve))
        .routes(routes!(roll_back))
        .routes(routes!(clone))
        .routes(routes!(devices))
        .routes(routes!(log))
}

/// Characters of the reason that somebody gives.
const WHY_CHARS_MAX: usize = 200;

/// All campaigns, the newest first.
#[utoipa::path(
    get, path = "/campaigns", operation_id = "list_campaigns", tag = "Campaigns",
    params(PageQuery),
    responses((status = 200, body = Page<CampaignView>)),
    security(("token" = ["campaigns:read"]))
)]
async fn list(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<CampaignView>>, ApiError> {
    let limit = query.limit()?;
    let after = query.after.map(|id| parse(&id)).transpose()?;
    let found = acs.campaigns_of(&scope.instance.name, after, limit)?;
    let next = found.last().filter(|_| found.len() == limit);
    Ok(Json(Page {
        next: next.map(|last| last.id.to_string()),
        items: found
            .iter()
            .map(|shown| CampaignView::new(&scope.instance.name, shown))
            .collect(),
    }))
}

/// Makes a campaign. It does nothing before it is started.
#[utoipa::path(
    post, path = "/campaigns", operation_id = "create_campaign", tag = "Campaigns",
    request_body = Definition,
    responses((status = 201, body = CampaignView)),
    security(("token" = ["campaigns:write"]))
)]
async fn create(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    trail: Trail,
    Body(definition): Body<Definition>,
) -> Result<Response, ApiError> {
    may_do(&scope, &definition)?;
    may_ask(&scope, &definition)?;
    made(&acs, &scope, &trail, definition).await
}

async fn made(
    acs: &Acs,
    scope: &Scope,
    trail: &Trail,
    definition: Definition,
) -> Result<Response, ApiError> {
    let new = NewCampaign {
        definition,
        by: scope.principal.name.to_string(),
    };
    let shown = acs.create_campaign(&scope.instance.name, new).await?;
    trail.made(Written::of(&shown));
    let view = CampaignView::new(&scope.instance.name, &shown);
    let mut response = (StatusCode::CREATED, Json(view)).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/campaigns/{}", shown.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// What is done to devices has to be allowed to who has it done.
fn may_do(scope: &Scope, definition: &Definition) -> Result<(), ApiError> {
    let (principal, name) = (&scope.principal, definition.operation.name());
    match principal.may_do(&scope.instance.name, &definition.operation) {
        Access::All => Ok(()),
        _ => Err(ApiError::forbidden(format!(
            "{} may not have devices do {name} in a campaign",
            principal.name
        ))),
    }
}

/// Who is found by values of parameters tells them to who wrote the query.
fn may_ask(scope: &Scope, definition: &Definition) -> Result<(), ApiError> {
    let asks_parameters = !parse_query(&definition.query)?.paths().is_empty();
    match scope.parameters() {
        Access::All => Ok(()),
        _ if asks_parameters => Err(scope.lacks(PARAMETERS_READ)),
        _ => Ok(()),
    }
}

/// What a campaign would do, without making one. Which device would be in which wave is not known
/// before there is one.
#[utoipa::path(
    post, path = "/campaigns/preview", operation_id = "preview_new_campaign", tag = "Campaigns",
    request_body = Definition,
    params(PageQuery),
    responses((status = 200, body = Plan)),
    security(("token" = ["campaigns:read"]))
)]
async fn preview(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Query(query): Query<PageQuery>,
    Body(definition): Body<Definition>,
) -> Result<Json<Plan>, ApiError> {
    may_ask(&scope, &definition)?;
    plan(&acs, &scope, None, definition, &query).await
}

/// What a campaign would do if it were started now: its devices, the wave of each, what would
/// change, and which other campaigns are in its way.
#[utoipa::path(
    get, path = "/campaigns/{id}/preview", operation_id = "preview_campaign", tag = "Campaigns",
    params(("id" = String, Path), PageQuery),
    responses((status = 200, body = Plan)),
    security(("token" = ["campaigns:read"]))
)]
async fn preview_of_one(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Plan>, ApiError> {
    let id = parse(&id)?;
    let shown = acs.campaign(&scope.instance.name, id)?;
    plan(
        &acs,
        &scope,
        Some(id),
        Definition::clone(&shown.definition),
        &query,
    )
    .await
}

async fn plan(
    acs: &Arc<Acs>,
    scope: &Scope,
    id: Option<CampaignId>,
    definition: Definition,
    query: &PageQuery,
) -> Result<Json<Plan>, ApiError> {
    let wanted = Wanted {
        after: query.after.as_deref(),
        limit: query.limit()?,
    };
    let plan = acs.preview_campaign(&scope.instance.name, id, definition, wanted);
    let mut plan = plan.await?;
    if !matches!(scope.parameters(), Access::All) {
        plan.hide_values();
    }
    Ok(Json(plan))
}

/// A campaign as it stands, with the devices of each wave counted.
#[utoipa::path(
    get, path = "/campaigns/{id}", operation_id = "get_campaign", tag = "Campaigns",
    params(("id" = String, Path)),
    responses((status = 200, body = CampaignView)),
    security(("token" = ["campaigns:read"]))
)]
async fn one(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
) -> Result<Json<CampaignView>, ApiError> {
    let shown = acs.campaign(&scope.instance.name, parse(&id)?)?;
    Ok(Json(CampaignView::new(&scope.instance.name, &shown)))
}

/// Changes a campaign that was not started yet, as a whole.
#[utoipa::path(
    put, path = "/campaigns/{id}", operation_id = "change_campaign", tag = "Campaigns",
    request_body = Definition,
    params(("id" = String, Path)),
    responses((status = 200, body = CampaignView)),
    security(("token" = ["campaigns:write"]))
)]
async fn change(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
    Body(definition): Body<Definition>,
) -> Result<Json<CampaignView>, ApiError> {
    may_do(&scope, &definition)?;
    may_ask(&scope, &definition)?;
    let (id, name) = (parse(&id)?, &scope.instance.name);
    let before = acs.campaign(name, id)?;
    let shown = acs.change_campaign(name, id, definition).await?;
    trail.between(Some(Written::of(&before)), Some(Written::of(&shown)));
    Ok(Json(CampaignView::new(name, &shown)))
}

/// Removes a campaign that was not started, or has ended. Its tasks stay.
#[utoipa::path(
    delete, path = "/campaigns/{id}", operation_id = "remove_campaign", tag = "Campaigns",
    params(("id" = String, Path)),
    responses((status = 204)),
    security(("token" = ["campaigns:write"]))
)]
async fn remove(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
) -> Result<StatusCode, ApiError> {
    let (id, name) = (parse(&id)?, &scope.instance.name);
    let before = acs.campaign(name, id)?;
    acs.remove_campaign(name, id).await?;
    trail.removed(Written::of(&before));
    Ok(StatusCode::NO_CONTENT)
}

/// How to start a campaign.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Start {
    /// Although other campaigns would touch the same devices.
    force: bool,
}

/// Starts a campaign: from now on its devices are those that match its query at this moment.
#[utoipa::path(
    post, path = "/campaigns/{id}/start", operation_id = "start_campaign", tag = "Campaigns",
    params(("id" = String, Path)), request_body = Option<Start>,
    responses((status = 200, body = CampaignView)),
    security(("token" = ["campaigns:write"]))
)]
async fn start(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
    Optional(Start { force }): Optional<Start>,
) -> Result<Json<CampaignView>, ApiError> {
    let (id, name) = (parse(&id)?, &scope.instance.name);
    let before = acs.campaign(name, id)?;
    may_do(&scope, &before.definition)?;
    let shown = acs.start_campaign(name, id, force).await?;
    trail.between(Some(Stand::of(&before)), Some(Stand::of(&shown)));
    Ok(Json(CampaignView::new(name, &shown)))
}

/// Why somebody steers a campaign.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Why {
    /// For its log.
    why: String,
}

impl Why {
    /// With who it was.
    fn of(&self, scope: &Scope) -> Result<String, ApiError> {
        if self.why.chars().count() > WHY_CHARS_MAX || self.why.chars().any(char::is_control) {
            return Err(ApiError::bad(format!(
                "expected why of at most {WHY_CHARS_MAX} characters on one line, got {:?}",
                self.why
            )));
        }
        let name = &scope.principal.name;
        Ok(match self.why.as_str() {
            "" => format!("by {name}"),
            why => format!("by {name}: {why}"),
        })
    }
}

async fn steer(
    acs: &Arc<Acs>,
    scope: &Scope,
    trail: &Trail,
    id: &str,
    command: Command,
) -> Result<Json<CampaignView>, ApiError> {
    let (id, name) = (parse(id)?, &scope.instance.name);
    let before = acs.campaign(name, id)?;
    // Who only stops what others began need not be allowed to do it.
    if !matches!(command, Command::Pause { .. } | Command::Abort { .. }) {
        may_do(scope, &before.definition)?;
    }
    let shown = acs.steer_campaign(name, id, command).await?;
    trail.between(Some(Stand::of(&before)), Some(Stand::of(&shown)));
    Ok(Json(CampaignView::new(name, &shown)))
}

/// No further device is begun until it is resumed. Tasks that wait for their device are taken back;
/// what is under way goes on.
#[utoipa::path(
    post, path = "/campaigns/{id}/pause", operation_id = "pause_campaign", tag = "Campaigns",
    params(("id" = String, Path)), request_body = Option<Why>,
    responses((status = 200, body = CampaignView)),
    security(("token" = ["campaigns:write"]))
)]
async fn pause(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
    Optional(why): Optional<Why>,
) -> Result<Json<CampaignView>, ApiError> {
    let why = why.of(&scope)?;
    steer(&acs, &scope, &trail, &id, Command::Pause { why }).await
}

/// A paused campaign goes on. What a stop rule has counted so far is forgiven.
#[utoipa::path(
    post, path = "/campaigns/{id}/resume", operation_id = "resume_campaign", tag = "Campaigns",
    params(("id" = String, Path)),
    responses((status = 200, body = CampaignView)),
    security(("token" = ["campaigns:write"]))
)]
async fn resume(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
) -> Result<Json<CampaignView>, ApiError> {
    let who = scope.principal.name.to_string();
    steer(&acs, &scope, &trail, &id, Command::Resume { who }).await
}

/// No further device is begun, for good. Tasks that wait for their device are taken back; what is
/// under way goes on to its end.
#[utoipa::path(
    post, path = "/campaigns/{id}/abort", operation_id = "abort_campaign", tag = "Campaigns",
    params(("id" = String, Path)), request_body = Option<Why>,
    responses((status = 200, body = CampaignView)),
    security(("token" = ["campaigns:write"]))
)]
async fn abort(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
    Optional(why): Optional<Why>,
) -> Result<Json<CampaignView>, ApiError> {
    let why = why.of(&scope)?;
    steer(&acs, &scope, &trail, &id, Command::Abort { why }).await
}

/// The next wave may begin.
#[utoipa::path(
    post, path = "/campaigns/{id}/approve", operation_id = "approve_wave", tag = "Campaigns",
    params(("id" = String, Path)),
    responses((status = 200, body = CampaignView)),
    security(("token" = ["campaigns:write"]))
)]
async fn approve(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
) -> Result<Json<CampaignView>, ApiError> {
    let who = scope.principal.name.to_string();
    steer(&acs, &scope, &trail, &id, Command::Approve { who }).await
}

/// What is rolled back, and why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct RollBack {
    /// Only this wave, from 1; absent: all.
    #[schema(minimum = 1)]
    wave: Option<u16>,
    /// For its log.
    why: String,
}

/// The devices that a campaign has changed get the firmware back that they had, where the file
/// store has it; of the others their results say why not. The campaign has to be paused or ended.
#[utoipa::path(
    post, path = "/campaigns/{id}/rollback", operation_id = "roll_back_campaign", tag = "Campaigns",
    params(("id" = String, Path)), request_body = Option<RollBack>,
    responses((status = 200, body = CampaignView)),
    security(("token" = ["campaigns:write"]))
)]
async fn roll_back(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
    Optional(RollBack { wave, why }): Optional<RollBack>,
) -> Result<Json<CampaignView>, ApiError> {
    let why = Why { why }.of(&scope)?;
    let wave = match wave {
        Some(0) => return Err(ApiError::bad("expected a wave of at least 1, got 0")),
        wave => wave.map(|wave| wave - 1),
    };
    steer(&acs, &scope, &trail, &id, Command::RollBack { wave, why }).await
}

/// What the copy of a campaign is called.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Clone {
    /// Absent: as the first one.
    name: Option<String>,
}

/// A copy of a campaign, as a draft.
#[utoipa::path(
    post, path = "/campaigns/{id}/clone", operation_id = "clone_campaign", tag = "Campaigns",
    params(("id" = String, Path)), request_body = Option<Clone>,
    responses((status = 201, body = CampaignView)),
    security(("token" = ["campaigns:write"]))
)]
async fn clone(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
    Optional(Clone { name }): Optional<Clone>,
) -> Result<Response, ApiError> {
    let first = acs.campaign(&scope.instance.name, parse(&id)?)?;
    let mut definition = Definition::clone(&first.definition);
    if let Some(name) = name {
        definition.name = name;
    }
    may_do(&scope, &definition)?;
    made(&acs, &scope, &trail, definition).await
}

/// Which devices of a campaign to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DevicesQuery {
    /// In this state.
    state: Option<DeviceState>,
    /// In this wave, from 1.
    #[param(minimum = 1)]
    wave: Option<u16>,
    /// `json` in pages, or all at once as `csv` or `ndjson`.
    #[serde(default)]
    format: Format,
    /// The `next` of the page before.
    after: Option<String>,
    /// Items of the page; 100 if absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// The devices of a campaign, each with where it stands and why.
#[utoipa::path(
    get, path = "/campaigns/{id}/devices", operation_id = "list_campaign_devices", tag = "Campaigns",
    params(("id" = String, Path), DevicesQuery),
    responses((
        status = 200,
        content(
            (Page<CampaignDeviceView> = "application/json"),
            (String = "text/csv"),
            (String = "application/x-ndjson"),
        )
    )),
    security(("token" = ["campaigns:read"]))
)]
async fn devices(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    Query(query): Query<DevicesQuery>,
) -> Result<Response, ApiError> {
    let (id, name) = (parse(&id)?, Arc::clone(&scope.instance.name));
    acs.campaign(&name, id)?;
    let wave = match query.wave {
        Some(0) => return Err(ApiError::bad("expected a wave of at least 1, got 0")),
        wave => wave.map(|wave| wave - 1),
    };
    let filter = CampaignDeviceFilter {
        state: query.state,
        wave,
    };
    if query.format != Format::Json {
        let who = &scope.principal.name;
        return views::stream(acs, who, name, id, filter, query.format);
    }
    let limit = super::error::limit(query.limit)?;
    let (found, next) = acs.campaign_devices(&name, id, filter, query.after.as_deref(), limit)?;
    let page = Page {
        items: found
            .iter()
            .map(|(device, record)| CampaignDeviceView::new(device, record))
            .collect(),
        next: next.map(|next| next.to_string()),
    };
    Ok(Json(page).into_response())
}

/// What a campaign did and why, the newest first. The last 500 lines are kept.
#[utoipa::path(
    get, path = "/campaigns/{id}/log", operation_id = "get_campaign_log", tag = "Campaigns",
    params(("id" = String, Path), PageQuery),
    responses((status = 200, body = Page<LogLineView>)),
    security(("token" = ["campaigns:read"]))
)]
async fn log(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<LogLineView>>, ApiError> {
    let (id, name) = (parse(&id)?, &scope.instance.name);
    acs.campaign(name, id)?;
    let limit = query.limit()?;
    let before = match &query.after {
        Some(after) => {
            let number = after.parse();
            Some(number.map_err(|_| {
                ApiError::bad(format!("expected the `next` of a page, got {after:?}"))
            })?)
        }
        None => None,
    };
    let found = acs.store.campaign_log(name, id, before, limit)?;
    let next = found.last().filter(|_| found.len() == limit);
    Ok(Json(Page {
        next: next.map(|(number, _)| number.to_string()),
        items: found
            .iter()
            .map(|(_, line)| LogLineView::new(line))
            .collect(),
    }))
}

fn parse(id: &str) -> Result<CampaignId, ApiError> {
    id.parse().map_err(ApiError::bad)
}

impl From<CampaignError> for ApiError {
    fn from(error: CampaignError) -> ApiError {
        match error {
            CampaignError::NotFound(_) => ApiError::not_found(error.to_string()),
            CampaignError::Bad(_) => ApiError::bad(error.to_string()),
            CampaignError::Conflict(_) => ApiError::conflict(error.to_string()),
            CampaignError::Store(error) => error.into(),
        }
    }
}
