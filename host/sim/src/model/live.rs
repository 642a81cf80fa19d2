//! The values that a device does not store but knows: who it is, its clock, its counters.

use std::fmt::Write;

use cwmp::DateTime;

use crate::{UnixTime, Vendor};

/// Who a device is, and what it was delivered with: kept through a factory reset.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) vendor: Vendor,
    pub(crate) serial: Box<str>,
    /// Changes with a firmware upgrade.
    pub(crate) software_version: Box<str>,
    pub(crate) acs_url: Box<str>,
    pub(crate) acs_username: Box<str>,
    pub(crate) acs_password: Box<str>,
    pub(crate) connection_request_url: Box<str>,
    pub(crate) connection_request_username: Box<str>,
    pub(crate) connection_request_password: Box<str>,
    pub(crate) periodic_interval_s: u32,
    pub(crate) wan_address: Box<str>,
    pub(crate) seed: u64,
}

/// What the live values are made from.
pub(crate) struct Facts<'a> {
    pub(crate) identity: &'a Identity,
    /// As the device's own clock shows it.
    pub(crate) clock: UnixTime,
    /// Since the last boot.
    pub(crate) uptime_s: u64,
}

/// The last and the last but one instance number in a path; 1 where there is none.
pub(super) fn instances(path: &str) -> (u32, u32) {
    let mut numbers = path.rsplit('.').filter_map(|segment| segment.parse().ok());
    let last = numbers.next().unwrap_or(1);
    (last, numbers.next().unwrap_or(1))
}

/// Replaces the `{…}` in a template's text. `rows` counts the rows of a table.
pub(super) fn render(
    text: &str,
    path: &str,
    facts: &Facts<'_>,
    rows: &dyn Fn(&str) -> usize,
) -> String {
    if !text.contains('{') {
        return text.to_owned();
    }
    let (i, p) = instances(path);
    let text = text
        .replace("{i}", &i.to_string())
        .replace("{p}", &p.to_string());
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text.as_str();
    while let Some((before, from)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, after)) = from.split_once('}') else {
            break;
        };
        live_value(name, path, facts, rows, &mut out);
        rest = after;
    }
    out.push_str(rest);
    out
}

fn live_value(
    name: &str,
    path: &str,
    facts: &Facts<'_>,
    rows: &dyn Fn(&str) -> usize,
    out: &mut String,
) {
    let identity = facts.identity;
    let vendor = &identity.vendor;
    match name {
        "manufacturer" => out.push_str(vendor.manufacturer),
        "oui" => out.push_str(vendor.oui),
        "class" => out.push_str(vendor.product_class),
        "model" => out.push_str(vendor.model_name),
        "hardware" => out.push_str(vendor.hardware_version),
        "software" => out.push_str(&identity.software_version),
        "serial" => out.push_str(&identity.serial),
        "acs" => out.push_str(&identity.acs_url),
        "acs-user" => out.push_str(&identity.acs_username),
        "acs-password" => out.push_str(&identity.acs_password),
        "cr" => out.push_str(&identity.connection_request_url),
        "cr-user" => out.push_str(&identity.connection_request_username),
        "cr-password" => out.push_str(&identity.connection_request_password),
        "pii" => put(out, identity.periodic_interval_s),
        "uptime" => put(out, facts.uptime_s),
        "now" => out.push_str(&date_time(facts.clock).0),
        "wan" => out.push_str(&identity.wan_address),
        "gateway" => match identity.wan_address.rsplit_once('.') {
            Some((network, _)) => {
                let _ = write!(out, "{network}.1");
            }
            None => out.push_str("::1"),
        },
        "address:1" => out.push_str(&identity.wan_address),
        "addressing:1" => out.push_str("DHCP"),
        "addressing:2" => out.push_str("Static"),
        "ssid" => {
            let _ = write!(
                out,
                "{}-{:04X}",
                vendor.manufacturer,
                identity.seed & 0xFFFF
            );
        }
        "psk" => {
            let _ = write!(
                out,
                "{:016x}",
                identity.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)
            );
        }
        "mac" => mac(identity, 0, out),
        "?stun:,STUN" if vendor.supports_stun => out.push_str(",STUN"),
        "?xmpp:,XMPP" if vendor.supports_xmpp => out.push_str(",XMPP"),
        _ => {
            if let Some(table) = name.strip_prefix("count:") {
                let object = path.rsplit_once('.').map_or("", |(object, _)| object);
                put(out, rows(&format!("{object}.{table}.")));
            } else if let Some(offset) = name.strip_prefix("mac+") {
                mac(identity, offset.parse().unwrap_or(0), out);
            } else if let Some(kilobytes_per_s) = name.strip_prefix("counter:") {
                let rate: u64 = kilobytes_per_s.parse().unwrap_or(1);
                // TR-098's counters are unsignedInt and wrap.
                put(
                    out,
                    (facts.uptime_s * rate * 1_021 + identity.seed % 4_096) % (1 << 32),
                );
            } else if let Some(shape) = name.strip_prefix("wave:") {
                put(out, wave(shape, facts));
            } else if name.starts_with("address:") {
                out.push_str("192.168.1.1");
            }
        }
    }
}

fn put(out: &mut String, number: impl std::fmt::Display) {
    let _ = write!(out, "{number}");
}

/// `base:amplitude`: a value that moves up from base and back within ten minutes.
fn wave(shape: &str, facts: &Facts<'_>) -> i64 {
    let (base, amplitude) = shape.split_once(':').unwrap_or((shape, "0"));
    let base: i64 = base.parse().unwrap_or(0);
    let amplitude: i64 = amplitude.parse().unwrap_or(0);
    let phase = facts.uptime_s.wrapping_add(facts.identity.seed % 600) % 600;
    let height = i64::try_from(phase.min(600 - phase)).unwrap_or(0);
    base + amplitude * height / 300
}

/// The base address comes from the OUI and the serial number, so that it is the same in
/// every run and different in every device.
fn mac(identity: &Identity, offset: u64, out: &mut String) {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for byte in identity.serial.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    }
    // The addresses of the hosts in its LAN are counted from its own.
    let low = ((hash >> 20) & 0xFF_FF80) + offset;
    let oui = identity.vendor.oui;
    let digits = format!("{oui:0>6}{:06X}", low & 0xFF_FFFF);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && at % 2 == 0 {
            out.push(':');
        }
        out.push(digit);
    }
}

/// A dateTime in UTC.
pub(crate) fn date_time(at: UnixTime) -> DateTime {
    DateTime::from_unix(i64::try_from(at.as_secs()).unwrap_or(0))
}
