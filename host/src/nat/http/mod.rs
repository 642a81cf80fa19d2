//! The connection request over HTTP (TR-069 §3.2.2): GET, digest authentication, 200 or 204;
//! directly, or through the instance's proxy.
//!
//! All rounds use one connection as long as the other side keeps it; who hangs up after its
//! challenge gets the next round on a fresh one. Redirects are not followed, and a device's Basic
//! is not answered unless its profile asks for it: whoever sits on the path could ask for it too.

mod answer;
mod call;
mod link;
mod proxy;

use std::net::IpAddr;
use std::time::Duration;

use cwmp::authentication::Challenge;
use http::StatusCode;
use tokio::time::Instant;

use super::guard::{GuardError, Target};
use crate::config::HttpProxy;
use crate::device::Credentials;
use crate::metrics::Counters;

use answer::Answer;
use link::Links;

pub use call::Through;
pub use proxy::ProxyError;

/// Rounds of one connection request: each needs a challenge.
const ROUNDS_MAX: usize = 12;

/// How a connection request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// It was not sent: the device has named no address, or one that it has no business to name.
    #[error(transparent)]
    Blocked(#[from] GuardError),
    /// No TCP connection to the device.
    #[error("cannot connect to {address}: {text}")]
    Connect {
        /// Where.
        address: String,
        /// Why.
        text: String,
    },
    /// Connected, and then it took too long.
    #[error("no answer within {0} s")]
    Timeout(u64),
    /// The device hung up.
    #[error("the device's answer broke off: {0}")]
    Broken(String),
    /// Not HTTP, or none that can be read.
    #[error("expected an HTTP answer from the device, got {0}")]
    Nonsense(String),
    /// The head of the answer has no end, or the answer has none and is never more than begun.
    #[error("the device's answer is longer than {0} bytes")]
    TooLong(usize),
    /// The credentials are wrong.
    #[error("the device refused the connection-request credentials (401)")]
    Unauthorized,
    /// The ACS has none.
    #[error("the device asks for credentials and the ACS has none for it yet")]
    NoCredentials,
    /// No challenge that the ACS answers.
    #[error("the device asks for {0} authentication, expected Digest")]
    Challenge(String),
    /// In a session, or asked too often.
    #[error("the device is busy (503)")]
    Busy,
    /// Anything else.
    #[error("the device answered {0}, expected 200 or 204")]
    Status(u16),
    /// The proxy's answer, not the device's.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

/// What the device's profile changes about connection requests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Leniency {
    /// Answer a Basic challenge when there is no Digest.
    pub basic_auth: bool,
}

/// One connection request.
pub struct Call<'c> {
    /// Where it goes, checked.
    pub target: &'c Target,
    /// Tried in their order.
    pub credentials: &'c [Credentials],
    /// What the device's profile says.
    pub leniency: Leniency,
    /// Through this proxy.
    pub proxy: Option<&'c HttpProxy>,
    /// The addresses that it leaves from, one of each family at most; of a family without one the
    /// system chooses.
    pub from: &'c [IpAddr],
    /// How long all of it may take.
    pub time: Duration,
    /// What is counted.
    pub counters: &'c Counters,
}

/// Sends a connection request; `Ok` means that the device accepted it, not that a session came.
pub async fn request(call: &Call<'_>) -> Result<(), HttpError> {
    let deadline = Instant::now() + call.time;
    let attempt = attempt(call, deadline);
    match tokio::time::timeout_at(deadline, attempt).await {
        Ok(result) => result,
        Err(_) => Err(HttpError::Timeout(call.time.as_secs())),
    }
}

async fn attempt(call: &Call<'_>, deadline: Instant) -> Result<(), HttpError> {
    let mut links = Links::new(call, deadline);
    let mut proxy = proxy::Login::new(call);
    let mut device = DeviceLogin::new(call);
    for _ in 0..ROUNDS_MAX {
        let answer = links
            .get(device.header.as_deref(), proxy.header()?.as_deref())
            .await?;
        if call.proxy.is_some() {
            if answer.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
                proxy.challenged(&answer)?;
                continue;
            }
            proxy::judge(&answer, call.target, device.header.is_some())?;
        }
        match answer.status {
            StatusCode::OK | StatusCode::NO_CONTENT => return Ok(()),
            StatusCode::UNAUTHORIZED => device.challenged(&answer)?,
            StatusCode::SERVICE_UNAVAILABLE => return Err(HttpError::Busy),
            status => return Err(HttpError::Status(status.as_u16())),
        }
    }
    Err(HttpError::Unauthorized)
}

/// The credentials that are tried on the device.
struct DeviceLogin<'c> {
    call: &'c Call<'c>,
    left: std::slice::Iter<'c, Credentials>,
    tried: Option<&'c Credentials>,
    /// The Authorization of the next round.
    header: Option<String>,
}

impl<'c> DeviceLogin<'c> {
    fn new(call: &'c Call<'c>) -> DeviceLogin<'c> {
        DeviceLogin {
            call,
            left: call.credentials.iter(),
            tried: None,
            header: None,
        }
    }

    /// Answers a challenge with the next credentials; with the same ones again if the device only
    /// found its own nonce too old.
    fn challenged(&mut self, answer: &Answer) -> Result<(), HttpError> {
        let digest = Challenge::first_digest(&answer.challenges);
        let again = self
            .tried
            .take()
            .filter(|_| digest.is_some_and(|digest| digest.stale));
        let credentials = match again {
            Some(same) => same,
            None => match self.left.next() {
                Some(next) => {
                    self.tried = Some(next);
                    next
                }
                None if self.call.credentials.is_empty() => return Err(HttpError::NoCredentials),
                None => return Err(HttpError::Unauthorized),
            },
        };
        let Credentials { username, password } = credentials;
        self.header = Some(match digest {
            Some(digest) => {
                let path = &self.call.target.path;
                digest.respond("GET", path, username, password, &cnonce(), 1)
            }
            None if self.call.leniency.basic_auth && offers_basic(&answer.challenges) => {
                basic(username, password)
            }
            None => return Err(HttpError::Challenge(schemes(&answer.challenges))),
        });
        Ok(())
    }
}

fn cnonce() -> String {
    format!("{:016x}", rand::random::<u64>())
}

fn offers_basic(challenges: &[Challenge]) -> bool {
    let mut challenges = challenges.iter();
    challenges.any(|challenge| matches!(challenge, Challenge::Basic { .. }))
}

fn basic(username: &str, password: &str) -> String {
    use base64::Engine;
    let pair = format!("{username}:{password}");
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(pair))
}

/// The schemes that were asked for, for people.
fn schemes(challenges: &[Challenge]) -> String {
    let asked: Vec<&str> = challenges
        .iter()
        .map(|challenge| match challenge {
            Challenge::Basic { .. } => "Basic",
            Challenge::Digest(_) => "Digest",
            Challenge::Other(scheme) => scheme,
        })
        .collect();
    if asked.is_empty() {
        return "no".into();
    }
    asked.join(", ")
}

#[cfg(test)]
mod tests;
