//! Faults that do not mean what they say.

use patchbay_plugin::device::wildcard;
use patchbay_plugin::profile::{AfterFault, Fault, Request};
use profile_format::{FaultRule, Then};

pub(crate) fn answer(rules: &[FaultRule], request: &Request, fault: &Fault) -> AfterFault {
    match rules.iter().find(|rule| fits(rule, request, fault)) {
        Some(rule) => match rule.then {
            Then::GiveUp => AfterFault::GiveUp,
            Then::Skip => AfterFault::Skip,
            Then::Halve => halved(request),
        },
        None => AfterFault::GiveUp,
    }
}

fn fits(rule: &FaultRule, request: &Request, fault: &Fault) -> bool {
    let (method, paths) = asked(request);
    rule.rpc.as_deref().is_none_or(|rpc| rpc == method)
        && (rule.codes.is_empty() || rule.codes.contains(&fault.code))
        && rule
            .text
            .as_deref()
            .is_none_or(|text| wildcard(text, fault.text.trim()))
        && rule.path.as_deref().is_none_or(|pattern| {
            !paths.is_empty() && paths.iter().all(|path| wildcard(pattern, path))
        })
}

/// The method, and the names that it asks for.
fn asked(request: &Request) -> (&str, Vec<&str>) {
    fn all(names: &[String]) -> Vec<&str> {
        names.iter().map(String::as_str).collect()
    }
    match request {
        Request::GetRpcMethods => ("GetRPCMethods", Vec::new()),
        Request::GetParameterNames(get) => ("GetParameterNames", vec![&get.path]),
        Request::GetParameterValues(names) => ("GetParameterValues", all(names)),
        Request::SetParameterValues(set) => (
            "SetParameterValues",
            set.iter().map(|one| one.path.as_str()).collect(),
        ),
        Request::GetParameterAttributes(names) => ("GetParameterAttributes", all(names)),
        Request::SetParameterAttributes(set) => (
            "SetParameterAttributes",
            set.iter().map(|one| one.path.as_str()).collect(),
        ),
        Request::AddObject(path) => ("AddObject", vec![path]),
        Request::DeleteObject(path) => ("DeleteObject", vec![path]),
        Request::Download(_) => ("Download", Vec::new()),
        Request::Upload(_) => ("Upload", Vec::new()),
        Request::Reboot(_) => ("Reboot", Vec::new()),
        Request::FactoryReset => ("FactoryReset", Vec::new()),
        Request::ScheduleInform(_) => ("ScheduleInform", Vec::new()),
        Request::Other(raw) => (&raw.method, Vec::new()),
    }
}

/// The same in two; what cannot be halved stays refused.
fn halved(request: &Request) -> AfterFault {
    fn two<T: Clone>(all: &[T], request: fn(Vec<T>) -> Request) -> AfterFault {
        if all.len() < 2 {
            return AfterFault::GiveUp;
        }
        let (one, other) = all.split_at(all.len() / 2);
        AfterFault::Retry(vec![request(one.to_vec()), request(other.to_vec())])
    }
    match request {
        Request::GetParameterValues(names) => two(names, Request::GetParameterValues),
        Request::GetParameterAttributes(names) => two(names, Request::GetParameterAttributes),
        Request::SetParameterValues(set) => two(set, Request::SetParameterValues),
        Request::SetParameterAttributes(set) => two(set, Request::SetParameterAttributes),
        _ => AfterFault::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::written;

    fn get(names: &[&str]) -> Request {
        Request::GetParameterValues(names.iter().map(|&name| name.into()).collect())
    }

    fn fault(code: u32, text: &str) -> Fault {
        Fault {
            code,
            text: text.into(),
            parameters: Vec::new(),
        }
    }

    #[test]
    fn an_empty_table_is_no_fault() {
        let rules = written(
            "[[faults]]\nrpc = 'GetParameterValues'\ncodes = [9005]\npath = '*.VendorConfigFile.'\nthen = 'skip'",
        )
        .faults;
        let path = "InternetGatewayDevice.DeviceInfo.VendorConfigFile.";
        for (request, code, expected) in [
            (get(&[path]), 9005, AfterFault::Skip),
            (get(&[path, "A"]), 9005, AfterFault::GiveUp),
            (get(&[path]), 9002, AfterFault::GiveUp),
            (Request::AddObject(path.into()), 9005, AfterFault::GiveUp),
            (get(&[]), 9005, AfterFault::GiveUp),
        ] {
            assert_eq!(
                answer(&rules, &request, &fault(code, "")),
                expected,
                "{request:?}"
            );
        }
    }

    #[test]
    fn too_many_at_once() {
        let rules = written("[[faults]]\ntext = '*GPV handler error*'\nthen = 'halve'").faults;
        let fault = fault(9002, "GPV handler error (code -1)");
        assert_eq!(
            answer(&rules, &get(&["A", "B", "C"]), &fault),
            AfterFault::Retry(vec![get(&["A"]), get(&["B", "C"])])
        );
        assert_eq!(answer(&rules, &get(&["A"]), &fault), AfterFault::GiveUp);
    }

    #[test]
    fn the_first_rule_that_fits_is_the_one() {
        let rules =
            written("[[faults]]\ncodes = [9001]\nthen = 'give-up'\n[[faults]]\nthen = 'skip'");
        assert_eq!(
            answer(&rules.faults, &get(&["A"]), &fault(9001, "")),
            AfterFault::GiveUp
        );
        assert_eq!(
            answer(&rules.faults, &get(&["A"]), &fault(9000, "")),
            AfterFault::Skip
        );
    }
}
