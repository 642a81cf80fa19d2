//! What may be done: a resource of the API and an action, `devices:read` as text.
//!
//! The OpenAPI text names one permission for each operation; roles name those that they give.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a permission is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// How the host is, its metrics, its models and addresses.
    Status,
    /// Devices: what is known of them but their parameters.
    Devices,
    /// The values of devices' parameters.
    Parameters,
    /// What is asked of devices.
    Tasks,
    /// Sessions of devices and their traces.
    Sessions,
    /// What devices download and upload.
    Files,
    /// Faults of devices.
    Faults,
    /// Campaigns.
    Campaigns,
    /// Plugins and their settings.
    Plugins,
    /// Instances and their settings.
    Instances,
    /// Users, roles, tokens and logins.
    Users,
    /// Who did what.
    Audit,
    /// The event stream and webhooks.
    Events,
    /// Backups of the host.
    Backups,
}

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

    /// `devices`
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

/// What is done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Look.
    Read,
    /// Change; contains the finer ones below, but not `Read`.
    Write,
    /// Of devices: tags and notes.
    Annotate,
    /// Of files: their bytes. What devices upload has their passwords in it.
    Content,
    /// Of an instance: the settings that are its own affair.
    Configure,
}

impl Action {
    /// All of them.
    pub const ALL: [Action; 5] = [
        Action::Read,
        Action::Write,
        Action::Annotate,
        Action::Content,
        Action::Configure,
    ];

    /// `read`
    pub fn name(self) -> &'static str {
        match self {
            Action::Read => "read",
            Action::Write => "write",
            Action::Annotate => "annotate",
            Action::Content => "content",
            Action::Configure => "configure",
        }
    }

    /// Whether there is such an action of this resource.
    pub fn is_of(self, resource: Resource) -> bool {
        match self {
            Action::Read | Action::Write => true,
            Action::Annotate => resource == Resource::Devices,
            Action::Content => resource == Resource::Files,
            Action::Configure => resource == Resource::Instances,
        }
    }
}

/// A resource and an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    /// Of what.
    pub resource: Resource,
    /// To do what.
    pub action: Action,
}

impl Permission {
    /// This action of this resource.
    pub const fn new(resource: Resource, action: Action) -> Permission {
        Permission { resource, action }
    }

    /// Where it has to be given: in the instance that is asked about, or, for what is the
    /// host's, in all (`None`).
    pub fn place(self, instance: &str) -> Option<&str> {
        match self.resource {
            Resource::Status | Resource::Plugins | Resource::Backups => None,
            Resource::Instances if self.action == Action::Write => None,
            _ => Some(instance),
        }
    }

    /// Whether all of it belongs to single devices, or is shown device by device, so that a role of
    /// some devices may have it.
    pub fn is_of_devices(self) -> bool {
        match self.resource {
            Resource::Devices
            | Resource::Parameters
            | Resource::Tasks
            | Resource::Sessions
            | Resource::Faults => true,
            Resource::Events | Resource::Audit => self.action == Action::Read,
            _ => false,
        }
    }

    /// All that there are.
    pub fn all() -> impl Iterator<Item = Permission> {
        Resource::ALL.into_iter().flat_map(|resource| {
            let actions = Action::ALL.into_iter();
            actions
                .filter(move |action| action.is_of(resource))
                .map(move |action| Permission::new(resource, action))
        })
    }

    /// Whether who has this may do that: writing contains the finer actions.
    pub fn contains(self, other: Permission) -> bool {
        let is_finer = !matches!(other.action, Action::Read | Action::Write);
        self.resource == other.resource
            && (self.action == other.action || (self.action == Action::Write && is_finer))
    }

    /// The permissions that a text with `*` for a resource or an action names.
    ///
    /// # Errors
    /// What was expected, and the text.
    pub fn matching(text: &str) -> Result<Vec<Permission>, String> {
        let wrong = || {
            format!(
                "expected a permission such as \"devices:read\", \"files:*\" or \"*:read\", got {text:?}"
            )
        };
        let (resource, action) = text.split_once(':').ok_or_else(wrong)?;
        let named = |permission: &Permission| {
            (resource == "*" || resource == permission.resource.name())
                && (action == "*" || action == permission.action.name())
        };
        let found: Vec<Permission> = Permission::all().filter(named).collect();
        if found.is_empty() {
            return Err(wrong());
        }
        Ok(found)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.resource.name(), self.action.name())
    }
}

impl FromStr for Permission {
    type Err = String;

    fn from_str(text: &str) -> Result<Permission, String> {
        let found = Permission::all().find(|permission| permission.to_string() == text);
        found.ok_or_else(|| format!("expected a permission such as \"devices:read\", got {text:?}"))
    }
}

impl Serialize for Permission {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Permission, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_as_texts() {
        for permission in Permission::all() {
            assert_eq!(permission.to_string().parse(), Ok(permission));
        }
        let named = |text: &str| -> Vec<String> {
            let found = Permission::matching(text).unwrap();
            found.iter().map(Permission::to_string).collect()
        };
        assert_eq!(named("devices:read"), ["devices:read"]);
        assert_eq!(
            named("files:*"),
            ["files:read", "files:write", "files:content"]
        );
        assert_eq!(named("*:annotate"), ["devices:annotate"]);
        assert_eq!(named("*:read").len(), Resource::ALL.len());
        for text in [
            "",
            "devices",
            "devices:",
            "tasks:annotate",
            "device:read",
            "*:*:*",
        ] {
            assert!(Permission::matching(text).is_err(), "{text}");
            assert!(text.parse::<Permission>().is_err(), "{text}");
        }
    }

    #[test]
    fn writing_contains_the_finer_actions_but_not_reading() {
        let permission = |text: &str| text.parse::<Permission>().unwrap();
        let write = permission("devices:write");
        assert!(write.contains(permission("devices:annotate")));
        assert!(write.contains(write));
        assert!(!write.contains(permission("devices:read")));
        assert!(!permission("devices:annotate").contains(write));
        assert!(!write.contains(permission("tasks:write")));
    }
}
