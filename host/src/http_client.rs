//! HTTP to systems that the operator has named: collectors, webhooks, identity providers. Never to devices, whose
//! addresses are guarded (`nat/guard`).

use std::time::Duration;

use tokio_rustls::rustls::crypto::ring;

/// A client whose requests take no longer than this, answer included. It trusts the authorities that the system
/// trusts, takes no proxy from the environment and follows no redirect.
///
/// # Errors
/// When the system's authorities cannot be read.
pub fn new(time_max: Duration) -> reqwest::Result<reqwest::Client> {
    builder(time_max).build()
}

/// [`new`], for who trusts other authorities too, or looks names up in another way.
pub fn builder(time_max: Duration) -> reqwest::ClientBuilder {
    // One that is there already does as well.
    let _ = ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(time_max)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("patchbay/", env!("CARGO_PKG_VERSION")))
}
