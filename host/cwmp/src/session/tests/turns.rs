//! Whole sessions, and how they begin.

use expect_test::expect;

use super::*;

#[test]
fn a_whole_session() {
    scene()
        .post(&inform(Some("dev-1")))
        .reply(None)
        .post(&transfer_complete("dev-2"))
        .reply(None)
        .post(&message(
            Some("dev-3"),
            Body::Request(Request::GetRpcMethods),
        ))
        .reply(None)
        .post_empty()
        .reply(values())
        .post(&response(Response::GetParameterValues(Vec::new())))
        .reply(Some(Request::Reboot("key".to_owned())))
        .post(&response(Response::Reboot))
        .reply(None)
        .post_empty()
        .reply(None)
        .check(expect![[r#"
            > Inform #dev-1: Inform of 0001
              not our turn: < InformResponse #dev-1
            > TransferComplete #dev-2: request TransferComplete
              not our turn: < TransferCompleteResponse #dev-2
            > GetRPCMethods #dev-3: request GetRPCMethods
              not our turn: < GetRPCMethodsResponse #dev-3
            > empty: ready
              our turn: < GetParameterValues #1
            > GetParameterValuesResponse #x: answers GetParameterValues
              our turn: < Reboot #2
            > RebootResponse #x: answers Reboot
              our turn: < 204
            > empty: over
              not our turn: < 204
            over, 1.1
        "#]]);
}

#[test]
fn an_absent_id_is_answered_without_one() {
    scene().post(&inform(None)).reply(None).check(expect![[r#"
        > Inform #-: Inform of 0001
          not our turn: < InformResponse #-
        open, 1.1
    "#]]);
    scene()
        .post(&inform(Some("")))
        .reply(None)
        .check(expect![[r#"
            > Inform #: Inform of 0001
              not our turn: < InformResponse #
            open, 1.1
        "#]]);
}

#[test]
fn an_inform_comes_first() {
    scene().post_empty().reply(None).check(expect![[r#"
        > empty: error: out of turn: expected Inform, got an empty POST
          not our turn: < 204
        over, 1.0
    "#]]);
    scene().post(&transfer_complete("1")).check(expect![[r#"
        > TransferComplete #1: error: out of turn: expected Inform, got TransferComplete
        over, 1.0
    "#]]);
    scene().post(&response(Response::Reboot)).check(expect![[r#"
        > RebootResponse #x: error: out of turn: expected Inform, got RebootResponse
        over, 1.0
    "#]]);
    scene()
        .post(&message(None, Body::Fault(Fault::new(9000))))
        .check(expect![[r#"
            > Fault #-: error: out of turn: expected Inform, got a fault
            over, 1.0
        "#]]);
}

#[test]
fn an_inform_begins_again_at_any_time() {
    scene()
        .post(&inform(Some("1")))
        .post(&inform(Some("2")))
        .reply(None)
        .post_empty()
        .reply(values())
        .post(&inform(Some("3")))
        .reply(None)
        .post_empty()
        .reply(None)
        .post(&inform(Some("4")))
        .reply(None)
        .check(expect![[r#"
            > Inform #1: Inform of 0001
            > Inform #2: Inform of 0001
              not our turn: < InformResponse #2
            > empty: ready
              our turn: < GetParameterValues #1
            > Inform #3: Inform of 0001
              not our turn: < InformResponse #3
            > empty: ready
              our turn: < 204
            > Inform #4: Inform of 0001
              not our turn: < InformResponse #4
            open, 1.1
        "#]]);
}
