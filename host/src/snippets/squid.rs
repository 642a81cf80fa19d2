//! Squid as the proxy near the devices: connection requests of this ACS pass, and nothing else.

use std::fmt::Write;

use super::{Choice, Facts, SnippetError};

pub(super) const CHOICES: &[Choice] = &[
    Choice {
        name: "senders",
        about: "the addresses that connection requests of the ACS come from, with commas between; \
                those of instance.connection_request_from, if not given",
    },
    Choice {
        name: "devices",
        about: "the devices' networks, with commas between; all but the proxy itself, if not given",
    },
    Choice {
        name: "listen",
        about: "its port; 3128, if not given",
    },
    Choice {
        name: "passwords",
        about: "a file made by htpasswd: the ACS shows a user name and a password; none, if not given",
    },
];

pub(super) fn print(facts: &Facts<'_>) -> Result<String, SnippetError> {
    let from = &facts.links.connection_requests_from;
    let from: Vec<String> = from.iter().map(ToString::to_string).collect();
    let senders = match facts.choice("senders") {
        Some(senders) => networks("senders", senders)?,
        None if !from.is_empty() => from.join(" "),
        None => return Err(facts.unknown("connection_requests_from", "senders")),
    };
    let listen = facts.read::<u16>("listen", "a port")?.unwrap_or(3128);
    // The ACS shall hear why it does not work before it gives up.
    let seconds = facts.config.instance.connection_request_seconds_max;
    let seconds = seconds.saturating_sub(2).max(1);
    let mut out = format!(
        "# Squid near the devices: connection requests of the ACS pass, and nothing else.\n\
         # The whole of /etc/squid/squid.conf\n\
         http_port {listen}\n\
         acl acs src {senders}\n\
         acl get method GET\n\
         acl connection_request_ports port 1025-65535\n"
    );
    if let Some(passwords) = facts.choice("passwords") {
        let _ = write!(
            out,
            "auth_param basic program /usr/lib/squid/basic_ncsa_auth {passwords}\n\
             auth_param basic realm connection requests\n\
             acl known proxy_auth REQUIRED\n"
        );
    }
    out.push_str(
        "http_access deny !acs\n\
         # No CONNECT: a connection request is a GET.\n\
         http_access deny !get\n\
         http_access deny !connection_request_ports\n",
    );
    match facts.choice("devices") {
        Some(devices) => {
            let devices = networks("devices", devices)?;
            let _ = write!(
                out,
                "acl devices dst {devices}\nhttp_access deny !devices\n"
            );
        }
        None => out.push_str("http_access deny to_localhost\n"),
    }
    if facts.choice("passwords").is_some() {
        out.push_str("http_access deny !known\n");
    }
    let _ = write!(
        out,
        "http_access allow acs\n\
         http_access deny all\n\
         # An answer of yesterday says nothing of today.\n\
         cache deny all\n\
         # Devices need not know whose request it is.\n\
         forwarded_for delete\n\
         connect_timeout {seconds} seconds\n\
         forward_timeout {seconds} seconds\n\
         read_timeout {seconds} seconds\n"
    );
    Ok(out)
}

/// Addresses and networks with commas between → with blanks.
fn networks(name: &'static str, list: &str) -> Result<String, SnippetError> {
    let good = |text: &&str| text.parse::<crate::config::Network>().is_ok();
    match list.split(',').all(|text| good(&text)) {
        true => Ok(list.replace(',', " ")),
        false => Err(SnippetError::Value {
            name,
            got: list.into(),
            expected: "addresses or networks such as 192.0.2.7,10.0.0.0/8",
        }),
    }
}
