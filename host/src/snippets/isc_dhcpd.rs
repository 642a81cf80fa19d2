//! ISC dhcpd. It is at the end of its life, and still where most devices get their addresses.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use super::dhcp::{self, ENTERPRISE, POOL, Pool, SUBNET, Told, VENDOR_CLASS};
use super::{ACS_URL, Choice, Facts, PROVISIONING_CODE, SnippetError};

pub(super) const CHOICES: &[Choice] = &[ACS_URL, PROVISIONING_CODE, SUBNET, POOL];

pub(super) fn print_v4(facts: &Facts<'_>) -> Result<String, SnippetError> {
    let told = Told::of(facts)?;
    let mut out = format!(
        "# ISC dhcpd: devices with {VENDOR_CLASS} in their vendor class (option 60) are told their ACS,\n\
         # in option 43 and, for those that ask for it, in option 125. Nobody else is.\n\
         # Into dhcpd.conf, or a file of its own and: include \"/etc/dhcp/patchbay.conf\";\n\
         option space tr069;\n\
         option tr069.acs-url code 1 = text;\n\
         option tr069.provisioning-code code 2 = text;\n\
         option tr069-vendor-identifying code 125 = string;\n\
         \n\
         class \"tr069\" {{\n  \
         match if option vendor-class-identifier ~= \"{}\";\n  \
         vendor-option-space tr069;\n  \
         option tr069.acs-url \"{}\";\n",
        VENDOR_CLASS.replace('.', "[.]"),
        told.url,
    );
    if let Some(code) = told.code {
        let _ = writeln!(out, "  option tr069.provisioning-code \"{code}\";");
    }
    let _ = write!(
        out,
        "  option tr069-vendor-identifying {};\n  \
         # Some devices do not say that they want it.\n  \
         if exists dhcp-parameter-request-list {{\n    \
         option dhcp-parameter-request-list = concat(option dhcp-parameter-request-list, 2b);\n  \
         }}\n\
         }}\n",
        dhcp::hexadecimal(&told.vendor_identifying(), ":"),
    );
    if let Some(pool) = Pool::of(facts, true)? {
        let mask = u32::MAX
            .checked_shl(32 - u32::from(pool.prefix))
            .unwrap_or(0);
        let _ = write!(
            out,
            "\nsubnet {} netmask {} {{\n  range {} {};\n}}\n",
            pool.network,
            IpAddr::V4(Ipv4Addr::from_bits(mask)),
            pool.first,
            pool.last
        );
    }
    Ok(out)
}

pub(super) fn print_v6(facts: &Facts<'_>) -> Result<String, SnippetError> {
    let told = Told::of(facts)?;
    let mut out = format!(
        "# ISC dhcpd for IPv6: devices with {VENDOR_CLASS} in their vendor class (option 16) are told their\n\
         # ACS in option 17. Into dhcpd6.conf, or a file of its own and: include \"/etc/dhcp/patchbay6.conf\";\n\
         option dhcp6.vendor-class code 16 = string;\n\
         option space tr069 code width 2 length width 2;\n\
         option tr069.acs-url code 1 = text;\n\
         option tr069.provisioning-code code 2 = text;\n\
         option vsio.tr069 code {ENTERPRISE} = encapsulate tr069;\n\
         \n\
         class \"tr069\" {{\n  \
         # Its text stands behind six bytes of numbers.\n  \
         match if substring(option dhcp6.vendor-class, 6, 255) ~= \"{}\";\n  \
         option tr069.acs-url \"{}\";\n",
        VENDOR_CLASS.replace('.', "[.]"),
        told.url,
    );
    if let Some(code) = told.code {
        let _ = writeln!(out, "  option tr069.provisioning-code \"{code}\";");
    }
    out.push_str("}\n");
    if let Some(pool) = Pool::of(facts, false)? {
        let _ = write!(
            out,
            "\nsubnet6 {}/{} {{\n  range6 {} {};\n}}\n",
            pool.network, pool.prefix, pool.first, pool.last
        );
    }
    Ok(out)
}
