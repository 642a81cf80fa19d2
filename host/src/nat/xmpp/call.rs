//! Waking a device over XMPP, with each of the credentials that it may have.

use std::time::Duration;

use super::RequestError;
use crate::Acs;
use crate::device::{DeviceKey, Summary};
use crate::nat::outcome::{Failure, Outcome};

/// A device is busy until it has closed the session before: it is asked again.
const BUSY_RETRIES: u32 = 2;
/// Between two tries of a busy device.
const BUSY_PAUSE: Duration = Duration::from_millis(500);

impl Acs {
    /// Asks a device for a session. `Ok`: it has said yes.
    pub(in crate::nat) async fn call_over_xmpp(
        &self,
        device: &DeviceKey,
        summary: &Summary,
    ) -> Result<(), Failure> {
        let Some(xmpp) = &self.xmpp else {
            return Err(Failure::not_configured());
        };
        let jabber_id = match self.store.device(device) {
            Ok(Some(cell)) => {
                let root = summary.data_model.root();
                let path = format!("{root}ManagementServer.ConnReqJabberID");
                let device = cell.lock();
                let reading = device.tree().get(&path);
                reading.map(|reading| reading.value.trim().to_owned())
            }
            _ => None,
        };
        let jabber_id = jabber_id.unwrap_or_default();
        let wait = self.instances.of(device).connection_request_time();
        let mut failure = Failure::new(
            Outcome::NoCredentials,
            "the ACS has no connection-request credentials for it yet",
        );
        for credentials in summary.connection_request.candidates() {
            let mut tries = 0;
            loop {
                let asked = xmpp.connection_request(device, &jabber_id, &credentials, wait);
                match asked.await {
                    Ok(()) => return Ok(()),
                    Err(RequestError::Unavailable) if tries < BUSY_RETRIES => {
                        tries += 1;
                        tokio::time::sleep(BUSY_PAUSE).await;
                    }
                    Err(refused @ RequestError::Credentials) => {
                        failure = refused.into();
                        break;
                    }
                    // Another server says the same of a device that is not there.
                    Err(busy @ RequestError::Unavailable) if !xmpp.sees_presence() => {
                        return Err(Failure::new(Outcome::Offline, busy.to_string()));
                    }
                    Err(other) => return Err(other.into()),
                }
            }
        }
        Err(failure)
    }
}
