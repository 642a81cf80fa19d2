//! The calls into a guest, in the host's own words.

use std::sync::Arc;

use super::super::guest::{Call, Guest};
use super::super::hooks::{AfterFault, Hooks, HttpMeta};
use super::super::load::{FlowInfo, PolicyInfo, ProfileInfo, Trigger};
use super::super::plugin::LoadedPlugin;
use super::super::policy::{Decision, Facts};
use super::super::pool::Use;
use super::super::{About, PluginError, PluginErrorKind, sendable};

use super::{
    Exports, changes, convert, convert_inform, convert_policy, convert_request, convert_response,
    quirks, types,
};

/// Of an Inform that a hook gives back.
const EVENTS_MAX: usize = 64;

/// Takes an instance, calls a function of one of its exports under limits, gives it back.
macro_rules! call {
    ($plugin:expr, $about:expr, $export:ident . $function:ident ( $($argument:expr),* )) => {{
        let plugin: &Arc<LoadedPlugin> = $plugin;
        let mut lease = plugin.lease(Use::Call, Call::hook(plugin.limits(), $about)).await?;
        let (exports, store) = lease.parts();
        let outcome = match &exports.$export {
            Some(export) => plugin.metered(export.$function(store, $($argument),*)).await,
            None => Err(missing()),
        };
        lease.finish(outcome)
    }};
}

fn missing() -> PluginErrorKind {
    PluginErrorKind::Answer("does not export what was asked of it".to_owned())
}

/// What a guest gives back has limits too.
fn at_most(
    plugin: &LoadedPlugin,
    what: &str,
    given: usize,
    most: usize,
) -> Result<(), PluginError> {
    if given > most {
        return Err(refused(
            plugin,
            format!("gave back {given} {what}; at most {most}"),
        ));
    }
    Ok(())
}

fn refused(plugin: &LoadedPlugin, text: String) -> PluginError {
    plugin.failed(PluginErrorKind::Answer(text))
}

impl Exports {
    pub(in super::super) async fn describe_profile(
        &self,
        store: &mut wasmtime::Store<Guest>,
    ) -> wasmtime::Result<Option<ProfileInfo>> {
        let Some(quirks) = &self.quirks else {
            return Ok(None);
        };
        let profile = quirks.call_describe(store).await?;
        let has = |hook| profile.hooks.contains(hook);
        Ok(Some(ProfileInfo {
            hooks: Hooks {
                repair: has(quirks::Hooks::REPAIR),
                on_inform: has(quirks::Hooks::ON_INFORM),
                on_request: has(quirks::Hooks::ON_REQUEST),
                on_response: has(quirks::Hooks::ON_RESPONSE),
                on_fault: has(quirks::Hooks::ON_FAULT),
                map_path: has(quirks::Hooks::MAP_PATH),
            },
            name: profile.name,
            version: profile.version,
            matches: convert::matches(profile.matches),
            priority: profile.priority,
            overrides: profile.overrides,
        }))
    }

    pub(in super::super) async fn describe_flow(
        &self,
        store: &mut wasmtime::Store<Guest>,
    ) -> wasmtime::Result<Option<FlowInfo>> {
        let Some(flow) = &self.flow else {
            return Ok(None);
        };
        let description = flow.call_describe(store).await?;
        Ok(Some(FlowInfo {
            name: description.name,
            version: description.version,
            priority: description.priority,
            triggers: description
                .triggers
                .into_iter()
                .map(|trigger| Trigger {
                    events: trigger.events,
                    devices: convert::matches(trigger.devices),
                    tags: trigger.tags,
                    without_tags: trigger.without_tags,
                })
                .collect(),
        }))
    }

    pub(in super::super) async fn describe_policy(
        &self,
        store: &mut wasmtime::Store<Guest>,
    ) -> wasmtime::Result<Option<PolicyInfo>> {
        let Some(policy) = &self.policy else {
            return Ok(None);
        };
        let description = policy.call_describe(store).await?;
        Ok(Some(PolicyInfo {
            name: description.name,
            version: description.version,
        }))
    }
}

/// `None`: this profile cannot repair it.
pub(in super::super) async fn repair(
    plugin: &Arc<LoadedPlugin>,
    about: &About<'_>,
    body: &[u8],
    meta: &HttpMeta,
) -> Result<Option<Vec<u8>>, PluginError> {
    let meta = quirks::HttpMeta {
        content_type: meta.content_type.clone(),
        user_agent: meta.user_agent.clone(),
        peer: meta.peer.clone(),
    };
    let Ok(repaired) = call!(plugin, about, quirks.call_repair(body, &meta))? else {
        return Ok(None);
    };
    at_most(
        plugin,
        "bytes of a message",
        repaired.len(),
        plugin.limits().repaired_bytes_max,
    )?;
    Ok(Some(repaired))
}

/// The Inform comes back in any case; with an error, as it was.
pub(in super::super) async fn on_inform(
    plugin: &Arc<LoadedPlugin>,
    about: &About<'_>,
    inform: cwmp::Inform,
) -> (cwmp::Inform, Result<Vec<String>, PluginError>) {
    let (before, rest) = convert_inform::inform_to_wit(about, inform);
    let corrected = async { call!(plugin, about, quirks.call_on_inform(&before)) }.await;
    let corrected = corrected.and_then(|after| {
        at_most(
            plugin,
            "parameters",
            after.parameters.len(),
            plugin.limits().parameters_max,
        )?;
        at_most(plugin, "events", after.events.len(), EVENTS_MAX)?;
        if after.device.oui.trim().is_empty() && after.device.serial_number.trim().is_empty() {
            return Err(refused(
                plugin,
                "gave back an Inform of no device".to_owned(),
            ));
        }
        Ok(after)
    });
    match corrected {
        Ok(after) => {
            let changes = changes::inform(&before, &after);
            (convert_inform::inform(after, rest), Ok(changes))
        }
        Err(error) => (convert_inform::inform(before, rest), Err(error)),
    }
}

