//! Logging in with OpenID Connect: the authorization code flow with PKCE (S256), state and nonce.
//!
//! What a login under way needs is kept here, bounded, under a cookie of ten minutes that goes
//! to these addresses only; each is good for one answer. The ID token is taken from the token endpoint
//! and its signature is checked all the same, against the provider's keys and never against the client's
//! secret. The provider's document and keys are read again after an hour, and when a key is not among
//! them.

mod claims;
mod fetch;

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreIdToken, CoreJwsSigningAlgorithm, CoreProviderMetadata,
};
use openidconnect::{
    AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken, IssuerUrl,
    Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    SignatureVerificationError, TokenResponse,
};
use parking_lot::Mutex;
use subtle::ConstantTimeEq;

use super::secret::{self, Hash};
use super::session::Person;
use super::{Client, Gate, Refusal, site};
use crate::clock::Now;
use crate::config;
use fetch::Fetch;

/// The cookie of a login under way.
const COOKIE: &str = "patchbay_oidc";
/// Where it goes.
const PATH: &str = "/v1/login/oidc";
/// Where the provider sends people back to.
const CALLBACK: &str = "/v1/login/oidc/callback";
/// How long a person may take at the provider.
const PENDING_SECONDS_MAX: i64 = 600;
/// Logins under way; the oldest goes for the next.
const PENDING_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);
/// How long the provider's document and keys are believed.
const PROVIDER_AGE_MAX: Duration = Duration::from_secs(3600);
/// Bytes of what is kept of where a person wanted to go.
const BACK_BYTES_MAX: usize = 1024;

/// Why `[api.oidc]` cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// A URL that is none.
    #[error("{0}: {1}")]
    Url(&'static str, openidconnect::url::ParseError),
    /// The authorities cannot be read.
    #[error("cannot read {0}: {1}")]
    Ca(std::path::PathBuf, String),
    /// No HTTP client.
    #[error("cannot speak HTTP: {0}")]
    Client(reqwest::Error),
}

/// The provider, and logins under way.
pub struct Oidc {
    settings: config::Oidc,
    issuer: IssuerUrl,
    redirect: RedirectUrl,
    fetch: Fetch,
    provider: tokio::sync::Mutex<Option<Provider>>,
    pending: Mutex<LruCache<Hash, Pending>>,
}

/// What the provider says of itself, with its keys.
#[derive(Clone)]
struct Provider {
    metadata: CoreProviderMetadata,
    read: Instant,
}

/// A login under way.
struct Pending {
    state: CsrfToken,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    until: i64,
    back: String,
}

/// Where a person is sent, and the Set-Cookie header of the login.
#[derive(Debug)]
pub struct Departure {
    /// At the provider.
    pub url: String,
    /// Ours.
    pub cookie: String,
}

/// A person who has come back.
#[derive(Debug)]
pub struct Arrival {
    /// `oidc:anna@example.net`
    pub name: std::sync::Arc<str>,
    /// The value of the cookie of the session.
    pub session: String,
    /// Where the person wanted to go: a path of this host.
    pub back: String,
}

/// What the provider has sent back, as the query of the callback.
#[derive(Debug, Default)]
pub struct Answer {
    /// The authorization code.
    pub code: Option<String>,
    /// What was sent along.
    pub state: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
    /// For people.
    pub error_description: Option<String>,
}

impl Oidc {
    /// Nothing is asked of the provider before somebody logs in. `url` is ours.
    ///
    /// # Errors
    /// When a URL is none, or the authorities cannot be read.
    pub fn new(settings: &config::Oidc, url: &str) -> Result<Oidc, OidcError> {
        let issuer = IssuerUrl::new(settings.issuer.clone());
        let redirect = RedirectUrl::new(format!("{}{CALLBACK}", url.trim_end_matches('/')));
        Ok(Oidc {
            issuer: issuer.map_err(|error| OidcError::Url("api.oidc.issuer", error))?,
            redirect: redirect.map_err(|error| OidcError::Url("api.url", error))?,
            fetch: Fetch::new(settings.ca.as_deref())?,
            provider: tokio::sync::Mutex::default(),
            pending: Mutex::new(LruCache::new(PENDING_MAX)),
            settings: settings.clone(),
        })
    }

