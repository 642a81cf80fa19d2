//! SNIPPETS: configuration of the operator's other systems (his DHCP server, his proxies, his
//! devices) with this instance's addresses in it, to be used as printed. A pure function of the
//! configuration: an address that it does not tell is an error that names the setting.

mod dhcp;
mod easycwmp;
mod isc_dhcpd;
mod kea;
mod mikrotik;
mod nginx;
mod squid;

use std::collections::BTreeMap;

use crate::config::Config;
use crate::links::Links;

/// Bytes of an option's value.
const VALUE_BYTES_MAX: usize = 256;

/// What there is a snippet for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A reverse proxy.
    Nginx,
    /// A forward proxy for connection requests.
    Squid,
    /// A DHCP server.
    KeaDhcp4,
    /// A DHCPv6 server.
    KeaDhcp6,
    /// A DHCP server.
    IscDhcpd,
    /// A DHCPv6 server.
    IscDhcpd6,
    /// Devices and DHCP servers with RouterOS.
    Mikrotik,
    /// Devices with OpenWrt.
    Easycwmp,
}

/// A choice that the operator has.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// Its name.
    pub name: &'static str,
    /// What it is, and what goes without it.
    pub about: &'static str,
}

/// What the operator chose: values by names.
pub type Choices = BTreeMap<String, String>;

/// Why there is no snippet.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SnippetError {
    /// There is none of that name.
    #[error("expected one of {expected}, got {got:?}")]
    Kind {
        /// The name.
        got: String,
        /// All that there are.
        expected: String,
    },
    /// It has no such option.
    #[error("{kind} has the options {expected}, not {got:?}")]
    Option {
        /// Of which.
        kind: &'static str,
        /// The name.
        got: String,
        /// All that there are.
        expected: String,
    },
    /// An option cannot have that value.
    #[error("{name}={got:?}: expected {expected}")]
    Value {
        /// Of which option.
        name: &'static str,
        /// The value.
        got: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The configuration does not tell an address.
    #[error("{why}: {setting} or the option {option} tells it")]
    Unknown {
        /// Why it is not known.
        why: String,
        /// The setting that tells it.
        setting: &'static str,
        /// The option that tells it.
        option: &'static str,
    },
    /// There is no value that is right for everybody.
    #[error("expected the option {name}: {about}")]
    Missing {
        /// Of which option.
        name: &'static str,
        /// What it is.
        about: &'static str,
    },
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 8] = [
        Kind::Nginx,
        Kind::Squid,
        Kind::KeaDhcp4,
        Kind::KeaDhcp6,
        Kind::IscDhcpd,
        Kind::IscDhcpd6,
        Kind::Mikrotik,
        Kind::Easycwmp,
    ];

    /// The kind of that name.
    pub fn named(name: &str) -> Result<Kind, SnippetError> {
        let mut all = Kind::ALL.iter();
        let found = all.find(|kind| kind.name() == name);
        found.copied().ok_or_else(|| SnippetError::Kind {
            got: name.into(),
            expected: Kind::ALL.map(Kind::name).join(", "),
        })
    }

    /// Its name on the command line and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Nginx => "nginx",
            Kind::Squid => "squid",
            Kind::KeaDhcp4 => "kea-dhcp4",
            Kind::KeaDhcp6 => "kea-dhcp6",
            Kind::IscDhcpd => "isc-dhcpd",
            Kind::IscDhcpd6 => "isc-dhcpd6",
            Kind::Mikrotik => "mikrotik",
            Kind::Easycwmp => "easycwmp",
        }
    }

    /// What it is for, in one line.
    pub fn about(self) -> &'static str {
        match self {
            Kind::Nginx => "a reverse proxy in front of the ACS, also for devices without TLS",
            Kind::Squid => "a proxy near the devices, for connection requests",
            Kind::KeaDhcp4 => "Kea's DHCPv4 server tells devices the ACS URL (options 43 and 125)",
            Kind::KeaDhcp6 => "Kea's DHCPv6 server tells devices the ACS URL (option 17)",
            Kind::IscDhcpd => "ISC dhcpd tells devices the ACS URL (options 43 and 125)",
            Kind::IscDhcpd6 => "ISC dhcpd for IPv6 tells devices the ACS URL (option 17)",
            Kind::Mikrotik => "RouterOS as a device, and as the DHCP server of devices",
            Kind::Easycwmp => "OpenWrt with easycwmp as a device",
        }
    }

    /// What the operator may choose.
    pub fn choices(self) -> &'static [Choice] {
        match self {
            Kind::Nginx => nginx::CHOICES,
            Kind::Squid => squid::CHOICES,
            Kind::KeaDhcp4 | Kind::KeaDhcp6 => kea::CHOICES,
            Kind::IscDhcpd | Kind::IscDhcpd6 => isc_dhcpd::CHOICES,
            Kind::Mikrotik => mikrotik::CHOICES,
            Kind::Easycwmp => easycwmp::CHOICES,
        }
    }

    /// The text for the instance of this configuration, with these addresses of it.
    pub fn print(
        self,
        config: &Config,
        links: Links,
        choices: &Choices,
    ) -> Result<String, SnippetError> {
        for (name, value) in choices {
            if !self.choices().iter().any(|choice| choice.name == name) {
                let names: Vec<_> = self.choices().iter().map(|choice| choice.name).collect();
                return Err(SnippetError::Option {
                    kind: self.name(),
                    got: name.clone(),
                    expected: names.join(", "),
                });
            }
            let choice = self.choices().iter().find(|choice| choice.name == name);
            if let Some(choice) = choice.filter(|_| !is_plain(value)) {
                return Err(SnippetError::Value {
                    name: choice.name,
                    got: value.chars().take(VALUE_BYTES_MAX).collect(),
                    expected: "1 to 256 letters, digits and . : / - _ [ ] , @ ~ ? = & % +",
                });
            }
        }
        let facts = Facts {
            config,
            links,
            choices,
        };
        match self {
            Kind::Nginx => nginx::print(&facts),
            Kind::Squid => squid::print(&facts),
            Kind::KeaDhcp4 => kea::print_v4(&facts),
            Kind::KeaDhcp6 => kea::print_v6(&facts),
            Kind::IscDhcpd => isc_dhcpd::print_v4(&facts),
            Kind::IscDhcpd6 => isc_dhcpd::print_v6(&facts),
            Kind::Mikrotik => mikrotik::print(&facts),
            Kind::Easycwmp => easycwmp::print(&facts),
        }
    }
}