/// What to ask instead, and what that changes. With an error, the request as it was.
pub(in super::super) async fn on_request(
    plugin: &Arc<LoadedPlugin>,
    about: &About<'_>,
    request: cwmp::Request,
) -> Result<(Vec<cwmp::Request>, Vec<String>), (cwmp::Request, PluginError)> {
    let (request, rest) = match convert_request::request_to_wit(request) {
        Ok(both) => both,
        Err(request) => return Ok((vec![request], Vec::new())),
    };
    let device = convert::device(about);
    let asked = async { call!(plugin, about, quirks.call_on_request(&device, &request)) }.await;
    asked
        .and_then(|requests| {
            let changes = changes::requests(&request, &requests);
            Ok((requests_of(plugin, requests, &rest)?, changes))
        })
        .map_err(|error| (convert_request::request(request, &rest), error))
}

fn requests_of(
    plugin: &LoadedPlugin,
    requests: Vec<types::Request>,
    rest: &convert_request::Rest,
) -> Result<Vec<cwmp::Request>, PluginError> {
    at_most(
        plugin,
        "requests",
        requests.len(),
        plugin.limits().requests_max,
    )?;
    requests
        .into_iter()
        .map(|request| {
            convert_request::checked_request(request, rest).map_err(|error| refused(plugin, error))
        })
        .collect()
}

/// The response, and what was changed in it. With an error, the response as it was.
pub(in super::super) async fn on_response(
    plugin: &Arc<LoadedPlugin>,
    about: &About<'_>,
    request: &cwmp::Request,
    response: cwmp::Response,
) -> Result<(cwmp::Response, Vec<String>), (cwmp::Response, PluginError)> {
    let Ok((request, _)) = convert_request::request_to_wit(request.clone()) else {
        return Ok((response, Vec::new()));
    };
    let device = convert::device(about);
    let (before, shape) = convert_response::response_to_wit(response);
    let asked = async {
        call!(
            plugin,
            about,
            quirks.call_on_response(&device, &request, &before)
        )
    }
    .await;
    asked
        .and_then(|after| {
            if let types::Response::Values(values) = &after {
                at_most(
                    plugin,
                    "parameters",
                    values.len(),
                    plugin.limits().parameters_max,
                )?;
            }
            let changes = changes::response(&before, &after);
            let response = convert_response::response(after, &shape)
                .map_err(|error| refused(plugin, error))?;
            Ok((response, changes))
        })
        // What was made of it can be made into it again.
        .map_err(|error| {
            (
                convert_response::response(before, &shape).unwrap_or(shape),
                error,
            )
        })
}

pub(in super::super) async fn on_fault(
    plugin: &Arc<LoadedPlugin>,
    about: &About<'_>,
    request: &cwmp::Request,
    fault: &cwmp::Fault,
) -> Result<(AfterFault, Vec<String>), PluginError> {
    let Ok((request, rest)) = convert_request::request_to_wit(request.clone()) else {
        return Ok((AfterFault::GiveUp, Vec::new()));
    };
    let device = convert::device(about);
    let fault = convert::fault_to_wit(fault.clone());
    Ok(
        match call!(
            plugin,
            about,
            quirks.call_on_fault(&device, &request, &fault)
        )? {
            quirks::AfterFault::GiveUp => (AfterFault::GiveUp, Vec::new()),
            quirks::AfterFault::Skip => (AfterFault::Skip, vec!["skipped".to_owned()]),
            quirks::AfterFault::Retry(requests) if requests.is_empty() => {
                (AfterFault::Skip, vec!["skipped".to_owned()])
            }
            quirks::AfterFault::Retry(requests) => {
                let changes = changes::retried(&requests);
                (
                    AfterFault::Retry(requests_of(plugin, requests, &rest)?),
                    changes,
                )
            }
        },
    )
}

/// `None`: the standard's path.
pub(in super::super) async fn map_path(
    plugin: &Arc<LoadedPlugin>,
    about: &About<'_>,
    path: &str,
) -> Result<Option<String>, PluginError> {
    let device = convert::device(about);
    let mapped = call!(plugin, about, quirks.call_map_path(&device, path))?;
    if let Some(mapped) = &mapped {
        let checked = if mapped.is_empty() {
            Err("made a path empty".to_owned())
        } else {
            sendable::path(mapped)
        };
        checked.map_err(|error| refused(plugin, error))?;
    }
    Ok(mapped)
}

pub(in super::super) async fn decide(
    plugin: &Arc<LoadedPlugin>,
    about: &About<'_>,
    facts: &Facts,
) -> Result<Decision, PluginError> {
    let facts = convert_policy::facts(about, facts);
    call!(plugin, about, policy.call_decide(&facts)).map(convert_policy::decision)
}

/// The future of a whole flow. The time it takes is measured by whoever polls it.
pub(in super::super) fn run_flow(
    plugin: Arc<LoadedPlugin>,
    call: Call,
    about: &About<'_>,
    occasion: super::super::Occasion,
) -> impl Future<Output = Result<Result<(), String>, PluginError>> + Send + use<> {
    let occasion = convert::occasion(about, occasion);
    async move {
        let mut lease = plugin.lease(Use::Flow, call).await?;
        let (exports, store) = lease.parts();
        let outcome = match &exports.flow {
            Some(flow) => Ok(flow.call_run(store, &occasion).await),
            None => Err(missing()),
        };
        lease.finish(outcome)
    }
}
