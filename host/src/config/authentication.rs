//! What is said of how devices show who they are.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `[instance.device_authentication]`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceAuthentication {
    /// What a device has to show.
    pub require: Require,
    /// How passwords are asked for, in this order.
    pub schemes: Vec<Scheme>,
    /// Ask for Basic, and take it, even where others can read it on its way.
    pub basic_without_tls: bool,
    /// Take a Digest without `qop` (RFC 2069), as old devices send it.
    pub digest_without_qop: bool,
    /// What the devices are told that the password is for.
    pub realm: String,
    /// Failed logins of one client address; more have to wait.
    pub failures_per_minute_max: u32,
    /// Shared by many devices as delivered; each is given its own at first contact.
    pub factory_credentials: Vec<FactoryCredentials>,
}

impl Default for DeviceAuthentication {
    fn default() -> DeviceAuthentication {
        DeviceAuthentication {
            require: Require::None,
            schemes: vec![Scheme::DigestSha256, Scheme::DigestMd5, Scheme::Basic],
            basic_without_tls: false,
            digest_without_qop: false,
            realm: "patchbay".into(),
            failures_per_minute_max: 30,
            factory_credentials: Vec::new(),
        }
    }
}

/// What a device has to show to be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Require {
    /// Nothing: it is who it says it is.
    None,
    /// User name and password.
    Password,
    /// A certificate that names it, from an authority of `cwmp.tls.client_ca`.
    Certificate,
    /// Either of them.
    PasswordOrCertificate,
}

impl Require {
    /// Whether a password will do.
    pub fn takes_password(self) -> bool {
        matches!(self, Require::Password | Require::PasswordOrCertificate)
    }

    /// Whether a certificate will do.
    pub fn takes_certificate(self) -> bool {
        matches!(self, Require::Certificate | Require::PasswordOrCertificate)
    }
}

/// How a password is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Scheme {
    /// Digest with SHA-256.
    #[serde(rename = "digest-sha-256")]
    DigestSha256,
    /// Digest with MD5.
    #[serde(rename = "digest-md5")]
    DigestMd5,
    /// Basic.
    #[serde(rename = "basic")]
    Basic,
}

/// `[[instance.device_authentication.factory_credentials]]`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FactoryCredentials {
    /// Without one: the device's own name, `OUI-SerialNumber` or `OUI-ProductClass-SerialNumber`.
    pub username: Option<String>,
    /// The password.
    pub password: String,
    /// Only for devices of this manufacturer.
    pub manufacturer: Option<String>,
    /// Only for devices with this OUI.
    pub oui: Option<String>,
    /// Only for devices of this product class.
    pub product_class: Option<String>,
}

impl std::fmt::Debug for FactoryCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FactoryCredentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}
