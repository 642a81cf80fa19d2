//! The device's half of a session (TR-069 §3.7.1): an envelope or nothing goes out, the
//! answer comes in.

use std::time::Duration;

use cwmp::{Body, Event, Fault, Header, Message, RawRpc, Request, Response, Version};

use super::rpc::Reply;
use super::{Cpe, wire};
use crate::{Oddity, UnixTime};

/// How often an Inform is repeated at once after fault 8005.
const INFORM_RETRIES_MAX: u8 = 5;
/// The same for a request of its own; after these it waits for the next session.
const REQUEST_RETRIES_MAX: u8 = 5;

/// How long a device that hangs does so, until its watchdog ends that.
const HANG_TIME: Duration = Duration::from_secs(3);

/// What the device does next in its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It posts this body; an empty one is an empty POST.
    Post(Vec<u8>),
    /// The session is over.
    Done,
    /// It drops the connection without an answer.
    Drop,
    /// It does nothing more, and drops the connection after this time.
    Hang(Duration),
}

/// The ACS broke the protocol, as the device sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The answer is no CWMP message.
    #[error("the ACS sent what cannot be read")]
    Unreadable(#[source] cwmp::Error),
    /// The answer does not fit what was asked.
    #[error("out of turn: expected {expected}, got {got}")]
    OutOfTurn {
        /// What should have come.
        expected: &'static str,
        /// What came.
        got: String,
    },
    /// The Inform was answered with a fault.
    #[error("the ACS refused the Inform with fault {code}")]
    Refused {
        /// 8000–8899.
        code: u32,
    },
}

/// What a session did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SessionRecord {
    /// Those of the Inform.
    pub events: Vec<Event>,
    /// The RPCs of the ACS, in order.
    pub served: Vec<Served>,
    /// TransferComplete and the like that the ACS has answered.
    pub requests_answered: u32,
}

/// One RPC of the ACS.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// As it came.
    pub request: Request,
    /// Answered by this fault; `None`: by its response.
    pub fault: Option<u32>,
}

impl Served {
    /// The RPC's name.
    pub fn method(&self) -> &str {
        self.request.method()
    }
}

/// The state of a session.
#[derive(Debug)]
pub(super) struct Running {
    phase: Phase,
    informs: u8,
    sent_changed: Vec<Box<str>>,
    hold_requests: bool,
    version: Version,
    requests: u32,
    answered_empty: bool,
    answered_otherwise: bool,
    /// How often the first of the device's own requests was refused with fault 8005.
    retries: u8,
    /// The request of the ACS that waits, with its ID, while the device asks something itself.
    owed: Option<Box<(Option<String>, Request)>>,
    record: SessionRecord,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// InformResponse is due.
    Inform,
    /// The answer to the first of the device's own requests is due.
    Own,
    /// A request of the ACS, or the end.
    Listening,
    /// Over; only the extra empty POST goes out.
    Over,
}

impl Cpe {
    /// Begins a session and gives the body of its first POST, the Inform.
    pub fn begin_session(&mut self, now: UnixTime) -> Vec<u8> {
        self.schedule.session_begun();
        self.announce_again();
        let mut session = Running {
            phase: Phase::Inform,
            informs: 0,
            sent_changed: self.changed.iter().cloned().collect(),
            hold_requests: false,
            version: self.identity.vendor.cwmp_version,
            requests: 0,
            answered_empty: false,
            answered_otherwise: false,
            retries: 0,
            owed: None,
            record: SessionRecord {
                events: self.events.pending(),
                ..SessionRecord::default()
            },
        };
        let inform = self.inform_body(&mut session, now);
        self.session = Some(Box::new(session));
        inform
    }

    /// The Inform again, as after a 401: nothing has happened yet.
    pub fn repeat_inform(&mut self, now: UnixTime) -> Vec<u8> {
        match self.session.take() {
            Some(mut session) => {
                let body = self.inform_body(&mut session, now);
                self.session = Some(session);
                body
            }
            None => self.begin_session(now),
        }
    }

    /// The answer of the ACS to the last POST: what next. After an error the session is lost:
    /// [`Cpe::fail_session`].
    pub fn receive(&mut self, body: &[u8], now: UnixTime) -> Result<Step, ProtocolError> {
        let Some(mut session) = self.session.take() else {
            return Ok(Step::Done);
        };
        let step = self.step(&mut session, body, now);
        self.session = Some(session);
        step
    }

    /// The session is over, by the rules.
    pub fn finish_session(&mut self, now: UnixTime) -> SessionRecord {
        let record = self.take_record();
        self.retry_count = 0;
        self.after_session(now);
        record
    }

    /// The session broke off; it is tried again later, with the events not yet delivered.
    pub fn fail_session(&mut self, now: UnixTime) -> SessionRecord {
        let record = self.take_record();
        self.schedule_retry(now);
        self.after_session(now);
        record
    }

