//! Any device that the catalogue knows of, asked for anything: the exchange ends, soon, with
//! what there is.

mod cases;
mod properties;

use std::collections::BTreeSet;

use cwmp::{Fault, GetParameterNames, ParameterInfo, ParameterValue, Request, Response, XsdType};

use super::*;
use crate::device::DataModel;

/// A device made of its names and its faults.
#[derive(Debug, Clone)]
struct Virtual {
    parameters: BTreeSet<String>,
    names_max: usize,
    /// What more names are answered with.
    over: u32,
    bad_name: BadName,
    partial: Partial,
    root_refused: Option<u32>,
    /// The whole tree at once is answered with this.
    exhausted: Option<u32>,
    next_level: NextLevel,
    dotless: bool,
    rpcs: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BadName {
    Unnamed,
    InText,
    InList,
    Omitted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Partial {
    Understood,
    Refused(u32),
    /// With more parameters than this below it.
    TooMuch(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NextLevel {
    Understood,
    Ignored,
    WithItself,
    Refused,
}

impl Virtual {
    fn plain(parameters: &[&str]) -> Virtual {
        Virtual {
            parameters: parameters.iter().map(|p| (*p).to_owned()).collect(),
            names_max: usize::MAX,
            over: 9004,
            bad_name: BadName::Unnamed,
            partial: Partial::Understood,
            root_refused: None,
            exhausted: None,
            next_level: NextLevel::Understood,
            dotless: false,
            rpcs: 0,
        }
    }

    fn serve(&mut self, request: &Request) -> Outcome {
        self.rpcs += 1;
        match request {
            Request::GetParameterValues(names) => self.values(names),
            Request::GetParameterNames(asked) => self.names(asked),
            other => panic!("{other:?}"),
        }
    }

    fn below(&self, path: &str) -> Vec<&String> {
        self.parameters
            .iter()
            .filter(|p| p.starts_with(path))
            .collect()
    }

    fn values(&self, names: &[String]) -> Outcome {
        if names.len() > self.names_max {
            return Err(Fault::new(self.over));
        }
        let mut values = Vec::new();
        for name in names {
            if name.is_empty() || name.ends_with('.') {
                let below = self.below(name);
                match self.partial {
                    Partial::Refused(code) => return Err(Fault::new(code)),
                    Partial::TooMuch(most) if below.len() > most => return Err(Fault::new(9004)),
                    _ if below.is_empty() => return Err(Fault::new(9005)),
                    _ => values.extend(below.into_iter().cloned()),
                }
            } else if self.parameters.contains(name) {
                values.push(name.clone());
            } else {
                let mut fault = Fault::new(9005);
                match self.bad_name {
                    BadName::Omitted => continue,
                    BadName::Unnamed => {}
                    BadName::InText => fault.text = format!("Invalid parameter name: {name}."),
                    BadName::InList => fault.parameters.push(cwmp::ParameterFault {
                        path: name.clone(),
                        code: 9005,
                        text: String::new(),
                    }),
                }
                return Err(fault);
            }
        }
        let value = |path: String| ParameterValue::new(path, "v", XsdType::STRING);
        Ok(Response::GetParameterValues(
            values.into_iter().map(value).collect(),
        ))
    }

    fn names(&self, asked: &GetParameterNames) -> Outcome {
        let path = asked.path.as_str();
        if path.is_empty()
            && let Some(code) = self.root_refused
        {
            return Err(Fault::new(code));
        }
        if (path.is_empty() || path == "Device.")
            && !asked.next_level
            && let Some(code) = self.exhausted
        {
            return Err(Fault::new(code));
        }
        if asked.next_level && self.next_level == NextLevel::Refused {
            return Err(Fault::new(9003));
        }
        let below = self.below(path);
        if below.is_empty() || self.parameters.contains(path.trim_end_matches('.')) {
            return Err(Fault::new(9005));
        }
        let mut listed = BTreeSet::new();
        for parameter in below {
            listed.insert(parameter.clone());
            for (dot, _) in parameter.match_indices('.') {
                listed.insert(parameter[..=dot].to_owned());
            }
        }
        listed.retain(|name| name.starts_with(path));
        let one_level = asked.next_level && self.next_level != NextLevel::Ignored;
        if one_level {
            let is_child = |name: &str| {
                let rest = &name[path.len()..];
                !rest.is_empty() && !rest.trim_end_matches('.').contains('.')
            };
            let itself = self.next_level == NextLevel::WithItself;
            listed.retain(|name| is_child(name) || (itself && name == path));
        }
        let info = |name: String| ParameterInfo {
            path: if self.dotless {
                name.trim_end_matches('.').to_owned()
            } else {
                name
            },
            writable: false,
        };
        Ok(Response::GetParameterNames(
            listed.into_iter().map(info).collect(),
        ))
    }
}

/// The end of an exchange and what was found out.
struct Ended {
    outcome: Outcome,
    missing: Vec<String>,
    findings: Vec<Finding>,
}

fn ask(device: &mut Virtual, asked: Request, manners: Manners) -> Ended {
    let manners = Manners {
        data_model: DataModel::Tr181,
        ..manners
    };
    let mut exchange = Exchange::of(asked.clone(), vec![asked], manners, BTreeSet::new());
    let mut findings = Vec::new();
    let outcome = loop {
        let sent = match exchange.next_rpc() {
            Ok(sent) => sent,
            Err(end) => break end,
        };
        let stands = match device.serve(&sent) {
            Ok(response) => {
                exchange.took(&sent, response, false);
                None
            }
            Err(fault) => exchange.refused(&sent, fault),
        };
        findings.extend(exchange.take_findings());
        if let Some(fault) = stands {
            break Err(fault);
        }
    };
    findings.extend(exchange.take_findings());
    Ended {
        outcome,
        missing: exchange.take_missing(),
        findings,
    }
}

fn get(names: &[&str]) -> Request {
    Request::GetParameterValues(names.iter().map(|n| (*n).to_owned()).collect())
}

fn names(path: &str, next_level: bool) -> Request {
    Request::GetParameterNames(GetParameterNames {
        path: path.to_owned(),
        next_level,
    })
}

fn paths(outcome: Outcome) -> Vec<String> {
    let mut paths: Vec<String> = match outcome {
        Ok(Response::GetParameterValues(values)) => values.into_iter().map(|v| v.path).collect(),
        Ok(Response::GetParameterNames(names)) => names.into_iter().map(|n| n.path).collect(),
        other => panic!("{other:?}"),
    };
    paths.sort_unstable();
    paths
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("Device.A.{n}.V")).collect()
}
