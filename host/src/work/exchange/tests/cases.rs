//! One oddity at a time: what is asked instead, how often, and what is told of it.

use std::collections::BTreeMap;

use cwmp::AddObject;

use super::*;

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
