//! What RPCs tell about the device, kept; and the device's record as a flow sees it.

use std::sync::Arc;

use cwmp::{Fault, ParameterInfo, ParameterValue, Request, Response, SetParameterValues};

use super::Conversation;
use crate::clock::Now;
use crate::device::{Credentials, UnixTime, is_secret};
use crate::events::Events;
use crate::plugins::{About, DeviceRecord, KnownFuture, Matched};
use crate::store::{Device, DeviceCell, Store};
use crate::work::exchange::own_fault;
use crate::work::standard_names::{self, Names};

/// Credentials whose answer was lost, of one device: it has the last ones, or some before them.
const PENDING_CREDENTIALS_MAX: usize = 4;

/// The device's record, for a flow.
pub(super) struct Record {
    pub(super) store: Store,
    pub(super) cell: Arc<DeviceCell>,
    /// What of the plugins is for the device: a profile may have its own names.
    pub(super) matched: Arc<Matched>,
    pub(super) events: Arc<Events>,
    pub(super) now: UnixTime,
}

impl DeviceRecord for Record {
    fn known<'a>(&'a self, path: &'a str) -> KnownFuture<'a> {
        Box::pin(async move {
            if !standard_names::is_standard(path) {
                return self.readings(path);
            }
            let own = self.own_name(path).await;
            let mut readings = self.readings(&own);
            let mut names = Names::default();
            names.insert(path.to_owned(), own);
            for (parameter, _) in &mut readings {
                if let Some(asked) = names.asked(&parameter.path) {
                    parameter.path = asked;
                }
            }
            readings
        })
    }

    fn tag(&self, name: &str) {
        self.change_tags(|tags| {
            tags.insert(name.to_owned());
        });
    }

    fn untag(&self, name: &str) {
        self.change_tags(|tags| {
            tags.remove(name);
        });
    }

    fn tags(&self) -> Vec<String> {
        self.cell.lock().summary().tags.iter().cloned().collect()
    }
}

impl Record {
    async fn own_name(&self, standard: &str) -> String {
        let device = self.cell.lock().shared_summary();
        let about = About {
            key: self.cell.key(),
            device: &device,
            now: self.now,
        };
        // A reading is no message: nothing of it stands in the trace.
        let mut calls = Vec::new();
        let mapped = self.matched.map_path(&about, standard, &mut calls).await;
        mapped.unwrap_or_else(|| standard_names::own_name(standard, device.data_model))
    }

    /// The readings under a name of the device's own.
    fn readings(&self, path: &str) -> Vec<(ParameterValue, UnixTime)> {
        let mut device = self.cell.lock();
        // A full name is looked up, not searched.
        if !path.ends_with('.') && !path.contains('*') && !path.is_empty() {
            let reading = device.tree().get(path);
            return reading
                .map(|reading| told(path, reading))
                .into_iter()
                .flatten()
                .collect();
        }
        device
            .tree_mut()
            .prefix(path)
            .filter_map(|(path, reading)| told(path, reading))
            .collect()
    }

    fn change_tags(&self, change: impl FnOnce(&mut std::collections::BTreeSet<String>)) {
        let mut device = self.cell.lock();
        let before = device.summary().tags.clone();
        device.summary_mut(|summary| change(&mut summary.tags));
        let after = &device.summary().tags;
        self.events.tags(self.now, self.cell.key(), &before, after);
        drop(device);
        self.store.touched(&self.cell);
    }
}

/// A reading as a flow gets it; a name that was never read has no value to tell.
fn told(path: &str, reading: &crate::device::Reading) -> Option<(ParameterValue, UnixTime)> {
    let parameter = ParameterValue {
        path: path.to_owned(),
        value: reading.value.to_string(),
        xsd_type: reading.xsd_type.clone(),
    };
    (reading.read_at != 0).then_some((parameter, reading.read_at))
}

