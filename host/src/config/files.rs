//! `[files]`: what devices download and upload.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{ConfigError, within};

/// `[files]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Files {
    /// A listener that serves files only, beside `/files/` on those of `[cwmp]`. With one,
    /// devices are sent there.
    pub listen: Option<SocketAddr>,
    /// How a device proves its right to a file.
    pub access: FileAccess,
    /// A larger file is refused at the API.
    pub file_bytes_max: u64,
    /// A larger file is refused from a device.
    pub upload_bytes_max: u64,
    /// Downloads and uploads at once; more are asked to come again.
    pub transfers_max: usize,
    /// A client that takes or sends nothing for so long is dropped.
    pub slow_seconds_max: u64,
    /// Files that are kept of what one device has sent; older ones go.
    pub uploads_per_device_max: usize,
    /// How long what devices have sent is kept.
    pub upload_days_max: u32,
}

impl Default for Files {
    fn default() -> Files {
        Files {
            listen: None,
            access: FileAccess::SignedUrl,
            file_bytes_max: 1 << 30,
            upload_bytes_max: 64 << 20,
            transfers_max: 1_000,
            slow_seconds_max: 60,
            uploads_per_device_max: 20,
            upload_days_max: 365,
        }
    }
}

/// How a device proves its right to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileAccess {
    /// By its URL, which is signed.
    SignedUrl,
    /// By a user name and a password of this transfer, in Basic authentication.
    Basic,
    /// The same, in Digest authentication (MD5, which all devices know).
    Digest,
}

impl Files {
    /// Checks the ranges.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (name, bytes) in [
            ("files.file_bytes_max", self.file_bytes_max),
            ("files.upload_bytes_max", self.upload_bytes_max),
        ] {
            within(name, bytes, 1..=1 << 40, "1 byte to 1 TiB")?;
        }
        for (name, count) in [
            ("files.transfers_max", self.transfers_max),
            ("files.uploads_per_device_max", self.uploads_per_device_max),
        ] {
            within(name, count, 1..=1_000_000, "1 to 1000000")?;
        }
        let seconds = self.slow_seconds_max;
        within(
            "files.slow_seconds_max",
            seconds,
            1..=86_400,
            "1 to 86400 seconds",
        )?;
        let days = self.upload_days_max;
        within(
            "files.upload_days_max",
            days,
            1..=36_500,
            "1 day to a century",
        )
    }
}
