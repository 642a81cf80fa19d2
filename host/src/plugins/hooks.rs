//! The hooks of the profiles that match a device, in order of priority. A hook that fails is
//! recorded and the message goes on as it was.

use std::sync::Arc;

use super::plugin::LoadedPlugin;
use super::{About, Matched, v0_1};

/// What a profile changed in a message, for the session's trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `name version`.
    pub plugin: String,
    /// For people.
    pub what: String,
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

/// A call without the hook costs a comparison.
impl Matched {
    /// Bytes that the parser refused → bytes it may read, and which plugin made them.
    /// `None`: no profile knows how.
    pub async fn repair(
        &self,
        about: &About<'_>,
        body: &[u8],
        meta: &HttpMeta,
    ) -> Option<(Vec<u8>, Change)> {
        // The profile of the highest priority knows the device best.
        for plugin in self.with(|hooks| hooks.repair).rev() {
            if let Ok(Some(repaired)) = v0_1::repair(plugin, about, body, meta).await {
                let what = format!("{} bytes → {}", body.len(), repaired.len());
                return Some((
                    repaired,
                    Change {
                        plugin: plugin.title(),
                        what,
                    },
                ));
            }
        }
        None
    }

    /// Corrects an Inform.
    pub async fn on_inform(
        &self,
        about: &About<'_>,
        mut inform: cwmp::Inform,
    ) -> (cwmp::Inform, Vec<Change>) {
        let mut changes = Vec::new();
        for plugin in self.with(|hooks| hooks.on_inform) {
            let (corrected, whats) = v0_1::on_inform(plugin, about, inform).await;
            inform = corrected;
            let whats = whats.unwrap_or_default();
            changes.extend(whats.into_iter().map(|what| Change {
                plugin: plugin.title(),
                what,
            }));
        }
        (inform, changes)
    }

    /// What to ask instead: split, reordered, replaced; empty = nothing.
    pub async fn on_request(
        &self,
        about: &About<'_>,
        request: cwmp::Request,
    ) -> Vec<cwmp::Request> {
        let mut requests = vec![request];
        for plugin in self.with(|hooks| hooks.on_request) {
            let mut next = Vec::with_capacity(requests.len());
            for request in requests {
                match v0_1::on_request(plugin, about, request).await {
                    Ok(instead) => next.extend(instead),
                    Err((request, _)) => next.push(request),
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
    ) -> cwmp::Response {
        for plugin in self.with(|hooks| hooks.on_response) {
            response = match v0_1::on_response(plugin, about, request, response).await {
                Ok(response) | Err((response, _)) => response,
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
    ) -> AfterFault {
        for plugin in self.with(|hooks| hooks.on_fault).rev() {
            match v0_1::on_fault(plugin, about, request, fault).await {
                Ok(AfterFault::GiveUp) | Err(_) => {}
                Ok(decided) => return decided,
            }
        }
        AfterFault::GiveUp
    }

    /// The device's own path for a standard one.
    pub async fn map_path(&self, about: &About<'_>, mut path: String) -> String {
        for plugin in self.with(|hooks| hooks.map_path) {
            if let Ok(Some(mapped)) = v0_1::map_path(plugin, about, &path).await {
                path = mapped;
            }
        }
        path
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
