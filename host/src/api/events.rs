//! `/v1/events`: what happens, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event as Sent, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, Query};
use super::scope::Scope;
use crate::Acs;
use crate::access::{Access, Action, Permission, Resource};
use crate::events::{self, EVENTS, Event, Follower, Told};
use crate::query;

/// After so much silence a line shows that the connection lives, and how far it is. As often it is
/// looked whether the reader still may what it might.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A stream ends after so long.
const STREAM_MAX: Duration = Duration::from_secs(3_600);
/// How soon a reader comes back whose stream has ended.
const RETRY: Duration = Duration::from_secs(2);
/// What it takes to follow, and where that is routed.
const READ: Permission = Permission::new(Resource::Events, Action::Read);
const PATH: &str = "/v1/events";
const LAST_EVENT_ID: &str = "last-event-id";

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new().routes(routes!(follow))
}

/// Which events.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// Such as `kind = "task.failed" and device.tag = gold`; fields: `kind`, `at`, `instance`,
    /// `device`, `device.tag` and others of the device, `data.…`.
    #[serde(default)]
    query: String,
    /// Begin after the event of this number; `Last-Event-ID` goes before it.
    after: Option<u64>,
    /// Of all instances; for who may follow the host's.
    #[serde(default)]
    all_instances: bool,
}

/// Events that came before what follows were not kept so long: `event: lost`.
#[derive(Debug, Serialize, ToSchema)]
struct Lost {
    /// How many events of the host there were, whatever was asked for; null: nobody knows, the
    /// host was restarted since.
    count: Option<u64>,
}

/// What happens, as it happens.
///
/// `text/event-stream`: `id` is the number, `event` the kind, `data` the event as JSON. Who comes
/// back with `Last-Event-ID` gets what it has missed, if the host still has it; otherwise an event
/// `lost` comes first. A reader that does not keep up is cut off.
#[utoipa::path(
    get, path = "/events", operation_id = "follow_events", tag = "Events", params(EventsQuery),
    responses((
        status = 200, description = "Events without end; each `data` is an Event",
        content((String = "text/event-stream"), (Told<'_> = "application/json"))
    )),
    security(("token" = ["events:read"]))
)]
async fn follow(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Query(asked): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let last = headers.get(LAST_EVENT_ID).map(|last| {
        let number = last.to_str().ok().and_then(|last| last.parse::<u64>().ok());
        number.ok_or_else(|| ApiError::bad("expected the number of an event as Last-Event-ID"))
    });
    let after = last.transpose()?.or(asked.after);
    let wanted = Wanted::new(Arc::clone(&acs), scope, &asked.query, asked.all_instances)?;
    let place = acs.events.stream(&wanted.scope.principal.name);
    let place = place.ok_or_else(ApiError::busy)?;
    let follower = match after {
        Some(number) => acs.events.follow_after(number),
        None => acs.events.follow(),
    };
    let following = Following {
        wanted,
        follower,
        has_begun: false,
        ends: tokio::time::Instant::now() + STREAM_MAX,
        looks_again: tokio::time::Instant::now() + HEARTBEAT,
        _place: place,
    };
    let mut response = Sse::new(following.stream()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A proxy that gathers would hold them back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// A stream under way.
struct Following {
    wanted: Wanted,
    follower: Follower,
    has_begun: bool,
    ends: tokio::time::Instant,
    looks_again: tokio::time::Instant,
    _place: events::Stream,
}

impl Following {
    fn stream(self) -> impl Stream<Item = Result<Sent, Infallible>> {
        let batches = stream::unfold(Some(self), async |following| {
            let mut following = following?;
            let (batch, goes_on) = following.batch().await?;
            Some((batch, goes_on.then_some(following)))
        });
        batches.flat_map(|batch| stream::iter(batch.into_iter().map(Ok)))
    }

    /// What comes next, and whether more will; `None`: the end.
    async fn batch(&mut self) -> Option<(Vec<Sent>, bool)> {
        if !std::mem::replace(&mut self.has_begun, true) {
            // At once: the reader sees that it is let in, and where it stands.
            let news = self.follower.take();
            let mut told = vec![self.heartbeat().retry(RETRY)];
            told.extend(self.told(&news));
            return Some((told, true));
        }
        let until = self.ends.min(tokio::time::Instant::now() + HEARTBEAT);
        let news = tokio::time::timeout_at(until, self.follower.next()).await;
        let now = tokio::time::Instant::now();
        if now >= self.looks_again {
            self.looks_again = now + HEARTBEAT;
            self.wanted = self.wanted.again()?;
        }
        match news {
            Ok(news) if news.events.is_empty() && news.lost == Some(0) => None,
            // One that has not kept up is cut off: it may come back and begin anew.
            Ok(news) => Some((self.told(&news), news.lost == Some(0))),
            Err(_) if until == self.ends => None,
            Err(_) => Some((vec![self.heartbeat()], true)),
        }
    }

    fn told(&self, news: &events::News) -> Vec<Sent> {
        let mut told = Vec::new();
        if news.lost != Some(0) {
            let lost = Sent::default().event("lost");
            told.extend(lost.json_data(Lost { count: news.lost }));
        }
        let wanted = news.events.iter().filter(|event| self.wanted.wants(event));
        told.extend(wanted.filter_map(|event| {
            let sent = Sent::default().id(event.number.to_string());
            sent.event(event.what.kind()).json_data(event.told()).ok()
        }));
        told
    }

    /// Moves the reader's Last-Event-ID on although nothing was for it.
    fn heartbeat(&self) -> Sent {
        let position = self.follower.position().to_string();
        Sent::default().id(position).comment("here")
    }
}

/// Which events somebody asks for and may see.
struct Wanted {
    acs: Arc<Acs>,
    scope: Scope,
    /// The query as it was written.
    text: String,
    query: query::Query,
    of_host: bool,
    all_instances: bool,
}

impl Wanted {
    fn new(
        acs: Arc<Acs>,
        scope: Scope,
        text: &str,
        all_instances: bool,
    ) -> Result<Wanted, ApiError> {
        let query = query::Query::parse_for(&EVENTS, text)
            .map_err(|error| ApiError::bad(error.to_string()))?;
        let of_host = matches!(scope.principal.on(None, READ), Access::All);
        if all_instances && !of_host {
            return Err(ApiError::forbidden(format!(
                "{} may not follow the events of all instances",
                scope.principal.name
            )));
        }
        Ok(Wanted {
            acs,
            scope,
            text: text.to_owned(),
            query,
            of_host,
            all_instances,
        })
    }

    /// With what its reader may by now; `None`: nothing of this.
    fn again(&self) -> Option<Wanted> {
        let (acs, instance) = (&self.acs, &self.scope.instance.name);
        let principal = acs.gate.again(&self.scope.principal, acs.clock.unix())?;
        let scope = Scope::find(
            acs,
            Some(instance),
            principal.into(),
            Some(READ),
            Some(PATH),
        );
        Wanted::new(Arc::clone(acs), scope.ok()?, &self.text, self.all_instances).ok()
    }

    fn wants(&self, event: &Event) -> bool {
        self.may_see(event) && self.acs.is_event(&self.query, event)
    }

    fn may_see(&self, event: &Event) -> bool {
        match event.instance.as_deref() {
            None => self.of_host,
            Some(instance) if *instance != *self.scope.instance.name => self.all_instances,
            Some(_) if self.scope.devices.is_none() => true,
            Some(_) => {
                let id = event.device.as_deref();
                id.is_some_and(|id| self.scope.cell(&self.acs, id).is_ok())
            }
        }
    }
}
