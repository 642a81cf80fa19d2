//! What a device found out, in the API's words: every number with its unit in its name.

use std::collections::BTreeMap;

use cwmp::ParameterValue;
use serde_json::{Value, json};

use super::{Diagnostics, Outcome};

/// Rows of a result: hops, answers, neighbours.
const ROWS_MAX: usize = 500;

/// Reads the object of a diagnostics.
pub(super) fn outcome(asked: &Diagnostics, object: &str, values: &[ParameterValue]) -> Outcome {
    let found = Found::new(object, values);
    match found.text("DiagnosticsState") {
        // TR-098 and TR-181 do not agree on the word.
        Some("Complete" | "Completed") => {}
        Some("None" | "Canceled") => {
            return Outcome::Failed("the device has dropped the diagnostics".into());
        }
        Some(error) if error.starts_with("Error") => {
            return Outcome::Failed(format!("the device tells {error}"));
        }
        Some(_) => return Outcome::Running,
        None => {
            return Outcome::Failed(format!(
                "expected {object}DiagnosticsState in the device's answer, it is not there"
            ));
        }
    }
    Outcome::Done(match asked {
        Diagnostics::Ping { .. } => ping(&found),
        Diagnostics::Traceroute { .. } => traceroute(&found),
        Diagnostics::Nslookup { .. } => nslookup(&found),
        Diagnostics::Download { .. } => {
            let bytes = found.number("TestBytesReceived");
            tr143(&found, bytes, found.number("TotalBytesReceived"))
        }
        Diagnostics::Upload { bytes, .. } => tr143(
            &found,
            Some(i64::from(*bytes)),
            found.number("TotalBytesSent"),
        ),
        Diagnostics::WifiNeighbours {} => neighbours(&found),
    })
}

/// The values below an object, by their names below it.
struct Found<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Found<'a> {
    fn new(object: &str, values: &'a [ParameterValue]) -> Found<'a> {
        let below = |value: &'a ParameterValue| {
            let name = value.path.strip_prefix(object)?;
            Some((name, value.value.trim()))
        };
        Found(values.iter().filter_map(below).collect())
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).copied()
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// The rows of a table, in the order of their instance numbers.
    fn rows(&self, table: &str) -> Vec<Found<'a>> {
        let mut rows: BTreeMap<u32, BTreeMap<&'a str, &'a str>> = BTreeMap::new();
        for (name, value) in &self.0 {
            let row = name
                .strip_prefix(table)
                .and_then(|rest| rest.split_once('.'));
            if let Some((instance, name)) = row
                && let Ok(instance) = instance.parse()
            {
                rows.entry(instance).or_default().insert(name, value);
            }
        }
        rows.into_values().take(ROWS_MAX).map(Found).collect()
    }

    /// The first of these names that there is: models and versions differ.
    fn any(&self, names: &[&str]) -> Option<&'a str> {
        names.iter().find_map(|name| self.text(name))
    }
}

fn ping(found: &Found<'_>) -> Value {
    json!({
        "success_count": found.number("SuccessCount"),
        "failure_count": found.number("FailureCount"),
        "average_response_milliseconds": found.number("AverageResponseTime"),
        "minimum_response_milliseconds": found.number("MinimumResponseTime"),
        "maximum_response_milliseconds": found.number("MaximumResponseTime"),
    })
}

fn traceroute(found: &Found<'_>) -> Value {
    let hop = |hop: &Found<'_>| {
        let times = hop.any(&["RTTimes", "HopRTTimes"]).unwrap_or_default();
        let times: Vec<i64> = list(times).filter_map(|time| time.parse().ok()).collect();
        let code = hop.any(&["ErrorCode", "HopErrorCode"]);
        json!({
            "host": hop.any(&["Host", "HopHost"]),
            "address": hop.any(&["HostAddress", "HopHostAddress"]),
            "icmp_error_code": code.and_then(|code| code.parse::<i64>().ok()),
            "round_trip_milliseconds": times,
        })
    };
    let hops: Vec<Value> = found.rows("RouteHops.").iter().map(hop).collect();
    json!({
        "response_milliseconds": found.number("ResponseTime"),
        "hop_count": hops.len(),
        "hops": hops,
    })
}

fn nslookup(found: &Found<'_>) -> Value {
    let answer = |answer: &Found<'_>| {
        let addresses = answer.text("IPAddresses").unwrap_or_default();
        json!({
            "status": answer.text("Status"),
            "answer_type": answer.text("AnswerType"),
            "host": answer.text("HostNameReturned"),
            "addresses": list(addresses).collect::<Vec<_>>(),
            "dns_server": answer.text("DNSServerIP"),
            "response_milliseconds": answer.number("ResponseTime"),
        })
    };
    let answers: Vec<Value> = found.rows("Result.").iter().map(answer).collect();
    json!({ "success_count": found.number("SuccessCount"), "answers": answers })
}

/// A TR-143 transfer: its throughput is what it is asked for. `test_bytes` moved between the
/// first byte and the last, `total_bytes` are those of the interface meanwhile.
fn tr143(found: &Found<'_>, test_bytes: Option<i64>, total_bytes: Option<i64>) -> Value {
    let microseconds = |from: &str, to: &str| {
        let (from, to) = (found.text(from)?, found.text(to)?);
        let took = microseconds(to)? - microseconds(from)?;
        (took > 0).then_some(took)
    };
    let took = microseconds("BOMTime", "EOMTime");
    let opened = microseconds("TCPOpenRequestTime", "TCPOpenResponseTime");
    let bits_per_second = match (test_bytes, took) {
        (Some(bytes), Some(took)) => {
            let bits = i128::from(bytes) * 8 * 1_000_000 / i128::from(took);
            i64::try_from(bits).ok()
        }
        _ => None,
    };
    json!({
        "throughput_bits_per_second": bits_per_second,
        "duration_milliseconds": took.map(|took| took / 1_000),
        "test_bytes": test_bytes,
        "total_bytes": total_bytes,
        "tcp_open_milliseconds": opened.map(|took| took / 1_000),
        "request_time": found.text("ROMTime"),
        "begin_time": found.text("BOMTime"),
        "end_time": found.text("EOMTime"),
    })
}

fn neighbours(found: &Found<'_>) -> Value {
    let neighbour = |one: &Found<'_>| {
        json!({
            "ssid": one.text("SSID"),
            "bssid": one.text("BSSID"),
            "channel": one.number("Channel"),
            "channel_width": one.text("OperatingChannelBandwidth"),
            "signal_dbm": one.number("SignalStrength"),
            "noise_dbm": one.number("Noise"),
            "band": one.text("OperatingFrequencyBand"),
            "standards": one.text("OperatingStandards"),
            "security": one.text("SecurityModeEnabled"),
            "encryption": one.text("EncryptionMode"),
            "heard_by": one.text("Radio"),
        })
    };
    let neighbours: Vec<Value> = found.rows("Result.").iter().map(neighbour).collect();
    json!({ "neighbour_count": neighbours.len(), "neighbours": neighbours })
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// A dateTime in microseconds; without a zone it is taken as UTC, for differences that is as good.
fn microseconds(text: &str) -> Option<i64> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at.as_microsecond());
    }
    let at: jiff::civil::DateTime = text.parse().ok()?;
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(at.timestamp().as_microsecond())
}
