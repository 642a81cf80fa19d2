//! What a request is about and who asks: an instance, a principal and the devices it may see.
//!
//! `/v1/instances/{instance}/…` becomes `/v1/…` before anything is routed; the name waits in the
//! request until it is known who asks.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Uri;
use http::request::Parts;
use http::uri::PathAndQuery;

use super::error::ApiError;
use crate::Acs;
use crate::access::{Access, Action, Permission, Principal, Resource};
use crate::device::DeviceKey;
use crate::instance::Instance;
use crate::query::Query;
use crate::store::DeviceCell;
use crate::work::task::Operation;

/// Whose resources a request is about, and who asks.
#[derive(Clone)]
pub(super) struct Scope {
    /// The instance that the path names, or the caller's own.
    pub(super) instance: Arc<Instance>,
    /// Who asks.
    pub(super) principal: Arc<Principal>,
    /// The devices there that the operation may be about.
    pub(super) devices: Option<Arc<Query>>,
}

/// To see the values of parameters.
pub(super) const PARAMETERS_READ: Permission = Permission::new(Resource::Parameters, Action::Read);

/// Routes that show nothing of devices that a principal may not see, beside those of one device:
/// to whoever may see some devices only, all others are closed.
const OF_SOME_DEVICES: [&str; 9] = [
    "/v1/audit",
    "/v1/audit/export",
    "/v1/devices",
    "/v1/events",
    "/v1/sessions/{id}",
    "/v1/sessions/{id}/export",
    "/v1/tasks",
    "/v1/tasks/{id}",
    "/v1/tasks/{id}/cancel",
];

impl Scope {
    /// The instance that is asked for, if the principal may do there what the route needs; an
    /// operation without a permission is for everybody who is signed in.
    pub(super) fn find(
        acs: &Acs,
        wanted: Option<&str>,
        principal: Arc<Principal>,
        permission: Option<Permission>,
        path: Option<&str>,
    ) -> Result<Scope, ApiError> {
        let own = principal.instance();
        let name = wanted.unwrap_or(&own);
        // Of an instance that is not the caller's nothing is told, not even that there is one.
        let instance = acs
            .instances
            .get(name)
            .filter(|_| wanted.is_none() || principal.instances().has(name))
            .ok_or_else(|| ApiError::not_found(format!("there is no instance {name:?}")))?;
        let access = match permission {
            None => Access::All,
            // Who may see users anywhere sees those; the gate knows which.
            Some(permission) if permission.resource == Resource::Users => {
                match principal.instances_with(permission).is_none() {
                    true => Access::Denied,
                    false => Access::All,
                }
            }
            Some(permission) => principal.on(permission.place(name), permission),
        };
        let devices = match (access, permission) {
            (Access::All, _) => None,
            (Access::Devices(devices), _) if path.is_some_and(shows_some_devices) => Some(devices),
            (Access::Devices(_), _) => {
                return Err(ApiError::forbidden(format!(
                    "{} may not do this: it is not about the devices of its role alone",
                    principal.name
                )));
            }
            (Access::Denied, permission) => {
                let permission = permission.map(|permission| permission.to_string());
                return Err(lacks(&principal, &permission.unwrap_or_default()));
            }
        };
        Ok(Scope {
            instance,
            principal,
            devices,
        })
    }

    /// The key of a device that the principal may see or make.
    pub(super) fn key(&self, acs: &Acs, id: &str) -> Result<DeviceKey, ApiError> {
        let key = DeviceKey {
            instance: Arc::clone(&self.instance.name),
            id: id.into(),
        };
        match &self.devices {
            None => Ok(key),
            // Nobody makes a device that they could not see.
            Some(_) => Ok(self.cell(acs, id)?.key().clone()),
        }
    }

    /// A device that there is and that the principal may see.
    pub(super) fn cell(&self, acs: &Acs, id: &str) -> Result<Arc<DeviceCell>, ApiError> {
        let key = DeviceKey {
            instance: Arc::clone(&self.instance.name),
            id: id.into(),
        };
        let cell = acs.store.device(&key)?;
        match cell {
            Some(cell) if sees(acs, self.devices.as_ref(), &cell)? => Ok(cell),
            _ => Err(ApiError::no_device(&key)),
        }
    }

