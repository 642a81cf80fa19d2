//! A connection request to a device, by what is known of it.

use std::time::Duration;

use super::{Call, HttpError, Leniency, ProxyError, request};
use crate::Acs;
use crate::device::Summary;
use crate::instance::Instance;
use crate::nat::guard;

/// A device is busy until it has closed the session before: it is asked again.
const BUSY_RETRIES: u32 = 2;
/// Between two tries of a busy device.
const BUSY_PAUSE: Duration = Duration::from_millis(500);

/// Directly, or through the instance's proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Through {
    /// Straight to the device.
    Nothing,
    /// The proxy of the instance.
    Proxy,
}

impl Acs {
    /// Sends a device of the instance a connection request over HTTP; `Ok` means that it accepted.
    ///
    /// # Errors
    /// What the guard, the device or the proxy has against it.
    pub async fn call_over_http(
        &self,
        through: Through,
        instance: &Instance,
        summary: &Summary,
    ) -> Result<(), HttpError> {
        let settings = &instance.settings;
        let counters = &self.counters;
        let known = &summary.connection_request;
        let target = guard::check(&known.url, &settings.connection_request_allow)
            .await
            .inspect_err(|error| {
                if matches!(error, guard::GuardError::Forbidden { .. }) {
                    counters.connection_requests_blocked.add(1);
                }
            })?;
        let credentials = known.candidates();
        let matched = self.plugins.table().matched(&instance.name, summary);
        let proxy = match through {
            Through::Nothing => None,
            Through::Proxy => Some(settings.http_proxy.as_ref().ok_or(ProxyError::None)?),
        };
        let call = Call {
            target: &target,
            credentials: &credentials,
            leniency: Leniency {
                basic_auth: matched.overrides.connection_request_basic_auth,
            },
            proxy,
            from: &settings.connection_request_from,
            time: instance.connection_request_time(),
            counters,
        };
        let mut result = request(&call).await;
        for _ in 0..BUSY_RETRIES {
            if result != Err(HttpError::Busy) {
                break;
            }
            tokio::time::sleep(BUSY_PAUSE).await;
            result = request(&call).await;
        }
        result
    }
}
