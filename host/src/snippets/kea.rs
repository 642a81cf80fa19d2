//! Kea. Its expressions compare at a fixed place only, so a text that may stand anywhere is
//! looked for at each place.

use std::fmt::Write;

use super::dhcp::{ENTERPRISE, POOL, Pool, SUBNET, Told, VENDOR_CLASS};
use super::{ACS_URL, Choice, Facts, PROVISIONING_CODE, SnippetError};

/// At so many places, from the first on.
const PLACES: usize = 64;
/// Of option 16: enterprise number (4 bytes) and length (2) stand before the text.
const BEFORE_TEXT_V6: usize = 6;

pub(super) const CHOICES: &[Choice] = &[
    ACS_URL,
    PROVISIONING_CODE,
    Choice {
        name: "interface",
        about: "where the devices are, for a whole configuration",
    },
    SUBNET,
    POOL,
];

/// The members that differ between the two servers.
struct Server {
    name: &'static str,
    about: String,
    definitions: Vec<String>,
    test: String,
    class: &'static str,
    data: Vec<String>,
}

pub(super) fn print_v4(facts: &Facts<'_>) -> Result<String, SnippetError> {
    const SPACE_43: &str = "vendor-encapsulated-options-space";
    let told = Told::of(facts)?;
    let vendor = format!("vendor-{ENTERPRISE}");
    let mut definitions = Vec::new();
    let mut data =
        vec![r#"{ "name": "vendor-encapsulated-options", "always-send": true }"#.to_owned()];
    for (space, offset) in [(SPACE_43, 0), (vendor.as_str(), 10)] {
        if offset > 0 {
            data.push(format!(
                r#"{{ "name": "vivso-suboptions", "data": "{ENTERPRISE}", "always-send": true }}"#
            ));
        }
        for (name, code, value) in told.members() {
            definitions.push(definition(space, name, code + offset));
            data.push(datum(space, name, value));
        }
    }
    let server = Server {
        name: "Dhcp4",
        about: format!(
            "with {VENDOR_CLASS} in their vendor class (option 60) are told\n// their ACS, in option 43 and in option 125"
        ),
        definitions,
        test: contains("option[60].hex", 0),
        class: "\"option-def\": [\n          { \"name\": \"vendor-encapsulated-options\", \"code\": 43, \"type\": \"empty\", \
                \"encapsulate\": \"vendor-encapsulated-options-space\" }\n        ],\n        ",
        data,
    };
    let network = network(facts, "subnet4", Pool::of(facts, true)?)?;
    Ok(server.print(&network))
}

pub(super) fn print_v6(facts: &Facts<'_>) -> Result<String, SnippetError> {
    let told = Told::of(facts)?;
    let space = format!("vendor-{ENTERPRISE}");
    let mut data = vec![format!(
        r#"{{ "name": "vendor-opts", "data": "{ENTERPRISE}", "always-send": true }}"#
    )];
    let mut definitions = Vec::new();
    for (name, code, value) in told.members() {
        definitions.push(definition(&space, name, code));
        data.push(datum(&space, name, value));
    }
    let server = Server {
        name: "Dhcp6",
        about: format!(
            "with {VENDOR_CLASS} in their vendor class (option 16) are told\n// their ACS, in option 17"
        ),
        definitions,
        test: contains("option[16].hex", BEFORE_TEXT_V6),
        class: "",
        data,
    };
    let network = network(facts, "subnet6", Pool::of(facts, false)?)?;
    Ok(server.print(&network))
}

impl<'a> Told<'a> {
    fn members(&self) -> impl Iterator<Item = (&'static str, u8, &'a str)> {
        let code = self.code.map(|code| ("provisioning-code", 2, code));
        [("acs-url", 1, self.url)].into_iter().chain(code)
    }
}

impl Server {
    fn print(&self, network: &str) -> String {
        format!(
            "// Kea: devices {}. Nobody else is. A server that has other devices\n\
             // too takes option-def and client-classes from here.\n\
             {{\n  \"{}\": {{\n{network}    \"option-def\": [\n      {}\n    ],\n    \"client-classes\": [\n      {{\n        \
             \"name\": \"tr069\",\n        \
             // The text may stand anywhere; the first {PLACES} places are looked at.\n        \
             \"test\": \"{}\",\n        {}\"option-data\": [\n          {}\n        ]\n      }}\n    ]\n  }}\n}}\n",
            self.about,
            self.name,
            self.definitions.join(",\n      "),
            self.test,
            self.class,
            self.data.join(",\n          "),
        )
    }
}

fn definition(space: &str, name: &str, code: u8) -> String {
    format!(r#"{{ "space": "{space}", "name": "{name}", "code": {code}, "type": "string" }}"#)
}

fn datum(space: &str, name: &str, value: &str) -> String {
    format!(
        r#"{{ "space": "{space}", "name": "{name}", "csv-format": false, "data": "'{value}'", "always-send": true }}"#
    )
}

/// The expression that finds the vendor class in an option.
fn contains(option: &str, first: usize) -> String {
    let length = VENDOR_CLASS.len();
    let places = (first..first + PLACES)
        .map(|place| format!("substring({option},{place},{length}) == '{VENDOR_CLASS}'"));
    places.collect::<Vec<_>>().join(" or ")
}

/// Interfaces and subnets of a whole configuration.
fn network(facts: &Facts<'_>, member: &str, pool: Option<Pool>) -> Result<String, SnippetError> {
    let mut out = String::new();
    let interface = facts.choice("interface");
    if let Some(interface) = interface {
        let _ = writeln!(
            out,
            "    \"interfaces-config\": {{ \"interfaces\": [ \"{interface}\" ] }},"
        );
    }
    if let Some(pool) = pool {
        let Pool {
            network,
            prefix,
            first,
            last,
        } = pool;
        // DHCPv6 chooses the subnet of a device on the same cable by the interface alone.
        let on = match interface {
            Some(interface) if network.is_ipv6() => format!("\"interface\": \"{interface}\", "),
            _ => String::new(),
        };
        let _ = writeln!(
            out,
            "    \"{member}\": [ {{ {on}\"subnet\": \"{network}/{prefix}\", \"pools\": [ {{ \"pool\": \"{first} - {last}\" }} ] }} ],"
        );
    }
    Ok(out)
}
