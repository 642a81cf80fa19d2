//! Oddities of RPCs, against the ACS half of a session.

use cwmp::{GetParameterNames, ParameterValue, Request, Response, SetParameterValues, XsdType};

use super::pair::{Pair, codes};
use crate::{CpeConfig, Oddity};

fn odd(oddity: Oddity) -> Pair {
    let mut pair = Pair::new(CpeConfig::tr181("A1", "http://acs/").with(oddity));
    pair.next_session();
    pair
}

fn names(path: &str, next_level: bool) -> Request {
    Request::GetParameterNames(GetParameterNames {
        path: path.to_owned(),
        next_level,
    })
}

fn get(count: usize) -> Request {
    Request::GetParameterValues(vec!["Device.DeviceInfo.UpTime".to_owned(); count])
}

fn code(answer: Result<Response, cwmp::Fault>) -> u32 {
    answer.map_or_else(|fault| fault.code, |_| 0)
}

#[test]
fn booleans_as_digits_only() {
    let set = |value: &str| {
        Request::SetParameterValues(SetParameterValues {
            parameters: vec![ParameterValue::new(
                "Device.Time.Enable",
                value,
                XsdType::BOOLEAN,
            )],
            parameter_key: String::new(),
        })
    };
    let mut pair = odd(Oddity::BooleanDigitsOnly);
    let fault = pair.ask(set("false")).unwrap_err();
    assert_eq!((fault.code, fault.parameters[0].code), (9003, 9007));
    assert_eq!(code(pair.ask(set("0"))), 0);
    assert_eq!(code(Pair::tr181().ask(set("false"))), 0);
}

#[test]
fn limits_of_get_and_names() {
    let mut pair = odd(Oddity::GetLimit16);
    assert_eq!(code(pair.ask(get(16))), 0);
    assert_eq!(code(pair.ask(get(17))), 9004);
    let mut pair = odd(Oddity::RootNamesRefused);
    assert_eq!(code(pair.ask(names("", true))), 9005);
    assert_eq!(code(pair.ask(names("Device.", true))), 0);
    let mut pair = odd(Oddity::FullNamesExhaust);
    assert_eq!(code(pair.ask(names("Device.", false))), 9004);
    assert_eq!(code(pair.ask(names("Device.NAT.", false))), 0);
}

#[test]
fn too_many_names_in_the_ways_of_devices() {
    for (oddity, expected) in [
        (Oddity::GetLimit16Internal, 9002),
        (Oddity::GetLimit16Arguments, 9003),
    ] {
        let mut pair = odd(oddity);
        assert_eq!(code(pair.ask(get(16))), 0);
        assert_eq!(code(pair.ask(get(17))), expected);
    }
    for oddity in [
        Oddity::GetLimit16Hangs,
        Oddity::GetLimit16Drops,
        Oddity::GetLimit16Reboots,
    ] {
        let mut pair = odd(oddity);
        assert_eq!(code(pair.ask(get(16))), 0);
        pair.queue.push_back(get(17));
        pair.cpe.connection_request(pair.now);
        pair.next_session();
        assert!(pair.answers.is_empty(), "{oddity:?}");
        let boots = codes(&pair.next_session()) == ["1 BOOT"];
        assert_eq!(boots, oddity == Oddity::GetLimit16Reboots, "{oddity:?}");
    }
    let mut pair = odd(Oddity::SetLimit4);
    let set = |count| {
        let value = |n| ParameterValue::new(format!("Device.Bad{n}"), "", XsdType::STRING);
        Request::SetParameterValues(SetParameterValues {
            parameters: (0..count).map(value).collect(),
            parameter_key: String::new(),
        })
    };
    assert_eq!(code(pair.ask(set(4))), 9003);
    assert_eq!(code(pair.ask(set(5))), 9004);
}

