//! Diagnostics that devices run: ping, traceroute, DNS look-up, TR-143 transfers, Wi-Fi
//! neighbours. One task is four steps: set the parameters, DiagnosticsState = Requested the
//! last; let the session end, because a device begins only then; wait until it informs with
//! `8 DIAGNOSTICS COMPLETE`, or simply informs; read the object.

mod results;

use std::sync::Arc;

use cwmp::{ParameterValue, Request, SetParameterValues};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::task::{Operation, Task, TaskState};
use crate::Acs;
use crate::device::{DataModel, UnixTime};

/// How long after it has taken a request a device is not waited for any longer.
pub const DIAGNOSTICS_SECONDS_MAX: i64 = 3_600;
/// How long a device that tells no end is left alone, beside the time that it was given.
const LEFT_ALONE_SECONDS: i64 = 60;
/// Characters of a host, a URL, an interface (TR-098, TR-181).
const TEXT_CHARS_MAX: usize = 256;

/// What to find out, in the words of the northbound API: `{"kind": "ping", …}`. What is not
/// given is as the device has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Diagnostics {
    /// ICMP echo.
    Ping {
        /// Name or address.
        host: String,
        /// Echo requests.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u32>,
        /// For each answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_milliseconds: Option<u32>,
        /// Of each request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data_bytes: Option<u32>,
        /// Path of the interface to send from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interface: Option<String>,
    },
    /// The way to a host.
    Traceroute {
        /// Name or address.
        host: String,
        /// Tries for each hop.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u32>,
        /// For each answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_milliseconds: Option<u32>,
        /// Of each request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data_bytes: Option<u32>,
        /// Hops before it is given up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hops_max: Option<u32>,
        /// Path of the interface to send from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interface: Option<String>,
    },
    /// What DNS says of a name.
    Nslookup {
        /// The name.
        host: String,
        /// Whom to ask; the device's own if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dns_server: Option<String>,
        /// How often.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u32>,
        /// For each answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_milliseconds: Option<u32>,
        /// Path of the interface to send from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interface: Option<String>,
    },
    /// How fast a file comes (TR-143).
    Download {
        /// Of a test server.
        url: String,
        /// Path of the interface.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interface: Option<String>,
    },
    /// How fast bytes go (TR-143).
    Upload {
        /// Of a test server.
        url: String,
        /// How many.
        bytes: u32,
        /// Path of the interface.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interface: Option<String>,
    },
    /// Which other networks the device hears.
    WifiNeighbours {},
}

/// What a device's answer says.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Not at its end.
    Running,
    /// The results, in the API's words.
    Done(Value),
    /// Why there are none.
    Failed(String),
}

