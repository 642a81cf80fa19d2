//! Any device that the catalogue knows of, asked for anything: the exchange ends, soon, with
//! what there is.

use std::collections::{BTreeMap, BTreeSet};

use cwmp::{
    AddObject, Fault, GetParameterNames, ParameterInfo, ParameterValue, Request, Response, XsdType,
};
use proptest::prelude::*;

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
        if (path.is_empty() || path == "Device.") && !asked.next_level {
            if let Some(code) = self.exhausted {
                return Err(Fault::new(code));
            }
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

#[test]
fn fewer_at_a_time_until_it_works_and_the_words_for_it() {
    let all = numbered(64);
    let mut device = Virtual::plain(&[]);
    device.parameters = all.iter().cloned().collect();
    device.names_max = 20;
    let ended = ask(
        &mut device,
        Request::GetParameterValues(all.clone()),
        Manners::default(),
    );
    assert_eq!(paths(ended.outcome).len(), 64);
    assert_eq!(ended.missing, [""; 0]);
    assert_eq!(device.rpcs, 2 + 4);
    assert_eq!(
        ended.findings.first(),
        Some(&Finding::Adapted(
            "9004 for 64 names: asking 32 at a time".into()
        ))
    );
    assert_eq!(
        ended.findings.last(),
        Some(&Finding::NamesLimit {
            worked: 16,
            failed: 32
        })
    );
    // Remembered, it is right at once.
    device.rpcs = 0;
    let manners = Manners {
        names_per_get: Some(16),
        names_proven: Some(16),
        ..Manners::default()
    };
    let ended = ask(&mut device, Request::GetParameterValues(all), manners);
    assert_eq!((paths(ended.outcome).len(), device.rpcs), (64, 4));
    assert!(
        ended
            .findings
            .iter()
            .all(|f| matches!(f, Finding::NamesTaken(_)))
    );
}

#[test]
fn a_try_for_more_falls_back_to_what_is_proven() {
    let all = numbered(48);
    let mut device = Virtual::plain(&[]);
    device.parameters = all.iter().cloned().collect();
    device.names_max = 16;
    let manners = Manners {
        names_per_get: Some(24),
        names_proven: Some(16),
        ..Manners::default()
    };
    let ended = ask(&mut device, Request::GetParameterValues(all), manners);
    // 24 refused, then 16 and 8 twice.
    assert_eq!((paths(ended.outcome).len(), device.rpcs), (48, 5));
    assert_eq!(
        ended.findings.last(),
        Some(&Finding::NamesLimit {
            worked: 16,
            failed: 24
        })
    );
}

#[test]
fn the_fault_of_one_name_is_the_answer() {
    let mut device = Virtual::plain(&["Device.A"]);
    let ended = ask(&mut device, get(&["Device.B"]), Manners::default());
    assert_eq!(ended.outcome.unwrap_err().code, 9005);
    assert_eq!(device.rpcs, 1);
    // And where none of several exists.
    let ended = ask(
        &mut device,
        get(&["Device.B", "Device.C"]),
        Manners::default(),
    );
    assert_eq!(ended.outcome.unwrap_err().code, 9005);
    // An object that does not exist is looked for once.
    device.rpcs = 0;
    let ended = ask(&mut device, get(&["Device.X."]), Manners::default());
    assert_eq!(ended.outcome.unwrap_err().code, 9005);
    assert_eq!(device.rpcs, 2);
    assert!(!ended.findings.contains(&Finding::NoPartialPaths));
}

#[test]
fn a_bad_name_is_left_out() {
    let good = ["Device.A", "Device.B", "Device.C", "Device.D", "Device.E"];
    let asked = [&good[..], &["Device.Bad"]].concat();
    for (style, rpcs) in [
        (BadName::InText, 2),
        (BadName::InList, 2),
        (BadName::Omitted, 1),
        (BadName::Unnamed, 6),
    ] {
        let mut device = Virtual::plain(&good);
        device.bad_name = style;
        let ended = ask(&mut device, get(&asked), Manners::default());
        assert_eq!(paths(ended.outcome), good, "{style:?}");
        assert_eq!(ended.missing, ["Device.Bad"], "{style:?}");
        assert_eq!(device.rpcs, rpcs, "{style:?}");
        let vanished = Finding::Vanished("Device.Bad".into());
        assert!(ended.findings.contains(&vanished), "{style:?}");
        assert!(
            !ended
                .findings
                .iter()
                .any(|f| matches!(f, Finding::NamesLimit { .. }))
        );
    }
}

#[test]
fn a_name_like_another_is_not_taken_for_it() {
    let mut device = Virtual::plain(&["Device.A.1", "Device.A"]);
    device.bad_name = BadName::InText;
    let asked = ["Device.A.1", "Device.A.10", "Device.A"];
    let ended = ask(&mut device, get(&asked), Manners::default());
    assert_eq!(paths(ended.outcome), ["Device.A", "Device.A.1"]);
    assert_eq!(ended.missing, ["Device.A.10"]);
}

#[test]
fn one_poisonous_name_is_no_lesson_in_numbers() {
    struct Poisoned(Virtual);
    let all = numbered(40);
    let mut device = Poisoned(Virtual::plain(&[]));
    device.0.parameters = all.iter().cloned().collect();
    let manners = Manners::default();
    let asked = Request::GetParameterValues(all.clone());
    let mut exchange = Exchange::of(asked.clone(), vec![asked], manners, BTreeSet::new());
    let mut findings = Vec::new();
    let outcome = loop {
        let sent = match exchange.next_rpc() {
            Ok(sent) => sent,
            Err(end) => break end,
        };
        let Request::GetParameterValues(names) = &sent else {
            panic!("{sent:?}")
        };
        if names.contains(&all[17]) {
            assert_eq!(exchange.refused(&sent, Fault::new(9002)), None);
        } else {
            let response = device.0.serve(&sent).unwrap();
            exchange.took(&sent, response, false);
        }
        findings.extend(exchange.take_findings());
    };
    findings.extend(exchange.take_findings());
    assert_eq!(paths(outcome).len(), 39);
    assert_eq!(exchange.take_missing(), [all[17].clone()]);
    assert!(
        !findings
            .iter()
            .any(|f| matches!(f, Finding::NamesLimit { .. } | Finding::Vanished(_)))
    );
}

#[test]
fn partial_paths_become_names() {
    let all = ["Device.A.X", "Device.A.Y", "Device.B.1.Z"];
    for partial in [
        Partial::Refused(9005),
        Partial::Refused(9003),
        Partial::Refused(8002),
        Partial::TooMuch(2),
    ] {
        let mut device = Virtual::plain(&all);
        device.partial = partial;
        let ended = ask(&mut device, get(&["Device."]), Manners::default());
        assert_eq!(paths(ended.outcome), all, "{partial:?}");
        assert!(ended.findings.contains(&Finding::NoPartialPaths));
        assert_eq!(device.rpcs, 3);
        // Known for it, it is listed at once.
        let manners = Manners {
            no_partial_paths: true,
            ..Manners::default()
        };
        device.rpcs = 0;
        let ended = ask(&mut device, get(&["Device.A.", "Device.B.1.Z"]), manners);
        assert_eq!(paths(ended.outcome), all);
        assert_eq!(device.rpcs, 3);
    }
}

#[test]
fn names_from_a_root_that_is_understood() {
    let all = ["Device.A.X", "Device.B"];
    let whole = ["Device.", "Device.A.", "Device.A.X", "Device.B"];
    for code in [9005, 9003, 8002] {
        let mut device = Virtual::plain(&all);
        device.root_refused = Some(code);
        let ended = ask(&mut device, names("", false), Manners::default());
        assert_eq!(paths(ended.outcome), whole);
        assert_eq!(device.rpcs, 2);
        assert!(ended.findings.contains(&Finding::NoRootNames));
    }
    // The other data model than the one that was thought of.
    let mut device = Virtual::plain(&["InternetGatewayDevice.A.X"]);
    device.root_refused = Some(9005);
    let ended = ask(&mut device, names("", true), Manners::default());
    assert_eq!(paths(ended.outcome), ["InternetGatewayDevice.A."]);
    assert_eq!(device.rpcs, 3);
}

#[test]
fn level_by_level_where_all_is_too_much() {
    let all = ["Device.A.1.X", "Device.A.2.X", "Device.B", "Device.C.D.E.F"];
    for code in [9002, 9004, 8002] {
        let mut device = Virtual::plain(&all);
        device.exhausted = Some(code);
        let ended = ask(&mut device, names("Device.", false), Manners::default());
        let found = paths(ended.outcome);
        let parameters: Vec<&String> = found.iter().filter(|p| !p.ends_with('.')).collect();
        assert_eq!(parameters, all, "{code}");
        assert!(ended.findings.contains(&Finding::NamesByLevel));
        // Device. twice, A., A.1., A.2., C., C.D., C.D.E.
        assert_eq!(device.rpcs, 8);
    }
}

#[test]
fn a_level_that_holds_everything_is_cut_and_one_that_is_refused_goes_without() {
    let all = ["Device.A.1.X", "Device.B"];
    for next_level in [
        NextLevel::Ignored,
        NextLevel::Refused,
        NextLevel::WithItself,
    ] {
        let mut device = Virtual::plain(&all);
        device.next_level = next_level;
        let ended = ask(&mut device, names("Device.", true), Manners::default());
        assert_eq!(
            paths(ended.outcome),
            ["Device.A.", "Device.B"],
            "{next_level:?}"
        );
    }
}

#[test]
fn a_device_that_refuses_everything_is_soon_left_alone() {
    for code in [8002, 9000, 9001, 9002, 9003, 9004, 9005, 9800] {
        for asked in [
            names("", false),
            names("Device.", true),
            get(&["Device.A", "Device.B.", "Device.C", "Device.D", "Device.E"]),
            Request::AddObject(AddObject::default()),
        ] {
            let manners = Manners::default();
            let mut exchange =
                Exchange::of(asked.clone(), vec![asked.clone()], manners, BTreeSet::new());
            let mut rpcs = 0;
            let fault = loop {
                match exchange.next_rpc() {
                    Ok(sent) => {
                        rpcs += 1;
                        if let Some(fault) = exchange.refused(&sent, Fault::new(code)) {
                            break fault;
                        }
                    }
                    Err(end) => break end.unwrap_err(),
                }
            };
            assert_eq!(fault.code, code, "{asked:?}");
            assert!(rpcs <= 20, "{rpcs} for {asked:?} and {code}");
        }
    }
}

#[test]
fn what_is_not_supported_is_only_asked_for_people() {
    let asked = Request::GetParameterAttributes(vec!["Device.A".into()]);
    let mut manners = Manners {
        unsupported: BTreeMap::from([("GetParameterAttributes".to_owned(), Fault::new(9000))]),
        ..Manners::default()
    };
    let begin = |manners: &Manners| {
        Exchange::of(
            asked.clone(),
            vec![asked.clone()],
            manners.clone(),
            BTreeSet::new(),
        )
    };
    let end = begin(&manners).next_rpc().unwrap_err();
    assert_eq!(end.unwrap_err().code, 9000);
    manners.asks_unsupported = true;
    let mut exchange = begin(&manners);
    let sent = exchange.next_rpc().unwrap();
    exchange.took(&sent, Response::GetParameterAttributes(Vec::new()), false);
    let supported = Finding::Supported("GetParameterAttributes".into());
    assert_eq!(exchange.take_findings(), [supported]);
}

fn code_for_too_much() -> impl Strategy<Value = u32> {
    prop_oneof![Just(9002), Just(9003), Just(9004), Just(8002)]
}

fn device() -> impl Strategy<Value = Virtual> {
    let bad_name = prop_oneof![
        Just(BadName::Unnamed),
        Just(BadName::InText),
        Just(BadName::InList),
        Just(BadName::Omitted),
    ];
    let partial = prop_oneof![
        Just(Partial::Understood),
        code_for_too_much().prop_map(Partial::Refused),
        Just(Partial::Refused(9005)),
        (0..20_usize).prop_map(Partial::TooMuch),
    ];
    let next_level = prop_oneof![
        Just(NextLevel::Understood),
        Just(NextLevel::Ignored),
        Just(NextLevel::WithItself),
    ];
    let root = prop::option::of(prop_oneof![Just(9003_u32), Just(9005), Just(8002)]);
    let exhausted = prop::option::of(prop_oneof![Just(9002_u32), Just(9004), Just(8002)]);
    let parameters = prop::collection::btree_set((0..6_u8, 0..4_u8, 0..5_u8), 1..60);
    (
        parameters,
        1..40_usize,
        code_for_too_much(),
        bad_name,
        partial,
        root,
        exhausted,
        next_level,
        any::<bool>(),
    )
        .prop_map(
            |(
                parameters,
                names_max,
                over,
                bad_name,
                partial,
                root,
                exhausted,
                next_level,
                dotless,
            )| {
                let path = |(a, b, c): (u8, u8, u8)| match c {
                    // Parameters at every level, and objects that have none of their own.
                    0 => format!("Device.P{a}"),
                    1 => format!("Device.A{a}.Q{b}"),
                    c => format!("Device.A{a}.B{b}.{c}.V"),
                };
                Virtual {
                    parameters: parameters.into_iter().map(path).collect(),
                    names_max,
                    over,
                    bad_name,
                    partial,
                    root_refused: root,
                    exhausted,
                    next_level,
                    dotless,
                    rpcs: 0,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_get_finds_exactly_what_exists(mut device in device(), bad in 0..8_usize, skip in 0..5_usize) {
        let existing: Vec<String> = device.parameters.iter().skip(skip).cloned().collect();
        let mut asked = existing.clone();
        for n in 0..bad {
            asked.insert((n * 7) % (asked.len() + 1), format!("Device.Bad.{n}"));
        }
        prop_assume!(!asked.is_empty());
        let ended = ask(&mut device, Request::GetParameterValues(asked.clone()), Manners::default());
        if existing.is_empty() {
            let refused = device.bad_name != BadName::Omitted;
            prop_assert_eq!(ended.outcome.is_err(), refused);
        } else {
            prop_assert_eq!(paths(ended.outcome), existing);
            let mut missing = ended.missing;
            missing.sort_unstable();
            missing.dedup();
            prop_assert_eq!(missing.len(), bad);
        }
        let parts = u32::try_from(asked.len().div_ceil(device.names_max.div_ceil(2))).unwrap();
        let bad = u32::try_from(bad).unwrap();
        prop_assert!(device.rpcs <= 8 + 2 * parts + 2 * bad * 8, "{} RPCs", device.rpcs);
        if let Some(Finding::NamesLimit { worked, failed }) = ended.findings.last() {
            let limit = u32::try_from(device.names_max).unwrap();
            prop_assert!(*worked <= limit && limit < *failed);
        }
    }

    #[test]
    fn a_partial_path_gives_what_is_below(mut device in device()) {
        let all: Vec<String> = device.parameters.iter().cloned().collect();
        let ended = ask(&mut device, get(&["Device."]), Manners::default());
        prop_assert_eq!(paths(ended.outcome), all);
        prop_assert!(device.rpcs <= 400, "{} RPCs", device.rpcs);
    }

    #[test]
    fn the_names_of_the_tree_are_each_told_once(mut device in device(), root in any::<bool>()) {
        let all: Vec<String> = device.parameters.iter().cloned().collect();
        let asked = names(if root { "" } else { "Device." }, false);
        let found = paths(ask(&mut device, asked, Manners::default()).outcome);
        let parameters: Vec<String> =
            found.iter().filter(|path| !path.ends_with('.')).cloned().collect();
        prop_assert_eq!(&parameters, &all);
        let mut once = found.clone();
        once.dedup();
        prop_assert_eq!(once, found);
        prop_assert!(device.rpcs <= 200, "{} RPCs", device.rpcs);
    }

    #[test]
    fn the_next_level_is_one_level(mut device in device()) {
        device.dotless = false;
        let ended = ask(&mut device, names("Device.", true), Manners::default());
        let expected: BTreeSet<String> = device.parameters.iter().map(|path| {
            let rest = &path["Device.".len()..];
            match rest.split_once('.') {
                Some((object, _)) => format!("Device.{object}."),
                None => path.clone(),
            }
        }).collect();
        let mut found = paths(ended.outcome);
        found.retain(|path| path != "Device.");
        prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    }
}
