//! OpenWrt's easycwmp, by UCI.

use std::fmt::Write;

use super::{ACS_URL, Choice, Facts, PROVISIONING_CODE, SnippetError};

pub(super) const CHOICES: &[Choice] = &[
    ACS_URL,
    PROVISIONING_CODE,
    Choice {
        name: "interface",
        about: "the network interface towards the ACS, such as eth1; left as it is, if not given",
    },
];

pub(super) fn print(facts: &Facts<'_>) -> Result<String, SnippetError> {
    let interval = facts.config.instance.standard_periodic_inform_seconds;
    let mut out = format!(
        "# OpenWrt with easycwmp, as a device: to be run there.\n\
         uci set easycwmp.@acs[0].url='{}'\n\
         uci set easycwmp.@acs[0].periodic_enable='1'\n\
         uci set easycwmp.@acs[0].periodic_interval='{interval}'\n",
        facts.acs_url()?
    );
    for (choice, option) in [
        ("provisioning_code", "provisioning_code"),
        ("interface", "interface"),
    ] {
        if let Some(value) = facts.choice(choice) {
            let _ = writeln!(out, "uci set easycwmp.@local[0].{option}='{value}'");
        }
    }
    out.push_str("uci commit easycwmp\n/etc/init.d/easycwmpd restart\n");
    Ok(out)
}
