//! HTTP towards the provider: no redirects, so many bytes, so much time.

use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};

use super::OidcError;

/// Of one request.
const SECONDS_MAX: Duration = Duration::from_secs(10);
/// Of one answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Why the provider was not heard.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("no answer")]
    Http(#[from] reqwest::Error),
    #[error("an answer of more than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
    #[error("an answer that is no HTTP")]
    Odd(#[from] http::Error),
}

/// The client.
pub(super) struct Fetch(reqwest::Client);

impl Fetch {
    /// Trusts the authorities of the system, and those of this file (PEM).
    pub(super) fn new(ca: Option<&Path>) -> Result<Fetch, OidcError> {
        let mut client = crate::http_client::builder(SECONDS_MAX);
        if let Some(path) = ca {
            let failed = |why: String| OidcError::Ca(path.to_owned(), why);
            let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem);
            client =
                client.tls_certs_merge(certificates.map_err(|error| failed(error.to_string()))?);
        }
        client.build().map(Fetch).map_err(OidcError::Client)
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, FetchError> {
        let request = reqwest::Request::try_from(request)?;
        let mut answer = self.0.execute(request).await?;
        let mut response = http::Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            response = response.header(name, value);
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(response.body(body)?)
    }
}

impl<'c> AsyncHttpClient<'c> for Fetch {
    type Error = FetchError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, FetchError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}
