//! The credentials with which a device logs in: given to one that came with those of the
//! factory, and noted whoever gives it others.

use cwmp::authentication::{names_device, user_name};
use cwmp::{DeviceId, ParameterValue, Request, SetParameterValues};

use super::Conversation;
use crate::device::Credentials;
use crate::door::Proof;
use crate::work::exchange::Outcome;

const USERNAME: &str = ".ManagementServer.Username";
const PASSWORD: &str = ".ManagementServer.Password";

impl Conversation {
    /// Credentials of its own, for a device that has shown those of the factory. Its user name
    /// stays if it is its own already.
    pub(super) fn new_login(&self) -> Option<Credentials> {
        let Proof::Factory(shown) = &self.proof else {
            return None;
        };
        let id = DeviceId {
            manufacturer: String::new(),
            oui: self.summary.oui.clone(),
            product_class: self.summary.product_class.clone(),
            serial_number: self.summary.serial_number.clone(),
        };
        Some(Credentials {
            username: if names_device(&shown.username, &id) {
                shown.username.clone()
            } else {
                user_name(&id)
            },
            password: format!("{:032x}", rand::random::<u128>()),
        })
    }

    /// Asks the device to take them, and says how that went.
    pub(super) fn login_step(
        &self,
        login: &Credentials,
        outcome: Option<Outcome>,
    ) -> Option<Request> {
        match outcome {
            None => return Some(self.login_request(login)),
            Some(Ok(_)) => tracing::info!(
                device = %self.device(), username = login.username,
                "the device has credentials of its own"
            ),
            Some(Err(fault)) => tracing::warn!(
                device = %self.device(), code = fault.code, text = %fault.text,
                "the device does not take credentials of its own"
            ),
        }
        None
    }

    fn login_request(&self, login: &Credentials) -> Request {
        let root = self.summary.data_model.root().trim_end_matches('.');
        Request::SetParameterValues(SetParameterValues {
            parameters: vec![
                ParameterValue::string(format!("{root}{USERNAME}"), &login.username),
                ParameterValue::string(format!("{root}{PASSWORD}"), &login.password),
            ],
            parameter_key: String::new(),
        })
    }

    /// What the device will log in with after this. Where only one of the two is set, the other
    /// stays; a password that the ACS does not know makes no credentials.
    pub(super) fn login_in(&self, set: &SetParameterValues) -> Option<Credentials> {
        let find = |name: &str| {
            let found = set.parameters.iter().find(|p| p.path.ends_with(name));
            found.map(|parameter| parameter.value.clone())
        };
        let (username, password) = (find(USERNAME), find(PASSWORD));
        if username.is_none() && password.is_none() {
            return None;
        }
        let shown = match &self.proof {
            Proof::Own(shown) | Proof::Factory(shown) => Some(shown.clone()),
            Proof::NotAsked | Proof::Certificate => None,
        };
        // What it was given a moment ago goes before what it came with.
        let given = self.cell.lock().summary().login.credentials.clone();
        let current = given.or(shown);
        let current = current.as_ref();
        Some(Credentials {
            username: username.or_else(|| current.map(|c| c.username.clone()))?,
            password: password.or_else(|| current.map(|c| c.password.clone()))?,
        })
    }
}