    /// The provider; read again if it is older than `age`.
    async fn provider(&self, age: Duration, now: Instant) -> Result<Provider, Refusal> {
        let mut provider = self.provider.lock().await;
        if let Some(known) = &*provider
            && now.saturating_duration_since(known.read) < age
        {
            return Ok(known.clone());
        }
        let found = CoreProviderMetadata::discover_async(self.issuer.clone(), &self.fetch).await;
        let metadata = found.map_err(|error| elsewhere("cannot be read", &error))?;
        let read = Provider {
            metadata,
            read: now,
        };
        *provider = Some(read.clone());
        Ok(read)
    }

    fn id_and_secret(&self) -> (ClientId, Option<ClientSecret>) {
        let id = ClientId::new(self.settings.client_id.clone());
        let secret = self.settings.client_secret.clone();
        (id, secret.map(ClientSecret::new))
    }

    async fn depart(&self, back: &str, now: Now) -> Result<(String, String), Refusal> {
        let provider = self.provider(PROVIDER_AGE_MAX, now.instant).await?;
        let (id, secret) = self.id_and_secret();
        let client = CoreClient::from_provider_metadata(provider.metadata, id, secret)
            .set_redirect_uri(self.redirect.clone());
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let scopes = self.settings.scopes.iter().cloned().map(Scope::new);
        let (url, state, nonce) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .add_scopes(scopes)
            .set_pkce_challenge(challenge)
            .url();
        let cookie = secret::cookie();
        let pending = Pending {
            state,
            nonce,
            verifier,
            until: now.unix + PENDING_SECONDS_MAX,
            back: local(back).to_owned(),
        };
        self.pending.lock().put(Hash::of(&cookie), pending);
        Ok((url.into(), cookie))
    }

    /// Who has come back, and where to.
    async fn arrive(
        &self,
        cookie: &str,
        answer: Answer,
        now: Now,
    ) -> Result<(Person, String), Refusal> {
        let unknown = Refusal::Unknown(
            "expected the answer to a login that was begun here less than ten minutes ago",
        );
        let pending = self.pending.lock().pop(&Hash::of(cookie));
        let Some(pending) = pending.filter(|pending| now.unix <= pending.until) else {
            return Err(unknown);
        };
        let state = answer.state.unwrap_or_default();
        if !bool::from(state.as_bytes().ct_eq(pending.state.secret().as_bytes())) {
            return Err(Refusal::Unknown(
                "expected the state that this login was begun with",
            ));
        }
        if let Some(error) = answer.error {
            let text = answer.error_description.unwrap_or_default();
            return Err(Refusal::Forbidden(format!(
                "the provider has refused the login: {} {}",
                printable(&error),
                printable(&text)
            )));
        }
        let Some(code) = answer.code else {
            return Err(Refusal::Bad("expected a code from the provider".into()));
        };
        let provider = self.provider(PROVIDER_AGE_MAX, now.instant).await?;
        let token = self.exchange(&provider, code, pending.verifier).await?;
        let token = self.verified(provider, &token, &pending.nonce, now).await?;
        let claims = claims::payload(&token)
            .ok_or_else(|| Refusal::Elsewhere("the provider's ID token has no claims".into()))?;
        Ok((claims::person(&self.settings, &claims)?, pending.back))
    }

