//! The diagnostics a device can run, in virtual time: always the same results, told by
//! `8 DIAGNOSTICS COMPLETE`.

use super::Cpe;
use crate::UnixTime;
use crate::model::date_time;

/// What TR-143 transfers take, microseconds after the second they begin in.
const REQUEST_MICROSECONDS: u32 = 20_000;
const BEGIN_MICROSECONDS: u32 = 40_000;
const END_MICROSECONDS: u32 = 840_000;
/// What a download test gets.
const TEST_BYTES: u32 = 10_000_000;
/// What lies between the device and any other: name, address, round-trip times.
const HOPS: [(&str, &str, &str); 3] = [
    ("gateway.example", "192.0.2.1", "1,1,2"),
    ("", "198.51.100.7", "8,9,8"),
    ("", "203.0.113.9", "21,20,24"),
];
/// Who else is on the air: SSID, BSSID, channel, signal in dBm, band.
const NEIGHBOURS: [(&str, &str, u32, i32, &str); 2] = [
    ("Upstairs", "02:00:5E:10:00:01", 6, -61, "2.4GHz"),
    ("Café", "02:00:5E:10:00:02", 44, -78, "5GHz"),
];

type Row = Vec<(&'static str, String)>;

impl Cpe {
    /// Finishes the diagnostic whose DiagnosticsState is at `state`.
    pub(super) fn diagnose(&mut self, state: &str, now: UnixTime) {
        let Some(object) = state.strip_suffix("DiagnosticsState") else {
            return;
        };
        let kind = object.trim_end_matches('.').rsplit('.').next();
        let kind = kind.unwrap_or_default();
        let target = ["Host", "HostName", "DownloadURL", "UploadURL"]
            .into_iter()
            .find_map(|name| self.get(&format!("{object}{name}"), now))
            .unwrap_or_default();
        // `.invalid` (RFC 2606) is how a test makes the name of a host unresolvable.
        if target.trim_end_matches('/').ends_with(".invalid") {
            let error = match kind {
                "NSLookupDiagnostics" => "Error_DNSServerNotResolved",
                "DownloadDiagnostics" | "UploadDiagnostics" => "Error_InitConnectionFailed",
                _ => "Error_CannotResolveHostName",
            };
            self.tree.set(state, error.into());
            return;
        }
        let number = |name: &str| {
            let value = self.get(&format!("{object}{name}"), now);
            value
                .and_then(|value| value.parse::<u32>().ok())
                .unwrap_or(0)
        };
        let (values, table) = match kind {
            "IPPing" | "IPPingDiagnostics" => (ping(number("NumberOfRepetitions")), None),
            "TraceRoute" | "TraceRouteDiagnostics" => {
                let values = vec![("ResponseTime", "24".to_owned())];
                (values, Some(("RouteHops.", hops(kind, &target))))
            }
            "NSLookupDiagnostics" => {
                let count = number("NumberOfRepetitions").max(1);
                let answers = (0..count).map(|_| answer(&target)).collect();
                let values = vec![("SuccessCount", count.to_string())];
                (values, Some(("Result.", answers)))
            }
            "NeighboringWiFiDiagnostic" => {
                let neighbours = NEIGHBOURS.iter().map(neighbour).collect();
                (Vec::new(), Some(("Result.", neighbours)))
            }
            _ => (tr143(number("TestFileLength"), now), None),
        };
        if let Some((name, rows)) = table {
            self.tree.replace_rows(&format!("{object}{name}"), &rows);
        }
        for (name, value) in values {
            let path = format!("{object}{name}");
            if self.tree.parameter(&path).is_some() {
                self.tree.set(&path, value.into());
            }
        }
        // Some models have it with one more letter.
        let complete = match self.tree.parameter(state) {
            Some(parameter) if parameter.leaf.limit.allows("Completed") => "Completed",
            _ => "Complete",
        };
        self.tree.set(state, complete.into());
    }
}

fn ping(tries: u32) -> Row {
    vec![
        ("SuccessCount", tries.to_string()),
        ("FailureCount", "0".to_owned()),
        ("AverageResponseTime", "21".to_owned()),
        ("MinimumResponseTime", "18".to_owned()),
        ("MaximumResponseTime", "27".to_owned()),
    ]
}

fn hops(kind: &str, target: &str) -> Vec<Row> {
    // TR-098 has the names with a word more.
    let [host, address, code, times] = match kind {
        "TraceRouteDiagnostics" => ["HopHost", "HopHostAddress", "HopErrorCode", "HopRTTimes"],
        _ => ["Host", "HostAddress", "ErrorCode", "RTTimes"],
    };
    let row = |(at, hop): (usize, &(&str, &str, &str))| {
        let is_last = at + 1 == HOPS.len();
        vec![
            (host, if is_last { target } else { hop.0 }.to_owned()),
            (address, hop.1.to_owned()),
            // ICMP: time exceeded, until it is there.
            (code, if is_last { "0" } else { "11" }.to_owned()),
            (times, hop.2.to_owned()),
        ]
    };
    HOPS.iter().enumerate().map(row).collect()
}

fn answer(target: &str) -> Row {
    vec![
        ("Status", "Success".to_owned()),
        ("AnswerType", "NonAuthoritative".to_owned()),
        ("HostNameReturned", target.to_owned()),
        ("IPAddresses", "203.0.113.9,203.0.113.10".to_owned()),
        ("DNSServerIP", "192.0.2.53".to_owned()),
        ("ResponseTime", "12".to_owned()),
    ]
}

fn neighbour(&(ssid, bssid, channel, signal, band): &(&str, &str, u32, i32, &str)) -> Row {
    vec![
        ("Radio", "Device.WiFi.Radio.1".to_owned()),
        ("SSID", ssid.to_owned()),
        ("BSSID", bssid.to_owned()),
        ("Channel", channel.to_string()),
        ("SignalStrength", signal.to_string()),
        ("SecurityModeEnabled", "WPA2".to_owned()),
        ("EncryptionMode", "AES".to_owned()),
        ("OperatingFrequencyBand", band.to_owned()),
        ("OperatingStandards", "n,ac".to_owned()),
        ("OperatingChannelBandwidth", "40MHz".to_owned()),
        ("Noise", "-95".to_owned()),
    ]
}

/// A download, or an upload of `sent` bytes.
fn tr143(sent: u32, now: UnixTime) -> Row {
    let second = date_time(now).0;
    let at = |microseconds: u32| {
        let second = second.trim_end_matches('Z');
        format!("{second}.{microseconds:06}Z")
    };
    vec![
        ("TCPOpenRequestTime", at(0)),
        ("TCPOpenResponseTime", at(REQUEST_MICROSECONDS / 2)),
        ("ROMTime", at(REQUEST_MICROSECONDS)),
        ("BOMTime", at(BEGIN_MICROSECONDS)),
        ("EOMTime", at(END_MICROSECONDS)),
        ("TestBytesReceived", TEST_BYTES.to_string()),
        ("TotalBytesReceived", (TEST_BYTES + 50_000).to_string()),
        ("TotalBytesSent", sent.to_string()),
    ]
}
