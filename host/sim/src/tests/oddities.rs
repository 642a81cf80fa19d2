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