#[test]
fn names_and_paths_in_the_ways_of_devices() {
    let mut pair = odd(Oddity::PartialPathsRefused);
    let partial = Request::GetParameterValues(vec!["Device.DeviceInfo.".to_owned()]);
    assert_eq!(code(pair.ask(partial)), 9005);
    let mut pair = odd(Oddity::BadNameNamed);
    let bad = Request::GetParameterValues(vec!["Device.Bad".to_owned()]);
    assert_eq!(
        pair.ask(bad).unwrap_err().text,
        "Invalid parameter name: Device.Bad"
    );
    let mut pair = odd(Oddity::FullNamesDrop);
    pair.queue.push_back(names("", false));
    pair.cpe.connection_request(pair.now);
    pair.next_session();
    assert!(pair.answers.is_empty());
    let listed = |oddity, next_level| match odd(oddity).ask(names("Device.", next_level)) {
        Ok(Response::GetParameterNames(names)) => names,
        other => panic!("{other:?}"),
    };
    let all = listed(Oddity::NextLevelIgnored, false);
    assert_eq!(listed(Oddity::NextLevelIgnored, true), all);
    let dotless = listed(Oddity::ObjectsWithoutDots, false);
    assert_eq!(dotless.len(), all.len());
    assert!(!dotless.iter().any(|name| name.path.ends_with('.')));
}

#[test]
fn objects_and_attributes_in_the_ways_of_devices() {
    let add = || {
        Request::AddObject(cwmp::AddObject {
            object_name: "Device.NAT.PortMapping.".to_owned(),
            parameter_key: String::new(),
        })
    };
    assert_eq!(code(odd(Oddity::AddObjectRefused).ask(add())), 9002);
    let mut pair = odd(Oddity::AddObjectUncounted);
    let before = Pair::tr181().ask(add());
    assert!(matches!(before, Ok(Response::AddObject(n, _)) if n > 0));
    assert!(matches!(pair.ask(add()), Ok(Response::AddObject(0, _))));
    let attributes = Request::GetParameterAttributes(vec!["Device.DeviceInfo.UpTime".to_owned()]);
    assert_eq!(
        code(odd(Oddity::AttributesUnsupported).ask(attributes)),
        9000
    );
}

#[test]
fn bad_names_left_out() {
    let asked = vec![
        "Device.DeviceInfo.UpTime".to_owned(),
        "Device.Bad".to_owned(),
    ];
    let answer = odd(Oddity::BadNamesLeftOut).ask(Request::GetParameterValues(asked));
    assert!(matches!(answer, Ok(Response::GetParameterValues(values)) if values.len() == 1));
}

#[test]
fn an_empty_post_for_an_answer() {
    for (oddity, request) in [
        (Oddity::NamesAnsweredEmpty, names("", true)),
        (Oddity::AnswersEmpty, get(1)),
    ] {
        let mut pair = odd(oddity);
        pair.queue.extend([request, get(2)]);
        pair.cpe.connection_request(pair.now);
        pair.next_session();
        assert!(
            matches!(pair.answers.as_slice(), [None, Some(Ok(_))]),
            "{:?}",
            pair.answers
        );
    }
}

#[test]
fn the_connection_is_dropped_at_reboot() {
    let mut pair = odd(Oddity::DropsAtReboot);
    pair.queue.push_back(Request::Reboot("r".to_owned()));
    pair.cpe.connection_request(pair.now);
    pair.next_session();
    assert!(pair.answers.is_empty());
    assert_eq!(codes(&pair.next_session()), ["1 BOOT", "M Reboot r"]);
    assert_eq!(pair.informs.last().unwrap().retry_count, 0);
}

#[test]
fn ids_and_headers_that_are_odd_make_a_session_too() {
    for oddity in [
        Oddity::NoHeader,
        Oddity::EmptyId,
        Oddity::ConstantId,
        Oddity::IdNotEchoed,
        Oddity::WrongArrayCounts,
        Oddity::NoMoreRequests,
        Oddity::MaxEnvelopes2,
        Oddity::NoEvents,
        Oddity::NoProductClass,
        Oddity::WhitespaceAsEmpty,
        Oddity::ExtraEmptyPost,
    ] {
        let mut pair = odd(oddity);
        assert_eq!(code(pair.ask(get(3))), 0, "{oddity:?}");
    }
}
