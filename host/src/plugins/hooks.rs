//! The hooks of the profiles that match a device, in order of priority. A hook that fails is
//! recorded and the message goes on as it was.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::plugin::LoadedPlugin;
use super::{About, Matched, PluginError, diff, v0_1};

/// One call of a hook, for the session's trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCall {
    /// `name version`.
    pub plugin: String,
    /// `on-inform`, `map-path`, ….
    pub hook: &'static str,
    /// What it changed: lines `- before` and `+ after`, few and short, without secrets.
    pub changes: Vec<String>,
    /// Why it failed; the message went on as it was.
    pub failed: Option<String>,
    /// By the clock.
    pub took: Duration,
}

/// For people: a line, and one more for each change.
impl std::fmt::Display for HookCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = self.took.as_micros();
        write!(f, "{} {} in {micros} µs", self.plugin, self.hook)?;
        if let Some(error) = &self.failed {
            write!(f, " failed: {error}")?;
        }
        for change in &self.changes {
            write!(f, "\n{change}")?;
        }
        Ok(())
    }
}

/// What is known of the HTTP request whose body cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpMeta {
    /// `Content-Type`; may be empty.
    pub content_type: String,
    /// `User-Agent`; may be empty.
    pub user_agent: String,
    /// The client's address.
    pub peer: String,
}

/// What to do about a fault.
#[derive(Debug, Clone, PartialEq)]
pub enum AfterFault {
    /// It stands.
    GiveUp,
    /// Go on as if it had not been asked.
    Skip,
    /// Ask this instead.
    Retry(Vec<cwmp::Request>),
}

/// Which hooks a profile has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hooks {
    pub(super) repair: bool,
    pub(super) on_inform: bool,
    pub(super) on_request: bool,
    pub(super) on_response: bool,
    pub(super) on_fault: bool,
    pub(super) map_path: bool,
}

impl Hooks {
    pub(super) fn or(self, other: Hooks) -> Hooks {
        Hooks {
            repair: self.repair || other.repair,
            on_inform: self.on_inform || other.on_inform,
            on_request: self.on_request || other.on_request,
            on_response: self.on_response || other.on_response,
            on_fault: self.on_fault || other.on_fault,
            map_path: self.map_path || other.map_path,
        }
    }

    pub(super) fn names(self) -> Vec<&'static str> {
        [
            (self.repair, "repair"),
            (self.on_inform, "on-inform"),
            (self.on_request, "on-request"),
            (self.on_response, "on-response"),
            (self.on_fault, "on-fault"),
            (self.map_path, "map-path"),
        ]
        .into_iter()
        .filter(|(has, _)| *has)
        .map(|(_, name)| name)
        .collect()
    }
}

/// A hook that no profile has costs a comparison. What each call did is added to `calls`.
impl Matched {
    /// Bytes that the parser refused → bytes it may read. `None`: no profile knows how.
    pub async fn repair(
        &self,
        about: &About<'_>,
        body: &[u8],
        meta: &HttpMeta,
        calls: &mut Vec<HookCall>,
    ) -> Option<Vec<u8>> {
        // The profile of the highest priority knows the device best.
        for plugin in self.with(|hooks| hooks.repair).rev() {
            let call = Watch::start(plugin, "repair");
            match v0_1::repair(plugin, about, body, meta).await {
                Ok(Some(repaired)) => {
                    calls.push(call.changed(diff::repaired(body, &repaired)));
                    return Some(repaired);
                }
                Ok(None) => calls.push(call.changed(Vec::new())),
                Err(error) => calls.push(call.failed(&error)),
            }
        }
        None
    }

    /// Corrects an Inform.
    pub async fn on_inform(
        &self,
        about: &About<'_>,
        mut inform: cwmp::Inform,
        calls: &mut Vec<HookCall>,
    ) -> cwmp::Inform {
        for plugin in self.with(|hooks| hooks.on_inform) {
            let call = Watch::start(plugin, "on-inform");
            let (corrected, changes) = v0_1::on_inform(plugin, about, inform).await;
            inform = corrected;
            calls.push(match changes {
                Ok(changes) => call.changed(changes),
                Err(error) => call.failed(&error),
            });
        }
        inform
    }

