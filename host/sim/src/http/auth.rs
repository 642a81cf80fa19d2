//! How a device answers a 401 of the ACS or of a file server.

use base64::Engine;
use cwmp::authentication::{Algorithm, Challenge, DigestChallenge, parse_challenges};

use crate::seed::Seed;
use crate::{Oddities, Oddity};

/// What a server has asked for, and what it is told from then on.
#[derive(Debug)]
pub(crate) struct Login {
    username: String,
    password: String,
    scheme: Scheme,
    random: Seed,
    oddities: Oddities,
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
            oddities: Oddities::NONE,
        }
    }

    /// As a device with these oddities logs in.
    pub(crate) fn with_oddities(mut self, oddities: Oddities) -> Login {
        let has_login = !self.username.is_empty() || !self.password.is_empty();
        if oddities.has(Oddity::BasicUnasked) && has_login {
            self.scheme = Scheme::Basic;
        }
        self.oddities = oddities;
        self
    }

    /// Takes the WWW-Authenticate headers of a 401. False: there is nothing to answer with.
    pub(crate) fn challenged<'h>(&mut self, headers: impl IntoIterator<Item = &'h str>) -> bool {
        if self.username.is_empty() && self.password.is_empty() {
            return false;
        }
        let mut basic = false;
        for challenge in parse_challenges(headers) {
            match challenge {
                Challenge::Digest(challenge)
                    if self.oddities.has(Oddity::DigestMd5Only)
                        && challenge.algorithm.is_some_and(|a| a != Algorithm::Md5) => {}
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
                let (username, password) = (&self.username, &self.password);
                let answer = challenge.respond(method, target, username, password, &cnonce, *used);
                Some(if self.oddities.has(Oddity::DigestQuoted) {
                    with_quotes(&answer)
                } else {
                    answer
                })
            }
        }
    }
}

/// `qop=auth` becomes `qop="auth"`, and so on.
fn with_quotes(header: &str) -> String {
    let parts = header.split(", ").map(|part| match part.split_once('=') {
        Some((name, value)) if !value.starts_with('"') => format!("{name}=\"{value}\""),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join(", ")
}
