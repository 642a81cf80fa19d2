//! How a device answers a 401 of the ACS or of a file server.

use base64::Engine;
use cwmp::connection_request::{Challenge, DigestChallenge, parse_challenges};

use crate::seed::Seed;

/// What a server has asked for, and what it is told from then on.
#[derive(Debug)]
pub(crate) struct Login {
    username: String,
    password: String,
    scheme: Scheme,
    random: Seed,
}

#[derive(Debug)]
enum Scheme {
    /// Nothing was asked for.
    None,
    Basic,
    Digest {
        challenge: DigestChallenge,
        used: u32,
    },
}

impl Login {
    pub(crate) fn new(username: String, password: String, random: Seed) -> Login {
        Login {
            username,
            password,
            scheme: Scheme::None,
            random,
        }
    }

    /// Takes the WWW-Authenticate headers of a 401. False: there is nothing to answer with.
    pub(crate) fn challenged<'h>(&mut self, headers: impl IntoIterator<Item = &'h str>) -> bool {
        if self.username.is_empty() && self.password.is_empty() {
            return false;
        }
        let mut basic = false;
        for challenge in parse_challenges(headers) {
            match challenge {
                Challenge::Digest(challenge) => {
                    let refused = matches!(&self.scheme, Scheme::Digest { .. }) && !challenge.stale;
                    self.scheme = Scheme::Digest { challenge, used: 0 };
                    return !refused;
                }
                Challenge::Basic { .. } => basic = true,
                Challenge::Other(_) => {}
            }
        }
        let refused = matches!(self.scheme, Scheme::Basic);
        if basic {
            self.scheme = Scheme::Basic;
        }
        basic && !refused
    }

    /// The Authorization header of the next request.
    pub(crate) fn header(&mut self, method: &str, target: &str) -> Option<String> {
        match &mut self.scheme {
            Scheme::None => None,
            Scheme::Basic => {
                let pair = format!("{}:{}", self.username, self.password);
                let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
                Some(format!("Basic {encoded}"))
            }
            Scheme::Digest { challenge, used } => {
                *used += 1;
                let cnonce = self.random.hex(16);
                Some(challenge.respond(
                    method,
                    target,
                    &self.username,
                    &self.password,
                    &cnonce,
                    *used,
                ))
            }
        }
    }
}
