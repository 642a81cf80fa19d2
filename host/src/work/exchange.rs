//! How one request becomes RPCs on the wire, and their answers one answer.
//!
//! Whoever asks (a task, a flow, the NAT mode) asks once; the device's profile may want it
//! split, rewritten, or asked level by level. Overrides are applied here, hooks in the plugin.

use std::collections::VecDeque;

use cwmp::{Applied, Fault, GetParameterNames, ParameterValue, Request, Response};

use crate::plugins::{About, AfterFault, BooleanWords, HookCall, Matched, Overrides};

/// How often a plugin may answer a fault with other requests.
const RETRIES_MAX: u32 = 3;
/// RPCs that one request may become.
const PARTS_MAX: u32 = 2_000;

/// One request under way.
#[derive(Debug)]
pub struct Exchange {
    asked: Request,
    queue: VecDeque<Request>,
    merged: Option<Response>,
    retries: u32,
    parts: u32,
}

/// The end of an exchange.
pub type Outcome = Result<Response, Fault>;

impl Exchange {
    /// Passes a request through the device's profile. What its hooks did is added to `calls`.
    pub async fn begin(
        asked: Request,
        matched: &Matched,
        about: &About<'_>,
        calls: &mut Vec<HookCall>,
    ) -> Exchange {
        let queue = prepare(asked.clone(), matched, about, calls).await;
        Exchange {
            asked,
            queue,
            merged: None,
            retries: 0,
            parts: 0,
        }
    }

    /// The next RPC to send, or the end.
    pub fn next_rpc(&mut self) -> Result<Request, Outcome> {
        if self.parts >= PARTS_MAX {
            return Err(Err(own_fault(format!(
                "given up after {PARTS_MAX} RPCs for one {}",
                self.asked.method()
            ))));
        }
        self.parts += 1;
        match self.queue.pop_front() {
            Some(request) => Ok(request),
            // A profile that drops a request has answered it: there is nothing to do.
            None => Err(Ok(self
                .merged
                .take()
                .unwrap_or_else(|| nothing(&self.asked)))),
        }
    }

    /// Takes the device's answer to the RPC that was last sent, corrected by its profile.
    /// `Some` = the exchange failed.
    pub async fn answered(
        &mut self,
        sent: &Request,
        answer: Outcome,
        matched: &Matched,
        about: &About<'_>,
        calls: &mut Vec<HookCall>,
    ) -> Option<Fault> {
        match answer {
            Ok(response) => {
                self.descend(sent, &response, &matched.overrides);
                merge(&mut self.merged, response);
                None
            }
            Err(fault) => match matched.on_fault(about, sent, &fault, calls).await {
                AfterFault::GiveUp => Some(fault),
                AfterFault::Skip => None,
                AfterFault::Retry(_) if self.retries >= RETRIES_MAX => Some(fault),
                AfterFault::Retry(requests) => {
                    self.retries += 1;
                    for request in requests.into_iter().rev() {
                        self.queue.push_front(request);
                    }
                    None
                }
            },
        }
    }

    /// A device that cannot list its whole tree at once is asked level by level.
    fn descend(&mut self, sent: &Request, response: &Response, overrides: &Overrides) {
        let Request::GetParameterNames(asked) = &self.asked else {
            return;
        };
        let (Request::GetParameterNames(sent), Response::GetParameterNames(names)) =
            (sent, response)
        else {
            return;
        };
        if !overrides.names_by_level || asked.next_level {
            return;
        }
        for object in names
            .iter()
            .filter(|n| n.path.ends_with('.') && n.path != sent.path)
        {
            self.queue
                .push_back(Request::GetParameterNames(GetParameterNames {
                    path: object.path.clone(),
                    next_level: true,
                }));
        }
    }
}

/// A fault of the ACS's own, for what never was answered.
pub fn own_fault(text: String) -> Fault {
    Fault {
        code: 8002,
        text,
        parameters: Vec::new(),
    }
}

async fn prepare(
    asked: Request,
    matched: &Matched,
    about: &About<'_>,
    calls: &mut Vec<HookCall>,
) -> VecDeque<Request> {
    let mut queue = VecDeque::new();
    for request in matched.on_request(about, asked, calls).await {
        apply(
            request,
            &matched.overrides,
            about.device.data_model.root(),
            &mut queue,
        );
    }
    queue
}

