use expect_test::expect;
use proptest::prelude::*;

use super::*;

#[test]
fn versions_are_negotiated_only_if_the_device_offers_some() {
    for (supported, expected) in [
        (
            "1.0,1.1,1.2,1.3,1.4",
            expect![[r#"
            > Inform #i: Inform of 0001
              not our turn: < InformResponse #i UseCWMPVersion 1.4
            open, 1.4
        "#]],
        ),
        (
            "1.0",
            expect![[r#"
            > Inform #i: Inform of 0001
              not our turn: < InformResponse #i UseCWMPVersion 1.0
            open, 1.0
        "#]],
        ),
        (
            "1.2, 9.0",
            expect![[r#"
            > Inform #i: Inform of 0001
              not our turn: < InformResponse #i UseCWMPVersion 1.2
            open, 1.2
        "#]],
        ),
        (
            "2.0",
            expect![[r#"
            > Inform #i: Inform of 0001
              not our turn: < Fault #i 8006
            over, 1.4
        "#]],
        ),
        (
            "",
            expect![[r#"
            > Inform #i: Inform of 0001
              not our turn: < InformResponse #i
            open, 1.4
        "#]],
        ),
    ] {
        scene()
            .post(&offering(supported))
            .reply(None)
            .check(expected);
    }
}

#[test]
fn time_is_limited() {
    let mut scene = ready();
    assert_eq!(
        scene.session.deadline() - scene.now,
        Duration::from_secs(60)
    );
    scene
        .wait(60)
        .post_empty()
        .wait(61)
        .post_empty()
        .check(expect![[r#"
            > empty: ready
            > empty: error: the session is beyond its limit of 60 seconds between messages
            over, 1.1
        "#]]);

    let mut patient = inform(None);
    patient.header.session_timeout = Some(100_000);
    let mut scene = Scene::new(Limits {
        session_timeout: Duration::from_secs(1000),
        ..Limits::default()
    });
    scene.post(&patient).reply(None);
    assert_eq!(
        scene.session.deadline() - scene.now,
        Duration::from_secs(600)
    );
    scene
        .wait(600)
        .post_empty()
        .wait(600)
        .post_empty()
        .check(expect![[r#"
            > Inform #-: Inform of 0001
              not our turn: < InformResponse #-
            > empty: ready
            > empty: error: the session is beyond its limit of 1000 seconds for a session
            over, 1.1
        "#]]);
}

#[test]
fn requests_are_limited() {
    let limits = || Limits {
        requests_max: 1,
        device_requests_max: 2,
        ..Limits::default()
    };
    Scene::new(limits())
        .post(&inform(None))
        .reply(None)
        .post(&transfer_complete("1"))
        .reply(None)
        .post(&transfer_complete("2"))
        .reply(None)
        .check(expect![[r#"
            > Inform #-: Inform of 0001
              not our turn: < InformResponse #-
            > TransferComplete #1: request TransferComplete
              not our turn: < TransferCompleteResponse #1
            > TransferComplete #2: error: the session is beyond its limit of 2 requests of the device
              not our turn: < 204
            over, 1.1
        "#]]);
    Scene::new(limits())
        .post(&inform(None))
        .reply(None)
        .post_empty()
        .reply(values())
        .post_empty()
        .reply(values())
        .reply(None)
        .check(expect![[r#"
            > Inform #-: Inform of 0001
              not our turn: < InformResponse #-
            > empty: ready
              our turn: < GetParameterValues #1
            > empty: no answer to GetParameterValues
              our turn: < error: the session is beyond its limit of 1 requests of the ACS
              not our turn: < 204
            over, 1.1
        "#]]);
}

/// What a device may do next.
fn any_post() -> impl Strategy<Value = Option<Message>> {
    prop_oneof![
        Just(None),
        Just(Some(inform(Some("1")))),
        Just(Some(offering("1.4"))),
        Just(Some(offering("7"))),
        Just(Some(transfer_complete("2"))),
        Just(Some(response(Response::Reboot))),
        Just(Some(response(Response::GetParameterValues(Vec::new())))),
        Just(Some(message(None, Body::Fault(Fault::new(9000))))),
        Just(Some(message(
            None,
            Body::Request(Request::Other(other("X_Ask")))
        ))),
    ]
}

fn few() -> Limits {
    Limits {
        requests_max: 5,
        device_requests_max: 5,
        ..Limits::default()
    }
}

proptest! {
    /// Whatever the device posts, and however much we want of it.
    #[test]
    fn a_session_always_ends(posts in prop::collection::vec(any_post(), 40)) {
        let now = Instant::now();
        let mut session = Session::new(now, few());
        let mut taken = 0;
        for post in std::iter::once(&Some(inform(None))).chain(&posts) {
            taken += 1;
            let heard = session.receive(now, post.as_ref());
            let next = values().filter(|_| session.wants_request());
            let sent = session.reply(next);
            prop_assert!(heard.is_ok() || session.is_over());
            prop_assert!(sent.is_ok() || session.is_over());
            if session.is_over() {
                break;
            }
        }
        prop_assert!(session.is_over());
        prop_assert!(taken <= 12, "{taken}");
    }

    /// Calls in any order.
    #[test]
    fn nothing_panics(steps in prop::collection::vec((any_post(), 0..5_u8, 0..40_u64), 0..60)) {
        let mut now = Instant::now();
        let mut session = Session::new(now, few());
        for (post, call, seconds) in steps {
            now += Duration::from_secs(seconds);
            let _ = match call {
                0 => session.receive(now, post.as_ref()).map(|_| ()),
                1 => session.reply(None).map(|_| ()),
                2 => session.reply(values()).map(|_| ()),
                3 => session.refuse(Fault::new(8002)).map(|_| ()),
                _ => session.answer(Response::TransferComplete).map(|_| ()),
            };
            let _ = session.deadline();
        }
    }
}
