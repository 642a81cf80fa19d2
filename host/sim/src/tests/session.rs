//! What the ACS may do in a session, message by message.

use std::time::Duration;

use cwmp::{Body, Download, Fault, Header, Message, Request, Response, TransferFault, Version};

use super::pair::Pair;
use crate::{Cpe, Step, UnixTime};

const NOW: UnixTime = Duration::from_secs(1_700_000_000);

fn message(body: Body, header: Header) -> Vec<u8> {
    let message = Message {
        version: Version::V1_2,
        header,
        body,
    };
    message.to_xml().into_bytes()
}

fn inform_response(hold_requests: bool) -> Vec<u8> {
    let header = Header {
        hold_requests,
        ..Header::default()
    };
    message(Body::Response(Response::Inform), header)
}

fn fault(code: u32) -> Vec<u8> {
    let fault = Fault {
        code,
        ..Fault::default()
    };
    message(Body::Fault(fault), Header::default())
}

/// What the device posts; empty: nothing.
fn posted(step: Step) -> Option<Message> {
    match step {
        Step::Post(body) if body.is_empty() => None,
        Step::Post(body) => Some(Message::parse(&body).unwrap()),
        other => panic!("{other:?}"),
    }
}

/// A device with a TransferComplete to tell.
fn with_transfer() -> Cpe {
    let mut pair = Pair::tr181();
    pair.next_session();
    pair.ask(Request::Download(Box::new(Download {
        file_type: "2 Web Content".to_owned(),
        url: "http://files/nowhere".to_owned(),
        ..Download::default()
    })))
    .unwrap();
    let crate::Due::Transfer(mut job) = pair.cpe.poll(pair.now) else {
        panic!("no transfer");
    };
    pair.cpe.transfer_begun(&mut job, pair.now);
    let result = crate::TransferResult::Failed(9016, String::new());
    pair.cpe.transfer_done(result, pair.now);
    pair.cpe
}

#[test]
fn hold_requests_holds_transfer_complete_back() {
    let mut cpe = with_transfer();
    cpe.begin_session(NOW);
    assert_eq!(
        posted(cpe.receive(&inform_response(true), NOW).unwrap()),
        None
    );
    let get = Request::GetParameterValues(vec!["Device.DeviceInfo.UpTime".to_owned()]);
    let asked = message(Body::Request(get), Header::default());
    let answer = posted(cpe.receive(&asked, NOW).unwrap()).unwrap();
    assert!(matches!(
        answer.body,
        Body::Response(Response::GetParameterValues(_))
    ));
    // No longer held: it comes before the end.
    let told = posted(cpe.receive(b"", NOW).unwrap()).unwrap();
    let Body::Request(Request::TransferComplete(complete)) = told.body else {
        panic!("{told:?}");
    };
    assert!(matches!(complete.fault, TransferFault { code: 9016, .. }));
    let answer = message(
        Body::Response(Response::TransferComplete),
        Header::default(),
    );
    assert_eq!(posted(cpe.receive(&answer, NOW).unwrap()), None);
    assert_eq!(cpe.receive(b"", NOW), Ok(Step::Done));
}

#[test]
fn an_inform_is_repeated_after_8005_but_not_for_ever() {
    let mut cpe = Pair::tr181().cpe;
    cpe.begin_session(NOW);
    let mut repeated = 0;
    while cpe.receive(&fault(8005), NOW).is_ok() {
        repeated += 1;
        assert!(repeated < 10);
    }
    assert_eq!(repeated, 5);
    cpe.fail_session(NOW);
    assert_eq!(cpe.retry_count(), 1);
}

#[test]
fn what_does_not_fit_ends_the_session() {
    let reboot = message(
        Body::Request(Request::Reboot("r".to_owned())),
        Header::default(),
    );
    let cases: [(&[u8], &str); 4] = [
        (b"<html>", "the ACS sent what cannot be read"),
        (
            b"",
            "out of turn: expected InformResponse, got an empty answer",
        ),
        (&reboot, "out of turn: expected InformResponse, got Reboot"),
        (&fault(8001), "the ACS refused the Inform with fault 8001"),
    ];
    for (answer, expected) in cases {
        let mut cpe = Pair::tr181().cpe;
        cpe.begin_session(NOW);
        let error = cpe.receive(answer, NOW).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn the_same_seed_makes_the_same_device() {
    let informs = |seed| {
        let mut config = crate::CpeConfig::tr098("A1", "http://acs/");
        config.seed = seed;
        let mut pair = Pair::new(config);
        let mut times = Vec::new();
        for _ in 0..5 {
            pair.breaks_after = Some(0);
            pair.next_session();
            times.push(pair.now);
        }
        pair.next_session();
        (times, pair.informs)
    };
    assert_eq!(informs(1), informs(1));
    assert_ne!(informs(1).0, informs(2).0);
}
