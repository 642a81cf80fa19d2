//! The instance's HTTP proxy: what it is asked, and which answers are its own.
//!
//! It is asked with the whole URL (RFC 9112 §3.2.2), never with CONNECT, and for the address that
//! the guard has checked, never for a name: what a name is to the proxy the host cannot know.

use cwmp::authentication::Challenge;
use http::{HeaderName, StatusCode, header};

use super::answer::Answer;
use super::{Call, Target, basic, cnonce, offers_basic, schemes};
use crate::config::HttpProxy;

/// What Squid calls its error, in its own answers and no others.
const SQUID_ERROR: HeaderName = HeaderName::from_static("x-squid-error");
/// The standard's word for that (RFC 9209).
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
/// Proxies are often configured to refuse ports below.
const UNSAFE_PORT_BELOW: u16 = 1025;
/// Characters of the proxy's word that are shown.
const SAID_CHARS_MAX: usize = 80;

/// What the proxy itself answered. The device had no part in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// No TCP connection to the proxy.
    #[error("cannot connect to the HTTP proxy {address}: {text}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        text: String,
    },
    /// The operator has named none.
    #[error("the instance has no HTTP proxy")]
    None,
    /// It wants credentials and the instance has none.
    #[error(
        "the HTTP proxy asks for a user name and a password (407), and [instance.http_proxy] has none"
    )]
    NoCredentials,
    /// The instance's credentials are wrong.
    #[error("the HTTP proxy refused the user name and password of [instance.http_proxy] (407)")]
    Unauthorized,
    /// No challenge that the ACS answers.
    #[error("the HTTP proxy asks for {0} authentication, expected Basic or Digest")]
    Challenge(String),
    /// It may not call this device, or the ACS may not use it.
    #[error("the HTTP proxy refused to call the device ({status}{said}){hint}")]
    Refused {
        /// 403.
        status: u16,
        /// Its own word for it, after a comma and a blank.
        said: String,
        /// What may be the reason, after a colon and a blank.
        hint: String,
    },
    /// It tried, and got no connection or no answer.
    #[error("the HTTP proxy cannot reach the device ({status}{said})")]
    CannotReach {
        /// 502, 503 or 504.
        status: u16,
        /// Its own word for it, after a comma and a blank.
        said: String,
    },
    /// An answer from before.
    #[error("the HTTP proxy answered from its cache: the device was not asked")]
    Cached,
    /// Anything else of its own.
    #[error("the HTTP proxy answered {status}{said}, expected the device's answer")]
    Status {
        /// Its status.
        status: u16,
        /// Its own word for it, after a comma and a blank.
        said: String,
    },
}

/// The URL that the proxy is asked for.
pub(super) fn absolute(target: &Target) -> String {
    format!("http://{}{}", target.address, target.path)
}

/// Whether this answer is the proxy's own, or says that the device never saw the request.
///
/// What a device may answer too (403, 503) is the proxy's if it says so. A 403 without a word is
/// its own unless it has let this very request through before, or stamps what it passes on: Via
/// alone proves little, because many proxies leave it out and some put it on their own answers.
pub(super) fn judge(
    answer: &Answer,
    target: &Target,
    device_has_answered: bool,
) -> Result<(), ProxyError> {
    let status = answer.status;
    if status.is_success() && answer.headers.contains_key(header::AGE) {
        return Err(ProxyError::Cached);
    }
    let said = said(answer);
    let is_its_own = said.is_some();
    let said = said.map(|word| format!(", {word}")).unwrap_or_default();
    let code = status.as_u16();
    Err(match status {
        StatusCode::FORBIDDEN
            if is_its_own || (!device_has_answered && answer.header(header::VIA).is_empty()) =>
        {
            let port = target.address.port();
            let hint = if port < UNSAFE_PORT_BELOW {
                format!(
                    ": the device's port is {port}, and proxies are often configured to refuse ports below {UNSAFE_PORT_BELOW}"
                )
            } else {
                ": is the ACS in its access list, and the device's network?".to_owned()
            };
            ProxyError::Refused {
                status: code,
                said,
                hint,
            }
        }
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            ProxyError::CannotReach { status: code, said }
        }
        StatusCode::SERVICE_UNAVAILABLE if is_its_own => {
            ProxyError::CannotReach { status: code, said }
        }
        _ if is_its_own => ProxyError::Status { status: code, said },
        _ => return Ok(()),
    })
}

/// The proxy's word for its own error, if it says that it is one. A device that writes the same
/// has nothing of it but that it is not reached.
fn said(answer: &Answer) -> Option<String> {
    let squid = answer.header(SQUID_ERROR);
    let standard = answer.header(PROXY_STATUS);
    let word = if !squid.is_empty() {
        // Behind the name stands the system's error number, 0 for none.
        squid.trim_end_matches(" 0")
    } else {
        // The last proxy is the nearest; those before it are the device's affair.
        let mut parameters = standard.rsplit(',').next()?.split(';').skip(1);
        parameters.find_map(|part| part.trim().strip_prefix("error="))?
    };
    let printable = word.chars().filter(|c| !c.is_control());
    Some(printable.take(SAID_CHARS_MAX).collect())
}

/// The instance's credentials for the proxy, as far as it has asked for them.
pub(super) struct Login<'c> {
    proxy: Option<&'c HttpProxy>,
    uri: String,
    challenge: Option<Challenge>,
    /// How often the challenge's nonce was used.
    uses: u32,
    /// The proxy has found a nonce of its own too old.
    was_stale: bool,
}

impl<'c> Login<'c> {
    pub(super) fn new(call: &Call<'c>) -> Login<'c> {
        Login {
            proxy: call.proxy,
            uri: absolute(call.target),
            challenge: None,
            uses: 0,
            was_stale: false,
        }
    }

    /// The Proxy-Authorization of the next round.
    pub(super) fn header(&mut self) -> Result<Option<String>, ProxyError> {
        let Some(challenge) = &self.challenge else {
            return Ok(None);
        };
        let credentials = self.proxy.and_then(HttpProxy::credentials);
        let (username, password) = credentials.ok_or(ProxyError::NoCredentials)?;
        self.uses += 1;
        Ok(Some(match challenge {
            Challenge::Digest(digest) => {
                digest.respond("GET", &self.uri, username, password, &cnonce(), self.uses)
            }
            _ => basic(username, password),
        }))
    }

    /// Takes the challenges of a 407; the answer stays with the proxy, whoever asked. Once answered, another one means that the credentials are
    /// wrong, unless only the nonce was too old.
    pub(super) fn challenged(&mut self, answer: &Answer) -> Result<(), ProxyError> {
        let challenges = &answer.proxy_challenges;
        let digest = Challenge::first_digest(challenges);
        if self.challenge.is_some() {
            let is_stale = digest.is_some_and(|digest| digest.stale);
            if !is_stale || self.was_stale {
                return Err(ProxyError::Unauthorized);
            }
            self.was_stale = true;
        }
        self.uses = 0;
        self.challenge = Some(match digest {
            Some(digest) => Challenge::Digest(digest.clone()),
            None if offers_basic(challenges) => Challenge::Basic {
                realm: String::new(),
            },
            None => return Err(ProxyError::Challenge(schemes(challenges))),
        });
        Ok(())
    }
}
