//! RouterOS: as a device, and as the DHCP server of devices.

use std::fmt::Write;

use super::dhcp::{self, Told, VENDOR_CLASS};
use super::{ACS_URL, Choice, Facts, PROVISIONING_CODE, SnippetError};

pub(super) const CHOICES: &[Choice] = &[
    ACS_URL,
    PROVISIONING_CODE,
    Choice {
        name: "server",
        about: "the name of a DHCP server of RouterOS 7 that tells devices their ACS; none, if not given",
    },
    Choice {
        name: "pool",
        about: "the name of its address pool",
    },
];

pub(super) fn print(facts: &Facts<'_>) -> Result<String, SnippetError> {
    let told = Told::of(facts)?;
    let interval = facts.config.instance.standard_periodic_inform_seconds;
    let mut out = format!(
        "# RouterOS with the package tr069-client, as a device. With TLS, import the certificate of the\n\
         # authority that signed the ACS's first (/certificate import).\n\
         /tr069-client set enabled=yes acs-url=\"{}\" periodic-inform-enabled=yes periodic-inform-interval={interval}s",
        told.url
    );
    if let Some(code) = told.code {
        let _ = write!(out, " provisioning-code=\"{code}\"");
    }
    out.push('\n');
    let Some(server) = facts.choice("server") else {
        return Ok(out);
    };
    let Some(pool) = facts.choice("pool") else {
        return Err(SnippetError::Missing {
            name: "pool",
            about: "the name of the server's address pool",
        });
    };
    let _ = write!(
        out,
        "\n# RouterOS 7.16 and later, as the DHCP server: devices with {VENDOR_CLASS} in option 60 are told their ACS.\n\
         /ip dhcp-server option add name=tr069 code=43 value=0x{} force=yes\n\
         /ip dhcp-server option sets add name=tr069 options=tr069\n\
         /ip dhcp-server matcher add name=tr069 server=\"{server}\" address-pool=\"{pool}\" code=60 \
         matching-type=substring value=\"{VENDOR_CLASS}\" option-set=tr069\n",
        dhcp::hexadecimal(&told.vendor_specific(), ""),
    );
    Ok(out)
}