/// Applies the overrides that need no code.
fn apply(request: Request, overrides: &Overrides, root: &str, queue: &mut VecDeque<Request>) {
    match request {
        Request::GetParameterValues(paths) => {
            for part in chunks(paths, overrides.max_names_per_get) {
                queue.push_back(Request::GetParameterValues(part));
            }
        }
        Request::SetParameterValues(mut set) => {
            if overrides.no_parameter_key {
                set.parameter_key.clear();
            }
            for parameter in &mut set.parameters {
                literal(parameter, overrides);
            }
            for parameters in chunks(set.parameters, overrides.max_parameters_per_set) {
                queue.push_back(Request::SetParameterValues(cwmp::SetParameterValues {
                    parameters,
                    parameter_key: set.parameter_key.clone(),
                }));
            }
        }
        Request::GetParameterNames(mut names) => {
            if names.path.is_empty() && (overrides.skip_root_names || overrides.names_by_level) {
                names.path = root.to_owned();
            }
            names.next_level |= overrides.names_by_level;
            queue.push_back(Request::GetParameterNames(names));
        }
        other => queue.push_back(other),
    }
}

fn chunks<T>(items: Vec<T>, size: Option<u32>) -> Vec<Vec<T>> {
    let size = size
        .and_then(|size| usize::try_from(size).ok())
        .unwrap_or(usize::MAX)
        .max(1);
    if items.len() <= size {
        return vec![items];
    }
    let mut chunks = Vec::new();
    let mut items = items.into_iter().peekable();
    while items.peek().is_some() {
        chunks.push(items.by_ref().take(size).collect());
    }
    chunks
}

/// Writes a value the way most devices, or this one, take it.
fn literal(parameter: &mut ParameterValue, overrides: &Overrides) {
    match parameter.xsd_type.as_str() {
        "boolean" => {
            if let Some(value) = cwmp::value::boolean(&parameter.value) {
                parameter.value = match (overrides.boolean_words, value) {
                    (BooleanWords::Digits, true) => "1",
                    (BooleanWords::Digits, false) => "0",
                    (BooleanWords::Words, true) => "true",
                    (BooleanWords::Words, false) => "false",
                }
                .to_owned();
            }
        }
        "dateTime" => date_time(&mut parameter.value, overrides.date_time_milliseconds),
        _ => {}
    }
}

/// With or without the fraction of a second.
fn date_time(value: &mut String, milliseconds: bool) {
    let Some(seconds_end) = value.find('T').map(|t| t + "T00:00:00".len()) else {
        return;
    };
    let Some(rest) = value.get(seconds_end..) else {
        return;
    };
    let zone = rest
        .trim_start_matches(|c: char| c == '.' || c.is_ascii_digit())
        .to_owned();
    let has_fraction = zone.len() < rest.len();
    if has_fraction == milliseconds {
        return;
    }
    value.truncate(seconds_end);
    if milliseconds {
        value.push_str(".000");
    }
    value.push_str(&zone);
}

fn merge(merged: &mut Option<Response>, response: Response) {
    let Some(before) = merged else {
        *merged = Some(response);
        return;
    };
    match (before, response) {
        (Response::GetParameterValues(all), Response::GetParameterValues(more)) => all.extend(more),
        (Response::GetParameterNames(all), Response::GetParameterNames(more)) => all.extend(more),
        (Response::GetParameterAttributes(all), Response::GetParameterAttributes(more)) => {
            all.extend(more);
        }
        (Response::SetParameterValues(all), Response::SetParameterValues(Applied::Later)) => {
            *all = Applied::Later;
        }
        (Response::SetParameterValues(_), Response::SetParameterValues(Applied::Now)) => {}
        (before, response) => *before = response,
    }
}

/// The answer to a request that its profile dropped.
fn nothing(asked: &Request) -> Response {
    match asked {
        Request::GetParameterValues(_) => Response::GetParameterValues(Vec::new()),
        Request::GetParameterNames(_) => Response::GetParameterNames(Vec::new()),
        Request::GetParameterAttributes(_) => Response::GetParameterAttributes(Vec::new()),
        Request::SetParameterAttributes(_) => Response::SetParameterAttributes,
        Request::DeleteObject(_) => Response::DeleteObject(Applied::Now),
        Request::Reboot(_) => Response::Reboot,
        Request::FactoryReset => Response::FactoryReset,
        Request::ScheduleInform(_) => Response::ScheduleInform,
        Request::GetRpcMethods => Response::GetRpcMethods(Vec::new()),
        Request::GetQueuedTransfers => Response::GetQueuedTransfers(Vec::new()),
        Request::GetAllQueuedTransfers => Response::GetAllQueuedTransfers(Vec::new()),
        Request::GetOptions(_) => Response::GetOptions(Vec::new()),
        Request::SetVouchers(_) => Response::SetVouchers,
        Request::ScheduleDownload(_) => Response::ScheduleDownload,
        Request::CancelTransfer(_) => Response::CancelTransfer,
        Request::ChangeDuState(_) => Response::ChangeDuState,
        _ => Response::SetParameterValues(Applied::Now),
    }
}
