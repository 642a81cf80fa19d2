//! The answers to our requests.

use expect_test::expect;

use super::*;

#[test]
fn faults_come_with_their_request() {
    ready()
        .reply(values())
        .post(&message(None, Body::Fault(Fault::new(9005))))
        .reply(None)
        .check(expect![[r#"
              our turn: < GetParameterValues #1
            > Fault #-: fault 9005 for GetParameterValues
              our turn: < 204
            over, 1.1
        "#]]);
}

#[test]
fn r17_an_empty_post_instead_of_an_answer() {
    ready()
        .reply(values())
        .post_empty()
        .reply(values())
        .check(expect![[r#"
              our turn: < GetParameterValues #1
            > empty: no answer to GetParameterValues
              our turn: < GetParameterValues #2
            open, 1.1
        "#]]);
}

#[test]
fn r17_another_response_than_asked_for() {
    ready()
        .reply(values())
        .post(&response(Response::Reboot))
        .reply(values())
        .post(&response(Response::GetParameterValues(Vec::new())))
        .reply(None)
        .check(expect![[r#"
              our turn: < GetParameterValues #1
            > RebootResponse #x: RebootResponse for GetParameterValues
              our turn: < GetParameterValues #2
            > GetParameterValuesResponse #x: answers GetParameterValues
              our turn: < 204
            over, 1.1
        "#]]);
}

#[test]
fn r17_out_of_step_for_good() {
    let mut scene = ready();
    for _ in 0..4 {
        scene.reply(values()).post(&response(Response::Reboot));
    }
    assert_eq!(scene.session.outstanding(), values().as_ref());
    scene
        .reply(None)
        .post(&response(Response::GetParameterValues(Vec::new())))
        .post_empty()
        .reply(None)
        .post(&inform(None))
        .check(expect![[r#"
              our turn: < GetParameterValues #1
            > RebootResponse #x: RebootResponse for GetParameterValues
              our turn: < GetParameterValues #2
            > RebootResponse #x: RebootResponse for GetParameterValues
              our turn: < GetParameterValues #3
            > RebootResponse #x: RebootResponse for GetParameterValues
              our turn: < GetParameterValues #4
            > RebootResponse #x: error: out of turn: expected GetParameterValuesResponse, got RebootResponse
              not our turn: < 204
            > GetParameterValuesResponse #x: error: out of turn: expected Inform, got GetParameterValuesResponse
            > empty: over
              not our turn: < 204
            > Inform #-: Inform of 0001
            open, 1.1
        "#]]);
}

#[test]
fn an_answer_that_nobody_asked_for() {
    ready().post(&response(Response::Reboot)).check(expect![[r#"
        > RebootResponse #x: error: out of turn: expected a request or an empty POST, got RebootResponse
        over, 1.1
    "#]]);
}
