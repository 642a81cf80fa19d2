//! A permission: a kind of resource, and whether it is read or changed. As text
//! `resource:action`, as each operation of the OpenAPI text has it: `devices:read`.

use std::fmt;
use std::str::FromStr;

/// To read or to change a kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Permission {
    /// What it is about.
    pub resource: Resource,
    /// What is done with it.
    pub action: Action,
}

/// What of the host a permission is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// How the host is doing, and its metrics.
    Status,
    /// Devices with their tags, notes, reachability and credentials.
    Devices,
    /// Values of devices' parameters.
    Parameters,
    /// What is asked of devices.
    Tasks,
    /// What happened in sessions.
    Sessions,
    /// Files that devices fetch and send.
    Files,
    /// What went wrong with devices.
    Faults,
    /// Operations on many devices.
    Campaigns,
    /// The host's plugins.
    Plugins,
    /// Instances, their settings and addresses.
    Instances,
    /// People, roles and tokens.
    Users,
    /// Who did what.
    Audit,
    /// The stream of events, and webhooks.
    Events,
    /// Backups of the store.
    Backups,
}

/// What is done with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// It is looked at.
    Read,
    /// It is made, changed or removed.
    Write,
}

/// A text that is no permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected resource:action, such as devices:read, got {0:?}")]
pub struct UnknownPermission(pub String);

impl Resource {
    /// All of them.
    pub const ALL: [Resource; 14] = [
        Resource::Status,
        Resource::Devices,
        Resource::Parameters,
        Resource::Tasks,
        Resource::Sessions,
        Resource::Files,
        Resource::Faults,
        Resource::Campaigns,
        Resource::Plugins,
        Resource::Instances,
        Resource::Users,
        Resource::Audit,
        Resource::Events,
        Resource::Backups,
    ];

    /// Its name in a permission.
    pub fn name(self) -> &'static str {
        match self {
            Resource::Status => "status",
            Resource::Devices => "devices",
            Resource::Parameters => "parameters",
            Resource::Tasks => "tasks",
            Resource::Sessions => "sessions",
            Resource::Files => "files",
            Resource::Faults => "faults",
            Resource::Campaigns => "campaigns",
            Resource::Plugins => "plugins",
            Resource::Instances => "instances",
            Resource::Users => "users",
            Resource::Audit => "audit",
            Resource::Events => "events",
            Resource::Backups => "backups",
        }
    }
}

impl Action {
    /// Its name in a permission.
    pub fn name(self) -> &'static str {
        match self {
            Action::Read => "read",
            Action::Write => "write",
        }
    }
}

impl Permission {
    /// Whether it is about the host itself and not about what belongs to one instance.
    pub fn is_of_host(self) -> bool {
        match self.resource {
            Resource::Status | Resource::Plugins | Resource::Backups => true,
            Resource::Instances => self.action == Action::Write,
            _ => false,
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.resource.name(), self.action.name())
    }
}

impl FromStr for Permission {
    type Err = UnknownPermission;

    fn from_str(text: &str) -> Result<Permission, UnknownPermission> {
        let unknown = || UnknownPermission(text.to_owned());
        let (resource, action) = text.split_once(':').ok_or_else(unknown)?;
        let resource = Resource::ALL.into_iter().find(|r| r.name() == resource);
        let action = [Action::Read, Action::Write]
            .into_iter()
            .find(|a| a.name() == action);
        match (resource, action) {
            (Some(resource), Some(action)) => Ok(Permission { resource, action }),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for resource in Resource::ALL {
            for action in [Action::Read, Action::Write] {
                let permission = Permission { resource, action };
                assert_eq!(permission.to_string().parse(), Ok(permission));
            }
        }
        for none in ["", "devices", "devices:", "devices:delete", "x:read", ":"] {
            assert!(none.parse::<Permission>().is_err(), "{none}");
        }
    }
}
