//! HTTP Basic and Digest authentication (RFC 7616, RFC 2617), both halves.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq;

use super::algorithm::{Algorithm, Qop};
use super::header::{self, Credentials, quote};

/// One challenge of a WWW-Authenticate or Proxy-Authenticate header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// `Basic`.
    Basic {
        /// What for.
        realm: String,
    },
    /// `Digest`, with an algorithm that we know.
    Digest(DigestChallenge),
    /// Another scheme, or Digest with an unknown algorithm: the scheme's name.
    Other(String),
}

/// A Digest challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestChallenge {
    /// What for.
    pub realm: String,
    /// The server's word, used once.
    pub nonce: String,
    /// Comes back as it is.
    pub opaque: Option<String>,
    /// `None`: not named, which means MD5.
    pub algorithm: Option<Algorithm>,
    /// `None`: RFC 2069, without cnonce and nc.
    pub qop: Option<Qop>,
    /// The credentials were right, only the nonce was too old.
    pub stale: bool,
}

/// An Authorization header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authorization {
    /// `Basic`.
    Basic {
        /// Up to the first colon.
        username: String,
        /// After it.
        password: String,
    },
    /// `Digest`.
    Digest(DigestResponse),
}

/// A Digest answer, its values as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestResponse {
    /// Who.
    pub username: String,
    /// As in the challenge.
    pub realm: String,
    /// As in the challenge.
    pub nonce: String,
    /// The request's target.
    pub uri: String,
    /// The proof, in hexadecimal.
    pub response: String,
    /// `None`: not named, which means MD5.
    pub algorithm: Option<Algorithm>,
    /// As sent.
    pub qop: Option<Qop>,
    /// The client's word.
    pub cnonce: String,
    /// How often the nonce was used, eight hexadecimal digits, as sent.
    pub nc: String,
    /// As in the challenge.
    pub opaque: Option<String>,
}

/// Why an Authorization header cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unusable Authorization header: {0}")]
pub struct BadAuthorization(&'static str);

/// Reads the challenges of all WWW-Authenticate (or Proxy-Authenticate) headers of a response,
/// in the server's order of preference.
pub fn parse_challenges<'h>(headers: impl IntoIterator<Item = &'h str>) -> Vec<Challenge> {
    headers
        .into_iter()
        .flat_map(header::parse)
        .map(Challenge::new)
        .collect()
}

/// The value of the WWW-Authenticate header that asks for Basic.
pub fn basic_challenge(realm: &str) -> String {
    format!("Basic realm={}", quote(realm))
}