    /// What to ask instead: split, reordered, replaced; empty = nothing.
    pub async fn on_request(
        &self,
        about: &About<'_>,
        request: cwmp::Request,
        calls: &mut Vec<HookCall>,
    ) -> Vec<cwmp::Request> {
        let mut requests = vec![request];
        for plugin in self.with(|hooks| hooks.on_request) {
            let mut next = Vec::with_capacity(requests.len());
            for request in requests {
                let call = Watch::start(plugin, "on-request");
                match v0_1::on_request(plugin, about, request).await {
                    Ok((instead, changes)) => {
                        next.extend(instead);
                        calls.push(call.changed(changes));
                    }
                    Err((request, error)) => {
                        next.push(request);
                        calls.push(call.failed(&error));
                    }
                }
            }
            requests = next;
        }
        requests
    }

    /// Corrects a response.
    pub async fn on_response(
        &self,
        about: &About<'_>,
        request: &cwmp::Request,
        mut response: cwmp::Response,
        calls: &mut Vec<HookCall>,
    ) -> cwmp::Response {
        for plugin in self.with(|hooks| hooks.on_response) {
            let call = Watch::start(plugin, "on-response");
            response = match v0_1::on_response(plugin, about, request, response).await {
                Ok((response, changes)) => {
                    calls.push(call.changed(changes));
                    response
                }
                Err((response, error)) => {
                    calls.push(call.failed(&error));
                    response
                }
            };
        }
        response
    }

    /// What to do about a fault: the profile of the highest priority that does not give up decides.
    pub async fn on_fault(
        &self,
        about: &About<'_>,
        request: &cwmp::Request,
        fault: &cwmp::Fault,
        calls: &mut Vec<HookCall>,
    ) -> AfterFault {
        for plugin in self.with(|hooks| hooks.on_fault).rev() {
            let call = Watch::start(plugin, "on-fault");
            match v0_1::on_fault(plugin, about, request, fault).await {
                Ok((decided, changes)) => {
                    calls.push(call.changed(changes));
                    if decided != AfterFault::GiveUp {
                        return decided;
                    }
                }
                Err(error) => calls.push(call.failed(&error)),
            }
        }
        AfterFault::GiveUp
    }

    /// The device's own path for a standard one, the first that a profile gives, from the
    /// highest priority down. `None`: no profile has one.
    pub async fn map_path(
        &self,
        about: &About<'_>,
        path: &str,
        calls: &mut Vec<HookCall>,
    ) -> Option<String> {
        for plugin in self.with(|hooks| hooks.map_path).rev() {
            let call = Watch::start(plugin, "map-path");
            match v0_1::map_path(plugin, about, path).await {
                Ok(Some(mapped)) => {
                    calls.push(call.changed(vec![format!("- {path}"), format!("+ {mapped}")]));
                    return Some(mapped);
                }
                Ok(None) => calls.push(call.changed(Vec::new())),
                Err(error) => calls.push(call.failed(&error)),
            }
        }
        None
    }

    /// Whether any profile has the hook `on-response`: without it a response need not be kept
    /// with its request.
    pub fn has_on_response(&self) -> bool {
        self.hooks.on_response
    }

    /// Whether any profile has the hook `on-inform`.
    pub fn has_on_inform(&self) -> bool {
        self.hooks.on_inform
    }

    fn with(&self, has: fn(&Hooks) -> bool) -> impl DoubleEndedIterator<Item = &Arc<LoadedPlugin>> {
        let profiles = if has(&self.hooks) {
            &self.profiles[..]
        } else {
            &[]
        };
        profiles.iter().filter(move |plugin| {
            plugin
                .description
                .profile
                .as_ref()
                .is_some_and(|one| has(&one.hooks))
        })
    }
}

/// A call under way.
struct Watch<'a> {
    plugin: &'a LoadedPlugin,
    hook: &'static str,
    begun: Instant,
}

impl Watch<'_> {
    fn start<'a>(plugin: &'a LoadedPlugin, hook: &'static str) -> Watch<'a> {
        Watch {
            plugin,
            hook,
            begun: Instant::now(),
        }
    }

    fn changed(self, changes: Vec<String>) -> HookCall {
        HookCall {
            plugin: self.plugin.title(),
            hook: self.hook,
            changes,
            failed: None,
            took: self.begun.elapsed(),
        }
    }

    fn failed(self, error: &PluginError) -> HookCall {
        HookCall {
            failed: Some(error.kind.to_string()),
            ..self.changed(Vec::new())
        }
    }
}
