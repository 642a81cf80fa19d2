mod answers;
mod device_requests;
mod limits;
mod turns;

use expect_test::Expect;

use super::*;
use crate::{DeviceId, Inform, RawRpc, TransferComplete};

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
        Received::OtherAnswer(request, response) => {
            format!("{} for {}", response.method(), request.method())
        }
        Received::Ready => "ready".to_owned(),
        Received::NoAnswer(request) => format!("no answer to {}", request.method()),
        Received::Over => "over".to_owned(),
    }
}

fn sent_line(message: &Message) -> String {
    let id = message.header.id.as_deref().unwrap_or("-");
    let mut line = format!("{} #{id}", message.body.name());
    if message.header.hold_requests {
        line.push_str(" HoldRequests");
    }
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
