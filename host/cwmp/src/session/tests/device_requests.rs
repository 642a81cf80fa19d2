//! The device's own requests, and what it is refused.

use expect_test::expect;

use super::*;

#[test]
fn a_request_before_the_answer_to_ours() {
    ready()
        .reply(values())
        .post(&transfer_complete("1"))
        .reply(values())
        .reply(None)
        .post(&transfer_complete("2"))
        .refuse(8005)
        .post(&response(Response::GetParameterValues(Vec::new())))
        .reply(Some(Request::Reboot("key".to_owned())))
        .post(&transfer_complete("3"))
        .reply(None)
        .post_empty()
        .reply(None)
        .check(expect![[r#"
              our turn: < GetParameterValues #1
            > TransferComplete #1: request TransferComplete
              not our turn: < error: cannot send GetParameterValues now: TransferComplete is to be answered first
              not our turn: < TransferCompleteResponse #1 HoldRequests
            > TransferComplete #2: request TransferComplete
              < Fault #2 HoldRequests 8005
            > GetParameterValuesResponse #x: answers GetParameterValues
              our turn: < Reboot #2
            > TransferComplete #3: request TransferComplete
              not our turn: < TransferCompleteResponse #3 HoldRequests
            > empty: no answer to Reboot
              our turn: < 204
            over, 1.1
        "#]]);
}

#[test]
fn a_request_after_the_end_is_still_answered() {
    ready()
        .reply(None)
        .post(&transfer_complete("9"))
        .reply(None)
        .post_empty()
        .reply(None)
        .check(expect![[r#"
              our turn: < 204
            > TransferComplete #9: request TransferComplete
              not our turn: < TransferCompleteResponse #9
            > empty: ready
              our turn: < 204
            over, 1.1
        "#]]);
}

#[test]
fn methods_that_an_acs_does_not_know_get_8000() {
    let mut scene = ready();
    for request in [
        Request::Other(other("X_Ask")),
        Request::Reboot(String::new()),
    ] {
        scene
            .post(&message(Some("d"), Body::Request(request)))
            .reply(None);
    }
    scene.check(expect![[r#"
        > X_Ask #d: request X_Ask
          not our turn: < Fault #d 8000
        > Reboot #d: request Reboot
          not our turn: < Fault #d 8000
        open, 1.1
    "#]]);
}

#[test]
fn the_caller_may_know_more_methods() {
    ready()
        .post(&message(
            Some("d"),
            Body::Request(Request::Other(other("X_Ask"))),
        ))
        .answer(Response::Other(other("X_OtherResponse")))
        .answer(Response::Other(other("X_AskResponse")))
        .answer(Response::Other(other("X_AskResponse")))
        .check(expect![[r#"
            > X_Ask #d: request X_Ask
              < error: cannot send X_OtherResponse now: the device did not ask for it
              < X_AskResponse #d
              < error: cannot send X_AskResponse now: the device did not ask for it
            open, 1.1
        "#]]);
}

#[test]
fn refusing() {
    ready().refuse(8001).check(expect![[r#"
          < error: cannot send fault 8001 now: the device asked for nothing
        open, 1.1
    "#]]);
    ready()
        .post(&transfer_complete("d"))
        .refuse(8001)
        .post_empty()
        .reply(None)
        .check(expect![[r#"
            > TransferComplete #d: request TransferComplete
              < Fault #d 8001
            > empty: ready
              our turn: < 204
            over, 1.1
        "#]]);
    scene()
        .post(&inform(Some("1")))
        .refuse(8005)
        .post(&inform(Some("2")))
        .reply(None)
        .check(expect![[r#"
            > Inform #1: Inform of 0001
              < Fault #1 8005
            > Inform #2: Inform of 0001
              not our turn: < InformResponse #2
            open, 1.1
        "#]]);
}

#[test]
fn asking_out_of_turn_changes_nothing() {
    let raw = RawRpc {
        xml: "<a>".to_owned(),
        ..other("X_A")
    };
    ready()
        .post(&transfer_complete("d"))
        .reply(values())
        .reply(None)
        .reply(values())
        .post_empty()
        .reply(Some(Request::Inform(Box::default())))
        .reply(Some(Request::Other(raw)))
        .reply(values())
        .check(expect![[r#"
            > TransferComplete #d: request TransferComplete
              not our turn: < error: cannot send GetParameterValues now: TransferComplete is to be answered first
              not our turn: < TransferCompleteResponse #d
              not our turn: < error: cannot send GetParameterValues now: it is the device's turn
            > empty: ready
              our turn: < error: cannot send Inform now: only a device sends it
              our turn: < error: the raw XML of "X_A" cannot be sent: ill-formed document: expected `</a>`, but `</x>` was found at byte 3
              our turn: < GetParameterValues #1
            open, 1.1
        "#]]);
}