    fn take_record(&mut self) -> SessionRecord {
        self.session
            .take()
            .map(|session| session.record)
            .unwrap_or_default()
    }

    fn step(
        &mut self,
        session: &mut Running,
        body: &[u8],
        now: UnixTime,
    ) -> Result<Step, ProtocolError> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return self.on_empty(session);
        }
        let message = Message::parse(body).map_err(ProtocolError::Unreadable)?;
        match (session.phase, message.body) {
            (Phase::Inform, Body::Response(Response::Inform)) => {
                self.events.delivered(&session.record.events);
                for path in std::mem::take(&mut session.sent_changed) {
                    self.changed.remove(&path);
                }
                session.version = session
                    .version
                    .min(negotiated(&message.header, message.version));
                session.hold_requests = message.header.hold_requests;
                if self.waits_to_be_asked() {
                    session.phase = Phase::Listening;
                    return Ok(Step::Post(self.empty_post()));
                }
                Ok(Step::Post(self.own_request_or_empty(session)))
            }
            (Phase::Inform, Body::Fault(fault))
                if fault.code == 8005 && session.informs <= INFORM_RETRIES_MAX =>
            {
                Ok(Step::Post(self.inform_body(session, now)))
            }
            (Phase::Inform, Body::Fault(fault)) => Err(ProtocolError::Refused { code: fault.code }),
            (Phase::Own, Body::Fault(fault)) if fault.code == 8005 => {
                session.retries += 1;
                session.hold_requests = message.header.hold_requests;
                Ok(self.go_on(session, now))
            }
            (Phase::Own, Body::Fault(_)) => {
                session.hold_requests = message.header.hold_requests;
                self.own_request_told(session);
                Ok(self.go_on(session, now))
            }
            (Phase::Own, Body::Response(response))
                if self
                    .own_requests
                    .first()
                    .is_some_and(|own| response.answers(own)) =>
            {
                if let Response::Kicked(next) = response {
                    self.kicked_to = Some(next);
                }
                session.hold_requests = message.header.hold_requests;
                self.own_request_told(session);
                Ok(self.go_on(session, now))
            }
            (Phase::Listening, Body::Request(request)) => {
                session.hold_requests = message.header.hold_requests;
                if self.oddities.has(Oddity::RequestsOutOfTurn) && self.may_tell(session) {
                    session.owed = Some(Box::new((message.header.id, request)));
                    return Ok(Step::Post(self.own_request_or_empty(session)));
                }
                Ok(self.serve_request(session, message.header.id, request, now))
            }
            (phase, body) => Err(ProtocolError::OutOfTurn {
                expected: phase.expects(),
                got: describe(&body),
            }),
        }
    }

    fn on_empty(&mut self, session: &mut Running) -> Result<Step, ProtocolError> {
        // An empty answer holds nothing any more.
        session.hold_requests = false;
        match session.phase {
            Phase::Listening if self.waits_to_be_asked() => {
                // Nobody asks: told in the next session, as others do.
                self.tells_first = true;
                self.schedule.want_session();
                Ok(Step::Done)
            }
            Phase::Listening if self.may_tell(session) => {
                Ok(Step::Post(self.own_request_or_empty(session)))
            }
            Phase::Listening if self.oddities.has(Oddity::ExtraEmptyPost) => {
                session.phase = Phase::Over;
                Ok(Step::Post(self.empty_post()))
            }
            Phase::Listening | Phase::Over => Ok(Step::Done),
            phase => Err(ProtocolError::OutOfTurn {
                expected: phase.expects(),
                got: "an empty answer".to_owned(),
            }),
        }
    }

    /// Whether it keeps its own requests until the ACS asks for something.
    fn waits_to_be_asked(&self) -> bool {
        self.oddities.has(Oddity::RequestsOutOfTurn)
            && !self.tells_first
            && !self.own_requests.is_empty()
    }

    /// Whether it has something to ask of its own, and may.
    fn may_tell(&self, session: &Running) -> bool {
        !session.hold_requests
            && session.retries <= REQUEST_RETRIES_MAX
            && !self.own_requests.is_empty()
    }

    fn own_request_told(&mut self, session: &mut Running) {
        session.record.requests_answered += 1;
        session.retries = 0;
        if let Some(Request::TransferComplete(_)) = self.own_requests.first() {
            self.transfer_told();
        }
        self.own_requests.told();
        self.tells_first &= !self.own_requests.is_empty();
    }

    /// After the answer to a request of its own: what the ACS waits for, else the next one.
    fn go_on(&mut self, session: &mut Running, now: UnixTime) -> Step {
        match session.owed.take() {
            Some(owed) => {
                session.phase = Phase::Listening;
                let (id, request) = *owed;
                self.serve_request(session, id, request, now)
            }
            None => Step::Post(self.own_request_or_empty(session)),
        }
    }

    fn own_request_or_empty(&mut self, session: &mut Running) -> Vec<u8> {
        match self.own_requests.first().cloned() {
            Some(request) if self.may_tell(session) => {
                session.phase = Phase::Own;
                self.request_body(session, request, Header::default())
            }
            _ => {
                session.phase = Phase::Listening;
                self.empty_post()
            }
        }
    }

    fn empty_post(&self) -> Vec<u8> {
        if self.oddities.has(Oddity::WhitespaceAsEmpty) {
            b"\r\n".to_vec()
        } else {
            Vec::new()
        }
    }

    fn inform_body(&mut self, session: &mut Running, now: UnixTime) -> Vec<u8> {
        session.informs += 1;
        let inform = self.inform(&session.record.events, &session.sent_changed, now);
        let version = self.identity.vendor.cwmp_version;
        let header = Header {
            session_timeout: (version >= Version::V1_3).then_some(60),
            supported_versions: (version >= Version::V1_4)
                .then(|| "1.0,1.1,1.2,1.3,1.4".to_owned()),
            ..Header::default()
        };
        self.request_body(session, Request::Inform(Box::new(inform)), header)
    }

    /// An Inform with these events, outside of any session.
    pub(crate) fn inform_with(&self, events: &[Event], now: UnixTime) -> Vec<u8> {
        let message = Message {
            version: self.identity.vendor.cwmp_version,
            header: Header {
                id: Some("1".to_owned()),
                ..Header::default()
            },
            body: Body::Request(Request::Inform(Box::new(self.inform(events, &[], now)))),
        };
        wire::to_bytes(&message, self.oddities)
    }

    fn request_body(&mut self, session: &mut Running, request: Request, header: Header) -> Vec<u8> {
        session.requests += 1;
        let id = self.own_id(session);
        let message = Message {
            version: session.version,
            header: Header { id, ..header },
            body: Body::Request(request),
        };
        wire::to_bytes(&message, self.oddities)
    }

    fn own_id(&self, session: &Running) -> Option<String> {
        Some(match self.oddities {
            odd if odd.has(Oddity::EmptyId) => String::new(),
            odd if odd.has(Oddity::ConstantId) => "1".to_owned(),
            _ => format!("{:X}{:04}", self.identity.seed & 0xFFFF, session.requests),
        })
    }

    fn serve_request(
        &mut self,
        session: &mut Running,
        id: Option<String>,
        request: Request,
        now: UnixTime,
    ) -> Step {
        if self.oddities.has(Oddity::AnswersEmpty) && !session.answered_empty {
            session.answered_empty = true;
            return Step::Post(self.empty_post());
        }
        let reply = if self.oddities.has(Oddity::AnswersOtherwise)
            && !std::mem::replace(&mut session.answered_otherwise, true)
        {
            Reply::Response(Response::Other(RawRpc {
                method: "X_OtherResponse".to_owned(),
                xml: String::new(),
            }))
        } else {
            self.serve(&request, now)
        };
        let method: Box<str> = request.method().into();
        *self.served.entry(method).or_insert(0) += 1;
        let fault = match &reply {
            Reply::Fault(fault) => Some(fault.code),
            _ => None,
        };
        session.record.served.push(Served { request, fault });
        let body = match reply {
            Reply::Response(response) => Body::Response(response),
            Reply::Fault(fault) => Body::Fault(fault),
            Reply::Empty => return Step::Post(self.empty_post()),
            Reply::Drop => return Step::Drop,
            Reply::Hang => return Step::Hang(HANG_TIME),
        };
        let id = match self.oddities {
            odd if odd.has(Oddity::EmptyId) => Some(String::new()),
            odd if odd.has(Oddity::IdNotEchoed) => {
                session.requests += 1;
                self.own_id(session)
            }
            _ => id,
        };
        let message = Message {
            version: session.version,
            header: Header {
                id,
                ..Header::default()
            },
            body,
        };
        Step::Post(wire::to_bytes(&message, self.oddities))
    }
}

impl Phase {
    fn expects(self) -> &'static str {
        match self {
            Phase::Inform => "InformResponse",
            Phase::Own => "the answer to its own request",
            Phase::Listening => "a request or the end",
            Phase::Over => "the end",
        }
    }
}

/// The version the ACS chose: UseCWMPVersion, else that of its namespace.
fn negotiated(header: &Header, version: Version) -> Version {
    let named = header.use_version.as_deref().and_then(Version::from_number);
    named.unwrap_or(match version {
        // The namespace cannot tell 1.2 from the later ones.
        Version::V1_2 => Version::V1_4,
        other => other,
    })
}

fn describe(body: &Body) -> String {
    match body {
        Body::Request(request) => request.method().to_owned(),
        Body::Response(_) => "another response".to_owned(),
        Body::Fault(Fault { code, .. }) => format!("fault {code}"),
    }
}
