//! How a Digest hashes, and what it protects.

use md5::{Digest, Md5};
use sha2::Sha256;

/// How a Digest hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `MD5`.
    Md5,
    /// `MD5-sess`.
    Md5Sess,
    /// `SHA-256`.
    Sha256,
    /// `SHA-256-sess`.
    Sha256Sess,
}

/// What a Digest protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qop {
    /// `auth`: method and URI.
    Auth,
    /// `auth-int`: the body too.
    AuthInt,
}

impl Algorithm {
    /// As headers write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Md5Sess => "MD5-sess",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha256Sess => "SHA-256-sess",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Algorithm> {
        [
            Algorithm::Md5,
            Algorithm::Md5Sess,
            Algorithm::Sha256,
            Algorithm::Sha256Sess,
        ]
        .into_iter()
        .find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(name.trim()))
    }

    /// Whether it is one of the `-sess` kind.
    pub fn is_session(self) -> bool {
        matches!(self, Algorithm::Md5Sess | Algorithm::Sha256Sess)
    }

    /// The hash in lower-case hexadecimal of these parts with colons between them.
    pub(super) fn hash(self, parts: &[&str]) -> String {
        let text = parts.join(":");
        match self {
            Algorithm::Md5 | Algorithm::Md5Sess => hexadecimal(&Md5::digest(text)),
            Algorithm::Sha256 | Algorithm::Sha256Sess => hexadecimal(&Sha256::digest(text)),
        }
    }
}

impl Qop {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Qop::Auth => "auth",
            Qop::AuthInt => "auth-int",
        }
    }

    /// The one to use of a list like `auth,auth-int`.
    pub(super) fn choose(list: &str) -> Option<Qop> {
        let offers = |qop: &Qop| {
            list.split([',', ' '])
                .any(|offered| offered.trim().eq_ignore_ascii_case(qop.as_str()))
        };
        [Qop::Auth, Qop::AuthInt].into_iter().find(offers)
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