    /// Whether the principal may see what is of a device.
    pub(super) fn sees(&self, acs: &Acs, id: &str) -> Result<bool, ApiError> {
        if self.devices.is_none() {
            return Ok(true);
        }
        match self.cell(acs, id) {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Of which devices the principal may see the values of parameters.
    pub(super) fn parameters(&self) -> Access {
        self.principal
            .on(Some(&self.instance.name), PARAMETERS_READ)
    }

    /// Whether the principal may see the values of a device's parameters.
    pub(super) fn sees_parameters(&self, acs: &Acs, cell: &DeviceCell) -> Result<bool, ApiError> {
        match self.parameters() {
            Access::Denied => Ok(false),
            Access::All => Ok(true),
            Access::Devices(devices) => sees(acs, Some(&devices), cell),
        }
    }

    /// That the principal may not do what it wants.
    pub(super) fn lacks(&self, permission: Permission) -> ApiError {
        lacks(&self.principal, &permission.to_string())
    }

    /// Whether the principal may ask this of the device: some roles have some operations only.
    pub(super) fn check_operation(
        &self,
        acs: &Acs,
        cell: &DeviceCell,
        operation: &Operation,
    ) -> Result<(), ApiError> {
        let principal = &self.principal;
        let may = match principal.may_do(&self.instance.name, operation) {
            Access::Denied => false,
            Access::All => true,
            Access::Devices(devices) => sees(acs, Some(&devices), cell)?,
        };
        match may {
            true => Ok(()),
            false => Err(ApiError::forbidden(format!(
                "{} may not ask this of the device: no role of its has the operation",
                principal.name
            ))),
        }
    }
}

fn lacks(principal: &Principal, permission: &str) -> ApiError {
    ApiError::forbidden(format!(
        "{} may not do this: it needs the permission {permission}",
        principal.name
    ))
}

/// Whether a device is among these.
fn sees(acs: &Acs, devices: Option<&Arc<Query>>, cell: &DeviceCell) -> Result<bool, ApiError> {
    let now = acs.clock.unix();
    Ok(devices.is_none_or(|devices| acs.store.matches(cell, devices, now)))
}

/// Whether what is routed as `path` is about one device, or shows those of a role only.
fn shows_some_devices(path: &str) -> bool {
    path.starts_with("/v1/devices/{id}") || OF_SOME_DEVICES.contains(&path)
}

impl<S: Send + Sync> FromRequestParts<S> for Scope {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Scope, ApiError> {
        let scope = parts.extensions.get::<Scope>().cloned();
        scope.ok_or_else(|| ApiError::internal("a route that nobody was let in to"))
    }
}

/// The instance that the path of a request names.
#[derive(Clone)]
pub(super) struct WantedInstance(pub(super) Arc<str>);

/// Takes the instance out of the path; where the path is that of the instance itself, it stays.
pub(super) async fn take_instance(mut request: Request, next: Next) -> Response {
    if let Some(name) = alone(request.uri().path()) {
        let name = WantedInstance(name.into());
        request.extensions_mut().insert(name);
        return next.run(request).await;
    }
    if let Some((name, path)) = split(request.uri().path()) {
        let (name, mut path) = (WantedInstance(name.into()), path);
        if let Some(query) = request.uri().query() {
            path = format!("{path}?{query}");
        }
        let mut parts = request.uri().clone().into_parts();
        let Ok(path) = path.parse::<PathAndQuery>() else {
            return ApiError::bad("expected a path").into_response();
        };
        parts.path_and_query = Some(path);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
            request.extensions_mut().insert(name);
        }
    }
    next.run(request).await
}

/// `/v1/instances/acme` → `acme`
fn alone(path: &str) -> Option<&str> {
    let name = path.strip_prefix("/v1/instances/")?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

/// `/v1/instances/acme/devices` → `acme`, `/v1/devices`. An instance alone is a resource itself,
/// and none is within another: who is asked for would be another than who is let in.
fn split(path: &str) -> Option<(&str, String)> {
    let (name, rest) = path.strip_prefix("/v1/instances/")?.split_once('/')?;
    let is_within = rest == "instances" || rest.starts_with("instances/");
    (!name.is_empty() && !rest.is_empty() && !is_within).then(|| (name, format!("/v1/{rest}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_in_paths() {
        let check = |path: &str, expected: Option<(&str, &str)>| {
            let split = split(path);
            let split = split.as_ref().map(|(name, rest)| (*name, rest.as_str()));
            assert_eq!(split, expected, "{path}");
        };
        check(
            "/v1/instances/acme/devices/1",
            Some(("acme", "/v1/devices/1")),
        );
        check("/v1/instances/acme/tasks", Some(("acme", "/v1/tasks")));
        check("/v1/instances/acme", None);
        check("/v1/instances/acme/", None);
        check("/v1/instances//devices", None);
        check("/v1/instances/acme/instances", None);
        check("/v1/instances/acme/instances/other", None);
        check("/v1/instances", None);
        check("/v1/devices/instances/x", None);
        assert_eq!(alone("/v1/instances/acme"), Some("acme"));
        for path in ["/v1/instances", "/v1/instances/", "/v1/instances/acme/"] {
            assert_eq!(alone(path), None, "{path}");
        }
    }
}