impl Diagnostics {
    /// As the API names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Diagnostics::Ping { .. } => "ping",
            Diagnostics::Traceroute { .. } => "traceroute",
            Diagnostics::Nslookup { .. } => "nslookup",
            Diagnostics::Download { .. } => "download",
            Diagnostics::Upload { .. } => "upload",
            Diagnostics::WifiNeighbours {} => "wifi-neighbours",
        }
    }

    /// Whether it can be asked for; else what was expected and what came.
    pub fn check(&self) -> Result<(), String> {
        for (name, text) in self.texts() {
            let sane = !text.chars().any(|c| c.is_whitespace() || c.is_control());
            if !sane || text.is_empty() || text.chars().count() > TEXT_CHARS_MAX {
                return Err(format!(
                    "expected a {name} of 1 to {TEXT_CHARS_MAX} characters without spaces, got {text:?}"
                ));
            }
            if name == "url" && !(text.starts_with("http://") || text.starts_with("ftp://")) {
                return Err(format!("expected an http or ftp URL, got {text:?}"));
            }
        }
        for (name, number) in self.numbers() {
            if number == 0 {
                return Err(format!("expected a {name} of at least 1, got 0"));
            }
        }
        Ok(())
    }

    /// Whether devices of this model have it.
    pub fn check_model(&self, model: DataModel) -> Result<(), String> {
        match (self, model) {
            (Diagnostics::WifiNeighbours {}, DataModel::Tr098) => Err(
                "the device speaks TR-098, which has no standard diagnostics of Wi-Fi neighbours"
                    .into(),
            ),
            _ => Ok(()),
        }
    }

    /// The object of this diagnostics.
    fn object(&self, model: DataModel) -> String {
        let path = match (self, model) {
            (Diagnostics::Ping { .. }, DataModel::Tr098) => "IPPingDiagnostics.",
            (Diagnostics::Ping { .. }, DataModel::Tr181) => "IP.Diagnostics.IPPing.",
            (Diagnostics::Traceroute { .. }, DataModel::Tr098) => "TraceRouteDiagnostics.",
            (Diagnostics::Traceroute { .. }, DataModel::Tr181) => "IP.Diagnostics.TraceRoute.",
            (Diagnostics::Nslookup { .. }, DataModel::Tr098) => "NSLookupDiagnostics.",
            (Diagnostics::Nslookup { .. }, DataModel::Tr181) => {
                "DNS.Diagnostics.NSLookupDiagnostics."
            }
            (Diagnostics::Download { .. }, DataModel::Tr098) => "DownloadDiagnostics.",
            (Diagnostics::Download { .. }, DataModel::Tr181) => {
                "IP.Diagnostics.DownloadDiagnostics."
            }
            (Diagnostics::Upload { .. }, DataModel::Tr098) => "UploadDiagnostics.",
            (Diagnostics::Upload { .. }, DataModel::Tr181) => "IP.Diagnostics.UploadDiagnostics.",
            (Diagnostics::WifiNeighbours {}, _) => "WiFi.NeighboringWiFiDiagnostic.",
        };
        format!("{}{path}", model.root())
    }

    /// What the device is asked to run. DiagnosticsState is the last, for devices that begin
    /// as soon as they read it.
    pub fn request(&self, model: DataModel, parameter_key: String) -> Request {
        let object = self.object(model);
        let is_nslookup = matches!(self, Diagnostics::Nslookup { .. });
        let is_upload = matches!(self, Diagnostics::Upload { .. });
        let is_traceroute = matches!(self, Diagnostics::Traceroute { .. });
        let text_name = |name: &str| match name {
            "host" if is_nslookup => "HostName",
            "host" => "Host",
            "dns_server" => "DNSServer",
            "url" if is_upload => "UploadURL",
            "url" => "DownloadURL",
            _ => "Interface",
        };
        let number_name = |name: &str| match name {
            "count" if is_traceroute => "NumberOfTries",
            "count" => "NumberOfRepetitions",
            "timeout_milliseconds" => "Timeout",
            "data_bytes" => "DataBlockSize",
            "hops_max" => "MaxHopCount",
            _ => "TestFileLength",
        };
        let mut parameters = Vec::new();
        for (name, value) in self.texts() {
            let path = format!("{object}{}", text_name(name));
            parameters.push(ParameterValue::string(path, value));
        }
        for (name, value) in self.numbers() {
            let path = format!("{object}{}", number_name(name));
            parameters.push(ParameterValue::unsigned_int(path, value));
        }
        let state = format!("{object}DiagnosticsState");
        parameters.push(ParameterValue::string(state, "Requested"));
        Request::SetParameterValues(SetParameterValues {
            parameters,
            parameter_key,
        })
    }

    /// Asks for the results.
    pub fn read(&self, model: DataModel) -> Request {
        Request::GetParameterValues(vec![self.object(model)])
    }

    /// What the answer to [`Diagnostics::read`] says.
    pub fn outcome(&self, model: DataModel, values: &[ParameterValue]) -> Outcome {
        results::outcome(self, &self.object(model), values)
    }

    /// The texts that are given, by their names in the API.
    fn texts<'d>(&'d self) -> Vec<(&'static str, &'d str)> {
        let mut texts = Vec::new();
        let mut add = |name: &'static str, text: Option<&'d String>| {
            texts.extend(text.map(|text| (name, text.as_str())));
        };
        match self {
            Diagnostics::Ping {
                host, interface, ..
            }
            | Diagnostics::Traceroute {
                host, interface, ..
            } => {
                add("host", Some(host));
                add("interface", interface.as_ref());
            }
            Diagnostics::Nslookup {
                host,
                dns_server,
                interface,
                ..
            } => {
                add("host", Some(host));
                add("dns_server", dns_server.as_ref());
                add("interface", interface.as_ref());
            }
            Diagnostics::Download { url, interface }
            | Diagnostics::Upload { url, interface, .. } => {
                add("url", Some(url));
                add("interface", interface.as_ref());
            }
            Diagnostics::WifiNeighbours {} => {}
        }
        texts
    }

    /// The numbers that are given, by their names in the API.
    fn numbers(&self) -> Vec<(&'static str, u32)> {
        let given = match self {
            Diagnostics::Ping {
                count,
                timeout_milliseconds,
                data_bytes,
                ..
            } => vec![
                ("count", *count),
                ("timeout_milliseconds", *timeout_milliseconds),
                ("data_bytes", *data_bytes),
            ],
            Diagnostics::Traceroute {
                count,
                timeout_milliseconds,
                data_bytes,
                hops_max,
                ..
            } => vec![
                ("count", *count),
                ("timeout_milliseconds", *timeout_milliseconds),
                ("data_bytes", *data_bytes),
                ("hops_max", *hops_max),
            ],
            Diagnostics::Nslookup {
                count,
                timeout_milliseconds,
                ..
            } => vec![
                ("count", *count),
                ("timeout_milliseconds", *timeout_milliseconds),
            ],
            Diagnostics::Upload { bytes, .. } => vec![("bytes", Some(*bytes))],
            Diagnostics::Download { .. } | Diagnostics::WifiNeighbours {} => Vec::new(),
        };
        let given = given.into_iter();
        given
            .filter_map(|(name, number)| Some((name, number?)))
            .collect()
    }

    /// How long the device may take, seconds.
    fn seconds(&self) -> i64 {
        let given = |wanted: &str| {
            let numbers = self.numbers();
            let found = numbers.iter().find(|(name, _)| *name == wanted);
            found.map_or(1, |(_, number)| i64::from(*number))
        };
        let tries = given("count").saturating_mul(given("hops_max"));
        LEFT_ALONE_SECONDS.saturating_add(
            tries
                .saturating_mul(given("timeout_milliseconds"))
                .checked_div(1_000)
                .unwrap_or(0),
        )
    }
}