/// Nothing that ends a word, a string or a line in any of the languages.
fn is_plain(value: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".:/-_[],@~?=&%+".contains(c);
    !value.is_empty() && value.len() <= VALUE_BYTES_MAX && value.chars().all(plain)
}

/// What a snippet is made of.
struct Facts<'a> {
    config: &'a Config,
    links: Links,
    choices: &'a Choices,
}

impl Facts<'_> {
    fn choice(&self, name: &str) -> Option<&str> {
        self.choices.get(name).map(String::as_str)
    }

    /// The URL that devices are given.
    fn acs_url(&self) -> Result<&str, SnippetError> {
        match self.choice("acs_url").or(self.links.acs_url()) {
            Some(url) => Ok(url),
            None => Err(self.unknown("cwmp", "acs_url")),
        }
    }

    fn unknown(&self, link: &str, option: &'static str) -> SnippetError {
        let missing = self.links.why_missing(link);
        SnippetError::Unknown {
            why: missing.map_or_else(|| format!("{link} is not known"), |m| m.why.clone()),
            setting: missing.map_or("instance.acs_url", |m| m.setting),
            option,
        }
    }

    /// A choice of `yes` or `no`.
    fn is_on(&self, name: &'static str) -> Result<bool, SnippetError> {
        match self.choice(name) {
            None | Some("no") => Ok(false),
            Some("yes") => Ok(true),
            Some(got) => Err(SnippetError::Value {
                name,
                got: got.into(),
                expected: "yes or no",
            }),
        }
    }

    /// A choice that is read from its text.
    fn read<T: std::str::FromStr>(
        &self,
        name: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, SnippetError> {
        let read = |text: &str| {
            text.parse().map_err(|_| SnippetError::Value {
                name,
                got: text.into(),
                expected,
            })
        };
        self.choice(name).map(read).transpose()
    }
}

/// The URL that devices are given, as a choice.
const ACS_URL: Choice = Choice {
    name: "acs_url",
    about: "the ACS URL, if not that of the configuration",
};
/// The provisioning code, as a choice.
const PROVISIONING_CODE: Choice = Choice {
    name: "provisioning_code",
    about: "the devices' provisioning code; none, if not given",
};

#[cfg(test)]
mod tests;
