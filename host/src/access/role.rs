//! Roles: four that are built in, and those that operators write.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::permission::{Action, Permission, Resource};
use crate::query::Query;
use crate::secrets::is_secret;
use crate::work::task::Operation;

/// Characters of a name of a role, a user or a token.
pub const NAME_CHARS_MAX: usize = 64;
/// Characters of a description.
const DESCRIPTION_CHARS_MAX: usize = 500;
/// Permissions that one role may list.
const PERMISSIONS_MAX: usize = 100;

/// The operations that a role may name: those of tasks, and `set-open`, which sets nothing that
/// is secret or below `ManagementServer.`
pub const OPERATIONS: [&str; 23] = [
    "get",
    "set",
    "set-open",
    "names",
    "attributes",
    "set-attributes",
    "add-object",
    "delete-object",
    "rpc-methods",
    "reboot",
    "factory-reset",
    "download",
    "upload",
    "diagnostics",
    "schedule-inform",
    "queued-transfers",
    "schedule-download",
    "cancel-transfer",
    "change-du-state",
    "set-vouchers",
    "get-options",
    "flow",
    "raw",
];

/// What a support desk may ask of a device: what is undone by itself, or shows something. Not
/// FactoryReset, firmware or configuration, which a mistaken click does not take back, and no
/// upload, which has the passwords of the subscriber in it.
const OF_SUPPORT: [&str; 10] = [
    "get",
    "set-open",
    "names",
    "attributes",
    "rpc-methods",
    "reboot",
    "diagnostics",
    "schedule-inform",
    "queued-transfers",
    "get-options",
];

/// A role as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleText {
    /// For people.
    #[serde(default)]
    pub description: String,
    /// `devices:read`, `files:*`, `*:read`.
    pub permissions: Vec<String>,
    /// Only these devices, as a query; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<String>,
    /// Of `tasks:write` only these operations; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<String>>,
}

/// A role as it is asked.
#[derive(Debug)]
pub struct Role {
    /// By which grants name it.
    pub name: Arc<str>,
    /// As it is written down.
    pub text: RoleText,
    /// No operator can change it.
    pub is_built_in: bool,
    permissions: BTreeSet<Permission>,
    devices: Option<Arc<Query>>,
    operations: Option<BTreeSet<String>>,
}

impl Role {
    /// Reads a role.
    ///
    /// # Errors
    /// What was expected, and what came.
    pub fn new(name: &str, text: RoleText) -> Result<Role, String> {
        check_name("a role", name)?;
        if text.description.chars().count() > DESCRIPTION_CHARS_MAX {
            return Err(format!(
                "expected a description of at most {DESCRIPTION_CHARS_MAX} characters"
            ));
        }
        if !(1..=PERMISSIONS_MAX).contains(&text.permissions.len()) {
            return Err(format!(
                "expected 1 to {PERMISSIONS_MAX} permissions, got {}",
                text.permissions.len()
            ));
        }
        let mut permissions = BTreeSet::new();
        for named in &text.permissions {
            permissions.extend(Permission::matching(named)?);
        }
        let devices = match &text.devices {
            None => None,
            Some(query) => Some(Arc::new(device_query(query, &permissions)?)),
        };
        let operations = match &text.operations {
            None => None,
            Some(operations) => Some(operations_of(operations)?),
        };
        Ok(Role {
            name: name.into(),
            is_built_in: false,
            permissions,
            devices,
            operations,
            text,
        })
    }

    /// Whether it gives this permission, for some device at least.
    pub fn gives(&self, permission: Permission) -> bool {
        let mut permissions = self.permissions.iter();
        permissions.any(|given| given.contains(permission))
    }

    /// Only these devices; `None`: all.
    pub fn devices(&self) -> Option<&Arc<Query>> {
        self.devices.as_ref()
    }

    /// Whether a task may do this.
    pub fn may(&self, operation: &Operation) -> bool {
        let Some(operations) = &self.operations else {
            return true;
        };
        let named = |name: &str| operations.contains(name);
        named(operation.name()) || (named("set-open") && sets_open_values(operation))
    }

    /// Whether who has this role has all of the other, so that it may give it away.
    pub fn contains(&self, other: &Role) -> bool {
        let same_devices = match (&self.text.devices, &other.text.devices) {
            (None, _) => true,
            (Some(own), Some(other)) => own == other,
            (Some(_), None) => false,
        };
        let covers = |own: &BTreeSet<String>, name: &String| {
            own.contains(name) || (name == "set-open" && own.contains("set"))
        };
        let same_operations = match (&self.operations, &other.operations) {
            (None, _) => true,
            (Some(own), Some(others)) => others.iter().all(|name| covers(own, name)),
            // Without tasks it does not matter which.
            (Some(_), None) => !other.gives(Permission::new(Resource::Tasks, Action::Write)),
        };
        let all = other.permissions.iter().all(|given| self.gives(*given));
        same_devices && same_operations && all
    }
}