impl Operation {
    /// The diagnostics that it asks for.
    pub fn diagnostics(&self) -> Option<&Diagnostics> {
        match self {
            Operation::Diagnostics(diagnostics) => Some(diagnostics),
            _ => None,
        }
    }
}

impl Acs {
    /// Wakes the devices that should be at the end of their diagnostics and have not told: some
    /// never do. Once for each task.
    pub async fn ask_for_diagnostics(self: &Arc<Self>, now: UnixTime) {
        let silent = |task: &Task| {
            let woken = task.progress.as_ref().is_some_and(|p| p.woken.is_some());
            let diagnostics = task.operation.diagnostics();
            task.state == TaskState::Sent
                && !woken
                && diagnostics.is_some_and(|diagnostics| {
                    let end = task
                        .accepted
                        .map(|at| at.saturating_add(diagnostics.seconds()));
                    end.is_some_and(|end| now > end)
                })
        };
        for task in self.store.unfinished(silent) {
            let noted = self
                .store
                .note_progress(task.id, |progress| progress.woken = Some(now));
            match noted.await {
                Ok(_) => {
                    // If too many are being woken, the device comes by itself.
                    let _ = self.wake(&task.device_key());
                }
                Err(error) if error.is_callers() => {}
                Err(error) => tracing::error!(task = %task.id, %error, "cannot note a wake-up"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