impl Challenge {
    fn new(credentials: Credentials) -> Challenge {
        let get = |name| credentials.get(name).map(str::to_owned);
        if credentials.is("Basic") {
            return Challenge::Basic {
                realm: get("realm").unwrap_or_default(),
            };
        }
        let algorithm = credentials.get("algorithm").map(Algorithm::parse);
        if !credentials.is("Digest") || algorithm == Some(None) {
            return Challenge::Other(credentials.scheme);
        }
        let Some(nonce) = get("nonce") else {
            return Challenge::Other(credentials.scheme);
        };
        Challenge::Digest(DigestChallenge {
            realm: get("realm").unwrap_or_default(),
            nonce,
            opaque: get("opaque"),
            algorithm: algorithm.flatten(),
            qop: credentials.get("qop").and_then(Qop::choose),
            stale: credentials
                .get("stale")
                .is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    /// The first Digest that can be answered.
    pub fn first_digest(challenges: &[Challenge]) -> Option<&DigestChallenge> {
        challenges.iter().find_map(|challenge| match challenge {
            Challenge::Digest(digest) => Some(digest),
            Challenge::Basic { .. } | Challenge::Other(_) => None,
        })
    }
}

impl DigestChallenge {
    /// A challenge to send, with `qop="auth"`, the one that all devices can.
    pub fn new(realm: &str, nonce: &str, algorithm: Algorithm) -> DigestChallenge {
        DigestChallenge {
            realm: realm.to_owned(),
            nonce: nonce.to_owned(),
            opaque: None,
            algorithm: Some(algorithm),
            qop: Some(Qop::Auth),
            stale: false,
        }
    }

    /// The value of the WWW-Authenticate header.
    pub fn to_header(&self) -> String {
        let mut out = format!(
            "Digest realm={}, nonce={}",
            quote(&self.realm),
            quote(&self.nonce)
        );
        if let Some(qop) = self.qop {
            out.push_str(&format!(", qop=\"{}\"", qop.as_str()));
        }
        if let Some(algorithm) = self.algorithm {
            out.push_str(&format!(", algorithm={}", algorithm.as_str()));
        }
        if let Some(opaque) = &self.opaque {
            out.push_str(&format!(", opaque={}", quote(opaque)));
        }
        if self.stale {
            out.push_str(", stale=true");
        }
        out
    }

    /// The value of the Authorization header for a request without a body.
    ///
    /// `cnonce` is the caller's random word, `nc` counts the uses of this nonce from 1 on.
    pub fn respond(
        &self,
        method: &str,
        uri: &str,
        username: &str,
        password: &str,
        cnonce: &str,
        nc: u32,
    ) -> String {
        let mut answer = DigestResponse {
            username: username.to_owned(),
            realm: self.realm.clone(),
            nonce: self.nonce.clone(),
            uri: uri.to_owned(),
            response: String::new(),
            algorithm: self.algorithm,
            qop: self.qop,
            cnonce: cnonce.to_owned(),
            nc: format!("{nc:08x}"),
            opaque: self.opaque.clone(),
        };
        answer.response = answer.proof(method, password);
        answer.to_header()
    }
}

impl Authorization {
    /// Reads an Authorization header.
    ///
    /// # Errors
    ///
    /// For other schemes, unknown algorithms, and where something needed is missing.
    pub fn parse(header: &str) -> Result<Authorization, BadAuthorization> {
        let credentials = header::parse(header)
            .into_iter()
            .next()
            .ok_or(BadAuthorization("it is empty"))?;
        if credentials.is("Basic") {
            basic(&credentials)
        } else if credentials.is("Digest") {
            DigestResponse::new(&credentials).map(Authorization::Digest)
        } else {
            Err(BadAuthorization("neither Basic nor Digest"))
        }
    }
}

fn basic(credentials: &Credentials) -> Result<Authorization, BadAuthorization> {
    let decoded = STANDARD_NO_PAD
        .decode(&credentials.token)
        .map_err(|_| BadAuthorization("Basic, but no base64"))?;
    let decoded = String::from_utf8_lossy(&decoded);
    let (username, password) = decoded
        .split_once(':')
        .ok_or(BadAuthorization("Basic, but no colon"))?;
    Ok(Authorization::Basic {
        username: username.to_owned(),
        password: password.to_owned(),
    })
}

impl DigestResponse {
    fn new(credentials: &Credentials) -> Result<DigestResponse, BadAuthorization> {
        let get = |name| credentials.get(name).map(str::to_owned);
        let algorithm = match credentials.get("algorithm") {
            Some(name) => Some(
                Algorithm::parse(name).ok_or(BadAuthorization("Digest of an unknown algorithm"))?,
            ),
            None => None,
        };
        let qop = match credentials.get("qop").filter(|qop| !qop.is_empty()) {
            Some(name) => Some(Qop::choose(name).ok_or(BadAuthorization("Digest of unknown qop"))?),
            None => None,
        };
        Ok(DigestResponse {
            username: get("username").ok_or(BadAuthorization("Digest without username"))?,
            realm: get("realm").unwrap_or_default(),
            nonce: get("nonce").ok_or(BadAuthorization("Digest without nonce"))?,
            uri: get("uri").ok_or(BadAuthorization("Digest without uri"))?,
            response: get("response").ok_or(BadAuthorization("Digest without response"))?,
            algorithm,
            qop,
            cnonce: get("cnonce").unwrap_or_default(),
            nc: get("nc").unwrap_or_default(),
            opaque: get("opaque"),
        })
    }

    /// Whether it proves the knowledge of `password`, in constant time.
    ///
    /// Whether nonce, realm, uri and nc are those of this server and request is the caller's to
    /// check. `auth-int` is never right: it is not offered, and the body is not at hand.
    pub fn verify(&self, method: &str, password: &str) -> bool {
        let proof = self.proof(method, password);
        let response = self.response.to_ascii_lowercase();
        let is_right: bool = proof.as_bytes().ct_eq(response.as_bytes()).into();
        is_right && self.qop != Some(Qop::AuthInt)
    }

    /// How often the client says to have used the nonce.
    pub fn count(&self) -> Option<u32> {
        u32::from_str_radix(&self.nc, 16).ok()
    }

    /// The `response` for a request without a body (RFC 7616 §3.4.1).
    fn proof(&self, method: &str, password: &str) -> String {
        let algorithm = self.algorithm.unwrap_or(Algorithm::Md5);
        let mut secret = algorithm.hash(&[&self.username, &self.realm, password]);
        if algorithm.is_session() {
            secret = algorithm.hash(&[&secret, &self.nonce, &self.cnonce]);
        }
        let request = match self.qop {
            Some(Qop::AuthInt) => algorithm.hash(&[method, &self.uri, &algorithm.hash(&[])]),
            Some(Qop::Auth) | None => algorithm.hash(&[method, &self.uri]),
        };
        match self.qop {
            Some(qop) => algorithm.hash(&[
                &secret,
                &self.nonce,
                &self.nc,
                &self.cnonce,
                qop.as_str(),
                &request,
            ]),
            None => algorithm.hash(&[&secret, &self.nonce, &request]),
        }
    }

    /// Only what the challenge had: old servers refuse an algorithm that they did not name.
    fn to_header(&self) -> String {
        let mut out = format!(
            "Digest username={}, realm={}, nonce={}, uri={}",
            quote(&self.username),
            quote(&self.realm),
            quote(&self.nonce),
            quote(&self.uri)
        );
        if let Some(algorithm) = self.algorithm {
            out.push_str(&format!(", algorithm={}", algorithm.as_str()));
        }
        out.push_str(&format!(", response=\"{}\"", self.response));
        if let Some(qop) = self.qop {
            out.push_str(&format!(", qop={}, nc={}", qop.as_str(), self.nc));
        }
        if self.qop.is_some() || self.algorithm.is_some_and(Algorithm::is_session) {
            out.push_str(&format!(", cnonce={}", quote(&self.cnonce)));
        }
        if let Some(opaque) = &self.opaque {
            out.push_str(&format!(", opaque={}", quote(opaque)));
        }
        out
    }
}

#[cfg(test)]
mod tests;