/// A name that stands in URLs and in the audit log as it is.
///
/// # Errors
/// What was expected, and what came.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_@+".contains(c);
    let length = name.chars().count();
    if (1..=NAME_CHARS_MAX).contains(&length)
        && name.chars().all(is_plain)
        && !name.starts_with('.')
    {
        return Ok(());
    }
    Err(format!(
        "expected as the name of {what} 1 to {NAME_CHARS_MAX} letters, digits or .-_@+, got {name:?}"
    ))
}

/// A role of some devices has nothing else: what is not of single devices tells of all.
fn device_query(text: &str, permissions: &BTreeSet<Permission>) -> Result<Query, String> {
    let mut permissions = permissions.iter();
    if let Some(other) = permissions.find(|permission| !permission.is_of_devices()) {
        let of_devices = Permission::all().filter(|permission| permission.is_of_devices());
        let of_devices: Vec<String> = of_devices.map(|known| known.to_string()).collect();
        return Err(format!(
            "expected permissions of {} only, because the role is for some devices, got \"{other}\"",
            of_devices.join(", ")
        ));
    }
    Query::parse(text).map_err(|error| error.to_string())
}

fn operations_of(names: &[String]) -> Result<BTreeSet<String>, String> {
    let unknown = |name: &&String| !OPERATIONS.contains(&name.as_str());
    if let Some(name) = names.iter().find(unknown) {
        return Err(format!(
            "expected operations of {}, got {name:?}",
            OPERATIONS.join(", ")
        ));
    }
    Ok(names.iter().cloned().collect())
}

/// Whether it sets nothing secret, and nothing of what keeps the device ours.
fn sets_open_values(operation: &Operation) -> bool {
    let Operation::Set { parameters } = operation else {
        return false;
    };
    parameters.iter().all(|parameter| {
        let mut parts = parameter.path.split('.');
        !is_secret(&parameter.path)
            && !parts.any(|part| part.eq_ignore_ascii_case("ManagementServer"))
    })
}

/// The roles that every host has.
pub(super) fn built_in() -> &'static [Arc<Role>] {
    static ROLES: LazyLock<Vec<Arc<Role>>> = LazyLock::new(|| {
        let named = |name: &str, description: &str, has: &dyn Fn(Permission) -> bool| {
            let permissions: BTreeSet<Permission> = Permission::all()
                .filter(|permission| has(*permission))
                .collect();
            Role {
                name: name.into(),
                text: RoleText {
                    description: description.to_owned(),
                    permissions: permissions.iter().map(Permission::to_string).collect(),
                    devices: None,
                    operations: None,
                },
                is_built_in: true,
                permissions,
                devices: None,
                operations: None,
            }
        };
        let mut support = named(
            "support",
            "A support desk: sees devices, tags and wakes them, and asks of them what is undone by itself.",
            &of_support,
        );
        let operations = OF_SUPPORT.map(str::to_owned);
        support.text.operations = Some(operations.to_vec());
        support.operations = Some(operations.into());
        let roles = [
            named("admin", "Everything.", &|_| true),
            named(
                "operator",
                "Everything but settings of instances and plugins, users and the host.",
                &of_operator,
            ),
            support,
            named(
                "read-only",
                "Sees what there is; not the bytes of files, users, audit or backups.",
                &of_read_only,
            ),
        ];
        roles.map(Arc::new).into()
    });
    &ROLES
}

fn of_operator(permission: Permission) -> bool {
    match permission.resource {
        Resource::Users | Resource::Backups => false,
        Resource::Instances | Resource::Plugins | Resource::Audit | Resource::Status => {
            permission.action == Action::Read
        }
        _ => true,
    }
}

fn of_support(permission: Permission) -> bool {
    match (permission.resource, permission.action) {
        (Resource::Devices, action) => action != Action::Write,
        (Resource::Tasks | Resource::Sessions, _) => true,
        (
            Resource::Status
            | Resource::Instances
            | Resource::Parameters
            | Resource::Faults
            | Resource::Files
            | Resource::Events,
            Action::Read,
        ) => true,
        _ => false,
    }
}

fn of_read_only(permission: Permission) -> bool {
    permission.action == Action::Read
        && !matches!(
            permission.resource,
            Resource::Users | Resource::Audit | Resource::Backups
        )
}