    /// The ID token for a code.
    async fn exchange(
        &self,
        provider: &Provider,
        code: String,
        verifier: PkceCodeVerifier,
    ) -> Result<CoreIdToken, Refusal> {
        let (id, secret) = self.id_and_secret();
        let client = CoreClient::from_provider_metadata(provider.metadata.clone(), id, secret)
            .set_redirect_uri(self.redirect.clone());
        let request = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| elsewhere("has no token endpoint", &error))?
            .set_pkce_verifier(verifier);
        let response = request.request_async(&self.fetch).await;
        let response = response.map_err(|error| elsewhere("gives no token", &error))?;
        // Nothing is asked of the provider with it.
        let _ = response.access_token();
        let token = response.id_token().cloned();
        token.ok_or_else(|| Refusal::Elsewhere("the provider gives no ID token".into()))
    }

    /// The ID token as text, if it is the provider's, for us, of now and of this login.
    async fn verified(
        &self,
        mut provider: Provider,
        token: &CoreIdToken,
        nonce: &Nonce,
        now: Now,
    ) -> Result<String, Refusal> {
        let mut result = self.verify(&provider, token, nonce);
        let no_key = ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey,
        );
        if result.as_ref() == Err(&no_key) {
            // The provider may have other keys than an hour ago. Nobody makes us ask in vain: it has
            // just given this token itself.
            provider = self.provider(Duration::ZERO, now.instant).await?;
            result = self.verify(&provider, token, nonce);
        }
        match result {
            Ok(()) => Ok(token.to_string()),
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::warn!(error = format!("{error:#}"), "an ID token was refused");
                Err(Refusal::Forbidden(format!(
                    "the provider's ID token is refused: {error:#}"
                )))
            }
        }
    }

    fn verify(
        &self,
        provider: &Provider,
        token: &CoreIdToken,
        nonce: &Nonce,
    ) -> Result<(), ClaimsVerificationError> {
        let (id, secret) = self.id_and_secret();
        let client = CoreClient::from_provider_metadata(provider.metadata.clone(), id, secret);
        // Signatures only: what is keyed with the client's secret would be good for whoever has it.
        let verifier = client.id_token_verifier().set_allowed_algs([
            CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
            CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
            CoreJwsSigningAlgorithm::RsaSsaPssSha256,
            CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            CoreJwsSigningAlgorithm::EcdsaP384Sha384,
            CoreJwsSigningAlgorithm::EdDsa,
        ]);
        token.claims(&verifier, nonce).map(|_| ())
    }
}

impl Gate {
    /// Sends a person to the provider; `back` is where they want to go afterwards.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] without a provider; [`Refusal::Elsewhere`] when it cannot be asked.
    pub async fn depart(&self, back: &str, from: Client, now: Now) -> Result<Departure, Refusal> {
        let (url, cookie) = self.provider()?.depart(back, now).await?;
        let secure = self.is_secure(from);
        let cookie = site::set_cookie(COOKIE, &cookie, PATH, secure, Some(PENDING_SECONDS_MAX));
        Ok(Departure { url, cookie })
    }

    /// Takes the provider's answer and begins a session.
    ///
    /// # Errors
    /// Whatever is wrong with the answer, the token or the person, in words.
    pub async fn arrive(
        &self,
        headers: &http::HeaderMap,
        answer: Answer,
        from: Client,
        now: Now,
    ) -> Result<Arrival, Refusal> {
        let oidc = self.provider()?;
        let cookie = site::cookie(headers, COOKIE).unwrap_or_default();
        let (person, back) = oidc.arrive(cookie, answer, now).await?;
        if self
            .table
            .load()
            .resolve(&self.grants_of(&person))
            .is_empty()
        {
            return Err(Refusal::NotWelcome(format!(
                "{} has no role: those that [api.oidc] names are not there",
                person.to_name()
            )));
        }
        let name = person.to_name();
        let begun = self
            .logins
            .begin(&self.store, person, from.address, now.unix);
        let session = begun.await?;
        Ok(Arrival {
            name,
            session,
            back,
        })
    }

    fn provider(&self) -> Result<&Oidc, Refusal> {
        let none = || Refusal::NotFound("there is no [api.oidc] in the configuration".into());
        self.oidc.as_ref().ok_or_else(none)
    }
}

/// A path of this host, or the beginning: nobody is sent elsewhere by a link to our login.
fn local(path: &str) -> &str {
    let is_local = path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= BACK_BYTES_MAX
        && path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_local { path } else { "/" }
}

/// What another server has written, for people.
fn printable(text: &str) -> String {
    let printable = text.chars().filter(|c| !c.is_control());
    printable.take(200).collect()
}

/// The provider has failed; why is for the log, with all causes.
fn elsewhere(what: &str, error: &(dyn std::error::Error + 'static)) -> Refusal {
    let mut causes = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        causes = format!("{causes}: {cause}");
        source = cause.source();
    }
    tracing::error!(error = causes, "the OIDC provider {what}");
    Refusal::Elsewhere(format!("the OIDC provider {what}: {}", printable(&causes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_back_to_this_host_only() {
        for path in ["/", "/console?tab=1", "/v1/me"] {
            assert_eq!(local(path), path);
        }
        for path in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/a\nb",
            "/\u{e9}",
        ] {
            assert_eq!(local(path), "/", "{path}");
        }
    }
}
