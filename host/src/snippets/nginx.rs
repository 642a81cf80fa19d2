//! nginx as a reverse proxy: an ACS URL that devices already have, an internal network, devices
//! that know no TLS.
//!
//! One connection to the ACS carries the sessions of many devices, so the ACS tells them apart by
//! their cookies and by the address in X-Forwarded-For.

use super::{Choice, Facts, SnippetError};
use crate::links;

/// Longer than any device or the ACS is silent within a session.
const TIMEOUT_SECONDS: u32 = 100;
/// Connections to the ACS that are kept.
const KEPT: u32 = 10;

pub(super) const CHOICES: &[Choice] = &[
    Choice {
        name: "upstream",
        about: "host:port of the ACS as nginx reaches it; as the configuration has it, if not given",
    },
    Choice {
        name: "listen",
        about: "the port that devices come to; 7547, if not given",
    },
    Choice {
        name: "tls",
        about: "yes: TLS towards the ACS, so that devices need none",
    },
    Choice {
        name: "ca",
        about: "with tls: the file of authorities; that of Debian, if not given",
    },
];

pub(super) fn print(facts: &Facts<'_>) -> Result<String, SnippetError> {
    let tls = facts.is_on("tls")?;
    let (link, known) = match tls {
        false => ("cwmp", facts.links.cwmp.first()),
        true => ("cwmp_tls", facts.links.cwmp_tls.first()),
    };
    let known = known.and_then(|url| links::host_and_port(url));
    let upstream = match facts.choice("upstream") {
        Some(upstream) => upstream.to_owned(),
        None => known.ok_or_else(|| facts.unknown(link, "upstream"))?,
    };
    let Some((name, _)) = upstream.rsplit_once(':') else {
        return Err(SnippetError::Value {
            name: "upstream",
            got: upstream,
            expected: "host:port",
        });
    };
    let listen = facts.read::<u16>("listen", "a port")?.unwrap_or(7547);
    let (scheme, verified) = match tls {
        false => ("http", String::new()),
        true => ("https", verified(name, facts.choice("ca"))),
    };
    let config = facts.config;
    let body_bytes_max = (config.cwmp.body_bytes_max as u64).max(config.files.upload_bytes_max);
    Ok(format!(
        "# nginx as a reverse proxy: devices come to port {listen}, over IPv4 and IPv6.\n\
         # Into /etc/nginx/conf.d/patchbay.conf. The ACS believes what nginx says of the devices if\n\
         # trusted_proxies below [cwmp] names the address that nginx comes from.\n\
         upstream patchbay {{\n  \
         server {upstream};\n  \
         keepalive {KEPT};\n\
         }}\n\
         \n\
         server {{\n  \
         listen {listen} default_server;\n  \
         listen [::]:{listen} default_server;\n  \
         keepalive_timeout {TIMEOUT_SECONDS}s;\n  \
         client_max_body_size {body_bytes_max};\n\
         \n  \
         location / {{\n    \
         proxy_pass {scheme}://patchbay;\n{verified}    \
         proxy_http_version 1.1;\n    \
         # Nothing of the device's own Connection header: the connection to the ACS is kept.\n    \
         proxy_set_header Connection \"\";\n    \
         proxy_socket_keepalive on;\n    \
         proxy_connect_timeout {TIMEOUT_SECONDS}s;\n    \
         proxy_send_timeout {TIMEOUT_SECONDS}s;\n    \
         proxy_read_timeout {TIMEOUT_SECONDS}s;\n    \
         # The name that the device knows: it gets its files by it.\n    \
         proxy_set_header Host $http_host;\n    \
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n    \
         proxy_set_header X-Forwarded-Proto $scheme;\n    \
         proxy_buffering off;\n    \
         proxy_request_buffering off;\n  \
         }}\n\
         }}\n"
    ))
}

/// That the ACS is who it says.
fn verified(name: &str, ca: Option<&str>) -> String {
    let ca = ca.unwrap_or("/etc/ssl/certs/ca-certificates.crt");
    let name = name.trim_start_matches('[').trim_end_matches(']');
    format!(
        "    proxy_ssl_server_name on;\n    \
         proxy_ssl_name {name};\n    \
         proxy_ssl_verify on;\n    \
         proxy_ssl_verify_depth 4;\n    \
         proxy_ssl_trusted_certificate {ca};\n"
    )
}
