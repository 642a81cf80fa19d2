//! Who asks, and what they may.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::permission::Permission;
use super::role::Role;
use crate::instance::DEFAULT_NAME;
use crate::query::Query;
use crate::work::task::Operation;

/// A role, in one instance or in all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// `admin`, `operator`, `support`, `read-only`, or a role of your own.
    pub role: String,
    /// Where; absent: in all instances, and for the host itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// What somebody may do with what a permission is about.
#[derive(Debug, Clone)]
pub enum Access {
    /// Nothing.
    Denied,
    /// All of it.
    All,
    /// What belongs to devices that match.
    Devices(Arc<Query>),
}

impl Access {
    /// Whether it is for some device at least.
    pub fn is_any(&self) -> bool {
        !matches!(self, Access::Denied)
    }

    /// What both allow.
    fn or(self, other: Access) -> Access {
        match (self, other) {
            (Access::All, _) | (_, Access::All) => Access::All,
            (Access::Denied, other) | (other, Access::Denied) => other,
            (Access::Devices(one), Access::Devices(other)) if Arc::ptr_eq(&one, &other) => {
                Access::Devices(one)
            }
            (Access::Devices(one), Access::Devices(other)) => {
                Access::Devices(Arc::new(Query::clone(&one).or(Query::clone(&other))))
            }
        }
    }
}

/// Instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instances {
    /// All that there are, and the host itself.
    All,
    /// These.
    Only(BTreeSet<Arc<str>>),
}

impl Instances {
    /// Whether it is among them.
    pub fn has(&self, instance: &str) -> bool {
        self.contain(Some(instance))
    }

    /// Whether it is among them; `None`: the host.
    pub fn contain(&self, instance: Option<&str>) -> bool {
        match (self, instance) {
            (Instances::All, _) => true,
            (Instances::Only(_), None) => false,
            (Instances::Only(names), Some(name)) => names.contains(name),
        }
    }

    /// Whether it is none.
    pub fn is_none(&self) -> bool {
        matches!(self, Instances::Only(names) if names.is_empty())
    }
}

/// How somebody has shown who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A token, by its id.
    Token(Arc<str>),
    /// A session in a browser, by its id.
    Session(Arc<str>),
}

/// Who asks. Made for each request, so that changes of roles and users act at once.
#[derive(Debug, Clone)]
pub struct Principal {
    /// `token:ci`, `user:anna`, `oidc:anna@example.net`
    pub name: Arc<str>,
    /// How that was shown.
    pub proof: Proof,
    /// The password has to be changed before anything else.
    pub must_change_password: bool,
    pub(super) grants: Vec<(Arc<Role>, Option<Arc<str>>)>,
    /// Of what the grants give, only these.
    pub(super) only: Option<Vec<Permission>>,
}

impl Principal {
    /// What it may do in an instance; without one, what concerns the host.
    pub fn on(&self, instance: Option<&str>, permission: Permission) -> Access {
        self.roles_giving(instance, permission)
            .map(|role| match role.devices() {
                None => Access::All,
                Some(devices) => Access::Devices(Arc::clone(devices)),
            })
            .fold(Access::Denied, Access::or)
    }

    /// Of which devices of the instance it may ask this.
    pub fn may_do(&self, instance: &str, operation: &Operation) -> Access {
        self.roles_giving(Some(instance), super::TASKS_WRITE)
            .filter(|role| role.may(operation))
            .map(|role| match role.devices() {
                None => Access::All,
                Some(devices) => Access::Devices(Arc::clone(devices)),
            })
            .fold(Access::Denied, Access::or)
    }

    /// Where it has this permission, for all devices there.
    pub fn instances_with(&self, permission: Permission) -> Instances {
        self.instances_where(|role| self.gives(role, permission) && role.devices().is_none())
    }

    /// Where it may do anything.
    pub fn instances(&self) -> Instances {
        self.instances_where(|_| true)
    }

    /// The instance that is meant where none is named: `default`, or the first that it knows.
    pub fn instance(&self) -> Arc<str> {
        match self.instances() {
            Instances::Only(names) if !names.contains(DEFAULT_NAME) => names.into_iter().next(),
            _ => None,
        }
        .unwrap_or_else(|| DEFAULT_NAME.into())
    }

    /// Whether it may give this grant to others: nobody gives more than they have.
    pub fn may_give(&self, role: &Role, instance: Option<&str>) -> bool {
        let mut here = self.grants_at(instance);
        self.only.is_none() && here.any(|own| own.contains(role))
    }

    /// What it was granted.
    pub fn grants(&self) -> impl Iterator<Item = Grant> {
        self.grants.iter().map(|(role, instance)| Grant {
            role: role.name.to_string(),
            instance: instance.as_deref().map(str::to_owned),
        })
    }

    /// What of its grants it may use; `None`: all.
    pub fn only(&self) -> Option<&[Permission]> {
        self.only.as_deref()
    }

    fn gives(&self, role: &Role, permission: Permission) -> bool {
        let allowed = |only: &Vec<Permission>| only.iter().any(|one| one.contains(permission));
        role.gives(permission) && self.only.as_ref().is_none_or(allowed)
    }

    fn grants_at(&self, instance: Option<&str>) -> impl Iterator<Item = &Arc<Role>> {
        let here = move |at: &Option<Arc<str>>| at.is_none() || at.as_deref() == instance;
        let grants = self.grants.iter();
        grants.filter_map(move |(role, at)| here(at).then_some(role))
    }

    fn roles_giving(
        &self,
        instance: Option<&str>,
        permission: Permission,
    ) -> impl Iterator<Item = &Arc<Role>> {
        self.grants_at(instance)
            .filter(move |role| self.gives(role, permission))
    }

    fn instances_where(&self, has: impl Fn(&Role) -> bool) -> Instances {
        let mut names = BTreeSet::new();
        for (_, at) in self.grants.iter().filter(|(role, _)| has(role)) {
            match at {
                None => return Instances::All,
                Some(name) => names.insert(Arc::clone(name)),
            };
        }
        Instances::Only(names)
    }
}
