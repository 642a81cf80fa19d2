//! WHO MAY DO WHAT at the northbound interface: a request's headers → a [`Principal`], and what
//! that principal may do with the devices of an instance.

mod permission;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode, header};
use subtle::ConstantTimeEq;

use crate::Acs;
use crate::device::UnixTime;
use crate::instance::DEFAULT_NAME;
pub use permission::{Action, Permission, Resource, UnknownPermission};

/// Who asks.
#[derive(Debug, Clone)]
pub struct Principal {
    /// `token:config`, `token:ci`, `user:anna`.
    pub name: Arc<str>,
}

/// What a principal may do with a kind of resource.
#[derive(Debug, Clone)]
pub enum Access {
    /// Nothing.
    Denied,
    /// It may, with all devices.
    All,
}

/// The instances in which a principal may do anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instances {
    /// All, and the host.
    All,
    /// These.
    Only(BTreeSet<Arc<str>>),
}

impl Instances {
    /// Whether an instance is among them.
    pub fn has(&self, instance: &str) -> bool {
        match self {
            Instances::All => true,
            Instances::Only(names) => names.contains(instance),
        }
    }
}

impl Principal {
    /// Whoever has the token of `[api]`: an administrator of everything.
    pub fn config() -> Principal {
        Principal {
            name: "token:config".into(),
        }
    }

    /// What it may do in an instance; `None`: with the host itself.
    pub fn on(&self, _instance: Option<&str>, _permission: Permission) -> Access {
        Access::All
    }

    /// Whether it may have a device do an operation, by the name of the operation (`reboot`).
    pub fn may_do(&self, _instance: &str, _operation: &str) -> Access {
        Access::All
    }

    /// Where it may do anything.
    pub fn instances(&self) -> Instances {
        Instances::All
    }

    /// The instance that it means if it names none: its only one, else `default`.
    pub fn instance(&self) -> Arc<str> {
        match self.instances() {
            Instances::Only(names) if names.len() == 1 => {
                names.into_iter().next().unwrap_or_default()
            }
            _ => DEFAULT_NAME.into(),
        }
    }
}

/// Why a request is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// 401, 403 or 429.
    pub status: StatusCode,
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// When it is worth trying again.
    pub retry_after_seconds: Option<u64>,
}

/// Finds out who asks, by the request's headers.
pub async fn authenticate(
    acs: &Acs,
    _method: &Method,
    headers: &HeaderMap,
    _peer: IpAddr,
    _now: UnixTime,
) -> Result<Arc<Principal>, Refusal> {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '));
    let allowed = match (given, acs.config.api.token.as_deref()) {
        (Some((scheme, given)), Some(token)) => {
            scheme.eq_ignore_ascii_case("bearer")
                && bool::from(given.trim().as_bytes().ct_eq(token.as_bytes()))
        }
        _ => false,
    };
    if allowed {
        return Ok(Arc::new(Principal::config()));
    }
    Err(Refusal {
        status: StatusCode::UNAUTHORIZED,
        code: "unauthorized",
        message: "expected the header Authorization: Bearer TOKEN with the token of [api]".into(),
        retry_after_seconds: None,
    })
}