impl Conversation {
    /// Takes in what a successful RPC tells about the device.
    pub(super) async fn learn(&mut self, sent: &Request, response: &Response, now: Now) {
        let mut refused = None;
        {
            let mut device = self.cell.lock();
            let mut keep = |device: &mut Device, parameter: &ParameterValue| {
                let ParameterValue {
                    path,
                    value,
                    xsd_type,
                } = parameter;
                if let Err(error) = device.tree_mut().set(path, value, xsd_type, now.unix) {
                    refused = Some(error);
                }
            };
            match (sent, response) {
                (Request::GetParameterValues(_), Response::GetParameterValues(values)) => {
                    for parameter in values {
                        // A secret reads back as empty: that is no news (TR-181, "readback").
                        if !(parameter.value.is_empty() && is_secret(&parameter.path)) {
                            keep(&mut device, parameter);
                        }
                    }
                }
                (Request::SetParameterValues(set), Response::SetParameterValues(_)) => {
                    for parameter in &set.parameters {
                        keep(&mut device, parameter);
                    }
                }
                (Request::DeleteObject(object), Response::DeleteObject(_)) => {
                    device.tree_mut().remove_prefix(&object.object_name);
                }
                (Request::GetRpcMethods, Response::GetRpcMethods(methods)) => {
                    device.set(|summary| &mut summary.rpc_methods, methods.clone());
                }
                _ => {}
            }
        }
        if let Some(error) = refused {
            tracing::warn!(device = %self.device(), %error, "a parameter was not kept");
        }
        if let Request::SetParameterValues(set) = sent {
            self.credentials_answered(set, true).await;
        }
        self.acs.store.touched(&self.cell);
    }

    /// Takes in the names that an exchange ended with: put right, and from all its levels.
    pub(super) fn learn_names(&self, names: &[ParameterInfo]) {
        let mut refused = None;
        {
            let mut device = self.cell.lock();
            for name in names {
                if let Err(error) = device.tree_mut().set_writable(&name.path, name.writable) {
                    refused = Some(error);
                }
            }
        }
        if let Some(error) = refused {
            tracing::warn!(device = %self.device(), %error, "a name was not kept");
        }
        self.acs.store.touched(&self.cell);
    }

    /// What a refused RPC changes.
    pub(super) async fn learn_failure(&mut self, sent: &Request) {
        if let Request::SetParameterValues(set) = sent {
            self.credentials_answered(set, false).await;
        }
    }

    /// Credentials are durable before the device is given them: otherwise a crash at the
    /// wrong moment would leave a device that nobody can call, or that cannot log in.
    pub(super) async fn promise_credentials(
        &mut self,
        set: &SetParameterValues,
    ) -> Result<(), Fault> {
        let (request, login) = (self.credentials_in(set), self.login_in(set));
        if request.is_none() && login.is_none() {
            return Ok(());
        }
        self.cell.lock().summary_mut(|summary| {
            if let Some(credentials) = request {
                let pending = &mut summary.connection_request.pending_credentials;
                if pending.len() >= PENDING_CREDENTIALS_MAX {
                    pending.remove(0);
                }
                pending.push(credentials);
            }
            if let Some(login) = login {
                summary.login.promise(login);
            }
        });
        self.acs.store.persist(&self.cell).await.map_err(|error| {
            self.store_failed("keep the credentials of a device", &error);
            own_fault(format!("the credentials cannot be kept: {error}"))
        })
    }

    async fn credentials_answered(&mut self, set: &SetParameterValues, taken: bool) {
        let (request, login) = (self.credentials_in(set), self.login_in(set));
        if request.is_none() && login.is_none() {
            return;
        }
        self.cell.lock().summary_mut(|summary| {
            if request.is_some() {
                let request = &mut summary.connection_request;
                let answered = request.pending_credentials.pop();
                if taken && answered.is_some() {
                    request.credentials = answered;
                    // Whichever of them it had taken before, it has these now.
                    request.pending_credentials.clear();
                }
            }
            if login.is_some() {
                summary.login.answered(taken);
            }
        });
        if let Err(error) = self.acs.store.persist(&self.cell).await {
            self.store_failed("keep the credentials of a device", &error);
        }
    }

    /// The connection-request credentials that a device will have after this. Where only one
    /// of the two is set, the other stays.
    fn credentials_in(&self, set: &SetParameterValues) -> Option<Credentials> {
        let find = |name: &str| {
            let found = set.parameters.iter().find(|p| p.path.ends_with(name));
            found.map(|parameter| parameter.value.clone())
        };
        let username = find(".ManagementServer.ConnectionRequestUsername");
        let password = find(".ManagementServer.ConnectionRequestPassword");
        if username.is_none() && password.is_none() {
            return None;
        }
        let device = self.cell.lock();
        let current = device.summary().connection_request.credentials.clone();
        let (old_username, old_password) = current
            .map(|c| (c.username, c.password))
            .unwrap_or_default();
        Some(Credentials {
            username: username.unwrap_or(old_username),
            password: password.unwrap_or(old_password),
        })
    }
}
