mod limits;

use expect_test::{Expect, expect};

use super::*;
use crate::{DeviceId, RawRpc, TransferComplete};

/// A device and an ACS taking turns; what they say is kept as lines.
struct Scene {
    session: Session,
    now: Instant,
    lines: String,
}

impl Scene {
    fn new(limits: Limits) -> Scene {
        let now = Instant::now();
        Scene {
            session: Session::new(now, limits),
            now,
            lines: String::new(),
        }
    }

    fn say(&mut self, line: String) {
        self.lines.push_str(&line);
        self.lines.push('\n');
    }

    fn wait(&mut self, seconds: u64) -> &mut Scene {
        self.now += Duration::from_secs(seconds);
        self
    }

    fn post(&mut self, message: &Message) -> &mut Scene {
        let received = self
            .session
            .receive(self.now, Some(message))
            .map(|r| describe(&r));
        let id = message.header.id.as_deref().unwrap_or("-");
        self.say(format!(
            "> {} #{id}: {}",
            message.body.name(),
            flat(received)
        ));
        self
    }

    fn post_empty(&mut self) -> &mut Scene {
        let received = self.session.receive(self.now, None).map(|r| describe(&r));
        self.say(format!("> empty: {}", flat(received)));
        self
    }

    fn reply(&mut self, next: Option<Request>) -> &mut Scene {
        let wants = if self.session.wants_request() {
            "our turn"
        } else {
            "not our turn"
        };
        let sent = self.session.reply(next);
        let line = flat(sent.map(|message| message.as_ref().map_or("204".to_owned(), sent_line)));
        self.say(format!("  {wants}: < {line}"));
        self
    }

    fn refuse(&mut self, code: u32) -> &mut Scene {
        let sent = self.session.refuse(Fault::new(code));
        self.say(format!(
            "  < {}",
            flat(sent.map(|message| sent_line(&message)))
        ));
        self
    }

    fn answer(&mut self, response: Response) -> &mut Scene {
        let sent = self.session.answer(response);
        self.say(format!(
            "  < {}",
            flat(sent.map(|message| sent_line(&message)))
        ));
        self
    }

    fn check(&mut self, expected: Expect) {
        let end = if self.session.is_over() {
            "over"
        } else {
            "open"
        };
        let version = self.session.version();
        self.say(format!("{end}, {version}"));
        expected.assert_eq(&self.lines);
    }
}

fn flat(line: Result<String, Error>) -> String {
    line.unwrap_or_else(|error| format!("error: {error}"))
}

fn describe(received: &Received<'_>) -> String {
    match received {
        Received::Inform(inform) => format!("Inform of {}", inform.device_id.serial_number),
        Received::Request(request) => format!("request {}", request.method()),
        Received::Response(request, _) => format!("answers {}", request.method()),
        Received::Fault(request, fault) => format!("fault {} for {}", fault.code, request.method()),
        Received::Ready => "ready".to_owned(),
        Received::NoAnswer(request) => format!("no answer to {}", request.method()),
        Received::Over => "over".to_owned(),
    }
}

fn sent_line(message: &Message) -> String {
    let id = message.header.id.as_deref().unwrap_or("-");
    let mut line = format!("{} #{id}", message.body.name());
    if let Body::Fault(fault) = &message.body {
        line.push_str(&format!(" {}", fault.code));
    }
    if let Some(version) = &message.header.use_version {
        line.push_str(&format!(" UseCWMPVersion {version}"));
    }
    line
}

fn message(id: Option<&str>, body: Body) -> Message {
    Message {
        version: Version::V1_1,
        header: Header {
            id: id.map(str::to_owned),
            ..Header::default()
        },
        body,
    }
}

fn inform(id: Option<&str>) -> Message {
    let device_id = DeviceId {
        serial_number: "0001".to_owned(),
        ..DeviceId::default()
    };
    let inform = Inform {
        device_id,
        ..Inform::default()
    };
    message(id, Body::Request(Request::Inform(Box::new(inform))))
}

fn offering(versions: &str) -> Message {
    let mut inform = inform(Some("i"));
    inform.version = Version::V1_4;
    inform.header.supported_versions = Some(versions.to_owned());
    inform
}

fn transfer_complete(id: &str) -> Message {
    let rpc = TransferComplete::default();
    message(Some(id), Body::Request(Request::TransferComplete(rpc)))
}

fn response(response: Response) -> Message {
    message(Some("x"), Body::Response(response))
}

fn other(method: &str) -> RawRpc {
    RawRpc {
        method: method.to_owned(),
        xml: String::new(),
    }
}

fn values() -> Option<Request> {
    Some(Request::GetParameterValues(vec!["Device.".to_owned()]))
}

fn scene() -> Scene {
    Scene::new(Limits::default())
}

/// A session that is past its Inform, and the device has nothing to say.
fn ready() -> Scene {
    let mut scene = scene();
    scene.post(&inform(Some("i"))).reply(None).post_empty();
    scene.lines.clear();
    scene
}

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
    let mut scene = ready();
    scene.reply(values()).post(&response(Response::Reboot));
    assert_eq!(scene.session.outstanding(), values().as_ref());
    scene
        .reply(None)
        .post(&response(Response::GetParameterValues(Vec::new())))
        .post_empty()
        .reply(None)
        .post(&inform(None))
        .check(expect![[r#"
              our turn: < GetParameterValues #1
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
fn a_request_instead_of_an_answer() {
    ready()
        .reply(values())
        .post(&transfer_complete("1"))
        .check(expect![[r#"
              our turn: < GetParameterValues #1
            > TransferComplete #1: error: out of turn: expected GetParameterValuesResponse, got TransferComplete
            over, 1.1
        "#]]);
}

#[test]
fn an_answer_that_nobody_asked_for() {
    ready().post(&response(Response::Reboot)).check(expect![[r#"
        > RebootResponse #x: error: out of turn: expected a request or an empty POST, got RebootResponse
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
